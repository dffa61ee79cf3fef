//! Blocks: chunks gathered, compressed together, padded, sealed (brief §3, F1, F5).
//!
//! ```text
//! block  = header ‖ seal_once(seal key, "seal/block", header, padded)
//! header = "BLEB" ‖ version ‖ suite ‖ form ‖ archive (16) ‖ epoch (8) ‖ padded length (4)
//! padded = stored length (4) ‖ plain length (4) ‖ stored ‖ zeros up to the Padmé length
//! stored = plain, or its zstd frame where that is shorter
//! plain  = count (4) ‖ count × { chunk id (32) ‖ length (4) } ‖ chunks
//! ```
//!
//! Numbers are big-endian. The id of a block is the salt that `seal_once` drew, its first 32 bytes behind the header.

use bailee_core::crypto::labels::SEAL_BLOCK;
use bailee_core::crypto::seal::{self, OVERHEAD_BYTES, SALT_BYTES};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::bytes::Bytes;
use crate::error::{ArchiveError, Part};
use crate::id::{ArchiveId, BlockId, ChunkId};
use crate::keys::ArchiveKeys;
use crate::limits::{BLOCK_CHUNKS, BLOCK_CONTENT_BYTES, BLOCK_PLAIN_BYTES};

/// The version of the block format.
pub const BLOCK_VERSION: u8 = 1;
/// The suite: HKDF-SHA-256, AES-256-GCM, keyed BLAKE3, zstd.
pub const SUITE: u8 = 1;
/// Bytes of a block's header.
pub const BLOCK_HEADER_BYTES: usize = 35;
/// The zstd level at which blocks are written.
pub const ZSTD_LEVEL: i32 = 3;

const MAGIC: [u8; 4] = *b"BLEB";
const LENGTHS_BYTES: usize = 8;
const TABLE_ROW_BYTES: usize = 36;

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

/// What is readable of a block without a key; all of it is bound by the seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockHeader {
    /// How the content is stored.
    pub form: Form,
    /// The archive that the block is of.
    pub archive: ArchiveId,
    /// The key epoch.
    pub epoch: u64,
    /// The padded length of what is sealed, in bytes: a Padmé length.
    pub padded: u32,
}

