//! Restores into a folder that has something in it: what is kept, what is replaced, and what an interruption may leave.

mod common;

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use bailee_archive::Archive;
use bailee_files::{JOURNAL, Overwrite, Restored, Selection};
use common::{
    Store, backed_up, bring_back, bring_back_watched, differences, leave_journal, mode_of, noise, reopened, set_mode,
    write,
};
use filetime::FileTime;
use rustix::fs::{CWD, FileType, mknodat};

const THEN: i64 = 1_600_000_000;

fn set_time(path: &Path, seconds: i64) {
    filetime::set_symlink_file_times(
        path,
        FileTime::from_unix_time(seconds, 0),
        FileTime::from_unix_time(seconds, 0),
    )
    .unwrap();
}

/// What is made later differs in its time, however soon it is made.
fn set_times(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            set_times(&entry.path());
        }
        set_time(&entry.path(), THEN);
    }
    set_time(folder, THEN);
}

fn pipe(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, 0o600.into(), 0).unwrap();
}

/// A place with a source, its archive, and a target that is a copy of it.
struct Case {
    place: tempfile::TempDir,
    archive: Archive<Store>,
}

impl Case {
    fn new(fill: impl FnOnce(&Path)) -> Self {
        let place = tempfile::tempdir().unwrap();
        let source = place.path().join("source");
        fs::create_dir(&source).unwrap();
        fill(&source);
        set_times(&source);
        let archive = backed_up(&source).unwrap().archive;
        let case = Case { place, archive };
        case.restore(Overwrite::Never);
        case
    }

    /// Four files of the same content and time.
    fn of_files() -> Self {
        Case::new(|source| {
            for name in ["a", "b", "c", "d"] {
                write(&source.join(name), b"of the version");
            }
        })
    }

    fn at(&self, name: &str) -> PathBuf {
        self.place.path().join("target").join(name)
    }

    fn source(&self) -> PathBuf {
        self.place.path().join("source")
    }

    fn restore(&self, overwrite: Overwrite) -> Restored {
        bring_back(&self.archive, &self.at(""), &Selection::whole(), (overwrite, false)).unwrap()
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.at(name)).unwrap()
    }

    fn differences(&self) -> Vec<String> {
        differences(&self.source(), &self.at(""))
    }
}

fn names(paths: &bailee_files::Paths) -> Vec<&str> {
    assert_eq!(paths.count, paths.paths.len() as u64);
    paths.paths.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect()
}

#[test]
fn never_keeps_what_stands_there_names_it_and_makes_what_is_absent() {
    let case = Case::new(|source| {
        for name in ["absent", "changed", "is a pipe", "linked"] {
            write(&source.join(name), b"of the version");
        }
        fs::hard_link(source.join("linked"), source.join("unlinked")).unwrap();
        symlink("there", source.join("symlink")).unwrap();
        pipe(&source.join("was a pipe"));
    });
    fs::remove_file(case.at("absent")).unwrap();
    write(&case.at("changed"), b"a week of work");
    for name in ["is a pipe", "unlinked", "symlink", "was a pipe"] {
        fs::remove_file(case.at(name)).unwrap();
    }
    pipe(&case.at("is a pipe"));
    write(&case.at("unlinked"), b"of the version");
    symlink("elsewhere", case.at("symlink")).unwrap();
    write(&case.at("was a pipe"), b"");
    write(&case.at("of somebody else"), b"");

    let restored = case.restore(Overwrite::Never);
    assert_eq!(names(&restored.left), ["changed", "is a pipe", "symlink", "unlinked", "was a pipe"]);
    assert_eq!((restored.replaced.count, restored.missing(), restored.is_whole()), (0, 0, false));
    assert_eq!((restored.chosen, restored.entries, restored.warnings), (8, 3, vec![]));
    assert_eq!((case.read("absent"), case.read("changed")), (b"of the version".to_vec(), b"a week of work".to_vec()));
    assert!(fs::symlink_metadata(case.at("is a pipe")).unwrap().file_type().is_fifo());
    assert!(fs::symlink_metadata(case.at("was a pipe")).unwrap().is_file());
    assert_eq!(fs::metadata(case.at("unlinked")).unwrap().nlink(), 1);
    assert_eq!(fs::read_link(case.at("symlink")).unwrap(), Path::new("elsewhere"));

    let restored = case.restore(Overwrite::Always);
    assert_eq!(names(&restored.replaced), ["changed", "is a pipe", "symlink", "unlinked", "was a pipe"]);
    assert_eq!((restored.left.count, restored.is_whole()), (0, true));
    fs::remove_file(case.at("of somebody else")).unwrap();
    assert_eq!(case.differences(), [": another time of change"]);
}

