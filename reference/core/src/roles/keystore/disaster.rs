//! Snapshots, restore, and keys that come back (DIS).

use bailee_secret::Secret;
use bailee_spec::observation::AccountState;
use bailee_spec::outcome::Refusal;
use hmac::{Hmac, KeyInit, Mac};
use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};

use super::{Account, Keyring, Keystore, LogEntry};
use crate::cbor;
use crate::crypto::labels;
use crate::disk::{Batch, Disk};
use crate::quirks::Quirk;
use crate::roles::Context;
use crate::wire::{B32, Blob, Header};

/// A snapshot: everything but the keys to it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Snapshot {
    /// The seal header at the time.
    #[n(0)]
    pub header: Header,
    /// The sealed keyring.
    #[n(1)]
    pub keyring: Blob,
    /// The store generation at the time.
    #[n(2)]
    pub generation: u64,
    /// The sealed records, by their hidden names.
    #[n(3)]
    pub records: Vec<(Blob, Blob)>,
    /// HMAC-SHA-256 under a key of the root, over all the rest.
    #[n(4)]
    pub mac: B32,
}

/// An account that a snapshot covers: tenant, user, commitment.
pub type Covered = (String, String, B32);

impl Snapshot {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// From bytes.
    pub fn decode(bytes: &[u8]) -> Option<Snapshot> {
        cbor::decode(bytes, 1 << 30).ok()
    }

    /// The digest of a snapshot's bytes, as the authority witnesses it.
    pub fn digest(bytes: &[u8]) -> B32 {
        B32::from(<[u8; 32]>::from(Sha256::digest(bytes)))
    }

    /// Its records as a store.
    pub fn store(&self) -> Disk {
        let mut batch = Batch::default();
        for (name, record) in &self.records {
            batch.put_bytes(&name[..], record.to_vec());
        }
        let mut disk = Disk::default();
        disk.commit(batch);
        disk
    }

    fn code(&self, root: &Secret<32>) -> [u8; 32] {
        let unsigned = Snapshot { mac: B32::from([0; 32]), ..self.clone() };
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(root.expose()) else {
            unreachable!("HMAC takes a key of any length")
        };
        mac.update(labels::SNAPSHOT_MAC.as_bytes());
        mac.update(&unsigned.encode());
        mac.finalize().into_bytes().into()
    }
}

impl Keystore {
    /// DIS-1: the snapshot's bytes, and the accounts that it covers.
    ///
    /// # Errors
    /// `Sealed`.
    pub fn snapshot(&self, users: &[(String, String)]) -> Result<(Vec<u8>, Vec<Covered>), Refusal> {
        let open = self.nodes[0].open.as_ref().ok_or(Refusal::Sealed)?;
        let mut snapshot = Snapshot {
            header: self.header().ok_or(Refusal::Malformed)?,
            keyring: self.disk.bytes("keyring").ok_or(Refusal::Malformed)?.to_vec().into(),
            generation: self.generation(),
            records: self
                .disk
                .with_prefix(b"r/")
                .map(|(name, record)| (name.to_vec().into(), record.to_vec().into()))
                .collect(),
            mac: B32::from([0; 32]),
        };
        snapshot.mac = snapshot.code(&open.root).into();
        let covered = users
            .iter()
            .filter_map(|(tenant, user)| {
                let account = self.account(&open.keyring, tenant, user).filter(Account::holds_key)?;
                Some((tenant.clone(), user.clone(), account.commitment?))
            })
            .collect();
        Ok((snapshot.encode(), covered))
    }

