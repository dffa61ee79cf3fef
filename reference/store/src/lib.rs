//! Where it runs: the durable records of a role in one file, through [`redb`].
//!
//! ```
//! use bailee_core::store::{Batch, Read, Store};
//! use bailee_store::RedbStore;
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("authority");
//! let mut store = RedbStore::create(&path)?;
//! let mut batch = Batch::default();
//! batch.put("user/7", b"active".to_vec());
//! store.apply(&batch)?;
//! drop(store);
//! assert_eq!(RedbStore::open(&path)?.get(b"user/7")?.as_deref(), Some(b"active".as_slice()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What it adds to redb:
//!
//! - **Opening verifies the whole file.** Every page has a checksum; a damaged file is an error at the door. The time grows with
//!   the size of the file.
//! - **A commit has two phases.** With one phase, redb takes a damaged newest commit for one that a crash has cut short, and
//!   goes back to the commit before it without a word. A revocation must not vanish like this.
//! - **A failed write is settled.** redb refuses all work after an error of input or output. This store opens its file anew in
//!   the same process, so a full disk is over when there is room. A batch that was refused is not there, and a batch that is
//!   there was not refused.
//! - **A failed sync is final.** After it, what is read back may not be on the disk, whatever a later sync says. The store
//!   refuses all work until it is opened anew, and then the batch is there whole or not at all.
//!
//! What it does not do: it cannot tell a file from an older copy of that file. And one bit of a file that was not closed has no
//! checksum: it says which of the last two commits is the newer one.

mod file;
mod medium;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bailee_core::store::{Batch, NotApplied, Read, Record, Store, StoreFailed, shown};
use redb::{
    Database, Durability, ReadableDatabase, ReadableTable, StorageBackend, StorageError, TableDefinition, TableHandle,
};

use medium::Medium;

/// Memory for pages of the file, in bytes.
const CACHE_BYTES: usize = 64 << 20;

/// The one table; its name has the version of the format.
const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("bailee records 1");

/// A store in one file. A clone is a second handle of the same open file: two workers of one role have one each. The file is closed
/// with the last handle.
#[derive(Clone)]
pub struct RedbStore {
    shared: Arc<Shared>,
}

/// What all handles of one open file share.
struct Shared {
    /// Where the records lie, as errors tell it.
    place: String,
    medium: Arc<Medium>,
    /// Held through a whole `apply`, so that nobody writes between a failed commit and the look at what became of it.
    /// Taken before `state`.
    writer: Mutex<()>,
    state: RwLock<State>,
}

enum State {
    Open(Box<Database>),
    Down(Down),
}

/// Why the file is not open.
#[derive(Clone)]
struct Down {
    why: String,
    /// Whether opening it anew in this process could be trusted.
    retry: bool,
}

/// What kept an attempt from its end.
enum Stopped {
    Conflict(Vec<u8>),
    Redb(redb::Error),
    /// redb panicked.
    Panicked(String),
}

impl<E: Into<redb::Error>> From<E> for Stopped {
    fn from(error: E) -> Stopped {
        Stopped::Redb(error.into())
    }
}

impl Stopped {
    fn text(&self) -> String {
        match self {
            Stopped::Conflict(name) => format!("conflict at {}", shown(name)),
            Stopped::Redb(error) => error.to_string(),
            Stopped::Panicked(message) => format!("the file is damaged: {message}"),
        }
    }

    /// Whether the contents of the file cannot be trusted any more.
    fn is_damage(&self) -> bool {
        matches!(self, Stopped::Redb(redb::Error::Corrupted(_)) | Stopped::Panicked(_))
    }
}

/// Runs an attempt. A damaged file may take redb to a panic; here that is an error.
fn contain<T>(attempt: impl FnOnce() -> Result<T, Stopped>) -> Result<T, Stopped> {
    catch_unwind(AssertUnwindSafe(attempt)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let message = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("unknown");
        Err(Stopped::Panicked(message.to_owned()))
    })
}

impl RedbStore {
    /// Makes a new store in a file that does not exist yet, readable by its owner alone. The file appears whole or not at
    /// all; what a crash leaves lies beside it with the ending `.new` and is written over by the next call.
    ///
    /// # Errors
    /// When the file exists, another process makes it, or the medium fails.
    pub fn create(path: impl AsRef<Path>) -> Result<RedbStore, StoreFailed> {
        let path = path.as_ref();
        let new = file::start(path)?;
        let medium = Arc::new(Medium::new(new.backend()?));
        let store = RedbStore::over(medium, path.display().to_string())?;
        new.finish()?;
        Ok(store)
    }

