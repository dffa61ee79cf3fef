//! `cargo lockstep`: every transition of the scopes, on both readings.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bailee_core::quirks::Quirks;
use bailee_lockstep::claims::{self, Coverage};
use bailee_lockstep::replay::{Report, replay};
use bailee_lockstep::shrink::{Step, keep, run_both, shrink, story};
use bailee_model::check::{self, How, check};
use bailee_model::command::{Failure, NOTHING, VIOLATION, counted, line, quoted};
use bailee_model::junit::{self, Case, Suite};
use bailee_model::protocol::Protocol;
use bailee_model::scope_file::{Selection, select};
use bailee_spec::{Action, Scope};
use clap::Args;
use serde_json::{Value, json};

use super::bugs::quirks_of;

/// What to run, and how.
#[derive(Args)]
pub(super) struct RunArguments {
    /// Only this scope.
    #[arg(long)]
    scope: Option<String>,
    /// Scopes of your own, all of them unless --scope names one (spec/scopes.md).
    #[arg(long)]
    scope_file: Option<PathBuf>,
    /// Leave the larger scopes out: for every change.
    #[arg(long)]
    quick: bool,
    /// Switch this bug of the reference on: the run must then fail (shows that it can).
    #[arg(long, value_name = "BUG")]
    with: Option<String>,
    /// Threads.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    threads: u16,
    /// JSON lines: each disagreement, and the summary last.
    #[arg(long)]
    json: bool,
    /// Also write a JUnit report.
    #[arg(long)]
    junit: Option<PathBuf>,
}

/// Scopes above this many transitions are left to the full run.
const QUICK_TRANSITIONS: u64 = 150_000;
/// After this many disagreements a scope is left.
const DISAGREEMENTS: usize = 3;

/// Tells how far a replay is: often on a terminal, every ten seconds elsewhere.
struct Progress {
    started: Instant,
    next: AtomicU64,
    scope: String,
}

impl Progress {
    fn new(scope: &str) -> Self {
        Progress { started: Instant::now(), next: AtomicU64::new(2), scope: scope.into() }
    }

    fn tell(&self, done: u64, of: u64) {
        let seconds = self.started.elapsed().as_secs();
        let next = self.next.load(Ordering::Relaxed);
        let step = if std::io::stderr().is_terminal() { 2 } else { 10 };
        let mine = seconds >= next
            && self.next.compare_exchange(next, seconds + step, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if mine {
            eprintln!("{}: {done} of {of} states, {seconds} s", self.scope);
        }
    }
}

/// The scopes of a run, and those that it leaves out, with the reason.
struct Chosen {
    scopes: Vec<Scope>,
    for_the_model: Vec<String>,
    too_large: Vec<String>,
}

fn chosen(arguments: &RunArguments) -> Result<Chosen, Failure> {
    let Selection { chosen, left_out } = select(arguments.scope_file.as_deref(), arguments.scope.as_deref())?;
    let named = arguments.scope.is_some();
    if let Some(scope) = chosen.iter().find(|scope| named && !scope.lockstep) {
        return Err(Failure::Usage(format!(
            "scope {} is for the model alone: cargo model check --scope {0}",
            scope.name
        )));
    }
    let large = |scope: &Scope| scope.expected.is_some_and(|expected| expected.transitions > QUICK_TRANSITIONS);
    // Lockstep decides for itself which of the committed scopes it runs: those that are not for the model alone.
    let (lockstep, others): (Vec<Scope>, Vec<Scope>) =
        chosen.into_iter().chain(left_out).partition(|scope| scope.lockstep);
    let (too_large, scopes): (Vec<Scope>, Vec<Scope>) =
        lockstep.into_iter().partition(|scope| arguments.quick && !named && large(scope));
    let names = |scopes: Vec<Scope>| scopes.into_iter().map(|scope| scope.name).collect();
    Ok(Chosen { scopes, for_the_model: names(others), too_large: names(too_large) })
}

/// What one scope gave.
struct Scene {
    scope: Scope,
    report: Report,
    /// None where the scope names no property.
    checked: Option<check::Report>,
    disagreements: Vec<Told>,
}

/// A disagreement, made small.
struct Told {
    steps: Vec<Step>,
    text: String,
    replay: String,
}

impl Scene {
    fn passed(&self) -> bool {
        let whole = self.report.executed == self.report.transitions && self.report.disagreements.is_empty();
        whole && self.checked.as_ref().is_none_or(check::Report::passed)
    }

