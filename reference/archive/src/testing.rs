//! For tests: randomness that repeats, and a disk in memory that loses, when it crashes, what POSIX lets a disk lose.
//!
//! A file has content that was synced and the writes since; a folder has names that were synced and the changes since.
//! After a crash, of the writes any may be there, in whole, in part or not at all, in any order; a file may be longer
//! than its content, with zeros; of the names any may have changed. A file's sync keeps nothing of its name.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, Rng, SeedableRng};

use crate::disk::{Disk, DiskFile, SyncPoint};
use crate::hints::SegmentState;
use crate::random::Randomness;

/// Randomness that a number determines: an archive written with it can be written again, byte for byte, and every salt in it can be
/// computed by anybody.
#[derive(Clone, Copy, Debug)]
pub struct Seeded(pub u64);

impl Randomness for Seeded {
    fn stream(&self, number: u64) -> Box<dyn CryptoRng + Send> {
        let mut rng = ChaCha20Rng::seed_from_u64(self.0);
        rng.set_stream(number);
        Box::new(rng)
    }
}

/// A simulated disk. A clone is the same disk.
#[derive(Clone, Default)]
pub struct SimDisk {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    state: State,
    /// The state before each operation.
    moments: Vec<State>,
    locked: BTreeSet<PathBuf>,
    syncs: BTreeMap<SyncPoint, usize>,
    fault: Option<(SyncPoint, usize, Fault)>,
}

/// What is wrong with a sync, which makes nothing durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It says that all is well.
    Ignored,
    /// It fails.
    Failed,
}

/// What is on the disk, and what of it is only on its way there.
#[derive(Clone, Default)]
struct State {
    files: Vec<Content>,
    folders: BTreeMap<PathBuf, Names>,
}

#[derive(Clone, Default)]
struct Content {
    synced: Arc<Vec<u8>>,
    now: Arc<Vec<u8>>,
    unsynced: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write { offset: usize, bytes: Arc<[u8]> },
    Length(usize),
}

#[derive(Clone, Default)]
struct Names {
    synced: BTreeMap<OsString, Node>,
    now: BTreeMap<OsString, Node>,
    unsynced: Vec<NameChange>,
}

/// What a name stands for.
#[derive(Clone, Copy)]
enum Node {
    File(usize),
    Folder,
}

#[derive(Clone)]
enum NameChange {
    Given(OsString, Node),
    Moved(OsString, OsString, Node),
    Removed(OsString),
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Change::Write { offset, bytes } => {
                let end = offset + bytes.len();
                content.resize(content.len().max(end), 0);
                content[*offset..end].copy_from_slice(bytes);
            }
            Change::Length(length) => content.resize(*length, 0),
        }
    }

    /// A piece of a write, from any byte to any byte.
    fn torn(&self, chance: &mut Chance) -> Change {
        match self {
            Change::Write { offset, bytes } => {
                let (a, b) = (chance.below(bytes.len() + 1), chance.below(bytes.len() + 1));
                Change::Write { offset: offset + a.min(b), bytes: bytes[a.min(b)..a.max(b)].into() }
            }
            Change::Length(length) => Change::Length(*length),
        }
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<OsString, Node>) {
        match self {
            NameChange::Given(name, node) => {
                names.insert(name.clone(), *node);
            }
            NameChange::Moved(from, to, node) => {
                names.remove(from);
                names.insert(to.clone(), *node);
            }
            NameChange::Removed(name) => {
                names.remove(name);
            }
        }
    }
}

/// Decides what of the unsynced survives: most of it, little, all or nothing.
struct Chance {
    rng: ChaCha20Rng,
    kept_of_four: usize,
}

impl Chance {
    fn new(seed: u64) -> Chance {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let kept_of_four = (rng.next_u32() % 5) as usize;
        Chance { rng, kept_of_four }
    }

    fn below(&mut self, end: usize) -> usize {
        (self.rng.next_u64() % end as u64) as usize
    }

    fn kept(&mut self) -> bool {
        self.below(4) < self.kept_of_four
    }

    fn shuffled<'a, T>(&mut self, all: &'a [T]) -> Vec<&'a T> {
        let mut all: Vec<&T> = all.iter().collect();
        for last in (1..all.len()).rev() {
            all.swap(last, self.below(last + 1));
        }
        all
    }
}

impl Content {
    fn change(&mut self, change: Change) {
        change.apply(Arc::make_mut(&mut self.now));
        self.unsynced.push(change);
    }

