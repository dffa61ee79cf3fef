//! The stores under test, each behind the same small door.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bailee_core::store::{Batch, MemoryStore, NotApplied, Read, Record, Store, StoreFailed};
use bailee_store::RedbStore;
use tempfile::TempDir;

use crate::faulty::Faulty;

/// What the records of a store are, as the tests compare them.
pub(crate) type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// A kind of store that the suite runs over.
pub(crate) trait Subject {
    /// What one worker holds.
    type Handle: Store;

    fn fresh() -> Self;

    /// A handle for one more worker of the same store.
    fn handle(&self) -> Self::Handle;

    /// The store after its process has ended and begun again.
    fn restarted(self) -> Self;
}

/// The store in memory, shared by workers as one who runs a role shares it.
#[derive(Clone, Default)]
pub(crate) struct Memory(Arc<Mutex<MemoryStore>>);

impl Read for Memory {
    fn get(&self, name: &[u8]) -> Result<Option<Record>, StoreFailed> {
        self.0.lock().unwrap().get(name)
    }

    fn scan(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, Record)>, StoreFailed> {
        self.0.lock().unwrap().scan(prefix, from, limit)
    }
}

impl Store for Memory {
    fn apply(&mut self, batch: &Batch) -> Result<(), NotApplied> {
        self.0.lock().unwrap().apply(batch)
    }
}

impl Subject for Memory {
    type Handle = Memory;

    fn fresh() -> Memory {
        Memory::default()
    }

    fn handle(&self) -> Memory {
        self.clone()
    }

    fn restarted(self) -> Memory {
        let saved = self.0.lock().unwrap().clone();
        Memory(Arc::new(Mutex::new(saved)))
    }
}

/// redb over a medium in memory.
pub(crate) struct Redb {
    medium: Faulty,
    store: RedbStore,
}

impl Subject for Redb {
    type Handle = RedbStore;

    fn fresh() -> Redb {
        let medium = Faulty::default();
        Redb { store: RedbStore::on_medium(medium.clone(), "under test").unwrap(), medium }
    }

    fn handle(&self) -> RedbStore {
        self.store.clone()
    }

    fn restarted(self) -> Redb {
        let Redb { medium, store } = self;
        drop(store);
        Redb { store: RedbStore::on_medium(medium.clone(), "under test").unwrap(), medium }
    }
}

/// redb over a file.
pub(crate) struct RedbFile {
    folder: TempDir,
    store: RedbStore,
}

impl Subject for RedbFile {
    type Handle = RedbStore;

    fn fresh() -> RedbFile {
        let folder = tempfile::tempdir().unwrap();
        RedbFile { store: RedbStore::create(folder.path().join("store")).unwrap(), folder }
    }

    fn handle(&self) -> RedbStore {
        self.store.clone()
    }

    fn restarted(self) -> RedbFile {
        let RedbFile { folder, store } = self;
        drop(store);
        RedbFile { store: RedbStore::open(folder.path().join("store")).unwrap(), folder }
    }
}

/// A wrong store: it takes a batch without a look at what the batch expects.
pub(crate) struct Careless<S>(pub(crate) S);

impl<S: Store> Read for Careless<S> {
    fn get(&self, name: &[u8]) -> Result<Option<Record>, StoreFailed> {
        self.0.get(name)
    }

    fn scan(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, Record)>, StoreFailed> {
        self.0.scan(prefix, from, limit)
    }
}

impl<S: Store> Store for Careless<S> {
    fn apply(&mut self, batch: &Batch) -> Result<(), NotApplied> {
        self.0.apply(&changes_alone(batch))
    }
}

impl<T: Subject> Subject for Careless<T>
where
    T::Handle: Store,
{
    type Handle = Careless<T::Handle>;

    fn fresh() -> Self {
        Careless(T::fresh())
    }

    fn handle(&self) -> Self::Handle {
        Careless(self.0.handle())
    }

    fn restarted(self) -> Self {
        Careless(self.0.restarted())
    }
}

/// A batch without its expectations.
pub(crate) fn changes_alone(batch: &Batch) -> Batch {
    let mut changes = Batch::default();
    for (name, record) in batch.changes() {
        match record {
            Some(record) => changes.put(name, record.clone()),
            None => changes.remove(name),
        }
    }
    changes
}

/// Everything in a store, read a few records at a time.
pub(crate) fn contents(store: &dyn Read) -> Result<Records, StoreFailed> {
    let (mut all, mut from) = (Records::new(), Vec::new());
    loop {
        let some = store.scan(b"", &from, 7)?;
        let Some((last, _)) = some.last() else { return Ok(all) };
        from = last.clone();
        from.push(0);
        all.extend(some.into_iter().map(|(name, record)| (name, record.to_vec())));
    }
}

/// The changes of a batch, made to a map.
pub(crate) fn change(records: &mut Records, batch: &Batch) {
    for (name, record) in batch.changes() {
        match record {
            Some(record) => records.insert(name.to_vec(), record.to_vec()),
            None => records.remove(name),
        };
    }
}
