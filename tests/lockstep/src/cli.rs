//! `cargo lockstep …`

mod mutants;
mod replay;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use bailee_core::quirks::{Quirk, Quirks};
use bailee_model::command::{Failure, end};
use clap::{Args, Parser, Subcommand};

/// Holds the reference to the model, one transition at a time.
///
/// Every transition of every lockstep scope is executed on the reference with real cryptography; passwords are hashed at
/// test cost. Exit codes: 0 as expected, 1 failure, 2 wrong usage, 4 nothing ran, 100 a disagreement or an unexpected
/// verdict.
#[derive(Parser)]
#[command(name = "cargo lockstep", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArguments,
}

#[derive(Args)]
struct RunArguments {
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

#[derive(Subcommand)]
enum Command {
    /// Switch every bug of the reference on in turn; lockstep must see each.
    Mutants {
        /// Threads.
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
        threads: u16,
        /// JSON lines.
        #[arg(long)]
        json: bool,
    },
    /// Run stories on both readings: a kept disagreement, or what `cargo model explain --format json` prints.
    Replay(ReplayArguments),
}

#[derive(Args)]
struct ReplayArguments {
    /// The file; standard input without one.
    file: Option<PathBuf>,
    /// Where the scopes of the story are, if they are your own (spec/scopes.md).
    #[arg(long)]
    scope_file: Option<PathBuf>,
    /// Switch this bug on in the reference alone.
    #[arg(long, value_name = "BUG")]
    with: Option<String>,
    /// Write what the adversary of the story holds in the end into this new folder, for `cargo locksmith`.
    #[arg(long)]
    loot: Option<PathBuf>,
}

/// Runs the command line.
pub(crate) fn run() -> ExitCode {
    let Arguments { command, run } = Arguments::parse();
    end(match command {
        None => run::run_all(&run),
        Some(Command::Mutants { threads, json }) => mutants::run_mutants(json, threads.into()),
        Some(Command::Replay(arguments)) => replay::run_replay(&arguments),
    })
}

/// The reference with the bug of an id, or without any.
fn quirks_of(id: Option<&str>) -> Result<Quirks, Failure> {
    let Some(id) = id else { return Ok(Quirks::none()) };
    let known = || Quirk::ALL.iter().map(|quirk| quirk.id()).collect::<Vec<_>>().join(", ");
    let unknown = || Failure::Usage(format!("the reference has no bug {id} to switch on; it has: {}", known()));
    quirk(id).map(Quirks::only).ok_or_else(unknown)
}

fn quirk(id: &str) -> Option<Quirk> {
    Quirk::ALL.iter().copied().find(|quirk| quirk.id() == id)
}
