//! Storage: append-only archives of opaque blocks.

use bailee_spec::limits;
use bailee_spec::observation::Standing;
use bailee_spec::outcome::Refusal;

use super::authority::jobs::RESTORER_ID;
use super::mark::{Mark, Published, holds_over};
use crate::cbor;
use crate::crypto::labels;
use crate::crypto::sign::PublicKey;
use crate::machine::{Done, Input, Peer, Role, Step};
use crate::quirks::Quirk;
use crate::wire::{B32, Blob, Body, CONTENT_BYTES, CapabilityBody, Decision, LogEntry, Place, Signed};

/// Storage. It has no memory of its own.
#[cfg_attr(feature = "testing", derive(Clone))]
pub struct Storage {
    authority: PublicKey,
    /// By how many seconds it holds an end over early (GEN-13).
    pub(crate) margin: u64,
    memory: (),
}

/// Who comes with which capability.
struct Shown<'a> {
    from: &'a Peer,
    capability: Signed<'a>,
}

/// What the names of an archive's blocks begin with: no archive's beginning is another's, since no CBOR value begins another.
fn archive_name(tenant: &str, user: &str) -> Vec<u8> {
    [b"archive/".to_vec(), cbor::encode(&(tenant, user))].concat()
}

/// The name of a block: records are small however large the archive is, and in the order in which they came.
fn block_name(tenant: &str, user: &str, number: u64) -> Vec<u8> {
    [archive_name(tenant, user), number.to_be_bytes().to_vec()].concat()
}

/// The record of how many blocks an archive had: the number of the next one. A purged archive begins after what it had.
fn length_name(tenant: &str, user: &str) -> Vec<u8> {
    [b"length/".to_vec(), cbor::encode(&(tenant, user))].concat()
}

/// The record of the first number that counts: what is before was purged.
fn first_name(tenant: &str, user: &str) -> Vec<u8> {
    [b"first/".to_vec(), cbor::encode(&(tenant, user))].concat()
}

/// How many blocks an archive holds, and the number of the first one.
pub fn extent(step: &mut Step<'_>, tenant: &str, user: &str) -> (u64, u64) {
    let next: u64 = step.get(length_name(tenant, user)).unwrap_or(0);
    let first: u64 = step.get(first_name(tenant, user)).unwrap_or(0);
    (first, next)
}

impl Storage {
    /// Storage that trusts this authority.
    pub fn new(authority: PublicKey) -> Self {
        Storage { authority, margin: limits::MARGIN_SECONDS, memory: () }
    }

    /// For clocks that differ by up to so many seconds.
    pub fn with_margin(mut self, seconds: u64) -> Self {
        self.margin = seconds;
        self
    }

    /// REV-2: within its lease.
    fn in_lease(&self, step: &mut Step<'_>) -> Result<Mark, Refusal> {
        let mark = Mark::of(step);
        let admits = mark.in_lease(step, self.margin) || step.quirks.has(Quirk::FencedAppends);
        if admits { Ok(mark) } else { Err(Refusal::LeaseExpired) }
    }

    /// BAK-2a, BAK-2b: the capability, if the authority gave it, for this, to this caller, and no revocation overtook it. The
    /// restorer's has no epoch to lose: its job is ended by the authority's order and by its own deadline.
    fn admitted(&self, step: &mut Step<'_>, shown: &Shown<'_>, read: bool) -> Result<CapabilityBody, Refusal> {
        let mark = self.in_lease(step)?;
        let no = Refusal::CapabilityInvalid;
        let body: CapabilityBody =
            shown.capability.open(&self.authority, labels::SIGN_CAPABILITY, Refusal::Malformed, no)?;
        let (own, overtaken) = match shown.from {
            Peer::Device(id) => (body.device == *id, body.epoch < mark.epoch),
            Peer::Restorer => (body.device == B32::from(RESTORER_ID), false),
            _ => (false, false),
        };
        let overtaken = overtaken && !step.quirks.has(Quirk::OldCapability);
        let own = own || step.quirks.has(Quirk::CapabilityOfAnyone);
        let for_this = body.read == read || step.quirks.has(Quirk::CapabilityForAnything);
        let over = holds_over(step, body.expiry, self.margin, Quirk::CapabilityEndsEarly)
            && !step.quirks.has(Quirk::CapabilityNeverEnds);
        if !own || overtaken || !for_this || over {
            return Err(no);
        }
        Ok(body)
    }

    /// BAK-2, BAK-2c: the acknowledgement leaves with the write of the block, which is a record of its own and is not written again.
    fn append(&self, step: &mut Step<'_>, shown: &Shown<'_>, block: &Blob) -> Done {
        let body = self.admitted(step, shown, false)?;
        // A purge is heard before the epoch of its revocations, when the log comes in parts.
        let purged = step.bytes(first_name(&body.tenant, &body.user)).is_some();
        if purged && !step.quirks.has(Quirk::PurgedIsAppended) {
            return Err(Refusal::CapabilityInvalid);
        }
        let (_, number) = extent(step, &body.tenant, &body.user);
        step.put_bytes(block_name(&body.tenant, &body.user, number), block.to_vec());
        step.put(length_name(&body.tenant, &body.user), &(number + 1));
        step.send(shown.from.clone(), Body::Appended { number });
        Ok(())
    }

