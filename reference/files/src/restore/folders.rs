//! Folders: made so that nobody else may enter them, and given their metadata when everything in them is made.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use bailee_archive::TreePath;
use bailee_archive::tree::Meta;
use rustix::fs::{Access, AtFlags, FileType, Mode, Stat};
use rustix::io::Errno;

use super::acl;
use super::give::{Giver, set_mode_in};
use super::journal::{Journal, Origin, Runs, Said};
use super::standing::{Overwrite, UNFINISHED_FOLDER, is_closed_folder, kind_of};
use crate::error::FilesError;
use crate::folder::{Folder, Names};
use crate::meta::State;

/// The permissions of a folder that was made for a part of a version: nobody else gets to see what in the version was in a folder
/// that may have been closed.
const MADE_FOR_A_PART: u32 = 0o700;

/// A folder that things are made in.
#[derive(Clone)]
pub(super) struct Level {
    pub(super) folder: Arc<Folder>,
    /// Whether what is made in it inherits an access control list.
    pub(super) hands_down_list: bool,
}

/// How the folder was found that is restored into.
enum Found {
    /// It was absent.
    Made,
    /// There was nothing in it, or only what an interrupted run made.
    Empty,
    /// An interrupted run made it.
    Interrupted(Stat),
    Used(Stat),
}

/// The folder that is restored into.
pub(super) struct Target {
    pub(super) level: Level,
    found: Found,
    /// The permissions that it had before its owner was let in.
    widened: Option<u32>,
    pub(super) journal: Journal,
    /// The runs of the restore that was interrupted here.
    pub(super) earlier: Runs,
}

impl Target {
    /// Opens the folder, makes it if it is absent, and begins the journal in it. `is_in_version` says whether the version has
    /// something of this name in its root.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn open(path: &Path, giver: Giver, is_in_version: &dyn Fn(&[u8]) -> bool) -> Result<Self, FilesError> {
        match rustix::fs::mkdir(path, UNFINISHED_FOLDER) {
            Err(Errno::EXIST) => return Self::open_existing(path, giver, is_in_version),
            done => done.map_err(|error| FilesError::io("making", path)(error.into()))?,
        }
        let folder = Folder::root(path).map_err(FilesError::io("opening", path))?;
        let hands_down_list = without_list(&folder).map_err(FilesError::io("opening", path))?;
        let (journal, _) = Journal::find(&folder, giver, is_in_version);
        journal.begin(&Said { origin: Origin::Made, runs: Runs::default() });
        let level = Level { folder, hands_down_list };
        Ok(Target { level, found: Found::Made, widened: None, journal, earlier: Runs::default() })
    }

    fn open_existing(path: &Path, giver: Giver, is_in_version: &dyn Fn(&[u8]) -> bool) -> Result<Self, FilesError> {
        let opening = |error: Errno| FilesError::io("opening", path)(error.into());
        let stat = rustix::fs::stat(path).map_err(|error| FilesError::io("reading", path)(error.into()))?;
        let is_reached = || rustix::fs::accessat(rustix::fs::CWD, path, ALL, AtFlags::EACCESS).is_ok();
        let widened = needs_widening(&stat, giver, is_reached);
        if widened.is_some() {
            rustix::fs::chmod(path, Mode::from_raw_mode(stat.st_mode & 0o7777 | 0o700)).map_err(opening)?;
        }
        let folder = Folder::root(path).map_err(FilesError::io("reading", path))?;
        let handle = folder.handle().map_err(FilesError::io("opening", path))?;
        let hands_down_list = acl::is_inherited_in(&*handle);
        let (journal, said) = Journal::find(&folder, giver, is_in_version);
        let is_empty = has_nothing(path, &journal).map_err(FilesError::io("reading", path))?;
        let mut said = said.unwrap_or(Said { origin: Origin::Used, runs: Runs::default() });
        if is_empty && said.origin == Origin::Used {
            said.origin = Origin::Empty;
        }
        journal.begin(&said);
        let found = match said.origin {
            Origin::Made => Found::Interrupted(stat),
            Origin::Empty => Found::Empty,
            Origin::Used => Found::Used(stat),
        };
        Ok(Target { level: Level { folder, hands_down_list }, found, widened, journal, earlier: said.runs })
    }

    /// The names that are in the folder, if they decide whether it gets its metadata.
    ///
    /// # Errors
    /// What the system said.
    pub(super) fn names(&self) -> io::Result<Option<Names>> {
        match self.found {
            Found::Empty => Names::read(&*self.level.folder.handle()?).map(Some),
            _ => Ok(None),
        }
    }

    /// Removes the folder again, if it was made for nothing.
    pub(super) fn discard(&self, path: &Path) {
        if matches!(self.found, Found::Made) {
            let _ = std::fs::remove_dir(path);
        }
    }

    /// What becomes of the folder's metadata. A part of a version does not say how the folder has to be that it is restored into.
    fn fate(&self, meta: &Meta, is_whole: bool, overwrite: Overwrite, giver: Giver) -> io::Result<Fate> {
        let is_unfinished = match &self.found {
            Found::Made => true,
            Found::Empty => is_whole,
            // Somebody may have set its permissions since.
            Found::Interrupted(stat) => is_closed_folder(stat, meta, giver),
            Found::Used(_) => false,
        };
        Ok(match &self.found {
            _ if is_unfinished && is_whole => Fate::Dressed,
            _ if is_unfinished => Fate::Kept(Some(MADE_FOR_A_PART)),
            Found::Interrupted(stat) | Found::Used(stat)
                if is_whole && is_dressed(&self.level.folder, stat, meta, overwrite, giver)? =>
            {
                Fate::Dressed
            }
            _ => Fate::Kept(self.widened),
        })
    }
}