#[test]
fn if_newer_replaces_only_what_is_older() {
    let case = Case::of_files();
    for (name, seconds) in [("a", THEN - 1), ("b", THEN + 1), ("c", THEN)] {
        write(&case.at(name), b"other");
        set_time(&case.at(name), seconds);
    }
    let restored = case.restore(Overwrite::IfNewer);
    assert_eq!((names(&restored.replaced), names(&restored.left)), (vec!["a"], vec!["b", "c"]));
    assert_eq!((restored.kept, case.read("a"), case.read("b")), (1, b"of the version".to_vec(), b"other".to_vec()));
}

/// A file that differs in its metadata alone is not written again: it is the same file afterwards, not another of its name.
#[test]
fn if_changed_looks_at_length_and_time() {
    let case = Case::of_files();
    write(&case.at("a"), b"longer than in the version");
    set_time(&case.at("a"), THEN);
    write(&case.at("b"), b"OF THE VERSION");
    write(&case.at("c"), b"OF THE VERSION");
    set_time(&case.at("c"), THEN);
    set_mode(&case.at("d"), 0o604);
    let inode = fs::metadata(case.at("d")).unwrap().ino();
    let restored = case.restore(Overwrite::IfChanged);
    assert_eq!((names(&restored.replaced), restored.left.count, restored.kept), (vec!["a", "b"], 0, 2));
    assert_eq!(case.read("c"), b"OF THE VERSION", "length and time are the same");
    assert_eq!(fs::metadata(case.at("d")).unwrap().ino(), inode);
    assert_eq!(case.differences(), ["c: other content"]);
}

#[test]
fn always_looks_at_the_content() {
    let case = Case::of_files();
    write(&case.at("a"), b"OF THE VERSION");
    set_time(&case.at("a"), THEN);
    set_time(&case.at("b"), THEN + 1);
    let inode = fs::metadata(case.at("b")).unwrap().ino();
    let restored = case.restore(Overwrite::Always);
    assert_eq!((names(&restored.replaced), restored.left.count, restored.kept), (vec!["a"], 0, 3));
    assert_eq!(fs::metadata(case.at("b")).unwrap().ino(), inode);
    assert_eq!(case.differences(), Vec::<String>::new());
}

/// Its other name may be outside of the target.
#[test]
fn a_file_with_another_name_is_replaced_and_the_other_name_keeps_content_and_permissions() {
    for overwrite in [Overwrite::IfChanged, Overwrite::Always] {
        let case = Case::of_files();
        let outside = case.place.path().join("outside");
        set_mode(&case.at("a"), 0o604);
        fs::hard_link(case.at("a"), &outside).unwrap();
        fs::hard_link(case.at("b"), case.place.path().join("too")).unwrap();
        write(&case.at("b"), b"other");
        assert_eq!(names(&case.restore(overwrite).replaced), ["a", "b"]);
        assert_eq!(mode_of(&outside), 0o604);
        assert_eq!(fs::read(case.place.path().join("too")).unwrap(), b"other");
        assert_eq!(case.differences(), Vec::<String>::new());
    }
}

