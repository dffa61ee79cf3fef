//! Damage is noted, healed by the next backup of a source that is intact, and given up by a repair. Nothing is thrown away while
//! something is lost.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use bailee_archive::segment::{Frame, SegmentHead, scan_segment};
use bailee_archive::testing::Seeded;
use bailee_archive::tree::Time;
use bailee_archive::{
    Archive, ArchiveId, BackUp, Counters, Digest, FolderStore, LostLinks, MemoryStore, ReadStore, Repaired, Report,
    Store,
};
use common::*;

const ONE_SEGMENT: u64 = 1 << 30;
const SOME_SEGMENTS: u64 = 50_000;

fn source() -> Content {
    vec![("a".into(), noise(1, 300)), ("b".into(), text(2, 900)), ("c".into(), Vec::new())]
}

fn large_source() -> Content {
    vec![("a".into(), noise(1, 2_500_000)), ("b".into(), text(2, 900_000))]
}

fn repair<S: Store>(archive: Archive<S>, seed: u64) -> (Archive<S>, Repaired) {
    let (device, random, counters) = (device(), Seeded(seed), Counters::default());
    archive.repair(&BackUp::new(&device, Time::default(), &random, &counters), false).unwrap()
}

fn check<S: ReadStore>(archive: &mut Archive<S>) -> Report {
    archive.check(true, &mut |_, _| {})
}

fn is_whole<S: ReadStore>(archive: &mut Archive<S>) -> bool {
    let report = check(archive);
    archive.damage_count() == 0 && report.damage.is_empty() && report.lost.is_empty()
}

/// An archive with these versions, the id of it, and the newest link.
fn archive_of(versions: &[Content], segment_bytes: u64) -> (MemoryStore, ArchiveId, (u64, Digest)) {
    let mut archive = fresh();
    for (seed, content) in (1..).zip(versions) {
        archive = back_up(archive, content, seed, 1, segment_bytes).unwrap().0;
    }
    let newest = archive.newest(trusted()[0]).unwrap();
    (archive.store().clone(), archive.id(), newest)
}

/// Opens it as a device does that remembers its newest link.
fn open_remembering(store: MemoryStore, id: ArchiveId, (seq, digest): (u64, Digest)) -> Archive<MemoryStore> {
    let mut archive = Archive::open_as(store, id, keys(), &trusted()).unwrap_or_else(|error| panic!("{error}"));
    if archive.remember(trusted()[0], seq, digest).is_err() {
        assert!(archive.may_be_damaged(trusted()[0], seq));
        archive.take_as_lost(trusted()[0], seq, digest);
    }
    archive
}

/// Whatever byte is altered: a check, a backup of the source and a repair, and the archive is whole for anyone who opens it anew.
#[test]
fn every_altered_byte_is_healed_by_a_backup_of_the_source() {
    for segment_bytes in [ONE_SEGMENT, 700] {
        let (store, id, newest) = archive_of(&[source(), source()], segment_bytes);
        for (&segment, bytes) in &store.segments {
            for at in 0..bytes.len() {
                let mut altered = store.clone();
                altered.segments.get_mut(&segment).unwrap()[at] ^= 1 << (at % 8);
                let mut archive = open_remembering(altered, id, newest);
                check(&mut archive);
                let (archive, _) = back_up(archive, &source(), 9, 1, segment_bytes).unwrap();
                let (archive, repaired) = repair(archive, 10);
                let what = format!("byte {at} of segment {segment}: {repaired:?}");
                let link = archive.newest(trusted()[0]).unwrap();
                let mut archive = Archive::open_as(archive.into_store(), id, keys(), &trusted()).unwrap();
                assert!(is_whole(&mut archive), "{what}: {:?}", archive.damage());
                assert_eq!(archive.newest(trusted()[0]), Some(link), "{what}");
                archive.remember(trusted()[0], newest.0, newest.1).unwrap_or_else(|error| panic!("{what}: {error}"));
                let last = archive.versions().last().unwrap();
                assert!(content_of(&archive, last).unwrap() == source(), "{what}");
            }
        }
    }
}

fn folder_with(versions: &[Content]) -> (tempfile::TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("archive");
    let store = FolderStore::create_in(&folder).unwrap();
    let mut archive = Archive::create(store, keys(), &Seeded(0)).unwrap();
    for (seed, content) in (1..).zip(versions) {
        archive = back_up(archive, content, seed, 1, SOME_SEGMENTS).unwrap().0;
    }
    (place, folder)
}

