//! Archives as an enemy, a mistake or a disk makes them, through every command, within a GiB of address space: each ends in time
//! with an exit code of the table, none panics, and nothing that is not of the archive is taken for it or removed.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use bailee_archive::segment::{FrameHead, Kind, SegmentHead, read_segment_head};
use bailee_archive::{ArchiveId, FolderStore, Place as At};
use common::*;

const ADDRESS_SPACE: u64 = 1 << 30;
/// Far more than any of them takes, even on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(120);

/// Every command that reads or writes an archive, with what it needs.
fn commands(place: &Place) -> Vec<Vec<String>> {
    let (source, target) = (place.text("source"), place.text("restored"));
    let lines = [
        "snapshots",
        "ls latest",
        "find a",
        "stats",
        "diff latest latest",
        "check",
        "check --read-data",
        "restore latest --target TARGET",
        "backup SOURCE --dry-run",
        "forget --keep-last 1 --dry-run",
        "prune --dry-run",
        "repair --dry-run",
        "backup SOURCE --quiet",
        "check --read-data",
        "forget --keep-last 1",
        "prune",
        "repair",
        "restore latest --target TARGET",
    ];
    let word = |word: &str| word.replace("SOURCE", &source).replace("TARGET", &target);
    lines.iter().map(|line| line.split(' ').map(word).collect()).collect()
}

/// Runs a command within the bounds.
fn run(place: &Place, arguments: &[String]) -> Output {
    let mut bounded = Command::new("prlimit");
    bounded.arg(format!("--as={ADDRESS_SPACE}")).arg(env!("CARGO_BIN_EXE_bailee")).args(arguments);
    bounded.env("BAILEE_HOME", place.at("home")).env("BAILEE_ARCHIVE", place.at("archive"));
    ended_within(bounded, PATIENCE)
}

/// The exit codes of all commands on an archive that was tampered with.
fn codes(place: &Place, what: &str) -> Vec<(String, i32)> {
    let mut codes = Vec::new();
    for arguments in commands(place) {
        let _ = fs::remove_dir_all(place.at("restored"));
        let output = run(place, &arguments);
        let (code, said) = (output.status.code().unwrap_or(-1), err(&output));
        let line = arguments.join(" ");
        assert!([0, 1, 2, 3, 10, 12].contains(&code), "{what}: {line}: {code}: {said}");
        assert!(!said.contains("panicked") && !said.contains("allocation"), "{what}: {line}: {said}");
        codes.push((arguments[0].clone(), code));
    }
    codes
}

fn id(place: &Place) -> ArchiveId {
    read_segment_head(&FolderStore::open(place.at("archive")).unwrap(), 1).unwrap().archive
}

fn plant(place: &Place, number: u64, content: &[u8]) {
    fs::write(place.at(&format!("archive/{number:016x}.seg")), content).unwrap();
}

/// A segment with a right head and many records of one kind and payload.
fn segment(archive: ArchiveId, number: u64, kind: Kind, count: usize, payload: &[u8]) -> Vec<u8> {
    let mut bytes = SegmentHead { archive, number }.encode().to_vec();
    for _ in 0..count {
        let at = At { segment: number, offset: bytes.len() as u64 };
        bytes.extend(FrameHead { kind, length: payload.len() as u32 }.encode(at));
        bytes.extend_from_slice(payload);
    }
    bytes
}

fn same_bytes(path: &Path, expected: &[u8]) -> bool {
    fs::read(path).is_ok_and(|bytes| bytes == expected)
}

#[test]
fn a_file_far_beyond_the_others_is_no_segment() {
    for number in [u64::MAX, u64::MAX - 1, 1 << 40, (1 << 20) + 3] {
        for content in
            [Vec::new(), b"junk".to_vec(), SegmentHead { archive: ArchiveId([0; 16]), number }.encode().to_vec()]
        {
            let (place, _) = Place::with_version();
            let content =
                if content.len() < 33 { content } else { segment(id(&place), number, Kind::Block, 3, b"x") };
            plant(&place, number, &content);
            assert!(codes(&place, "far away").iter().all(|(_, code)| *code == 0), "{number:x}");
            assert!(same_bytes(&place.at(&format!("archive/{number:016x}.seg")), &content));
        }
    }
}