    /// Opens a store, verifies all of it, and takes the file for this process.
    ///
    /// # Errors
    /// When there is no such file, another process has it open, it is damaged or of another format, or the medium fails.
    pub fn open(path: impl AsRef<Path>) -> Result<RedbStore, StoreFailed> {
        let path = path.as_ref();
        let medium = Arc::new(Medium::new(Box::new(file::existing(path)?)));
        RedbStore::over(medium, path.display().to_string())
    }

    /// A store over a medium of the caller's, new if the medium is empty. Nobody else may write to the medium; no lock is
    /// asked of it. `place` says in errors where the records lie.
    ///
    /// # Errors
    /// As for [`RedbStore::open`].
    pub fn on_medium(backend: impl StorageBackend, place: &str) -> Result<RedbStore, StoreFailed> {
        RedbStore::over(Arc::new(Medium::new(Box::new(backend))), place.to_owned())
    }

    fn over(medium: Arc<Medium>, place: String) -> Result<RedbStore, StoreFailed> {
        let database = contain(|| open_database(&medium)).map_err(|stopped| opening(&place, &stopped))?;
        let state = RwLock::new(State::Open(Box::new(database)));
        Ok(RedbStore { shared: Arc::new(Shared { place, medium, writer: Mutex::new(()), state }) })
    }
}

fn opening(place: &str, stopped: &Stopped) -> StoreFailed {
    StoreFailed::new(format!("the store {place} cannot be opened: {}", stopped.text()))
}

/// Opens what lies on the medium, verifies it, and makes the table if it is new.
fn open_database(medium: &Arc<Medium>) -> Result<Database, Stopped> {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    let database = builder.create_with_backend(medium.handle())?;
    let tables: Vec<_> = database.begin_read()?.list_tables()?.map(|table| table.name().to_owned()).collect();
    if tables.is_empty() {
        let mut write = database.begin_write()?;
        write.set_durability(Durability::Immediate)?;
        write.set_two_phase_commit(true);
        write.open_table(RECORDS)?;
        write.commit()?;
    } else if tables != [RECORDS.name()] {
        return Err(
            StorageError::Corrupted(format!("not a store of this version: it has the tables {tables:?}")).into()
        );
    }
    Ok(database)
}

fn read_one(database: &Database, name: &[u8]) -> Result<Option<Record>, Stopped> {
    let table = database.begin_read()?.open_table(RECORDS)?;
    Ok(table.get(name)?.map(|record| record.value().into()))
}

fn read_range(
    database: &Database,
    prefix: &[u8],
    from: &[u8],
    limit: usize,
) -> Result<Vec<(Vec<u8>, Record)>, Stopped> {
    let table = database.begin_read()?.open_table(RECORDS)?;
    let mut found = Vec::new();
    for entry in table.range(prefix.max(from)..)?.take(limit) {
        let (name, record) = entry?;
        if !name.value().starts_with(prefix) {
            break;
        }
        found.push((name.value().to_vec(), record.value().into()));
    }
    Ok(found)
}

/// One transaction: looks at all that the batch expects, makes its changes, commits.
fn write_all(database: &Database, batch: &Batch) -> Result<(), Stopped> {
    let mut write = database.begin_write()?;
    write.set_durability(Durability::Immediate)?;
    write.set_two_phase_commit(true);
    {
        let mut table = write.open_table(RECORDS)?;
        for (name, read) in batch.expects() {
            let found = table.get(name)?;
            if found.as_ref().map(|record| record.value()) != read.map(|record| &record[..]) {
                return Err(Stopped::Conflict(name.to_vec()));
            }
        }
        for (name, record) in batch.changes() {
            match record {
                Some(record) => drop(table.insert(name, &record[..])?),
                None => drop(table.remove(name)?),
            }
        }
    }
    Ok(write.commit()?)
}

/// The first name whose record is not what the batch expects, all looked at in one moment.
fn unmet(database: &Database, batch: &Batch) -> Result<Option<Vec<u8>>, Stopped> {
    let table = database.begin_read()?.open_table(RECORDS)?;
    for (name, read) in batch.expects() {
        if table.get(name)?.as_ref().map(|record| record.value()) != read.map(|record| &record[..]) {
            return Ok(Some(name.to_vec()));
        }
    }
    Ok(None)
}