fn open_folder(folder: &Path) -> Archive<FolderStore> {
    Archive::open(FolderStore::open(folder).unwrap(), keys(), &trusted()).unwrap()
}

fn segment(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:016x}.seg"))
}

/// Alters a byte in the middle of a segment, and leaves its times as they were or not.
fn alter(folder: &Path, number: u64, hide: bool) {
    let path = segment(folder, number);
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    if hide {
        fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
    }
}

/// What one process found, another knows; and it is forgotten when the archive is whole.
#[test]
fn damage_that_was_seen_is_noted_beside_the_archive() {
    let (_place, folder) = folder_with(&[large_source()]);
    alter(&folder, 2, true);
    let (archive, totals) = back_up(open_folder(&folder), &large_source(), 2, 1, SOME_SEGMENTS).unwrap();
    assert_eq!(totals.new, 0, "nobody has seen it");
    drop(archive);

    // A reader finds it, and notes it; whether it reads by content or by tree.
    let reader = open_folder(&folder);
    assert!(content_of(&reader, reader.versions().last().unwrap()).is_err());
    drop(reader);
    assert_eq!(fs::read_to_string(folder.join("damaged")).unwrap().lines().count(), 1);

    let (archive, totals) = back_up(open_folder(&folder), &large_source(), 3, 1, SOME_SEGMENTS).unwrap();
    assert!(totals.new > 0 && archive.needs_repair());
    let version = archive.versions().last().unwrap();
    assert!(content_of(&archive, version).unwrap() == large_source());
    let (archive, repaired) = repair(archive, 4);
    assert!(repaired.segments == 1 && repaired.lost.is_empty() && repaired.left == 0, "{repaired:?}");
    assert!(!archive.needs_repair() && !folder.join("damaged").exists());
    drop(archive);
    let mut archive = open_folder(&folder);
    assert!(is_whole(&mut archive));
    for version in archive.versions() {
        assert!(content_of(&archive, version).unwrap() == large_source(), "the versions before are healed, too");
    }
}

/// BAK-18: a segment that is not as the last writer left it, or of which no writer said how it left it, is read
/// before a backup relies on it.
#[test]
fn a_segment_that_was_changed_is_read_before_it_is_relied_on() {
    for has_notes in [true, false] {
        let (_place, folder) = folder_with(&[large_source()]);
        alter(&folder, 2, false);
        if !has_notes {
            fs::remove_file(folder.join("seen")).unwrap();
        }
        let (archive, totals) = back_up(open_folder(&folder), &large_source(), 2, 1, SOME_SEGMENTS).unwrap();
        assert!(totals.new > 0, "{has_notes}");
        let (archive, _) = repair(archive, 3);
        drop(archive);
        assert!(is_whole(&mut open_folder(&folder)));
    }
}

/// BAK-18: notes that are wrong or junk cost reading, and nothing else.
#[test]
fn notes_are_hints_and_nothing_more() {
    let (_place, folder) = folder_with(&[large_source()]);
    let ids: String = (0..50).map(|byte| format!("{byte:02x}").repeat(32) + "\n").collect();
    for (damaged, seen, stays) in
        [(&b"junk\n"[..], &b""[..], true), (ids.as_bytes(), b"1 2 3 4 deadbeef\n\xff\xff", false)]
    {
        fs::write(folder.join("damaged"), damaged).unwrap();
        fs::write(folder.join("seen"), seen).unwrap();
        let (archive, totals) = back_up(open_folder(&folder), &large_source(), 5, 1, SOME_SEGMENTS).unwrap();
        assert_eq!(totals.new, 0);
        drop(archive);
        assert!(is_whole(&mut open_folder(&folder)));
        assert_eq!(folder.join("damaged").exists(), stays, "what was looked at and is sound is noted no longer");
    }
}

/// BAK-16: a chunk that is in two blocks can be had from either.
#[test]
fn a_chunk_is_had_from_the_first_block_that_yields_it() {
    let (_place, folder) = folder_with(&[large_source()]);
    alter(&folder, 2, false);
    drop(back_up(open_folder(&folder), &large_source(), 2, 1, SOME_SEGMENTS).unwrap());
    // The damaged block is there still, and comes first.
    let archive = open_folder(&folder);
    assert_eq!(archive.versions().len(), 2);
    for version in archive.versions() {
        assert!(content_of(&archive, version).unwrap() == large_source());
    }
}

