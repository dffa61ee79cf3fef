//! What a backup with a catalogue reads, and what it must not trust.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use bailee_archive::Archive;
use bailee_files::{Amount, BackedUp, Overwrite, Scope, Selection, dry_run};
use common::{Store, bring_back, differences, fresh, noise, save, write};
use filetime::FileTime;
use notify::event::{AccessKind, EventKind};
use notify::{RecursiveMode, Watcher};

/// A folder with three files that are old enough for a catalogue to speak for them, and the catalogue's place.
struct Case {
    place: tempfile::TempDir,
    archive: Option<Archive<Store>>,
}

impl Case {
    fn new() -> Self {
        let case = Case { place: tempfile::tempdir().unwrap(), archive: Some(fresh()) };
        fs::create_dir(case.folder()).unwrap();
        fs::create_dir(case.at("sub")).unwrap();
        write(&case.at("a"), &noise(1, 100_000));
        write(&case.at("sub/b"), &noise(2, 100_000));
        write(&case.at("sub/empty"), b"");
        case
    }

    /// The same, and a backup of it that a catalogue speaks for.
    fn settled() -> Self {
        let mut case = Self::new();
        sleep(Duration::from_millis(2_100));
        let done = case.save();
        assert_eq!((files(done.0.new), done.0.changed.files, done.0.unchanged.files), (3, 0, 0));
        case
    }

