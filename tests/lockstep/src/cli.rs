//! `cargo lockstep …`

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bailee_core::quirks::{Quirk, Quirks};
use bailee_lockstep::claims;
use bailee_lockstep::locksmith::Loot;
use bailee_lockstep::replay::{Disagreement, Report, replay};
use bailee_lockstep::shrink::{keep, parse, run_both, shrink, story};
use bailee_model::check::{How, check};
use bailee_model::protocol::{Mutation, Protocol, scopes};
use bailee_spec::Scope;
use bailee_spec::scope::Part;
use clap::{Parser, Subcommand};
use serde_json::{Value, json};

const VIOLATION: u8 = 100;
const NOTHING: u8 = 4;
/// Scopes above this many transitions are left to the full run.
const QUICK_TRANSITIONS: u64 = 300_000;

/// Holds the reference to the model, one transition at a time.
///
/// Every transition of every lockstep scope is executed on the reference with real cryptography; passwords are hashed at
/// test cost.
#[derive(Parser)]
#[command(name = "cargo lockstep", version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Only this scope.
    #[arg(long)]
    scope: Option<String>,
    /// Only the smaller scopes, and no mutations: for every change.
    #[arg(long)]
    quick: bool,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// JSON lines; the last is the summary.
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Switch every bug of the reference on in turn; lockstep must see each.
    Mutants {
        /// JSON lines.
        #[arg(long)]
        json: bool,
    },
    /// Run the actions of a story on both readings: a replay file, or what `cargo model explain --format json` prints.
    Replay {
        /// The file; standard input without one.
        file: Option<PathBuf>,
        /// Write what the adversary of the story holds in the end into this new folder, for `cargo locksmith`.
        #[arg(long)]
        loot: Option<PathBuf>,
    },
}

/// Runs the command line.
pub(crate) fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        None => run_all(&arguments),
        Some(Command::Mutants { json }) => run_mutants(json, arguments.threads),
        Some(Command::Replay { file, loot }) => run_replay(file.as_deref(), loot.as_deref()),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::from(1)
        }
    }
}

