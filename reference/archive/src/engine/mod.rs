//! Backing up: from a plan of what there is to sealed blocks and a signed manifest, on as many threads as there are.
//!
//! ```text
//! plan     what comes next, in the order of paths        whoever backs up: a folder is walked
//! read     content into memory, cut into chunks, named    `read`
//! sequence what is new, in which block; the tree          `sequence`
//! seal     compressed, padded, encrypted                  `crate::block`
//! append   into the segments, in order                    `append`
//! ```
//!
//! `bailee_pipeline` hands the work from stage to stage.

pub(crate) mod append;
pub(crate) mod group;
mod read;
pub(crate) mod sequence;

use std::io;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bailee_core::crypto::sign::Signing;
use bailee_pipeline::{Seats, Stages};

use crate::archive::Archive;
use crate::block::{BlockSealer, Padding, ZSTD_LEVEL};
use crate::commit::Commit;
use crate::error::ArchiveError;
use crate::id::ArchiveId;
use crate::keys::ArchiveKeys;
use crate::limits::SEGMENT_BYTES;
use crate::manifest::Origin;
use crate::path::TreePath;
use crate::random::Randomness;
use crate::store::Store;
use crate::tree::{Content, Entry, EntryKind, Meta, Time};
use append::Appender;
use group::{Group, Pools, SealedGroup};
use read::{Batch, Piece, Planner, Reader};
use sequence::{Sequencer, Stream};

/// What is to be backed up, in the order of paths: the root directory first, then depth first, names by their bytes. One thread at
/// a time asks.
pub trait Plan: Send {
    /// What it takes to read a file, and to make its entry.
    type File: Send + Sync;

    /// What comes next; none at the end.
    fn next(&mut self) -> Option<Planned<Self::File>>;
}

/// What comes next in a plan.
pub enum Planned<F> {
    /// An entry without content of its own: a directory, a link, a device …
    Entry(Entry),
    /// A file that is to be read.
    File {
        /// The file.
        file: F,
        /// Its length when the plan was made, in bytes. It is not read beyond that if it is long.
        size: u64,
    },
    /// A file that did not change since an earlier version of this archive. It is not read.
    Known {
        /// The file.
        file: F,
        /// Its items, as that version wrote them and [`Journal::stored`] heard of them.
        items: Vec<u8>,
    },
}

/// Reads files. Many threads call at a time, also for different parts of one long file.
pub trait Files: Sync {
    /// What it takes to read a file, and to make its entry.
    type File: Send + Sync;
    /// An open file.
    type Open: Send + Sync;

    /// Opens a file.
    ///
    /// # Errors
    /// What the system said: the file is left out.
    fn open(&self, file: &Self::File) -> io::Result<Self::Open>;

    /// Reads from an offset on, and says how many bytes; 0 only at the end of the file.
    ///
    /// # Errors
    /// What the system said: the file is left out.
    fn read_at(&self, open: &Self::Open, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// What the entry needs beside the content, after that was read.
    fn close(&self, file: &Self::File, open: &Self::Open, size_read: u64) -> Closed;

    /// Where the file is: asked for one that is left out.
    fn path(&self, file: &Self::File) -> TreePath;

    /// Does a little of what the plan will be asked for, and says whether there was anything to do. Threads that have nothing
    /// else to do call it, also while one of them asks the plan.
    fn prepare(&self) -> bool {
        false
    }
}

/// A file that was read, but for its content.
#[derive(Clone, Debug)]
pub struct Closed {
    /// Where it is.
    pub path: TreePath,
    /// Its metadata.
    pub meta: Meta,
    /// It changed while it was read.
    pub changed: bool,
    /// It takes less room than its length: zeros in it are to be holes when it is restored.
    pub sparse: bool,
}

/// Hears what became of everything, in the order of paths. One thread at a time tells.
pub trait Journal: Send {
    /// What it took to read the file.
    type File;

    /// A file is in the version, with these items in its tree.
    fn stored(&mut self, file: &Self::File, items: &[u8]);

