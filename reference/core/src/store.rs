//! Durable records: a map from names to bytes that changes only by whole batches, and only if what a batch expects still holds.
//!
//! ```
//! use bailee_core::store::{Batch, MemoryStore, NotApplied, Read, Store};
//!
//! let mut store = MemoryStore::default();
//! let mut batch = Batch::default();
//! batch.expect("account/7", None);
//! batch.put("account/7", b"first".to_vec());
//! store.apply(&batch)?;
//! // A second worker that read the same absence is told so, and nothing is lost.
//! assert_eq!(store.apply(&batch), Err(NotApplied::Conflict { name: b"account/7".to_vec() }));
//! assert_eq!(store.get(b"account/7")?.as_deref(), Some(b"first".as_slice()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

/// The longest name of a record, in bytes.
pub const NAME_BYTES: usize = 1_024;

/// The largest record, in bytes.
pub const RECORD_BYTES: usize = 1 << 24;

/// The largest batch, in bytes: names and records of all its changes and expectations.
pub const BATCH_BYTES: usize = 64 << 20;

/// The bytes of a record, shared by every copy.
pub type Record = Arc<[u8]>;

/// What a role may do with its store during a step: read.
pub trait Read {
    /// The bytes of a record; none if there is no such record.
    ///
    /// # Errors
    /// When the medium fails.
    fn get(&self, name: &[u8]) -> Result<Option<Record>, StoreFailed>;

    /// At most `limit` records whose names begin with `prefix` and are at or after `from`, in the order of their names
    /// (bytewise).
    ///
    /// # Errors
    /// When the medium fails.
    fn scan(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, Record)>, StoreFailed>;
}

/// Where durable records are kept.
pub trait Store: Read {
    /// Applies a batch whole, if everything that it expects holds, or not at all. When this returns, the batch is durable.
    ///
    /// # Errors
    /// [`NotApplied::Conflict`] when a record is not what the batch expects. [`NotApplied::Failed`] when the batch is over
    /// a limit or the medium fails. After either, no reader of this open store sees a change of the batch. After a failure of
    /// the medium, what is found when the store is opened anew is the batch, whole, or none of it.
    fn apply(&mut self, batch: &Batch) -> Result<(), NotApplied>;
}

/// The medium failed, or cannot hold what it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreFailed {
    what: String,
}

impl StoreFailed {
    /// A failure, told as what failed and where. The text holds no bytes of a record.
    pub fn new(what: impl Into<String>) -> StoreFailed {
        StoreFailed { what: what.into() }
    }
}

impl fmt::Display for StoreFailed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.what)
    }
}

impl std::error::Error for StoreFailed {}

/// Why a batch was not applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotApplied {
    /// A record is not what the batch expects: another worker has written it since it was read.
    Conflict {
        /// The first such name, in the order of the batch's expectations.
        name: Vec<u8>,
    },
    /// The batch is over a limit, or the medium failed.
    Failed(StoreFailed),
}

impl fmt::Display for NotApplied {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotApplied::Conflict { name } => write!(out, "record {} is not what the batch expects", shown(name)),
            NotApplied::Failed(failed) => failed.fmt(out),
        }
    }
}

impl std::error::Error for NotApplied {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            NotApplied::Conflict { .. } => None,
            NotApplied::Failed(failed) => Some(failed),
        }
    }
}

impl From<StoreFailed> for NotApplied {
    fn from(failed: StoreFailed) -> NotApplied {
        NotApplied::Failed(failed)
    }
}

/// A name as an error tells it: printable, and cut when it is long.
pub fn shown(name: &[u8]) -> String {
    const SHOWN: usize = 64;
    match name.get(..SHOWN) {
        Some(start) if name.len() > SHOWN => format!("\"{}\"… ({} bytes)", start.escape_ascii(), name.len()),
        _ => format!("\"{}\"", name.escape_ascii()),
    }
}

/// Writes and removals that become durable together, and what must still hold when they do.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Batch {
    changes: BTreeMap<Vec<u8>, Option<Record>>,
    expects: Vec<(Vec<u8>, Option<Record>)>,
}

impl Batch {
    /// Writes a record. A later `put` or `remove` of the same name replaces this one.
    pub fn put(&mut self, name: impl AsRef<[u8]>, record: impl Into<Record>) {
        self.changes.insert(name.as_ref().to_vec(), Some(record.into()));
    }

    /// Removes a record, if there is one. A later `put` or `remove` of the same name replaces this one.
    pub fn remove(&mut self, name: impl AsRef<[u8]>) {
        self.changes.insert(name.as_ref().to_vec(), None);
    }

