//! The traps of stateright 0.31, each shown to be there still, and each answered by the project's own explorer and graph.

use bailee_explorer::graph::{cannot_reach, unfulfilled};
use bailee_explorer::{Key, Options, Packed, Watch, explore};
use stateright::{Checker, Model, Property, Representative};

/// A graph by its edges; state 0 is the start. The property: 2 is reached in the end.
#[derive(Clone)]
struct Drawn {
    edges: Vec<(u8, u8)>,
}

impl Model for Drawn {
    type State = u8;
    type Action = (u8, u8);

    fn init_states(&self) -> Vec<u8> {
        vec![0]
    }

    fn actions(&self, state: &u8, actions: &mut Vec<(u8, u8)>) {
        actions.extend(self.edges.iter().copied().filter(|(from, _)| from == state));
    }

    fn next_state(&self, _: &u8, action: (u8, u8)) -> Option<u8> {
        Some(action.1)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::eventually("two", |_, state| *state == 2)]
    }
}

impl Packed for Drawn {
    fn key_bits(&self) -> u32 {
        u8::BITS
    }

    fn pack_state(&self, state: &u8) -> Key {
        Key::from(*state)
    }

    fn unpack_state(&self, key: Key) -> u8 {
        key as u8
    }

    fn class(&self, _: &u8, action: &(u8, u8)) -> u8 {
        action.1
    }
}

/// Whether every run reaches 2, by the project's own graph.
fn leads_to_two(model: &Drawn, fair: &[bool; 256]) -> bool {
    let options = Options { keep_transitions: true, ..Options::default() };
    let graph = explore(model, options, &Watch::default()).unwrap();
    let is_two = |id| graph.key(id) == 2;
    unfulfilled(graph.graph.as_ref().unwrap(), |_| true, is_two, fair).is_none()
}

const FAIR: [bool; 256] = [true; 256];
const UNFAIR: [bool; 256] = [false; 256];

#[test]
fn eventually_passes_on_a_cycle_and_leads_to_does_not() {
    let cycle = Drawn { edges: vec![(0, 1), (1, 0)] };
    cycle.clone().checker().spawn_bfs().join().assert_properties();
    cycle.clone().checker().spawn_dfs().join().assert_properties();
    assert!(!leads_to_two(&cycle, &FAIR));
}

#[test]
fn eventually_passes_at_a_join_and_leads_to_does_not() {
    // 2 lies on one way to the join and not on the other.
    let join = Drawn { edges: vec![(0, 2), (0, 1), (2, 3), (1, 3)] };
    join.clone().checker().spawn_bfs().join().assert_properties();
    assert!(!leads_to_two(&join, &FAIR));
}

#[test]
fn fairness_is_asked_of_what_is_enabled_all_along_and_of_nothing_else() {
    // From 0 the class 2 leads out, and the class 0 stays: unfair runs stay, fair ones leave.
    let stay = Drawn { edges: vec![(0, 0), (0, 2)] };
    assert!(leads_to_two(&stay, &FAIR));
    assert!(!leads_to_two(&stay, &UNFAIR));
    // Class 2 is disabled in state 1, so weak fairness does not force it.
    let shuttle = Drawn { edges: vec![(0, 1), (1, 0), (0, 2)] };
    assert!(!leads_to_two(&shuttle, &FAIR));
}

#[test]
fn what_cannot_be_reached_is_counted() {
    let split = Drawn { edges: vec![(0, 1), (0, 3), (1, 2), (3, 3)] };
    let options = Options { keep_transitions: true, ..Options::default() };
    let graph = explore(&split, options, &Watch::default()).unwrap();
    let stuck = cannot_reach(graph.graph.as_ref().unwrap(), |id| graph.key(id) == 2);
    assert_eq!(stuck.iter().map(|id| graph.key(*id)).collect::<Vec<_>>(), vec![3]);
}

/// A chain whose far end breaks the property.
#[derive(Clone)]
struct Chain;

const FAR: u32 = 20_000;

impl Model for Chain {
    type State = u32;
    type Action = ();

    fn init_states(&self) -> Vec<u32> {
        vec![0]
    }

    fn actions(&self, state: &u32, actions: &mut Vec<()>) {
        actions.extend((*state < FAR).then_some(()));
    }

    fn next_state(&self, state: &u32, (): ()) -> Option<u32> {
        Some(state + 1)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always("near", |_, state| *state < FAR)]
    }
}

impl Packed for Chain {
    fn key_bits(&self) -> u32 {
        u32::BITS
    }

    fn pack_state(&self, state: &u32) -> Key {
        Key::from(*state)
    }

