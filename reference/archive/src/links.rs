//! The links of the chains of devices: manifests and retention records that a known device signed, each after the one before
//! (BAK-10).

use std::collections::BTreeSet;

use bailee_core::crypto::{labels, sign};

use crate::archive::{KnownBlock, Version};
use crate::damage::{Damage, Harm};
use crate::error::{ArchiveError, Part, Place};
use crate::id::{ArchiveId, DeviceId, Digest};
use crate::manifest::{Listing, Manifest, decode_manifest, is_signed_manifest};
use crate::open::Opening;
use crate::quirks::Quirk;
use crate::retention::{Retention, decode_retention, is_signed_retention};
use crate::segment::{Frame, Kind};
use crate::store::ReadStore;

/// A link of a chain, signed by a known device; whether it follows the one before is not known yet.
enum Genuine {
    Version(Manifest),
    Retention(Retention),
}

pub(crate) struct GenuineLink {
    place: Place,
    digest: Digest,
    link: Genuine,
}

impl GenuineLink {
    fn at(&self) -> (DeviceId, u64) {
        match &self.link {
            Genuine::Version(manifest) => (manifest.clear.device, manifest.clear.seq),
            Genuine::Retention(retention) => (retention.device, retention.seq),
        }
    }

    fn previous(&self) -> Option<Digest> {
        match &self.link {
            Genuine::Version(manifest) => manifest.clear.previous,
            Genuine::Retention(retention) => retention.previous,
        }
    }
}

/// The archive that a link names, whether or not it is genuine.
pub(crate) fn archive_of_link(store: &dyn ReadStore, frame: &Frame) -> Option<ArchiveId> {
    let bytes = frame.read(store).ok()?;
    match frame.head.kind {
        Kind::Manifest => decode_manifest(&bytes).map(|manifest| manifest.clear.archive).ok(),
        Kind::Retention => decode_retention(&bytes).map(|retention| retention.archive).ok(),
        Kind::Block | Kind::Index => None,
    }
}

/// Whether a link that was refused is signed by its device, so that it is somebody's: another archive's, another release's, or that
/// of a device which the reader does not know. One whose signature does not hold is nobody's.
fn is_somebodys(kind: Kind, bytes: &[u8], error: &ArchiveError) -> bool {
    use ArchiveError::{UnknownDevice, UnsupportedVersion, WrongArchive};
    matches!(error, UnknownDevice { .. } | UnsupportedVersion { .. } | WrongArchive { .. })
        && if kind == Kind::Manifest { is_signed_manifest(bytes) } else { is_signed_retention(bytes) }
}

/// What becomes of a link that was refused: a link of another archive is of no use in this one.
fn harm(error: &ArchiveError, is_somebodys: bool) -> Harm {
    match error {
        ArchiveError::UnknownDevice { .. } | ArchiveError::UnsupportedVersion { .. } if !is_somebodys => Harm::Spoilt,
        error => Harm::of(error),
    }
}

