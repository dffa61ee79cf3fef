//! Opening an archive: whole records, genuine manifests, and what is in which block.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};

use bailee_core::crypto::{labels, sign};

use crate::block::{OpenBlock, block_id, open_block};
use crate::error::{ArchiveError, Part};
use crate::id::{ArchiveId, BlockId, ChunkId, DeviceId, Digest};
use crate::keys::ArchiveKeys;
use crate::manifest::{Listing, Manifest, Root, decode_manifest, open_index};
use crate::segment::{Frame, Kind, TornTail, read_segment_head, scan_segment};
use crate::store::ReadStore;
use crate::tree::{ChunkRef, Content, Entry, decode_tree};

/// A version: what one backup committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The device that wrote it.
    pub device: DeviceId,
    /// Its number in the device's chain, from 1.
    pub seq: u64,
    /// What only the key reads: time, label, sums.
    pub root: Root,
    /// The digest of its manifest: what the device remembers, to notice a rollback.
    pub digest: Digest,
    pub(crate) blocks: Vec<Listing>,
}

/// Where a chunk lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Located {
    pub(crate) block: BlockId,
    pub(crate) position: u32,
}

/// An archive that was read in full but for the content of its blocks.
pub struct Archive<S> {
    pub(crate) store: S,
    pub(crate) keys: ArchiveKeys,
    pub(crate) id: ArchiveId,
    pub(crate) blocks: HashMap<BlockId, Frame>,
    pub(crate) listings: HashMap<BlockId, Listing>,
    pub(crate) chunks: HashMap<ChunkId, Located>,
    pub(crate) versions: Vec<Version>,
    /// The last segment and where its last whole record ends.
    pub(crate) end: (u64, u64),
    torn: Option<TornTail>,
    /// The block that was opened last: chunks of one file mostly lie side by side.
    recent: RefCell<Option<OpenBlock>>,
}

impl<S: ReadStore> Archive<S> {
    /// Reads an archive. Manifests are taken from these devices alone.
    ///
    /// # Errors
    /// `NoArchive`, `MissingSegment`, `Damaged` and everything that a decoder says of a record; `BadSignature`,
    /// `UnknownDevice`, `ChainBroken` and `MissingBlock` for manifests.
    pub fn open(store: S, keys: ArchiveKeys, devices: &[DeviceId]) -> Result<Self, ArchiveError> {
        let numbers = store.list().map_err(ArchiveError::store("listing the archive"))?;
        let (Some(&first), Some(&last)) = (numbers.first(), numbers.last()) else {
            return Err(ArchiveError::NoArchive {});
        };
        if let Some(number) = (1..=last).find(|number| numbers.binary_search(number).is_err()) {
            return Err(ArchiveError::MissingSegment { number });
        }
        let id = read_segment_head(&store, first)?.archive;
        let mut archive = Archive {
            store,
            keys,
            id,
            blocks: HashMap::new(),
            listings: HashMap::new(),
            chunks: HashMap::new(),
            versions: Vec::new(),
            end: (last, 0),
            torn: None,
            recent: RefCell::new(None),
        };
        let mut indexed = Vec::new();
        for number in numbers {
            let scan = scan_segment(&archive.store, number, id, number == last)?;
            for frame in &scan.frames {
                archive.take_in(*frame, devices, &mut indexed)?;
            }
            archive.end = (number, scan.end);
            archive.torn = scan.torn;
        }
        archive.index(indexed)?;
        Ok(archive)
    }

    fn take_in(
        &mut self,
        frame: Frame,
        devices: &[DeviceId],
        indexed: &mut Vec<(BlockId, Vec<ChunkId>)>,
    ) -> Result<(), ArchiveError> {
        match frame.head.kind {
            Kind::Block => {
                let head = frame.read_front(&self.store, crate::block::BLOCK_HEADER_BYTES + 32)?;
                self.blocks.insert(crate::block::peek_id(&head)?, frame);
            }
            Kind::Index => {
                let blocks = open_index(&self.keys, self.id, &frame.read(&self.store)?)?;
                indexed.extend(blocks.into_iter().map(|block| (block.id, block.chunks)));
            }
            Kind::Manifest => {
                let manifest = decode_manifest(&frame.read(&self.store)?)?;
                self.accept(&manifest, devices)?;
            }
        }
        Ok(())
    }

