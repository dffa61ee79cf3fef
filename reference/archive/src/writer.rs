//! Writing a version: chunks into blocks, blocks into segments, and the manifest last.

use std::collections::{BTreeSet, HashMap};
use std::io::Read;

use bailee_core::crypto::labels;
use bailee_core::crypto::sign::Signing;
use rand_core::CryptoRng;

use crate::archive::{Archive, Located};
use crate::block::{Gathered, ZSTD_LEVEL, seal_block};
use crate::chunker::{Cutter, KeyedChunker};
use crate::error::{ArchiveError, Place};
use crate::id::{ArchiveId, BlockId, ChunkId, DeviceId, Digest};
use crate::keys::ArchiveKeys;
use crate::limits::{INDEX_CHUNKS, SEGMENT_BYTES};
use crate::manifest::{Clear, IndexedBlock, Listing, MANIFEST_VERSION, Root, encode_index, encode_manifest};
use crate::segment::{FRAME_HEAD_BYTES, Frame, FrameHead, Kind, SegmentHead};
use crate::store::Store;
use crate::tree::{ChunkRef, Content, Entry, Time, TreeOrder, encode_entry};

/// What a backup read and what it stored of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Entries of the tree.
    pub entries: u64,
    /// Bytes of file content that were read.
    pub read: u64,
    /// Bytes of file content that no earlier chunk had.
    pub new: u64,
    /// Bytes that were written: blocks, index and manifest.
    pub stored: u64,
}

/// One backup under way. Nothing of it is a version before [`Writer::commit`] returned.
pub struct Writer<'a, S> {
    archive: Archive<S>,
    device: &'a Signing,
    rng: &'a mut dyn CryptoRng,
    chunker: KeyedChunker,
    gathered: Gathered,
    /// Chunks in `gathered`, which no block holds yet.
    waiting: HashMap<ChunkId, u32>,
    /// Chunks that the version needs.
    needed: BTreeSet<ChunkId>,
    unindexed: Vec<IndexedBlock>,
    unindexed_chunks: usize,
    tree: Cutter,
    tree_chunks: Vec<ChunkRef>,
    order: TreeOrder,
    totals: Totals,
    failed: bool,
}

impl<S: Store> Archive<S> {
    /// Makes an empty archive in an empty store.
    ///
    /// # Errors
    /// `Store`: it could not be written, or there is an archive already.
    pub fn create(mut store: S, keys: ArchiveKeys, rng: &mut dyn CryptoRng) -> Result<Self, ArchiveError> {
        let mut id = ArchiveId([0; 16]);
        rng.fill_bytes(&mut id.0);
        let head = SegmentHead { archive: id, number: 1 };
        store.create(1, &head.encode()).map_err(ArchiveError::store("making an archive"))?;
        Archive::open(store, keys, &[])
    }

