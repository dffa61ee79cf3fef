//! Files into memory: read, cut into chunks, named. Many threads work here at a time.
//!
//! Short files are read many in a batch. A long one is read in *parts* of a batch each, several of them at a time: each thread looks
//! for the cuts in its own part, and only where the chunk lies that goes on from the part before is handed over from one part to the
//! next, before the chunks are named.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};

use super::group::Pool;
use super::{Closed, Files, Plan, Planned};
use crate::chunker::{Chunker, KeyedChunker, WINDOW_BYTES};
use crate::error::ArchiveError;
use crate::id::ChunkId;
use crate::keys::ArchiveKeys;
use crate::limits::{CHUNK_MAX_BYTES, CHUNK_MIN_BYTES};
use crate::tree::{Entry, decode_one};

/// The most content in a batch, but for a file that is longer than it was; and the length of a part. In bytes.
const BATCH_BYTES: usize = 2 * 1024 * 1024;
/// The most entries in a batch.
const BATCH_ENTRIES: usize = 512;

/// A long file, whose parts are read one by one.
pub(super) struct Long<F, O> {
    file: Arc<F>,
    open: OnceLock<io::Result<O>>,
    relay: Relay,
}

/// What goes from one part of a long file to the next.
#[derive(Default)]
struct Baton {
    /// The number of the part whose turn it is.
    part: u64,
    /// The chunk that is not complete: less than a longest chunk.
    tail: Vec<u8>,
    /// Bytes of the file that were read.
    read: u64,
    failed: Option<io::Error>,
}

/// Where the baton of a long file is.
enum Held {
    Free(Baton),
    Taken,
    /// A thread panicked whose turn was still to come, or had come: nobody waits for it.
    Lost,
}

struct Relay {
    held: Mutex<Held>,
    changed: Condvar,
}

impl Relay {
    fn start() -> Self {
        Relay { held: Mutex::new(Held::Free(Baton::default())), changed: Condvar::new() }
    }

    fn put(&self, held: Held) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = held;
        self.changed.notify_all();
    }
}

/// The turn of a part, from before it is read until the baton was passed on.
struct Turn<'a> {
    relay: &'a Relay,
    part: u64,
}

impl Turn<'_> {
    /// Waits until it has come; none if it never will. The parts before were planned earlier and are being read, or were.
    fn take(&self) -> Option<Baton> {
        let mut held = self.relay.held.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match std::mem::replace(&mut *held, Held::Taken) {
                Held::Free(baton) if baton.part == self.part => return Some(baton),
                Held::Lost => {
                    *held = Held::Lost;
                    return None;
                }
                other => *held = other,
            }
            held = self.relay.changed.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn pass(self, mut baton: Baton) {
        baton.part += 1;
        self.relay.put(Held::Free(baton));
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.relay.put(Held::Lost);
        }
    }
}

/// What one thread reads at a time.
pub(super) enum Task<F, O> {
    /// Short files and what is not read at all.
    Short(Vec<Planned<F>>),
    /// A part of a long file.
    Part { long: Arc<Long<F, O>>, part: u64, last: bool },
}

/// The parts of a long file that are not planned yet.
struct Parts<F, O> {
    long: Arc<Long<F, O>>,
    next: u64,
    all: u64,
}

/// Divides a plan into tasks.
pub(super) struct Planner<P: Plan, O> {
    plan: P,
    /// What was asked for and did not fit any more.
    held: Option<Planned<P::File>>,
    parts: Option<Parts<P::File, O>>,
}

impl<P: Plan, O> Planner<P, O> {
    pub(super) fn new(plan: P) -> Self {
        Planner { plan, held: None, parts: None }
    }

    pub(super) fn next(&mut self) -> Option<Task<P::File, O>> {
        if let Some(task) = self.next_part() {
            return Some(task);
        }
        let mut batch = Vec::new();
        let mut bytes = 0;
        while batch.len() < BATCH_ENTRIES {
            let Some(planned) = self.held.take().or_else(|| self.plan.next()) else { break };
            let size = match &planned {
                Planned::File { size, .. } => *size,
                _ => 0,
            };
            if bytes + size > BATCH_BYTES as u64 && !batch.is_empty() {
                self.held = Some(planned);
                break;
            }
            match planned {
                Planned::File { file, size } if size > BATCH_BYTES as u64 => {
                    let long = Long { file: Arc::new(file), open: OnceLock::new(), relay: Relay::start() };
                    self.parts =
                        Some(Parts { long: Arc::new(long), next: 0, all: size.div_ceil(BATCH_BYTES as u64) });
                    if batch.is_empty() {
                        return self.next_part();
                    }
                    break;
                }
                planned => batch.push(planned),
            }
            bytes += size;
        }
        (!batch.is_empty()).then_some(Task::Short(batch))
    }

    fn next_part(&mut self) -> Option<Task<P::File, O>> {
        let Parts { long, next, all } = self.parts.take()?;
        let last = next + 1 == all;
        if !last {
            self.parts = Some(Parts { long: Arc::clone(&long), next: next + 1, all });
        }
        Some(Task::Part { long, part: next, last })
    }
}

