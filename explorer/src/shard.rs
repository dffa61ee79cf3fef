//! One thread's part of an exploration: the states whose hash names it.

use std::fmt::Debug;
use std::sync::atomic::Ordering;

use super::explore::{Round, Watch};
use super::packed::{Packed, Successor};
use super::stopped::{Asked, Panicked, Stopped, caught, within_successors};
use super::table::{Glance, Id, Key, Table, Unkept, mix, push_frugally};
use super::{Exploration, Transitions};

/// The shard that keeps a state.
#[inline]
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

/// Why a worker could not go on. Of several, the least is reported.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    /// A call into the model or a watcher panicked while the worker was here.
    Panicked(First, Asked, String),
    /// A state could not be kept.
    Unkept(Unkept),
}

impl From<Unkept> for End {
    fn from(unkept: Unkept) -> End {
        End::Unkept(unkept)
    }
}

impl From<Unkept> for Stopped {
    fn from(unkept: Unkept) -> Stopped {
        match unkept {
            Unkept::TooMany => Stopped::TooManyStates,
            Unkept::Wide => Stopped::WideKey,
        }
    }
}

impl End {
    /// For the one who asked: with the path to the state, and the action.
    pub(super) fn stopped<M>(self, model: &M, explored: &Exploration) -> Stopped
    where
        M: Packed,
        M::Action: Debug,
    {
        let (at, asked, message) = match self {
            End::Unkept(unkept) => return unkept.into(),
            End::Panicked(at, asked, message) => (at, asked, message),
        };
        let path: Vec<Key> = if at.id == NO_STATE {
            Vec::new()
        } else {
            explored.path(at.id).into_iter().map(|id| explored.key(id)).collect()
        };
        let (asked, action) = match (asked, path.last()) {
            (Asked::Successors, Some(&key)) => within_successors(model, key, &message),
            (asked, _) => (asked, None),
        };
        Stopped::Panicked(Panicked { asked, action, path, message })
    }
}

/// In the place of a state's id, where there is no state. Greater than every id, so that it comes last in its level.
const NO_STATE: Id = Id::MAX;

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
    #[inline]
    fn place(key: Key) -> usize {
        mix(key) as usize % RECENT
    }

    /// Whether the key was seen a short while ago. It is now.
    #[inline]
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
    /// The present state, and what is asked about it.
    here: First,
    asked: Asked,
    end: Option<End>,
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

impl<'a, M: Packed> Worker<'a, M> {
    pub(super) fn new(
        model: &'a M,
        watch: &'a Watch<'a, M::State>,
        number: usize,
        of: usize,
        bits: u32,
        keep_transitions: bool,
    ) -> Self {
        let shard = Shard { table: Table::new(bits), parents: Vec::new(), levels: vec![0] };
        let steps = watch.steps.map_or(0, |(count, _)| count);
        Worker {
            model,
            watch,
            breaks: vec![false; steps],
            here: First { level: 0, id: NO_STATE },
            asked: Asked::UnpackState,
            end: None,
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
    pub(super) fn begin(&mut self, key: Key) -> Result<(), Unkept> {
        let (local, new) = self.found.shard.table.insert(key)?;
        if new {
            self.found.shard.parents.push(self.id(local)?);
        }
        Ok(())
    }

    /// Level by level until no worker finds more, or one cannot go on.
    ///
    /// It meets the other workers whatever happens: a panic is caught and kept, and they wait for this thread's mail even then.
    pub(super) fn run(&mut self, round: &Round) {
        let mut begin = 0;
        for level in 0.. {
            let end = self.found.shard.table.len() as Id;
            self.found.shard.levels.push(end);
            if self.end.is_none() {
                self.end = self.expand_level(level, begin..end).err();
            }
            if let Err(unkept) = self.exchange(round) {
                self.end.get_or_insert(unkept.into());
            }
            if self.end.is_some() {
                round.ended.store(true, Ordering::Relaxed);
            }
            begin = end;
            let ahead = self.found.shard.table.len() - end as usize;
            if !round.goes_on(level as usize, ahead) {
                break;
            }
            if let (0, Some(tell)) = (self.number, self.watch.progress) {
                let told = caught(|| tell(round.states.load(Ordering::Relaxed)));
                let nowhere = First { level, id: NO_STATE };
                self.end = told.err().map(|message| End::Panicked(nowhere, Asked::Progress, message));
            }
        }
    }

    /// Why this worker could not go on.
    pub(super) fn take_end(&mut self) -> Option<End> {
        self.end.take()
    }

    fn expand_level(&mut self, level: u32, locals: std::ops::Range<Id>) -> Result<(), End> {
        match caught(|| self.expand_all(level, locals)) {
            Ok(done) => done.map_err(End::from),
            Err(message) => Err(End::Panicked(self.here, self.asked, message)),
        }
    }

    fn expand_all(&mut self, level: u32, locals: std::ops::Range<Id>) -> Result<(), Unkept> {
        for local in locals {
            self.expand(level, local)?;
            if self.batch.keys.len() >= BATCH {
                self.settle()?;
            }
        }
        self.settle()
    }

    fn expand(&mut self, level: u32, local: Id) -> Result<(), Unkept> {
        let id = self.id(local)?;
        let own = self.found.shard.table.key(local);
        self.here = First { level, id };
        self.asked = Asked::UnpackState;
        let state = self.model.unpack_state(own);
        debug_assert_eq!(self.model.pack_state(&state), own, "a key that is unpacked and packed again is another");
        self.judge(&state);
        if let Some(graph) = &mut self.found.graph {
            graph.offsets.push(graph.classes.len() as u64);
        }
        self.asked = Asked::Successors;
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

    fn judge(&mut self, state: &M::State) {
        for (place, (broken, holds)) in self.found.broken.iter_mut().zip(self.watch.invariants).enumerate() {
            self.asked = Asked::Invariant(place);
            if broken.is_none() && !holds(state) {
                *broken = Some(self.here);
            }
        }
        for (place, (witnessed, shows)) in self.found.witnessed.iter_mut().zip(self.watch.witnesses).enumerate() {
            self.asked = Asked::Witness(place);
            if witnessed.is_none() && shows(state) {
                *witnessed = Some(self.here);
            }
        }
        if let Some((_, judge)) = self.watch.steps {
            self.asked = Asked::Steps;
            self.breaks.fill(false);
            judge(state, &mut self.breaks);
            for (broken, breaks) in self.found.broken_steps.iter_mut().zip(&self.breaks) {
                if *breaks && broken.is_none() {
                    *broken = Some(self.here);
                }
            }
        }
    }

    /// Hands over its mail, waits until all have, and takes in what is addressed to it.
    fn exchange(&mut self, round: &Round) -> Result<(), Unkept> {
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
    #[inline]
    fn settle(&mut self) -> Result<(), Unkept> {
        let mut batch = std::mem::take(&mut self.batch);
        let done = self.take_in(&batch.keys, &batch.parents);
        batch.keys.clear();
        batch.parents.clear();
        self.batch = batch;
        done
    }

    fn take_in(&mut self, keys: &[Key], parents: &[Id]) -> Result<(), Unkept> {
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
    fn id(&self, local: Id) -> Result<Id, Unkept> {
        let id = local as usize * self.of + self.number;
        if id >= Id::MAX as usize { Err(Unkept::TooMany) } else { Ok(id as Id) }
    }

    pub(super) fn finish(mut self) -> Found {
        if let Some(graph) = &mut self.found.graph {
            graph.offsets.push(graph.targets.len() as u64);
        }
        self.found
    }
}
