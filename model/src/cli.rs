//! `cargo model …`

mod bench;
mod check;
mod evidence;
mod explain;
mod list;
mod mutants;

use std::path::PathBuf;
use std::process::ExitCode;

use bailee_model::check::serve;
use bailee_model::command::{Failure, VIOLATION, end, line};
use bailee_model::scope_file::select;
use bailee_model::{coverage, machines};
use bailee_spec::Scope;
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Checks the bounded symbolic model of the protocol. Exhaustive within each scope; not a cryptographic proof.
///
/// Exit codes: 0 as expected, 1 failure, 2 wrong usage, 4 nothing ran, 100 a violation or an unexpected verdict.
#[derive(Parser)]
#[command(name = "cargo model", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Engine {
    /// The project's own explorer.
    Bailee,
    /// stateright, breadth first and depth first.
    Stateright,
}

#[derive(Subcommand)]
enum Command {
    /// Check scopes: every reachable state, every action in each.
    Check(CheckArguments),
    /// Switch every protocol bug on in turn; each must be caught by its property.
    Mutants {
        /// Leave this property out: the run must then fail.
        #[arg(long)]
        without: Option<String>,
        /// JSON lines.
        #[arg(long)]
        json: bool,
    },
    /// Time the explorer beside stateright on the same model: medians, as ratios.
    Bench(BenchArguments),
    /// Print which pairs of parts meet in which scope, and which meet in none and why.
    Coverage {
        /// JSON lines.
        #[arg(long)]
        json: bool,
    },
    /// Draw each role's state machine from the model, as Mermaid.
    Graph {
        /// In this scope.
        #[arg(long)]
        scope: String,
    },
    /// Open stateright's Explorer on a scope, on loopback.
    Explore {
        /// The scope.
        #[arg(long)]
        scope: String,
        /// The port on 127.0.0.1.
        #[arg(long, default_value_t = 3000)]
        port: u16,
    },
    /// Say what a claim or a property rests on: the shortest counterexample or witness, the verdict, or the tests.
    Explain(explain::ExplainArguments),
    /// List what there is, with a sentence each.
    List {
        /// What.
        #[arg(value_enum)]
        what: list::What,
        /// JSON lines.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args)]
struct CheckArguments {
    /// Only this scope.
    #[arg(long)]
    scope: Option<String>,
    /// Scopes of your own, all of them unless --scope names one (spec/scopes.md).
    #[arg(long)]
    scope_file: Option<PathBuf>,
    /// Which engine.
    #[arg(long, value_enum, default_value = "bailee")]
    engine: Engine,
    /// Leave this property out: the run must then fail (shows that the door can).
    #[arg(long)]
    without: Option<String>,
    /// Threads. A scope whose properties need the transitions is explored by one.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// JSON lines.
    #[arg(long)]
    json: bool,
    /// Also write a JUnit report.
    #[arg(long)]
    junit: Option<PathBuf>,
}

#[derive(Args)]
struct BenchArguments {
    /// On these scopes.
    #[arg(long, default_values = ["late", "recovery", "disaster"])]
    scope: Vec<String>,
    /// Scopes of your own (spec/scopes.md).
    #[arg(long)]
    scope_file: Option<PathBuf>,
    /// Repetitions of each engine.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    repetitions: u16,
    /// Also beside SPIN's breadth-first search, on the large scope of model/twin (needs spin and gcc).
    #[arg(long)]
    spin: bool,
    /// JSON lines.
    #[arg(long)]
    json: bool,
}

/// Runs the command line.
pub(crate) fn run() -> ExitCode {
    end(match Arguments::parse().command {
        Command::Check(arguments) => run_check(arguments),
        Command::Mutants { without, json } => mutants::run_mutants(without.as_deref(), json),
        Command::Bench(arguments) => run_bench(&arguments),
        Command::Coverage { json } => run_coverage(json),
        Command::Graph { scope } => the_scope(&scope).and_then(|scope| {
            machines::machines(&scope)?.iter().for_each(|machine| line(machines::mermaid(machine)));
            Ok(0)
        }),
        Command::Explore { scope, port } => the_scope(&scope).and_then(|scope| {
            eprintln!("the Explorer of scope {} is at http://127.0.0.1:{port} until you interrupt it", scope.name);
            serve(&scope, port)?;
            Ok(0)
        }),
        Command::Explain(arguments) => explain::run_explain(&arguments),
        Command::List { what, json } => list::run_list(what, json),
    })
}

fn run_coverage(json: bool) -> Result<u8, Failure> {
    let (lines, whole) = coverage::lines(json)?;
    lines.into_iter().for_each(line);
    Ok(if whole { 0 } else { VIOLATION })
}

fn run_check(arguments: CheckArguments) -> Result<u8, Failure> {
    let selection = select(arguments.scope_file.as_deref(), arguments.scope.as_deref())?;
    let CheckArguments { engine, without, threads, json, junit, .. } = arguments;
    match engine {
        Engine::Bailee => check::run_check(&selection, &check::Options { without, threads, json, junit }),
        Engine::Stateright if without.is_some() => {
            Err(Failure::Usage("--without is for the project's own explorer".into()))
        }
        Engine::Stateright => check::run_second(&selection, json, junit.as_ref()),
    }
}

fn run_bench(arguments: &BenchArguments) -> Result<u8, Failure> {
    let BenchArguments { scope, scope_file, repetitions, spin, json } = arguments;
    let repetitions = usize::from(*repetitions);
    let code = bench::run_bench(scope, scope_file.as_deref(), repetitions, *json)?;
    if *spin {
        bench::bench_spin(repetitions, *json)?;
    }
    Ok(code)
}

fn the_scope(name: &str) -> Result<Scope, Failure> {
    let unknown = || Failure::Usage(format!("there is no scope {name}"));
    select(None, Some(name))?.chosen.pop().ok_or_else(unknown)
}
