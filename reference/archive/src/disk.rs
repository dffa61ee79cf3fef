//! What a folder store asks of a file system: every call that changes it, and every call that makes a change durable.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Seek, Write};
use std::num::NonZeroU64;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{Advice, OFlags};

use crate::hints::SegmentState;
use crate::text::escaped;

/// Why something is made durable. A test leaves one out and looks for what is then lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SyncPoint {
    /// The parent of a new archive's folder.
    NewFolder,
    /// The archive's folder, when a process begins to write: what one that was killed made or removed, and did not sync.
    Inherited,
    /// The content of a new segment, before it gets its name.
    NewContent,
    /// The archive's folder, after a new segment got its name.
    NewName,
    /// A segment that was appended to, or cut.
    Appended,
    /// The archive's folder, after segments were removed.
    Removed,
    /// A note that a block is not what it should be, and its name.
    Noted,
}

/// A file system. Durable is only what was synced: a file's content by its own sync, its name by its folder's.
pub trait Disk: Send + Sync {
    /// An open file.
    type File: DiskFile;
    /// A lock that is held until it is dropped, or the process ends.
    type Lock: Send + Sync;

    /// Makes a folder that only the process's user may use.
    ///
    /// # Errors
    /// What the system said; `AlreadyExists`.
    fn make_folder(&self, folder: &Path) -> io::Result<()>;

    /// The names in a folder, in no order.
    ///
    /// # Errors
    /// What the system said; `NotFound`, `NotADirectory`.
    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>>;

    /// Makes an empty file that only the process's user may use, in place of one that has the name.
    ///
    /// # Errors
    /// What the system said.
    fn make(&self, file: &Path) -> io::Result<Self::File>;

    /// Opens a file, to read it or also to append to it.
    ///
    /// # Errors
    /// What the system said; `NotFound`; [`Unusable`].
    fn open(&self, file: &Path, writing: bool) -> io::Result<Self::File>;

    /// Opens a file to read and to append to it, which only the process's user may use; it is made if it is absent.
    ///
    /// # Errors
    /// What the system said.
    fn open_or_make(&self, file: &Path) -> io::Result<Self::File>;

    /// Length and time of change of a file; none if the disk does not tell times.
    ///
    /// # Errors
    /// What the system said; `NotFound`.
    fn state(&self, file: &Path) -> io::Result<Option<SegmentState>>;

    /// Takes the lock on a file, which is made if it is absent, without waiting.
    ///
    /// # Errors
    /// What the system said; `WouldBlock` if it is taken.
    fn lock(&self, file: &Path) -> io::Result<Self::Lock>;

    /// Gives a file another name in its folder, at once.
    ///
    /// # Errors
    /// What the system said.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file's name.
    ///
    /// # Errors
    /// What the system said; `NotFound`.
    fn remove(&self, file: &Path) -> io::Result<()>;

    /// Makes durable which names a folder has.
    ///
    /// # Errors
    /// What the system said.
    fn sync_folder(&self, folder: &Path, point: SyncPoint) -> io::Result<()>;
}

/// An open file. Many threads read it at a time.
pub trait DiskFile: Send + Sync {
    /// Its length, in bytes.
    ///
    /// # Errors
    /// What the system said.
    fn length(&self) -> io::Result<u64>;

    /// Fills the buffer from an offset on.
    ///
    /// # Errors
    /// What the system said; `UnexpectedEof` if there is less.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Writes at the end.
    ///
    /// # Errors
    /// What the system said; any part of the bytes may have been written.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;

    /// Cuts it to a length.
    ///
    /// # Errors
    /// What the system said.
    fn set_length(&self, length: u64) -> io::Result<()>;

    /// Makes its content and length durable.
    ///
    /// # Errors
    /// What the system said. What was not durable may be lost by then: a second call that succeeds proves nothing.
    fn sync(&self, point: SyncPoint) -> io::Result<()>;
}

/// The file system of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

/// What another may have put in the archive's folder is not followed, if it is a link, and not waited for, if it is a pipe.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600).custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
    options
}

/// Why a name in the archive's folder is not used, though it is that of one of its files. It is inside of an [`io::Error`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It is a folder, a link, a pipe or the like.
    NotAFile {
        /// The name, as text.
        name: String,
    },
    /// The file has another name, maybe elsewhere: what is written to it is written to any file that the user may write.
    Linked {
        /// The name, as text.
        name: String,
    },
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unusable::NotAFile { name } => write!(f, "{name} is not a file"),
            Unusable::Linked { name } => write!(f, "{name} has another name elsewhere (it is a hard link)"),
        }
    }
}

