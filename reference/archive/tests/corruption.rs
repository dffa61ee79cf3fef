//! Every byte of a small archive is altered in turn, every length of it is cut off, its records are moved, repeated and exchanged
//! for others: nothing wrong is ever returned, and what is wrong has a name.

mod common;

use std::collections::BTreeMap;

use bailee_archive::segment::{FRAME_HEAD_BYTES, FrameHead, Kind, SEGMENT_HEAD_BYTES, SegmentHead, scan_segment};
use bailee_archive::testing::Seeded;
use bailee_archive::tree::{Entry, EntryKind, Meta, Time, Xattr};
use bailee_archive::{Archive, ArchiveId, ArchiveKeys, BackUp, Counters, DeviceId, Digest, MemoryStore, Place};
use bailee_core::crypto::keys::{Owner, Secret};
use bailee_core::crypto::sign::Signing;
use common::{device, keys, noise, path, root, text, trusted};

/// An entry, and the content of a file if it could be read.
type Restored = (Entry, Option<Vec<u8>>);

/// What an archive offers: the entries of each version as far as they could be read.
type Offered = BTreeMap<Digest, Vec<Restored>>;

fn entry(name: &str, kind: EntryKind) -> Entry {
    let xattrs = vec![Xattr { name: b"user.note".to_vec().into(), value: b"kept".to_vec().into() }];
    let meta = Meta { mode: 0o640, uid: 1, gid: 2, mtime: Time { seconds: -5, nanoseconds: 7 }, xattrs };
    Entry { path: path(name), meta, kind }
}

fn back_up(
    archive: Archive<MemoryStore>,
    device: &Signing,
    version: u64,
    segment_bytes: u64,
) -> Archive<MemoryStore> {
    let (random, counters) = (Seeded(version), Counters::default());
    let time = Time { seconds: version as i64, nanoseconds: 0 };
    let how = BackUp { segment_bytes, ..BackUp::new(device, time, &random, &counters) };
    let mut writer = archive.begin(&how).unwrap();
    writer.entry(&root()).unwrap();
    for (name, bytes) in [("1-same", text(0, 400)), ("2-own", noise(version, 200)), ("3-empty", Vec::new())] {
        let content = writer.content(&mut &bytes[..]).unwrap();
        writer.entry(&entry(name, EntryKind::File { content, changed: false, sparse: false })).unwrap();
    }
    writer.entry(&entry("4-link", EntryKind::Symlink { target: b"1-same".to_vec() })).unwrap();
    writer.entry(&entry("5-name", EntryKind::HardLink { to: path("2-own") })).unwrap();
    writer.entry(&entry("6-pipe", EntryKind::Fifo)).unwrap();
    writer.entry(&entry("7-device", EntryKind::Device { block: true, major: 1, minor: 2 })).unwrap();
    writer.commit(time, b"label").unwrap().0
}

/// Three versions; one seed makes the archive's id, one all salts.
fn three(keys: ArchiveKeys, device: &Signing, (id, seed): (u64, u64), segment_bytes: u64) -> Archive<MemoryStore> {
    let mut archive = Archive::create(MemoryStore::default(), keys, &Seeded(id)).unwrap();
    for version in 1..=3 {
        archive = back_up(archive, device, seed + version, segment_bytes);
    }
    archive
}

/// Three versions, of which the first is forgotten.
fn archive(keys: ArchiveKeys, device: &Signing, seeds: (u64, u64), segment_bytes: u64) -> MemoryStore {
    let archive = three(keys, device, seeds, segment_bytes);
    let first = archive.versions()[0].digest;
    archive.forget(&[first], device).unwrap().into_store()
}

fn small(segment_bytes: u64) -> MemoryStore {
    archive(keys(), &device(), (0, 0), segment_bytes)
}

const ONE_SEGMENT: u64 = 1 << 20;
const SOME_SEGMENTS: u64 = 1_200;

/// What reading an archive gave.
struct Read {
    /// Names of what is wrong: with the whole, with parts of it, and with what they cost.
    named: Vec<&'static str>,
    offered: Offered,
}

