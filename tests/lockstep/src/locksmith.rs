//! The locksmith: tries what an adversary holds on what it holds, and says which archive keys come out.
//!
//! It gets bytes and nothing else: a host's root and disk, shares and keys of custodians, a snapshot.

use std::sync::Arc;

use bailee_core::crypto::sharing::{self, Commitments, VerifiedShare};
use bailee_core::crypto::{labels, seal};
use bailee_core::disk::Disk;
use bailee_core::ensemble::{Ensemble, name_of, tenant_of};
use bailee_core::roles::keystore::{Keyring, Snapshot};
use bailee_core::wire::Header;
use bailee_secret::Secret;
use bailee_spec::Action;

/// Root and store of a node that was read while it was unsealed.
#[derive(Clone)]
pub struct Host {
    /// The root, from the node's memory.
    pub root: [u8; 32],
    /// The node's disk.
    pub disk: Disk,
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
}

impl Loot {
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

    /// Whose keys come out, by user.
    pub fn opened(&self, users: u8, threshold: u8) -> Vec<bool> {
        if self.hosts.is_empty() && self.snapshot.is_none() {
            return vec![false; usize::from(users)];
        }
        (0..users).map(|user| !self.keys_of(user, threshold).is_empty()).collect()
    }

    /// Every archive key of a user that comes out.
    pub fn keys_of(&self, user: u8, threshold: u8) -> Vec<[u8; 32]> {
        let from_hosts = self.hosts.iter().filter_map(|host| open_host(host, user));
        let shares: Vec<&StolenShare> = self.shares.iter().map(|share| &**share).collect();
        let from_snapshot = self.snapshot.as_ref().and_then(|bytes| open_snapshot(bytes, &shares, user, threshold));
        from_hosts.chain(from_snapshot).collect()
    }
}

fn read_account(keyring: &Keyring, disk: &Disk, user: u8) -> Option<[u8; 32]> {
    let account = keyring.account(disk, &tenant_of(user), &name_of(user))?;
    account.key().try_into().ok()
}

/// The key of a user from a host's memory and disk.
pub fn open_host(host: &Host, user: u8) -> Option<[u8; 32]> {
    let root = Secret::take(&mut host.root.clone());
    let keyring = Keyring::open(&root, &host.disk.get("header")?, &host.disk.bytes("keyring")?)?;
    read_account(&keyring, &host.disk, user)
}

/// The key of a user from a snapshot and shares: none with fewer than the threshold.
pub fn open_snapshot(bytes: &[u8], shares: &[&StolenShare], user: u8, threshold: u8) -> Option<[u8; 32]> {
    let snapshot = Snapshot::decode(bytes)?;
    let header = &snapshot.header;
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
    read_account(&keyring, &snapshot.store(), user)
}
