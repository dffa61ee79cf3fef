//! Versions written and read back, interrupted, damaged, rolled back; and what the store shows without a key.

mod common;

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};

use bailee_archive::segment::{Kind, scan_segment};
use bailee_archive::testing::Seeded;
use bailee_archive::tree::{Entry, EntryKind, Meta, Time};
use bailee_archive::{
    Archive, ArchiveError, ArchiveKeys, BackUp, Counters, Damage, DeviceId, FolderStore, MachineId, MemoryStore,
    Origin, Padding, ReadStore, Store, Totals,
};
use bailee_core::crypto::keys::{Owner, Secret};
use common::*;
use proptest::prelude::*;

type Files = Vec<(&'static str, Vec<u8>)>;

fn keys_of(user: &str, byte: u8) -> ArchiveKeys {
    let owner = Owner { tenant: "tenant".into(), user: user.into(), epoch: 0 };
    ArchiveKeys::new(&Secret::take(&mut [byte; 32]), &owner)
}

/// A backup by the plain writer.
fn back_up<S: Store>(archive: Archive<S>, files: &Files, seed: u64) -> Result<(Archive<S>, Totals), ArchiveError> {
    let (device, random, counters) = (device(), Seeded(seed), Counters::default());
    let mut writer = archive.begin(&BackUp::new(&device, Time::default(), &random, &counters))?;
    writer.entry(&root())?;
    for (name, bytes) in files {
        let content = writer.content(&mut &bytes[..])?;
        let kind = EntryKind::File { content, changed: false, sparse: false };
        writer.entry(&Entry { path: path(name), meta: Meta::default(), kind })?;
    }
    writer.commit(Time { seconds: seed as i64, nanoseconds: 0 }, b"label")
}

/// The files of a version, in full.
fn files_of<S: ReadStore>(archive: &Archive<S>, version: usize) -> Result<Content, ArchiveError> {
    content_of(archive, &archive.versions()[version])
}

fn same(found: &Content, files: &Files) -> bool {
    found.len() == files.len() && found.iter().zip(files).all(|((a, b), (c, d))| a == c && b == d)
}

fn sample() -> Files {
    vec![("a", noise(1, 3_000_000)), ("b", b"short".to_vec()), ("c", Vec::new()), ("d", vec![0; 1_000_000])]
}

/// Opens every block and follows every chunk.
fn verify<S: ReadStore>(archive: &mut Archive<S>) -> Result<(), ArchiveError> {
    let mut report = archive.check(true, &mut |_, _| {});
    let damage = report.damage.pop().map(|damage| damage.error);
    damage.or(report.lost.pop().map(|lost| lost.error)).map_or(Ok(()), Err)
}

#[test]
fn versions_come_back_as_they_were() {
    let first = sample();
    let mut second = sample();
    second[1].1 = b"changed".to_vec();
    let (archive, _) = back_up(fresh(), &first, 1).unwrap();
    let (archive, _) = back_up(archive, &second, 2).unwrap();
    let mut archive = reopen(archive.into_store()).unwrap();
    assert!(same(&files_of(&archive, 0).unwrap(), &first));
    assert!(same(&files_of(&archive, 1).unwrap(), &second));
    assert_eq!(archive.versions()[1].root.time.seconds, 2);
    verify(&mut archive).unwrap();
}

#[test]
fn what_is_there_already_is_not_stored_again() {
    let (archive, first) = back_up(fresh(), &sample(), 1).unwrap();
    let mut moved = sample();
    moved[0].1.splice(1_000_000..1_000_000, *b"a few bytes more in the middle");
    let (archive, second) = back_up(archive, &moved, 2).unwrap();
    assert!(first.new > 3_000_000);
    assert!(second.new < 600_000, "content that moved is cut as before: {second:?}");
    let (_, third) = back_up(archive, &moved, 3).unwrap();
    assert_eq!(third.new, 0);
    assert!(third.stored < 20_000, "{third:?}");
}

#[test]
fn a_folder_keeps_an_archive_and_one_writer() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("archive");
    let store = FolderStore::create_in(&place).unwrap();
    let archive = Archive::create(store, keys(), &Seeded(0)).unwrap();
    let (archive, _) = back_up(archive, &sample(), 1).unwrap();
    let other = reopen(FolderStore::open(&place).unwrap()).unwrap();
    assert!(same(&files_of(&other, 0).unwrap(), &sample()), "a reader needs no lock");
    let error = back_up(other, &sample(), 2).err().unwrap();
    assert!(error.to_string().contains("another writer"), "{error}");
    drop(archive);
    let free = reopen(FolderStore::open(&place).unwrap()).unwrap();
    let stale = reopen(FolderStore::open(&place).unwrap()).unwrap();
    assert!(back_up(free, &sample(), 2).is_ok());
    let error = back_up(stale, &sample(), 2).err().unwrap();
    assert!(matches!(error, ArchiveError::WrittenSince {}), "it would write where another has written: {error}");
    assert_eq!(reopen(FolderStore::open(&place).unwrap()).unwrap().versions().len(), 2);
    let missing = reopen(FolderStore::open(folder.path()).unwrap());
    assert!(matches!(missing, Err(ArchiveError::NoArchive {})));
}