/// Reads all that can be read. The newest link is remembered, as the device that wrote it does.
fn read(store: &MemoryStore, remembered: (u64, Digest)) -> Read {
    let mut archive = match Archive::open(store.clone(), keys(), &trusted()) {
        Ok(archive) => archive,
        Err(error) => return Read { named: vec![error.name()], offered: Offered::new() },
    };
    let mut named: Vec<&'static str> = archive.damage().iter().map(|damage| damage.error.name()).collect();
    named.extend(archive.remember(trusted()[0], remembered.0, remembered.1).err().map(|error| error.name()));
    let mut offered = Offered::new();
    for version in archive.versions() {
        let mut entries = Vec::new();
        for entry in archive.tree(version).map_while(Result::ok) {
            let mut bytes = Vec::new();
            let content = match &entry.kind {
                EntryKind::File { content, .. } => archive.copy_content(content, &mut bytes).ok().map(|()| bytes),
                _ => None,
            };
            entries.push((entry, content));
        }
        offered.insert(version.digest, entries);
    }
    let report = archive.check(true, &mut |_, _| {});
    named.extend(report.damage.iter().map(|damage| damage.error.name()));
    named.extend(report.lost.iter().map(|lost| lost.error.name()));
    Read { named, offered }
}

fn newest(store: &MemoryStore) -> (u64, Digest) {
    Archive::open(store.clone(), keys(), &trusted()).unwrap().newest(trusted()[0]).unwrap()
}

/// What a sound archive offers.
fn whole(store: &MemoryStore) -> Offered {
    let read = read(store, newest(store));
    assert_eq!(read.named, [""; 0]);
    let files = read.offered.values().flatten().filter(|(entry, _)| matches!(entry.kind, EntryKind::File { .. }));
    assert_eq!(files.filter(|(_, content)| content.is_some()).count(), 6);
    read.offered
}

/// Every version that was ever committed. That one is forgotten is lost with the retention record that says so.
fn committed(segment_bytes: u64) -> Offered {
    let store = three(keys(), &device(), (0, 0), segment_bytes).into_store();
    read(&store, newest(&store)).offered
}

/// Every version that is offered is genuine, and every entry and content of it is the right one.
fn assert_genuine(read: &Read, committed: &Offered, what: &str) {
    for (digest, entries) in &read.offered {
        let right = committed.get(digest).unwrap_or_else(|| panic!("{what}: a version that nobody committed"));
        for ((entry, content), (right, right_content)) in entries.iter().zip(right) {
            assert_eq!(entry, right, "{what}");
            assert!(content.is_none() || content == right_content, "{what}: {}", entry.path);
        }
        assert!(entries.len() <= right.len(), "{what}");
    }
}

#[test]
fn every_altered_byte_is_found() {
    for segment_bytes in [ONE_SEGMENT, SOME_SEGMENTS] {
        let store = small(segment_bytes);
        let (committed, remembered) = (committed(segment_bytes), newest(&store));
        for (&segment, bytes) in &store.segments {
            for at in 0..bytes.len() {
                let mut altered = store.clone();
                altered.segments.get_mut(&segment).unwrap()[at] ^= 1 << (at % 8);
                let read = read(&altered, remembered);
                let what = format!("byte {at} of segment {segment}");
                assert_genuine(&read, &committed, &what);
                assert!(!read.named.is_empty(), "nobody sees that {what} was altered");
            }
        }
    }
}

/// One altered byte costs no more than the record that it is in.
#[test]
fn an_altered_head_of_a_segment_costs_nothing() {
    for segment_bytes in [ONE_SEGMENT, SOME_SEGMENTS] {
        let store = small(segment_bytes);
        let right = whole(&store);
        for (&segment, at) in
            store.segments.keys().flat_map(|segment| (0..SEGMENT_HEAD_BYTES).map(move |at| (segment, at)))
        {
            let mut altered = store.clone();
            altered.segments.get_mut(&segment).unwrap()[at] ^= 1;
            let read = read(&altered, newest(&store));
            assert!(!read.named.is_empty());
            assert!(read.offered == right, "byte {at} of segment {segment}: {:?}", read.named);
        }
    }
}

#[test]
fn every_lost_end_is_found() {
    for segment_bytes in [ONE_SEGMENT, SOME_SEGMENTS] {
        let store = small(segment_bytes);
        let (right, committed, remembered) = (whole(&store), committed(segment_bytes), newest(&store));
        for (&segment, bytes) in &store.segments {
            for length in 0..bytes.len() {
                let mut cut = store.clone();
                cut.segments.get_mut(&segment).unwrap().truncate(length);
                let read = read(&cut, remembered);
                let what = format!("segment {segment}, cut to {length} bytes");
                assert_genuine(&read, &committed, &what);
                // An index record that is missing costs nothing: its blocks say the same.
                assert!(!read.named.is_empty() || read.offered == right, "{what}: nobody sees it");
            }
            let mut lost = store.clone();
            lost.segments.remove(&segment);
            let read = read(&lost, remembered);
            assert_genuine(&read, &committed, "a lost segment");
            assert!(!read.named.is_empty(), "nobody sees that segment {segment} is lost");
        }
    }
}

