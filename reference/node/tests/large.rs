//! A folder of this machine and files over 4 GiB, there and back: `diff` and a comparison of the metadata find nothing.
//!
//! That takes minutes and room on disk: `.ci/big-folder` does it. Otherwise the same is done to this source tree and to shorter
//! files.

mod common;

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use common::{Place, objects};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::Value;

/// The folder that `.ci/big-folder` names.
fn big_folder() -> Option<PathBuf> {
    std::env::var_os("BAILEE_BIG_FOLDER").map(PathBuf::from)
}

fn timed(what: &str, work: impl FnOnce() -> Value) -> Value {
    let begun = Instant::now();
    let said = work();
    println!("{what}: {:.1} s: {said}", begun.elapsed().as_secs_f64());
    said
}

fn summary(place: &Place, arguments: &[&str]) -> Value {
    objects(&place.succeed(&[arguments, &["--json"]].concat())).pop().unwrap()
}

/// Backs a folder up, restores it, and compares. What the backup said.
fn there_and_back(place: &Place, folder: &Path) -> Value {
    let target = place.at("restored");
    let said = timed("backup", || summary(place, &["backup", folder.to_str().unwrap()]));
    timed("restore", || summary(place, &["restore", "latest", "--target", target.to_str().unwrap()]));
    let begun = Instant::now();
    assert_eq!(bailee_files::compare(folder, &target).unwrap(), []);
    let diff = Command::new("diff").args(["-r", "--no-dereference"]).args([folder, &target]).output().unwrap();
    assert!(diff.status.success(), "{}", String::from_utf8_lossy(&diff.stdout));
    println!("compare and diff: {:.1} s: nothing differs", begun.elapsed().as_secs_f64());
    said
}

#[test]
fn a_system_folder_comes_back_as_it_was() {
    let (place, _) = Place::with_archive();
    let big = big_folder();
    let folder = big.clone().unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../archive"));
    let entries = there_and_back(&place, &folder)["entries"].as_u64().unwrap();
    let enough = if big.is_some() { 50_000 } else { 30 };
    assert!(entries >= enough, "{} has but {entries} entries", folder.display());
    let again = timed("backup again", || summary(&place, &["backup", folder.to_str().unwrap()]));
    if big.is_some() {
        assert_eq!((&again["files_new"]["files"], &again["files_changed"]["files"]), (&0.into(), &0.into()));
    }
    assert!(again["bytes_new"].as_u64().unwrap() <= 1 << 20, "{again}");
}

/// Lengths that no block or page divides, and data at odd places: before, across and after 4 GiB, and at the very end.
#[test]
fn files_over_4_gib_come_back_with_their_holes() {
    let (place, _) = Place::with_archive();
    let border: u64 = if big_folder().is_some() { 4 << 30 } else { 16 << 20 };
    let folder = place.at("source");
    fs::create_dir(&folder).unwrap();
    let sparse = File::create(folder.join("sparse")).unwrap();
    sparse.set_len(border + (300 << 20) + 4_321).unwrap();
    for at in [1, border / 3, border - 7, border + 4_095, border + (200 << 20) + 1, border + (300 << 20) + 4_310] {
        sparse.write_all_at(b"at an odd place", at.min(border + (300 << 20) + 4_306)).unwrap();
    }
    let mut dense = BufWriter::new(File::create(folder.join("dense")).unwrap());
    let (mut part, mut rng) = (vec![0; 1 << 20], ChaCha20Rng::seed_from_u64(4));
    for _ in 0..=border >> 20 {
        rng.fill_bytes(&mut part);
        dense.write_all(&part).unwrap();
    }
    dense.write_all(b"end").unwrap();
    dense.into_inner().unwrap().sync_all().unwrap();
    there_and_back(&place, &folder);
    let taken = |name: &str| fs::metadata(place.at("restored").join(name)).unwrap().blocks() * 512;
    assert!(taken("sparse") < 1 << 20, "{} bytes are taken where there are holes", taken("sparse"));
    assert!(fs::metadata(place.at("restored/dense")).unwrap().len() > border);
}
