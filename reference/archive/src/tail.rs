//! What follows the last version in the last segment: the records of an unfinished backup, and what a crash made of them.
//!
//! What was not synced may be missing, torn or full of zeros in any place, whatever came after it; but a manifest, and a
//! retention record likewise, is written only when all before it is durable (BAK-13). So a genuine one vouches for what lies
//! before it, and behind the last one each record has to show itself that it is whole (BAK-12).

use bailee_core::crypto::{labels, sign};

use crate::block::open_block;
use crate::error::{ArchiveError, Place};
use crate::id::ArchiveId;
use crate::keys::ArchiveKeys;
use crate::manifest::{decode_manifest, is_signed_manifest, open_index};
use crate::retention::{decode_retention, is_signed_retention};
use crate::segment::{FRAME_HEAD_BYTES, Frame, Kind, SEGMENT_HEAD_BYTES, Scan, TornTail};
use crate::store::ReadStore;

/// Keeps the last segment's records as far as a crash left them whole. The rest is its torn tail, and no damage.
///
/// # Errors
/// `Store`.
pub(crate) fn cut_torn_tail(
    store: &dyn ReadStore,
    keys: &ArchiveKeys,
    id: ArchiveId,
    number: u64,
    scan: &mut Scan,
) -> Result<Option<TornTail>, ArchiveError> {
    let (vouched, vouched_end) = vouched_for(store, id, scan)?;
    let mut torn = scan
        .damage
        .listed()
        .iter()
        .filter_map(|damage| damage.place)
        .map(|place| place.offset)
        .filter(|&offset| offset >= vouched_end)
        .min()
        .unwrap_or(scan.end.max(vouched_end));
    for frame in &scan.frames[vouched..] {
        let begin = frame.payload.offset - FRAME_HEAD_BYTES as u64;
        if begin >= torn {
            break;
        }
        if !is_whole(keys, id, frame.head.kind, &frame.read(store)?) {
            torn = begin;
        }
    }
    if torn >= scan.length {
        return Ok(None);
    }
    scan.frames.retain(|frame| frame.payload.offset < torn);
    scan.damage.keep_at(|place| place.offset < torn);
    scan.end = torn;
    Ok(Some(TornTail { place: Place { segment: number, offset: torn }, length: scan.length - torn }))
}

/// How many records the last genuine link of a chain vouches for, and where it ends.
fn vouched_for(store: &dyn ReadStore, id: ArchiveId, scan: &Scan) -> Result<(usize, u64), ArchiveError> {
    for (position, frame) in scan.frames.iter().enumerate().rev() {
        if is_link(frame) && is_genuine(id, frame.head.kind, &frame.read(store)?) {
            return Ok((position + 1, frame.payload.offset + u64::from(frame.head.length)));
        }
    }
    Ok((0, SEGMENT_HEAD_BYTES as u64))
}

fn is_link(frame: &Frame) -> bool {
    matches!(frame.head.kind, Kind::Manifest | Kind::Retention)
}

/// A record that only another release, or another key, could read is no torn one: it stays, and is refused by name.
fn is_whole(keys: &ArchiveKeys, id: ArchiveId, kind: Kind, payload: &[u8]) -> bool {
    let read = match kind {
        Kind::Block => open_block(keys, id, payload.to_vec()).map(|_| true),
        Kind::Index => open_index(keys, id, payload).map(|_| true),
        Kind::Manifest => decode_manifest(payload).map(|_| is_genuine(id, kind, payload)),
        Kind::Retention => decode_retention(payload).map(|retention| retention.archive == id),
    };
    match read {
        Ok(whole) => whole,
        Err(ArchiveError::UnsupportedVersion { .. } | ArchiveError::UnknownEpoch { .. }) => match kind {
            // Its device signs a link of another release, too: without that its version is an altered byte.
            Kind::Manifest => is_signed_manifest(payload),
            Kind::Retention => is_signed_retention(payload),
            Kind::Block | Kind::Index => true,
        },
        Err(_) => false,
    }
}

/// Whether a link is of this archive and the device that it names signed it. Whether that device counts is for the reader to say.
fn is_genuine(id: ArchiveId, kind: Kind, payload: &[u8]) -> bool {
    match kind {
        Kind::Manifest => decode_manifest(payload).is_ok_and(|manifest| {
            manifest.clear.archive == id
                && sign::verify(&manifest.clear.device.0, labels::SIGN_MANIFEST, &manifest.body, &manifest.signature)
        }),
        Kind::Retention => decode_retention(payload).is_ok_and(|retention| retention.archive == id),
        Kind::Block | Kind::Index => false,
    }
}
