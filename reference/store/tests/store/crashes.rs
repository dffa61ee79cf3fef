//! Power cuts at every write and sync, torn writes, and single errors: what is there afterwards is a run of whole batches.

use bailee_core::store::{Batch, NotApplied, Read, Record, Store, StoreFailed};
use bailee_store::RedbStore;
use redb::StorageBackend;

use crate::faulty::{Fault, Faulty, Reaches};
use crate::subjects::{Memory, Records, Subject, change, contents};

/// A store opened on a medium.
type Open = fn(Faulty) -> Result<Box<dyn Store>, StoreFailed>;

fn redb(medium: Faulty) -> Result<Box<dyn Store>, StoreFailed> {
    Ok(Box::new(RedbStore::on_medium(medium, "under test")?))
}

/// Batches of several records each: new, changed and removed ones, small and larger than a page.
fn batches() -> Vec<Batch> {
    (0..14_u8)
        .map(|at| {
            let mut batch = Batch::default();
            batch.put("head", vec![at; 9]);
            batch.put([b'r', at % 5], vec![at; 100 + 1_700 * usize::from(at)]);
            batch.put([b's', at], vec![at; 40]);
            if at > 3 {
                batch.remove([b's', at - 3]);
            }
            batch
        })
        .collect()
}

/// What is there after the first batch, the second, and so on; and before them all.
fn states(batches: &[Batch]) -> Vec<Records> {
    let mut records = Records::new();
    let mut states = vec![records.clone()];
    for batch in batches {
        change(&mut records, batch);
        states.push(records.clone());
    }
    states
}

/// Applies batches until one is not taken: how many were, and the operations that they took.
fn run(open: Open, medium: &Faulty, batches: &[Batch], cut: Option<u64>) -> (usize, u64) {
    let mut store = open(medium.clone()).unwrap();
    let before = medium.operations();
    if let Some(at) = cut {
        medium.fail_at(before + at, Fault::PowerCut);
    }
    let taken = batches.iter().take_while(|batch| store.apply(batch).is_ok()).count();
    (taken, medium.operations() - before)
}

/// What a power cut at one operation breaks, if anything.
fn cut_at(open: Open, medium: &Faulty, at: u64, reaches: Reaches) -> Result<(), String> {
    let batches = batches();
    let states = states(&batches);
    let (taken, _) = run(open, medium, &batches, Some(at));
    let tell =
        |what: String| format!("cut at operation {at}, {reaches:?} reaches the disk, {taken} batches taken: {what}");
    let image = medium.after_power_cut(reaches);
    let store = open(Faulty::holding(image)).map_err(|error| tell(error.to_string()))?;
    let found = contents(&*store).map_err(|error| tell(error.to_string()))?;
    match states.iter().position(|state| *state == found) {
        Some(whole) if whole == taken || whole == taken + 1 => Ok(()),
        Some(whole) => Err(tell(format!("{whole} batches are there"))),
        None => Err(tell("half of a batch is there".to_owned())),
    }
}

fn ways() -> Vec<Reaches> {
    let pieces = |bytes| (0..2).map(move |seed| Reaches::Pieces { bytes, seed });
    let whole = [Reaches::Nothing, Reaches::Everything, Reaches::HalfOfTheLast];
    whole.into_iter().chain(pieces(1)).chain(pieces(512)).chain(pieces(4_096)).collect()
}

/// Every power cut, in every way.
fn every_cut(open: Open, medium: &Faulty) -> Vec<(u64, Reaches)> {
    let (taken, operations) = run(open, medium, &batches(), None);
    assert_eq!(taken, batches().len());
    (0..operations).flat_map(|at| ways().into_iter().map(move |way| (at, way))).collect()
}

/// What power cuts break, one after the other.
fn broken(open: Open, medium: fn() -> Faulty) -> impl Iterator<Item = String> {
    every_cut(open, &medium()).into_iter().filter_map(move |(at, way)| cut_at(open, &medium(), at, way).err())
}

