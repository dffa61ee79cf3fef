//! Folders as handles: everything in them is reached by its name alone, and never through a link.

use std::collections::VecDeque;
use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use bailee_archive::TreePath;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, Stat, openat, readlinkat, statat};
use rustix::io::Errno;

/// So many folders are held open at a time. A process may usually have 1024 files.
const HELD_OPEN: usize = 256;

/// What a folder is opened with: never through a link.
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A folder below a root. Its handle is opened when it is needed, from the folder above, and may be closed again meanwhile.
pub(crate) struct Folder {
    above: Option<Arc<Folder>>,
    name: CString,
    path: TreePath,
    handle: Mutex<Option<Arc<OwnedFd>>>,
    pool: Arc<Pool>,
}

/// Which folders have an open handle, the oldest first. The root is not among them: it stays open.
#[derive(Default)]
struct Pool {
    open: Mutex<VecDeque<Weak<Folder>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Folder {
    /// The root, which may be named by a link.
    ///
    /// # Errors
    /// What the system said.
    pub(crate) fn root(path: &Path) -> io::Result<Arc<Folder>> {
        let handle = rustix::fs::open(path, FOLDER.difference(OFlags::NOFOLLOW), Mode::empty())?;
        Ok(Arc::new(Folder {
            above: None,
            name: CString::default(),
            path: TreePath::root(),
            handle: Mutex::new(Some(Arc::new(handle))),
            pool: Arc::default(),
        }))
    }

    /// The folder of this name and path in this one.
    pub(crate) fn inner(self: &Arc<Self>, name: CString, path: TreePath) -> Arc<Folder> {
        let (above, pool) = (Some(Arc::clone(self)), Arc::clone(&self.pool));
        Arc::new(Folder { above, name, path, handle: Mutex::new(None), pool })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &TreePath {
        &self.path
    }

    /// Its handle, which stays open for as long as somebody has it.
    ///
    /// # Errors
    /// What the system said: the folder, or one above it, is gone, or has become something else.
    pub(crate) fn handle(self: &Arc<Self>) -> io::Result<Arc<OwnedFd>> {
        let mut closed = Vec::new();
        let mut at = self;
        let mut handle = loop {
            let held = locked(&at.handle).clone();
            match (held, &at.above) {
                (Some(handle), _) => break handle,
                (None, Some(above)) => {
                    closed.push(at);
                    at = above;
                }
                (None, None) => return Err(io::ErrorKind::NotFound.into()),
            }
        };
        for folder in closed.into_iter().rev() {
            let opened = openat(&*handle, &*folder.name, FOLDER, Mode::empty())?;
            handle = Arc::new(opened);
            folder.hold(Arc::clone(&handle));
        }
        Ok(handle)
    }

    /// Keeps a handle; the folder that has had one for longest gives its own up, if there are too many.
    fn hold(self: &Arc<Self>, handle: Arc<OwnedFd>) {
        *locked(&self.handle) = Some(handle);
        let oldest = {
            let mut open = locked(&self.pool.open);
            open.push_back(Arc::downgrade(self));
            if open.len() > HELD_OPEN { open.pop_front() } else { None }
        };
        if let Some(oldest) = oldest.and_then(|oldest| oldest.upgrade()) {
            *locked(&oldest.handle) = None;
        }
    }

    /// The state of what has this name in the folder, itself if it is a link.
    ///
    /// # Errors
    /// What the system said.
    pub(crate) fn look(self: &Arc<Self>, name: &CStr) -> io::Result<Stat> {
        Ok(statat(&*self.handle()?, name, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// What the link of this name in the folder says.
    ///
    /// # Errors
    /// What the system said.
    pub(crate) fn target(self: &Arc<Self>, name: &CStr) -> io::Result<Vec<u8>> {
        Ok(readlinkat(&*self.handle()?, name, Vec::new())?.into_bytes())
    }

    /// A path by which the system reaches what has this name in the folder, however deep the folder is.
    ///
    /// # Errors
    /// What the system said.
    pub(crate) fn short_path<T>(
        self: &Arc<Self>,
        name: &CStr,
        act: impl FnOnce(&CStr) -> io::Result<T>,
    ) -> io::Result<T> {
        use std::os::fd::AsRawFd;
        let handle = self.handle()?;
        let mut path = format!("/proc/self/fd/{}/", handle.as_raw_fd()).into_bytes();
        path.extend_from_slice(name.to_bytes());
        act(&CString::new(path)?)
    }
}

/// The names in a folder, ascending by bytes, with what the folder says that they are.
pub(crate) struct Names {
    /// The names one behind the other, each with a NUL.
    bytes: Vec<u8>,
    /// Where each lies, with its NUL.
    places: std::vec::IntoIter<(Range<usize>, FileType)>,
}

impl Names {
    /// Reads them all: they come in no order.
    ///
    /// # Errors
    /// What the system said.
    pub(crate) fn read(folder: impl AsFd) -> io::Result<Names> {
        let (mut bytes, mut places) = (Vec::new(), Vec::new());
        let mut buffer = Vec::with_capacity(32 * 1024);
        let mut entries = RawDir::new(folder, buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = match entry {
                Err(Errno::INTR) => continue,
                entry => entry?,
            };
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                let start = bytes.len();
                bytes.extend_from_slice(entry.file_name().to_bytes_with_nul());
                places.push((start..bytes.len(), entry.file_type()));
            }
        }
        // NUL is below every byte of a name, so that names with it compare as names do.
        places.sort_unstable_by(|(a, _), (b, _)| bytes[a.clone()].cmp(&bytes[b.clone()]));
        Ok(Names { bytes, places: places.into_iter() })
    }
}

impl Iterator for Names {
    type Item = (CString, FileType);

    fn next(&mut self) -> Option<Self::Item> {
        let (place, kind) = self.places.next()?;
        let name = CStr::from_bytes_with_nul(&self.bytes[place]).unwrap_or_default();
        Some((name.to_owned(), kind))
    }
}

/// Whether this process may read what belongs to a user without moving the time of its last access.
pub(crate) fn may_keep_atime(owner: u32) -> bool {
    static USER: OnceLock<u32> = OnceLock::new();
    let user = *USER.get_or_init(|| rustix::process::geteuid().as_raw());
    user == 0 || user == owner
}

/// Has an open folder be listed without moving the time of its last access, where that is allowed. Opening alone does not move it.
pub(crate) fn keep_atime(folder: impl AsFd, stat: &Stat) {
    if may_keep_atime(stat.st_uid) {
        // In a user namespace its root may not: then the time moves, as it does for any reader.
        let _ = rustix::fs::fcntl_setfl(folder, OFlags::NOATIME);
    }
}

/// A path of a tree, on disk below a folder.
pub(crate) fn on_disk(folder: &Path, path: &TreePath) -> PathBuf {
    let mut out = folder.to_path_buf();
    out.extend(path.components().map(OsStr::from_bytes));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_whose_handle_was_given_up_is_opened_again_and_never_through_a_link() {
        let place = tempfile::tempdir().unwrap();
        for i in 0..2 * HELD_OPEN {
            std::fs::create_dir_all(place.path().join(format!("{i}/in"))).unwrap();
        }
        std::fs::write(place.path().join("0/in/file"), b"x").unwrap();
        let root = Folder::root(place.path()).unwrap();
        let folders: Vec<_> = (0..2 * HELD_OPEN)
            .map(|i| {
                let outer = TreePath::root().join(i.to_string().as_bytes()).unwrap();
                let inner = outer.join(b"in").unwrap();
                root.inner(CString::new(i.to_string()).unwrap(), outer).inner(c"in".into(), inner)
            })
            .collect();
        let open = |folder: &Arc<Folder>| locked(&folder.handle).is_some();
        assert!(folders[0].look(c"file").is_ok());
        for folder in &folders {
            folder.handle().unwrap();
        }
        assert!(!open(&folders[0]) && open(&folders[2 * HELD_OPEN - 1]));
        assert!(folders.iter().filter(|folder| open(folder)).count() <= HELD_OPEN);
        assert!(folders[0].look(c"file").is_ok());

        std::fs::rename(place.path().join("1"), place.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink("elsewhere", place.path().join("1")).unwrap();
        assert!(folders[1].handle().is_err());
    }

    #[test]
    fn names_come_in_the_order_of_bytes() {
        let place = tempfile::tempdir().unwrap();
        for name in ["b", "a", "a-", "a b", "Z", "\u{e9}"] {
            std::fs::write(place.path().join(name), b"").unwrap();
        }
        let names: Vec<_> = Names::read(&*Folder::root(place.path()).unwrap().handle().unwrap())
            .unwrap()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, [c"Z", c"a", c"a b", c"a-", c"b", c"\xc3\xa9"].map(CString::from));
    }
}
