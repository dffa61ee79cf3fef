//! Every store against an ordered map.

use bailee_core::store::{
    BATCH_BYTES, Batch, NAME_BYTES, NotApplied, RECORD_BYTES, Read, Record, Store, StoreFailed,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::subjects::{Memory, Records, Redb, RedbFile, Subject, change, changes_alone, contents};

#[derive(Clone, Debug)]
enum Act {
    /// Changes, and which names are expected to be as they are; or else, to be as they are not.
    Apply {
        changes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
        expects: Vec<Vec<u8>>,
        wrong: Option<Vec<u8>>,
    },
    Get(Vec<u8>),
    Scan(Vec<u8>, Vec<u8>, usize),
    Restart,
}

/// Few letters, so that names meet and begin alike.
fn name() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(vec![0, 1, b'a', 0xff]), 0..4)
}

fn act() -> impl Strategy<Value = Act> {
    let record = prop_oneof![8 => prop::collection::vec(any::<u8>(), 0..9), 1 => (4_000..9_000_usize).prop_map(|n| vec![7; n])];
    let changes = prop::collection::vec((name(), prop::option::weighted(0.7, record)), 0..5);
    let apply = (changes, prop::collection::vec(name(), 0..3), prop::option::weighted(0.2, name()));
    prop_oneof![
        8 => apply.prop_map(|(changes, expects, wrong)| Act::Apply { changes, expects, wrong }),
        2 => name().prop_map(Act::Get),
        4 => (name(), name(), 0..6_usize).prop_map(|(prefix, from, limit)| Act::Scan(prefix, from, limit)),
        1 => Just(Act::Restart),
    ]
}

fn batch(
    records: &Records,
    changes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    expects: Vec<Vec<u8>>,
    wrong: Option<&[u8]>,
) -> Batch {
    let mut batch = Batch::default();
    for (name, record) in changes {
        match record {
            Some(record) => batch.put(name, record),
            None => batch.remove(name),
        }
    }
    let read = |name: &[u8]| records.get(name).map(|record| Record::from(record.as_slice()));
    for name in expects {
        let found = read(&name);
        batch.expect(name, found);
    }
    if let Some(name) = wrong {
        let other = if read(name).is_some() { None } else { Some(Record::from(&b"absent"[..])) };
        batch.expect(name, other);
    }
    batch
}

fn follow<T: Subject>(acts: Vec<Act>) -> Result<(), TestCaseError> {
    let (mut subject, mut records) = (T::fresh(), Records::new());
    for act in acts {
        let mut store = subject.handle();
        match act {
            Act::Apply { changes, expects, wrong } => {
                let batch = batch(&records, changes, expects, wrong.as_deref());
                match wrong {
                    Some(name) => prop_assert_eq!(store.apply(&batch), Err(NotApplied::Conflict { name })),
                    None => {
                        prop_assert_eq!(store.apply(&batch), Ok(()));
                        change(&mut records, &batch);
                    }
                }
            }
            Act::Get(name) => {
                let found = store.get(&name).unwrap();
                prop_assert_eq!(found.as_deref(), records.get(&name).map(Vec::as_slice));
            }
            Act::Scan(prefix, from, limit) => {
                let found = store.scan(&prefix, &from, limit).unwrap();
                let found: Vec<_> = found.iter().map(|(name, record)| (name.as_slice(), &record[..])).collect();
                let all = records.iter().filter(|(name, _)| name.starts_with(&prefix) && **name >= from);
                let meant: Vec<_> =
                    all.take(limit).map(|(name, record)| (name.as_slice(), record.as_slice())).collect();
                prop_assert_eq!(found, meant);
            }
            Act::Restart => {
                drop(store);
                subject = subject.restarted();
            }
        }
    }
    prop_assert_eq!(contents(&subject.restarted().handle()).unwrap(), records);
    Ok(())
}

fn agrees<T: Subject>() -> Result<(), String> {
    let config = Config { cases: 400, failure_persistence: None, ..Config::default() };
    let acts = prop::collection::vec(act(), 0..40);
    TestRunner::new(config).run(&acts, follow::<T>).map_err(|error| error.to_string())
}

#[test]
fn memory_agrees_with_a_map() {
    agrees::<Memory>().unwrap();
}

