//! The project's own explorer: breadth-first, exact states, parent links, and the transition graph on request.
//!
//! It runs over any [`stateright::Model`] whose states can be packed; `check` compares its counts with stateright's own.
//! States are kept by *shards*, one a thread, chosen by hash. Everybody finishes a level before anybody begins the next, and
//! mail between shards is read in a fixed order, so that counts, depths, parents and verdicts are the same in every run.

pub mod graph;
mod shard;
mod table;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use shard::{First, Mail, Shard, Worker};
use stateright::Model;
pub use table::{Id, Key, TooManyStates};

/// A model whose states can be packed into a key, exactly.
pub trait Packed: Model {
    /// Bits that a key uses, at most 128. Keys of up to 64 take half the memory.
    fn key_bits(&self) -> u32;

    /// Packs a state; two states have the same key only if they are equal.
    fn pack_state(&self, state: &Self::State) -> Key;

    /// The state of a key.
    fn unpack_state(&self, key: Key) -> Self::State;

    /// The packed next states of a state, in the order of its actions, which have `actions` as their room: to be overridden
    /// where finding the next states together costs less than one after another.
    fn successors(
        &self,
        state: &Self::State,
        _key: Key,
        actions: &mut Vec<Self::Action>,
        found: &mut Vec<Successor>,
    ) {
        self.actions(state, actions);
        for action in actions.drain(..) {
            let class = self.class(state, &action);
            if let Some(next) = self.next_state(state, action) {
                found.push(Successor { class, key: self.pack_state(&next) });
            }
        }
    }

    /// The class of an action in a state, for coverage and fairness: which message, which actor. Below 256.
    fn class(&self, state: &Self::State, action: &Self::Action) -> u8;
}

/// A next state, and how it was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Successor {
    /// The class of the action.
    pub class: u8,
    /// The packed state.
    pub key: Key,
}

/// How to explore.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Keep every transition, for the graph properties. One thread only.
    pub keep_transitions: bool,
    /// Stop at the end of the level that goes over this many states: the result is then `complete: false`, which the checking
    /// door refuses.
    pub limit: Option<usize>,
    /// Threads, and so shards.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { keep_transitions: false, limit: None, threads: 1 }
    }
}

/// The kept transitions, by state.
#[derive(Clone, Debug, Default)]
pub struct Transitions {
    /// Where the transitions of each state begin; one more than there are states.
    pub offsets: Vec<u64>,
    /// The target of each.
    pub targets: Vec<Id>,
    /// The class of each.
    pub classes: Vec<u8>,
}

/// The reachable states and how they were found.
#[derive(Debug)]
pub struct Exploration {
    shards: Vec<Shard>,
    /// Transitions, those that lead back to their own state included.
    pub transitions: u64,
    /// The transitions themselves, if they were kept.
    pub graph: Option<Transitions>,
    /// How often each class of action changed the state.
    pub fired: Vec<u64>,
    /// States without a transition.
    pub deadlocks: Vec<Id>,
    /// For each invariant, the first state at which it fails.
    pub broken: Vec<Option<Id>>,
    /// For each invariant of steps, the first state in which an action breaks it.
    pub broken_steps: Vec<Option<Id>>,
    /// For each witness, the first state at which it holds.
    pub witnessed: Vec<Option<Id>>,
    /// Whether every reachable state was visited.
    pub complete: bool,
    /// Wall time.
    pub elapsed: Duration,
}

impl Exploration {
    /// Distinct states.
    pub fn states(&self) -> usize {
        self.shards.iter().map(|shard| shard.table.len()).sum()
    }

    /// The id of every state. With one thread it is the place in breadth-first order.
    pub fn ids(&self) -> impl Iterator<Item = Id> + '_ {
        let of = self.shards.len();
        self.shards
            .iter()
            .enumerate()
            .flat_map(move |(number, shard)| (0..shard.table.len()).map(move |local| (local * of + number) as Id))
    }

    /// Steps to the farthest state.
    pub fn depth(&self) -> u32 {
        let deepest = |shard: &Shard| shard.levels.windows(2).rposition(|level| level[0] < level[1]).unwrap_or(0);
        self.shards.iter().map(deepest).max().unwrap_or(0) as u32
    }

    fn at(&self, id: Id) -> (&Shard, Id) {
        let of = self.shards.len();
        (&self.shards[id as usize % of], (id as usize / of) as Id)
    }

    /// The packed state of an id.
    pub fn key(&self, id: Id) -> Key {
        let (shard, local) = self.at(id);
        shard.table.key(local)
    }

    /// The id of a packed state.
    pub fn find(&self, key: Key) -> Option<Id> {
        let of = self.shards.len();
        let number = shard::owner(key, of);
        self.shards[number].table.find(key).map(|local| (local as usize * of + number) as Id)
    }

    /// The state from which this one was first reached; an initial state is its own.
    pub fn parent(&self, id: Id) -> Id {
        let (shard, local) = self.at(id);
        shard.parents[local as usize]
    }

    /// The states from an initial state to this one.
    pub fn path(&self, id: Id) -> Vec<Id> {
        let mut path = vec![id];
        let mut at = id;
        while self.parent(at) != at {
            at = self.parent(at);
            path.push(at);
        }
        path.reverse();
        path
    }

    /// A number that the set of states has whatever order they were found in; two sets rarely share it.
    pub fn fingerprint(&self) -> u64 {
        self.ids().fold(0, |sum, id| sum.wrapping_add(table::mix(self.key(id))))
    }

    /// Bytes a state: keys, table and parent links, as allocated.
    pub fn bytes_per_state(&self) -> f64 {
        let bytes: usize = self.shards.iter().map(Shard::bytes).sum();
        bytes as f64 / self.states().max(1) as f64
    }
}

