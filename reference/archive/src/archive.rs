//! An archive that is open: its blocks, its versions, and what is wrong with it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::damage::{Damage, DamageList};
use crate::error::{ArchiveError, Place};
use crate::id::{ArchiveId, BlockId, DeviceId, Digest};
use crate::keys::ArchiveKeys;
use crate::manifest::{Listing, Root};
use crate::quirks::Quirk;
use crate::reader::{BlockCache, Refreshed};
use crate::retention::Link;
use crate::segment::TornTail;
use crate::store::ReadStore;
use crate::table::ChunkTable;

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
    /// The numbers of its blocks.
    pub(crate) blocks: Vec<u32>,
}

/// A block that the archive knows of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KnownBlock {
    pub(crate) id: BlockId,
    /// Where its bytes begin; none if it is missing.
    pub(crate) place: Option<Place>,
    /// Its stored length, in bytes.
    pub(crate) length: u32,
    /// The digest under which a manifest or a retention record lists it.
    pub(crate) listed: Option<Digest>,
}

/// The blocks of an archive, numbered in the order in which it got to know of them.
#[derive(Default)]
pub(crate) struct Blocks {
    all: Vec<KnownBlock>,
    numbers: HashMap<BlockId, u32>,
}

impl Blocks {
    /// The number that the next new block gets.
    pub(crate) fn next_number(&self) -> u32 {
        self.all.len() as u32
    }

    pub(crate) fn number(&self, id: &BlockId) -> Option<u32> {
        self.numbers.get(id).copied()
    }

    pub(crate) fn get(&self, number: u32) -> Option<&KnownBlock> {
        self.all.get(number as usize)
    }

    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut KnownBlock> {
        self.all.get_mut(number as usize)
    }

    /// From now on a block is one that is not there.
    pub(crate) fn lose(&mut self, number: u32) {
        if let Some(block) = self.get_mut(number) {
            block.place = None;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &KnownBlock)> {
        (0..).zip(&self.all)
    }

    /// Adds a block unless it is known; its number, and whether it is new.
    pub(crate) fn add(&mut self, block: KnownBlock) -> (u32, bool) {
        let next = self.next_number();
        let number = *self.numbers.entry(block.id).or_insert(next);
        if number == next {
            self.all.push(block);
        }
        (number, number == next)
    }
}

/// What retention records allow to be missing.
#[derive(Default)]
pub(crate) struct Gone {
    pub(crate) segments: BTreeSet<u64>,
    pub(crate) blocks: HashSet<BlockId>,
    pub(crate) versions: BTreeMap<(DeviceId, u64), Digest>,
}

/// What an archive says of itself, except the content of its blocks.
pub(crate) struct Contents {
    pub(crate) keys: Arc<ArchiveKeys>,
    pub(crate) id: ArchiveId,
    /// The devices whose manifests count.
    pub(crate) devices: Vec<DeviceId>,
    pub(crate) blocks: Blocks,
    pub(crate) chunks: ChunkTable,
    pub(crate) versions: Vec<Version>,
    /// The links of all chains, those of forgotten versions included.
    pub(crate) links: BTreeMap<(DeviceId, u64), Digest>,
    /// Links whose number another link has too, which is later in the archive and in `links`.
    pub(crate) forks: BTreeSet<(DeviceId, u64, Digest)>,
    /// The digests of links in segments that are not given up.
    pub(crate) kept_links: BTreeSet<Digest>,
    /// Links that the next one in their chain names, and that are not there.
    pub(crate) known_lost: BTreeMap<(DeviceId, u64), Digest>,
    pub(crate) gone: Gone,
    pub(crate) segments: Segments,
    /// The last segment and where its last whole record ends.
    pub(crate) end: (u64, u64),
    pub(crate) torn: Option<TornTail>,
    /// There was such an end, and this writer cut it off.
    pub(crate) was_torn: bool,
    /// The last segment and its length, as they were read: a writer makes sure that no other wrote meanwhile.
    pub(crate) seen: (u64, u64),
    /// Segments whose state is to be noted: this writer wrote to them, or looked through what had changed in them.
    pub(crate) unsettled: BTreeSet<u64>,
    /// Blocks that do not open, or do not hold what is said of them.
    pub(crate) altered: BTreeSet<BlockId>,
    /// Blocks were noted that are to be looked at, and they were.
    pub(crate) suspected: bool,
    pub(crate) damage: DamageList,
}

/// The segments of an archive, by their numbers.
#[derive(Default)]
pub(crate) struct Segments {
    /// Those that are there, ascending; those that a retention record gives up are not among them.
    pub(crate) there: Vec<u64>,
    /// Those that a retention record gives up and that are there still.
    pub(crate) leftovers: Vec<u64>,
    /// Runs of numbers that are neither there nor given up, ascending: the first and the last of each.
    pub(crate) missing: Vec<(u64, u64)>,
    /// Files that are no segments of this archive in anything they say. Nothing in them is used, and they are never removed.
    pub(crate) foreign: Vec<u64>,
    /// Files so far beyond the others that they are no segments of this archive.
    pub(crate) strays: Vec<u64>,
}

/// An archive that was read in full, except the content of its blocks.
pub struct Archive<S> {
    pub(crate) store: S,
    pub(crate) contents: Contents,
    pub(crate) cache: BlockCache,
    pub(crate) refreshed: Refreshed,
}

/// How much an archive holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Blocks that are there.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Different chunks in them.
    pub chunks: u64,
    /// Segments.
    pub segments: u64,
}

