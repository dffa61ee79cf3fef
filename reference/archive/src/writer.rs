//! Writing a version piece by piece, on the calling thread: for whoever has content at hand rather than a plan.
//!
//! [`Archive::back_up`] does the same on many threads; both put the same into the same blocks.

use std::io::Read;
use std::sync::Arc;

use bailee_core::crypto::sign::Signing;

use crate::archive::{Archive, Contents};
use crate::block::BlockSealer;
use crate::chunker::{Cutter, KeyedChunker};
use crate::commit::Commit;
use crate::engine::append::Appender;
use crate::engine::group::{Group, Pools, SealedGroup};
use crate::engine::sequence::{Sequencer, Stream};
use crate::engine::{BackUp, Totals};
use crate::error::ArchiveError;
use crate::id::ArchiveId;
use crate::keys::ArchiveKeys;
use crate::limits::SEGMENT_GAP;
use crate::manifest::Origin;
use crate::random::Randomness;
use crate::segment::SegmentHead;
use crate::store::Store;
use crate::tree::{Content, Entry, Time};

/// One backup under way. Nothing of it is a version before [`Writer::commit`] returned.
pub struct Writer<'a, S> {
    contents: Contents,
    device: &'a Signing,
    origin: Option<&'a Origin>,
    sequencer: Sequencer,
    pub(crate) blocks: BlockWriter<'a, S>,
    chunker: KeyedChunker,
    items: Vec<u8>,
    failed: bool,
}

/// Seals groups and appends them, one after the other.
pub(crate) struct BlockWriter<'a, S> {
    pub(crate) appender: Appender<'a, S>,
    sealer: BlockSealer,
    keys: Arc<ArchiveKeys>,
    archive: ArchiveId,
    random: &'a dyn Randomness,
    pools: Arc<Pools>,
}

impl<'a, S: Store> BlockWriter<'a, S> {
    pub(crate) fn new(
        appender: Appender<'a, S>,
        keys: Arc<ArchiveKeys>,
        pools: Arc<Pools>,
        how: &BackUp<'a>,
    ) -> Result<Self, ArchiveError> {
        let sealer = BlockSealer::new(how.level, how.padding)?;
        let archive = appender.tail.archive;
        Ok(BlockWriter { appender, sealer, keys, archive, random: how.random, pools })
    }

    /// The key epoch of the blocks that come next.
    pub(crate) fn epoch(&self) -> u64 {
        self.keys.current_epoch()
    }

    pub(crate) fn go_on_in(&mut self, epoch: u64) -> Result<(), ArchiveError> {
        self.keys = Arc::new(self.keys.writing_in(epoch)?);
        Ok(())
    }

    pub(crate) fn write(&mut self, groups: &mut Vec<Group>) -> Result<(), ArchiveError> {
        for Group { number, mut gathered } in groups.drain(..) {
            let mut rng = self.random.stream(u64::from(number));
            let block = self.sealer.seal(&self.keys, self.archive, &mut gathered, &mut rng);
            self.pools.gathered.give(gathered);
            let record = self.appender.block(SealedGroup { number, block })?;
            self.sealer.reuse(record);
        }
        Ok(())
    }
}

impl<S: Store> Archive<S> {
    /// Makes an empty archive in an empty store.
    ///
    /// # Errors
    /// `Store`: it could not be written, or there is an archive already.
    pub fn create(store: S, keys: ArchiveKeys, random: &dyn Randomness) -> Result<Self, ArchiveError> {
        let mut id = ArchiveId([0; 16]);
        random.stream(0).fill_bytes(&mut id.0);
        if store.list().is_ok_and(|numbers| !numbers.is_empty()) {
            let error = std::io::ErrorKind::AlreadyExists.into();
            return Err(ArchiveError::Store { doing: "making an archive", error });
        }
        Archive::create_as(store, id, keys)
    }

