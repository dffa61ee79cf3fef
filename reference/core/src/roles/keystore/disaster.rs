//! Snapshots, restore, and keys that come back (DIS).

use bailee_secret::Secret;
use bailee_spec::observation::AccountState;
use bailee_spec::outcome::Refusal;
use hmac::{Hmac, KeyInit, Mac};
use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};

use super::{
    COVERS, GENERATION, HEADER, HEADER_DIGEST, KEYRING, Keyring, Keystore, RECORDS, STAGED, generation, header,
};
use crate::cbor;
use crate::crypto::labels;
use crate::machine::{Done, Peer, Step};
use crate::quirks::Quirk;
use crate::roles::mark::{MARK, Mark};
use crate::store::{Batch, MemoryStore, RECORD_BYTES, Store};
use crate::wire::{B32, Blob, Body, Header};

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
    /// How many entries of the authority's log the store had followed.
    #[n(3)]
    pub index: u64,
    /// How long that log was before the snapshot was taken: every key that it named by then is in the snapshot.
    #[n(4)]
    pub covers: u64,
    /// The sealed records, by their hidden names.
    #[n(5)]
    pub records: Vec<(Blob, Blob)>,
    /// HMAC-SHA-256 under a key of the root, over all the rest.
    #[n(6)]
    pub mac: B32,
}

/// A snapshot on a node, to be restored at the next unsealing (DIS-2).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Staged {
    /// The snapshot's bytes.
    #[n(0)]
    pub snapshot: Blob,
    /// The generation that the authority knows: the restored store gets a higher one (DIS-3b).
    #[n(1)]
    pub above: u64,
}

/// What a staged snapshot has around it, in bytes, at most.
const STAGED_MORE: usize = 64;

/// How far a snapshot is that is being taken.
#[derive(Clone, Default)]
pub(super) enum Taking {
    /// None is.
    #[default]
    None,
    /// Ordered by this person: the authority says first how long its log is.
    Wanted(Peer),
    /// On its way to where snapshots are kept.
    Written(Taken),
}

/// What the authority will be told of a snapshot, once it is kept.
#[derive(Clone)]
pub(super) struct Taken {
    digest: B32,
    share_epoch: u64,
    covers: u64,
}

impl Snapshot {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// From bytes; none if they are larger than a record may be, or no snapshot.
    pub fn decode(bytes: &[u8]) -> Option<Snapshot> {
        cbor::decode(bytes, RECORD_BYTES).ok()
    }

    /// The digest of a snapshot's bytes, as the authority witnesses it.
    pub fn digest(bytes: &[u8]) -> B32 {
        B32::from(<[u8; 32]>::from(Sha256::digest(bytes)))
    }

    /// Its records as a store.
    pub fn store(&self) -> MemoryStore {
        let mut batch = Batch::default();
        for (name, record) in &self.records {
            batch.put(&name[..], record.to_vec());
        }
        let mut store = MemoryStore::default();
        // A snapshot that is over the limits of a store is an empty one, in which nothing opens.
        let _ = store.apply(&batch);
        store
    }

    /// GEN-30.
    fn code(&self, root: &Secret<32>) -> Hmac<Sha256> {
        let mut unsigned = Snapshot { mac: B32::from([0; 32]), ..self.clone() };
        if Quirk::SnapshotCodeShort.is_on() {
            unsigned.records.clear();
        }
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(root.expose()) else {
            unreachable!("HMAC takes a key of any length")
        };
        mac.update(labels::SNAPSHOT_MAC.as_bytes());
        mac.update(&unsigned.encode());
        mac
    }

    /// Whether the code verifies under a root, compared in constant time (DIS-3a).
    fn is_genuine(&self, root: &Secret<32>) -> bool {
        self.code(root).verify_slice(&self.mac[..]).is_ok()
    }
}

impl Keystore {
    /// DIS-1: first the authority says how long its log is: what the log names by then is in the store already.
    pub(super) fn begin_snapshot(&mut self, step: &mut Step<'_>, from: &Peer) -> Done {
        self.serving(step)?;
        self.memory.snapshot = Taking::Wanted(from.clone());
        step.send_in(Peer::Authority, None, Body::GetWitness);
        Ok(())
    }