/// Whether there is nothing in a folder, except the journal.
fn has_nothing(path: &Path, journal: &Journal) -> io::Result<bool> {
    for entry in std::fs::read_dir(path)? {
        if !journal.is_named(entry?.file_name().as_bytes()) {
            return Ok(false);
        }
    }
    Ok(true)
}

const ALL: Access = Access::READ_OK.union(Access::WRITE_OK).union(Access::EXEC_OK);

/// The permissions of a folder that the user who restores owns and cannot write into.
fn needs_widening(stat: &Stat, giver: Giver, is_reached: impl FnOnce() -> bool) -> Option<u32> {
    let is_closed = giver.is_mine(stat) && stat.st_mode & 0o700 != 0o700 && kind_of(stat) == FileType::Directory;
    (is_closed && !is_reached()).then_some(stat.st_mode & 0o7777)
}

/// Takes an inherited list from a folder that was just made. Whether it hands one down all the same.
fn without_list(folder: &Arc<Folder>) -> io::Result<bool> {
    let handle = folder.handle()?;
    Ok(acl::is_inherited_in(&*handle) && acl::remove(&*handle).is_err())
}

/// Whether a folder that stood there gets the metadata of the version. If it has it already, it gets it back, as making something in
/// it changes its time.
fn is_dressed(
    folder: &Arc<Folder>,
    stat: &Stat,
    meta: &Meta,
    overwrite: Overwrite,
    giver: Giver,
) -> io::Result<bool> {
    Ok(match overwrite {
        Overwrite::IfChanged | Overwrite::Always => true,
        Overwrite::IfNewer if meta.mtime > State::of(stat).mtime => true,
        Overwrite::Never | Overwrite::IfNewer => giver.is_as(stat, folder.handle()?.as_fd(), meta)?.is_some(),
    })
}

/// What becomes of the metadata of a folder that stood there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It gets that of the version.
    Dressed,
    /// It keeps its own; but its permissions are set, if there are any here.
    Kept(Option<u32>),
}

