//! A disagreement made small, told as a story, and kept as a file that replays it.

use std::io;
use std::path::{Path, PathBuf};

use bailee_core::quirks::Quirks;
use bailee_model::protocol::Protocol;
use bailee_spec::{Action, Outcome};
use serde::{Deserialize, Serialize};

use crate::pair::{Pair, Seen};
use crate::replay::{Disagreement, differences};

/// One step on both readings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What happened.
    pub action: Action,
    /// What the model says of it.
    pub model: Outcome,
    /// What the reference says of it.
    pub reference: Outcome,
    /// Where the two then differ.
    pub differences: Vec<String>,
}

/// Runs the actions on both readings, up to the first step after which they differ; both as they are then, and the steps.
///
/// # Errors
/// When the reference cannot be set up.
pub fn run_both(protocol: &Protocol, quirks: Quirks, actions: &[Action]) -> Result<(Pair, Vec<Step>), String> {
    let mut pair =
        Pair::start(protocol, quirks, 0).map_err(|error| format!("the reference cannot start: {error:?}"))?;
    let mut steps = Vec::new();
    for &action in actions {
        let (model, world) = protocol.step(&pair.world, action);
        let reference = pair.act(action);
        pair.world = world;
        let (expected, found) = pair.observe(protocol);
        let differences = differences(
            &Seen { outcome: model, observation: expected },
            &Seen { outcome: reference, observation: found },
        );
        let differ = !differences.is_empty();
        steps.push(Step { action, model, reference, differences });
        if differ {
            break;
        }
    }
    Ok((pair, steps))
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
        /// What it should lead to.
        expect: Outcome,
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
    lines.extend(steps.iter().map(|step| Line::Step { do_action: step.action, expect: step.model }));
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
