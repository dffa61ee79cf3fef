//! What becomes known of a restore while it runs, from several threads.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use bailee_archive::TreePath;

use crate::error::{FilesError, Warning};

/// Paths of one kind, the first of which are kept.
const MOST_PATHS: usize = 10_000;

/// Paths of one kind. All are counted, and the first 10,000 are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paths {
    /// How many there are.
    pub count: u64,
    /// The paths, ascending.
    pub paths: Vec<PathBuf>,
}

pub(super) struct Report<'a> {
    target: &'a Path,
    warnings: Mutex<Vec<Warning>>,
    damaged: Mutex<Vec<Warning>>,
    replaced: Mutex<Paths>,
    left: Mutex<Paths>,
    /// Something stood in the place of an entry and is still there.
    is_obstructed: AtomicBool,
    /// What makes going on useless.
    fatal: Mutex<Option<FilesError>>,
}

/// What a report has in the end.
pub(super) struct Told {
    pub(super) warnings: Vec<Warning>,
    pub(super) damaged: Vec<Warning>,
    pub(super) replaced: Paths,
    pub(super) left: Paths,
}

impl<'a> Report<'a> {
    pub(super) fn new(target: &'a Path) -> Self {
        Report {
            target,
            warnings: Mutex::default(),
            damaged: Mutex::default(),
            replaced: Mutex::default(),
            left: Mutex::default(),
            is_obstructed: AtomicBool::new(false),
            fatal: Mutex::default(),
        }
    }

    pub(super) fn warn(&self, path: &TreePath, what: String) {
        self.push(&self.warnings, path, what);
    }

    pub(super) fn damage(&self, path: &TreePath, what: String) {
        self.push(&self.damaged, path, what);
    }

    fn push(&self, list: &Mutex<Vec<Warning>>, path: &TreePath, what: String) {
        let path = crate::folder::on_disk(self.target, path);
        list.lock().unwrap_or_else(PoisonError::into_inner).push(Warning { path, what });
    }

    /// Something that stood there was replaced.
    pub(super) fn replaced(&self, path: &TreePath) {
        self.list(&self.replaced, path);
    }

    /// Something that stands there is not as the version has it, and was left.
    pub(super) fn left(&self, path: &TreePath) {
        self.is_obstructed.store(true, Ordering::Relaxed);
        self.list(&self.left, path);
    }

    fn list(&self, list: &Mutex<Paths>, path: &TreePath) {
        let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
        list.count += 1;
        if list.paths.len() < MOST_PATHS {
            list.paths.push(crate::folder::on_disk(self.target, path));
        }
    }

    /// Something was not made. A disk that is full, or takes no writes, ends the restore.
    pub(super) fn not_made(&self, path: &TreePath, error: io::Error) {
        use io::ErrorKind::{AlreadyExists, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        if matches!(error.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem) {
            let path = crate::folder::on_disk(self.target, path);
            let mut fatal = self.fatal.lock().unwrap_or_else(PoisonError::into_inner);
            fatal.get_or_insert(FilesError::Io { doing: "writing", path, error });
            return;
        }
        if error.kind() == AlreadyExists {
            self.is_obstructed.store(true, Ordering::Relaxed);
        }
        self.warn(path, format!("not made: {error}"));
    }

    pub(super) fn is_over(&self) -> bool {
        self.fatal.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Whether an entry may have something else in its place.
    pub(super) fn is_obstructed(&self) -> bool {
        self.is_obstructed.load(Ordering::Relaxed)
    }

    /// Everything, by path.
    ///
    /// # Errors
    /// What made going on useless.
    pub(super) fn into_told(self) -> Result<Told, FilesError> {
        let sorted = |list: Mutex<Vec<Warning>>| {
            let mut list = list.into_inner().unwrap_or_else(PoisonError::into_inner);
            list.sort_by(|a, b| a.path.cmp(&b.path));
            list
        };
        let paths = |list: Mutex<Paths>| {
            let mut list = list.into_inner().unwrap_or_else(PoisonError::into_inner);
            list.paths.sort();
            list
        };
        if let Some(error) = self.fatal.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        Ok(Told {
            warnings: sorted(self.warnings),
            damaged: sorted(self.damaged),
            replaced: paths(self.replaced),
            left: paths(self.left),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_paths_are_counted_and_so_many_are_kept() {
        let report = Report::new(Path::new("/target"));
        for number in (0..=MOST_PATHS).rev() {
            report.left(&TreePath::root().join(format!("{number:05}").as_bytes()).unwrap());
        }
        assert!(report.is_obstructed());
        let told = report.into_told().unwrap();
        assert_eq!((told.left.count, told.left.paths.len()), (MOST_PATHS as u64 + 1, MOST_PATHS));
        assert!(told.left.paths.is_sorted() && told.left.paths[0] == Path::new("/target/00001"));
        assert_eq!(told.replaced, Paths::default());
    }

    #[test]
    fn only_a_disk_that_takes_no_more_ends_it() {
        let report = Report::new(Path::new("/target"));
        report.not_made(&TreePath::root(), io::ErrorKind::PermissionDenied.into());
        assert!(!report.is_over() && !report.is_obstructed());
        report.not_made(&TreePath::root(), io::ErrorKind::StorageFull.into());
        assert!(report.is_over() && report.into_told().is_err());
    }
}
