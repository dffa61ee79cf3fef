//! Content-defined chunks in two stages (brief F4).
//!
//! A public rolling hash over the last 64 bytes *proposes* about one position in 256. A keyed pseudo-random function of
//! those same 64 bytes *decides* which proposals are cuts. Where a cut falls thus depends on 64 bytes and the key alone:
//! content that moves within a file is cut as before, and a cut tells nothing about the key that the function would not
//! tell. What stays visible to whoever sees sealed sizes is discussed in `spec/threat-model.md`: lengths, counts, timing.

use std::io::{self, Read};

use bailee_secret::Secret;

use crate::keys::ArchiveKeys;
use crate::limits::{CHUNK_AVERAGE_BYTES, CHUNK_MAX_BYTES, CHUNK_MIN_BYTES};

/// Says where a stream is cut. A faster engine with the same cut points may stand in for [`KeyedChunker`].
pub trait Chunker {
    /// The length of the first chunk of `data`, which holds at least [`CHUNK_MAX_BYTES`] or all that is left of the
    /// stream and is not empty. At least 1, at most `min(data.len(), CHUNK_MAX_BYTES)`.
    fn first_cut(&self, data: &[u8]) -> usize;
}

/// Bytes before a position that decide whether it is a cut.
pub const WINDOW_BYTES: usize = 64;

/// One position in so many is proposed.
const PROPOSALS_ONE_IN: usize = 256;

/// One proposal in so many is a cut, so that the mean length is the one aimed at.
const CUTS_ONE_IN: u64 = ((CHUNK_AVERAGE_BYTES - CHUNK_MIN_BYTES) / PROPOSALS_ONE_IN) as u64;

/// A proposal whose pseudo-random number is below this is a cut.
const CUT_BELOW: u64 = u64::MAX / CUTS_ONE_IN;

/// Chosen so that no run of one repeated byte is ever proposed (checked below): such runs make longest chunks.
const TABLE_SEED: u64 = 0;

/// The rolling hash's public table: SplitMix64 from [`TABLE_SEED`].
const TABLE: [u64; 256] = {
    let mut table = [0; 256];
    let mut state = TABLE_SEED;
    let mut byte = 0;
    while byte < 256 {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        table[byte] = z ^ (z >> 31);
        byte += 1;
    }
    table
};

const fn proposed(hash: u64) -> bool {
    hash >> 56 == 0
}

const fn roll(hash: u64, byte: u8) -> u64 {
    (hash << 1).wrapping_add(TABLE[byte as usize])
}

const _: () = {
    let mut byte = 0;
    while byte < 256 {
        // 64 equal bytes hash to the sum of TABLE[byte] << i, which is its negation modulo 2^64.
        assert!(!proposed(TABLE[byte].wrapping_neg()), "TABLE_SEED must propose no run of one byte");
        byte += 1;
    }
};

/// The chunker of an archive: cut points under the `chunk` key of the current epoch.
pub struct KeyedChunker {
    key: Secret<32>,
}

impl KeyedChunker {
    /// The chunker of these keys.
    pub fn new(keys: &ArchiveKeys) -> Self {
        let mut key = *keys.current().chunk.expose();
        KeyedChunker { key: Secret::take(&mut key) }
    }

    pub(crate) fn cuts(&self, data: &[u8], from: usize, out: &mut Vec<usize>) {
        let mut hash = 0;
        for (at, &byte) in data.iter().enumerate() {
            hash = roll(hash, byte);
            let cut = at + 1;
            if cut >= from.max(64) && proposed(hash) && self.decides(&data[cut - 64..cut]) {
                out.push(cut);
            }
        }
    }

    pub(crate) fn decides(&self, window: &[u8]) -> bool {
        let number = blake3::keyed_hash(self.key.expose(), window);
        let (first, _) = number.as_bytes().split_first_chunk::<8>().unwrap_or_else(|| unreachable!("32 bytes"));
        u64::from_le_bytes(*first) < CUT_BELOW
    }
}

impl Chunker for KeyedChunker {
    fn first_cut(&self, data: &[u8]) -> usize {
        let end = data.len().min(CHUNK_MAX_BYTES);
        if end <= CHUNK_MIN_BYTES {
            return end;
        }
        let mut hash = 0;
        for &byte in &data[CHUNK_MIN_BYTES - WINDOW_BYTES..CHUNK_MIN_BYTES] {
            hash = roll(hash, byte);
        }
        for cut in CHUNK_MIN_BYTES..end {
            if proposed(hash) && self.decides(&data[cut - WINDOW_BYTES..cut]) {
                return cut;
            }
            hash = roll(hash, data[cut]);
        }
        end
    }
}

/// Cuts a stream that comes in pieces, holding no more of it than [`Cutter::HELD_BYTES`] and one piece.
#[derive(Default)]
pub(crate) struct Cutter {
    buffer: Vec<u8>,
    start: usize,
}

impl Cutter {
    /// How much is read ahead, in bytes.
    const HELD_BYTES: usize = 4 * CHUNK_MAX_BYTES;

    fn held(&self) -> usize {
        self.buffer.len() - self.start
    }

    fn forget_cut(&mut self) {
        self.buffer.drain(..self.start);
        self.start = 0;
    }

    /// Appends bytes to the stream.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.forget_cut();
        self.buffer.extend_from_slice(bytes);
    }

    /// Reads ahead; true at the end of the source.
    pub(crate) fn fill(&mut self, source: &mut dyn Read) -> io::Result<bool> {
        self.forget_cut();
        let wanted = Self::HELD_BYTES.saturating_sub(self.held());
        let read = source.take(wanted as u64).read_to_end(&mut self.buffer)?;
        Ok(read < wanted)
    }

    /// The next chunk; none while more must come first, or after the last chunk of an ended stream.
    pub(crate) fn next(&mut self, chunker: &dyn Chunker, ended: bool) -> Option<&[u8]> {
        let held = self.held();
        if held == 0 || (!ended && held < CHUNK_MAX_BYTES) {
            return None;
        }
        let from = self.start;
        let length = chunker.first_cut(&self.buffer[from..]).clamp(1, held.min(CHUNK_MAX_BYTES));
        self.start = from + length;
        Some(&self.buffer[from..self.start])
    }
}