impl Opening<'_> {
    /// Manifests and retention records that a known device signed, each once.
    pub(crate) fn genuine_links(&mut self, frames: &[Frame]) -> Vec<GenuineLink> {
        let mut links = Vec::new();
        let mut seen = BTreeSet::new();
        for frame in frames.iter().filter(|frame| matches!(frame.head.kind, Kind::Manifest | Kind::Retention)) {
            let bytes = match frame.read(self.store) {
                Ok(bytes) => bytes,
                Err(error) => {
                    self.note(Some(frame.payload), error);
                    continue;
                }
            };
            let read = self.genuine_link(frame, &bytes);
            self.link_places.extend(read.as_ref().ok().map(|link| (link.digest, frame.payload.segment)));
            match read {
                // A prune copies links that go on to matter.
                Ok(link) if !seen.insert(link.digest) => {}
                Ok(link) => links.push(link),
                Err(error) => {
                    let is_somebodys = is_somebodys(frame.head.kind, &bytes, &error);
                    self.has_others |= is_somebodys;
                    let harm = harm(&error, is_somebodys);
                    self.note_as(frame.payload, error, harm);
                }
            }
        }
        links
    }

    fn genuine_link(&self, frame: &Frame, bytes: &[u8]) -> Result<GenuineLink, ArchiveError> {
        let digest = Digest::of(bytes);
        let (part, archive, device, link) = if frame.head.kind == Kind::Manifest {
            let manifest = decode_manifest(bytes)?;
            (Part::Manifest, manifest.clear.archive, manifest.clear.device, Genuine::Version(manifest))
        } else {
            let retention = decode_retention(bytes)?;
            (Part::Retention, retention.archive, retention.device, Genuine::Retention(retention))
        };
        if archive != self.contents.id {
            return Err(ArchiveError::WrongArchive { part, found: archive });
        }
        if !self.contents.devices.contains(&device) && !Quirk::UnknownDeviceTaken.is_on() {
            return Err(ArchiveError::UnknownDevice { device });
        }
        if let Genuine::Version(manifest) = &link
            && !sign::verify(&device.0, labels::SIGN_MANIFEST, &manifest.body, &manifest.signature)
        {
            return Err(ArchiveError::BadSignature { device, seq: manifest.clear.seq });
        }
        Ok(GenuineLink { place: frame.payload, digest, link })
    }

    pub(crate) fn learn_what_is_gone(&mut self, links: &[GenuineLink]) {
        let gone = &mut self.contents.gone;
        for link in links {
            if let Genuine::Retention(retention) = &link.link {
                gone.segments.extend(&retention.segments);
                gone.blocks.extend(&retention.dropped);
                let forgotten = retention.forgotten.iter().map(|gone| ((gone.device, gone.seq), gone.digest));
                gone.versions.extend(forgotten);
            }
        }
    }

    /// Puts the links into their chains, and what the versions among them list.
    pub(crate) fn accept(&mut self, mut links: Vec<GenuineLink>) -> Result<(), ArchiveError> {
        links.sort_by_key(GenuineLink::at);
        self.contents.links = self.contents.gone.versions.clone();
        let mut refused = Vec::new();
        let mut accepted = false;
        for link in &links {
            let (device, seq) = link.at();
            let other = self.contents.links.insert((device, seq), link.digest).filter(|other| *other != link.digest);
            if let Some(other) = other {
                self.contents.forks.insert((device, seq, other));
                let expected = seq.saturating_add(1);
                self.note(Some(link.place), ArchiveError::ChainBroken { device, seq, expected });
            }
        }
        for link in links {
            self.check_follows(&link);
            match self.accept_link(&link) {
                Ok(()) => accepted = true,
                Err(error) => refused.push((link.place, error)),
            }
        }
        crate::versions::sort(&mut self.contents.versions);
        if !accepted && !refused.is_empty() {
            return Err(refused.swap_remove(0).1);
        }
        for (place, error) in refused {
            // It is signed: what does not open it is the key.
            self.note_as(place, error, Harm::Unreadable);
        }
        // The archive is somebody else's, or of another release: nothing can be read.
        let of_a_link = |damage: &Damage| is_about_links(&damage.error);
        if !accepted
            && self.has_others
            && let Some(damage) = self.contents.damage.take(of_a_link)
        {
            return Err(damage.error);
        }
        Ok(())
    }

    /// The link before is there, or was forgotten, and is the one that this one names.
    fn check_follows(&mut self, link: &GenuineLink) {
        let (device, seq) = link.at();
        let before = seq.checked_sub(1).filter(|&before| before > 0);
        // The first link, and only it, names none.
        let (Some(before), Some(previous)) = (before, link.previous()) else { return };
        if self.contents.has_link(device, before, previous) || Quirk::ChainUnchecked.is_on() {
            return;
        }
        if !self.contents.links.contains_key(&(device, before)) {
            self.contents.known_lost.insert((device, before), previous);
        }
        let newest_before =
            self.contents.links.range((device, 0)..(device, seq)).last().map_or(0, |((_, seq), _)| *seq);
        let error = ArchiveError::ChainBroken { device, seq, expected: newest_before.saturating_add(1) };
        self.note(Some(link.place), error);
    }

    fn accept_link(&mut self, link: &GenuineLink) -> Result<(), ArchiveError> {
        match &link.link {
            Genuine::Retention(retention) => {
                for listing in &retention.blocks {
                    self.list(listing);
                }
            }
            Genuine::Version(manifest) => {
                let clear = &manifest.clear;
                if self.contents.gone.versions.get(&link.at()) == Some(&link.digest) {
                    return Ok(());
                }
                let root = manifest.open_root(&self.contents.keys)?;
                let blocks = clear.blocks.iter().filter_map(|listing| self.list(listing)).collect();
                let (device, seq) = link.at();
                self.contents.versions.push(Version { device, seq, root, digest: link.digest, blocks });
            }
        }
        Ok(())
    }

    /// Notes what a signed record says of a block; its number, unless it may be gone and is. Where two say different things, that
    /// which is true of the block counts.
    fn list(&mut self, listing: &Listing) -> Option<u32> {
        let Listing { id, length, digest } = *listing;
        let missing = KnownBlock { id, place: None, length, listed: None };
        if self.contents.blocks.number(&id).is_none() && self.contents.gone.blocks.contains(&id) {
            return None;
        }
        let (number, new) = self.contents.blocks.add(missing);
        if new {
            self.note(None, ArchiveError::MissingBlock { id });
        }
        let block = *self.contents.blocks.get(number)?;
        let other = block.listed.filter(|listed| *listed != digest);
        let is_true = other.is_some() && self.is_true_of(&block, listing);
        if other.is_none() || is_true {
            self.contents.blocks.get_mut(number)?.listed = Some(digest);
        }
        // Of two that differ, the one that is not true is named.
        let wrong = match other {
            Some(other) if is_true => Some(other),
            Some(_) => Some(digest),
            None => (block.length != length).then_some(digest),
        };
        if let Some(wrong) = wrong
            && block.place.is_some()
            && !self.contents.gone.blocks.contains(&id)
            && self.contradicted.insert((id, wrong))
        {
            self.note(block.place, ArchiveError::BlockAltered { id });
            self.contents.altered.insert(id);
        }
        Some(number)
    }

    fn is_true_of(&self, block: &KnownBlock, listing: &Listing) -> bool {
        let is = |bytes: Vec<u8>| Digest::of_block(&bytes) == listing.digest;
        block.length == listing.length && block.bytes(self.store).is_ok_and(is)
    }
}

fn is_about_links(error: &ArchiveError) -> bool {
    use ArchiveError::{
        BadSignature, Encoding, Malformed, NotOpened, UnknownDevice, UnsupportedVersion, WrongArchive,
    };
    match error {
        UnknownDevice { .. } | BadSignature { .. } => true,
        Encoding { part, .. }
        | Malformed { part, .. }
        | UnsupportedVersion { part, .. }
        | WrongArchive { part, .. } => {
            matches!(part, Part::Manifest | Part::Retention)
        }
        NotOpened { part, .. } => *part == Part::Root,
        _ => false,
    }
}
