//! What an exploration found.

use std::time::Duration;

use super::Transitions;
use super::packed::Packed;
use super::shard::{self, Shard};
use super::table::{self, Id, Key};

/// The reachable states and how they were found.
#[derive(Debug)]
pub struct Exploration {
    pub(super) shards: Vec<Shard>,
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

    /// The actions from an initial state to this one, each with the state after it: one of the shortest ways.
    ///
    /// The model must be the one that was explored. The actions are found again by trying them, since an exploration keeps
    /// parents alone.
    pub fn steps<M>(&self, model: &M, id: Id) -> Vec<Step<M>>
    where
        M: Packed,
        M::Action: Clone,
    {
        let path = self.path(id);
        let leading = |pair: &[Id]| {
            let before = model.unpack_state(self.key(pair[0]));
            let mut actions = Vec::new();
            model.actions(&before, &mut actions);
            actions.into_iter().find_map(|action| {
                let after = model.next_state(&before, action.clone())?;
                (model.pack_state(&after) == self.key(pair[1])).then_some(Step { action, after })
            })
        };
        path.windows(2).filter_map(leading).collect()
    }
}

/// A step on the way to a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step<M: Packed> {
    /// What happened.
    pub action: M::Action,
    /// The state after it.
    pub after: M::State,
}