/// BAK-9: a crash may leave any part of what was not synced: every length of the second backup's bytes is tried.
#[test]
fn an_interrupted_backup_takes_nothing_with_it() {
    let small: Files = vec![("a", b"one".to_vec()), ("b", noise(2, 500))];
    let (archive, _) = back_up(fresh(), &small, 1).unwrap();
    let before = archive.into_store();
    let (archive, _) = back_up(reopen(before.clone()).unwrap(), &vec![("a", b"two".to_vec())], 2).unwrap();
    let after = archive.into_store();
    for length in before.segments[&1].len()..after.segments[&1].len() {
        let mut torn = after.clone();
        torn.segments.get_mut(&1).unwrap().truncate(length);
        let archive = reopen(torn).unwrap();
        assert_eq!(archive.versions().len(), 1, "no manifest, no version: {length}");
        assert!(same(&files_of(&archive, 0).unwrap(), &small));
        let (archive, _) = back_up(archive, &vec![("a", b"three".to_vec())], 3).unwrap();
        let archive = reopen(archive.into_store()).unwrap();
        assert_eq!(files_of(&archive, 1).unwrap(), vec![("a".to_string(), b"three".to_vec())]);
    }
}

/// Every byte of a small archive is altered in turn: nothing else than what was backed up ever comes back. An altered
/// manifest at the very end looks like a commit that a crash interrupted; the device remembers that it was none.
#[test]
fn no_altered_byte_goes_unnoticed() {
    let small: Files = vec![("a", noise(5, 700))];
    let (archive, _) = back_up(fresh(), &small, 1).unwrap();
    let (device, digest) = (archive.versions()[0].device, archive.versions()[0].digest);
    let whole = archive.into_store();
    for at in 0..whole.segments[&1].len() {
        let mut altered = whole.clone();
        altered.segments.get_mut(&1).unwrap()[at] ^= 1;
        let found = reopen(altered).and_then(|mut archive| {
            archive.remember(device, 1, digest)?;
            verify(&mut archive)?;
            files_of(&archive, 0)
        });
        assert!(found.is_err(), "byte {at} was altered and nobody noticed");
    }
}

/// BAK-8, BAK-10.
#[test]
fn a_manifest_counts_only_from_a_known_device_and_in_its_place() {
    let (archive, _) = back_up(fresh(), &sample(), 1).unwrap();
    let (archive, _) = back_up(archive, &sample(), 2).unwrap();
    let remembered = archive.versions()[1].clone();
    let whole = archive.into_store();
    assert!(matches!(
        Archive::open(whole.clone(), keys(), &[DeviceId([9; 32])]),
        Err(ArchiveError::UnknownDevice { .. })
    ));
    let archive = reopen(whole.clone()).unwrap();
    archive.remember(remembered.device, remembered.seq, remembered.digest).unwrap();
    // A manifest whose signature does not hold is none, and the one after it says that it is missing.
    let three = back_up(archive, &sample(), 3).unwrap().0;
    assert_eq!(three.damage_count(), 0);
    let scan = scan_segment(three.store(), 1, three.id()).unwrap();
    let second = scan.frames.iter().filter(|frame| frame.head.kind == Kind::Manifest).nth(1).unwrap();
    let last_byte = second.payload.offset as usize + second.head.length as usize - 1;
    let mut forged = three.into_store();
    forged.segments.get_mut(&1).unwrap()[last_byte] ^= 1;
    let forged = Archive::open(forged, keys(), &trusted()).unwrap();
    assert_eq!(forged.versions().iter().map(|version| version.seq).collect::<Vec<_>>(), [1, 3]);
    let broken = |damage: &Damage| matches!(damage.error, ArchiveError::ChainBroken { seq: 3, .. });
    assert!(forged.damage().iter().any(broken), "nobody said that a link is missing");
    // Rolled back to the first version, whole and genuine as that is.
    let (first, _) = back_up(fresh(), &sample(), 1).unwrap();
    let old = reopen(first.into_store()).unwrap();
    let error = old.remember(remembered.device, remembered.seq, remembered.digest).unwrap_err();
    assert!(matches!(error, ArchiveError::RolledBack { remembered: 2, found: 1, .. }), "{error}");
}

