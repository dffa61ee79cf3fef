//! `bailee check`: whether an archive is whole.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bailee_archive::disk::Unusable;
use bailee_archive::{ArchiveError, Damage};
use clap::Args;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::local::common::Common;
use crate::local::engine::{self, Archive, Checked, Lost, To};
use crate::local::entry::put_path;
use crate::local::failure::Done;
use crate::local::interrupt;
use crate::local::progress::{Goal, Progress, State, Voice, span};
use crate::local::report::{SHOWN_WARNINGS, and_more, count};
use crate::local::session::Session;

/// Checks an archive: its structure, its signatures and the list of files of every version; with --read-data also every byte.
///
/// Exit code 1 if anything is damaged. What is lost is listed; everything else still restores. What is found is noted beside the
/// archive, so that the next backup stores again what was lost.
#[derive(Args, Debug)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Open every block and compare every chunk with its id: reads the whole archive.
    #[arg(long)]
    read_data: bool,
}

impl Check {
    pub(crate) fn run(&self, session: &mut Session<'_>) -> Done<Exit> {
        let started = Instant::now();
        let (mut archive, _) = session.open_to_check(To::Read)?;
        interrupt::means("the check is not complete; nothing was changed");
        let checked = with_progress(session, &mut archive, self.read_data, "checking");
        say_damage(session, &checked)?;
        say_losses(session, &checked.lost)?;
        let damaged = checked.damage.len() as u64 + checked.unlisted;
        let whole = damaged == 0 && checked.lost.is_empty();
        let (versions, seconds) = (archive.versions().len() as u64, started.elapsed().as_secs_f64());
        let next = next(&checked, self.read_data, &archive);
        let object = json!({"whole": whole, "versions": versions, "entries": checked.entries, "damaged": damaged,
            "lost": checked.lost.len(), "read_data": self.read_data, "next": next, "seconds": seconds});
        let depth = if self.read_data { "every byte was read" } else { "the data itself was not read (--read-data)" };
        let text = match whole {
            true => format!("{} whole in {}; {depth}.", count(versions, "version", "versions"), span(seconds)),
            false => format!(
                "DAMAGED: {}, {}; {depth}.",
                count(damaged, "place", "places"),
                count(checked.lost.len() as u64, "loss", "losses")
            ),
        };
        session.report.summary(object, &text)?;
        if !whole {
            session.report.advise(&next);
        }
        Ok(if whole { Exit::Ok } else { Exit::Failure })
    }
}

/// Checks, and shows how far it is.
pub(super) fn with_progress(
    session: &mut Session<'_>,
    archive: &mut Archive,
    read_data: bool,
    doing: &'static str,
) -> Checked {
    let counters = Arc::<AtomicU64>::default();
    let counting = counters.clone();
    let _progress = Progress::start(Voice::of(session.report), doing, Goal::default(), move || State {
        entries: counting.load(Ordering::Relaxed),
        bytes: 0,
    });
    engine::check(archive, read_data, &counters)
}

/// What to do after a check.
fn next(checked: &Checked, read_data: bool, archive: &Archive) -> String {
    match (checked.damage.len() as u64 + checked.unlisted, checked.lost.is_empty()) {
        (0, true) => String::new(),
        (_, true) if archive.damage().iter().any(is_no_segment) => {
            "no version has lost anything: move out of the archive what is in the place of a segment, then run `bailee repair`".into()
        }
        (_, true) if archive.is_repairable() => {
            "no version has lost anything: `bailee repair`, or the next backup, puts the archive right".into()
        }
        (_, true) => "no version has lost anything by it, and no command changes it".into(),
        (_, false) if read_data => after_losses(&checked.lost),
        (_, false) => {
            format!("{}; `bailee check --read-data` shows whether there is more", after_losses(&checked.lost))
        }
    }
}

/// Whether something that is not a file has the name of a segment: no command takes it away.
fn is_no_segment(damage: &Damage) -> bool {
    matches!(&damage.error, ArchiveError::Store { error, .. } if Unusable::of(error).is_some())
}

/// What to do about losses.
pub(super) fn after_losses(lost: &[Lost]) -> String {
    let mut next = Vec::new();
    if lost.iter().any(|lost| lost.is_gone) {
        next.push(
            "a version whose record is lost comes back only with the segment that has it: bring back a missing or \
             unreadable segment first. `bailee repair` gives up what was damaged, with --accept-loss also what is missing"
                .to_string(),
        );
    }
    let versions: BTreeSet<u64> = lost.iter().filter(|lost| !lost.is_gone).map(|lost| lost.version).collect();
    if !versions.is_empty() {
        let mut named: Vec<String> = versions.iter().take(SHOWN_WARNINGS).map(u64::to_string).collect();
        if versions.len() > named.len() {
            named.push("…".into());
        }
        next.push(format!(
            "back up the folder again: what it still has is stored again, and heals these versions. What is lost for good \
             stays lost; all else restores, also of versions {}, and `bailee forget` gives them up",
            named.join(", ")
        ));
    }
    next.join("; ")
}

/// What is damaged, each place once: machines are told all of it, people as much as they read.
fn say_damage(session: &mut Session<'_>, checked: &Checked) -> Done {
    let damage = &checked.damage;
    let shown = if session.report.json { damage.len() } else { SHOWN_WARNINGS };
    for damage in damage.iter().take(shown) {
        let object = || json!({"message_type": "damage", "message": damage});
        session.report.data(object, || format!("damaged: {damage}"))?;
    }
    let all = damage.len().saturating_add(usize::try_from(checked.unlisted).unwrap_or(usize::MAX));
    if all > shown { session.report.text(&and_more(all)) } else { Ok(()) }
}

/// What versions have lost, likewise.
pub(super) fn say_losses(session: &mut Session<'_>, lost: &[Lost]) -> Done {
    let shown = if session.report.json { lost.len() } else { SHOWN_WARNINGS };
    for lost in lost.iter().take(shown) {
        session.report.data(|| object(lost), || line(lost))?;
    }
    if lost.len() > shown { session.report.text(&and_more(lost.len())) } else { Ok(()) }
}

fn object(lost: &Lost) -> Value {
    let mut object = json!({"message_type": "lost", "version": lost.version, "path": null, "whole_version": lost.is_gone,
        "message": lost.what});
    if let Some(path) = &lost.path {
        put_path(&mut object, "path", path);
    }
    object
}

fn line(lost: &Lost) -> String {
    match &lost.path {
        Some(path) => format!("lost: version {}: {path}: {}", lost.version, lost.what),
        None if lost.is_gone => format!("lost: version {} as a whole: {}", lost.version, lost.what),
        None => format!("lost: version {}: its list of files from some place on: {}", lost.version, lost.what),
    }
}
