//! Writes every transition of a scope as one line, in the form in which the Promela twin writes its own (`claims.pml`):
//!
//! `edge KIND CUSTODIAN NODE : STATE : STATE`, the state before and after: for each node whether it is sealed, its
//! ceremony, whom it counted, its window, who holds a share for it; then who holds an old share, who acknowledged, whether
//! alerts work, whether shares are retired. Sets of custodians are masks. `model/twin/check` compares the two.
//!
//! States are read through the observation, the contract that the reference is held to as well.

use std::collections::{BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use bailee_model::protocol::{Protocol, scopes};
use bailee_spec::action::{Action, Purpose};
use bailee_spec::observation::{CeremonyState, CustodianView, Observation, ShareHeld, Window};
use bailee_spec::scope::Scope;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, name] = arguments.as_slice() else {
        eprintln!("usage: edges FILE SCOPE");
        return ExitCode::from(2);
    };
    match scope(file, name).and_then(|scope| write_edges(&scope)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn scope(file: &str, name: &str) -> Result<Scope, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let scopes = scopes::parse(&text).map_err(|error| format!("{file}: {error}"))?;
    scopes.into_iter().find(|scope| scope.name == name).ok_or_else(|| format!("{file} has no scope {name}"))
}

/// Visits every state of the scope, with a queue of its own rather than the project's explorer.
fn write_edges(scope: &Scope) -> Result<(), String> {
    let model = Protocol::new(scope, None)?;
    let start = model.canonical(&model.start());
    let mut seen = BTreeSet::from([model.pack(&start)]);
    let mut queue = VecDeque::from([start]);
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let rest = Rest::of(&model.rules.observe(&start));
    while let Some(world) = queue.pop_front() {
        let before = model.rules.observe(&world);
        if Rest::of(&before) != rest {
            return Err(format!("scope {}: something changes that the twin does not have: {before:?}", scope.name));
        }
        for &action in &model.actions {
            let next = model.canonical(&model.step(&world, action).1);
            if next == world {
                continue;
            }
            let (kind, custodian, node) = label(action)?;
            let after = model.rules.observe(&next);
            writeln!(out, "edge {kind} {custodian} {node} :{} :{}", state(&before), state(&after))
                .map_err(|error| error.to_string())?;
            if seen.insert(model.pack(&next)) {
                queue.push_back(next);
            }
        }
    }
    out.flush().map_err(|error| error.to_string())
}

/// The kind of an action by its number in `claims.pml`, its custodian and its node.
fn label(action: Action) -> Result<(u8, u8, u8), String> {
    Ok(match action {
        Action::Seal { node } => (0, 0, node),
        Action::Restart { node } => (1, 0, node),
        Action::OpenCeremony { node, purpose: Purpose::Unseal, .. } => (2, 0, node),
        Action::OpenCeremony { node, purpose: Purpose::Rekey, .. } => (3, 0, node),
        Action::Announce { node } => (4, 0, node),
        Action::RequestShare { custodian, node, .. } => (5, custodian, node),
        Action::SubmitShare { custodian, node, .. } => (6, custodian, node),
        Action::AckShare { custodian, .. } => (7, custodian, 0),
        Action::AlertSink { up: false } => (8, 0, 0),
        Action::AlertSink { up: true } => (9, 0, 0),
        Action::Advance => (10, 0, 0),
        other => return Err(format!("the twin does not have {other:?}")),
    })
}

/// A state in numbers.
fn state(seen: &Observation) -> String {
    let mut text = String::new();
    for (x, node) in seen.nodes.iter().enumerate() {
        let ceremony = match node.ceremony {
            CeremonyState::None => 0,
            CeremonyState::Unseal => 1,
            CeremonyState::Rekey => 2,
            CeremonyState::RekeyAcks => 3,
        };
        let window = match node.window {
            Window::None => 0,
            Window::Live => 1,
            Window::Dead => 2,
        };
        let ready = custodians(seen, |custodian| custodian.share == ShareHeld::For(x as u8));
        let sealed = u8::from(node.sealed);
        let counted = mask(node.counted.iter().copied());
        let _ = write!(text, " {sealed} {ceremony} {counted} {window} {ready} ");
    }
    let old = custodians(seen, |custodian| custodian.share == ShareHeld::Old);
    let acked = custodians(seen, |custodian| custodian.acked);
    let _ = write!(text, " {old} {acked} {} {}", u8::from(seen.alerts_up), u8::from(seen.store.retired_shares));
    text
}

fn custodians(seen: &Observation, of: impl Fn(&CustodianView) -> bool) -> u32 {
    mask(seen.custodians.iter().map(of))
}

fn mask(members: impl Iterator<Item = bool>) -> u32 {
    members.enumerate().map(|(i, member)| u32::from(member) << i).sum()
}

/// What the twin leaves out, since nothing in its scopes changes it.
#[derive(PartialEq)]
struct Rest(Observation);

impl Rest {
    fn of(seen: &Observation) -> Rest {
        let mut rest = seen.clone();
        rest.nodes.clear();
        rest.custodians.clear();
        rest.alerts_up = true;
        rest.store.retired_shares = false;
        Rest(rest)
    }
}
