//! Records, one behind the other, into segments.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::group::SealedGroup;
use crate::archive::KnownBlock;
use crate::disk::Unusable;
use crate::error::{ArchiveError, Place};
use crate::id::ArchiveId;
use crate::keys::ArchiveKeys;
use crate::limits::INDEX_CHUNKS;
use crate::manifest::{IndexedBlock, encode_index};
use crate::random::{INDEX_STREAMS, Randomness};
use crate::segment::{FRAME_HEAD_BYTES, FrameHead, Kind, SegmentHead};
use crate::store::Store;

/// The end of a last segment to which nothing is appended, since it is not whole or not readable.
pub(crate) const CLOSED: u64 = u64::MAX;

/// Where an archive ends, and how it goes on.
pub(crate) struct Tail<S> {
    pub(crate) store: S,
    pub(crate) archive: ArchiveId,
    /// The last segment, and where the next record in it begins, or [`CLOSED`].
    pub(crate) end: (u64, u64),
    /// The size at which a segment is closed, in bytes.
    pub(crate) segment_bytes: u64,
    /// Bytes that were written.
    pub(crate) written: u64,
    /// Segments that were written to, and whose state is not noted yet.
    pub(crate) touched: BTreeSet<u64>,
}

impl<S: Store> Tail<S> {
    /// Appends a record, which has room for its head in front. Where the payload lies.
    pub(crate) fn append(&mut self, kind: Kind, record: &mut [u8]) -> Result<Place, ArchiveError> {
        if self.end.1 >= self.segment_bytes {
            self.next_segment()?;
        }
        let (segment, offset) = self.end;
        let length = (record.len() - FRAME_HEAD_BYTES) as u32;
        let head = FrameHead { kind, length }.encode(Place { segment, offset });
        record[..FRAME_HEAD_BYTES].copy_from_slice(&head);
        self.store.append(segment, record).map_err(ArchiveError::store("writing a record"))?;
        self.touched.insert(segment);
        self.end.1 += record.len() as u64;
        self.written += record.len() as u64;
        Ok(Place { segment, offset: offset + FRAME_HEAD_BYTES as u64 })
    }

    /// Appends a payload that lies elsewhere.
    pub(crate) fn append_payload(&mut self, kind: Kind, payload: &[u8]) -> Result<Place, ArchiveError> {
        self.append(kind, &mut [&[0; FRAME_HEAD_BYTES], payload].concat())
    }

    /// Closes the last segment, durably, and begins another.
    pub(crate) fn next_segment(&mut self) -> Result<(), ArchiveError> {
        let synced = self.sync();
        // Nothing relies on what cannot be read; a store that failed otherwise takes nothing more.
        if self.end.1 != CLOSED {
            synced?;
        }
        // A backup that is killed leaves few segments whose state is not noted.
        let closed: Vec<u64> = std::mem::take(&mut self.touched).into_iter().collect();
        let _ = self.store.note_states(&closed);
        let number = self.end.0.checked_add(1).ok_or(ArchiveError::WriterStopped {})?;
        let head = SegmentHead { archive: self.archive, number }.encode();
        self.store.create(number, &head).map_err(ArchiveError::store("making a segment"))?;
        self.touched.insert(number);
        self.end = (number, head.len() as u64);
        Ok(())
    }

    /// Makes everything durable. Segments before the last one are already.
    pub(crate) fn sync(&mut self) -> Result<(), ArchiveError> {
        match self.store.sync(self.end.0) {
            // Nothing is appended to it, and nothing in it is relied on: a pipe or a link in the place of a segment.
            Err(error) if self.end.1 == CLOSED && Unusable::of(&error).is_some() => Ok(()),
            synced => synced.map_err(ArchiveError::store("making the archive durable")),
        }
    }
}

/// Appends sealed blocks, and now and then the record of what is in them.
pub(crate) struct Appender<'a, S> {
    pub(crate) tail: Tail<S>,
    keys: Arc<ArchiveKeys>,
    random: &'a dyn Randomness,
    unindexed: Vec<IndexedBlock>,
    unindexed_chunks: usize,
    index_records: u64,
    /// What was appended, with the numbers of the blocks.
    pub(crate) blocks: Vec<(u32, KnownBlock)>,
}

impl<'a, S: Store> Appender<'a, S> {
    pub(crate) fn new(tail: Tail<S>, keys: Arc<ArchiveKeys>, random: &'a dyn Randomness) -> Self {
        Appender {
            tail,
            keys,
            random,
            unindexed: Vec::new(),
            unindexed_chunks: 0,
            index_records: 0,
            blocks: Vec::new(),
        }
    }

    /// Appends a block; its memory, for another.
    pub(crate) fn block(&mut self, sealed: SealedGroup) -> Result<Vec<u8>, ArchiveError> {
        let SealedGroup { number, block } = sealed;
        let (id, mut record) = (block.id, block.record);
        let length = (record.len() - FRAME_HEAD_BYTES) as u32;
        let place = self.tail.append(Kind::Block, &mut record)?;
        self.blocks.push((number, KnownBlock { id, place: Some(place), length, listed: Some(block.digest) }));
        self.unindexed_chunks += block.chunks.len();
        self.unindexed.push(IndexedBlock { id, chunks: block.chunks });
        if self.unindexed_chunks >= INDEX_CHUNKS {
            self.index()?;
        }
        Ok(record)
    }

    /// Appends what is known of the blocks since the last index record.
    pub(crate) fn index(&mut self) -> Result<(), ArchiveError> {
        let blocks = std::mem::take(&mut self.unindexed);
        self.unindexed_chunks = 0;
        self.index_of(&blocks)
    }

    /// Appends a record of what is in these blocks.
    pub(crate) fn index_of(&mut self, blocks: &[IndexedBlock]) -> Result<(), ArchiveError> {
        if blocks.is_empty() {
            return Ok(());
        }
        let mut rng = self.random.stream(INDEX_STREAMS + self.index_records);
        self.index_records += 1;
        let record = encode_index(&self.keys, self.tail.archive, blocks, &mut rng);
        self.tail.append_payload(Kind::Index, &record).map(|_| ())
    }
}
