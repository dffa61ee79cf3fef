//! The authority: users, devices, sessions, grants, jobs, and the order of releases and revocations.
//!
//! It has no memory of its own: every step reads the disk. It never sees an archive key, only what is sealed to others.

mod jobs;
mod records;
mod rights;

use bailee_spec::observation::Standing;
use bailee_spec::outcome::Refusal;

use crate::cbor;
use crate::crypto::sign::{self, PublicKey, Signing};
use crate::crypto::{labels, password};
use crate::disk::{Batch, Disk};
use crate::quirks::Quirk;
use crate::roles::device::{add_proof, attempt_proof};
use crate::roles::{Context, Effects, deadline, fresh_id, refusal_code};
use crate::wire::{AdmissionBody, B32, Blob, Body, Certificate, EscrowBody, Frame, GrantBody, ReceiptBody};

pub use records::*;
pub use rights::LogEntry;

/// The authority.
#[cfg_attr(feature = "fork", derive(Clone))]
pub struct Authority {
    /// Its disk.
    pub disk: Disk,
    key: Signing,
    /// The keystore's key for receipts, pinned.
    keystore: PublicKey,
    /// The restorer's key, pinned.
    restorer: PublicKey,
}

fn no(refusal: Refusal) -> Effects {
    Effects::refuse(refusal, Some(Body::Refusal { reason: refusal_code(refusal) }))
}

fn yes_or(result: Result<Effects, Refusal>) -> Effects {
    result.unwrap_or_else(no)
}

impl Authority {
    /// An authority that trusts this keystore and this restorer.
    pub fn new(key: Signing, keystore: PublicKey, restorer: PublicKey) -> Self {
        let mut disk = Disk::default();
        let mut batch = Batch::default();
        batch.put("totals", &Totals::default());
        batch.put("admin-right", &true);
        for point in 0..3u8 {
            batch.put([b'p', b'/', point], &PointRecord { confirmed: 0, lease: deadline(0) });
        }
        disk.commit(batch);
        Authority { disk, key, keystore, restorer }
    }

    /// Its public key.
    pub fn public(&self) -> PublicKey {
        self.key.public()
    }

    /// Adds a user with the hash of a password.
    pub fn add_user(&mut self, tenant: &str, user: &str, password_hash: Vec<u8>) {
        let mut batch = Batch::default();
        batch.put(user_name(tenant, user), &UserRecord::new(tenant, user, password_hash));
        self.disk.commit(batch);
    }

    /// One message.
    pub fn step(&self, cx: &mut Context<'_>, frame: &Frame) -> Effects {
        if let Some(exchange) = &frame.exchange
            && self.job(exchange).is_some()
        {
            return self.step_job(cx, exchange, frame);
        }
        match &frame.body {
            Body::SignIn { tenant, user, password: word } => self.sign_in(cx, tenant, user, word),
            Body::BeginEnrolment { attempt, device, recipient, proof } => {
                yes_or(self.begin(cx, frame, attempt, device, recipient, proof))
            }
            Body::EnrolmentOpened { nonce, intake, .. } => {
                self.relay(cx, frame, Body::Nonce { nonce: *nonce, intake: *intake })
            }
            Body::PresentCertificate { certificate, signature } => {
                yes_or(self.admit(cx, frame, certificate, signature))
            }
            Body::AccountCreated { .. } => self.relay(cx, frame, Body::Admission),
            Body::EscrowKey { escrow, signature } => yes_or(self.relay_escrow(cx, escrow, signature)),
            Body::Receipt { receipt, signature, escrow, attempt } => {
                self.take_receipt(cx, frame, receipt, signature, escrow, attempt)
            }
            Body::AlreadyEscrowed { receipt, signature, escrow, attempt } => {
                self.learn_of_escrow(cx, frame, receipt, signature, escrow, attempt)
            }
            Body::AddDevice { device, recipient, proof } => yes_or(self.add(cx, frame, device, recipient, proof)),
            Body::ConsumeGrant { grant } => self.consume(cx, frame, grant),
            Body::SealedKey { grant, sealed, receipt, signature } => yes_or(
                self.pass_key(cx, frame, grant)
                    .map(|()| Effects::accept().send(delivery(grant, sealed, receipt, signature))),
            ),
            Body::KeystoreRefusal { reason } => Effects::accept().send(Body::Refusal { reason: *reason }),
            _ => no(Refusal::Malformed),
        }
    }

