//! Chunks of a stream that comes in pieces.

use std::io::{self, Read};

use super::Chunker;
use crate::limits::CHUNK_MAX_BYTES;

/// Cuts a stream that is read piece by piece, holding no more of it than [`Cutter::HELD_BYTES`].
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