#[test]
fn redb_agrees_with_a_map() {
    agrees::<Redb>().unwrap();
}

/// Wrong stores: one fault each.
struct Wrong<const FAULT: u8>(Memory);

const PREFIX_ALONE: u8 = 0;
const FROM_AFTER: u8 = 1;
const ONE_TOO_MANY: u8 = 2;
const KEEPS_REMOVED: u8 = 3;
const IGNORES_EXPECTS: u8 = 4;
const FORGETS: u8 = 5;

impl<const FAULT: u8> Read for Wrong<FAULT> {
    fn get(&self, name: &[u8]) -> Result<Option<Record>, StoreFailed> {
        self.0.get(name)
    }

    fn scan(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, Record)>, StoreFailed> {
        match FAULT {
            PREFIX_ALONE if !prefix.is_empty() => self.0.scan(prefix, b"", limit),
            FROM_AFTER => self.0.scan(prefix, &[from, &[0]].concat(), limit),
            ONE_TOO_MANY => self.0.scan(prefix, from, limit + 1),
            _ => self.0.scan(prefix, from, limit),
        }
    }
}

impl<const FAULT: u8> Store for Wrong<FAULT> {
    fn apply(&mut self, batch: &Batch) -> Result<(), NotApplied> {
        match FAULT {
            KEEPS_REMOVED if batch.changes().any(|(_, record)| record.is_none()) => Ok(()),
            IGNORES_EXPECTS => self.0.apply(&changes_alone(batch)),
            _ => self.0.apply(batch),
        }
    }
}

impl<const FAULT: u8> Subject for Wrong<FAULT> {
    type Handle = Self;

    fn fresh() -> Self {
        Wrong(Memory::fresh())
    }

    fn handle(&self) -> Self {
        Wrong(self.0.handle())
    }

    fn restarted(self) -> Self {
        if FAULT == FORGETS { Self::fresh() } else { Wrong(self.0.restarted()) }
    }
}

#[test]
fn a_wrong_store_is_seen_not_to_agree() {
    assert!(agrees::<Wrong<PREFIX_ALONE>>().is_err());
    assert!(agrees::<Wrong<FROM_AFTER>>().is_err());
    assert!(agrees::<Wrong<ONE_TOO_MANY>>().is_err());
    assert!(agrees::<Wrong<KEEPS_REMOVED>>().is_err());
    assert!(agrees::<Wrong<IGNORES_EXPECTS>>().is_err());
    assert!(agrees::<Wrong<FORGETS>>().is_err());
}

/// What is over a limit is refused and changes nothing; what is at it is taken.
fn limits<T: Subject>() {
    let subject = T::fresh();
    let mut store = subject.handle();
    let large: Record = vec![5; RECORD_BYTES].into();
    let mut three = Batch::default();
    (0..3_u8).for_each(|at| three.put([at], large.clone()));
    three.put([b'n'; NAME_BYTES], vec![5; BATCH_BYTES - 3 * (RECORD_BYTES + 1) - NAME_BYTES - 2]);
    three.put("", vec![]);
    let mut over = three.clone();
    over.put("one", vec![]);
    let mut tell = |batch: &Batch| match store.apply(batch) {
        Err(NotApplied::Failed(failed)) => failed.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(tell(&over), format!("a batch has {} bytes, the limit is {BATCH_BYTES}", BATCH_BYTES + 1));
    let (mut name, mut record) = (Batch::default(), Batch::default());
    name.put([b'n'; NAME_BYTES + 1], vec![]);
    record.put("large", vec![0; RECORD_BYTES + 1]);
    assert!(tell(&name).contains("the name \"nnnn") && tell(&record).contains("record \"large\" has 16777217 bytes"));
    assert!(contents(&store).unwrap().is_empty());
    store.apply(&three).unwrap();
    drop(store);
    let mut found = subject.restarted().handle().scan(b"", b"", 9).unwrap();
    assert_eq!(found.len(), 5);
    assert_eq!(found.remove(1).1, large);
}

#[test]
fn limits_hold_in_memory() {
    limits::<Memory>();
}

#[test]
fn limits_hold_in_redb() {
    limits::<RedbFile>();
}
