//! What there is in a folder, in the order of the paths of a tree: first the names, by the scout, then what has them.

use std::ffi::{CStr, CString};
use std::fmt::Display;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bailee_archive::TreePath;
use bailee_archive::tree::{Entry, EntryKind, Xattr};
use rustix::fs::{FileType, Stat};

use crate::error::FilesError;
use crate::folder::{Folder, Names};
use crate::meta::{self, State};
use crate::notes::Notes;
use crate::patterns::Patterns;

/// What of a folder belongs to a version.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// What is left out without a word; a folder that matches is not entered.
    pub excludes: Patterns,
    /// Whether folders of another file system than that of the folder itself are kept empty.
    pub one_file_system: bool,
    /// Places that are left out without a word, should they lie in the folder: the archive itself, the key store.
    pub without: Vec<PathBuf>,
}

/// What the scout found.
pub(crate) enum Found {
    /// A folder: it was looked at, since it was entered.
    Folder(Entry),
    /// A name of anything else.
    Name { folder: Arc<Folder>, name: CString },
}

/// What a name was found to be.
pub(crate) enum Looked {
    File { folder: Arc<Folder>, name: CString, stat: Stat },
    Entry(Entry),
}

/// Tells what belongs to the version. Many threads may ask.
pub(crate) struct Limits<'a> {
    scope: &'a Scope,
    notes: &'a Notes,
    /// Device and inode of what is left out without a word.
    without: Vec<(u64, u64)>,
}

impl<'a> Limits<'a> {
    pub(crate) fn new(scope: &'a Scope, notes: &'a Notes) -> Self {
        let mut limits = Limits { scope, notes, without: Vec::new() };
        scope.without.iter().for_each(|place| limits.leave_out(place));
        limits
    }

    /// Leaves a place out, if it is there.
    pub(crate) fn leave_out(&mut self, place: &Path) {
        if let Ok(metadata) = fs::symlink_metadata(place) {
            self.without.push((metadata.dev(), metadata.ino()));
        }
        // A place may be named by a link: then both are meant.
        if let Ok(metadata) = fs::metadata(place) {
            self.without.push((metadata.dev(), metadata.ino()));
        }
    }

    fn has(&self, state: &State) -> bool {
        !self.without.contains(&(state.dev, state.ino))
    }

    fn entry(&self, path: TreePath, stat: &Stat, kind: EntryKind, xattrs: io::Result<Vec<Xattr>>) -> Entry {
        let mut meta = meta::of(stat);
        match xattrs {
            Ok(xattrs) => meta.xattrs = xattrs,
            Err(error) => self.notes.warn(&path, format!("its extended attributes are left out: {error}")),
        }
        Entry { path, meta, kind }
    }

    fn left_out<T>(&self, folder: &Folder, name: &CStr, error: &dyn Display) -> Option<T> {
        self.notes.warn_name(folder, name, format!("left out: {error}"));
        None
    }

    /// What was found, if it belongs to the version.
    pub(crate) fn look_at(&self, found: Found) -> Option<Looked> {
        let (folder, name) = match found {
            Found::Folder(entry) => return Some(Looked::Entry(entry)),
            Found::Name { folder, name } => (folder, name),
        };
        let stat = match folder.look(&name) {
            Ok(stat) => stat,
            Err(error) => return self.left_out(&folder, &name, &error),
        };
        if !self.has(&State::of(&stat)) {
            return None;
        }
        let kind = FileType::from_raw_mode(stat.st_mode);
        // The path of a file is not needed before it is read, and most are not.
        if kind == FileType::RegularFile {
            return match folder.path().check_join(name.to_bytes()) {
                Ok(()) => Some(Looked::File { folder, name, stat }),
                Err(error) => self.left_out(&folder, &name, &error),
            };
        }
        let path = match folder.path().join(name.to_bytes()) {
            Ok(path) => path,
            Err(error) => return self.left_out(&folder, &name, &error),
        };
        let kind = match kind {
            FileType::Directory if self.scope.excludes.match_tree_path(&path, true) => return None,
            FileType::Directory => return self.left_out(&folder, &name, &"it was no folder a moment before"),
            FileType::Symlink => match folder.target(&name) {
                Ok(target) => EntryKind::Symlink { target },
                Err(error) => return self.left_out(&folder, &name, &error),
            },
            FileType::Fifo => EntryKind::Fifo,
            FileType::Socket => EntryKind::Socket,
            kind => {
                let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
                EntryKind::Device { block: kind == FileType::BlockDevice, major, minor }
            }
        };
        let xattrs = meta::xattrs_in(&folder, &name);
        Some(Looked::Entry(self.entry(path, &stat, kind, xattrs)))
    }
}

