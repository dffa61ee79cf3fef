//! The power fails, or the process is killed, at every moment of a backup: what was promised is there, and it goes on.

use bailee_archive::disk::SyncPoint;
use bailee_archive::testing::{Fault, Seeded, SimDisk};
use bailee_archive::tree::{Entry, EntryKind, Meta, Time};
use bailee_archive::{
    Archive, ArchiveError, ArchiveKeys, BackUp, Counters, DeviceId, FolderStore, ReadStore, Store, TreePath,
};
use bailee_core::crypto::keys::{Owner, Secret};
use bailee_core::crypto::sign::Signing;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

/// Sizes of segments: one for each record, one for some, one for all.
const SEGMENT_BYTES: [u64; 3] = [1, 2_000, 1 << 20];

fn keys() -> ArchiveKeys {
    let owner = Owner { tenant: "tenant".into(), user: "user".into(), epoch: 0 };
    ArchiveKeys::new(&Secret::take(&mut [7; 32]), &owner)
}

fn device() -> Signing {
    Signing::from_seed(&[3; 32])
}

/// The files of a version: one more than the version before has.
fn files(version: usize) -> Vec<(String, Vec<u8>)> {
    let file = |number: usize| {
        let mut bytes = vec![0; 3_000];
        ChaCha20Rng::seed_from_u64(number as u64).fill_bytes(&mut bytes);
        (format!("{number:04}"), bytes)
    };
    (0..=version).map(file).collect()
}

fn back_up<S: Store>(archive: Archive<S>, segment_bytes: u64) -> Result<Archive<S>, ArchiveError> {
    let version = archive.versions().len();
    let (device, random, counters) = (device(), Seeded(version as u64), Counters::default());
    let how = BackUp { segment_bytes, ..BackUp::new(&device, Time::default(), &random, &counters) };
    let mut writer = archive.begin(&how)?;
    writer.entry(&Entry { path: TreePath::root(), meta: Meta::default(), kind: EntryKind::Directory })?;
    for (name, bytes) in files(version) {
        let content = writer.content(&mut &bytes[..])?;
        let path = TreePath::root().join(name.as_bytes())?;
        writer.entry(&Entry {
            path,
            meta: Meta::default(),
            kind: EntryKind::File { content, changed: false, sparse: false },
        })?;
    }
    Ok(writer.commit(Time::default(), b"")?.0)
}

fn files_of<S: ReadStore>(archive: &Archive<S>, version: usize) -> Result<Vec<(String, Vec<u8>)>, ArchiveError> {
    let mut files = Vec::new();
    for entry in archive.tree(&archive.versions()[version]) {
        let entry = entry?;
        if let EntryKind::File { content, .. } = &entry.kind {
            let mut bytes = Vec::new();
            archive.copy_content(content, &mut bytes)?;
            files.push((entry.path.to_string(), bytes));
        }
    }
    Ok(files)
}

/// What is promised once so many operations are done: nothing (0), the archive (1), its first version (2) and so on.
type Promises = Vec<(usize, usize)>;

fn promised(promises: &Promises, operations: usize) -> usize {
    promises.iter().filter(|(after, _)| *after <= operations).map(|(_, promise)| *promise).max().unwrap_or(0)
}

fn open(disk: &SimDisk, expected: usize) -> Result<Archive<FolderStore<SimDisk>>, String> {
    let said = |error: ArchiveError| error.to_string();
    let found = FolderStore::open_on(disk.clone(), "/archive").ok();
    let Some(store) = found.filter(|store| store.list().is_ok_and(|segments| !segments.is_empty())) else {
        if expected > 0 {
            return Err("the archive is gone".into());
        }
        let store = FolderStore::create_on(disk.clone(), "/archive").map_err(|error| error.to_string())?;
        return Archive::create(store, keys(), &Seeded(0)).map_err(said);
    };
    // What a crash leaves is never taken for damage.
    let archive =
        Archive::open(store, keys(), &[DeviceId(device().public())]).and_then(Archive::sound).map_err(said)?;
    let versions = archive.versions().len();
    if versions + 1 < expected {
        return Err(format!("{versions} versions, and {} were promised", expected - 1));
    }
    for version in 0..versions {
        if files_of(&archive, version).map_err(said)? != files(version) {
            return Err(format!("version {version} is another one"));
        }
    }
    Ok(archive)
}

