//! Opening an archive: whole records, genuine manifests in their chains, and what is in which block.
//!
//! Damage is noted and passed over: one altered byte must not cost more than the record that it is in. An archive is refused as
//! a whole only if there is none, or if none of its manifests counts.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bailee_core::crypto::{labels, sign};

use crate::archive::{Archive, Blocks, Damage, Gone, KnownBlock, Version};
use crate::block::{BLOCK_HEADER_BYTES, peek_id};
use crate::engine::append::CLOSED;
use crate::error::{ArchiveError, Part, Place};
use crate::id::{ArchiveId, BlockId, ChunkId, DeviceId, Digest};
use crate::keys::ArchiveKeys;
use crate::limits::MOST_DAMAGE;
use crate::manifest::{Clear, IndexedBlock, Listing, Manifest, decode_manifest, open_index};
use crate::retention::{Retention, decode_retention};
use crate::segment::{Frame, Kind, read_segment_head, scan_segment};
use crate::store::ReadStore;
use crate::table::{ChunkTable, Located};
use crate::tail::cut_torn_tail;

/// A link of a chain, signed by a known device; whether it follows the one before is not known yet.
enum Genuine {
    Version(Manifest),
    Retention(Retention),
}

struct GenuineLink {
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

impl<S: ReadStore> Archive<S> {
    /// Reads an archive. Manifests are taken from these devices alone. What is damaged is in [`Archive::damage`].
    ///
    /// # Errors
    /// `NoArchive`; `Store` if it cannot be listed; and if there are manifests of which none counts, what is wrong with the
    /// first: `UnknownDevice`, `BadSignature`, `NotOpened`, or what a decoder says.
    pub fn open(store: S, keys: ArchiveKeys, devices: &[DeviceId]) -> Result<Self, ArchiveError> {
        let numbers = list(&store)?;
        let id = archive_id(&store, &numbers, devices)?;
        Archive::read(store, &numbers, id, Arc::new(keys), devices)
    }

    /// As [`Archive::open`], where it is known already which archive it is: whatever says that it belongs to another is damage.
    ///
    /// # Errors
    /// As [`Archive::open`].
    pub fn open_as(
        store: S,
        id: ArchiveId,
        keys: impl Into<Arc<ArchiveKeys>>,
        devices: &[DeviceId],
    ) -> Result<Self, ArchiveError> {
        let numbers = list(&store)?;
        Archive::read(store, &numbers, id, keys.into(), devices)
    }

    fn read(
        store: S,
        numbers: &[u64],
        id: ArchiveId,
        keys: Arc<ArchiveKeys>,
        devices: &[DeviceId],
    ) -> Result<Self, ArchiveError> {
        let Some(&last) = numbers.last() else { return Err(ArchiveError::NoArchive {}) };
        let mut archive = Archive {
            store,
            keys,
            id,
            devices: devices.to_vec(),
            blocks: Blocks::default(),
            chunks: ChunkTable::default(),
            versions: Vec::new(),
            links: BTreeMap::new(),
            gone: Gone::default(),
            segments: Vec::new(),
            leftovers: Vec::new(),
            end: (last, 0),
            torn: None,
            seen: (last, 0),
            damage: Vec::new(),
            cache: Default::default(),
        };
        let mut frames = archive.scan(numbers);
        let links = archive.genuine_links(&frames);
        archive.learn_what_is_gone(&links);
        archive.check_segments(numbers);
        let gone = &archive.gone.segments;
        archive.damage.retain(|damage| damage.place.is_none_or(|place| !gone.contains(&place.segment)));
        frames.retain(|frame| !archive.gone.segments.contains(&frame.payload.segment));
        let indexed = archive.take_in(&frames);
        archive.accept(links)?;
        archive.index(indexed);
        Ok(archive)
    }

    fn note(&mut self, place: Option<Place>, error: ArchiveError) {
        self.damage.push(Damage { place, error });
    }

    /// The whole records of all segments.
    fn scan(&mut self, numbers: &[u64]) -> Vec<Frame> {
        let mut frames = Vec::new();
        let last = numbers.last().copied();
        for &number in numbers {
            let scanned = scan_segment(&self.store, number, self.id).and_then(|mut scan| {
                if Some(number) == last && scan.headed {
                    self.torn = cut_torn_tail(&self.store, &self.keys, self.id, number, &mut scan)?;
                }
                Ok(scan)
            });
            match scanned {
                Ok(scan) => {
                    frames.extend(scan.frames);
                    self.damage.extend(scan.damage);
                    self.end = (number, if scan.headed { scan.end } else { CLOSED });
                    self.seen = (number, scan.length);
                }
                Err(error) => {
                    // Whatever it is: nothing is appended to it.
                    self.end = (number, CLOSED);
                    self.seen = (number, self.store.length(number).unwrap_or(0));
                    self.note(Some(Place { segment: number, offset: 0 }), error);
                }
            }
        }
        frames
    }

