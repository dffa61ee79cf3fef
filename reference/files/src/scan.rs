//! From a folder into an archive.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use bailee_archive::tree::{Content, Entry, EntryKind, Time};
use bailee_archive::{Archive, ArchiveError, BackUp, Counters, Randomness, Store, Totals, TreePath, Writer};
use bailee_core::crypto::sign::Signing;
use rustix::fs::{Mode, OFlags};

use crate::error::{FilesError, Warning};
use crate::meta;

/// A finished backup.
pub struct BackedUp<S> {
    /// The archive, with one version more.
    pub archive: Archive<S>,
    /// What was read and stored.
    pub totals: Totals,
    /// What was left out. None: the version is whole.
    pub warnings: Vec<Warning>,
}

struct Walk<'a, 'b, S> {
    writer: &'b mut Writer<'a, S>,
    progress: &'b mut dyn FnMut(&Path),
    warnings: Vec<Warning>,
    /// The first name of every file that has several, by device and inode.
    linked: HashMap<(u64, u64), TreePath>,
}

/// Backs a folder up as one version. What cannot be read is left out and named in the warnings; `progress` hears of every entry.
///
/// # Errors
/// `NotADirectory`, `Io` if the folder itself cannot be read, and what the archive says of its own store.
pub fn back_up<S: Store>(
    archive: Archive<S>,
    folder: &Path,
    time: Time,
    device: &Signing,
    random: &dyn Randomness,
    progress: &mut dyn FnMut(&Path),
) -> Result<BackedUp<S>, FilesError> {
    // The folder that is named may be a link to one; what is in it is never followed.
    let metadata = fs::metadata(folder).map_err(FilesError::io("reading", folder))?;
    if !metadata.is_dir() {
        return Err(FilesError::NotADirectory { path: folder.to_path_buf() });
    }
    let label = folder.file_name().map(|name| name.as_bytes().to_vec()).unwrap_or_default();
    let counters = Counters::default();
    let mut writer = archive.begin(&BackUp::new(device, time, random, &counters))?;
    let mut walk = Walk { writer: &mut writer, progress, warnings: Vec::new(), linked: HashMap::new() };
    let names = list(folder).map_err(FilesError::io("reading", folder))?;
    walk.add(folder, TreePath::root(), &metadata, EntryKind::Directory)?;
    walk.directory(folder, &TreePath::root(), names)?;
    let warnings = walk.warnings;
    let (archive, totals) = writer.commit(time, &label)?;
    Ok(BackedUp { archive, totals, warnings })
}

/// The names in a folder, in the order of a tree: by bytes.
fn list(folder: &Path) -> io::Result<Vec<OsString>> {
    let mut names =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<Vec<_>, _>>()?;
    names.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    Ok(names)
}

impl<S: Store> Walk<'_, '_, S> {
    fn warn(&mut self, path: &Path, what: impl Into<String>) {
        self.warnings.push(Warning { path: path.to_path_buf(), what: what.into() });
    }

    /// Everything in a folder, without recursion: a folder may be nested deeper than a stack.
    fn directory(&mut self, folder: &Path, path: &TreePath, names: Vec<OsString>) -> Result<(), FilesError> {
        let mut open = vec![(folder.to_path_buf(), path.clone(), names.into_iter())];
        while let Some((folder, path, names)) = open.last_mut() {
            let Some(name) = names.next() else {
                open.pop();
                continue;
            };
            let (on_disk, within) = (folder.join(&name), path.join(name.as_bytes()));
            let inner = match within {
                Ok(within) => self.entry(&on_disk, within)?,
                Err(error) => {
                    self.warn(&on_disk, format!("left out: {error}"));
                    None
                }
            };
            open.extend(inner.map(|(within, names)| (on_disk, within, names.into_iter())));
        }
        Ok(())
    }