#[test]
fn a_power_cut_at_any_write_or_sync_leaves_whole_batches() {
    let cuts = every_cut(redb, &Faulty::default()).len();
    assert!(cuts > 500, "{cuts}");
    assert_eq!(broken(redb, Faulty::default).next(), None);
}

#[test]
fn a_medium_that_ignores_syncs_is_seen_to_lose_batches() {
    assert!(broken(redb, Faulty::that_ignores_sync).any(|what| what.ends_with("batches are there")));
}

/// A wrong store: each change of a batch is a transaction of its own.
struct Piecemeal(RedbStore);

impl Read for Piecemeal {
    fn get(&self, name: &[u8]) -> Result<Option<Record>, StoreFailed> {
        self.0.get(name)
    }

    fn scan(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, Record)>, StoreFailed> {
        self.0.scan(prefix, from, limit)
    }
}

impl Store for Piecemeal {
    fn apply(&mut self, batch: &Batch) -> Result<(), NotApplied> {
        batch.changes().try_for_each(|(name, record)| {
            let mut one = Batch::default();
            match record {
                Some(record) => one.put(name, record.clone()),
                None => one.remove(name),
            }
            self.0.apply(&one)
        })
    }
}

#[test]
fn a_store_that_splits_batches_is_seen_to_leave_half_of_one() {
    let open: Open = |medium| Ok(Box::new(Piecemeal(RedbStore::on_medium(medium, "piecemeal")?)));
    assert!(broken(open, Faulty::default).any(|what| what.ends_with("half of a batch is there")));
}

/// A wrong store: a log of changes without a checksum, synced after each batch.
struct PlainLog {
    medium: Faulty,
    records: Records,
}

impl PlainLog {
    fn open(medium: Faulty) -> Result<Box<dyn Store>, StoreFailed> {
        let (log, mut records) = (medium.live(), Records::new());
        let mut rest = log.as_slice();
        while let [name, low, high, after @ ..] = rest {
            let (name_end, length) = (usize::from(*name), usize::from(u16::from_le_bytes([*low, *high])));
            let Some((body, after)) = after.split_at_checked(name_end + length) else { break };
            records.insert(body[..name_end].to_vec(), body[name_end..].to_vec());
            rest = after;
        }
        records.retain(|_, record| !record.is_empty());
        Ok(Box::new(PlainLog { medium, records }))
    }
}

impl Read for PlainLog {
    fn get(&self, name: &[u8]) -> Result<Option<Record>, StoreFailed> {
        Ok(self.records.get(name).map(|record| record.as_slice().into()))
    }

    fn scan(&self, _: &[u8], from: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, Record)>, StoreFailed> {
        let records = self.records.range(from.to_vec()..).take(limit);
        Ok(records.map(|(name, record)| (name.clone(), record.as_slice().into())).collect())
    }
}

impl Store for PlainLog {
    fn apply(&mut self, batch: &Batch) -> Result<(), NotApplied> {
        let mut lines = Vec::new();
        for (name, record) in batch.changes() {
            let record = record.map_or(&[][..], |record| record);
            lines.push(name.len() as u8);
            lines.extend((record.len() as u16).to_le_bytes());
            lines.extend([name, record].concat());
        }
        let failed = |error: std::io::Error| StoreFailed::new(error.to_string());
        let end = self.medium.len().map_err(failed)?;
        self.medium.write(end, &lines).and_then(|()| self.medium.sync_data()).map_err(failed)?;
        change(&mut self.records, batch);
        Ok(())
    }
}

#[test]
fn a_log_without_checksums_is_seen_to_be_torn() {
    let broken: Vec<_> = broken(PlainLog::open, Faulty::default).collect();
    for way in ["HalfOfTheLast", "bytes: 1,", "bytes: 512", "bytes: 4096"] {
        assert!(broken.iter().any(|what| what.contains(way)), "{way}");
    }
    // Where nothing is torn it is right, so it is the tearing that is seen.
    assert!(!broken.iter().any(|what| what.contains("Nothing reaches") || what.contains("Everything reaches")));
}