/// A predicate on a state.
pub type Predicate<'a, S> = &'a (dyn Fn(&S) -> bool + Sync);

/// Invariants of steps, judged together: marks those that some action breaks in this state.
pub type StepJudge<'a, S> = &'a (dyn Fn(&S, &mut [bool]) + Sync);

/// What an exploration looks out for.
pub struct Watch<'a, S> {
    /// Should hold in every state.
    pub invariants: &'a [Predicate<'a, S>],
    /// Should hold in some state.
    pub witnesses: &'a [Predicate<'a, S>],
    /// How many invariants of steps there are, and who judges them: all at once, since what costs is to take the step.
    pub steps: Option<(usize, StepJudge<'a, S>)>,
    /// Is told the states so far, once a level.
    pub progress: Option<&'a (dyn Fn(usize) + Sync)>,
}

impl<S> Default for Watch<'_, S> {
    /// Nothing.
    fn default() -> Self {
        Watch { invariants: &[], witnesses: &[], steps: None, progress: None }
    }
}

/// Visits every reachable state in breadth-first order.
///
/// # Errors
/// When there are more states than an id can count.
pub fn explore<M>(model: &M, options: Options, watch: &Watch<'_, M::State>) -> Result<Exploration, TooManyStates>
where
    M: Packed + Sync,
    M::State: Sync,
    M::Action: Clone + Send,
{
    let started = Instant::now();
    let of = if options.keep_transitions { 1 } else { options.threads.max(1) };
    let mut workers: Vec<Worker<'_, M>> =
        (0..of).map(|number| Worker::new(model, watch, number, of, options.keep_transitions)).collect();
    for state in model.init_states() {
        let key = model.pack_state(&state);
        workers[shard::owner(key, of)].begin(key)?;
    }
    let round = Round::new(of, options.limit);
    if let [alone] = workers.as_mut_slice() {
        alone.run(&round);
    } else {
        std::thread::scope(|scope| {
            for worker in &mut workers {
                let round = &round;
                scope.spawn(move || worker.run(round));
            }
        });
    }
    if round.overflowed.into_inner() {
        return Err(TooManyStates);
    }
    let complete = !round.bounded.into_inner();
    Ok(gather(workers, complete, started.elapsed()))
}

/// What the workers of one exploration share.
struct Round {
    barrier: Barrier,
    /// The mail from each worker to each.
    mail: Vec<Vec<Mutex<Mail>>>,
    /// States of the next level, for even and for odd levels.
    ahead: [AtomicUsize; 2],
    states: AtomicUsize,
    limit: Option<usize>,
    bounded: AtomicBool,
    overflowed: AtomicBool,
}

impl Round {
    fn new(of: usize, limit: Option<usize>) -> Self {
        let row = || (0..of).map(|_| Mutex::default()).collect();
        Round {
            barrier: Barrier::new(of),
            mail: (0..of).map(|_| row()).collect(),
            ahead: Default::default(),
            states: AtomicUsize::new(0),
            limit,
            bounded: AtomicBool::new(false),
            overflowed: AtomicBool::new(false),
        }
    }

    fn mail(&self, from: usize, to: usize) -> MutexGuard<'_, Mail> {
        self.mail[from][to].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Meets the others at the end of a level. Whether there is another.
    fn goes_on(&self, level: usize, ahead: usize) -> bool {
        // Everybody has read the last level's counter: they met since, to exchange mail. Nobody adds to it before this meeting
        // is over.
        self.ahead[(level + 1) % 2].store(0, Ordering::Relaxed);
        self.ahead[level % 2].fetch_add(ahead, Ordering::Relaxed);
        self.states.fetch_add(ahead, Ordering::Relaxed);
        self.barrier.wait();
        // What is read here changes only after the next exchange of mail.
        let more = self.ahead[level % 2].load(Ordering::Relaxed) > 0;
        let over = self.limit.is_some_and(|limit| self.states.load(Ordering::Relaxed) > limit);
        if more && over {
            self.bounded.store(true, Ordering::Relaxed);
        }
        more && !over && !self.overflowed.load(Ordering::Relaxed)
    }
}

fn gather<M>(workers: Vec<Worker<'_, M>>, complete: bool, elapsed: Duration) -> Exploration
where
    M: Packed,
    M::Action: Clone,
{
    let mut shards = Vec::new();
    let mut graph = None;
    let mut fired = vec![0; 256];
    let mut deadlocks = Vec::new();
    let (mut broken, mut broken_steps, mut witnessed) = (Vec::new(), Vec::new(), Vec::new());
    for worker in workers {
        let found = worker.finish();
        for (sum, count) in fired.iter_mut().zip(&found.fired) {
            *sum += count;
        }
        deadlocks.extend(found.deadlocks);
        graph = found.graph;
        earliest(&mut broken, found.broken);
        earliest(&mut broken_steps, found.broken_steps);
        earliest(&mut witnessed, found.witnessed);
        shards.push(found.shard);
    }
    let ids = |firsts: Vec<Option<First>>| firsts.into_iter().map(|first| first.map(|first| first.id)).collect();
    Exploration {
        shards,
        transitions: fired.iter().sum(),
        graph,
        fired,
        deadlocks,
        broken: ids(broken),
        broken_steps: ids(broken_steps),
        witnessed: ids(witnessed),
        complete,
        elapsed,
    }
}

/// Keeps, place by place, the finding of the earlier level; of one level, the lower id.
fn earliest(all: &mut Vec<Option<First>>, found: Vec<Option<First>>) {
    if all.is_empty() {
        *all = found;
        return;
    }
    for (best, new) in all.iter_mut().zip(found) {
        *best = match (*best, new) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
}
