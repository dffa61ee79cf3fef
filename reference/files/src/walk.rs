//! The walk over a folder, in the order of the paths of a tree.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::fmt::Display;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use bailee_archive::TreePath;
use bailee_archive::engine::{Plan, Planned};
use bailee_archive::tree::{Entry, EntryKind, Xattr};
use rustix::fs::{FileType, Stat};

use crate::catalogue::{Catalogue, Finding, key};
use crate::error::{FilesError, Warning};
use crate::folder::{Folder, Names};
use crate::meta::{self, State};
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

/// Files, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// How many files.
    pub files: u64,
    /// Their lengths together, in bytes, as the walk saw them.
    pub bytes: u64,
}

/// What is read and what is not, as compared with the catalogue. What is left out is not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Files that the catalogue does not have; all of them, if there is none.
    pub new: Amount,
    /// Files that are not as the catalogue has them, or of which that cannot be said.
    pub changed: Amount,
    /// Files that are as the catalogue has them: they are not read.
    pub unchanged: Amount,
}

/// What is found on the way: the walk and the readers of files tell it from several threads.
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

    fn warn_name(&self, folder: &Folder, name: &CStr, what: String) {
        let path = on_disk(&self.folder, folder.path()).join(std::ffi::OsStr::from_bytes(name.to_bytes()));
        self.push(path, what);
    }

    fn push(&self, path: PathBuf, what: String) {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(Warning { path, what });
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

/// A path of a tree, on disk below a folder.
pub(crate) fn on_disk(folder: &Path, path: &TreePath) -> PathBuf {
    let mut out = folder.to_path_buf();
    out.extend(path.components().map(std::ffi::OsStr::from_bytes));
    out
}

impl Changes {
    pub(crate) fn add(&mut self, file: &SeenFile) {
        let amount = match file.compared {
            Compared::New => &mut self.new,
            Compared::Changed => &mut self.changed,
            Compared::Unchanged => &mut self.unchanged,
        };
        amount.files += 1;
        amount.bytes += file.state.size;
    }
}

/// How a file compares with the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compared {
    New,
    Changed,
    Unchanged,
}

/// A file that the walk saw.
pub(crate) struct SeenFile {
    pub(crate) folder: Arc<Folder>,
    pub(crate) name: CString,
    pub(crate) state: State,
    pub(crate) compared: Compared,
    /// Whether it was another before or after it was read.
    pub(crate) changed: AtomicBool,
}

impl SeenFile {
    pub(crate) fn path(&self) -> TreePath {
        let path = self.folder.path().join(self.name.to_bytes());
        path.unwrap_or_else(|error| unreachable!("the walk checked it: {error}"))
    }
}

/// A folder whose names are not all visited.
struct Level {
    folder: Arc<Folder>,
    names: Names,
    /// How much of the walk's key is this folder.
    key_length: usize,
}

/// A file with several names, of which the first was met.
struct Linked {
    first: TreePath,
    /// Names that were not met yet, if nobody adds any.
    missing: u64,
}

/// The walk: it enters folders without recursion, since they may be nested deeper than a stack.
pub(crate) struct Walk<'a> {
    scope: &'a Scope,
    notes: &'a Notes,
    catalogue: Option<Catalogue>,
    root: Option<Entry>,
    device: u64,
    /// Device and inode of what is left out without a word.
    without: Vec<(u64, u64)>,
    levels: Vec<Level>,
    linked: HashMap<(u64, u64), Linked>,
    /// The key of the folder that the walk is in, and the path that patterns are matched with.
    key: Vec<u8>,
    slashed: Vec<u8>,
}

