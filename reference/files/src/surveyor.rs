//! What there is in a folder and belongs to a version. The scout lists names in the order of the paths of a tree; what has them is
//! looked at by whichever thread has nothing else to do, since asking the system for the state of all these files is most of a
//! backup in which little changed.

use std::ffi::{CStr, CString};
use std::fmt::Display;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bailee_archive::TreePath;
use bailee_archive::tree::{Entry, EntryKind, Xattr};
use bailee_pipeline::Survey;
use rustix::fs::{FileType, Stat};

use crate::folder::Folder;
use crate::meta::{self, State};
use crate::notes::Notes;
use crate::patterns::Patterns;
use crate::quirks::Quirk;
use crate::scout::{Found, Scout};

/// So many names are taken at once: long enough to be worth a lock, short enough to be waited for.
const BATCH_NAMES: usize = 128;
/// So many batches are ahead of the walk, at most.
const BATCHES: usize = 8;

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

/// What a name was found to be.
pub(crate) enum Looked {
    File { folder: Arc<Folder>, name: CString, stat: Stat },
    Entry(Entry),
}

/// What lies ahead of the walk.
pub(crate) type Ahead<'a> = bailee_pipeline::Ahead<Surveyor<'a>>;

/// Tells what belongs to the version. Many threads may ask.
pub(crate) struct Surveyor<'a> {
    pub(crate) scope: &'a Scope,
    pub(crate) notes: &'a Notes,
    /// Device and inode of what is left out without a word.
    without: Vec<(u64, u64)>,
}

impl<'a> Surveyor<'a> {
    pub(crate) fn new(scope: &'a Scope, notes: &'a Notes) -> Self {
        let mut surveyor = Surveyor { scope, notes, without: Vec::new() };
        scope.without.iter().for_each(|place| surveyor.leave_out(place));
        surveyor
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

    /// Goes ahead with a scout.
    pub(crate) fn begin(self, scout: Scout) -> Ahead<'a> {
        Ahead::new(self, scout, BATCHES)
    }

    /// Whether something is not in a place that is left out.
    pub(crate) fn has(&self, state: &State) -> bool {
        !self.without.contains(&(state.dev, state.ino))
    }

    /// The entry of something that has no content, or whose content is kept elsewhere.
    pub(crate) fn entry(
        &self,
        path: TreePath,
        stat: &Stat,
        kind: EntryKind,
        xattrs: io::Result<Vec<Xattr>>,
    ) -> Entry {
        let mut meta = meta::of(stat);
        match xattrs {
            Ok(xattrs) => meta.xattrs = xattrs,
            Err(error) => self.notes.warn(&path, format!("its extended attributes are left out: {error}")),
        }
        Entry { path, meta, kind }
    }

    /// Whether there is something; if not, it is left out by name.
    pub(crate) fn unless_failed<T>(&self, folder: &Folder, name: &CStr, done: Result<T, impl Display>) -> Option<T> {
        done.map_err(|error| self.notes.warn_name(folder, name, format!("left out: {error}"))).ok()
    }

    /// What was found, if it belongs to the version.
    pub(crate) fn look_at(&self, found: Found) -> Option<Looked> {
        let (folder, name, seen) = match found {
            Found::Folder(entry) => return Some(Looked::Entry(entry)),
            Found::Name { folder, name, seen } => (folder, name, seen),
        };
        let stat = match seen {
            Some(stat) => *stat,
            None => self.unless_failed(&folder, &name, folder.look(&name))?,
        };
        if !self.has(&State::of(&stat)) {
            return None;
        }
        let kind = FileType::from_raw_mode(stat.st_mode);
        // The path of a file is not needed before it is read, and most are not.
        if kind == FileType::RegularFile {
            self.unless_failed(&folder, &name, folder.path().check_join(name.to_bytes()))?;
            return Some(Looked::File { folder, name, stat });
        }
        let path = self.unless_failed(&folder, &name, folder.path().join(name.to_bytes()))?;
        let kind = match kind {
            FileType::Directory => {
                let excluded = self.scope.excludes.match_tree_path(&path, true);
                return if excluded {
                    None
                } else {
                    self.unless_failed(&folder, &name, Err("it was no folder a moment before"))
                };
            }
            FileType::Symlink => {
                EntryKind::Symlink { target: self.unless_failed(&folder, &name, folder.target(&name))? }
            }
            FileType::Fifo => EntryKind::Fifo,
            FileType::Socket => EntryKind::Socket,
            kind => {
                let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
                EntryKind::Device { block: kind == FileType::BlockDevice, major, minor }
            }
        };
        let dropped = Quirk::LinkXattrsDropped.is_on() && matches!(kind, EntryKind::Symlink { .. });
        let xattrs = if dropped { Ok(Vec::new()) } else { meta::xattrs_in(&folder, &name) };
        Some(Looked::Entry(self.entry(path, &stat, kind, xattrs)))
    }
}

impl Survey for Surveyor<'_> {
    type Scout = Scout;
    type Listed = Vec<Found>;
    type Looked = Vec<Looked>;

    /// So many names are visited, and not found, at once: nearly all may be excluded.
    fn list(&self, scout: &mut Scout) -> Option<Vec<Found>> {
        let mut found = Vec::with_capacity(BATCH_NAMES);
        for visited in 0..BATCH_NAMES {
            match scout.next(self) {
                Some(name) => found.extend(name),
                None if visited == 0 => return None,
                None => break,
            }
        }
        Some(found)
    }

    fn look(&self, found: Vec<Found>) -> Vec<Looked> {
        found.into_iter().filter_map(|found| self.look_at(found)).collect()
    }
}
