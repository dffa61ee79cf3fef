//! Folders with everything odd in them, through an archive and back.

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::Instant;

use bailee_archive::testing::Seeded;
use bailee_archive::tree::Time;
use bailee_archive::{BackUp, Counters};
use bailee_files::{FilesError, Overwrite, Scope, Selection, back_up, compare};
use common::{backed_up, bring_back, device, differences, fresh, odd, round_trip, save, write};
use filetime::FileTime;
use rustix::fs::AtFlags;

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
fn any_number_of_threads_makes_the_same_archive_of_a_folder() {
    let folder = odd();
    for number in 0..3000 {
        write(&folder.path().join(format!("deep/{number}")), format!("{number}").as_bytes());
    }
    let saved = |threads| {
        let (device, counters, random) = (device(), Counters::default(), Seeded(2));
        let how = BackUp { threads, ..BackUp::new(&device, Time::default(), &random, &counters) };
        let done = back_up(fresh(), folder.path(), &Scope::default(), None, &how).unwrap();
        (done.archive.into_store(), done.totals, done.warnings)
    };
    let alone = saved(1);
    assert!(alone.1.entries > 3000);
    for threads in [2, 5] {
        assert!(saved(threads) == alone, "{threads} threads");
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

/// A file that has a further name elsewhere is the same file without it; which names inside are one file is seen all the same.
#[test]
fn a_name_outside_of_the_folder_is_no_difference() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    for folder in ["left", "right"] {
        fs::create_dir(at(folder)).unwrap();
        fs::write(at(folder).join("file"), b"bytes").unwrap();
        fs::hard_link(at(folder).join("file"), at(folder).join("twin")).unwrap();
    }
    for (from, to) in [("left/file", "right/file"), ("left", "right")] {
        let time = filetime::FileTime::from_last_modification_time(&fs::metadata(at(from)).unwrap());
        filetime::set_file_mtime(at(to), time).unwrap();
    }
    assert_eq!(compare(&at("left"), &at("right")).unwrap(), []);
    fs::hard_link(at("left/file"), at("elsewhere")).unwrap();
    assert_eq!(compare(&at("left"), &at("right")).unwrap(), []);
    for name in ["left/twin", "right/twin"] {
        fs::remove_file(at(name)).unwrap();
    }
    for folder in ["left", "right"] {
        filetime::set_file_mtime(at(folder), filetime::FileTime::from_unix_time(1, 0)).unwrap();
    }
    assert_eq!(compare(&at("left"), &at("right")).unwrap(), []);
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
    std::os::unix::fs::lchown(path, Some(4_999), None).unwrap();
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
fn holes_come_back_as_holes() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("dense"), &vec![0; 8_000_000]);
    let sparse = fs::File::create(folder.path().join("sparse")).unwrap();
    sparse.set_len(8_000_000).unwrap();
    let (_out, target, warnings) = round_trip(folder.path());
    assert_eq!((differences(folder.path(), &target), warnings), (vec![], vec![]));
    let blocks = |path: &Path| fs::metadata(path).unwrap().blocks();
    assert!(blocks(&target.join("sparse")) <= blocks(&folder.path().join("sparse")) + 8);
    assert!(blocks(&target.join("dense")) * 512 >= 8_000_000);
}

/// A folder in memory if the system has such, where making a file costs little.
fn in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

#[test]
fn a_folder_may_have_a_hundred_thousand_files() {
    let folder = in_memory();
    let handle = rustix::fs::open(folder.path(), rustix::fs::OFlags::DIRECTORY, rustix::fs::Mode::empty()).unwrap();
    for i in 0..100_000 {
        let flags = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY;
        rustix::fs::openat(&handle, format!("{i}"), flags, rustix::fs::Mode::RUSR).unwrap();
    }
    let started = Instant::now();
    let done = backed_up(folder.path()).unwrap();
    assert_eq!((done.totals.entries, done.changes.new.files, done.warnings), (100_001, 100_000, vec![]));
    let out = in_memory();
    let target = out.path().join("restored");
    let restored = bring_back(&done.archive, &target, &Selection::whole(), (Overwrite::Never, false)).unwrap();
    assert_eq!((restored.entries, restored.warnings, restored.damaged), (100_001, vec![], vec![]));
    assert_eq!(fs::read_dir(&target).unwrap().count(), 100_000);
    // Linear, it is a second or two; a list that is searched for each name would take minutes.
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}

#[test]
fn what_cannot_be_kept_or_read_is_named_and_the_rest_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut deep = folder.path().to_path_buf();
    // Deeper than a path may be long, and than a tree may be deep: each folder is made from the one above it.
    let mut handle = rustix::fs::open(&deep, rustix::fs::OFlags::DIRECTORY, rustix::fs::Mode::empty()).unwrap();
    for _ in 0..514 {
        rustix::fs::mkdirat(&handle, "in", rustix::fs::Mode::RWXU).unwrap();
        handle = rustix::fs::openat(&handle, "in", rustix::fs::OFlags::DIRECTORY, rustix::fs::Mode::empty()).unwrap();
        deep.push("in");
    }
    write(&folder.path().join("z"), b"kept");
    let done = backed_up(folder.path()).unwrap();
    assert_eq!(done.warnings.len(), 1, "{:?}", done.warnings);
    assert!(done.warnings[0].to_string().ends_with("left out: path: too many components"), "{}", done.warnings[0]);
    let out = tempfile::tempdir().unwrap();
    let target = out.path().join("restored");
    let restored = bring_back(&done.archive, &target, &Selection::whole(), (Overwrite::Never, false)).unwrap();
    assert_eq!((restored.entries, restored.warnings), (512 + 2, vec![]));
    assert_eq!(fs::read(target.join("z")).unwrap(), b"kept");
}