    // Enrolment.

    /// ENR-2.
    fn sign_in(&self, cx: &mut Context<'_>, tenant: &str, user: &str, word: &Blob) -> Effects {
        let record = self.user(tenant, user);
        // An unknown user is answered as late as a wrong password.
        let hash = record.as_ref().map_or_else(password::decoy, |record| record.password.to_vec());
        let Some(record) = record.filter(|_| password::matches(&hash, word)) else {
            return no(Refusal::BadCredential);
        };
        if let Err(refusal) = in_good_standing(&record) {
            return no(refusal);
        }
        let id = fresh_id(cx.rng);
        let session = SessionRecord { tenant: tenant.into(), user: user.into(), expiry: deadline(cx.now) };
        let mut batch = Batch::default();
        batch.put(session_name(&id), &session);
        let mut effects = Effects::accept().durable(batch).send(Body::SessionOpened { enrolled: record.enrolled });
        effects.opens = Some(id);
        effects
    }

    /// The live session of a frame.
    fn session(&self, cx: &Context<'_>, frame: &Frame) -> Result<SessionRecord, Refusal> {
        let session = frame.exchange.as_ref().and_then(|id| self.disk.get::<SessionRecord>(session_name(id)));
        let session = session.ok_or(Refusal::SessionStale)?;
        if session.is_live(cx.now) || cx.quirks.has(Quirk::SessionNotChecked) {
            Ok(session)
        } else {
            Err(Refusal::SessionStale)
        }
    }

    /// The session and its user, in good standing.
    fn signed_in(&self, cx: &Context<'_>, frame: &Frame) -> Result<(SessionRecord, UserRecord), Refusal> {
        let session = self.session(cx, frame)?;
        let user = self.user(&session.tenant, &session.user).ok_or(Refusal::BadCredential)?;
        in_good_standing(&user)?;
        Ok((session, user))
    }

    fn not_revoked(&self, cx: &Context<'_>, device: &B32) -> Result<(), Refusal> {
        match self.device(cx.now, device) {
            Some(record) if record.is_revoked() => Err(Refusal::DeviceRevoked),
            _ => Ok(()),
        }
    }

    /// ENR-4.
    fn begin(
        &self,
        cx: &mut Context<'_>,
        frame: &Frame,
        attempt: &B32,
        device: &B32,
        recipient: &B32,
        proof: &Blob,
    ) -> Result<Effects, Refusal> {
        let (session, user) = self.signed_in(cx, frame)?;
        self.not_revoked(cx, device)?;
        let session_id = frame.exchange.ok_or(Refusal::SessionStale)?;
        let of_another = self.device(cx.now, device).is_some_and(|record| !record.is_of(&session));
        if of_another
            || !sign::verify(device, labels::SIGN_ATTEMPT, &attempt_proof(&session_id, attempt, recipient), proof)
        {
            return Err(Refusal::BadCertificate);
        }
        let mut batch = Batch::default();
        if self.attempt(cx.now, attempt).is_none() {
            let record = AttemptRecord { device: *device, state: AttemptState::Opened, expiry: deadline(cx.now) };
            batch.put(attempt_name(attempt), &record);
        }
        if self.device(cx.now, device).is_none() {
            let record = DeviceRecord {
                tenant: session.tenant.clone(),
                user: session.user.clone(),
                recipient: *recipient,
                state: DeviceState::Pending,
                expiry: deadline(cx.now),
            };
            batch.put(device_name(device), &record);
        }
        let body = Body::OpenEnrolment { tenant: user.tenant, user: user.user, attempt: *attempt, device: *device };
        Ok(Effects::accept().durable(batch).send(body))
    }

    /// ENR-6, ENR-10.
    fn relay(&self, cx: &Context<'_>, frame: &Frame, body: Body) -> Effects {
        yes_or(self.of_this_store(cx, frame).map(|()| Effects::accept().send(body)))
    }

    /// DIS-3.
    fn of_this_store(&self, cx: &Context<'_>, frame: &Frame) -> Result<(), Refusal> {
        self.of_generation(cx, frame.generation)
    }

