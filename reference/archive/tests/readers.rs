//! Readers while a prune removes segments: what is kept is read to its end, and nothing is called damaged that is not.

mod common;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use bailee_archive::testing::Seeded;
use bailee_archive::tree::{EntryKind, Time};
use bailee_archive::{Archive, ArchiveError, BackUp, Counters, Digest, FolderStore, Prune};
use common::*;

const SEGMENT_BYTES: u64 = 60_000;

/// Far more segments than a reader holds open.
fn kept() -> Content {
    (0..8).map(|file| (format!("file {file}"), noise(file, 500_000))).collect()
}

/// What is kept, and between that what is not: a prune moves the one out of every block that has the other.
fn other(seed: u64) -> Content {
    let mut content = kept();
    content.extend((0..8).map(|file| (format!("file {file} other"), noise(1_000 * seed + file, 400_000))));
    content.sort();
    content
}

/// A reader that holds one file open: any segment may have to be opened anew.
fn reader(folder: &Path) -> Archive<FolderStore> {
    Archive::open(FolderStore::open(folder).unwrap().with_open_files(1), keys(), &trusted()).unwrap()
}

fn writer(folder: &Path) -> Archive<FolderStore> {
    Archive::open(FolderStore::open(folder).unwrap(), keys(), &trusted()).unwrap().sound().unwrap()
}

/// An archive of versions that share much, in which the last one is to be kept.
fn archive(folder: &Path) -> Digest {
    let mut archive = Archive::create(FolderStore::create_in(folder).unwrap(), keys(), &Seeded(0)).unwrap();
    for seed in 1..=3 {
        archive = back_up(archive, &other(seed), seed, 1, SEGMENT_BYTES).unwrap().0;
    }
    archive = back_up(archive, &kept(), 4, 1, SEGMENT_BYTES).unwrap().0;
    archive.versions().last().unwrap().digest
}

fn forget_all_but(folder: &Path, kept: Digest) {
    let archive = writer(folder);
    let others: Vec<Digest> =
        archive.versions().iter().map(|version| version.digest).filter(|d| *d != kept).collect();
    archive.forget(&others, &device()).unwrap();
}

fn prune(folder: &Path, seed: u64) -> usize {
    let (device, random, counters) = (device(), Seeded(seed), Counters::default());
    let how = BackUp { segment_bytes: SEGMENT_BYTES, ..BackUp::new(&device, Time::default(), &random, &counters) };
    let (_, pruned) = writer(folder).prune(&Prune { unneeded_percent: 0 }, &how).unwrap();
    pruned.segments.len()
}

#[test]
fn a_version_that_is_kept_is_read_to_its_end_while_a_prune_removes_segments() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("archive");
    let digest = archive(&folder);
    let mut reader = reader(&folder);
    let version = reader.versions().iter().find(|version| version.digest == digest).unwrap().clone();
    let mut read: Content = Vec::new();
    let mut pruned = 0;
    for (at, entry) in reader.tree(&version).enumerate() {
        let entry = entry.unwrap();
        if at == 3 {
            forget_all_but(&folder, digest);
            pruned = prune(&folder, 9);
        }
        if let EntryKind::File { content, .. } = &entry.kind {
            let mut bytes = Vec::new();
            reader.copy_content(content, &mut bytes).unwrap();
            read.push((entry.path.to_string(), bytes));
        }
    }
    assert!(pruned >= 8, "{pruned} segments were removed");
    assert!(read == kept());
    let report = reader.check(true, &mut |_, _| {});
    assert!(report.damage.is_empty() && report.lost.is_empty() && reader.damage_count() == 0, "{report:?}");
    assert!(!folder.join("damaged").exists(), "what a prune removed is not altered");
}

/// A version that was forgotten and pruned meanwhile is lost to its reader, by name and not for ever.
#[test]
fn a_version_that_was_forgotten_meanwhile_is_missing_and_not_damaged() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("archive");
    let digest = archive(&folder);
    let reader = reader(&folder);
    let first = reader.versions()[0].clone();
    forget_all_but(&folder, digest);
    prune(&folder, 9);
    let error = content_of(&reader, &first).unwrap_err();
    assert!(matches!(error, ArchiveError::MissingChunk {}), "{error}");
}

/// Readers and checks beside a writer that backs up, forgets and prunes all the time.
#[test]
fn nobody_sees_damage_beside_a_writer() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("archive");
    let digest = archive(&folder);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let rounds: Vec<_> = (0..2)
            .map(|thread| {
                let (folder, done) = (&folder, &done);
                scope.spawn(move || {
                    let mut rounds = 0;
                    while !done.load(Ordering::Relaxed) || rounds == 0 {
                        let mut archive = reader(folder);
                        assert!(archive.damage().is_empty(), "{:?}", archive.damage());
                        if thread == 0 {
                            let report = archive.check(true, &mut |_, _| {});
                            assert!(report.damage.is_empty() && report.lost.is_empty(), "{report:?}");
                        }
                        let version = archive.versions().iter().find(|version| version.digest == digest).unwrap();
                        assert!(content_of(&archive, version).unwrap() == kept());
                        rounds += 1;
                    }
                    rounds
                })
            })
            .collect();
        for seed in 10..22 {
            drop(back_up(writer(&folder), &other(seed), seed, 1, SEGMENT_BYTES).unwrap());
            forget_all_but(&folder, digest);
            prune(&folder, seed + 100);
        }
        done.store(true, Ordering::Relaxed);
        assert!(rounds.into_iter().all(|thread| thread.join().unwrap() > 0));
    });
    assert!(!folder.join("damaged").exists());
}
