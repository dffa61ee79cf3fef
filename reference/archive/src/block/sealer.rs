//! From gathered chunks to a stored block: compressed, padded, sealed, all in memory that is kept.

use std::io::Cursor;

use bailee_core::crypto::labels::SEAL_BLOCK;
use bailee_core::crypto::seal::{self, AUTH_TAG_BYTES, SALT_BYTES};
use rand_core::CryptoRng;

use super::{
    BLOCK_HEADER_BYTES, BlockHeader, Form, Gathered, HEADER_AT, LENGTHS_AT, LENGTHS_BYTES, Padding, STORED_AT,
};
use crate::error::ArchiveError;
use crate::id::{ArchiveId, BlockId, ChunkId, Digest};
use crate::keys::ArchiveKeys;
use crate::quirks::Quirk;

/// Below this many bytes of content nothing is guessed: zstd is quick there.
const GUESS_FROM_BYTES: usize = 4096;
const SAMPLES: usize = 16;
const SAMPLE_BYTES: usize = 256;

/// Whether content looks like noise, from 16 samples: the sum of the squared counts of byte values.
///
/// For uniformly random bytes it is 69,616 on average with a deviation of about 360; text and code are far above. Below the
/// range are bytes that are more even than chance, such as counters, which do compress. A wrong guess costs room or time, never
/// content.
fn looks_random(content: &[u8]) -> bool {
    if content.len() < GUESS_FROM_BYTES {
        return false;
    }
    let mut counts = [0u32; 256];
    let step = (content.len() - SAMPLE_BYTES) / (SAMPLES - 1);
    for sample in 0..SAMPLES {
        for &byte in &content[sample * step..][..SAMPLE_BYTES] {
            counts[usize::from(byte)] += 1;
        }
    }
    (67_700..71_500).contains(&counts.iter().map(|count| count * count).sum::<u32>())
}

/// A block as it is stored, with room in front for the head of its record.
pub struct SealedBlock {
    /// Its id, drawn while it was sealed.
    pub id: BlockId,
    /// The digest of its stored bytes.
    pub digest: Digest,
    /// The ids of its chunks, in order.
    pub chunks: Vec<ChunkId>,
    pub(crate) record: Vec<u8>,
}

impl SealedBlock {
    /// Header and sealed form.
    pub fn bytes(&self) -> &[u8] {
        &self.record[HEADER_AT..]
    }
}

/// Compresses, pads and seals, block after block.
pub struct BlockSealer {
    compressor: zstd::bulk::Compressor<'static>,
    padding: Padding,
    /// A record to compress into; it goes out with a block, and the buffer of gathered chunks comes in for it.
    spare: Vec<u8>,
}

impl BlockSealer {
    /// A sealer that compresses at this zstd level.
    ///
    /// # Errors
    /// `Compressor`: zstd does not know the level, or has no memory.
    pub fn new(level: i32, padding: Padding) -> Result<Self, ArchiveError> {
        if !zstd::compression_level_range().contains(&level) {
            return Err(ArchiveError::Compressor { level, error: std::io::ErrorKind::InvalidInput.into() });
        }
        let compressor =
            zstd::bulk::Compressor::new(level).map_err(|error| ArchiveError::Compressor { level, error })?;
        Ok(BlockSealer { compressor, padding, spare: Vec::new() })
    }

    /// Compresses, pads and seals gathered chunks under the current epoch's key. Sealing again gives another block.
    ///
    /// `gathered` is empty afterwards.
    pub fn seal(
        &mut self,
        keys: &ArchiveKeys,
        archive: ArchiveId,
        gathered: &mut Gathered,
        rng: &mut dyn CryptoRng,
    ) -> SealedBlock {
        let chunks = gathered.ids().to_vec();
        let noise = looks_random(gathered.content());
        gathered.close();
        let plain_bytes = gathered.record.len() - STORED_AT;
        let shrunk = if noise { None } else { self.compress(&gathered.record[STORED_AT..]) };
        let (form, stored, mut record) = match shrunk {
            Some(length) => (Form::Zstd, length, std::mem::take(&mut self.spare)),
            None => (Form::Raw, plain_bytes, std::mem::take(&mut gathered.record)),
        };
        if form == Form::Raw {
            // What was sealed where it lay goes out; the spare takes its place, so that no memory is asked for.
            gathered.record = std::mem::take(&mut self.spare);
        }
        gathered.clear();
        let padded = self.padding.length(LENGTHS_BYTES + stored);
        record.truncate(STORED_AT + stored);
        record.resize(LENGTHS_AT + padded, 0);
        let header =
            BlockHeader { form, padding: self.padding, archive, epoch: keys.current_epoch(), padded: padded as u32 };
        record[HEADER_AT..][..BLOCK_HEADER_BYTES].copy_from_slice(&header.encode());
        record[LENGTHS_AT..][..4].copy_from_slice(&(stored as u32).to_be_bytes());
        record[LENGTHS_AT + 4..STORED_AT].copy_from_slice(&(plain_bytes as u32).to_be_bytes());
        let key = keys.current().seal.expose();
        if Quirk::BlocksInClear.is_on() {
            rng.fill_bytes(&mut record[HEADER_AT + BLOCK_HEADER_BYTES..][..SALT_BYTES]);
            record.extend_from_slice(&[0; AUTH_TAG_BYTES]);
        } else {
            seal::seal_in_place(key, SEAL_BLOCK, &mut record, HEADER_AT..HEADER_AT + BLOCK_HEADER_BYTES, rng);
        }
        let mut id = BlockId([0; SALT_BYTES]);
        id.0.copy_from_slice(&record[HEADER_AT + BLOCK_HEADER_BYTES..][..SALT_BYTES]);
        let digest = Digest::of_block(&record[HEADER_AT..]);
        SealedBlock { id, digest, chunks, record }
    }

    /// The length of the zstd frame, which lies in `spare`; none if it would not be shorter.
    fn compress(&mut self, plain: &[u8]) -> Option<usize> {
        self.spare.clear();
        self.spare.reserve(STORED_AT + zstd::zstd_safe::compress_bound(plain.len()));
        self.spare.resize(STORED_AT, 0);
        // Written behind what there is, so that the room need not be filled first.
        let mut room = Cursor::new(&mut self.spare);
        room.set_position(STORED_AT as u64);
        let length = self.compressor.compress_to_buffer(plain, &mut room).ok()?;
        (length < plain.len()).then_some(length)
    }

    /// Takes the memory of a block that was written back, for the next one.
    pub fn reuse(&mut self, record: Vec<u8>) {
        if record.capacity() > self.spare.capacity() {
            self.spare = record;
        }
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::{Rng, SeedableRng};

    use super::*;

    #[test]
    fn only_noise_looks_random() {
        let mut noise = vec![0; 1 << 20];
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        for length in [GUESS_FROM_BYTES, 65_536, 1 << 20] {
            rng.fill_bytes(&mut noise);
            assert!(looks_random(&noise[..length]), "{length} random bytes");
        }
        let text: Vec<u8> = include_bytes!("sealer.rs").repeat(8);
        let counter: Vec<u8> = (0..1 << 20).map(|i: u32| i as u8).collect();
        for (what, content) in [("text", &text), ("zeros", &vec![0; 1 << 16]), ("a counter", &counter)] {
            assert!(!looks_random(content), "{what}");
        }
        assert!(!looks_random(&noise[..GUESS_FROM_BYTES - 1]), "too short to tell");
    }
}
