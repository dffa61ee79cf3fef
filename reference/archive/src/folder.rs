//! A store in a local folder: one file a segment, `0000000000000001.seg` and so on.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use crate::disk::{Disk, DiskFile, RealDisk, SyncPoint, Unusable};
use crate::hints::{
    DAMAGED, MOST_BYTES, MOST_SUSPECTS, SEEN, SegmentState, decode_states, decode_suspects, encode_states,
    encode_suspects,
};
use crate::id::BlockId;
use crate::store::{ReadStore, Store};

const SUFFIX: &str = ".seg";
const HALF_MADE: &str = ".tmp";
/// What the name of a segment that was set aside ends with.
const ASIDE: &str = ".aside";
const LOCK: &str = "lock";
/// Files that are kept open unless told otherwise; each thread that reads may hold one more.
const OPEN_FILES: usize = 64;
/// Lines that the notes of states may have beyond two for each segment before they are written anew.
const SPARE_LINES: usize = 64;

/// Segments as files of one folder, which only the process's user may use. Writers exclude one another by a lock file;
/// readers need no lock, and any number of threads may read.
pub struct FolderStore<D: Disk = RealDisk> {
    disk: D,
    folder: PathBuf,
    open: RwLock<HashMap<u64, Arc<D::File>>>,
    most_open: usize,
    lock: Option<D::Lock>,
    /// The segment that is known to be durable in full, if it is the one that was written last.
    synced: Option<u64>,
    /// A write or a sync failed: what the files hold is not known any more.
    failed: bool,
}

impl FolderStore {
    /// The store in an existing folder.
    ///
    /// # Errors
    /// `NotFound`, or `NotADirectory`.
    pub fn open(folder: impl Into<PathBuf>) -> io::Result<Self> {
        Self::open_on(RealDisk, folder)
    }

    /// The store in a folder, which is made if it is absent; its parent must exist.
    ///
    /// # Errors
    /// What the system said.
    pub fn create_in(folder: impl Into<PathBuf>) -> io::Result<Self> {
        Self::create_on(RealDisk, folder)
    }
}

impl<D: Disk> FolderStore<D> {
    /// As [`FolderStore::open`], on a disk.
    ///
    /// # Errors
    /// `NotFound`, or `NotADirectory`.
    pub fn open_on(disk: D, folder: impl Into<PathBuf>) -> io::Result<Self> {
        let folder = folder.into();
        disk.list(&folder)?;
        let (open, most_open) = (RwLock::default(), OPEN_FILES);
        Ok(FolderStore { disk, folder, open, most_open, lock: None, synced: None, failed: false })
    }

    /// As [`FolderStore::create_in`], on a disk.
    ///
    /// # Errors
    /// What the system said.
    pub fn create_on(disk: D, folder: impl Into<PathBuf>) -> io::Result<Self> {
        let folder = folder.into();
        match disk.make_folder(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            // A folder that is there already may come from a process that was killed before its sync.
            _ => disk.sync_folder(parent(&folder), SyncPoint::NewFolder)?,
        }
        Self::open_on(disk, folder)
    }

    /// Keeps at most this many files open between two reads.
    #[must_use]
    pub fn with_open_files(mut self, most: usize) -> Self {
        self.most_open = most.max(1);
        self
    }

    fn path(&self, segment: u64) -> PathBuf {
        self.folder.join(format!("{segment:016x}{SUFFIX}"))
    }

    /// The file of a segment, to be read. One that has another name is not written to, but it is read.
    fn file_to_read(&self, segment: u64) -> io::Result<Arc<D::File>> {
        match self.file(segment) {
            Err(error) if matches!(Unusable::of(&error), Some(Unusable::Linked { .. })) => {
                self.disk.open(&self.path(segment), false).map(Arc::new)
            }
            file => file,
        }
    }

    /// The file of a segment. It is read and written outside of the table's lock.
    fn file(&self, segment: u64) -> io::Result<Arc<D::File>> {
        let found = self.open.read().unwrap_or_else(PoisonError::into_inner).get(&segment).cloned();
        if let Some(file) = found {
            return Ok(file);
        }
        let file = Arc::new(self.disk.open(&self.path(segment), self.lock.is_some())?);
        self.keep_open(segment, &file);
        Ok(file)
    }

