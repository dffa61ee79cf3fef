//! Segments: append-only runs of length-prefixed records.
//!
//! ```text
//! segment = "BAILEESG" ‖ version (1) ‖ archive (16) ‖ number (8) ‖ record*
//! record  = kind (1) ‖ length (4) ‖ check (4) ‖ payload
//! ```
//!
//! Numbers are big-endian. `check` is the beginning of SHA-256 over the record's place, kind and length: it tells a
//! record that was torn by a crash from one whose head was altered or moved. It is no authentication; payloads have that.

use crate::bytes::Bytes;
use crate::error::{ArchiveError, Part, Place};
use crate::id::{ArchiveId, Digest};
use crate::limits::{INDEX_BYTES, MANIFEST_BYTES};
use crate::store::ReadStore;

/// The version of the segment format.
pub const SEGMENT_VERSION: u8 = 1;
/// Bytes of a segment's head.
pub const SEGMENT_HEAD_BYTES: usize = 33;
/// Bytes of a record's head.
pub const FRAME_HEAD_BYTES: usize = 9;

const MAGIC: [u8; 8] = *b"BAILEESG";

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A block.
    Block = 1,
    /// Which chunks are in which blocks.
    Index = 2,
    /// A manifest: its presence commits a version.
    Manifest = 3,
}

impl Kind {
    fn limit(self) -> usize {
        match self {
            Kind::Block => crate::block::BLOCK_BYTES,
            Kind::Index => INDEX_BYTES,
            Kind::Manifest => MANIFEST_BYTES,
        }
    }
}

/// The head of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHead {
    /// The archive that the segment is of.
    pub archive: ArchiveId,
    /// The segment's number.
    pub number: u64,
}

impl SegmentHead {
    /// The head as it is stored.
    pub fn encode(&self) -> [u8; SEGMENT_HEAD_BYTES] {
        let mut out = [0; SEGMENT_HEAD_BYTES];
        out[..8].copy_from_slice(&MAGIC);
        out[8] = SEGMENT_VERSION;
        out[9..25].copy_from_slice(&self.archive.0);
        out[25..].copy_from_slice(&self.number.to_be_bytes());
        out
    }
}

/// Reads the head of a segment.
///
/// # Errors
/// `Truncated`, `Malformed`, `UnsupportedVersion`.
pub fn decode_segment_head(bytes: &[u8]) -> Result<SegmentHead, ArchiveError> {
    let mut bytes = Bytes::new(Part::Segment, bytes);
    if bytes.array::<8>()? != MAGIC {
        return Err(ArchiveError::Malformed { part: Part::Segment, what: "not the magic number" });
    }
    let [version] = bytes.array()?;
    if version != SEGMENT_VERSION {
        return Err(ArchiveError::UnsupportedVersion { part: Part::Segment, version });
    }
    Ok(SegmentHead { archive: ArchiveId(bytes.array()?), number: bytes.u64()? })
}

/// The head of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// What the record holds.
    pub kind: Kind,
    /// The length of its payload, in bytes, within the limit of its kind.
    pub length: u32,
}

fn check(place: Place, kind: u8, length: u32) -> [u8; 4] {
    let place = [place.segment.to_be_bytes(), place.offset.to_be_bytes()].concat();
    let digest = Digest::of(&[&place[..], &[kind], &length.to_be_bytes()].concat());
    [digest.0[0], digest.0[1], digest.0[2], digest.0[3]]
}

impl FrameHead {
    /// The head as it is stored at a place.
    pub fn encode(&self, place: Place) -> [u8; FRAME_HEAD_BYTES] {
        let kind = self.kind as u8;
        let mut out = [0; FRAME_HEAD_BYTES];
        out[0] = kind;
        out[1..5].copy_from_slice(&self.length.to_be_bytes());
        out[5..].copy_from_slice(&check(place, kind, self.length));
        out
    }
}

/// Reads the head of the record that begins at a place.
///
/// # Errors
/// `Truncated`; `Damaged` when the check fails; `Malformed` for an unknown kind; `TooLarge`.
pub fn decode_frame_head(place: Place, bytes: &[u8]) -> Result<FrameHead, ArchiveError> {
    let mut bytes = Bytes::new(Part::Frame, bytes);
    let [kind] = bytes.array()?;
    let length = bytes.u32()?;
    if bytes.array::<4>()? != check(place, kind, length) {
        return Err(ArchiveError::Damaged { place, what: "the head of the record was altered or moved" });
    }
    let kind = match kind {
        1 => Kind::Block,
        2 => Kind::Index,
        3 => Kind::Manifest,
        _ => return Err(ArchiveError::Malformed { part: Part::Frame, what: "an unknown kind" }),
    };
    if length as usize > kind.limit() {
        return Err(ArchiveError::TooLarge {
            part: Part::Frame,
            length: u64::from(length),
            limit: kind.limit() as u64,
        });
    }
    Ok(FrameHead { kind, length })
}

/// A record in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Where its payload begins.
    pub payload: Place,
    /// Its head.
    pub head: FrameHead,
}

