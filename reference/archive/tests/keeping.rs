//! Histories of backups, forgetting and pruning, against a plain list of what should be there; and what damage costs.

mod common;

use std::collections::BTreeSet;

use bailee_archive::testing::Seeded;
use bailee_archive::tree::Time;
use bailee_archive::{Archive, ArchiveError, BackUp, Counters, Digest, MemoryStore, Prune, Pruned};
use common::*;
use proptest::prelude::*;

const SEGMENT_BYTES: u64 = 100_000;

fn prune(
    archive: Archive<MemoryStore>,
    seed: u64,
    percent: u64,
) -> Result<(Archive<MemoryStore>, Pruned), ArchiveError> {
    let (device, random, counters) = (device(), Seeded(seed), Counters::default());
    let how = BackUp { segment_bytes: SEGMENT_BYTES, ..BackUp::new(&device, Time::default(), &random, &counters) };
    archive.prune(&Prune { unneeded_percent: percent }, &how)
}

/// Asserts that the archive has exactly these versions, whole, also for whoever opens it anew.
fn assert_has(archive: Archive<MemoryStore>, expected: &[(Digest, Content)]) -> Archive<MemoryStore> {
    let newest = archive.newest(trusted()[0]);
    let mut archive = reopen(archive.into_store()).unwrap();
    assert_eq!(archive.newest(trusted()[0]), newest);
    assert_eq!(archive.versions().len(), expected.len());
    for (digest, content) in expected {
        let version = archive.versions().iter().find(|version| version.digest == *digest).unwrap();
        assert!(content_of(&archive, version).unwrap() == *content);
    }
    let report = archive.check(true, &mut |_, _| {});
    assert!(report.damage.is_empty() && report.lost.is_empty(), "{report:?}");
    archive
}