    fn of_generation(&self, cx: &Context<'_>, generation: Option<u64>) -> Result<(), Refusal> {
        let known = self.totals().store_generation;
        if generation == Some(known) || cx.quirks.has(Quirk::ReceiptOutlivesStore) {
            Ok(())
        } else {
            Err(Refusal::ReceiptInvalid)
        }
    }

    /// ENR-8.
    fn admit(
        &self,
        cx: &mut Context<'_>,
        frame: &Frame,
        certificate: &Blob,
        signature: &Blob,
    ) -> Result<Effects, Refusal> {
        let (session, user) = self.signed_in(cx, frame)?;
        let limit = bailee_spec::limits::MESSAGE_BYTES;
        let claimed: Certificate = cbor::decode(certificate, limit).map_err(|_| Refusal::BadCertificate)?;
        self.not_revoked(cx, &claimed.device)?;
        let mut attempt = self.attempt(cx.now, &claimed.attempt).ok_or(Refusal::NotYourAttempt)?;
        let of_user = self.device(cx.now, &claimed.device).is_some_and(|record| record.is_of(&session));
        let names_one = of_user && attempt.device == claimed.device && Some(claimed.session) == frame.exchange;
        if !names_one || !sign::verify(&claimed.device, labels::SIGN_CERTIFICATE, certificate, signature) {
            return Err(Refusal::BadCertificate);
        }
        attempt.state = AttemptState::Admitted;
        let mut batch = Batch::default();
        batch.put(attempt_name(&claimed.attempt), &attempt);
        let admission =
            AdmissionBody { tenant: user.tenant, user: user.user, attempt: claimed.attempt, nonce: claimed.nonce };
        let admission = cbor::encode(&admission);
        let signature = self.key.sign(labels::SIGN_ADMISSION, &admission);
        let body = Body::CreateAccount { admission: admission.into(), signature: signature.into() };
        Ok(Effects::accept().durable(batch).send(body))
    }

    /// ENR-12.
    fn relay_escrow(&self, cx: &Context<'_>, escrow: &Blob, signature: &Blob) -> Result<Effects, Refusal> {
        let limit = bailee_spec::limits::MESSAGE_BYTES;
        let claimed: EscrowBody = cbor::decode(escrow, limit).map_err(|_| Refusal::Malformed)?;
        let last = self.last_attempt(&claimed.attempt).ok_or(Refusal::NotAdmitted)?;
        self.not_revoked(cx, &last.device)?;
        let attempt = self.attempt(cx.now, &claimed.attempt).ok_or(Refusal::NotAdmitted)?;
        if attempt.state != AttemptState::Admitted {
            return Err(Refusal::NotAdmitted);
        }
        let device = self.device(cx.now, &attempt.device).ok_or(Refusal::NotAdmitted)?;
        let body = Body::Escrow {
            tenant: device.tenant,
            user: device.user,
            device: attempt.device,
            escrow: escrow.clone(),
            signature: signature.clone(),
        };
        Ok(Effects::accept().send(body))
    }

    /// What a receipt makes the log say, in the batch (ENR-14, DIS-4).
    fn log_key(
        &self,
        cx: &Context<'_>,
        receipt: &Blob,
        signature: &Blob,
        escrow: &Blob,
        batch: &mut Batch,
    ) -> Result<(), Refusal> {
        let limit = bailee_spec::limits::MESSAGE_BYTES;
        let said: ReceiptBody = cbor::decode(receipt, limit).map_err(|_| Refusal::ReceiptInvalid)?;
        if !sign::verify(&self.keystore, labels::SIGN_RECEIPT, receipt, signature) {
            return Err(Refusal::ReceiptInvalid);
        }
        // The frame's generation is nobody's word; the receipt's is the keystore's.
        self.of_generation(cx, Some(said.generation))?;
        let mut user = self.user(&said.tenant, &said.user).ok_or(Refusal::ReceiptInvalid)?;
        if user.enrolled.is_none() && user.standing != standing_code(Standing::Purged) {
            user.enrolled = Some(said.commitment);
            user.kept = (!cx.quirks.has(Quirk::NothingIsKept)).then(|| escrow.clone());
            batch.put(user_name(&said.tenant, &said.user), &user);
        }
        Ok(())
    }

