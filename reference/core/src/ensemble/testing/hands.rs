//! The hands of an adversary, and those of a test: copies of bytes, save-points, and bugs.

use std::sync::Arc;

use super::super::{At, Ensemble, Flight};
use crate::crypto::keys::{ArchiveKey, Owner};
use crate::quirks::Quirks;
use crate::roles::keystore::{RECORDS, header};
use crate::store::{Batch, MemoryStore, Read, Store};

impl Ensemble {
    /// The same system with these bugs from now on.
    pub fn with_quirks(mut self, quirks: Quirks) -> Self {
        self.quirks = quirks;
        self
    }

    /// Whether nothing at all changed since the one was copied from the other: every role, record and message is the same memory.
    /// Authority and storage have no memory.
    pub fn unchanged_since(&self, other: &Ensemble) -> bool {
        fn same<T: ?Sized>(a: &Option<Arc<T>>, b: &Option<Arc<T>>) -> bool {
            match (a, b) {
                (Some(a), Some(b)) => Arc::ptr_eq(a, b),
                (None, None) => true,
                _ => false,
            }
        }
        fn all<T>(a: &[Arc<T>], b: &[Arc<T>]) -> bool {
            a.iter().zip(b).all(|(a, b)| Arc::ptr_eq(a, b))
        }
        let lanes = |a: &[Option<Arc<Flight>>], b: &[Option<Arc<Flight>>]| a.iter().zip(b).all(|(a, b)| same(a, b));
        let (mine, others) = (&self.stores, &other.stores);
        let stores = |a: &[MemoryStore], b: &[MemoryStore]| a.iter().zip(b).all(|(a, b)| a.same(b));
        all(&self.keystore, &other.keystore)
            && all(&self.devices, &other.devices)
            && all(&self.custodians, &other.custodians)
            && Arc::ptr_eq(&self.restorer, &other.restorer)
            && Arc::ptr_eq(&self.custody, &other.custody)
            && mine.authority.same(&others.authority)
            && mine.keystore.same(&others.keystore)
            && mine.storage.same(&others.storage)
            && mine.restorer.same(&others.restorer)
            && mine.custody.same(&others.custody)
            && stores(&mine.devices, &others.devices)
            && stores(&mine.custodians, &others.custodians)
            && lanes(&self.lanes, &other.lanes)
            && same(&self.snapshot, &other.snapshot)
            && self.alerts_up == other.alerts_up
            && (self.now, self.points_now) == (other.now, other.points_now)
    }

    /// The root in an unsealed node's memory, and the node's disk (ADV-1).
    pub fn host(&self, node: u8) -> Option<([u8; 32], MemoryStore)> {
        let opened = self.keystore[node as usize].opened()?;
        Some((*opened.root.expose(), self.stores.keystore.clone()))
    }

    /// A custodian's present share, unwrapped with the custodian's own keys, and its header (ADV-2).
    pub fn share_of(&self, custodian: u8) -> Option<(crate::wire::Header, [u8; 32])> {
        let header = self.peek(At::Keystore(0), header)?;
        let (digest, index) = (header.digest(), custodian + 1);
        let wrapped = self.peek(At::Custody, |step| crate::roles::custody::wrapped(step, &digest, index))?;
        let value = self.custodians[custodian as usize].unwrap(&header, &wrapped).ok()?;
        Some((header, *value))
    }

    /// The snapshot's bytes (ADV-3).
    pub fn snapshot_bytes(&self) -> Option<Vec<u8>> {
        self.snapshot.as_deref().map(<[u8]>::to_vec)
    }

    /// The restorer's memory: whose key it holds, and the key, while it holds one (JOB-3).
    pub fn restorer_memory(&self) -> Vec<u8> {
        let image =
            |(key, owner): (&ArchiveKey, &Owner)| [crate::cbor::encode(owner), key.expose().to_vec()].concat();
        self.restorer.held().next().map(image).unwrap_or_default()
    }

    /// Every record of the keystore's barrier, as name and bytes.
    pub fn keystore_records(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let records = self.stores.keystore.scan(RECORDS, RECORDS, usize::MAX).unwrap_or_default();
        records.into_iter().map(|(name, bytes)| (name, bytes.to_vec())).collect()
    }

    /// Whether a user's account opens.
    pub fn account_opens(&self, tenant: &str, user: &str) -> bool {
        self.onlooker.account(&self.stores.keystore, tenant, user).is_some()
    }

    /// Whether a user's account opens when its bytes are put in another user's place: what a writer of the store could do.
    pub fn account_opens_at(&self, tenant: &str, user: &str, place: &str) -> bool {
        let mut moved = self.stores.keystore.clone();
        let Ok(Some(bytes)) = moved.get(&self.onlooker.account_name(tenant, user)) else { return false };
        let mut batch = Batch::default();
        batch.put(self.onlooker.account_name(tenant, place), bytes);
        moved.apply(&batch).is_ok() && self.onlooker.account(&moved, tenant, place).is_some()
    }

    /// The names of a device's records.
    pub fn device_record_names(&self, device: u8) -> Vec<Vec<u8>> {
        let records = self.stores.devices[device as usize].scan(b"", b"", usize::MAX).unwrap_or_default();
        records.into_iter().map(|(name, _)| name).collect()
    }
}