    fn keep_open(&self, segment: u64, file: &Arc<D::File>) {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= self.most_open {
            open.clear();
        }
        open.insert(segment, file.clone());
    }

    fn open_files(&mut self) -> &mut HashMap<u64, Arc<D::File>> {
        self.open.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first write takes the lock, which is let go with the store, and brings what a killed process left into order.
    fn for_writing(&mut self) -> io::Result<()> {
        if self.failed {
            return Err(io::Error::other("an earlier write to the archive failed"));
        }
        if self.lock.is_none() {
            let lock = self.disk.lock(&self.folder.join(LOCK)).map_err(|error| match error.kind() {
                io::ErrorKind::WouldBlock => io::Error::new(error.kind(), "another writer has the archive"),
                _ => error,
            })?;
            self.remove_half_made()?;
            self.disk.sync_folder(&self.folder, SyncPoint::Inherited)?;
            self.lock = Some(lock);
            self.open_files().clear();
        }
        Ok(())
    }

    fn remove_half_made(&self) -> io::Result<()> {
        for name in self.disk.list(&self.folder)? {
            if segment_of(&name, HALF_MADE).is_some() {
                match self.disk.remove(&self.folder.join(name)) {
                    // No writer made it.
                    Err(error) if error.kind() == io::ErrorKind::IsADirectory => {}
                    removed => removed?,
                }
            }
        }
        Ok(())
    }

    /// After a failure nothing is written any more: a part of a record may be there, and a sync that failed may have
    /// dropped what it was to keep, so that the next one would succeed and keep nothing.
    fn or_fail<T>(&mut self, done: io::Result<T>) -> io::Result<T> {
        self.failed |= done.is_err();
        done
    }

    fn make(&self, segment: u64, content: &[u8]) -> io::Result<()> {
        let path = self.path(segment);
        let half_made = path.with_extension(&HALF_MADE[1..]);
        let file = self.disk.make(&half_made)?;
        file.append(content)?;
        file.sync(SyncPoint::NewContent)?;
        self.disk.rename(&half_made, &path)?;
        self.disk.sync_folder(&self.folder, SyncPoint::NewName)
    }
}

impl<D: Disk> FolderStore<D> {
    /// A file of notes; nothing if there is none, or if it is too long to be one.
    fn notes(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let file = match self.disk.open(&self.folder.join(name), false) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let length = file.length()?;
        if length > MOST_BYTES {
            return Ok(Some(Vec::new()));
        }
        let mut bytes = vec![0; length as usize];
        file.read_at(0, &mut bytes)?;
        Ok(Some(bytes))
    }

    /// Writes a file of notes anew. It is not made durable: what is lost of it costs reading again.
    fn set_notes(&self, name: &str, text: &str) -> io::Result<()> {
        let path = self.folder.join(name);
        let half_made = path.with_extension(&HALF_MADE[1..]);
        self.disk.make(&half_made)?.append(text.as_bytes())?;
        self.disk.rename(&half_made, &path)
    }
}

fn parent(folder: &Path) -> &Path {
    folder.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."))
}

fn segment_of(name: &OsStr, suffix: &str) -> Option<u64> {
    let hex = name.to_str()?.strip_suffix(suffix)?;
    let digits = hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let number = if digits && hex.len() == 16 { u64::from_str_radix(hex, 16).ok() } else { None };
    // Numbers begin at 1.
    number.filter(|&number| number > 0)
}

impl<D: Disk> ReadStore for FolderStore<D> {
    fn list(&self) -> io::Result<Vec<u64>> {
        let names = self.disk.list(&self.folder)?;
        let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment_of(name, SUFFIX)).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn length(&self, segment: u64) -> io::Result<u64> {
        self.file_to_read(segment)?.length()
    }

    fn read(&self, segment: u64, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file_to_read(segment)?.read_at(offset, buffer)
    }

    fn suspect(&self, blocks: &[BlockId]) -> io::Result<()> {
        let known = self.suspects()?;
        let new: Vec<BlockId> = blocks.iter().filter(|id| !known.contains(id)).copied().collect();
        if new.is_empty() || known.len() >= MOST_SUSPECTS {
            return Ok(());
        }
        let file = self.disk.open_or_make(&self.folder.join(DAMAGED))?;
        file.append(encode_suspects(&new).as_bytes())?;
        file.sync(SyncPoint::Noted)?;
        self.disk.sync_folder(&self.folder, SyncPoint::Noted)
    }