type Records = Vec<(Kind, Vec<u8>)>;

/// The records of an archive that has one segment.
fn records(store: &MemoryStore) -> (ArchiveId, Records) {
    let head = bailee_archive::segment::decode_segment_head(&store.segments[&1]).unwrap();
    let scan = scan_segment(store, 1, head.archive).unwrap();
    (head.archive, scan.frames.iter().map(|frame| (frame.head.kind, frame.read(store).unwrap())).collect())
}

/// A segment of these records, with right heads.
fn segment(archive: ArchiveId, records: &Records) -> MemoryStore {
    let mut bytes = SegmentHead { archive, number: 1 }.encode().to_vec();
    for (kind, payload) in records {
        let place = Place { segment: 1, offset: bytes.len() as u64 };
        bytes.extend(FrameHead { kind: *kind, length: payload.len() as u32 }.encode(place));
        bytes.extend(payload);
    }
    MemoryStore { segments: [(1, bytes)].into() }
}

#[test]
fn records_can_be_taken_apart_and_put_together() {
    let store = small(ONE_SEGMENT);
    let (id, records) = records(&store);
    assert!(segment(id, &records) == store);
    for kind in [Kind::Block, Kind::Index, Kind::Manifest, Kind::Retention] {
        assert!(records.iter().any(|(found, _)| *found == kind), "{kind:?}");
    }
}

/// Whole records that only moved are told from those whose heads were made anew: these change nothing, as the order of
/// records means nothing.
#[test]
fn reordered_records_are_found_or_change_nothing() {
    let store = small(ONE_SEGMENT);
    let (right, committed, remembered) = (whole(&store), committed(ONE_SEGMENT), newest(&store));
    let (id, all) = records(&store);
    for first in 0..all.len() - 1 {
        let mut reordered = all.clone();
        reordered.swap(first, first + 1);
        let made_anew = segment(id, &reordered);
        let found = read(&made_anew, remembered);
        assert!(found.offered == right, "record {first}: {:?}", found.named);

        let before: usize = SEGMENT_HEAD_BYTES
            + all[..first].iter().map(|(_, payload)| FRAME_HEAD_BYTES + payload.len()).sum::<usize>();
        let (a, b) = (FRAME_HEAD_BYTES + all[first].1.len(), FRAME_HEAD_BYTES + all[first + 1].1.len());
        let mut moved = store.clone();
        moved.segments.get_mut(&1).unwrap()[before..before + a + b].rotate_left(a);
        let read = read(&moved, remembered);
        assert_genuine(&read, &committed, "moved");
        assert!(read.named.contains(&"Damaged") || read.named.contains(&"RolledBack"), "{first}: {:?}", read.named);
    }
}

/// A block that is there twice is named. A link or an index record that is there twice says nothing new; that of a forgotten
/// version brings nothing back.
#[test]
fn repeated_records_are_found_or_change_nothing() {
    let store = small(ONE_SEGMENT);
    let (right, remembered) = (whole(&store), newest(&store));
    let (id, all) = records(&store);
    for record in &all {
        for at in [0, all.len() / 2, all.len()] {
            let mut repeated = all.clone();
            repeated.insert(at, record.clone());
            let read = read(&segment(id, &repeated), remembered);
            assert!(read.offered == right);
            let named: &[&str] = if record.0 == Kind::Block { &["RepeatedBlock"] } else { &[] };
            assert_eq!(read.named, named, "{:?} at {at}", record.0);
        }
    }
}

