//! Enrolment at the keystore, and accounts that follow the authority's log (ENR, DEA-4).

use bailee_secret::Secret;
use bailee_spec::limits;
use bailee_spec::observation::{AccountState, Standing};
use bailee_spec::outcome::Refusal;

use super::barrier::{account_path, attempt_path, attempts_path};
use super::{Account, Attempt, Keyring, Keystore, generation};
use crate::cbor;
use crate::crypto::keys::{Owner, commitment};
use crate::crypto::{labels, sign};
use crate::machine::{Done, Peer, Step};
use crate::quirks::Quirk;
use crate::roles::signed::{escrow_context, intake_body};
use crate::wire::{AdmissionBody, B32, Blob, Body, Decision, EscrowBody, LogEntry, ReceiptBody, Signed};

/// Whose account is meant.
type Of<'a> = (&'a str, &'a str);

impl Keystore {
    pub(super) fn enrol(&self, step: &mut Step<'_>, keyring: &Keyring, body: &Body) -> Done {
        match body {
            Body::OpenEnrolment { tenant, user, attempt, device } => {
                self.open_enrolment(step, keyring, (tenant, user), attempt, device)
            }
            Body::CreateAccount { admission, signature } => self.create(step, keyring, admission, signature),
            Body::Escrow { tenant, user, device, escrow, signature } => {
                self.escrow(step, keyring, (tenant, user), device, Signed { body: escrow, signature })
            }
            _ => Err(Refusal::Malformed),
        }
    }

    /// The keystore's word that it holds an account's key, and its signature.
    pub(super) fn receipt(&self, step: &mut Step<'_>, (tenant, user): Of<'_>, account: &Account) -> (Blob, Blob) {
        let body = ReceiptBody {
            tenant: tenant.into(),
            user: user.into(),
            commitment: account.commitment.unwrap_or(B32::from([0; 32])),
            generation: generation(step),
        };
        let body = cbor::encode(&body);
        let signature = self.key.sign(labels::SIGN_RECEIPT, &body);
        (body.into(), signature.into())
    }

    pub(super) fn account(&self, step: &mut Step<'_>, keyring: &Keyring, (tenant, user): Of<'_>) -> Option<Account> {
        keyring.get(step, &account_path(tenant, user))
    }

    pub(super) fn put_account(
        &self,
        step: &mut Step<'_>,
        keyring: &Keyring,
        (tenant, user): Of<'_>,
        account: &Account,
    ) {
        keyring.put(step, &account_path(tenant, user), account);
    }

    /// An attempt that is open (ENR-5a): of this store generation, so that a restore ends all of them (DIS-3c), and within its time.
    fn attempt(&self, step: &mut Step<'_>, keyring: &Keyring, id: &B32) -> Option<Attempt> {
        let attempt: Attempt = keyring.get(step, &attempt_path(id))?;
        let open = attempt.open && step.now <= attempt.expiry && attempt.generation == generation(step);
        open.then_some(attempt)
    }

    /// ENR-5b: the attempts of a user that are open, with the new one among them. What is not open any more is removed, or one user
    /// would fill the store, and no snapshot of it would fit.
    fn list_attempt(&self, step: &mut Step<'_>, keyring: &Keyring, of: Of<'_>, id: &B32) -> Done {
        let path = attempts_path(of.0, of.1);
        let listed: Vec<B32> = keyring.get(step, &path).unwrap_or_default();
        let mut ids = Vec::new();
        for known in listed.into_iter().filter(|known| known != id) {
            match self.attempt(step, keyring, &known) {
                Some(_) => ids.push(known),
                None => keyring.remove(step, &attempt_path(&known)),
            }
        }
        if ids.len() >= limits::OPEN_ATTEMPTS_PER_USER && !step.quirks.has(Quirk::AttemptsUnlimited) {
            return Err(Refusal::Busy);
        }
        ids.push(*id);
        keyring.put(step, &path, &ids);
        Ok(())
    }

    /// Closes the open attempts of a user; of one device only, if one is named.
    fn close_attempts(&self, step: &mut Step<'_>, keyring: &Keyring, (tenant, user): Of<'_>, only: Option<&B32>) {
        let ids: Vec<B32> = keyring.get(step, &attempts_path(tenant, user)).unwrap_or_default();
        for id in ids {
            let attempt = self.attempt(step, keyring, &id);
            let attempt = attempt.filter(|attempt| only.is_none_or(|device| attempt.device == *device));
            if let Some(mut attempt) = attempt {
                attempt.open = false;
                keyring.put(step, &attempt_path(&id), &attempt);
            }
        }
    }

