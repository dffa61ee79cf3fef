//! Blocks: chunks gathered, compressed together, padded, sealed (BAK-6, BAK-7, D23).
//!
//! ```text
//! block  = header ‖ seal_once(seal key, "seal/block", header, padded)
//! header = "BLEB" ‖ version ‖ suite ‖ form ‖ archive (16) ‖ epoch (8) ‖ padded length (4)
//! padded = stored length (4) ‖ plain length (4) ‖ stored ‖ zeros up to the Padmé length, if it is padded
//! stored = plain, or its zstd frame, which is shorter
//! plain  = chunks ‖ length of each (4) ‖ count (4)
//! ```
//!
//! Numbers are big-endian. The id of a block is the salt that `seal_once` drew, its first 32 bytes behind the header. Chunk
//! ids are not stored in it: whoever opens a block computes them from the chunks. The table lies behind the chunks, so that
//! a block that does not shrink is sealed where its chunks were gathered.

mod gather;
mod open;
mod sealer;

pub use gather::Gathered;
pub use open::{OpenBlock, PlainBlock, decode_padded, open_block};
pub use sealer::{BlockSealer, SealedBlock};

use bailee_core::crypto::seal::{OVERHEAD_BYTES, ROOM_BYTES};

use crate::bytes::Bytes;
use crate::error::{ArchiveError, Part};
use crate::id::{ArchiveId, BlockId};
use crate::limits::BLOCK_PLAIN_BYTES;
use crate::segment::FRAME_HEAD_BYTES;

/// The version of the block format.
pub const BLOCK_VERSION: u8 = 1;
/// The suite: HKDF-SHA-256, AES-256-GCM, keyed BLAKE3, zstd.
pub const SUITE: u8 = 1;
/// Bytes of a block's header.
pub const BLOCK_HEADER_BYTES: usize = 35;
/// The zstd level at which blocks are written unless told otherwise.
pub const ZSTD_LEVEL: i32 = 3;

const MAGIC: [u8; 4] = *b"BLEB";
const LENGTHS_BYTES: usize = 8;
/// Where the header lies in a record that is being made; the head of the record is in front of it.
const HEADER_AT: usize = FRAME_HEAD_BYTES;
/// Where the lengths lie in a record that is being made, behind header, salt and key tag.
const LENGTHS_AT: usize = HEADER_AT + BLOCK_HEADER_BYTES + ROOM_BYTES;
/// Where the stored bytes lie in a record that is being made.
const STORED_AT: usize = LENGTHS_AT + LENGTHS_BYTES;

/// The shortest block as it is stored, in bytes: header, seal, and two lengths.
pub(crate) const LEAST_BLOCK_BYTES: usize = BLOCK_HEADER_BYTES + OVERHEAD_BYTES + LENGTHS_BYTES;
/// The largest block as it is stored, in bytes.
pub const BLOCK_BYTES: usize = BLOCK_HEADER_BYTES + OVERHEAD_BYTES + padme(LENGTHS_BYTES + BLOCK_PLAIN_BYTES);

/// The Padmé length: at most 12 % more, and only as many different lengths as there are floating-point numbers with a
/// mantissa no longer than their exponent (Nikitin et al., PETS 2019, §4).
pub const fn padme(length: usize) -> usize {
    if length < 2 {
        return length;
    }
    let exponent = length.ilog2();
    let mantissa = exponent.ilog2() + 1;
    let mask = (1usize << (exponent - mantissa)) - 1;
    (length + mask) & !mask
}

/// How the content of a block is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As it is, because it does not shrink.
    Raw,
    /// As one zstd frame.
    Zstd,
}

/// Whether the length of a block is rounded up, so that it says less of the content (BAK-7, D25).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Padding {
    /// Up to the Padmé length.
    #[default]
    Padme,
    /// Not at all: a tenant may prefer the room.
    Exact,
}

impl Padding {
    /// The length that a length is padded to, in bytes.
    pub const fn length(self, length: usize) -> usize {
        match self {
            Padding::Padme => padme(length),
            Padding::Exact => length,
        }
    }
}