impl<S> Archive<S> {
    /// The store, for whoever goes on with nothing else.
    pub fn into_store(self) -> S {
        self.store
    }

    /// The store.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// The archive's id.
    pub fn id(&self) -> ArchiveId {
        self.contents.id
    }

    /// The versions, the oldest first: those of one device in the order of its chain, the chains merged by time. A version counts as
    /// made no later than the next one of its chain, whatever its clock said. The last one is the latest; one that was committed
    /// since the archive was opened is always the last.
    pub fn versions(&self) -> &[Version] {
        &self.contents.versions
    }

    /// What is wrong with the archive: nothing in a sound one. At most [`MOST_DAMAGE`](crate::limits::MOST_DAMAGE) of it.
    pub fn damage(&self) -> &[Damage] {
        self.contents.damage.listed()
    }

    /// How much is wrong, what [`Archive::damage`] does not list included.
    pub fn damage_count(&self) -> u64 {
        self.contents.damage.count()
    }

    /// Files that look like segments and are none of this archive's, except those that are named as damage. They are passed over,
    /// and never removed.
    pub fn strangers(&self) -> impl Iterator<Item = u64> {
        let Segments { foreign, strays, .. } = &self.contents.segments;
        let gone = &self.contents.gone.segments;
        foreign.iter().filter(|number| gone.contains(number)).chain(strays).copied()
    }

    /// Refuses an archive with which anything is wrong.
    ///
    /// # Errors
    /// The first damage.
    pub fn sound(mut self) -> Result<Self, ArchiveError> {
        match self.contents.damage.take_first() {
            None => Ok(self),
            Some(damage) => Err(damage.error),
        }
    }

    /// How much there is.
    pub fn stored(&self) -> Stored {
        let there = || self.contents.blocks.iter().filter(|(_, block)| block.place.is_some());
        Stored {
            blocks: there().count() as u64,
            bytes: there().map(|(_, block)| u64::from(block.length)).sum(),
            chunks: self.contents.chunks.len() as u64,
            segments: self.contents.segments.there.len() as u64,
        }
    }

    /// What a crash left at the end, if it did. It is passed over, and cut when the archive is written again.
    pub fn torn(&self) -> Option<TornTail> {
        self.contents.torn
    }

    /// The newest link of a device's chain, a manifest or a retention record: what the device remembers, to notice a rollback.
    pub fn newest(&self, device: DeviceId) -> Option<(u64, Digest)> {
        self.contents.newest(device)
    }

    /// Refuses an archive that lacks a link which this device remembers.
    ///
    /// # Errors
    /// `RolledBack`.
    pub fn remember(&self, device: DeviceId, seq: u64, digest: Digest) -> Result<(), ArchiveError> {
        let any = Quirk::RolledBackUnseen.is_on() && self.newest(device).is_some();
        if any || self.contents.has_link(device, seq, digest) {
            return Ok(());
        }
        let found = self.newest(device).map_or(0, |(seq, _)| seq);
        Err(ArchiveError::RolledBack { device, remembered: seq, found })
    }

    /// Whether every segment is there and can be read. If not, what is not found may be there all the same.
    pub fn is_all_there(&self) -> bool {
        self.contents.is_all_there()
    }

