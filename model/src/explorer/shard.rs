//! One thread's part of an exploration: the states whose hash names it.

use std::sync::atomic::Ordering;

use super::table::{Glance, Id, Key, Table, TooManyStates, mix, push_frugally};
use super::{Packed, Round, Successor, Transitions, Watch};

/// The shard that keeps a state.
pub(super) fn owner(key: Key, of: usize) -> usize {
    // The upper bits: the table takes the lower ones.
    ((mix(key) >> 32) as usize * of) >> 32
}

/// States in the order of discovery, and how they were found.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) table: Table,
    /// By local id; the parent is named by its id among all shards.
    pub(super) parents: Vec<Id>,
    /// The first local id of each level, and the end of the last.
    pub(super) levels: Vec<Id>,
}

impl Shard {
    pub(super) fn bytes(&self) -> usize {
        self.table.bytes() + self.parents.capacity() * size_of::<Id>()
    }
}

/// The first state with some trait: of the least level, then of the least id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct First {
    pub(super) level: u32,
    pub(super) id: Id,
}

/// States found for another shard, and their parents.
#[derive(Default)]
pub(super) struct Mail {
    keys: Vec<Key>,
    parents: Vec<Id>,
}

/// Successors seen a short while ago. Many a state is reached again by the next few: those need no look into the table, nor a
/// letter to another shard.
struct Recent(Vec<Key>);

/// A power of two.
const RECENT: usize = 1 << 14;

impl Default for Recent {
    fn default() -> Self {
        // A key can only be found in its own place: 0 anywhere else, and 1 in the place of 0, is as good as nothing.
        let mut keys = vec![0; RECENT];
        assert_ne!(Recent::place(0), Recent::place(1));
        keys[Recent::place(0)] = 1;
        Recent(keys)
    }
}

impl Recent {
    fn place(key: Key) -> usize {
        mix(key) as usize % RECENT
    }

    /// Whether the key was seen a short while ago. It is now.
    fn saw(&mut self, key: Key) -> bool {
        std::mem::replace(&mut self.0[Recent::place(key)], key) == key
    }
}

/// What a worker found.
pub(super) struct Found {
    pub(super) shard: Shard,
    pub(super) graph: Option<Transitions>,
    pub(super) fired: Vec<u64>,
    pub(super) deadlocks: Vec<Id>,
    pub(super) broken: Vec<Option<First>>,
    pub(super) broken_steps: Vec<Option<First>>,
    pub(super) witnessed: Vec<Option<First>>,
}

/// Successors are looked up in batches of this size, so that cache misses overlap.
const BATCH: usize = 32;

/// A thread of an exploration.
pub(super) struct Worker<'a, M: Packed> {
    model: &'a M,
    watch: &'a Watch<'a, M::State>,
    /// Invariants of steps that an action breaks in the present state.
    breaks: Vec<bool>,
    number: usize,
    of: usize,
    found: Found,
    actions: Vec<M::Action>,
    successors: Vec<Successor>,
    recent: Recent,
    /// Own successors that were not looked up yet.
    batch: Mail,
    glances: Vec<Glance>,
    outbox: Vec<Mail>,
}