    /// One entry; a folder's names if it is one.
    fn entry(&mut self, on_disk: &Path, path: TreePath) -> Result<Option<(TreePath, Vec<OsString>)>, FilesError> {
        (self.progress)(on_disk);
        let metadata = match fs::symlink_metadata(on_disk) {
            Ok(metadata) => metadata,
            Err(error) => {
                self.warn(on_disk, format!("left out: {error}"));
                return Ok(None);
            }
        };
        let kind = metadata.file_type();
        if kind.is_dir() {
            return match list(on_disk) {
                Ok(names) => {
                    self.add(on_disk, path.clone(), &metadata, EntryKind::Directory)?;
                    Ok(Some((path, names)))
                }
                Err(error) => {
                    self.warn(on_disk, format!("the folder is kept, what is in it is left out: {error}"));
                    self.add(on_disk, path, &metadata, EntryKind::Directory)?;
                    Ok(None)
                }
            };
        }
        let kind = if kind.is_file() {
            self.file(on_disk, &path, &metadata)?
        } else if kind.is_symlink() {
            self.link(on_disk)
        } else if kind.is_fifo() {
            Some(EntryKind::Fifo)
        } else if kind.is_socket() {
            Some(EntryKind::Socket)
        } else {
            let device = metadata.rdev();
            let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
            Some(EntryKind::Device { block: kind.is_block_device(), major, minor })
        };
        if let Some(kind) = kind {
            self.add(on_disk, path, &metadata, kind)?;
        }
        Ok(None)
    }

    fn link(&mut self, on_disk: &Path) -> Option<EntryKind> {
        match fs::read_link(on_disk) {
            Ok(target) => Some(EntryKind::Symlink { target: target.into_os_string().into_vec() }),
            Err(error) => {
                self.warn(on_disk, format!("left out: {error}"));
                None
            }
        }
    }

    fn file(
        &mut self,
        on_disk: &Path,
        path: &TreePath,
        metadata: &Metadata,
    ) -> Result<Option<EntryKind>, FilesError> {
        let inode = (metadata.dev(), metadata.ino());
        if metadata.nlink() > 1
            && let Some(first) = self.linked.get(&inode)
        {
            return Ok(Some(EntryKind::HardLink { to: first.clone() }));
        }
        match self.content(on_disk, metadata) {
            Ok((content, changed)) => {
                if changed {
                    self.warn(on_disk, "it changed while it was read: what is kept may mix two states");
                }
                if metadata.nlink() > 1 {
                    self.linked.insert(inode, path.clone());
                }
                Ok(Some(EntryKind::File { content, changed, sparse: false }))
            }
            Err(FilesError::Archive(ArchiveError::Source { error })) | Err(FilesError::Io { error, .. }) => {
                self.warn(on_disk, format!("left out: {error}"));
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }

    /// The content, and whether the file was another before or after.
    fn content(&mut self, on_disk: &Path, metadata: &Metadata) -> Result<(Content, bool), FilesError> {
        let mut file = open(on_disk).map_err(FilesError::io("opening", on_disk))?;
        let before = file.metadata().map_err(FilesError::io("reading", on_disk))?;
        if !before.is_file() {
            let replaced = io::Error::other("it was replaced by something that is no file");
            return Err(FilesError::io("reading", on_disk)(replaced));
        }
        let content = self.writer.content(&mut file)?;
        let after = file.metadata().map_err(FilesError::io("reading", on_disk))?;
        let state = |m: &Metadata| (m.ino(), m.len(), m.mtime(), m.mtime_nsec());
        let changed = state(metadata) != state(&after) || content.size != after.len();
        Ok((content, changed))
    }

    fn add(
        &mut self,
        on_disk: &Path,
        path: TreePath,
        metadata: &Metadata,
        kind: EntryKind,
    ) -> Result<(), FilesError> {
        let mut entry = Entry { path, meta: meta::of(metadata), kind };
        match meta::xattrs(on_disk) {
            Ok(xattrs) => entry.meta.xattrs = xattrs,
            Err(error) => self.warn(on_disk, format!("its extended attributes are left out: {error}")),
        }
        match self.writer.entry(&entry) {
            // What no archive can hold, such as a name that is too long, is this entry's trouble alone.
            Err(
                error @ (ArchiveError::Malformed { .. }
                | ArchiveError::TooLarge { .. }
                | ArchiveError::Misplaced { .. }),
            ) => {
                self.warn(on_disk, format!("left out: {error}"));
                Ok(())
            }
            done => Ok(done?),
        }
    }
}

/// Opens a file for reading: never through a link, and without waiting for the other end of a pipe that took its place.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

/// A path of a tree, on disk below a folder.
pub(crate) fn on_disk(folder: &Path, path: &TreePath) -> PathBuf {
    let mut out = folder.to_path_buf();
    out.extend(path.components().iter().map(|name| std::ffi::OsStr::from_bytes(name)));
    out
}
