//! Two workers of one role: one wins, the other is told which record, and no update is lost.

use bailee_core::store::{Batch, NotApplied, Read, Record, Store};
use bailee_store::RedbStore;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::subjects::{Careless, Memory, Redb, Subject, contents};

/// A worker that adds one to a counter: it reads in one step and writes in the next.
struct Worker<S> {
    store: S,
    read: Option<(u8, Option<Record>)>,
    added: [u64; COUNTERS],
    conflicts: u64,
}

const COUNTERS: usize = 2;

fn count(record: Option<&Record>) -> u64 {
    record.map_or(0, |record| u64::from_be_bytes(record[..].try_into().unwrap()))
}

impl<S: Store> Worker<S> {
    fn step(&mut self, counter: u8) -> Result<(), TestCaseError> {
        let Some((counter, read)) = self.read.take() else {
            self.read = Some((counter, self.store.get(&[counter]).unwrap()));
            return Ok(());
        };
        let mut batch = Batch::default();
        batch.put([counter], (count(read.as_ref()) + 1).to_be_bytes().to_vec());
        batch.expect([counter], read);
        match self.store.apply(&batch) {
            Ok(()) => self.added[usize::from(counter)] += 1,
            Err(NotApplied::Conflict { name }) => {
                prop_assert_eq!(name, vec![counter]);
                self.conflicts += 1;
            }
            Err(NotApplied::Failed(failed)) => return Err(TestCaseError::fail(failed.to_string())),
        }
        Ok(())
    }
}

/// A thousand random interleavings of three workers: how many conflicts there were.
fn interleave<T: Subject>() -> Result<u64, String> {
    let steps = prop::collection::vec((0..3_usize, 0..COUNTERS as u8), 0..40);
    let conflicts = std::cell::Cell::new(0);
    let config = Config { cases: 1_000, failure_persistence: None, ..Config::default() };
    let run = TestRunner::new(config).run(&steps, |steps| {
        let subject = T::fresh();
        let worker = |_| Worker { store: subject.handle(), read: None, added: [0; COUNTERS], conflicts: 0 };
        let mut workers: Vec<_> = (0..3).map(worker).collect();
        for (worker, counter) in steps {
            workers[worker].step(counter)?;
        }
        for counter in 0..COUNTERS {
            let added: u64 = workers.iter().map(|worker| worker.added[counter]).sum();
            prop_assert_eq!(
                count(subject.handle().get(&[counter as u8]).unwrap().as_ref()),
                added,
                "an update is lost"
            );
        }
        conflicts.set(conflicts.get() + workers.iter().map(|worker| worker.conflicts).sum::<u64>());
        Ok(())
    });
    run.map(|()| conflicts.get()).map_err(|error| error.to_string())
}

#[test]
fn no_update_is_lost_in_memory() {
    assert!(interleave::<Memory>().unwrap() > 1_000);
}

#[test]
fn no_update_is_lost_in_redb() {
    assert!(interleave::<Redb>().unwrap() > 1_000);
}

#[test]
fn a_store_that_skips_expectations_is_seen_to_lose_updates() {
    assert!(interleave::<Careless<Memory>>().unwrap_err().contains("an update is lost"));
    assert!(interleave::<Careless<Redb>>().unwrap_err().contains("an update is lost"));
}

/// The loser of two is told the name, and nothing of its batch is there.
fn the_second_is_told<T: Subject>() {
    let subject = T::fresh();
    let (mut one, mut two) = (subject.handle(), subject.handle());
    let take = |who: &str| {
        let mut batch = Batch::default();
        batch.expect("free", None);
        batch.expect("owner", None);
        batch.put("owner", who.as_bytes().to_vec());
        batch.put(["by ", who].concat(), b"yes".to_vec());
        batch
    };
    one.apply(&take("one")).unwrap();
    let before = contents(&two).unwrap();
    assert_eq!(two.apply(&take("two")), Err(NotApplied::Conflict { name: b"owner".to_vec() }));
    assert_eq!(contents(&one).unwrap(), before);
    assert_eq!(two.get(b"owner").unwrap().as_deref(), Some(&b"one"[..]));
    // A record that is there where none is expected, and one that is another: both conflict. Expectations alone are checked.
    let mut other = Batch::default();
    other.expect("owner", Some(b"One".as_slice().into()));
    assert_eq!(two.apply(&other), Err(NotApplied::Conflict { name: b"owner".to_vec() }));
    let mut same = Batch::default();
    same.expect("owner", Some(b"one".as_slice().into()));
    two.apply(&same).unwrap();
    let mut gone = Batch::default();
    gone.expect("by two", Some(b"yes".as_slice().into()));
    assert_eq!(two.apply(&gone), Err(NotApplied::Conflict { name: b"by two".to_vec() }));
    assert_eq!(contents(&subject.restarted().handle()).unwrap(), before);
}

#[test]
fn the_second_of_two_is_told_in_memory() {
    the_second_is_told::<Memory>();
}

#[test]
fn the_second_of_two_is_told_in_redb() {
    the_second_is_told::<Redb>();
}

#[test]
fn threads_with_a_handle_each_lose_nothing() {
    const EACH: u64 = 100;
    let folder = tempfile::tempdir().unwrap();
    let store = RedbStore::create(folder.path().join("shared")).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let mut worker = Worker { store: store.clone(), read: None, added: [0; COUNTERS], conflicts: 0 };
            scope.spawn(move || {
                while worker.added[0] < EACH {
                    worker.step(0).unwrap();
                }
            });
        }
    });
    assert_eq!(count(store.get(&[0]).unwrap().as_ref()), 3 * EACH);
}