#[test]
fn a_segment_full_of_empty_records_is_bounded_damage() {
    for kind in [Kind::Block, Kind::Index, Kind::Manifest, Kind::Retention] {
        let (place, _) = Place::with_version();
        plant(&place, 2, &segment(id(&place), 2, kind, 300_000, b""));
        plant(&place, 3, &segment(id(&place), 3, Kind::Block, 0, b""));
        let codes = codes(&place, "empty records");
        let checks: Vec<i32> = codes.iter().filter(|(name, _)| name == "check").map(|(_, code)| *code).collect();
        assert_eq!(checks, [1, 1, 0], "the backup puts it right");
    }
}

#[test]
fn segments_of_another_archive_are_neither_used_nor_removed() {
    let (place, _) = Place::with_version();
    let (other, _) = Place::with_version();
    // A key for both is at hand.
    for entry in fs::read_dir(other.at("home")).unwrap().flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "key") {
            fs::copy(entry.path(), place.at("home").join(entry.file_name())).unwrap();
        }
    }
    let foreign = fs::read(other.at("archive/0000000000000001.seg")).unwrap();
    for number in [2, 3] {
        plant(&place, number, &foreign);
    }
    let before = id(&place);
    let codes = codes(&place, "another archive's");
    assert!(codes.iter().all(|(name, code)| *code == 0 || name == "check"), "{codes:?}");
    assert_eq!(codes.last().unwrap().1, 0);
    assert_eq!(id(&place), before);
    for number in [2, 3] {
        assert!(same_bytes(&place.at(&format!("archive/{number:016x}.seg")), &foreign));
    }
    // Moved to where it belongs, it leaves nothing missing.
    fs::remove_file(place.at("archive/0000000000000002.seg")).unwrap();
    assert_eq!(code(&place.run(&["check", "--read-data"])), 0);

    fs::remove_dir_all(place.at("archive")).unwrap();
    fs::create_dir(place.at("archive")).unwrap();
    fs::copy(other.at("archive/0000000000000001.seg"), place.at("archive/0000000000000001.seg")).unwrap();
    let swapped = place.run(&["snapshots"]);
    assert_eq!(code(&swapped), 1, "{}", err(&swapped));
    assert!(err(&swapped).contains("--accept-other"), "{}", err(&swapped));
    place.succeed(&["snapshots", "--accept-other"]);
    place.succeed(&["snapshots"]);
}

#[test]
fn a_segment_of_a_terabyte_ends_in_time() {
    let (place, _) = Place::with_version();
    let path = place.at("archive/0000000000000002.seg");
    fs::write(&path, SegmentHead { archive: id(&place), number: 2 }.encode()).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
    codes(&place, "a terabyte");
    assert_eq!(code(&place.run(&["check", "--read-data"])), 0);
}

#[test]
fn notes_beside_the_archive_may_be_anything() {
    let contents: [&[u8]; 4] = [b"", b"\xff\x00\n\n\n", &[b'0'; 1 << 20], &b"00".repeat(32).repeat(4000)];
    for name in ["damaged", "seen", "lock"] {
        for content in contents {
            let (place, _) = Place::with_version();
            fs::write(place.at("archive").join(name), content).unwrap();
            assert!(codes(&place, name).iter().all(|(_, code)| *code == 0), "{name}");
        }
    }
    for name in ["damaged", "seen"] {
        let (place, _) = Place::with_version();
        let elsewhere = place.at("elsewhere");
        fs::write(&elsewhere, b"of somebody").unwrap();
        let _ = fs::remove_file(place.at("archive").join(name));
        std::os::unix::fs::symlink(&elsewhere, place.at("archive").join(name)).unwrap();
        assert!(codes(&place, name).iter().all(|(_, code)| *code == 0), "{name}");
        assert!(same_bytes(&elsewhere, b"of somebody"), "a link is not followed");
    }
}