/// What was read of an entry.
pub(super) enum Piece<F> {
    Entry(Entry),
    Known {
        file: F,
        items: Vec<u8>,
        entry: Result<Entry, ArchiveError>,
    },
    /// A whole file.
    File {
        file: Arc<F>,
        closed: Closed,
        chunks: Range<usize>,
    },
    /// A part of a long file; with its last part the file is whole.
    Part {
        chunks: Range<usize>,
        last: Option<(Arc<F>, Closed)>,
    },
    LeftOut {
        file: Arc<F>,
        error: io::Error,
    },
}

/// Memory for content and its chunks.
#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
    /// Where the bytes end that mean something; the rest is kept as it is.
    end: usize,
    chunks: Vec<(ChunkId, Range<usize>)>,
}

impl Buffer {
    /// Room for that many bytes after what there is.
    fn room(&mut self, length: usize) -> &mut [u8] {
        if self.bytes.len() < self.end + length {
            self.bytes.resize(self.end + length, 0);
        }
        &mut self.bytes[self.end..self.end + length]
    }
}

/// What was read in one go.
pub(super) struct Batch<F> {
    pieces: Vec<Piece<F>>,
    buffer: Buffer,
}

impl<F> Batch<F> {
    pub(super) fn pieces(&self) -> &[Piece<F>] {
        &self.pieces
    }

    pub(super) fn chunks(&self, range: &Range<usize>) -> impl Iterator<Item = (ChunkId, &[u8])> {
        self.buffer.chunks[range.clone()].iter().map(|(id, range)| (*id, &self.buffer.bytes[range.clone()]))
    }
}

/// Reads tasks.
pub(super) struct Reader {
    keys: Arc<ArchiveKeys>,
    chunker: KeyedChunker,
    buffers: Pool<Buffer>,
}

impl Reader {
    pub(super) fn new(keys: &Arc<ArchiveKeys>) -> Self {
        Reader { keys: Arc::clone(keys), chunker: KeyedChunker::new(keys), buffers: Pool::default() }
    }

    /// Takes the memory of a batch back.
    pub(super) fn reuse<F>(&self, batch: Batch<F>) {
        let mut buffer = batch.buffer;
        buffer.end = 0;
        buffer.chunks.clear();
        self.buffers.give(buffer);
    }

    pub(super) fn read<F: Files>(&self, files: &F, task: Task<F::File, F::Open>) -> Batch<F::File> {
        let mut buffer = self.buffers.take();
        let pieces = match task {
            Task::Short(batch) => batch.into_iter().map(|planned| self.short(files, planned, &mut buffer)).collect(),
            Task::Part { long, part, last } => self.part(files, &long, part, last, &mut buffer).into_iter().collect(),
        };
        Batch { pieces, buffer }
    }

    fn short<F: Files>(&self, files: &F, planned: Planned<F::File>, buffer: &mut Buffer) -> Piece<F::File> {
        let (file, size) = match planned {
            Planned::Entry(entry) => return Piece::Entry(entry),
            Planned::Known { file, items } => {
                let entry = decode_one(&items);
                return Piece::Known { file, items, entry };
            }
            Planned::File { file, size } => (file, size as usize),
        };
        let start = buffer.end;
        let read = files.open(&file).and_then(|open| {
            let length = read_short(files, &open, size, buffer)?;
            Ok(files.close(&file, &open, length as u64))
        });
        let file = Arc::new(file);
        match read {
            Ok(closed) => {
                let first = buffer.chunks.len();
                self.cut(start, buffer);
                Piece::File { file, closed, chunks: first..buffer.chunks.len() }
            }
            Err(error) => {
                buffer.end = start;
                Piece::LeftOut { file, error }
            }
        }
    }

    /// Cuts and names what lies in the buffer from a place on: a whole file.
    fn cut(&self, start: usize, buffer: &mut Buffer) {
        let mut start = start;
        while start < buffer.end {
            let length = self.chunker.first_cut(&buffer.bytes[start..buffer.end]);
            self.name(start..start + length, buffer);
            start += length;
        }
    }

    fn name(&self, range: Range<usize>, buffer: &mut Buffer) {
        let id = self.keys.current().chunk_id(&buffer.bytes[range.clone()]);
        buffer.chunks.push((id, range));
    }

