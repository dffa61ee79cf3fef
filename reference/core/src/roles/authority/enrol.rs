//! Enrolment at the authority (ENR).

use bailee_spec::limits;
use bailee_spec::observation::Standing;
use bailee_spec::outcome::Refusal;

use super::*;
use crate::cbor;
use crate::crypto::{labels, password, sign};
use crate::machine::{PasswordCheck, PasswordChecked};
use crate::quirks::Quirk;
use crate::roles::signed::attempt_proof;
use crate::wire::{AdmissionBody, Blob, CARRIED_BYTES, Certificate, Decision, EscrowBody, ReceiptBody, Signed};

/// What the keystore says of a key that it holds.
struct Held<'a> {
    receipt: &'a Blob,
    signature: &'a Blob,
    escrow: &'a Blob,
    attempt: &'a B32,
}

impl Authority {
    pub(super) fn enrol(&self, step: &mut Step<'_>, asked: &Asked<'_>) -> Done {
        match asked.body {
            Body::SignIn { tenant, user, password } => self.sign_in(step, tenant, user, password),
            Body::BeginEnrolment { attempt, device, recipient, proof } => {
                self.begin(step, asked, attempt, device, recipient, proof)
            }
            Body::EnrolmentOpened { nonce, intake, signature, .. } => {
                let (nonce, intake, signature) = (*nonce, *intake, signature.clone());
                self.relay(step, asked, Body::Nonce { nonce, intake, signature })
            }
            Body::PresentCertificate { certificate, signature } => self.admit(step, asked, certificate, signature),
            Body::AccountCreated { .. } => self.relay(step, asked, Body::Admission),
            Body::EscrowKey { escrow, signature } => self.relay_escrow(step, escrow, signature),
            Body::Receipt { receipt, signature, escrow, attempt } => {
                self.take_receipt(step, asked, &Held { receipt, signature, escrow, attempt })
            }
            Body::AlreadyEscrowed { receipt, signature, escrow, attempt } => {
                self.learn_of_escrow(step, asked, &Held { receipt, signature, escrow, attempt })
            }
            _ => Err(Refusal::Malformed),
        }
    }

    /// ENR-2: the password is checked outside the step, by the record of the user or, for an unknown one, by one that nothing
    /// matches, so that both answers take as long.
    fn sign_in(&self, step: &mut Step<'_>, tenant: &str, name: &str, word: &Blob) -> Done {
        self.may_guess(step, tenant, name)?;
        let record = user(step, tenant, name).map_or_else(password::decoy, |record| record.password.to_vec());
        step.check_password(PasswordCheck { record, password: word.to_vec().into() });
        Ok(())
    }

    /// ENR-2, when the password was checked.
    pub(super) fn checked(&self, step: &mut Step<'_>, frame: &Frame, checked: &PasswordChecked) -> Done {
        let Body::SignIn { tenant, user: name, .. } = &frame.body else { return Err(Refusal::Malformed) };
        // Other guesses may have been checked meanwhile.
        self.may_guess(step, tenant, name)?;
        let record = user(step, tenant, name);
        let Some(record) = record.filter(|record| self.is_password(step, record, checked)) else {
            return self.count_guess(step, tenant, name);
        };
        GuessPlace::of(step, tenant, name).clear(step);
        record.in_good_standing()?;
        let id = step.fresh_id();
        let session = SessionRecord { tenant: tenant.into(), user: name.into(), expiry: step.deadline() };
        step.put(session_name(&id), &session);
        Newest::Sessions.add(step, (tenant, name), &id);
        step.send_in(Peer::Client, Some(id), Body::SessionOpened { enrolled: record.enrolled });
        Ok(())
    }

    /// The password matches the user's record as it is now.
    fn is_password(&self, step: &Step<'_>, record: &UserRecord, checked: &PasswordChecked) -> bool {
        let is_present = *checked.record == **record.password || step.quirks.has(Quirk::FormerPassword);
        (checked.matches && is_present) || step.quirks.has(Quirk::AnyPassword)
    }

