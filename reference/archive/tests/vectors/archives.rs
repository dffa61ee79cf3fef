//! Archives with which one thing is wrong each.

use bailee_archive::segment::{FrameHead, Kind, SegmentHead, decode_segment_head, scan_segment};
use bailee_archive::testing::Seeded;
use bailee_archive::tree::{Entry, EntryKind, Meta};
use bailee_archive::{Archive, ArchiveId, MemoryStore, Padding, Place, TreePath};
use bailee_core::cbor;
use bailee_core::crypto::labels;
use bailee_core::crypto::sign::Signing;
use minicbor::bytes::ByteVec;
use serde_json::{Value, json};

use super::forge::*;
use super::sound::back_up;
use super::{hex, hex_segments, keys, path, trusted};

type Records = Vec<(Kind, Vec<u8>)>;

/// The records of an archive of one segment.
fn records(store: &MemoryStore) -> (ArchiveId, Records) {
    let head = decode_segment_head(&store.segments[&1]).unwrap();
    let scan = scan_segment(store, 1, head.archive).unwrap();
    (head.archive, scan.frames.iter().map(|frame| (frame.head.kind, frame.read(store).unwrap())).collect())
}

fn segment(archive: ArchiveId, number: u64, records: &[(Kind, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = SegmentHead { archive, number }.encode().to_vec();
    for (kind, payload) in records {
        let place = Place { segment: number, offset: bytes.len() as u64 };
        bytes.extend(FrameHead { kind: *kind, length: payload.len() as u32 }.encode(place));
        bytes.extend(payload);
    }
    bytes
}

/// An archive of two versions with one file each: block, block of the tree, index record and manifest, twice.
pub(crate) fn malformed_archives() -> Vec<Value> {
    let entries = |version: u8| {
        let file = EntryKind::File { content: Default::default(), changed: false, sparse: false };
        let entry = |path, kind| Entry { path, meta: Meta::default(), kind };
        vec![(entry(TreePath::root(), EntryKind::Directory), Vec::new()), (entry(path("a"), file), vec![version; 9])]
    };
    let two = |id: u64| {
        let archive = Archive::create(MemoryStore::default(), keys(), &Seeded(id)).unwrap();
        let archive = back_up(archive, 1, &entries(1), 1 << 20, Padding::Padme);
        back_up(archive, 2, &entries(2), 1 << 20, Padding::Padme)
    };
    let archive = two(0);
    let (seq, digest) = archive.newest(trusted()[0]).unwrap();
    let newest = json!({ "seq": seq, "digest": hex(digest.0) });
    let store = archive.into_store();
    let (id, all) = records(&store);
    let (other_id, other) = records(&two(50).into_store());
    let mut out = Vec::new();
    let mut add = |name: &str, error: &str, segments: Vec<(u64, Vec<u8>)>| {
        let segments = hex_segments(&MemoryStore { segments: segments.into_iter().collect() });
        out.push(json!({ "name": name, "error": error, "remembered": newest, "segments": segments }));
    };
    let one = |records: &[(Kind, Vec<u8>)]| vec![(1, segment(id, 1, records))];
    let without = |at: usize| [&all[..at], &all[at + 1..]].concat();
    let replaced = |at: usize, payload: Vec<u8>| {
        let mut all = all.clone();
        all[at].1 = payload;
        all
    };
    let flipped = |at: usize, byte: usize| replaced(at, with(all[at].1.clone(), byte, all[at].1[byte] ^ 1));
    add("sound", "", one(&all));
    add("no-archive", "NoArchive", Vec::new());
    add("segment-missing", "MissingSegment", vec![(1, segment(id, 1, &all)), (3, segment(id, 3, &[]))]);
    add("segment-of-another-number", "Malformed", vec![(1, segment(id, 1, &all)), (2, segment(id, 3, &[]))]);
    add(
        "segment-of-another-archive",
        "WrongArchive",
        vec![(1, segment(id, 1, &all)), (2, segment(other_id, 2, &other[..3])), (3, segment(id, 3, &[]))],
    );
    add("record-head-altered", "Damaged", vec![(1, with(store.segments[&1].clone(), 33, 2))]);
    add(
        "all-records-moved",
        "RolledBack",
        vec![(1, [&store.segments[&1][..33], &[0], &store.segments[&1][33..]].concat())],
    );
    add("block-twice", "RepeatedBlock", one(&[&all[..1], &all[..]].concat()));
    add("block-missing", "MissingBlock", one(&without(0)));
    add("block-altered", "BlockAltered", one(&flipped(0, 120)));
    add("index-altered", "NotOpened", one(&flipped(2, 90)));
    add("manifest-signature", "BadSignature", one(&flipped(3, all[3].1.len() - 1)));
    add("manifest-of-another-archive", "WrongArchive", one(&replaced(3, other[3].1.clone())));
    add("first-manifest-missing", "ChainBroken", one(&without(3)));
    add("last-manifest-missing", "RolledBack", one(&all[..all.len() - 1]));
    let body = |manifest: &[u8]| minicbor::decode::<(ByteVec, ByteVec)>(manifest).unwrap().0;
    let stranger = Signing::from_seed(&[0; 32]);
    let retention = {
        let clear = cbor::encode(&(
            "retention",
            1u8,
            bytes(id.0),
            bytes(stranger.public()),
            1u64,
            None::<ByteVec>,
            Vec::<(ByteVec, u64, ByteVec)>::new(),
            Vec::<ByteVec>::new(),
            [1u64],
            Vec::<(ByteVec, u32, ByteVec)>::new(),
        ));
        pair(&clear, &stranger.sign(labels::SIGN_RETENTION, &clear))
    };
    add("retention-of-a-stranger", "UnknownDevice", one(&[&all[..], &[(Kind::Retention, retention)]].concat()));
    let signed_by_stranger = body(&all[3].1);
    let signature = stranger.sign(labels::SIGN_MANIFEST, &signed_by_stranger);
    add("manifest-signed-by-a-stranger", "BadSignature", one(&replaced(3, pair(&signed_by_stranger, &signature))));
    let lying_index = |blocks: Vec<(ByteVec, Vec<ByteVec>)>| {
        let clear = cbor::encode(&("index", 1u8, bytes(id.0), 0u64));
        let plain = cbor::encode(&blocks);
        pair(&clear, &sealed(labels::KEY_MANIFEST, labels::SEAL_MANIFEST, &clear, &plain))
    };
    let chunk_id = |content: &[u8]| bytes(blake3::keyed_hash(&branch(labels::KEY_ID), content).as_bytes());
    let salt = |at: usize| bytes(&all[at].1[35..67]);
    let lies = lying_index(vec![(salt(0), vec![chunk_id(&[2; 9])])]);
    add("index-names-another-chunk", "ChunkMismatch", one(&replaced(2, lies)));
    let lies = lying_index(vec![(salt(0), vec![bytes([0; 32])])]);
    add("index-lacks-a-chunk", "MissingChunk", one(&replaced(2, lies)));
    out
}