#[test]
fn a_folder_and_a_file_never_replace_each_other() {
    let case = Case::new(|source| {
        fs::create_dir(source.join("folder")).unwrap();
        write(&source.join("folder/inside"), b"x");
        for name in ["file", "linked"] {
            write(&source.join(name), b"x");
        }
        fs::hard_link(source.join("linked"), source.join("second name")).unwrap();
        symlink("x", source.join("symlink")).unwrap();
    });
    fs::remove_dir_all(case.at("")).unwrap();
    for name in ["file", "linked", "symlink"] {
        fs::create_dir_all(case.at(name).join("precious")).unwrap();
    }
    write(&case.at("folder"), b"precious");
    for overwrite in [Overwrite::Never, Overwrite::IfNewer, Overwrite::IfChanged, Overwrite::Always] {
        let restored = case.restore(overwrite);
        let told: Vec<_> = restored.warnings.iter().map(ToString::to_string).collect();
        let named =
            ["file: not made: a", "folder: not made: something that", "linked: not made: a", "symlink: not made: a"];
        assert!(told.len() == 4 && told.iter().zip(named).all(|(told, name)| told.contains(name)), "{told:?}");
        // The folder, what is in it, and what a folder stands for.
        assert_eq!((restored.missing(), restored.chosen), (5, 7), "{overwrite:?}");
        assert_eq!(restored.left.count + restored.replaced.count, 0);
        assert!(["file", "linked", "symlink"].iter().all(|name| case.at(name).join("precious").is_dir()));
        assert_eq!(case.read("folder"), b"precious");
        assert_eq!(case.read("second name"), b"x", "its first name is not to be had");
    }
}

#[test]
fn a_link_to_a_file_that_is_left_becomes_the_file_of_the_version() {
    let case = Case::new(|source| {
        write(&source.join("1"), b"of the version");
        for name in ["2", "3", "4"] {
            fs::hard_link(source.join("1"), source.join(name)).unwrap();
        }
    });
    for name in ["1", "2", "3", "4"] {
        fs::remove_file(case.at(name)).unwrap();
    }
    write(&case.at("1"), b"newer");
    fs::hard_link(case.at("1"), case.at("2")).unwrap();
    let restored = case.restore(Overwrite::Never);
    assert_eq!((names(&restored.left), restored.missing()), (vec!["1", "2"], 0));
    let inode = |name: &str| fs::metadata(case.at(name)).unwrap().ino();
    assert_eq!([case.read("2"), case.read("3")], [b"newer".to_vec(), b"of the version".to_vec()]);
    assert_eq!((inode("1"), inode("3")), (inode("2"), inode("4")));
    assert_ne!(inode("1"), inode("3"));
}

/// At every moment an existing file is whole and open to whom it was open to; a new file or folder is closed.
#[test]
fn nothing_is_half_there_or_locked_while_a_restore_runs() {
    let place = tempfile::tempdir().unwrap();
    let [source, target] = ["source", "target"].map(|name| place.path().join(name));
    for folder in [source.clone(), source.join("in use"), source.join("new")] {
        fs::create_dir(&folder).unwrap();
        set_mode(&folder, 0o700);
    }
    let (before, after) = (noise(1, 3_000_000), noise(2, 12_000_000));
    write(&source.join("in use/file"), &after);
    write(&source.join("new/file"), &noise(3, 12_000_000));
    let store = backed_up(&source).unwrap().archive.into_store();
    for folder in [target.clone(), target.join("in use")] {
        fs::create_dir(&folder).unwrap();
        set_mode(&folder, 0o755);
    }
    let file = target.join("in use/file");
    write(&file, &before);
    set_mode(&file, 0o644);

    let seen = std::sync::Arc::new(Mutex::new(Vec::new()));
    let (saw, root, expected, complete) = (seen.clone(), target.clone(), before.clone(), after);
    let look = move || {
        let modes = [mode_of(&root), mode_of(&root.join("in use")), mode_of(&root.join("in use/file"))];
        let beside = fs::read_dir(root.join("in use")).unwrap().map(|entry| entry.unwrap().path());
        let part = beside.into_iter().find(|path| !path.ends_with("file")).unwrap_or_default();
        // They may go meanwhile.
        let mode = |path: &Path| fs::symlink_metadata(path).ok().map(|found| found.mode() & 0o7777);
        let new = [root.join("new"), root.join("new/file"), part].map(|path| mode(&path));
        let content = fs::read(root.join("in use/file")).unwrap();
        saw.lock().unwrap().push((modes, new, content == expected || content == complete));
    };
    let mut open = File::open(&file).unwrap();
    let restored = bring_back_watched(&store, &target, Overwrite::Always, look);
    assert_eq!((names(&restored.replaced), restored.is_whole()), (vec!["file"], true));
    let seen = seen.lock().unwrap();
    let among = |at: usize, mode| seen.iter().any(|(_, new, _)| new[at] == Some(mode));
    assert!(among(0, 0o1700) && among(1, 0o1200) && among(2, 0o1200), "{seen:?}");
    let before_its_end = seen.iter().filter(|(_, new, _)| new[2] == Some(0o1200));
    assert!(before_its_end.into_iter().all(|(modes, ..)| *modes == [0o755, 0o755, 0o644]), "{seen:?}");
    assert!(seen.iter().all(|(.., is_whole)| *is_whole));
    assert_eq!(differences(&source, &target), Vec::<String>::new());
    let mut read = Vec::new();
    open.read_to_end(&mut read).unwrap();
    assert_eq!(read, before, "who had it open still has the former file");
}