    /// A manifest counts if its device is known and signed it, it follows the one before, and every block that it lists is
    /// there.
    fn accept(&mut self, manifest: &Manifest, devices: &[DeviceId]) -> Result<(), ArchiveError> {
        let clear = &manifest.clear;
        let (device, seq) = (clear.device, clear.seq);
        if clear.archive != self.id {
            return Err(ArchiveError::WrongArchive { part: Part::Manifest, found: clear.archive });
        }
        if !devices.contains(&device) {
            return Err(ArchiveError::UnknownDevice { device });
        }
        if !sign::verify(&device.0, labels::SIGN_MANIFEST, &manifest.body, &manifest.signature) {
            return Err(ArchiveError::BadSignature { device, seq });
        }
        let last = self.versions.iter().rev().find(|version| version.device == device);
        let expected = last.map_or(1, |last| last.seq + 1);
        if seq != expected || clear.previous != last.map(|last| last.digest) {
            return Err(ArchiveError::ChainBroken { device, seq, expected });
        }
        for listing in &clear.blocks {
            let frame = self.blocks.get(&listing.id).ok_or(ArchiveError::MissingBlock { id: listing.id })?;
            if frame.head.length != listing.length {
                return Err(ArchiveError::BlockAltered { id: listing.id });
            }
            self.listings.insert(listing.id, *listing);
        }
        let root = manifest.open_root(&self.keys)?;
        let blocks = clear.blocks.clone();
        self.versions.push(Version { device, seq, root, digest: manifest.digest, blocks });
        Ok(())
    }

    /// Learns where chunks are: from index records, and from the blocks themselves where a crash came before the record.
    fn index(&mut self, indexed: Vec<(BlockId, Vec<ChunkId>)>) -> Result<(), ArchiveError> {
        let mut known: HashMap<BlockId, Vec<ChunkId>> = indexed.into_iter().collect();
        let ids: Vec<BlockId> = self.blocks.keys().copied().collect();
        for block in ids {
            let chunks = match known.remove(&block) {
                Some(chunks) => chunks,
                None => self.open_block(block)?.table().into_iter().map(|(id, _)| id).collect(),
            };
            for (position, id) in (0..).zip(chunks) {
                self.chunks.entry(id).or_insert(Located { block, position });
            }
        }
        Ok(())
    }

    /// The store, for whoever goes on with nothing else.
    pub fn into_store(self) -> S {
        self.store
    }

    /// The archive's id.
    pub fn id(&self) -> ArchiveId {
        self.id
    }

    /// The versions, in the order in which they were committed.
    pub fn versions(&self) -> &[Version] {
        &self.versions
    }

    /// How many blocks there are, and how many bytes they take.
    pub fn stored(&self) -> (usize, u64) {
        (self.blocks.len(), self.blocks.values().map(|frame| u64::from(frame.head.length)).sum())
    }

    /// What a crash left at the end, if it did. It is passed over, and cut when the archive is written again.
    pub fn torn(&self) -> Option<TornTail> {
        self.torn
    }

    /// Refuses an archive that lacks a version which this device remembers.
    ///
    /// # Errors
    /// `RolledBack`.
    pub fn remember(&self, device: DeviceId, seq: u64, digest: Digest) -> Result<(), ArchiveError> {
        let own = || self.versions.iter().filter(|version| version.device == device);
        if own().any(|version| version.seq == seq && version.digest == digest) {
            return Ok(());
        }
        let found = own().map(|version| version.seq).max().unwrap_or(0);
        Err(ArchiveError::RolledBack { device, remembered: seq, found })
    }

