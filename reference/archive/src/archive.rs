//! An archive that is open: its blocks, its versions, and what is wrong with it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use crate::error::{ArchiveError, Place};
use crate::id::{ArchiveId, BlockId, DeviceId, Digest};
use crate::keys::ArchiveKeys;
use crate::manifest::{Listing, Root};
use crate::reader::BlockCache;
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

/// Something that is wrong with an archive. What does not need the damaged part still restores.
#[derive(Debug)]
pub struct Damage {
    /// Where, if it is in one place.
    pub place: Option<Place>,
    /// What.
    pub error: ArchiveError,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.place, &self.error) {
            // It begins with its place.
            (_, ArchiveError::Damaged { .. }) | (None, _) => self.error.fmt(f),
            (Some(place), error) => write!(f, "{place}: {error}"),
        }
    }
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

/// An archive that was read in full but for the content of its blocks.
pub struct Archive<S> {
    pub(crate) store: S,
    pub(crate) keys: Arc<ArchiveKeys>,
    pub(crate) id: ArchiveId,
    /// The devices whose manifests count.
    pub(crate) devices: Vec<DeviceId>,
    pub(crate) blocks: Blocks,
    pub(crate) chunks: ChunkTable,
    pub(crate) versions: Vec<Version>,
    /// The links of all chains, those of forgotten versions included.
    pub(crate) links: BTreeMap<(DeviceId, u64), Digest>,
    pub(crate) gone: Gone,
    /// Segments that are there, ascending; those that a retention record gives up are not among them.
    pub(crate) segments: Vec<u64>,
    /// Segments that a retention record gives up and a crash left behind.
    pub(crate) leftovers: Vec<u64>,
    /// The last segment and where its last whole record ends.
    pub(crate) end: (u64, u64),
    pub(crate) torn: Option<TornTail>,
    /// The last segment and its length, as they were read: whoever writes makes sure that nobody else did.
    pub(crate) seen: (u64, u64),
    pub(crate) damage: Vec<Damage>,
    pub(crate) cache: BlockCache,
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

    /// The archive's id.
    pub fn id(&self) -> ArchiveId {
        self.id
    }

    /// The versions, the oldest first: those of one device in the order of its chain, the chains merged by time. A version counts as
    /// made no later than the next one of its chain, whatever its clock said. The last one is the latest; one that was committed
    /// since the archive was opened is always the last.
    pub fn versions(&self) -> &[Version] {
        &self.versions
    }

    /// What is wrong with the archive. Nothing, in a sound one.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// Refuses an archive with which anything is wrong.
    ///
    /// # Errors
    /// The first damage.
    pub fn sound(mut self) -> Result<Self, ArchiveError> {
        if self.damage.is_empty() { Ok(self) } else { Err(self.damage.swap_remove(0).error) }
    }

    /// How much there is.
    pub fn stored(&self) -> Stored {
        let there = || self.blocks.iter().filter(|(_, block)| block.place.is_some());
        Stored {
            blocks: there().count() as u64,
            bytes: there().map(|(_, block)| u64::from(block.length)).sum(),
            chunks: self.chunks.len() as u64,
            segments: self.segments.len() as u64,
        }
    }

    /// What a crash left at the end, if it did. It is passed over, and cut when the archive is written again.
    pub fn torn(&self) -> Option<TornTail> {
        self.torn
    }

    /// The newest link of a device's chain, a manifest or a retention record: what the device remembers, to notice a rollback.
    pub fn newest(&self, device: DeviceId) -> Option<(u64, Digest)> {
        let links = self.links.range((device, 0)..=(device, u64::MAX));
        links.last().map(|((_, seq), digest)| (*seq, *digest))
    }

    /// Refuses an archive that lacks a link which this device remembers.
    ///
    /// # Errors
    /// `RolledBack`.
    pub fn remember(&self, device: DeviceId, seq: u64, digest: Digest) -> Result<(), ArchiveError> {
        if self.links.get(&(device, seq)) == Some(&digest) {
            return Ok(());
        }
        let found = self.newest(device).map_or(0, |(seq, _)| seq);
        Err(ArchiveError::RolledBack { device, remembered: seq, found })
    }

    /// Takes in a link that was just written. Whoever writes to an archive is one of its devices.
    pub(crate) fn linked(&mut self, device: DeviceId, seq: u64, digest: Digest) {
        self.links.insert((device, seq), digest);
        if !self.devices.contains(&device) {
            self.devices.push(device);
        }
    }

    /// The place that the next link of a device's chain has.
    pub(crate) fn next_link(&self, device: DeviceId) -> Link {
        let newest = self.newest(device);
        Link { device, seq: newest.map_or(1, |(seq, _)| seq + 1), previous: newest.map(|(_, digest)| digest) }
    }
}

impl<S: ReadStore> Archive<S> {
    /// A block as a manifest lists it.
    pub(crate) fn listing(&self, number: u32) -> Result<Listing, ArchiveError> {
        let block = self.blocks.get(number).ok_or(ArchiveError::MissingChunk {})?;
        let digest = match block.listed {
            Some(digest) => digest,
            None => Digest::of_block(&self.block_bytes(block)?),
        };
        Ok(Listing { id: block.id, length: block.length, digest })
    }
}
