//! A disagreement made small, told as a story, and kept as a file that replays it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use bailee_core::quirks::Quirks;
use bailee_model::command::counted;
use bailee_model::protocol::Protocol;
use bailee_model::story::{ends, happens, parties, rule};
use bailee_spec::observation::Message;
use bailee_spec::{Action, Outcome, Scope};
use serde::{Deserialize, Serialize};

use crate::guard::{Side, guarded};
use crate::pair::{Pair, Seen};
use crate::replay::differences;

/// How an action ended on one reading.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// With this outcome.
    With(Outcome),
    /// In a panic.
    Panicked,
}

impl Ended {
    /// The same in words.
    pub fn words(self) -> String {
        match self {
            Ended::With(outcome) => ends(outcome),
            Ended::Panicked => "panicked".into(),
        }
    }
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
    /// The message that was delivered, if one was.
    pub message: Option<Message>,
    /// What the model says of it.
    pub model: Ended,
    /// What the reference says of it.
    pub reference: Ended,
    /// Where the two then differ; a panic is a difference.
    pub differences: Vec<String>,
}

impl Step {
    /// The rule of `spec/alphabet.md` that says what the action does.
    pub fn rule(&self) -> String {
        rule(self.action, self.message)
    }

    /// Who does what, in words; `nodes` is the number of keystore nodes.
    pub fn words(&self, nodes: u8) -> String {
        let (from, to) = parties(self.action, self.message, nodes);
        let parties = if from == to { from } else { format!("{from} -> {to}") };
        format!("{parties}: {}", happens(self.action, self.message))
    }
}

/// Runs the actions on both readings, up to the first step after which they differ or in which one panics; both as they are
/// then, and the steps. After a panic, what the readings are then means nothing.
///
/// # Errors
/// When the reference cannot be set up.
pub fn run_both(protocol: &Protocol, quirks: Quirks, actions: &[Action]) -> Result<(Pair, Vec<Step>), String> {
    run(protocol, quirks, actions, true)
}

/// The same to the last action, whether they differ or not.
///
/// # Errors
/// When the reference cannot be set up.
pub fn run_through(protocol: &Protocol, quirks: Quirks, actions: &[Action]) -> Result<(Pair, Vec<Step>), String> {
    run(protocol, quirks, actions, false)
}

fn run(protocol: &Protocol, quirks: Quirks, actions: &[Action], stop: bool) -> Result<(Pair, Vec<Step>), String> {
    let mut pair =
        Pair::start(protocol, quirks, 0).map_err(|error| format!("the reference cannot start: {error:?}"))?;
    let mut steps = Vec::new();
    for &action in actions {
        let step = step_both(protocol, &mut pair, action);
        let differ = !step.differences.is_empty();
        steps.push(step);
        if differ && stop {
            break;
        }
    }
    Ok((pair, steps))
}

fn step_both(protocol: &Protocol, pair: &mut Pair, action: Action) -> Step {
    let message = match action {
        Action::Deliver { lane } | Action::DeliverThenCrash { lane } => pair.world.lane(lane).message.get(),
        _ => None,
    };
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
    Step { action, message, model, reference, differences }
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

/// A disagreement as a numbered story with both sides; `nodes` is the number of keystore nodes.
pub fn story(scope: &str, nodes: u8, steps: &[Step]) -> String {
    let rule = steps.last().map(Step::rule).unwrap_or_default();
    let mut out = format!("disagreement about {rule} in {scope} after {}\n", counted(steps.len() as u64, "action"));
    for (i, step) in steps.iter().enumerate() {
        let verdicts = if step.model == step.reference {
            step.model.words()
        } else {
            format!("model {}; reference {}", step.model.words(), step.reference.words())
        };
        out += &format!("{:>3}  {}: {verdicts}\n", i + 1, step.words(nodes));
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
pub fn keep(folder: &Path, scope: &str, number: usize, steps: &[Step]) -> io::Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let path = folder.join(format!("{scope}-{number}.jsonl"));
    let mut lines = vec![Line::Story { scope: scope.into() }];
    let outcome = |ended| if let Ended::With(outcome) = ended { Some(outcome) } else { None };
    lines.extend(steps.iter().map(|step| Line::Step { do_action: step.action, expect: outcome(step.model) }));
    let text: Result<Vec<String>, _> = lines.iter().map(serde_json::to_string).collect();
    std::fs::write(&path, text?.join("\n") + "\n")?;
    Ok(path)
}

/// A story to be replayed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Told {
    /// The scope.
    pub scope: String,
    /// The actions.
    pub actions: Vec<Action>,
    /// The change of the rules under which it was told.
    #[serde(default)]
    pub mutation: Option<String>,
}

/// What `cargo model explain --format json` says besides stories.
const NO_STORIES: [&str; 4] = ["verdict", "test", "planned", "argument"];

/// The stories of a replay file, or of what `cargo model explain --format json` prints.
///
/// # Errors
/// The line, and what was expected.
pub fn parse(text: &str) -> Result<Vec<Told>, String> {
    if let Ok(told) = serde_json::from_str::<Told>(text) {
        return Ok(vec![told]);
    }
    let mut stories: Vec<Told> = Vec::new();
    let mut kept = false;
    for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let at = |what: &dyn std::fmt::Display| format!("line {}: {what}", i + 1);
        let value: serde_json::Value = serde_json::from_str(line).map_err(|error| at(&error))?;
        if value.get("actions").is_some() {
            stories.push(serde_json::from_str(line).map_err(|error| at(&error))?);
            continue;
        }
        if value["message_type"].as_str().is_some_and(|kind| NO_STORIES.contains(&kind)) {
            continue;
        }
        match (serde_json::from_str(line).map_err(|error| at(&error))?, stories.last_mut()) {
            (Line::Story { scope }, None) => {
                stories.push(Told { scope, actions: Vec::new(), mutation: None });
                kept = true;
            }
            (Line::Step { do_action, .. }, Some(story)) if kept => story.actions.push(do_action),
            (Line::Story { .. }, Some(_)) => return Err(at(&"a second story")),
            (Line::Step { .. }, _) => return Err(at(&"a step before the story's first line")),
        }
    }
    Ok(stories)
}

/// Refuses a story that names somebody who is not in its scope.
///
/// # Errors
/// The step, the index, and how many there are.
pub fn check_indices(scope: &Scope, actions: &[Action]) -> Result<(), String> {
    let devices = u64::from(scope.users) * u64::from(scope.devices_per_user);
    let sizes = [
        ("device", devices, "device"),
        ("late", devices, "device"),
        ("user", scope.users.into(), "user"),
        ("node", scope.nodes.into(), "keystore node"),
        ("custodian", scope.custodians.into(), "custodian"),
    ];
    for (i, action) in actions.iter().enumerate() {
        let value = serde_json::to_value(action).map_err(|error| format!("step {}: {error}", i + 1))?;
        for (field, size, noun) in sizes {
            if let Some(index) = [&value, &value["lane"]].iter().find_map(|part| part[field].as_u64())
                && index >= size
            {
                let (number, name) = (i + 1, &scope.name);
                return Err(format!(
                    "step {number}: there is no {noun} {index}: scope {name} has {}, counted from 0 ({action:?})",
                    counted(size, noun)
                ));
            }
        }
    }
    Ok(())
}