    fn may_guess(&self, step: &mut Step<'_>, tenant: &str, name: &str) -> Done {
        let guesses = GuessPlace::of(step, tenant, name).get(step);
        let fresh = step.now <= guesses.last.saturating_add(limits::VALIDITY_SECONDS);
        if guesses.wrong >= limits::GUESSES && fresh { Err(Refusal::Throttled) } else { Ok(()) }
    }

    /// ENR-2b: a wrong password is counted, durably, before the answer.
    fn count_guess(&self, step: &mut Step<'_>, tenant: &str, name: &str) -> Done {
        let place = GuessPlace::of(step, tenant, name);
        let guesses = place.get(step);
        let over = step.now > guesses.last.saturating_add(limits::VALIDITY_SECONDS);
        let wrong = if over { 1 } else { guesses.wrong.saturating_add(1) };
        let last = step.now;
        place.put(step, Guesses { wrong, last });
        if !step.quirks.has(Quirk::GuessNotKept) {
            step.keep();
        }
        Err(Refusal::BadCredential)
    }

    /// The live session of a frame.
    fn session(&self, step: &mut Step<'_>, asked: &Asked<'_>) -> Result<SessionRecord, Refusal> {
        let record = asked.exchange.and_then(|id| session(step, &id)).ok_or(Refusal::SessionStale)?;
        if record.is_live(step.now) || step.quirks.has(Quirk::SessionNotChecked) {
            Ok(record)
        } else {
            Err(Refusal::SessionStale)
        }
    }

    /// The session and its user, in good standing.
    pub(super) fn signed_in(
        &self,
        step: &mut Step<'_>,
        asked: &Asked<'_>,
    ) -> Result<(SessionRecord, UserRecord), Refusal> {
        let session = self.session(step, asked)?;
        let user = user(step, &session.tenant, &session.user).ok_or(Refusal::BadCredential)?;
        user.in_good_standing()?;
        Ok((session, user))
    }

    pub(super) fn not_revoked(&self, step: &mut Step<'_>, id: &B32) -> Done {
        match device(step, id) {
            Some(record) if record.is_revoked() => Err(Refusal::DeviceRevoked),
            _ => Ok(()),
        }
    }

    /// ENR-4c: room for one more device of the user. Pending ones whose time is over make room, and so do deauthorized ones.
    pub(super) fn room_for_device(&self, step: &mut Step<'_>, session: &SessionRecord) -> Done {
        let mut served = Vec::new();
        for id in devices_of(step, &session.tenant, &session.user) {
            match device(step, &id) {
                Some(_) => served.push(id),
                None => step.remove(device_name(&id)),
            }
        }
        step.put(devices_name(&session.tenant, &session.user), &served);
        if served.len() < limits::DEVICES_PER_USER || step.quirks.has(Quirk::DevicesUnlimited) {
            Ok(())
        } else {
            Err(Refusal::TooLarge)
        }
    }

