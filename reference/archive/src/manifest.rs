//! Manifests, roots and index records: what makes blocks a version (BAK-8, D26).
//!
//! ```text
//! manifest = [ body: bstr, signature: bstr ]
//! body     = [ clear: bstr, root: bstr ]
//! clear    = [ version, archive, device, epoch, seq, previous / null, head / null, [* [block, length, BLAKE3] ] ]
//! root     = seal_once(manifest key, "seal/manifest", clear, Root)
//! Root     = [ time, label, entries, bytes, tree, ? origin ],  origin = [ host, user, machine / null ]
//! index    = [ clear: bstr, sealed: bstr ], sealed likewise under its own clear part
//! ```
//!
//! All of it is canonical CBOR. The device signs `body`; `previous` is the digest of the whole link before, so the manifests
//! and retention records of one device are a chain.

use bailee_core::cbor;
use bailee_core::crypto::labels::{SEAL_MANIFEST, SIGN_MANIFEST};
use bailee_core::crypto::{seal, sign};
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Decoder, Encode, Encoder};
use rand_core::CryptoRng;

use crate::error::{ArchiveError, Part};
use crate::id::{ArchiveId, BlockId, ChunkId, DeviceId, Digest, MachineId};
use crate::keys::ArchiveKeys;
use crate::limits::{BLOCK_CHUNKS, HOST_BYTES, INDEX_BYTES, LABEL_BYTES, MANIFEST_BYTES, USER_BYTES};
use crate::tree::{ChunkRef, Time};

/// The version of manifests, roots and index records.
pub const MANIFEST_VERSION: u8 = 1;

/// A block as a manifest lists it, readable without a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Listing {
    /// Which block.
    #[n(0)]
    pub id: BlockId,
    /// Its stored length, in bytes.
    #[n(1)]
    pub length: u32,
    /// BLAKE3 of its stored bytes.
    #[n(2)]
    pub digest: Digest,
}

/// The part of a manifest that is readable without a key; the seal of the root binds it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Clear {
    /// [`MANIFEST_VERSION`].
    #[n(0)]
    pub version: u8,
    /// The archive.
    #[n(1)]
    pub archive: ArchiveId,
    /// The device whose chain this is.
    #[n(2)]
    pub device: DeviceId,
    /// The key epoch that the root is sealed under.
    #[n(3)]
    pub epoch: u64,
    /// The number in the chain, from 1.
    #[n(4)]
    pub seq: u64,
    /// The digest of the manifest before it in the chain.
    #[n(5)]
    pub previous: Option<Digest>,
    /// The digest of the account's newest head entry, where accounts have one.
    #[n(6)]
    pub head: Option<Digest>,
    /// Every block that the version needs, ascending by id.
    #[n(7)]
    pub blocks: Vec<Listing>,
}

/// What only the holder of the key reads of a version.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Root {
    /// When the version was begun.
    #[n(0)]
    pub time: Time,
    /// What the user calls it, for example the folder's name.
    #[n(1)]
    pub label: ByteVec,
    /// How many entries the tree has.
    #[n(2)]
    pub entries: u64,
    /// The sum of the sizes of all files, in bytes.
    #[n(3)]
    pub bytes: u64,
    /// The chunks of the tree's stream.
    #[n(4)]
    pub tree: Vec<ChunkRef>,
    /// Where it was made; none in a version whose writer did not say. It is the last element, and left out if there is none.
    #[n(5)]
    pub origin: Option<Origin>,
}

/// Where a version was made. It is what the writer says, for people and for grouping: no access depends on it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// The name of the host, 1 to [`HOST_BYTES`] bytes.
    pub host: Vec<u8>,
    /// The name of the user, at most [`USER_BYTES`] bytes.
    pub user: Vec<u8>,
    /// The machine; none if the writer does not know it or has none that lasts.
    pub machine: Option<MachineId>,
}

/// The number of elements of an encoded origin.
const ORIGIN_ELEMENTS: u64 = 3;

