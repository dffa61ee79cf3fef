//! Every transition of a scope, once, on both readings.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use bailee_core::quirks::Quirks;
use bailee_model::explorer::{Exploration, Id, Options, Watch, explore};
use bailee_model::protocol::Protocol;
use bailee_model::protocol::step::is_idle;
use bailee_spec::{Action, Outcome, Refusal};
use serde::Serialize;

use crate::pair::{Pair, Seen};

/// What a replay found.
#[derive(Debug, Default)]
pub struct Report {
    /// Distinct states.
    pub states: u64,
    /// Transitions of the model's graph.
    pub transitions: u64,
    /// Transitions executed on the reference.
    pub executed: u64,
    /// Actions that were accepted, whether they changed a state or not.
    pub accepted: u64,
    /// Refusals by a role, executed and compared.
    pub refusals: u64,
    /// Actions that the network or the actor itself had no occasion for, tried and compared.
    pub idle: u64,
    /// Save-points, one for each action that was tried: the accepted, the refused, the idle and the disagreeing.
    pub forks: u64,
    /// Refusals by name.
    pub by_refusal: BTreeMap<Refusal, u64>,
    /// Disagreements, at most the number asked for.
    pub disagreements: Vec<Disagreement>,
    /// Wall time of exploration and replay.
    pub elapsed: Duration,
}

/// Two readings that differ.
#[derive(Clone, Debug, Serialize)]
pub struct Disagreement {
    /// The scope.
    pub scope: String,
    /// The actions from the start; the last is the one after which they differ.
    pub actions: Vec<Action>,
    /// Field by field: what the model says, what the reference says.
    pub differences: Vec<String>,
}

/// The way to a state, shared between the ways that go on from it.
struct Way {
    before: Option<Arc<Way>>,
    action: Action,
}

fn actions_of(way: &Option<Arc<Way>>) -> Vec<Action> {
    let mut actions = Vec::new();
    let mut at = way.as_ref();
    while let Some(step) = at {
        actions.push(step.action);
        at = step.before.as_ref();
    }
    actions.reverse();
    actions
}

/// Where the two readings differ, as paths into the observation.
pub fn differences(model: &Seen, reference: &Seen) -> Vec<String> {
    let mut out = Vec::new();
    if model.outcome != reference.outcome {
        out.push(format!("outcome: model {:?}, reference {:?}", model.outcome, reference.outcome));
    }
    let value = |seen: &Seen| serde_json::to_value(&seen.observation).unwrap_or_default();
    compare("", &value(model), &value(reference), &mut out);
    out
}

fn compare(path: &str, model: &serde_json::Value, reference: &serde_json::Value, out: &mut Vec<String>) {
    use serde_json::Value;
    match (model, reference) {
        (Value::Object(a), Value::Object(b)) => {
            for (key, value) in a {
                compare(&format!("{path}.{key}"), value, b.get(key).unwrap_or(&Value::Null), out);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (x, y)) in a.iter().zip(b).enumerate() {
                compare(&format!("{path}[{i}]"), x, y, out);
            }
        }
        _ if model == reference => {}
        _ => out.push(format!("{}: model {model}, reference {reference}", path.trim_start_matches('.'))),
    }
}

struct Task {
    id: Id,
    pair: Pair,
    way: Option<Arc<Way>>,
}

struct Shared<'a> {
    protocol: &'a Protocol,
    graph: &'a Exploration,
    tasks: Mutex<(Vec<Task>, usize)>,
    changed: Condvar,
    found: Mutex<Vec<Disagreement>>,
    stop_after: usize,
    done: AtomicU64,
}