/// Any user can make such a folder, and must not end the backup of another by it.
#[test]
fn a_path_that_is_too_long_is_named_and_the_rest_is_kept() {
    use rustix::fs::{Mode, OFlags, mkdirat, openat};
    let folder = tempfile::tempdir().unwrap();
    let mut handle = rustix::fs::open(folder.path(), OFlags::DIRECTORY, Mode::empty()).unwrap();
    let name = "n".repeat(255);
    for _ in 0..128 {
        mkdirat(&handle, &*name, Mode::RWXU).unwrap();
        handle = openat(&handle, &*name, OFlags::DIRECTORY, Mode::empty()).unwrap();
    }
    let [fits, too_long, other_name] = [("f", 128), ("g", 129), ("h", 129)].map(|(name, length)| name.repeat(length));
    for name in [&fits, &too_long] {
        openat(&handle, &**name, OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).unwrap();
    }
    // A file with several names is asked for its path earlier.
    rustix::fs::linkat(&handle, &*too_long, &handle, &*other_name, AtFlags::empty()).unwrap();
    write(&folder.path().join("z"), b"kept");
    let done = backed_up(folder.path()).unwrap();
    assert_eq!(done.totals.entries, 1 + 128 + 2);
    let told: Vec<_> = done.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.iter().all(|told| told.ends_with("left out: path: a path that is too long")), "{told:?}");
}

#[test]
fn excludes_prune_and_places_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["kept", "pruned", "pruned/deep", "archive"] {
        fs::create_dir(at(name)).unwrap();
    }
    for name in ["kept/a.o", "kept/b", "pruned/deep/keep.o", "archive/segment", "keep.o"] {
        write(&at(name), b"x");
    }
    let excludes = bailee_files::Patterns::new(&["*.o".into(), "!keep.o".into(), "/pruned/".into()], &[]).unwrap();
    let scope = Scope { excludes, without: vec![at("archive")], ..Scope::default() };
    let done = save(common::fresh(), folder.path(), &scope, None).unwrap();
    let out = tempfile::tempdir().unwrap();
    let target = out.path().join("restored");
    bring_back(&done.archive, &target, &Selection::whole(), (Overwrite::Never, false)).unwrap();
    let mut missing = differences(folder.path(), &target);
    missing.retain(|difference| !difference.contains("time of change"));
    missing.sort();
    assert_eq!(
        missing,
        ["archive: missing on the right", "kept/a.o: missing on the right", "pruned: missing on the right"]
    );
    assert_eq!(done.warnings, vec![]);
}

#[test]
fn another_file_system_is_kept_empty_if_so_asked() {
    // The kernel's own file systems are mounted nearly everywhere, and no test may mount one.
    let scope = |one_file_system| Scope { one_file_system, ..Scope::default() };
    let device = |path: &str| fs::metadata(path).unwrap().dev();
    if !Path::new("/dev/shm").is_dir() || device("/dev") == device("/dev/shm") {
        return;
    }
    let place = tempfile::tempdir_in("/dev/shm").unwrap();
    write(&place.path().join("inside"), b"x");
    let walked = |one| bailee_files::dry_run(&common::fresh(), Path::new("/dev"), &scope(one), None).unwrap();
    let (all, one) = (walked(false), walked(true));
    assert!(one.entries < all.entries && one.changes.new.files < all.changes.new.files, "{one:?} {all:?}");
}

/// A link has attributes of its own, which an administrator may give it. They are read here by another way than the one that reads
/// them for a backup.
#[test]
fn attributes_of_a_link_come_back() {
    if !rustix::process::geteuid().is_root() {
        // Nobody else may give a link any.
        assert!(xattr::set("/proc/self/exe", "trusted.canary", b"x").is_err());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("link");
    symlink("nowhere", &link).unwrap();
    let set = |value: &[u8]| rustix::fs::lsetxattr(&link, c"trusted.canary", value, rustix::fs::XattrFlags::empty());
    set(b"of the link itself").unwrap();
    let (_out, target, warnings) = round_trip(folder.path());
    assert_eq!(warnings, Vec::<String>::new());
    let mut value = [0; 64];
    let length = rustix::fs::lgetxattr(target.join("link"), c"trusted.canary", &mut value[..]).unwrap();
    assert_eq!(&value[..length], b"of the link itself");
}

/// Two file systems number their inodes each for itself.
#[test]
fn names_on_two_file_systems_are_two_files() {
    common::bug();
    let path = |name: &str| bailee_archive::TreePath::root().join(name.as_bytes()).unwrap();
    let names = [(1, 7, 2, path("a")), (2, 7, 2, path("b")), (1, 7, 2, path("c")), (2, 7, 2, path("d"))];
    let first = bailee_files::testing::first_names(&names);
    assert_eq!(first, [None, None, Some(path("a")), Some(path("b"))]);
}