impl<C> Encode<C> for Origin {
    fn encode<W: minicbor::encode::Write>(
        &self,
        encoder: &mut Encoder<W>,
        context: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        // By hand: a derived array would leave out a machine that is null.
        encoder.array(ORIGIN_ELEMENTS)?.bytes(&self.host)?.bytes(&self.user)?;
        encoder.encode_with(self.machine, context)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Origin {
    fn decode(decoder: &mut Decoder<'b>, context: &mut C) -> Result<Self, minicbor::decode::Error> {
        if decoder.array()? != Some(ORIGIN_ELEMENTS) {
            return Err(minicbor::decode::Error::message("an origin has three elements").at(decoder.position()));
        }
        let (host, user) = (decoder.bytes()?.to_vec(), decoder.bytes()?.to_vec());
        Ok(Origin { host, user, machine: decoder.decode_with(context)? })
    }
}

#[derive(Encode, Decode)]
struct Pair {
    #[n(0)]
    first: ByteVec,
    #[n(1)]
    second: ByteVec,
}

/// Two byte strings under one limit; the first is decoded, the second is sealed or a signature.
pub(crate) fn pair(part: Part, bytes: &[u8], limit: usize) -> Result<(Vec<u8>, Vec<u8>), ArchiveError> {
    let pair: Pair = cbor::decode(bytes, limit).map_err(ArchiveError::encoding(part))?;
    Ok((pair.first.into(), pair.second.into()))
}

pub(crate) fn encode_pair(first: &[u8], second: &[u8]) -> Vec<u8> {
    cbor::encode(&Pair { first: first.to_vec().into(), second: second.to_vec().into() })
}

/// A manifest. Its signature is not yet verified, its root not yet opened.
pub struct Manifest {
    /// The readable part.
    pub clear: Clear,
    /// What the device signed.
    pub body: Vec<u8>,
    /// The signature.
    pub signature: Vec<u8>,
    /// The digest of the whole manifest: what the next one in the chain refers to.
    pub digest: Digest,
    clear_bytes: Vec<u8>,
    sealed_root: Vec<u8>,
}

fn check_clear(clear: &Clear) -> Result<(), ArchiveError> {
    let malformed = |what| Err(ArchiveError::Malformed { part: Part::Manifest, what });
    if clear.version != MANIFEST_VERSION {
        return Err(ArchiveError::UnsupportedVersion { part: Part::Manifest, version: clear.version });
    }
    check_link(Part::Manifest, clear.seq, clear.previous)?;
    if !clear.blocks.is_sorted_by(|a, b| a.id < b.id) {
        return malformed("the blocks are not in ascending order");
    }
    Ok(())
}

/// The first link of a chain, and only it, has none before it.
pub(crate) fn check_link(part: Part, seq: u64, previous: Option<Digest>) -> Result<(), ArchiveError> {
    if seq == 0 || (seq == 1) != previous.is_none() {
        return Err(ArchiveError::Malformed { part, what: "the first link, and only it, has none before it" });
    }
    Ok(())
}

/// Reads a manifest, without a key.
///
/// # Errors
/// `Encoding`, `UnsupportedVersion`, `Malformed`.
pub fn decode_manifest(bytes: &[u8]) -> Result<Manifest, ArchiveError> {
    let (body, signature) = pair(Part::Manifest, bytes, MANIFEST_BYTES)?;
    let (clear_bytes, sealed_root) = pair(Part::Manifest, &body, MANIFEST_BYTES)?;
    let clear: Clear = cbor::decode(&clear_bytes, MANIFEST_BYTES).map_err(ArchiveError::encoding(Part::Manifest))?;
    check_clear(&clear)?;
    Ok(Manifest { clear, body, signature, digest: Digest::of(bytes), clear_bytes, sealed_root })
}

/// Whether the device that a manifest names signed it, whatever its version and its other fields say.
pub(crate) fn is_signed_manifest(bytes: &[u8]) -> bool {
    let parts = pair(Part::Manifest, bytes, MANIFEST_BYTES)
        .and_then(|(body, signature)| Ok((pair(Part::Manifest, &body, MANIFEST_BYTES)?.0, body, signature)));
    let Ok((clear, body, signature)) = parts else { return false };
    cbor::decode::<Clear>(&clear, MANIFEST_BYTES)
        .is_ok_and(|clear| sign::verify(&clear.device.0, SIGN_MANIFEST, &body, &signature))
}

impl Manifest {
    /// Opens the root.
    ///
    /// # Errors
    /// `UnknownEpoch`, `NotOpened`, and those of [`decode_root`].
    pub fn open_root(&self, keys: &ArchiveKeys) -> Result<Root, ArchiveError> {
        let key = &keys.of(self.clear.epoch)?.manifest;
        let root = seal::open(key.expose(), SEAL_MANIFEST, &self.clear_bytes, &self.sealed_root)
            .map_err(ArchiveError::not_opened(Part::Root))?;
        decode_root(&root)
    }
}

/// Reads the root of a version.
///
/// # Errors
/// `Encoding`, `Malformed`.
pub fn decode_root(bytes: &[u8]) -> Result<Root, ArchiveError> {
    let root: Root = cbor::decode(bytes, MANIFEST_BYTES).map_err(ArchiveError::encoding(Part::Root))?;
    check_root(&root)?;
    Ok(root)
}

fn check_root(root: &Root) -> Result<(), ArchiveError> {
    let what = match root {
        _ if root.time.nanoseconds >= 1_000_000_000 => "a second or more of nanoseconds",
        _ if root.label.len() > LABEL_BYTES => "the label is too long",
        _ if !root.tree.iter().all(ChunkRef::has_a_length) => "the length of a chunk",
        Root { origin: Some(Origin { host, .. }), .. } if host.is_empty() => "a host without a name",
        Root { origin: Some(Origin { host, .. }), .. } if host.len() > HOST_BYTES => {
            "the name of the host is too long"
        }
        Root { origin: Some(Origin { user, .. }), .. } if user.len() > USER_BYTES => {
            "the name of the user is too long"
        }
        _ => return Ok(()),
    };
    Err(ArchiveError::Malformed { part: Part::Root, what })
}

/// Seals and signs a manifest under the current epoch's key, and returns it as it is stored.
///
/// # Errors
/// What [`decode_manifest`] and [`decode_root`] would refuse, and `TooLarge`.
pub fn encode_manifest(
    keys: &ArchiveKeys,
    clear: &Clear,
    root: &Root,
    rng: &mut dyn CryptoRng,
    sign: impl FnOnce(&[u8]) -> Vec<u8>,
) -> Result<Vec<u8>, ArchiveError> {
    check_clear(clear)?;
    check_root(root)?;
    let clear = cbor::encode(clear);
    let sealed = seal::seal_once(keys.current().manifest.expose(), SEAL_MANIFEST, &clear, &cbor::encode(root), rng);
    let body = encode_pair(&clear, &sealed);
    let manifest = encode_pair(&body, &sign(&body));
    if manifest.len() > MANIFEST_BYTES {
        return Err(ArchiveError::TooLarge {
            part: Part::Manifest,
            length: manifest.len() as u64,
            limit: MANIFEST_BYTES as u64,
        });
    }
    Ok(manifest)
}

/// The readable part of an index record; its first field keeps it apart from that of a manifest.
#[derive(Encode, Decode)]
struct IndexClear {
    #[n(0)]
    what: String,
    #[n(1)]
    version: u8,
    #[n(2)]
    archive: ArchiveId,
    #[n(3)]
    epoch: u64,
}

const INDEX: &str = "index";

/// Which chunks a block holds.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct IndexedBlock {
    /// Which block.
    #[n(0)]
    pub id: BlockId,
    /// Its chunks, in order.
    #[n(1)]
    pub chunks: Vec<ChunkId>,
}

/// Seals an index record under the current epoch's key.
pub fn encode_index(
    keys: &ArchiveKeys,
    archive: ArchiveId,
    blocks: &[IndexedBlock],
    rng: &mut dyn CryptoRng,
) -> Vec<u8> {
    let clear = IndexClear { what: INDEX.into(), version: MANIFEST_VERSION, archive, epoch: keys.current_epoch() };
    let clear = cbor::encode(&clear);
    let blocks = cbor::encode(&blocks);
    let sealed = seal::seal_once(keys.current().manifest.expose(), SEAL_MANIFEST, &clear, &blocks, rng);
    encode_pair(&clear, &sealed)
}

/// Opens an index record.
///
/// # Errors
/// `Encoding`, `Malformed`, `UnsupportedVersion`, `WrongArchive`, `UnknownEpoch`, `NotOpened`, and those of
/// [`decode_index`].
pub fn open_index(keys: &ArchiveKeys, archive: ArchiveId, bytes: &[u8]) -> Result<Vec<IndexedBlock>, ArchiveError> {
    let (clear_bytes, sealed) = pair(Part::Index, bytes, INDEX_BYTES)?;
    let clear: IndexClear = cbor::decode(&clear_bytes, INDEX_BYTES).map_err(ArchiveError::encoding(Part::Index))?;
    if clear.what != INDEX {
        return Err(ArchiveError::Malformed { part: Part::Index, what: "not an index record" });
    }
    if clear.version != MANIFEST_VERSION {
        return Err(ArchiveError::UnsupportedVersion { part: Part::Index, version: clear.version });
    }
    if clear.archive != archive {
        return Err(ArchiveError::WrongArchive { part: Part::Index, found: clear.archive });
    }
    let key = &keys.of(clear.epoch)?.manifest;
    let plain = seal::open(key.expose(), SEAL_MANIFEST, &clear_bytes, &sealed)
        .map_err(ArchiveError::not_opened(Part::Index))?;
    decode_index(&plain)
}

/// Reads what an index record seals.
///
/// # Errors
/// `Encoding`, `Malformed`.
pub fn decode_index(bytes: &[u8]) -> Result<Vec<IndexedBlock>, ArchiveError> {
    let blocks: Vec<IndexedBlock> = cbor::decode(bytes, INDEX_BYTES).map_err(ArchiveError::encoding(Part::Index))?;
    if blocks.iter().any(|block| block.chunks.is_empty() || block.chunks.len() > BLOCK_CHUNKS) {
        return Err(ArchiveError::Malformed { part: Part::Index, what: "the number of chunks of a block" });
    }
    Ok(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(origin: Option<Origin>) -> Root {
        let time = Time { seconds: 1, nanoseconds: 2 };
        Root { time, label: b"ab".to_vec().into(), entries: 3, bytes: 4, tree: Vec::new(), origin }
    }

    fn origin(host: usize, user: usize) -> Option<Origin> {
        Some(Origin { host: vec![b'h'; host], user: vec![b'u'; user], machine: None })
    }

    /// Time, label, entries, bytes and tree of [`root`], without the head of the array.
    const FIVE: [u8; 9] = [0x82, 1, 2, 0x42, b'a', b'b', 3, 4, 0x80];

    fn encoded(head: u8, origin: &[u8]) -> Vec<u8> {
        [&[head], &FIVE[..], origin].concat()
    }

    #[test]
    fn a_root_without_origin_has_five_elements() {
        let bytes = encoded(0x85, &[]);
        assert_eq!(cbor::encode(&root(None)), bytes);
        assert_eq!(decode_root(&bytes).unwrap(), root(None));
    }

    #[test]
    fn an_origin_is_the_sixth_and_always_has_three() {
        let unknown = encoded(0x86, &[0x83, 0x41, b'h', 0x40, 0xf6]);
        assert_eq!(cbor::encode(&root(origin(1, 0))), unknown, "a machine that is null is written");
        assert_eq!(decode_root(&unknown).unwrap(), root(origin(1, 0)));
        let known = encoded(0x86, &[&[0x83, 0x41, b'h', 0x41, b'u', 0x50][..], &[7; 16]].concat());
        let machine = Some(MachineId([7; 16]));
        let expected = root(Some(Origin { host: b"h".to_vec(), user: b"u".to_vec(), machine }));
        assert_eq!(cbor::encode(&expected), known);
        assert_eq!(decode_root(&known).unwrap(), expected);
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for (why, origin) in [
            ("an origin that is null is left out", &[0xf6][..]),
            ("two elements", &[0x82, 0x41, b'h', 0x41, b'u']),
            ("four elements", &[0x84, 0x41, b'h', 0x41, b'u', 0xf6, 0xf6]),
            ("an array without a length", &[0x9f, 0x41, b'h', 0x41, b'u', 0xf6, 0xff]),
            ("text for bytes", &[0x83, 0x61, b'h', 0x41, b'u', 0xf6]),
            (
                "a machine of 15 bytes",
                &[0x83, 0x41, b'h', 0x40, 0x4f, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14],
            ),
        ] {
            let refused = decode_root(&encoded(0x86, origin));
            assert!(matches!(refused, Err(ArchiveError::Encoding { part: Part::Root, .. })), "{why}: {refused:?}");
        }
        let more = decode_root(&encoded(0x87, &[0x83, 0x41, b'h', 0x40, 0xf6, 0xf6]));
        assert!(matches!(more, Err(ArchiveError::Encoding { .. })), "a seventh element: {more:?}");
    }

    #[test]
    fn names_of_hosts_and_users_have_limits() {
        for (host, user) in [(1, 0), (HOST_BYTES, USER_BYTES)] {
            assert!(decode_root(&cbor::encode(&root(origin(host, user)))).is_ok(), "{host}, {user}");
        }
        for (host, user) in [(0, 1), (HOST_BYTES + 1, 1), (1, USER_BYTES + 1)] {
            let refused = decode_root(&cbor::encode(&root(origin(host, user))));
            assert!(matches!(refused, Err(ArchiveError::Malformed { part: Part::Root, .. })), "{host}, {user}");
        }
    }
}