    fn folder(&self) -> PathBuf {
        self.place.path().join("folder")
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    fn catalogue(&self) -> PathBuf {
        self.place.path().join("catalogue")
    }

    /// Backs up; returns what changed, bytes read, bytes new, and notes.
    fn save(&mut self) -> (bailee_files::Changes, u64, u64, Vec<String>) {
        let archive = self.archive.take().unwrap();
        let BackedUp { archive, totals, changes, warnings, notes } =
            save(archive, &self.folder(), &Scope::default(), Some(&self.catalogue())).unwrap();
        assert_eq!(warnings, vec![]);
        self.archive = Some(archive);
        (changes, totals.read, totals.new, notes)
    }

    fn assert_restores(&self) {
        let out = tempfile::tempdir().unwrap();
        let restored =
            bring_back(self.archive.as_ref().unwrap(), out.path(), &Selection::whole(), (Overwrite::Never, false))
                .unwrap();
        assert_eq!((restored.warnings, restored.damaged), (vec![], vec![]));
        assert_eq!(differences(&self.folder(), out.path()), Vec::<String>::new());
    }
}

fn files(amount: Amount) -> u64 {
    amount.files
}

/// What is opened in a folder while something is done: the system tells it.
fn opened_files(folder: &Path, act: impl FnOnce()) -> BTreeSet<PathBuf> {
    let (sender, events) = std::sync::mpsc::channel();
    let mut watcher = notify::recommended_watcher(sender).unwrap();
    watcher.watch(folder, RecursiveMode::Recursive).unwrap();
    act();
    let mut opened = BTreeSet::new();
    while let Ok(event) = events.recv_timeout(Duration::from_millis(300)) {
        let event = event.unwrap();
        if matches!(event.kind, EventKind::Access(AccessKind::Open(_))) {
            opened.extend(event.paths.into_iter().filter(|path| path.is_file()));
        }
    }
    opened
}

#[test]
fn unchanged_files_are_not_read_and_are_in_the_version() {
    let mut case = Case::settled();
    let mut done = None;
    let folder = case.folder();
    let opened = opened_files(&folder, || done = Some(case.save()));
    let (changes, _, new, notes) = done.unwrap();
    assert_eq!((files(changes.unchanged), files(changes.new), files(changes.changed)), (3, 0, 0));
    assert_eq!(changes.unchanged.bytes, 200_000);
    assert_eq!(notes, Vec::<String>::new());
    assert!(new < 10_000, "{new}");
    assert_eq!(opened, BTreeSet::new());
    case.assert_restores();
    // Without a catalogue, the same watch sees each file opened.
    fs::remove_file(case.catalogue()).unwrap();
    assert_eq!(opened_files(&folder, || drop(case.save())).len(), 3);
}

#[test]
fn a_change_that_leaves_length_and_mtime_is_seen_by_its_ctime() {
    let mut case = Case::settled();
    let time = FileTime::from_last_modification_time(&fs::metadata(case.at("a")).unwrap());
    write(&case.at("a"), &noise(9, 100_000));
    filetime::set_file_mtime(case.at("a"), time).unwrap();
    let (changes, ..) = case.save();
    assert_eq!((files(changes.unchanged), files(changes.changed)), (2, 1));
    case.assert_restores();
}

#[test]
fn a_change_of_metadata_alone_is_in_the_version_and_stores_nothing_again() {
    let mut case = Case::settled();
    fs::set_permissions(case.at("a"), fs::Permissions::from_mode(0o751)).unwrap();
    let (changes, _, new, _) = case.save();
    assert_eq!((files(changes.unchanged), files(changes.changed)), (2, 1));
    assert!(new < 10_000, "{new}");
    case.assert_restores();
}

#[test]
fn moved_data_is_stored_once() {
    let mut case = Case::settled();
    fs::rename(case.at("a"), case.at("sub/elsewhere")).unwrap();
    fs::copy(case.at("sub/b"), case.at("copy")).unwrap();
    let (changes, _, new, _) = case.save();
    assert_eq!((files(changes.unchanged), files(changes.new)), (2, 2));
    assert!(new < 10_000, "{new}");
    case.assert_restores();
}

#[test]
fn a_file_that_was_just_written_is_read_again_once() {
    let mut case = Case::new();
    case.save();
    let (changes, ..) = case.save();
    assert_eq!((files(changes.unchanged), files(changes.changed)), (0, 3));
    sleep(Duration::from_millis(2_100));
    case.save();
    let (changes, ..) = case.save();
    assert_eq!((files(changes.unchanged), files(changes.changed)), (3, 0));
}

#[test]
fn a_catalogue_of_another_archive_or_of_a_version_that_is_gone_is_not_used() {
    let mut case = Case::settled();
    let before = case.archive.as_ref().unwrap().versions().len();
    case.archive = Some(fresh());
    let (changes, _, new, notes) = case.save();
    assert_eq!((files(changes.new), files(changes.unchanged)), (3, 0));
    assert!(new > 200_000 && before == 1);
    // All archives of these tests have the same id: it is the version that is missing.
    assert!(notes.iter().any(|note| note.contains("no longer has the version")), "{notes:?}");
    case.assert_restores();
}

#[test]
fn a_damaged_catalogue_costs_time_and_nothing_else() {
    let mut case = Case::settled();
    let whole = fs::read(case.catalogue()).unwrap();
    for at in [0, 16, 20, 40, 70, 110, whole.len() / 2] {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(case.catalogue(), &bytes).unwrap();
        let archive = case.archive.as_ref().unwrap();
        let found = dry_run(archive, &case.folder(), &Scope::default(), Some(&case.catalogue())).unwrap();
        assert_eq!(found.notes.len(), 1, "byte {at}: {found:?}");
    }
    fs::write(case.catalogue(), &whole[..whole.len() / 2]).unwrap();
    let (changes, _, _, notes) = case.save();
    assert_eq!((files(changes.new), notes.len()), (3, 1));
    case.assert_restores();
}

#[test]
fn a_dry_run_says_what_a_backup_reads_and_writes_nothing() {
    let mut case = Case::settled();
    write(&case.at("a"), b"changed");
    write(&case.at("new"), b"new");
    let store = case.archive.take().unwrap().into_store();
    let before = (store.clone(), fs::read(case.catalogue()).unwrap());
    let archive = common::reopened(store);
    let found = dry_run(&archive, &case.folder(), &Scope::default(), Some(&case.catalogue())).unwrap();
    let amount = |files, bytes| Amount { files, bytes };
    assert_eq!(found.changes.new, amount(1, 3));
    assert_eq!(found.changes.changed, amount(1, 7));
    assert_eq!(found.changes.unchanged, amount(2, 100_000));
    assert_eq!((found.entries, found.warnings, found.notes), (6, vec![], vec![]));
    let store = archive.into_store();
    assert!(before == (store.clone(), fs::read(case.catalogue()).unwrap()));
    case.archive = Some(common::reopened(store));
    assert_eq!(case.save().0, found.changes);
}

#[test]
fn the_catalogue_is_its_owners_alone_and_never_in_the_version() {
    let mut case = Case::settled();
    assert_eq!(fs::metadata(case.catalogue()).unwrap().permissions().mode() & 0o777, 0o600);
    let inside = case.at("catalogue");
    let archive = case.archive.take().unwrap();
    let first = save(archive, &case.folder(), &Scope::default(), Some(&inside)).unwrap();
    let second = save(first.archive, &case.folder(), &Scope::default(), Some(&inside)).unwrap();
    assert_eq!((first.totals.entries, second.totals.entries), (5, 5));
    assert_eq!(fs::read_dir(case.folder()).unwrap().count(), 3);
}

#[test]
fn a_catalogue_that_cannot_be_written_is_a_note() {
    let mut case = Case::new();
    fs::create_dir(case.catalogue()).unwrap();
    let (_, _, _, notes) = case.save();
    assert!(notes.iter().any(|note| note.contains("the catalogue was not written")), "{notes:?}");
    case.assert_restores();
}
