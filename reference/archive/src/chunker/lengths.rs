//! From cuts to chunks.

use crate::limits::{CHUNK_MAX_BYTES, CHUNK_MIN_BYTES};

/// Makes chunks of the cuts of a stream that [`KeyedChunker::cuts`](super::KeyedChunker::cuts) found: a chunk ends at
/// the first cut that leaves it at least [`CHUNK_MIN_BYTES`] long, at [`CHUNK_MAX_BYTES`], or where the stream ends.
/// The chunks are those of [`Chunker::first_cut`](super::Chunker::first_cut).
///
/// Positions are counted in bytes from the start of the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChunkLengths {
    begun: u64,
}

impl ChunkLengths {
    /// At the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where the chunk began that has not ended yet.
    pub fn begun(&self) -> u64 {
        self.begun
    }

    /// Takes the next cuts, ascending, which are all there are up to `searched`; appends the lengths of the chunks
    /// that end by them.
    pub fn advance(&mut self, cuts: impl IntoIterator<Item = u64>, searched: u64, lengths: &mut Vec<usize>) {
        for cut in cuts {
            self.end_longest(cut, lengths);
            if cut.saturating_sub(self.begun) >= CHUNK_MIN_BYTES as u64 {
                self.end_at(cut, lengths);
            }
        }
        self.end_longest(searched, lengths);
    }

    /// Ends the stream at `end`, all cuts up to there taken; appends the length of the last chunk. An empty stream
    /// has none.
    pub fn finish(mut self, end: u64, lengths: &mut Vec<usize>) {
        self.end_longest(end, lengths);
        if self.begun < end {
            self.end_at(end, lengths);
        }
    }

    /// Ends every chunk that is longest by `position`.
    fn end_longest(&mut self, position: u64, lengths: &mut Vec<usize>) {
        while position.saturating_sub(self.begun) >= CHUNK_MAX_BYTES as u64 {
            self.end_at(self.begun + CHUNK_MAX_BYTES as u64, lengths);
        }
    }

    fn end_at(&mut self, position: u64, lengths: &mut Vec<usize>) {
        lengths.push((position - self.begun) as usize);
        self.begun = position;
    }
}
