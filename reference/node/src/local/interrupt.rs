//! `^C`, a polite `kill`, a terminal that is closed: one clean line and an exit code of its own.
//!
//! No job has to be asked to stop: what is durable is whole at every moment, so a process may end at any.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::prompt;
use crate::exit::Exit;

/// How long the answer to a signal may take. A second signal, which often comes with the first, changes nothing.
const ANSWER: Duration = Duration::from_secs(2);

/// What an interruption means at the moment.
static MEANING: Mutex<&str> = Mutex::new("nothing was changed");

/// Says what an interruption means from now on.
pub(crate) fn means(what: &'static str) {
    *MEANING.lock().unwrap_or_else(PoisonError::into_inner) = what;
}

/// Watches for signals from now on.
///
/// # Errors
/// What the system said.
pub(crate) fn watch(json: bool) -> io::Result<()> {
    let all = [(SIGHUP, Exit::HungUp), (SIGINT, Exit::Interrupted), (SIGTERM, Exit::Terminated)];
    // `nohup` has SIGHUP ignored, so that the job goes on: that stays so.
    let watched: Vec<_> = all.into_iter().filter(|(signal, _)| *signal != SIGHUP || !is_ignored(SIGHUP)).collect();
    let mut signals = Signals::new(watched.iter().map(|(signal, _)| signal))?;
    let wait = move || {
        let of = |came| watched.iter().find(|(signal, _)| *signal == came).map(|(_, exit)| *exit);
        if let Some(exit) = signals.forever().find_map(of) {
            // Whoever reads what is said may have stopped reading: that holds the answer up, and not the end.
            if begin("answer", move || end(exit, json)).is_ok() {
                std::thread::sleep(ANSWER);
            }
            signal_hook::low_level::exit(exit as i32);
        }
    };
    begin("interrupt", wait)
}

fn begin(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.into()).spawn(work).map(drop)
}

/// Whether this process was begun with a signal ignored, as the system says it.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

fn end(exit: Exit, json: bool) {
    prompt::show_typing_again();
    let meaning = *MEANING.lock().unwrap_or_else(PoisonError::into_inner);
    // Where a terminal was closed there is nobody to tell.
    let _ = writeln!(io::stderr(), "\ninterrupted: {meaning}");
    if json {
        let object = json!({"message_type": "error", "code": exit as u8, "message": "interrupted", "next": meaning});
        let _ = writeln!(io::stdout(), "{object}");
    }
    std::process::exit(exit as i32);
}