    /// Manifests and retention records that a known device signed, each once.
    fn genuine_links(&mut self, frames: &[Frame]) -> Vec<GenuineLink> {
        let mut links = Vec::new();
        let mut seen = BTreeSet::new();
        for frame in frames.iter().filter(|frame| matches!(frame.head.kind, Kind::Manifest | Kind::Retention)) {
            match self.genuine_link(frame) {
                // A prune copies links that go on to matter.
                Ok(link) if !seen.insert(link.digest) => {}
                Ok(link) => links.push(link),
                Err(error) => self.note(Some(frame.payload), error),
            }
        }
        links
    }

    fn genuine_link(&self, frame: &Frame) -> Result<GenuineLink, ArchiveError> {
        let bytes = frame.read(&self.store)?;
        let digest = Digest::of(&bytes);
        let (part, archive, device, link) = if frame.head.kind == Kind::Manifest {
            let manifest = decode_manifest(&bytes)?;
            (Part::Manifest, manifest.clear.archive, manifest.clear.device, Genuine::Version(manifest))
        } else {
            let retention = decode_retention(&bytes)?;
            (Part::Retention, retention.archive, retention.device, Genuine::Retention(retention))
        };
        if archive != self.id {
            return Err(ArchiveError::WrongArchive { part, found: archive });
        }
        if !self.devices.contains(&device) {
            return Err(ArchiveError::UnknownDevice { device });
        }
        if let Genuine::Version(manifest) = &link
            && !sign::verify(&device.0, labels::SIGN_MANIFEST, &manifest.body, &manifest.signature)
        {
            return Err(ArchiveError::BadSignature { device, seq: manifest.clear.seq });
        }
        Ok(GenuineLink { place: frame.payload, digest, link })
    }

    fn learn_what_is_gone(&mut self, links: &[GenuineLink]) {
        for link in links {
            if let Genuine::Retention(retention) = &link.link {
                self.gone.segments.extend(&retention.segments);
                self.gone.blocks.extend(&retention.dropped);
                let forgotten = retention.forgotten.iter().map(|gone| ((gone.device, gone.seq), gone.digest));
                self.gone.versions.extend(forgotten);
            }
        }
    }

    /// Every segment up to the last is there, but for those that were given up.
    fn check_segments(&mut self, numbers: &[u64]) {
        let last = numbers.last().copied().unwrap_or(0);
        for number in 1..=last {
            let gone = self.gone.segments.contains(&number);
            match (numbers.binary_search(&number).is_ok(), gone) {
                (true, false) => self.segments.push(number),
                (true, true) => self.leftovers.push(number),
                (false, true) => {}
                (false, false) => self.note(None, ArchiveError::MissingSegment { number }),
            }
            // An archive of a million missing segments is one damage, not a million.
            if self.damage.len() > MOST_DAMAGE {
                break;
            }
        }
    }

    /// Learns which blocks there are, and what index records say of them.
    fn take_in(&mut self, frames: &[Frame]) -> Vec<IndexedBlock> {
        let mut indexed = Vec::new();
        for frame in frames {
            let done = match frame.head.kind {
                Kind::Block => self.take_in_block(frame),
                Kind::Index => frame
                    .read(&self.store)
                    .and_then(|bytes| open_index(&self.keys, self.id, &bytes))
                    .map(|blocks| indexed.extend(blocks)),
                Kind::Manifest | Kind::Retention => Ok(()),
            };
            if let Err(error) = done {
                self.note(Some(frame.payload), error);
            }
        }
        indexed
    }

    fn take_in_block(&mut self, frame: &Frame) -> Result<(), ArchiveError> {
        let mut front = [0; BLOCK_HEADER_BYTES + 32];
        if (frame.head.length as usize) < front.len() {
            return Err(ArchiveError::Truncated {
                part: Part::Block,
                length: frame.head.length as usize,
                needed: front.len(),
            });
        }
        self.store
            .read(frame.payload.segment, frame.payload.offset, &mut front)
            .map_err(ArchiveError::store("reading a block"))?;
        let id = peek_id(&front)?;
        let block = KnownBlock { id, place: Some(frame.payload), length: frame.head.length, listed: None };
        match self.blocks.add(block) {
            (_, true) => Ok(()),
            (_, false) => Err(ArchiveError::RepeatedBlock { id }),
        }
    }

