//! Opening an archive: whole records, genuine manifests in their chains, and what is in which block (BAK-10).
//!
//! Damage is noted and passed over: one altered byte must not cost more than the record that it is in. An archive is refused as
//! a whole only if there is none, or if none of its links counts and one of them is somebody else's (BAK-16).
//!
//! Nobody is kept from writing meanwhile. A segment that is listed and is not there when it is read was removed by a prune, and one
//! that ends before its end was cut by a writer who found what a crash left: then all is read again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::archive::{Archive, Blocks, Contents, Gone, KnownBlock, Segments};
use crate::block::{BLOCK_HEADER_BYTES, peek_archive, peek_id};
use crate::damage::{DamageList, Harm, is_cut, is_vanished};
use crate::engine::append::CLOSED;
use crate::error::{ArchiveError, Part, Place};
use crate::id::{ArchiveId, BlockId, ChunkId, DeviceId, Digest};
use crate::keys::ArchiveKeys;
use crate::limits::SEGMENT_GAP;
use crate::links::archive_of_link;
use crate::manifest::{IndexedBlock, open_index};
use crate::segment::{Frame, Kind, Scan, peek_segment_head, read_segment_head, scan_segment};
use crate::store::ReadStore;
use crate::table::{ChunkTable, Located};
use crate::tail::cut_torn_tail;
use crate::which::archive_id;

/// How often an archive is read again because a segment vanished or was cut meanwhile.
const ATTEMPTS: usize = 16;

impl<S: ReadStore> Archive<S> {
    /// Reads an archive. Manifests are taken from these devices alone. What is damaged is in [`Archive::damage`].
    ///
    /// # Errors
    /// `NoArchive`; `Store` if it cannot be listed; and if no link counts and one of them is somebody else's, what is wrong with the
    /// first: `UnknownDevice`, `BadSignature`, `NotOpened`, or what a decoder says.
    pub fn open(store: S, keys: ArchiveKeys, devices: &[DeviceId]) -> Result<Self, ArchiveError> {
        let id = archive_id(&store, &list(&store)?, devices)?;
        Archive::open_as(store, id, keys, devices)
    }

    /// As [`Archive::open`], where it is known already which archive it is: whatever says that it belongs to another is damage.
    ///
    /// # Errors
    /// As [`Archive::open`]; `WrongArchive` if all of it is another archive's.
    pub fn open_as(
        store: S,
        id: ArchiveId,
        keys: impl Into<Arc<ArchiveKeys>>,
        devices: &[DeviceId],
    ) -> Result<Self, ArchiveError> {
        let contents = Contents::read(&store, id, &keys.into(), devices)?;
        Ok(Archive::of(store, contents))
    }

    /// Reads the archive again, as it is now.
    ///
    /// # Errors
    /// As [`Archive::open_as`].
    pub(crate) fn reload(&mut self) -> Result<(), ArchiveError> {
        let Contents { id, keys, devices, .. } = &self.contents;
        self.contents = Contents::read(&self.store, *id, keys, devices)?;
        self.cache = Default::default();
        self.refreshed = Default::default();
        Ok(())
    }
}

impl<S> Archive<S> {
    pub(crate) fn of(store: S, contents: Contents) -> Self {
        Archive { store, contents, cache: Default::default(), refreshed: Default::default() }
    }
}

pub(crate) fn list(store: &dyn ReadStore) -> Result<Vec<u64>, ArchiveError> {
    store.list().map_err(ArchiveError::store("listing the archive"))
}

impl Contents {
    /// Reads all of an archive except its blocks.
    pub(crate) fn read(
        store: &dyn ReadStore,
        id: ArchiveId,
        keys: &Arc<ArchiveKeys>,
        devices: &[DeviceId],
    ) -> Result<Contents, ArchiveError> {
        let mut attempt = 1;
        loop {
            let numbers = list(store)?;
            let mut opening = Opening::new(store, id, keys, devices);
            let done = opening.read(&numbers);
            if opening.changed && attempt < ATTEMPTS {
                attempt += 1;
                continue;
            }
            return done.map(|()| opening.contents);
        }
    }
}

