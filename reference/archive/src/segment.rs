//! Segments: append-only runs of length-prefixed records.
//!
//! ```text
//! segment = "BAILEESG" ‖ version (1) ‖ archive (16) ‖ number (8) ‖ record*
//! record  = kind (1) ‖ length (4) ‖ check (4) ‖ payload
//! ```
//!
//! Numbers are big-endian. `check` is the beginning of SHA-256 over the record's place, kind and length: it tells a
//! record that was torn by a crash from one whose head was altered or moved. It is no authentication; payloads have that.

use crate::block::LEAST_BLOCK_BYTES;
use crate::bytes::Bytes;
use crate::damage::{DamageList, Harm};
use crate::error::{ArchiveError, Part, Place};
use crate::id::{ArchiveId, Digest};
use crate::limits::{INDEX_BYTES, MANIFEST_BYTES, SEGMENT_MOST_BYTES};
use crate::manifest::{decode_manifest, pair};
use crate::quirks::Quirk;
use crate::retention::decode_retention;
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
    /// A retention record: what may be gone.
    Retention = 4,
}

impl Kind {
    fn limit(self) -> usize {
        match self {
            Kind::Block => crate::block::BLOCK_BYTES,
            Kind::Index => INDEX_BYTES,
            Kind::Manifest | Kind::Retention => MANIFEST_BYTES,
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
        4 => Kind::Retention,
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

/// What a crash left at the end of an archive.
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
    /// The length of the segment.
    pub length: u64,
    /// What is no record, in order.
    pub(crate) damage: DamageList,
    /// Whether the head is that of this segment of this archive. Nothing is appended behind another, nor cut off.
    pub headed: bool,
}

/// Reads the heads of all records of a segment.
///
/// What is no record is damage, and the search for the next record goes on behind it. So is the head of a segment of another
/// archive: each record says of which it is. What of that a crash may have left is said
/// by what follows the last manifest, not here.
///
/// # Errors
/// `Store`.
pub fn scan_segment(store: &dyn ReadStore, number: u64, archive: ArchiveId) -> Result<Scan, ArchiveError> {
    let length = store.length(number).map_err(ArchiveError::store("measuring a segment"))?;
    let mut scan = Scan {
        frames: Vec::new(),
        end: SEGMENT_HEAD_BYTES as u64,
        length,
        damage: DamageList::default(),
        headed: true,
    };
    let head = match read_segment_head(store, number) {
        Ok(head) if head.archive != archive => {
            Err(ArchiveError::WrongArchive { part: Part::Segment, found: head.archive })
        }
        Err(error @ ArchiveError::Store { .. }) => return Err(error),
        head => head,
    };
    scan.headed = head.is_ok() && length <= SEGMENT_MOST_BYTES;
    let readable = length.min(SEGMENT_MOST_BYTES);
    while scan.end < readable {
        let place = Place { segment: number, offset: scan.end };
        let error = match next_frame(store, place, readable - scan.end) {
            Ok(Some(frame)) => {
                scan.end = frame.payload.offset + u64::from(frame.head.length);
                match refuse_short(store, &frame)? {
                    None => scan.frames.push(frame),
                    Some(error) => scan.damage.note(Some(place), error),
                }
                continue;
            }
            Ok(None) => ArchiveError::Damaged { place, what: "the segment ends within a record" },
            Err(error @ ArchiveError::Store { .. }) => return Err(error),
            Err(error) => error,
        };
        scan.damage.note(Some(place), error);
        scan.end = find_frame(store, place, readable)?;
    }
    if length > readable {
        let error = ArchiveError::TooLarge { part: Part::Segment, length, limit: SEGMENT_MOST_BYTES };
        scan.damage.note(Some(Place { segment: number, offset: readable }), error);
    }
    if let Err(error) = head {
        // A segment of another release is nothing to repair; one that has whole records is of this one.
        let harm = match error {
            ArchiveError::UnsupportedVersion { .. } if scan.frames.is_empty() => Harm::Unreadable,
            _ => Harm::Spoilt,
        };
        scan.damage.note_first(Place { segment: number, offset: 0 }, error, harm);
    }
    Ok(scan)
}

/// A record that is shorter than any of its kind says at once what is wrong with it: a segment full of such would take much
/// memory if each of them were kept.
fn refuse_short(store: &dyn ReadStore, frame: &Frame) -> Result<Option<ArchiveError>, ArchiveError> {
    /// Every link and every index record is longer.
    const LEAST_BYTES: usize = 64;
    let length = frame.head.length as usize;
    Ok(match frame.head.kind {
        Kind::Block if length < LEAST_BLOCK_BYTES => {
            Some(ArchiveError::Truncated { part: Part::Block, length, needed: LEAST_BLOCK_BYTES })
        }
        Kind::Index if length < LEAST_BYTES => pair(Part::Index, &frame.read(store)?, INDEX_BYTES).err(),
        Kind::Manifest if length < LEAST_BYTES => decode_manifest(&frame.read(store)?).err(),
        Kind::Retention if length < LEAST_BYTES => decode_retention(&frame.read(store)?).err(),
        _ => None,
    })
}

/// Where the next whole record begins behind a damaged one, or the end of the segment.
///
/// Every offset is tried: the check in a head is of its place, so bytes within a record do not pass for one.
fn find_frame(store: &dyn ReadStore, from: Place, length: u64) -> Result<u64, ArchiveError> {
    const WINDOW_BYTES: u64 = 64 * 1024;
    let mut offset = from.offset + 1;
    while offset + FRAME_HEAD_BYTES as u64 <= length {
        let mut window = vec![0; (WINDOW_BYTES + FRAME_HEAD_BYTES as u64).min(length - offset) as usize];
        store.read(from.segment, offset, &mut window).map_err(ArchiveError::store("reading a segment"))?;
        for (at, head) in (offset..).zip(window.windows(FRAME_HEAD_BYTES)) {
            // Most offsets fail at the kind, before anything is hashed.
            let place = Place { segment: from.segment, offset: at };
            if (1..=4).contains(&head[0])
                && let Ok(head) = decode_frame_head(place, head)
                && at + FRAME_HEAD_BYTES as u64 + u64::from(head.length) <= length
            {
                return Ok(at);
            }
        }
        offset += (window.len() - FRAME_HEAD_BYTES + 1) as u64;
    }
    Ok(length)
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
    if head.number != number && !Quirk::SegmentNumberIgnored.is_on() {
        return Err(ArchiveError::Malformed { part: Part::Segment, what: "the number of another segment" });
    }
    Ok(head)
}

/// The archive that the head of a segment names, whatever its number is.
pub(crate) fn peek_segment_head(store: &dyn ReadStore, number: u64) -> Option<ArchiveId> {
    let mut bytes = [0; SEGMENT_HEAD_BYTES];
    store.read(number, 0, &mut bytes).ok()?;
    decode_segment_head(&bytes).map(|head| head.archive).ok()
}

/// The record at a place; none if it ends too early.
fn next_frame(store: &dyn ReadStore, place: Place, left: u64) -> Result<Option<Frame>, ArchiveError> {
    if left < FRAME_HEAD_BYTES as u64 {
        return Ok(None);
    }
    let mut head = [0; FRAME_HEAD_BYTES];
    store.read(place.segment, place.offset, &mut head).map_err(ArchiveError::store("reading a segment"))?;
    let head = decode_frame_head(place, &head)?;
    let payload = Place { segment: place.segment, offset: place.offset + FRAME_HEAD_BYTES as u64 };
    let whole = u64::from(head.length) <= left - FRAME_HEAD_BYTES as u64;
    Ok(whole.then_some(Frame { payload, head }))
}