    /// ENR-4.
    fn begin(
        &self,
        step: &mut Step<'_>,
        asked: &Asked<'_>,
        attempt: &B32,
        id: &B32,
        recipient: &B32,
        proof: &Blob,
    ) -> Done {
        let (session, user) = self.signed_in(step, asked)?;
        self.not_revoked(step, id)?;
        let session_id = asked.exchange.ok_or(Refusal::SessionStale)?;
        let known = device(step, id);
        let of_another = known.as_ref().is_some_and(|record| !record.is_of(&session));
        let body = attempt_proof(&session_id, attempt, recipient);
        // ENR-4a: a proof by this device for this session, and a record that is one user's for good.
        if of_another || !sign::verify(id, labels::SIGN_ATTEMPT, &body, proof) {
            return Err(Refusal::BadCertificate);
        }
        // An attempt is one device's: its id is drawn by the device and says nothing to anybody else (ENR-4b).
        let is_anothers = last_attempt(step, attempt).is_some_and(|record| record.device != *id);
        if is_anothers && !step.quirks.has(Quirk::AttemptOfAnother) {
            return Err(Refusal::NotYourAttempt);
        }
        let expiry = step.deadline();
        // GEN-9: an attempt that is open keeps its state and its deadline, however often it is begun.
        if super::attempt(step, attempt).is_none() {
            step.put(attempt_name(attempt), &AttemptRecord { device: *id, state: AttemptState::Opened, expiry });
            Newest::Attempts.add(step, (&session.tenant, &session.user), attempt);
        }
        if known.is_none() {
            self.room_for_device(step, &session)?;
            let record = DeviceRecord {
                tenant: session.tenant.clone(),
                user: session.user.clone(),
                recipient: *recipient,
                state: DeviceState::Pending,
                expiry,
                revoked_at: 0,
            };
            put_device(step, id, &record);
        }
        let body = Body::OpenEnrolment { tenant: user.tenant, user: user.user, attempt: *attempt, device: *id };
        step.send(Peer::Keystore(0), body);
        Ok(())
    }

    /// ENR-6, ENR-10.
    fn relay(&self, step: &mut Step<'_>, asked: &Asked<'_>, body: Body) -> Done {
        self.of_generation(step, asked.generation)?;
        step.send(Peer::Client, body);
        Ok(())
    }

    /// DIS-3.
    pub(super) fn of_generation(&self, step: &mut Step<'_>, generation: Option<u64>) -> Done {
        let known = store(step).generation;
        if generation == Some(known) || step.quirks.has(Quirk::ReceiptOutlivesStore) {
            Ok(())
        } else {
            Err(Refusal::ReceiptInvalid)
        }
    }

    /// ENR-8: a certificate that is canonical (ENR-8a) and names what it must (ENR-8b). Nothing else signs an admission, and it leaves with
    /// the write that the attempt is admitted (ENR-8c).
    fn admit(&self, step: &mut Step<'_>, asked: &Asked<'_>, certificate: &Blob, signature: &Blob) -> Done {
        let (session, user) = self.signed_in(step, asked)?;
        let limit = limits::MESSAGE_BYTES;
        let claimed: Certificate = cbor::decode(certificate, limit).map_err(|_| Refusal::BadCertificate)?;
        self.not_revoked(step, &claimed.device)?;
        let mut attempt = super::attempt(step, &claimed.attempt).ok_or(Refusal::NotYourAttempt)?;
        let of_user = device(step, &claimed.device).is_some_and(|record| record.is_of(&session));
        let in_session =
            Some(claimed.session) == asked.exchange || step.quirks.has(Quirk::CertificateOfAnotherSession);
        let names_one = of_user && attempt.device == claimed.device && in_session;
        if !names_one || !sign::verify(&claimed.device, labels::SIGN_CERTIFICATE, certificate, signature) {
            return Err(Refusal::BadCertificate);
        }
        attempt.state = AttemptState::Admitted;
        step.put(attempt_name(&claimed.attempt), &attempt);
        let admission =
            AdmissionBody { tenant: user.tenant, user: user.user, attempt: claimed.attempt, nonce: claimed.nonce };
        let admission = cbor::encode(&admission);
        let signature = self.key.sign(labels::SIGN_ADMISSION, &admission);
        let body = Body::CreateAccount { admission: admission.into(), signature: signature.into() };
        step.send(Peer::Keystore(0), body);
        Ok(())
    }

