//! A model on one page: how three custodians open a sealed keystore. Read it before the real model.
//!
//! `cargo run --release --package bailee-model --example ceremony`
//!
//! The node is sealed after every start. Two of the three custodians must each give a right share in one ceremony. A wrong
//! share is named and not counted. The node counts in memory alone, so a restart loses the ceremony.

use bailee_model::explorer::{Exploration, Key, Options, Packed, Stopped, Watch, explore};
use stateright::Model;

/// Custodians, and how many of them must give a share.
const CUSTODIANS: u8 = 3;
const THRESHOLD: u32 = 2;

/// Everything that a step can depend on. A set of custodians is a byte with one bit for each of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct World {
    unsealed: bool,
    /// Whether a ceremony is open.
    open: bool,
    /// What the node remembers: whose share it counts, and whose share it named as wrong.
    counted: u8,
    named: u8,
    /// What really happened in this ceremony. No rule of the node reads it: the properties judge the node by it.
    gave_right: u8,
    gave_wrong: u8,
}

/// What can happen, in any order.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Action {
    OpenCeremony,
    GiveShare { custodian: u8, right: bool },
    Restart,
}

/// The rules of the node. The slip is a plausible bug: the model must notice it.
struct Ceremony {
    /// A restart does not forget which shares were counted.
    keeps_shares: bool,
}

impl Model for Ceremony {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::default()]
    }

    /// Every action is tried in every state; `next_state` refuses.
    fn actions(&self, _: &World, actions: &mut Vec<Action>) {
        actions.extend([Action::OpenCeremony, Action::Restart]);
        for custodian in 0..CUSTODIANS {
            actions.extend([true, false].map(|right| Action::GiveShare { custodian, right }));
        }
    }

    /// `None`: the action is refused, and nothing changes.
    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut next = *last;
        match action {
            Action::OpenCeremony if last.open || last.unsealed => return None,
            Action::OpenCeremony => next.open = true,
            Action::GiveShare { .. } if !last.open => return None,
            Action::GiveShare { custodian, right: false } => {
                next.gave_wrong |= 1 << custodian;
                next.named |= 1 << custodian;
            }
            Action::GiveShare { custodian, right: true } => {
                next.gave_right |= 1 << custodian;
                next.counted |= 1 << custodian;
                if next.counted.count_ones() >= THRESHOLD {
                    (next.unsealed, next.open) = (true, false);
                }
            }
            Action::Restart => {
                let counted = if self.keeps_shares { last.counted } else { 0 };
                next = World { counted, ..World::default() };
            }
        }
        Some(next)
    }
}

/// The explorer keeps a state as a number: here three bits for each set, and one for each flag.
impl Packed for Ceremony {
    fn key_bits(&self) -> u32 {
        14
    }

    fn pack_state(&self, w: &World) -> Key {
        let sets = [w.counted, w.named, w.gave_right, w.gave_wrong];
        let flags = Key::from(w.unsealed) << 1 | Key::from(w.open);
        sets.iter().fold(flags, |key, &set| key << CUSTODIANS | Key::from(set))
    }

    fn unpack_state(&self, key: Key) -> World {
        let set = |place: u32| (key >> (place * u32::from(CUSTODIANS))) as u8 % (1 << CUSTODIANS);
        let [unsealed, open] = [13, 12].map(|bit| key >> bit & 1 == 1);
        World { unsealed, open, counted: set(3), named: set(2), gave_right: set(1), gave_wrong: set(0) }
    }

    /// The kinds of action, to count how often each changed a state.
    fn class(&self, _: &World, action: &Action) -> u8 {
        match action {
            Action::OpenCeremony => 0,
            Action::GiveShare { right, .. } => 1 + u8::from(*right),
            Action::Restart => 3,
        }
    }
}

/// Nobody is named who gave no wrong share.
fn names_are_deserved(world: &World) -> bool {
    world.named & !world.gave_wrong == 0
}

/// The node is unsealed only if enough custodians gave a right share in this very ceremony.
fn enough_agreed(world: &World) -> bool {
    !world.unsealed || world.gave_right.count_ones() >= THRESHOLD
}

/// Visits every state. `broken` has the two properties in this order; the witness shows that the node can be opened at all.
fn check(model: &Ceremony) -> Result<Exploration, Stopped> {
    let opened = |world: &World| world.unsealed;
    let watch =
        Watch { invariants: &[&names_are_deserved, &enough_agreed], witnesses: &[&opened], ..Watch::default() };
    explore(model, Options::default(), &watch)
}

fn main() -> Result<(), Stopped> {
    for model in [false, true].map(|keeps_shares| Ceremony { keeps_shares }) {
        let found = check(&model)?;
        println!("{} states; a restart keeps the counted shares: {}", found.states(), model.keeps_shares);
        println!("  it can be unsealed: {}", found.witnessed[0].is_some());
        for (name, broken) in ["names are deserved", "enough agreed"].iter().zip(&found.broken) {
            println!("  {name}: {}", if broken.is_none() { "holds" } else { "broken" });
            // Breadth first: no way to a broken state is shorter.
            for (number, step) in broken.iter().flat_map(|id| found.steps(&model, *id)).enumerate() {
                println!("    {}. {:?}", number + 1, step.action);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "../tests/ceremony/mod.rs"]
mod tests;