    fn unpack_state(&self, key: Key) -> u32 {
        key as u32
    }

    fn class(&self, _: &u32, (): &()) -> u8 {
        0
    }
}

#[test]
fn a_bounded_run_passes_there_and_is_not_complete_here() {
    Chain.checker().target_max_depth(100).spawn_bfs().join().assert_properties();
    Chain.checker().target_state_count(100).spawn_bfs().join().assert_properties();
    let near = |state: &u32| *state < FAR;
    let bounded = explore(
        &Chain,
        Options { limit: Some(100), ..Options::default() },
        &Watch { invariants: &[&near], ..Watch::default() },
    )
    .unwrap();
    assert!(!bounded.complete, "the door refuses a run that is not complete");
    let whole = explore(&Chain, Options::default(), &Watch { invariants: &[&near], ..Watch::default() }).unwrap();
    assert!(whole.complete);
    let broken = whole.broken[0].unwrap();
    assert_eq!(whole.path(broken).len() as u32 - 1, FAR, "the shortest way to the violation");
}

/// Two interchangeable bits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Bits([bool; 2]);

impl Representative for Bits {
    fn representative(&self) -> Self {
        let mut bits = self.0;
        bits.sort_unstable();
        Bits(bits)
    }
}

#[derive(Clone)]
struct Pair;

impl Model for Pair {
    type State = Bits;
    type Action = usize;

    fn init_states(&self) -> Vec<Bits> {
        vec![Bits([false; 2])]
    }

    fn actions(&self, _: &Bits, actions: &mut Vec<usize>) {
        actions.extend([0, 1]);
    }

    fn next_state(&self, state: &Bits, bit: usize) -> Option<Bits> {
        let mut next = state.clone();
        next.0[bit] = true;
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::sometimes("never found", |_, _| false)]
    }
}

#[test]
fn symmetry_is_ignored_breadth_first() {
    let plain = Pair.checker().spawn_bfs().join().unique_state_count();
    let asked = Pair.checker().symmetry().spawn_bfs().join().unique_state_count();
    let depth = Pair.checker().symmetry().spawn_dfs().join().unique_state_count();
    assert_eq!((plain, asked, depth), (4, 4, 3), "so the model sorts its own states and never asks for symmetry");
}

/// Numbers below a power of two, each leading to two others: wide levels, so that every shard has work and mail.
struct Wide;

const WIDTH: u32 = 1 << 14;

impl Model for Wide {
    type State = u32;
    type Action = u32;

    fn init_states(&self) -> Vec<u32> {
        vec![1]
    }

    fn actions(&self, _: &u32, actions: &mut Vec<u32>) {
        actions.extend([3, 5]);
    }

    fn next_state(&self, state: &u32, factor: u32) -> Option<u32> {
        Some((state * factor + 1) % WIDTH)
    }
}

impl Packed for Wide {
    fn key_bits(&self) -> u32 {
        u32::BITS
    }

    fn pack_state(&self, state: &u32) -> Key {
        Key::from(*state)
    }

    fn unpack_state(&self, key: Key) -> u32 {
        key as u32
    }

    fn class(&self, _: &u32, factor: &u32) -> u8 {
        *factor as u8
    }
}

#[test]
fn every_number_of_threads_finds_the_same() {
    let odd = |state: &u32| *state != 4_242;
    let seven = |state: &u32| *state == 7_777;
    let found = |threads| {
        let graph = explore(
            &Wide,
            Options { threads, ..Options::default() },
            &Watch { invariants: &[&odd], witnesses: &[&seven], ..Watch::default() },
        )
        .unwrap();
        let steps = |id: Option<u32>| graph.path(id.unwrap()).len();
        let path: Vec<_> = graph.path(graph.broken[0].unwrap()).iter().map(|id| graph.key(*id)).collect();
        for pair in path.windows(2) {
            assert!([3, 5].iter().any(|f| (pair[0] * f + 1) % Key::from(WIDTH) == pair[1]), "no step: {pair:?}");
        }
        assert!(graph.ids().all(|id| graph.find(graph.key(id)) == Some(id)), "every state is found where it is kept");
        let states = graph.ids().map(|id| graph.key(id)).collect::<std::collections::BTreeSet<_>>();
        (
            states,
            graph.transitions,
            graph.depth(),
            graph.fired.clone(),
            steps(graph.broken[0]),
            steps(graph.witnessed[0]),
        )
    };
    let alone = found(1);
    assert_eq!(alone.1, 2 * alone.0.len() as u64);
    for threads in [2, 3, 8] {
        assert_eq!(found(threads), alone, "{threads} threads");
        assert_eq!(found(threads), found(threads));
    }
}