    fn suspects(&self) -> io::Result<Vec<BlockId>> {
        Ok(self.notes(DAMAGED)?.map_or_else(Vec::new, |bytes| decode_suspects(&bytes)))
    }

    fn state(&self, segment: u64) -> io::Result<Option<SegmentState>> {
        self.disk.state(&self.path(segment))
    }

    fn noted_states(&self) -> io::Result<Option<BTreeMap<u64, SegmentState>>> {
        Ok(self.notes(SEEN)?.map(|bytes| decode_states(&bytes).0))
    }
}

impl<D: Disk> Store for FolderStore<D> {
    fn claim(&mut self) -> io::Result<()> {
        self.for_writing()
    }

    fn create(&mut self, segment: u64, content: &[u8]) -> io::Result<()> {
        self.for_writing()?;
        if self.list()?.contains(&segment) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let made = self.make(segment, content);
        self.or_fail(made)?;
        self.synced = Some(segment);
        Ok(())
    }

    fn append(&mut self, segment: u64, bytes: &[u8]) -> io::Result<()> {
        self.for_writing()?;
        self.synced = None;
        let done = self.file(segment)?.append(bytes);
        self.or_fail(done)
    }

    fn sync(&mut self, segment: u64) -> io::Result<()> {
        self.for_writing()?;
        if self.synced != Some(segment) {
            let file = match self.file(segment) {
                // Nothing was ever written to it.
                Err(error) if Unusable::of(&error).is_some() => return Err(error),
                file => self.or_fail(file)?,
            };
            let done = file.sync(SyncPoint::Appended);
            self.or_fail(done)?;
            self.synced = Some(segment);
        }
        Ok(())
    }

    fn cut(&mut self, segment: u64, length: u64) -> io::Result<()> {
        self.for_writing()?;
        self.synced = None;
        let done = self.file(segment)?.set_length(length);
        self.or_fail(done)
    }

    fn remove(&mut self, segments: &[u64]) -> io::Result<()> {
        self.for_writing()?;
        if segments.is_empty() {
            return Ok(());
        }
        self.synced = self.synced.filter(|synced| !segments.contains(synced));
        let removed = segments.iter().try_for_each(|&segment| {
            self.open_files().remove(&segment);
            self.disk.remove(&self.path(segment))
        });
        let done = self.disk.sync_folder(&self.folder, SyncPoint::Removed);
        self.or_fail(done).and(removed)
    }

    fn set_aside(&mut self, segments: &[u64]) -> io::Result<()> {
        self.for_writing()?;
        if segments.is_empty() {
            return Ok(());
        }
        let moved = segments.iter().try_for_each(|&segment| {
            self.open_files().remove(&segment);
            let path = self.path(segment);
            let mut aside = path.clone().into_os_string();
            aside.push(ASIDE);
            self.disk.rename(&path, Path::new(&aside))
        });
        let done = self.disk.sync_folder(&self.folder, SyncPoint::Removed);
        self.or_fail(done).and(moved)
    }

    fn is_writable(&self, segment: u64) -> bool {
        self.disk.open(&self.path(segment), true).is_ok()
    }

    fn note_states(&mut self, segments: &[u64]) -> io::Result<()> {
        let mut states = BTreeMap::new();
        for &segment in segments {
            match self.state(segment) {
                Ok(Some(state)) => states.insert(segment, state),
                Ok(None) => return Ok(()),
                Err(_) => None,
            };
        }
        let (mut all, lines) = self.notes(SEEN)?.map_or_else(Default::default, |bytes| decode_states(&bytes));
        if lines < 2 * all.len() + SPARE_LINES {
            return self.disk.open_or_make(&self.folder.join(SEEN))?.append(encode_states(&states).as_bytes());
        }
        all.extend(states);
        let there: BTreeSet<u64> = self.list()?.into_iter().collect();
        all.retain(|number, _| there.contains(number));
        self.set_notes(SEEN, &encode_states(&all))
    }

    fn set_suspects(&mut self, blocks: &[BlockId]) -> io::Result<()> {
        match blocks {
            [] => match self.disk.remove(&self.folder.join(DAMAGED)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
            blocks => self.set_notes(DAMAGED, &encode_suspects(blocks)),
        }
    }
}
