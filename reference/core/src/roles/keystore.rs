//! The keystore: escrowed keys behind a barrier, nodes that each start sealed, ceremonies, snapshots.

mod barrier;
mod ceremony;
mod disaster;

use std::collections::BTreeMap;
use std::sync::Arc;

use bailee_secret::Secret;
use bailee_spec::observation::{AccountState, CeremonyState, Standing};
use bailee_spec::outcome::Refusal;

use super::authority::{LogEntry, consumed_body};
use super::{Context, Effects, deadline, fresh_id, refusal_code};
use crate::cbor;
use crate::crypto::hpke::{self, Recipient};
use crate::crypto::keys::{Owner, commitment};
use crate::crypto::labels;
use crate::crypto::sign::{self, PublicKey, Signing};
use crate::disk::{Batch, Disk};
use crate::quirks::Quirk;
use crate::wire::{AdmissionBody, B32, Blob, Body, EscrowBody, Frame, GrantBody, ReceiptBody};

pub use barrier::{Account, Attempt, Keyring};
pub use ceremony::{Announced, NewShare, Setup};
pub(crate) use ceremony::{commitments, share_context, wrap_context};
pub use disaster::{Covered, Snapshot};

const LIMIT: usize = bailee_spec::limits::MESSAGE_BYTES;

/// What a node has in memory: all of it is gone when the node stops.
#[derive(Default)]
#[cfg_attr(feature = "fork", derive(Clone))]
pub struct Memory {
    open: Option<Opened>,
    pending: BTreeMap<B32, GrantBody>,
    ceremony: Option<ceremony::Ceremony>,
}

/// The open barrier.
#[derive(Clone)]
pub struct Opened {
    /// The root.
    pub root: Arc<Secret<32>>,
    /// What the root opens.
    pub keyring: Arc<Keyring>,
}

/// The keystore: one store, and the memory of each node.
#[cfg_attr(feature = "fork", derive(Clone))]
pub struct Keystore {
    /// The store that the nodes share.
    pub disk: Disk,
    nodes: Vec<Memory>,
    key: Signing,
    authority: PublicKey,
}

fn no(refusal: Refusal) -> Effects {
    Effects::refuse(refusal, Some(Body::KeystoreRefusal { reason: refusal_code(refusal) }))
}

impl Keystore {
    /// Its public key.
    pub fn public(&self) -> PublicKey {
        self.key.public()
    }

    /// The open barrier of a node, if it is unsealed.
    pub fn opened(&self, node: u8) -> Option<&Opened> {
        self.nodes[node as usize].open.as_ref()
    }

    /// Whether a release waits for this grant.
    pub fn is_pending(&self, grant: &B32) -> bool {
        self.nodes[0].pending.contains_key(grant)
    }

    /// The generation of the store.
    pub fn generation(&self) -> u64 {
        self.disk.get("generation").unwrap_or(0)
    }

    /// Releases that the audit records.
    pub fn released(&self) -> u64 {
        self.disk.get("released").unwrap_or(0)
    }

    /// CER-1, CER-7: nothing in memory survives.
    pub fn restart(&mut self, node: u8) {
        let dropped = std::mem::take(&mut self.nodes[node as usize]);
        if dropped.ceremony.is_some_and(|ceremony| ceremony.has_candidate()) {
            let mut batch = Batch::default();
            batch.remove("candidate");
            self.disk.commit(batch);
        }
    }

    /// One message of the authority, at node 0.
    pub fn step(&mut self, cx: &mut Context<'_>, frame: &Frame) -> Effects {
        if let Body::GrantRefused { grant } = &frame.body {
            self.nodes[0].pending.remove(grant);
            return Effects::accept().send(Body::KeystoreRefusal { reason: refusal_code(Refusal::GrantVoid) });
        }
        let Some(open) = self.nodes[0].open.clone() else { return no(Refusal::Sealed) };
        match &frame.body {
            Body::OpenEnrolment { tenant, user, attempt, device } => {
                self.open_enrolment(cx, &open.keyring, tenant, user, attempt, device)
            }
            Body::CreateAccount { admission, signature } => self.create(cx, &open.keyring, admission, signature),
            Body::Escrow { tenant, user, device, escrow, signature } => {
                self.escrow(cx, &open.keyring, (tenant, user), device, escrow, signature)
            }
            Body::ReleaseKey { grant, signature } => {
                self.may_release(cx, &open.keyring, grant, signature).unwrap_or_else(no)
            }
            Body::GrantConsumed { grant, epoch, signature } => {
                self.release(cx, &open.keyring, grant, *epoch, signature).unwrap_or_else(no)
            }
            _ => no(Refusal::Malformed),
        }
    }

