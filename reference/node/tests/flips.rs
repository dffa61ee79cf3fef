//! One bit of an archive is flipped, wherever it may be, and the folder that was backed up is intact: the next backup makes a whole
//! version and puts the archive right. What older versions alone had may be lost, and is named.
//!
//! Small archives are flipped in every byte, or in every seventh one where that takes long; a large one in 40 places, or in as
//! many as `BAILEE_FLIPS` says, and then the small ones in every byte. `BAILEE_FLIPS_SEED` chooses other bits and places.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use common::{
    MANIFEST, Place, code, copy_all, err, flip, kind_of_record, noise, objects, out, quick_folder, segments,
};
use filetime::FileTime;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::Value;

/// Places of the large archive, unless told otherwise.
const LARGE_FLIPS: u64 = 40;
/// Of these bytes in the archive with a history, one is flipped, unless told otherwise.
const STRIDE: u64 = 7;
/// How many of the flips that fail are shown.
const SHOWN: usize = 10;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|number| number.parse().unwrap_or_else(|_| panic!("{variable} is no number")))
}

fn seed() -> u64 {
    number("BAILEE_FLIPS_SEED").unwrap_or(0x666c_6970)
}

/// What is drawn for one flip, whichever flips there are besides.
fn rng(flip: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed() ^ flip.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// One bit of one segment.
#[derive(Clone, Copy, Debug)]
struct Flip {
    segment: usize,
    offset: u64,
    bit: u32,
}

impl Flip {
    /// In this byte of all segments, one after the other.
    fn at(lengths: &[u64], byte: u64, bit: u32) -> Flip {
        let mut offset = byte;
        for (segment, length) in lengths.iter().enumerate() {
            if offset < *length {
                return Flip { segment, offset, bit };
            }
            offset -= length;
        }
        panic!("the archive has no byte {byte}")
    }
}

/// An archive that is never changed.
struct Original {
    place: Place,
    lengths: Vec<u64>,
}

impl Original {
    /// With what these steps make of an empty archive.
    fn made(room: u64, steps: impl FnOnce(&Place)) -> Self {
        let folder = quick_folder(room);
        let place = Place { home: folder.path().join("home"), folder };
        place.succeed(&["init"]);
        steps(&place);
        let lengths = segments(&place.at("archive")).iter().map(|path| path.metadata().unwrap().len()).collect();
        Original { place, lengths }
    }

    fn bytes(&self) -> u64 {
        self.lengths.iter().sum()
    }

    fn source(&self) -> String {
        self.place.text("source")
    }

    fn flip_in_byte(&self, byte: u64) -> Flip {
        Flip::at(&self.lengths, byte, rng(byte).next_u32())
    }

    /// Anywhere; every other time close to where a segment begins or ends, where most of what is no block is.
    fn flip_anywhere(&self, number: u64) -> Flip {
        const CLOSE: u64 = 4096;
        let mut rng = rng(number);
        let (drawn, bit) = (rng.next_u64(), rng.next_u32());
        if number.is_multiple_of(2) {
            return Flip::at(&self.lengths, drawn % self.bytes(), bit);
        }
        let segment = drawn as usize % self.lengths.len();
        let (length, by) = (self.lengths[segment], rng.next_u64() % CLOSE);
        let offset =
            if rng.next_u32().is_multiple_of(4) { by.min(length - 1) } else { (length - 1).saturating_sub(by) };
        Flip { segment, offset, bit }
    }
}

/// A copy of an archive and its key store, which is damaged and made as it was.
struct Copy<'a> {
    original: &'a Original,
    place: Place,
}

impl<'a> Copy<'a> {
    fn of(original: &'a Original, room: u64) -> Self {
        let folder = quick_folder(room);
        let place = Place { home: folder.path().join("home"), folder };
        copy_all(&original.place.at("archive"), &place.at("archive"));
        copy_all(&original.place.home, &place.home);
        // It remembers that this archive is in this place.
        place.succeed(&["snapshots"]);
        copy_all(&place.home, &place.at("home before"));
        Copy { original, place }
    }

