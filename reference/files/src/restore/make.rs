//! Making what is in a folder: files, links, pipes, sockets, devices.

use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};

use bailee_archive::tree::{Content, Entry, EntryKind};
use bailee_archive::{Archive, ArchiveError, ReadStore, TreePath};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::content::{Comparing, Sparse};
use super::{Report, RestoreOptions};
use crate::folder::Folder;
use crate::meta::{self, Refusals, State};

/// An entry that is to be made in a folder that is there.
pub(super) struct Task {
    pub(super) folder: Arc<Folder>,
    pub(super) name: CString,
    pub(super) entry: Entry,
}

/// A further name that is to be given to a file.
pub(super) struct Link {
    pub(super) folder: Arc<Folder>,
    pub(super) name: CString,
    pub(super) path: TreePath,
    pub(super) to: TreePath,
}

/// How many batches were handed over and are not done.
#[derive(Default)]
pub(super) struct Batches {
    open: Mutex<usize>,
    ended: Condvar,
}

/// A batch is done when this goes, even by a panic: nobody waits for it for ever.
struct Ends<'a>(&'a Batches);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        *self.0.open.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.ended.notify_all();
    }
}

impl Batches {
    pub(super) fn begin(&self) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) += 1;
    }

    /// Waits until every batch that began is done.
    pub(super) fn wait(&self) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.ended.wait_while(open, |open| *open > 0).unwrap_or_else(PoisonError::into_inner));
    }
}

/// What stands where an entry is to be made.
enum Standing {
    Nothing,
    /// What the entry would be.
    Same,
    /// Something else that may be replaced.
    Other,
}

/// Why a file was not written.
enum Failure {
    Disk(io::Error),
    Archive(ArchiveError),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Disk(error)
    }
}

impl From<Errno> for Failure {
    fn from(error: Errno) -> Self {
        Failure::Disk(error.into())
    }
}

impl From<ArchiveError> for Failure {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Sink { error } => Failure::Disk(error),
            error => Failure::Archive(error),
        }
    }
}

pub(super) struct Maker<'a, S> {
    pub(super) archive: &'a Archive<S>,
    pub(super) how: &'a RestoreOptions<'a>,
    pub(super) report: &'a Report<'a>,
}