    /// A file could not be opened or read: it is not in the version.
    fn left_out(&mut self, file: &Self::File, error: &io::Error);

    /// An entry that no archive can hold, a further name of a file that was left out, or a known file that the archive has lost.
    fn refused(&mut self, path: &TreePath, error: &ArchiveError);
}

/// How far a backup is, for whoever shows it.
#[derive(Debug, Default)]
pub struct Counters {
    /// Entries in the tree so far.
    pub entries: AtomicU64,
    /// Bytes of the content of the files among them, read or known, and of the long one that is being read.
    pub bytes: AtomicU64,
    /// Bytes of content read so far.
    pub read: AtomicU64,
    /// Bytes of it that were new.
    pub new: AtomicU64,
    /// Bytes that were written.
    pub stored: AtomicU64,
}

/// How to back up.
pub struct BackUp<'a> {
    /// Who signs the manifest.
    pub device: &'a Signing,
    /// When the version was begun.
    pub time: Time,
    /// What the user calls it.
    pub label: &'a [u8],
    /// Where it is made, if the version is to say so.
    pub origin: Option<&'a Origin>,
    /// The zstd level.
    pub level: i32,
    /// Whether lengths of blocks are rounded up.
    pub padding: Padding,
    /// How many threads work, the calling one among them.
    pub threads: usize,
    /// The size at which a segment is closed, in bytes.
    pub segment_bytes: u64,
    /// Where salts come from.
    pub random: &'a dyn Randomness,
    /// Where it says how far it is.
    pub counters: &'a Counters,
}

impl<'a> BackUp<'a> {
    /// The usual way: level 3, padded, two threads, no origin.
    pub fn new(device: &'a Signing, time: Time, random: &'a dyn Randomness, counters: &'a Counters) -> Self {
        BackUp {
            device,
            time,
            label: b"",
            origin: None,
            level: ZSTD_LEVEL,
            padding: Padding::default(),
            threads: 2,
            segment_bytes: SEGMENT_BYTES,
            random,
            counters,
        }
    }
}

/// What a backup read and what it stored of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Entries of the tree.
    pub entries: u64,
    /// Bytes of the content of all its files, read or known.
    pub bytes: u64,
    /// Bytes of content that were read.
    pub read: u64,
    /// Bytes that no earlier chunk had, those of the tree included.
    pub new: u64,
    /// Bytes that were written: blocks, index and manifest.
    pub stored: u64,
}

/// The stages of a backup.
struct Engine<'a, P, F, J, S> {
    files: &'a F,
    keys: Arc<ArchiveKeys>,
    archive: ArchiveId,
    pools: Arc<Pools>,
    reader: Reader,
    how: &'a BackUp<'a>,
    seats: SeatsOf<P, J, S>,
}

/// What the seats are made of; an engine holds none of it.
type SeatsOf<P, J, S> = PhantomData<fn() -> (P, J, S)>;

/// The seat of sequencing: what has an order, and who hears of it.
struct Order<'a, J> {
    sequencer: Sequencer,
    journal: &'a mut J,
    /// The content of the long file whose pieces come now.
    long: Content,
    /// The items of the entry that was added last.
    items: Vec<u8>,
}