/// What an interruption leaves is told from a file of somebody's by its permissions and the time of its change.
#[test]
fn what_an_interruption_left_is_completed_and_what_looks_alike_is_kept() {
    let case = Case::new(|source| {
        for name in ["half", "empty", "open", "longer", "linked"] {
            write(&source.join(name), b"of the version");
            set_mode(&source.join(name), 0o644);
        }
        for name in ["folder", "of somebody"] {
            fs::create_dir(source.join(name)).unwrap();
            set_mode(&source.join(name), 0o750);
        }
        pipe(&source.join("pipe"));
        symlink("there", source.join("symlink")).unwrap();
    });
    let spoil = |name: &str, bytes: &[u8], mode| {
        fs::remove_file(case.at(name)).unwrap();
        write(&case.at(name), bytes);
        set_mode(&case.at(name), mode);
    };
    spoil("half", b"of the", 0o1200);
    spoil("empty", b"", 0o1200);
    set_mode(&case.at("pipe"), 0o1200);
    set_time(&case.at("symlink"), THEN + 5);
    for (name, mode) in [("folder", 0o1700), ("of somebody", 0o711)] {
        set_mode(&case.at(name), mode);
        set_time(&case.at(name), THEN + 5);
    }
    // These are somebody's.
    spoil("open", b"of the", 0o600);
    spoil("longer", b"of the version and more", 0o1200);
    spoil("linked", b"of the", 0o1200);
    fs::hard_link(case.at("linked"), case.place.path().join("elsewhere")).unwrap();

    leave_journal(&case.at(""), "used");
    let restored = case.restore(Overwrite::Never);
    assert_eq!(names(&restored.left), ["linked", "longer", "open"]);
    assert_eq!((restored.replaced.count, restored.missing(), restored.warnings.clone()), (0, 0, vec![]));
    assert!(!case.at(JOURNAL).exists());
    for name in ["linked", "longer"] {
        set_mode(&case.at(name), 0o600); // Only root may compare what nobody may read.
    }
    let mut found: Vec<String> =
        case.differences().iter().map(|found| found.split(':').next().unwrap().into()).collect();
    found.sort();
    found.dedup();
    assert_eq!(found, ["", "linked", "longer", "of somebody", "open"]);
    assert_eq!(mode_of(&case.at("of somebody")), 0o711);
    assert_eq!(case.read("longer"), b"of the version and more");
    assert_eq!(names(&case.restore(Overwrite::Never).left), ["linked", "longer", "open"], "and nothing new");
}

