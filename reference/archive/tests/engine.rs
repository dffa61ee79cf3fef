//! The engine: what it stores does not depend on the number of threads, and is what the plain writer stores.

mod common;

use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use bailee_archive::engine::{Closed, Files};
use bailee_archive::testing::Seeded;
use bailee_archive::tree::{Entry, EntryKind, Meta, Time};
use bailee_archive::{Archive, ArchiveError, BackUp, Counters, MemoryStore, Padding, Plan, Planned, TreePath};
use common::*;
use proptest::prelude::*;

/// Everything that is divided in another way: nothing, little, many small, more than a part, more than a block.
fn sample() -> Content {
    let mut content: Content = (0..1500).map(|i| (format!("b{i:05}"), text(i, (i * 37 % 9000) as usize))).collect();
    content.push(("a-long-text".into(), text(1, 11_000_000)));
    content.push(("c-noise".into(), noise(2, 5_000_001)));
    content.push(("d-empty".into(), Vec::new()));
    content.push(("e-zeros".into(), vec![0; 6_000_000]));
    content.push(("f-again".into(), text(1, 11_000_000)));
    content.push(("g".into(), noise(3, 2 * 1024 * 1024)));
    content.push(("h".into(), noise(4, 2 * 1024 * 1024 + 1)));
    content.sort();
    content
}

fn written_plainly(content: &Content, seed: u64) -> Archive<MemoryStore> {
    let (device, random, counters) = (device(), Seeded(seed), Counters::default());
    let time = Time { seconds: seed as i64, nanoseconds: 0 };
    let mut writer = fresh().begin(&BackUp::new(&device, time, &random, &counters)).unwrap();
    writer.entry(&root()).unwrap();
    for (name, bytes) in content {
        let stored = writer.content(&mut &bytes[..]).unwrap();
        let kind = EntryKind::File { content: stored, changed: false, sparse: false };
        writer.entry(&Entry { path: path(name), meta: Meta::default(), kind }).unwrap();
    }
    writer.commit(time, b"").unwrap().0
}

#[test]
fn any_number_of_threads_writes_the_same_archive() {
    let content = sample();
    let plain = written_plainly(&content, 1);
    assert_eq!(content_of(&plain, &plain.versions()[0]).unwrap(), content);
    let plain = plain.into_store();
    for threads in [1, 2, 5] {
        let (archive, totals) = back_up(fresh(), &content, 1, threads, 64 << 20).unwrap();
        assert_eq!(totals.read, content.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>());
        assert!(archive.into_store() == plain, "{threads} threads wrote another archive");
    }
}

/// Reads as [`MemoryFiles`] does, and has something done before it reads from an offset, and when a thread has no job.
struct Hooked<R, P> {
    before_reading: R,
    when_idle: P,
}

impl<R: Fn(u64) + Sync, P: Fn() + Sync> Files for Hooked<R, P> {
    type File = (String, Vec<u8>);
    type Open = Vec<u8>;

    fn open(&self, file: &Self::File) -> io::Result<Vec<u8>> {
        MemoryFiles.open(file)
    }

    fn read_at(&self, open: &Vec<u8>, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        (self.before_reading)(offset);
        MemoryFiles.read_at(open, offset, buffer)
    }

    fn close(&self, file: &Self::File, open: &Vec<u8>, size_read: u64) -> Closed {
        MemoryFiles.close(file, open, size_read)
    }

    fn path(&self, file: &Self::File) -> TreePath {
        MemoryFiles.path(file)
    }

    fn prepare(&self) -> bool {
        (self.when_idle)();
        false
    }
}

/// The threads that read later parts of a file are not left waiting for a part that will never come.
#[test]
fn a_panic_in_one_part_ends_the_others() {
    let (ended, wait) = mpsc::channel();
    std::thread::spawn(move || {
        let (device, random, counters) = (device(), Seeded(1), Counters::default());
        let how = BackUp { threads: 4, ..BackUp::new(&device, Time::default(), &random, &counters) };
        let plan = MemoryPlan::new(&vec![("long".into(), text(1, 11_000_000))]);
        let second_is_read = AtomicBool::new(false);
        // A bug while the first part of a long file is read, when another thread has the second.
        let before_reading = |offset| {
            if offset == 0 {
                while !second_is_read.load(Ordering::Relaxed) {
                    std::thread::yield_now();
                }
                panic!("a bug");
            }
            second_is_read.store(true, Ordering::Relaxed);
        };
        let files = Hooked { before_reading, when_idle: || {} };
        let run = AssertUnwindSafe(|| fresh().back_up(plan, &files, &mut Heard::default(), &how).is_ok());
        let _ = ended.send(std::panic::catch_unwind(run).is_err());
    });
    assert_eq!(wait.recv_timeout(Duration::from_secs(60)), Ok(true), "the panic is passed on, and nobody waits");
}

