//! The trees are what they are said to be.

use std::path::PathBuf;

use bailee_bench::corpus::{Changes, Kind, Recipe, Statistics, change, copy_text, make, statistics};

fn made(kind: Kind, seed: u64, scale: f64) -> (tempfile::TempDir, Statistics) {
    let folder = tempfile::tempdir().unwrap();
    make(kind, seed, scale, folder.path()).unwrap();
    let statistics = statistics(folder.path()).unwrap();
    (folder, statistics)
}

#[test]
fn a_seed_names_a_tree() {
    for kind in [Kind::Text, Kind::Random, Kind::Small, Kind::Mixed] {
        let digest = |seed| made(kind, seed, 0.002).1.digest;
        assert_eq!(digest(1), digest(1), "{kind}");
        assert_ne!(digest(1), digest(2), "{kind}");
    }
}

#[test]
fn text_is_as_repetitive_as_source_trees_and_as_uneven() {
    let text = made(Kind::Text, 1, 0.02).1;
    assert_eq!(text.files, 1520);
    assert!((text.bytes as f64 / 21.4e6 - 1.0).abs() < 0.1, "a release has the sizes of the one before: {text:?}");
    assert!((0.14..0.19).contains(&text.ratio_grouped), "{text:?}");
    assert!((0.20..0.27).contains(&text.ratio_single), "{text:?}");
    assert!((3000..6500).contains(&text.median_size), "{text:?}");
    assert!(text.largest > 40 * text.median_size, "{text:?}");
}

#[test]
fn nothing_compresses_random_and_small_files_are_small() {
    let random = made(Kind::Random, 1, 0.01).1;
    assert_eq!((random.files, random.ratio_grouped), (8, 1.0));
    assert_eq!(random.bytes, 8 * 1_342_177);
    let small = made(Kind::Small, 1, 0.02).1;
    assert_eq!(small.files, 1000);
    assert!((small.bytes as f64 / 9.8e6 - 1.0).abs() < 0.01, "{small:?}");
    assert!(small.largest <= 262_144 && (0.28..0.42).contains(&small.ratio_grouped), "{small:?}");
}

#[test]
fn a_day_changes_one_file_in_a_hundred_and_a_seed_names_the_day() {
    let day = |seed| {
        let (folder, before) = made(Kind::Text, 1, 0.03);
        let changes = change(folder.path(), seed).unwrap();
        (before, changes, statistics(folder.path()).unwrap())
    };
    let (before, changes, after) = day(1);
    assert_eq!(before.files, 2280);
    assert_eq!(changes.all(), 23);
    let Changes { edited, appended, added, removed, moved } = changes;
    assert!(edited >= 6 && [appended, added, removed, moved].iter().all(|&some| some > 0), "{changes:?}");
    assert_eq!(after.files, before.files + added - removed);
    assert_eq!(day(1).2, after);
    assert_ne!(day(2).2, after);
}

#[test]
fn the_cache_gives_a_whole_tree_again_and_makes_half_a_tree_anew() {
    let cache = tempfile::tempdir().unwrap();
    let recipe = Recipe { kind: Kind::Small, seed: 1, scale: 0.001, text_from: Vec::new() };
    let first = recipe.in_cache(cache.path()).unwrap();
    let stray = first.folder.join("stray");
    std::fs::write(&stray, b"seen if it was not made again").unwrap();
    assert_eq!(recipe.in_cache(cache.path()).unwrap().statistics, first.statistics);
    assert!(stray.exists());
    std::fs::remove_file(first.folder.with_added_extension("json")).unwrap();
    assert_eq!(recipe.in_cache(cache.path()).unwrap().statistics, first.statistics);
    assert!(!stray.exists());
}

#[test]
fn text_is_copied_by_ending_once_and_up_to_a_size() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (name, content) in
        [("a.rs", "one"), ("b.rs", "one"), ("c.md", "four"), ("d.bin", "no"), ("e.txt", "too much")]
    {
        std::fs::write(from.path().join(name), content).unwrap();
    }
    let copied = copy_text(&[PathBuf::from(from.path())], to.path(), 10).unwrap();
    assert_eq!(copied, 7);
    let names: Vec<bool> =
        ["a.rs", "b.rs", "c.md", "d.bin", "e.txt"].map(|name| to.path().join("from-0").join(name).exists()).into();
    assert_eq!(names, [true, false, true, false, false]);
}