/// Every record of another archive, in front of the last one, in place of one of its kind, and at the end.
fn exchanged(other: &MemoryStore, named: &dyn Fn(Kind) -> &'static str) {
    let store = small(ONE_SEGMENT);
    let (right, committed, remembered) = (whole(&store), committed(ONE_SEGMENT), newest(&store));
    let (id, all) = records(&store);
    for foreign in records(other).1 {
        let mut put_in = all.clone();
        put_in.insert(all.len() - 1, foreign.clone());
        let found = read(&segment(id, &put_in), remembered);
        assert!(found.offered == right);
        assert!(found.named.contains(&named(foreign.0)), "{:?}: {:?}", foreign.0, found.named);

        let mut appended = all.clone();
        appended.push(foreign.clone());
        let appended = segment(id, &appended);
        let torn = Archive::open(appended.clone(), keys(), &trusted()).unwrap().torn().is_some();
        let found = read(&appended, remembered);
        assert!(found.offered == right);
        assert!(torn || found.named.contains(&named(foreign.0)), "{:?}: {:?}", foreign.0, found.named);

        for at in (0..all.len()).filter(|at| all[*at].0 == foreign.0) {
            let mut in_place = all.clone();
            in_place[at] = foreign.clone();
            let found = read(&segment(id, &in_place), remembered);
            assert_genuine(&found, &committed, "exchanged");
            let last = at == all.len() - 1;
            assert!(last || found.named.contains(&named(foreign.0)), "{:?}: {:?}", foreign.0, found.named);
            assert!(!last || found.named.contains(&"RolledBack"), "{:?}", found.named);
        }
    }
}

#[test]
fn records_of_another_archive_of_the_user_are_found() {
    exchanged(&archive(keys(), &device(), (1, 10), ONE_SEGMENT), &|_| "WrongArchive");
}

#[test]
fn records_of_another_user_are_found() {
    let owner = Owner { tenant: "tenant".into(), user: "other".into(), epoch: 0 };
    let other_keys = || ArchiveKeys::new(&Secret::take(&mut [8; 32]), &owner);
    let other_device = Signing::from_seed(&[4; 32]);
    assert_ne!(DeviceId(other_device.public()), trusted()[0]);
    exchanged(&archive(other_keys(), &other_device, (1, 10), ONE_SEGMENT), &|_| "WrongArchive");
    // Even one that has the same id.
    exchanged(&archive(other_keys(), &other_device, (0, 10), ONE_SEGMENT), &|kind| match kind {
        Kind::Block | Kind::Index => "NotOpened",
        Kind::Manifest | Kind::Retention => "UnknownDevice",
    });
}

/// Whole segments are put in the places of others.
#[test]
fn exchanged_segments_are_found() {
    let (store, other) = (small(SOME_SEGMENTS), archive(keys(), &device(), (1, 10), SOME_SEGMENTS));
    let (committed, remembered) = (committed(SOME_SEGMENTS), newest(&store));
    let numbers: Vec<u64> = store.segments.keys().copied().collect();
    for (&a, &b) in numbers.iter().zip(&numbers[1..]) {
        let mut swapped = store.clone();
        let (first, second) = (swapped.segments[&a].clone(), swapped.segments[&b].clone());
        swapped.segments.extend([(a, second), (b, first)]);
        let found = read(&swapped, remembered);
        assert_genuine(&found, &committed, "swapped segments");
        assert!(found.named.contains(&"Malformed"), "{:?}", found.named);
    }
    for number in numbers.iter().filter(|number| other.segments.contains_key(number)) {
        let mut foreign = store.clone();
        foreign.segments.insert(*number, other.segments[number].clone());
        let found = read(&foreign, remembered);
        assert_genuine(&found, &committed, "a segment of another archive");
        assert!(found.named.contains(&"WrongArchive"), "{number}: {:?}", found.named);
    }
}

/// Whatever is wrong with the end of an archive, what is written next can be read.
#[test]
fn writing_goes_on_behind_a_last_segment_that_is_none() {
    for length in 0..SEGMENT_HEAD_BYTES {
        for content in [vec![0; length], b"BAILEESG".iter().copied().cycle().take(length).collect()] {
            let mut store = three(keys(), &device(), (0, 0), ONE_SEGMENT).into_store();
            store.segments.insert(2, content.clone());
            let archive = Archive::open(store, keys(), &trusted()).unwrap();
            let archive = back_up(archive, &device(), 9, ONE_SEGMENT);
            let first = archive.versions()[0].digest;
            let store = archive.forget(&[first], &device()).unwrap().into_store();
            assert_eq!(store.segments[&2], content, "what is there is not cut and not written to");
            let again = Archive::open(store, keys(), &trusted()).unwrap();
            let seqs: Vec<u64> = again.versions().iter().map(|version| version.seq).collect();
            assert_eq!(seqs, [2, 3, 4], "{length} bytes");
            assert_eq!(again.newest(trusted()[0]).map(|(seq, _)| seq), Some(5));
        }
    }
}
