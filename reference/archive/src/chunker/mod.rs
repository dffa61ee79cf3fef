//! Content-defined chunks in two stages (BAK-5, D24).
//!
//! A public function of the last 4 bytes *proposes* about one position in 256 (`proposals`, with a SIMD twin in
//! `simd`). A keyed pseudo-random function of the last 64 bytes *decides* which proposals are cuts (`prf`). Where a
//! cut falls thus depends on 64 bytes and the key alone: content that moves within a file is cut as before, and a cut
//! tells nothing about the key that the function would not tell. What stays visible to whoever sees sealed sizes is
//! discussed in `spec/threat-model.md`: lengths, counts, timing.
//!
//! The cost is that of the first stage, unless content was made to be proposed everywhere: then each position costs
//! four blocks of AES.

mod cutter;
mod lengths;
mod prf;
mod proposals;
#[cfg(target_arch = "x86_64")]
mod simd;
#[cfg(test)]
mod tests;

use std::ops::{ControlFlow, Range};

use bailee_secret::Secret;

pub(crate) use cutter::Cutter;
pub use lengths::ChunkLengths;
use prf::{BATCH, KEY_BYTES, Prf};
use proposals::{Bits, PROPOSAL_BYTES, Propose, STRETCH};

use crate::keys::ArchiveKeys;
use crate::limits::{CHUNK_AVERAGE_BYTES, CHUNK_MAX_BYTES, CHUNK_MIN_BYTES};

/// Says where a stream is cut.
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

/// The chunker of an archive: cuts under the `chunk` key of the current epoch.
pub struct KeyedChunker {
    key: Secret<KEY_BYTES>,
    propose: Propose,
}

impl KeyedChunker {
    /// The chunker of these keys.
    pub fn new(keys: &ArchiveKeys) -> Self {
        Self::under(keys.current().chunk.expose(), proposals::fastest())
    }

    /// The same chunker without SIMD, as on a machine that has none. The cuts are the same.
    pub fn portable(keys: &ArchiveKeys) -> Self {
        Self::under(keys.current().chunk.expose(), proposals::portable)
    }

    fn under(subkey: &[u8; 32], propose: Propose) -> Self {
        let mut key = *subkey.first_chunk().unwrap_or_else(|| unreachable!("32 bytes"));
        KeyedChunker { key: Secret::take(&mut key), propose }
    }

    /// Whether these bytes are the window of a cut, proposed or not.
    pub fn decides(&self, window: &[u8; WINDOW_BYTES]) -> bool {
        let [number, ..] = Prf::new(&self.key).numbers(&[window]);
        number < CUT_BELOW
    }

    /// Appends to `out`, ascending, every position in `max(from, 64)..=data.len()` that is a cut by the 64 bytes of
    /// `data` before it, whatever the least and greatest length of a chunk. The position behind the last byte counts
    /// as any other: what follows has no say. [`ChunkLengths`] makes chunks of it.
    ///
    /// So a stream can be searched in parts: let the next part begin 64 bytes before the end of the last one, and go
    /// on from 65.
    pub fn cuts(&self, data: &[u8], from: usize, out: &mut Vec<usize>) {
        let _ = self.search(data, from.max(WINDOW_BYTES)..data.len() + 1, |cut| {
            out.push(cut);
            ControlFlow::Continue(())
        });
    }

    /// Tells `found` of the cuts at these positions of `data`, ascending, until it has enough. No position is below
    /// [`WINDOW_BYTES`].
    fn search(
        &self,
        data: &[u8],
        positions: Range<usize>,
        mut found: impl FnMut(usize) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        if positions.is_empty() {
            return ControlFlow::Continue(());
        }
        let prf = Prf::new(&self.key);
        let mut batch = Batch::default();
        let mut bits: Bits = [0; STRETCH / 64];
        let mut at = positions.start;
        while at < positions.end {
            let looked_at = (self.propose)(&data[at - PROPOSAL_BYTES..positions.end - 1], &mut bits);
            for (word, base) in bits.iter().zip((at..).step_by(64)) {
                let mut word = *word;
                while word != 0 {
                    batch.push(base + word.trailing_zeros() as usize);
                    word &= word - 1;
                    if batch.count == BATCH {
                        batch.decide(&prf, data, &mut found)?;
                    }
                }
            }
            at += looked_at;
        }
        batch.decide(&prf, data, &mut found)
    }
}

/// Proposals that wait for their decision together.
#[derive(Default)]
struct Batch {
    positions: [usize; BATCH],
    count: usize,
}

impl Batch {
    /// Room is left: a full batch is decided at once.
    fn push(&mut self, position: usize) {
        self.positions[self.count] = position;
        self.count += 1;
    }

    /// Tells `found` of the cuts among the proposals, and is empty again.
    fn decide(&mut self, prf: &Prf, data: &[u8], mut found: impl FnMut(usize) -> ControlFlow<()>) -> ControlFlow<()> {
        let positions = &self.positions[..std::mem::take(&mut self.count)];
        let mut windows = [&[0; WINDOW_BYTES]; BATCH];
        for (window, position) in windows.iter_mut().zip(positions) {
            *window = data[..*position].last_chunk().unwrap_or_else(|| unreachable!("no position is below 64"));
        }
        let numbers = prf.numbers(&windows[..positions.len()]);
        for (position, _) in positions.iter().zip(numbers).filter(|(_, number)| *number < CUT_BELOW) {
            found(*position)?;
        }
        ControlFlow::Continue(())
    }
}

impl Chunker for KeyedChunker {
    fn first_cut(&self, data: &[u8]) -> usize {
        let end = data.len().min(CHUNK_MAX_BYTES);
        let mut first = end;
        let _ = self.search(data, CHUNK_MIN_BYTES..end, |cut| {
            first = cut;
            ControlFlow::Break(())
        });
        first
    }
}