/// BAK-17: the bytes of a damaged segment may be all that is left of what is lost.
#[test]
fn nothing_is_thrown_away_while_something_is_lost() {
    let old: Content = vec![("a".into(), noise(7, 2_500_000))];
    let (_place, folder) = folder_with(&[old, large_source()]);
    alter(&folder, 2, false);
    let (archive, _) = back_up(open_folder(&folder), &large_source(), 3, 1, SOME_SEGMENTS).unwrap();
    let first = archive.versions()[0].digest;
    let (archive, repaired) = repair(archive, 4);
    assert!(repaired.segments == 0 && !repaired.lost.is_empty(), "{repaired:?}");
    assert!(repaired.lost.iter().all(|lost| lost.version == first));
    assert!(segment(&folder, 2).exists() && folder.join("damaged").exists());

    let archive = archive.forget(&[first], &device()).unwrap();
    let (archive, repaired) = repair(archive, 5);
    assert!(repaired.segments > 0 && repaired.lost.is_empty(), "{repaired:?}");
    drop(archive);
    assert!(!segment(&folder, 2).exists());
    let mut archive = open_folder(&folder);
    assert!(is_whole(&mut archive) && archive.versions().len() == 2);
}

/// A segment that is gone is given up once all that was in it is stored again.
#[test]
fn a_missing_segment_is_given_up_when_nothing_is_lost_by_it() {
    let (_place, folder) = folder_with(&[large_source(), large_source()]);
    fs::remove_file(segment(&folder, 3)).unwrap();
    let (archive, repaired) = repair(open_folder(&folder), 3);
    assert!(!repaired.lost.is_empty() && repaired.missing == 0, "{repaired:?}");
    let (archive, _) = back_up(archive, &large_source(), 4, 1, SOME_SEGMENTS).unwrap();
    let (archive, repaired) = repair(archive, 5);
    assert!(repaired.lost.is_empty() && repaired.missing == 1 && repaired.left == 0, "{repaired:?}");
    drop(archive);
    let mut archive = open_folder(&folder);
    assert!(is_whole(&mut archive) && archive.versions().len() == 3);
}

/// A repair of a sound archive writes nothing, and a plan writes nothing at all.
#[test]
fn a_sound_archive_is_left_as_it_is() {
    let (store, id, _) = archive_of(&[large_source(), source()], SOME_SEGMENTS);
    let archive = Archive::open_as(store.clone(), id, keys(), &trusted()).unwrap();
    let (archive, repaired) = repair(archive, 3);
    assert!(repaired.segments + repaired.missing + repaired.blocks + repaired.links + repaired.left == 0);
    assert!(archive.into_store() == store);

    let mut altered = store.clone();
    altered.segments.get_mut(&1).unwrap()[3] ^= 1;
    let mut archive = Archive::open_as(altered.clone(), id, keys(), &trusted()).unwrap();
    let planned = archive.plan_repair(false).unwrap();
    assert!(planned.segments == 1 && archive.into_store() == altered, "{planned:?}");
}

/// The only link of an archive may be the record that is damaged. It is not another's archive for that.
#[test]
fn an_archive_whose_only_link_is_damaged_goes_on() {
    let (store, id, newest) = archive_of(&[source()], ONE_SEGMENT);
    let mut altered = store.clone();
    let bytes = altered.segments.get_mut(&1).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    // A backup was begun after it, so that it is not the end of the archive.
    altered.segments.insert(2, SegmentHead { archive: id, number: 2 }.encode().to_vec());
    let archive = open_remembering(altered, id, newest);
    assert!(archive.versions().is_empty() && !archive.damage().is_empty());
    let (archive, _) = back_up(archive, &source(), 9, 1, ONE_SEGMENT).unwrap();
    let (archive, repaired) = repair(archive, 10);
    assert!(repaired.lost.is_empty() && repaired.links == 1 && repaired.left == 0, "{repaired:?}");
    let mut archive = Archive::open_as(archive.into_store(), id, keys(), &trusted()).unwrap();
    assert!(is_whole(&mut archive) && archive.versions().len() == 1);
}

