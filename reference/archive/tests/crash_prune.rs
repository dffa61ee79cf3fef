//! The power fails at every moment of a history of backups, forgetting and pruning: what was not forgotten is there, what was
//! removed stays removed, and it goes on.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use bailee_archive::disk::SyncPoint;
use bailee_archive::testing::{Fault, Seeded, SimDisk};
use bailee_archive::tree::Time;
use bailee_archive::{Archive, ArchiveError, BackUp, Counters, Digest, FolderStore, Prune, ReadStore};
use common::*;

/// Sizes of segments: one for each record, one for some, one for all.
const SEGMENT_BYTES: [u64; 3] = [1, 4_000, 1 << 20];

type SimArchive = Archive<FolderStore<SimDisk>>;

/// What happens to an archive. Versions are known by the time of their backup, which also says what is in them.
#[derive(Clone, Copy, Debug)]
enum Step {
    BackUp(i64),
    ForgetOldest,
    Prune(i64),
}

const HISTORY: [Step; 6] =
    [Step::BackUp(1), Step::BackUp(2), Step::BackUp(3), Step::ForgetOldest, Step::Prune(4), Step::BackUp(5)];

/// What comes after a crash; the numbers differ from those before it, so that no salt is drawn twice.
fn sequel(generation: i64) -> [Step; 3] {
    [Step::ForgetOldest, Step::Prune(100 * generation), Step::BackUp(100 * generation + 1)]
}

/// A file that every version has, one that two have, and one of its own.
fn files(version: i64) -> Content {
    let file = |number: i64| (format!("{number:04}"), noise(number as u64, 1_500));
    vec![file(0), file(1_000 + version / 2), file(2_000 + version)]
}

/// What must be, once so many operations are done, until the next state is reached.
#[derive(Clone, Debug)]
struct State {
    after: usize,
    /// There is an archive, and it has these versions.
    versions: Option<BTreeSet<i64>>,
    /// Its segments: one that is not among them, and is not newer, was removed.
    segments: Vec<u64>,
}

impl State {
    fn of(disk: &SimDisk, archive: &SimArchive) -> State {
        let segments = FolderStore::open_on(disk.clone(), "/archive").and_then(|store| store.list()).unwrap();
        State {
            after: disk.operations(),
            versions: Some(archive.versions().iter().map(|version| version.root.time.seconds).collect()),
            segments,
        }
    }

    fn was_removed(&self, segment: u64) -> bool {
        self.segments.last().is_some_and(|last| segment <= *last) && !self.segments.contains(&segment)
    }
}

/// The states between which a moment lies: the last that was reached, and the one that was under way.
#[derive(Clone, Debug)]
struct Between(State, State);

impl Between {
    fn moment(states: &[State], operations: usize) -> Between {
        let reached = states.iter().rposition(|state| state.after <= operations).unwrap_or(0);
        let next = states.get(reached + 1).unwrap_or(&states[reached]);
        Between(states[reached].clone(), next.clone())
    }

    fn nothing() -> Between {
        let state = State { after: 0, versions: None, segments: Vec::new() };
        Between(state.clone(), state)
    }

    fn check(&self, versions: &BTreeSet<i64>, segments: &[u64]) -> Result<(), String> {
        let empty = BTreeSet::new();
        let (before, after) =
            (self.0.versions.as_ref().unwrap_or(&empty), self.1.versions.as_ref().unwrap_or(&empty));
        if let Some(version) = before.intersection(after).find(|version| !versions.contains(version)) {
            return Err(format!("version {version} is gone"));
        }
        if let Some(version) = versions.iter().find(|version| !before.contains(version) && !after.contains(version)) {
            return Err(format!("version {version} is back"));
        }
        match segments.iter().find(|segment| self.0.was_removed(**segment)) {
            Some(segment) => Err(format!("segment {segment} is back")),
            None => Ok(()),
        }
    }
}

fn said(error: ArchiveError) -> String {
    error.to_string()
}

/// Opens the archive, or makes it if it need not be there yet, and looks whether what is in it is what must be.
fn open(disk: &SimDisk, expected: &Between) -> Result<SimArchive, String> {
    let found = FolderStore::open_on(disk.clone(), "/archive").ok();
    let Some(store) = found.filter(|store| store.list().is_ok_and(|segments| !segments.is_empty())) else {
        if expected.0.versions.is_some() {
            return Err("the archive is gone".into());
        }
        let store = FolderStore::create_on(disk.clone(), "/archive").map_err(|error| error.to_string())?;
        return Archive::create(store, keys(), &Seeded(0)).map_err(said);
    };
    let segments = store.list().map_err(|error| error.to_string())?;
    // What a crash leaves is never taken for damage.
    let archive = reopen(store).map_err(said)?;
    let versions = archive.versions().iter().map(|version| version.root.time.seconds).collect();
    expected.check(&versions, &segments)?;
    for version in archive.versions() {
        let time = version.root.time.seconds;
        if content_of(&archive, version).map_err(said)? != files(time) {
            return Err(format!("version {time} is another one"));
        }
    }
    Ok(archive)
}