    /// What the authority says of its log and of snapshots: for a snapshot to be taken, or one to be staged.
    pub(super) fn told_witness(
        &mut self,
        step: &mut Step<'_>,
        digests: &[B32],
        generation: u64,
        covers: u64,
    ) -> Done {
        match std::mem::take(&mut self.memory.snapshot) {
            Taking::Wanted(to) => self.take_snapshot(step, to, covers),
            other => {
                self.memory.snapshot = other;
                self.stage_witnessed(step, digests, generation)
            }
        }
    }

    /// DIS-1: the snapshot goes to where it is kept. Its size is that of the store.
    fn take_snapshot(&mut self, step: &mut Step<'_>, to: Peer, covers: u64) -> Done {
        self.serving(step)?;
        let open = self.unsealed(step)?;
        let header = header(step).ok_or(Refusal::Malformed)?;
        let mut snapshot = Snapshot {
            keyring: step.bytes(KEYRING).ok_or(Refusal::Malformed)?.to_vec().into(),
            generation: generation(step),
            index: Mark::of(step).index,
            covers,
            records: step
                .scan(RECORDS, RECORDS, usize::MAX)
                .into_iter()
                .map(|(name, record)| (name.into(), record.to_vec().into()))
                .collect(),
            mac: B32::from([0; 32]),
            header,
        };
        let code: [u8; 32] = snapshot.code(&open.root).finalize().into_bytes().into();
        snapshot.mac = code.into();
        let bytes = snapshot.encode();
        // What could not be staged again is no snapshot.
        if bytes.len() > RECORD_BYTES - STAGED_MORE {
            return Err(Refusal::TooLarge);
        }
        let taken = Taken { digest: Snapshot::digest(&bytes), share_epoch: snapshot.header.share_epoch, covers };
        self.memory.snapshot = Taking::Written(taken);
        step.send_in(to, None, Body::Snapshot { snapshot: bytes.into() });
        Ok(())
    }

    /// DIS-1a: the snapshot is durable where it is kept, this one and no other (DIS-1b); only now the authority witnesses it.
    pub(super) fn snapshot_kept(&mut self, step: &mut Step<'_>, digest: &B32) -> Done {
        let Taking::Written(taken) = &self.memory.snapshot else { return Err(Refusal::OutOfTurn) };
        if taken.digest != *digest {
            return Err(Refusal::SnapshotUnknown);
        }
        let Taken { digest, share_epoch, covers } = *taken;
        self.memory.snapshot = Taking::None;
        step.send_in(Peer::Authority, None, Body::SnapshotTaken { digest, share_epoch, covers });
        Ok(())
    }

    /// DIS-2: asks the authority which snapshots are witnessed.
    pub(super) fn stage(&mut self, step: &mut Step<'_>, snapshot: &Blob) -> Done {
        if self.unsealed(step).is_ok() {
            return Err(Refusal::NotSealed);
        }
        let exchange = step.fresh_id();
        self.memory.staging = Some((exchange, snapshot.clone()));
        step.send_in(Peer::Authority, Some(exchange), Body::GetWitness);
        Ok(())
    }

    /// DIS-2, given the digests that the authority witnessed. An empty machine takes header and keyring from the snapshot
    /// (DIS-2b).
    fn stage_witnessed(&mut self, step: &mut Step<'_>, digests: &[B32], above: u64) -> Done {
        // DIS-2c: an answer to an earlier question may name a generation that is used since.
        let exchange = step.exchange();
        let any = step.quirks.has(Quirk::WitnessUnasked);
        let asked = self.memory.staging.take_if(|(asked, _)| Some(*asked) == exchange || any);
        let (_, bytes) = asked.ok_or(Refusal::OutOfTurn)?;
        if self.unsealed(step).is_ok() {
            return Err(Refusal::NotSealed);
        }
        if bytes.is_empty() || digests.is_empty() {
            return Err(Refusal::SnapshotUnknown);
        }
        if !digests.contains(&Snapshot::digest(&bytes)) && !step.quirks.has(Quirk::DamagedSnapshot) {
            return Err(Refusal::SnapshotDamaged);
        }
        // DIS-2a, KEY-3c: only over a store of its own share epoch.
        let snapshot = Snapshot::decode(&bytes).ok_or(Refusal::SnapshotDamaged)?;
        match header(step) {
            Some(header) if header.share_epoch != snapshot.header.share_epoch => {
                if !step.quirks.has(Quirk::RetiredSnapshot) {
                    return Err(Refusal::EpochRetired);
                }
            }
            Some(_) => {}
            None => {
                step.put(HEADER, &snapshot.header);
                step.put(HEADER_DIGEST, &snapshot.header.digest());
                step.put_bytes(KEYRING, snapshot.keyring.to_vec());
            }
        }
        step.put(STAGED, &Staged { snapshot: bytes, above });
        Ok(())
    }

