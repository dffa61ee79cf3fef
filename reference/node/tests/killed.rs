//! The program is killed at seeded moments of a backup, a prune and a restore, again and again in the life of one archive: every
//! version that was committed is there byte for byte, and the next run goes on from what was stored.
//!
//! 40 times, or as often as `BAILEE_KILLS` says.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::{Place, code, err, objects, out};
use filetime::FileTime;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::Value;

const SEED: u64 = 0x6b69_6c6c;
/// Files of a version beside the passing ones, each of so many bytes that do not compress: several blocks.
const FILES: u64 = 16;
const FILE_BYTES: usize = 200_000;
/// A file changes with every so many generations: half of them each time.
const CHANGE_EVERY: u64 = 2;
/// Every so many generations have a file that begins a new segment.
const LONG_EVERY: u64 = 20;
const LONG_BYTES: usize = 66 << 20;
/// Versions that are kept by the way.
const KEPT: usize = 2;

/// The edition that a file has in a generation: the last one up to it in which the file changed.
fn edition(number: u64, generation: u64) -> u64 {
    generation.saturating_sub((generation + number) % CHANGE_EVERY)
}

fn is_long(generation: u64) -> bool {
    generation.is_multiple_of(LONG_EVERY)
}

/// Brings a folder to a generation, with times of its own: made anew elsewhere, it is the same.
fn write_generation(folder: &Path, generation: u64) {
    fs::create_dir_all(folder.join("deep")).unwrap();
    for number in 0..FILES {
        let path = if number % 2 == 0 { format!("{number:02}") } else { format!("deep/{number:02}") };
        let edition = edition(number, generation);
        put(&folder.join(path), edition, number << 32 | edition, FILE_BYTES);
    }
    for passing in [format!("only {}", generation.wrapping_sub(1)), "link".into(), "long".into(), "second".into()] {
        let _ = fs::remove_file(folder.join(passing));
    }
    let only = folder.join(format!("only {generation}"));
    put(&only, generation, u64::MAX - generation, FILE_BYTES);
    fs::hard_link(&only, folder.join("second")).unwrap();
    symlink("deep", folder.join("link")).unwrap();
    filetime::set_symlink_file_times(folder.join("link"), time(generation), time(generation)).unwrap();
    if is_long(generation) {
        put(&folder.join("long"), generation, u64::MAX / 2 - generation, LONG_BYTES);
    }
    for folder in [&folder.join("deep"), folder] {
        filetime::set_file_mtime(folder, time(generation)).unwrap();
    }
}

fn time(generation: u64) -> FileTime {
    FileTime::from_unix_time(1_700_000_000 + generation as i64, 123_456_789)
}

fn put(path: &Path, edition: u64, seed: u64, length: usize) {
    let stands = |there: fs::Metadata| FileTime::from_last_modification_time(&there) == time(edition);
    if !fs::metadata(path).is_ok_and(stands) {
        let mut bytes = vec![0; length];
        ChaCha20Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
        fs::write(path, bytes).unwrap();
        filetime::set_file_mtime(path, time(edition)).unwrap();
    }
}

/// Content of a generation that none of these others has, in bytes.
fn new_bytes(generation: u64, others: &BTreeSet<u64>) -> u64 {
    let is_new = |number: &u64| others.iter().all(|other| edition(*number, *other) != edition(*number, generation));
    let files = (0..FILES).filter(is_new).count() as u64 + u64::from(!others.contains(&generation));
    let long = is_long(generation) && !others.contains(&generation);
    files * FILE_BYTES as u64 + if long { LONG_BYTES as u64 } else { 0 }
}

/// The most that blocks take for so much content: padding takes up to an eighth, and a tree, names and metadata the rest.
fn in_blocks(content: u64) -> u64 {
    content + content / 8 + 128 * 1024
}

/// A version that was committed.
struct Committed {
    digest: String,
    generation: u64,
}

/// What is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    Backup,
    LongBackup,
    Forget,
    Prune,
    Restore,
}

/// What came of it all.
#[derive(Debug, Default)]
struct Tally {
    kills: BTreeMap<Act, usize>,
    /// The process had ended before it was to be killed. That is no kill.
    too_late: usize,
    /// Killed backups, and killed commands that forget, which were through with their work all the same.
    through: usize,
    /// Killed backups that left blocks, all of which the next one used.
    used: usize,
    /// Killed prunes that left the archive otherwise than it was.
    half_pruned: usize,
    /// Killed restores that left files, which were kept.
    resumed: usize,
    /// The most segments that the archive had when it was checked.
    segments: u64,
}

impl Tally {
    /// There were kills in the midst of everything that leaves something half done.
    fn is_in_the_midst(&self) -> bool {
        self.used > 0 && self.half_pruned > 0 && self.resumed > 0
    }
}

/// An archive and what should be in it.
struct Life {
    place: Place,
    rng: ChaCha20Rng,
    generation: u64,
    versions: Vec<Committed>,
    /// How long each command takes that is not killed.
    spans: BTreeMap<Act, Duration>,
    tally: Tally,
}