    /// The batch that ENR-14 and ENR-16 begin with: the log names the key, if the answer is of this store.
    fn logged(
        &self,
        cx: &Context<'_>,
        frame: &Frame,
        receipt: &Blob,
        signature: &Blob,
        escrow: &Blob,
    ) -> Result<Batch, Refusal> {
        self.of_this_store(cx, frame)?;
        let mut batch = Batch::default();
        self.log_key(cx, receipt, signature, escrow, &mut batch)?;
        Ok(batch)
    }

    fn close_attempt(&self, id: &B32, batch: &mut Batch) -> Option<B32> {
        let mut attempt = self.last_attempt(id)?;
        attempt.state = AttemptState::Closed;
        batch.put(attempt_name(id), &attempt);
        Some(attempt.device)
    }

    /// ENR-14.
    fn take_receipt(
        &self,
        cx: &Context<'_>,
        frame: &Frame,
        receipt: &Blob,
        signature: &Blob,
        escrow: &Blob,
        attempt: &B32,
    ) -> Effects {
        let mut batch = match self.logged(cx, frame, receipt, signature, escrow) {
            Ok(batch) => batch,
            Err(refusal) => return no(refusal),
        };
        let device = self.close_attempt(attempt, &mut batch);
        let record = device.as_ref().and_then(|device| Some((device, self.device(cx.now, device)?)));
        let effects = match record {
            Some((device, mut record)) if !record.is_revoked() => {
                if record.state == DeviceState::Pending {
                    record.state = DeviceState::Active;
                    batch.put(device_name(device), &record);
                }
                let body = Body::Authorised { receipt: receipt.clone(), signature: signature.clone() };
                Effects::accept().send(body)
            }
            Some(_) => no(Refusal::DeviceRevoked),
            None => no(Refusal::NotYourAttempt),
        };
        effects.durable(batch)
    }

    /// ENR-16.
    fn learn_of_escrow(
        &self,
        cx: &Context<'_>,
        frame: &Frame,
        receipt: &Blob,
        signature: &Blob,
        escrow: &Blob,
        attempt: &B32,
    ) -> Effects {
        let mut batch = match self.logged(cx, frame, receipt, signature, escrow) {
            Ok(batch) => batch,
            Err(refusal) => return no(refusal),
        };
        self.close_attempt(attempt, &mut batch);
        Effects::accept().durable(batch).send(Body::GoReplace)
    }

    // Replacement.

    /// REP-1.
    fn add(
        &self,
        cx: &mut Context<'_>,
        frame: &Frame,
        device: &B32,
        recipient: &B32,
        proof: &Blob,
    ) -> Result<Effects, Refusal> {
        let (session, user) = self.signed_in(cx, frame)?;
        self.not_revoked(cx, device)?;
        if user.enrolled.is_none() {
            return Err(Refusal::NotEnrolled);
        }
        let session_id = frame.exchange.ok_or(Refusal::SessionStale)?;
        // A device belongs to one user for good: nobody takes another's record over.
        let of_another = self.device(cx.now, device).is_some_and(|record| !record.is_of(&session));
        if of_another || !sign::verify(device, labels::SIGN_ADD_DEVICE, &add_proof(&session_id, recipient), proof) {
            return Err(Refusal::BadCertificate);
        }
        let record = DeviceRecord {
            tenant: session.tenant.clone(),
            user: session.user.clone(),
            recipient: *recipient,
            state: DeviceState::Active,
            expiry: u64::MAX,
        };
        let mut batch = Batch::default();
        batch.put(device_name(device), &record);
        let holder = GrantHolder::Device(*device);
        let body = self.grant(cx, &user, *recipient, holder, frame.exchange, &mut batch);
        Ok(Effects::accept().durable(batch).send(body))
    }

