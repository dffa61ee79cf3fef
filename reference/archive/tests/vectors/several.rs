//! Sound archives of several devices, and of several key epochs; and what is found by who knows only some of these.

use std::io;

use bailee_archive::testing::Seeded;
use bailee_archive::tree::{ChunkRef, Entry, EntryKind, Item, Meta, Record, RecordKind, Time};
use bailee_archive::{
    Archive, ArchiveError, ArchiveKeys, BackUp, Closed, Counters, DeviceId, Files, Journal, MemoryStore, Padding,
    Plan, Planned, Prune, TreePath, Version,
};
use bailee_core::crypto::keys::{Owner, Secret};
use bailee_core::crypto::sign::Signing;
use serde_json::{Value, json};

use super::cuts::counted;
use super::forge::stream;
use super::sound::{back_up, back_up_at, entries, newest, told};
use super::{DEVICE_SEED, KEY, device, hex, hex_segments, keys, owner, path};

const OTHER_SEED: [u8; 32] = [0x5e; 32];
/// So that the version that is forgotten shares a segment with one that is not.
const SEGMENT_BYTES: u64 = 2_600;

type Contents = Vec<(Entry, Vec<u8>)>;

/// A reader who knows less: the epochs of his keys, his devices, and the versions that he restores.
struct Less {
    epochs: Vec<u64>,
    devices: Vec<DeviceId>,
    error: &'static str,
    restored: Vec<(DeviceId, u64)>,
}

impl Less {
    fn told(&self) -> Value {
        let ids = |devices: &[DeviceId]| devices.iter().map(|device| hex(device.0)).collect::<Vec<_>>();
        let restored: Vec<Value> = self.restored.iter().map(|(device, seq)| json!([hex(device.0), seq])).collect();
        json!({
            "epochs": self.epochs, "devices": ids(&self.devices), "error": self.error, "restored": restored,
        })
    }
}

fn id(device: &Signing) -> DeviceId {
    DeviceId(device.public())
}

/// A version of these contents.
fn told_of_device(version: &Version, contents: &Contents) -> Value {
    let mut value = told(version, contents);
    value["device"] = hex(version.device.0).into();
    value
}

/// The versions of these contents, as they are listed.
fn told_in_order(archive: &Archive<MemoryStore>, contents: &[&Contents]) -> Vec<Value> {
    assert_eq!(archive.versions().len(), contents.len());
    archive.versions().iter().zip(contents).map(|(version, contents)| told_of_device(version, contents)).collect()
}

/// An archive of these versions.
fn described(
    archive: Archive<MemoryStore>,
    epochs: &[[u8; 32]],
    devices: &[[u8; 32]],
    versions: Vec<Value>,
    less: &[Less],
) -> Value {
    let device = |seed: &[u8; 32]| {
        let id = id(&Signing::from_seed(seed));
        json!({ "device": hex(id.0), "device_seed": hex(seed), "newest": newest(&archive, id) })
    };
    let key = |(epoch, key): (usize, &[u8; 32])| json!({ "epoch": epoch, "key": hex(key) });
    json!({
        "tenant": "tenant", "user": "user", "archive": hex(archive.id().0),
        "epochs": epochs.iter().enumerate().map(key).collect::<Vec<_>>(),
        "devices": devices.iter().map(device).collect::<Vec<_>>(),
        "versions": versions,
        "knowing_less": less.iter().map(Less::told).collect::<Vec<_>>(),
        "segments": hex_segments(&archive.into_store()),
    })
}

