//! Seeds of the targets that read archives.

use bailee_archive::testing::Seeded;
use bailee_archive::tree::{ChunkRef, Entry, EntryKind, Item, Meta, Record, RecordKind, Time, encode_item};
use bailee_archive::{Archive, BackUp, ChunkId, Counters, MemoryStore, TreePath};
use bailee_core::cbor;
use minicbor::bytes::ByteVec;

use super::{Seeds, spoilt};
use crate::targets::archive::{ARCHIVE, device, keys, sealed_block};
use crate::targets::join;

impl Seeds {
    /// A small archive, torn and altered; its records; and what is sealed in them.
    pub(super) fn archive(&mut self) {
        let Some(segment) = small_archive() else { return };
        self.segments(&segment);
        let records = records_of(&segment);
        for target in ["block", "index", "manifest", "retention"] {
            let Some((_, payload)) = records.iter().find(|(kind, _)| kind_name(*kind) == target) else { continue };
            // A block has its form in front of it here.
            let front: &[u8] = if target == "block" { &[0] } else { &[] };
            self.add(target, "whole", [front, payload].concat());
            for (how, bytes) in spoilt(payload) {
                self.add(target, format!("whole-{how}"), [front, &bytes].concat());
            }
        }
        self.contents_of_records();
        let mut items = Vec::new();
        for item in tree_items() {
            let _ = encode_item(&item, &mut items);
        }
        self.add("tree", "tree", items.clone());
        for (how, bytes) in spoilt(&items) {
            self.add("tree", format!("tree-{how}"), bytes);
        }
        self.archives_of(&records, &items);
    }

    fn segments(&mut self, segment: &[u8]) {
        self.add("segment", "whole", segment.to_vec());
        for (name, length) in
            [("head", 33), ("torn-head", 20), ("torn-record", 60), ("no-manifest", segment.len() - 1)]
        {
            self.add("segment", name, segment[..length].to_vec());
        }
        for at in [9, 33, 50, segment.len() - 1] {
            let mut altered = segment.to_vec();
            altered[at] ^= 1;
            self.add("segment", format!("altered-at-{at}"), altered);
        }
        self.add("segment", "head-of-a-record", segment[33..42].to_vec());
    }

    /// What is sealed in blocks, indexes and roots, and what zstd frames promise.
    fn contents_of_records(&mut self) {
        let plain = [&b"chunk"[..], &5u32.to_be_bytes(), &1u32.to_be_bytes()].concat();
        let length = |bytes: &[u8]| (bytes.len() as u32).to_be_bytes();
        let exact = [&length(&plain)[..], &length(&plain), &plain].concat();
        self.add("block", "raw", [&[0][..], &exact, &[0; 3]].concat());
        self.add("block", "raw-exact", [&[2][..], &exact].concat());
        let content = zstd::bulk::compress(&plain, 3).unwrap_or_default();
        let zstd = [&[3][..], &length(&content), &length(&plain), &content].concat();
        self.add("block", "zstd-exact", zstd);
        self.add("zstd_frame", "sound", [&length(&plain)[..], &content].concat());
        self.add("zstd_frame", "shorter-than-stated", [&99u32.to_be_bytes()[..], &content].concat());
        let bomb = zstd::bulk::compress(&vec![0; 16 << 20], 19).unwrap_or_default();
        self.add("zstd_frame", "bomb", [&1_064_964u32.to_be_bytes()[..], &bomb].concat());
        self.add("zstd_frame", "no-frame", [&4u32.to_be_bytes()[..], &[0xff; 8]].concat());
        self.add("index", "plain", index_of_nothing());
        self.add("manifest", "root", root_of(&[]));
        self.add("retention", "body", retention_clear());
    }

    /// Records as they are, and others of which only the content is given.
    fn archives_of(&mut self, records: &[(u8, Vec<u8>)], items: &[u8]) {
        let as_they_are: Vec<u8> = records.iter().flat_map(|(kind, payload)| record(kind - 1, payload)).collect();
        self.add("archive", "as-written", as_they_are);
        let padded = {
            let plain = [items, &(items.len() as u32).to_be_bytes(), &1u32.to_be_bytes()].concat();
            let length = (plain.len() as u32).to_be_bytes();
            [&length[..], &length, &plain].concat()
        };
        let (block, index, manifest, retention) = (4 | 2 << 3, 5, 6, 7);
        let opened = bailee_archive::block::open_block(&keys(), ARCHIVE, sealed_block(2, &padded));
        let id = opened.map_or(ChunkId([0; 32]), |block| block.ids()[0]);
        let tree = ChunkRef { id, length: items.len() as u32 };
        let version = join(&[&manifest_clear()]);
        let version = [&version[..], &root_of(&[tree])].concat();
        let made = [record(block, &padded), record(manifest, &version)].concat();
        self.add("archive", "made", made.clone());
        self.add("archive", "made-and-forgotten", [&made[..], &record(retention, &retention_clear())].concat());
        self.add("archive", "index-of-nothing", [&made[..], &record(index, &index_of_nothing())].concat());
    }
}