    /// A grant, remembered as unused.
    fn grant(
        &self,
        cx: &mut Context<'_>,
        user: &UserRecord,
        recipient: B32,
        holder: GrantHolder,
        exchange: Option<B32>,
        batch: &mut Batch,
    ) -> Body {
        let id = fresh_id(cx.rng);
        let epoch = self.totals().epoch;
        let expiry = match &exchange {
            Some(exchange) => self.exchange_expiry(exchange).unwrap_or(0),
            None => 0,
        };
        let grant = GrantBody { id, tenant: user.tenant.clone(), user: user.user.clone(), recipient, epoch, expiry };
        let record =
            GrantRecord { tenant: user.tenant.clone(), user: user.user.clone(), holder, exchange, used: false };
        batch.put(grant_name(&id), &record);
        let grant = cbor::encode(&grant);
        let signature = self.key.sign(labels::SIGN_GRANT, &grant);
        Body::ReleaseKey { grant: grant.into(), signature: signature.into() }
    }

    /// When the session or the job of an exchange ends.
    fn exchange_expiry(&self, exchange: &B32) -> Option<u64> {
        if let Some(job) = self.job(exchange) {
            return Some(job.deadline);
        }
        let session = self.disk.get::<SessionRecord>(session_name(exchange))?;
        Some(session.expiry)
    }

    /// REP-3.
    fn consume(&self, cx: &Context<'_>, frame: &Frame, id: &B32) -> Effects {
        let refused = |refusal| Effects::refuse(refusal, Some(Body::GrantRefused { grant: *id }));
        let Some(mut grant) = self.disk.get::<GrantRecord>(grant_name(id)) else {
            return refused(Refusal::GrantVoid);
        };
        let active = match &grant.holder {
            GrantHolder::Device(device) => {
                self.device(cx.now, device).is_some_and(|record| record.state == DeviceState::Active)
            }
            GrantHolder::Job(_) => false,
        };
        let live = self.session(cx, frame).is_ok();
        let own = grant.exchange == frame.exchange;
        if (grant.used || !active || !live || !own) && !cx.quirks.has(Quirk::RevokedConsumes) {
            return refused(Refusal::GrantVoid);
        }
        let Some(user) = self.user(&grant.tenant, &grant.user) else { return refused(Refusal::GrantVoid) };
        if let Err(refusal) = in_good_standing(&user) {
            return refused(refusal);
        }
        grant.used = true;
        self.consumed(id, &grant)
    }

    /// The log records the release, then the keystore hears of it.
    fn consumed(&self, id: &B32, grant: &GrantRecord) -> Effects {
        let mut batch = Batch::default();
        batch.put(grant_name(id), grant);
        let mut totals = self.totals();
        totals.released += 1;
        batch.put("totals", &totals);
        let epoch = totals.epoch;
        let signature = self.key.sign(labels::SIGN_CONSUMED, &consumed_body(id, epoch));
        Effects::accept().durable(batch).send(Body::GrantConsumed { grant: *id, epoch, signature: signature.into() })
    }

    /// REP-6.
    fn pass_key(&self, cx: &Context<'_>, frame: &Frame, id: &B32) -> Result<(), Refusal> {
        self.of_this_store(cx, frame)?;
        let grant = self.disk.get::<GrantRecord>(grant_name(id)).ok_or(Refusal::GrantVoid)?;
        let GrantHolder::Device(device) = &grant.holder else { return Err(Refusal::GrantVoid) };
        let active = self.device(cx.now, device).is_some_and(|record| record.state == DeviceState::Active);
        if !active && !cx.quirks.has(Quirk::RevokedIsServed) {
            return Err(Refusal::DeviceRevoked);
        }
        let user = self.user(&grant.tenant, &grant.user).ok_or(Refusal::GrantVoid)?;
        in_good_standing(&user)
    }
}

/// A released key on its way on.
fn delivery(grant: &B32, sealed: &Blob, receipt: &Blob, signature: &Blob) -> Body {
    Body::KeyDelivery {
        grant: *grant,
        sealed: sealed.clone(),
        receipt: receipt.clone(),
        signature: signature.clone(),
    }
}

/// The standing that a user needs to be served as usual.
fn in_good_standing(user: &UserRecord) -> Result<(), Refusal> {
    match Standing::ALL[user.standing as usize] {
        Standing::Active => Ok(()),
        Standing::Suspended => Err(Refusal::UserSuspended),
        Standing::Deactivated | Standing::Purged => Err(Refusal::UserDeactivated),
    }
}

/// What the authority signs when it consumes a grant.
pub(crate) fn consumed_body(grant: &B32, epoch: u64) -> Vec<u8> {
    cbor::encode(&(*grant, epoch))
}
