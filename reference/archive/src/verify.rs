//! Opening blocks to see whether they are what they should be.
//!
//! A writer that deduplicates relies on blocks that it does not read. So before it does it looks at those that somebody found
//! altered, and at all in segments that are not as the last writer left them. Where nothing happened, that is nothing.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::archive::Archive;
use crate::block::OpenBlock;
use crate::damage::{Damage, is_vanished};
use crate::error::{ArchiveError, Place};
use crate::id::{BlockId, ChunkId};
use crate::store::ReadStore;
use crate::table::{ChunkTable, Located};
use crate::tree::{Entry, EntryKind, decode_one};

/// The lengths of chunks by their numbers in the table; 0 for one that was not seen. In bytes.
#[derive(Default)]
pub(crate) struct Lengths(Vec<u32>);

impl Lengths {
    pub(crate) fn of(table: &ChunkTable) -> Self {
        Lengths(vec![0; table.len()])
    }

    /// The length of a chunk that was seen.
    pub(crate) fn get(&self, table: &ChunkTable, id: &ChunkId) -> Option<u32> {
        let length = *self.0.get(table.number(id)? as usize)?;
        (length > 0).then_some(length)
    }

    fn note(&mut self, table: &ChunkTable, block: &OpenBlock) {
        for (id, bytes) in block.chunks() {
            if let Some(length) = table.number(&id).and_then(|number| self.0.get_mut(number as usize)) {
                *length = bytes.len() as u32;
            }
        }
    }

    /// Follows the chunks to their numbers in another table.
    fn renumber(&mut self, ids: &[ChunkId], table: &ChunkTable) {
        let mut renumbered = Lengths::of(table);
        for (id, length) in ids.iter().zip(&self.0) {
            if let Some(number) = table.number(id) {
                renumbered.0[number as usize] = *length;
            }
        }
        *self = renumbered;
    }
}

/// Which chunks a damaged archive holds, so that nobody relies on one that it has lost.
pub struct Holdings {
    /// The first half of each id, ascending.
    ids: Vec<u128>,
}

impl Holdings {
    fn front(id: &ChunkId) -> u128 {
        id.0.first_chunk().map_or(0, |front| u128::from_le_bytes(*front))
    }

    /// Whether it holds all that these items of a file need, as an earlier version wrote them.
    pub fn has(&self, items: &[u8]) -> bool {
        let Ok(Entry { kind: EntryKind::File { content, .. }, .. }) = decode_one(items) else { return false };
        content.chunks.iter().all(|chunk| self.ids.binary_search(&Holdings::front(&chunk.id)).is_ok())
    }
}

/// What opening blocks showed.
#[derive(Default)]
struct Verified {
    /// Blocks that do not open.
    lost: HashSet<u32>,
    /// What is really in blocks of which an index record says something else.
    wrong: BTreeMap<u32, Vec<ChunkId>>,
    damage: Vec<Damage>,
}

impl<S: ReadStore> Archive<S> {
    /// Which chunks the archive holds; none if it is sound and holds all that its versions need.
    pub fn holdings(&self) -> Option<Holdings> {
        if self.contents.damage.is_empty() && self.contents.altered.is_empty() {
            return None;
        }
        let mut ids: Vec<u128> = self.contents.chunks.iter().map(|(id, _)| Holdings::front(id)).collect();
        ids.sort_unstable();
        Some(Holdings { ids })
    }

    /// Looks at what may not be what it should be, and notes what is not: blocks that somebody found altered, and segments that are
    /// not as the last writer left them. A writer does so before it relies on them. How many blocks were opened.
    ///
    /// # Errors
    /// A segment vanished.
    pub fn verify_doubtful(&mut self) -> Result<u64, ArchiveError> {
        // What this writer looked at, or wrote, it need not look at again.
        let mut changed = self.changed_segments();
        changed.retain(|number| !self.contents.unsettled.contains(number));
        let suspects = if self.contents.suspected { Vec::new() } else { self.store.suspects().unwrap_or_default() };
        let suspects: HashSet<BlockId> = suspects.into_iter().collect();
        if changed.is_empty() && suspects.is_empty() {
            return Ok(0);
        }
        let is_doubtful = |place: Place, id| changed.contains(&place.segment) || suspects.contains(id);
        let known = self.contents.blocks.iter();
        let doubtful = known.filter(|(_, block)| block.place.is_some_and(|place| is_doubtful(place, &block.id)));
        let numbers: Vec<u32> = doubtful.map(|(number, _)| number).collect();
        for Damage { place, error } in self.verify(&numbers, None, &mut |_| {})? {
            self.contents.damage.note(place, error);
        }
        self.contents.unsettled.extend(changed);
        self.contents.suspected |= !suspects.is_empty();
        Ok(numbers.len() as u64)
    }