impl Life {
    /// An archive with some versions, and how long each command took for it.
    fn begin() -> Self {
        let (place, _) = Place::with_archive();
        let rng = ChaCha20Rng::seed_from_u64(SEED);
        let (spans, tally) = (BTreeMap::new(), Tally::default());
        let mut life = Life { place, rng, generation: 0, versions: Vec::new(), spans, tally };
        write_generation(&life.place.at("source"), 0);
        life.measure(Act::LongBackup, Life::back_up);
        for _ in 0..3 {
            life.next_generation();
            life.measure(Act::Backup, Life::back_up);
            life.measure(Act::Forget, |life| life.forget_down_to(KEPT));
            life.measure(Act::Prune, Life::prune);
        }
        life.measure(Act::Restore, |life| life.restored(&life.versions[0], "restored"));
        fs::remove_dir_all(life.place.at("restored")).unwrap();
        life
    }

    fn measure(&mut self, act: Act, work: impl FnOnce(&mut Life)) {
        let begun = Instant::now();
        work(self);
        let span = self.spans.entry(act).or_default();
        *span = begun.elapsed().max(*span);
    }

    fn next_generation(&mut self) {
        self.generation += 1;
        write_generation(&self.place.at("source"), self.generation);
    }

    fn back_up(&mut self) {
        self.back_up_and_say();
    }

    /// Backs up without being killed; what it said.
    fn back_up_and_say(&mut self) -> Value {
        let said = self.summary(&["backup", &self.place.text("source")]);
        let digest = said["digest"].as_str().unwrap().to_string();
        self.versions.push(Committed { digest, generation: self.generation });
        said
    }

    fn forget_down_to(&mut self, kept: usize) {
        while self.versions.len() > kept {
            let gone = self.versions.remove(0);
            self.place.succeed(&["forget", &gone.digest]);
        }
    }

    fn prune(&mut self) {
        self.place.succeed(&["prune"]);
    }

    fn summary(&self, arguments: &[&str]) -> Value {
        objects(&self.place.succeed(&[arguments, &["--json"]].concat())).pop().unwrap()
    }

    /// Bytes of all blocks.
    fn stored(&mut self) -> u64 {
        let stats = self.summary(&["stats"]);
        self.tally.segments = self.tally.segments.max(stats["segments"].as_u64().unwrap());
        stats["block_bytes"].as_u64().unwrap()
    }

    /// Content that the versions have together, in bytes.
    fn content(&self) -> u64 {
        let mut others = BTreeSet::new();
        let mut bytes = 0;
        for version in &self.versions {
            bytes += new_bytes(version.generation, &others);
            others.insert(version.generation);
        }
        bytes
    }

