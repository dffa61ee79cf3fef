//! The exploration itself.
//!
//! States are kept by *shards*, one a thread, chosen by hash. All threads finish a level before any thread begins the next,
//! and mail between shards is read in a fixed order, so counts, depths, parents and verdicts are the same in every run.

use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Barrier, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::packed::Packed;
use super::shard::{self, First, Mail, Worker};
use super::stopped::{Asked, Stopped, ask};
use super::{Exploration, Key};

/// How to explore.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Keep every transition, for the graph properties. One thread only.
    pub keep_transitions: bool,
    /// Stop at the end of the level that goes over this many states: the result is then `complete: false`, which the checking
    /// door refuses.
    pub limit: Option<usize>,
    /// Threads, and so shards.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { keep_transitions: false, limit: None, threads: 1 }
    }
}

/// A predicate on a state.
pub type Predicate<'a, S> = &'a (dyn Fn(&S) -> bool + Sync);

/// Invariants of steps, judged together: marks those that some action breaks in this state.
pub type StepJudge<'a, S> = &'a (dyn Fn(&S, &mut [bool]) + Sync);

/// What an exploration checks in each state.
pub struct Watch<'a, S> {
    /// Should hold in every state.
    pub invariants: &'a [Predicate<'a, S>],
    /// Should hold in some state.
    pub witnesses: &'a [Predicate<'a, S>],
    /// How many invariants of steps there are, and who judges them: all at once, since what costs is to take the step.
    pub steps: Option<(usize, StepJudge<'a, S>)>,
    /// Is told the states so far, once a level.
    pub progress: Option<&'a (dyn Fn(usize) + Sync)>,
}

impl<S> Default for Watch<'_, S> {
    /// Nothing.
    fn default() -> Self {
        Watch { invariants: &[], witnesses: &[], steps: None, progress: None }
    }
}

/// Visits every reachable state in breadth-first order.
///
/// # Errors
/// When there are more states than an id can count, when a key is wider than the model says, when a thread cannot be
/// started, and when the model or a watcher panics. A panic on any thread ends all of them at the end of the level.
pub fn explore<M>(model: &M, options: Options, watch: &Watch<'_, M::State>) -> Result<Exploration, Stopped>
where
    M: Packed + Sync,
    M::State: Sync,
    M::Action: Debug + Send,
{
    let started = Instant::now();
    let of = if options.keep_transitions { 1 } else { options.threads.max(1) };
    let mut workers = begin(model, of, options.keep_transitions, watch)?;
    let round = Round::new(of, options.limit);
    run(&mut workers, &round)?;
    let first = workers.iter_mut().filter_map(Worker::take_end).min();
    let complete = !round.bounded.into_inner();
    let exploration = gather(workers, complete, started.elapsed());
    match first {
        None => Ok(exploration),
        Some(end) => Err(end.stopped(model, &exploration)),
    }
}

/// The workers, each with its initial states.
fn begin<'a, M: Packed>(
    model: &'a M,
    of: usize,
    keep_transitions: bool,
    watch: &'a Watch<'a, M::State>,
) -> Result<Vec<Worker<'a, M>>, Stopped> {
    let bits = ask(Asked::KeyBits, || model.key_bits())?;
    if bits > Key::BITS {
        return Err(Stopped::WideKey);
    }
    let mut workers: Vec<Worker<'_, M>> =
        (0..of).map(|number| Worker::new(model, watch, number, of, bits, keep_transitions)).collect();
    for state in ask(Asked::InitStates, || model.init_states())? {
        if ask(Asked::WithinBoundary, || model.within_boundary(&state))? {
            let key = ask(Asked::PackState, || model.pack_state(&state))?;
            workers[shard::owner(key, of)].begin(key)?;
        }
    }
    Ok(workers)
}

