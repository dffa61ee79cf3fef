//! `bailee repair`: a damaged archive put right.

use clap::Args;
use serde_json::json;

use super::check;
use crate::exit::Exit;
use crate::local::common::Common;
use crate::local::engine::{self, Repaired, To};
use crate::local::failure::Done;
use crate::local::interrupt;
use crate::local::report::{count, size, unheard};
use crate::local::session::Session;

/// Reads the whole archive, stores again what is sound in damaged segments, and gives up what is damaged.
///
/// Where a chunk is in several blocks, one sound copy is enough. If a version needs something that is lost, nothing is changed,
/// as the damaged bytes may be all that is left of it: what is lost is listed, and the exit code is 1. A backup of a folder that
/// still has it brings it back; `bailee forget` gives up the versions that need it. A version whose own record was damaged is lost
/// for good: it is named, the segment is kept beside the archive with `.aside` after its name, and the exit code is 3.
#[derive(Args, Debug)]
pub(crate) struct Repair {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Give up versions whose records are missing together with a segment. Without it nothing is changed, as the segment may come back.
    #[arg(long)]
    accept_loss: bool,
    /// Say what would be done, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

impl Repair {
    pub(crate) fn run(&self, session: &mut Session<'_>) -> Done<Exit> {
        let to = if self.dry_run { To::Read } else { To::Write };
        let (mut archive, record) = session.open_to_check(to)?;
        interrupt::means("every version is as it was; run it again to go on");
        let checked = check::with_progress(session, &mut archive, true, "reading");
        let (archive, repaired) =
            engine::repair(archive, session.place(), &record.device(), self.accept_loss, self.dry_run)?;
        if !self.dry_run {
            session.remember(&archive, &record);
        }
        check::say_losses(session, &repaired.lost)?;
        let found = checked.damage.len() as u64 + checked.unlisted;
        let done = &repaired.done;
        let is_stuck = done.may_come_back || repaired.lost.iter().any(|lost| !lost.is_gone);
        let whole = !is_stuck && (self.dry_run || done.left == 0);
        let object = json!({"whole": whole, "damaged": found, "lost": repaired.lost.len(), "segments": done.segments,
            "missing": done.missing, "blocks": done.blocks, "links": done.links, "bytes_written": done.written,
            "left": done.left, "dry_run": self.dry_run});
        unheard(session.report.summary(object, &self.text(found, &repaired, is_stuck)))?;
        if is_stuck {
            session.report.advise(&check::after_losses(&repaired.lost));
        }
        Ok(match (whole, repaired.lost.is_empty()) {
            (true, true) => Exit::Ok,
            (true, false) => Exit::Partial,
            (false, _) => Exit::Failure,
        })
    }

    fn text(&self, found: u64, repaired: &Repaired, is_stuck: bool) -> String {
        let done = &repaired.done;
        if is_stuck {
            return format!("Nothing was changed: {}.", count(repaired.lost.len() as u64, "loss", "losses"));
        }
        if done.segments + done.missing + done.blocks + done.links == 0 {
            return match done.left {
                0 => "Nothing is damaged.".into(),
                left => format!("{} cannot be repaired: see `bailee check`.", count(left, "place", "places")),
            };
        }
        let verb = if self.dry_run { "would be given up (dry run)" } else { "given up" };
        format!(
            "{} of damage: {} {verb}, {} written to keep what is needed of them.",
            count(found, "place", "places"),
            count(done.segments + done.missing, "segment", "segments"),
            size(done.written)
        )
    }
}
