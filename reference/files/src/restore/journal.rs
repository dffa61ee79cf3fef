//! The file in the target that says that a restore is not complete, and when it ran.
//!
//! Permissions alone do not tell what an interrupted restore left from what is the user's. The times of change do: the system alone
//! sets them. So the journal keeps the start of each run, and its own time of change, set every second, is the end of the last one.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bailee_archive::tree::Time;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_NOW};

use super::give::Giver;
use super::make::{cleared_part, put_in_place};
use crate::folder::Folder;
use crate::meta::State;

/// Its name. Another one is used if this is in the version or is somebody's.
pub const JOURNAL: &str = ".bailee-restore-unfinished";
/// Names that are tried.
const NAMES: usize = 10;
const FIRST_LINE: &str = "A restore into this folder is not complete: run it again.";
/// A longer file is not a journal.
const MOST_BYTES: u64 = 16 * 1024;
/// The last runs are kept: what older ones left counts as the user's.
const MOST_RUNS: usize = 100;
const TICK: Duration = Duration::from_secs(1);
/// How far the journal's time may be before the end of an interrupted run, in seconds.
const TICK_DELAY_SECONDS: i64 = 3;

/// How the first run found the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// It was absent.
    Made,
    /// There was nothing in it.
    Empty,
    Used,
}

const ORIGINS: [(Origin, &str); 3] = [(Origin::Made, "made"), (Origin::Empty, "empty"), (Origin::Used, "used")];

/// A time at which a restore ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    from: Time,
    to: Time,
}

/// The earlier runs of a restore that is not complete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Runs(Vec<Run>);

impl Runs {
    /// Whether something was last changed while one of them ran.
    pub(super) fn include(&self, stat: &Stat) -> bool {
        let changed = State::of(stat).ctime;
        self.0.iter().any(|run| run.from <= changed && changed <= run.to)
    }

    /// Whether something was changed since the first of them began.
    pub(super) fn are_before(&self, stat: &Stat) -> bool {
        self.0.first().is_some_and(|run| run.from <= State::of(stat).ctime)
    }
}

/// What a journal says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) origin: Origin,
    pub(super) runs: Runs,
}

impl Said {
    /// Reads what a journal says that was last changed at this time.
    fn parse(text: &str, changed: Time) -> Option<Said> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        (lines.next()? == FIRST_LINE).then_some(())?;
        let word = lines.next()?.strip_prefix("target ")?;
        let origin = ORIGINS.iter().find(|(_, name)| *name == word)?.0;
        let mut runs: Vec<Run> = Vec::new();
        for line in lines {
            let (from, to) = line.strip_prefix("run ")?.split_once(' ')?;
            let to = if to == "-" { late(changed) } else { time(to)? };
            runs.push(Run { from: time(from)?, to });
        }
        Some(Said { origin, runs: Runs(runs) })
    }

    /// The text of a journal of a run that begins at this time, after these.
    fn text(&self, from: Time) -> String {
        let name = ORIGINS.iter().find(|(origin, _)| *origin == self.origin).map_or("", |(_, name)| name);
        let mut text = format!("{FIRST_LINE}\ntarget {name}\n");
        let runs = &self.runs.0;
        for run in &runs[runs.len().saturating_sub(MOST_RUNS)..] {
            text += &format!("run {} {}\n", shown(run.from), shown(run.to));
        }
        text + &format!("run {} -\n", shown(from))
    }
}

fn late(time: Time) -> Time {
    Time { seconds: time.seconds.saturating_add(TICK_DELAY_SECONDS), ..time }
}

fn shown(time: Time) -> String {
    format!("{}.{:09}", time.seconds, time.nanoseconds)
}

fn time(text: &str) -> Option<Time> {
    let (seconds, nanoseconds) = text.split_once('.')?;
    Some(Time { seconds: seconds.parse().ok()?, nanoseconds: nanoseconds.parse().ok()? })
}

/// The journal of the restore that runs. It stays if the restore does not come to its end.
pub(super) struct Journal {
    folder: Arc<Folder>,
    name: CString,
    /// None when it was removed, or could not be made: then nothing tells what an interruption leaves.
    open: Mutex<Option<Open>>,
}

struct Open {
    file: Arc<File>,
    /// When this goes, the time of the file is no longer set.
    _ticks: mpsc::Sender<()>,
}

impl Journal {
    /// Finds the journal of an interrupted restore, or a name for a new one.
    pub(super) fn find(
        folder: &Arc<Folder>,
        giver: Giver,
        is_in_version: &dyn Fn(&[u8]) -> bool,
    ) -> (Journal, Option<Said>) {
        let mut found = (CString::default(), None);
        for number in 0..NAMES {
            let name = if number == 0 { JOURNAL.to_owned() } else { format!("{JOURNAL}-{number}") };
            let Some(name) = CString::new(name).ok().filter(|name| !is_in_version(name.to_bytes())) else { continue };
            match read(folder, &name, giver) {
                Ok(Some(said)) => {
                    found = (name, said);
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    found = (name, None);
                    break;
                }
                _ => {}
            }
        }
        let (name, said) = found;
        (Journal { folder: Arc::clone(folder), name, open: Mutex::default() }, said)
    }

