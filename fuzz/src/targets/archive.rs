//! What a reader of archives takes from a store.

use bailee_archive::block::{self, BlockHeader, Form};
use bailee_archive::manifest::{self, Root};
use bailee_archive::segment::{self, FrameHead, Kind, SegmentHead};
use bailee_archive::testing::Seeded;
use bailee_archive::{
    Archive, ArchiveError, ArchiveId, ArchiveKeys, DeviceId, MemoryStore, Padding, Place, Randomness, limits,
    retention, tree,
};
use bailee_core::cbor;
use bailee_core::crypto::keys::{Owner, Secret, subkey};
use bailee_core::crypto::sign::Signing;
use bailee_core::crypto::{labels, seal};
use minicbor::bytes::ByteVec;

use super::{front, piece};

/// The keys of the archive that the seeds are made from.
pub fn keys() -> ArchiveKeys {
    let owner = Owner { tenant: "tenant".into(), user: "user".into(), epoch: 0 };
    ArchiveKeys::new(&Secret::take(&mut [7; 32]), &owner)
}

/// The device that signs its manifests.
pub fn device() -> Signing {
    Signing::from_seed(&[3; 32])
}

/// The place at which a record's head is read.
pub const PLACE: Place = Place { segment: 1, offset: segment::SEGMENT_HEAD_BYTES as u64 };

fn named<T>(result: Result<T, ArchiveError>) -> Option<T> {
    result.inspect_err(|error| assert!(!error.name().is_empty() && !error.to_string().is_empty())).ok()
}

pub(crate) const ARCHIVE: ArchiveId = ArchiveId([0; 16]);

/// A branch of the archive key, as the reader has it.
fn branch(label: &str) -> Secret<32> {
    let owner = Owner { tenant: "tenant".into(), user: "user".into(), epoch: 0 };
    Secret::take(&mut subkey(&Secret::take(&mut [7; 32]), label, &owner))
}

fn sealed(key: &str, label: &str, header: &[u8], message: &[u8]) -> Vec<u8> {
    seal::seal_once(branch(key).expose(), label, header, message, &mut *Seeded(9).stream(0))
}

const FORMS: [(Form, Padding); 4] = [
    (Form::Raw, Padding::Padme),
    (Form::Zstd, Padding::Padme),
    (Form::Raw, Padding::Exact),
    (Form::Zstd, Padding::Exact),
];

/// A block that holds these padded bytes, sealed as a writer seals it.
pub(crate) fn sealed_block(form: u8, padded: &[u8]) -> Vec<u8> {
    let (form, padding) = FORMS[usize::from(form % 4)];
    let header = BlockHeader { form, padding, archive: ARCHIVE, epoch: 0, padded: padded.len() as u32 }.encode();
    [&header[..], &sealed(labels::KEY_SEAL, labels::SEAL_BLOCK, &header, padded)].concat()
}

/// The first byte chooses a form. The rest is a stored block; and what is sealed in one, behind the reader's last lock.
pub fn block(data: &[u8]) {
    let mut data = data;
    let [form] = front(&mut data);
    if let Some((header, sealed)) = named(block::decode_block(data)) {
        assert!([&header.encode()[..], sealed].concat() == data);
    }
    if let Some(open) = named(block::open_block(&keys(), ARCHIVE, sealed_block(form, data))) {
        let chunks = (0..).map_while(|position| open.chunk(position));
        let bytes: usize = chunks.map(|(_, chunk)| chunk.len()).sum();
        assert!(bytes <= limits::BLOCK_PLAIN_BYTES && open.ids().len() <= limits::BLOCK_CHUNKS);
    }
}

/// A stated length, and a zstd frame that is to decompress to it: however much it promises, no more memory is taken.
pub fn zstd_frame(data: &[u8]) {
    let mut data = data;
    let plain = u32::from_be_bytes(front(&mut data)) % (limits::BLOCK_PLAIN_BYTES as u32 + 2);
    let padded = [&(data.len() as u32).to_be_bytes()[..], &plain.to_be_bytes(), data].concat();
    drop(named(block::decode_padded(Form::Zstd, Padding::Exact, &padded)));
}