/// A version whose record was in a segment that is away may come back with it: nothing is given up until the loss is accepted.
#[test]
fn a_version_that_may_come_back_is_not_given_up() {
    let (_place, folder) = folder_with(&vec![source(); 130]);
    let manifests = |archive: &Archive<FolderStore>| -> Vec<Digest> {
        archive.versions().iter().map(|version| version.digest).collect()
    };
    let all = manifests(&open_folder(&folder));
    let (holder, away) = (segment(&folder, 1), folder.join("away"));
    assert!(segment(&folder, 2).exists(), "the records of the newest versions are in another segment");
    fs::rename(&holder, &away).unwrap();
    let (archive, _) = back_up(open_folder(&folder), &source(), 198, 1, SOME_SEGMENTS).unwrap();
    let (archive, repaired) = repair(archive, 199);
    assert!(repaired.may_come_back && !repaired.lost_links.is_empty() && repaired.missing == 0, "{repaired:?}");
    drop(archive);
    fs::rename(&away, &holder).unwrap();
    let mut archive = open_folder(&folder);
    assert!(is_whole(&mut archive) && manifests(&archive)[..130] == all[..]);

    fs::rename(&holder, &away).unwrap();
    let (device, random, counters) = (device(), Seeded(201), Counters::default());
    let how = BackUp::new(&device, Time::default(), &random, &counters);
    let (archive, repaired) = open_folder(&folder).repair(&how, true).unwrap();
    assert!(repaired.links > 0 && repaired.missing == 1 && repaired.left == 0, "{repaired:?}");
    drop(archive);
    assert!(is_whole(&mut open_folder(&folder)));

    // It comes back all the same: its versions are offered again, and a writer keeps its bytes.
    fs::rename(&away, &holder).unwrap();
    let bytes = fs::read(&holder).unwrap();
    drop(back_up(open_folder(&folder), &source(), 202, 1, SOME_SEGMENTS).unwrap());
    let aside = holder.with_extension("seg.aside");
    assert!(!holder.exists() && fs::read(aside).unwrap() == bytes);
}

/// A version whose record is damaged in its place is lost for good: it is named, and the segment is kept.
#[test]
fn a_version_whose_record_is_damaged_is_named_and_its_segment_is_kept() {
    let (_place, folder) = folder_with(&[source(), source()]);
    let mut bytes = fs::read(segment(&folder, 1)).unwrap();
    let first = open_folder(&folder).versions()[0].digest;
    let scan = scan_segment(open_folder(&folder).store(), 1, open_folder(&folder).id()).unwrap();
    let is_first = |frame: &&Frame| Digest::of(&frame.read(open_folder(&folder).store()).unwrap()) == first;
    let place = scan.frames.iter().find(is_first).unwrap().payload;
    bytes[place.offset as usize + 40] ^= 1;
    fs::write(segment(&folder, 1), &bytes).unwrap();
    let report = check(&mut open_folder(&folder));
    assert!(matches!(report.lost_links[..], [LostLinks { first: 1, last: 1, .. }]), "{report:?}");
    let (archive, repaired) = repair(open_folder(&folder), 9);
    assert!(repaired.lost_links.len() == 1 && repaired.links == 1 && repaired.left == 0, "{repaired:?}");
    drop(archive);
    assert!(fs::read(segment(&folder, 1).with_extension("seg.aside")).unwrap() == bytes);
    let mut archive = open_folder(&folder);
    assert!(is_whole(&mut archive) && archive.versions().len() == 1);
}

/// A segment that has another name too is read and not written to.
#[test]
fn a_segment_with_another_name_is_neither_blind_nor_written_to() {
    let (_place, folder) = folder_with(&[source()]);
    fs::hard_link(segment(&folder, 1), folder.join("other")).unwrap();
    let before = fs::read(segment(&folder, 1)).unwrap();
    let (archive, _) = back_up(open_folder(&folder), &source(), 2, 1, SOME_SEGMENTS).unwrap();
    drop(archive);
    assert!(fs::read(segment(&folder, 1)).unwrap() == before && segment(&folder, 2).exists());
    let mut archive = open_folder(&folder);
    assert!(is_whole(&mut archive) && archive.versions().len() == 2);
}

/// What `forget` leaves behind is not taken for sound by it.
#[test]
fn forgetting_does_not_call_a_changed_segment_sound() {
    let (_place, folder) = folder_with(&[large_source(), large_source()]);
    alter(&folder, 2, false);
    let archive = open_folder(&folder);
    let first = archive.versions()[0].digest;
    drop(archive.forget(&[first], &device()).unwrap());
    let (archive, totals) = back_up(open_folder(&folder), &large_source(), 3, 1, SOME_SEGMENTS).unwrap();
    assert!(totals.new > 0);
    let (archive, _) = repair(archive, 4);
    drop(archive);
    assert!(is_whole(&mut open_folder(&folder)));
}