/// An archive that is being read.
pub(crate) struct Opening<'a> {
    pub(crate) store: &'a dyn ReadStore,
    pub(crate) contents: Contents,
    /// Listings that are not true of their blocks, and were named.
    pub(crate) contradicted: BTreeSet<(BlockId, Digest)>,
    /// Every genuine link, copies too, and its segment.
    pub(crate) link_places: Vec<(Digest, u64)>,
    /// There are links that somebody signed and that are not of this archive, this release, or the devices that are known.
    pub(crate) has_others: bool,
    /// A segment was listed and is not there, or was cut while it was read.
    changed: bool,
}

impl<'a> Opening<'a> {
    fn new(store: &'a dyn ReadStore, id: ArchiveId, keys: &Arc<ArchiveKeys>, devices: &[DeviceId]) -> Self {
        let contents = Contents {
            keys: Arc::clone(keys),
            id,
            devices: devices.to_vec(),
            blocks: Blocks::default(),
            chunks: ChunkTable::default(),
            versions: Vec::new(),
            links: BTreeMap::new(),
            forks: BTreeSet::new(),
            kept_links: BTreeSet::new(),
            known_lost: BTreeMap::new(),
            gone: Gone::default(),
            segments: Segments::default(),
            end: (0, 0),
            torn: None,
            was_torn: false,
            seen: (0, 0),
            unsettled: BTreeSet::new(),
            altered: BTreeSet::new(),
            suspected: false,
            damage: DamageList::default(),
        };
        Opening {
            store,
            contents,
            contradicted: BTreeSet::new(),
            link_places: Vec::new(),
            has_others: false,
            changed: false,
        }
    }

    fn read(&mut self, numbers: &[u64]) -> Result<(), ArchiveError> {
        if numbers.is_empty() {
            return Err(ArchiveError::NoArchive {});
        }
        let (counted, strays) = self.counted(numbers);
        let (foreign, ours): (Vec<u64>, Vec<u64>) = counted.iter().partition(|number| self.is_foreign(**number));
        let Some(&last) = counted.last().filter(|_| !ours.is_empty()) else {
            return Err(self.all_foreign(numbers));
        };
        let mut frames = self.scan(&ours);
        if Some(&last) != ours.last() {
            self.contents.end = (last, CLOSED);
            self.contents.seen = (last, self.store.length(last).unwrap_or(0));
        }
        let links = self.genuine_links(&frames);
        self.learn_what_is_gone(&links);
        let gone = &self.contents.gone.segments;
        let kept = self.link_places.drain(..).filter(|(_, segment)| !gone.contains(segment));
        self.contents.kept_links = kept.map(|(digest, _)| digest).collect();
        self.contents.segments = self.sort_segments(&ours, foreign, strays, last);
        let gone = &self.contents.gone.segments;
        self.contents.damage.forget_segments(gone);
        frames.retain(|frame| !gone.contains(&frame.payload.segment));
        let indexed = self.take_in(&frames);
        self.accept(links)?;
        self.index(indexed);
        Ok(())
    }

    pub(crate) fn note(&mut self, place: Option<Place>, error: ArchiveError) {
        self.changed |= is_vanished(&error) || is_cut(&error);
        self.contents.damage.note(place, error);
    }

    pub(crate) fn note_as(&mut self, place: Place, error: ArchiveError, harm: Harm) {
        self.changed |= is_vanished(&error) || is_cut(&error);
        self.contents.damage.note_as(Some(place), error, harm);
    }