    fn start(&self, arguments: &[&str]) -> Child {
        self.place
            .command(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Kills a command at a moment of the time that it takes. Not if it had ended by then.
    fn kill(&mut self, act: Act, arguments: &[&str]) -> bool {
        let moment = self.spans[&act].mul_f64(f64::from(self.rng.next_u32()) / f64::from(u32::MAX));
        let begun = Instant::now();
        let mut child = self.start(arguments);
        thread::sleep(moment.saturating_sub(begun.elapsed()));
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        let killed = output.status.signal() == Some(9);
        if killed {
            *self.tally.kills.entry(act).or_default() += 1;
        } else {
            assert_eq!(code(&output), 0, "{act:?}: {}", err(&output));
            self.tally.too_late += 1;
            // Another time: it is faster than it was.
            let span = self.spans.get_mut(&act).unwrap();
            *span = span.mul_f64(0.9);
        }
        killed
    }

    /// The archive is whole, has the versions that it should have, and each of them restores byte for byte. The digest of one more,
    /// if there is one.
    fn verify(&self) -> Option<String> {
        // All at once: readers need no lock.
        let check = self.start(&["check", "--read-data", "--json"]);
        let target = |version: &Committed| format!("verified {}", version.digest);
        let restore = |version: &Committed| {
            self.start(&["restore", &version.digest, "--target", &self.place.text(&target(version))])
        };
        let restores: Vec<Child> = self.versions.iter().map(restore).collect();
        let snapshots = self.place.succeed(&["snapshots", "--json"]);
        let there: Vec<String> =
            objects(&snapshots).iter().filter_map(|object| Some(object["digest"].as_str()?.to_string())).collect();
        for (version, restore) in self.versions.iter().zip(restores) {
            assert!(there.contains(&version.digest), "{} is gone of {there:?}", version.digest);
            let output = restore.wait_with_output().unwrap();
            assert_eq!(code(&output), 0, "{}", err(&output));
            self.compare(version, &target(version));
            fs::remove_dir_all(self.place.at(&target(version))).unwrap();
        }
        let output = check.wait_with_output().unwrap();
        assert_eq!(code(&output), 0, "{}{}", out(&output), err(&output));
        let mut more = there.into_iter().filter(|digest| self.versions.iter().all(|v| v.digest != *digest));
        let one = more.next();
        assert_eq!(more.next(), None, "more than one version more");
        one
    }

    fn restored(&self, version: &Committed, name: &str) {
        self.place.succeed(&["restore", &version.digest, "--target", &self.place.text(name)]);
        self.compare(version, name);
    }

    /// A restored folder is what was backed up, made anew.
    fn compare(&self, version: &Committed, name: &str) {
        let again = self.place.at(&format!("generation {}", version.generation));
        if !again.exists() {
            write_generation(&again, version.generation);
        }
        assert_eq!(bailee_files::compare(&again, &self.place.at(name)).unwrap(), [], "{}", version.generation);
    }

    /// Drops copies that no version needs.
    fn tidy(&self) {
        for entry in fs::read_dir(self.place.folder.path()).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let generation = name.strip_prefix("generation ").map(|number| number.parse().unwrap());
            if generation.is_some_and(|number: u64| self.versions.iter().all(|v| v.generation != number)) {
                fs::remove_dir_all(entry.path()).unwrap();
            }
        }
    }

    fn kill_a_backup(&mut self) {
        self.next_generation();
        let act = if is_long(self.generation) { Act::LongBackup } else { Act::Backup };
        let before = self.stored();
        let known: BTreeSet<u64> = self.versions.iter().map(|version| version.generation).collect();
        let most = in_blocks(new_bytes(self.generation, &known));
        self.kill(act, &["backup", &self.place.text("source")]);
        let through = self.verify().map(|digest| Committed { digest, generation: self.generation });
        let is_through = through.is_some();
        self.versions.extend(through);
        let left = self.stored() - before;
        let new = self.back_up_and_say()["bytes_new"].as_u64().unwrap();
        let after = self.stored() - before;
        assert!(after <= most, "{after} bytes of blocks where {most} hold everything that is new");
        assert!(new + left <= most, "{new} were new though {left} of {most} were there");
        self.tally.through += usize::from(is_through);
        self.tally.used += usize::from(!is_through && left > 0);
    }

    fn kill_a_forget(&mut self) {
        self.forget_down_to(KEPT);
        let oldest = self.versions.remove(0);
        let killed = self.kill(Act::Forget, &["forget", &oldest.digest]);
        match self.verify() {
            None => self.tally.through += usize::from(killed),
            Some(digest) => {
                assert!(killed && digest == oldest.digest, "{digest} is there");
                self.versions.insert(0, oldest);
                self.verify();
            }
        }
    }

    fn kill_a_prune(&mut self) {
        self.forget_down_to(KEPT);
        let before = self.stored();
        let killed = self.kill(Act::Prune, &["prune"]);
        assert_eq!(self.verify(), None);
        self.tally.half_pruned += usize::from(killed && self.stored() != before);
        self.prune();
        let (stored, most) = (self.stored(), in_blocks(self.content()) * 100 / (100 - 20));
        assert!(stored <= most, "{stored} bytes of blocks are left where {most} are enough");
    }

    fn kill_a_restore(&mut self) {
        let at = self.rng.next_u32() as usize % self.versions.len();
        let version = &self.versions[at];
        let arguments =
            ["restore".to_string(), version.digest.clone(), "--target".into(), self.place.text("restored")];
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.kill(Act::Restore, &arguments);
        let said = self.summary(&arguments);
        self.compare(&self.versions[at], "restored");
        self.tally.resumed += usize::from(said["kept"].as_u64().unwrap() > 0);
        fs::remove_dir_all(self.place.at("restored")).unwrap();
        assert_eq!(self.verify(), None);
    }
}

#[test]
fn whatever_is_killed_every_committed_version_is_whole_and_nothing_is_stored_twice() {
    let kills: usize = std::env::var("BAILEE_KILLS").map_or(40, |number| number.parse().unwrap());
    let begun = Instant::now();
    let mut life = Life::begin();
    // Half are backups, a quarter each restores and what removes.
    let mut rounds = 0;
    while life.tally.kills.values().sum::<usize>() < kills || !life.tally.is_in_the_midst() {
        match rounds % 8 {
            0 | 2 | 4 | 6 => life.kill_a_backup(),
            1 | 5 => life.kill_a_restore(),
            3 if rounds % 16 == 3 => life.kill_a_forget(),
            _ => life.kill_a_prune(),
        }
        rounds += 1;
        life.tidy();
        assert!(rounds < 4 * kills, "the kills come too late or too early: {:?}", life.tally);
    }
    life.forget_down_to(KEPT);
    life.prune();
    assert_eq!(life.verify(), None);
    println!("{rounds} rounds in {:.1} s: {:?}", begun.elapsed().as_secs_f64(), life.tally);
    println!("unkilled: {:?}", life.spans);
    assert!(life.tally.segments > 1);
}