    // Enrolment.

    fn receipt(&self, tenant: &str, user: &str, account: &Account) -> (Blob, Blob) {
        let body = ReceiptBody {
            tenant: tenant.into(),
            user: user.into(),
            commitment: account.commitment.unwrap_or(B32::from([0; 32])),
            generation: self.generation(),
        };
        let body = cbor::encode(&body);
        let signature = self.key.sign(labels::SIGN_RECEIPT, &body);
        (body.into(), signature.into())
    }

    /// The account takes no further key: the answer (ENR-19).
    fn taken(&self, keyring: &Keyring, tenant: &str, user: &str, attempt: &B32) -> Option<Effects> {
        let account = self.account(keyring, tenant, user)?;
        match account.state() {
            AccountState::None | AccountState::Empty => None,
            AccountState::Purged => Some(no(Refusal::AccountPurged)),
            AccountState::Active | AccountState::Lost | AccountState::Dormant => {
                let (receipt, signature) = self.receipt(tenant, user, &account);
                let escrow = account.escrow.clone();
                let body = Body::AlreadyEscrowed { receipt, signature, escrow, attempt: *attempt };
                Some(Effects::refuse(Refusal::AlreadyEscrowed, Some(body)))
            }
        }
    }

    /// ENR-5.
    fn open_enrolment(
        &self,
        cx: &mut Context<'_>,
        keyring: &Keyring,
        tenant: &str,
        user: &str,
        id: &B32,
        device: &B32,
    ) -> Effects {
        if let Some(answer) = self.taken(keyring, tenant, user, id) {
            return answer;
        }
        let intake = B32::from(keyring.intake.public());
        let mut batch = Batch::default();
        let nonce = match self.attempt(keyring, cx.now, id) {
            Some(open) => open.nonce,
            None => {
                let nonce = fresh_id(cx.rng);
                let attempt = Attempt {
                    tenant: tenant.into(),
                    user: user.into(),
                    device: *device,
                    nonce,
                    expiry: deadline(cx.now),
                    generation: self.generation(),
                    open: true,
                };
                self.put_attempt(cx, keyring, id, &attempt, &mut batch);
                nonce
            }
        };
        Effects::accept().durable(batch).send(Body::EnrolmentOpened { attempt: *id, nonce, intake })
    }

    /// ENR-9.
    fn create(&self, cx: &mut Context<'_>, keyring: &Keyring, admission: &Blob, signature: &Blob) -> Effects {
        let Ok(admitted) = cbor::decode::<AdmissionBody>(admission, LIMIT) else { return no(Refusal::Malformed) };
        if !sign::verify(&self.authority, labels::SIGN_ADMISSION, admission, signature) {
            return no(Refusal::AdmissionInvalid);
        }
        let (tenant, user) = (&admitted.tenant, &admitted.user);
        if let Some(answer) = self.taken(keyring, tenant, user, &admitted.attempt) {
            return answer;
        }
        let open = self
            .attempt(keyring, cx.now, &admitted.attempt)
            .filter(|attempt| attempt.nonce == admitted.nonce && attempt.tenant == *tenant && attempt.user == *user);
        if open.is_none() && !cx.quirks.has(Quirk::AccountWithoutAttempt) {
            return no(Refusal::AdmissionInvalid);
        }
        let mut batch = Batch::default();
        if self.account(keyring, tenant, user).is_none() {
            let account = Account::empty();
            self.put_account(cx, keyring, tenant, user, &account, &mut batch);
        }
        Effects::accept().durable(batch).send(Body::AccountCreated { attempt: admitted.attempt })
    }

    /// The key inside an escrow message, if it is the one that its commitment names.
    fn open_escrow(&self, keyring: &Keyring, tenant: &str, user: &str, escrow: &[u8]) -> Option<(Account, B32)> {
        let said: EscrowBody = cbor::decode(escrow, LIMIT).ok()?;
        let context = escrow_context(tenant, user, &said.commitment);
        let mut opened = keyring.intake.open(labels::HPKE_INTAKE, &context, &said.sealed)?;
        let key = Secret::<32>::take_slice(&mut opened)?;
        let owner = Owner { tenant: tenant.into(), user: user.into(), epoch: 0 };
        if commitment(&key, &owner) != *said.commitment {
            return None;
        }
        Some((Account::active(said.commitment, &key, escrow), said.attempt))
    }