#[test]
fn a_store_in_memory_has_whole_batches_at_every_save_point() {
    let batches = batches();
    let states = states(&batches);
    let mut store = Memory::fresh();
    for (batch, state) in batches.iter().zip(&states[1..]) {
        let saved = store.clone().restarted();
        store.apply(batch).unwrap();
        assert_eq!(contents(&store).unwrap(), *state);
        store = store.restarted();
        // The save-point before it is as it was, and takes the same batch to the same end.
        let mut again = saved;
        again.apply(batch).unwrap();
        assert_eq!(contents(&again).unwrap(), *state);
    }
}

/// One operation fails while the batches are applied: what each one was told, and the store.
fn with_one_fault(at: u64, fault: Fault) -> (Faulty, Box<dyn Store>, Vec<Result<(), NotApplied>>) {
    let medium = Faulty::default();
    let mut store = redb(medium.clone()).unwrap();
    medium.fail_at(medium.operations() + at, fault);
    let told = batches().iter().map(|batch| store.apply(batch)).collect();
    (medium, store, told)
}

/// What is there if the batches that were taken, and no others, were applied.
fn as_told(told: &[Result<(), NotApplied>]) -> Records {
    let mut records = Records::new();
    for (batch, told) in batches().iter().zip(told) {
        if told.is_ok() {
            change(&mut records, batch);
        }
    }
    records
}

/// How many batches are there after a power cut now.
fn whole_batches(medium: &Faulty) -> usize {
    let image = medium.after_power_cut(Reaches::Nothing);
    let found = contents(&*redb(Faulty::holding(image)).unwrap()).unwrap();
    states(&batches()).iter().position(|state| *state == found).expect("half of a batch is there")
}

#[test]
fn after_one_failed_operation_each_batch_is_there_or_not_as_was_told() {
    let (_, operations) = run(redb, &Faulty::default(), &batches(), None);
    let (mut went_on, mut closed, mut all_taken) = (0, 0, 0);
    for fault in [Fault::Error, Fault::HalfDone, Fault::DoneButError] {
        for at in 0..operations {
            let (medium, store, told) = with_one_fault(at, fault);
            if store.get(b"head").is_err() {
                // A sync failed: from then on nothing is taken, and nothing is read.
                let first = told.iter().position(Result::is_err).unwrap();
                assert!(told[first..].iter().all(Result::is_err), "{fault:?} at {at}");
                drop(store);
                let whole = whole_batches(&medium);
                assert!(whole == first || whole == first + 1, "{fault:?} at {at}: {whole} are there, {first} taken");
                closed += 1;
                continue;
            }
            match told.iter().filter(|told| told.is_err()).count() {
                0 => all_taken += 1,
                1 => went_on += 1,
                more => panic!("{fault:?} at {at}: {more} batches are not taken"),
            }
            assert_eq!(contents(&*store).unwrap(), as_told(&told), "{fault:?} at {at}");
            drop(store);
            let found = contents(&*redb(Faulty::holding(medium.after_power_cut(Reaches::Nothing))).unwrap());
            assert_eq!(found.unwrap(), as_told(&told), "{fault:?} at {at}, opened anew");
        }
    }
    assert!(went_on > 50 && closed > 50 && all_taken > 10, "{went_on} {closed} {all_taken}");
}

#[test]
fn one_failed_read_is_told_and_the_next_one_is_right() {
    let all = batches();
    let medium = Faulty::default();
    run(redb, &medium, &all, None);
    let image = medium.live();
    let mut failed = 0;
    for at in 0.. {
        let medium = Faulty::holding(image.clone());
        let store = redb(medium.clone()).unwrap();
        let first = medium.reads();
        medium.fail_read(first + at);
        let read = contents(&*store);
        if medium.reads() <= first + at {
            break;
        }
        failed += usize::from(read.is_err());
        assert_eq!(contents(&*store).unwrap(), states(&all)[all.len()]);
    }
    assert!(failed > 5, "{failed}");
}