impl<'a, M> Worker<'a, M>
where
    M: Packed,
    M::Action: Clone,
{
    pub(super) fn new(
        model: &'a M,
        watch: &'a Watch<'a, M::State>,
        number: usize,
        of: usize,
        keep_transitions: bool,
    ) -> Self {
        let shard = Shard { table: Table::new(model.key_bits()), parents: Vec::new(), levels: vec![0] };
        let steps = watch.steps.map_or(0, |(count, _)| count);
        Worker {
            model,
            watch,
            breaks: vec![false; steps],
            number,
            of,
            found: Found {
                shard,
                graph: keep_transitions.then(Transitions::default),
                fired: vec![0; 256],
                deadlocks: Vec::new(),
                broken: vec![None; watch.invariants.len()],
                broken_steps: vec![None; steps],
                witnessed: vec![None; watch.witnesses.len()],
            },
            actions: Vec::new(),
            successors: Vec::new(),
            recent: Recent::default(),
            batch: Mail::default(),
            glances: Vec::new(),
            outbox: (0..of).map(|_| Mail::default()).collect(),
        }
    }

    /// Takes in an initial state.
    pub(super) fn begin(&mut self, key: Key) -> Result<(), TooManyStates> {
        let (local, new) = self.found.shard.table.insert(key)?;
        if new {
            self.found.shard.parents.push(self.id(local)?);
        }
        Ok(())
    }

    /// Level by level until nobody finds more.
    pub(super) fn run(&mut self, round: &Round) {
        let mut begin = 0;
        for level in 0.. {
            let end = self.found.shard.table.len() as Id;
            self.found.shard.levels.push(end);
            let expanded = self.expand_level(level, begin..end);
            // Even so, the others wait for this thread's mail.
            let exchanged = self.exchange(round);
            if expanded.and(exchanged).is_err() {
                round.overflowed.store(true, Ordering::Relaxed);
            }
            begin = end;
            let ahead = self.found.shard.table.len() - end as usize;
            if !round.goes_on(level as usize, ahead) {
                break;
            }
            if let (0, Some(tell)) = (self.number, self.watch.progress) {
                tell(round.states.load(Ordering::Relaxed));
            }
        }
    }

    fn expand_level(&mut self, level: u32, locals: std::ops::Range<Id>) -> Result<(), TooManyStates> {
        for local in locals {
            self.expand(level, local)?;
            if self.batch.keys.len() >= BATCH {
                self.settle()?;
            }
        }
        self.settle()
    }

    fn expand(&mut self, level: u32, local: Id) -> Result<(), TooManyStates> {
        let id = self.id(local)?;
        let own = self.found.shard.table.key(local);
        let state = self.model.unpack_state(own);
        self.judge(First { level, id }, &state);
        if let Some(graph) = &mut self.found.graph {
            graph.offsets.push(graph.classes.len() as u64);
        }
        self.model.successors(&state, own, &mut self.actions, &mut self.successors);
        if self.successors.is_empty() {
            self.found.deadlocks.push(id);
        }
        for Successor { class, key } in self.successors.drain(..) {
            self.found.fired[class as usize] += 1;
            if let Some(graph) = &mut self.found.graph {
                graph.classes.push(class);
            }
            if self.found.graph.is_none() && self.recent.saw(key) {
                continue;
            }
            let to = if self.of == 1 { self.number } else { owner(key, self.of) };
            let mail = if to == self.number { &mut self.batch } else { &mut self.outbox[to] };
            mail.keys.push(key);
            mail.parents.push(id);
        }
        Ok(())
    }

    fn judge(&mut self, here: First, state: &M::State) {
        for (broken, holds) in self.found.broken.iter_mut().zip(self.watch.invariants) {
            if broken.is_none() && !holds(state) {
                *broken = Some(here);
            }
        }
        for (witnessed, shows) in self.found.witnessed.iter_mut().zip(self.watch.witnesses) {
            if witnessed.is_none() && shows(state) {
                *witnessed = Some(here);
            }
        }
        if let Some((_, judge)) = self.watch.steps {
            self.breaks.fill(false);
            judge(state, &mut self.breaks);
            for (broken, breaks) in self.found.broken_steps.iter_mut().zip(&self.breaks) {
                if *breaks && broken.is_none() {
                    *broken = Some(here);
                }
            }
        }
    }

    /// Hands over the mail, waits for everybody's, and takes in one's own.
    fn exchange(&mut self, round: &Round) -> Result<(), TooManyStates> {
        if self.of == 1 {
            return Ok(());
        }
        for (to, mail) in self.outbox.iter_mut().enumerate() {
            std::mem::swap(&mut *round.mail(self.number, to), mail);
        }
        round.barrier.wait();
        for from in 0..self.of {
            let mut mail = round.mail(from, self.number);
            for (keys, parents) in mail.keys.chunks(BATCH).zip(mail.parents.chunks(BATCH)) {
                self.take_in(keys, parents)?;
            }
            mail.keys.clear();
            mail.parents.clear();
        }
        Ok(())
    }

    /// Looks the batch up, and takes in what is new.
    fn settle(&mut self) -> Result<(), TooManyStates> {
        let mut batch = std::mem::take(&mut self.batch);
        let done = self.take_in(&batch.keys, &batch.parents);
        batch.keys.clear();
        batch.parents.clear();
        self.batch = batch;
        done
    }

    fn take_in(&mut self, keys: &[Key], parents: &[Id]) -> Result<(), TooManyStates> {
        let mut glances = std::mem::take(&mut self.glances);
        self.found.shard.table.glance(keys, &mut glances);
        for (glance, parent) in glances.iter().zip(parents) {
            let (to, new) = self.found.shard.table.insert_glanced(*glance)?;
            if new {
                push_frugally(&mut self.found.shard.parents, *parent);
            }
            if let Some(graph) = &mut self.found.graph {
                graph.targets.push(to);
            }
        }
        self.glances = glances;
        Ok(())
    }

    /// The id among all shards.
    fn id(&self, local: Id) -> Result<Id, TooManyStates> {
        let id = local as usize * self.of + self.number;
        if id >= Id::MAX as usize { Err(TooManyStates) } else { Ok(id as Id) }
    }

    pub(super) fn finish(mut self) -> Found {
        if let Some(graph) = &mut self.found.graph {
            graph.offsets.push(graph.targets.len() as u64);
        }
        self.found
    }
}
