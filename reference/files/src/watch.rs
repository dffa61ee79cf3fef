//! Backing up when something changed.
//!
//! What the system tells of changes is a hint of *when*, never of *what*: each round is a whole walk against the catalogue, so that
//! events which were lost, or overflowed, or came while a round was under way, cost nothing but time.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{Config, Event, RecommendedWatcher, RecursiveMode, Watcher};

use crate::error::FilesError;

/// How long a stop flag may go unseen.
const HEED: Duration = Duration::from_millis(100);

/// When a round begins.
#[derive(Clone, Debug)]
pub struct WatchOptions {
    /// A round begins when nothing changed for so long …
    pub quiet: Duration,
    /// … or when something has been changing for so long.
    pub at_most: Duration,
    /// A round begins so long after the last one in any case.
    pub every: Duration,
    /// Places of which no change counts: those that the rounds themselves write to, should they lie in the folder.
    pub without: Vec<PathBuf>,
}

impl Default for WatchOptions {
    /// Two seconds of quiet, half a minute at most, and every hour.
    fn default() -> Self {
        WatchOptions {
            quiet: Duration::from_secs(2),
            at_most: Duration::from_secs(30),
            every: Duration::from_secs(3600),
            without: Vec::new(),
        }
    }
}

/// Why a round begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It is the first.
    Start,
    /// Something changed.
    Change,
    /// Events may have been lost: what the system said of it.
    Lost(String),
    /// It is time.
    Time,
}

/// What the watcher told.
enum Told {
    Change,
    Lost(String),
}

/// Runs rounds until the flag is set or a round breaks. Watching begins before the first round, so that no change is missed.
///
/// # Errors
/// `Io`: the folder cannot be watched, for example because there are more folders in it than the system lets watch.
pub fn watch<B>(
    folder: &Path,
    options: &WatchOptions,
    stop: &AtomicBool,
    mut round: impl FnMut(&Cause) -> ControlFlow<B>,
) -> Result<Option<B>, FilesError> {
    // Events name what they are of by the path that was watched; the places are compared with them.
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let without: Vec<PathBuf> = options.without.iter().map(|place| real(place)).collect();
    let (sender, told) = mpsc::channel();
    let heard = move |event: notify::Result<Event>| {
        // Whoever listened has gone: the watcher goes with it.
        let _ = told_of(event, &without).map(|told| sender.send(told));
    };
    let config = Config::default().with_follow_symlinks(false);
    let mut watcher = RecommendedWatcher::new(heard, config).map_err(|error| failed(folder, error))?;
    watcher.watch(&real(folder), RecursiveMode::Recursive).map_err(|error| failed(folder, error))?;
    let mut cause = Cause::Start;
    loop {
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        if let ControlFlow::Break(result) = round(&cause) {
            return Ok(Some(result));
        }
        match wait(&told, options, stop) {
            Some(next) => cause = next,
            None => return Ok(None),
        }
    }
}

fn failed(folder: &Path, error: notify::Error) -> FilesError {
    let error = match error.kind {
        notify::ErrorKind::Io(error) => error,
        _ => io::Error::other(error.to_string()),
    };
    FilesError::io("watching", folder)(error)
}

/// What an event means; none if it is of no change. Reading is none: a round reads.
fn told_of(event: notify::Result<Event>, without: &[PathBuf]) -> Option<Told> {
    let event = match event {
        Ok(event) => event,
        Err(error) => return Some(Told::Lost(error.to_string())),
    };
    if event.need_rescan() {
        return Some(Told::Lost("the system has lost count of the changes".into()));
    }
    if matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write)) {
        return None;
    }
    let is_own = |path: &PathBuf| without.iter().any(|place| path.starts_with(place));
    let all_own = !event.paths.is_empty() && event.paths.iter().all(is_own);
    (!all_own).then_some(Told::Change)
}

