//! `bailee check`: whether an archive is whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::Args;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::local::Common;
use crate::local::engine::{self, Lost, To};
use crate::local::entry::put_path;
use crate::local::failure::Done;
use crate::local::interrupt;
use crate::local::progress::{Goal, Progress, State, Voice, span};
use crate::local::report::{SHOWN_WARNINGS, and_more, count};
use crate::local::session::Session;

/// Checks an archive: its structure, its signatures and the list of files of every version; with --read-data also every byte.
///
/// Exit code 1 if anything is damaged. What is lost is listed; everything else still restores.
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
        let counters = Arc::<AtomicU64>::default();
        let checked = {
            let counting = counters.clone();
            let _progress = Progress::start(Voice::of(session.report), "checking", Goal::default(), move || State {
                entries: counting.load(Ordering::Relaxed),
                bytes: 0,
            });
            engine::check(&mut archive, self.read_data, &counters)
        };
        say_damage(session, &checked.damage)?;
        for lost in &checked.lost {
            session.report.data(|| object(lost), || line(lost))?;
        }
        let whole = checked.damage.is_empty() && checked.lost.is_empty();
        let (versions, seconds) = (archive.versions().len() as u64, started.elapsed().as_secs_f64());
        let object = json!({"whole": whole, "versions": versions, "entries": checked.entries, "damaged": checked.damage.len(),
            "lost": checked.lost.len(), "read_data": self.read_data, "seconds": seconds});
        let depth = if self.read_data { "every byte was read" } else { "the data itself was not read (--read-data)" };
        let text = match whole {
            true => format!("{} whole in {}; {depth}.", count(versions, "version", "versions"), span(seconds)),
            false => format!(
                "DAMAGED: {}, {}; {depth}.",
                count(checked.damage.len() as u64, "place", "places"),
                count(checked.lost.len() as u64, "loss", "losses")
            ),
        };
        session.report.summary(object, &text)?;
        Ok(if whole { Exit::Ok } else { Exit::Failure })
    }
}

/// What is damaged, each place once: machines are told all of it, people as much as they read.
fn say_damage(session: &mut Session<'_>, damage: &[String]) -> Done {
    let shown = if session.report.json { damage.len() } else { SHOWN_WARNINGS };
    for damage in damage.iter().take(shown) {
        let object = || json!({"message_type": "damage", "message": damage});
        session.report.data(object, || format!("damaged: {damage}"))?;
    }
    if damage.len() > shown { session.report.text(&and_more(damage.len())) } else { Ok(()) }
}

fn object(lost: &Lost) -> Value {
    let mut object = json!({"message_type": "lost", "version": lost.version, "path": null, "message": lost.what});
    if let Some(path) = &lost.path {
        put_path(&mut object, "path", path);
    }
    object
}

fn line(lost: &Lost) -> String {
    match &lost.path {
        Some(path) => format!("lost: version {}: {path}: {}", lost.version, lost.what),
        None => format!("lost: version {}: its list of files from some place on: {}", lost.version, lost.what),
    }
}
