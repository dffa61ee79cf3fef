//! Who runs commands, what they draw, and how a command ended.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::thread;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::Value;

use crate::Done;
use crate::model::Listed;
use crate::source::HOSTS;

/// One command of this many is killed.
const KILLED: u32 = 4;
const LATEST_KILL: Duration = Duration::from_millis(100);

/// One of those who run commands, and what it draws.
pub(crate) struct Worker {
    pub(crate) number: u64,
    pub(crate) rng: ChaCha20Rng,
    /// What its commands are counted as.
    pub(crate) doing: &'static str,
}

impl Worker {
    pub(crate) fn new(seed: u64, day: u64, number: u64) -> Self {
        let rng = ChaCha20Rng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(day * 16 + number));
        Worker { number, rng, doing: "" }
    }

    pub(crate) fn one_of(&mut self, number: u32) -> bool {
        self.rng.next_u32().is_multiple_of(number)
    }

    pub(crate) fn any<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        all.get((self.rng.next_u32() as usize).checked_rem(all.len())?)
    }

    pub(crate) fn host(&mut self) -> &'static str {
        HOSTS[self.rng.next_u32() as usize % HOSTS.len()]
    }

    /// When it is killed, if it is: mostly early, since most commands take a few milliseconds.
    pub(crate) fn moment(&mut self) -> Option<Duration> {
        let part = f64::from(self.rng.next_u32()) / f64::from(u32::MAX);
        self.one_of(KILLED).then_some(LATEST_KILL.mul_f64(part.powi(3)))
    }

    /// A moment while another command begins.
    pub(crate) fn wait(&mut self) {
        thread::sleep(Duration::from_micros(u64::from(self.rng.next_u32() % 20_000)));
    }

    pub(crate) fn shuffle<T>(&mut self, all: &mut [T]) {
        for at in (1..all.len()).rev() {
            all.swap(at, self.rng.next_u32() as usize % (at + 1));
        }
    }
}

/// How a command ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// The JSON lines on standard output.
    pub(crate) said: Vec<Value>,
    /// What is on standard error.
    pub(crate) complained: String,
}

impl Ended {
    pub(crate) fn is_killed(&self) -> bool {
        self.status.signal() == Some(9)
    }

    pub(crate) fn lines(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.said.iter().filter(move |said| said["message_type"] == kind)
    }

    /// Nothing in what it said is about damage.
    pub(crate) fn is_calm(&self) -> bool {
        let alarms = ["damage", "lost", "warning"].into_iter().flat_map(|kind| self.lines(kind)).count();
        alarms == 0 && !self.complained.contains("damage")
    }

    pub(crate) fn unexpected<T>(&self, what: &str) -> Done<T> {
        let said: Vec<String> = self.said.iter().map(Value::to_string).collect();
        Err(format!("{what}: {}\n{}\n{}", self.status, said.join("\n"), self.complained))
    }

    pub(crate) fn listed(&self, kind: &str) -> Done<Vec<Listed>> {
        self.lines(kind).map(Listed::of).collect()
    }
}