#[test]
fn another_key_or_another_owner_opens_nothing() {
    let (archive, _) = back_up(fresh(), &sample(), 1).unwrap();
    let store = archive.into_store();
    for other in [keys_of("user", 8), keys_of("other", 7)] {
        let opened = Archive::open(store.clone(), other, &trusted());
        assert!(matches!(opened, Err(ArchiveError::NotOpened { .. })));
    }
}

/// BAK-4.
#[test]
fn the_store_shows_no_name_and_no_content() {
    let canary = "canary-name-of-a-file";
    let files: Files = vec![(canary, b"canary-content ".repeat(100))];
    let (archive, _) = back_up(fresh(), &files, 1).unwrap();
    let store = archive.into_store();
    for canary in [canary.as_bytes(), b"canary-content", b"tenant", b"user", b"label"] {
        let shown = store.segments.values().any(|bytes| bytes.windows(canary.len()).any(|part| part == canary));
        assert!(!shown, "{}", String::from_utf8_lossy(canary));
    }
    // The check can fail: the magic number of a block is there.
    assert!(store.segments[&1].windows(4).any(|part| part == b"BLEB"));
}

/// BAK-7: many small files are one block, and the files of a tree are another.
#[test]
fn small_files_are_gathered_into_one_block() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let files: Files = (1..).zip(names).map(|(seed, name)| (name, noise(seed, 10_000))).collect();
    let (archive, _) = back_up(fresh(), &files, 1).unwrap();
    let scan = scan_segment(archive.store(), 1, archive.id()).unwrap();
    let blocks: Vec<u32> =
        scan.frames.iter().filter(|frame| frame.head.kind == Kind::Block).map(|frame| frame.head.length).collect();
    assert_eq!(blocks.len(), 2, "{blocks:?}");
    assert!(blocks.iter().any(|length| *length > 80_000), "{blocks:?}");
}

/// Both ways to write a version carry it, and it is sealed.
#[test]
fn a_version_says_where_it_was_made_if_its_writer_did() {
    let (device, random, counters) = (device(), Seeded(1), Counters::default());
    let origin =
        Origin { host: b"canary-host".to_vec(), user: b"canary-user".to_vec(), machine: Some(MachineId([9; 16])) };
    let usual = || BackUp::new(&device, Time::default(), &random, &counters);
    let mut writer = fresh().begin(&BackUp { origin: Some(&origin), ..usual() }).unwrap();
    writer.entry(&root()).unwrap();
    let (archive, _) = writer.commit(Time::default(), b"written").unwrap();
    let plan = || MemoryPlan::new(&Content::new());
    let how = BackUp { origin: Some(&origin), ..usual() };
    let (archive, _) = archive.back_up(plan(), &MemoryFiles, &mut Heard::default(), &how).unwrap();
    let (archive, _) = archive.back_up(plan(), &MemoryFiles, &mut Heard::default(), &usual()).unwrap();
    let store = archive.into_store();
    let shown = store.segments.values().any(|bytes| bytes.windows(6).any(|part| part == b"canary"));
    assert!(!shown, "readable without a key");
    let archive = reopen(store).unwrap();
    let origins: Vec<_> = archive.versions().iter().map(|version| version.root.origin.clone()).collect();
    assert_eq!(origins, [Some(origin.clone()), Some(origin), None]);
    let nameless = Origin { host: Vec::new(), user: Vec::new(), machine: None };
    let how = BackUp { origin: Some(&nameless), ..usual() };
    let refused = archive.back_up(plan(), &MemoryFiles, &mut Heard::default(), &how).err();
    assert!(matches!(refused, Some(ArchiveError::Malformed { .. })), "{refused:?}");
}