    /// The entries of a version.
    ///
    /// # Errors
    /// As [`Archive::copy_content`], and everything that the tree's decoder says.
    pub fn tree(&self, version: &Version) -> Result<Vec<Entry>, ArchiveError> {
        let mut bytes = Vec::new();
        self.copy_chunks(&version.root.tree, &mut bytes)?;
        decode_tree(&bytes)
    }

    /// Writes a file's content.
    ///
    /// # Errors
    /// `MissingChunk`, `MissingBlock`, `BlockAltered`, `ChunkMismatch`, `Disagrees`, what a block's decoder says, and
    /// `Sink` when the sink fails.
    pub fn copy_content(&self, content: &Content, sink: &mut dyn Write) -> Result<(), ArchiveError> {
        self.copy_chunks(&content.chunks, sink)
    }

    fn copy_chunks(&self, chunks: &[ChunkRef], sink: &mut dyn Write) -> Result<(), ArchiveError> {
        for chunk in chunks {
            self.with_chunk(chunk, |bytes| sink.write_all(bytes))?.map_err(|error| ArchiveError::Sink { error })?;
        }
        Ok(())
    }

    fn with_chunk<T>(
        &self,
        wanted: &ChunkRef,
        act: impl FnOnce(&[u8]) -> io::Result<T>,
    ) -> Result<io::Result<T>, ArchiveError> {
        let at = self.chunks.get(&wanted.id).ok_or(ArchiveError::MissingChunk {})?;
        let mut recent = self.recent.borrow_mut();
        if recent.as_ref().is_none_or(|open| open.id() != at.block) {
            *recent = Some(self.open_block(at.block)?);
        }
        let chunk = recent.as_ref().and_then(|open| open.chunk(at.position));
        let (id, bytes) = chunk.ok_or(ArchiveError::MissingChunk {})?;
        if id != wanted.id {
            return Err(ArchiveError::ChunkMismatch {});
        }
        if bytes.len() != wanted.length as usize {
            let (expected, found) = (u64::from(wanted.length), bytes.len() as u64);
            return Err(ArchiveError::Disagrees { what: "length of a chunk", expected, found });
        }
        Ok(act(bytes))
    }

    /// Reads and opens a block; one that a manifest lists must be, byte for byte, the one it lists.
    fn open_block(&self, id: BlockId) -> Result<OpenBlock, ArchiveError> {
        let frame = self.blocks.get(&id).ok_or(ArchiveError::MissingBlock { id })?;
        let bytes = frame.read(&self.store)?;
        let listed = self.listings.get(&id).map(|listing| listing.digest);
        if block_id(&bytes)? != id || listed.is_some_and(|digest| digest != Digest::of(&bytes)) {
            return Err(ArchiveError::BlockAltered { id });
        }
        open_block(&self.keys, self.id, &bytes)
    }

    /// A block as a manifest lists it.
    pub(crate) fn listing(&self, id: BlockId) -> Result<Listing, ArchiveError> {
        if let Some(listing) = self.listings.get(&id) {
            return Ok(*listing);
        }
        let frame = self.blocks.get(&id).ok_or(ArchiveError::MissingBlock { id })?;
        Ok(Listing { id, length: frame.head.length, digest: Digest::of(&frame.read(&self.store)?) })
    }

    /// Opens every block and follows every chunk of every version: what a restore of all of them would find.
    ///
    /// # Errors
    /// As [`Archive::tree`] and [`Archive::copy_content`].
    pub fn verify(&self) -> Result<(), ArchiveError> {
        for version in &self.versions {
            let mut needed = BTreeMap::new();
            for entry in self.tree(version)? {
                if let crate::tree::EntryKind::File { content, .. } = entry.kind {
                    needed.extend(content.chunks.into_iter().map(|chunk| (chunk.id, chunk)));
                }
            }
            let chunks: Vec<ChunkRef> = needed.into_values().collect();
            self.copy_chunks(&chunks, &mut io::sink())?;
            for listing in &version.blocks {
                self.open_block(listing.id)?;
            }
        }
        Ok(())
    }
}
