//! `bailee-locksmith FOLDER`: is given what an adversary holds, as files, and says what comes open.
//!
//! `cargo lockstep replay --loot FOLDER` writes such a folder. No key is printed: that a sealed thing opened is enough.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use bailee_lockstep::locksmith::Bytes;
use clap::Parser;

/// Nothing came open.
const NOTHING: u8 = 4;

/// Tries every key that it can reach on every sealed thing that it was given.
#[derive(Parser)]
#[command(name = "bailee-locksmith", version)]
struct Arguments {
    /// What the adversary holds: memories, disks, shares, a snapshot.
    folder: PathBuf,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(code) => code,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::from(1)
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    let bytes = Bytes::read(&arguments.folder)?;
    let opened = bytes.open_all();
    let mut out = std::io::stdout().lock();
    for thing in &opened {
        let (tenant, user) = &thing.owner;
        let _ = writeln!(out, "opened: a sealed {} of {tenant}/{user}, with {}", thing.what, thing.with);
    }
    if opened.is_empty() {
        let _ = writeln!(out, "nothing came open");
        return Ok(ExitCode::from(NOTHING));
    }
    Ok(ExitCode::SUCCESS)
}