    fn after_crash(&self, chance: &mut Chance) -> Content {
        let mut content = self.synced.to_vec();
        for change in chance.shuffled(&self.unsynced) {
            if chance.kept() {
                let torn = chance.below(4) == 0;
                if torn { change.torn(chance).apply(&mut content) } else { change.apply(&mut content) }
            }
        }
        let missing = self.now.len().saturating_sub(content.len());
        if chance.kept() {
            content.resize(content.len() + chance.below(missing + 1), 0);
        }
        let content = Arc::new(content);
        Content { synced: content.clone(), now: content, unsynced: Vec::new() }
    }
}

impl Names {
    fn change(&mut self, change: NameChange) {
        change.apply(&mut self.now);
        self.unsynced.push(change);
    }

    fn after_crash(&self, chance: &mut Chance) -> Names {
        let mut names = self.synced.clone();
        for change in &self.unsynced {
            if chance.kept() {
                change.apply(&mut names);
            }
        }
        Names { synced: names.clone(), now: names, unsynced: Vec::new() }
    }
}

impl State {
    fn names(&self, folder: &Path) -> io::Result<&Names> {
        self.folders.get(folder).ok_or_else(not_found)
    }

    /// The folder that a path is in, and the path's name in it.
    fn place<'a>(&mut self, path: &'a Path) -> io::Result<(&mut Names, &'a OsStr)> {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        Ok((self.folders.get_mut(folder).ok_or_else(not_found)?, name))
    }

    fn file(&mut self, path: &Path) -> io::Result<usize> {
        let (names, name) = self.place(path)?;
        match names.now.get(name) {
            Some(Node::File(file)) => Ok(*file),
            Some(Node::Folder) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(not_found()),
        }
    }

    fn make(&mut self, path: &Path) -> io::Result<usize> {
        if let Ok(file) = self.file(path) {
            self.files[file].change(Change::Length(0));
            return Ok(file);
        }
        let file = self.files.len();
        let (names, name) = self.place(path)?;
        names.change(NameChange::Given(name.to_owned(), Node::File(file)));
        self.files.push(Content::default());
        Ok(file)
    }

    fn after_crash(&self, seed: u64) -> State {
        let chance = &mut Chance::new(seed);
        let files = self.files.iter().map(|content| content.after_crash(chance)).collect();
        let mut folders: BTreeMap<PathBuf, Names> =
            self.folders.iter().map(|(path, names)| (path.clone(), names.after_crash(chance))).collect();
        // Parents sort before their children, so a folder that lost its name takes along what is in it.
        for path in self.folders.keys() {
            let named = |folders: &BTreeMap<PathBuf, Names>| {
                let names = folders.get(path.parent()?)?;
                names.now.get(path.file_name()?).map(|_| ())
            };
            if path.parent().is_some() && named(&folders).is_none() {
                folders.remove(path);
            }
        }
        State { files, folders }
    }
}

impl SimDisk {
    /// A disk with one folder, `/`.
    pub fn new() -> SimDisk {
        let state = State { files: Vec::new(), folders: [(PathBuf::from("/"), Names::default())].into() };
        SimDisk::with(state)
    }

    fn with(state: State) -> SimDisk {
        SimDisk { shared: Arc::new(Mutex::new(Shared { state, ..Shared::default() })) }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the moment before an operation, which then changes the disk.
    fn operate(&self) -> MutexGuard<'_, Shared> {
        let mut shared = self.shared();
        let before = shared.state.clone();
        shared.moments.push(before);
        shared
    }

    /// From now on, the `nth` sync of this kind, counted from 0, has a fault.
    pub fn break_sync(&self, point: SyncPoint, nth: usize, fault: Fault) {
        let mut shared = self.shared();
        shared.syncs.clear();
        shared.fault = Some((point, nth, fault));
    }

    /// How many syncs of this kind there were.
    pub fn syncs(&self, point: SyncPoint) -> usize {
        self.shared().syncs.get(&point).copied().unwrap_or(0)
    }

    /// How many operations there were that change the disk or sync it.
    pub fn operations(&self) -> usize {
        self.shared().moments.len()
    }

    /// The disk as it was before each operation, and as it is: moments at which a process may be killed. The processes of
    /// that moment are gone; nothing is lost yet.
    pub fn moments(&self) -> Vec<SimDisk> {
        let shared = self.shared();
        shared.moments.iter().chain([&shared.state]).map(|state| SimDisk::with(state.clone())).collect()
    }