    fn part<F: Files>(
        &self,
        files: &F,
        long: &Long<F::File, F::Open>,
        part: u64,
        last: bool,
        buffer: &mut Buffer,
    ) -> Option<Piece<F::File>> {
        let turn = Turn { relay: &long.relay, part };
        // Room in front for the chunk that goes on from the part before.
        buffer.room(CHUNK_MAX_BYTES);
        buffer.end = CHUNK_MAX_BYTES;
        let read = match long.open.get_or_init(|| files.open(&long.file)) {
            Ok(open) => read_part(files, open, part, buffer),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        };
        let mut cuts = Vec::new();
        self.chunker.cuts(&buffer.bytes[CHUNK_MAX_BYTES..buffer.end], 0, &mut cuts);

        let mut baton = turn.take()?;
        match read {
            Ok(length) => baton.read += length as u64,
            Err(error) => {
                baton.failed.get_or_insert(error);
            }
        }
        if last && let Some(error) = baton.failed.take() {
            turn.pass(baton);
            return Some(Piece::LeftOut { file: Arc::clone(&long.file), error });
        }
        if baton.failed.is_some() {
            turn.pass(baton);
            return None;
        }
        let size = baton.read;
        let start = CHUNK_MAX_BYTES - baton.tail.len();
        buffer.bytes[start..CHUNK_MAX_BYTES].copy_from_slice(&baton.tail);
        let cuts = self.all_cuts(start, &cuts, buffer);
        let (ranges, rest) = chunk_ranges(start, buffer.end, &cuts, last);
        baton.tail.clear();
        baton.tail.extend_from_slice(&buffer.bytes[rest..buffer.end]);
        turn.pass(baton);

        ranges.into_iter().for_each(|range| self.name(range, buffer));
        let last = last.then(|| match long.open.get() {
            Some(Ok(open)) => (Arc::clone(&long.file), files.close(&long.file, open, size)),
            _ => unreachable!("it was read"),
        });
        Some(Piece::Part { chunks: 0..buffer.chunks.len(), last })
    }

    /// Cuts of the part, as places in the buffer, with those whose windows begin in the part before.
    fn all_cuts(&self, start: usize, cuts: &[usize], buffer: &Buffer) -> Vec<usize> {
        let from = start.max(CHUNK_MAX_BYTES - (WINDOW_BYTES - 1));
        let to = buffer.end.min(CHUNK_MAX_BYTES + WINDOW_BYTES - 1);
        let mut all = Vec::with_capacity(cuts.len() + 1);
        self.chunker.cuts(&buffer.bytes[from..to], 0, &mut all);
        all.iter_mut().for_each(|cut| *cut += from);
        all.extend(cuts.iter().map(|cut| cut + CHUNK_MAX_BYTES));
        all
    }
}

/// Reads a short file whole. One byte more than it had is asked for, so that one call also finds its end.
fn read_short<F: Files>(files: &F, open: &F::Open, size: usize, buffer: &mut Buffer) -> io::Result<usize> {
    let start = buffer.end;
    loop {
        let had = buffer.end - start;
        let room = if had <= size { size + 1 - had } else { CHUNK_MAX_BYTES };
        match files.read_at(open, had as u64, buffer.room(room))? {
            0 => return Ok(had),
            // A file without a size may have content, and a file may grow; not for ever.
            _ if had > BATCH_BYTES => return Ok(had),
            read => buffer.end += read,
        }
        if buffer.end - start == size && room == size + 1 - had {
            return Ok(size);
        }
    }
}

/// Reads a part of a long file, or what is left of it.
fn read_part<F: Files>(files: &F, open: &F::Open, part: u64, buffer: &mut Buffer) -> io::Result<usize> {
    let start = buffer.end;
    while buffer.end - start < BATCH_BYTES {
        let had = buffer.end - start;
        let offset = part * BATCH_BYTES as u64 + had as u64;
        match files.read_at(open, offset, buffer.room(BATCH_BYTES - had))? {
            0 => break,
            read => buffer.end += read,
        }
    }
    Ok(buffer.end - start)
}

/// The chunks between `start`, where one begins, and `end`, given every cut in between in ascending order; and where the chunk
/// begins that is not complete. At the end of a stream there is none.
fn chunk_ranges(start: usize, end: usize, cuts: &[usize], ended: bool) -> (Vec<Range<usize>>, usize) {
    let mut ranges = Vec::new();
    let mut start = start;
    let mut cuts = cuts.iter().copied().peekable();
    while start < end {
        while cuts.next_if(|&cut| cut < start + CHUNK_MIN_BYTES).is_some() {}
        let longest = start + CHUNK_MAX_BYTES;
        let next = match cuts.peek() {
            Some(&cut) if cut <= longest => cut,
            _ if end >= longest => longest,
            _ if ended => end,
            _ => break,
        };
        ranges.push(start..next);
        start = next;
    }
    (ranges, start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_keep_to_the_limits() {
        let (min, max) = (CHUNK_MIN_BYTES, CHUNK_MAX_BYTES);
        let cuts = [5, min - 1, min, min + 9, 3 * min, 3 * min + max];
        assert_eq!(
            chunk_ranges(0, 4 * min + max, &cuts, false),
            (vec![0..min, min..3 * min, 3 * min..3 * min + max], 3 * min + max)
        );
        let (longest, last) = (0..max, 7..9);
        assert_eq!(chunk_ranges(0, max, &[], false), (vec![longest], max));
        assert_eq!(chunk_ranges(0, max - 1, &[], false), (vec![], 0));
        assert_eq!(chunk_ranges(7, 9, &[8], true), (vec![last], 9));
        assert_eq!(chunk_ranges(0, 0, &[], true), (vec![], 0));
    }
}
