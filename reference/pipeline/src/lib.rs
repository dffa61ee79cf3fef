//! The hand-over between threads of the block path.
//!
//! ```text
//! plan → read → sequence → seal → append
//!  one   many     one      many     one      thread at a time
//! ```
//!
//! The stages of which there is one are *seats*: whoever takes a seat works there, in order; no thread owns one. The work in
//! between is parallel. What is sequenced and what is appended comes in the order of planning, whatever the number of threads,
//! so that the result does not depend on it. No thread is bound to a stage: with one thread all of it runs in turn.
//!
//! Planning may be slow, and there is one planner: what it will ask for lies [`Ahead`], where threads without a job prepare it.
//!
//! This crate knows nothing of archives and depends on nothing, so that loom can try its interleavings.

mod ahead;
mod board;
#[cfg(all(test, loom))]
mod interleavings;
mod sync;
#[cfg(all(test, not(loom)))]
mod tests;

pub use ahead::{Ahead, Survey};
use board::{Board, Job};

/// What the stages do. A stage with a seat gets it by `&mut`; the others may run on many threads at once.
pub trait Stages: Sync {
    /// The seat of planning.
    type Planner: Send;
    /// The seat of sequencing.
    type Sequencer: Send;
    /// The seat of appending.
    type Appender: Send;
    /// What one thread keeps from one piece of work to the next.
    type Worker;
    /// Planned work.
    type Plan: Send;
    /// Work that was read.
    type Read: Send;
    /// A group that is to be sealed.
    type Group: Send;
    /// A sealed group.
    type Sealed: Send;
    /// Why it ends early.
    type Error: Send;

    /// What a thread begins with.
    ///
    /// # Errors
    /// Whatever ends the run.
    fn worker(&self) -> Result<Self::Worker, Self::Error>;

    /// The next work; none at the end.
    ///
    /// # Errors
    /// Whatever ends the run.
    fn plan(&self, planner: &mut Self::Planner) -> Result<Option<Self::Plan>, Self::Error>;

    /// Reads planned work. It may wait for work that was planned earlier, never for later.
    ///
    /// # Errors
    /// Whatever ends the run.
    fn read(&self, worker: &mut Self::Worker, plan: Self::Plan) -> Result<Self::Read, Self::Error>;

    /// Puts what was read in order: groups that are complete go into `groups`.
    ///
    /// # Errors
    /// Whatever ends the run.
    fn sequence(
        &self,
        sequencer: &mut Self::Sequencer,
        read: Self::Read,
        groups: &mut Vec<Self::Group>,
    ) -> Result<(), Self::Error>;

    /// After the last work: the groups that are not full go into `groups`.
    ///
    /// # Errors
    /// Whatever ends the run.
    fn finish(&self, sequencer: &mut Self::Sequencer, groups: &mut Vec<Self::Group>) -> Result<(), Self::Error>;

    /// Seals a group.
    ///
    /// # Errors
    /// Whatever ends the run.
    fn seal(&self, worker: &mut Self::Worker, group: Self::Group) -> Result<Self::Sealed, Self::Error>;

    /// Appends a sealed group, in the order of groups.
    ///
    /// # Errors
    /// Whatever ends the run.
    fn append(&self, appender: &mut Self::Appender, sealed: Self::Sealed) -> Result<(), Self::Error>;

    /// Does a little of what planning will need, and says whether there was anything to do. A thread without a job calls it,
    /// also while another one plans. It should return soon: its thread sees no job meanwhile.
    fn prepare(&self) -> bool {
        false
    }
}

/// The seats, before a run and after it.
pub struct Seats<S: Stages> {
    /// Plans.
    pub planner: S::Planner,
    /// Sequences.
    pub sequencer: S::Sequencer,
    /// Appends.
    pub appender: S::Appender,
}

/// Ends the run for the others if a thread panics: they would wait for its work.
struct Guard<'a, S: Stages>(&'a Board<S>);

impl<S: Stages> Drop for Guard<'_, S> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.abandon();
        }
    }
}

/// Takes jobs until there are none.
fn work<S: Stages>(stages: &S, board: &Board<S>) {
    let _guard = Guard(board);
    let done = stages.worker().and_then(|mut worker| {
        while let Some(job) = board.take(|| stages.prepare()) {
            run_job(stages, board, &mut worker, job)?;
        }
        Ok(())
    });
    if let Err(error) = done {
        board.fail(error);
    }
}

fn run_job<S: Stages>(stages: &S, board: &Board<S>, worker: &mut S::Worker, job: Job<S>) -> Result<(), S::Error> {
    match job {
        Job::Append { mut appender, sealed } => {
            stages.append(&mut appender, sealed)?;
            board.appended(appender);
        }
        Job::Sequence { mut sequencer, read } => {
            let mut groups = Vec::new();
            stages.sequence(&mut sequencer, read, &mut groups)?;
            board.sequenced(sequencer, groups);
        }
        Job::Finish { mut sequencer } => {
            let mut groups = Vec::new();
            stages.finish(&mut sequencer, &mut groups)?;
            board.finished(sequencer, groups);
        }
        Job::Seal { number, group } => {
            let sealed = stages.seal(worker, group)?;
            board.sealed(number, sealed);
        }
        Job::Plan { mut planner, number } => {
            let plan = stages.plan(&mut planner)?;
            let more = board.planned(planner, plan.is_some());
            if let (Some(plan), true) = (plan, more) {
                let read = stages.read(worker, plan)?;
                board.read(number, read);
            }
        }
    }
    Ok(())
}

/// Runs the stages on so many threads, the calling one among them, and returns the seats.
///
/// At most `threads + 2` pieces of work are between planning and sequencing, and about twice as many groups between
/// sequencing and appending: that bounds the memory, but for what lies ahead of planning.
///
/// # Errors
/// The first error of a stage; the seats are lost then.
///
/// # Panics
/// If a stage panics.
pub fn run<S: Stages>(stages: &S, seats: Seats<S>, threads: usize) -> Result<Seats<S>, S::Error> {
    let threads = threads.max(1);
    let board = Board::new(seats, threads);
    sync::scope(threads - 1, || work(stages, &board), || work(stages, &board));
    board.into_seats()
}
