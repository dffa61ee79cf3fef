//! Which archive a store is of, where nobody knows it beforehand.

use std::collections::BTreeSet;

use bailee_core::crypto::{labels, sign};

use crate::error::ArchiveError;
use crate::id::{ArchiveId, DeviceId};
use crate::manifest::{Clear, decode_manifest};
use crate::open::list;
use crate::retention::decode_retention;
use crate::segment::{Frame, Kind, read_segment_head, scan_segment};
use crate::store::ReadStore;

/// The archives that a store may be of, the likeliest first: where heads of segments do not decide, those that a head names and
/// a signed link too, then those that signed links name, then those that heads name. It takes no key, and so knows no device:
/// which it is shows when it is opened.
///
/// # Errors
/// `NoArchive`; what is wrong with the first head, if nothing names any; `Store`.
pub fn candidates(store: &dyn ReadStore) -> Result<Vec<ArchiveId>, ArchiveError> {
    let numbers = list(store)?;
    let heads = Heads::read(store, &numbers);
    let named: Vec<ArchiveId> = heads.named.iter().map(|(id, _)| *id).collect();
    let mut all = Vec::new();
    if !heads.decide() {
        let signed: Vec<ArchiveId> = signed_ids(store, &numbers).map(|(archive, _)| archive).collect();
        let vouched: BTreeSet<[u8; 16]> = signed.iter().map(|id| id.0).collect();
        all.extend(named.iter().filter(|id| vouched.contains(&id.0)));
        all.extend(signed);
    }
    all.extend(named);
    let mut seen = BTreeSet::new();
    all.retain(|id| seen.insert(id.0));
    if all.is_empty() { Err(heads.trouble()) } else { Ok(all) }
}

/// What the heads of segments say.
struct Heads {
    /// The archives that they name, and how many name each, the most first.
    named: Vec<(ArchiveId, usize)>,
    first_error: Option<ArchiveError>,
}

impl Heads {
    fn read(store: &dyn ReadStore, numbers: &[u64]) -> Self {
        let mut heads = Heads { named: Vec::new(), first_error: None };
        for &number in numbers {
            match read_segment_head(store, number) {
                // What cannot be read may be of any archive.
                Err(error @ ArchiveError::Store { .. }) => heads.first_error = Some(error),
                Err(error) => heads.first_error = heads.first_error.or(Some(error)),
                Ok(head) => match heads.named.iter_mut().find(|(id, _)| *id == head.archive) {
                    Some((_, count)) => *count += 1,
                    None => heads.named.push((head.archive, 1)),
                },
            }
        }
        heads.named.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        heads
    }

    /// Whether they decide by themselves: several name one archive, and more than name any other.
    fn decide(&self) -> bool {
        match self.named[..] {
            [(_, count)] => count > 1,
            [(_, count), (_, fewer), ..] => count > fewer,
            [] => false,
        }
    }

    fn trouble(self) -> ArchiveError {
        self.first_error.unwrap_or(ArchiveError::NoArchive {})
    }
}

/// The archive that most heads of segments name. Where they are at odds, or there is one alone, a link that a known device signed
/// decides: a head authenticates nothing.
pub(crate) fn archive_id(
    store: &dyn ReadStore,
    numbers: &[u64],
    devices: &[DeviceId],
) -> Result<ArchiveId, ArchiveError> {
    let heads = Heads::read(store, numbers);
    let mut named = heads.named.iter().map(|(id, _)| *id);
    if heads.decide() {
        return named.next().ok_or(ArchiveError::NoArchive {});
    }
    let by_known = |(archive, device)| devices.contains(&device).then_some(archive);
    let signed: Vec<ArchiveId> = signed_ids(store, numbers).filter_map(by_known).collect();
    let vouched = named.clone().find(|id| signed.contains(id));
    let id = vouched.or(signed.first().copied()).or(named.next());
    id.ok_or_else(|| heads.trouble())
}

/// The archives that links name, and the devices that they name and that signed them.
fn signed_ids<'a>(store: &'a dyn ReadStore, numbers: &'a [u64]) -> impl Iterator<Item = (ArchiveId, DeviceId)> + 'a {
    let signed = move |frame: Frame| {
        let bytes = frame.read(store).ok()?;
        match frame.head.kind {
            Kind::Manifest => {
                let manifest = decode_manifest(&bytes).ok()?;
                let Clear { archive, device, .. } = manifest.clear;
                sign::verify(&device.0, labels::SIGN_MANIFEST, &manifest.body, &manifest.signature)
                    .then_some((archive, device))
            }
            Kind::Retention => decode_retention(&bytes).map(|retention| (retention.archive, retention.device)).ok(),
            Kind::Block | Kind::Index => None,
        }
    };
    let scans = numbers.iter().filter_map(move |&number| scan_segment(store, number, ArchiveId([0; 16])).ok());
    scans.flat_map(|scan| scan.frames).filter_map(signed)
}
