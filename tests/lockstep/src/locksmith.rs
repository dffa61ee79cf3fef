//! The locksmith: tries what an adversary holds on what it holds, and says which archive keys come out.
//!
//! It gets bytes and nothing else: a host's root and disk, shares and keys of custodians, a snapshot, the restorer's memory and
//! the storage. [`Loot`] is asked after every step of a run; [`Bytes`] is all of it as files, for a program of its own.

mod bytes;

use std::sync::Arc;

use bailee_core::crypto::sharing::{self, Commitments, VerifiedShare};
use bailee_core::crypto::{labels, seal};
use bailee_core::ensemble::{Ensemble, Size};
use bailee_core::roles::keystore::{Keyring, Snapshot};
use bailee_core::store::{MemoryStore, RECORD_BYTES, Read};
use bailee_core::wire::Header;
use bailee_secret::Secret;
use bailee_spec::Action;
pub use bytes::{Bytes, Opened};

/// Root and store of a node that was read while it was unsealed.
#[derive(Clone)]
pub struct Host {
    /// The root, from the node's memory.
    pub root: [u8; 32],
    /// The node's disk.
    pub disk: MemoryStore,
}

/// A custodian's share as the custodian holds it, with the header that it belongs to.
#[derive(Clone)]
pub struct StolenShare {
    /// The index, from 1.
    pub index: u8,
    /// The value.
    pub value: [u8; 32],
    /// The header.
    pub header: Header,
}

/// What an adversary holds.
#[derive(Clone, Default)]
pub struct Loot {
    hosts: Vec<Arc<Host>>,
    shares: Vec<Arc<StolenShare>>,
    snapshot: Option<Arc<Vec<u8>>>,
    restorer: Vec<u8>,
    storage: Option<MemoryStore>,
}

impl Loot {
    /// What a vendor's employee at the restorer holds, who can also read the storage.
    pub fn at_the_restorer(ensemble: &Ensemble) -> Loot {
        let storage = ensemble.disks().into_iter().find(|(service, _)| *service == "storage");
        let storage = storage.map(|(_, disk)| disk.clone());
        Loot { restorer: ensemble.restorer_memory(), storage, ..Loot::default() }
    }

    /// Adds what an accepted action puts in the adversary's hands.
    pub fn take(&mut self, action: Action, ensemble: &Ensemble) {
        match action {
            Action::ReadHost { node } => {
                if let Some((root, disk)) = ensemble.host(node) {
                    self.hosts.push(Arc::new(Host { root, disk }));
                }
            }
            Action::CorruptCustodian { custodian } => {
                if let Some((header, value)) = ensemble.share_of(custodian) {
                    let index = custodian + 1;
                    self.shares.retain(|share| share.index != index);
                    self.shares.push(Arc::new(StolenShare { index, value, header }));
                }
            }
            Action::StealSnapshot => self.snapshot = ensemble.snapshot_bytes().map(Arc::new),
            _ => {}
        }
    }

    /// The same as bytes, with the names of the users, which are no secret.
    pub fn bytes(&self, size: Size) -> Bytes {
        let mut bytes = Bytes {
            shares: self.shares.iter().map(|share| StolenShare::clone(share)).collect(),
            snapshot: self.snapshot.as_ref().map(|snapshot| snapshot.to_vec()),
            names: (0..size.users).map(|user| (size.tenant_of(user), size.name_of(user))).collect(),
            ..Bytes::default()
        };
        for (number, host) in self.hosts.iter().enumerate() {
            bytes.memories.insert(format!("keystore-{number}"), host.root.to_vec());
            bytes.disks.insert(format!("keystore-{number}"), host.disk.clone());
        }
        if let Some(disk) = &self.storage {
            bytes.memories.insert("restorer".into(), self.restorer.clone());
            bytes.disks.insert("storage".into(), disk.clone());
        }
        bytes
    }

    /// Whose keys come out, by user.
    pub fn opened(&self, size: Size) -> Vec<bool> {
        if self.hosts.is_empty() && self.snapshot.is_none() {
            return vec![false; usize::from(size.users)];
        }
        (0..size.users).map(|user| !self.keys_of(size, user).is_empty()).collect()
    }

    /// Every archive key of a user that comes out.
    pub fn keys_of(&self, size: Size, user: u8) -> Vec<[u8; 32]> {
        let (tenant, user) = (size.tenant_of(user), size.name_of(user));
        let from_hosts = self.hosts.iter().filter_map(|host| open_host(host, &tenant, &user));
        let shares: Vec<&StolenShare> = self.shares.iter().map(|share| &**share).collect();
        let from_snapshot = self.snapshot.as_ref().and_then(|bytes| open_snapshot(bytes, &shares, &tenant, &user));
        from_hosts.chain(from_snapshot).collect()
    }
}

fn read_account(keyring: &Keyring, disk: &MemoryStore, tenant: &str, user: &str) -> Option<[u8; 32]> {
    let account = keyring.account(disk, tenant, user)?;
    account.key().try_into().ok()
}

/// The key of a user from a host's memory and disk.
pub fn open_host(host: &Host, tenant: &str, user: &str) -> Option<[u8; 32]> {
    let root = Secret::take(&mut host.root.clone());
    let read = |name: &str| host.disk.get(name.as_bytes()).ok()?;
    let header = bailee_core::cbor::decode(&read("header")?, RECORD_BYTES).ok()?;
    let keyring = Keyring::open(&root, &header, &read("keyring")?)?;
    read_account(&keyring, &host.disk, tenant, user)
}

/// The key of a user from a snapshot and shares: none with fewer than the threshold.
pub fn open_snapshot(bytes: &[u8], shares: &[&StolenShare], tenant: &str, user: &str) -> Option<[u8; 32]> {
    let snapshot = Snapshot::decode(bytes)?;
    let header = &snapshot.header;
    let threshold = header.threshold;
    let commitments: Commitments = header.commitments.iter().map(|point| **point).collect();
    let verified: Vec<VerifiedShare> = shares
        .iter()
        .filter(|share| share.header.digest() == header.digest())
        .filter_map(|share| sharing::verify(share.index, &share.value, &commitments, threshold).ok())
        .take(usize::from(threshold))
        .collect();
    let scalar = sharing::combine(&verified, &commitments).ok()?;
    let kek = sharing::unseal_key(&scalar, &header.id, header.share_epoch);
    let mut root = seal::open(&kek, labels::SEAL_ROOT, &header.digest()[..], &header.root).ok()?;
    let root = Secret::take_slice(&mut root)?;
    let keyring = Keyring::open(&root, header, &snapshot.keyring)?;
    read_account(&keyring, &snapshot.store(), tenant, user)
}
