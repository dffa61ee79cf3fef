//! What the tests of this crate share: an archive in memory, keys that are none, folders with odd things in them.
#![allow(dead_code)] // Each test uses a part of it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bailee_archive::tree::Time;
use bailee_archive::{Archive, ArchiveKeys, BackUp, Counters, DeviceId, MemoryStore, Randomness, ReadStore};
use bailee_core::crypto::keys::{Owner, Secret};
use bailee_core::crypto::sign::Signing;
use bailee_files::{
    BackedUp, FilesError, JOURNAL, Overwrite, RestoreOptions, RestoreProgress, Restored, Scope, Selection, back_up,
    compare, restore,
};
use filetime::FileTime;
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, SeedableRng};

pub(crate) type Store = MemoryStore;

/// Another stream each time, so that no two backups draw the same.
#[derive(Default)]
pub(crate) struct Seeded(AtomicU64);

impl Randomness for Seeded {
    fn stream(&self, number: u64) -> Box<dyn CryptoRng + Send> {
        static DRAWN: AtomicU64 = AtomicU64::new(1);
        let drawn = DRAWN.fetch_add(1, Ordering::Relaxed);
        Box::new(ChaCha20Rng::seed_from_u64(drawn << 32 | number))
    }
}

pub(crate) fn keys() -> ArchiveKeys {
    let owner = Owner { tenant: "tenant".into(), user: "user".into(), epoch: 0 };
    ArchiveKeys::new(&Secret::take(&mut [7; 32]), &owner)
}

pub(crate) fn device() -> Signing {
    Signing::from_seed(&[3; 32])
}

/// Switches on the bug that `cargo lockstep mutants` names to this process, if it names one.
pub(crate) fn bug() {
    if let Ok(id) = std::env::var("BAILEE_BUG") {
        bailee_files::quirks::Quirk::switch_on(&id);
    }
}

pub(crate) fn fresh() -> Archive<Store> {
    bug();
    Archive::create(Store::default(), keys(), &bailee_archive::testing::Seeded(1)).unwrap()
}

pub(crate) fn reopened(store: Store) -> Archive<Store> {
    Archive::open(store, keys(), &[DeviceId(device().public())]).unwrap()
}

/// Backs up with two threads.
pub(crate) fn save(
    archive: Archive<Store>,
    folder: &Path,
    scope: &Scope,
    catalogue: Option<&Path>,
) -> Result<BackedUp<Store>, FilesError> {
    let (device, counters, random) = (device(), Counters::default(), Seeded::default());
    let how = BackUp { label: b"label", ..BackUp::new(&device, Time::default(), &random, &counters) };
    back_up(archive, folder, scope, catalogue, &how)
}

pub(crate) fn backed_up(folder: &Path) -> Result<BackedUp<Store>, FilesError> {
    save(fresh(), folder, &Scope::default(), None)
}

/// Restores the last version.
pub(crate) fn bring_back(
    archive: &Archive<Store>,
    target: &Path,
    what: &Selection,
    (overwrite, verify): (Overwrite, bool),
) -> Result<Restored, FilesError> {
    let progress = RestoreProgress::default();
    let how = RestoreOptions { threads: 2, overwrite, verify, progress: &progress };
    restore(archive, archive.versions().last().unwrap(), target, what, &how)
}

/// The folder where it was restored to, and every warning.
pub(crate) fn round_trip(folder: &Path) -> (tempfile::TempDir, PathBuf, Vec<String>) {
    let done = backed_up(folder).unwrap();
    let archive = reopened(done.archive.into_store());
    let out = tempfile::tempdir().unwrap();
    let target = out.path().join("restored");
    let restored = bring_back(&archive, &target, &Selection::whole(), (Overwrite::Never, true)).unwrap();
    let told = [&done.warnings, &restored.warnings, &restored.damaged];
    let warnings = told.into_iter().flatten().map(ToString::to_string).collect();
    (out, target, warnings)
}

pub(crate) fn differences(a: &Path, b: &Path) -> Vec<String> {
    compare(a, b).unwrap().iter().map(ToString::to_string).collect()
}

pub(crate) fn write(path: &Path, bytes: &[u8]) {
    File::create(path).unwrap().write_all(bytes).unwrap();
}

/// Bytes that neither repeat nor compress.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    use rand_core::Rng;
    let mut bytes = vec![0; length];
    ChaCha20Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

