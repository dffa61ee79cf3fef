use loom::sync::Arc;
use loom::thread;

use super::{check, said, waits_for_ever};
use crate::ahead::Fault;
use crate::{Ahead, Survey};

/// Lists numbers; who looks at them sees ten times as much.
struct Counting {
    until: u64,
}

impl Survey for Counting {
    type Scout = u64;
    type Listed = u64;
    type Looked = u64;

    fn list(&self, next: &mut u64) -> Option<u64> {
        *next += 1;
        (*next <= self.until).then_some(*next)
    }

    fn look(&self, listed: u64) -> u64 {
        listed * 10
    }
}

fn others_go_ahead(others: usize, until: u64, most: usize, fault: Option<Fault>) {
    check(move || {
        let ahead = Arc::new(Ahead::new(Counting { until }, 0, most).with_fault(fault));
        let other = || {
            let ahead = Arc::clone(&ahead);
            thread::spawn(move || while ahead.prepare() {})
        };
        let threads: Vec<_> = (0..others).map(|_| other()).collect();
        let seen: Vec<u64> = std::iter::from_fn(|| ahead.next()).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let expected: Vec<u64> = (1..=until).map(|number| number * 10).collect();
        assert!(seen == expected);
    });
}

#[test]
fn everything_comes_once_and_in_order() {
    others_go_ahead(1, 3, 2, None);
    others_go_ahead(1, 2, 1, None);
    others_go_ahead(1, 0, 2, None);
    others_go_ahead(2, 1, 1, None);
}

#[test]
fn loom_finds_an_end_that_comes_too_early() {
    let said = said(|| others_go_ahead(1, 2, 2, Some(Fault::EndsWhileAway)));
    assert!(said.contains("seen == expected"), "{said}");
}

#[test]
fn loom_finds_a_change_of_which_nobody_is_told() {
    let name = "interleavings::ahead::loom_finds_a_change_of_which_nobody_is_told";
    waits_for_ever(name, || others_go_ahead(1, 2, 2, Some(Fault::WakesNobody)));
}