    /// Writes it. Without permission to make a file there, the restore goes on without.
    pub(super) fn begin(&self, said: &Said) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = self.try_begin(said).ok();
    }

    fn try_begin(&self, said: &Said) -> io::Result<Open> {
        if self.name.is_empty() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let part = cleared_part(&self.folder, &self.name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file =
            File::from(rustix::fs::openat(&*self.folder.handle()?, &*part, flags, Mode::RUSR | Mode::WUSR)?);
        let from = State::of(&rustix::fs::fstat(&file)?).mtime;
        let written = file.write_all(said.text(from).as_bytes());
        if let Err(error) = written {
            let _ = rustix::fs::unlinkat(&*self.folder.handle()?, &*part, AtFlags::empty());
            return Err(error);
        }
        put_in_place(&self.folder, &part, &self.name)?;
        let file = Arc::new(file);
        let (ticks, wait) = mpsc::channel::<()>();
        let ticked = Arc::clone(&file);
        let tick = move || {
            let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW as _ };
            while wait.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                let _ = rustix::fs::futimens(&*ticked, &Timestamps { last_access: now, last_modification: now });
            }
        };
        // Without the thread, what an interruption leaves after the first seconds counts as the user's.
        let _ = std::thread::Builder::new().name("journal".into()).spawn(tick);
        Ok(Open { file, _ticks: ticks })
    }

    /// Whether this is the name of the journal.
    pub(super) fn is_named(&self, name: &[u8]) -> bool {
        self.name.to_bytes() == name
    }

    /// Removes it: the restore is complete.
    ///
    /// # Errors
    /// What the system said.
    pub(super) fn end(&self) -> io::Result<()> {
        let Some(open) = self.open.lock().unwrap_or_else(PoisonError::into_inner).take() else { return Ok(()) };
        let place = |stat: &Stat| (State::of(stat).dev, State::of(stat).ino);
        let stands = match self.folder.look(&self.name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            stands => stands?,
        };
        // Somebody may have put something else there.
        if place(&stands) == place(&rustix::fs::fstat(&*open.file)?) {
            rustix::fs::unlinkat(&*self.folder.handle()?, &*self.name, AtFlags::empty())?;
        }
        Ok(())
    }
}

/// What the journal of this name says. None if it is not a journal of this user. A journal without content says nothing.
fn read(folder: &Arc<Folder>, name: &CString, giver: Giver) -> io::Result<Option<Option<Said>>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(&*folder.handle()?, &**name, flags, Mode::empty())?);
    let stat = rustix::fs::fstat(&file)?;
    let state = State::of(&stat);
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    if !is_file || stat.st_nlink != 1 || !giver.is_mine(&stat) || state.size > MOST_BYTES {
        return Ok(None);
    }
    let mut text = String::new();
    match file.take(MOST_BYTES).read_to_string(&mut text) {
        // A power failure may leave this of it.
        Ok(0) => Ok(Some(None)),
        Ok(_) => Ok(Said::parse(&text, state.mtime).map(Some)),
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Time {
        Time { seconds, nanoseconds: 7 }
    }

    #[test]
    fn a_journal_says_what_was_written_and_ends_the_last_run_at_its_own_time() {
        let runs = Runs(vec![Run { from: at(1), to: at(2) }, Run { from: at(-5), to: at(4) }]);
        for (origin, _) in ORIGINS {
            let said = Said { origin, runs: runs.clone() };
            let mut read = Said::parse(&said.text(at(6)), at(8)).unwrap();
            let last = Run { from: at(6), to: at(8 + TICK_DELAY_SECONDS) };
            assert_eq!((read.origin, read.runs.0.pop()), (origin, Some(last)));
            assert_eq!(read.runs, runs);
        }
        let many = Said { origin: Origin::Used, runs: Runs(vec![Run { from: at(1), to: at(2) }; 3 * MOST_RUNS]) };
        let text = many.text(at(i64::MIN));
        assert!((text.len() as u64) < MOST_BYTES);
        assert_eq!(Said::parse(&text, at(i64::MAX)).unwrap().runs.0.len(), MOST_RUNS + 1);
        for odd in ["", "\n", "x\ntarget made\n", &format!("{FIRST_LINE}\ntarget none\n"), &text[..text.len() - 1]] {
            assert_eq!(Said::parse(odd, at(1)), None);
        }
        assert_eq!(Said::parse(&format!("{FIRST_LINE}\ntarget made\nrun 1 2.0\n"), at(1)), None);
    }
}