impl std::error::Error for Unusable {}

impl Unusable {
    /// What an error says, if it is about such a name.
    pub fn of(error: &io::Error) -> Option<&Unusable> {
        error.get_ref()?.downcast_ref()
    }

    fn error(self) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidInput, self)
    }
}

fn name_of(path: &Path) -> String {
    escaped(path.file_name().unwrap_or_default().as_bytes())
}

/// Opens a file of the archive. One that is to be written has no other name: it could be any file of the user's. What is not a
/// file is not opened for writing even for a moment: a process that reads from a pipe would notice.
fn open(options: &OpenOptions, path: &Path, writing: bool) -> io::Result<File> {
    let no_file = || Unusable::NotAFile { name: name_of(path) }.error();
    let is_something_else = || fs::symlink_metadata(path).is_ok_and(|metadata| !metadata.is_file());
    if writing && is_something_else() {
        return Err(no_file());
    }
    let file = options.open(path).map_err(|error| if is_something_else() { no_file() } else { error })?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(no_file());
    }
    if writing && metadata.nlink() > 1 {
        return Err(Unusable::Linked { name: name_of(path) }.error());
    }
    Ok(file)
}

impl Disk for RealDisk {
    type File = File;
    type Lock = File;

    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(folder)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect()
    }

    fn make(&self, file: &Path) -> io::Result<File> {
        let file = open(options().append(true).create(true), file, true)?;
        file.set_len(0)?;
        Ok(file)
    }

    fn open(&self, file: &Path, writing: bool) -> io::Result<File> {
        open(options().read(true).append(writing), file, writing)
    }

    fn open_or_make(&self, file: &Path) -> io::Result<File> {
        open(options().read(true).append(true).create(true), file, true)
    }

    fn state(&self, file: &Path) -> io::Result<Option<SegmentState>> {
        let metadata = fs::symlink_metadata(file)?;
        let nanoseconds = metadata.mtime_nsec().unsigned_abs() as u32;
        Ok(Some(SegmentState { length: metadata.len(), seconds: metadata.mtime(), nanoseconds }))
    }

    fn lock(&self, file: &Path) -> io::Result<File> {
        let file = open(options().append(true).create(true), file, true)?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        fs::remove_file(file)
    }

    fn sync_folder(&self, folder: &Path, _: SyncPoint) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }
}

/// So many bytes of a file are given to the disk at once.
const STEP_BYTES: u64 = 8 << 20;

/// Where the steps lie that were filled by an append of so many bytes which ends here, and how long they are.
fn filled_steps(end: u64, appended: u64) -> Option<(u64, NonZeroU64)> {
    let (from, to) = (end.saturating_sub(appended) / STEP_BYTES, end / STEP_BYTES);
    Some((from * STEP_BYTES, NonZeroU64::new((to - from) * STEP_BYTES)?))
}

/// Has the system begin to write what was appended, so that the sync that comes later has little left to wait for. It is advice,
/// and nothing relies on it. Linux begins to write what "is not needed", and may drop from memory what is written already.
fn start_writing_back(mut file: &File, appended: u64) {
    let Ok(end) = file.stream_position() else { return };
    if let Some((from, length)) = filled_steps(end, appended) {
        let _ = rustix::fs::fadvise(file, from, Some(length), Advice::DontNeed);
    }
}

impl DiskFile for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self;
        file.write_all(bytes)?;
        start_writing_back(file, bytes.len() as u64);
        Ok(())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    /// An append changes nothing but content, length and times, and times may be lost.
    fn sync(&self, point: SyncPoint) -> io::Result<()> {
        if point == SyncPoint::Appended { self.sync_data() } else { self.sync_all() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_is_written_back_once_when_it_is_full() {
        let cases = [
            ((0, 0), None),
            ((STEP_BYTES - 1, STEP_BYTES - 1), None),
            ((STEP_BYTES, 1), Some((0, STEP_BYTES))),
            ((STEP_BYTES + 5, 5), None),
            ((3 * STEP_BYTES + 1, STEP_BYTES + 2), Some((STEP_BYTES, 2 * STEP_BYTES))),
            // Somebody cut it meanwhile.
            ((1, 2), None),
        ];
        for ((end, appended), steps) in cases {
            assert_eq!(filled_steps(end, appended).map(|(from, length)| (from, length.get())), steps, "{end}");
        }
    }
}
