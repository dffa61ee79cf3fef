//! stateright as a second engine over the same model, to be compared with.
//!
//! Its two offsets are taken away here: it counts an initial state as a transition, and it stops once every property has a
//! discovery, so a walk needs a property that is never found. Symmetry, bounds and time-outs are never asked for: breadth
//! first, it ignores the first and lets a run that met one of the others pass.

use std::hash::Hash;

use stateright::{Checker, Model, Property};

/// How stateright walks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Breadth first.
    Breadth,
    /// Depth first.
    Depth,
}

/// What stateright found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk {
    /// Distinct states.
    pub states: u64,
    /// Transitions.
    pub transitions: u64,
    /// For each name that was asked for: whether that property has a discovery.
    pub found: Vec<bool>,
}

/// A model without its properties, except one that is never found: stateright visits all of it.
#[derive(Clone, Debug)]
pub struct Whole<M>(pub M);

impl<M: Model> Model for Whole<M> {
    type State = M::State;
    type Action = M::Action;

    fn init_states(&self) -> Vec<M::State> {
        self.0.init_states()
    }

    fn actions(&self, state: &M::State, actions: &mut Vec<M::Action>) {
        self.0.actions(state, actions);
    }

    fn next_state(&self, last: &M::State, action: M::Action) -> Option<M::State> {
        self.0.next_state(last, action)
    }

    fn within_boundary(&self, state: &M::State) -> bool {
        self.0.within_boundary(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![never_found()]
    }
}

/// The property that keeps stateright walking to the end.
pub fn never_found<M: Model>() -> Property<M> {
    Property::sometimes("never found", |_, _| false)
}

/// Lets stateright walk over a model, on one thread. The model has to have a property that is never found, as [`Whole`] and
/// [`never_found`] give it; `names` are the properties whose discovery is asked for.
pub fn walk<M>(model: M, strategy: Strategy, names: &[&'static str]) -> Walk
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + PartialEq,
{
    let initial = model.init_states().iter().filter(|state| model.within_boundary(state)).count() as u64;
    let builder = model.checker().threads(1);
    match strategy {
        Strategy::Breadth => walked(&builder.spawn_bfs().join(), initial, names),
        Strategy::Depth => walked(&builder.spawn_dfs().join(), initial, names),
    }
}

fn walked<M>(done: &impl Checker<M>, initial: u64, names: &[&'static str]) -> Walk
where
    M: Model,
    M::State: Clone + Hash + PartialEq,
    M::Action: Clone + PartialEq,
{
    Walk {
        states: done.unique_state_count() as u64,
        transitions: done.state_count() as u64 - initial,
        found: names.iter().map(|name| done.discovery(name).is_some()).collect(),
    }
}