    /// One of the disks that may be found when the power comes back.
    #[must_use]
    pub fn crash(&self, seed: u64) -> SimDisk {
        SimDisk::with(self.shared().state.after_crash(seed))
    }
}

impl Shared {
    /// Counts a sync. Whether it makes anything durable.
    fn syncing(&mut self, point: SyncPoint) -> io::Result<bool> {
        let nth = self.syncs.entry(point).or_default();
        let fault = self.fault.filter(|(at, number, _)| (*at, *number) == (point, *nth)).map(|(_, _, fault)| fault);
        *nth += 1;
        if fault == Some(Fault::Failed) { Err(io::Error::other("a sync failed")) } else { Ok(fault.is_none()) }
    }
}

/// An open file of a simulated disk.
pub struct SimFile {
    disk: SimDisk,
    file: usize,
}

/// A lock on a simulated disk.
pub struct SimLock {
    disk: SimDisk,
    file: PathBuf,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.shared().locked.remove(&self.file);
    }
}

impl Disk for SimDisk {
    type File = SimFile;
    type Lock = SimLock;

    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        let mut shared = self.operate();
        let (names, name) = shared.state.place(folder)?;
        if names.now.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        names.change(NameChange::Given(name.to_owned(), Node::Folder));
        shared.state.folders.insert(folder.to_owned(), Names::default());
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        Ok(self.shared().state.names(folder)?.now.keys().cloned().collect())
    }

    fn make(&self, file: &Path) -> io::Result<SimFile> {
        let file = self.operate().state.make(file)?;
        Ok(SimFile { disk: self.clone(), file })
    }

    fn open(&self, file: &Path, _: bool) -> io::Result<SimFile> {
        let file = self.shared().state.file(file)?;
        Ok(SimFile { disk: self.clone(), file })
    }

    fn open_or_make(&self, file: &Path) -> io::Result<SimFile> {
        match self.open(file, true) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.make(file),
            file => file,
        }
    }

    /// A simulated disk has no clock.
    fn state(&self, _: &Path) -> io::Result<Option<SegmentState>> {
        Ok(None)
    }

    fn lock(&self, file: &Path) -> io::Result<SimLock> {
        let mut shared = self.operate();
        if shared.state.file(file).is_err() {
            shared.state.make(file)?;
        }
        if !shared.locked.insert(file.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(SimLock { disk: self.clone(), file: file.to_owned() })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut shared = self.operate();
        let node = Node::File(shared.state.file(from)?);
        let to = to.file_name().unwrap_or_default();
        let (names, from) = shared.state.place(from)?;
        names.change(NameChange::Moved(from.to_owned(), to.to_owned(), node));
        Ok(())
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        let mut shared = self.operate();
        shared.state.file(file)?;
        let (names, name) = shared.state.place(file)?;
        names.change(NameChange::Removed(name.to_owned()));
        Ok(())
    }

    fn sync_folder(&self, folder: &Path, point: SyncPoint) -> io::Result<()> {
        let mut shared = self.operate();
        let durable = shared.syncing(point)?;
        let names = shared.state.folders.get_mut(folder).ok_or_else(not_found)?;
        if durable {
            names.synced = names.now.clone();
            names.unsynced.clear();
        }
        Ok(())
    }
}

impl DiskFile for SimFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.shared().state.files[self.file].now.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let shared = self.disk.shared();
        let from = usize::try_from(offset).ok();
        let now = &shared.state.files[self.file].now;
        let found = from.and_then(|from| now.get(from..from.checked_add(buffer.len())?));
        buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    /// Writes in two parts, so that there is a moment at which the first alone was written.
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let (first, second) = bytes.split_at(bytes.len() / 2);
        for part in [first, second] {
            let content = &mut self.disk.operate().state.files[self.file];
            content.change(Change::Write { offset: content.now.len(), bytes: part.into() });
        }
        Ok(())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        self.disk.operate().state.files[self.file].change(Change::Length(length));
        Ok(())
    }

    fn sync(&self, point: SyncPoint) -> io::Result<()> {
        let mut shared = self.disk.operate();
        if shared.syncing(point)? {
            let content = &mut shared.state.files[self.file];
            content.synced = content.now.clone();
            content.unsynced.clear();
        }
        Ok(())
    }
}
