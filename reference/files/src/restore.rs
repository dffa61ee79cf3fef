//! From an archive into a folder.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use bailee_archive::tree::{Entry, EntryKind};
use bailee_archive::{Archive, ArchiveError, ReadStore, Version};
use rustix::fs::{CWD, FileType, Mode};

use crate::error::{FilesError, Warning};
use crate::meta;
use crate::scan::on_disk;

/// A finished restore.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Entries made.
    pub entries: u64,
    /// Bytes of file content written.
    pub bytes: u64,
    /// What is not as it was. None: the folder is whole.
    pub warnings: Vec<Warning>,
}

/// Makes a folder from a version. The folder must be absent or empty; everything is made anew in it, below folders that this
/// restore made itself, so no name and no link in the archive leads out of it.
///
/// # Errors
/// `NotEmpty`, `Io`, and everything that reading the archive says. What was restored so far stays.
pub fn restore<S: ReadStore>(
    archive: &Archive<S>,
    version: &Version,
    folder: &Path,
    progress: &mut dyn FnMut(&Path),
) -> Result<Restored, FilesError> {
    prepare(folder)?;
    let entries: Vec<Entry> = archive.tree(version).collect::<Result<_, _>>()?;
    let mut restored = Restored::default();
    for entry in &entries {
        let path = on_disk(folder, &entry.path);
        progress(&path);
        make(archive, entry, folder, &path, &mut restored)?;
    }
    // Folders last, the inner ones first: making what is in them changed their times and needed their permissions.
    for entry in entries.iter().rev().filter(|entry| matches!(entry.kind, EntryKind::Directory)) {
        dress(&on_disk(folder, &entry.path), entry, &mut restored);
    }
    Ok(restored)
}

fn prepare(folder: &Path) -> Result<(), FilesError> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let mut inside = fs::read_dir(folder).map_err(FilesError::io("reading", folder))?;
            match inside.next() {
                None => Ok(()),
                Some(_) => Err(FilesError::NotEmpty { path: folder.to_path_buf() }),
            }
        }
        done => done.map_err(FilesError::io("making", folder)),
    }
}

fn dress(path: &Path, entry: &Entry, restored: &mut Restored) {
    let is_link = matches!(entry.kind, EntryKind::Symlink { .. });
    for what in meta::apply(path, &entry.meta, is_link) {
        restored.warnings.push(Warning { path: path.to_path_buf(), what });
    }
}

fn make<S: ReadStore>(
    archive: &Archive<S>,
    entry: &Entry,
    folder: &Path,
    path: &Path,
    restored: &mut Restored,
) -> Result<(), FilesError> {
    restored.entries += 1;
    let made = match &entry.kind {
        EntryKind::Directory if entry.path.is_root() => return Ok(()),
        EntryKind::Directory => return fs::create_dir(path).map_err(FilesError::io("making", path)),
        EntryKind::File { content, .. } => {
            restored.bytes += content.size;
            write_file(path, |file| archive.copy_content(content, file))?;
            Ok(())
        }
        EntryKind::Symlink { target } => std::os::unix::fs::symlink(OsStr::from_bytes(target), path),
        // The other name is a file of this restore; its metadata is there already.
        EntryKind::HardLink { to } => {
            return fs::hard_link(on_disk(folder, to), path).map_err(FilesError::io("linking", path));
        }
        EntryKind::Fifo => special(path, FileType::Fifo, 0),
        EntryKind::Socket => special(path, FileType::Socket, 0),
        EntryKind::Device { block, major, minor } => {
            let kind = if *block { FileType::BlockDevice } else { FileType::CharacterDevice };
            special(path, kind, rustix::fs::makedev(*major, *minor))
        }
    };
    match made {
        Ok(()) => dress(path, entry, restored),
        // A special file needs rights that a user may lack; a file or a link does not.
        Err(error) => {
            restored.warnings.push(Warning { path: path.to_path_buf(), what: format!("not made: {error}") })
        }
    }
    Ok(())
}

fn write_file(path: &Path, copy: impl FnOnce(&mut dyn Write) -> Result<(), ArchiveError>) -> Result<(), FilesError> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = BufWriter::with_capacity(1 << 16, file.map_err(FilesError::io("making", path))?);
    copy(&mut file)?;
    file.flush().map_err(FilesError::io("writing", path))
}

fn special(path: &Path, kind: FileType, device: u64) -> io::Result<()> {
    Ok(rustix::fs::mknodat(CWD, path, kind, Mode::from_raw_mode(0o600), device)?)
}
