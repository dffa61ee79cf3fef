//! `^C`: one clean line and exit code 130. A second one, while the first is being said, ends the process at once.
//!
//! No job has to be asked to stop: what is durable is whole at every moment, so a process may end at any.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;
use signal_hook::consts::SIGINT;
use signal_hook::iterator::Signals;

use super::prompt;
use crate::exit::Exit;

/// What an interruption means at the moment.
static MEANING: Mutex<&str> = Mutex::new("nothing was changed");

/// Says what an interruption means from now on.
pub(crate) fn means(what: &'static str) {
    *MEANING.lock().unwrap_or_else(PoisonError::into_inner) = what;
}

/// Watches for `^C` from now on.
///
/// # Errors
/// What the system said.
pub(crate) fn watch(json: bool) -> io::Result<()> {
    let armed = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register_conditional_shutdown(SIGINT, Exit::Interrupted as i32, armed.clone())?;
    let mut signals = Signals::new([SIGINT])?;
    let wait = move || {
        if signals.forever().next().is_some() {
            armed.store(true, Ordering::SeqCst);
            end(json);
        }
    };
    std::thread::Builder::new().name("interrupt".into()).spawn(wait)?;
    Ok(())
}

fn end(json: bool) {
    prompt::show_typing_again();
    let meaning = *MEANING.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = writeln!(io::stderr(), "\ninterrupted: {meaning}");
    if json {
        let object = json!({"message_type": "error", "code": Exit::Interrupted as u8, "message": "interrupted", "next": meaning});
        let _ = writeln!(io::stdout(), "{object}");
    }
    std::process::exit(Exit::Interrupted as i32);
}