    /// ENR-13.
    fn escrow(
        &self,
        cx: &mut Context<'_>,
        keyring: &Keyring,
        (tenant, user): (&str, &str),
        device: &B32,
        escrow: &Blob,
        signature: &Blob,
    ) -> Effects {
        let Ok(said) = cbor::decode::<EscrowBody>(escrow, LIMIT) else { return no(Refusal::Malformed) };
        if !cx.quirks.has(Quirk::EscrowOverwrites)
            && let Some(answer) = self.taken(keyring, tenant, user, &said.attempt)
        {
            return answer;
        }
        let of_this_device = |open: &Attempt| open.device == *device && open.tenant == tenant && open.user == user;
        let admitted = self.attempt(keyring, cx.now, &said.attempt).as_ref().is_some_and(of_this_device)
            || cx.quirks.has(Quirk::EscrowOverwrites);
        if !admitted || self.account(keyring, tenant, user).is_none() {
            return no(Refusal::NotAdmitted);
        }
        if !sign::verify(device, labels::SIGN_ESCROW, escrow, signature) {
            return no(Refusal::Unauthenticated);
        }
        let Some((account, attempt)) = self.open_escrow(keyring, tenant, user, escrow) else {
            return no(Refusal::CommitmentMismatch);
        };
        let mut batch = Batch::default();
        self.put_account(cx, keyring, tenant, user, &account, &mut batch);
        self.close_attempts(cx, keyring, tenant, user, &mut batch);
        let (receipt, signature) = self.receipt(tenant, user, &account);
        let body = Body::Receipt { receipt, signature, escrow: escrow.clone(), attempt };
        Effects::accept().durable(batch).send(body)
    }

    // Release.

    fn releasable(&self, cx: &Context<'_>, keyring: &Keyring, grant: &GrantBody) -> Result<Account, Refusal> {
        let account = self.account(keyring, &grant.tenant, &grant.user).ok_or(Refusal::NoAccount)?;
        match account.state() {
            AccountState::Active => Ok(account),
            AccountState::Dormant if cx.quirks.has(Quirk::DormantReleased) => Ok(account),
            AccountState::None | AccountState::Empty => Err(Refusal::NoAccount),
            AccountState::Lost => Err(Refusal::AccountLost),
            AccountState::Dormant => Err(Refusal::AccountDormant),
            AccountState::Purged => Err(Refusal::AccountPurged),
        }
    }

    /// REP-2.
    fn may_release(
        &mut self,
        cx: &mut Context<'_>,
        keyring: &Keyring,
        grant: &Blob,
        signature: &Blob,
    ) -> Result<Effects, Refusal> {
        if cx.now > self.lease() {
            return Err(Refusal::RevocationStale);
        }
        let body: GrantBody = cbor::decode(grant, LIMIT).map_err(|_| Refusal::Malformed)?;
        let signed = sign::verify(&self.authority, labels::SIGN_GRANT, grant, signature);
        if !signed || cx.now > body.expiry {
            return Err(Refusal::GrantInvalid);
        }
        self.releasable(cx, keyring, &body)?;
        let id = body.id;
        self.nodes[0].pending.insert(id, body);
        Ok(Effects::accept().send(Body::ConsumeGrant { grant: id }))
    }

    /// REP-4.
    fn release(
        &mut self,
        cx: &mut Context<'_>,
        keyring: &Keyring,
        id: &B32,
        epoch: u64,
        signature: &Blob,
    ) -> Result<Effects, Refusal> {
        let grant = self.nodes[0].pending.remove(id).ok_or(Refusal::GrantVoid)?;
        if !sign::verify(&self.authority, labels::SIGN_CONSUMED, &consumed_body(id, epoch), signature) {
            return Err(Refusal::GrantInvalid);
        }
        let account = self.releasable(cx, keyring, &grant)?;
        let commitment = account.commitment.ok_or(Refusal::NoAccount)?;
        let context = release_context(id, &commitment);
        let sealed = hpke::seal_to(&grant.recipient, labels::HPKE_RELEASE, &context, account.key(), cx.rng)
            .ok_or(Refusal::GrantInvalid)?;
        let mut batch = Batch::default();
        batch.put("released", &(self.released() + 1));
        let (receipt, signature) = self.receipt(&grant.tenant, &grant.user, &account);
        let body = Body::SealedKey { grant: *id, sealed: sealed.into(), receipt, signature };
        Ok(Effects::accept().durable(batch).send(body))
    }

