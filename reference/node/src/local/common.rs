//! What is the same for every command.

use std::path::PathBuf;

use clap::Args;

/// What every command on an archive is told.
#[derive(Args, Debug)]
pub(crate) struct Common {
    /// The folder of the archive.
    #[arg(long, value_name = "DIR", env = "BAILEE_ARCHIVE", hide_env_values = true)]
    pub(super) archive: PathBuf,
    /// JSON lines on standard output, each with a `message_type`; the last one is a `summary` or an `error`.
    #[arg(long)]
    pub(super) json: bool,
    /// No progress and no notes; warnings and errors all the same.
    #[arg(long, short)]
    pub(super) quiet: bool,
    /// Take the archive though it lacks a version that was seen in it before.
    #[arg(long)]
    pub(super) accept_rollback: bool,
    /// Take the archive though another one was in its place before.
    #[arg(long)]
    pub(super) accept_other: bool,
}