/// The only segment of a store: whatever opens also reads, or says by name why not.
pub fn segment(data: &[u8]) {
    let head: Option<SegmentHead> = named(segment::decode_segment_head(data));
    assert!(head.is_none_or(|head| data.starts_with(&head.encode())));
    let head = named(segment::decode_frame_head(PLACE, data));
    assert!(head.is_none_or(|head| data.starts_with(&head.encode(PLACE))));
    whole(data.to_vec());
}

/// An index record; and what is sealed in one.
pub fn index(data: &[u8]) {
    drop(named(manifest::open_index(&keys(), ARCHIVE, data)));
    let index = named(manifest::decode_index(data));
    assert!(index.is_none_or(|index| cbor::encode(&index) == data));
}

/// A manifest; and the root that is sealed in one.
pub fn manifest(data: &[u8]) {
    if let Some(manifest) = named(manifest::decode_manifest(data)) {
        drop(named(manifest.open_root(&keys())));
    }
    let root: Option<Root> = named(manifest::decode_root(data));
    assert!(root.is_none_or(|root| cbor::encode(&root) == data));
}

/// A retention record; and one whose body this is, signed.
pub fn retention(data: &[u8]) {
    drop(named(retention::decode_retention(data)));
    drop(named(retention::decode_retention(&signed(labels::SIGN_RETENTION, data))));
}

/// An item of a tree, and a whole tree.
pub fn tree(data: &[u8]) {
    if let Some((item, length)) = named(tree::decode_item(data)) {
        let mut again = Vec::new();
        assert!(tree::encode_item(&item, &mut again).is_ok() && again == data[..length]);
    }
    let entries = named(tree::decode_tree(data)).unwrap_or_default();
    assert!(entries.iter().all(|entry| entry.path.depth() <= limits::PATH_COMPONENTS));
    assert!(entries.is_sorted_by(|a, b| a.path < b.path));
}

fn pair(first: &[u8], second: &[u8]) -> Vec<u8> {
    cbor::encode(&(ByteVec::from(first.to_vec()), ByteVec::from(second.to_vec())))
}

fn signed(label: &str, body: &[u8]) -> Vec<u8> {
    pair(body, &device().sign(label, body))
}

/// Records, each a byte and a piece: the payload as it is, or what a writer would have sealed and signed in it. So inputs come
/// behind the checks of heads, the seals and the signatures, which no chance gets through.
pub fn archive(data: &[u8]) {
    let mut data = data;
    let mut segment = SegmentHead { archive: ARCHIVE, number: 1 }.encode().to_vec();
    while !data.is_empty() {
        let [what] = front(&mut data);
        let content = piece(&mut data);
        let kind = [Kind::Block, Kind::Index, Kind::Manifest, Kind::Retention][usize::from(what % 4)];
        let payload = if what & 4 == 0 { content.to_vec() } else { made(kind, what >> 3, content) };
        let place = Place { segment: 1, offset: segment.len() as u64 };
        segment.extend_from_slice(&FrameHead { kind, length: payload.len() as u32 }.encode(place));
        segment.extend_from_slice(&payload);
    }
    whole(segment);
}

/// A payload that holds this content.
fn made(kind: Kind, form: u8, content: &[u8]) -> Vec<u8> {
    match kind {
        Kind::Block => sealed_block(form, content),
        Kind::Index => {
            let clear = cbor::encode(&("index", 1u8, ByteVec::from(ARCHIVE.0.to_vec()), 0u64));
            pair(&clear, &sealed(labels::KEY_MANIFEST, labels::SEAL_MANIFEST, &clear, content))
        }
        Kind::Manifest => {
            let mut root = content;
            let clear = piece(&mut root);
            let body = pair(clear, &sealed(labels::KEY_MANIFEST, labels::SEAL_MANIFEST, clear, root));
            signed(labels::SIGN_MANIFEST, &body)
        }
        Kind::Retention => signed(labels::SIGN_RETENTION, content),
    }
}

/// Opens a store whose only segment this is, and reads everything in it.
fn whole(segment: Vec<u8>) {
    let mut store = MemoryStore::default();
    store.segments.insert(1, segment);
    if let Some(mut archive) = named(Archive::open(store, keys(), &[DeviceId(device().public())])) {
        let report = archive.check(true, &mut |_, _| {});
        let errors = archive.damage().iter().chain(&report.damage).map(|damage| &damage.error);
        assert!(errors.chain(report.lost.iter().map(|lost| &lost.error)).all(|error| !error.name().is_empty()));
    }
}
