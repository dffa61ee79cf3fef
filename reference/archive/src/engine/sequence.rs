//! The order of things: what is new, in which block it goes, and the tree that names it.
//!
//! Everything here happens in the order of paths and by one thread at a time, so that blocks hold the same whatever the number of
//! threads.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::group::{Group, Pools};
use crate::block::Gathered;
use crate::chunker::{KeyedChunker, WINDOW_BYTES};
use crate::error::{ArchiveError, Part};
use crate::id::ChunkId;
use crate::keys::ArchiveKeys;
use crate::limits::{CHUNK_MAX_BYTES, CHUNK_MIN_BYTES};
use crate::path::TreePath;
use crate::table::{ChunkTable, Located};
use crate::tree::{ChunkRef, Entry, EntryKind, TreeOrder, encode_entry, split_items};

/// What a block is gathered for. File content and trees lie in blocks of their own: whoever looks for a name reads no content.
#[derive(Clone, Copy)]
pub(crate) enum Stream {
    Content,
    Tree,
}

/// What a backup read and what was new in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) entries: u64,
    /// Content of the files in the tree.
    pub(crate) bytes: u64,
    /// Content that was read: less where files are known, more where they were left out half read.
    pub(crate) read: u64,
    pub(crate) new: u64,
}

struct Open {
    number: u32,
    gathered: Gathered,
}

/// Deduplicates, gathers, and writes the tree.
pub(crate) struct Sequencer {
    keys: Arc<ArchiveKeys>,
    pools: Arc<Pools>,
    chunker: KeyedChunker,
    pub(crate) chunks: ChunkTable,
    /// The number that the next block gets.
    next_block: u32,
    open: [Option<Open>; 2],
    /// Whether the version needs the block with this number.
    needed: Vec<bool>,
    /// The end of the tree, which no chunk holds yet.
    tree: Vec<u8>,
    pub(crate) tree_chunks: Vec<ChunkRef>,
    order: TreeOrder,
    /// Files that were left out: a hard link to one of them has nothing to name.
    left_out: BTreeSet<TreePath>,
    pub(crate) counted: Counted,
}

impl Sequencer {
    pub(crate) fn new(keys: Arc<ArchiveKeys>, pools: Arc<Pools>, chunks: ChunkTable, next_block: u32) -> Self {
        Sequencer {
            chunker: KeyedChunker::new(&keys),
            keys,
            pools,
            chunks,
            next_block,
            open: [None, None],
            needed: vec![false; next_block as usize],
            tree: Vec::new(),
            tree_chunks: Vec::new(),
            order: TreeOrder::default(),
            left_out: BTreeSet::new(),
            counted: Counted::default(),
        }
    }

    /// Blocks that the version needs, by number.
    pub(crate) fn needed(&self) -> Vec<u32> {
        (0..).zip(&self.needed).filter(|(_, needed)| **needed).map(|(number, _)| number).collect()
    }

    fn need(&mut self, block: u32) {
        let block = block as usize;
        if block >= self.needed.len() {
            self.needed.resize(block + 1, false);
        }
        self.needed[block] = true;
    }

    /// Gathers a chunk, unless the archive has it.
    pub(crate) fn chunk(
        &mut self,
        stream: Stream,
        id: ChunkId,
        bytes: &[u8],
        groups: &mut Vec<Group>,
    ) -> Result<ChunkRef, ArchiveError> {
        match self.chunks.get(&id) {
            Some(at) => self.need(at.block),
            None => self.gather(stream, id, bytes, groups)?,
        }
        Ok(ChunkRef { id, length: bytes.len() as u32 })
    }

    fn gather(
        &mut self,
        stream: Stream,
        id: ChunkId,
        bytes: &[u8],
        groups: &mut Vec<Group>,
    ) -> Result<(), ArchiveError> {
        if self.open[stream as usize].as_ref().is_some_and(|open| !open.gathered.fits(bytes.len())) {
            self.close(stream, groups);
        }
        let open = self.open[stream as usize].get_or_insert_with(|| {
            let number = self.next_block;
            self.next_block += 1;
            Open { number, gathered: self.pools.gathered.take() }
        });
        let block = open.number;
        let position = open.gathered.push(id, bytes)?;
        self.chunks.insert(id, Located { block, position });
        self.need(block);
        self.counted.new += bytes.len() as u64;
        Ok(())
    }