#[test]
fn what_cannot_be_read_is_left_out_and_named() {
    let mut failing = text(9, 5_000_000);
    failing[4_300_000..4_300_009].copy_from_slice(b"FAIL HERE");
    let mut content = vec![
        ("a".to_string(), b"first".to_vec()),
        ("failing".into(), failing),
        ("unreadable-at-once".into(), b"never".to_vec()),
        ("unreadable-at-once-long".into(), text(2, 9_000_000)),
        ("z".into(), b"last".to_vec()),
    ];
    let (device, random, counters) = (device(), Seeded(1), Counters::default());
    let how = BackUp { threads: 3, ..BackUp::new(&device, Time::default(), &random, &counters) };
    let mut heard = Heard::default();
    // The reads of MemoryFiles begin at multiples of 300,000 within a part of 2 MiB: the failure is put where one begins.
    content[1].1 = {
        let mut bytes = text(9, 5_000_000);
        let at = 2 * (2 << 20) + 300_000;
        bytes[at..at + 9].copy_from_slice(b"FAIL HERE");
        bytes
    };
    let (archive, _) = fresh().back_up(MemoryPlan::new(&content), &MemoryFiles, &mut heard, &how).unwrap();
    assert_eq!(heard.left_out, ["failing", "unreadable-at-once", "unreadable-at-once-long"]);
    let kept = content_of(&archive, &archive.versions()[0]).unwrap();
    assert_eq!(kept, [content[0].clone(), content[4].clone()]);
    assert_eq!(heard.stored.iter().map(|(name, _)| &name[..]).collect::<Vec<_>>(), ["a", "z"]);
}

/// A plan that waits until somebody prepared it, and is empty.
struct Prepared(mpsc::Receiver<()>);

impl Plan for Prepared {
    type File = (String, Vec<u8>);

    fn next(&mut self) -> Option<Planned<Self::File>> {
        assert_eq!(self.0.recv_timeout(Duration::from_secs(60)), Ok(()), "nobody prepared anything");
        None
    }
}

#[test]
fn a_thread_without_a_job_prepares_while_another_one_plans() {
    let (device, random, counters) = (device(), Seeded(1), Counters::default());
    let how = BackUp { threads: 2, ..BackUp::new(&device, Time::default(), &random, &counters) };
    let (idle, prepared) = mpsc::channel();
    let when_idle = || idle.send(()).unwrap_or_default();
    let files = Hooked { before_reading: |_| {}, when_idle };
    let error = fresh().back_up(Prepared(prepared), &files, &mut Heard::default(), &how).err();
    assert!(matches!(error, Some(ArchiveError::Misplaced { .. })), "a plan without a root: {error:?}");
}

/// A plan of files that are known from an earlier version, and of some that no archive can take.
struct Again(Vec<Planned<(String, Vec<u8>)>>);

impl Plan for Again {
    type File = (String, Vec<u8>);

    fn next(&mut self) -> Option<Planned<Self::File>> {
        (!self.0.is_empty()).then(|| self.0.remove(0))
    }
}