    /// Expects that a record is as it was read, before any change of this batch. Expectations add up: two different ones of
    /// the same name never hold together.
    pub fn expect(&mut self, name: impl AsRef<[u8]>, read: Option<Record>) {
        self.expects.push((name.as_ref().to_vec(), read));
    }

    /// Whether it changes nothing and expects nothing.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.expects.is_empty()
    }

    /// The changes in the order of their names: the new bytes, or none for a removal.
    pub fn changes(&self) -> impl Iterator<Item = (&[u8], Option<&Record>)> {
        self.changes.iter().map(|(name, record)| (name.as_slice(), record.as_ref()))
    }

    /// The expectations in the order in which they were added: the bytes, or none for an absent record.
    pub fn expects(&self) -> impl Iterator<Item = (&[u8], Option<&Record>)> {
        self.expects.iter().map(|(name, read)| (name.as_slice(), read.as_ref()))
    }

    /// Whether a store may apply it: no name, no record and not the whole is over its limit.
    ///
    /// # Errors
    /// Says which limit is passed, by which record.
    pub fn within_limits(&self) -> Result<(), StoreFailed> {
        let mut total = 0;
        for (name, record) in self.changes().chain(self.expects()) {
            let bytes = record.map_or(0, |record| record.len());
            if name.len() > NAME_BYTES {
                let (shown, long) = (shown(name), name.len());
                return Err(StoreFailed::new(format!(
                    "the name {shown} of a record has {long} bytes, the limit is {NAME_BYTES}"
                )));
            }
            if bytes > RECORD_BYTES {
                let shown = shown(name);
                return Err(StoreFailed::new(format!(
                    "record {shown} has {bytes} bytes, the limit is {RECORD_BYTES}"
                )));
            }
            total += name.len() + bytes;
        }
        if total > BATCH_BYTES {
            return Err(StoreFailed::new(format!("a batch has {total} bytes, the limit is {BATCH_BYTES}")));
        }
        Ok(())
    }
}

/// Names and lengths: the bytes of a record may be secret.
impl fmt::Debug for Batch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn lengths<'a>(
            records: impl Iterator<Item = (&'a [u8], Option<&'a Record>)>,
        ) -> Vec<(String, Option<usize>)> {
            records.map(|(name, record)| (shown(name), record.map(|record| record.len()))).collect()
        }
        out.debug_struct("Batch")
            .field("changes", &lengths(self.changes()))
            .field("expects", &lengths(self.expects()))
            .finish()
    }
}

/// A store in memory, with save-points: a copy costs the same however many records there are, and shares all that neither
/// side changes afterwards.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct MemoryStore {
    records: RedBlackTreeMapSync<Vec<u8>, Record>,
}

impl MemoryStore {
    /// How many records there are.
    pub fn len(&self) -> usize {
        self.records.size()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Every record, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Record)> {
        self.records.iter().map(|(name, record)| (name.as_slice(), record))
    }

    /// Whether both are the same store, unchanged since one was copied from the other.
    pub fn same(&self, other: &MemoryStore) -> bool {
        self.records.ptr_eq(&other.records)
    }
}

/// Names and lengths: the bytes of a record may be secret.
impl fmt::Debug for MemoryStore {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_map().entries(self.iter().map(|(name, record)| (shown(name), record.len()))).finish()
    }
}

impl Read for MemoryStore {
    fn get(&self, name: &[u8]) -> Result<Option<Record>, StoreFailed> {
        Ok(self.records.get(name).cloned())
    }

    fn scan(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, Record)>, StoreFailed> {
        let records = self.records.range::<[u8], _>((Bound::Included(prefix.max(from)), Bound::Unbounded));
        let begin_so = records.take_while(|(name, _)| name.starts_with(prefix));
        Ok(begin_so.take(limit).map(|(name, record)| (name.clone(), record.clone())).collect())
    }
}