/// Whether every change of the batch is there.
fn holds(database: &Database, batch: &Batch) -> Result<bool, Stopped> {
    let table = database.begin_read()?.open_table(RECORDS)?;
    for (name, record) in batch.changes() {
        if table.get(name)?.as_ref().map(|found| found.value()) != record.map(|record| &record[..]) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A lock whose holder panicked protects nothing here that a panic could leave half done.
fn held<T>(lock: Result<T, PoisonError<T>>) -> T {
    lock.unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn failed(&self, what: &str, why: &str) -> StoreFailed {
        StoreFailed::new(format!("the store {}: {what}: {why}", self.place))
    }

    /// The state, with the file open if it can be. `writer` is taken for the time of opening unless the caller has it.
    fn ready(&self, writing: Option<&MutexGuard<'_, ()>>) -> RwLockReadGuard<'_, State> {
        let state = held(self.state.read());
        if !matches!(&*state, State::Down(Down { retry: true, .. })) {
            return state;
        }
        drop(state);
        let own = writing.is_none().then(|| held(self.writer.lock()));
        let mut state = held(self.state.write());
        if matches!(&*state, State::Down(Down { retry: true, .. })) {
            *state = self.opened();
        }
        drop((state, own));
        held(self.state.read())
    }

    /// The state after an attempt to open the file.
    fn opened(&self) -> State {
        match contain(|| open_database(&self.medium)) {
            Ok(database) => State::Open(Box::new(database)),
            Err(stopped) => {
                State::Down(Down { why: stopped.text(), retry: !stopped.is_damage() && !self.medium.sync_failed() })
            }
        }
    }

    /// After an error of the medium: closes the file, and opens it anew if that can be trusted.
    fn reopen(&self, stopped: &Stopped) -> RwLockWriteGuard<'_, State> {
        let mut state = held(self.state.write());
        // A file is open once at a time, so the old one is closed before the new one is opened.
        let old = std::mem::replace(&mut *state, State::Down(Down { why: stopped.text(), retry: false }));
        drop(catch_unwind(AssertUnwindSafe(|| drop(old))));
        if !self.medium.sync_failed() && !stopped.is_damage() {
            *state = self.opened();
        }
        state
    }

    fn read<T>(
        &self,
        what: &str,
        name: &[u8],
        attempt: impl FnOnce(&Database) -> Result<T, Stopped>,
    ) -> Result<T, StoreFailed> {
        let state = self.ready(None);
        let stopped = match &*state {
            State::Down(down) => return Err(self.failed(&format!("{what} {}", shown(name)), &down.why)),
            State::Open(database) => match contain(|| attempt(database)) {
                Ok(found) => return Ok(found),
                Err(stopped) => stopped,
            },
        };
        drop(state);
        let _writing = held(self.writer.lock());
        drop(self.reopen(&stopped));
        Err(self.failed(&format!("{what} {}", shown(name)), &stopped.text()))
    }

    /// What became of a batch whose commit was stopped by the medium.
    fn settle(&self, batch: &Batch, stopped: &Stopped) -> Result<(), NotApplied> {
        const WRITING: &str = "writing a batch";
        match &*self.reopen(stopped) {
            State::Open(database) => match contain(|| holds(database, batch)) {
                Ok(true) => Ok(()),
                Ok(false) => Err(self.failed(WRITING, &stopped.text()).into()),
                Err(again) => Err(self.failed(WRITING, &format!("{}; then {}", stopped.text(), again.text())).into()),
            },
            State::Down(down) => {
                let why = format!("{}; the store is closed: {}", stopped.text(), down.why);
                Err(self.failed(WRITING, &why).into())
            }
        }
    }
}

impl Read for RedbStore {
    fn get(&self, name: &[u8]) -> Result<Option<Record>, StoreFailed> {
        self.shared.read("reading", name, |database| read_one(database, name))
    }

    fn scan(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, Record)>, StoreFailed> {
        self.shared.read("scanning", prefix, |database| read_range(database, prefix, from, limit))
    }
}

impl Store for RedbStore {
    fn apply(&mut self, batch: &Batch) -> Result<(), NotApplied> {
        batch.within_limits()?;
        if batch.is_empty() {
            return Ok(());
        }
        // A step that only says something waits for no writer.
        if batch.changes().next().is_none() {
            let unmet =
                self.shared.read("looking at what a batch expects", b"", |database| unmet(database, batch))?;
            return unmet.map_or(Ok(()), |name| Err(NotApplied::Conflict { name }));
        }
        let writing = held(self.shared.writer.lock());
        let state = self.shared.ready(Some(&writing));
        let stopped = match &*state {
            State::Down(down) => return Err(self.shared.failed("writing a batch", &down.why).into()),
            State::Open(database) => match contain(|| write_all(database, batch)) {
                Ok(()) => return Ok(()),
                Err(Stopped::Conflict(name)) => return Err(NotApplied::Conflict { name }),
                Err(stopped) => stopped,
            },
        };
        drop(state);
        self.shared.settle(batch, &stopped)
    }
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("RedbStore").field("place", &self.shared.place).finish_non_exhaustive()
    }
}
