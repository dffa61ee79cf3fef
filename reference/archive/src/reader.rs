//! Reading: blocks, chunks, content, trees.
//!
//! A chunk may be in several blocks: one that was damaged is stored again. They are tried in the order in which they are in the
//! archive, until one yields the chunk (BAK-16).
//!
//! A prune may remove segments while somebody reads. What was needed of them is in other segments by then, so that a reader who
//! misses a segment reads again where everything is, and goes on.

use std::collections::{BTreeSet, VecDeque};
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::archive::{Archive, Contents, KnownBlock, Version};
use crate::block::{OpenBlock, block_id, open_block};
use crate::damage::is_vanished;
use crate::error::ArchiveError;
use crate::id::{ArchiveId, BlockId, Digest};
use crate::keys::ArchiveKeys;
use crate::path::TreePath;
use crate::store::ReadStore;
use crate::table::Located;
use crate::tree::{Assembly, ChunkRef, Content, Entry, TreeOrder, decode_item};

/// How often a reader looks again where everything is, for one chunk.
const ATTEMPTS: usize = 16;

/// Blocks that were opened last. Chunks of one file, and of files side by side, are mostly in one block.
#[derive(Default)]
pub(crate) struct BlockCache {
    recent: Mutex<VecDeque<Arc<OpenBlock>>>,
}

/// How many opened blocks are kept: about a MiB each.
const KEPT_BLOCKS: usize = 8;

impl BlockCache {
    fn get(&self, id: &BlockId) -> Option<Arc<OpenBlock>> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let at = recent.iter().position(|kept| kept.id() == *id)?;
        let found = recent.remove(at)?;
        recent.push_front(Arc::clone(&found));
        Some(found)
    }

    fn put(&self, block: Arc<OpenBlock>) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.truncate(KEPT_BLOCKS - 1);
        recent.push_front(block);
    }
}

/// What a reader found when it looked again where everything is; and which blocks it noted as altered.
#[derive(Default)]
pub(crate) struct Refreshed {
    contents: RwLock<Option<Arc<Contents>>>,
    noted: Mutex<BTreeSet<BlockId>>,
}

/// The chunk that was asked for, in the block that holds it.
struct Found {
    block: Arc<OpenBlock>,
    position: u32,
}

impl KnownBlock {
    /// The stored bytes.
    pub(crate) fn bytes(&self, store: &dyn ReadStore) -> Result<Vec<u8>, ArchiveError> {
        let place = self.place.ok_or(ArchiveError::MissingBlock { id: self.id })?;
        let mut bytes = vec![0; self.length as usize];
        store.read(place.segment, place.offset, &mut bytes).map_err(ArchiveError::store("reading a block"))?;
        Ok(bytes)
    }

    /// Reads and opens the block; it must be, byte for byte, the one that is listed.
    pub(crate) fn open(
        &self,
        store: &dyn ReadStore,
        keys: &ArchiveKeys,
        archive: ArchiveId,
    ) -> Result<OpenBlock, ArchiveError> {
        let bytes = self.bytes(store)?;
        let altered = || ArchiveError::BlockAltered { id: self.id };
        if self.listed.is_some_and(|digest| digest != Digest::of_block(&bytes)) {
            return Err(altered());
        }
        if block_id(&bytes)? != self.id {
            return Err(altered());
        }
        open_block(keys, archive, bytes)
    }
}

impl<S: ReadStore> Archive<S> {
    /// Reads and opens a block; one that a manifest lists must be, byte for byte, the one it lists.
    pub(crate) fn read_block(&self, number: u32) -> Result<OpenBlock, ArchiveError> {
        self.read_block_of(&self.contents, number)
    }

    fn read_block_of(&self, contents: &Contents, number: u32) -> Result<OpenBlock, ArchiveError> {
        let block = contents.blocks.get(number).ok_or(ArchiveError::MissingChunk {})?;
        block.open(&self.store, &contents.keys, contents.id)
    }

    fn opened(&self, contents: &Contents, number: u32, last: Option<&Found>) -> Result<Arc<OpenBlock>, ArchiveError> {
        let id = contents.blocks.get(number).map(|block| block.id).ok_or(ArchiveError::MissingChunk {})?;
        if let Some(found) = last.filter(|found| found.block.id() == id) {
            return Ok(Arc::clone(&found.block));
        }
        if let Some(block) = self.cache.get(&id) {
            return Ok(block);
        }
        let block = Arc::new(self.read_block_of(contents, number)?);
        self.cache.put(Arc::clone(&block));
        Ok(block)
    }