    /// Makes an archive with this id: one that was there before and of which nothing is left. Files that are in the place of segments
    /// are left there.
    ///
    /// # Errors
    /// As [`Archive::create`].
    pub fn create_as(mut store: S, id: ArchiveId, keys: ArchiveKeys) -> Result<Self, ArchiveError> {
        let taken = store.list().map_err(ArchiveError::store("listing the archive"))?;
        // What is far away is no segment, whatever is written.
        let last = taken.into_iter().rfind(|number| *number <= SEGMENT_GAP).unwrap_or(0);
        let number = last + 1;
        let head = SegmentHead { archive: id, number };
        store.create(number, &head.encode()).map_err(ArchiveError::store("making an archive"))?;
        let mut archive = Archive::open_as(store, id, keys, &[])?;
        archive.contents.unsettled.insert(number);
        archive.settle();
        Ok(archive)
    }

    /// Begins a backup. What a crash left at the end is cut off first. Of `how`, the number of threads has no meaning here.
    ///
    /// # Errors
    /// `Store`, `Compressor`.
    pub fn begin<'a>(mut self, how: &BackUp<'a>) -> Result<Writer<'a, S>, ArchiveError> {
        self.verify_doubtful()?;
        let (mut contents, tail) = self.detach_tail(how.segment_bytes)?;
        let (keys, pools) = (Arc::clone(&contents.keys), Arc::new(Pools::default()));
        let chunks = std::mem::take(&mut contents.chunks);
        let next = contents.blocks.next_number();
        let sequencer = Sequencer::new(Arc::clone(&keys), Arc::clone(&pools), chunks, next);
        let appender = Appender::new(tail, Arc::clone(&keys), how.random);
        Ok(Writer {
            chunker: KeyedChunker::new(&keys),
            contents,
            device: how.device,
            origin: how.origin,
            sequencer,
            blocks: BlockWriter::new(appender, keys, pools, how)?,
            items: Vec::new(),
            failed: false,
        })
    }
}

impl<S: Store> Writer<'_, S> {
    /// Stores a stream: at most a few chunks of it are in memory at a time.
    ///
    /// # Errors
    /// `Source` when reading fails, which leaves the writer usable; `Store`, after which it is not.
    pub fn content(&mut self, source: &mut dyn Read) -> Result<Content, ArchiveError> {
        self.usable()?;
        let (mut cutter, mut content, mut groups) = (Cutter::default(), Content::default(), Vec::new());
        loop {
            let ended = cutter.fill(source).map_err(|error| ArchiveError::Source { error })?;
            while let Some(chunk) = cutter.next(&self.chunker, ended) {
                let id = self.blocks.keys.current().chunk_id(chunk);
                content.size += chunk.len() as u64;
                content.chunks.push(self.sequencer.chunk(Stream::Content, id, chunk, &mut groups)?);
            }
            self.write(&mut groups)?;
            if ended {
                self.sequencer.counted.read += content.size;
                return Ok(content);
            }
        }
    }

    /// Adds an entry to the tree: the root directory first, then ascending paths, each below a directory.
    ///
    /// # Errors
    /// `Misplaced`, `Malformed`, `TooLarge`: the entry is not added; `Store`.
    pub fn entry(&mut self, entry: &Entry) -> Result<(), ArchiveError> {
        self.usable()?;
        let mut groups = Vec::new();
        self.sequencer.entry(entry, &mut self.items, &mut groups)?;
        self.write(&mut groups)
    }

    fn write(&mut self, groups: &mut Vec<Group>) -> Result<(), ArchiveError> {
        let done = self.blocks.write(groups);
        self.failed |= done.is_err();
        done
    }

    fn usable(&self) -> Result<(), ArchiveError> {
        if self.failed { Err(ArchiveError::WriterStopped {}) } else { Ok(()) }
    }

    /// Commits the version: blocks and index are durable before the manifest is written, and the manifest before this returns.
    ///
    /// # Errors
    /// `Misplaced` for a tree without a root, `TooLarge`, `Store`. Then there is no version, and nothing of an earlier one is
    /// touched.
    pub fn commit(mut self, time: Time, label: &[u8]) -> Result<(Archive<S>, Totals), ArchiveError> {
        self.usable()?;
        let mut groups = Vec::new();
        self.sequencer.finish(&mut groups)?;
        self.blocks.write(&mut groups)?;
        let commit = Commit { device: self.device, time, label, origin: self.origin, random: self.blocks.random };
        commit.commit(self.contents, self.sequencer, self.blocks.appender)
    }
}