impl<'a> Walk<'a> {
    /// Begins at a folder, which may be named by a link; what is in it is never followed.
    ///
    /// # Errors
    /// `NotADirectory`; `Io` if the folder itself cannot be read.
    pub(crate) fn new(
        folder: &Path,
        scope: &'a Scope,
        catalogue: Option<Catalogue>,
        notes: &'a Notes,
    ) -> Result<Self, FilesError> {
        let reading = || FilesError::io("reading", folder);
        if !fs::metadata(folder).map_err(reading())?.is_dir() {
            return Err(FilesError::NotADirectory { path: folder.to_path_buf() });
        }
        let root = Folder::root(folder).map_err(reading())?;
        let handle = root.handle().map_err(reading())?;
        let stat = rustix::fs::fstat(&*handle).map_err(io::Error::from).map_err(reading())?;
        let names = Names::read(&*handle).map_err(reading())?;
        let mut walk = Walk {
            scope,
            notes,
            catalogue,
            root: None,
            device: State::of(&stat).dev,
            without: Vec::new(),
            levels: vec![Level { folder: Arc::clone(&root), names, key_length: 0 }],
            linked: HashMap::new(),
            key: Vec::new(),
            slashed: Vec::new(),
        };
        let xattrs = meta::xattrs_of(handle.as_fd());
        let path = root.path();
        walk.root = Some(walk.entry(path.clone(), &stat, EntryKind::Directory, xattrs));
        scope.without.iter().for_each(|place| walk.leave_out(place));
        Ok(walk)
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

    fn entry(&self, path: TreePath, stat: &Stat, kind: EntryKind, xattrs: io::Result<Vec<Xattr>>) -> Entry {
        let mut meta = meta::of(stat);
        match xattrs {
            Ok(xattrs) => meta.xattrs = xattrs,
            Err(error) => self.notes.warn(&path, format!("its extended attributes are left out: {error}")),
        }
        Entry { path, meta, kind }
    }

    /// What has this name, if it belongs to the version.
    fn visit(&mut self, folder: &Arc<Folder>, name: CString, listed: FileType) -> Option<Planned<SeenFile>> {
        // What is excluded is not even looked at, as it may not let itself be looked at; not all file systems list kinds.
        if listed != FileType::Unknown && self.is_excluded(listed == FileType::Directory) {
            return None;
        }
        let stat = match folder.look(&name) {
            Ok(stat) => stat,
            Err(error) => return self.left_out(folder, &name, &error),
        };
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind != listed && self.is_excluded(kind == FileType::Directory) {
            return None;
        }
        let state = State::of(&stat);
        if self.without.contains(&(state.dev, state.ino)) {
            return None;
        }
        // The path of a file is not needed before it is read, and most are not.
        if kind == FileType::RegularFile {
            return match folder.path().check_join(name.to_bytes()) {
                Ok(()) => Some(self.file(folder, name, &stat, state)),
                Err(error) => self.left_out(folder, &name, &error),
            };
        }
        let path = match folder.path().join(name.to_bytes()) {
            Ok(path) => path,
            Err(error) => return self.left_out(folder, &name, &error),
        };
        let kind = match kind {
            FileType::Directory => return Some(self.folder(folder, name, path, &stat)),
            FileType::Symlink => match folder.target(&name) {
                Ok(target) => EntryKind::Symlink { target },
                Err(error) => return self.left_out(folder, &name, &error),
            },
            FileType::Fifo => EntryKind::Fifo,
            FileType::Socket => EntryKind::Socket,
            kind => {
                let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
                EntryKind::Device { block: kind == FileType::BlockDevice, major, minor }
            }
        };
        let xattrs = meta::xattrs_in(folder, &name);
        Some(Planned::Entry(self.entry(path, &stat, kind, xattrs)))
    }

    fn left_out<T>(&self, folder: &Folder, name: &CStr, error: &dyn Display) -> Option<T> {
        self.notes.warn_name(folder, name, format!("left out: {error}"));
        None
    }

    fn is_excluded(&mut self, is_folder: bool) -> bool {
        if self.scope.excludes.is_empty() {
            return false;
        }
        self.slashed.clear();
        self.slashed.extend(self.key.iter().map(|byte| if *byte == 0 { b'/' } else { *byte }));
        self.scope.excludes.match_path(&self.slashed, is_folder)
    }

    /// A folder is kept even if it cannot be read; what is in it is then left out.
    fn folder(&mut self, above: &Arc<Folder>, name: CString, path: TreePath, stat: &Stat) -> Planned<SeenFile> {
        let folder = above.inner(name.clone(), path.clone());
        let enter = !self.scope.one_file_system || State::of(stat).dev == self.device;
        let opened = folder.handle();
        let xattrs = match &opened {
            Ok(handle) => meta::xattrs_of(&**handle),
            Err(_) => meta::xattrs_in(above, &name),
        };
        if enter {
            match opened.and_then(|handle| Names::read(&*handle)) {
                Ok(names) => self.levels.push(Level { folder, names, key_length: self.key.len() }),
                Err(error) => {
                    self.notes.warn(&path, format!("the folder is kept, what is in it is left out: {error}"))
                }
            }
        }
        Planned::Entry(self.entry(path, stat, EntryKind::Directory, xattrs))
    }

    fn file(&mut self, folder: &Arc<Folder>, name: CString, stat: &Stat, state: State) -> Planned<SeenFile> {
        let (folder, compared) = (Arc::clone(folder), Compared::New);
        let mut file = SeenFile { folder, name, state, compared, changed: AtomicBool::new(false) };
        if stat.st_nlink > 1
            && let Some(first) = self.first_name(&file, stat)
        {
            // Its metadata is that of the first name, and so are its extended attributes.
            return Planned::Entry(Entry {
                path: file.path(),
                meta: meta::of(stat),
                kind: EntryKind::HardLink { to: first },
            });
        }
        let finding = match &mut self.catalogue {
            None => Finding::New,
            Some(catalogue) => catalogue.find(&self.key, &state),
        };
        let size = state.size;
        match finding {
            Finding::Unchanged(items) => {
                file.compared = Compared::Unchanged;
                return Planned::Known { file, items };
            }
            Finding::Changed => file.compared = Compared::Changed,
            Finding::New => {}
        }
        Planned::File { file, size }
    }

    /// The first name of a file with several; none if this is it.
    fn first_name(&mut self, file: &SeenFile, stat: &Stat) -> Option<TreePath> {
        let inode = (file.state.dev, file.state.ino);
        let Some(linked) = self.linked.get_mut(&inode) else {
            #[allow(clippy::unnecessary_cast)] // Its type differs between machines.
            let missing = stat.st_nlink as u64 - 1;
            self.linked.insert(inode, Linked { first: file.path(), missing });
            return None;
        };
        linked.missing = linked.missing.saturating_sub(1);
        let first = linked.first.clone();
        // A name that is added while the walk goes on is then kept as a file of its own.
        if linked.missing == 0 {
            self.linked.remove(&inode);
        }
        Some(first)
    }
}

impl Plan for Walk<'_> {
    type File = SeenFile;

