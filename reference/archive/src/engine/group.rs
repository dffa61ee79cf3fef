//! What goes from stage to stage, and the memory that comes back.

use std::sync::{Mutex, PoisonError};

use crate::block::{Gathered, SealedBlock};

/// Chunks that will be one block.
pub(crate) struct Group {
    /// The number of the block.
    pub(crate) number: u32,
    pub(crate) gathered: Gathered,
}

/// A block that is to be appended.
pub(crate) struct SealedGroup {
    pub(crate) number: u32,
    pub(crate) block: SealedBlock,
}

/// Memory that is used again and again: once warm, no block asks for any.
pub(crate) struct Pool<T> {
    free: Mutex<Vec<T>>,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Pool { free: Mutex::new(Vec::new()) }
    }
}

impl<T: Default> Pool<T> {
    pub(crate) fn take(&self) -> T {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    pub(crate) fn give(&self, item: T) {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(item);
    }
}

/// The pools of a backup.
#[derive(Default)]
pub(crate) struct Pools {
    pub(crate) gathered: Pool<Gathered>,
    pub(crate) records: Pool<Vec<u8>>,
}