    /// DIS-3: the store becomes the snapshot's. What the log says after it is followed before the node serves, and what the log
    /// names and the snapshot has not is `Lost` then.
    pub(super) fn finish_restore(&mut self, step: &mut Step<'_>, root: &Secret<32>) -> Done {
        let staged: Staged = step.get(STAGED).ok_or(Refusal::SnapshotUnknown)?;
        let snapshot = Snapshot::decode(&staged.snapshot);
        let unproved = [Quirk::DamagedSnapshot, Quirk::RetiredSnapshot, Quirk::SnapshotCodeIgnored];
        let lenient = unproved.into_iter().any(|quirk| step.quirks.has(quirk));
        let Some(snapshot) = snapshot.filter(|snapshot| lenient || snapshot.is_genuine(root)) else {
            // DIS-3e: a forged one is given up, or no unsealing would succeed again.
            step.remove(STAGED);
            step.keep();
            return Err(Refusal::SnapshotDamaged);
        };
        for (name, _) in step.scan(RECORDS, RECORDS, usize::MAX) {
            step.remove(name);
        }
        for (name, record) in &snapshot.records {
            if name.starts_with(RECORDS) {
                step.put_bytes(&name[..], record.to_vec());
            }
        }
        let above = if step.quirks.has(Quirk::GenerationRepeats) { 0 } else { staged.above };
        let generation = generation(step).max(snapshot.generation).max(above).saturating_add(1);
        step.put(GENERATION, &generation);
        step.remove(STAGED);
        // DIS-3d: the log is followed again from where the snapshot was.
        let mark = Mark { index: snapshot.index, ..Mark::of(step) };
        step.put(MARK, &mark);
        step.put(COVERS, &snapshot.covers);
        Ok(())
    }

    /// DIS-5, DIS-6: a key comes back, as an escrow message, if it is the logged one.
    pub(super) fn take_back(&self, step: &mut Step<'_>, keyring: &Keyring, body: &Body) -> Done {
        let Body::ReturnKey { tenant, user, dormant, logged, escrow, epoch } = body else {
            return Err(Refusal::Malformed);
        };
        // DIS-6c: what was said before a deactivation or a reactivation does not undo it.
        if *epoch < Mark::of(step).epoch && !step.quirks.has(Quirk::LateReturnUndoes) {
            return Err(Refusal::Overtaken);
        }
        let of = (tenant.as_str(), user.as_str());
        let account = self.account(step, keyring, of);
        if account.as_ref().is_none_or(|account| account.state() != AccountState::Lost) {
            // DIS-5c: the word that the key is back may have been lost, so it is said again.
            if account.is_some_and(|account| account.holds_key() && account.commitment == Some(*logged)) {
                let (tenant, user) = (tenant.clone(), user.clone());
                step.if_refused(Peer::Authority, Body::KeyReturned { tenant, user, commitment: *logged });
            }
            return Err(Refusal::NotLost);
        }
        let account = Self::open_escrow(keyring, of, escrow)
            .filter(|account| account.commitment == Some(*logged) || step.quirks.has(Quirk::AnotherKeyReturns))
            .ok_or(Refusal::CommitmentMismatch)?;
        let account = if *dormant { account.with_state(AccountState::Dormant) } else { account };
        self.put_account(step, keyring, of, &account);
        let (tenant, user) = (tenant.clone(), user.clone());
        step.send(Peer::Authority, Body::KeyReturned { tenant, user, commitment: *logged });
        Ok(())
    }
}
