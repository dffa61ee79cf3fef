//! Storage: append-only archives of opaque blocks.

use bailee_spec::outcome::Refusal;

use super::deadline;
use crate::cbor;
use crate::crypto::labels;
use crate::crypto::sign::{self, PublicKey};
use crate::disk::{Batch, Disk};
use crate::quirks::Quirk;
use crate::roles::Context;
use crate::wire::{Blob, CapabilityBody};

/// Storage.
#[cfg_attr(feature = "fork", derive(Clone))]
pub struct Storage {
    /// Its disk.
    pub disk: Disk,
    authority: PublicKey,
}

/// What the names of an archive's blocks begin with: no archive's beginning is another's, since no CBOR value begins another.
fn archive_name(tenant: &str, user: &str) -> Vec<u8> {
    [b"archive/".to_vec(), cbor::encode(&(tenant, user))].concat()
}

/// The name of a block: records are small however large the archive is, and in the order in which they came.
fn block_name(tenant: &str, user: &str, number: u64) -> Vec<u8> {
    [archive_name(tenant, user), number.to_be_bytes().to_vec()].concat()
}

impl Storage {
    /// Storage that trusts this authority.
    pub fn new(authority: PublicKey) -> Self {
        let mut disk = Disk::default();
        let mut batch = Batch::default();
        batch.put("mark", &(0u64, deadline(0)));
        disk.commit(batch);
        Storage { disk, authority }
    }

    /// The newest revocation epoch that it stored, and when its leave to admit ends.
    pub fn mark(&self) -> (u64, u64) {
        self.disk.get("mark").unwrap_or((0, 0))
    }

    /// REV-2, TIME-1.
    pub fn hear(&self, now: u64, epoch: u64, purged: &[(String, String)]) -> Batch {
        let mut batch = Batch::default();
        batch.put("mark", &(epoch, deadline(now)));
        for (tenant, user) in purged {
            for (name, _) in self.disk.with_prefix(&archive_name(tenant, user)) {
                batch.remove(name);
            }
        }
        batch
    }

    /// REV-2: whether it still admits.
    ///
    /// # Errors
    /// `LeaseExpired`.
    pub fn in_lease(&self, now: u64) -> Result<(), Refusal> {
        if now > self.mark().1 { Err(Refusal::LeaseExpired) } else { Ok(()) }
    }

    /// BAK-2.
    ///
    /// # Errors
    /// The first failed check.
    pub fn append(
        &self,
        cx: &Context<'_>,
        capability: &[u8],
        signature: &[u8],
        block: &[u8],
    ) -> Result<Batch, Refusal> {
        self.in_lease(cx.now)?;
        let limit = bailee_spec::limits::MESSAGE_BYTES;
        let body: CapabilityBody = cbor::decode(capability, limit).map_err(|_| Refusal::Malformed)?;
        let genuine = sign::verify(&self.authority, labels::SIGN_CAPABILITY, capability, signature);
        let overtaken = body.epoch < self.mark().0 && !cx.quirks.has(Quirk::OldCapability);
        if !genuine || overtaken || cx.now > body.expiry {
            return Err(Refusal::CapabilityInvalid);
        }
        let number = self.disk.with_prefix(&archive_name(&body.tenant, &body.user)).count() as u64;
        let mut batch = Batch::default();
        batch.put_bytes(block_name(&body.tenant, &body.user, number), block.to_vec());
        Ok(batch)
    }

    /// The blocks of an archive, in the order in which they came.
    pub fn blocks(&self, tenant: &str, user: &str) -> Vec<Blob> {
        self.disk.with_prefix(&archive_name(tenant, user)).map(|(_, block)| block.to_vec().into()).collect()
    }
}