/// Whatever its permissions: it stands there without a journal, or was last changed when no restore ran.
#[test]
fn what_is_somebodys_is_never_taken_for_what_an_interruption_left() {
    for (journal, ended) in [(false, 0), (true, -60)] {
        let case = Case::new(|source| {
            fs::create_dir(source.join("folder")).unwrap();
            set_mode(&source.join("folder"), 0o755);
            for name in ["written", "sticky"] {
                write(&source.join(name), b"of the version");
            }
            pipe(&source.join("pipe"));
        });
        for (name, mode) in [("written", 0o200), ("sticky", 0o1200)] {
            write(&case.at(name), b"newer");
            set_mode(&case.at(name), mode);
        }
        set_mode(&case.at("pipe"), 0o1200);
        for folder in ["folder", ""] {
            set_mode(&case.at(folder), 0o1700);
        }
        if journal {
            leave_journal(&case.at(""), "used");
            filetime::set_file_mtime(
                case.at(JOURNAL),
                FileTime::from_unix_time(FileTime::now().unix_seconds() + ended, 0),
            )
            .unwrap();
        }
        let restored = case.restore(Overwrite::Never);
        assert_eq!(names(&restored.left), ["pipe", "sticky", "written"], "{journal}");
        let doubts = restored.warnings.iter().filter(|told| told.path == case.at("folder")).count();
        assert_eq!((doubts, restored.warnings.len()), (usize::from(journal), usize::from(journal)));
        assert_eq!(
            ["", "folder", "written", "sticky"].map(|name| mode_of(&case.at(name))),
            [0o1700, 0o1700, 0o200, 0o1200]
        );
        assert_eq!(fs::metadata(case.at("written")).unwrap().len(), 5);
        assert!(!case.at(JOURNAL).exists());
    }
}

/// The name of the journal is free for what a version or somebody has.
#[test]
fn a_file_that_has_the_name_of_the_journal_is_restored_and_kept() {
    let case = Case::new(|source| {
        write(&source.join(JOURNAL), b"of the version");
        write(&source.join("file"), b"x");
    });
    assert_eq!(case.differences(), Vec::<String>::new());
    let store = case.archive.into_store();
    let target = case.place.path().join("other");
    let (root, seen) = (target.clone(), std::sync::Arc::new(Mutex::new(0)));
    let saw = seen.clone();
    bring_back_watched(&store, &target, Overwrite::Never, move || {
        *saw.lock().unwrap() += usize::from(root.join(format!("{JOURNAL}-1")).exists());
    });
    assert!(*seen.lock().unwrap() > 0);
    assert_eq!(differences(&case.place.path().join("source"), &target), Vec::<String>::new());

    let case = Case::new(|source| write(&source.join("file"), b"x"));
    fs::remove_file(case.at("file")).unwrap();
    write(&case.at(JOURNAL), b"somebody's");
    assert!(case.restore(Overwrite::Never).is_whole());
    assert_eq!(case.read(JOURNAL), b"somebody's");
    assert_eq!(fs::read_dir(case.at("")).unwrap().count(), 2);
}

#[test]
fn a_link_that_differs_in_its_time_is_somebodys_unless_it_may_be_changed() {
    for (overwrite, seconds, left, expected) in [
        (Overwrite::Never, THEN - 5, 1, THEN - 5),
        (Overwrite::IfNewer, THEN + 5, 1, THEN + 5),
        (Overwrite::IfNewer, THEN - 5, 0, THEN),
        (Overwrite::IfChanged, THEN + 5, 0, THEN),
        (Overwrite::Always, THEN + 5, 0, THEN),
    ] {
        let case = Case::new(|source| symlink("there", source.join("link")).unwrap());
        set_time(&case.at("link"), seconds);
        assert_eq!(case.restore(overwrite).left.count, left, "{overwrite:?}");
        assert_eq!(fs::symlink_metadata(case.at("link")).unwrap().mtime(), expected, "{overwrite:?}");
    }
}