/// One process: makes or opens the archive, finds what was promised, and backs up.
fn process(disk: &SimDisk, expected: usize, backups: usize, segment_bytes: u64) -> Result<Promises, String> {
    let mut archive = open(disk, expected)?;
    let mut promises = vec![(0, expected), (disk.operations(), expected.max(1))];
    for _ in 0..backups {
        archive = back_up(archive, segment_bytes).map_err(|error| error.to_string())?;
        promises.push((disk.operations(), 1 + archive.versions().len()));
    }
    let last = promised(&promises, disk.operations());
    drop(archive);
    open(disk, last).map(|_| promises)
}

/// The first promise that is broken if the power fails at any moment of what was done on a disk; also if it fails again at
/// a moment of the backup that comes next.
fn broken(disk: &SimDisk, promises: &Promises, segment_bytes: u64, seeds: u64) -> Option<String> {
    let moments = disk.moments();
    for seed in 0..seeds {
        for (operations, moment) in moments.iter().enumerate().rev() {
            let expected = promised(promises, operations);
            let found = moment.crash(seed);
            let next = process(&found, expected, 1, segment_bytes).and_then(|promises| {
                let moments = found.moments();
                let operations = (seed as usize * 7 + operations) % moments.len();
                let expected = promised(&promises, operations);
                process(&moments[operations].crash(seed + 1), expected, 1, segment_bytes)
            });
            if let Err(error) = next {
                return Some(format!("seed {seed}, {operations} operations, segments of {segment_bytes}: {error}"));
            }
        }
    }
    None
}

/// The first promise that is broken if the first process is killed at any moment and the power fails in the second.
fn broken_after_kill(segment_bytes: u64, seeds: u64, fault: Option<(SyncPoint, usize)>) -> Option<String> {
    let disk = SimDisk::new();
    let promises = process(&disk, 0, 2, segment_bytes).unwrap();
    disk.moments().into_iter().enumerate().find_map(|(operations, killed)| {
        if let Some((point, nth)) = fault {
            killed.break_sync(point, nth, Fault::Ignored);
        }
        match process(&killed, promised(&promises, operations), 1, segment_bytes) {
            Ok(promises) => broken(&killed, &promises, segment_bytes, seeds),
            Err(error) => Some(format!("killed after {operations} operations: {error}")),
        }
    })
}

#[test]
fn a_crash_breaks_no_promise() {
    for segment_bytes in SEGMENT_BYTES {
        let disk = SimDisk::new();
        let promises = process(&disk, 0, 2, segment_bytes).unwrap();
        assert_eq!(broken(&disk, &promises, segment_bytes, 20), None);
    }
}

#[test]
fn a_crash_after_a_kill_breaks_no_promise() {
    for segment_bytes in SEGMENT_BYTES {
        assert_eq!(broken_after_kill(segment_bytes, 1, None), None);
    }
}

/// BAK-13: each sync is left out in turn, and each time something is lost: none is there for nothing, and the tests
/// above see it.
#[test]
fn no_sync_can_be_left_out() {
    for segment_bytes in SEGMENT_BYTES {
        let disk = SimDisk::new();
        process(&disk, 0, 2, segment_bytes).unwrap();
        for point in [SyncPoint::NewFolder, SyncPoint::NewContent, SyncPoint::NewName, SyncPoint::Appended] {
            assert!(disk.syncs(point) > 0);
            for nth in 0..disk.syncs(point) {
                let disk = SimDisk::new();
                disk.break_sync(point, nth, Fault::Ignored);
                let promises = process(&disk, 0, 2, segment_bytes).unwrap();
                let broken = broken(&disk, &promises, segment_bytes, 100);
                assert!(broken.is_some(), "nobody misses {point:?} {nth}, segments of {segment_bytes}");
            }
        }
    }
}

/// A process also makes durable what one that was killed before it left undone.
#[test]
fn no_sync_after_a_kill_can_be_left_out() {
    for point in [SyncPoint::Inherited, SyncPoint::NewFolder, SyncPoint::Appended] {
        let broken = [2, 20].into_iter().find_map(|seeds| {
            SEGMENT_BYTES.into_iter().find_map(|bytes| broken_after_kill(bytes, seeds, Some((point, 0))))
        });
        assert!(broken.is_some(), "nobody misses {point:?}");
    }
}