impl BlockHeader {
    /// The header as it is stored and as it is bound by the seal.
    pub fn encode(&self) -> [u8; BLOCK_HEADER_BYTES] {
        let form = match self.form {
            Form::Raw => 0,
            Form::Zstd => 1,
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
    let form = match form {
        0 => Form::Raw,
        1 => Form::Zstd,
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
    if padme(padded as usize) != padded as usize {
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
    Ok((BlockHeader { form, archive, epoch, padded }, sealed))
}

/// Chunks on their way into a block.
#[derive(Default)]
pub struct Gathered {
    table: Vec<(ChunkId, u32)>,
    content: Vec<u8>,
}

impl Gathered {
    /// Whether a chunk of this length still fits.
    pub fn fits(&self, length: usize) -> bool {
        self.table.len() < BLOCK_CHUNKS && self.content.len() + length <= BLOCK_CONTENT_BYTES
    }

    /// Whether there is nothing to seal.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Adds a chunk and returns its position in the block.
    ///
    /// # Errors
    /// `TooLarge` when it does not fit; ask [`Gathered::fits`] first.
    pub fn push(&mut self, id: ChunkId, chunk: &[u8]) -> Result<u32, ArchiveError> {
        if !self.fits(chunk.len()) {
            return Err(ArchiveError::TooLarge {
                part: Part::Block,
                length: (self.content.len() + chunk.len()) as u64,
                limit: BLOCK_CONTENT_BYTES as u64,
            });
        }
        let position = self.table.len() as u32;
        self.table.push((id, chunk.len() as u32));
        self.content.extend_from_slice(chunk);
        Ok(position)
    }

    /// The ids and lengths, in order.
    pub fn table(&self) -> &[(ChunkId, u32)] {
        &self.table
    }

    fn plain(&self) -> Vec<u8> {
        let mut plain = Vec::with_capacity(4 + self.table.len() * TABLE_ROW_BYTES + self.content.len());
        plain.extend_from_slice(&(self.table.len() as u32).to_be_bytes());
        for (id, length) in &self.table {
            plain.extend_from_slice(&id.0);
            plain.extend_from_slice(&length.to_be_bytes());
        }
        plain.extend_from_slice(&self.content);
        plain
    }
}

/// A block as it is stored.
pub struct SealedBlock {
    /// Its id, drawn while it was sealed.
    pub id: BlockId,
    /// Header and sealed form.
    pub bytes: Vec<u8>,
}

/// The zstd frame, if it is shorter than the plain bytes.
fn compress(plain: &[u8], level: i32) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(plain.len().saturating_sub(1));
    let mut compressor = zstd::bulk::Compressor::new(level).ok()?;
    // An output that would not fit is an error: that is the test for "does not shrink".
    compressor.compress_to_buffer(plain, &mut out).ok()?;
    (out.len() < plain.len()).then_some(out)
}

fn pad(stored: &[u8], plain_length: usize) -> Vec<u8> {
    let mut padded = Vec::with_capacity(padme(LENGTHS_BYTES + stored.len()));
    padded.extend_from_slice(&(stored.len() as u32).to_be_bytes());
    padded.extend_from_slice(&(plain_length as u32).to_be_bytes());
    padded.extend_from_slice(stored);
    padded.resize(padme(padded.len()), 0);
    padded
}

/// Compresses, pads and seals gathered chunks under the current epoch's key. Sealing again gives another block.
pub fn seal_block(
    keys: &ArchiveKeys,
    archive: ArchiveId,
    gathered: &Gathered,
    level: i32,
    rng: &mut dyn CryptoRng,
) -> SealedBlock {
    let plain = Zeroizing::new(gathered.plain());
    let (form, padded) = match compress(&plain, level) {
        Some(frame) => (Form::Zstd, pad(&frame, plain.len())),
        None => (Form::Raw, pad(&plain, plain.len())),
    };
    let padded = Zeroizing::new(padded);
    let header = BlockHeader { form, archive, epoch: keys.current_epoch(), padded: padded.len() as u32 }.encode();
    let sealed = seal::seal_once(keys.current().seal.expose(), SEAL_BLOCK, &header, &padded, rng);
    let mut id = BlockId([0; SALT_BYTES]);
    id.0.copy_from_slice(&sealed[..SALT_BYTES]);
    SealedBlock { id, bytes: [&header[..], &sealed].concat() }
}

/// An opened block: every chunk in it has the content that its id names.
pub struct OpenBlock {
    id: BlockId,
    plain: PlainBlock,
}

impl OpenBlock {
    /// The block's id.
    pub fn id(&self) -> BlockId {
        self.id
    }

    /// The chunk at a position, with its id.
    pub fn chunk(&self, position: u32) -> Option<(ChunkId, &[u8])> {
        self.plain.chunk(position)
    }

    /// The ids and lengths of all chunks, in order.
    pub fn table(&self) -> Vec<(ChunkId, u32)> {
        self.plain.rows.iter().map(|row| (row.id, row.length)).collect()
    }
}

/// Opens a stored block and recomputes the id of every chunk in it.
///
/// # Errors
/// As [`decode_block`] and [`decode_padded`]; besides `WrongArchive`, `UnknownEpoch`, `NotOpened`, `ChunkMismatch`.
pub fn open_block(keys: &ArchiveKeys, archive: ArchiveId, block: &[u8]) -> Result<OpenBlock, ArchiveError> {
    let (header, sealed) = decode_block(block)?;
    if header.archive != archive {
        return Err(ArchiveError::WrongArchive { part: Part::Block, found: header.archive });
    }
    let epoch = keys.of(header.epoch)?;
    let padded = seal::open(epoch.seal.expose(), SEAL_BLOCK, &header.encode(), sealed)
        .map_err(ArchiveError::not_opened(Part::Block))?;
    let plain = decode_padded(header.form, &padded)?;
    for position in 0..plain.rows.len() as u32 {
        if let Some((id, chunk)) = plain.chunk(position)
            && epoch.chunk_id(chunk) != id
        {
            return Err(ArchiveError::ChunkMismatch {});
        }
    }
    Ok(OpenBlock { id: stored_id(sealed)?, plain })
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

fn stored_id(sealed: &[u8]) -> Result<BlockId, ArchiveError> {
    Ok(BlockId(Bytes::new(Part::Block, sealed).array()?))
}

struct Row {
    id: ChunkId,
    offset: usize,
    length: u32,
}

/// The content of a block, parsed. Whether chunks match their ids is not known yet.
pub struct PlainBlock {
    rows: Vec<Row>,
    plain: Zeroizing<Vec<u8>>,
}

impl PlainBlock {
    fn chunk(&self, position: u32) -> Option<(ChunkId, &[u8])> {
        let row = self.rows.get(position as usize)?;
        Some((row.id, self.plain.get(row.offset..row.offset + row.length as usize)?))
    }
}

/// Removes the padding, decompresses within [`BLOCK_PLAIN_BYTES`] and reads the table of chunks.
///
/// # Errors
/// `Truncated`, `TooLarge` (before anything is decompressed), `NotDecompressed`, `Malformed`, `Disagrees`.
pub fn decode_padded(form: Form, padded: &[u8]) -> Result<PlainBlock, ArchiveError> {
    let (stored, plain_length) = unpad(padded)?;
    let plain = match form {
        Form::Raw if stored.len() == plain_length => Zeroizing::new(stored.to_vec()),
        Form::Raw => {
            return Err(ArchiveError::Disagrees {
                what: "plain length of a raw block",
                expected: plain_length as u64,
                found: stored.len() as u64,
            });
        }
        Form::Zstd => decompress(stored, plain_length)?,
    };
    let rows = decode_table(&plain)?;
    Ok(PlainBlock { rows, plain })
}

fn unpad(padded: &[u8]) -> Result<(&[u8], usize), ArchiveError> {
    let malformed = |what| ArchiveError::Malformed { part: Part::Block, what };
    let mut bytes = Bytes::new(Part::Block, padded);
    let stored_length = bytes.u32()? as usize;
    let plain_length = bytes.u32()? as usize;
    if plain_length > BLOCK_PLAIN_BYTES {
        return Err(ArchiveError::TooLarge {
            part: Part::Block,
            length: plain_length as u64,
            limit: BLOCK_PLAIN_BYTES as u64,
        });
    }
    let stored = bytes.take(stored_length)?;
    if padme(LENGTHS_BYTES + stored_length) != padded.len() {
        return Err(malformed("not the padded length of its content"));
    }
    if bytes.rest().iter().any(|&byte| byte != 0) {
        return Err(malformed("the padding is not zero"));
    }
    Ok((stored, plain_length))
}

fn decompress(stored: &[u8], plain_length: usize) -> Result<Zeroizing<Vec<u8>>, ArchiveError> {
    let mut plain = Zeroizing::new(vec![0; plain_length]);
    // The output is a slice of the stated length: a longer frame is an error, never a longer output.
    let written = zstd::bulk::decompress_to_buffer(stored, plain.as_mut_slice());
    if written.ok() != Some(plain_length) {
        return Err(ArchiveError::NotDecompressed {});
    }
    Ok(plain)
}

fn decode_table(plain: &[u8]) -> Result<Vec<Row>, ArchiveError> {
    let mut bytes = Bytes::new(Part::Block, plain);
    let count = bytes.u32()? as usize;
    if count > BLOCK_CHUNKS {
        return Err(ArchiveError::TooLarge { part: Part::Block, length: count as u64, limit: BLOCK_CHUNKS as u64 });
    }
    let mut table = Bytes::new(Part::Block, bytes.take(count * TABLE_ROW_BYTES)?);
    let mut rows = Vec::with_capacity(count);
    let mut offset = plain.len() - bytes.rest().len();
    for _ in 0..count {
        let (id, length) = (ChunkId(table.array()?), table.u32()?);
        rows.push(Row { id, offset, length });
        offset += length as usize;
    }
    if offset != plain.len() {
        return Err(ArchiveError::Disagrees {
            what: "lengths of the chunks of a block",
            expected: offset as u64,
            found: plain.len() as u64,
        });
    }
    Ok(rows)
}
