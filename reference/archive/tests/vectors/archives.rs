//! Archives with which at most one thing is wrong each, and what is restored of them all the same.

use bailee_archive::block::Form;
use bailee_archive::manifest::{Clear, decode_manifest, encode_manifest};
use bailee_archive::segment::{FrameHead, Kind, SegmentHead, decode_segment_head, scan_segment};
use bailee_archive::testing::Seeded;
use bailee_archive::tree::{Entry, EntryKind, Meta};
use bailee_archive::{Archive, ArchiveId, Digest, MemoryStore, Padding, Place, Randomness, TreePath};
use bailee_core::cbor;
use bailee_core::crypto::labels;
use minicbor::bytes::ByteVec;
use serde_json::{Value, json};

use super::forge::*;
use super::several::keys_of_both;
use super::sound::back_up;
use super::{device, hex, hex_segments, keys, path, stranger, trusted};

pub(super) type Records = Vec<(Kind, Vec<u8>)>;
pub(super) type Segments = Vec<(u64, Vec<u8>)>;

// Where the records of a version lie, from its first one on: its file's block, its tree's, and what is said of both.
pub(super) const BLOCK: usize = 0;
pub(super) const TREE: usize = 1;
pub(super) const INDEX: usize = 2;
pub(super) const MANIFEST: usize = 3;
/// Records of a version. Those of the second come after those of the first.
pub(super) const SECOND: usize = 4;
pub(super) const THIRD: usize = 8;
/// The most segments in a row that may be missing.
pub(super) const SEGMENT_GAP: u64 = 1 << 20;

/// Adds a version with one file.
fn with_version(archive: Archive<MemoryStore>, version: u8) -> Archive<MemoryStore> {
    let file = || EntryKind::File { content: Default::default(), changed: false, sparse: false };
    let entry = |path, kind| Entry { path, meta: Meta::default(), kind };
    let root = (entry(TreePath::root(), EntryKind::Directory), Vec::new());
    let entries = [root, (entry(path("a"), file()), vec![version; 9])];
    back_up(&device(), archive, version, &entries, 1 << 20, Padding::Padme)
}

/// An archive of this many versions with one file each.
fn versions(id: u64, count: u8) -> Archive<MemoryStore> {
    let archive = Archive::create(MemoryStore::default(), keys(), &Seeded(id)).unwrap();
    (1..=count).fold(archive, with_version)
}

/// The records of an archive of one segment.
fn records(store: &MemoryStore) -> (ArchiveId, Records) {
    let head = decode_segment_head(&store.segments[&1]).unwrap();
    let scan = scan_segment(store, 1, head.archive).unwrap();
    (head.archive, scan.frames.iter().map(|frame| (frame.head.kind, frame.read(store).unwrap())).collect())
}

/// Adds records to a segment, each with the head that is right there.
pub(super) fn append(segment: &mut Vec<u8>, number: u64, records: &[(Kind, Vec<u8>)]) {
    for (kind, payload) in records {
        let place = Place { segment: number, offset: segment.len() as u64 };
        segment.extend(FrameHead { kind: *kind, length: payload.len() as u32 }.encode(place));
        segment.extend(payload);
    }
}