impl Frame {
    /// Reads the payload.
    ///
    /// # Errors
    /// `Store`.
    pub fn read(&self, store: &dyn ReadStore) -> Result<Vec<u8>, ArchiveError> {
        let mut payload = vec![0; self.head.length as usize];
        store
            .read(self.payload.segment, self.payload.offset, &mut payload)
            .map_err(ArchiveError::store("reading a record"))?;
        Ok(payload)
    }
}

impl Frame {
    /// Reads the front of the payload: as many bytes, or all of a shorter one.
    ///
    /// # Errors
    /// `Store`.
    pub(crate) fn read_front(&self, store: &dyn ReadStore, bytes: usize) -> Result<Vec<u8>, ArchiveError> {
        let mut front = vec![0; bytes.min(self.head.length as usize)];
        store
            .read(self.payload.segment, self.payload.offset, &mut front)
            .map_err(ArchiveError::store("reading a record"))?;
        Ok(front)
    }
}

/// What a crash left behind the last whole record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// Where it begins.
    pub place: Place,
    /// How many bytes it has.
    pub length: u64,
}

/// The whole records of a segment.
pub struct Scan {
    /// The records, in order.
    pub frames: Vec<Frame>,
    /// Where the last whole record ends.
    pub end: u64,
    /// What follows it, if a crash left something.
    pub torn: Option<TornTail>,
}

/// Reads the heads of all records of a segment.
///
/// A tail counts as torn only in the archive's `last` segment, and only if it is what an interrupted append leaves: a
/// record that ends too early, or nothing but zeros. Anything else that is no record is damage.
///
/// # Errors
/// `Store`, `WrongArchive`, `Damaged`, and those of [`decode_segment_head`] and [`decode_frame_head`].
pub fn scan_segment(
    store: &dyn ReadStore,
    number: u64,
    archive: ArchiveId,
    last: bool,
) -> Result<Scan, ArchiveError> {
    let length = store.length(number).map_err(ArchiveError::store("measuring a segment"))?;
    let head = read_segment_head(store, number)?;
    if head.archive != archive {
        return Err(ArchiveError::WrongArchive { part: Part::Segment, found: head.archive });
    }
    let mut scan = Scan { frames: Vec::new(), end: SEGMENT_HEAD_BYTES as u64, torn: None };
    while scan.end < length {
        let place = Place { segment: number, offset: scan.end };
        match next_frame(store, place, length - scan.end)? {
            Some(frame) => {
                scan.end = frame.payload.offset + u64::from(frame.head.length);
                scan.frames.push(frame);
            }
            None if last => {
                scan.torn = Some(TornTail { place, length: length - scan.end });
                break;
            }
            None => return Err(ArchiveError::Damaged { place, what: "the segment ends within a record" }),
        }
    }
    Ok(scan)
}

/// Reads the head of a segment that is in place.
///
/// # Errors
/// `Store`, `Malformed` if its number is another one, and those of [`decode_segment_head`].
pub fn read_segment_head(store: &dyn ReadStore, number: u64) -> Result<SegmentHead, ArchiveError> {
    let length = store.length(number).map_err(ArchiveError::store("measuring a segment"))?;
    let mut bytes = vec![0; length.min(SEGMENT_HEAD_BYTES as u64) as usize];
    store.read(number, 0, &mut bytes).map_err(ArchiveError::store("reading a segment"))?;
    let head = decode_segment_head(&bytes)?;
    if head.number != number {
        return Err(ArchiveError::Malformed { part: Part::Segment, what: "the number of another segment" });
    }
    Ok(head)
}

/// The record at a place; none if the rest of the segment is a torn tail.
fn next_frame(store: &dyn ReadStore, place: Place, left: u64) -> Result<Option<Frame>, ArchiveError> {
    if left < FRAME_HEAD_BYTES as u64 {
        return Ok(None);
    }
    let mut head = [0; FRAME_HEAD_BYTES];
    store.read(place.segment, place.offset, &mut head).map_err(ArchiveError::store("reading a segment"))?;
    if head == [0; FRAME_HEAD_BYTES] && only_zeros(store, place, left)? {
        return Ok(None);
    }
    let head = decode_frame_head(place, &head)?;
    let payload = Place { segment: place.segment, offset: place.offset + FRAME_HEAD_BYTES as u64 };
    let whole = u64::from(head.length) <= left - FRAME_HEAD_BYTES as u64;
    Ok(whole.then_some(Frame { payload, head }))
}

fn only_zeros(store: &dyn ReadStore, from: Place, length: u64) -> Result<bool, ArchiveError> {
    let mut piece = vec![0; 64 * 1024];
    let mut done = 0;
    while done < length {
        let part = (length - done).min(piece.len() as u64);
        let piece = &mut piece[..part as usize];
        store.read(from.segment, from.offset + done, piece).map_err(ArchiveError::store("reading a segment"))?;
        if piece.iter().any(|&byte| byte != 0) {
            return Ok(false);
        }
        done += part;
    }
    Ok(true)
}
