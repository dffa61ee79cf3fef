//! `bailee`: the reference as a program.

mod demo;
mod narrator;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use demo::{Demo, Ending};
use narrator::Narrator;

/// Everything is as it should be.
const OK: u8 = 0;
/// Something failed; the message says what.
const FAILURE: u8 = 1;
/// The command was used wrongly.
const USAGE: u8 = 2;
/// The backup is whole but for what could not be read.
const PARTIAL: u8 = 3;

/// The reference implementation of the Bailee key-escrow protocol.
#[derive(Parser)]
#[command(name = "bailee", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
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
        /// Make every random choice from this number: the keys are then no secret. For replaying a run.
        #[arg(long)]
        seed: Option<u64>,
        /// JSON lines instead of the narration.
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    let Command::Demo { folder, keep, seed, json } = Arguments::parse().command;
    let mut narrator = Narrator::new(json);
    match demo::run(&Demo { folder, keep, seed }, &mut narrator) {
        Ok(Ending::Whole) => ExitCode::from(OK),
        Ok(Ending::Partial) => ExitCode::from(PARTIAL),
        Ok(Ending::Different) => ExitCode::from(FAILURE),
        Err(error) => {
            narrator.error(&error.to_string());
            ExitCode::from(if error.is_usage() { USAGE } else { FAILURE })
        }
    }
}