/// Such a file has other permissions until it is complete.
#[test]
fn a_file_that_may_only_be_written_is_not_taken_for_an_interrupted_one() {
    if !rustix::process::geteuid().is_root() {
        return; // Nobody else could back it up.
    }
    let case = Case::new(|source| {
        for name in ["half", "of somebody"] {
            write(&source.join(name), b"of the version");
            set_mode(&source.join(name), 0o200);
        }
    });
    for (name, mode) in [("half", 0o1300), ("of somebody", 0o1200)] {
        write(&case.at(name), b"of the");
        set_mode(&case.at(name), mode);
    }
    leave_journal(&case.at(""), "used");
    assert_eq!(names(&case.restore(Overwrite::Never).left), ["of somebody"]);
    assert_eq!([case.read("half"), case.read("of somebody")], [&b"of the version"[..], b"of the"]);
}

#[test]
fn what_an_interruption_left_beside_a_file_is_removed() {
    let case = Case::of_files();
    let hash = blake3::hash(b"a").to_hex();
    let part = case.at(&format!(".bailee-part-{}", &hash[..16]));
    for bytes in [&b"half of it"[..], b"longer than all of it is in the version"] {
        write(&part, bytes);
        set_mode(&part, 0o1200);
        write(&case.at("a"), b"before");
        assert_eq!(names(&case.restore(Overwrite::Always).replaced), ["a"]);
        assert_eq!(case.differences(), Vec::<String>::new());
    }
}

/// What the archive has lost costs nothing that stands there.
#[test]
fn a_file_whose_content_is_damaged_in_the_archive_replaces_nothing() {
    let case = Case::new(|source| write(&source.join("file"), &noise(1, 1_000_000)));
    let mut store = case.archive.into_store();
    let segment = store.segments.get_mut(&1).unwrap();
    let middle = segment.len() / 2;
    segment[middle] ^= 1;
    let (archive, target) = (reopened(store), case.place.path().join("target"));
    let file = target.join("file");
    for bytes in [b"newer".to_vec(), noise(2, 1_000_000)] {
        write(&file, &bytes);
        for overwrite in [Overwrite::IfChanged, Overwrite::Always] {
            let restored = bring_back(&archive, &target, &Selection::whole(), (overwrite, false)).unwrap();
            assert_eq!((restored.damaged.len(), restored.missing(), restored.chosen), (1, 1, 2));
            assert_eq!((restored.replaced.count, restored.is_whole()), (0, false));
            assert!(fs::read(&file).unwrap() == bytes);
            assert_eq!(fs::read_dir(&target).unwrap().count(), 1, "nothing is left beside it");
        }
    }
}

#[test]
fn an_existing_folder_gets_the_metadata_of_the_version_only_if_it_may() {
    for (overwrite, seconds, expected) in [
        (Overwrite::Never, THEN - 1, 0o711),
        (Overwrite::IfNewer, THEN + 1, 0o711),
        (Overwrite::IfNewer, THEN - 1, 0o750),
        (Overwrite::IfChanged, THEN + 1, 0o750),
        (Overwrite::Always, THEN + 1, 0o750),
    ] {
        let case = Case::new(|source| {
            fs::create_dir(source.join("folder")).unwrap();
            for folder in [source, &source.join("folder")] {
                set_mode(folder, 0o750);
            }
        });
        for folder in ["folder", ""] {
            set_mode(&case.at(folder), 0o711);
            set_time(&case.at(folder), seconds);
        }
        let restored = case.restore(overwrite);
        assert!(restored.is_whole());
        assert_eq!(["folder", ""].map(|name| mode_of(&case.at(name))), [expected; 2], "{overwrite:?} {seconds}");
        assert_eq!(case.differences().is_empty(), expected == 0o750);
    }
}

/// A folder that is complete gets its time back when something in it was made again.
#[test]
fn a_restore_that_makes_what_was_removed_is_as_the_version() {
    let case = Case::new(|source| {
        fs::create_dir(source.join("folder")).unwrap();
        write(&source.join("folder/file"), b"x");
    });
    fs::remove_file(case.at("folder/file")).unwrap();
    set_time(&case.at("folder"), THEN);
    assert!(case.restore(Overwrite::Never).is_whole());
    assert_eq!(case.differences(), Vec::<String>::new());
}