    /// Puts the links into their chains, and what the versions among them list.
    fn accept(&mut self, mut links: Vec<GenuineLink>) -> Result<(), ArchiveError> {
        links.sort_by_key(GenuineLink::at);
        self.links = self.gone.versions.clone();
        let mut first_refused = None;
        let mut accepted = false;
        for link in &links {
            let (device, seq) = link.at();
            let other = self.links.insert((device, seq), link.digest).filter(|other| *other != link.digest);
            if other.is_some() {
                self.note(Some(link.place), ArchiveError::ChainBroken { device, seq, expected: seq + 1 });
            }
        }
        for link in links {
            self.check_follows(&link);
            match self.accept_link(&link) {
                Ok(()) => accepted = true,
                Err(error) => first_refused = first_refused.or(Some((link.place, error))),
            }
        }
        self.versions.sort_by_key(|version| (version.root.time, version.device, version.seq));
        match first_refused {
            Some((place, error)) if accepted => self.note(Some(place), error),
            Some((_, error)) => return Err(error),
            // Manifests there were, and none was so much as genuine: nothing can be read.
            None if !accepted => {
                let of_a_link = |damage: &Damage| is_about_links(&damage.error);
                if let Some(at) = self.damage.iter().position(of_a_link) {
                    return Err(self.damage.swap_remove(at).error);
                }
            }
            None => {}
        }
        Ok(())
    }

    /// The link before is there, or was forgotten, and is the one that this one names.
    fn check_follows(&mut self, link: &GenuineLink) {
        let (device, seq) = link.at();
        let before = seq.checked_sub(1).filter(|&before| before > 0);
        let digest = before.and_then(|before| self.links.get(&(device, before)).copied());
        if digest != link.previous() {
            let newest_before = self.links.range((device, 0)..(device, seq)).last().map_or(0, |((_, seq), _)| *seq);
            let error = ArchiveError::ChainBroken { device, seq, expected: newest_before + 1 };
            self.note(Some(link.place), error);
        }
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
                if self.gone.versions.get(&link.at()) == Some(&link.digest) {
                    return Ok(());
                }
                let root = manifest.open_root(&self.keys)?;
                let blocks = clear.blocks.iter().filter_map(|listing| self.list(listing)).collect();
                let (device, seq) = link.at();
                self.versions.push(Version { device, seq, root, digest: link.digest, blocks });
            }
        }
        Ok(())
    }

    /// Notes what a signed record says of a block; its number, unless it may be gone and is.
    fn list(&mut self, listing: &Listing) -> Option<u32> {
        let Listing { id, length, digest } = *listing;
        let missing = KnownBlock { id, place: None, length, listed: None };
        if self.blocks.number(&id).is_none() && self.gone.blocks.contains(&id) {
            return None;
        }
        let (number, new) = self.blocks.add(missing);
        if new {
            self.note(None, ArchiveError::MissingBlock { id });
        }
        let block = self.blocks.get_mut(number)?;
        let altered = block.length != length || block.listed.is_some_and(|listed| listed != digest);
        block.listed = Some(digest);
        if altered && block.place.take().is_some() {
            self.note(None, ArchiveError::BlockAltered { id });
        }
        Some(number)
    }

    /// Learns where chunks are: from index records, and from the blocks themselves where a crash came before the record, or
    /// damage to it.
    fn index(&mut self, indexed: Vec<IndexedBlock>) {
        let mut known: HashMap<BlockId, Vec<ChunkId>> =
            indexed.into_iter().map(|block| (block.id, block.chunks)).collect();
        self.chunks.reserve(known.values().map(Vec::len).sum());
        for number in 0..self.blocks.next_number() {
            let Some(&KnownBlock { id, place: Some(place), .. }) = self.blocks.get(number) else { continue };
            let chunks = match known.remove(&id) {
                Some(chunks) => chunks,
                None => match self.read_block(number) {
                    Ok(block) => block.ids().to_vec(),
                    Err(error) => {
                        self.note(Some(place), error);
                        if let Some(block) = self.blocks.get_mut(number) {
                            block.place = None;
                        }
                        continue;
                    }
                },
            };
            for (position, chunk) in (0..).zip(chunks) {
                self.chunks.insert(chunk, Located { block: number, position });
            }
        }
    }
}

fn list(store: &dyn ReadStore) -> Result<Vec<u64>, ArchiveError> {
    store.list().map_err(ArchiveError::store("listing the archive"))
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
fn archive_id(store: &dyn ReadStore, numbers: &[u64], devices: &[DeviceId]) -> Result<ArchiveId, ArchiveError> {
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