/// What is readable of a block without a key; all of it is bound by the seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockHeader {
    /// How the content is stored.
    pub form: Form,
    /// Whether its length is rounded up.
    pub padding: Padding,
    /// The archive that the block is of.
    pub archive: ArchiveId,
    /// The key epoch.
    pub epoch: u64,
    /// The length of what is sealed, in bytes: a Padmé length if it is padded.
    pub padded: u32,
}

impl BlockHeader {
    /// The header as it is stored and as it is bound by the seal.
    pub fn encode(&self) -> [u8; BLOCK_HEADER_BYTES] {
        let form = match (self.form, self.padding) {
            (Form::Raw, Padding::Padme) => 0,
            (Form::Zstd, Padding::Padme) => 1,
            (Form::Raw, Padding::Exact) => 2,
            (Form::Zstd, Padding::Exact) => 3,
        };
        let mut out = [0; BLOCK_HEADER_BYTES];
        out[..4].copy_from_slice(&MAGIC);
        out[4..7].copy_from_slice(&[BLOCK_VERSION, SUITE, form]);
        out[7..23].copy_from_slice(&self.archive.0);
        out[23..31].copy_from_slice(&self.epoch.to_be_bytes());
        out[31..].copy_from_slice(&self.padded.to_be_bytes());
        out
    }
}

/// Splits a stored block into its header and its sealed form, without a key.
///
/// # Errors
/// `Truncated`, `Malformed`, `UnsupportedVersion`, `TooLarge`, and `Disagrees` when the length is not the one stated.
pub fn decode_block(block: &[u8]) -> Result<(BlockHeader, &[u8]), ArchiveError> {
    let malformed = |what| ArchiveError::Malformed { part: Part::Block, what };
    let mut bytes = Bytes::new(Part::Block, block);
    if bytes.array::<4>()? != MAGIC {
        return Err(malformed("not the magic number"));
    }
    let [version, suite, form] = bytes.array()?;
    if version != BLOCK_VERSION {
        return Err(ArchiveError::UnsupportedVersion { part: Part::Block, version });
    }
    if suite != SUITE {
        return Err(malformed("an unknown suite"));
    }
    let (form, padding) = match form {
        0 => (Form::Raw, Padding::Padme),
        1 => (Form::Zstd, Padding::Padme),
        2 => (Form::Raw, Padding::Exact),
        3 => (Form::Zstd, Padding::Exact),
        _ => return Err(malformed("an unknown form")),
    };
    let archive = ArchiveId(bytes.array()?);
    let epoch = bytes.u64()?;
    let padded = bytes.u32()?;
    if block.len() > BLOCK_BYTES {
        return Err(ArchiveError::TooLarge {
            part: Part::Block,
            length: block.len() as u64,
            limit: BLOCK_BYTES as u64,
        });
    }
    if padding.length(padded as usize) != padded as usize {
        return Err(malformed("not a padded length"));
    }
    let sealed = bytes.rest();
    let expected = padded as usize + OVERHEAD_BYTES;
    if sealed.len() != expected {
        return Err(ArchiveError::Disagrees {
            what: "sealed length of a block",
            expected: expected as u64,
            found: sealed.len() as u64,
        });
    }
    Ok((BlockHeader { form, padding, archive, epoch, padded }, sealed))
}

/// The id of a stored block, read from where it lies, without a key.
///
/// # Errors
/// As [`decode_block`].
pub fn block_id(block: &[u8]) -> Result<BlockId, ArchiveError> {
    stored_id(decode_block(block)?.1)
}

/// The id, read off the front of a stored block. The rest of it is checked when the block is opened.
pub(crate) fn peek_id(front: &[u8]) -> Result<BlockId, ArchiveError> {
    stored_id(front.get(BLOCK_HEADER_BYTES..).unwrap_or_default())
}

/// The archive that a stored block names, read off its front.
pub(crate) fn peek_archive(front: &[u8]) -> Option<ArchiveId> {
    let (archive, _) = front.strip_prefix(&MAGIC)?.get(3..)?.split_first_chunk()?;
    Some(ArchiveId(*archive))
}

fn stored_id(sealed: &[u8]) -> Result<BlockId, ArchiveError> {
    Ok(BlockId(Bytes::new(Part::Block, sealed).array()?))
}