    fn next(&mut self) -> Option<Planned<SeenFile>> {
        if let Some(root) = self.root.take() {
            return Some(Planned::Entry(root));
        }
        while let Some(level) = self.levels.last_mut() {
            let Some((name, listed)) = level.names.next() else {
                self.levels.pop();
                continue;
            };
            let folder = Arc::clone(&level.folder);
            self.key.truncate(level.key_length);
            if level.key_length > 0 {
                self.key.push(0);
            }
            self.key.extend_from_slice(name.to_bytes());
            if let Some(planned) = self.visit(&folder, name, listed) {
                return Some(planned);
            }
        }
        let trouble = self.catalogue.as_ref().and_then(Catalogue::trouble);
        *self.notes.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
        None
    }
}

/// The key of a file, as the catalogue has it.
pub(crate) fn key_of(file: &SeenFile, out: &mut Vec<u8>) {
    key(file.folder.path(), file.name.to_bytes(), out);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(planned: Option<Planned<SeenFile>>) -> &'static str {
        match planned {
            None => "nothing",
            Some(Planned::Entry(_)) => "an entry",
            Some(Planned::File { .. } | Planned::Known { .. }) => "a file",
        }
    }

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
        let mut walk = Walk::new(place.path(), &scope, None, &notes).unwrap();
        let root = Arc::clone(&walk.levels[0].folder);
        let mut visit = |name: &CStr, listed| {
            walk.key = name.to_bytes().to_vec();
            told(walk.visit(&root, name.to_owned(), listed))
        };
        for name in [c"file.o", c"link.o", c"pruned"] {
            assert_eq!(visit(name, FileType::Unknown), "nothing", "{name:?}");
        }
        assert_eq!(visit(c"file", FileType::Unknown), "a file");
        assert_eq!(visit(c"folder", FileType::Unknown), "an entry");
        assert_eq!(visit(c"file", FileType::Directory), "a file");
        assert_eq!(visit(c"file.o", FileType::Directory), "nothing");
        assert_eq!(visit(c"pruned", FileType::RegularFile), "nothing");
        drop(walk);
        assert!(notes.into_warnings().is_empty());
    }
}