    /// Finds a chunk, and looks again where everything is if a segment has vanished.
    fn find(&self, wanted: &ChunkRef, last: Option<Found>) -> Result<Found, ArchiveError> {
        let mut known = self.refreshed.contents.read().unwrap_or_else(PoisonError::into_inner).clone();
        for _ in 0..ATTEMPTS {
            match self.find_in(known.as_deref().unwrap_or(&self.contents), wanted, last.as_ref()) {
                Err(error) if is_vanished(&error) => known = Some(self.look_again(known.as_ref())?),
                found => return found,
            }
        }
        Err(ArchiveError::MissingChunk {})
    }

    /// Whether a reader had to look again where everything is.
    pub(crate) fn has_moved(&self) -> bool {
        self.refreshed.contents.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Reads where everything is, unless another thread did so meanwhile.
    fn look_again(&self, known: Option<&Arc<Contents>>) -> Result<Arc<Contents>, ArchiveError> {
        let mut refreshed = self.refreshed.contents.write().unwrap_or_else(PoisonError::into_inner);
        let is_newer = |newer: &&Arc<Contents>| known.is_none_or(|known| !Arc::ptr_eq(known, newer));
        if let Some(newer) = refreshed.as_ref().filter(is_newer) {
            return Ok(Arc::clone(newer));
        }
        let Contents { id, keys, devices, .. } = &self.contents;
        let newer = Arc::new(Contents::read(&self.store, *id, keys, devices)?);
        *refreshed = Some(Arc::clone(&newer));
        Ok(newer)
    }

    /// Finds a chunk in the first block that yields it. Says what is wrong with the first that should.
    fn find_in(&self, contents: &Contents, wanted: &ChunkRef, last: Option<&Found>) -> Result<Found, ArchiveError> {
        let first = contents.chunks.get(&wanted.id).ok_or(ArchiveError::MissingChunk {})?;
        let refused = match self.chunk_at(contents, first, wanted, last) {
            Err(error) if !is_vanished(&error) => error,
            found => return found,
        };
        for &other in contents.chunks.others(&wanted.id) {
            match self.chunk_at(contents, other, wanted, last) {
                Err(error) if !is_vanished(&error) => {}
                found => return found,
            }
        }
        Err(refused)
    }

    fn chunk_at(
        &self,
        contents: &Contents,
        at: Located,
        wanted: &ChunkRef,
        last: Option<&Found>,
    ) -> Result<Found, ArchiveError> {
        let note = |error: &ArchiveError| self.note_altered(contents, at.block, error);
        let block = self.opened(contents, at.block, last).inspect_err(note)?;
        let mut position = at.position;
        if block.chunk(position).is_none_or(|(id, _)| id != wanted.id) {
            // An index record says what is not so: the block holds what it holds.
            let error = ArchiveError::ChunkMismatch {};
            note(&error);
            let held = (0..).zip(block.ids()).find(|(_, id)| **id == wanted.id);
            position = held.ok_or(error)?.0;
        }
        let found = block.chunk(position).map_or(0, |(_, bytes)| bytes.len() as u64);
        if found != u64::from(wanted.length) {
            let expected = u64::from(wanted.length);
            return Err(ArchiveError::Disagrees { what: "length of a chunk", expected, found });
        }
        Ok(Found { block, position })
    }

    /// Notes beside the archive that a block is not what it should be, so that the next writer stores what was in it again. An
    /// archive that may only be read keeps no notes.
    pub(crate) fn note_altered(&self, contents: &Contents, number: u32, error: &ArchiveError) {
        if is_vanished(error)
            || matches!(error, ArchiveError::MissingBlock { .. } | ArchiveError::MissingChunk { .. })
        {
            return;
        }
        let Some(block) = contents.blocks.get(number) else { return };
        let mut noted = self.refreshed.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.insert(block.id) {
            let _ = self.store.suspect(&[block.id]);
        }
    }

    /// Hands every chunk to `take`, in order.
    pub(crate) fn each_chunk(
        &self,
        chunks: &[ChunkRef],
        mut take: impl FnMut(&[u8]) -> Result<(), ArchiveError>,
    ) -> Result<(), ArchiveError> {
        let mut last = None;
        for chunk in chunks {
            let found = self.find(chunk, last.take())?;
            if let Some((_, bytes)) = found.block.chunk(found.position) {
                take(bytes)?;
            }
            last = Some(found);
        }
        Ok(())
    }

    /// Writes a file's content. Several threads may read at a time.
    ///
    /// # Errors
    /// `MissingChunk`, `MissingBlock`, `BlockAltered`, `ChunkMismatch`, `Disagrees`, what a block's decoder says, and
    /// `Sink` when the sink fails.
    pub fn copy_content(&self, content: &Content, sink: &mut dyn Write) -> Result<(), ArchiveError> {
        self.each_chunk(&content.chunks, |bytes| sink.write_all(bytes).map_err(|error| ArchiveError::Sink { error }))
    }

    /// The entries of a version, read as they are asked for.
    pub fn tree<'a>(&'a self, version: &'a Version) -> TreeReader<'a, S> {
        TreeReader {
            archive: self,
            chunks: &version.root.tree,
            next: 0,
            bytes: Vec::new(),
            start: 0,
            assembly: Assembly::default(),
            order: TreeOrder::default(),
            from: None,
            failed: false,
        }
    }

    /// The entries of a version from the first one on whose path is not below this one in order: what is in a folder comes
    /// right behind it. Only a few chunks of the tree are read to get there.
    ///
    /// # Errors
    /// As for reading entries.
    pub fn tree_from<'a>(&'a self, version: &'a Version, path: &TreePath) -> Result<TreeReader<'a, S>, ArchiveError> {
        let mut reader = self.tree(version);
        // The last chunk whose first entry does not come behind the path: found by halving.
        let (mut low, mut high) = (0, reader.chunks.len());
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match reader.first_path(middle)? {
                Some(first) if first <= *path => low = middle,
                _ => high = middle,
            }
        }
        reader.begin_at(low)?;
        reader.from = Some(path.clone());
        Ok(reader)
    }

