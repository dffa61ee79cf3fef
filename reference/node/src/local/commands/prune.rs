//! `bailee prune`: room for what is still wanted.

use clap::Args;
use serde_json::json;

use crate::exit::Exit;
use crate::local::common::Common;
use crate::local::engine::{self, To};
use crate::local::failure::Done;
use crate::local::interrupt;
use crate::local::report::{count, size, unheard};
use crate::local::session::Session;

/// Removes what no version needs any more. It may be interrupted at any moment.
#[derive(Args, Debug)]
pub(crate) struct Prune {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Say what would be removed, and remove nothing.
    #[arg(long)]
    dry_run: bool,
}

impl Prune {
    pub(crate) fn run(&self, session: &mut Session<'_>) -> Done<Exit> {
        let (archive, record) = session.open(To::write_unless(self.dry_run))?;
        interrupt::means("every version is whole; the rest is removed by the next prune");
        let archive = if archive.needs_repair() && !self.dry_run {
            engine::repair(archive, session.place(), &record.device(), false, false)?.0
        } else {
            archive
        };
        let (archive, pruned) = engine::prune(archive, session.place(), &record.device(), self.dry_run)?;
        session.remember(&archive, &record);
        let object = json!({"segments": pruned.segments, "bytes_removed": pruned.removed,
            "bytes_written": pruned.written, "dry_run": self.dry_run});
        let would = if self.dry_run { "would be removed (dry run)" } else { "removed" };
        let segments = count(pruned.segments, "segment", "segments");
        let (removed, written) = (size(pruned.removed), size(pruned.written));
        let text = format!("{segments} of {removed} {would}, {written} written to keep what is needed of them.");
        unheard(session.report.summary(object, &text))?;
        Ok(Exit::Ok)
    }
}
