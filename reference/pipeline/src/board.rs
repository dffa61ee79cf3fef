//! The board on which work lies between two stages.

use std::collections::{BTreeMap, VecDeque};

use crate::sync::{Condvar, Mutex, into_inner, lock, wait};
use crate::{Seats, Stages};

/// What a thread does next. A seat in it is taken until it is given back.
pub(crate) enum Job<S: Stages> {
    Append { appender: S::Appender, sealed: S::Sealed },
    Sequence { sequencer: S::Sequencer, read: S::Read },
    Finish { sequencer: S::Sequencer },
    Seal { number: u64, group: S::Group },
    Plan { planner: S::Planner, number: u64 },
}

/// What may be planted in a board, so that the interleavings are seen to find it.
#[cfg(loom)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The appender takes what was sealed first, not what comes next.
    TakesAnySealed,
    /// The sequencer takes what was read first, not what was planned first.
    TakesAnyRead,
    /// A thread that was away waits without a look at what changed meanwhile.
    WaitsUnseeing,
    /// Nobody who waits is told of a change.
    WakesNobody,
}

struct State<S: Stages> {
    #[cfg(loom)]
    fault: Option<Fault>,
    planner: Option<S::Planner>,
    sequencer: Option<S::Sequencer>,
    appender: Option<S::Appender>,
    /// How much was planned; how much of it was sequenced.
    planned: u64,
    sequenced: u64,
    /// The plan has ended.
    ended: bool,
    finished: bool,
    read: BTreeMap<u64, S::Read>,
    /// How many groups there were; how many of them are in the archive.
    grouped: u64,
    appended: u64,
    groups: VecDeque<(u64, S::Group)>,
    sealed: BTreeMap<u64, S::Sealed>,
    failed: Option<S::Error>,
    abandoned: bool,
}

impl<S: Stages> State<S> {
    fn over(&self) -> bool {
        self.abandoned || self.failed.is_some() || (self.finished && self.appended == self.grouped)
    }

    /// The job that brings what is furthest on one step further: that keeps the least in memory.
    fn choose(&mut self, threads: u64) -> Option<Job<S>> {
        if self.appender.is_some()
            && let Some(sealed) = self.next_sealed()
            && let Some(appender) = self.appender.take()
        {
            return Some(Job::Append { appender, sealed });
        }
        // Groups in the making are bounded where they come into being.
        if self.grouped - self.appended <= 2 * threads {
            if self.sequencer.is_some()
                && let Some(read) = self.next_read()
                && let Some(sequencer) = self.sequencer.take()
            {
                return Some(Job::Sequence { sequencer, read });
            }
            if self.ended
                && !self.finished
                && self.sequenced == self.planned
                && let Some(sequencer) = self.sequencer.take()
            {
                return Some(Job::Finish { sequencer });
            }
        }
        if let Some((number, group)) = self.groups.pop_front() {
            return Some(Job::Seal { number, group });
        }
        if !self.ended
            && self.planned - self.sequenced < threads + 2
            && let Some(planner) = self.planner.take()
        {
            return Some(Job::Plan { planner, number: self.planned });
        }
        None
    }

    fn next_sealed(&mut self) -> Option<S::Sealed> {
        #[cfg(loom)]
        if self.fault == Some(Fault::TakesAnySealed) {
            return self.sealed.pop_first().map(|(_, sealed)| sealed);
        }
        self.sealed.remove(&self.appended)
    }

    fn next_read(&mut self) -> Option<S::Read> {
        #[cfg(loom)]
        if self.fault == Some(Fault::TakesAnyRead) {
            return self.read.pop_first().map(|(_, read)| read);
        }
        self.read.remove(&self.sequenced)
    }

    fn add_groups(&mut self, groups: Vec<S::Group>) {
        for group in groups {
            self.groups.push_back((self.grouped, group));
            self.grouped += 1;
        }
    }
}

/// What lies between the stages, and who sits where.
pub(crate) struct Board<S: Stages> {
    state: Mutex<State<S>>,
    changed: Condvar,
    threads: u64,
}