impl<S: ReadStore> Maker<'_, S> {
    /// Makes what comes in batches until no more can come.
    pub(super) fn work(&self, receiver: &Mutex<mpsc::Receiver<Vec<Task>>>, batches: &Batches) {
        loop {
            let received = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(batch) = received else { return };
            let _ends = Ends(batches);
            for task in &batch {
                if !self.report.is_over() {
                    self.make(task);
                }
            }
        }
    }

    /// Says what the system did not allow of the metadata.
    pub(super) fn note(&self, path: &TreePath, refused: Refusals) {
        for what in refused.0 {
            self.report.warn(path, what);
        }
    }

    fn make(&self, task: &Task) {
        let path = &task.entry.path;
        let done = match &task.entry.kind {
            EntryKind::File { content, sparse, .. } => self.file(task, content, *sparse),
            kind => self.special(task, kind).map_err(Failure::Disk),
        };
        match done {
            Ok(()) => {
                self.how.progress.entries.fetch_add(1, Ordering::Relaxed);
            }
            Err(Failure::Disk(error)) => self.report.not_made(path, error),
            Err(Failure::Archive(error)) => self.report.damage(path, error.to_string()),
        }
    }

    fn file(&self, task: &Task, content: &Content, sparse: bool) -> Result<(), Failure> {
        let progress = self.how.progress;
        if self.how.resume {
            match self.standing_file(task, content)? {
                Standing::Same => {
                    progress.kept.fetch_add(1, Ordering::Relaxed);
                    progress.bytes.fetch_add(content.size, Ordering::Relaxed);
                    return Ok(());
                }
                Standing::Other => remove(&task.folder, &task.name)?,
                Standing::Nothing => {}
            }
        }
        let access = if self.how.verify { OFlags::RDWR } else { OFlags::WRONLY };
        let flags = access | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = task.folder.handle()?;
        let file: OwnedFd = rustix::fs::openat(&*handle, &*task.name, flags, Mode::RUSR | Mode::WUSR)?;
        let file = File::from(file);
        if let Err(failure) = self.fill(&file, content, sparse) {
            // What is left must not be taken for the file.
            let _ = rustix::fs::unlinkat(&*handle, &*task.name, AtFlags::empty());
            return Err(failure);
        }
        progress.bytes.fetch_add(content.size, Ordering::Relaxed);
        self.note(&task.entry.path, meta::apply(file.as_fd(), &task.entry.meta));
        Ok(())
    }

    fn fill(&self, file: &File, content: &Content, sparse: bool) -> Result<(), Failure> {
        if sparse {
            let mut sink = Sparse::new(file);
            self.archive.copy_content(content, &mut sink)?;
            sink.finish()?;
        } else {
            self.archive.copy_content(content, &mut &*file)?;
        }
        if self.how.verify {
            self.archive.copy_content(content, &mut Comparing::new(file))?;
        }
        Ok(())
    }

    /// A file of this length and metadata is the file: its time was set last. With `verify`, its content is compared too.
    fn standing_file(&self, task: &Task, content: &Content) -> Result<Standing, Failure> {
        let Some((stat, kind)) = self.look(task)? else { return Ok(Standing::Nothing) };
        let state = State::of(&stat);
        if kind != FileType::RegularFile || state.size != content.size || state.mtime != task.entry.meta.mtime {
            return Ok(Standing::Other);
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(file) = rustix::fs::openat(&*task.folder.handle()?, &*task.name, flags, Mode::empty()) else {
            return Ok(Standing::Other);
        };
        if !meta::is_as(&file, &task.entry.meta)? {
            return Ok(Standing::Other);
        }
        if !self.how.verify {
            return Ok(Standing::Same);
        }
        match self.archive.copy_content(content, &mut Comparing::new(&File::from(file))) {
            Ok(()) => Ok(Standing::Same),
            Err(ArchiveError::Sink { .. }) => Ok(Standing::Other),
            // The file that stands there may be the last copy.
            Err(error) => Err(error.into()),
        }
    }

    /// What has the name of the entry, if something has; a folder is not to be replaced.
    fn look(&self, task: &Task) -> io::Result<Option<(Stat, FileType)>> {
        let stat = match task.folder.look(&task.name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            stat => stat?,
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Err(io::Error::new(io::ErrorKind::AlreadyExists, "a folder has its name")),
            kind => Ok(Some((stat, kind))),
        }
    }

    fn special(&self, task: &Task, kind: &EntryKind) -> io::Result<()> {
        if self.how.resume && self.look(task)?.is_some() {
            remove(&task.folder, &task.name)?;
        }
        let (handle, name) = (task.folder.handle()?, &*task.name);
        let node = |kind, device| rustix::fs::mknodat(&*handle, name, kind, Mode::RUSR | Mode::WUSR, device);
        let is_link = matches!(kind, EntryKind::Symlink { .. });
        match kind {
            EntryKind::Symlink { target } => rustix::fs::symlinkat(OsStr::from_bytes(target), &*handle, name)?,
            EntryKind::Fifo => node(FileType::Fifo, 0)?,
            EntryKind::Socket => node(FileType::Socket, 0)?,
            EntryKind::Device { block, major, minor } => {
                let kind = if *block { FileType::BlockDevice } else { FileType::CharacterDevice };
                node(kind, rustix::fs::makedev(*major, *minor))?;
            }
            EntryKind::File { .. } | EntryKind::Directory | EntryKind::HardLink { .. } => {
                unreachable!("these are made otherwise")
            }
        }
        let refused = meta::apply_in(&task.folder, name, &task.entry.meta, is_link)?;
        self.note(&task.entry.path, refused);
        Ok(())
    }

    /// Gives a file of this restore a further name.
    pub(super) fn link(&self, link: &Link, first_folder: &Arc<Folder>, first: &CStr) {
        match self.try_link(link, first_folder, first) {
            Ok(()) => {
                self.how.progress.entries.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.report.warn(&link.path, format!("not made: its first name, {}, is not there", link.to));
            }
            Err(error) => self.report.not_made(&link.path, error),
        }
    }

    fn try_link(&self, link: &Link, first_folder: &Arc<Folder>, first: &CStr) -> io::Result<()> {
        let (from, to) = (first_folder.handle()?, link.folder.handle()?);
        let attempt = || rustix::fs::linkat(&*from, first, &*to, &*link.name, AtFlags::empty());
        match attempt() {
            Err(Errno::EXIST) if self.how.resume => {}
            done => return Ok(done?),
        }
        let (stands, wanted) = (State::of(&link.folder.look(&link.name)?), State::of(&first_folder.look(first)?));
        if (stands.dev, stands.ino) == (wanted.dev, wanted.ino) {
            return Ok(());
        }
        remove(&link.folder, &link.name)?;
        Ok(attempt()?)
    }
}

fn remove(folder: &Arc<Folder>, name: &CStr) -> io::Result<()> {
    Ok(rustix::fs::unlinkat(&*folder.handle()?, name, AtFlags::empty())?)
}