impl<S: Store> Archive<S> {
    /// Backs up what the plan names as one version. Nothing of it is a version before this returned.
    ///
    /// # Errors
    /// `Misplaced` for a plan without a root, `Compressor`, `TooLarge`, `Store`. Then there is no version; nothing of an earlier
    /// one is touched, and what was stored so far is used by the next backup.
    pub fn back_up<P, F, J>(
        mut self,
        plan: P,
        files: &F,
        journal: &mut J,
        how: &BackUp<'_>,
    ) -> Result<(Archive<S>, Totals), ArchiveError>
    where
        P: Plan,
        F: Files<File = P::File>,
        J: Journal<File = P::File>,
    {
        self.verify_doubtful()?;
        let (mut contents, tail) = self.detach_tail(how.segment_bytes)?;
        let keys = Arc::clone(&contents.keys);
        let pools = Arc::new(Pools::default());
        let engine = Engine {
            files,
            archive: contents.id,
            reader: Reader::new(&keys),
            pools: Arc::clone(&pools),
            how,
            keys: Arc::clone(&keys),
            seats: SeatsOf::<P, J, S>::default(),
        };
        let chunks = std::mem::take(&mut contents.chunks);
        let sequencer = Sequencer::new(Arc::clone(&keys), pools, chunks, contents.blocks.next_number());
        let seats = Seats {
            planner: Planner::new(plan),
            sequencer: Order { sequencer, journal, long: Content::default(), items: Vec::new() },
            appender: Appender::new(tail, keys, how.random),
        };
        let Seats { sequencer: order, appender, .. } = bailee_pipeline::run(&engine, seats, how.threads)?;
        let BackUp { device, time, label, origin, random, .. } = *how;
        let commit = Commit { device, time, label, origin, random };
        let (archive, totals) = commit.commit(contents, order.sequencer, appender)?;
        how.counters.stored.store(totals.stored, Ordering::Relaxed);
        Ok((archive, totals))
    }
}

impl<'a, P, F, J, S> Stages for Engine<'a, P, F, J, S>
where
    P: Plan,
    F: Files<File = P::File>,
    J: Journal<File = P::File> + 'a,
    S: Store,
{
    type Planner = Planner<P, F::Open>;
    type Sequencer = Order<'a, J>;
    type Appender = Appender<'a, S>;
    type Worker = BlockSealer;
    type Plan = read::Task<P::File, F::Open>;
    type Read = read::Batch<P::File>;
    type Group = Group;
    type Sealed = SealedGroup;
    type Error = ArchiveError;

    fn worker(&self) -> Result<BlockSealer, ArchiveError> {
        BlockSealer::new(self.how.level, self.how.padding)
    }

    fn plan(&self, planner: &mut Self::Planner) -> Result<Option<Self::Plan>, ArchiveError> {
        Ok(planner.next())
    }

    fn read(&self, _: &mut BlockSealer, task: Self::Plan) -> Result<Self::Read, ArchiveError> {
        Ok(self.reader.read(self.files, task))
    }

    fn sequence(
        &self,
        order: &mut Order<'a, J>,
        batch: Self::Read,
        groups: &mut Vec<Group>,
    ) -> Result<(), ArchiveError> {
        order.take_in(self.files, &batch, groups)?;
        self.reader.reuse(batch);
        let counted = order.sequencer.counted;
        self.how.counters.entries.store(counted.entries, Ordering::Relaxed);
        // The content of a long file counts before its entry does.
        self.how.counters.bytes.store(counted.bytes + order.long.size, Ordering::Relaxed);
        self.how.counters.read.store(counted.read, Ordering::Relaxed);
        self.how.counters.new.store(counted.new, Ordering::Relaxed);
        Ok(())
    }

    fn finish(&self, order: &mut Order<'a, J>, groups: &mut Vec<Group>) -> Result<(), ArchiveError> {
        order.sequencer.finish(groups)
    }

    fn seal(&self, sealer: &mut BlockSealer, group: Group) -> Result<SealedGroup, ArchiveError> {
        let Group { number, mut gathered } = group;
        sealer.reuse(self.pools.records.take());
        let mut rng = self.how.random.stream(u64::from(number));
        let block = sealer.seal(&self.keys, self.archive, &mut gathered, &mut rng);
        self.pools.gathered.give(gathered);
        Ok(SealedGroup { number, block })
    }

    fn append(&self, appender: &mut Appender<'a, S>, sealed: SealedGroup) -> Result<(), ArchiveError> {
        self.pools.records.give(appender.block(sealed)?);
        self.how.counters.stored.store(appender.tail.written, Ordering::Relaxed);
        Ok(())
    }

    fn prepare(&self) -> bool {
        self.files.prepare()
    }
}

