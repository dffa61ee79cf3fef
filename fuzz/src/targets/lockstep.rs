//! Model and reference, fed the same arbitrary actions.

use std::sync::LazyLock;

use bailee_core::quirks::Quirks;
use bailee_lockstep::pair::{Pair, Seen};
use bailee_lockstep::replay::differences;
use bailee_model::protocol::{Protocol, scopes};
use bailee_spec::{Action, Outcome};

/// The most actions that one input makes.
pub const MOST_ACTIONS: usize = 256;

/// The scopes in which every transition is replayed, each with both readings at its start.
static SCOPES: LazyLock<Vec<(Protocol, Pair)>> = LazyLock::new(|| {
    let start = |scope| {
        let protocol = Protocol::new(&scope, None).expect("a committed scope");
        let pair = Pair::start(&protocol, Quirks::none(), 0).expect("a committed scope can be shared");
        (protocol, pair)
    };
    scopes::committed().into_iter().filter(|scope| scope.lockstep).map(start).collect()
});

/// How many scopes there are.
pub fn scopes() -> usize {
    SCOPES.len()
}

/// The name of a scope.
pub fn scope_name(scope: usize) -> &'static str {
    &SCOPES[scope % SCOPES.len()].0.scope.name
}

/// One byte for the scope, then two bytes an action: an even number takes the next action of the scope's list that changes
/// the model's state, an odd one takes the action itself, refused or not.
///
/// # Panics
/// When the readings differ: with what, and with a line that replays it.
pub fn lockstep(data: &[u8]) {
    if let Err(difference) = walk(data, Quirks::none(), &mut |_| ()) {
        panic!("{difference}")
    }
}

/// Walks, visiting both readings after every action; returns how many actions changed the state.
///
/// # Errors
/// The first difference, and a line that replays it.
pub fn walk(data: &[u8], quirks: Quirks, visit: &mut dyn FnMut(&Pair)) -> Result<usize, String> {
    let Some((&scope, choices)) = data.split_first() else { return Ok(0) };
    let (protocol, start) = &SCOPES[usize::from(scope) % SCOPES.len()];
    let mut pair = start.clone();
    pair.ensemble = pair.ensemble.with_quirks(quirks);
    let mut actions = Vec::new();
    let mut moved = 0;
    for choice in choices.as_chunks::<2>().0.iter().take(MOST_ACTIONS) {
        let action = choose(protocol, &pair, u16::from_be_bytes(*choice));
        actions.push(action);
        let (outcome, world) = protocol.step(&pair.world, action);
        let real = pair.act(action);
        moved += usize::from(outcome == Outcome::Accepted && world != pair.world);
        pair.world = world;
        let (model, reference) = pair.observe(protocol);
        let model = Seen { outcome, observation: model };
        let reference = Seen { outcome: real, observation: reference };
        visit(&pair);
        if model != reference {
            let what = differences(&model, &reference).join("; ");
            return Err(format!("{what}\nreplay: {}", replay_line(&protocol.scope.name, &actions)));
        }
    }
    Ok(moved)
}

fn choose(protocol: &Protocol, pair: &Pair, choice: u16) -> Action {
    let actions = &protocol.actions;
    let start = usize::from(choice >> 1) % actions.len();
    let moves = |action: &&Action| protocol.step(&pair.world, **action).1 != pair.world;
    let next = actions[start..].iter().chain(&actions[..start]).find(moves).filter(|_| choice & 1 == 0);
    *next.unwrap_or(&actions[start])
}

/// The command that shows the difference again.
fn replay_line(scope: &str, actions: &[Action]) -> String {
    let story = serde_json::json!({ "scope": scope, "actions": actions });
    format!("echo '{story}' | cargo lockstep replay")
}
