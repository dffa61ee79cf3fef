//! What redb reads and writes through, kept while its database is closed and opened anew.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::StorageBackend;

/// A back end that outlives one opening of the database on it.
pub(crate) struct Medium {
    backend: Box<dyn StorageBackend>,
    sync_failed: AtomicBool,
}

impl Medium {
    pub(crate) fn new(backend: Box<dyn StorageBackend>) -> Medium {
        Medium { backend, sync_failed: AtomicBool::new(false) }
    }

    /// Whether a sync has ever failed.
    pub(crate) fn sync_failed(&self) -> bool {
        self.sync_failed.load(Ordering::Acquire)
    }

    /// What one opening of the database reads and writes through.
    pub(crate) fn handle(self: &Arc<Medium>) -> Handle {
        Handle { medium: self.clone() }
    }
}

impl fmt::Debug for Medium {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.backend.fmt(out)
    }
}

impl Drop for Medium {
    fn drop(&mut self) {
        // Nothing is left to be done if the back end cannot let go.
        _ = self.backend.close();
    }
}

/// A medium lent to redb. Closing it leaves the medium open, and locks are the business of who opened the medium.
#[derive(Debug)]
pub(crate) struct Handle {
    medium: Arc<Medium>,
}

impl StorageBackend for Handle {
    fn len(&self) -> io::Result<u64> {
        self.medium.backend.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.medium.backend.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.medium.backend.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let synced = self.medium.backend.sync_data();
        if synced.is_err() {
            self.medium.sync_failed.store(true, Ordering::Release);
        }
        synced
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.medium.backend.write(offset, data)
    }
}