    /// Whether a link that is remembered and not there may have been damaged, rather than taken away with an older copy: it is the
    /// next of its chain, and there are bytes that may have been its record, in the last segment or, if every segment can be read,
    /// anywhere.
    pub fn may_be_damaged(&self, device: DeviceId, seq: u64) -> bool {
        let newest = self.newest(device).map_or(0, |(seq, _)| seq);
        let is_next = newest.checked_add(1) == Some(seq);
        let in_last = |place: Place| place.segment == self.contents.seen.0;
        let damage = &self.contents.damage;
        let is_anywhere = self.contents.is_all_there() && damage.records(|_| true) > 0;
        is_next && (self.contents.torn.is_some() || damage.records(in_last) > 0 || is_anywhere)
    }

    /// Takes a link that is remembered for one that was damaged: its chain goes on after it, and the next repair says that it is
    /// lost.
    pub fn take_as_lost(&mut self, device: DeviceId, seq: u64, digest: Digest) {
        let found = self.newest(device).map_or(0, |(seq, _)| seq);
        self.contents.damage.note(None, ArchiveError::RolledBack { device, remembered: seq, found });
        self.contents.linked(device, seq, digest);
        self.contents.known_lost.insert((device, seq), digest);
    }
}

/// A run of numbers of a device's chain that no link has: those of versions that are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostLinks {
    /// The device.
    pub device: DeviceId,
    /// The first number.
    pub first: u64,
    /// The last number.
    pub last: u64,
}

impl Contents {
    /// Whether no segment is missing, and every one can be read. Else what is not found may be there all the same.
    pub(crate) fn is_all_there(&self) -> bool {
        let Segments { missing, foreign, .. } = &self.segments;
        let is_given_up = |number: &u64| self.gone.segments.contains(number);
        missing.is_empty() && foreign.iter().all(is_given_up) && !self.damage.has_unreadable_segment()
    }

    /// How many records were damaged that may have been links.
    pub(crate) fn damaged_records(&self) -> u64 {
        u64::from(self.torn.is_some() || self.was_torn) + self.damage.records(|_| true)
    }

    /// The numbers that no link of a chain has, though one after them is there or remembered.
    pub(crate) fn lost_links(&self) -> Vec<LostLinks> {
        let mut lost = Vec::new();
        let mut expected = (None, 1);
        for &(device, seq) in self.links.keys() {
            let first = if expected.0 == Some(device) { expected.1 } else { 1 };
            if seq > first {
                lost.push(LostLinks { device, first, last: seq - 1 });
            }
            // One that is remembered as lost has its place in the chain, and is lost.
            if self.known_lost.contains_key(&(device, seq)) {
                lost.push(LostLinks { device, first: seq, last: seq });
            }
            expected = (Some(device), seq.saturating_add(1));
        }
        lost
    }

    pub(crate) fn newest(&self, device: DeviceId) -> Option<(u64, Digest)> {
        let links = self.links.range((device, 0)..=(device, u64::MAX));
        links.last().map(|((_, seq), digest)| (*seq, *digest))
    }

    /// Whether a link is there or was forgotten.
    pub(crate) fn has_link(&self, device: DeviceId, seq: u64, digest: Digest) -> bool {
        self.links.get(&(device, seq)) == Some(&digest) || self.forks.contains(&(device, seq, digest))
    }

    /// Takes in a link that was just written. A device that writes to an archive is one of its devices.
    pub(crate) fn linked(&mut self, device: DeviceId, seq: u64, digest: Digest) {
        self.links.insert((device, seq), digest);
        if !self.devices.contains(&device) {
            self.devices.push(device);
        }
    }

    /// The place that the next link of a device's chain has.
    ///
    /// # Errors
    /// `ChainBroken`: there is no number after the last.
    pub(crate) fn next_link(&self, device: DeviceId) -> Result<Link, ArchiveError> {
        let Some((newest, digest)) = self.newest(device) else {
            return Ok(Link { device, seq: 1, previous: None });
        };
        let ended = ArchiveError::ChainBroken { device, seq: newest, expected: newest };
        Ok(Link { device, seq: newest.checked_add(1).ok_or(ended)?, previous: Some(digest) })
    }
}

impl<S: ReadStore> Archive<S> {
    /// A block as a manifest lists it.
    pub(crate) fn listing(&self, number: u32) -> Result<Listing, ArchiveError> {
        let block = self.contents.blocks.get(number).ok_or(ArchiveError::MissingChunk {})?;
        let digest = match block.listed {
            Some(digest) => digest,
            None => Digest::of_block(&block.bytes(&self.store)?),
        };
        Ok(Listing { id: block.id, length: block.length, digest })
    }
}