    fn close(&mut self, stream: Stream, groups: &mut Vec<Group>) {
        if let Some(Open { number, gathered }) = self.open[stream as usize].take() {
            groups.push(Group { number, gathered });
        }
    }

    /// Adds an entry to the tree: the root directory first, then ascending paths, each below a directory. `items` holds it
    /// afterwards as it is written.
    ///
    /// # Errors
    /// `Misplaced`, `Malformed`, `TooLarge`: the entry is not added. Else what storing chunks says.
    pub(crate) fn entry(
        &mut self,
        entry: &Entry,
        items: &mut Vec<u8>,
        groups: &mut Vec<Group>,
    ) -> Result<(), ArchiveError> {
        items.clear();
        if let EntryKind::HardLink { to } = &entry.kind
            && self.left_out.contains(to)
        {
            let what = "it is another name of a file that was left out";
            return Err(ArchiveError::Misplaced { path: entry.path.to_string(), what });
        }
        encode_entry(entry, items)?;
        self.order.accept(entry)?;
        self.write_tree(items, groups)?;
        if let EntryKind::File { content, .. } = &entry.kind {
            self.counted.bytes += content.size;
        }
        Ok(())
    }

    /// Adds the entry of a file whose items are as an earlier version wrote them.
    ///
    /// # Errors
    /// As [`Sequencer::entry`], and `MissingChunk` if the archive lacks a part of it.
    pub(crate) fn known(&mut self, entry: &Entry, items: &[u8], groups: &mut Vec<Group>) -> Result<(), ArchiveError> {
        let EntryKind::File { content, .. } = &entry.kind else {
            return Err(ArchiveError::Malformed { part: Part::Tree, what: "not the items of a file" });
        };
        for chunk in &content.chunks {
            let at = self.chunks.get(&chunk.id).ok_or(ArchiveError::MissingChunk {})?;
            self.need(at.block);
        }
        self.order.accept(entry)?;
        self.write_tree(items, groups)?;
        self.counted.bytes += content.size;
        Ok(())
    }

    /// Says that there is no entry for this file.
    pub(crate) fn leave_out(&mut self, path: TreePath) {
        self.left_out.insert(path);
    }

    /// Writes the items of an entry. An item is never cut, and behind an entry the function that decides on the cuts of content
    /// decides whether a chunk ends here: what is cut in a tree depends on the entries near by alone.
    fn write_tree(&mut self, items: &[u8], groups: &mut Vec<Group>) -> Result<(), ArchiveError> {
        for item in split_items(items) {
            if self.tree.len() + item.len() > CHUNK_MAX_BYTES {
                self.store_tree(groups)?;
            }
            self.tree.extend_from_slice(item);
        }
        self.counted.entries += 1;
        let cut = self.tree.len() >= CHUNK_MIN_BYTES
            && self.tree.last_chunk::<WINDOW_BYTES>().is_some_and(|window| self.chunker.decides(window));
        if cut { self.store_tree(groups) } else { Ok(()) }
    }

    fn store_tree(&mut self, groups: &mut Vec<Group>) -> Result<(), ArchiveError> {
        if self.tree.is_empty() {
            return Ok(());
        }
        let mut tree = std::mem::take(&mut self.tree);
        let id = self.keys.current().chunk_id(&tree);
        let stored = self.chunk(Stream::Tree, id, &tree, groups)?;
        self.tree_chunks.push(stored);
        tree.clear();
        self.tree = tree;
        Ok(())
    }

    /// Stores the rest of the tree and closes what is open.
    ///
    /// # Errors
    /// `Misplaced` for a tree without a root.
    pub(crate) fn finish(&mut self, groups: &mut Vec<Group>) -> Result<(), ArchiveError> {
        if self.counted.entries == 0 {
            return Err(ArchiveError::Misplaced { path: ".".into(), what: "a tree begins with its root directory" });
        }
        self.store_tree(groups)?;
        self.flush(groups);
        Ok(())
    }

    /// Closes what is open.
    pub(crate) fn flush(&mut self, groups: &mut Vec<Group>) {
        self.close(Stream::Content, groups);
        self.close(Stream::Tree, groups);
    }
}