/// Waits for the next round; none if it is to stop.
fn wait(told: &Receiver<Told>, options: &WatchOptions, stop: &AtomicBool) -> Option<Cause> {
    let due = Instant::now() + options.every;
    // When the first and the last change were told.
    let mut changing: Option<(Instant, Instant)> = None;
    loop {
        let begins = match changing {
            None => due,
            Some((first, last)) => due.min(first + options.at_most).min(last + options.quiet),
        };
        let now = Instant::now();
        if stop.load(Ordering::Relaxed) {
            return None;
        }
        if now >= begins {
            return Some(if changing.is_some() { Cause::Change } else { Cause::Time });
        }
        match told.recv_timeout(HEED.min(begins - now)) {
            Ok(Told::Change) => {
                let now = Instant::now();
                changing = Some((changing.map_or(now, |(first, _)| first), now));
            }
            Ok(Told::Lost(what)) => return Some(Cause::Lost(what)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Some(Cause::Lost("the watcher has ended".into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn quick() -> WatchOptions {
        let quiet = Duration::from_millis(50);
        WatchOptions { quiet, at_most: Duration::from_secs(1), every: Duration::from_secs(20), without: Vec::new() }
    }

    /// Runs rounds, each of which does something to the folder; returns what caused them.
    fn causes(folder: &Path, options: &WatchOptions, rounds: &[&dyn Fn()]) -> Vec<Cause> {
        let mut seen = Vec::new();
        let stop = AtomicBool::new(false);
        let started = Instant::now();
        watch(folder, options, &stop, |cause| {
            seen.push(cause.clone());
            if let Some(act) = rounds.get(seen.len() - 1) {
                act();
            }
            assert!(started.elapsed() < Duration::from_secs(10));
            if seen.len() > rounds.len() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
        seen
    }

    #[test]
    fn each_change_brings_a_round_and_a_burst_brings_one() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        let many = || {
            for i in 0..200 {
                fs::write(at(&format!("{i}")), b"x").unwrap();
            }
        };
        let deep = || fs::create_dir(at("new")).unwrap();
        let inside = || fs::write(at("new/file"), b"x").unwrap();
        let gone = || fs::remove_file(at("0")).unwrap();
        let seen = causes(place.path(), &quick(), &[&many, &deep, &inside, &gone]);
        assert_eq!(seen, [Cause::Start, Cause::Change, Cause::Change, Cause::Change, Cause::Change]);
    }

    #[test]
    fn reading_and_own_places_bring_no_round() {
        let place = tempfile::tempdir().unwrap();
        let own = place.path().join("own");
        fs::create_dir(&own).unwrap();
        fs::write(place.path().join("file"), b"x").unwrap();
        let every = Duration::from_millis(400);
        let options = WatchOptions { every, without: vec![own.clone()], ..quick() };
        let act = || {
            fs::read(place.path().join("file")).unwrap();
            fs::write(own.join("segment"), b"x").unwrap();
        };
        assert_eq!(causes(place.path(), &options, &[&act]), [Cause::Start, Cause::Time]);
    }

    #[test]
    fn an_overflow_or_an_error_brings_a_round() {
        let overflow = Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan);
        for event in [Ok(overflow), Err(notify::Error::generic("gone"))] {
            let (sender, told) = mpsc::channel();
            sender.send(told_of(event, &[]).unwrap()).unwrap();
            let cause = wait(&told, &quick(), &AtomicBool::new(false));
            assert!(matches!(cause, Some(Cause::Lost(_))), "{cause:?}");
        }
    }

    #[test]
    fn a_flag_stops_it_and_a_missing_folder_is_named() {
        let place = tempfile::tempdir().unwrap();
        let stop = AtomicBool::new(false);
        let started = Instant::now();
        let ended = watch(place.path(), &quick(), &stop, |_| {
            stop.store(true, Ordering::Relaxed);
            ControlFlow::<()>::Continue(())
        });
        assert!(matches!(ended, Ok(None)) && started.elapsed() < Duration::from_secs(5));
        let missing = place.path().join("missing");
        let error =
            watch(&missing, &quick(), &AtomicBool::new(false), |_| ControlFlow::<()>::Continue(())).unwrap_err();
        assert!(error.to_string().contains("missing"), "{error}");
    }
}
