//! `cargo lockstep …`

mod bugs;
mod mutants;
mod replay;
mod run;

use std::process::ExitCode;

use bailee_model::command::end;
use clap::{Parser, Subcommand};

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
    run: run::RunArguments,
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
    Replay(replay::ReplayArguments),
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
