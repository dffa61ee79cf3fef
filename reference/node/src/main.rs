//! `bailee`: the reference as a program.

mod demo;
mod exit;
mod local;
mod narrator;
mod random;
mod usage;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use demo::{Demo, Ending};
use exit::Exit;
use narrator::Narrator;

/// Backups that only you can read, and the reference implementation of the Bailee key-escrow protocol.
#[derive(Parser)]
#[command(name = "bailee", version, after_help = exit::TABLE)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[command(flatten)]
    Local(local::Command),
    /// Run the whole protocol over a folder, every role in this one process.
    ///
    /// The folder is only read. Enrols a device, backs the folder up, restarts the keystore sealed, unseals it with three of
    /// five custodians, replaces the device, restores twice and compares byte for byte, and deauthorizes the device.
    Demo {
        /// The folder to back up.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
        /// Keep archive and restored folders here, in a folder that does not exist yet.
        #[arg(long, value_name = "NEW_DIR")]
        keep: Option<PathBuf>,
        /// Make every random choice of the protocol from this number: its keys are then no secret. For replaying a run. The
        /// archive is written with the system's randomness all the same.
        #[arg(long)]
        seed: Option<u64>,
        /// JSON lines instead of the narration.
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    let exit = match Arguments::try_parse() {
        Ok(arguments) => run(arguments.command),
        Err(error) => usage::refuse(&error, std::env::args_os()),
    };
    exit.into()
}

fn run(command: Command) -> Exit {
    match command {
        Command::Local(command) => local::run(&command),
        Command::Demo { folder, keep, seed, json } => run_demo(&Demo { folder, keep, seed }, json),
    }
}

fn run_demo(demo: &Demo, json: bool) -> Exit {
    let mut narrator = Narrator::new(json);
    match demo::run(demo, &mut narrator) {
        Ok(Ending::Whole) => Exit::Ok,
        Ok(Ending::Partial) => Exit::Partial,
        Ok(Ending::Different) => Exit::Failure,
        Err(error) => {
            narrator.error(&error.to_string());
            if error.is_usage() { Exit::Usage } else { Exit::Failure }
        }
    }
}