/// Replays every transition of a scope on `threads` threads, and stops after `stop_after` disagreements. `progress` is told
/// how many states are done.
///
/// # Errors
/// When the scope is too large to be explored, or the reference cannot be set up.
pub fn replay(
    protocol: &Protocol,
    quirks: Quirks,
    threads: usize,
    stop_after: usize,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Report, String> {
    let started = Instant::now();
    let graph =
        explore(protocol, Options::default(), &Watch::default()).map_err(|_| "too many states".to_string())?;
    let pair = Pair::start(protocol, quirks, 0).map_err(|error| format!("the reference cannot start: {error:?}"))?;
    let mut report = Report { states: graph.states() as u64, transitions: graph.transitions, ..Report::default() };
    let (model, reference) = pair.observe(protocol);
    let accepted = |observation| Seen { outcome: Outcome::Accepted, observation };
    let differ = differences(&accepted(model), &accepted(reference));
    if !differ.is_empty() {
        let scope = protocol.scope.name.clone();
        report.disagreements.push(Disagreement { scope, actions: Vec::new(), differences: differ });
        return Ok(report);
    }
    let shared = Shared {
        protocol,
        graph: &graph,
        tasks: Mutex::new((vec![Task { id: 0, pair, way: None }], 0)),
        changed: Condvar::new(),
        found: Mutex::new(Vec::new()),
        stop_after,
        done: AtomicU64::new(0),
    };
    let parts: Vec<Report> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| work(&shared, progress))).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).collect()
    });
    if parts.len() != threads {
        return Err("a worker panicked".into());
    }
    for part in parts {
        report.executed += part.executed;
        report.accepted += part.accepted;
        report.refusals += part.refusals;
        report.idle += part.idle;
        report.forks += part.forks;
        for (refusal, count) in part.by_refusal {
            *report.by_refusal.entry(refusal).or_default() += count;
        }
    }
    report.disagreements = shared.found.into_inner().unwrap_or_default();
    report.elapsed = started.elapsed();
    Ok(report)
}

fn work(shared: &Shared<'_>, progress: &(dyn Fn(u64, u64) + Sync)) -> Report {
    let mut report = Report::default();
    while let Some(task) = next_task(shared) {
        let children = expand(shared, task, &mut report);
        let done = shared.done.fetch_add(1, Ordering::Relaxed) + 1;
        progress(done, shared.graph.states() as u64);
        let Ok(mut tasks) = shared.tasks.lock() else { break };
        tasks.0.extend(children);
        tasks.1 -= 1;
        if shared.found.lock().is_ok_and(|found| found.len() >= shared.stop_after) {
            tasks.0.clear();
        }
        drop(tasks);
        shared.changed.notify_all();
    }
    report
}

/// The next task; none when nothing is left and nobody is at work.
fn next_task(shared: &Shared<'_>) -> Option<Task> {
    let mut tasks = shared.tasks.lock().ok()?;
    loop {
        if let Some(task) = tasks.0.pop() {
            tasks.1 += 1;
            return Some(task);
        }
        if tasks.1 == 0 {
            return None;
        }
        tasks = shared.changed.wait(tasks).ok()?;
    }
}

/// Tries every action in a state; returns the states that are first reached from here.
fn expand(shared: &Shared<'_>, task: Task, report: &mut Report) -> Vec<Task> {
    let protocol = shared.protocol;
    let Task { id, pair, way } = task;
    let before = protocol.rules.observe(&pair.world);
    let mut children: Vec<Task> = Vec::new();
    for &action in &protocol.actions {
        let (outcome, world) = protocol.step(&pair.world, action);
        let mut after = pair.clone();
        report.forks += 1;
        let real = after.act(action);
        let moved = world != pair.world;
        after.world = world;
        let untouched = !moved && after.ensemble.unchanged_since(&pair.ensemble);
        let agree = real == outcome
            && (untouched || {
                let (model, reference) = after.observe(protocol);
                model == reference && (moved || model == before)
            });
        if !agree {
            let (model, reference) = after.observe(protocol);
            let mut actions = actions_of(&way);
            actions.push(action);
            let model = Seen { outcome, observation: model };
            let reference = Seen { outcome: real, observation: reference };
            let differences = differences(&model, &reference);
            if let Ok(mut found) = shared.found.lock() {
                found.push(Disagreement { scope: protocol.scope.name.clone(), actions, differences });
            }
            continue;
        }
        match outcome {
            Outcome::Refused(_) if is_idle(outcome) => report.idle += 1,
            Outcome::Refused(refusal) => {
                report.refusals += 1;
                *report.by_refusal.entry(refusal).or_default() += 1;
            }
            Outcome::Accepted => report.accepted += 1,
        }
        if !moved {
            continue;
        }
        report.executed += 1;
        let key = protocol.pack(&protocol.canonical(&world));
        let Some(to) = shared.graph.find(key) else { continue };
        let first = to != id && shared.graph.parent(to) == id && !children.iter().any(|child| child.id == to);
        if first {
            let way = Some(Arc::new(Way { before: way.clone(), action }));
            children.push(Task { id: to, pair: after, way });
        }
    }
    children
}
