//! Every transition of a scope, once, on both readings.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bailee_core::quirks::Quirks;
use bailee_model::explorer::{Exploration, Id, Key, Options, Panicked, Stopped, Watch, caught, explore};
use bailee_model::protocol::step::is_idle;
use bailee_model::protocol::{Protocol, SmallWorld};
use bailee_spec::{Action, Observation, Outcome, Refusal};
use serde::Serialize;

use crate::guard::{Before, Side, guarded};
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

impl Disagreement {
    fn new(protocol: &Protocol, actions: Vec<Action>, differences: Vec<String>) -> Self {
        Disagreement { scope: protocol.scope.name.clone(), actions, differences }
    }
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
    /// Why a worker could not go on.
    ended: Mutex<Option<String>>,
    stop_after: usize,
    done: AtomicU64,
    before: Before<'a>,
}

/// The lock, also after a thread panicked that had it: no panic leaves a list or a number half changed.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Replays every transition of a scope on `threads` threads, and stops after `stop_after` disagreements. `progress` is told
/// how many states are done. A panic of the model or of the reference is a disagreement.
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
    replay_with(protocol, quirks, threads, stop_after, progress, &|_, _| ())
}

/// [`replay`], with someone who is told before each action.
///
/// # Errors
/// As [`replay`].
pub fn replay_with(
    protocol: &Protocol,
    quirks: Quirks,
    threads: usize,
    stop_after: usize,
    progress: &(dyn Fn(u64, u64) + Sync),
    before: Before<'_>,
) -> Result<Report, String> {
    let started = Instant::now();
    let graph = match explore(protocol, Options::default(), &Watch::default()) {
        Ok(graph) => graph,
        Err(Stopped::Panicked(panicked)) => {
            let disagreements = vec![of_exploration(protocol, &panicked)];
            return Ok(Report { disagreements, elapsed: started.elapsed(), ..Report::default() });
        }
        Err(stopped) => return Err(stopped.to_string()),
    };
    let mut report = Report { states: graph.states() as u64, transitions: graph.transitions, ..Report::default() };
    let pair = match start(protocol, quirks)? {
        Ok(pair) => pair,
        Err(differences) => {
            report.disagreements.push(Disagreement::new(protocol, Vec::new(), differences));
            return Ok(report);
        }
    };
    let shared = Shared {
        protocol,
        graph: &graph,
        tasks: Mutex::new((vec![Task { id: 0, pair, way: None }], 0)),
        changed: Condvar::new(),
        found: Mutex::new(Vec::new()),
        ended: Mutex::new(None),
        stop_after,
        done: AtomicU64::new(0),
        before,
    };
    let parts: Vec<Report> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| work(&shared, progress))).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).collect()
    });
    if let Some(why) = locked(&shared.ended).take() {
        return Err(format!("a worker panicked: {why}"));
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
    report.disagreements = std::mem::take(&mut *locked(&shared.found));
    report.elapsed = started.elapsed();
    Ok(report)
}

/// The disagreement for a panic of the model while its graph was made: the way to the state, and the action that panics there.
fn of_exploration(protocol: &Protocol, panicked: &Panicked) -> Disagreement {
    let mut world = protocol.start();
    let mut actions = Vec::new();
    // Sorted, so that it is compared with a state of the graph; the way itself stays with the same actors.
    let next = |world: &SmallWorld, action| {
        let (_, next) = protocol.step(world, action);
        (next, protocol.pack(&protocol.canonical(&next)))
    };
    for &wanted in panicked.path.iter().skip(1) {
        let leads = |&action: &Action| match caught(|| next(&world, action)) {
            Ok((next, key)) if key == wanted => Some((action, next)),
            _ => None,
        };
        let Some((action, next)) = protocol.actions.iter().find_map(leads) else { break };
        actions.push(action);
        world = next;
    }
    let panics = |action: &&Action| caught(|| next(&world, **action)).is_err_and(|text| text == panicked.message);
    actions.extend(protocol.actions.iter().find(panics));
    Disagreement::new(protocol, actions, vec![format!("{} panicked: {panicked}", Side::Model)])
}

/// Both readings at the start, or where they differ there.
///
/// # Errors
/// When the reference cannot be set up.
fn start(protocol: &Protocol, quirks: Quirks) -> Result<Result<Pair, Vec<String>>, String> {
    let pair = match guarded(Side::Reference, || Pair::start(protocol, quirks, 0)) {
        Ok(pair) => pair.map_err(|error| format!("the reference cannot start: {error:?}"))?,
        Err(panic) => return Ok(Err(panic)),
    };
    let differ = guarded(Side::Onlooker, || {
        let (model, reference) = pair.observe(protocol);
        let accepted = |observation| Seen { outcome: Outcome::Accepted, observation };
        differences(&accepted(model), &accepted(reference))
    });
    let differ = differ.unwrap_or_else(|panic| panic);
    Ok(if differ.is_empty() { Ok(pair) } else { Err(differ) })
}

