//! What becomes of something that stands where an entry is to be made.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use bailee_archive::tree::{Content, Entry, EntryKind, Meta};
use bailee_archive::{ArchiveError, ReadStore};
use rustix::fs::{FileType, Mode, OFlags, Stat};

use super::content::Comparing;
use super::give::{Before, Giver, Place, Refusals, lacking};
use super::make::{Failure, Maker, Task};
use crate::folder::Folder;
use crate::meta::State;

/// What a restore does about files, links, pipes, sockets and devices that stand where it is to make something else. A folder never
/// gives way to them, nor they to a folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overwrite {
    /// They stay as they are.
    #[default]
    Never,
    /// They are replaced if the version's time of change is later.
    IfNewer,
    /// They are replaced if length, time of change, kind or the target of a link differ. If only other metadata differs, it is set.
    IfChanged,
    /// They are as the version has them afterwards, whatever length and time say.
    Always,
}

/// What is done about something that stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the entry, now if not before.
    Same,
    /// An interrupted restore left it, or it went away meanwhile.
    Unfinished,
    /// It is something else and stays.
    Left,
    /// It is something else and gives way.
    Replaced,
}

/// What comparing a file shows.
enum Compared {
    /// It is as the version has it, except what this user cannot give it.
    Same(Refusals),
    /// Only its metadata differs.
    Undressed(File),
    Other,
}

/// The permissions of a file that is not complete. They are never those of the complete file: the owner's differ. Hardly anybody
/// gives a file the sticky bit, which means nothing for files.
pub(super) fn unfinished_file(meta: &Meta) -> Mode {
    Mode::SVTX | if meta.mode & 0o700 == 0o200 { Mode::WUSR | Mode::XUSR } else { Mode::WUSR }
}

/// The permissions of a folder that does not have its metadata yet.
pub(super) const UNFINISHED_FOLDER: Mode = Mode::RWXU.union(Mode::SVTX);

/// Whether a folder has the permissions of one without its metadata.
pub(super) fn is_closed_folder(stat: &Stat, meta: &Meta, giver: Giver) -> bool {
    // The set-group-id bit is inherited from the folder above.
    stat.st_mode & 0o5777 == UNFINISHED_FOLDER.as_raw_mode() && giver.may_have_made(stat, meta)
}

