//! What somebody puts into the folder of an archive who may write there and holds no key: links to other files, pipes, things that
//! are no segments. Nothing else is written, nothing waits for ever, and what was committed stays restorable.

mod common;

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use bailee_archive::segment::{FrameHead, Kind, SegmentHead, read_segment_head, scan_segment};
use bailee_archive::{ArchiveId, FolderStore};
use common::*;

/// Longer than any of these commands takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a command that may not hang.
fn ends(place: &Place, arguments: &[&str]) -> Output {
    ended_within(place.command(arguments), PATIENCE)
}

/// The first version comes back whole, damage told or not.
fn restores(place: &Place, target: &str) {
    let output = ends(place, &["restore", "1", "--target", &place.text(target)]);
    assert_eq!(code(&output), 0, "{}", err(&output));
    assert_eq!(fs::read(place.at(target).join("docs/deep/note.txt")).unwrap(), b"note");
}

fn segment(place: &Place, number: u64) -> PathBuf {
    place.at("archive").join(format!("{number:016x}.seg"))
}

#[test]
fn a_link_to_another_file_is_neither_followed_nor_written_through() {
    for hard in [false, true] {
        let (place, _) = Place::with_version();
        let victim = place.at("victim");
        fs::write(&victim, b"what is dear to somebody".repeat(10)).unwrap();
        let before = fs::read(&victim).unwrap();
        if hard {
            fs::hard_link(&victim, segment(&place, 2)).unwrap();
        } else {
            symlink(&victim, segment(&place, 2)).unwrap();
        }
        for arguments in [&["backup", &place.text("source")][..], &["forget", "1", "--dry-run"], &["check"]] {
            ends(&place, arguments);
            assert_eq!(fs::read(&victim).unwrap(), before, "{arguments:?}, hard: {hard}");
        }
        restores(&place, "restored");
    }
}

#[test]
fn a_lock_that_leads_elsewhere_makes_no_file_there() {
    let (place, _) = Place::with_version();
    fs::remove_file(place.at("archive/lock")).unwrap();
    symlink(place.at("made elsewhere"), place.at("archive/lock")).unwrap();
    assert_eq!(code(&ends(&place, &["backup", &place.text("source")])), 1);
    assert!(!place.at("made elsewhere").exists());
}

fn pipe(path: &Path) {
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
}

/// What has the number of the next segment and is not a file costs a number, and nothing else.
#[test]
fn what_is_not_a_file_stops_no_backup_and_stays() {
    for what in ["pipe", "folder", "link"] {
        let plant = |path: &Path| match what {
            "pipe" => pipe(path),
            "folder" => fs::create_dir(path).unwrap(),
            _ => symlink("/nowhere", path).unwrap(),
        };
        let (place, _) = Place::with_version();
        let source = place.text("source");
        let planted = segment(&place, 2);
        plant(&planted);
        // The names of half-made segments are removed, except those of folders.
        plant(&segment(&place, 0x77).with_extension("tmp"));
        let kind = || fs::symlink_metadata(&planted).unwrap().file_type();
        let before = kind();
        for number in ["2", "3"] {
            let output = ends(&place, &["backup", &source]);
            assert_eq!(code(&output), 0, "{what}: {}", err(&output));
            assert!(err(&output).contains("no version has lost anything"), "{what}: {}", err(&output));
            fs::write(place.at("source/new"), number).unwrap();
        }
        place.succeed(&["backup", &source]);
        let checked = ends(&place, &["check"]);
        assert_eq!(code(&checked), 1, "{what}");
        assert!(out(&checked).contains("0000000000000002.seg is not a file"), "{what}: {}", out(&checked));
        assert!(err(&checked).contains("move out of the archive what is in the place of a segment"), "{what}");
        ends(&place, &["repair"]);
        place.succeed(&["forget", "1", "2"]);
        place.succeed(&["prune"]);
        assert_eq!(kind(), before, "{what}");
        place.succeed(&["restore", "latest", "--target", &place.text("restored")]);
        assert_eq!(fs::read(place.at("restored/new")).unwrap(), b"3");

        if what == "folder" { fs::remove_dir(&planted) } else { fs::remove_file(&planted) }.unwrap();
        place.succeed(&["backup", &source]);
        place.succeed(&["check", "--read-data"]);
    }
}

/// As `cp -al` makes one: a write to the copy would be one to the archive, too.
#[test]
fn an_archive_of_hard_links_is_read_and_not_written() {
    let (place, _) = Place::with_version();
    let source = place.text("source");
    fs::create_dir(place.at("copy")).unwrap();
    for entry in fs::read_dir(place.at("archive")).unwrap() {
        let entry = entry.unwrap();
        fs::hard_link(entry.path(), place.at("copy").join(entry.file_name())).unwrap();
    }
    let before = fs::read(segment(&place, 1)).unwrap();
    let said = place.fail(1, &["backup", &source]);
    assert!(said.contains("lock has another name elsewhere"), "{said}");
    assert!(said.contains("remove the other name, or copy the files"), "{said}");
    assert!(!said.contains("run it again") && !said.contains("--accept-rollback"), "{said}");
    fs::remove_file(place.at("copy/lock")).unwrap();
    place.succeed(&["backup", &source]);
    assert_eq!(fs::read(segment(&place, 1)).unwrap(), before);
    assert!(segment(&place, 2).exists(), "what is new has a segment of its own");
    place.succeed(&["check", "--read-data"]);
    fs::remove_file(place.at("copy/0000000000000001.seg")).unwrap();
    place.succeed(&["backup", &source]);
}

