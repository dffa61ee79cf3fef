//! A place with key stores, an archive and a source, and the program that works on them.
#![allow(dead_code, reason = "each test file uses its part of it")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// A place of its own: key stores, archive, source.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
    pub(crate) home: PathBuf,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home");
        Place { folder, home }
    }

    /// With an archive, and its recovery code.
    pub(crate) fn with_archive() -> (Self, String) {
        let place = Place::new();
        let made = place.run(&["init"]);
        assert_eq!(code(&made), 0, "{}", err(&made));
        (place, out(&made))
    }

    /// With an archive that has one version of `source`.
    pub(crate) fn with_version() -> (Self, String) {
        let (place, recovery) = Place::with_archive();
        place.fill();
        place.succeed(&["backup", &place.text("source")]);
        (place, recovery)
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.at(name).to_str().unwrap().to_string()
    }

    pub(crate) fn fill(&self) {
        let at = |name: &str| self.at("source").join(name);
        fs::create_dir_all(at("docs/deep")).unwrap();
        fs::write(at("docs/report.txt"), b"quarterly figures\n".repeat(5000)).unwrap();
        fs::write(at("docs/deep/note.txt"), b"note").unwrap();
        fs::write(at("empty"), b"").unwrap();
        fs::hard_link(at("docs/deep/note.txt"), at("same note")).unwrap();
        symlink("docs", at("link")).unwrap();
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bailee"));
        command.args(arguments).env("BAILEE_HOME", &self.home).env("BAILEE_ARCHIVE", self.at("archive"));
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).stdin(Stdio::null()).output().unwrap()
    }

    pub(crate) fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(code(&output), 0, "{arguments:?}: {}{}", out(&output), err(&output));
        out(&output)
    }

    /// Runs a command that fails so, and says what it said.
    pub(crate) fn fail(&self, expected: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(code(&output), expected, "{arguments:?}: {}{}", out(&output), err(&output));
        err(&output)
    }

    pub(crate) fn recover(&self, home: &str, typed: &str) -> Output {
        let mut command = self.command(&["init", "--recover"]);
        let mut child = command
            .env("BAILEE_HOME", self.at(home))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It may refuse before it reads.
        let _ = child.stdin.take().unwrap().write_all(typed.as_bytes());
        child.wait_with_output().unwrap()
    }
}

/// Runs a command that may not hang.
pub(crate) fn ended_within(mut command: Command, patience: Duration) -> Output {
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if started.elapsed() > patience {
            child.kill().unwrap();
            panic!("{command:?} hangs");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().unwrap()
}

pub(crate) fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

pub(crate) fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
}

pub(crate) fn copy_of(folder: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Bytes that neither compress nor repeat.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// A folder for much that is written again and again: in memory where there is room for that many bytes.
pub(crate) fn quick_folder(bytes: u64) -> TempDir {
    const MEMORY: &str = "/dev/shm";
    let room = Command::new("df").args(["--output=avail", "--block-size=1", MEMORY]).output();
    let room = room.ok().and_then(|said| out(&said).lines().nth(1)?.trim().parse::<u64>().ok());
    if room.is_some_and(|room| room >= bytes) { tempfile::tempdir_in(MEMORY) } else { tempfile::tempdir() }.unwrap()
}

/// Copies a folder with all that it has, times included.
pub(crate) fn copy_all(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg("--").arg(from).arg(to).status().unwrap();
    assert!(copied.success(), "copying {}", from.display());
}

/// The segments of an archive, ascending.
pub(crate) fn segments(archive: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(archive).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<PathBuf> =
        names.filter(|path| path.extension().is_some_and(|extension| extension == "seg")).collect();
    segments.sort();
    segments
}

/// Flips one bit of a file. Its time of change becomes now.
pub(crate) fn flip(file: &Path, offset: u64, bit: u32) {
    let file = fs::File::options().read(true).write(true).open(file).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    byte[0] ^= 1 << (bit % 8);
    file.write_all_at(&byte, offset).unwrap();
}

/// Bytes of a segment's head.
pub(crate) const SEGMENT_HEAD_BYTES: u64 = 33;

/// The kind of record that a byte of a sound segment is of, in its head or behind it; none in the head of the segment.
pub(crate) fn kind_of_record(segment: &Path, offset: u64) -> Option<u8> {
    const FRAME_HEAD_BYTES: u64 = 9;
    let file = fs::File::open(segment).unwrap();
    let mut begin = SEGMENT_HEAD_BYTES;
    while begin <= offset {
        let mut head = [0; FRAME_HEAD_BYTES as usize];
        // A crash may have left less than a head at the end.
        file.read_exact_at(&mut head, begin).ok()?;
        let end = begin + FRAME_HEAD_BYTES + u64::from(u32::from_be_bytes([head[1], head[2], head[3], head[4]]));
        if offset < end {
            return Some(head[0]);
        }
        begin = end;
    }
    None
}

/// The kinds of records that are links of a chain.
pub(crate) const MANIFEST: u8 = 3;
pub(crate) const RETENTION: u8 = 4;