/// A folder of everything that a file system allows and a program forgets.
pub(crate) fn odd() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &[u8]| folder.path().join(OsStr::from_bytes(name));
    write(&at(b"empty"), b"");
    write(&at(b"new\nline and \x1b[31mcolour"), b"name");
    write(&at(b"not \xff\xfe text"), b"name");
    write(&at("z\u{301}\u{4e2d}".as_bytes()), b"name");
    write(&at(&[b'l'; 255]), b"the longest name");
    write(&at(b"-rf"), b"name");
    write(&at(b"zeros"), &vec![0; 2_000_000]);
    let mut sparse = File::create(at(b"sparse")).unwrap();
    sparse.set_len(40_000_000).unwrap();
    sparse.write_all(b"begin").unwrap();
    write(&at(b"linked"), b"one file, three names");
    fs::hard_link(at(b"linked"), at(b"another name")).unwrap();
    symlink("linked", at(b"link")).unwrap();
    symlink("/nowhere/at all", at(b"dangling")).unwrap();
    symlink(".", at(b"loop")).unwrap();
    symlink("../../../../etc/passwd", at(b"outside")).unwrap();
    // A path to a socket may be 107 bytes long.
    UnixListener::bind(at(b"socket")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, at(b"pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let mut deep = folder.path().to_path_buf();
    for _ in 0..120 {
        deep.push("deep");
        fs::create_dir(&deep).unwrap();
    }
    write(&deep.join("bottom"), b"here");
    fs::hard_link(at(b"linked"), deep.join("a third name")).unwrap();
    fs::create_dir(at(b"closed")).unwrap();
    write(&at(b"closed/inside"), b"x");
    for (name, mode) in [(&b"empty"[..], 0o000), (b"-rf", 0o4755), (b"zeros", 0o2640), (b"closed", 0o1111)] {
        fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    filetime::set_file_mtime(at(b"zeros"), FileTime::from_unix_time(-86_400, 123_456_789)).unwrap();
    filetime::set_symlink_file_times(at(b"link"), FileTime::zero(), FileTime::from_unix_time(1, 5)).unwrap();
    let _ = xattr::set(at(b"linked"), "user.colour", b"blue");
    let _ = xattr::set(at(b"deep"), "user.long", &[b'v'; 2000]);
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::lchown(at(b"-rf"), Some(4_242), Some(4_243)).unwrap();
        fs::set_permissions(at(b"-rf"), fs::Permissions::from_mode(0o6755)).unwrap();
        std::os::unix::fs::lchown(at(b"dangling"), Some(4_242), Some(4_243)).unwrap();
    }
    filetime::set_file_mtime(at(b"deep"), FileTime::from_unix_time(1_000, 7)).unwrap();
    folder
}

/// A store that calls somebody before each read: in the midst of a restore.
pub(crate) struct Watched {
    pub(crate) inner: Store,
    pub(crate) look: Box<dyn Fn() + Send + Sync>,
}

impl ReadStore for Watched {
    fn list(&self) -> io::Result<Vec<u64>> {
        self.inner.list()
    }

    fn length(&self, segment: u64) -> io::Result<u64> {
        self.inner.length(segment)
    }

    fn read(&self, segment: u64, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        (self.look)();
        self.inner.read(segment, offset, buffer)
    }
}

/// Restores the last version, and calls somebody before each read.
pub(crate) fn bring_back_watched(
    store: &Store,
    target: &Path,
    overwrite: Overwrite,
    look: impl Fn() + Send + Sync + 'static,
) -> Restored {
    let store = Watched { inner: store.clone(), look: Box::new(look) };
    let archive = Archive::open(store, keys(), &[DeviceId(device().public())]).unwrap();
    let progress = RestoreProgress::default();
    let how = RestoreOptions { threads: 2, overwrite, verify: false, progress: &progress };
    restore(&archive, archive.versions().last().unwrap(), target, &Selection::whole(), &how).unwrap()
}

/// The journal of a restore that was interrupted just now, and began long ago.
pub(crate) fn leave_journal(target: &Path, origin: &str) {
    let text = format!(
        "A restore into this folder is not complete: run it again.\ntarget {origin}\nrun 1600000000.000000000 -\n"
    );
    let time = FileTime::from_last_modification_time(&fs::metadata(target).unwrap());
    write(&target.join(JOURNAL), text.as_bytes());
    filetime::set_file_mtime(target, time).unwrap();
}

/// The permissions of a file or a folder, with set-id bits and the sticky bit.
pub(crate) fn mode_of(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