/// A folder whose names were not all told.
struct Level {
    folder: Arc<Folder>,
    names: Names,
    /// How much of the scout's path is this folder.
    path_length: usize,
}

/// The scout tells which names there are. It enters folders without recursion, since they may be nested deeper than a stack.
pub(crate) struct Scout {
    root: Option<Entry>,
    device: u64,
    levels: Vec<Level>,
    /// Where it is, with `/` between components: patterns are matched with it.
    path: Vec<u8>,
}

impl Scout {
    /// Begins at a folder, which may be named by a link; what is in it is never followed.
    ///
    /// # Errors
    /// `NotADirectory`; `Io` if the folder itself cannot be read.
    pub(crate) fn new(folder: &Path, limits: &Limits<'_>) -> Result<Self, FilesError> {
        let reading = || FilesError::io("reading", folder);
        if !fs::metadata(folder).map_err(reading())?.is_dir() {
            return Err(FilesError::NotADirectory { path: folder.to_path_buf() });
        }
        let root = Folder::root(folder).map_err(reading())?;
        let handle = root.handle().map_err(reading())?;
        let stat = rustix::fs::fstat(&*handle).map_err(io::Error::from).map_err(reading())?;
        let names = Names::read(&*handle).map_err(reading())?;
        let entry = limits.entry(root.path().clone(), &stat, EntryKind::Directory, meta::xattrs_of(&*handle));
        Ok(Scout {
            root: Some(entry),
            device: State::of(&stat).dev,
            levels: vec![Level { folder: root, names, path_length: 0 }],
            path: Vec::new(),
        })
    }

    /// The next that belongs to the version, as far as names tell; none at the end.
    pub(crate) fn next(&mut self, limits: &Limits<'_>) -> Option<Found> {
        if let Some(root) = self.root.take() {
            return Some(Found::Folder(root));
        }
        while let Some(level) = self.levels.last_mut() {
            let Some((name, listed)) = level.names.next() else {
                self.levels.pop();
                continue;
            };
            let folder = Arc::clone(&level.folder);
            self.path.truncate(level.path_length);
            if level.path_length > 0 {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name.to_bytes());
            if let Some(found) = self.visit(limits, folder, name, listed) {
                return Some(found);
            }
        }
        None
    }

    /// What is excluded is not even looked at, as it may not let itself be looked at; not all file systems list kinds.
    fn visit(&mut self, limits: &Limits<'_>, folder: Arc<Folder>, name: CString, listed: FileType) -> Option<Found> {
        let kind = match listed {
            FileType::Unknown => match folder.look(&name) {
                Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                Err(error) => return limits.left_out(&folder, &name, &error),
            },
            listed => listed,
        };
        if limits.scope.excludes.match_path(&self.path, kind == FileType::Directory) {
            return None;
        }
        match kind {
            FileType::Directory => self.folder(limits, folder, name),
            _ => Some(Found::Name { folder, name }),
        }
    }