#[derive(Clone, Debug)]
enum Step {
    BackUp(Vec<(u8, u8)>),
    Forget(usize),
    Prune(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => proptest::collection::vec((0u8..6, 0u8..5), 0..6).prop_map(Step::BackUp),
        2 => (0usize..8).prop_map(Step::Forget),
        1 => prop_oneof![Just(0), Just(20), Just(100)].prop_map(Step::Prune),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_history_keeps_what_it_should(steps in proptest::collection::vec(step(), 1..14)) {
        let mut archive = fresh();
        let mut expected: Vec<(Digest, Content)> = Vec::new();
        for (seed, step) in (1..).zip(steps) {
            match step {
                Step::BackUp(files) => {
                    let names: BTreeSet<(u8, u8)> = files.into_iter().collect();
                    let content: Content = names
                        .into_iter()
                        .map(|(name, what)| (format!("{name}-{what}"), noise(u64::from(name) * 10 + u64::from(what), 40_000)))
                        .collect();
                    archive = back_up(archive, &content, seed, 2, SEGMENT_BYTES).unwrap().0;
                    expected.push((archive.newest(trusted()[0]).unwrap().1, content));
                }
                Step::Forget(which) => {
                    let Some((digest, _)) = expected.get(which).cloned() else { continue };
                    archive = archive.forget(&[digest], &device()).unwrap();
                    expected.remove(which);
                }
                Step::Prune(percent) => {
                    let pruned;
                    (archive, pruned) = prune(archive, seed, percent).unwrap();
                    if percent == 0 {
                        let again = archive.plan_prune(&Prune { unneeded_percent: 0 }).unwrap();
                        prop_assert_eq!(again.chunks, 0, "a full prune leaves nothing that is not needed: {:?}", pruned);
                    }
                }
            }
            archive = assert_has(archive, &expected);
        }
    }
}

/// BAK-14.
#[test]
fn forgetting_and_pruning_give_room_back() {
    let content = |seed: u64| vec![("a".to_string(), noise(seed, 1_000_000)), ("b".into(), noise(99, 200_000))];
    let mut archive = fresh();
    let mut digests = Vec::new();
    for seed in 1..=5 {
        archive = back_up(archive, &content(seed), seed, 2, SEGMENT_BYTES).unwrap().0;
        digests.push(archive.versions().last().unwrap().digest);
    }
    let before = archive.stored();
    let archive = archive.forget(&digests[..4], &device()).unwrap();
    assert_eq!(archive.stored(), before, "forgetting moves nothing");
    let (archive, pruned) = prune(archive, 6, 20).unwrap();
    assert!(archive.stored().bytes < 1_300_000, "{:?} {pruned:?}", archive.stored());
    assert!(pruned.segments.len() >= 4 && pruned.removed > 3_900_000, "{pruned:?}");
    let archive = assert_has(archive, &[(digests[4], content(5))]);
    assert!(matches!(archive.forget(&[digests[0]], &device()), Err(ArchiveError::UnknownVersion {})));
}

/// BAK-15: what is moved keeps the names that it has, and those are of the key epoch in which it was stored.
#[test]
fn pruning_keeps_what_an_earlier_key_epoch_stored() {
    let (a, b) = (("a".to_string(), noise(1, 300_000)), ("b".to_string(), noise(2, 300_000)));
    let (archive, _) = back_up(fresh(), &vec![a.clone(), b.clone()], 1, 1, SEGMENT_BYTES).unwrap();
    let (archive, _) = back_up(archive, &vec![a.clone()], 2, 1, SEGMENT_BYTES).unwrap();
    let open = |store| Archive::open(store, later_keys(), &trusted()).unwrap().sound().unwrap();
    let (archive, _) = back_up(open(archive.into_store()), &vec![b.clone()], 3, 1, SEGMENT_BYTES).unwrap();
    let first = archive.versions()[0].digest;
    let (archive, pruned) = prune(archive.forget(&[first], &device()).unwrap(), 4, 0).unwrap();
    assert!(!pruned.segments.is_empty());
    let archive = open(archive.into_store());
    let contents: Vec<_> = archive.versions().iter().map(|version| content_of(&archive, version).unwrap()).collect();
    assert!(contents == [vec![a], vec![b]]);
}

/// A segment that was given up and that a crash left behind is no damage, and the next writer removes it.
#[test]
fn a_segment_that_came_back_is_removed_again() {
    let (archive, _) = back_up(fresh(), &vec![("a".into(), noise(1, 300_000))], 1, 1, SEGMENT_BYTES).unwrap();
    let first = archive.versions()[0].digest;
    let (archive, _) = back_up(archive, &vec![("a".into(), noise(2, 300_000))], 2, 1, SEGMENT_BYTES).unwrap();
    let second = archive.versions()[1].digest;
    let old = archive.forget(&[first], &device()).unwrap().into_store();
    let (archive, pruned) = prune(reopen(old.clone()).unwrap(), 3, 20).unwrap();
    let mut store = archive.into_store();
    for segment in &pruned.segments {
        store.segments.insert(*segment, old.segments[segment].clone());
    }
    let archive = assert_has(reopen(store).unwrap(), &[(second, vec![("a".into(), noise(2, 300_000))])]);
    let (archive, _) = back_up(archive, &vec![("a".into(), noise(2, 300_000))], 4, 1, SEGMENT_BYTES).unwrap();
    let store = archive.into_store();
    assert!(pruned.segments.iter().all(|segment| !store.segments.contains_key(segment)));
}

/// A prune is killed before it gives anything up: what it moved is there twice. The next backup goes on behind it, and the next
/// prune removes it all the same.
#[test]
fn what_a_killed_prune_moved_is_not_kept_twice() {
    let content = |seed: u64| vec![("a".to_string(), noise(seed, 1_000_000)), ("b".into(), noise(99, 400_000))];
    let one_segment = 10_000_000;
    let mut archive = fresh();
    for seed in 1..=2 {
        archive = back_up(archive, &content(seed), seed, 2, one_segment).unwrap().0;
    }
    let (first, second) = (archive.versions()[0].digest, archive.versions()[1].digest);
    let old = archive.forget(&[first], &device()).unwrap().into_store();
    let mut killed = prune(reopen(old.clone()).unwrap(), 3, 20).unwrap().0.into_store();
    // The retention record is the last one.
    killed.segments.last_entry().unwrap().get_mut().pop();
    let moved: usize = killed.segments.values().map(Vec::len).sum();
    killed.segments.extend(old.segments);
    let archive = assert_has(reopen(killed).unwrap(), &[(second, content(2))]);
    let (archive, _) = back_up(archive, &content(4), 4, 2, one_segment).unwrap();
    let third = archive.versions()[1].digest;
    assert!(archive.stored().bytes as usize > 2 * moved, "it is there twice");
    let archive = prune(archive, 5, 20).unwrap().0;
    assert!(archive.stored().bytes < 2_600_000, "{:?}", archive.stored());
    assert_has(archive, &[(second, content(2)), (third, content(4))]);
}

/// Each segment of an archive is lost in turn: what does not need it restores, what does is listed, and the next backup of the same
/// content heals every version.
#[test]
fn damage_costs_what_it_hits_and_can_be_healed() {
    let content: Content = (0..30).map(|i| (format!("{i:02}"), noise(i, 400_000))).collect();
    let (archive, _) = back_up(fresh(), &content, 1, 2, SEGMENT_BYTES).unwrap();
    let whole = archive.into_store();
    let mut hit = 0;
    for segment in whole.segments.keys() {
        let mut store = whole.clone();
        // A bit in the middle of a block: only opening it shows that.
        store.segments.get_mut(segment).unwrap()[30_000.min(whole.segments[segment].len() - 1)] ^= 1;
        let Ok(mut archive) = Archive::open(store, keys(), &trusted()) else { continue };
        let report = archive.check(true, &mut |_, _| {});
        if report.lost.iter().all(|lost| lost.path.is_none()) {
            continue;
        }
        hit += 1;
        let lost: Vec<String> =
            report.lost.iter().filter_map(|lost| lost.path.as_ref()).map(ToString::to_string).collect();
        assert!(!lost.is_empty() && lost.len() < 25, "{lost:?}");
        for entry in archive.tree(&archive.versions()[0]) {
            let entry = entry.unwrap();
            if let bailee_archive::tree::EntryKind::File { content: stored, .. } = &entry.kind {
                let name = entry.path.to_string();
                let mut bytes = Vec::new();
                let read = archive.copy_content(stored, &mut bytes);
                assert_eq!(read.is_err(), lost.contains(&name), "{name}");
                assert!(read.is_err() || content.iter().any(|(other, right)| *other == name && *right == bytes));
            }
        }
        let (archive, _) = back_up(archive, &content, 2, 2, SEGMENT_BYTES).unwrap();
        assert_eq!(content_of(&archive, &archive.versions()[0]).unwrap(), content, "healed");
    }
    assert!(hit > 5, "{hit} segments with content were hit");
}