/// A folder that was there and empty gets the metadata of the version, after an interruption too.
#[test]
fn a_folder_that_was_empty_is_as_the_version_however_often_it_is_begun() {
    let case = Case::new(|source| {
        set_mode(source, 0o750);
        write(&source.join("file"), &noise(1, 5_000_000));
    });
    let target = case.place.path().join("empty");
    fs::create_dir(&target).unwrap();
    set_mode(&target, 0o711);
    let store = case.archive.into_store();
    let panics = |target: PathBuf| move || assert!(!target.join("file").exists(), "as a kill ends it");
    let dies = || bring_back_watched(&store, &target, Overwrite::Never, panics(target.clone()));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(dies)).is_err());
    assert_eq!((mode_of(&target), mode_of(&target.join("file"))), (0o711, 0o1200));
    assert!(target.join(JOURNAL).exists());
    let again =
        || bring_back(&reopened(store.clone()), &target, &Selection::whole(), (Overwrite::Never, false)).unwrap();
    assert!(again().is_whole());
    assert_eq!(differences(&case.place.path().join("source"), &target), Vec::<String>::new());
    // It is complete: from now on it is somebody's.
    set_mode(&target, 0o711);
    assert!(again().is_whole());
    assert_eq!(mode_of(&target), 0o711);
}

/// Somebody may rely on the permissions that a folder has.
#[test]
fn a_folder_that_was_empty_keeps_its_permissions_if_something_else_is_in_it_at_the_end() {
    for private in ["a private file", "z"] {
        let case = Case::new(|source| {
            set_mode(source, 0o755);
            write(&source.join("file"), &noise(1, 5_000_000));
        });
        let target = case.place.path().join("empty");
        fs::create_dir(&target).unwrap();
        set_mode(&target, 0o700);
        let store = case.archive.into_store();
        let panics = |target: PathBuf| move || assert!(!target.join("file").exists(), "as a kill ends it");
        let dies = || bring_back_watched(&store, &target, Overwrite::Never, panics(target.clone()));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(dies)).is_err());
        write(&target.join(private), b"x");
        let again =
            |overwrite| bring_back(&reopened(store.clone()), &target, &Selection::whole(), (overwrite, false));
        assert!(again(Overwrite::Never).unwrap().is_whole());
        assert_eq!((mode_of(&target), target.join(JOURNAL).exists()), (0o700, false));
        fs::remove_file(target.join(private)).unwrap();
        again(Overwrite::IfChanged).unwrap();
        assert_eq!(differences(&case.place.path().join("source"), &target), Vec::<String>::new());
    }
}

/// In the version, what is in a part may have been in a folder that was closed.
#[test]
fn a_folder_that_is_made_for_a_part_is_its_owners_alone() {
    let case = Case::of_files();
    let part = Selection::of(&["a"]).unwrap();
    let made = case.place.path().join("made");
    for _ in 0..2 {
        bring_back(&case.archive, &made, &part, (Overwrite::Never, false)).unwrap();
        assert_eq!(mode_of(&made), 0o700);
        set_mode(&made, 0o1700);
        leave_journal(&made, "made");
    }
    bring_back(&case.archive, &made, &part, (Overwrite::Never, false)).unwrap();
    set_mode(&made, 0o755);
    fs::remove_file(made.join("a")).unwrap();
    bring_back(&case.archive, &made, &part, (Overwrite::Always, false)).unwrap();
    assert_eq!(mode_of(&made), 0o755);
    let nothing = Selection::of(&["*.none"]).unwrap();
    let unmade = case.place.path().join("unmade");
    bring_back(&case.archive, &unmade, &nothing, (Overwrite::Never, false)).unwrap_err();
    assert!(!unmade.exists());
}