pub(super) fn segment(archive: ArchiveId, number: u64, records: &[(Kind, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = SegmentHead { archive, number }.encode().to_vec();
    append(&mut bytes, number, records);
    bytes
}

pub(super) fn salt(block: &[u8]) -> [u8; 32] {
    block[35..67].try_into().unwrap()
}

pub(super) fn garbage(length: usize) -> Vec<u8> {
    vec![0xee; length]
}

/// A manifest with another clear part, sealed and signed anew.
pub(super) fn remade(manifest: &[u8], change: impl FnOnce(&mut Clear)) -> Vec<u8> {
    let manifest = decode_manifest(manifest).unwrap();
    let root = manifest.open_root(&keys()).unwrap();
    let mut clear = manifest.clear;
    change(&mut clear);
    let sign = |body: &[u8]| {
        let signer = if clear.device == trusted()[0] { device() } else { stranger() };
        signer.sign(labels::SIGN_MANIFEST, body)
    };
    encode_manifest(&keys(), &clear, &root, &mut *Seeded(77).stream(0), sign).unwrap()
}

pub(super) fn index_record(archive: ArchiveId, blocks: Vec<(ByteVec, Vec<ByteVec>)>) -> Vec<u8> {
    let clear = cbor::encode(&("index", 1u8, bytes(archive.0), 0u64));
    let plain = cbor::encode(&blocks);
    pair(&clear, &sealed(labels::KEY_MANIFEST, labels::SEAL_MANIFEST, &clear, &plain))
}

/// A retention record that a device signed that is not one of the owner's.
pub(super) fn retention_of_a_stranger(archive: ArchiveId, lists: Removed<'_>) -> (Kind, Vec<u8>) {
    let place = Chained { archive, seq: 1, previous: None };
    let clear = retention_clear("retention", 1, stranger().public(), place, &[], lists);
    (Kind::Retention, pair(&clear, &stranger().sign(labels::SIGN_RETENTION, &clear)))
}

pub(super) fn link(seq: u64, payload: &[u8]) -> Value {
    json!({ "seq": seq, "digest": hex(Digest::of(payload).0) })
}

pub(crate) struct Archives {
    pub(super) id: ArchiveId,
    /// Of three versions. The vectors have the first two of them, but where they say so.
    pub(super) all: Records,
    pub(super) other_id: ArchiveId,
    pub(super) other: Records,
    vectors: Vec<Value>,
}

impl Archives {
    pub(crate) fn all() -> Self {
        let (id, all) = records(&versions(0, 3).into_store());
        let (other_id, other) = records(&versions(50, 2).into_store());
        let mut archives = Archives { id, all, other_id, other, vectors: Vec::new() };
        archives.records();
        archives.index_records();
        archives.torn_tails();
        archives.damage_before_the_end();
        archives.segments();
        archives.known();
        archives.links();
        archives.remembered();
        archives.orders_of_links();
        archives.numbers();
        archives.removed();
        archives.forgotten();
        archives.repaired();
        archives.epochs();
        archives.several_blocks();
        archives.lying_index_records();
        archives.dropped_and_altered();
        archives.several_listings();
        archives.forks();
        archives.planted();
        archives.dangling_links();
        archives
    }

    pub(crate) fn id(&self) -> ArchiveId {
        self.id
    }

    pub(crate) fn vectors(&self) -> &[Value] {
        &self.vectors
    }

    /// The records of the first two versions.
    pub(super) fn two(&self) -> Records {
        self.all[..THIRD].to_vec()
    }

    pub(super) fn one_segment(&self, records: &[(Kind, Vec<u8>)]) -> Segments {
        vec![(1, segment(self.id, 1, records))]
    }

    pub(super) fn add_remembering(
        &mut self,
        name: &str,
        error: &str,
        restored: &[u64],
        segments: Segments,
        remembered: Value,
    ) {
        let segments = hex_segments(&MemoryStore { segments: segments.into_iter().collect() });
        self.vectors.push(json!({
            "name": name, "error": error, "restored": restored, "remembered": remembered, "segments": segments,
        }));
    }

    /// Adds an archive of which the second version is remembered.
    pub(super) fn add(&mut self, name: &str, error: &str, restored: &[u64], segments: Segments) {
        let newest = link(2, &self.all[SECOND + MANIFEST].1);
        self.add_remembering(name, error, restored, segments, newest);
    }

    /// Adds an archive of one segment with these records.
    pub(super) fn add_records(&mut self, name: &str, error: &str, restored: &[u64], records: &[(Kind, Vec<u8>)]) {
        self.add(name, error, restored, self.one_segment(records));
    }

    /// Says more of the vector that was added last.
    pub(super) fn more(&mut self, field: &str, value: impl Into<Value>) {
        self.vectors.last_mut().unwrap()[field] = value.into();
    }

    /// The digest of the link that is the record of this number.
    pub(super) fn digest(&self, at: usize) -> [u8; 32] {
        Digest::of(&self.all[at].1).0
    }

    pub(super) fn without(&self, at: usize) -> Records {
        let mut records = self.two();
        records.remove(at);
        records
    }

    pub(super) fn replaced(&self, at: usize, payload: Vec<u8>) -> Records {
        let mut records = self.two();
        records[at].1 = payload;
        records
    }

    pub(super) fn flipped(&self, at: usize, byte: usize) -> Records {
        let payload = self.all[at].1.clone();
        let flipped = payload[byte] ^ 1;
        self.replaced(at, with(payload, byte, flipped))
    }

    fn records(&mut self) {
        let two = self.two();
        let whole = segment(self.id, 1, &two);
        self.add_records("sound", "", &[1, 2], &two);
        self.add("no-archive", "NoArchive", &[], Vec::new());
        self.add("record-head-altered", "Damaged", &[2], vec![(1, with(whole.clone(), 33, 2))]);
        self.add("all-records-moved", "RolledBack", &[], vec![(1, [&whole[..33], &[0], &whole[33..]].concat())]);
        self.add_records("block-twice", "RepeatedBlock", &[1, 2], &[&two[..1], &two[..]].concat());
        self.add_records("block-missing", "MissingBlock", &[2], &self.without(BLOCK));
        self.add_records("block-altered", "BlockAltered", &[2], &self.flipped(BLOCK, 120));
        self.add_records("tree-missing", "MissingBlock", &[2], &self.without(TREE));
        // The same chunk in a block that no index record names: what was lost was stored again.
        let content = plain(&[&[1; 9]]);
        let again = block_of(self.id, Form::Raw, Padding::Padme, &padded(&content, content.len(), Padding::Padme));
        let healed = [&self.without(BLOCK)[..SECOND - 1], &[(Kind::Block, again)], &two[SECOND..]].concat();
        self.add_records("block-missing-and-its-chunk-in-another", "MissingBlock", &[1, 2], &healed);
    }

    fn index_records(&mut self) {
        let two = self.two();
        self.add_records("index-altered", "NotOpened", &[1, 2], &self.flipped(INDEX, 90));
        self.add_records("index-missing", "", &[1, 2], &self.without(INDEX));
        self.add_records("index-twice", "", &[1, 2], &[&two[..=INDEX], &two[INDEX..]].concat());
        let chunk_id = |content: &[u8]| bytes(blake3::keyed_hash(&branch(labels::KEY_ID), content).as_bytes());
        let block = bytes(salt(&two[BLOCK].1));
        let lies = index_record(self.id, vec![(block, vec![bytes([0; 32])])]);
        self.add_records("index-lacks-a-chunk", "MissingChunk", &[2], &self.replaced(INDEX, lies.clone()));
        let lies = (Kind::Index, lies);
        let later = [&two[..INDEX], &[two[INDEX].clone(), lies.clone()], &two[MANIFEST..]].concat();
        self.add_records("index-and-later-one-that-lacks-a-chunk", "MissingChunk", &[2], &later);
        let earlier = [&two[..INDEX], &[lies], &two[INDEX..]].concat();
        self.add_records("index-that-lacks-a-chunk-and-later-one", "", &[1, 2], &earlier);
        let unknown = index_record(self.id, vec![(bytes([0; 32]), vec![chunk_id(&[1; 9])])]);
        let more = [&[(Kind::Index, unknown)], &two[..]].concat();
        self.add_records("index-of-a-block-that-is-not-there", "", &[1, 2], &more);
    }

    /// A reader that knows its archive is not outvoted.
    fn known(&mut self) {
        let (id, other_id, two) = (self.id, self.other_id, self.two());
        let (first, second) = (segment(id, 1, &two[..SECOND]), segment(id, 2, &two[SECOND..]));
        let planted = [3, 4, 5].map(|number| (number, segment(other_id, number, &[])));
        let segments = [vec![(1, first), (2, second)], planted.into()].concat();
        self.add("most-heads-of-another-archive", "WrongArchive", &[1, 2], segments);
        self.more("knows", true);
        self.more("times", 3);
    }

    fn segments(&mut self) {
        let (id, other_id, two) = (self.id, self.other_id, self.two());
        let whole = segment(id, 1, &two);
        self.add("segment-missing", "MissingSegment", &[1, 2], vec![(1, whole.clone()), (3, segment(id, 3, &[]))]);
        self.add("first-segment-missing", "MissingSegment", &[1, 2], vec![(2, segment(id, 2, &two))]);
        let misnumbered = vec![(1, whole.clone()), (2, segment(id, 3, &[]))];
        self.add("segment-of-another-number", "Malformed", &[1, 2], misnumbered);
        let alien = (2, segment(other_id, 2, &self.other[..3]));
        let third = (3, segment(id, 3, &[]));
        self.add("segment-of-another-archive", "WrongArchive", &[1, 2], vec![(1, whole.clone()), alien, third]);
        self.add("head-of-another-archive", "WrongArchive", &[1, 2], vec![(1, segment(other_id, 1, &two))]);
        let parted = |first: Vec<u8>| vec![(1, first), (2, segment(id, 2, &two[SECOND..]))];
        let at_odds = segment(other_id, 1, &two[..SECOND]);
        let neither = vec![(1, with(segment(other_id, 1, &two), 32, 2))];
        self.add("head-of-another-archive-and-number", "Malformed", &[1, 2], neither);
        self.more("not", vec!["WrongArchive"]);
        self.add("heads-at-odds", "WrongArchive", &[1, 2], parted(at_odds));
        let first = segment(id, 1, &two[..SECOND]);
        let cut = vec![(1, whole), (2, segment(id, 2, &[])[..10].to_vec())];
        self.add("last-segment-ends-in-its-head", "Truncated", &[1, 2], cut);
        self.add("head-magic", "Malformed", &[1, 2], parted(with(first.clone(), 0, b'b')));
        let unheaded = [&with(segment(id, 1, &two), 0, b'b')[..], &garbage(100)].concat();
        self.add("garbage-under-a-wrong-head", "Damaged", &[1, 2], vec![(1, unheaded)]);
        self.add("head-version", "UnsupportedVersion", &[1, 2], parted(with(first, 8, 2)));
    }

    fn links(&mut self) {
        let two = self.two();
        let (first, second) = (two[MANIFEST].1.clone(), two[SECOND + MANIFEST].1.clone());
        self.add_records("manifest-signature", "BadSignature", &[2], &self.flipped(MANIFEST, first.len() - 1));
        let body = minicbor::decode::<(ByteVec, ByteVec)>(&first).unwrap().0;
        let by_a_stranger = pair(&body, &stranger().sign(labels::SIGN_MANIFEST, &body));
        self.add_records(
            "manifest-signed-by-a-stranger",
            "BadSignature",
            &[2],
            &self.replaced(MANIFEST, by_a_stranger),
        );
        let alien = self.other[MANIFEST].1.clone();
        self.add_records("manifest-of-another-archive", "WrongArchive", &[2], &self.replaced(MANIFEST, alien));
        let of_a_stranger = remade(&first, |clear| clear.device.0 = stranger().public());
        self.add_records(
            "manifest-of-a-stranger",
            "UnknownDevice",
            &[1, 2],
            &[&[(Kind::Manifest, of_a_stranger)], &two[..]].concat(),
        );
        let mut none = self.flipped(MANIFEST, first.len() - 1);
        none[SECOND + MANIFEST].1 = pair(&body, &[0; 64]);
        // In the last segment that is a torn tail from the first of them on.
        self.add_records("no-manifest-holds", "RolledBack", &[], &none);
        let earlier = vec![(1, segment(self.id, 1, &none)), (2, segment(self.id, 2, &[]))];
        self.add("no-manifest-counts", "BadSignature", &[], earlier);
        self.add_records("manifest-twice", "", &[1, 2], &[&two[..], &two[MANIFEST..SECOND]].concat());
        // As a link of its own it would be another of the same number.
        let signature = minicbor::decode::<(ByteVec, ByteVec)>(&first).unwrap().1;
        let again = (Kind::Manifest, pair(&body, &with_another_scalar(signature.to_vec())));
        let before = [&two[..SECOND], std::slice::from_ref(&again), &two[SECOND..]].concat();
        self.add_records("manifest-again-with-another-scalar", "BadSignature", &[1, 2], &before);
        let after = [&two[..], &[again]].concat();
        self.add_records("manifest-again-with-another-scalar-after", "", &[1, 2], &after);
        self.add_records("first-manifest-missing", "ChainBroken", &[2], &self.without(MANIFEST));

        let mut add = |name: &str, error: &str, restored: &[u64], change: &dyn Fn(&mut Clear)| {
            let (mut seq, at) = (0, SECOND + MANIFEST);
            let manifest = remade(&second, |clear| {
                change(clear);
                seq = clear.seq;
            });
            let remembered = link(seq, &manifest);
            let records = self.one_segment(&self.replaced(at, manifest));
            self.add_remembering(name, error, restored, records, remembered);
        };
        add("manifest-made-anew", "", &[1, 2], &|_| ());
        add("previous-is-another", "ChainBroken", &[1, 2], &|clear| clear.previous = Some(Digest([3; 32])));
        add("number-left-out", "ChainBroken", &[1, 3], &|clear| clear.seq = 3);
        add("head-of-an-account", "", &[1, 2], &|clear| clear.head = Some(Digest([3; 32])));
        add("block-listed-with-another-length", "BlockAltered", &[1, 2], &|clear| clear.blocks[0].length += 1);
        add("block-listed-with-another-digest", "BlockAltered", &[1], &|clear| clear.blocks[0].digest.0[0] ^= 1);
        add("listed-block-missing", "MissingBlock", &[1, 2], &|clear| {
            clear.blocks.insert(
                0,
                bailee_archive::manifest::Listing {
                    id: bailee_archive::BlockId([0; 32]),
                    length: 200,
                    digest: Digest([3; 32]),
                },
            );
        });
        let again = [&two[..], &[(Kind::Manifest, remade(&second, |_| ()))]].concat();
        self.add_records("two-manifests-of-one-number", "ChainBroken", &[1, 2, 2], &again);
    }

    /// Links with which two things are wrong: the one that is checked first is named.
    fn orders_of_links(&mut self) {
        let two = self.two();
        let before = |link: Vec<u8>| [&[(Kind::Manifest, link)], &two[..]].concat();
        let unsigned = |link: &[u8]| pair(&minicbor::decode::<(ByteVec, ByteVec)>(link).unwrap().0, &[0; 64]);
        let of_a_stranger = remade(&two[MANIFEST].1, |clear| clear.device.0 = stranger().public());
        let alien = self.other[MANIFEST].1.clone();
        let of_both = remade(&alien, |clear| clear.device.0 = stranger().public());
        let vectors = [
            ("manifest-of-another-archive-by-a-stranger", "WrongArchive", "UnknownDevice", of_both),
            ("manifest-of-another-archive-unsigned", "WrongArchive", "BadSignature", unsigned(&alien)),
            ("manifest-of-a-stranger-unsigned", "UnknownDevice", "BadSignature", unsigned(&of_a_stranger)),
        ];
        for (name, error, later, link) in vectors {
            self.add_records(name, error, &[1, 2], &before(link));
            self.more("not", vec![later]);
            self.more("times", 1);
        }
        let alien = retention_of_a_stranger(self.other_id, Removed::default());
        let before = [&[alien], &two[..]].concat();
        self.add_records("retention-of-another-archive-by-a-stranger", "WrongArchive", &[1, 2], &before);
        self.more("not", vec!["UnknownDevice"]);
    }

    /// Numbers at their greatest.
    fn numbers(&mut self) {
        let second = self.all[SECOND + MANIFEST].1.clone();
        let last = remade(&second, |clear| clear.seq = u64::MAX);
        let remembered = link(u64::MAX, &last);
        let records = self.one_segment(&self.replaced(SECOND + MANIFEST, last));
        self.add_remembering("number-at-its-greatest", "ChainBroken", &[1, u64::MAX], records, remembered);
        let (id, third) = (self.id, self.all[THIRD..].to_vec());
        let beyond = |first: &[(Kind, Vec<u8>)], number| {
            vec![(1, segment(id, 1, first)), (number, segment(id, number, &third))]
        };
        // Of the numbers from 2 on as many are missing as may be.
        let farthest = beyond(&self.two(), 2 + SEGMENT_GAP);
        let newest = link(3, &third[MANIFEST].1);
        self.add_remembering("segment-after-the-longest-gap", "MissingSegment", &[1, 2, 3], farthest, newest);
        let given_up = Removed { segments: &[7], ..Removed::default() };
        let gives_up = self.retention_at(4, self.digest(THIRD + MANIFEST), &[], given_up);
        let newest = link(4, &gives_up.1);
        let parted = beyond(&[self.two(), vec![gives_up]].concat(), 3 + SEGMENT_GAP);
        self.add_remembering("segment-after-a-gap-with-one-given-up", "MissingSegment", &[1, 2, 3], parted, newest);
    }

    fn remembered(&mut self) {
        let two = self.two();
        self.add_records("last-manifest-missing", "RolledBack", &[1], &self.without(SECOND + MANIFEST));
        let other = json!({ "seq": 2, "digest": hex([3; 32]) });
        let whole = self.one_segment(&two);
        self.add_remembering("remembered-is-another", "RolledBack", &[1, 2], whole.clone(), other);
        self.add_remembering("first-is-remembered", "", &[1, 2], whole, link(1, &two[MANIFEST].1));
    }

    /// What was sealed before the epoch that a reader has no key of is restored.
    fn epochs(&mut self) {
        let store = MemoryStore { segments: self.one_segment(&self.two()).into_iter().collect() };
        let archive = Archive::open(store, keys_of_both(), &trusted()).unwrap().sound().unwrap();
        let (_, records) = records(&with_version(archive, 3).into_store());
        let newest = link(3, &records[THIRD + MANIFEST].1);
        let segments = self.one_segment(&records);
        self.add_remembering("version-of-an-unknown-epoch", "UnknownEpoch", &[1, 2], segments, newest);
    }
}