    /// DIS-2, given the digest that the authority witnessed.
    ///
    /// # Errors
    /// The first failed check.
    pub fn stage(&self, cx: &Context<'_>, bytes: Option<&[u8]>, witnessed: Option<B32>) -> Result<Batch, Refusal> {
        if self.nodes[0].open.is_some() {
            return Err(Refusal::NotSealed);
        }
        let (Some(bytes), Some(witnessed)) = (bytes, witnessed) else { return Err(Refusal::SnapshotUnknown) };
        if Snapshot::digest(bytes) != witnessed && !cx.quirks.has(Quirk::DamagedSnapshot) {
            return Err(Refusal::SnapshotDamaged);
        }
        let snapshot = Snapshot::decode(bytes).ok_or(Refusal::SnapshotDamaged)?;
        let epoch = self.header().map(|header| header.share_epoch);
        if epoch != Some(snapshot.header.share_epoch) && !cx.quirks.has(Quirk::RetiredSnapshot) {
            return Err(Refusal::EpochRetired);
        }
        let mut batch = Batch::default();
        batch.put_bytes("staged", bytes.to_vec());
        Ok(batch)
    }

    /// Whether a restore is staged.
    pub fn restoring(&self) -> bool {
        self.disk.bytes("staged").is_some()
    }

    /// DIS-3e: a staged snapshot that turns out forged is given up, or no unsealing would succeed again.
    pub(super) fn unstage(&mut self) {
        let mut batch = Batch::default();
        batch.remove("staged");
        self.disk.commit(batch);
    }

    /// DIS-3: the store becomes the snapshot's, and what the log knows better is `Lost`. One write.
    pub(super) fn finish_restore(
        &mut self,
        cx: &mut Context<'_>,
        root: &Secret<32>,
        keyring: &Keyring,
        log: &[LogEntry],
    ) -> Result<(), Refusal> {
        let staged = self.disk.bytes("staged").ok_or(Refusal::SnapshotUnknown)?;
        let snapshot = Snapshot::decode(&staged).ok_or(Refusal::SnapshotDamaged)?;
        let genuine = *snapshot.mac == snapshot.code(root);
        if !genuine && !cx.quirks.has(Quirk::DamagedSnapshot) && !cx.quirks.has(Quirk::RetiredSnapshot) {
            return Err(Refusal::SnapshotDamaged);
        }
        let mut batch = Batch::default();
        for (name, _) in self.disk.with_prefix(b"r/") {
            batch.remove(name);
        }
        for (name, record) in &snapshot.records {
            batch.put_bytes(&name[..], record.to_vec());
        }
        batch.put("generation", &(self.generation().max(snapshot.generation) + 1));
        batch.remove("staged");
        let restored = snapshot.store();
        for entry in log {
            let Some(logged) = entry.enrolled else { continue };
            let account = keyring.account(&restored, &entry.tenant, &entry.user);
            let as_logged = account.is_some_and(|account| account.holds_key() && account.commitment == Some(logged));
            if !as_logged {
                self.put_account(cx, keyring, &entry.tenant, &entry.user, &Account::lost(), &mut batch);
            }
        }
        self.disk.commit(batch);
        Ok(())
    }

    /// DIS-5, DIS-6: a key comes back, as an escrow message, if it is the logged one.
    ///
    /// # Errors
    /// The first failed check.
    pub fn take_back(
        &self,
        cx: &mut Context<'_>,
        entry: &LogEntry,
        escrow: &[u8],
        logged: B32,
    ) -> Result<Batch, Refusal> {
        let open = self.nodes[0].open.clone().ok_or(Refusal::Sealed)?;
        let account = self.account(&open.keyring, &entry.tenant, &entry.user);
        if account.is_none_or(|account| account.state() != AccountState::Lost) {
            return Err(Refusal::NotLost);
        }
        let (account, _) = self
            .open_escrow(&open.keyring, &entry.tenant, &entry.user, escrow)
            .filter(|(account, _)| account.commitment == Some(logged))
            .ok_or(Refusal::CommitmentMismatch)?;
        let dormant = entry.standing == bailee_spec::observation::Standing::Deactivated;
        let account = if dormant { account.with_state(AccountState::Dormant) } else { account };
        let mut batch = Batch::default();
        self.put_account(cx, &open.keyring, &entry.tenant, &entry.user, &account, &mut batch);
        Ok(batch)
    }
}
