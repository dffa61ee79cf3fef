//! Folders with everything odd in them, through an archive and back.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use bailee_archive::tree::Time;
use bailee_archive::{Archive, ArchiveKeys, DeviceId, MemoryStore};
use bailee_core::crypto::keys::{Owner, Secret};
use bailee_core::crypto::sign::Signing;
use bailee_files::{BackedUp, FilesError, back_up, compare, restore};
use filetime::FileTime;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

fn keys() -> ArchiveKeys {
    let owner = Owner { tenant: "tenant".into(), user: "user".into(), epoch: 0 };
    ArchiveKeys::new(&Secret::take(&mut [7; 32]), &owner)
}

fn backed_up(folder: &Path) -> Result<BackedUp<MemoryStore>, FilesError> {
    let device = Signing::from_seed(&[3; 32]);
    let archive = Archive::create(MemoryStore::default(), keys(), &bailee_archive::System).unwrap();
    back_up(archive, folder, Time::default(), &device, &bailee_archive::System, &mut |_| {})
}

fn round_trip(folder: &Path) -> (tempfile::TempDir, PathBuf, Vec<String>) {
    let done = backed_up(folder).unwrap();
    let store = done.archive.into_store();
    let device = DeviceId(Signing::from_seed(&[3; 32]).public());
    let archive = Archive::open(store, keys(), &[device]).unwrap();
    let out = tempfile::tempdir().unwrap();
    let target = out.path().join("restored");
    let restored = restore(&archive, &archive.versions()[0], &target, &mut |_| {}).unwrap();
    let warnings = done.warnings.iter().chain(&restored.warnings).map(ToString::to_string).collect();
    (out, target, warnings)
}

fn differences(a: &Path, b: &Path) -> Vec<String> {
    compare(a, b).unwrap().iter().map(ToString::to_string).collect()
}

fn write(path: &Path, bytes: &[u8]) {
    File::create(path).unwrap().write_all(bytes).unwrap();
}

/// A folder of everything that a file system allows and a program forgets.
fn odd() -> tempfile::TempDir {
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
    write(&at(b"linked"), b"one file, two names");
    fs::hard_link(at(b"linked"), at(b"another name")).unwrap();
    symlink("linked", at(b"link")).unwrap();
    symlink("/nowhere/at all", at(b"dangling")).unwrap();
    symlink(".", at(b"loop")).unwrap();
    symlink("../../../../etc/passwd", at(b"outside")).unwrap();
    UnixListener::bind(at(b"socket")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, at(b"pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let mut deep = folder.path().to_path_buf();
    for _ in 0..120 {
        deep.push("deep");
        fs::create_dir(&deep).unwrap();
    }
    write(&deep.join("bottom"), b"here");
    fs::create_dir(at(b"closed")).unwrap();
    write(&at(b"closed/inside"), b"x");
    for (name, mode) in [(&b"empty"[..], 0o000), (b"-rf", 0o4755), (b"zeros", 0o2640), (b"closed", 0o1111)] {
        fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    filetime::set_file_mtime(at(b"zeros"), FileTime::from_unix_time(-86_400, 123_456_789)).unwrap();
    filetime::set_symlink_file_times(at(b"link"), FileTime::zero(), FileTime::from_unix_time(1, 5)).unwrap();
    let _ = xattr::set(at(b"linked"), "user.colour", b"blue");
    filetime::set_file_mtime(at(b"deep"), FileTime::from_unix_time(1_000, 7)).unwrap();
    folder
}

#[test]
fn everything_odd_comes_back_as_it_was() {
    let folder = odd();
    let (_out, target, warnings) = round_trip(folder.path());
    let may_read_all = rustix::process::geteuid().is_root();
    if may_read_all {
        assert_eq!(warnings, Vec::<String>::new());
        assert_eq!(differences(folder.path(), &target), Vec::<String>::new());
    } else {
        assert!(warnings.iter().all(|warning| warning.contains("ermission")), "{warnings:?}");
    }
}

#[test]
fn the_comparison_sees_each_kind_of_difference() {
    let folder = odd();
    let (_out, target, _) = round_trip(folder.path());
    type Change = (&'static str, fn(&Path), &'static str);
    let changes: [Change; 9] = [
        ("zeros", |path| fs::write(path, vec![1; 2_000_000]).unwrap(), "other content"),
        ("linked", |path| fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap(), "other permissions"),
        ("sparse", |path| filetime::set_file_mtime(path, FileTime::zero()).unwrap(), "another time of change"),
        ("link", |path| relink(path, "elsewhere"), "another target"),
        ("pipe", |path| fs::remove_file(path).unwrap(), "missing on the right"),
        ("more", |path| write(path, b"x"), "missing on the left"),
        ("loop", |path| replace_by_folder(path), "another kind"),
        ("another name", |path| copy_apart(path), "linked to another name"),
        ("-rf", |path| lchown(path), "another owner"),
    ];
    for (name, change, what) in changes {
        if what == "another owner" && !rustix::process::geteuid().is_root() {
            continue;
        }
        change(&target.join(name));
        let expected = format!("{name}: {what}");
        assert!(differences(folder.path(), &target).contains(&expected), "{expected}");
    }
}

fn relink(path: &Path, to: &str) {
    fs::remove_file(path).unwrap();
    symlink(to, path).unwrap();
}

fn replace_by_folder(path: &Path) {
    fs::remove_file(path).unwrap();
    fs::create_dir(path).unwrap();
}

fn copy_apart(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
    fs::hard_link(path, path.with_extension("twin")).unwrap();
}

fn lchown(path: &Path) {
    std::os::unix::fs::lchown(path, Some(4_242), None).unwrap();
}

#[test]
fn a_folder_that_is_none_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    assert!(matches!(backed_up(&missing), Err(FilesError::Io { .. })));
    let file = folder.path().join("file");
    write(&file, b"x");
    let error = backed_up(&file).err().unwrap();
    assert!(error.to_string().ends_with("is not a folder: name the folder to back up"), "{error}");
}

#[test]
fn an_empty_folder_and_a_link_to_one_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let (_out, target, warnings) = round_trip(folder.path());
    assert_eq!((differences(folder.path(), &target), warnings), (vec![], vec![]));
    let link = folder.path().join("link");
    let other = tempfile::tempdir().unwrap();
    write(&other.path().join("file"), b"x");
    symlink(other.path(), &link).unwrap();
    let (_out, target, _) = round_trip(&link);
    assert_eq!(differences(other.path(), &target), Vec::<String>::new());
}

#[test]
fn nothing_is_restored_over_other_files() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("file"), b"x");
    let done = backed_up(folder.path()).unwrap();
    let archive = done.archive;
    let error = restore(&archive, &archive.versions()[0], folder.path(), &mut |_| {}).unwrap_err();
    assert!(matches!(error, FilesError::NotEmpty { .. }), "{error}");
    assert_eq!(fs::read(folder.path().join("file")).unwrap(), b"x");
}