    /// The entry at a path of a version.
    ///
    /// # Errors
    /// As for reading entries.
    pub fn find_entry(&self, version: &Version, path: &TreePath) -> Result<Option<Entry>, ArchiveError> {
        let first = self.tree_from(version, path)?.next().transpose()?;
        Ok(first.filter(|entry| entry.path == *path))
    }
}

/// Reads the entries of a version, chunk by chunk of its tree. After an error it ends.
pub struct TreeReader<'a, S> {
    archive: &'a Archive<S>,
    chunks: &'a [ChunkRef],
    next: usize,
    bytes: Vec<u8>,
    start: usize,
    assembly: Assembly,
    order: TreeOrder,
    /// Entries before this path are passed over.
    from: Option<TreePath>,
    failed: bool,
}

impl<S: ReadStore> TreeReader<'_, S> {
    fn load(&mut self, chunk: usize) -> Result<(), ArchiveError> {
        self.bytes.clear();
        self.start = 0;
        let bytes = &mut self.bytes;
        self.archive.each_chunk(&self.chunks[chunk..=chunk], |chunk| {
            bytes.extend_from_slice(chunk);
            Ok(())
        })
    }

    /// The path of the first entry in this chunk; none if there is none in it.
    fn first_path(&mut self, chunk: usize) -> Result<Option<TreePath>, ArchiveError> {
        self.load(chunk)?;
        while self.start < self.bytes.len() {
            let (item, length) = decode_item(&self.bytes[self.start..])?;
            self.start += length;
            if let crate::tree::Item::Entry(record) = item {
                return Ok(Some(record.path));
            }
        }
        Ok(None)
    }

    /// Begins with the first entry that begins in this chunk or behind it; with the very first one for chunk 0. The references
    /// of a file may begin in an earlier chunk than its entry: reading then begins there.
    fn begin_at(&mut self, chunk: usize) -> Result<(), ArchiveError> {
        let mut chunk = chunk;
        // Back to a chunk that has an entry, and behind that entry no reference of another is cut off.
        while chunk > 0 {
            chunk -= 1;
            if self.first_path(chunk)?.is_some() {
                self.next = chunk + 1;
                self.order = TreeOrder::anywhere();
                return Ok(());
            }
        }
        self.bytes.clear();
        self.start = 0;
        self.next = 0;
        Ok(())
    }

    fn next_entry(&mut self) -> Result<Option<Entry>, ArchiveError> {
        loop {
            while self.start == self.bytes.len() {
                if self.next == self.chunks.len() {
                    self.assembly.finish()?;
                    return self.order.finish().map(|()| None);
                }
                let chunk = self.next;
                self.next += 1;
                self.load(chunk)?;
            }
            let (item, length) = decode_item(&self.bytes[self.start..])?;
            self.start += length;
            if let Some(entry) = self.assembly.add(item)? {
                self.order.accept(&entry)?;
                if self.from.as_ref().is_none_or(|from| entry.path >= *from) {
                    return Ok(Some(entry));
                }
            }
        }
    }
}

impl<S: ReadStore> Iterator for TreeReader<'_, S> {
    type Item = Result<Entry, ArchiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.next_entry();
        self.failed = next.is_err();
        next.transpose()
    }
}