fn work(shared: &Shared<'_>, progress: &(dyn Fn(u64, u64) + Sync)) -> Report {
    let mut report = Report::default();
    while let Some(task) = next_task(shared) {
        let children = caught(|| {
            let children = expand(shared, task, &mut report);
            let done = shared.done.fetch_add(1, Ordering::Relaxed) + 1;
            progress(done, shared.graph.states() as u64);
            children
        });
        let mut tasks = locked(&shared.tasks);
        match children {
            Ok(children) => tasks.0.extend(children),
            Err(text) => *locked(&shared.ended) = Some(text),
        }
        tasks.1 -= 1;
        if locked(&shared.found).len() >= shared.stop_after || locked(&shared.ended).is_some() {
            tasks.0.clear();
        }
        drop(tasks);
        shared.changed.notify_all();
    }
    report
}

/// The next task; none when nothing is left and nobody is at work.
fn next_task(shared: &Shared<'_>) -> Option<Task> {
    let mut tasks = locked(&shared.tasks);
    loop {
        if let Some(task) = tasks.0.pop() {
            tasks.1 += 1;
            return Some(task);
        }
        if tasks.1 == 0 {
            return None;
        }
        tasks = shared.changed.wait(tasks).unwrap_or_else(PoisonError::into_inner);
    }
}

/// Where an action leads on both readings, which agree about it.
struct Agreed {
    outcome: Outcome,
    after: Pair,
    /// The model's next state, if it is another.
    key: Option<Key>,
}

/// Tries an action in a state, of which the model sees `before`.
///
/// # Errors
/// Where the readings differ; a panic is the one difference.
fn attempt(shared: &Shared<'_>, pair: &Pair, before: &Observation, action: Action) -> Result<Agreed, Vec<String>> {
    let protocol = shared.protocol;
    let (outcome, world, key) = guarded(Side::Model, || {
        (shared.before)(Side::Model, action);
        let (outcome, world) = protocol.step(&pair.world, action);
        let key = (world != pair.world).then(|| protocol.pack(&protocol.canonical(&world)));
        (outcome, world, key)
    })?;
    let (real, mut after) = guarded(Side::Reference, || {
        (shared.before)(Side::Reference, action);
        let mut after = pair.clone();
        (after.act(action), after)
    })?;
    after.world = world;
    let moved = key.is_some();
    let differences = guarded(Side::Onlooker, || {
        let untouched = !moved && after.ensemble.unchanged_since(&pair.ensemble);
        if real == outcome && untouched {
            return None;
        }
        let (model, reference) = after.observe(protocol);
        let agree = real == outcome && model == reference && (moved || model == *before);
        let seen = |outcome, observation| Seen { outcome, observation };
        (!agree).then(|| differences(&seen(outcome, model), &seen(real, reference)))
    })?;
    differences.map_or(Ok(Agreed { outcome, after, key }), Err)
}

/// Tries every action in a state; returns the states that are first reached from here.
fn expand(shared: &Shared<'_>, task: Task, report: &mut Report) -> Vec<Task> {
    let protocol = shared.protocol;
    let Task { id, pair, way } = task;
    let before = protocol.rules.observe(&pair.world);
    let mut children: Vec<Task> = Vec::new();
    for &action in &protocol.actions {
        report.forks += 1;
        let Agreed { outcome, after, key } = match attempt(shared, &pair, &before, action) {
            Ok(agreed) => agreed,
            Err(differences) => {
                let mut actions = actions_of(&way);
                actions.push(action);
                locked(&shared.found).push(Disagreement::new(protocol, actions, differences));
                continue;
            }
        };
        match outcome {
            Outcome::Refused(_) if is_idle(outcome) => report.idle += 1,
            Outcome::Refused(refusal) => {
                report.refusals += 1;
                *report.by_refusal.entry(refusal).or_default() += 1;
            }
            Outcome::Accepted => report.accepted += 1,
        }
        let Some(key) = key else { continue };
        report.executed += 1;
        let Some(to) = shared.graph.find(key) else { continue };
        let first = to != id && shared.graph.parent(to) == id && !children.iter().any(|child| child.id == to);
        if first {
            let way = Some(Arc::new(Way { before: way.clone(), action }));
            children.push(Task { id: to, pair: after, way });
        }
    }
    children
}
