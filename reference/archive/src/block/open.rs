//! From a stored block to its chunks, each check in the order of BAK-6.

use bailee_core::crypto::labels::SEAL_BLOCK;
use bailee_core::crypto::seal;

use super::{BLOCK_HEADER_BYTES, Form, LENGTHS_BYTES, Padding, decode_block, stored_id};
use crate::bytes::Bytes;
use crate::error::{ArchiveError, Part};
use crate::id::{ArchiveId, BlockId, ChunkId};
use crate::keys::ArchiveKeys;
use crate::limits::{BLOCK_CHUNKS, BLOCK_PLAIN_BYTES, CHUNK_MAX_BYTES, FRAME_WINDOW_BYTES};
use crate::quirks::Quirk;

/// An opened block, with the id of every chunk in it.
pub struct OpenBlock {
    id: BlockId,
    epoch: u64,
    ids: Vec<ChunkId>,
    plain: PlainBlock,
}

impl OpenBlock {
    /// The block's id.
    pub fn id(&self) -> BlockId {
        self.id
    }

    /// The key epoch under which it is sealed and its chunks are named.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The chunk at a position, with its id.
    pub fn chunk(&self, position: u32) -> Option<(ChunkId, &[u8])> {
        Some((*self.ids.get(position as usize)?, self.plain.chunk(position)?))
    }

    /// All chunks with their ids, in order.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = (ChunkId, &[u8])> {
        self.ids.iter().copied().zip(self.plain.chunks())
    }

    /// The ids of all chunks, in order.
    pub fn ids(&self) -> &[ChunkId] {
        &self.ids
    }
}

/// Opens a stored block where it lies and computes the id of every chunk in it.
///
/// # Errors
/// As [`decode_block`] and [`decode_padded`]; besides `WrongArchive`, `UnknownEpoch`, `NotOpened`.
pub fn open_block(keys: &ArchiveKeys, archive: ArchiveId, mut block: Vec<u8>) -> Result<OpenBlock, ArchiveError> {
    let (header, sealed) = decode_block(&block)?;
    let id = stored_id(sealed)?;
    if header.archive != archive {
        return Err(ArchiveError::WrongArchive { part: Part::Block, found: header.archive });
    }
    let epoch = keys.of(header.epoch)?;
    let padded = if Quirk::BlocksInClear.is_on() {
        let end = block.len() - seal::AUTH_TAG_BYTES;
        &mut block[BLOCK_HEADER_BYTES + seal::ROOM_BYTES..end]
    } else {
        seal::open_record(epoch.seal.expose(), SEAL_BLOCK, &mut block, BLOCK_HEADER_BYTES)
            .map_err(ArchiveError::not_opened(Part::Block))?
    };
    let plain = decode_padded(header.form, header.padding, padded)?;
    let ids = plain.chunks().map(|chunk| epoch.chunk_id(chunk)).collect();
    Ok(OpenBlock { id, epoch: header.epoch, ids, plain })
}

/// The content of a block, parsed.
pub struct PlainBlock {
    /// Where each chunk ends.
    ends: Vec<usize>,
    plain: Vec<u8>,
}

impl PlainBlock {
    fn chunk(&self, position: u32) -> Option<&[u8]> {
        let position = position as usize;
        let start = if position == 0 { 0 } else { *self.ends.get(position - 1)? };
        self.plain.get(start..*self.ends.get(position)?)
    }

    fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len() as u32).filter_map(|position| self.chunk(position))
    }
}

/// Removes the padding, decompresses within [`BLOCK_PLAIN_BYTES`] and reads the table of chunks.
///
/// # Errors
/// `Truncated`, `TooLarge` (before anything is decompressed), `NotDecompressed`, `Malformed`, `Disagrees`.
pub fn decode_padded(form: Form, padding: Padding, padded: &[u8]) -> Result<PlainBlock, ArchiveError> {
    let (stored, plain_length) = unpad(padding, padded)?;
    let plain = match form {
        Form::Raw if stored.len() == plain_length => stored.to_vec(),
        Form::Raw => {
            return Err(ArchiveError::Disagrees {
                what: "plain length of a raw block",
                expected: plain_length as u64,
                found: stored.len() as u64,
            });
        }
        Form::Zstd => decompress(stored, plain_length)?,
    };
    let ends = decode_table(&plain)?;
    Ok(PlainBlock { ends, plain })
}

fn unpad(padding: Padding, padded: &[u8]) -> Result<(&[u8], usize), ArchiveError> {
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
    if padding.length(LENGTHS_BYTES + stored_length) != padded.len() {
        return Err(malformed("not the padded length of its content"));
    }
    if bytes.rest().iter().any(|&byte| byte != 0) {
        return Err(malformed("the padding is not zero"));
    }
    Ok((stored, plain_length))
}

fn decompress(stored: &[u8], plain_length: usize) -> Result<Vec<u8>, ArchiveError> {
    // One frame, and nothing behind it: decompressing takes any number of them, and passes others over.
    if zstd::zstd_safe::find_frame_compressed_size(stored).ok() != Some(stored.len())
        || window_bytes(stored).is_none_or(|window| window > FRAME_WINDOW_BYTES)
    {
        return Err(ArchiveError::NotDecompressed {});
    }
    let mut plain = vec![0; plain_length];
    // The output is a slice of the stated length: a longer frame is an error, never a longer output.
    let written = zstd::bulk::decompress_to_buffer(stored, plain.as_mut_slice());
    if written.ok() != Some(plain_length) {
        return Err(ArchiveError::NotDecompressed {});
    }
    Ok(plain)
}

/// The window that a frame declares, in bytes (RFC 8878, 3.1.1.1.2); 0 for one that has its content for a window.
///
/// A decoder into one buffer needs none, and the library takes what it can address: without a limit of ours, a frame would open
/// on some machines only.
fn window_bytes(frame: &[u8]) -> Option<u64> {
    const SINGLE_SEGMENT: u8 = 1 << 5;
    if frame.get(4)? & SINGLE_SEGMENT != 0 {
        return Some(0);
    }
    let descriptor = frame.get(5)?;
    let base = 1u64 << (10 + (descriptor >> 3));
    Some(base + base / 8 * u64::from(descriptor & 7))
}

/// Where each chunk ends, from the table behind the chunks.
fn decode_table(plain: &[u8]) -> Result<Vec<usize>, ArchiveError> {
    let truncated = |needed| ArchiveError::Truncated { part: Part::Block, length: plain.len(), needed };
    let (rest, count) = plain.split_last_chunk::<4>().ok_or_else(|| truncated(4))?;
    let count = u32::from_be_bytes(*count) as usize;
    if count > BLOCK_CHUNKS {
        return Err(ArchiveError::TooLarge { part: Part::Block, length: count as u64, limit: BLOCK_CHUNKS as u64 });
    }
    let content = rest.len().checked_sub(4 * count).ok_or_else(|| truncated(4 + 4 * count))?;
    let mut ends = Vec::with_capacity(count);
    let mut end = 0;
    let (lengths, _) = rest[content..].as_chunks::<4>();
    for length in lengths {
        let length = u32::from_be_bytes(*length) as usize;
        if length == 0 || length > CHUNK_MAX_BYTES {
            return Err(ArchiveError::Malformed { part: Part::Block, what: "the length of a chunk" });
        }
        end += length;
        ends.push(end);
    }
    if end != content {
        return Err(ArchiveError::Disagrees {
            what: "lengths of the chunks of a block",
            expected: end as u64,
            found: content as u64,
        });
    }
    Ok(ends)
}