impl<J: Journal> Order<'_, J> {
    fn take_in<F: Files<File = J::File>>(
        &mut self,
        files: &F,
        batch: &Batch<J::File>,
        groups: &mut Vec<Group>,
    ) -> Result<(), ArchiveError> {
        for piece in batch.pieces() {
            match piece {
                Piece::Entry(entry) => self.entry(entry, groups)?,
                Piece::Known { file, items, entry: Ok(entry) } => self.known(entry, file, items, groups)?,
                Piece::Known { file, entry: Err(error), .. } => self.refuse(files.path(file), error),
                Piece::File { file, closed, chunks } => {
                    let content = self.content(batch, chunks, groups)?;
                    self.file(file, closed, content, groups)?;
                }
                Piece::Part { chunks, last } => {
                    let Content { size, chunks } = self.content(batch, chunks, groups)?;
                    self.long.size += size;
                    self.long.chunks.extend(chunks);
                    if let Some((file, closed)) = last {
                        let content = std::mem::take(&mut self.long);
                        self.file(file, closed, content, groups)?;
                    }
                }
                Piece::LeftOut { file, error } => {
                    self.long = Content::default();
                    self.sequencer.leave_out(files.path(file));
                    self.journal.left_out(file, error);
                }
            }
        }
        Ok(())
    }

    fn content(
        &mut self,
        batch: &Batch<J::File>,
        chunks: &Range<usize>,
        groups: &mut Vec<Group>,
    ) -> Result<Content, ArchiveError> {
        let mut content = Content::default();
        for (id, bytes) in batch.chunks(chunks) {
            content.size += bytes.len() as u64;
            content.chunks.push(self.sequencer.chunk(Stream::Content, id, bytes, groups)?);
        }
        self.sequencer.counted.read += content.size;
        Ok(content)
    }

    fn entry(&mut self, entry: &Entry, groups: &mut Vec<Group>) -> Result<(), ArchiveError> {
        match self.sequencer.entry(entry, &mut self.items, groups) {
            Err(error) if is_about_the_entry(&error) => {
                self.journal.refused(&entry.path, &error);
                Ok(())
            }
            done => done,
        }
    }

    fn file(
        &mut self,
        file: &J::File,
        closed: &Closed,
        content: Content,
        groups: &mut Vec<Group>,
    ) -> Result<(), ArchiveError> {
        let Closed { path, meta, changed, sparse } = closed.clone();
        let entry = Entry { path, meta, kind: EntryKind::File { content, changed, sparse } };
        match self.sequencer.entry(&entry, &mut self.items, groups) {
            Ok(()) => self.journal.stored(file, &self.items),
            Err(error) if is_about_the_entry(&error) => self.refuse(entry.path, &error),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn known(
        &mut self,
        entry: &Entry,
        file: &J::File,
        items: &[u8],
        groups: &mut Vec<Group>,
    ) -> Result<(), ArchiveError> {
        match self.sequencer.known(entry, items, groups) {
            Ok(()) => self.journal.stored(file, items),
            Err(error) if is_about_the_entry(&error) || matches!(error, ArchiveError::MissingChunk {}) => {
                self.refuse(entry.path.clone(), &error);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Leaves a file out.
    fn refuse(&mut self, path: TreePath, error: &ArchiveError) {
        self.journal.refused(&path, error);
        self.sequencer.leave_out(path);
    }
}

/// What no archive can hold, such as a name that is too long, is that entry's trouble alone.
fn is_about_the_entry(error: &ArchiveError) -> bool {
    use ArchiveError::{BadPath, Disagrees, Encoding, Malformed, Misplaced, TooLarge, Truncated};
    matches!(
        error,
        BadPath { .. }
            | Disagrees { .. }
            | Encoding { .. }
            | Malformed { .. }
            | Misplaced { .. }
            | TooLarge { .. }
            | Truncated { .. }
    )
}
