//! The scout tells which names there are in a folder, in the order of the paths of a tree.

use std::ffi::CString;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bailee_archive::tree::{Entry, EntryKind};
use rustix::fs::{FileType, Stat};

use crate::error::FilesError;
use crate::folder::{Folder, Names, keep_atime};
use crate::meta::{self, State};
use crate::surveyor::Surveyor;

/// What the scout found.
pub(crate) enum Found {
    /// A folder. What is in it comes next, if it could be entered and was to be.
    Folder(Entry),
    /// A name of anything else, and what has it, should that be known already.
    Name { folder: Arc<Folder>, name: CString, seen: Option<Box<Stat>> },
}

/// A folder whose names were not all told.
struct Level {
    folder: Arc<Folder>,
    names: Names,
    /// How much of the scout's path is this folder.
    path_length: usize,
}

/// The folder that is backed up, which may be named by a link, and its state.
///
/// # Errors
/// `NotADirectory`; `Io` if it cannot be opened.
pub(crate) fn open_root(folder: &Path) -> Result<(Arc<Folder>, Stat), FilesError> {
    let reading = || FilesError::io("reading", folder);
    if !fs::metadata(folder).map_err(reading())?.is_dir() {
        return Err(FilesError::NotADirectory { path: folder.to_path_buf() });
    }
    let root = Folder::root(folder).map_err(reading())?;
    let handle = root.handle().map_err(reading())?;
    let stat = rustix::fs::fstat(&*handle).map_err(io::Error::from).map_err(reading())?;
    Ok((root, stat))
}

/// Where the scout is. Folders are entered without recursion, since they may be nested deeper than a stack.
pub(crate) struct Scout {
    root: Option<Entry>,
    device: u64,
    levels: Vec<Level>,
    /// The path of the name that is visited, with `/` between components: patterns are matched with it.
    path: Vec<u8>,
}

impl Scout {
    /// Begins at a folder, which may be named by a link; what is in it is never followed.
    ///
    /// # Errors
    /// `NotADirectory`; `Io` if the folder itself cannot be read.
    pub(crate) fn new(folder: &Path, surveyor: &Surveyor<'_>) -> Result<Self, FilesError> {
        let reading = || FilesError::io("reading", folder);
        let (root, stat) = open_root(folder)?;
        let handle = root.handle().map_err(reading())?;
        keep_atime(&*handle, &stat);
        let names = Names::read(&*handle).map_err(reading())?;
        let entry = surveyor.entry(root.path().clone(), &stat, EntryKind::Directory, meta::xattrs_of(&*handle));
        Ok(Scout {
            root: Some(entry),
            device: State::of(&stat).dev,
            levels: vec![Level { folder: root, names, path_length: 0 }],
            path: Vec::new(),
        })
    }

    /// Visits the next name, and tells of it unless it is known not to belong to the version; none at the end.
    pub(crate) fn next(&mut self, surveyor: &Surveyor<'_>) -> Option<Option<Found>> {
        if let Some(root) = self.root.take() {
            return Some(Some(Found::Folder(root)));
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
            return Some(self.visit(surveyor, folder, name, listed));
        }
        None
    }

    /// What is excluded is not even looked at, as it may not let itself be looked at; not all file systems list kinds.
    fn visit(
        &mut self,
        surveyor: &Surveyor<'_>,
        folder: Arc<Folder>,
        name: CString,
        listed: FileType,
    ) -> Option<Found> {
        let (kind, seen) = match listed {
            FileType::Unknown => {
                let stat = surveyor.unless_failed(&folder, &name, folder.look(&name))?;
                (FileType::from_raw_mode(stat.st_mode), Some(Box::new(stat)))
            }
            listed => (listed, None),
        };
        if surveyor.scope.excludes.match_path(&self.path, kind == FileType::Directory) {
            return None;
        }
        match kind {
            FileType::Directory => self.folder(surveyor, folder, name),
            _ => Some(Found::Name { folder, name, seen }),
        }
    }

    /// A folder is kept even if it cannot be read; what is in it is then left out.
    fn folder(&mut self, surveyor: &Surveyor<'_>, above: Arc<Folder>, name: CString) -> Option<Found> {
        let path = surveyor.unless_failed(&above, &name, above.path().join(name.to_bytes()))?;
        let folder = above.inner(name.clone(), path.clone());
        let opened = folder.handle();
        let stat = match &opened {
            Ok(handle) => rustix::fs::fstat(&**handle).map_err(io::Error::from),
            Err(_) => above.look(&name),
        };
        let stat = surveyor.unless_failed(&above, &name, stat)?;
        // By now it may have become something else.
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            let excluded = surveyor.scope.excludes.match_path(&self.path, false);
            return (!excluded).then(|| Found::Name { folder: above, name, seen: Some(Box::new(stat)) });
        }
        let state = State::of(&stat);
        if !surveyor.has(&state) {
            return None;
        }
        let xattrs = match &opened {
            Ok(handle) => meta::xattrs_of(&**handle),
            Err(_) => meta::xattrs_in(&above, &name),
        };
        if !surveyor.scope.one_file_system || state.dev == self.device {
            let names = opened.and_then(|handle| {
                keep_atime(&*handle, &stat);
                Names::read(&*handle)
            });
            match names {
                Ok(names) => self.levels.push(Level { folder, names, path_length: self.path.len() }),
                Err(error) => {
                    let what = format!("the folder is kept, what is in it is left out: {error}");
                    surveyor.notes.warn(&path, what);
                }
            }
        }
        Some(Found::Folder(surveyor.entry(path, &stat, EntryKind::Directory, xattrs)))
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;
    use crate::notes::Notes;
    use crate::patterns::Patterns;
    use crate::surveyor::{Looked, Scope};

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
        let surveyor = Surveyor::new(&scope, &notes);
        let mut scout = Scout::new(place.path(), &surveyor).unwrap();
        let root = Arc::clone(&scout.levels[0].folder);
        let mut visit = |name: &CStr, listed| {
            scout.path = name.to_bytes().to_vec();
            let found = scout.visit(&surveyor, Arc::clone(&root), name.to_owned(), listed);
            match found.and_then(|found| surveyor.look_at(found)) {
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
        let surveyor = Surveyor::new(&scope, &notes);
        let mut scout = Scout::new(place.path(), &surveyor).unwrap();
        let root = Arc::clone(&scout.levels[0].folder);
        let found = scout.visit(&surveyor, root, c"folder".into(), FileType::RegularFile);
        assert!(found.and_then(|found| surveyor.look_at(found)).is_none());
        let warnings = notes.into_warnings();
        assert_eq!(warnings.len(), 1);
        assert_eq!(warnings[0].path, place.path().join("folder"));
        assert!(warnings[0].what.contains("no folder a moment before"), "{}", warnings[0].what);
    }
}
