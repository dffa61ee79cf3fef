//! Giving up what is damaged (BAK-17).
//!
//! A repair stores again what is sound and needed in damaged segments, copies the links that are in them, says in a retention record
//! that they may be gone, and removes them; what is missing is named there too. Then nothing in the archive is damaged any more.
//! It does so only if no version needs anything that is lost: else the damaged segments stay, since their bytes may be all that
//! is left of it. A version whose very record was damaged is lost for good: it is given up by name, and the segment that its record
//! was in is set aside. Where its record may be in a segment that is missing or cannot be read, nothing is given up unless the
//! caller accepts the loss.

use crate::archive::{Archive, LostLinks};
use crate::check::Lost;
use crate::engine::BackUp;
use crate::error::ArchiveError;
use crate::id::{BlockId, Digest};
use crate::prune::{GivenUp, Moving, Pruned};
use crate::retention::Forgotten;
use crate::store::Store;

/// The most numbers of missing segments that one retention record names.
const MOST_MISSING: u64 = 4 << 20;

/// The most lost links that one retention record names.
const MOST_LOST_LINKS: usize = 100_000;
/// Stands for the digest of a lost link that nobody knows.
const NO_DIGEST: Digest = Digest([0; 32]);

/// What a repair did, or would do.
#[derive(Debug, Default)]
pub struct Repaired {
    /// Damaged segments that were emptied and removed.
    pub segments: u64,
    /// Numbers of missing or foreign segments that are given up.
    pub missing: u64,
    /// Blocks that are given up: what was needed of them is in others.
    pub blocks: u64,
    /// Links of chains that are lost, and are named as such.
    pub links: u64,
    /// Bytes that were written.
    pub written: u64,
    /// What versions have and cannot be restored. Not empty: nothing was changed.
    pub lost: Vec<Lost>,
    /// Versions of which not even the record is left.
    pub lost_links: Vec<LostLinks>,
    /// Whether what is lost may be in a segment that is missing or cannot be read, so that nothing was changed.
    pub may_come_back: bool,
    /// How much damage is left.
    pub left: u64,
}

/// What of an archive is to be given up.
struct Plan {
    segments: Vec<u64>,
    given_up: GivenUp,
}

impl Plan {
    fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.given_up.is_empty()
    }

    fn repaired(&self) -> Repaired {
        Repaired {
            segments: self.segments.len() as u64,
            missing: self.given_up.segments.len() as u64,
            blocks: self.given_up.blocks.len() as u64,
            links: self.given_up.links.len() as u64,
            ..Repaired::default()
        }
    }
}

impl<S: Store> Archive<S> {
    /// Whether a repair would change anything, or nobody knows yet.
    pub fn needs_repair(&self) -> bool {
        !self.contents.damage.is_empty()
            || !self.contents.altered.is_empty()
            || !self.contents.lost_links().is_empty()
            || self.store.suspects().is_ok_and(|suspects| !suspects.is_empty())
    }

    /// Whether there is damage that a repair can put right.
    pub fn is_repairable(&self) -> bool {
        !self.plan().is_empty()
    }

    /// Gives up what is damaged, if nothing is lost by it that might come back, or the caller accepts that. What [`Archive::check`]
    /// found in this archive is taken into account. The archive is read again afterwards.
    ///
    /// # Errors
    /// What reading trees and blocks says; `TooLarge` if there is too much to name; `Store`.
    pub fn repair(mut self, how: &BackUp<'_>, accept_loss: bool) -> Result<(Self, Repaired), ArchiveError> {
        let (plan, mut repaired) = self.look(accept_loss)?;
        if !repaired.lost.is_empty() || repaired.may_come_back || plan.is_empty() {
            self.settle();
            return Ok((self, repaired));
        }
        let needed = self.needed_chunks()?;
        let chosen = Pruned { segments: plan.segments, ..Pruned::default() };
        let (archive, pruned) = Moving::all(self, chosen, &needed, plan.given_up, how)?;
        repaired.written = pruned.written;
        repaired.left = archive.damage_count();
        Ok((archive, repaired))
    }

    /// What a repair would do.
    ///
    /// # Errors
    /// A segment vanished.
    pub fn plan_repair(&mut self, accept_loss: bool) -> Result<Repaired, ArchiveError> {
        Ok(self.look(accept_loss)?.1)
    }

    fn look(&mut self, accept_loss: bool) -> Result<(Plan, Repaired), ArchiveError> {
        self.verify_doubtful()?;
        let (lost, lost_links, left) = (self.losses(), self.contents.lost_links(), self.damage_count());
        let lost_numbers = lost_links.iter().fold(0, |sum: u64, run| sum.saturating_add(run.last - run.first + 1));
        // A record that is damaged in its place is nowhere else.
        let is_explained = lost_numbers <= self.contents.damaged_records();
        let may_come_back = !is_explained && !self.contents.is_all_there() && !accept_loss;
        let plan = self.plan();
        let changes = lost.is_empty() && !may_come_back;
        let repaired = if changes { plan.repaired() } else { Repaired::default() };
        Ok((plan, Repaired { lost, lost_links, may_come_back, left, ..repaired }))
    }

    fn plan(&self) -> Plan {
        let contents = &self.contents;
        let is_there = |segment: &u64| contents.segments.there.binary_search(segment).is_ok();
        let segments = contents.damage.spoilt().filter(is_there).collect();
        let runs = contents.segments.missing.iter().map(|&(first, last)| first..=last);
        let foreign = contents.segments.foreign.iter().filter(|number| !contents.gone.segments.contains(number));
        let mut numbers: Vec<u64> = runs.flatten().take(MOST_MISSING as usize).chain(foreign.copied()).collect();
        numbers.sort_unstable();
        let blocks = contents.blocks.iter().map(|(_, block)| block);
        let is_lost = |id: &BlockId| !contents.gone.blocks.contains(id);
        let blocks = blocks.filter(|block| block.place.is_none()).map(|block| block.id).filter(is_lost).collect();
        let links = contents.lost_links();
        let links = links.iter().flat_map(|&LostLinks { device, first, last }| {
            let known = move |seq| contents.known_lost.get(&(device, seq)).copied().unwrap_or(NO_DIGEST);
            (first..=last).map(move |seq| Forgotten { device, seq, digest: known(seq) })
        });
        let links = links.take(MOST_LOST_LINKS).collect();
        Plan { segments, given_up: GivenUp { segments: numbers, blocks, links } }
    }
}