    /// A folder is kept even if it cannot be read; what is in it is then left out.
    fn folder(&mut self, limits: &Limits<'_>, above: Arc<Folder>, name: CString) -> Option<Found> {
        let path = match above.path().join(name.to_bytes()) {
            Ok(path) => path,
            Err(error) => return limits.left_out(&above, &name, &error),
        };
        let folder = above.inner(name.clone(), path.clone());
        let opened = folder.handle();
        let stat = match &opened {
            Ok(handle) => rustix::fs::fstat(&**handle).map_err(io::Error::from),
            Err(_) => above.look(&name),
        };
        let stat = match stat {
            Ok(stat) => stat,
            Err(error) => return limits.left_out(&above, &name, &error),
        };
        // By now it may have become something else.
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            let excluded = limits.scope.excludes.match_path(&self.path, false);
            return (!excluded).then_some(Found::Name { folder: above, name });
        }
        let state = State::of(&stat);
        if !limits.has(&state) {
            return None;
        }
        let xattrs = match &opened {
            Ok(handle) => meta::xattrs_of(&**handle),
            Err(_) => meta::xattrs_in(&above, &name),
        };
        if !limits.scope.one_file_system || state.dev == self.device {
            match opened.and_then(|handle| Names::read(&*handle)) {
                Ok(names) => self.levels.push(Level { folder, names, path_length: self.path.len() }),
                Err(error) => {
                    let what = format!("the folder is kept, what is in it is left out: {error}");
                    limits.notes.warn(&path, what);
                }
            }
        }
        Some(Found::Folder(limits.entry(path, &stat, EntryKind::Directory, xattrs)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Many file systems list names without kinds; some names have become another kind by the time when they are looked at.
    #[test]
    fn excludes_hold_whatever_is_listed() {
        let place = tempfile::tempdir().unwrap();
        for name in ["file.o", "file"] {
            fs::write(place.path().join(name), b"x").unwrap();
        }
        fs::create_dir(place.path().join("pruned")).unwrap();
        fs::create_dir(place.path().join("folder")).unwrap();
        std::os::unix::fs::symlink("gone", place.path().join("link.o")).unwrap();
        let excludes = Patterns::new(&["*.o".into(), "pruned/".into()], &[]).unwrap();
        let (scope, notes) = (Scope { excludes, ..Scope::default() }, Notes::new(place.path()));
        let limits = Limits::new(&scope, &notes);
        let mut scout = Scout::new(place.path(), &limits).unwrap();
        let root = Arc::clone(&scout.levels[0].folder);
        let mut visit = |name: &CStr, listed| {
            scout.path = name.to_bytes().to_vec();
            let found = scout.visit(&limits, Arc::clone(&root), name.to_owned(), listed);
            match found.and_then(|found| limits.look_at(found)) {
                None => "nothing",
                Some(Looked::Entry(_)) => "an entry",
                Some(Looked::File { .. }) => "a file",
            }
        };
        for name in [c"file.o", c"link.o", c"pruned"] {
            assert_eq!(visit(name, FileType::Unknown), "nothing", "{name:?}");
        }
        assert_eq!(visit(c"file", FileType::Unknown), "a file");
        assert_eq!(visit(c"folder", FileType::Unknown), "an entry");
        assert_eq!(visit(c"file", FileType::Directory), "a file");
        assert_eq!(visit(c"file.o", FileType::Directory), "nothing");
        assert_eq!(visit(c"pruned", FileType::RegularFile), "nothing");
        drop(scout);
        assert!(notes.into_warnings().is_empty());
    }

    /// The scout enters folders, and is beyond this one by then.
    #[test]
    fn what_becomes_a_folder_after_it_was_listed_is_named() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("folder")).unwrap();
        let (scope, notes) = (Scope::default(), Notes::new(place.path()));
        let limits = Limits::new(&scope, &notes);
        let mut scout = Scout::new(place.path(), &limits).unwrap();
        let root = Arc::clone(&scout.levels[0].folder);
        let found = scout.visit(&limits, root, c"folder".into(), FileType::RegularFile);
        assert!(found.and_then(|found| limits.look_at(found)).is_none());
        let warnings = notes.into_warnings();
        assert_eq!(warnings.len(), 1);
        assert_eq!(warnings[0].path, place.path().join("folder"));
        assert!(warnings[0].what.contains("no folder a moment before"), "{}", warnings[0].what);
    }
}
