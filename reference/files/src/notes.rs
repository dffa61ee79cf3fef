//! What is found on the way and does not end a backup.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bailee_archive::TreePath;

use crate::error::Warning;
use crate::folder::{Folder, on_disk};

/// What is found on the way. Whoever lists, looks, walks or reads tells it, from any thread.
pub(crate) struct Notes {
    folder: PathBuf,
    warnings: Mutex<Vec<Warning>>,
    /// Why the catalogue was not read to its end.
    trouble: Mutex<Option<&'static str>>,
}

impl Notes {
    pub(crate) fn new(folder: &Path) -> Self {
        Notes { folder: folder.to_path_buf(), warnings: Mutex::default(), trouble: Mutex::default() }
    }

    pub(crate) fn warn(&self, path: &TreePath, what: String) {
        self.push(on_disk(&self.folder, path), what);
    }

    pub(crate) fn warn_name(&self, folder: &Folder, name: &CStr, what: String) {
        let path = on_disk(&self.folder, folder.path()).join(OsStr::from_bytes(name.to_bytes()));
        self.push(path, what);
    }

    fn push(&self, path: PathBuf, what: String) {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(Warning { path, what });
    }

    /// Keeps why the catalogue was not read to its end, if it was not.
    pub(crate) fn keep_trouble(&self, trouble: Option<&'static str>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// Why the catalogue was not read to its end, if it was not.
    pub(crate) fn trouble(&self) -> Option<&'static str> {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything, in the order of paths: the threads tell it in any.
    pub(crate) fn into_warnings(self) -> Vec<Warning> {
        let mut warnings = self.warnings.into_inner().unwrap_or_else(PoisonError::into_inner);
        warnings.sort_by(|a, b| a.path.cmp(&b.path));
        warnings
    }
}