    /// BAK-3: a few blocks from a number on, as many as fit into a frame, and where to go on.
    fn fetch(&self, step: &mut Step<'_>, shown: &Shown<'_>, from: u64) -> Done {
        let body = self.admitted(step, shown, true)?;
        let (tenant, user) = (&body.tenant, &body.user);
        let (first, end) = extent(step, tenant, user);
        if first >= end {
            return Err(Refusal::NothingStored);
        }
        let start = from.max(first);
        let names = archive_name(tenant, user);
        let mut found = step.scan(&names, &block_name(tenant, user, start), limits::FETCH_BLOCKS);
        let mut room = CONTENT_BYTES;
        let fitting = found.iter().take_while(|(_, block)| {
            let before = room;
            room = room.saturating_sub(block.len() + BLOCK_HEAD_BYTES);
            before > block.len() + BLOCK_HEAD_BYTES
        });
        // A block that came in a frame goes in a frame: the first one always fits.
        let fitting = fitting.count().max(1);
        found.truncate(fitting);
        let next = start.saturating_add(found.len() as u64);
        let blocks = found.into_iter().map(|(_, block)| Blob::from(block.to_vec())).collect();
        let next = (next < end).then_some(next);
        step.send(shown.from.clone(), Body::Blocks { blocks, next });
        Ok(())
    }

    /// REV-2: archives of purged users are gone from the first step on; their blocks are removed a few at a time.
    fn hear(&self, step: &mut Step<'_>, published: Published, entries: &[LogEntry]) -> Done {
        if step.quirks.has(Quirk::PublishEmpties) {
            for (name, _) in step.scan(b"archive/", b"archive/", usize::MAX) {
                step.remove(name);
            }
        }
        let fresh = Mark::of(step).hear(step, published, entries)?;
        for entry in fresh {
            if entry.decision == Decision::Standing(Standing::Purged as u8) {
                let (_, end) = extent(step, &entry.tenant, &entry.user);
                step.put(first_name(&entry.tenant, &entry.user), &end);
                step.put(purged_name(&entry.tenant, &entry.user), &(entry.tenant.clone(), entry.user.clone()));
            }
        }
        self.sweep(step);
        Ok(())
    }

    /// Removes blocks of purged archives, `SWEEP_BLOCKS` in one step.
    fn sweep(&self, step: &mut Step<'_>) {
        for (name, record) in step.scan(PURGED, PURGED, 1) {
            let Ok((tenant, user)) = cbor::decode::<(String, String)>(&record, crate::store::RECORD_BYTES) else {
                step.damaged();
                return;
            };
            let (first, _) = extent(step, &tenant, &user);
            let prefix = archive_name(&tenant, &user);
            let found = step.scan(&prefix, &prefix, SWEEP_BLOCKS);
            let end = block_name(&tenant, &user, first);
            let old: Vec<_> = found.iter().filter(|(name, _)| *name < end).collect();
            if old.len() < SWEEP_BLOCKS {
                step.remove(&name);
            }
            for (name, _) in old {
                step.remove(name);
            }
        }
    }
}

/// What a block costs in a frame beside its own bytes.
const BLOCK_HEAD_BYTES: usize = 8;

/// Purged blocks that one step removes.
const SWEEP_BLOCKS: usize = 64;

/// What the names of the list of purged archives begin with.
const PURGED: &[u8] = b"purged/";

fn purged_name(tenant: &str, user: &str) -> Vec<u8> {
    [PURGED.to_vec(), cbor::encode(&(tenant, user))].concat()
}

impl Role for Storage {
    type Memory = ();

    fn place(&self) -> Place {
        Place::Storage
    }

    fn memory(&mut self) -> &mut () {
        &mut self.memory
    }

    fn handle(&mut self, step: &mut Step<'_>, input: Input<'_>) -> Done {
        let Input::Frame { from, frame } = input else {
            self.sweep(step);
            return Ok(());
        };
        match &frame.body {
            Body::Append { capability, signature, block } => {
                self.append(step, &Shown { from, capability: Signed { body: capability, signature } }, block)
            }
            Body::Fetch { capability, signature, from: start } => {
                self.fetch(step, &Shown { from, capability: Signed { body: capability, signature } }, *start)
            }
            Body::Publish { from, entries, epoch, lease, .. } => {
                self.hear(step, Published { from: *from, epoch: *epoch, lease: *lease }, entries)
            }
            _ => Err(Refusal::Malformed),
        }
    }
}