impl Store for MemoryStore {
    fn apply(&mut self, batch: &Batch) -> Result<(), NotApplied> {
        batch.within_limits()?;
        for (name, read) in batch.expects() {
            if self.records.get(name) != read {
                return Err(NotApplied::Conflict { name: name.to_vec() });
            }
        }
        for (name, record) in batch.changes() {
            match record {
                Some(record) => self.records.insert_mut(name.to_vec(), record.clone()),
                None => _ = self.records.remove_mut(name),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Record {
        text.as_bytes().into()
    }

    fn put(store: &mut dyn Store, name: &str, text: &str) {
        let mut batch = Batch::default();
        batch.put(name, bytes(text));
        store.apply(&batch).unwrap();
    }

    #[test]
    fn a_copy_keeps_what_it_had_and_knows_whether_it_changed() {
        let mut store = MemoryStore::default();
        put(&mut store, "a", "1");
        let saved = store.clone();
        assert!(store.same(&saved));
        store.apply(&Batch::default()).unwrap();
        assert!(store.same(&saved));
        put(&mut store, "a", "2");
        assert!(!store.same(&saved));
        assert_eq!(saved.get(b"a").unwrap(), Some(bytes("1")));
        assert_eq!(store.get(b"a").unwrap(), Some(bytes("2")));
    }

    #[test]
    fn the_last_change_of_a_name_is_the_one_applied() {
        let mut store = MemoryStore::default();
        let mut batch = Batch::default();
        batch.put("a", bytes("1"));
        batch.remove("a");
        batch.remove("b");
        batch.put("b", bytes("2"));
        store.apply(&batch).unwrap();
        assert_eq!(store.scan(b"", b"", 9).unwrap(), [(b"b".to_vec(), bytes("2"))]);
    }

    #[test]
    fn what_a_batch_expects_is_from_before_it_and_all_of_it_must_hold() {
        let mut store = MemoryStore::default();
        put(&mut store, "a", "1");
        let saved = store.clone();
        let mut batch = Batch::default();
        batch.put("a", bytes("2"));
        batch.expect("a", Some(bytes("1")));
        batch.expect("b", None);
        let mut both = batch.clone();
        both.expect("a", Some(bytes("2")));
        assert_eq!(store.apply(&both), Err(NotApplied::Conflict { name: b"a".to_vec() }));
        assert!(store.same(&saved));
        store.apply(&batch).unwrap();
        assert_eq!(store.get(b"a").unwrap(), Some(bytes("2")));
        assert_eq!(store.apply(&batch).unwrap_err().to_string(), "record \"a\" is not what the batch expects");
    }

    #[test]
    fn expectations_alone_are_checked_and_change_nothing() {
        let mut store = MemoryStore::default();
        let saved = store.clone();
        let mut batch = Batch::default();
        batch.expect("a", None);
        assert!(!batch.is_empty());
        store.apply(&batch).unwrap();
        batch.expect("a", Some(bytes("1")));
        store.apply(&batch).unwrap_err();
        assert!(store.same(&saved));
    }

    #[test]
    fn a_scan_is_ordered_and_bounded_by_prefix_start_and_limit() {
        let mut store = MemoryStore::default();
        for name in ["b/3", "a", "b/1", "c", "b/2", "b"] {
            put(&mut store, name, name);
        }
        let names = |prefix: &str, from: &str, limit| {
            let found = store.scan(prefix.as_bytes(), from.as_bytes(), limit).unwrap();
            found.into_iter().map(|(name, _)| String::from_utf8(name).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(names("b/", "", 9), ["b/1", "b/2", "b/3"]);
        assert_eq!(names("b/", "b/2", 9), ["b/2", "b/3"]);
        assert_eq!(names("b/", "b/2", 1), ["b/2"]);
        assert_eq!(names("b/", "c", 9), [""; 0]);
        assert_eq!(names("", "b/3", 9), ["b/3", "c"]);
        assert_eq!(names("b", "", 0), [""; 0]);
    }

    #[test]
    fn what_is_over_a_limit_is_refused_by_name() {
        let mut store = MemoryStore::default();
        let mut tell = |batch: &Batch| match store.apply(batch) {
            Err(NotApplied::Failed(failed)) => failed.to_string(),
            other => panic!("{other:?}"),
        };
        let mut long = Batch::default();
        long.put([b'n'; NAME_BYTES + 1], bytes(""));
        assert!(tell(&long).ends_with("has 1025 bytes, the limit is 1024"));
        let mut large = Batch::default();
        large.put("big", vec![0; RECORD_BYTES + 1]);
        assert_eq!(tell(&large), "record \"big\" has 16777217 bytes, the limit is 16777216");
        let mut many = Batch::default();
        let record: Record = vec![0; RECORD_BYTES].into();
        (0..4).for_each(|at: u8| many.put([at], record.clone()));
        assert_eq!(tell(&many), "a batch has 67108868 bytes, the limit is 67108864");
        assert!(store.is_empty());
        let mut at_the_limits = Batch::default();
        at_the_limits.put([b'n'; NAME_BYTES], record);
        store.apply(&at_the_limits).unwrap();
    }

    #[test]
    fn nothing_prints_the_bytes_of_a_record() {
        let mut batch = Batch::default();
        batch.put("a", bytes("hidden"));
        batch.expect("b", Some(bytes("hidden")));
        let mut store = MemoryStore::default();
        put(&mut store, "a", "hidden");
        let secret = format!("{:?}", b"hidden");
        let printed = format!("{batch:?} {store:?}");
        assert!(!printed.contains("hidden") && !printed.contains(secret.trim_matches(['[', ']'])));
        assert!(printed.contains('6'));
    }
}