    // Revocation.

    /// When the node's leave to release ends.
    pub fn lease(&self) -> u64 {
        self.disk.get::<(u64, u64)>("mark").map_or(0, |(_, lease)| lease)
    }

    /// The newest revocation epoch that it stored.
    pub fn mark(&self) -> u64 {
        self.disk.get::<(u64, u64)>("mark").map_or(0, |(mark, _)| mark)
    }

    /// TIME-1: the authority's heartbeat, when nothing was revoked since.
    pub fn renew_lease(&self, now: u64) -> Batch {
        let mut batch = Batch::default();
        batch.put("mark", &(self.mark(), deadline(now)));
        batch
    }

    /// REV-2, also at every unsealing.
    ///
    /// # Errors
    /// `Sealed`.
    pub fn hear(&mut self, cx: &mut Context<'_>, epoch: u64, log: &[LogEntry]) -> Result<Batch, Refusal> {
        let open = self.nodes[0].open.clone().ok_or(Refusal::Sealed)?;
        Ok(self.hear_with(cx, &open.keyring, epoch, log))
    }

    fn hear_with(&mut self, cx: &mut Context<'_>, keyring: &Keyring, epoch: u64, log: &[LogEntry]) -> Batch {
        if !cx.quirks.has(Quirk::PendingSurvives) {
            self.nodes[0].pending.clear();
        }
        let mut batch = Batch::default();
        batch.put("mark", &(epoch, deadline(cx.now)));
        for entry in log {
            self.follow(cx, keyring, entry, &mut batch);
        }
        batch
    }

    /// DEA-4.
    fn follow(&self, cx: &mut Context<'_>, keyring: &Keyring, entry: &LogEntry, batch: &mut Batch) {
        let account = self.account(keyring, &entry.tenant, &entry.user);
        let state = account.as_ref().map_or(AccountState::None, Account::state);
        let to = match (entry.standing, state) {
            (Standing::Purged, AccountState::Purged) => return,
            (Standing::Purged, _) if cx.quirks.has(Quirk::PurgedReturns) => return,
            (Standing::Purged, _) => AccountState::Purged,
            (Standing::Deactivated, AccountState::Active) => AccountState::Dormant,
            (Standing::Active | Standing::Suspended, AccountState::Dormant) => AccountState::Active,
            _ => return,
        };
        let account = match to {
            AccountState::Purged => {
                self.close_attempts(cx, keyring, &entry.tenant, &entry.user, batch);
                Account::tombstone()
            }
            _ => account.map_or_else(Account::tombstone, |account| account.with_state(to)),
        };
        self.put_account(cx, keyring, &entry.tenant, &entry.user, &account, batch);
    }

    /// The state of the ceremony at a node, for an onlooker.
    pub fn ceremony_state(&self, now: u64, node: u8) -> CeremonyState {
        self.live_ceremony(now, node).map_or(CeremonyState::None, ceremony::Ceremony::state)
    }
}

/// What an escrow message is bound to.
pub(crate) fn escrow_context(tenant: &str, user: &str, commitment: &B32) -> Vec<u8> {
    cbor::encode(&(tenant, user, *commitment))
}

/// The key inside a release, if the keystore's receipt says that it is the owner's (REP-7, JOB-3).
pub(crate) fn open_release(
    keystore: &PublicKey,
    owner: &Owner,
    recipient: &Recipient,
    grant: &B32,
    sealed: &Blob,
    (receipt, signature): (&Blob, &Blob),
) -> Option<Secret<32>> {
    let said: ReceiptBody = cbor::decode(receipt, LIMIT).ok()?;
    let genuine = sign::verify(keystore, labels::SIGN_RECEIPT, receipt, signature);
    if !genuine || said.tenant != owner.tenant || said.user != owner.user {
        return None;
    }
    let mut opened = recipient.open(labels::HPKE_RELEASE, &release_context(grant, &said.commitment), sealed)?;
    let key = Secret::<32>::take_slice(&mut opened)?;
    (commitment(&key, owner) == *said.commitment).then_some(key)
}

/// What a released key is bound to.
pub(crate) fn release_context(grant: &B32, commitment: &B32) -> Vec<u8> {
    [&grant[..], &commitment[..]].concat()
}