    /// The numbers of segments, without those so far beyond the others that they mean nothing.
    fn counted(&self, numbers: &[u64]) -> (Vec<u64>, Vec<u64>) {
        let jumps = |before: u64, number: u64| number.saturating_sub(before).saturating_sub(1) > SEGMENT_GAP;
        let before = std::iter::once(0).chain(numbers.iter().copied());
        if !before.zip(numbers).any(|(before, &number)| jumps(before, number)) {
            return (numbers.to_vec(), Vec::new());
        }
        // Many numbers may have been given up in a long life.
        let gone = self.given_up(numbers);
        let mut before = 0;
        let mut counted = 0;
        for &number in numbers {
            let given_up = gone.range(before..number).count() as u64;
            if jumps(before.saturating_add(given_up), number) {
                break;
            }
            before = number;
            counted += 1;
        }
        (numbers[..counted].to_vec(), numbers[counted..].to_vec())
    }

    /// The segments that genuine retention records give up.
    fn given_up(&self, numbers: &[u64]) -> BTreeSet<u64> {
        let mut alone = Opening::new(self.store, self.contents.id, &self.contents.keys, &self.contents.devices);
        let frames = alone.scan(numbers);
        let links = alone.genuine_links(&frames);
        alone.learn_what_is_gone(&links);
        alone.contents.gone.segments
    }

    /// Whether a file is no segment of this archive in anything that it says: neither its head nor any record in it is one of this
    /// archive's.
    fn is_foreign(&self, number: u64) -> bool {
        let id = self.contents.id;
        let head = peek_segment_head(self.store, number);
        if head == Some(id) {
            return false;
        }
        let Ok(scan) = scan_segment(self.store, number, id) else { return false };
        if head.is_none() {
            return scan.frames.is_empty();
        }
        let is_ours = |frame: &Frame| match frame.head.kind {
            Kind::Block => self.archive_of_block(frame) == Some(id),
            Kind::Manifest | Kind::Retention => archive_of_link(self.store, frame) == Some(id),
            Kind::Index => false,
        };
        !scan.frames.iter().any(is_ours)
    }

    fn archive_of_block(&self, frame: &Frame) -> Option<ArchiveId> {
        let mut front = [0; BLOCK_HEADER_BYTES];
        self.store.read(frame.payload.segment, frame.payload.offset, &mut front).ok()?;
        peek_archive(&front)
    }

    fn all_foreign(&self, numbers: &[u64]) -> ArchiveError {
        let found = numbers.iter().find_map(|number| peek_segment_head(self.store, *number));
        found.map_or(ArchiveError::NoArchive {}, |found| ArchiveError::WrongArchive { part: Part::Segment, found })
    }

    /// The whole records of segments.
    fn scan(&mut self, numbers: &[u64]) -> Vec<Frame> {
        let mut frames = Vec::new();
        let last = numbers.last().copied();
        for &number in numbers {
            match self.scan_one(number, Some(number) == last) {
                Ok(scan) => {
                    frames.extend(scan.frames);
                    self.contents.damage.extend(scan.damage);
                    self.contents.end = (number, if scan.headed { scan.end } else { CLOSED });
                    self.contents.seen = (number, scan.length);
                }
                Err(error) => {
                    // Whatever it is: nothing is appended to it.
                    self.contents.end = (number, CLOSED);
                    self.contents.seen = (number, self.store.length(number).unwrap_or(0));
                    self.note(Some(Place { segment: number, offset: 0 }), error);
                }
            }
        }
        frames
    }

    fn scan_one(&mut self, number: u64, is_last: bool) -> Result<Scan, ArchiveError> {
        let mut scan = scan_segment(self.store, number, self.contents.id)?;
        if is_last && scan.headed {
            let Contents { keys, id, .. } = &self.contents;
            self.contents.torn = cut_torn_tail(self.store, keys, *id, number, &mut scan)?;
        }
        Ok(scan)
    }

