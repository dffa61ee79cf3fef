//! stateright as a second engine over the same model: it must find the same states, transitions and verdicts.

use std::sync::Arc;

use bailee_spec::scope::Scope;
use stateright::{Model, Property};

use super::{How, predicate, properties_of};
use crate::explorer::beside::{Strategy, never_found, walk};
use crate::protocol::properties::Kind;
use crate::protocol::{Protocol, SmallWorld};

/// What stateright found, with its offsets taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Distinct states.
    pub states: u64,
    /// Transitions.
    pub transitions: u64,
    /// Properties and whether they hold, in the scope's order; only those of a kind that stateright has.
    pub verdicts: Vec<(&'static str, bool)>,
}

/// The protocol, with properties as stateright wants them.
#[derive(Clone)]
pub struct Second {
    inner: Arc<Protocol>,
    wanted: Vec<(&'static str, Kind)>,
}

impl Model for Second {
    type State = SmallWorld;
    type Action = bailee_spec::Action;

    fn init_states(&self) -> Vec<SmallWorld> {
        self.inner.init_states()
    }

    fn actions(&self, state: &SmallWorld, actions: &mut Vec<Self::Action>) {
        self.inner.actions(state, actions);
    }

    fn next_state(&self, state: &SmallWorld, action: Self::Action) -> Option<SmallWorld> {
        self.inner.next_state(state, action)
    }

    fn format_action(&self, action: &Self::Action) -> String {
        format!("{action:?}")
    }

    fn format_step(&self, last: &SmallWorld, action: Self::Action) -> Option<String> {
        let (outcome, next) = self.inner.step(last, action);
        Some(format!("{outcome:?}\n{:#?}", self.inner.rules.observe(&next)))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        // stateright takes plain functions, so a property is found again by its place.
        let by_place: [fn(&Second, &SmallWorld) -> bool; 24] = places();
        let mut all: Vec<Property<Self>> = self
            .wanted
            .iter()
            .zip(by_place)
            .map(|((id, kind), holds)| match kind {
                Kind::Sometimes(_) => Property::sometimes(id, holds),
                _ => Property::always(id, holds),
            })
            .collect();
        all.push(never_found());
        all
    }
}

fn at<const PLACE: usize>(model: &Second, world: &SmallWorld) -> bool {
    predicate(&model.inner, model.wanted[PLACE].1)(world)
}

fn places() -> [fn(&Second, &SmallWorld) -> bool; 24] {
    [
        at::<0>, at::<1>, at::<2>, at::<3>, at::<4>, at::<5>, at::<6>, at::<7>, at::<8>, at::<9>, at::<10>, at::<11>,
        at::<12>, at::<13>, at::<14>, at::<15>, at::<16>, at::<17>, at::<18>, at::<19>, at::<20>, at::<21>, at::<22>,
        at::<23>,
    ]
}

/// Serves stateright's Explorer for a scope on 127.0.0.1, until the process ends.
///
/// # Errors
/// When the scope contradicts itself.
pub fn serve(scope: &Scope, port: u16) -> Result<(), String> {
    let inner = Arc::new(Protocol::new(scope, None)?);
    let wanted = properties_of(scope)?.into_iter().map(|property| (property.id, property.kind)).collect();
    Second { inner, wanted }.checker().serve(("127.0.0.1", port));
    Ok(())
}

/// Checks a scope with stateright.
///
/// # Errors
/// When the scope contradicts itself.
pub fn by_stateright(scope: &Scope, how: How, strategy: Strategy) -> Result<Counts, String> {
    let inner = Protocol::new(scope, how.mutation)?;
    let wanted: Vec<(&'static str, Kind)> = properties_of(scope)?
        .into_iter()
        .map(|property| (property.id, property.kind))
        .filter(|(_, kind)| matches!(kind, Kind::Always(_) | Kind::AlwaysStep(_) | Kind::Sometimes(_)))
        .collect();
    if wanted.len() > places().len() {
        return Err(format!("scope {}: more properties than the second engine has places for", scope.name));
    }
    let model = Second { inner: Arc::new(inner), wanted: wanted.clone() };
    let names: Vec<&'static str> = wanted.iter().map(|(id, _)| *id).collect();
    let walk = walk(model, strategy, &names);
    let verdicts = wanted
        .iter()
        .zip(walk.found)
        .map(|((id, kind), found)| (*id, if matches!(kind, Kind::Sometimes(_)) { found } else { !found }))
        .collect();
    Ok(Counts { states: walk.states, transitions: walk.transitions, verdicts })
}