impl<S: Stages> Board<S> {
    pub(crate) fn new(seats: Seats<S>, threads: usize) -> Self {
        let state = State {
            #[cfg(loom)]
            fault: None,
            planner: Some(seats.planner),
            sequencer: Some(seats.sequencer),
            appender: Some(seats.appender),
            planned: 0,
            sequenced: 0,
            ended: false,
            finished: false,
            read: BTreeMap::new(),
            grouped: 0,
            appended: 0,
            groups: VecDeque::new(),
            sealed: BTreeMap::new(),
            failed: None,
            abandoned: false,
        };
        Board { state: Mutex::new(state), changed: Condvar::new(), threads: threads as u64 }
    }

    #[cfg(all(test, loom))]
    pub(crate) fn with_fault(self, fault: Option<Fault>) -> Self {
        lock(&self.state).fault = fault;
        self
    }

    /// Waits for the next job; none when the run is over. While there is none, `prepare` is called for as long as it finds
    /// something to do.
    pub(crate) fn take(&self, prepare: impl Fn() -> bool) -> Option<Job<S>> {
        let mut state = lock(&self.state);
        let mut idle = false;
        loop {
            if state.over() {
                return None;
            }
            if let Some(job) = state.choose(self.threads) {
                return Some(job);
            }
            // The board is looked at once more before it is waited for: meanwhile somebody may have called, and nobody heard.
            if idle {
                state = wait(&self.changed, state);
                idle = false;
            } else {
                drop(state);
                idle = !prepare();
                state = lock(&self.state);
                #[cfg(loom)]
                if state.fault == Some(Fault::WaitsUnseeing) {
                    state = wait(&self.changed, state);
                }
            }
        }
    }

    fn change<T>(&self, act: impl FnOnce(&mut State<S>) -> T) -> T {
        let mut state = lock(&self.state);
        let result = act(&mut state);
        #[cfg(loom)]
        if state.fault == Some(Fault::WakesNobody) {
            return result;
        }
        drop(state);
        self.changed.notify_all();
        result
    }

    /// Gives the planner's seat back; whether there was more to plan, and it is to be read.
    pub(crate) fn planned(&self, planner: S::Planner, more: bool) -> bool {
        self.change(|state| {
            state.planner = Some(planner);
            state.planned += u64::from(more);
            state.ended |= !more;
            more && !state.over()
        })
    }

    pub(crate) fn read(&self, number: u64, read: S::Read) {
        self.change(|state| state.read.insert(number, read));
    }

    pub(crate) fn sequenced(&self, sequencer: S::Sequencer, groups: Vec<S::Group>) {
        self.change(|state| {
            state.sequencer = Some(sequencer);
            state.sequenced += 1;
            state.add_groups(groups);
        });
    }

    pub(crate) fn finished(&self, sequencer: S::Sequencer, groups: Vec<S::Group>) {
        self.change(|state| {
            state.sequencer = Some(sequencer);
            state.finished = true;
            state.add_groups(groups);
        });
    }

    pub(crate) fn sealed(&self, number: u64, sealed: S::Sealed) {
        self.change(|state| state.sealed.insert(number, sealed));
    }

    pub(crate) fn appended(&self, appender: S::Appender) {
        self.change(|state| {
            state.appender = Some(appender);
            state.appended += 1;
        });
    }

    /// Ends the run with an error; the first one counts.
    pub(crate) fn fail(&self, error: S::Error) {
        self.change(|state| {
            state.failed.get_or_insert(error);
        });
    }

    /// Ends the run because a thread panicked.
    pub(crate) fn abandon(&self) {
        self.change(|state| state.abandoned = true);
    }

    /// The seats, after all threads have ended.
    pub(crate) fn into_seats(self) -> Result<Seats<S>, S::Error> {
        let state = into_inner(self.state);
        if let Some(error) = state.failed {
            return Err(error);
        }
        match (state.planner, state.sequencer, state.appender) {
            (Some(planner), Some(sequencer), Some(appender)) => Ok(Seats { planner, sequencer, appender }),
            _ => unreachable!("every seat is given back unless a stage failed"),
        }
    }
}