    /// ENR-12. A body that is not canonical, or an attempt that nobody knows, is refused first (ENR-12a).
    fn relay_escrow(&self, step: &mut Step<'_>, escrow: &Blob, signature: &Blob) -> Done {
        if signature.len() > CARRIED_BYTES {
            return Err(Refusal::Malformed);
        }
        let claimed: EscrowBody = cbor::decode(escrow, CARRIED_BYTES).map_err(|_| Refusal::Malformed)?;
        let last = last_attempt(step, &claimed.attempt).ok_or(Refusal::NotAdmitted)?;
        self.not_revoked(step, &last.device)?;
        let attempt = attempt(step, &claimed.attempt).ok_or(Refusal::NotAdmitted)?;
        if attempt.state != AttemptState::Admitted {
            return Err(Refusal::NotAdmitted);
        }
        let device = device(step, &attempt.device).ok_or(Refusal::NotAdmitted)?;
        let body = Body::Escrow {
            tenant: device.tenant,
            user: device.user,
            device: attempt.device,
            escrow: escrow.clone(),
            signature: signature.clone(),
        };
        step.send(Peer::Keystore(0), body);
        Ok(())
    }

    /// ENR-14, ENR-16, DIS-4: what a receipt makes the log say, if it is of this store.
    fn log_key(&self, step: &mut Step<'_>, asked: &Asked<'_>, held: &Held<'_>) -> Done {
        self.of_generation(step, asked.generation)?;
        let receipt = Signed { body: held.receipt, signature: held.signature };
        let no = Refusal::ReceiptInvalid;
        let said: ReceiptBody = receipt.open(&self.keystore, labels::SIGN_RECEIPT, no, no)?;
        // ENR-14a: nobody signs the frame's generation; the keystore signs the receipt's.
        if !step.quirks.has(Quirk::ReceiptOfFormerStore) {
            self.of_generation(step, Some(said.generation))?;
        }
        let mut record = user(step, &said.tenant, &said.user).ok_or(no)?;
        // A user has one key: a receipt for another makes no device keep it (ENR-14b).
        let another = record.enrolled.is_some_and(|logged| logged != said.commitment);
        if another && matches!(asked.body, Body::Receipt { .. }) && !step.quirks.has(Quirk::SecondKeyTaken) {
            return Err(no);
        }
        let is_purged = record.standing() == Standing::Purged && !step.quirks.has(Quirk::PurgedIsLogged);
        if record.enrolled.is_none() && !is_purged {
            record.enrolled = Some(said.commitment);
            let index = log(step, &said.tenant, &said.user, Decision::Enrolled(said.commitment));
            let keeps = !step.quirks.has(Quirk::NothingIsKept) && !held.escrow.is_empty();
            record.kept = keeps.then(|| Kept { escrow: held.escrow.clone(), index });
            step.put(kept_name(index), &(said.tenant.clone(), said.user.clone()));
            step.put(user_name(&said.tenant, &said.user), &record);
        }
        Ok(())
    }

    fn close_attempt(&self, step: &mut Step<'_>, id: &B32) -> Option<B32> {
        let mut attempt = last_attempt(step, id)?;
        attempt.state = AttemptState::Closed;
        step.put(attempt_name(id), &attempt);
        Some(attempt.device)
    }

    /// ENR-14.
    fn take_receipt(&self, step: &mut Step<'_>, asked: &Asked<'_>, held: &Held<'_>) -> Done {
        self.log_key(step, asked, held)?;
        let id = self.close_attempt(step, held.attempt);
        // The escrow is a fact, whatever became of the device.
        step.keep();
        let id = id.ok_or(Refusal::NotYourAttempt)?;
        let mut record = device(step, &id).ok_or(Refusal::NotYourAttempt)?;
        if record.is_revoked() {
            return Err(Refusal::DeviceRevoked);
        }
        if record.state == DeviceState::Pending {
            record.state = DeviceState::Active;
            put_device(step, &id, &record);
        }
        let body = Body::Authorised { receipt: held.receipt.clone(), signature: held.signature.clone() };
        step.send(Peer::Client, body);
        Ok(())
    }

    /// ENR-16.
    fn learn_of_escrow(&self, step: &mut Step<'_>, asked: &Asked<'_>, held: &Held<'_>) -> Done {
        self.log_key(step, asked, held)?;
        self.close_attempt(step, held.attempt);
        step.send(Peer::Client, Body::GoReplace);
        Ok(())
    }
}