    /// Begins a backup. What a crash left at the end is cut off first.
    ///
    /// # Errors
    /// `Store`.
    pub fn begin<'a>(
        mut self,
        device: &'a Signing,
        rng: &'a mut dyn CryptoRng,
    ) -> Result<Writer<'a, S>, ArchiveError> {
        if let Some(torn) = self.torn() {
            self.store
                .cut(torn.place.segment, torn.place.offset)
                .map_err(ArchiveError::store("cutting off what a crash left"))?;
        }
        let chunker = KeyedChunker::new(&self.keys);
        Ok(Writer {
            archive: self,
            device,
            rng,
            chunker,
            gathered: Gathered::default(),
            waiting: HashMap::new(),
            needed: BTreeSet::new(),
            unindexed: Vec::new(),
            unindexed_chunks: 0,
            tree: Cutter::default(),
            tree_chunks: Vec::new(),
            order: TreeOrder::default(),
            totals: Totals::default(),
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
        let mut cutter = Cutter::default();
        let mut content = Content::default();
        loop {
            let ended = cutter.fill(source).map_err(|error| ArchiveError::Source { error })?;
            while let Some(chunk) = cutter.next(&self.chunker, ended) {
                let chunk = chunk.to_vec();
                content.size += chunk.len() as u64;
                self.totals.read += chunk.len() as u64;
                content.chunks.push(self.chunk(&chunk)?);
            }
            if ended {
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
        let mut items = Vec::new();
        encode_entry(entry, &mut items)?;
        self.order.accept(entry)?;
        self.totals.entries += 1;
        self.tree.push(&items);
        self.drain_tree(false)
    }

    fn drain_tree(&mut self, ended: bool) -> Result<(), ArchiveError> {
        while let Some(chunk) = self.tree.next(&self.chunker, ended) {
            let chunk = chunk.to_vec();
            let stored = self.chunk(&chunk)?;
            self.tree_chunks.push(stored);
        }
        Ok(())
    }

    fn usable(&self) -> Result<(), ArchiveError> {
        if self.failed { Err(ArchiveError::WriterStopped {}) } else { Ok(()) }
    }

    /// Gathers a chunk, unless the archive has it or it is gathered already.
    fn chunk(&mut self, bytes: &[u8]) -> Result<ChunkRef, ArchiveError> {
        let id = self.archive.keys.current().chunk_id(bytes);
        let length = bytes.len() as u32;
        self.needed.insert(id);
        if !self.archive.chunks.contains_key(&id) && !self.waiting.contains_key(&id) {
            if !self.gathered.fits(bytes.len()) {
                self.close_block()?;
            }
            let position = self.gathered.push(id, bytes)?;
            self.waiting.insert(id, position);
            self.totals.new += bytes.len() as u64;
        }
        Ok(ChunkRef { id, length })
    }

    fn close_block(&mut self) -> Result<(), ArchiveError> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let gathered = std::mem::take(&mut self.gathered);
        let sealed = seal_block(&self.archive.keys, self.archive.id, &gathered, ZSTD_LEVEL, self.rng);
        let frame = self.append(Kind::Block, &sealed.bytes)?;
        let listing = Listing { id: sealed.id, length: sealed.bytes.len() as u32, digest: Digest::of(&sealed.bytes) };
        self.archive.blocks.insert(sealed.id, frame);
        self.archive.listings.insert(sealed.id, listing);
        for (id, position) in self.waiting.drain() {
            self.archive.chunks.insert(id, Located { block: sealed.id, position });
        }
        let chunks: Vec<ChunkId> = gathered.table().iter().map(|(id, _)| *id).collect();
        self.unindexed_chunks += chunks.len();
        self.unindexed.push(IndexedBlock { id: sealed.id, chunks });
        if self.unindexed_chunks >= INDEX_CHUNKS { self.write_index() } else { Ok(()) }
    }

    fn write_index(&mut self) -> Result<(), ArchiveError> {
        let blocks = std::mem::take(&mut self.unindexed);
        self.unindexed_chunks = 0;
        if blocks.is_empty() {
            return Ok(());
        }
        let record = encode_index(&self.archive.keys, self.archive.id, &blocks, self.rng);
        self.append(Kind::Index, &record).map(|_| ())
    }

    /// Appends a record to the last segment, or to a new one when that is full.
    fn append(&mut self, kind: Kind, payload: &[u8]) -> Result<Frame, ArchiveError> {
        self.usable()?;
        let done = self.try_append(kind, payload);
        self.failed |= done.is_err();
        done
    }

    fn try_append(&mut self, kind: Kind, payload: &[u8]) -> Result<Frame, ArchiveError> {
        let (mut segment, mut offset) = self.archive.end;
        if offset >= SEGMENT_BYTES {
            self.sync()?;
            segment += 1;
            let head = SegmentHead { archive: self.archive.id, number: segment }.encode();
            self.archive.store.create(segment, &head).map_err(ArchiveError::store("making a segment"))?;
            offset = head.len() as u64;
        }
        let head = FrameHead { kind, length: payload.len() as u32 };
        let record = [&head.encode(Place { segment, offset })[..], payload].concat();
        self.archive.store.append(segment, &record).map_err(ArchiveError::store("writing a record"))?;
        self.archive.end = (segment, offset + record.len() as u64);
        self.totals.stored += record.len() as u64;
        let payload = Place { segment, offset: offset + FRAME_HEAD_BYTES as u64 };
        Ok(Frame { payload, head })
    }

    fn sync(&mut self) -> Result<(), ArchiveError> {
        self.archive.store.sync(self.archive.end.0).map_err(ArchiveError::store("making the archive durable"))
    }

    /// Every block that a chunk of the version is in, ascending.
    fn listed(&self) -> Result<Vec<Listing>, ArchiveError> {
        let blocks: BTreeSet<BlockId> = self
            .needed
            .iter()
            .map(|id| self.archive.chunks.get(id).map(|at| at.block).ok_or(ArchiveError::MissingChunk {}))
            .collect::<Result<_, _>>()?;
        blocks.into_iter().map(|id| self.archive.listing(id)).collect()
    }

    /// Commits the version: blocks and index are durable before the manifest is written, and the manifest before this returns.
    ///
    /// # Errors
    /// `Misplaced` for a tree without a root, `TooLarge`, `Store`. Then there is no version, and nothing of an earlier one is
    /// touched.
    pub fn commit(mut self, time: Time, label: &[u8]) -> Result<(Archive<S>, Totals), ArchiveError> {
        self.usable()?;
        if self.totals.entries == 0 {
            return Err(ArchiveError::Misplaced { path: ".".into(), what: "a tree begins with its root directory" });
        }
        self.drain_tree(true)?;
        self.close_block()?;
        self.write_index()?;
        self.sync()?;
        let device = DeviceId(self.device.public());
        let last = self.archive.versions.iter().rev().find(|version| version.device == device);
        let clear = Clear {
            version: MANIFEST_VERSION,
            archive: self.archive.id,
            device,
            epoch: self.archive.keys.current_epoch(),
            seq: last.map_or(1, |last| last.seq + 1),
            previous: last.map(|last| last.digest),
            head: None,
            blocks: self.listed()?,
        };
        let root = Root {
            time,
            label: label.to_vec().into(),
            entries: self.totals.entries,
            bytes: self.totals.read,
            tree: std::mem::take(&mut self.tree_chunks),
        };
        let signing = self.device;
        let manifest = encode_manifest(&self.archive.keys, &clear, &root, self.rng, |body| {
            signing.sign(labels::SIGN_MANIFEST, body)
        })?;
        self.append(Kind::Manifest, &manifest)?;
        self.sync()?;
        let digest = Digest::of(&manifest);
        let version = crate::archive::Version { device, seq: clear.seq, root, digest, blocks: clear.blocks };
        self.archive.versions.push(version);
        Ok((self.archive, self.totals))
    }
}