#[test]
fn nobody_waits_for_the_other_end_of_a_pipe() {
    let (place, _) = Place::with_version();
    pipe(&segment(&place, 2));
    assert_eq!(code(&ends(&place, &["check"])), 1);
    restores(&place, "restored");
    fs::remove_file(segment(&place, 2)).unwrap();
    for lock in ["archive/lock", "home/lock"] {
        fs::remove_file(place.at(lock)).unwrap();
        pipe(&place.at(lock));
        assert_ne!(code(&ends(&place, &["backup", &place.text("source")])), 101);
        fs::remove_file(place.at(lock)).unwrap();
    }
}

#[test]
fn what_is_no_segment_is_named_left_as_it_is_and_passed_over() {
    let planted: [&[u8]; 4] =
        [b"", b"BAILEESG\x01", &[7; 32], &b"notes of somebody, who keeps them here\n".repeat(9)];
    for content in planted {
        let (place, _) = Place::with_version();
        fs::write(segment(&place, 2), content).unwrap();
        assert_eq!(code(&ends(&place, &["check"])), 1, "it is in the place of a segment");
        fs::write(place.at("source/new"), b"new").unwrap();
        place.succeed(&["backup", &place.text("source"), "--quiet"]);
        assert_eq!(fs::read(segment(&place, 2)).unwrap(), content);
        place.succeed(&["forget", "1"]);
        let checked = ends(&place, &["check"]);
        assert_eq!(code(&checked), 0, "nothing of the archive is damaged");
        assert!(
            err(&checked).contains("0000000000000002.seg in its folder is not of this archive"),
            "{}",
            err(&checked)
        );
        place.succeed(&["restore", "2", "--target", &place.text("restored")]);
        assert_eq!(fs::read(place.at("restored/new")).unwrap(), b"new");
    }
}

/// An archive of one segment has one head. Whatever byte of it is altered, the key says which archive it is.
#[test]
fn an_altered_head_costs_nothing() {
    let (place, _) = Place::with_version();
    let sound = fs::read(segment(&place, 1)).unwrap();
    for at in [0, 7, 8, 9, 20, 25, 32] {
        let mut altered = sound.clone();
        altered[at] ^= 1;
        fs::write(segment(&place, 1), &altered).unwrap();
        assert_eq!(code(&ends(&place, &["check"])), 1, "byte {at}");
        restores(&place, &format!("restored-{at}"));
    }
    place.succeed(&["backup", &place.text("source")]);
    restores(&place, "restored again");
    assert_eq!(code(&ends(&place, &["restore", "2", "--target", &place.text("second")])), 0);
    assert!(File::open(segment(&place, 2)).is_ok(), "the damaged segment is left, another one was begun");
}

/// The archive in a folder of one segment, and its records.
fn records(folder: &Path) -> (ArchiveId, Vec<(Kind, Vec<u8>)>) {
    let store = FolderStore::open(folder).unwrap();
    let archive = read_segment_head(&store, 1).unwrap().archive;
    let frames = scan_segment(&store, 1, archive).unwrap().frames;
    (archive, frames.iter().map(|frame| (frame.head.kind, frame.read(&store).unwrap())).collect())
}

/// A link that another archive of the same person signed, in front of all else: both keys are at hand, and the archive is taken
/// for what it is.
#[test]
fn a_link_of_another_archive_does_not_pass_for_this_one() {
    let (place, _) = Place::with_version();
    fs::rename(place.at("archive"), place.at("other")).unwrap();
    let recovery = place.succeed(&["init"]);
    fs::write(place.at("source/new"), b"new").unwrap();
    place.succeed(&["backup", &place.text("source")]);

    let (archive, own) = records(&place.at("archive"));
    let (_, foreign) = records(&place.at("other"));
    let links = foreign.into_iter().filter(|(kind, _)| *kind == Kind::Manifest);
    let mut bytes = SegmentHead { archive, number: 1 }.encode().to_vec();
    for (kind, payload) in links.chain(own) {
        let at = bailee_archive::Place { segment: 1, offset: bytes.len() as u64 };
        bytes.extend(FrameHead { kind, length: payload.len() as u32 }.encode(at));
        bytes.extend(payload);
    }
    fs::write(segment(&place, 1), bytes).unwrap();

    let check = place.run(&["check"]);
    assert_eq!(code(&check), 1);
    assert!(out(&check).contains("manifest: belongs to archive"), "{}", out(&check));
    restores(&place, "restored");
    assert_eq!(fs::read(place.at("restored/new")).unwrap(), b"new");
    assert_eq!(code(&place.recover("second home", &recovery)), 0);
    restores(&place, "restored again");
}
