use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};

use crate::{Ahead, Seats, Stages, Survey, run};

/// Doubles the numbers from 0 on, and keeps what it appends. May fail or panic at one of them.
struct Doubling {
    until: u64,
    fails_at: Option<u64>,
    panics_at: Option<u64>,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
    sealers: Mutex<std::collections::HashSet<std::thread::ThreadId>>,
}

impl Doubling {
    fn new(until: u64) -> Self {
        Doubling {
            until,
            fails_at: None,
            panics_at: None,
            in_flight: AtomicUsize::new(0),
            most_in_flight: AtomicUsize::new(0),
            sealers: Mutex::default(),
        }
    }
}

impl Stages for Doubling {
    type Planner = u64;
    type Sequencer = Vec<u64>;
    type Appender = Vec<u64>;
    type Worker = ();
    type Plan = u64;
    type Read = u64;
    type Group = Vec<u64>;
    type Sealed = Vec<u64>;
    type Error = String;

    fn worker(&self) -> Result<(), String> {
        Ok(())
    }

    fn plan(&self, next: &mut u64) -> Result<Option<u64>, String> {
        let planned = *next;
        *next += 1;
        let now = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_in_flight.fetch_max(now, Ordering::SeqCst);
        Ok((planned < self.until).then_some(planned))
    }

    fn read(&self, (): &mut (), plan: u64) -> Result<u64, String> {
        assert!(self.panics_at != Some(plan), "a stage panics");
        Ok(plan * 2)
    }

    fn sequence(&self, waiting: &mut Vec<u64>, read: u64, groups: &mut Vec<Vec<u64>>) -> Result<(), String> {
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        waiting.push(read);
        if waiting.len() == 3 {
            groups.push(std::mem::take(waiting));
        }
        Ok(())
    }

    fn finish(&self, waiting: &mut Vec<u64>, groups: &mut Vec<Vec<u64>>) -> Result<(), String> {
        groups.push(std::mem::take(waiting));
        Ok(())
    }

    fn seal(&self, (): &mut (), group: Vec<u64>) -> Result<Vec<u64>, String> {
        self.sealers.lock().unwrap().insert(std::thread::current().id());
        std::thread::sleep(std::time::Duration::from_micros(group.first().map_or(0, |first| first * 7 % 50)));
        Ok(group)
    }

    fn append(&self, appended: &mut Vec<u64>, sealed: Vec<u64>) -> Result<(), String> {
        match self.fails_at {
            Some(number) if sealed.contains(&(number * 2)) => Err(format!("no room for {number}")),
            _ => {
                appended.extend(sealed);
                Ok(())
            }
        }
    }
}

fn seats() -> Seats<Doubling> {
    Seats { planner: 0, sequencer: Vec::new(), appender: Vec::new() }
}

#[test]
fn everything_comes_out_in_order_on_any_number_of_threads() {
    for threads in [0, 1, 2, 3, 8] {
        for until in [0, 1, 2, 3, 100] {
            let stages = Doubling::new(until);
            let done = run(&stages, seats(), threads).map(|seats| seats.appender);
            assert_eq!(done, Ok((0..until).map(|n| n * 2).collect()), "{threads} threads");
            // One more than are between planning and sequencing: the plan that ends is counted too.
            assert!(stages.most_in_flight.into_inner() <= threads.max(1) + 3);
        }
    }
}

#[test]
fn threads_share_the_work() {
    let stages = Doubling::new(2000);
    run(&stages, seats(), 4).map(|_| ()).unwrap();
    assert!(stages.sealers.into_inner().unwrap().len() > 1);
}

#[test]
fn the_first_error_ends_it() {
    for threads in [1, 4] {
        let stages = Doubling { fails_at: Some(50), ..Doubling::new(1000) };
        assert_eq!(run(&stages, seats(), threads).map(|seats| seats.appender), Err("no room for 50".into()));
    }
}

/// The threads that wait for the one that panicked are not left waiting.
#[test]
fn a_panic_ends_it() {
    let stages = Doubling { panics_at: Some(70), ..Doubling::new(1000) };
    let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&stages, seats(), 3).map(|_| ())));
    assert!(run.is_err());
}