    /// ENR-19: an account that takes no further key refuses, and says what it holds.
    fn takes_key(&self, step: &mut Step<'_>, keyring: &Keyring, of: Of<'_>, attempt: &B32) -> Done {
        let Some(account) = self.account(step, keyring, of) else { return Ok(()) };
        match account.state() {
            AccountState::None | AccountState::Empty => Ok(()),
            AccountState::Purged => Err(Refusal::AccountPurged),
            AccountState::Active | AccountState::Lost | AccountState::Dormant => {
                let (receipt, signature) = self.receipt(step, of, &account);
                let escrow = account.escrow.clone();
                let body = Body::AlreadyEscrowed { receipt, signature, escrow, attempt: *attempt };
                step.if_refused(Peer::Authority, body);
                Err(Refusal::AlreadyEscrowed)
            }
        }
    }

    /// ENR-5.
    fn open_enrolment(&self, step: &mut Step<'_>, keyring: &Keyring, of: Of<'_>, id: &B32, device: &B32) -> Done {
        self.takes_key(step, keyring, of, id)?;
        let known: Option<Attempt> = keyring.get(step, &attempt_path(id));
        // An attempt's nonce is told to the one whose attempt it is (ENR-5c).
        let is_own = |a: &Attempt| a.tenant == of.0 && a.user == of.1 && a.device == *device;
        let is_anothers = known.as_ref().is_some_and(|attempt| !is_own(attempt));
        if is_anothers && !step.quirks.has(Quirk::NonceToAnyone) {
            return Err(Refusal::NotYourAttempt);
        }
        let nonce = match self.attempt(step, keyring, id) {
            // GEN-9: asked again, the same nonce.
            Some(open) => open.nonce,
            None => {
                self.list_attempt(step, keyring, of, id)?;
                let nonce = step.fresh_id();
                let attempt = Attempt {
                    tenant: of.0.into(),
                    user: of.1.into(),
                    device: *device,
                    nonce,
                    expiry: step.deadline(),
                    generation: generation(step),
                    open: true,
                    admitted: false,
                };
                keyring.put(step, &attempt_path(id), &attempt);
                nonce
            }
        };
        let (intake, signature) = self.signed_intake(keyring, &nonce);
        step.send(Peer::Authority, Body::EnrolmentOpened { attempt: *id, nonce, intake, signature });
        Ok(())
    }

    /// ENR-7a: the intake key, signed for one nonce.
    fn signed_intake(&self, keyring: &Keyring, nonce: &B32) -> (B32, Blob) {
        let intake = B32::from(keyring.intake.public());
        (intake, self.key.sign(labels::SIGN_INTAKE, &intake_body(nonce, &intake)).into())
    }

    /// DIS-6.
    pub(super) fn offer_intake(&self, step: &mut Step<'_>, keyring: &Keyring, nonce: &B32) -> Done {
        let (intake, signature) = self.signed_intake(keyring, nonce);
        step.send(Peer::Authority, Body::Intake { nonce: *nonce, intake, signature });
        Ok(())
    }

    /// ENR-9, on the authority's signed word (ENR-9a).
    fn create(&self, step: &mut Step<'_>, keyring: &Keyring, admission: &Blob, signature: &Blob) -> Done {
        let signed = Signed { body: admission, signature };
        let admitted: AdmissionBody =
            signed.open(&self.authority, labels::SIGN_ADMISSION, Refusal::Malformed, Refusal::AdmissionInvalid)?;
        let of = (admitted.tenant.as_str(), admitted.user.as_str());
        self.takes_key(step, keyring, of, &admitted.attempt)?;
        let quirks = step.quirks;
        let is_admitted = |attempt: &Attempt| {
            let of_tenant = attempt.tenant == of.0 || quirks.has(Quirk::AdmissionOfNamesake);
            let for_nonce = attempt.nonce == admitted.nonce || quirks.has(Quirk::AnyNonce);
            for_nonce && of_tenant && attempt.user == of.1
        };
        let open = self.attempt(step, keyring, &admitted.attempt).filter(is_admitted);
        if open.is_none() && !step.quirks.has(Quirk::AccountWithoutAttempt) {
            return Err(Refusal::AdmissionInvalid);
        }
        if let Some(attempt) = open.filter(|attempt| !attempt.admitted) {
            keyring.put(step, &attempt_path(&admitted.attempt), &Attempt { admitted: true, ..attempt });
        }
        if self.account(step, keyring, of).is_none() {
            self.put_account(step, keyring, of, &Account::empty());
        }
        step.send(Peer::Authority, Body::AccountCreated { attempt: admitted.attempt });
        Ok(())
    }

    /// The key inside an escrow message, if it is the one that its commitment names.
    pub(super) fn open_escrow(keyring: &Keyring, (tenant, user): Of<'_>, escrow: &[u8]) -> Option<Account> {
        let said: EscrowBody = cbor::decode(escrow, limits::MESSAGE_BYTES).ok()?;
        let context = escrow_context(tenant, user, &said.commitment);
        let mut opened = keyring.intake.open(labels::HPKE_INTAKE, &context, &said.sealed)?;
        let key = Secret::<32>::take_slice(&mut opened)?;
        let owner = Owner { tenant: tenant.into(), user: user.into(), epoch: 0 };
        if commitment(&key, &owner) != *said.commitment && !Quirk::CommitmentIgnored.is_on() {
            return None;
        }
        Some(Account::active(said.commitment, &key, escrow))
    }

