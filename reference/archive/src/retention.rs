//! Retention records: what a device says may be gone (BAK-14).
//!
//! ```text
//! retention = [ clear: bstr, signature: bstr ]
//! clear     = [ "retention", version, archive, device, seq, previous / null,
//!               forgotten: [* [device, seq, digest]], dropped: [* block], segments: [* number],
//!               blocks: [* [block, length, BLAKE3]] ]
//! ```
//!
//! A retention record is a link of its device's chain like a manifest. *Forgotten* versions are no longer offered, and their
//! manifests may be missing. *Dropped* blocks and *segments* may be missing although manifests list them: what was still needed
//! of them lies in *blocks*, which this record vouches for as a manifest does for its own. Everything in it is readable without
//! a key, so that storage can drop what it names and nothing else.

use bailee_core::cbor;
use bailee_core::crypto::labels::SIGN_RETENTION;
use bailee_core::crypto::sign::{self, Signing};
use minicbor::{Decode, Encode};

use crate::error::{ArchiveError, Part};
use crate::id::{ArchiveId, BlockId, DeviceId, Digest};
use crate::limits::MANIFEST_BYTES;
use crate::manifest::{Listing, MANIFEST_VERSION, check_link, encode_pair, pair};

const RETENTION: &str = "retention";

/// A version that is no longer offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Forgotten {
    /// The device that wrote it.
    #[n(0)]
    pub device: DeviceId,
    /// Its number in the device's chain.
    #[n(1)]
    pub seq: u64,
    /// The digest of its manifest.
    #[n(2)]
    pub digest: Digest,
}

/// What a retention record says.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Retention {
    #[n(0)]
    what: String,
    #[n(1)]
    version: u8,
    /// The archive.
    #[n(2)]
    pub archive: ArchiveId,
    /// The device whose chain this is.
    #[n(3)]
    pub device: DeviceId,
    /// The number in the chain, from 1.
    #[n(4)]
    pub seq: u64,
    /// The digest of the link before it.
    #[n(5)]
    pub previous: Option<Digest>,
    /// Versions that are no longer offered, ascending.
    #[n(6)]
    pub forgotten: Vec<Forgotten>,
    /// Blocks that may be missing, ascending.
    #[n(7)]
    pub dropped: Vec<BlockId>,
    /// Segments that may be missing, ascending.
    #[n(8)]
    pub segments: Vec<u64>,
    /// Blocks that hold what was still needed of the dropped ones, ascending by id.
    #[n(9)]
    pub blocks: Vec<Listing>,
}

/// A link's place in its chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) device: DeviceId,
    pub(crate) seq: u64,
    pub(crate) previous: Option<Digest>,
}

impl Retention {
    /// A record that says nothing yet, at this place of its device's chain.
    pub(crate) fn at(archive: ArchiveId, link: Link) -> Self {
        Retention {
            what: RETENTION.into(),
            version: MANIFEST_VERSION,
            archive,
            device: link.device,
            seq: link.seq,
            previous: link.previous,
            forgotten: Vec::new(),
            dropped: Vec::new(),
            segments: Vec::new(),
            blocks: Vec::new(),
        }
    }

    fn check(&self) -> Result<(), ArchiveError> {
        let malformed = |what| Err(ArchiveError::Malformed { part: Part::Retention, what });
        if self.what != RETENTION {
            return malformed("not a retention record");
        }
        if self.version != MANIFEST_VERSION {
            return Err(ArchiveError::UnsupportedVersion { part: Part::Retention, version: self.version });
        }
        check_link(Part::Retention, self.seq, self.previous)?;
        let ascending = self.forgotten.is_sorted_by(|a, b| a < b)
            && self.dropped.is_sorted_by(|a, b| a < b)
            && self.segments.is_sorted_by(|a, b| a < b)
            && self.blocks.is_sorted_by(|a, b| a.id < b.id);
        if ascending { Ok(()) } else { malformed("a list that is not in ascending order") }
    }

    /// Signs the record, and returns it as it is stored.
    ///
    /// # Errors
    /// What [`decode_retention`] would refuse, and `TooLarge`.
    pub fn sign(&self, device: &Signing) -> Result<Vec<u8>, ArchiveError> {
        self.check()?;
        let clear = cbor::encode(self);
        let record = encode_pair(&clear, &device.sign(SIGN_RETENTION, &clear));
        if record.len() > MANIFEST_BYTES {
            return Err(ArchiveError::TooLarge {
                part: Part::Retention,
                length: record.len() as u64,
                limit: MANIFEST_BYTES as u64,
            });
        }
        Ok(record)
    }
}

/// Reads a retention record and verifies its signature against the device that it names.
///
/// # Errors
/// `Encoding`, `UnsupportedVersion`, `Malformed`, `BadSignature`.
pub fn decode_retention(bytes: &[u8]) -> Result<Retention, ArchiveError> {
    let (clear, signature) = pair(Part::Retention, bytes, MANIFEST_BYTES)?;
    let retention: Retention =
        cbor::decode(&clear, MANIFEST_BYTES).map_err(ArchiveError::encoding(Part::Retention))?;
    retention.check()?;
    let (device, seq) = (retention.device, retention.seq);
    if !sign::verify(&device.0, SIGN_RETENTION, &clear, &signature) {
        return Err(ArchiveError::BadSignature { device, seq });
    }
    Ok(retention)
}

/// Whether the device that a retention record names signed it, whatever its version and its other fields say.
pub(crate) fn is_signed_retention(bytes: &[u8]) -> bool {
    let Ok((clear, signature)) = pair(Part::Retention, bytes, MANIFEST_BYTES) else { return false };
    cbor::decode::<Retention>(&clear, MANIFEST_BYTES)
        .is_ok_and(|retention| sign::verify(&retention.device.0, SIGN_RETENTION, &clear, &signature))
}
