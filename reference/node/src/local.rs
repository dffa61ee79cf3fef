//! Local archives: backups into a folder, before and without services.

mod code;
mod commands;
mod common;
mod diff;
pub(crate) mod engine;
mod entry;
mod failure;
mod group;
mod home;
mod interrupt;
mod origin;
mod pattern;
mod policy;
pub(crate) mod progress;
mod prompt;
mod record;
mod report;
mod select;
mod session;
pub(crate) mod when;

use clap::Subcommand;

use crate::exit::Exit;
use commands::{
    backup, check, diff as diff_command, find, forget, init, ls, prune, repair, restore, snapshots, stats,
};
use common::Common;
use failure::{Done, Failure};
use report::Report;
use session::Session;

/// What can be done with an archive. The docs of each command's arguments are its long help; beside it each has a line for the list.
#[derive(Subcommand)]
pub(crate) enum Command {
    #[command(about = "Make an archive and its key, and print the recovery code")]
    Init(init::Init),
    #[command(about = "Back a folder up as a new version")]
    Backup(backup::Backup),
    #[command(about = "List the versions of an archive")]
    Snapshots(snapshots::Snapshots),
    #[command(about = "List what is in a version")]
    Ls(ls::Ls),
    #[command(about = "Find names in all versions")]
    Find(find::Find),
    #[command(about = "Restore a version, or part of it, into a folder")]
    Restore(restore::Restore),
    #[command(about = "Say how two versions differ")]
    Diff(diff_command::Diff),
    #[command(about = "Check an archive")]
    Check(check::Check),
    #[command(about = "Put a damaged archive right, as far as it can be without the source")]
    Repair(repair::Repair),
    #[command(about = "Forget versions")]
    Forget(forget::Forget),
    #[command(about = "Remove what no version needs any more")]
    Prune(prune::Prune),
    #[command(about = "Say how large an archive is")]
    Stats(stats::Stats),
}

impl Command {
    fn common(&self) -> &Common {
        match self {
            Command::Init(command) => &command.common,
            Command::Backup(command) => &command.common,
            Command::Snapshots(command) => &command.common,
            Command::Ls(command) => &command.common,
            Command::Find(command) => &command.common,
            Command::Restore(command) => &command.common,
            Command::Diff(command) => &command.common,
            Command::Check(command) => &command.common,
            Command::Repair(command) => &command.common,
            Command::Forget(command) => &command.common,
            Command::Prune(command) => &command.common,
            Command::Stats(command) => &command.common,
        }
    }

    fn run(&self, session: &mut Session<'_>) -> Done<Exit> {
        match self {
            Command::Init(command) => command.run(session),
            Command::Backup(command) => command.run(session),
            Command::Snapshots(command) => command.run(session),
            Command::Ls(command) => command.run(session),
            Command::Find(command) => command.run(session),
            Command::Restore(command) => command.run(session),
            Command::Diff(command) => command.run(session),
            Command::Check(command) => command.run(session),
            Command::Repair(command) => command.run(session),
            Command::Forget(command) => command.run(session),
            Command::Prune(command) => command.run(session),
            Command::Stats(command) => command.run(session),
        }
    }
}

/// Runs a command to its end.
pub(crate) fn run(command: &Command) -> Exit {
    let common = command.common();
    let mut report = Report::new(common.json, common.quiet);
    match prepare(common).and_then(|()| command.run(&mut Session::new(common, &mut report)?)) {
        Ok(exit) => exit,
        Err(Failure::ReaderLeft) => Exit::Ok,
        Err(Failure::Because { exit, what, next }) => {
            report.failure(exit, &what, &next);
            exit
        }
    }
}

fn prepare(common: &Common) -> Done {
    // A system that does not know the call keeps its dumps; the keys are locked and wiped all the same.
    let _ = bailee_secret::disable_core_dumps();
    interrupt::watch(common.json)
        .map_err(|error| Failure::new(Exit::Failure, format!("watching for signals: {error}"), ""))
}
