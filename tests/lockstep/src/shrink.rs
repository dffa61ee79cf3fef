//! A disagreement made small, told as a story, and kept as a file that replays it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use bailee_core::quirks::Quirks;
use bailee_model::protocol::Protocol;
use bailee_spec::{Action, Outcome};
use serde::{Deserialize, Serialize};

use crate::guard::{Side, guarded};
use crate::pair::{Pair, Seen};
use crate::replay::{Disagreement, differences};

/// How an action ended on one reading.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// With this outcome.
    With(Outcome),
    /// In a panic.
    Panicked,
}

impl fmt::Debug for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::With(outcome) => outcome.fmt(f),
            Ended::Panicked => f.write_str("panicked"),
        }
    }
}

/// One step on both readings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What happened.
    pub action: Action,
    /// What the model says of it.
    pub model: Ended,
    /// What the reference says of it.
    pub reference: Ended,
    /// Where the two then differ; a panic is a difference.
    pub differences: Vec<String>,
}

/// Runs the actions on both readings, up to the first step after which they differ or in which one panics; both as they are
/// then, and the steps. After a panic, what the readings are then means nothing.
///
/// # Errors
/// When the reference cannot be set up.
pub fn run_both(protocol: &Protocol, quirks: Quirks, actions: &[Action]) -> Result<(Pair, Vec<Step>), String> {
    let mut pair =
        Pair::start(protocol, quirks, 0).map_err(|error| format!("the reference cannot start: {error:?}"))?;
    let mut steps = Vec::new();
    for &action in actions {
        let step = step_both(protocol, &mut pair, action);
        let differ = !step.differences.is_empty();
        steps.push(step);
        if differ {
            break;
        }
    }
    Ok((pair, steps))
}

fn step_both(protocol: &Protocol, pair: &mut Pair, action: Action) -> Step {
    let modelled = guarded(Side::Model, || protocol.step(&pair.world, action));
    let real = guarded(Side::Reference, || pair.act(action));
    let (model, reference, differences) = match (modelled, real) {
        (Ok((outcome, world)), Ok(real)) => {
            pair.world = world;
            let differences = guarded(Side::Onlooker, || {
                let (expected, found) = pair.observe(protocol);
                differences(&Seen { outcome, observation: expected }, &Seen { outcome: real, observation: found })
            });
            (Ended::With(outcome), Ended::With(real), differences.unwrap_or_else(|panic| panic))
        }
        (Ok((outcome, _)), Err(panic)) => (Ended::With(outcome), Ended::Panicked, panic),
        (Err(panic), Ok(real)) => (Ended::Panicked, Ended::With(real), panic),
        (Err(model), Err(reference)) => (Ended::Panicked, Ended::Panicked, [model, reference].concat()),
    };
    Step { action, model, reference, differences }
}

fn disagrees(protocol: &Protocol, quirks: Quirks, actions: &[Action]) -> Option<usize> {
    let (_, steps) = run_both(protocol, quirks, actions).ok()?;
    steps.last().filter(|step| !step.differences.is_empty()).map(|_| steps.len())
}

/// Leaves actions out, one at a time, while the readings still disagree at the end: no single action of the result is idle.
pub fn shrink(protocol: &Protocol, quirks: Quirks, actions: &[Action]) -> Vec<Action> {
    let mut small = actions.to_vec();
    match disagrees(protocol, quirks, &small) {
        Some(length) => small.truncate(length),
        None => return small,
    }
    let mut at = small.len();
    while at > 0 {
        at -= 1;
        let mut without = small.clone();
        without.remove(at);
        if let Some(length) = disagrees(protocol, quirks, &without) {
            without.truncate(length);
            small = without;
            at = small.len();
        }
    }
    small
}

/// A disagreement as a numbered story with both sides.
pub fn story(scope: &str, steps: &[Step]) -> String {
    let mut out = format!("disagreement in {scope} after {} actions\n", steps.len());
    for (i, step) in steps.iter().enumerate() {
        let verdicts = if step.model == step.reference {
            format!("{:?}", step.model)
        } else {
            format!("model {:?}, reference {:?}", step.model, step.reference)
        };
        out += &format!("{:>3}  {:?}: {verdicts}\n", i + 1, step.action);
        for difference in &step.differences {
            out += &format!("     {difference}\n");
        }
    }
    out
}

/// A line of a replay file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "message_type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Line {
    /// The first: where the story begins.
    Story {
        /// The scope.
        scope: String,
    },
    /// An action, and what the model says of it.
    Step {
        /// What happens.
        do_action: Action,
        /// What it should lead to; nothing if the model panics.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expect: Option<Outcome>,
    },
}

/// Keeps the steps as a replay file.
///
/// # Errors
/// What the system said.
pub fn keep(folder: &Path, disagreement: &Disagreement, number: usize, steps: &[Step]) -> io::Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let path = folder.join(format!("{}-{number}.jsonl", disagreement.scope));
    let mut lines = vec![Line::Story { scope: disagreement.scope.clone() }];
    let outcome = |ended| if let Ended::With(outcome) = ended { Some(outcome) } else { None };
    lines.extend(steps.iter().map(|step| Line::Step { do_action: step.action, expect: outcome(step.model) }));
    let text: Result<Vec<String>, _> = lines.iter().map(serde_json::to_string).collect();
    std::fs::write(&path, text?.join("\n") + "\n")?;
    Ok(path)
}

/// The scope and the actions of a replay file, or of a story from `cargo model explain --format json`.
///
/// # Errors
/// The line, and what was expected.
pub fn parse(text: &str) -> Result<(String, Vec<Action>), String> {
    #[derive(Deserialize)]
    struct Told {
        scope: String,
        actions: Vec<Action>,
    }
    if let Ok(told) = serde_json::from_str::<Told>(text) {
        return Ok((told.scope, told.actions));
    }
    let mut scope = None;
    let mut actions = Vec::new();
    for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match (serde_json::from_str(line).map_err(|error| format!("line {}: {error}", i + 1))?, &scope) {
            (Line::Story { scope: name }, None) => scope = Some(name),
            (Line::Step { do_action, .. }, Some(_)) => actions.push(do_action),
            (Line::Story { .. }, Some(_)) => return Err(format!("line {}: a second story", i + 1)),
            (Line::Step { .. }, None) => return Err(format!("line {}: a step before the story's first line", i + 1)),
        }
    }
    scope.map(|scope| (scope, actions)).ok_or_else(|| "it has no story".to_string())
}
