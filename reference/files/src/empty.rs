//! Whether a folder has anything in it: one that has not may be a place where nothing is mounted.

use std::ffi::CString;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FileType, RawDir};
use rustix::io::Errno;

use crate::error::FilesError;
use crate::folder::{Folder, keep_atime};
use crate::meta::State;
use crate::notes::Notes;
use crate::scout::open_root;
use crate::surveyor::{Scope, Surveyor};

/// Whether nothing in a folder belongs to a version except folders. It looks until the first name that does: where there are
/// files, that is a few system calls. A folder that cannot be listed counts as one with nothing in it.
///
/// # Errors
/// `NotADirectory`; `Io` if the folder itself cannot be read.
pub fn is_empty(folder: &Path, scope: &Scope) -> Result<bool, FilesError> {
    let notes = Notes::new(folder);
    let surveyor = Surveyor::new(scope, &notes);
    let (root, stat) = open_root(folder)?;
    let device = State::of(&stat).dev;
    let mut search = Search { surveyor: &surveyor, device, open: Vec::new() };
    let mut found = search.list(&root, b"").map_err(FilesError::io("reading", folder))?;
    while let (false, Some(Inner { above, name, path })) = (found, search.open.pop()) {
        let entered = search.enter(&above, name, &path);
        found = entered.unwrap_or(false);
    }
    Ok(!found)
}

/// A folder that was not looked into yet.
struct Inner {
    above: Arc<Folder>,
    name: CString,
    /// Its path, with `/` between components.
    path: Vec<u8>,
}

struct Search<'a> {
    surveyor: &'a Surveyor<'a>,
    device: u64,
    open: Vec<Inner>,
}

impl Search<'_> {
    /// Looks into a folder: whether it has what is looked for.
    fn enter(&mut self, above: &Arc<Folder>, name: CString, path: &[u8]) -> io::Result<bool> {
        let in_tree = above.path().join(name.to_bytes()).map_err(io::Error::other)?;
        let folder = above.inner(name, in_tree);
        let state = State::of(&rustix::fs::fstat(&*folder.handle()?)?);
        let is_other_system = self.surveyor.scope.one_file_system && state.dev != self.device;
        if is_other_system || !self.surveyor.has(&state) { Ok(false) } else { self.list(&folder, path) }
    }

    fn list(&mut self, folder: &Arc<Folder>, path: &[u8]) -> io::Result<bool> {
        let handle = folder.handle()?;
        keep_atime(&*handle, &rustix::fs::fstat(&*handle)?);
        let mut buffer = Vec::with_capacity(32 * 1024);
        let mut entries = RawDir::new(&*handle, buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = match entry {
                Err(Errno::INTR) => continue,
                entry => entry?,
            };
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let separator: &[u8] = if path.is_empty() { b"" } else { b"/" };
            let path = [path, separator, name.to_bytes()].concat();
            let kind = match entry.file_type() {
                FileType::Unknown => folder.look(name).map(|stat| FileType::from_raw_mode(stat.st_mode)),
                kind => Ok(kind),
            };
            // What is gone by now, or cannot be looked at, is left out by the backup, too.
            let Ok(kind) = kind else { continue };
            if self.surveyor.scope.excludes.match_path(&path, kind == FileType::Directory) {
                continue;
            }
            if kind == FileType::Directory {
                self.open.push(Inner { above: Arc::clone(folder), name: name.to_owned(), path });
            } else if folder.look(name).is_ok_and(|stat| self.surveyor.has(&State::of(&stat))) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patterns::Patterns;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn scope(excludes: &[&str]) -> Scope {
        let words: Vec<_> = excludes.iter().map(std::ffi::OsString::from).collect();
        Scope { excludes: Patterns::new(&words, &[]).unwrap(), ..Scope::default() }
    }

    #[test]
    fn only_folders_are_nothing() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        let is_empty = |excludes: &[&str]| super::is_empty(place.path(), &scope(excludes)).unwrap();
        assert!(is_empty(&[]));
        fs::create_dir(at("lost+found")).unwrap();
        fs::create_dir_all(at("a/b/c")).unwrap();
        fs::create_dir_all(at("z/y")).unwrap();
        assert!(is_empty(&[]));
        for file in ["a/b/c/file", "z/y/file", "file"] {
            fs::write(at(file), b"").unwrap();
            assert!(!is_empty(&[]), "{file}");
            assert!(is_empty(&["file"]) && is_empty(&[&format!("/{file}")]), "{file}");
            fs::remove_file(at(file)).unwrap();
        }
        fs::write(at("z/y/file"), b"").unwrap();
        assert!(is_empty(&["z"]) && !is_empty(&["a"]) && !is_empty(&["*", "!z", "!y", "!file"]));
        fs::remove_file(at("z/y/file")).unwrap();
        symlink("nowhere", at("link")).unwrap();
        assert!(!is_empty(&[]));
    }

    #[test]
    fn what_is_not_the_users_does_not_count() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        fs::create_dir(at("archive")).unwrap();
        fs::write(at("archive/segment"), b"x").unwrap();
        symlink("archive", at("link")).unwrap();
        let without = vec![at("archive"), at("link")];
        assert!(is_empty(place.path(), &Scope { without, ..Scope::default() }).unwrap());
        assert!(!is_empty(place.path(), &Scope::default()).unwrap());
    }

    #[test]
    fn a_folder_that_is_missing_or_a_file_is_an_error_and_a_closed_one_inside_is_nothing() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        assert!(matches!(is_empty(&at("missing"), &scope(&[])), Err(FilesError::Io { .. })));
        fs::create_dir(at("closed")).unwrap();
        fs::set_permissions(at("closed"), fs::Permissions::from_mode(0o000)).unwrap();
        assert!(is_empty(place.path(), &scope(&[])).unwrap());
        fs::set_permissions(at("closed"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(at("file"), b"").unwrap();
        assert!(matches!(is_empty(&at("file"), &scope(&[])), Err(FilesError::NotADirectory { .. })));
    }
}
