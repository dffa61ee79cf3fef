//! An archive as the files of a folder: which names are those of segments, and what else may be there.

use bailee_archive::block::block_id;
use bailee_archive::segment::{Kind, scan_segment};
use bailee_archive::testing::Seeded;
use bailee_archive::{Archive, ArchiveId, MemoryStore, Padding};
use serde_json::{Map, Value, json};

use super::several::small;
use super::sound::{back_up, newest, told};
use super::{DEVICE_SEED, KEY, device, hex, keys, trusted};

/// Enough that the last numbers are above 9 and 15.
const VERSIONS: u8 = 4;

/// Every record in a segment of its own.
fn archive() -> Archive<MemoryStore> {
    let archive = Archive::create(MemoryStore::default(), keys(), &Seeded(0)).unwrap();
    (1..=VERSIONS)
        .fold(archive, |archive, version| back_up(&device(), archive, version, &small(version), 1, Padding::Padme))
}

/// The file `damaged` if every block were noted in it.
fn all_damaged(store: &MemoryStore, id: ArchiveId) -> String {
    let scans = store.segments.keys().map(|&number| scan_segment(store, number, id).unwrap());
    let blocks = scans.flat_map(|scan| scan.frames).filter(|frame| frame.head.kind == Kind::Block);
    blocks.map(|frame| hex(block_id(&frame.read(store).unwrap()).unwrap().0) + "\n").collect()
}

/// Names of files, and the numbers of the segments that they are.
fn names() -> Value {
    let names: [(&str, Option<u64>); 18] = [
        ("0000000000000001.seg", Some(1)),
        ("0000000000000010.seg", Some(16)),
        ("00000000000000ff.seg", Some(255)),
        ("ffffffffffffffff.seg", Some(u64::MAX)),
        ("0000000000000000.seg", None),
        ("00000000000000FF.seg", None),
        ("0000000000000001.SEG", None),
        ("000000000000001.seg", None),
        ("00000000000000001.seg", None),
        ("1.seg", None),
        ("0000000000000001", None),
        ("0000000000000001.tmp", None),
        ("0000000000000001.seg.tmp", None),
        ("a0000000000000001.seg", None),
        (" 000000000000001.seg", None),
        ("+000000000000001.seg", None),
        ("0_00000000000001.seg", None),
        ("\u{661}\u{661}\u{661}\u{661}\u{661}\u{661}\u{661}\u{661}.seg", None),
    ];
    names.iter().map(|(name, number)| json!({ "name": name, "number": number })).collect()
}

/// An archive of many segments, among files that mean nothing to a reader, or are hints that are wrong.
pub(crate) fn folder() -> Value {
    let archive = archive();
    let versions = archive.versions().iter().zip(1..).map(|(version, number)| told(version, &small(number)));
    let (id, newest, versions) = (archive.id(), newest(&archive, trusted()[0]), versions.collect::<Vec<_>>());
    let store = archive.into_store();
    assert!(store.segments.len() > 16);
    let segments = store.segments.iter().map(|(number, bytes)| (format!("{number:016x}.seg"), hex(bytes)));
    let others = [
        ("damaged", all_damaged(&store, id)),
        ("seen", "not what a writer notes".to_owned()),
        ("lock", String::new()),
        ("0000000000000012.tmp", "half made".to_owned()),
        ("0000000000000012.SEG", "no segment".to_owned()),
        ("12.seg", "no segment".to_owned()),
    ];
    let others = others.map(|(name, content)| (name.to_owned(), hex(content)));
    let files: Map<String, Value> =
        segments.chain(others).map(|(name, content)| (name, Value::from(content))).collect();
    json!({
        "tenant": "tenant", "user": "user", "epoch": 0, "key": hex(KEY), "device_seed": hex(DEVICE_SEED),
        "device": hex(device().public()), "archive": hex(id.0),
        "newest": newest,
        "names": names(),
        "versions": versions,
        "files": files,
    })
}
