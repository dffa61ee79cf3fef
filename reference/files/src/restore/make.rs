//! Making what is in a folder: files, links, pipes, sockets, devices.

use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};

use bailee_archive::tree::{Content, Entry, EntryKind};
use bailee_archive::{Archive, ArchiveError, ReadStore, TreePath};
use rustix::fs::{AtFlags, FileType, OFlags};
use rustix::io::Errno;

use super::RestoreOptions;
use super::content::{Comparing, Sparse};
use super::give::{Before, Giver, Place, Refusals};
use super::journal::Runs;
use super::report::Report;
use super::standing::{self, Verdict, unfinished_file};
use crate::folder::Folder;
use crate::meta::State;

/// An entry that is to be made in a folder that is there.
pub(super) struct Task {
    pub(super) folder: Arc<Folder>,
    pub(super) name: CString,
    pub(super) entry: Entry,
    /// Whether what is made in the folder inherits an access control list.
    pub(super) inherits_list: bool,
}

impl Task {
    fn before(&self) -> Before {
        if self.inherits_list { Before::InheritedList } else { Before::Nothing }
    }
}

/// A further name that is to be given to a file.
pub(super) struct Link {
    /// The name; the entry's kind says which is the file's first.
    pub(super) task: Task,
    /// The name that has the file's content here.
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

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Made,
    /// It stood there.
    Kept,
    /// Something else stood there, and does still.
    Left,
    /// Something else stood there.
    Replaced,
}

/// Why a file was not written.
pub(super) enum Failure {
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
    pub(super) giver: Giver,
    /// The runs of the restore that was interrupted here.
    pub(super) earlier: &'a Runs,
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

    pub(super) fn make(&self, task: &Task) {
        let done = match &task.entry.kind {
            EntryKind::File { content, sparse, .. } => self.file(task, content, *sparse),
            kind => self.special(task, kind).map_err(Failure::Disk),
        };
        self.tell(&task.entry.path, done);
    }

    fn tell(&self, path: &TreePath, done: Result<Outcome, Failure>) {
        let made = || self.how.progress.entries.fetch_add(1, Ordering::Relaxed);
        match done {
            Ok(Outcome::Made | Outcome::Kept) => drop(made()),
            Ok(Outcome::Replaced) => {
                made();
                self.report.replaced(path);
            }
            Ok(Outcome::Left) => self.report.left(path),
            Err(Failure::Disk(error)) => self.report.not_made(path, error),
            Err(Failure::Archive(error)) => self.report.damage(path, error.to_string()),
        }
    }

    fn file(&self, task: &Task, content: &Content, sparse: bool) -> Result<Outcome, Failure> {
        let progress = self.how.progress;
        let outcome = match self.create(task, &task.name) {
            Ok(file) => {
                self.complete(task, &task.name, &file, content, sparse)?;
                Outcome::Made
            }
            Err(Errno::EXIST) => match self.judge_file(task, content)? {
                Verdict::Same => {
                    progress.kept.fetch_add(1, Ordering::Relaxed);
                    Outcome::Kept
                }
                Verdict::Left => return Ok(Outcome::Left),
                Verdict::Unfinished => {
                    clear(&task.folder, &task.name)?;
                    let file = self.create(task, &task.name)?;
                    self.complete(task, &task.name, &file, content, sparse)?;
                    Outcome::Made
                }
                Verdict::Replaced => {
                    let part = cleared_part(&task.folder, &task.name)?;
                    let file = self.create(task, &part)?;
                    self.complete(task, &part, &file, content, sparse)?;
                    put_in_place(&task.folder, &part, &task.name)?;
                    Outcome::Replaced
                }
            },
            Err(error) => return Err(error.into()),
        };
        progress.bytes.fetch_add(content.size, Ordering::Relaxed);
        Ok(outcome)
    }

    /// Makes a file that only this process reaches yet.
    fn create(&self, task: &Task, name: &CStr) -> Result<File, Errno> {
        let access = if self.how.verify { OFlags::RDWR } else { OFlags::WRONLY };
        let flags = access | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = task.folder.handle().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        rustix::fs::openat(&*handle, name, flags, unfinished_file(&task.entry.meta)).map(File::from)
    }

