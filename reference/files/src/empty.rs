//! What a folder has in it: one that has nothing may be a place where nothing is mounted.

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FileType, Mode, OFlags, RawDir};
use rustix::io::Errno;

use crate::error::FilesError;
use crate::folder::{Folder, keep_atime};
use crate::meta::State;
use crate::notes::Notes;
use crate::scout::open_root;
use crate::surveyor::{Scope, Surveyor};

/// What a folder has for a version, apart from folders.
#[derive(Debug)]
pub enum Inside {
    /// Something that can be read.
    Something,
    /// Nothing that can be read, and this that cannot.
    Unreadable {
        /// Its path in the folder.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Nothing that is not excluded.
    Excluded,
    /// Nothing.
    Nothing,
}

/// What a folder has in it. It looks until the first thing that a version would have: where there are files that can be read, that
/// is a few system calls.
///
/// # Errors
/// `NotADirectory`; `Io` if the folder itself cannot be read.
pub fn look_inside(folder: &Path, scope: &Scope) -> Result<Inside, FilesError> {
    let notes = Notes::new(folder);
    let surveyor = Surveyor::new(scope, &notes);
    let (root, stat) = open_root(folder)?;
    let device = State::of(&stat).dev;
    let mut search = Search { surveyor: &surveyor, device, open: Vec::new(), unreadable: None, excludes: false };
    let mut found = search.list(&root, b"").map_err(FilesError::io("reading", folder))?;
    while let (false, Some(Inner { above, name, path })) = (found, search.open.pop()) {
        found = search.enter(&above, name, &path).unwrap_or_else(|error| {
            search.cannot_read(&path, error);
            false
        });
    }
    Ok(match search.unreadable {
        _ if found => Inside::Something,
        Some((path, error)) => Inside::Unreadable { path, error },
        None if search.excludes => Inside::Excluded,
        None => Inside::Nothing,
    })
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
    /// The first that cannot be read.
    unreadable: Option<(PathBuf, io::Error)>,
    /// Whether anything was excluded.
    excludes: bool,
}

impl Search<'_> {
    fn cannot_read(&mut self, path: &[u8], error: io::Error) {
        self.unreadable.get_or_insert_with(|| (OsStr::from_bytes(path).into(), error));
    }

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
                self.excludes = true;
                continue;
            }
            if kind == FileType::Directory {
                self.open.push(Inner { above: Arc::clone(folder), name: name.to_owned(), path });
            } else if folder.look(name).is_ok_and(|stat| self.surveyor.has(&State::of(&stat))) {
                match try_to_read(folder, name, kind) {
                    Ok(()) => return Ok(true),
                    Err(error) => self.cannot_read(&path, error),
                }
            }
        }
        Ok(false)
    }
}

/// Opens a file as a backup would; of anything else a version has all that there is.
fn try_to_read(folder: &Arc<Folder>, name: &CStr, kind: FileType) -> io::Result<()> {
    if kind == FileType::RegularFile {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        rustix::fs::openat(&*folder.handle()?, name, flags, Mode::empty())?;
    }
    Ok(())
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

    fn is_empty(folder: &Path, scope: &Scope) -> Result<bool, FilesError> {
        look_inside(folder, scope).map(|inside| !matches!(inside, Inside::Something))
    }

    #[test]
    fn what_is_excluded_is_told_apart_from_nothing() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        let inside = |excludes: &[&str]| look_inside(place.path(), &scope(excludes)).unwrap();
        fs::create_dir(at("folder")).unwrap();
        assert!(matches!(inside(&["*.tmp"]), Inside::Nothing));
        fs::write(at("folder/x.tmp"), b"").unwrap();
        assert!(matches!(inside(&["*.tmp"]), Inside::Excluded));
        assert!(matches!(inside(&["*"]), Inside::Excluded));
        assert!(matches!(inside(&["*.bak"]), Inside::Something));
    }

    #[test]
    fn only_folders_are_nothing() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        let is_empty = |excludes: &[&str]| is_empty(place.path(), &scope(excludes)).unwrap();
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