fn line(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

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

fn chosen(arguments: &Arguments) -> Result<Vec<Scope>, String> {
    let all: Vec<Scope> = scopes::committed().into_iter().filter(|scope| scope.lockstep).collect();
    let small = |scope: &Scope| scope.expected.is_some_and(|e| e.transitions <= QUICK_TRANSITIONS);
    match &arguments.scope {
        Some(name) => {
            let found: Vec<Scope> = all.into_iter().filter(|scope| scope.name == *name).collect();
            if found.is_empty() { Err(format!("there is no lockstep scope {name}")) } else { Ok(found) }
        }
        None => Ok(all.into_iter().filter(|scope| !arguments.quick || small(scope)).collect()),
    }
}

fn run_all(arguments: &Arguments) -> Result<u8, String> {
    let scopes = chosen(arguments)?;
    if scopes.is_empty() {
        return Ok(NOTHING);
    }
    eprintln!("real cryptography; passwords are hashed at test cost; sorted scopes: one representative an orbit");
    let mut rows = Vec::new();
    let mut model_reports = Vec::new();
    let (mut passed, mut total) = (true, 0);
    for scope in &scopes {
        let protocol = Protocol::new(scope, None)?;
        let progress = Progress::new(&scope.name);
        let report = replay(&protocol, Quirks::none(), arguments.threads, 3, &|done, of| progress.tell(done, of))?;
        let checked = check(scope, How { strict: true, ..How::default() })?;
        let whole = report.executed == report.transitions && report.disagreements.is_empty();
        passed &= whole && checked.passed();
        total += report.executed;
        if !arguments.json {
            print_scope(scope, &report);
        }
        for (number, disagreement) in (1..).zip(&report.disagreements) {
            tell_disagreement(&protocol, number, disagreement);
        }
        checked.refused.iter().for_each(|why| eprintln!("{}: refused: {why}", scope.name));
        rows.push(row(scope, &report));
        model_reports.push(checked);
    }
    let all = claims::parse(bailee_spec::CLAIMS)?;
    let claims = claims::coverage(&all, &model_reports, &claims::changed_by_mutations()?);
    if arguments.json {
        line(json!({"message_type": "summary", "scopes": rows, "claims": claims}));
    } else {
        line(format_args!("{total} transitions executed, each compared with the model"));
        line(format_args!(
            "claims: of {}, {} are as expected in this run and each hangs on a mutation; {} rest on tests, {} are planned",
            claims.total, claims.covered, claims.tested, claims.planned
        ));
    }
    Ok(if passed { 0 } else { VIOLATION })
}

fn print_scope(scope: &Scope, report: &Report) {
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

fn row(scope: &Scope, report: &Report) -> Value {
    json!({"scope": scope.name, "profile": "classic", "states": report.states, "transitions": report.transitions,
        "executed": report.executed, "refusals": report.refusals, "refusal_kinds": report.by_refusal.len(),
        "idle": report.idle, "disagreements": report.disagreements.len(), "forks": report.forks,
        "seconds": report.elapsed.as_secs_f64()})
}

/// Shrinks a disagreement, tells it, keeps it, and says how to replay it.
fn tell_disagreement(protocol: &Protocol, number: usize, d: &Disagreement) {
    let small = shrink(protocol, Quirks::none(), &d.actions);
    let steps = run_both(protocol, Quirks::none(), &small).map(|(_, steps)| steps).unwrap_or_default();
    eprint!("{}", story(&d.scope, &steps));
    match keep(Path::new("target/lockstep"), d, number, &steps) {
        Ok(path) => eprintln!("replay: cargo lockstep replay {}", path.display()),
        Err(error) => {
            let told = json!({"scope": d.scope, "actions": small});
            eprintln!("it could not be kept ({error}); replay: echo '{told}' | cargo lockstep replay");
        }
    }
}

fn run_mutants(json: bool, threads: usize) -> Result<u8, String> {
    let scopes = scopes::committed();
    let mut caught = 0;
    for &quirk in Quirk::ALL {
        let home = Mutation::ALL.iter().find(|mutation| mutation.id() == quirk.id()).map(|m| m.scope());
        let home = home.ok_or_else(|| format!("{}: no mutation of the model says where it lives", quirk.id()))?;
        let scope =
            scopes.iter().find(|scope| scope.name == home).ok_or_else(|| format!("there is no scope {home}"))?;
        let protocol = Protocol::new(scope, None)?;
        let report = replay(&protocol, Quirks::only(quirk), threads, 1, &|_, _| ())?;
        let found = report.disagreements.first();
        caught += usize::from(found.is_some());
        let seconds = report.elapsed.as_secs_f64();
        let actions = found.map(|d| d.actions.len());
        if json {
            line(json!({"message_type": "mutant", "mutation": quirk.id(), "scope": home, "caught": found.is_some(),
                "actions": actions, "differences": found.map(|d| &d.differences), "seconds": seconds}));
        } else {
            let word = if found.is_some() { "caught" } else { "MISSED" };
            let difference = found.and_then(|d| d.differences.first()).map_or("", String::as_str);
            line(format_args!("{word} {:<24} {home:<16} {seconds:>5.1} s  {difference}", quirk.id()));
        }
    }
    let total = Quirk::ALL.len();
    if json {
        line(json!({"message_type": "summary", "total": total, "caught": caught}));
    } else {
        line(format_args!("{caught} of {total} mutations of the reference seen"));
    }
    Ok(if caught == total { 0 } else { VIOLATION })
}

fn run_replay(file: Option<&Path>, folder: Option<&Path>) -> Result<u8, String> {
    let text = match file {
        Some(path) => std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?,
        None => std::io::read_to_string(std::io::stdin()).map_err(|error| format!("standard input: {error}"))?,
    };
    let (name, actions) = parse(&text).map_err(|error| format!("the story: {error}"))?;
    let scope = scopes::committed().into_iter().find(|scope| scope.name == name);
    let protocol = Protocol::new(&scope.ok_or_else(|| format!("there is no scope {name}"))?, None)?;
    let started = Instant::now();
    let (pair, steps) = run_both(&protocol, Quirks::none(), &actions)?;
    for (i, step) in steps.iter().enumerate() {
        let word = if step.differences.is_empty() { "agree" } else { "DIFFER" };
        line(format_args!("{:>3}  {word}  {:?}: {:?}", i + 1, step.action, step.model));
        step.differences.iter().for_each(|difference| line(format_args!("     {difference}")));
    }
    if steps.last().is_some_and(|step| !step.differences.is_empty()) {
        return Ok(VIOLATION);
    }
    let elapsed: Duration = started.elapsed();
    line(format_args!("both readings agree after each of {} steps ({:.3} s)", actions.len(), elapsed.as_secs_f64()));
    // Where nobody steals anything, the adversary is who sits at the vendor's restorer.
    let steals = protocol.scope.parts.contains(&Part::Adversary);
    let loot = if steals { pair.loot } else { Loot::at_the_restorer(&pair.ensemble) };
    let bytes = loot.bytes(protocol.scope.users);
    for opened in bytes.open_all() {
        let (tenant, user) = &opened.owner;
        line(format_args!("the locksmith opened a sealed {} of {tenant}/{user}, with {}", opened.what, opened.with));
    }
    if let Some(folder) = folder {
        if folder.exists() {
            return Err(format!("{}: it exists; name a new folder", folder.display()));
        }
        bytes.write(folder)?;
        line(format_args!("what the adversary holds is in {0}: cargo locksmith {0}", folder.display()));
    }
    Ok(0)
}