/// The one segment of an archive with two files, of which it forgot one version.
fn small_archive() -> Option<Vec<u8>> {
    let device = device();
    let counters = Counters::default();
    let mut archive = Archive::create(MemoryStore::default(), keys(), &Seeded(6)).ok()?;
    for (seed, files) in [(7, 2), (8, 1)] {
        let random = Seeded(seed);
        let mut writer = archive.begin(&BackUp::new(&device, Time::default(), &random, &counters)).ok()?;
        let entry = |path, kind| Entry { path, meta: Meta::default(), kind };
        writer.entry(&entry(TreePath::root(), EntryKind::Directory)).ok()?;
        for (name, bytes) in [("a", &b"the content of a file"[..]), ("b", &[0; 500])].into_iter().take(files) {
            let content = writer.content(&mut { bytes }).ok()?;
            let path = TreePath::root().join(name.as_bytes()).ok()?;
            writer.entry(&entry(path, EntryKind::File { content, changed: false, sparse: false })).ok()?;
        }
        archive = writer.commit(Time::default(), b"seed").ok()?.0;
    }
    let second = archive.versions().last()?.digest;
    archive.forget(&[second], &device).ok()?.into_store().segments.remove(&1)
}

/// The kinds and payloads of the records of a segment.
fn records_of(segment: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut records = Vec::new();
    let mut rest = segment.get(33..).unwrap_or_default();
    while let Some((&[kind, a, b, c, d, ..], behind)) = rest.split_first_chunk::<9>() {
        let (payload, next) = behind.split_at(u32::from_be_bytes([a, b, c, d]) as usize);
        records.push((kind, payload.to_vec()));
        rest = next;
    }
    records
}

fn kind_name(kind: u8) -> &'static str {
    ["block", "index", "manifest", "retention"][usize::from(kind - 1)]
}

/// A record as the target `archive` takes it.
fn record(what: u8, content: &[u8]) -> Vec<u8> {
    [&[what][..], &join(&[content])].concat()
}

fn id_bytes(bytes: impl AsRef<[u8]>) -> ByteVec {
    bytes.as_ref().to_vec().into()
}

/// What an index record says of a block that is not there.
fn index_of_nothing() -> Vec<u8> {
    cbor::encode(&[(id_bytes([1; 32]), [id_bytes([2; 32])])])
}

/// The clear part of a first manifest that lists nothing.
fn manifest_clear() -> Vec<u8> {
    let signer = id_bytes(device().public());
    let none: Option<ByteVec> = None;
    let blocks: Vec<(ByteVec, u32, ByteVec)> = Vec::new();
    cbor::encode(&(1u8, id_bytes([0; 16]), signer, 0u64, 1u64, &none, &none, blocks))
}

/// The root of a version with this tree.
fn root_of(tree: &[ChunkRef]) -> Vec<u8> {
    cbor::encode(&((0i64, 0u32), id_bytes(b"seed"), 3u64, 5u64, tree))
}

/// The body of a retention record that gives up a version, a block and a segment.
fn retention_clear() -> Vec<u8> {
    let signer = || id_bytes(device().public());
    let none: Option<ByteVec> = None;
    let blocks: Vec<(ByteVec, u32, ByteVec)> = Vec::new();
    let forgotten = vec![(signer(), 1u64, id_bytes([4; 32]))];
    let archive = id_bytes([0; 16]);
    cbor::encode(&(
        "retention",
        1u8,
        archive,
        signer(),
        1u64,
        none,
        forgotten,
        vec![id_bytes([5; 32])],
        [7u64],
        blocks,
    ))
}

/// A tree of one directory, one file and one link.
fn tree_items() -> Vec<Item> {
    let record = |path: TreePath, kind| Item::Entry(Record { path, meta: Meta::default(), kind });
    let below = |name: &[u8]| TreePath::root().join(name).unwrap_or_default();
    vec![
        record(TreePath::root(), RecordKind::Directory),
        Item::Chunks(vec![ChunkRef { id: ChunkId([1; 32]), length: 5 }]),
        record(below(b"file"), RecordKind::File { size: 5, chunks: 1, changed: false, sparse: false }),
        record(below(b"link"), RecordKind::Symlink { target: b"file".to_vec().into() }),
    ]
}
