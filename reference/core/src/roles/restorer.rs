//! The restorer: one archive key, in memory, for one job.

use std::sync::Arc;

use bailee_spec::outcome::Refusal;

use super::device::open_block;
use super::keystore::open_release;
use super::{Context, Effects, deadline};
use crate::crypto::hpke::Recipient;
use crate::crypto::keys::{ArchiveKey, Owner};
use crate::crypto::labels;
use crate::crypto::sign::{PublicKey, Signing};
use crate::disk::{Batch, Disk};
use crate::quirks::Quirk;
use crate::wire::{B32, Blob, Body, Frame};

/// What is gone when the process stops.
#[cfg_attr(feature = "fork", derive(Clone))]
#[derive(Default)]
struct Memory {
    waiting: Option<(Recipient, Owner)>,
    held: Option<(Arc<ArchiveKey>, Owner)>,
}

/// The restorer. Its disk holds a revocation mark and nothing about keys.
#[cfg_attr(feature = "fork", derive(Clone))]
pub struct Restorer {
    /// Its disk.
    pub disk: Disk,
    memory: Memory,
    key: Signing,
    /// The keystore's key for receipts, pinned.
    keystore: PublicKey,
}

impl Restorer {
    /// A restorer that trusts this keystore.
    pub fn new(key: Signing, keystore: PublicKey) -> Self {
        let mut disk = Disk::default();
        let mut batch = Batch::default();
        batch.put("mark", &(0u64, deadline(0)));
        disk.commit(batch);
        Restorer { disk, memory: Memory::default(), key, keystore }
    }

    /// Its public key.
    pub fn public(&self) -> PublicKey {
        self.key.public()
    }

    /// The newest revocation epoch that it stored, and when its leave to work ends.
    pub fn mark(&self) -> (u64, u64) {
        self.disk.get("mark").unwrap_or((0, 0))
    }

    /// REV-2, TIME-1.
    pub fn hear(&self, now: u64, epoch: u64) -> Batch {
        let mut batch = Batch::default();
        batch.put("mark", &(epoch, deadline(now)));
        batch
    }

    /// Whether it has a job key.
    pub fn waiting(&self) -> bool {
        self.memory.waiting.is_some()
    }

    /// The archive key in its memory, and whose it is.
    pub fn held(&self) -> Option<(&ArchiveKey, &Owner)> {
        self.memory.held.as_ref().map(|(key, owner)| (&**key, owner))
    }

    /// JOB-9, TIME-1, JOB-7: nothing in memory survives.
    pub fn purge(&mut self) {
        self.memory = Memory::default();
    }

    /// JOB-7.
    pub fn abort(&mut self, cx: &Context<'_>) {
        let held = self.memory.held.take();
        self.purge();
        if cx.quirks.has(Quirk::KeyLeftOnAbort) {
            self.memory.held = held;
        }
    }

    /// One message of the authority (JOB-2, JOB-3).
    pub fn step(&mut self, cx: &mut Context<'_>, frame: &Frame) -> Effects {
        match &frame.body {
            Body::AssignJob { job, tenant, user } => {
                let recipient = Recipient::generate(cx.rng);
                let public = B32::from(recipient.public());
                let signature = self.key.sign(labels::SIGN_JOB_KEY, &[&job[..], &public[..]].concat());
                let owner = Owner { tenant: tenant.clone(), user: user.clone(), epoch: 0 };
                self.memory = Memory { waiting: Some((recipient, owner)), held: None };
                Effects::accept().send(Body::JobKey { recipient: public, signature: signature.into() })
            }
            Body::KeyDelivery { grant, sealed, receipt, signature } => {
                match self.take_key(grant, sealed, (receipt, signature)) {
                    Some(()) => Effects::accept(),
                    None => Effects::refuse(Refusal::JobOver, None),
                }
            }
            Body::Refusal { .. } => {
                self.memory.waiting = None;
                Effects::accept()
            }
            _ => Effects::refuse(Refusal::JobOver, None),
        }
    }

    fn take_key(&mut self, grant: &B32, sealed: &Blob, receipt: (&Blob, &Blob)) -> Option<()> {
        let (recipient, owner) = self.memory.waiting.as_ref()?;
        let key = open_release(&self.keystore, owner, recipient, grant, sealed, receipt)?;
        let owner = owner.clone();
        self.memory = Memory { waiting: None, held: Some((Arc::new(key), owner)) };
        Some(())
    }

    /// JOB-4: opens every block, purges, and says how it ended.
    pub fn finish(&mut self, cx: &Context<'_>, blocks: Result<Vec<Blob>, Refusal>) -> (Result<(), Refusal>, Body) {
        let outcome = self.work(cx, blocks);
        let kept = match outcome {
            Ok(()) => Quirk::KeyLeftOnSuccess,
            Err(_) => Quirk::KeyLeftOnFailure,
        };
        if !cx.quirks.has(kept) {
            self.memory.held = None;
        }
        (outcome, Body::JobEnd { completed: outcome.is_ok() })
    }

    fn work(&self, cx: &Context<'_>, blocks: Result<Vec<Blob>, Refusal>) -> Result<(), Refusal> {
        let (key, owner) = self.held().ok_or(Refusal::OutOfTurn)?;
        let blocks = blocks?;
        if cx.now > self.mark().1 {
            return Err(Refusal::LeaseExpired);
        }
        if blocks.is_empty() {
            return Err(Refusal::NothingStored);
        }
        let all_open = blocks.iter().all(|block| open_block(key, owner, block).is_some());
        if all_open { Ok(()) } else { Err(Refusal::CommitmentMismatch) }
    }

    /// JOB-5: the job failed; purges.
    pub fn fail(&mut self, cx: &Context<'_>) -> Body {
        if !cx.quirks.has(Quirk::KeyLeftOnFailure) {
            self.memory.held = None;
        }
        Body::JobEnd { completed: false }
    }
}
