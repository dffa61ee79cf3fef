//! Where the stores come from.

use bailee_core::store::{MemoryStore, Store};

/// What makes stores, and opens one again after its process stopped.
pub trait Disks {
    /// The kind of store.
    type Store: Store;

    /// A new, empty store of this name.
    fn blank(&mut self, name: &str) -> Self::Store;

    /// Closes a store and opens it again, as a new process does.
    fn reopen(&mut self, store: &mut Self::Store);
}

/// Stores in memory. They survive the process, as a disk does.
#[derive(Clone, Copy, Debug, Default)]
pub struct InMemory;

impl Disks for InMemory {
    type Store = MemoryStore;

    fn blank(&mut self, _: &str) -> MemoryStore {
        MemoryStore::default()
    }

    fn reopen(&mut self, _: &mut MemoryStore) {}
}