fn take(archive: SimArchive, step: Step, segment_bytes: u64) -> Result<SimArchive, ArchiveError> {
    match step {
        Step::BackUp(time) => Ok(back_up(archive, &files(time), time as u64, 1, segment_bytes)?.0),
        Step::ForgetOldest => {
            let oldest: Vec<Digest> = archive.versions().first().map(|version| version.digest).into_iter().collect();
            archive.forget(&oldest, &device())
        }
        Step::Prune(seed) => {
            let (device, random, counters) = (device(), Seeded(seed as u64), Counters::default());
            let how = BackUp { segment_bytes, ..BackUp::new(&device, Time::default(), &random, &counters) };
            Ok(archive.prune(&Prune { unneeded_percent: 0 }, &how)?.0)
        }
    }
}

/// One process: makes or opens the archive, finds what must be in it, and takes steps. The states that it went through.
fn process(disk: &SimDisk, expected: &Between, steps: &[Step], segment_bytes: u64) -> Result<Vec<State>, String> {
    let begun = State { after: 0, ..expected.0.clone() };
    let mut archive = open(disk, expected).map_err(|error| format!("found: {error}"))?;
    let mut states = vec![begun, State::of(disk, &archive)];
    for &step in steps {
        archive = take(archive, step, segment_bytes).map_err(|error| format!("{step:?}: {error}"))?;
        states.push(State::of(disk, &archive));
    }
    drop(archive);
    open(disk, &Between::moment(&states, disk.operations())).map(|_| states)
}

/// The first promise that is broken if the power fails at any moment of what was done on a disk; also if it fails again at a
/// moment of what comes next.
fn broken(disk: &SimDisk, states: &[State], segment_bytes: u64, seeds: u64) -> Option<String> {
    let moments = disk.moments();
    for seed in 0..seeds {
        for (operations, moment) in moments.iter().enumerate().rev() {
            let found = moment.crash(seed);
            let next =
                process(&found, &Between::moment(states, operations), &sequel(1), segment_bytes).and_then(|states| {
                    let moments = found.moments();
                    let operations = (seed as usize * 7 + operations) % moments.len();
                    let again = moments[operations].crash(seed + 1);
                    process(&again, &Between::moment(&states, operations), &sequel(2), segment_bytes).map_err(
                        |error| format!("and again after {operations} operations of what came next: {error}"),
                    )
                });
            if let Err(error) = next {
                return Some(format!("seed {seed}, {operations} operations, segments of {segment_bytes}: {error}"));
            }
        }
    }
    None
}

fn history(disk: &SimDisk, segment_bytes: u64) -> Vec<State> {
    process(disk, &Between::nothing(), &HISTORY, segment_bytes).unwrap()
}

#[test]
fn a_crash_breaks_no_promise() {
    for segment_bytes in SEGMENT_BYTES {
        let disk = SimDisk::new();
        let states = history(&disk, segment_bytes);
        assert_eq!(broken(&disk, &states, segment_bytes, 3), None);
    }
}

/// The history does what it is to try: something is moved, and something is removed.
#[test]
fn the_history_prunes() {
    for segment_bytes in SEGMENT_BYTES {
        let disk = SimDisk::new();
        let states = history(&disk, segment_bytes);
        let last = states.last().unwrap();
        assert_eq!(last.versions, Some([2, 3, 5].into()));
        assert!((1..*last.segments.last().unwrap()).any(|segment| last.was_removed(segment)), "{last:?}");
    }
}

/// What is lost if the power fails at a moment from so many operations on.
fn lost(disk: &SimDisk, states: &[State], from: usize) -> Option<String> {
    let moments = disk.moments();
    (0..100).find_map(|seed| {
        let mut late = moments.iter().enumerate().skip(from);
        late.find_map(|(operations, moment)| open(&moment.crash(seed), &Between::moment(states, operations)).err())
    })
}

/// BAK-13, BAK-14: each sync of forgetting, pruning and the backup behind is left out in turn, and each time
/// something is lost: none is there for nothing, and the tests above see it.
#[test]
fn no_sync_can_be_left_out() {
    let mut tried = BTreeMap::new();
    for segment_bytes in SEGMENT_BYTES {
        let (before, all) = (SimDisk::new(), SimDisk::new());
        process(&before, &Between::nothing(), &HISTORY[..3], segment_bytes).unwrap();
        history(&all, segment_bytes);
        for point in [SyncPoint::NewContent, SyncPoint::NewName, SyncPoint::Appended, SyncPoint::Removed] {
            for nth in before.syncs(point)..all.syncs(point) {
                let disk = SimDisk::new();
                disk.break_sync(point, nth, Fault::Ignored);
                let states = history(&disk, segment_bytes);
                let lost = lost(&disk, &states, before.operations());
                assert!(lost.is_some(), "nobody misses {point:?} {nth}, segments of {segment_bytes}");
                *tried.entry(point).or_insert(0) += 1;
            }
        }
    }
    assert_eq!(tried.len(), 4, "{tried:?}");
}
