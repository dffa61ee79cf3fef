//! `bailee-locksmith FOLDER`: is given what an adversary holds, as files, and says what comes open.
//!
//! `cargo lockstep replay --loot FOLDER` writes such a folder. No key is printed: that a sealed thing opened is enough.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use bailee_lockstep::locksmith::Bytes;
use bailee_model::command::{Failure, NOTHING, end};
use clap::Parser;

/// Tries every key that it can reach on every sealed thing that it was given.
#[derive(Parser)]
#[command(name = "bailee-locksmith", version)]
struct Arguments {
    /// What the adversary holds: memories, disks, shares, a snapshot.
    folder: PathBuf,
}

fn main() -> ExitCode {
    end(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let bytes = Bytes::read(&arguments.folder).map_err(Failure::Usage)?;
    let opened = bytes.open_all();
    let mut out = std::io::stdout().lock();
    for thing in &opened {
        let (tenant, user) = &thing.owner;
        let _ = writeln!(out, "opened: a sealed {} of {tenant}/{user}, with {}", thing.what, thing.with);
    }
    if opened.is_empty() {
        let _ = writeln!(out, "nothing came open");
        return Ok(NOTHING);
    }
    Ok(0)
}