/// Lists the numbers from 0 on, and may panic at a look at one of them.
struct Counting {
    panics_at: Option<u64>,
}

impl Survey for Counting {
    type Scout = std::ops::Range<u64>;
    type Listed = u64;
    type Looked = u64;

    fn list(&self, scout: &mut Self::Scout) -> Option<u64> {
        scout.next()
    }

    fn look(&self, listed: u64) -> u64 {
        assert!(self.panics_at != Some(listed), "a look panics");
        std::thread::sleep(std::time::Duration::from_micros(listed * 7 % 50));
        listed * 2
    }
}

fn all_ahead(counting: &Ahead<Counting>, taken: impl Fn() + Sync, others: usize) -> Vec<u64> {
    std::thread::scope(|scope| {
        for _ in 0..others {
            scope.spawn(|| while counting.prepare() {});
        }
        std::iter::from_fn(|| counting.next().inspect(|_| taken())).collect()
    })
}

#[test]
fn what_lies_ahead_comes_in_order_whoever_looked_at_it() {
    for others in [0, 1, 3] {
        for until in [0, 1, 2, 300] {
            let ahead = Ahead::new(Counting { panics_at: None }, 0..until, 4);
            let seen = all_ahead(&ahead, || {}, others);
            assert_eq!(seen, (0..until).map(|n| n * 2).collect::<Vec<_>>(), "{others} others");
            assert_eq!(ahead.next(), None);
            assert!(!ahead.prepare());
        }
    }
}

#[test]
fn nobody_goes_further_ahead_than_is_allowed() {
    let ahead = Ahead::new(Counting { panics_at: None }, 0..100, 4);
    let mut steps = 0;
    while ahead.prepare() {
        steps += 1;
    }
    assert_eq!(steps, 2 * 4, "each was listed and looked at");
    assert_eq!(ahead.next(), Some(0));
    assert!(ahead.prepare() && ahead.prepare() && !ahead.prepare());
}

/// Lists when it is told to.
struct Slow(Mutex<mpsc::Receiver<()>>, mpsc::Sender<()>);

impl Survey for Slow {
    type Scout = ();
    type Listed = ();
    type Looked = ();

    fn list(&self, (): &mut ()) -> Option<()> {
        self.1.send(()).unwrap();
        self.0.lock().unwrap().recv().ok()
    }

    fn look(&self, (): ()) {}
}

/// Those who wait for a list see no other job: one is enough to go on from it.
#[test]
fn one_thread_waits_for_a_list_and_the_others_do_not() {
    let ((go, told), (began, listing)) = (mpsc::channel(), mpsc::channel());
    let ahead = Ahead::new(Slow(Mutex::new(told), began), (), 4);
    std::thread::scope(|scope| {
        // It goes with this closure, so that nobody is left waiting should it fail.
        let go = go;
        let lists = scope.spawn(|| ahead.prepare());
        listing.recv().unwrap();
        let (done, others) = mpsc::channel();
        for _ in 0..2 {
            let (done, ahead) = (done.clone(), &ahead);
            scope.spawn(move || done.send(ahead.prepare()));
        }
        let minute = std::time::Duration::from_secs(60);
        assert_eq!(others.recv_timeout(minute), Ok(false), "one does not wait");
        assert!(others.try_recv().is_err(), "one waits");
        go.send(()).unwrap();
        assert!(lists.join().unwrap());
        assert_eq!(others.recv_timeout(minute), Ok(true), "it looks at what was listed");
    });
}

/// Whoever waits for what a thread was to bring is not left waiting, and does not take it for the end.
#[test]
fn a_panic_ahead_is_no_end() {
    let ahead = Ahead::new(Counting { panics_at: Some(70) }, 0..1000, 4);
    let seen = Mutex::new(0);
    let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        all_ahead(&ahead, || *seen.lock().unwrap() += 1, 3)
    }));
    assert!(run.is_err());
    assert!(seen.into_inner().unwrap() <= 70);
    // What others looked at may still come, and never an end.
    let rest = std::panic::AssertUnwindSafe(|| while ahead.next().is_some() {});
    assert!(std::panic::catch_unwind(rest).is_err());
}