/// The folders of a restore that keep their metadata.
pub(super) struct Folders<'a> {
    overwrite: Overwrite,
    giver: Giver,
    /// The runs of the restore that was interrupted here.
    earlier: &'a Runs,
    kept: HashMap<TreePath, Option<u32>>,
    /// Those that an interrupted run may have made, and that somebody changed since.
    doubtful: Vec<TreePath>,
}

impl<'a> Folders<'a> {
    pub(super) fn new(overwrite: Overwrite, giver: Giver, earlier: &'a Runs) -> Self {
        Folders { overwrite, giver, earlier, kept: HashMap::new(), doubtful: Vec::new() }
    }

    /// Leaves the folder that is restored into as it is.
    pub(super) fn keep_target(&mut self, target: &Target) {
        self.decide(TreePath::root(), Fate::Kept(target.widened));
    }

    /// Decides about the folder that is restored into.
    ///
    /// # Errors
    /// What the system said.
    pub(super) fn enter_target(&mut self, target: &Target, meta: &Meta, is_whole: bool) -> io::Result<()> {
        let fate = target.fate(meta, is_whole, self.overwrite, self.giver)?;
        self.decide(TreePath::root(), fate);
        Ok(())
    }

    fn decide(&mut self, path: TreePath, fate: Fate) {
        if let Fate::Kept(mode) = fate {
            self.kept.insert(path, mode);
        }
    }

    /// Folders that look unfinished and keep their metadata, as they may be somebody's.
    pub(super) fn doubtful(&self) -> &[TreePath] {
        &self.doubtful
    }

    pub(super) fn fate(&self, path: &TreePath) -> Fate {
        self.kept.get(path).map_or(Fate::Dressed, |mode| Fate::Kept(*mode))
    }

    /// Makes a folder in another, or enters the one that stands there.
    ///
    /// # Errors
    /// `AlreadyExists` for something else that stands there, and what the system said.
    pub(super) fn make(&mut self, above: &Level, name: CString, path: TreePath, meta: &Meta) -> io::Result<Level> {
        let made = rustix::fs::mkdirat(&*above.folder.handle()?, &*name, UNFINISHED_FOLDER);
        if made == Err(Errno::EXIST) {
            return self.enter(above, name, path, meta);
        }
        made?;
        let folder = above.folder.inner(name, path);
        let hands_down_list = above.hands_down_list && without_list(&folder)?;
        Ok(Level { folder, hands_down_list })
    }

    fn enter(&mut self, above: &Level, name: CString, path: TreePath, meta: &Meta) -> io::Result<Level> {
        let stat = above.folder.look(&name)?;
        if kind_of(&stat) != FileType::Directory {
            let what = "something that is not a folder has its name";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
        }
        let widened = self.widen(above, &name, &stat)?;
        let folder = above.folder.inner(name, path.clone());
        let is_closed = is_closed_folder(&stat, meta, self.giver);
        if is_closed && self.earlier.include(&stat) {
            let hands_down_list = without_list(&folder)?;
            return Ok(Level { folder, hands_down_list });
        }
        let is_dressed = is_dressed(&folder, &stat, meta, self.overwrite, self.giver)?;
        if is_closed && !is_dressed && self.earlier.are_before(&stat) {
            self.doubtful.push(path.clone());
        }
        self.decide(path, if is_dressed { Fate::Dressed } else { Fate::Kept(widened) });
        let hands_down_list = acl::is_inherited_in(&*folder.handle()?);
        Ok(Level { folder, hands_down_list })
    }

    /// Lets the user who restores write into a folder of their own. The permissions that it had, if that was needed.
    fn widen(&self, above: &Level, name: &CStr, stat: &Stat) -> io::Result<Option<u32>> {
        let handle = above.folder.handle()?;
        // What stands there is a folder and no link: the system follows none.
        let is_reached = || rustix::fs::accessat(&*handle, name, ALL, AtFlags::EACCESS).is_ok();
        let widened = needs_widening(stat, self.giver, is_reached);
        if let Some(mode) = widened {
            set_mode_in(handle.as_fd(), name, mode | 0o700)?;
        }
        Ok(widened)
    }
}