    fn as_it_was(&self) {
        make_same(&self.original.place.at("archive"), &self.place.at("archive"));
        make_same(&self.place.at("home before"), &self.place.home);
        for restored in ["restored", "restored old"] {
            let _ = fs::remove_dir_all(self.place.at(restored));
        }
    }

    fn run(&self, expected: &[i32], arguments: &[&str]) -> Result<Output, String> {
        let output = self.place.command(arguments).stdin(Stdio::null()).output().unwrap();
        match output.status.code() {
            Some(code) if expected.contains(&code) => Ok(output),
            _ => Err(format!("{arguments:?}: {}: {}{}", output.status, out(&output), err(&output))),
        }
    }

    fn restores(&self, version: &str, like: &Path, name: &str) -> Result<(), String> {
        self.run(&[0], &["restore", version, "--target", &self.place.text(name)])?;
        let differs = bailee_files::compare(like, &self.place.at(name)).unwrap();
        if differs.is_empty() { Ok(()) } else { Err(format!("version {version} differs: {differs:?}")) }
    }

    /// Flips the bit and backs up: the new version is whole. What the check says then.
    fn damaged_and_backed_up(&self, flipped: Flip) -> Result<Output, String> {
        self.as_it_was();
        flip(&segments(&self.place.at("archive"))[flipped.segment], flipped.offset, flipped.bit);
        self.run(&[0], &["backup", &self.original.source()])?;
        self.restores("latest", Path::new(&self.original.source()), "restored")?;
        self.run(&[0, 1], &["check", "--read-data", "--json"])
    }

    /// The only version has all that the folder has: nothing is lost.
    fn heals(&self, flipped: Flip) -> Result<(), String> {
        let checked = self.damaged_and_backed_up(flipped)?;
        if code(&checked) == 0 { Ok(()) } else { Err(format!("check: {}{}", out(&checked), err(&checked))) }
    }

    /// As [`Copy::heals`], for an archive with these versions, of which `old` has what no other has. Whether any of that is lost.
    fn heals_except(&self, flipped: Flip, versions: &[u64], old: u64) -> Result<bool, String> {
        let checked = self.damaged_and_backed_up(flipped)?;
        let said = objects(&out(&checked));
        let lost = said.iter().filter(|said| said["message_type"] == "lost").map(|said| said["version"].as_u64());
        let lost: BTreeSet<u64> = lost.map(Option::unwrap).collect();
        let listed = self.listed()?;
        let unlisted = versions.iter().filter(|version| !listed.contains(version)).count();
        let segment = &segments(&self.original.place.at("archive"))[flipped.segment];
        if unlisted > usize::from(kind_of_record(segment, flipped.offset) == Some(MANIFEST)) {
            return Err(format!("of the versions only {listed:?} are there, though no manifest was touched"));
        }
        match (code(&checked), lost.is_empty()) {
            (0, true) if listed.contains(&old) => {
                self.restores(&old.to_string(), &self.original.place.at("old"), "restored old").map(|()| false)
            }
            (0, true) => Ok(true),
            (1, false) if lost == [old].into() => self.is_whole_without(old).map(|()| true),
            _ => Err(format!("check: {}{}", out(&checked), err(&checked))),
        }
    }

    fn listed(&self) -> Result<BTreeSet<u64>, String> {
        let said = objects(&out(&self.run(&[0], &["snapshots", "--json"])?));
        let versions = said.iter().filter(|said| said["message_type"] == "snapshot");
        Ok(versions.filter_map(|said| said["version"].as_u64()).collect())
    }

    fn is_whole_without(&self, version: u64) -> Result<(), String> {
        self.run(&[0], &["forget", &version.to_string(), "--allow-last"])?;
        self.run(&[0], &["repair"])?;
        self.run(&[0], &["check", "--read-data"]).map(|_| ())
    }
}

