//! The project's own explorer: breadth-first, exact states, parent links, and the transition graph on request.
//!
//! It runs over any [`stateright::Model`] whose states can be packed; `check` compares its counts with stateright's own.

pub mod graph;
mod table;

use std::time::{Duration, Instant};

use stateright::Model;
pub use table::{Id, PackedKey, Table, TooManyStates};

/// A model whose states can be packed into a key, exactly.
pub trait Packed: Model {
    /// The packed form.
    type Key: PackedKey;

    /// Packs a state; two states have the same key only if they are equal.
    fn pack_state(&self, state: &Self::State) -> Self::Key;

    /// The state of a key.
    fn unpack_state(&self, key: Self::Key) -> Self::State;

    /// The class of an action in a state, for coverage and fairness: which message, which actor. Below 256.
    fn class(&self, state: &Self::State, action: &Self::Action) -> u8;
}

/// How to explore.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Keep every transition, for the graph properties.
    pub keep_transitions: bool,
    /// Stop after this many states: the result is then `complete: false`, which the checking door refuses.
    pub limit: Option<usize>,
}

/// A transition of the kept graph.
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
pub struct Exploration<K> {
    table: Table<K>,
    parents: Vec<Id>,
    /// The first id of each depth.
    levels: Vec<Id>,
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
    /// For each witness, the first state at which it holds.
    pub witnessed: Vec<Option<Id>>,
    /// Whether every reachable state was visited.
    pub complete: bool,
    /// Wall time.
    pub elapsed: Duration,
}

impl<K: PackedKey> Exploration<K> {
    /// Distinct states.
    pub fn states(&self) -> usize {
        self.table.len()
    }

    /// Steps to the farthest state.
    pub fn depth(&self) -> u32 {
        (self.levels.len() - 1) as u32
    }

    /// The packed state of an id.
    pub fn key(&self, id: Id) -> K {
        self.table.key(id)
    }

    /// The id of a packed state.
    pub fn find(&self, key: K) -> Option<Id> {
        self.table.find(key)
    }

    /// The state from which this one was first reached; an initial state is its own.
    pub fn parent(&self, id: Id) -> Id {
        self.parents[id as usize]
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

    /// Bytes a state: keys, table and parent links, as allocated.
    pub fn bytes_per_state(&self) -> f64 {
        let bytes = self.table.bytes() + self.parents.capacity() * size_of::<Id>();
        bytes as f64 / self.states().max(1) as f64
    }
}

/// A predicate on a state.
pub type Predicate<'a, S> = &'a (dyn Fn(&S) -> bool + Sync);

/// Visits every reachable state in breadth-first order.
///
/// `invariants` should hold everywhere, `witnesses` somewhere.
///
/// # Errors
/// When there are more states than an id can count.
pub fn explore<M: Packed>(
    model: &M,
    options: Options,
    invariants: &[Predicate<'_, M::State>],
    witnesses: &[Predicate<'_, M::State>],
) -> Result<Exploration<M::Key>, TooManyStates> {
    let started = Instant::now();
    let mut run = Run::new(model, options, invariants, witnesses);
    for state in model.init_states() {
        let key = model.pack_state(&state);
        let (id, new) = run.out.table.insert(key, key.mix())?;
        if new {
            run.out.parents.push(id);
            run.judge(id, &state);
        }
    }
    run.out.levels.push(0);
    let mut level_end = run.out.states();
    let mut at = 0;
    while at < run.out.states() {
        if at == level_end {
            run.out.levels.push(at as Id);
            level_end = run.out.states();
        }
        if options.limit.is_some_and(|limit| run.out.states() > limit) {
            run.out.complete = false;
            break;
        }
        run.expand(at as Id)?;
        at += 1;
    }
    if let Some(graph) = &mut run.out.graph {
        graph.offsets.push(graph.targets.len() as u64);
    }
    run.out.elapsed = started.elapsed();
    Ok(run.out)
}

/// An exploration under way.
struct Run<'a, M: Packed> {
    model: &'a M,
    invariants: &'a [Predicate<'a, M::State>],
    witnesses: &'a [Predicate<'a, M::State>],
    actions: Vec<M::Action>,
    out: Exploration<M::Key>,
}

impl<'a, M: Packed> Run<'a, M> {
    fn new(
        model: &'a M,
        options: Options,
        invariants: &'a [Predicate<'a, M::State>],
        witnesses: &'a [Predicate<'a, M::State>],
    ) -> Self {
        Run {
            model,
            invariants,
            witnesses,
            actions: Vec::new(),
            out: Exploration {
                table: Table::new(),
                parents: Vec::new(),
                levels: Vec::new(),
                transitions: 0,
                graph: options.keep_transitions.then(Transitions::default),
                fired: vec![0; 256],
                deadlocks: Vec::new(),
                broken: vec![None; invariants.len()],
                witnessed: vec![None; witnesses.len()],
                complete: true,
                elapsed: Duration::ZERO,
            },
        }
    }

    fn judge(&mut self, id: Id, state: &M::State) {
        for (broken, holds) in self.out.broken.iter_mut().zip(self.invariants) {
            if broken.is_none() && !holds(state) {
                *broken = Some(id);
            }
        }
        for (witnessed, shows) in self.out.witnessed.iter_mut().zip(self.witnesses) {
            if witnessed.is_none() && shows(state) {
                *witnessed = Some(id);
            }
        }
    }

    fn expand(&mut self, id: Id) -> Result<(), TooManyStates> {
        let state = self.model.unpack_state(self.out.table.key(id));
        let mut actions = std::mem::take(&mut self.actions);
        self.model.actions(&state, &mut actions);
        let before = self.out.transitions;
        if let Some(graph) = &mut self.out.graph {
            graph.offsets.push(graph.targets.len() as u64);
        }
        for action in actions.drain(..) {
            let class = self.model.class(&state, &action);
            if let Some(next) = self.model.next_state(&state, action) {
                self.reach(id, class, &next)?;
            }
        }
        if self.out.transitions == before {
            self.out.deadlocks.push(id);
        }
        self.actions = actions;
        Ok(())
    }

    fn reach(&mut self, from: Id, class: u8, next: &M::State) -> Result<(), TooManyStates> {
        let key = self.model.pack_state(next);
        let (to, new) = self.out.table.insert(key, key.mix())?;
        self.out.transitions += 1;
        self.out.fired[class as usize] += 1;
        if new {
            self.out.parents.push(from);
            self.judge(to, next);
        }
        if let Some(graph) = &mut self.out.graph {
            graph.targets.push(to);
            graph.classes.push(class);
        }
        Ok(())
    }
}
