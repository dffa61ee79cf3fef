use loom::sync::{Arc, Mutex};
use loom::thread;

use super::{check, said, waits_for_ever};
use crate::board::{Board, Fault};
use crate::{Seats, Stages, work};

/// Passes numbers through; groups are single numbers, and may fail when they are sealed.
struct Passing {
    until: u64,
    fails: bool,
    /// How much there is to prepare.
    ahead: Mutex<u64>,
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

    fn prepare(&self) -> bool {
        let mut ahead = self.ahead.lock().unwrap();
        let any = *ahead > 0;
        *ahead = ahead.saturating_sub(1);
        any
    }
}

fn two_threads(until: u64, fails: bool, fault: Option<Fault>) {
    check(move || {
        let seats = Seats { planner: 0, sequencer: Vec::new(), appender: Vec::new() };
        let passing = Passing { until, fails, ahead: Mutex::new(1) };
        let shared = Arc::new((passing, Board::<Passing>::new(seats, 2).with_fault(fault)));
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
    two_threads(2, false, None);
}

#[test]
fn an_error_ends_both_threads() {
    two_threads(1, true, None);
}

#[test]
fn loom_finds_what_is_sealed_and_appended_out_of_order() {
    let said = said(|| two_threads(2, false, Some(Fault::TakesAnySealed)));
    assert!(said.contains("seats.appender == expected"), "{said}");
}

#[test]
fn loom_finds_what_is_read_and_sequenced_out_of_order() {
    let said = said(|| two_threads(2, false, Some(Fault::TakesAnyRead)));
    assert!(said.contains("seats.appender == expected"), "{said}");
}

#[test]
fn loom_finds_a_thread_that_waits_for_what_was_there_before() {
    let name = "interleavings::board::loom_finds_a_thread_that_waits_for_what_was_there_before";
    waits_for_ever(name, || two_threads(2, false, Some(Fault::WaitsUnseeing)));
}

#[test]
fn loom_finds_a_change_of_which_nobody_is_told() {
    let name = "interleavings::board::loom_finds_a_change_of_which_nobody_is_told";
    waits_for_ever(name, || two_threads(2, false, Some(Fault::WakesNobody)));
}