/// Makes a folder the same as another: what differs in length or time is copied anew.
fn make_same(from: &Path, to: &Path) {
    let names = |folder: &Path| -> BTreeSet<_> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    };
    for more in names(to).difference(&names(from)) {
        let more = to.join(more);
        if more.is_dir() { fs::remove_dir_all(more) } else { fs::remove_file(more) }.unwrap();
    }
    for name in names(from) {
        let (from, to) = (from.join(&name), to.join(&name));
        if from.is_dir() {
            make_same(&from, &to);
            continue;
        }
        let before = from.metadata().unwrap();
        let time = FileTime::from_last_modification_time(&before);
        let is_same =
            |now: fs::Metadata| (now.len(), FileTime::from_last_modification_time(&now)) == (before.len(), time);
        if !to.metadata().is_ok_and(is_same) {
            fs::copy(&from, &to).unwrap();
            filetime::set_file_mtime(&to, time).unwrap();
        }
    }
}

/// Tries each flip on all processors. Those that fail are named so that they can be tried again. How many lost something.
fn try_each(
    test: &str,
    original: &Original,
    room: u64,
    numbers: Vec<u64>,
    attempt: impl Fn(&Copy<'_>, u64) -> Result<bool, String> + Sync,
) -> usize {
    let numbers = number("BAILEE_FLIPS_AT").map_or(numbers, |at| vec![at]);
    let (next, lost, failed) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        let copy = Copy::of(original, room);
        while let Some(&number) = numbers.get(next.fetch_add(1, Ordering::Relaxed)) {
            match attempt(&copy, number) {
                Ok(loses) => _ = lost.fetch_add(usize::from(loses), Ordering::Relaxed),
                Err(error) => failed.lock().unwrap().push((number, error)),
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(numbers.len());
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let failed = failed.into_inner().unwrap();
    for (at, error) in failed.iter().take(SHOWN) {
        let seed = seed();
        println!(
            "{error}\nagain: BAILEE_FLIPS_SEED={seed} BAILEE_FLIPS_AT={at} cargo test --release -p bailee --test flips {test}"
        );
    }
    println!("{test}: {} flips of {} bytes, {lost:?} lost something", numbers.len(), original.bytes());
    assert_eq!(failed.len(), 0, "flips that were not healed");
    lost.into_inner()
}

fn write(place: &Place, name: &str, bytes: &[u8]) {
    fs::create_dir_all(place.at("source")).unwrap();
    fs::write(place.at("source").join(name), bytes).unwrap();
}

#[test]
fn a_bit_anywhere_in_the_only_version_is_healed_by_the_next_backup() {
    const ROOM: u64 = 16 << 20;
    let original = Original::made(ROOM, |place| {
        write(place, "a", b"some text");
        write(place, "b", &noise(70));
        symlink("a", place.at("source/link")).unwrap();
        place.succeed(&["backup", &place.text("source")]);
    });
    assert_eq!(original.lengths.len(), 1);
    let all = (0..original.bytes()).collect();
    try_each("a_bit_anywhere_in_the_only_version", &original, ROOM, all, |copy, byte| {
        copy.heals(original.flip_in_byte(byte)).map(|()| false)
    });
}

/// Versions 2 and 3; the segment of version 1, which is forgotten, was pruned; 4 and 5 are retention records. Version 2 alone has
/// what was in a file then.
fn with_history(place: &Place) {
    let source = place.text("source");
    write(place, "stays", &noise(70));
    for changing in ["as it was first", "as it was second", "as it is"] {
        write(place, "changes", changing.as_bytes());
        place.succeed(&["backup", &source]);
        if changing == "as it was second" {
            copy_all(&place.at("source"), &place.at("old"));
        }
    }
    place.succeed(&["forget", "1"]);
    place.succeed(&["prune"]);
    assert!(!place.at("archive/0000000000000001.seg").exists(), "the first segment was pruned");
}

fn try_history(test: &str, last_step: impl FnOnce(&Place), versions: &[u64]) {
    const ROOM: u64 = 16 << 20;
    let original = Original::made(ROOM, |place| {
        with_history(place);
        last_step(place);
    });
    let stride = if number("BAILEE_FLIPS").is_some() { 1 } else { STRIDE };
    let bytes = (seed() % stride..original.bytes()).step_by(stride as usize).collect();
    let lost = try_each(test, &original, ROOM, bytes, |copy, byte| {
        copy.heals_except(original.flip_in_byte(byte), versions, 2)
    });
    if number("BAILEE_FLIPS_AT").is_none() {
        assert!(lost > 0, "what only the old version has is in the archive once");
    }
}

#[test]
fn a_bit_anywhere_in_a_history_costs_no_more_than_what_is_in_no_folder_any_more() {
    try_history(
        "a_bit_anywhere_in_a_history",
        |place| _ = place.succeed(&["backup", &place.text("source")]),
        &[2, 3, 6],
    );
}

/// The last record says what may be gone.
#[test]
fn a_bit_anywhere_after_a_prune_costs_no_more_than_what_is_in_no_folder_any_more() {
    try_history("a_bit_anywhere_after_a_prune", |_| {}, &[2, 3]);
}

/// A hundred small files, text, and noise of more than two segments.
fn fill_large(place: &Place) {
    for number in 0..100 {
        write(place, &format!("small {number}"), format!("note {number}\n").repeat(number).as_bytes());
    }
    let lines: String = (0..400_000).map(|line| format!("{line}: quarterly figures\n")).collect();
    write(place, "text", lines.as_bytes());
    for number in 0..5 {
        let mut bytes = vec![0; 28 << 20];
        ChaCha20Rng::seed_from_u64(number).fill_bytes(&mut bytes);
        write(place, &format!("noise {number}"), &bytes);
    }
}

#[test]
fn a_bit_anywhere_in_a_large_archive_is_healed_by_the_next_backup() {
    const ROOM: u64 = 1 << 30;
    let original = Original::made(2 * ROOM, |place| {
        fill_large(place);
        place.succeed(&["backup", &place.text("source")]);
    });
    assert!(original.lengths.len() >= 3, "{:?}", original.lengths);
    let numbers = (0..number("BAILEE_FLIPS").unwrap_or(LARGE_FLIPS)).collect();
    try_each("a_bit_anywhere_in_a_large_archive", &original, ROOM, numbers, |copy, number| {
        copy.heals(original.flip_anywhere(number)).map(|()| false)
    });
}

/// A disk that returns other bytes than were written changes no time: only who reads them finds out.
#[test]
fn a_bit_whose_flip_changed_no_time_is_found_by_reading_and_healed_then() {
    let (place, _) = Place::with_archive();
    write(&place, "noise", &noise(100_000));
    let source = place.text("source");
    place.succeed(&["backup", &source]);
    let segment = &segments(&place.at("archive"))[0];
    let metadata = segment.metadata().unwrap();
    flip(segment, metadata.len() / 2, 3);
    filetime::set_file_mtime(segment, FileTime::from_last_modification_time(&metadata)).unwrap();

    let unaware = place.run(&["backup", &source]);
    assert_eq!((code(&unaware), err(&unaware).contains("damaged")), (0, false), "{}", err(&unaware));
    place.succeed(&["check"]);
    assert!(!place.at("archive/damaged").exists());
    let said = objects(&out(&place.run(&["check", "--read-data", "--json"])));
    let lost = said.iter().filter(|said| said["message_type"] == "lost" && said["path"] == "noise");
    assert_eq!(lost.filter_map(|said| said["version"].as_u64()).collect::<Vec<_>>(), [1, 2], "{said:?}");
    assert_eq!(said.last().map(|said: &Value| &said["whole"]), Some(&Value::Bool(false)));
    assert!(place.at("archive/damaged").exists(), "what is found is noted");
    assert_eq!(code(&place.run(&["check"])), 1, "and found again without reading all");

    let healing = place.run(&["backup", &source]);
    assert_eq!((code(&healing), err(&healing).contains("is whole again")), (0, true), "{}", err(&healing));
    assert!(!place.at("archive/damaged").exists());
    for version in ["1", "2", "3"] {
        let target = format!("restored {version}");
        place.succeed(&["restore", version, "--target", &place.text(&target)]);
        assert_eq!(bailee_files::compare(&place.at("source"), &place.at(&target)).unwrap(), []);
    }
    place.succeed(&["check", "--read-data"]);
}