    /// Which segments are there and which are missing: every one up to the last is there, except those that were given up.
    fn sort_segments(&mut self, ours: &[u64], foreign: Vec<u64>, strays: Vec<u64>, last: u64) -> Segments {
        let gone = &self.contents.gone.segments;
        let (leftovers, there): (Vec<u64>, Vec<u64>) = ours.iter().partition(|number| gone.contains(number));
        let known: BTreeSet<u64> = ours.iter().chain(&foreign).chain(gone.range(..=last)).copied().collect();
        let mut missing = Vec::new();
        let mut next = 1;
        for number in known {
            if number > next {
                missing.push((next, number - 1));
            }
            next = number.saturating_add(1);
        }
        let unannounced: Vec<u64> = foreign.iter().filter(|number| !gone.contains(number)).copied().collect();
        for &(number, last) in &missing {
            self.note(None, ArchiveError::MissingSegment { number, last });
        }
        for number in unannounced {
            let error = match read_segment_head(self.store, number) {
                Ok(head) => ArchiveError::WrongArchive { part: Part::Segment, found: head.archive },
                Err(error) => error,
            };
            self.note_as(Place { segment: number, offset: 0 }, error, Harm::Elsewhere);
        }
        Segments { there, leftovers, missing, foreign, strays }
    }

    /// Learns which blocks there are, and what index records say of them.
    fn take_in(&mut self, frames: &[Frame]) -> Vec<IndexedBlock> {
        let mut indexed = Vec::new();
        for frame in frames {
            let done = match frame.head.kind {
                Kind::Block => self.take_in_block(frame),
                Kind::Index => self.take_in_index(frame, &mut indexed),
                Kind::Manifest | Kind::Retention => Ok(()),
            };
            if let Err(error) = done {
                // Blocks say what an index record says, so that one which cannot be read may go.
                let harm = if frame.head.kind == Kind::Index { Harm::Spoilt } else { Harm::of(&error) };
                self.note_as(frame.payload, error, harm);
            }
        }
        indexed
    }

    fn take_in_index(&self, frame: &Frame, indexed: &mut Vec<IndexedBlock>) -> Result<(), ArchiveError> {
        let bytes = frame.read(self.store)?;
        indexed.extend(open_index(&self.contents.keys, self.contents.id, &bytes)?);
        Ok(())
    }

    fn take_in_block(&mut self, frame: &Frame) -> Result<(), ArchiveError> {
        let mut front = [0; BLOCK_HEADER_BYTES + 32];
        self.store
            .read(frame.payload.segment, frame.payload.offset, &mut front)
            .map_err(ArchiveError::store("reading a block"))?;
        let id = peek_id(&front)?;
        let block = KnownBlock { id, place: Some(frame.payload), length: frame.head.length, listed: None };
        match self.contents.blocks.add(block) {
            (_, true) => Ok(()),
            (_, false) => Err(ArchiveError::RepeatedBlock { id }),
        }
    }

    /// Learns where chunks are: from index records, and from the blocks themselves where a crash came before the record, or
    /// damage to it.
    fn index(&mut self, indexed: Vec<IndexedBlock>) {
        let mut known: HashMap<BlockId, Vec<ChunkId>> =
            indexed.into_iter().map(|block| (block.id, block.chunks)).collect();
        self.contents.chunks.reserve(known.values().map(Vec::len).sum());
        for number in 0..self.contents.blocks.next_number() {
            let Some(&block @ KnownBlock { id, place: Some(place), .. }) = self.contents.blocks.get(number) else {
                continue;
            };
            let chunks = match known.remove(&id) {
                Some(chunks) => chunks,
                None => match block.open(self.store, &self.contents.keys, self.contents.id) {
                    Ok(open) => open.ids().to_vec(),
                    Err(error) => {
                        if !self.contents.gone.blocks.contains(&id) {
                            self.note(Some(place), error);
                            self.contents.altered.insert(id);
                        }
                        self.contents.blocks.lose(number);
                        continue;
                    }
                },
            };
            for (position, chunk) in (0..).zip(chunks) {
                self.contents.chunks.insert(chunk, Located { block: number, position });
            }
        }
    }
}