/// Two devices back up in turns. The second forgets the newest version of the first and prunes it away; then the first goes on
/// after a link that is not there.
pub(crate) fn devices() -> Value {
    let (first, second) = (device(), Signing::from_seed(&OTHER_SEED));
    let contents: Vec<Contents> = (1..=5).map(entries).collect();
    let turn = |archive, device: &Signing, version: u8| {
        back_up(device, archive, version, &contents[usize::from(version) - 1], SEGMENT_BYTES, Padding::Padme)
    };
    let mut archive = Archive::create(MemoryStore::default(), keys(), &Seeded(0)).unwrap();
    for (device, version) in [(&first, 1), (&second, 2), (&first, 3), (&second, 4)] {
        archive = turn(archive, device, version);
    }
    let newest_of_first = archive.newest(id(&first)).unwrap().1;
    let archive = archive.forget(&[newest_of_first], &second).unwrap();
    let (random, counters) = (Seeded(6), Counters::default());
    let how = BackUp { segment_bytes: SEGMENT_BYTES, ..BackUp::new(&second, Time::default(), &random, &counters) };
    let (archive, _) = archive.prune(&Prune { unneeded_percent: 0 }, &how).unwrap();
    let archive = turn(archive, &first, 5);

    let alone = |device: &Signing, restored: [u64; 2]| Less {
        epochs: vec![0],
        devices: vec![id(device)],
        error: "UnknownDevice",
        restored: restored.map(|seq| (id(device), seq)).into(),
    };
    let less = [alone(&first, [1, 3]), alone(&second, [1, 2])];
    let left = [&contents[0], &contents[1], &contents[3], &contents[4]];
    let versions = told_in_order(&archive, &left);
    described(archive, &[KEY], &[DEVICE_SEED, OTHER_SEED], versions, &less)
}

/// The clock of the first device is far ahead at its first version and its last; the second's is set back once. Two versions are
/// of one time.
pub(crate) fn clocks() -> Value {
    const FAR: i64 = 4_000_000_000;
    let (first, second) = (device(), Signing::from_seed(&OTHER_SEED));
    let backups = [
        (&first, FAR),
        (&second, 1000),
        (&first, 2000),
        (&second, 3000),
        (&second, 2500),
        (&first, 5000),
        (&second, 5000),
        (&first, FAR),
    ];
    let contents: Vec<Contents> = (1..=backups.len() as u8).map(small).collect();
    let mut archive = Archive::create(MemoryStore::default(), keys(), &Seeded(0)).unwrap();
    for ((device, seconds), version) in backups.into_iter().zip(1..) {
        let (time, contents) = (Time { seconds, nanoseconds: 0 }, &contents[usize::from(version) - 1]);
        archive = back_up_at(time, device, archive, version, contents, SEGMENT_BYTES, Padding::Padme);
    }
    // Of the two of one time, the device decides.
    let mut same_time = [(&first, 3, 5), (&second, 4, 6)];
    same_time.sort_by_key(|(device, ..)| id(device));
    let [one, other] = same_time;
    let order = [
        (&second, 1, 1),
        (&first, 1, 0),
        (&first, 2, 2),
        (&second, 2, 3),
        (&second, 3, 4),
        one,
        other,
        (&first, 4, 7),
    ];
    let versions = order.map(|(device, seq, backup): (&Signing, u64, usize)| {
        let is_it = |version: &&Version| (version.device, version.seq) == (id(device), seq);
        told_of_device(archive.versions().iter().find(is_it).unwrap(), &contents[backup])
    });
    let alone = |device: &Signing| Less {
        epochs: vec![0],
        devices: vec![id(device)],
        error: "UnknownDevice",
        restored: (1..=4).map(|seq| (id(device), seq)).collect(),
    };
    let less = [alone(&first), alone(&second)];
    described(archive, &[KEY], &[DEVICE_SEED, OTHER_SEED], versions.into(), &less)
}

/// The root directory and a file.
pub(crate) fn small(version: u8) -> Contents {
    let entry = |path, kind| Entry { path, meta: Meta::default(), kind };
    let file = EntryKind::File { content: Default::default(), changed: false, sparse: false };
    vec![(entry(TreePath::root(), EntryKind::Directory), Vec::new()), (entry(path("a"), file), vec![version; 9])]
}

/// It cuts a long file, and `KEY` does not.
const LATER_KEY: [u8; 32] = [1; 32];
const LONG: usize = 18_000;

/// The keys of the later epoch, which also read what was sealed in the one before.
pub(crate) fn keys_of_both() -> ArchiveKeys {
    let later = Owner { epoch: 1, ..owner() };
    ArchiveKeys::new(&Secret::take(&mut { LATER_KEY }), &later).with_former(&Secret::take(&mut { KEY }), &owner())
}

/// Files that are read from memory, and those that did not change.
struct InMemory(std::vec::IntoIter<Planned<(Entry, Vec<u8>)>>);

impl Plan for InMemory {
    type File = (Entry, Vec<u8>);

    fn next(&mut self) -> Option<Planned<Self::File>> {
        self.0.next()
    }
}

struct Memory;

impl Files for Memory {
    type File = (Entry, Vec<u8>);
    type Open = Vec<u8>;