    /// Gives a new file its content and its metadata; if that fails, nothing is left of it.
    fn complete(
        &self,
        task: &Task,
        name: &CStr,
        file: &File,
        content: &Content,
        sparse: bool,
    ) -> Result<(), Failure> {
        if let Err(failure) = self.fill(file, content, sparse) {
            let _ = clear(&task.folder, name);
            return Err(failure);
        }
        self.note(&task.entry.path, self.giver.give(Place::Open(file.as_fd()), &task.entry.meta, task.before()));
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

    fn special(&self, task: &Task, kind: &EntryKind) -> io::Result<Outcome> {
        match make_node(task, kind, &task.name) {
            Err(Errno::EXIST) => {}
            done => {
                done?;
                self.dress_special(task, &task.name, task.before())?;
                return Ok(Outcome::Made);
            }
        }
        match self.judge_special(task)? {
            Verdict::Same => Ok(Outcome::Kept),
            Verdict::Left => Ok(Outcome::Left),
            Verdict::Unfinished => {
                clear(&task.folder, &task.name)?;
                make_node(task, kind, &task.name)?;
                self.dress_special(task, &task.name, task.before())?;
                Ok(Outcome::Made)
            }
            Verdict::Replaced => {
                let part = cleared_part(&task.folder, &task.name)?;
                make_node(task, kind, &part)?;
                self.dress_special(task, &part, task.before())?;
                put_in_place(&task.folder, &part, &task.name)?;
                Ok(Outcome::Replaced)
            }
        }
    }

    /// Gives a link, a pipe, a socket or a device its metadata.
    pub(super) fn dress_special(&self, task: &Task, name: &CStr, before: Before) -> io::Result<()> {
        let handle = task.folder.handle()?;
        let is_link = matches!(task.entry.kind, EntryKind::Symlink { .. });
        let place = Place::Named { folder: &task.folder, handle: handle.as_fd(), name, is_link };
        let refused = self.giver.give(place, &task.entry.meta, before);
        self.note(&task.entry.path, refused);
        Ok(())
    }

    /// Gives a file of this restore a further name.
    pub(super) fn link(&self, link: &Link, first_folder: &Arc<Folder>, first: &CStr) {
        let path = &link.task.entry.path;
        match self.try_link(&link.task, first_folder, first) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.report.warn(path, format!("not made: its first name, {}, is not there", link.to));
            }
            done => self.tell(path, done.map_err(Failure::Disk)),
        }
    }

    fn try_link(&self, task: &Task, first_folder: &Arc<Folder>, first: &CStr) -> io::Result<Outcome> {
        let (from, to) = (first_folder.handle()?, task.folder.handle()?);
        let attempt = |name: &CStr| rustix::fs::linkat(&*from, first, &*to, name, AtFlags::empty());
        match attempt(&task.name) {
            Err(Errno::EXIST) => {}
            done => return Ok(done.map(|()| Outcome::Made)?),
        }
        let Some(stands) = standing::look(&task.folder, &task.name)? else {
            return Ok(attempt(&task.name).map(|()| Outcome::Made)?);
        };
        let (is, wanted) = (State::of(&stands), State::of(&first_folder.look(first)?));
        if (is.dev, is.ino) == (wanted.dev, wanted.ino) {
            return Ok(Outcome::Kept);
        }
        if self.by_time(&stands, &task.entry.meta) == Verdict::Left {
            return Ok(Outcome::Left);
        }
        let part = cleared_part(&task.folder, &task.name)?;
        attempt(&part)?;
        put_in_place(&task.folder, &part, &task.name)?;
        Ok(Outcome::Replaced)
    }
}

fn make_node(task: &Task, kind: &EntryKind, name: &CStr) -> Result<(), Errno> {
    let handle = task.folder.handle().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    let mode = unfinished_file(&task.entry.meta);
    let node = |kind, device| rustix::fs::mknodat(&*handle, name, kind, mode, device);
    match kind {
        EntryKind::Symlink { target } => rustix::fs::symlinkat(OsStr::from_bytes(target), &*handle, name),
        EntryKind::Fifo => node(FileType::Fifo, 0),
        EntryKind::Socket => node(FileType::Socket, 0),
        EntryKind::Device { block, major, minor } => {
            let kind = if *block { FileType::BlockDevice } else { FileType::CharacterDevice };
            node(kind, rustix::fs::makedev(*major, *minor))
        }
        // These are made otherwise.
        EntryKind::File { .. } | EntryKind::Directory | EntryKind::HardLink { .. } => Err(Errno::INVAL),
    }
}

/// The name under which something is made that is to replace what has this name. It is always the same one: what an interrupted
/// restore left there is found and removed.
fn part_name(name: &CStr) -> CString {
    let hash = blake3::hash(name.to_bytes());
    let digits = hash.to_hex();
    CString::new(format!(".bailee-part-{}", &digits[..16])).unwrap_or_default()
}

/// That name, which nothing has any more.
pub(super) fn cleared_part(folder: &Arc<Folder>, name: &CStr) -> io::Result<CString> {
    let part = part_name(name);
    clear(folder, &part)?;
    Ok(part)
}

/// Removes what has this name, unless it is a folder.
fn clear(folder: &Arc<Folder>, name: &CStr) -> io::Result<()> {
    match rustix::fs::unlinkat(&*folder.handle()?, name, AtFlags::empty()) {
        Err(Errno::NOENT) => Ok(()),
        done => Ok(done?),
    }
}

/// Gives what is complete its right name, at once for everyone who looks. It never takes the place of a folder.
pub(super) fn put_in_place(folder: &Arc<Folder>, part: &CStr, name: &CStr) -> io::Result<()> {
    let handle = folder.handle()?;
    let done = rustix::fs::renameat(&*handle, part, &*handle, name);
    if done.is_err() {
        let _ = clear(folder, part);
    }
    Ok(done?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_has_one_name_for_each_name() {
        assert_eq!(part_name(c"report"), part_name(c"report"));
        assert_ne!(part_name(c"report"), part_name(c"reports"));
        assert_eq!(part_name(c"report").to_bytes().len(), 13 + 16);
    }
}
