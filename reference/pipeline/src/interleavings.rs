//! Every interleaving of two threads at the board, by loom.

use loom::sync::Arc;
use loom::thread;

use crate::board::Board;
use crate::{Seats, Stages, work};

/// Passes numbers through; groups are single numbers, and may fail when they are sealed.
struct Passing {
    until: u64,
    fails: bool,
}

impl Stages for Passing {
    type Planner = u64;
    type Sequencer = Vec<u64>;
    type Appender = Vec<u64>;
    type Worker = ();
    type Plan = u64;
    type Read = u64;
    type Group = u64;
    type Sealed = u64;
    type Error = ();

    fn worker(&self) -> Result<(), ()> {
        Ok(())
    }

    fn plan(&self, next: &mut u64) -> Result<Option<u64>, ()> {
        *next += 1;
        Ok((*next <= self.until).then_some(*next))
    }

    fn read(&self, (): &mut (), plan: u64) -> Result<u64, ()> {
        Ok(plan)
    }

    fn sequence(&self, seen: &mut Vec<u64>, read: u64, groups: &mut Vec<u64>) -> Result<(), ()> {
        seen.push(read);
        groups.push(read);
        Ok(())
    }

    fn finish(&self, _: &mut Vec<u64>, groups: &mut Vec<u64>) -> Result<(), ()> {
        groups.push(0);
        Ok(())
    }

    fn seal(&self, (): &mut (), group: u64) -> Result<u64, ()> {
        if self.fails && group == 1 { Err(()) } else { Ok(group) }
    }

    fn append(&self, appended: &mut Vec<u64>, sealed: u64) -> Result<(), ()> {
        appended.push(sealed);
        Ok(())
    }
}

fn two_threads(until: u64, fails: bool) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let seats = Seats { planner: 0, sequencer: Vec::new(), appender: Vec::new() };
        let shared = Arc::new((Passing { until, fails }, Board::<Passing>::new(seats, 2)));
        let other = Arc::clone(&shared);
        let thread = thread::spawn(move || work(&other.0, &other.1));
        work(&shared.0, &shared.1);
        thread.join().unwrap();
        let Ok((_, board)) = Arc::try_unwrap(shared) else { panic!("both threads have ended") };
        match board.into_seats() {
            Ok(seats) => {
                let expected: Vec<u64> = (1..=until).chain([0]).collect();
                assert!(!fails && seats.appender == expected && seats.sequencer == expected[..until as usize]);
            }
            Err(()) => assert!(fails),
        }
    });
}

/// Nothing is lost, doubled or out of order, and nobody waits for ever: loom reports a deadlock.
#[test]
fn all_work_is_done_once_and_in_order() {
    two_threads(2, false);
}

#[test]
fn an_error_ends_both_threads() {
    two_threads(1, true);
}
