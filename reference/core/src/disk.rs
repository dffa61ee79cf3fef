//! Durable records: a map from names to bytes that changes only by whole batches.

use std::collections::BTreeMap;
use std::sync::Arc;

use minicbor::{Decode, Encode};

use crate::cbor;

/// The largest record, in bytes.
const RECORD_BYTES: usize = 1 << 24;

/// The bytes of a record, shared by every copy of a disk.
type Record = Arc<[u8]>;

/// Writes and removals that become durable together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    changes: Vec<(Vec<u8>, Option<Record>)>,
}

impl Batch {
    /// Writes a record.
    pub fn put<T: Encode<()>>(&mut self, name: impl AsRef<[u8]>, record: &T) {
        self.put_bytes(name, cbor::encode(record));
    }

    /// Writes a record of raw bytes.
    pub fn put_bytes(&mut self, name: impl AsRef<[u8]>, bytes: Vec<u8>) {
        self.changes.push((name.as_ref().to_vec(), Some(bytes.into())));
    }

    /// Removes a record.
    pub fn remove(&mut self, name: impl AsRef<[u8]>) {
        self.changes.push((name.as_ref().to_vec(), None));
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

/// Where durable records are kept. A batch is applied whole or not at all.
pub trait Store {
    /// The bytes of a record.
    fn read(&self, name: &[u8]) -> Option<Arc<[u8]>>;

    /// Makes a batch durable.
    ///
    /// # Errors
    /// When the medium fails: then nothing of the batch is durable.
    fn apply(&mut self, batch: Batch) -> Result<(), StoreFailed>;
}

/// The medium failed, or the process died before the write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreFailed;

/// A disk in memory. A copy shares every record until it is changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    records: Arc<BTreeMap<Vec<u8>, Arc<[u8]>>>,
}

impl Disk {
    /// A record; none if it is absent or does not decode.
    pub fn get<T: for<'a> Decode<'a, ()> + Encode<()>>(&self, name: impl AsRef<[u8]>) -> Option<T> {
        cbor::decode(self.records.get(name.as_ref())?, RECORD_BYTES).ok()
    }

    /// The bytes of a record.
    pub fn bytes(&self, name: impl AsRef<[u8]>) -> Option<Arc<[u8]>> {
        self.records.get(name.as_ref()).cloned()
    }

    /// The records whose names begin so.
    pub fn with_prefix<'a>(&'a self, prefix: &'a [u8]) -> impl Iterator<Item = (&'a [u8], &'a Arc<[u8]>)> + 'a {
        self.records
            .range(prefix.to_vec()..)
            .take_while(move |(name, _)| name.starts_with(prefix))
            .map(|(name, bytes)| (name.as_slice(), bytes))
    }

    /// Decoded records whose names begin so, with their names.
    pub fn all<'a, T: for<'b> Decode<'b, ()> + Encode<()> + 'a>(
        &'a self,
        prefix: &'a [u8],
    ) -> impl Iterator<Item = (&'a [u8], T)> + 'a {
        self.with_prefix(prefix).filter_map(|(name, bytes)| Some((name, cbor::decode(bytes, RECORD_BYTES).ok()?)))
    }

    /// Makes a batch durable.
    pub fn commit(&mut self, batch: Batch) {
        if batch.is_empty() {
            return;
        }
        let records = Arc::make_mut(&mut self.records);
        for (name, bytes) in batch.changes {
            match bytes {
                Some(bytes) => records.insert(name, bytes),
                None => records.remove(&name),
            };
        }
    }

    /// Whether both are the same disk, unchanged since it was copied.
    pub fn same(&self, other: &Disk) -> bool {
        Arc::ptr_eq(&self.records, &other.records)
    }
}

impl Store for Disk {
    fn read(&self, name: &[u8]) -> Option<Arc<[u8]>> {
        self.bytes(name)
    }

    fn apply(&mut self, batch: Batch) -> Result<(), StoreFailed> {
        self.commit(batch);
        Ok(())
    }
}