pub(super) fn kind_of(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// What has this name in a folder; none if nothing has. A folder is not to be replaced.
///
/// # Errors
/// `AlreadyExists` for a folder, and what the system said.
pub(super) fn look(folder: &Arc<Folder>, name: &CStr) -> io::Result<Option<Stat>> {
    let stat = match folder.look(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        stat => stat?,
    };
    match kind_of(&stat) {
        FileType::Directory => Err(io::Error::new(io::ErrorKind::AlreadyExists, "a folder has its name")),
        _ => Ok(Some(stat)),
    }
}

impl<S: ReadStore> Maker<'_, S> {
    /// An incomplete file, pipe, socket or device of an interrupted run was last changed in it, has one name, and the permissions of
    /// what is not complete.
    fn is_unfinished(&self, stat: &Stat, entry: &Entry) -> bool {
        stat.st_mode & 0o7777 == unfinished_file(&entry.meta).as_raw_mode()
            && stat.st_nlink == 1
            && self.giver.may_have_made(stat, &entry.meta)
            && self.earlier.include(stat)
    }

    /// Judges what stands in the place of a file.
    pub(super) fn judge_file(&self, task: &Task, content: &Content) -> Result<Verdict, Failure> {
        let Some(stat) = look(&task.folder, &task.name)? else { return Ok(Verdict::Unfinished) };
        let (is_file, state, meta) = (kind_of(&stat) == FileType::RegularFile, State::of(&stat), &task.entry.meta);
        if is_file && state.size <= content.size && self.is_unfinished(&stat, &task.entry) {
            return Ok(Verdict::Unfinished);
        }
        let is_alike = is_file && state.size == content.size && state.mtime == meta.mtime;
        let compare = |reads| self.compare(task, content, &stat, reads);
        Ok(match self.how.overwrite {
            Overwrite::Always if is_file && state.size == content.size => self.dress(&task.entry, compare(true)?),
            Overwrite::IfChanged if is_alike => self.dress(&task.entry, compare(self.how.verify)?),
            Overwrite::Never | Overwrite::IfNewer if is_alike => match compare(self.how.verify)? {
                Compared::Same(lacks) => self.same(&task.entry, lacks),
                _ => self.by_time(&stat, meta),
            },
            _ => self.by_time(&stat, meta),
        })
    }

    /// The verdict on what needs nothing. What it lacks is said again, each time.
    fn same(&self, entry: &Entry, lacks: Refusals) -> Verdict {
        self.note(&entry.path, lacks);
        Verdict::Same
    }

    /// What is not as the version has it stays, unless it is the older one and may be replaced.
    pub(super) fn by_time(&self, stat: &Stat, meta: &Meta) -> Verdict {
        match self.how.overwrite {
            Overwrite::Never => Verdict::Left,
            Overwrite::IfNewer if meta.mtime <= State::of(stat).mtime => Verdict::Left,
            _ => Verdict::Replaced,
        }
    }

    /// Whether a file stands there that is as the version has it.
    pub(super) fn has_file(&self, task: &Task) -> bool {
        let EntryKind::File { content, .. } = &task.entry.kind else { return false };
        let Ok(Some(stat)) = look(&task.folder, &task.name) else { return false };
        kind_of(&stat) == FileType::RegularFile
            && State::of(&stat).size == content.size
            && matches!(self.compare(task, content, &stat, self.how.verify), Ok(Compared::Same(_)))
    }

    /// Compares a file of the right length: its metadata, and its content too if that is asked for.
    fn compare(&self, task: &Task, content: &Content, seen: &Stat, reads: bool) -> Result<Compared, Failure> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let meta = &task.entry.meta;
        let file = match rustix::fs::openat(&*task.folder.handle()?, &*task.name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            // Its owner may not read it either. What can be seen has to do.
            Err(_) if (!reads || content.size == 0) && meta.xattrs.is_empty() && self.giver.has_stat(seen, meta) => {
                return Ok(Compared::Same(lacking(seen, meta)));
            }
            Err(_) => return Ok(Compared::Other),
        };
        let stat = rustix::fs::fstat(&file)?;
        let place = |stat: &Stat| (State::of(stat).dev, State::of(stat).ino);
        if place(&stat) != place(seen) {
            return Ok(Compared::Other);
        }
        if reads {
            match self.archive.copy_content(content, &mut Comparing::new(&file)) {
                Ok(()) => {}
                Err(ArchiveError::Sink { .. }) => return Ok(Compared::Other),
                // The file that stands there may be the last copy.
                Err(error) => return Err(error.into()),
            }
        }
        match self.giver.is_as(&stat, file.as_fd(), meta)? {
            Some(lacks) => Ok(Compared::Same(lacks)),
            // Its other names may be outside of the target.
            None if stat.st_nlink > 1 => Ok(Compared::Other),
            None => Ok(Compared::Undressed(file)),
        }
    }

    /// The verdict on a file that may be replaced: if only its metadata differs, that is set.
    fn dress(&self, entry: &Entry, compared: Compared) -> Verdict {
        match compared {
            Compared::Same(lacks) => self.same(entry, lacks),
            Compared::Undressed(file) => {
                let refused = self.giver.give(Place::Open(file.as_fd()), &entry.meta, Before::Anything);
                self.note(&entry.path, refused);
                Verdict::Same
            }
            Compared::Other => Verdict::Replaced,
        }
    }

    /// Judges what stands in the place of a link, a pipe, a socket or a device.
    pub(super) fn judge_special(&self, task: &Task) -> io::Result<Verdict> {
        let Some(stat) = look(&task.folder, &task.name)? else { return Ok(Verdict::Unfinished) };
        let (entry, meta) = (&task.entry, &task.entry.meta);
        let (is_alike, has_meta) = match &entry.kind {
            EntryKind::Symlink { target } => {
                let is_link = kind_of(&stat) == FileType::Symlink;
                (is_link && task.folder.target(&task.name)? == *target, self.giver.is_link_as(&stat, meta))
            }
            kind => (is_node(&stat, kind), self.giver.has_stat(&stat, meta)),
        };
        let is_link = matches!(entry.kind, EntryKind::Symlink { .. });
        if is_alike && !is_link && self.is_unfinished(&stat, entry) {
            return Ok(Verdict::Unfinished);
        }
        let may_dress = match self.how.overwrite {
            Overwrite::IfChanged | Overwrite::Always => true,
            // An interrupted run may have left a link before it had its time.
            Overwrite::Never | Overwrite::IfNewer => is_link && self.earlier.include(&stat),
        };
        if is_alike && !has_meta && may_dress && stat.st_nlink == 1 {
            self.dress_special(task, &task.name, Before::Anything)?;
            return Ok(Verdict::Same);
        }
        Ok(match is_alike && has_meta {
            true if is_link => Verdict::Same,
            true => self.same(entry, lacking(&stat, meta)),
            false => self.by_time(&stat, meta),
        })
    }
}

/// Whether something is the pipe, the socket or the device of an entry.
#[allow(clippy::unnecessary_cast)] // The types of these fields differ between machines.
fn is_node(stat: &Stat, kind: &EntryKind) -> bool {
    let device = |major: u32, minor: u32| stat.st_rdev as u64 == rustix::fs::makedev(major, minor) as u64;
    match (kind_of(stat), kind) {
        (FileType::Fifo, EntryKind::Fifo) | (FileType::Socket, EntryKind::Socket) => true,
        (FileType::BlockDevice, EntryKind::Device { block: true, major, minor })
        | (FileType::CharacterDevice, EntryKind::Device { block: false, major, minor }) => device(*major, *minor),
        _ => false,
    }
}
