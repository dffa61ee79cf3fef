//! What is backed up: folders whose content is known of every day.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use filetime::FileTime;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

pub(crate) const HOSTS: [&str; 2] = ["a", "b"];
pub(crate) const LABELS: [&str; 2] = ["docs", "mail"];

/// A folder that is backed up to be forgotten at once: something to prune.
pub(crate) const PASSING: Lane = Lane { host: HOSTS[1], label: "passing" };

const FILES: u64 = 10;
/// One file of this many is the same in all folders.
const SHARED_EVERY: u64 = 4;
/// Files change every day, every second or every third day.
const SLOWEST: u64 = 3;

/// A folder of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lane {
    pub(crate) host: &'static str,
    pub(crate) label: &'static str,
}

impl Lane {
    pub(crate) fn all() -> impl Iterator<Item = Lane> {
        HOSTS.into_iter().flat_map(|host| LABELS.into_iter().map(move |label| Lane { host, label }))
    }

    /// Of a host and a label as the program says them.
    pub(crate) fn named(host: &str, label: &str) -> Option<Lane> {
        Lane::all().chain([PASSING]).find(|lane| lane.host == host && lane.label == label)
    }

    fn number(self) -> u64 {
        Lane::all().chain([PASSING]).position(|lane| lane == self).unwrap() as u64
    }

    pub(crate) fn name(self) -> String {
        format!("{}-{}", self.host, self.label)
    }
}

/// All that decides the bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    seed: u64,
    length: usize,
    is_text: bool,
}

impl Content {
    fn bytes(self) -> Vec<u8> {
        let mut bytes = vec![0; self.length];
        ChaCha20Rng::seed_from_u64(self.seed).fill_bytes(&mut bytes);
        if self.is_text {
            bytes.iter_mut().for_each(|byte| *byte = b"etaoin s"[usize::from(*byte % 8)]);
        }
        bytes
    }
}

/// A file of a day.
struct File {
    path: String,
    content: Content,
    /// The day on which it became so.
    edition: u64,
}

/// The folders of all lanes in all days.
#[derive(Clone, Copy)]
pub(crate) struct Sources {
    pub(crate) seed: u64,
    /// The length of a long file, in bytes: one of the last lane, and all of the passing one.
    pub(crate) long_bytes: usize,
}

impl Sources {
    fn files(self, lane: Lane, day: u64) -> Vec<File> {
        let mut files: Vec<File> = (0..FILES).map(|number| self.file(lane, number, day)).collect();
        let seed = self.content_seed(lane.number(), FILES, day);
        let length = if lane == PASSING { self.long_bytes } else { 20_000 };
        let content = Content { seed, length, is_text: false };
        files.push(File { path: format!("only {day}"), content, edition: day });
        files
    }

    fn file(self, lane: Lane, number: u64, day: u64) -> File {
        let edition = day.saturating_sub((day + number) % (1 + number % SLOWEST));
        let is_shared = number.is_multiple_of(SHARED_EVERY);
        let is_long = number == FILES - 1 && lane.number() == 3;
        let content = Content {
            seed: self.content_seed(if is_shared { u64::MAX } else { lane.number() }, number, edition),
            length: if is_long { self.long_bytes } else { 30_000 * (number as usize + 1) },
            is_text: number % 3 == 1,
        };
        let path = if number.is_multiple_of(2) { format!("{number:02}") } else { format!("deep/{number:02}") };
        File { path, content, edition }
    }

    fn content_seed(self, lane: u64, number: u64, edition: u64) -> u64 {
        [lane, number, edition].iter().fold(self.seed, |seed, part| {
            seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(part ^ 1_442_695_040_888_963_407)
        })
    }

    /// Makes a folder what it is on a day; it may be what it was on another.
    pub(crate) fn write(self, folder: &Path, lane: Lane, day: u64) {
        fs::create_dir_all(folder.join("deep")).unwrap();
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_name().to_string_lossy().starts_with("only ") {
                fs::remove_file(entry.path()).unwrap();
            }
        }
        for File { path, content, edition } in self.files(lane, day) {
            let path = folder.join(path);
            let is_so = |there: fs::Metadata| FileTime::from_last_modification_time(&there) == time(edition);
            if !fs::metadata(&path).is_ok_and(is_so) {
                fs::write(&path, content.bytes()).unwrap();
                filetime::set_file_mtime(&path, time(edition)).unwrap();
            }
        }
        let _ = symlink("deep", folder.join("link"));
        filetime::set_symlink_file_times(folder.join("link"), time(0), time(0)).unwrap();
        for folder in [&folder.join("deep"), folder] {
            filetime::set_file_mtime(folder, time(day)).unwrap();
        }
    }

    /// Whether any folder has today what a file had on an earlier day. A path of none stands for the list of files.
    pub(crate) fn still_has(self, lane: Lane, day: u64, path: Option<&str>, today: u64) -> bool {
        let Some(path) = path else { return day == today };
        let of_then = self.files(lane, day).into_iter().find(|file| file.path == path);
        let Some(File { content, .. }) = of_then else { return true };
        Lane::all().flat_map(|lane| self.files(lane, today)).any(|file| file.content == content)
    }
}

fn time(day: u64) -> FileTime {
    FileTime::from_unix_time(1_700_000_000 + 86_400 * day as i64, 123_456_789)
}
