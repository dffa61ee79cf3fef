//! A backup only reads: the times of last access stay as they were.

mod common;

use std::fs::{self, Metadata};
use std::path::Path;

use bailee_files::{Inside, Scope};
use common::{save, write};
use filetime::FileTime;
use tempfile::TempDir;

const NAMES: [&str; 4] = ["", "file", "inner", "inner/file"];

/// A folder that was changed after it was last read: the first to read it now moves the time of last access.
fn unread(place: &Path) -> TempDir {
    let folder = tempfile::tempdir_in(place).unwrap();
    fs::create_dir(folder.path().join("inner")).unwrap();
    write(&folder.path().join("file"), b"x");
    write(&folder.path().join("inner/file"), b"y");
    for name in NAMES {
        let (atime, mtime) = (FileTime::from_unix_time(1_000_000_000, 7), FileTime::from_unix_time(1_100_000_000, 0));
        filetime::set_file_times(folder.path().join(name), atime, mtime).unwrap();
    }
    folder
}

fn times(folder: &Path) -> [FileTime; 4] {
    let atime = |metadata: Metadata| FileTime::from_last_access_time(&metadata);
    NAMES.map(|name| atime(fs::metadata(folder.join(name)).unwrap()))
}

/// Whether all four times move if anybody else reads it.
fn moves(place: &Path) -> bool {
    let folder = unread(place);
    let before = times(folder.path());
    for name in NAMES {
        let path = folder.path().join(name);
        if path.is_dir() {
            fs::read_dir(path).unwrap().count()
        } else {
            fs::read(path).unwrap().len()
        };
    }
    before.iter().zip(times(folder.path())).all(|(before, after)| *before != after)
}

#[test]
fn what_is_backed_up_keeps_the_time_of_its_last_access() {
    let places = [std::env::temp_dir(), "/dev/shm".into()];
    let place = places.iter().find(|place| place.is_dir() && moves(place)).unwrap_or_else(|| {
        eprintln!("no file system here moves times of last access: only that none changes is shown");
        &places[0]
    });
    let folder = unread(place);
    let before = times(folder.path());
    let done = save(common::fresh(), folder.path(), &Scope::default(), None).unwrap();
    assert_eq!((done.totals.read, done.warnings), (2, vec![]));
    assert_eq!(times(folder.path()), before);

    assert!(matches!(bailee_files::look_inside(folder.path(), &Scope::default()).unwrap(), Inside::Something));
    bailee_files::dry_run(&done.archive, folder.path(), &Scope::default(), None).unwrap();
    assert_eq!(times(folder.path()), before);
}
