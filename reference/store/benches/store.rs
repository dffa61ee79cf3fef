//! The cost of a read, a scan and a batch, from a hundred records to a million.
//!
//! redb is measured over a medium in memory, so that what is seen is its own work and not the disk's; the last group has a batch
//! over a file, with its syncs.

use std::hint::black_box;

use bailee_core::store::{Batch, MemoryStore, Store};
use bailee_store::RedbStore;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use redb::backends::InMemoryBackend;

const SIZES: [u64; 3] = [100, 10_000, 1_000_000];

fn name(at: u64) -> Vec<u8> {
    // Scattered, as ids are.
    [b"user/".as_slice(), &at.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()].concat()
}

fn fill(store: &mut impl Store, records: u64) {
    for first in (0..records).step_by(50_000) {
        let mut batch = Batch::default();
        (first..records.min(first + 50_000)).for_each(|at| batch.put(name(at), vec![at as u8; 100]));
        store.apply(&batch).unwrap();
    }
}

/// What a step writes: one record changed as it was read, one new, one removed.
fn step(store: &mut impl Store, at: u64, records: u64) {
    let changed = name(at % records);
    let mut batch = Batch::default();
    batch.expect(&changed, store.get(&changed).unwrap());
    batch.put(&changed, vec![at as u8; 100]);
    batch.put([b"log/".as_slice(), &at.to_be_bytes()].concat(), vec![0; 60]);
    batch.remove([b"log/".as_slice(), &at.wrapping_sub(8).to_be_bytes()].concat());
    store.apply(&batch).unwrap();
}

fn measure<S: Store>(bench: &mut Criterion, kind: &str, fresh: impl Fn() -> S) {
    for records in SIZES {
        let mut store = fresh();
        fill(&mut store, records);
        let mut at = 0;
        let mut next = || {
            at += 7_919;
            at
        };
        bench.bench_with_input(BenchmarkId::new(format!("{kind}/get"), records), &records, |bench, records| {
            bench.iter(|| black_box(store.get(&name(next() % records)).unwrap()));
        });
        bench.bench_with_input(BenchmarkId::new(format!("{kind}/scan ten"), records), &records, |bench, records| {
            bench.iter(|| black_box(store.scan(b"user/", &name(next() % records), 10).unwrap()));
        });
        bench.bench_with_input(BenchmarkId::new(format!("{kind}/apply"), records), &records, |bench, records| {
            bench.iter(|| step(&mut store, next(), *records));
        });
    }
}

fn memory(bench: &mut Criterion) {
    measure(bench, "memory", MemoryStore::default);
    for records in [20, 200, 1_000_000] {
        let mut store = MemoryStore::default();
        fill(&mut store, records);
        let mut at = 0;
        bench.bench_with_input(
            BenchmarkId::new("memory/save-point and apply", records),
            &records,
            |bench, records| {
                bench.iter(|| {
                    at += 1;
                    let mut copy = store.clone();
                    step(&mut copy, at, *records);
                    copy
                });
            },
        );
    }
}

fn redb(bench: &mut Criterion) {
    measure(bench, "redb", || RedbStore::on_medium(InMemoryBackend::new(), "measured").unwrap());
}

fn redb_file(bench: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let mut store = RedbStore::create(folder.path().join("measured")).unwrap();
    fill(&mut store, 10_000);
    let mut at = 0;
    bench.bench_function("redb on a file/apply", |bench| {
        bench.iter(|| {
            at += 1;
            step(&mut store, at, 10_000);
        });
    });
}

criterion_group! {
    name = store;
    config = Criterion::default().sample_size(20);
    targets = memory, redb, redb_file
}
criterion_main!(store);