#[test]
fn known_files_are_not_read_and_nonsense_is_refused() {
    let content: Content = vec![("a".into(), text(1, 700_000)), ("b".into(), noise(1, 5)), ("c".into(), noise(2, 9))];
    let (device, random, counters) = (device(), Seeded(1), Counters::default());
    let how = BackUp { threads: 2, ..BackUp::new(&device, Time::default(), &random, &counters) };
    let mut heard = Heard::default();
    let (archive, _) = fresh().back_up(MemoryPlan::new(&content), &MemoryFiles, &mut heard, &how).unwrap();

    let known = |at: usize, items: Vec<u8>| Planned::Known { file: content[at].clone(), items };
    let items = |at: usize| heard.stored[at].1.clone();
    let link = Entry { path: path("d"), meta: Meta::default(), kind: EntryKind::HardLink { to: path("c") } };
    let mut torn = items(2);
    torn.pop();
    let plan = vec![
        Planned::Entry(root()),
        known(0, items(0)),
        known(1, items(1)),
        known(1, items(1)),
        known(2, torn),
        Planned::Entry(link),
    ];
    let second = Seeded(2);
    let how = BackUp { random: &second, ..how };
    let mut again = Heard::default();
    let (archive, totals) = archive.back_up(Again(plan), &MemoryFiles, &mut again, &how).unwrap();
    assert_eq!((totals.bytes, totals.read), (700_005, 0));
    let refused: Vec<_> = again.refused.iter().map(|(path, name)| (&path[..], *name)).collect();
    assert_eq!(refused, [("b", "Misplaced"), ("c", "Truncated"), ("d", "Misplaced")]);
    assert_eq!(content_of(&archive, &archive.versions()[1]).unwrap(), content[..2]);

    // Items of another archive: its chunks are not here.
    let (other, third) = (fresh(), Seeded(3));
    let plan = vec![Planned::Entry(root()), known(0, items(0))];
    let mut foreign = Heard::default();
    let how = BackUp { random: &third, ..how };
    other.back_up(Again(plan), &MemoryFiles, &mut foreign, &how).unwrap();
    assert_eq!(foreign.refused, [("a".to_string(), "MissingChunk")]);
}

#[test]
fn a_level_that_zstd_does_not_know_is_refused() {
    let (device, random, counters) = (device(), Seeded(1), Counters::default());
    let how = BackUp { level: 99, ..BackUp::new(&device, Time::default(), &random, &counters) };
    let refused = fresh().back_up(MemoryPlan::new(&sample()), &MemoryFiles, &mut Heard::default(), &how);
    assert!(matches!(refused, Err(ArchiveError::Compressor { level: 99, .. })));
}

#[test]
fn padding_costs_little_and_can_be_turned_off() {
    let content = sample();
    let size = |padding| {
        let (device, random, counters) = (device(), Seeded(1), Counters::default());
        let how = BackUp { padding, ..BackUp::new(&device, Time::default(), &random, &counters) };
        let (archive, totals) =
            fresh().back_up(MemoryPlan::new(&content), &MemoryFiles, &mut Heard::default(), &how).unwrap();
        assert_eq!(content_of(&archive, &archive.versions()[0]).unwrap(), content);
        totals.stored
    };
    let (padded, exact) = (size(Padding::Padme), size(Padding::Exact));
    assert!(exact < padded && padded < exact * 112 / 100, "{padded} padded, {exact} exact");
}

/// The entries from a path on are those that reading all of them finds there.
#[test]
fn a_tree_is_entered_anywhere() {
    let content: Content = (0..20_000).map(|i| (format!("{i:06}"), format!("{i}").into_bytes())).collect();
    let (archive, _) = back_up(fresh(), &content, 1, 2, 64 << 20).unwrap();
    let version = &archive.versions()[0];
    let all: Vec<_> = archive.tree(version).map(|entry| entry.unwrap().path).collect();
    assert_eq!(all.len(), 20_001);
    for wanted in ["", "000000", "000001", "0099995", "010000", "013131x", "019999", "02", "zzz"] {
        let from = if wanted.is_empty() { bailee_archive::TreePath::root() } else { path(wanted) };
        let rest = archive.tree_from(version, &from).unwrap().map(|entry| entry.unwrap().path);
        assert!(rest.eq(all.iter().filter(|path| **path >= from).cloned()), "from {wanted:?}");
        let found = archive.find_entry(version, &from).unwrap().map(|entry| entry.path);
        assert_eq!(found.is_some(), all.contains(&from), "{wanted:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Any content, cut into files of any length: one thread, four threads and the plain writer agree.
    #[test]
    fn threads_agree(lengths in proptest::collection::vec((any::<bool>(), 0usize..5_000_000), 0..8), seed in 0u64..1000) {
        let content: Content = lengths.iter().enumerate().map(|(i, (random, length))| {
            let bytes = if *random { noise(seed + i as u64, *length) } else { text(seed + i as u64, *length) };
            (format!("{i}"), bytes)
        }).collect();
        let (one, _) = back_up(fresh(), &content, seed, 1, 3 << 20).unwrap();
        let (four, _) = back_up(fresh(), &content, seed, 4, 3 << 20).unwrap();
        prop_assert_eq!(&content_of(&one, &one.versions()[0]).unwrap(), &content);
        prop_assert!(one.into_store() == four.into_store());
    }
}