/// Lets the workers run, each on a thread of its own.
fn run<M>(workers: &mut [Worker<'_, M>], round: &Round) -> Result<(), Stopped>
where
    M: Packed + Sync,
    M::State: Sync,
    M::Action: Debug + Send,
{
    if let [alone] = workers {
        alone.run(round);
        return Ok(());
    }
    std::thread::scope(|scope| {
        // They wait until all are there: a worker would wait for ever for one that could not be started.
        let mut ready = Vec::new();
        for worker in workers {
            let (go, wait) = channel::<()>();
            let body = move || {
                if wait.recv().is_ok() {
                    worker.run(round);
                }
            };
            let spawned = std::thread::Builder::new().spawn_scoped(scope, body);
            spawned.map_err(|error| Stopped::NoThread(error.to_string()))?;
            ready.push(go);
        }
        for go in ready {
            let _ = go.send(());
        }
        Ok(())
    })
}

/// What the workers of one exploration share.
pub(super) struct Round {
    pub(super) barrier: Barrier,
    /// The mail from each worker to each.
    mail: Vec<Vec<Mutex<Mail>>>,
    /// States of the next level, for even and for odd levels.
    ahead: [AtomicUsize; 2],
    pub(super) states: AtomicUsize,
    limit: Option<usize>,
    bounded: AtomicBool,
    /// Whether a worker could not go on.
    pub(super) ended: AtomicBool,
}

impl Round {
    fn new(of: usize, limit: Option<usize>) -> Self {
        let row = || (0..of).map(|_| Mutex::default()).collect();
        Round {
            barrier: Barrier::new(of),
            mail: (0..of).map(|_| row()).collect(),
            ahead: Default::default(),
            states: AtomicUsize::new(0),
            limit,
            bounded: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        }
    }

    pub(super) fn mail(&self, from: usize, to: usize) -> MutexGuard<'_, Mail> {
        self.mail[from][to].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Meets the others at the end of a level. Whether there is another.
    pub(super) fn goes_on(&self, level: usize, ahead: usize) -> bool {
        // All workers have read the last level's counter: they met after that, to exchange mail. None adds to it before this meeting
        // is over.
        self.ahead[(level + 1) % 2].store(0, Ordering::Relaxed);
        self.ahead[level % 2].fetch_add(ahead, Ordering::Relaxed);
        self.states.fetch_add(ahead, Ordering::Relaxed);
        self.barrier.wait();
        // What is read here changes only after the next exchange of mail.
        let more = self.ahead[level % 2].load(Ordering::Relaxed) > 0;
        let over = self.limit.is_some_and(|limit| self.states.load(Ordering::Relaxed) > limit);
        if more && over {
            self.bounded.store(true, Ordering::Relaxed);
        }
        more && !over && !self.ended.load(Ordering::Relaxed)
    }
}

fn gather<M>(workers: Vec<Worker<'_, M>>, complete: bool, elapsed: Duration) -> Exploration
where
    M: Packed,
    M::Action: Debug,
{
    let mut shards = Vec::new();
    let mut graph = None;
    let mut fired = vec![0; 256];
    let mut deadlocks = Vec::new();
    let (mut broken, mut broken_steps, mut witnessed) = (Vec::new(), Vec::new(), Vec::new());
    for worker in workers {
        let found = worker.finish();
        for (sum, count) in fired.iter_mut().zip(&found.fired) {
            *sum += count;
        }
        deadlocks.extend(found.deadlocks);
        graph = found.graph;
        earliest(&mut broken, found.broken);
        earliest(&mut broken_steps, found.broken_steps);
        earliest(&mut witnessed, found.witnessed);
        shards.push(found.shard);
    }
    let ids = |firsts: Vec<Option<First>>| firsts.into_iter().map(|first| first.map(|first| first.id)).collect();
    Exploration {
        shards,
        transitions: fired.iter().sum(),
        graph,
        fired,
        deadlocks,
        broken: ids(broken),
        broken_steps: ids(broken_steps),
        witnessed: ids(witnessed),
        complete,
        elapsed,
    }
}

/// Keeps, place by place, the finding of the earlier level; of one level, the lower id.
fn earliest(all: &mut Vec<Option<First>>, found: Vec<Option<First>>) {
    if all.is_empty() {
        *all = found;
        return;
    }
    for (best, new) in all.iter_mut().zip(found) {
        *best = match (*best, new) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
}
