//! The way ahead of a plan: what is listed in order, and looked at in any.

use std::collections::VecDeque;

use crate::sync::{Condvar, Mutex, MutexGuard, lock, wait};

/// What is done ahead of a plan.
pub trait Survey: Sync {
    /// The seat of listing.
    type Scout: Send;
    /// What was listed at once.
    type Listed: Send;
    /// The same after a look at it.
    type Looked: Send;

    /// Lists what comes next; none at the end. One thread at a time.
    fn list(&self, scout: &mut Self::Scout) -> Option<Self::Listed>;

    /// Looks at what was listed. Many threads at once, in any order.
    fn look(&self, listed: Self::Listed) -> Self::Looked;
}

/// What may be planted in a way ahead, so that the interleavings are seen to find it.
#[cfg(loom)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The end is seen when all is listed, though somebody is still looking.
    EndsWhileAway,
    /// Nobody who waits is told of a change.
    WakesNobody,
}

enum Batch<S: Survey> {
    Listed(S::Listed),
    /// Somebody is looking at it.
    Away,
    Looked(S::Looked),
}

/// What a thread does next.
enum Step<S: Survey> {
    List(S::Scout),
    Look { number: u64, listed: S::Listed },
}

struct State<S: Survey> {
    #[cfg(loom)]
    fault: Option<Fault>,
    /// None while somebody lists with it.
    scout: Option<S::Scout>,
    /// Everything is listed.
    ended: bool,
    /// A thread panicked: nobody waits for what it was to bring.
    lost: bool,
    /// A thread that prepares waits for the scout.
    waits: bool,
    batches: VecDeque<Batch<S>>,
    /// The number of the first of the batches.
    first: u64,
    /// How many batches there may be.
    most: usize,
}

impl<S: Survey> State<S> {
    fn choose(&mut self) -> Option<Step<S>> {
        for (number, batch) in (self.first..).zip(&mut self.batches) {
            match std::mem::replace(batch, Batch::Away) {
                Batch::Listed(listed) => return Some(Step::Look { number, listed }),
                other => *batch = other,
            }
        }
        if self.has_room() { self.scout.take().map(Step::List) } else { None }
    }

    fn has_room(&self) -> bool {
        !self.ended && self.batches.len() < self.most
    }

    /// The first batch, if somebody looked at it.
    fn pop(&mut self) -> Option<S::Looked> {
        match self.batches.pop_front()? {
            Batch::Looked(looked) => {
                self.first += 1;
                Some(looked)
            }
            other => {
                self.batches.push_front(other);
                None
            }
        }
    }

    fn over(&self) -> bool {
        #[cfg(loom)]
        if self.fault == Some(Fault::EndsWhileAway) {
            return self.ended;
        }
        self.ended && self.batches.is_empty()
    }
}

/// What lies ahead of a plan. Whoever plans asks for the next; threads that have nothing else to do go ahead by [`Ahead::prepare`],
/// and what none of them did is done when it is asked for.
pub struct Ahead<S: Survey> {
    survey: S,
    state: Mutex<State<S>>,
    changed: Condvar,
}

/// Tells those who wait if a step panics.
struct Guard<'a, S: Survey>(&'a Ahead<S>);

impl<S: Survey> Drop for Guard<'_, S> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            drop(self.0.change(|state| state.lost = true));
        }
    }
}

impl<S: Survey> Ahead<S> {
    /// Begins with a scout, and goes so many batches ahead at most.
    pub fn new(survey: S, scout: S::Scout, most: usize) -> Self {
        let state = State {
            #[cfg(loom)]
            fault: None,
            scout: Some(scout),
            ended: false,
            lost: false,
            waits: false,
            batches: VecDeque::new(),
            first: 0,
            most: most.max(1),
        };
        Ahead { survey, state: Mutex::new(state), changed: Condvar::new() }
    }

    #[cfg(all(test, loom))]
    pub(crate) fn with_fault(self, fault: Option<Fault>) -> Self {
        lock(&self.state).fault = fault;
        self
    }

    /// The next, in the order in which it was listed; none at the end. One thread at a time asks.
    ///
    /// # Panics
    /// If a thread panicked that had gone ahead.
    pub fn next(&self) -> Option<S::Looked> {
        let mut state = lock(&self.state);
        loop {
            if let Some(looked) = state.pop() {
                return Some(looked);
            }
            assert!(!state.lost, "a thread panicked that had gone ahead");
            if state.over() {
                return None;
            }
            state = match state.choose() {
                Some(step) => self.take(step, state),
                None => wait(&self.changed, state),
            };
        }
    }

    /// Goes one step ahead, and says whether there was one to go. While another thread lists, one waits for what that brings;
    /// not more, since whoever waits here does nothing else.
    pub fn prepare(&self) -> bool {
        let mut state = lock(&self.state);
        loop {
            if let Some(step) = state.choose() {
                drop(self.take(step, state));
                return true;
            }
            if state.lost || !state.has_room() || state.waits {
                return false;
            }
            state.waits = true;
            state = wait(&self.changed, state);
            state.waits = false;
        }
    }

    /// Takes a step while others may look at the state.
    fn take<'a>(&'a self, step: Step<S>, state: MutexGuard<'a, State<S>>) -> MutexGuard<'a, State<S>> {
        drop(state);
        let _guard = Guard(self);
        match step {
            Step::List(mut scout) => {
                let listed = self.survey.list(&mut scout).map(Batch::Listed);
                self.change(|state| {
                    state.scout = Some(scout);
                    state.ended = listed.is_none();
                    state.batches.extend(listed);
                })
            }
            Step::Look { number, listed } => {
                let looked = Batch::Looked(self.survey.look(listed));
                // Batches leave only from the front, and only looked at: this one is still there.
                self.change(|state| state.batches[(number - state.first) as usize] = looked)
            }
        }
    }

    fn change(&self, act: impl FnOnce(&mut State<S>)) -> MutexGuard<'_, State<S>> {
        let mut state = lock(&self.state);
        act(&mut state);
        #[cfg(loom)]
        if state.fault == Some(Fault::WakesNobody) {
            return state;
        }
        self.changed.notify_all();
        state
    }
}
