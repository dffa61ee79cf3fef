//! Which chunk lies where: the largest thing in memory, at no more than 56 bytes a chunk.
//!
//! Entries are in pages that never move; an open-addressing table of their numbers finds them. Growing the table moves numbers
//! of four bytes, not entries. A chunk that several blocks hold is rare: the other places are kept apart.

use std::collections::HashMap;

use crate::id::ChunkId;

/// Where a chunk lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Located {
    /// The number of the block, in the order in which the archive got to know of it.
    pub(crate) block: u32,
    /// The position in the block.
    pub(crate) position: u32,
}

const PAGE_ENTRIES: usize = 4096;
const EMPTY: u32 = u32::MAX;

/// Chunks by their ids.
pub(crate) struct ChunkTable {
    pages: Vec<Vec<(ChunkId, Located)>>,
    /// Numbers of entries, or [`EMPTY`]; the length is a power of two, at most three quarters are taken.
    slots: Vec<u32>,
    count: usize,
    /// Where else chunks are, in the order of their blocks.
    others: HashMap<ChunkId, Vec<Located>>,
}

impl Default for ChunkTable {
    fn default() -> Self {
        ChunkTable { pages: Vec::new(), slots: vec![EMPTY; 1024], count: 0, others: HashMap::new() }
    }
}

/// Ids are pseudo-random: their front is as good as any hash of them, and whoever does not hold the key cannot aim.
fn front(id: &ChunkId) -> usize {
    let [a, b, c, d, e, f, g, h, ..] = id.0;
    u64::from_le_bytes([a, b, c, d, e, f, g, h]) as usize
}

impl ChunkTable {
    fn entry(&self, number: u32) -> &(ChunkId, Located) {
        &self.pages[number as usize / PAGE_ENTRIES][number as usize % PAGE_ENTRIES]
    }

    /// The slot of an id, or the empty one where it would be.
    fn slot(&self, id: &ChunkId) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = front(id) & mask;
        while self.slots[slot] != EMPTY && self.entry(self.slots[slot]).0 != *id {
            slot = (slot + 1) & mask;
        }
        slot
    }

    /// Where a chunk lies.
    pub(crate) fn get(&self, id: &ChunkId) -> Option<Located> {
        self.number(id).map(|number| self.entry(number).1)
    }

    /// Where else a chunk is, in case it cannot be had from the first place.
    pub(crate) fn others(&self, id: &ChunkId) -> &[Located] {
        self.others.get(id).map_or(&[], Vec::as_slice)
    }

    /// The number of a chunk, in the order in which they were added.
    pub(crate) fn number(&self, id: &ChunkId) -> Option<u32> {
        Some(self.slots[self.slot(id)]).filter(|&number| number != EMPTY)
    }

    /// Leaves out every place in one of these blocks; a chunk that has no other place is not there then.
    pub(crate) fn forget_blocks(&mut self, forgets: impl Fn(u32) -> bool) {
        if !self.iter().any(|(id, at)| forgets(at.block) || self.others(id).iter().any(|at| forgets(at.block))) {
            return;
        }
        let all = std::mem::take(self);
        self.reserve(all.count);
        for (id, at) in all.iter() {
            for at in std::iter::once(at).chain(all.others(id)).filter(|at| !forgets(at.block)) {
                self.insert(*id, *at);
            }
        }
    }

    /// Adds a chunk, or another place of one that is there already; its first place.
    pub(crate) fn insert(&mut self, id: ChunkId, located: Located) -> Located {
        if self.count >= self.slots.len() / 4 * 3 {
            self.resize(self.slots.len() * 2);
        }
        let slot = self.slot(&id);
        if self.slots[slot] != EMPTY {
            self.others.entry(id).or_default().push(located);
            return self.entry(self.slots[slot]).1;
        }
        if self.count >= EMPTY as usize {
            // Four thousand million chunks are more than an archive of this format can number.
            return located;
        }
        self.slots[slot] = self.count as u32;
        self.count += 1;
        match self.pages.last_mut() {
            Some(page) if page.len() < PAGE_ENTRIES => page.push((id, located)),
            _ => {
                let mut page = Vec::with_capacity(PAGE_ENTRIES);
                page.push((id, located));
                self.pages.push(page);
            }
        }
        located
    }

    /// Makes room for so many more at once: growing step by step finds every place anew at each step.
    pub(crate) fn reserve(&mut self, more: usize) {
        let slots = ((self.count + more).div_ceil(3) * 4).next_power_of_two();
        if slots > self.slots.len() {
            self.resize(slots);
        }
    }

    fn resize(&mut self, slots: usize) {
        self.slots = vec![EMPTY; slots];
        for number in 0..self.count as u32 {
            let slot = self.slot(&self.entry(number).0);
            self.slots[slot] = number;
        }
    }

    /// How many chunks there are.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Every chunk, in the order in which it was added.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(ChunkId, Located)> {
        self.pages.iter().flatten()
    }
}

/// Some of the chunks of a table, at a bit each.
pub(crate) struct ChunkSet {
    bits: Vec<u64>,
    count: usize,
}

impl ChunkSet {
    /// None of the chunks of a table.
    pub(crate) fn of(table: &ChunkTable) -> Self {
        ChunkSet { bits: vec![0; table.len().div_ceil(64)], count: table.len() }
    }

    /// Adds a chunk; false if the table does not have it.
    pub(crate) fn insert(&mut self, table: &ChunkTable, id: &ChunkId) -> bool {
        let Some(number) = table.number(id).map(|number| number as usize) else { return false };
        self.bits[number / 64] |= 1 << (number % 64);
        true
    }

    /// Whether each chunk of the table is in the set, in the table's order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = bool> {
        (0..self.count).map(|number| self.bits[number / 64] >> (number % 64) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> ChunkId {
        ChunkId(*blake3::hash(&number.to_le_bytes()).as_bytes())
    }

    #[test]
    fn finds_what_was_added_and_nothing_else() {
        let mut table = ChunkTable::default();
        table.insert(id(0), Located { block: 0, position: 0 });
        table.reserve(20_000);
        let slots = table.slots.len();
        for number in 0..20_000 {
            let located = Located { block: number, position: number % 7 };
            assert_eq!(table.insert(id(number), located), located);
        }
        let other = Located { block: 9, position: 9 };
        assert_eq!(table.insert(id(3), other), Located { block: 3, position: 3 }, "the first one stays");
        assert_eq!((table.len(), table.slots.len()), (20_000, slots));
        assert!((0..20_000).all(|number| table.get(&id(number)).is_some_and(|at| at.block == number)));
        assert!((20_000..40_000).all(|number| table.get(&id(number)).is_none()));
        assert!(table.iter().map(|(_, at)| at.block).eq(0..20_000));
    }

    /// Ids whose fronts collide are still told apart.
    #[test]
    fn equal_fronts_are_told_apart() {
        let mut table = ChunkTable::default();
        for last in 0..200 {
            let mut id = ChunkId([7; 32]);
            id.0[31] = last;
            table.insert(id, Located { block: u32::from(last), position: 0 });
        }
        let mut wanted = ChunkId([7; 32]);
        wanted.0[31] = 150;
        assert_eq!(table.get(&wanted), Some(Located { block: 150, position: 0 }));
    }
}
