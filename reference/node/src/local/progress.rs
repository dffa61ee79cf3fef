//! How far a long job is: a ticker polls its counters, so that the job itself only counts.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use super::report::{Report, size};

/// Between two strokes on a terminal.
const STROKE: Duration = Duration::from_millis(200);
/// Between two lines where nobody watches a terminal.
const LINE: Duration = Duration::from_secs(10);
/// Between two status objects.
const OBJECT: Duration = Duration::from_secs(1);

/// How far a job is, as its counters say at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct State {
    /// Entries done.
    pub(crate) entries: u64,
    /// Bytes of content done.
    pub(crate) bytes: u64,
}

/// What is to be done, where that is known beforehand.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Goal {
    pub(crate) entries: Option<u64>,
    pub(crate) bytes: Option<u64>,
}

/// A job under way; when it is dropped, the ticker has ended and the terminal is clean.
pub(crate) struct Progress {
    stop: Option<Sender<()>>,
    ticker: Option<JoinHandle<()>>,
}

impl Progress {
    /// Begins to ask how far it is.
    pub(crate) fn start(
        voice: Option<Voice>,
        doing: &'static str,
        goal: Goal,
        state: impl Fn() -> State + Send + 'static,
    ) -> Self {
        let Some(voice) = voice else { return Progress { stop: None, ticker: None } };
        let (stop, stopped) = channel();
        let tick = move || tick(voice, doing, goal, &state, &stopped);
        // A system without threads to spare gets its backup all the same.
        let ticker = std::thread::Builder::new().name("progress".into()).spawn(tick).ok();
        Progress { stop: Some(stop), ticker }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(ticker) = self.ticker.take() {
            let _ = ticker.join();
        }
    }
}

/// How progress is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Voice {
    /// A bar, on a terminal.
    Bar,
    /// A line from time to time, on standard error.
    Lines,
    /// JSON objects, on standard output.
    Objects,
}

impl Voice {
    /// For people: a bar where somebody watches, else lines.
    pub(crate) fn for_people() -> Self {
        if io::stderr().is_terminal() { Voice::Bar } else { Voice::Lines }
    }

    /// As a command reports.
    pub(crate) fn of(report: &Report) -> Option<Self> {
        match (report.json, report.quiet) {
            (true, _) => Some(Voice::Objects),
            (false, true) => None,
            (false, false) => Some(Voice::for_people()),
        }
    }

    fn pause(self) -> Duration {
        match self {
            Voice::Bar => STROKE,
            Voice::Lines => LINE,
            Voice::Objects => OBJECT,
        }
    }
}

fn tick(voice: Voice, doing: &str, goal: Goal, state: &dyn Fn() -> State, stopped: &Receiver<()>) {
    let started = Instant::now();
    let bar = (voice == Voice::Bar).then(|| bar(doing, goal));
    while stopped.recv_timeout(voice.pause()) == Err(RecvTimeoutError::Timeout) {
        let state = state();
        let seconds = started.elapsed().as_secs_f64();
        match &bar {
            Some(bar) => {
                bar.set_position(state.bytes);
                bar.set_message(format!("{doing}: {} entries", state.entries));
            }
            None if voice == Voice::Objects => {
                let _ = writeln!(io::stdout(), "{}", object(doing, state, goal, seconds));
            }
            None => {
                let _ = writeln!(io::stderr(), "{}", line(doing, state, goal, seconds));
            }
        }
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

fn bar(doing: &str, goal: Goal) -> ProgressBar {
    let (known, template) = match goal.bytes {
        Some(_) => {
            (goal.bytes, "{msg}  {wide_bar} {binary_bytes}/{binary_total_bytes}  {binary_bytes_per_sec}  {eta} left")
        }
        None => (None, "{msg}  {binary_bytes}  {binary_bytes_per_sec}  {elapsed}"),
    };
    let bar = ProgressBar::with_draw_target(known, ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style);
    bar.set_message(doing.to_string());
    bar
}

/// Seconds that are left, if it goes on as it went; none where nothing can be said.
fn left(state: State, goal: Goal, seconds: f64) -> Option<f64> {
    let total = goal.bytes.filter(|total| *total >= state.bytes)?;
    (state.bytes > 0).then(|| (total - state.bytes) as f64 * seconds / state.bytes as f64)
}

fn rate(state: State, seconds: f64) -> u64 {
    if seconds > 0.0 { (state.bytes as f64 / seconds) as u64 } else { 0 }
}

fn object(doing: &str, state: State, goal: Goal, seconds: f64) -> serde_json::Value {
    json!({"message_type": "status", "doing": doing, "entries": state.entries, "bytes": state.bytes,
        "total_entries": goal.entries, "total_bytes": goal.bytes, "seconds": seconds,
        "bytes_per_second": rate(state, seconds), "seconds_left": left(state, goal, seconds)})
}

fn line(doing: &str, state: State, goal: Goal, seconds: f64) -> String {
    let of = goal.bytes.map(|total| format!(" of {}", size(total))).unwrap_or_default();
    let left = left(state, goal, seconds).map(|left| format!(", about {} left", span(left))).unwrap_or_default();
    let (done, rate) = (size(state.bytes), size(rate(state, seconds)));
    format!("{doing}: {} entries, {done}{of}, {rate}/s{left}", state.entries)
}

/// A span of time for people.
pub(crate) fn span(seconds: f64) -> String {
    let whole = seconds.ceil() as u64;
    match whole {
        0..10 => format!("{seconds:.1} s"),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{}:{:02} min", whole / 60, whole % 60),
        _ => format!("{}:{:02} h", whole / 3600, whole / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_rate_and_what_is_left() {
        let state = State { entries: 7, bytes: 10 << 20 };
        let goal = Goal { entries: None, bytes: Some(40 << 20) };
        assert_eq!(
            line("reading", state, goal, 5.0),
            "reading: 7 entries, 10.0 MiB of 40.0 MiB, 2.0 MiB/s, about 15 s left"
        );
        assert_eq!(line("reading", state, Goal::default(), 5.0), "reading: 7 entries, 10.0 MiB, 2.0 MiB/s");
    }

    #[test]
    fn nothing_is_foretold_from_nothing() {
        let goal = Goal { entries: None, bytes: Some(100) };
        assert_eq!(left(State { entries: 3, bytes: 0 }, goal, 1.0), None);
        assert_eq!(left(State { entries: 3, bytes: 101 }, goal, 1.0), None, "there is more than was thought");
        assert_eq!(rate(State { entries: 3, bytes: 5 }, 0.0), 0);
    }

    #[test]
    fn spans_are_for_people() {
        let said = [0.21, 9.04, 59.0, 61.0, 3600.0, 7260.0].map(span);
        assert_eq!(said, ["0.2 s", "10 s", "59 s", "1:01 min", "1:00 h", "2:01 h"]);
    }

    #[test]
    fn the_ticker_ends_with_the_job() {
        let counter = std::sync::Arc::new(());
        let held = counter.clone();
        let state = move || {
            let () = *held;
            State::default()
        };
        drop(Progress::start(Some(Voice::Lines), "testing", Goal::default(), state));
        assert_eq!(std::sync::Arc::strong_count(&counter), 1, "the ticker has ended");
    }
}
