//! A file of one process: locked from its opening to its closing, readable by its owner alone.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use bailee_core::store::StoreFailed;
use redb::StorageBackend;

/// Reading and writing by the owner.
const MODE: u32 = 0o600;

/// An open, locked file. The lock goes when the last copy of the file is closed.
#[derive(Debug)]
pub(crate) struct LockedFile {
    file: File,
}

fn failed(what: &str, path: &Path, why: impl std::fmt::Display) -> StoreFailed {
    StoreFailed::new(format!("{what} {}: {why}", path.display()))
}

/// Locks a file for this process, if it still is the one that the path names.
fn lock(file: File, path: &Path) -> Result<LockedFile, StoreFailed> {
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(failed("cannot open the store", path, "it is open already, here or in another process"));
        }
        Err(TryLockError::Error(error)) => return Err(failed("cannot lock the store", path, error)),
    }
    let (held, named) = file
        .metadata()
        .and_then(|held| Ok((held, fs::metadata(path)?)))
        .map_err(|error| failed("cannot look at the store", path, error))?;
    if !held.is_file() || (held.dev(), held.ino()) != (named.dev(), named.ino()) {
        return Err(failed("cannot open the store", path, "another file took its place; try again"));
    }
    file.set_permissions(Permissions::from_mode(MODE))
        .map_err(|error| failed("cannot close the store to others", path, error))?;
    Ok(LockedFile { file })
}

/// Opens and locks a file that exists.
pub(crate) fn existing(path: &Path) -> Result<LockedFile, StoreFailed> {
    let opened = OpenOptions::new().read(true).write(true).open(path);
    let file = opened.map_err(|error| failed("cannot open the store", path, error))?;
    // A new store appears whole, so an empty file is one that lost its contents and must not become a blank store.
    if file.metadata().map_err(|error| failed("cannot look at the store", path, error))?.len() == 0 {
        return Err(failed("cannot open the store", path, "the file is empty"));
    }
    lock(file, path)
}

/// A file that is being made beside the place where it will appear.
pub(crate) struct NewFile {
    path: PathBuf,
    beside: PathBuf,
    file: File,
}

/// Starts to make a file: empty and locked.
pub(crate) fn start(path: &Path) -> Result<NewFile, StoreFailed> {
    let mut beside = OsString::from(path);
    beside.push(".new");
    let beside = PathBuf::from(beside);
    // What a crash left is emptied only when it is locked and the store itself is known not to exist: it may be its other name.
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(MODE).open(&beside);
    let file = opened.map_err(|error| failed("cannot make", &beside, error))?;
    let LockedFile { file } = lock(file, &beside)?;
    match path.symlink_metadata() {
        Ok(_) => return Err(failed("cannot make the store", path, "there is a file already")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed("cannot look at", path, error)),
    }
    file.set_len(0).map_err(|error| failed("cannot empty", &beside, error))?;
    Ok(NewFile { path: path.to_owned(), beside, file })
}

impl NewFile {
    /// What redb writes the new store through.
    pub(crate) fn backend(&self) -> Result<Box<dyn StorageBackend>, StoreFailed> {
        let file = self.file.try_clone().map_err(|error| failed("cannot share", &self.beside, error))?;
        Ok(Box::new(LockedFile { file }))
    }

    /// Gives the file its name, durably, unless another file has taken it.
    pub(crate) fn finish(self) -> Result<(), StoreFailed> {
        let NewFile { path, beside, file } = self;
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        file.sync_all()
            .and_then(|()| fs::hard_link(&beside, &path))
            .and_then(|()| fs::remove_file(&beside))
            .and_then(|()| File::open(folder)?.sync_all())
            .map_err(|error| failed("cannot make the store", &path, error))
    }
}

impl StorageBackend for LockedFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_all_at(data, offset)
    }
}