    fn open(&self, file: &Self::File) -> io::Result<Vec<u8>> {
        Ok(file.1.clone())
    }

    fn read_at(&self, open: &Vec<u8>, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        io::Read::read(&mut &open[offset as usize..], buffer)
    }

    fn close(&self, file: &Self::File, _: &Vec<u8>, _: u64) -> Closed {
        Closed { path: file.0.path.clone(), meta: file.0.meta.clone(), changed: false, sparse: false }
    }

    fn path(&self, file: &Self::File) -> TreePath {
        file.0.path.clone()
    }
}

struct NothingRefused;

impl Journal for NothingRefused {
    type File = (Entry, Vec<u8>);

    fn stored(&mut self, _: &Self::File, _: &[u8]) {}

    fn left_out(&mut self, _: &Self::File, error: &io::Error) {
        panic!("{error}");
    }

    fn refused(&mut self, _: &TreePath, error: &ArchiveError) {
        panic!("{error}");
    }
}

/// The root directory, a long file, and maybe the same content again.
fn long(again: bool) -> Contents {
    let file = || EntryKind::File { content: Default::default(), changed: false, sparse: false };
    let entry = |path, kind| Entry { path, meta: Meta::default(), kind };
    let mut all = vec![
        (entry(TreePath::root(), EntryKind::Directory), Vec::new()),
        (entry(path("long"), file()), counted(LONG)),
    ];
    if again {
        all.push((entry(path("same"), file()), counted(LONG)));
    }
    all
}

/// The chunks of the long file of the newest version.
fn chunks_of_long(archive: &Archive<MemoryStore>) -> Vec<ChunkRef> {
    let mut entries = archive.tree(archive.versions().last().unwrap()).map(Result::unwrap);
    match entries.find(|entry| entry.path == path("long")).unwrap().kind {
        EntryKind::File { content, .. } => content.chunks,
        other => panic!("a file, not {other:?}"),
    }
}

/// Backs up a long file that did not change, and another of the same content, which is read.
fn keep(archive: Archive<MemoryStore>, contents: &Contents) -> Archive<MemoryStore> {
    let chunks = chunks_of_long(&archive);
    let kind = RecordKind::File { size: LONG as u64, chunks: chunks.len() as u64, changed: false, sparse: false };
    let record = Record { path: path("long"), meta: Meta::default(), kind };
    let items = stream(&[Item::Chunks(chunks), Item::Entry(record)]);
    let [(root, _), long, same] = &contents[..] else { panic!("a root and two files") };
    let plan = vec![
        Planned::Entry(root.clone()),
        Planned::Known { file: long.clone(), items },
        Planned::File { file: same.clone(), size: LONG as u64 },
    ];
    let (device, random, counters) = (device(), Seeded(2), Counters::default());
    let time = Time { seconds: 0, nanoseconds: 5 };
    let how = BackUp { label: b"version 2", ..BackUp::new(&device, time, &random, &counters) };
    archive.back_up(InMemory(plan.into_iter()), &Memory, &mut NothingRefused, &how).unwrap().0
}

/// A version of the first key epoch and two of the next: one keeps a file of the first, and the other reads all anew.
pub(crate) fn epochs() -> Value {
    let contents = [long(false), long(true), long(true)];
    let archive = Archive::create(MemoryStore::default(), keys(), &Seeded(0)).unwrap();
    let archive = back_up(&device(), archive, 1, &contents[0], SEGMENT_BYTES, Padding::Padme);
    let before = chunks_of_long(&archive);
    let archive = Archive::open(archive.into_store(), keys_of_both(), &[id(&device())]).unwrap().sound().unwrap();
    let archive = keep(archive, &contents[1]);
    assert_eq!(chunks_of_long(&archive), before, "kept");
    let archive = back_up(&device(), archive, 3, &contents[2], SEGMENT_BYTES, Padding::Padme);
    assert_ne!(chunks_of_long(&archive).len(), before.len(), "another key cuts elsewhere");

    let under = |epoch: u64, seq: u64| Less {
        epochs: vec![epoch],
        devices: vec![id(&device())],
        error: "UnknownEpoch",
        restored: vec![(id(&device()), seq)],
    };
    let contents: Vec<&Contents> = contents.iter().collect();
    let versions = told_in_order(&archive, &contents);
    described(archive, &[KEY, LATER_KEY], &[DEVICE_SEED], versions, &[under(0, 1), under(1, 3)])
}
