//! `cargo model bench`: the explorer beside stateright, on the same model in the same run, as ratios.
//!
//! Both engines walk the same [`stateright::Model`]; no property is judged but one that is never found, without which
//! stateright would stop at once. Repetitions of the engines alternate, so that a slow minute of the machine slows them all.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bailee_spec::scope::Scope;
use stateright::{Checker, Model};

use crate::explorer::beside::Whole;
use crate::explorer::graph::{cannot_reach, components};
use crate::explorer::{Options, Packed, Stopped, Watch, explore};
use crate::protocol::Protocol;

/// Medians over the repetitions.
#[derive(Clone, Debug)]
pub struct Figures {
    /// The scope.
    pub scope: String,
    /// Bits a state.
    pub bits: u32,
    /// Distinct states.
    pub states: u64,
    /// Transitions.
    pub transitions: u64,
    /// Bytes a state: keys, table and parents.
    pub bytes_per_state: f64,
    /// A loop over all states that calls `actions` and `next_state` and keeps nothing: the floor of any engine.
    pub bare: Duration,
    /// The project's explorer on one thread.
    pub own: Duration,
    /// On two.
    pub own_two: Duration,
    /// stateright's breadth-first search on one thread.
    pub stateright: Duration,
    /// On two.
    pub stateright_two: Duration,
    /// *Can always still*, with the transitions at hand.
    pub can_always_still: Duration,
    /// The strongly connected components of the whole graph.
    pub components: Duration,
}

fn timed<T>(times: &mut Vec<Duration>, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let out = black_box(work());
    times.push(started.elapsed());
    out
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Measures a scope.
///
/// # Errors
/// When the scope contradicts itself, or the engines do not find the same.
pub fn measure(scope: &Scope, repetitions: usize) -> Result<Figures, String> {
    let model = Protocol::new(scope, None)?;
    let failed = |stopped: Stopped| format!("scope {}: {stopped}", scope.name);
    let kept = explore(&model, Options { keep_transitions: true, ..Options::default() }, &Watch::default())
        .map_err(failed)?;
    let graph = kept.graph.as_ref().ok_or("no transitions were kept")?;
    let states: Vec<_> = kept.ids().map(|id| kept.key(id)).collect();
    let (wanted, transitions) = (kept.states(), kept.transitions);
    let mut times: [Vec<Duration>; 7] = Default::default();
    let mut bytes_per_state = 0.0;
    for _ in 0..repetitions.max(1) {
        let moved = timed(&mut times[0], || bare_loop(&model, &states));
        let own = timed(&mut times[1], || explore(&model, Options::default(), &Watch::default())).map_err(failed)?;
        bytes_per_state = own.bytes_per_state();
        let two = Options { threads: 2, ..Options::default() };
        let own_two = timed(&mut times[2], || explore(&model, two, &Watch::default())).map_err(failed)?;
        let (one, both) = (Whole(model.clone()), Whole(model.clone()));
        let second = timed(&mut times[3], || one.checker().threads(1).spawn_bfs().join());
        let second_two = timed(&mut times[4], || both.checker().threads(2).spawn_bfs().join());
        let found = [
            (wanted, moved),
            (own.states(), own.transitions),
            (own_two.states(), own_two.transitions),
            (second.unique_state_count(), second.state_count() as u64 - 1),
            (second_two.unique_state_count(), second_two.state_count() as u64 - 1),
        ];
        if found.iter().any(|counts| *counts != (wanted, transitions)) {
            return Err(format!("scope {}: the engines disagree: {found:?}", scope.name));
        }
        timed(&mut times[5], || cannot_reach(graph, |id| id == 0));
        timed(&mut times[6], || components(graph, &vec![true; wanted]));
    }
    let [bare, own, own_two, stateright, stateright_two, can_always_still, components] = times.map(median);
    Ok(Figures {
        scope: scope.name.clone(),
        bits: model.bits(),
        states: wanted as u64,
        transitions,
        bytes_per_state,
        bare,
        own,
        own_two,
        stateright,
        stateright_two,
        can_always_still,
        components,
    })
}

/// The explorer alone on a scope, medians over the repetitions.
#[derive(Clone, Debug)]
pub struct Alone {
    /// Distinct states.
    pub states: u64,
    /// Transitions.
    pub transitions: u64,
    /// Actions tried: in each state, every action that is not refused whatever the state.
    pub tried: u64,
    /// On one thread.
    pub one: Duration,
    /// On two.
    pub two: Duration,
}

/// Measures the explorer alone.
///
/// # Errors
/// When the scope contradicts itself or is too large.
pub fn own_alone(scope: &Scope, repetitions: usize) -> Result<Alone, String> {
    let model = Protocol::new(scope, None)?;
    let mut times: [Vec<Duration>; 2] = Default::default();
    let mut counts = (0, 0);
    for _ in 0..repetitions.max(1) {
        for (times, threads) in times.iter_mut().zip([1, 2]) {
            let options = Options { threads, ..Options::default() };
            let found = timed(times, || explore(&model, options, &Watch::default()));
            let found = found.map_err(|stopped| format!("scope {}: {stopped}", scope.name))?;
            counts = (found.states() as u64, found.transitions);
        }
    }
    let [one, two] = times.map(median);
    let (states, transitions) = counts;
    Ok(Alone { states, transitions, tried: states * model.tried_in_each() as u64, one, two })
}

fn bare_loop(model: &Protocol, states: &[crate::explorer::Key]) -> u64 {
    let mut moved = 0;
    let mut actions = Vec::new();
    for key in states {
        let state = model.unpack_state(*key);
        model.actions(&state, &mut actions);
        moved += actions.drain(..).filter(|action| black_box(model.next_state(&state, *action)).is_some()).count();
    }
    moved as u64
}

impl Figures {
    /// How many times faster than stateright's breadth-first search: one thread against one, and two against one.
    pub fn ratios(&self) -> (f64, f64) {
        let stateright = self.stateright.as_secs_f64();
        (stateright / self.own.as_secs_f64(), stateright / self.own_two.as_secs_f64())
    }

    /// Milliseconds for a million transitions: *can always still*, and components.
    pub fn graph_costs(&self) -> (f64, f64) {
        let cost = |time: Duration| time.as_secs_f64() * 1e9 / self.transitions.max(1) as f64;
        (cost(self.can_always_still), cost(self.components))
    }
}