    fn suite(&self) -> Suite {
        let Report { executed, transitions, elapsed, .. } = self.report;
        let failure = (executed != transitions || !self.report.disagreements.is_empty()).then(|| {
            let stories: String = self.disagreements.iter().map(|told| format!("\n{}", told.text)).collect();
            format!("{executed} of {} executed{stories}", counted(transitions, "transition"))
        });
        let mut cases = vec![Case { name: "lockstep".into(), time: elapsed, failure }];
        cases.extend(self.checked.iter().flat_map(junit::cases));
        Suite { name: self.scope.name.clone(), cases }
    }
}

/// Replays every chosen scope.
pub(super) fn run_all(arguments: &RunArguments) -> Result<u8, Failure> {
    let quirks = quirks_of(arguments.with.as_deref())?;
    let chosen = chosen(arguments)?;
    if chosen.scopes.is_empty() {
        eprintln!("no scope was chosen, so nothing ran");
        return Ok(NOTHING);
    }
    eprintln!("real cryptography; passwords are hashed at test cost; sorted scopes: one representative an orbit");
    let mut scenes = Vec::new();
    for scope in &chosen.scopes {
        let scene = play(scope, quirks, arguments)?;
        tell_scene(&scene, arguments.json);
        scenes.push(scene);
    }
    let committed = arguments.scope_file.is_none() && arguments.with.is_none();
    let coverage = if committed { Some(coverage(&scenes)?) } else { None };
    if arguments.json {
        let rows: Vec<Value> = scenes.iter().map(row).collect();
        let left_out = json!({"for_the_model": chosen.for_the_model, "too_large": chosen.too_large});
        line(json!({"message_type": "summary", "scopes": rows, "claims": coverage, "left_out": left_out}));
    } else {
        tell_sums(&scenes, coverage, &chosen);
    }
    if let Some(path) = &arguments.junit {
        let suites: Vec<Suite> = scenes.iter().map(Scene::suite).collect();
        std::fs::write(path, junit::report(&suites)).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(if scenes.iter().all(Scene::passed) { 0 } else { VIOLATION })
}

fn play(scope: &Scope, quirks: Quirks, arguments: &RunArguments) -> Result<Scene, Failure> {
    let protocol = Protocol::new(scope, None)?;
    let progress = Progress::new(&scope.name);
    let threads = usize::from(arguments.threads);
    let report = replay(&protocol, quirks, threads, DISAGREEMENTS, &|done, of| progress.tell(done, of))?;
    let checked = match scope.properties.is_empty() {
        true => None,
        false => Some(check(scope, How { strict: true, ..How::default() })?),
    };
    let mut disagreements: Vec<Told> = Vec::new();
    for found in &report.disagreements {
        let small = shrink(&protocol, quirks, &found.actions);
        let steps = run_both(&protocol, quirks, &small).map(|(_, steps)| steps)?;
        if disagreements.iter().all(|told| told.steps != steps) {
            let number = disagreements.len() + 1;
            disagreements.push(told(scope, number, steps, arguments));
        }
    }
    Ok(Scene { scope: scope.clone(), report, checked, disagreements })
}

/// Tells a disagreement, keeps it as a file, and says how to replay it.
fn told(scope: &Scope, number: usize, steps: Vec<Step>, arguments: &RunArguments) -> Told {
    let mut options = arguments.with.as_ref().map_or(String::new(), |bug| format!(" --with {bug}"));
    if let Some(path) = &arguments.scope_file {
        options += &format!(" --scope-file {}", quoted(path));
    }
    let replay = match keep(Path::new("target/lockstep"), &scope.name, number, &steps) {
        Ok(path) => format!("cargo lockstep replay {}{options}", path.display()),
        Err(error) => {
            eprintln!("the disagreement could not be kept: {error}");
            let actions: Vec<Action> = steps.iter().map(|step| step.action).collect();
            let story = json!({"scope": scope.name, "actions": actions});
            format!("echo '{story}' | cargo lockstep replay{options}")
        }
    };
    Told { text: story(&scope.name, scope.nodes, &steps), steps, replay }
}

fn tell_scene(scene: &Scene, as_json: bool) {
    let Scene { scope, report, checked, disagreements } = scene;
    if !as_json {
        line(format_args!(
            "{:<17} {:>7} states {:>8} transitions {:>8} executed {:>7} refusals {} disagreements {:>6.1} s",
            scope.name,
            report.states,
            report.transitions,
            report.executed,
            report.refusals,
            report.disagreements.len(),
            report.elapsed.as_secs_f64()
        ));
    }
    for told in disagreements {
        if as_json {
            line(disagreement(scope, told));
        } else {
            line(format_args!("{}replay: {}", told.text, told.replay));
        }
    }
    for why in checked.iter().flat_map(|report| &report.refused) {
        eprintln!("{}: refused: {why}", scope.name);
    }
    for v in checked.iter().flat_map(|report| &report.verdicts).filter(|v| !v.is_expected()) {
        eprintln!("{}: {} is {} where {} was expected", scope.name, v.id, v.verdict, v.expected);
    }
}

fn disagreement(scope: &Scope, told: &Told) -> Value {
    let last = told.steps.last();
    let actions: Vec<Action> = told.steps.iter().map(|step| step.action).collect();
    json!({"message_type": "disagreement", "scope": scope.name, "rule": last.map(Step::rule), "actions": actions,
        "model": last.map(|step| step.model.words()), "reference": last.map(|step| step.reference.words()),
        "differences": last.map(|step| &step.differences), "replay": told.replay})
}

fn row(scene: &Scene) -> Value {
    let Scene { scope, report, .. } = scene;
    json!({"scope": scope.name, "profile": "classic", "states": report.states, "transitions": report.transitions,
        "executed": report.executed, "tried": report.forks, "accepted": report.accepted, "refusals": report.refusals,
        "refusal_kinds": report.by_refusal.len(), "idle": report.idle,
        "disagreements": report.disagreements.len(), "forks": report.forks,
        "seconds": report.elapsed.as_secs_f64()})
}

fn coverage(scenes: &[Scene]) -> Result<Coverage, Failure> {
    let all = claims::parse(bailee_spec::CLAIMS)?;
    let reports: Vec<&check::Report> = scenes.iter().filter_map(|scene| scene.checked.as_ref()).collect();
    Ok(claims::coverage(&all, &reports, &claims::changed_by_mutations()?))
}

/// The sums of the lines above: each is the sum of what follows it.
fn tell_sums(scenes: &[Scene], coverage: Option<Coverage>, chosen: &Chosen) {
    let sum = |of: fn(&Report) -> u64| scenes.iter().map(|scene| of(&scene.report)).sum::<u64>();
    let found = sum(|report| report.disagreements.len() as u64);
    line(format_args!(
        "{}: {}, {} of {} executed, each compared with the model; {}",
        counted(scenes.len() as u64, "scope"),
        counted(sum(|report| report.states), "state"),
        sum(|report| report.executed),
        counted(sum(|report| report.transitions), "transition"),
        counted(found, "disagreement"),
    ));
    line(format_args!(
        "{} tried: {} accepted, {} refused by a role, {} without occasion, {found} in disagreement",
        counted(sum(|report| report.forks), "action"),
        sum(|report| report.accepted),
        sum(|report| report.refusals),
        sum(|report| report.idle),
    ));
    if let Some(Coverage { total, covered, tested, argued, planned, not_shown }) = coverage {
        line(format_args!(
            "{}: {covered} as expected in this run and each hangs on a mutation, {tested} rest on tests, {argued} on \
             arguments, {planned} planned, {not_shown} not shown by this run",
            counted(total as u64, "claim"),
        ));
    }
    if !chosen.for_the_model.is_empty() {
        line(format_args!("left out, for the model alone: {}", chosen.for_the_model.join(", ")));
    }
    if !chosen.too_large.is_empty() {
        let names = chosen.too_large.join(", ");
        line(format_args!("left out by --quick, more than {QUICK_TRANSITIONS} transitions each: {names}"));
    }
}
