//! Where segments lie: a trait, and a store in memory.

use std::collections::BTreeMap;
use std::io;

use crate::hints::SegmentState;
use crate::id::BlockId;

/// Reads numbered segments, for any number of threads at a time.
pub trait ReadStore: Send + Sync {
    /// The numbers of the segments, ascending.
    ///
    /// # Errors
    /// What the medium said.
    fn list(&self) -> io::Result<Vec<u64>>;

    /// The length of a segment, in bytes.
    ///
    /// # Errors
    /// What the medium said; `NotFound` for no such segment.
    fn length(&self, segment: u64) -> io::Result<u64>;

    /// Fills the buffer from a segment, from an offset on.
    ///
    /// # Errors
    /// What the medium said; `UnexpectedEof` if there is less.
    fn read(&self, segment: u64, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Notes, beside the archive and durably, blocks that are not what they should be. Others may do so at the same time. A
    /// store that keeps no notes does nothing.
    ///
    /// # Errors
    /// What the medium said: then nothing is noted.
    fn suspect(&self, blocks: &[BlockId]) -> io::Result<()> {
        let _ = blocks;
        Ok(())
    }

    /// The blocks that were noted. A hint: anyone may have written it.
    ///
    /// # Errors
    /// What the medium said.
    fn suspects(&self) -> io::Result<Vec<BlockId>> {
        Ok(Vec::new())
    }

    /// What the medium says of a segment without reading it; none if it cannot tell when something changed.
    ///
    /// # Errors
    /// What the medium said; `NotFound` for no such segment.
    fn state(&self, segment: u64) -> io::Result<Option<SegmentState>> {
        let _ = segment;
        Ok(None)
    }

    /// The states of segments as writers left them; none if no writer noted any. A hint, as [`ReadStore::suspects`].
    ///
    /// # Errors
    /// What the medium said.
    fn noted_states(&self) -> io::Result<Option<BTreeMap<u64, SegmentState>>> {
        Ok(None)
    }
}

/// Appends to numbered segments. What was written before a [`Store::sync`] that returned is durable.
pub trait Store: ReadStore {
    /// Keeps every other writer out, for as long as the store lives. Whoever is going to write claims the store before reading what
    /// is there; a store that was not claimed is claimed by the first write. Claiming twice is claiming once.
    ///
    /// # Errors
    /// `WouldBlock` if another writer has it, or what the medium said.
    fn claim(&mut self) -> io::Result<()>;

    /// Makes a segment with this content, durably and at once: after a crash it is there in full or not at all.
    ///
    /// # Errors
    /// What the medium said; `AlreadyExists` if there is such a segment.
    fn create(&mut self, segment: u64, content: &[u8]) -> io::Result<()>;

    /// Appends to a segment. A crash may leave any part of the bytes.
    ///
    /// # Errors
    /// What the medium said.
    fn append(&mut self, segment: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes durable what was appended to a segment.
    ///
    /// # Errors
    /// What the medium said.
    fn sync(&mut self, segment: u64) -> io::Result<()>;

    /// Cuts a segment to this length: only ever a tail that a crash left behind. Durable with the next [`Store::sync`] of
    /// the segment: until then a crash may bring the tail back, or parts of it behind what was appended since.
    ///
    /// # Errors
    /// What the medium said.
    fn cut(&mut self, segment: u64, length: u64) -> io::Result<()>;

    /// Removes segments. When this returns, no crash brings them back.
    ///
    /// # Errors
    /// What the medium said; `NotFound` at the first that there is none of: those before it are removed.
    fn remove(&mut self, segments: &[u64]) -> io::Result<()>;

    /// Takes segments out of the archive without losing what is in them, if the store can: somebody may want to look at them. One that
    /// cannot removes them.
    ///
    /// # Errors
    /// As [`Store::remove`].
    fn set_aside(&mut self, segments: &[u64]) -> io::Result<()> {
        self.remove(segments)
    }

    /// Whether a segment may be appended to.
    fn is_writable(&self, segment: u64) -> bool {
        let _ = segment;
        true
    }

    /// Notes the states of segments as they are now. Nothing relies on it: a note that is lost costs reading again.
    ///
    /// # Errors
    /// What the medium said.
    fn note_states(&mut self, segments: &[u64]) -> io::Result<()> {
        let _ = segments;
        Ok(())
    }

    /// Replaces the notes of [`ReadStore::suspect`].
    ///
    /// # Errors
    /// What the medium said.
    fn set_suspects(&mut self, blocks: &[BlockId]) -> io::Result<()> {
        let _ = blocks;
        Ok(())
    }
}

/// Segments in memory. Everything is durable at once; the segments are open for tests to damage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryStore {
    /// The segments by number.
    pub segments: BTreeMap<u64, Vec<u8>>,
}

fn not_found(segment: u64) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("no segment {segment}"))
}

impl MemoryStore {
    fn segment(&self, segment: u64) -> io::Result<&Vec<u8>> {
        self.segments.get(&segment).ok_or_else(|| not_found(segment))
    }

    fn segment_mut(&mut self, segment: u64) -> io::Result<&mut Vec<u8>> {
        self.segments.get_mut(&segment).ok_or_else(|| not_found(segment))
    }
}

impl ReadStore for MemoryStore {
    fn list(&self) -> io::Result<Vec<u64>> {
        Ok(self.segments.keys().copied().collect())
    }

    fn length(&self, segment: u64) -> io::Result<u64> {
        Ok(self.segment(segment)?.len() as u64)
    }

    fn read(&self, segment: u64, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let bytes = self.segment(segment)?;
        let from = usize::try_from(offset).ok();
        let found = from.and_then(|from| bytes.get(from..from.checked_add(buffer.len())?));
        buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl Store for MemoryStore {
    fn claim(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn create(&mut self, segment: u64, content: &[u8]) -> io::Result<()> {
        if self.segments.contains_key(&segment) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.segments.insert(segment, content.to_vec());
        Ok(())
    }

    fn append(&mut self, segment: u64, bytes: &[u8]) -> io::Result<()> {
        self.segment_mut(segment)?.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self, segment: u64) -> io::Result<()> {
        self.segment(segment).map(|_| ())
    }

    fn cut(&mut self, segment: u64, length: u64) -> io::Result<()> {
        let bytes = self.segment_mut(segment)?;
        bytes.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        Ok(())
    }

    fn remove(&mut self, segments: &[u64]) -> io::Result<()> {
        segments
            .iter()
            .try_for_each(|segment| self.segments.remove(segment).map(|_| ()).ok_or_else(|| not_found(*segment)))
    }
}
