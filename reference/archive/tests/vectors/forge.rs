//! What records are made of by hand: parts that no writer would write.

use bailee_archive::block::{BlockHeader, Form, padme};
use bailee_archive::testing::Seeded;
use bailee_archive::tree::{Item, Meta, Record, RecordKind};
use bailee_archive::{ArchiveId, Padding, Randomness, TreePath};
use bailee_core::cbor;
use bailee_core::crypto::keys::{Secret, subkey};
use bailee_core::crypto::{labels, seal};
use minicbor::Encode;
use minicbor::bytes::ByteVec;

use super::{KEY, device, owner};

pub(crate) const ARCHIVE: ArchiveId = ArchiveId([0xa1; 16]);

pub(crate) fn branch(label: &str) -> [u8; 32] {
    *subkey(&Secret::take(&mut { KEY }), label, &owner())
}

pub(crate) fn sealed(key: &str, label: &str, header: &[u8], message: &[u8]) -> Vec<u8> {
    seal::seal_once(&branch(key), label, header, message, &mut *Seeded(9).stream(0))
}

pub(crate) fn bytes(bytes: impl AsRef<[u8]>) -> ByteVec {
    bytes.as_ref().to_vec().into()
}

pub(crate) fn pair(first: &[u8], second: &[u8]) -> Vec<u8> {
    cbor::encode(&(bytes(first), bytes(second)))
}

pub(crate) fn with(mut bytes: Vec<u8>, at: usize, byte: u8) -> Vec<u8> {
    bytes[at] = byte;
    bytes
}

pub(crate) fn plain(chunks: &[&[u8]]) -> Vec<u8> {
    let lengths = chunks.iter().map(|chunk| (chunk.len() as u32).to_be_bytes());
    let mut out = chunks.concat();
    out.extend(lengths.flatten());
    out.extend((chunks.len() as u32).to_be_bytes());
    out
}

pub(crate) fn padded(stored: &[u8], plain_length: usize, padding: Padding) -> Vec<u8> {
    let mut out = [&(stored.len() as u32).to_be_bytes()[..], &(plain_length as u32).to_be_bytes(), stored].concat();
    out.resize(if padding == Padding::Padme { padme(out.len()) } else { out.len() }, 0);
    out
}

/// A zstd frame of blocks that are stored as they are: what stands between the magic number and the blocks is given.
pub(crate) fn raw_frame(header: &[u8], blocks: &[&[u8]]) -> Vec<u8> {
    let mut frame = [&[0x28, 0xb5, 0x2f, 0xfd][..], header].concat();
    for (at, block) in (1..).zip(blocks) {
        let is_last = u32::from(at == blocks.len());
        frame.extend(&((block.len() as u32) << 3 | is_last).to_le_bytes()[..3]);
        frame.extend(*block);
    }
    frame
}

pub(crate) fn header(archive: ArchiveId, form: Form, padding: Padding, padded: usize) -> Vec<u8> {
    BlockHeader { form, padding, archive, epoch: 0, padded: padded as u32 }.encode().to_vec()
}

pub(crate) fn block_of(archive: ArchiveId, form: Form, padding: Padding, padded: &[u8]) -> Vec<u8> {
    let header = header(archive, form, padding, padded.len());
    let sealed = sealed(labels::KEY_SEAL, labels::SEAL_BLOCK, &header, padded);
    [header, sealed].concat()
}

pub(crate) type Listings = Vec<(ByteVec, u32, ByteVec)>;

pub(crate) fn listings(ids: &[u8]) -> Listings {
    ids.iter().map(|&id| (bytes([id; 32]), 200, bytes([5; 32]))).collect()
}

pub(crate) fn manifest_clear(
    device: [u8; 32],
    version: u8,
    epoch: u64,
    seq: u64,
    previous: Option<[u8; 32]>,
    blocks: &[u8],
) -> Vec<u8> {
    cbor::encode(&(
        version,
        bytes(ARCHIVE.0),
        bytes(device),
        epoch,
        seq,
        previous.map(bytes),
        None::<ByteVec>,
        listings(blocks),
    ))
}

pub(crate) fn signed_manifest(clear: &[u8], sealed_root: &[u8]) -> Vec<u8> {
    let body = pair(clear, sealed_root);
    let signature = device().sign(labels::SIGN_MANIFEST, &body);
    pair(&body, &signature)
}

pub(crate) fn manifest(clear: &[u8], root: &[u8]) -> Vec<u8> {
    signed_manifest(clear, &sealed(labels::KEY_MANIFEST, labels::SEAL_MANIFEST, clear, root))
}

pub(crate) fn framed(item: &[u8]) -> Vec<u8> {
    [&(item.len() as u32).to_be_bytes()[..], item].concat()
}

pub(crate) fn stream<T: Encode<()>>(items: &[T]) -> Vec<u8> {
    items.iter().flat_map(|item| framed(&cbor::encode(item))).collect()
}

pub(crate) fn item(path: TreePath, kind: RecordKind) -> Item {
    Item::Entry(Record { path, meta: Meta::default(), kind })
}

/// A link's place in the chain of its device.
#[derive(Clone, Copy)]
pub(crate) struct Chained {
    pub(crate) archive: ArchiveId,
    pub(crate) seq: u64,
    pub(crate) previous: Option<[u8; 32]>,
}

/// What a retention record gives up beside versions, and what stands in for it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Removed<'a> {
    pub(crate) dropped: &'a [[u8; 32]],
    pub(crate) segments: &'a [u64],
    pub(crate) blocks: &'a [(ByteVec, u32, ByteVec)],
}

/// The clear part of a retention record that forgets these versions of its own device.
pub(crate) fn retention_clear(
    what: &str,
    version: u8,
    device: [u8; 32],
    place: Chained,
    forgotten: &[(u64, [u8; 32])],
    removed: Removed<'_>,
) -> Vec<u8> {
    let device = || bytes(device);
    let forgotten: Vec<_> = forgotten.iter().map(|(seq, digest)| (device(), *seq, bytes(digest))).collect();
    let dropped: Vec<_> = removed.dropped.iter().map(bytes).collect();
    let previous = place.previous.map(bytes);
    let archive = bytes(place.archive.0);
    let Removed { segments, blocks, .. } = removed;
    cbor::encode(&(what, version, archive, device(), place.seq, previous, forgotten, dropped, segments, blocks))
}

pub(crate) fn signed_retention(clear: &[u8]) -> Vec<u8> {
    pair(clear, &device().sign(labels::SIGN_RETENTION, clear))
}

/// The same signature modulo the order of the group: only the lesser scalar is canonical (GEN-24).
pub(crate) fn with_another_scalar(mut signature: Vec<u8>) -> Vec<u8> {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut carry = 0;
    for (byte, order) in signature[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        [*byte, _] = sum.to_le_bytes();
        carry = sum >> 8;
    }
    signature
}