    /// Blocks that are noted beside the archive as not what they should be, by number.
    pub(crate) fn suspected(&self) -> Vec<u32> {
        let suspects = self.store.suspects().unwrap_or_default();
        suspects.iter().filter_map(|id| self.contents.blocks.number(id)).collect()
    }

    /// Segments that are not as the last writer left them, or of which no writer noted how it left them; none where the store cannot
    /// tell.
    fn changed_segments(&self) -> BTreeSet<u64> {
        let noted = self.store.noted_states().ok().flatten().unwrap_or_default();
        let is_changed = |number: &u64| match self.store.state(*number) {
            Ok(Some(state)) => noted.get(number) != Some(&state),
            _ => false,
        };
        self.contents.segments.there.iter().copied().filter(is_changed).collect()
    }

    /// Opens blocks, and leaves those out that are not what they should be; what is wrong with each. `opened` hears of each.
    ///
    /// # Errors
    /// A segment vanished.
    pub(crate) fn verify(
        &mut self,
        numbers: &[u32],
        mut lengths: Option<&mut Lengths>,
        opened: &mut dyn FnMut(u64),
    ) -> Result<Vec<Damage>, ArchiveError> {
        let claims = self.claims();
        let mut verified = Verified::default();
        for (count, &number) in (1..).zip(numbers) {
            opened(count);
            let Some(block) = self.verify_block(number, &claims, &mut verified)? else { continue };
            if let Some(lengths) = lengths.as_deref_mut() {
                lengths.note(&self.contents.chunks, &block);
            }
        }
        Ok(self.take_in_verified(verified, lengths))
    }

    /// How many chunks are said to be in each block.
    fn claims(&self) -> Vec<u32> {
        let mut claims = vec![0u32; self.contents.blocks.next_number() as usize];
        for (id, at) in self.contents.chunks.iter() {
            for at in std::iter::once(at).chain(self.contents.chunks.others(id)) {
                if let Some(claims) = claims.get_mut(at.block as usize) {
                    *claims = claims.saturating_add(1);
                }
            }
        }
        claims
    }

    fn verify_block(
        &self,
        number: u32,
        claims: &[u32],
        verified: &mut Verified,
    ) -> Result<Option<OpenBlock>, ArchiveError> {
        let Some(block) = self.contents.blocks.get(number).filter(|block| block.place.is_some()) else {
            return Ok(None);
        };
        let done = self.read_block(number).and_then(|open| {
            let claimed = claims.get(number as usize).copied().unwrap_or(0);
            if self.holds_what_is_said(number, claimed, &open) {
                return Ok(open);
            }
            verified.wrong.insert(number, open.ids().to_vec());
            Err(ArchiveError::ChunkMismatch {})
        });
        let error = match done {
            Err(error) if !is_vanished(&error) => error,
            done => return done.map(Some),
        };
        if !verified.wrong.contains_key(&number) {
            verified.lost.insert(number);
        }
        // A block that was dropped owes nothing to anybody.
        if !self.contents.gone.blocks.contains(&block.id) {
            self.note_altered(&self.contents, number, &error);
            verified.damage.push(Damage { place: block.place, error });
        }
        Ok(None)
    }

    /// Whether a block holds every chunk that is said to be in it, and no chunk that is said to be nowhere.
    fn holds_what_is_said(&self, number: u32, claimed: u32, open: &OpenBlock) -> bool {
        let chunks = &self.contents.chunks;
        let mut held = 0;
        for (position, id) in (0..).zip(open.ids()) {
            let at = Located { block: number, position };
            match chunks.get(id) {
                None => return false,
                Some(first) => held += u32::from(first == at || chunks.others(id).contains(&at)),
            }
        }
        held == claimed
    }

    fn take_in_verified(&mut self, verified: Verified, lengths: Option<&mut Lengths>) -> Vec<Damage> {
        let Verified { lost, wrong, damage } = verified;
        let contents = &mut self.contents;
        for damage in &damage {
            contents.damage.spoil(damage);
        }
        for number in lost.iter().chain(wrong.keys()) {
            if let Some(block) =
                contents.blocks.get(*number).filter(|block| !contents.gone.blocks.contains(&block.id))
            {
                contents.altered.insert(block.id);
            }
        }
        lost.iter().for_each(|number| contents.blocks.lose(*number));
        if !lost.is_empty() || !wrong.is_empty() {
            let ids: Vec<ChunkId> = contents.chunks.iter().map(|(id, _)| *id).collect();
            contents.chunks.forget_blocks(|block| lost.contains(&block) || wrong.contains_key(&block));
            for (number, ids) in &wrong {
                for (position, id) in (0..).zip(ids) {
                    contents.chunks.insert(*id, Located { block: *number, position });
                }
            }
            if let Some(lengths) = lengths {
                lengths.renumber(&ids, &contents.chunks);
            }
        }
        damage
    }
}