    /// ENR-13: a canonical message (ENR-13a) that the attempt's device signed (ENR-13b). The account is read and written in one step, so of
    /// two that race the first one wins (ENR-13c).
    fn escrow(&self, step: &mut Step<'_>, keyring: &Keyring, of: Of<'_>, device: &B32, message: Signed<'_>) -> Done {
        let limit = limits::MESSAGE_BYTES;
        let said: EscrowBody = cbor::decode(message.body, limit).map_err(|_| Refusal::Malformed)?;
        let overwrites = step.quirks.has(Quirk::EscrowOverwrites);
        if !overwrites {
            self.takes_key(step, keyring, of, &said.attempt)?;
        }
        let lenient = step.quirks.has(Quirk::EscrowNotAdmitted);
        let any_tenant = step.quirks.has(Quirk::EscrowOfNamesake);
        let of_this_device = |open: &Attempt| {
            let own = open.device == *device && (open.tenant == of.0 || any_tenant) && open.user == of.1;
            own && (open.admitted || lenient)
        };
        let admitted = self.attempt(step, keyring, &said.attempt).as_ref().is_some_and(of_this_device) || overwrites;
        if !admitted || self.account(step, keyring, of).is_none() {
            return Err(Refusal::NotAdmitted);
        }
        if !sign::verify(device, labels::SIGN_ESCROW, message.body, message.signature) {
            return Err(Refusal::Unauthenticated);
        }
        let account = Self::open_escrow(keyring, of, message.body).ok_or(Refusal::CommitmentMismatch)?;
        self.put_account(step, keyring, of, &account);
        self.close_attempts(step, keyring, of, None);
        let (receipt, signature) = self.receipt(step, of, &account);
        let (escrow, attempt) = (message.body.to_vec().into(), said.attempt);
        step.send(Peer::Authority, Body::Receipt { receipt, signature, escrow, attempt });
        Ok(())
    }

    /// DIS-4b: a node that catches up with the log says which keys of it are in its store after all: a snapshot may hold a key
    /// that the log named only later.
    fn say_returned(&self, step: &mut Step<'_>, (tenant, user): Of<'_>, logged: &B32) {
        if self.memory.open.as_ref().is_some_and(|open| !open.ready) {
            let (tenant, user) = (tenant.into(), user.into());
            step.send_in(Peer::Authority, None, Body::KeyReturned { tenant, user, commitment: *logged });
        }
    }

    /// DEA-4, DIS-3: the account follows one entry of the log.
    pub(super) fn follow(&self, step: &mut Step<'_>, keyring: &Keyring, entry: &LogEntry) {
        let of = (entry.tenant.as_str(), entry.user.as_str());
        let account = self.account(step, keyring, of);
        let state = account.as_ref().map_or(AccountState::None, Account::state);
        // REV-2h: what was sent for a device before its deauthorization is void here from now on.
        let survive = step.quirks.has(Quirk::AttemptsSurvive);
        let deactivated = Decision::Standing(Standing::Deactivated as u8);
        if entry.decision == deactivated && !survive {
            self.close_attempts(step, keyring, of, None);
        }
        let next = match &entry.decision {
            Decision::Revoked(device) => {
                if !survive {
                    self.close_attempts(step, keyring, of, Some(device));
                }
                return;
            }
            Decision::Enrolled(logged) => {
                let as_logged = account.as_ref().is_some_and(|a| a.holds_key() && a.commitment == Some(*logged));
                if as_logged {
                    self.say_returned(step, of, logged);
                }
                if as_logged || state == AccountState::Purged {
                    return;
                }
                Account::lost()
            }
            Decision::Standing(standing) => {
                let standing = Standing::ALL.get(usize::from(*standing)).copied();
                match (standing, state, account) {
                    (Some(Standing::Purged), AccountState::Purged, _) => return,
                    (Some(Standing::Purged), ..) if step.quirks.has(Quirk::PurgedReturns) => return,
                    (Some(Standing::Purged), ..) => {
                        self.close_attempts(step, keyring, of, None);
                        // DEA-4a: also for a user of whom there is no account.
                        Account::tombstone()
                    }
                    (Some(Standing::Deactivated), AccountState::Active, Some(account)) => {
                        account.with_state(AccountState::Dormant)
                    }
                    (Some(Standing::Active | Standing::Suspended), AccountState::Dormant, Some(account)) => {
                        account.with_state(AccountState::Active)
                    }
                    _ => return,
                }
            }
        };
        self.put_account(step, keyring, of, &next);
    }
}
