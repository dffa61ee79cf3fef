//! Chunks on their way into a block, gathered where the block will be sealed.

use super::STORED_AT;
use crate::error::{ArchiveError, Part};
use crate::id::ChunkId;
use crate::limits::{BLOCK_CHUNKS, BLOCK_CONTENT_BYTES, BLOCK_PLAIN_BYTES};

/// Chunks on their way into a block.
pub struct Gathered {
    ids: Vec<ChunkId>,
    lengths: Vec<u32>,
    /// Room for what comes before the chunks in a record, then the chunks.
    pub(super) record: Vec<u8>,
}

impl Default for Gathered {
    fn default() -> Self {
        let mut record = Vec::with_capacity(STORED_AT + BLOCK_CONTENT_BYTES);
        record.resize(STORED_AT, 0);
        Gathered { ids: Vec::new(), lengths: Vec::new(), record }
    }
}

impl Gathered {
    fn content_bytes(&self) -> usize {
        self.record.len() - STORED_AT
    }

    /// Whether a chunk of this length still fits.
    pub fn fits(&self, length: usize) -> bool {
        self.ids.len() < BLOCK_CHUNKS && self.content_bytes() + length <= BLOCK_CONTENT_BYTES
    }

    /// Whether there is nothing to seal.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Adds a chunk and returns its position in the block.
    ///
    /// # Errors
    /// `TooLarge` when it does not fit; ask [`Gathered::fits`] first.
    pub fn push(&mut self, id: ChunkId, chunk: &[u8]) -> Result<u32, ArchiveError> {
        if !self.fits(chunk.len()) {
            return Err(ArchiveError::TooLarge {
                part: Part::Block,
                length: (self.content_bytes() + chunk.len()) as u64,
                limit: BLOCK_CONTENT_BYTES as u64,
            });
        }
        let position = self.ids.len() as u32;
        self.ids.push(id);
        self.lengths.push(chunk.len() as u32);
        self.record.extend_from_slice(chunk);
        Ok(position)
    }

    /// The ids of the chunks, in order.
    pub fn ids(&self) -> &[ChunkId] {
        &self.ids
    }

    /// The chunks alone.
    pub(super) fn content(&self) -> &[u8] {
        &self.record[STORED_AT..]
    }

    /// Writes the table behind the chunks: from here on they are the plain bytes of a block.
    pub(super) fn close(&mut self) {
        self.record.reserve(BLOCK_PLAIN_BYTES - BLOCK_CONTENT_BYTES);
        for length in &self.lengths {
            self.record.extend_from_slice(&length.to_be_bytes());
        }
        self.record.extend_from_slice(&(self.lengths.len() as u32).to_be_bytes());
    }

    /// Forgets everything, and keeps the memory for the next block.
    pub fn clear(&mut self) {
        self.ids.clear();
        self.lengths.clear();
        self.record.truncate(STORED_AT);
        // A sealed record left header and padding here; the room is written again by the next seal.
        self.record.resize(STORED_AT, 0);
    }
}