#[test]
fn the_latest_version_is_the_last_of_its_chain_whatever_its_clock_said() {
    let far_ahead = 4_070_908_800;
    let mut archive = fresh();
    for clock in [far_ahead, 20, 10] {
        archive = back_up(archive, &sample(), clock).unwrap().0;
        let numbers: Vec<u64> = archive.versions().iter().map(|version| version.seq).collect();
        assert!(numbers.is_sorted(), "{numbers:?}");
    }
    let opened = reopen(archive.into_store()).unwrap();
    let order: Vec<_> = opened.versions().iter().map(|version| (version.seq, version.root.time.seconds)).collect();
    assert_eq!(order, [(1, far_ahead as i64), (2, 20), (3, 10)]);
}

struct Failing;

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}

#[test]
fn a_file_that_cannot_be_read_leaves_the_backup_usable() {
    let (device, random, counters) = (device(), Seeded(1), Counters::default());
    let mut writer = fresh().begin(&BackUp::new(&device, Time::default(), &random, &counters)).unwrap();
    writer.entry(&root()).unwrap();
    assert!(matches!(writer.content(&mut Failing), Err(ArchiveError::Source { .. })));
    assert!(writer.commit(Time::default(), b"").is_ok());
}

#[test]
fn long_archives_go_on_in_another_segment() {
    let files: Files = vec![("a", noise(1, 70_000_000))];
    let (archive, _) = back_up(fresh(), &files, 1).unwrap();
    let (archive, _) = back_up(archive, &vec![("b", noise(2, 1000))], 2).unwrap();
    let mut store = archive.into_store();
    assert_eq!(store.segments.len(), 2);
    assert!(same(&files_of(&reopen(store.clone()).unwrap(), 0).unwrap(), &files));
    store.segments.remove(&1);
    assert!(matches!(reopen(store), Err(ArchiveError::MissingSegment { number: 1, last: 1 })));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_files_come_back(contents in proptest::collection::vec((0u64..50, 0usize..400_000), 0..6)) {
        const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
        let files: Files =
            NAMES.into_iter().zip(contents).map(|(name, (seed, length))| (name, noise(seed, length))).collect();
        let (archive, _) = back_up(fresh(), &files, 1).unwrap();
        let archive = reopen(archive.into_store()).unwrap();
        prop_assert!(same(&files_of(&archive, 0).unwrap(), &files));
    }

    /// No decoder panics, whatever the bytes.
    #[test]
    fn arbitrary_bytes_are_refused_by_name(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        use bailee_archive::{block, manifest, segment, tree, Place};
        let name = |error: Option<ArchiveError>| error.map(|error| error.name());
        let place = Place { segment: 1, offset: 33 };
        for refused in [
            name(block::decode_block(&bytes).err()),
            name(manifest::decode_manifest(&bytes).err()),
            name(manifest::decode_root(&bytes).err()),
            name(manifest::open_index(&keys(), fresh().id(), &bytes).err()),
            name(segment::decode_segment_head(&bytes).err()),
            name(segment::decode_frame_head(place, &bytes).err()),
        ] {
            prop_assert!(refused.is_some());
        }
        let _ = (tree::decode_tree(&bytes), manifest::decode_index(&bytes), block::decode_padded(block::Form::Raw, Padding::Padme, &bytes));
    }
}

/// A store whose last segment is cut while somebody reads it: what was behind its end when it was measured is gone.
struct Cut {
    store: MemoryStore,
    is_cut: AtomicBool,
}

impl ReadStore for Cut {
    fn list(&self) -> io::Result<Vec<u64>> {
        self.store.list()
    }

    fn length(&self, segment: u64) -> io::Result<u64> {
        let torn = if self.is_cut.load(Ordering::Relaxed) { 0 } else { 100 };
        Ok(self.store.length(segment)? + torn)
    }

    fn read(&self, segment: u64, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let read = self.store.read(segment, offset, buffer);
        if read.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::UnexpectedEof) {
            self.is_cut.store(true, Ordering::Relaxed);
        }
        read
    }
}

#[test]
fn a_reader_who_sees_a_torn_tail_being_cut_reads_again() {
    let files: Files = vec![("file", b"content".to_vec())];
    let archive = back_up(fresh(), &files, 1).unwrap().0;
    let id = archive.id();
    let store = Cut { store: archive.into_store(), is_cut: AtomicBool::new(false) };
    let archive = Archive::open_as(store, id, keys(), &trusted()).unwrap();
    assert_eq!((archive.versions().len(), archive.damage_count(), archive.torn()), (1, 0, None));
    assert!(archive.into_store().is_cut.load(Ordering::Relaxed), "it was cut meanwhile");
}
