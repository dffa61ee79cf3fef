//! A store in a local folder: one file a segment, `0000000000000001.seg` and so on.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::store::{ReadStore, Store};

const SUFFIX: &str = ".seg";
const OPEN_FILES: usize = 16;

/// Segments as files of one folder. Writers exclude one another by a lock file; readers need no lock.
pub struct FolderStore {
    folder: PathBuf,
    lock: Option<File>,
    open: RefCell<HashMap<u64, File>>,
}

impl FolderStore {
    /// The store in an existing folder.
    ///
    /// # Errors
    /// `NotFound`, or `NotADirectory`.
    pub fn open(folder: impl Into<PathBuf>) -> io::Result<Self> {
        let folder = folder.into();
        if !fs::metadata(&folder)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(FolderStore { folder, lock: None, open: RefCell::default() })
    }

    /// The store in a folder, which is made if it is absent; its parent must exist.
    ///
    /// # Errors
    /// What the system said.
    pub fn create_in(folder: impl Into<PathBuf>) -> io::Result<Self> {
        let folder = folder.into();
        match fs::create_dir(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) => {
                sync_folder(folder.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new(".")))?
            }
            Err(_) => {}
        }
        Self::open(folder)
    }

    fn path(&self, segment: u64) -> PathBuf {
        self.folder.join(format!("{segment:016x}{SUFFIX}"))
    }

    /// The first write takes the lock; it is let go with the store.
    fn lock(&mut self) -> io::Result<()> {
        if self.lock.is_some() {
            return Ok(());
        }
        let file = options().create(true).open(self.folder.join("lock"))?;
        match file.try_lock() {
            Ok(()) => self.lock = Some(file),
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::new(io::ErrorKind::WouldBlock, "another writer has the archive"));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        Ok(())
    }

    fn with_file<T>(&self, segment: u64, act: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        let mut open = self.open.borrow_mut();
        if !open.contains_key(&segment) {
            if open.len() >= OPEN_FILES {
                open.clear();
            }
            let writing = self.lock.is_some();
            let file = OpenOptions::new().read(true).append(writing).open(self.path(segment))?;
            open.insert(segment, file);
        }
        act(open.get(&segment).ok_or(io::ErrorKind::NotFound)?)
    }

    fn for_writing(&mut self) -> io::Result<()> {
        if self.lock.is_none() {
            self.lock()?;
            self.open.borrow_mut().clear();
        }
        Ok(())
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).append(true).mode(0o600);
    options
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

impl ReadStore for FolderStore {
    fn list(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let hex = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
            if let Some(hex) = hex.filter(|hex| hex.len() == 16 && !hex.contains('+'))
                && let Ok(number) = u64::from_str_radix(hex, 16)
            {
                numbers.push(number);
            }
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn length(&self, segment: u64) -> io::Result<u64> {
        self.with_file(segment, |file| Ok(file.metadata()?.len()))
    }

    fn read(&self, segment: u64, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.with_file(segment, |file| file.read_exact_at(buffer, offset))
    }
}

impl Store for FolderStore {
    fn create(&mut self, segment: u64, content: &[u8]) -> io::Result<()> {
        self.for_writing()?;
        let path = self.path(segment);
        if path.try_exists()? {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let temporary = path.with_extension("tmp");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        sync_folder(&self.folder)
    }

    fn append(&mut self, segment: u64, bytes: &[u8]) -> io::Result<()> {
        self.for_writing()?;
        self.with_file(segment, |mut file| file.write_all(bytes))
    }

    fn sync(&mut self, segment: u64) -> io::Result<()> {
        self.for_writing()?;
        self.with_file(segment, File::sync_all)
    }

    fn cut(&mut self, segment: u64, length: u64) -> io::Result<()> {
        self.for_writing()?;
        self.with_file(segment, |file| {
            file.set_len(length)?;
            file.sync_all()
        })
    }
}
