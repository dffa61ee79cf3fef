//! The authority: users, devices, sessions, grants, jobs, and the order of releases and revocations.
//!
//! It has no memory of its own: every step reads the store. It never sees an archive key, only what is sealed to others.

mod enrol;
pub mod jobs;
mod records;
mod release;
mod revocation;
mod rights;

use bailee_spec::action::Point;
use bailee_spec::outcome::Refusal;

use crate::crypto::sign::{PublicKey, Signing};
use crate::machine::{Done, Input, Outgoing, Peer, Role, Step, Timer, refusal_code};
use crate::store::Batch;
use crate::wire::{B32, Body, Frame, Place};

pub use records::*;

/// The authority.
#[cfg_attr(feature = "testing", derive(Clone))]
pub struct Authority {
    key: Signing,
    /// The keystore's key for receipts, pinned (GEN-16).
    keystore: PublicKey,
    /// The restorer's key, pinned.
    restorer: PublicKey,
    /// The most jobs under way at once, over all users; at most `JOBS`.
    jobs: usize,
    /// The points that it serves: keystore, storage, restorer.
    points: [bool; 3],
    memory: (),
}

/// A frame of an exchange with a device or about it, as the handlers want it.
pub(super) struct Asked<'a> {
    pub(super) exchange: Option<B32>,
    pub(super) generation: Option<u64>,
    pub(super) body: &'a Body,
}

impl Authority {
    /// An authority that trusts this keystore and this restorer.
    pub fn new(key: Signing, keystore: PublicKey, restorer: PublicKey) -> Self {
        Authority { key, keystore, restorer, jobs: bailee_spec::limits::JOBS, points: [true; 3], memory: () }
    }

    /// With fewer jobs at once.
    pub fn with_jobs(mut self, jobs: usize) -> Self {
        self.jobs = jobs.min(bailee_spec::limits::JOBS);
        self
    }

    /// Serves these points alone: the others get no lease, and nothing waits for them (PUB-1).
    pub(crate) fn serve_only(&mut self, points: &[Point]) {
        self.points = Point::ALL.map(|point| points.contains(&point));
    }

    /// Its public key.
    pub fn public(&self) -> PublicKey {
        self.key.public()
    }

    /// Adds a user with the record of a password: an import, done by the one who sets the service up (GEN-19a).
    pub fn add_user(batch: &mut Batch, tenant: &str, user: &str, password: Vec<u8>) {
        batch.put(user_name(tenant, user), crate::cbor::encode(&UserRecord::new(tenant, user, password)));
    }

    /// Adds an administrator of a tenant.
    pub fn add_admin(batch: &mut Batch, tenant: &str, admin: &str, rights: AdminRecord) {
        batch.put(admin_name(tenant, admin), crate::cbor::encode(&rights));
    }

    fn frame(&mut self, step: &mut Step<'_>, from: &Peer, frame: &Frame) -> Done {
        let asked = Asked { exchange: frame.exchange, generation: frame.generation, body: &frame.body };
        // NET-8: an exchange that names a job is the job's; any other is a session's.
        if let Some(exchange) = &frame.exchange
            && job(step, exchange).is_some()
        {
            return self.in_job(step, exchange, &asked);
        }
        match &frame.body {
            Body::SignIn { .. }
            | Body::BeginEnrolment { .. }
            | Body::EnrolmentOpened { .. }
            | Body::PresentCertificate { .. }
            | Body::AccountCreated { .. }
            | Body::EscrowKey { .. }
            | Body::Receipt { .. }
            | Body::AlreadyEscrowed { .. } => self.enrol(step, &asked),
            Body::AddDevice { .. }
            | Body::ConsumeGrant { .. }
            | Body::SealedKey { .. }
            | Body::KeystoreRefusal { .. } => self.replace(step, &asked),
            Body::GetCapability { read } => self.give_capability(step, from, *read),
            Body::Report => self.report(step, from),
            Body::Confirm { index, epoch } => self.confirmed(step, from, frame.generation, (*index, *epoch)),
            Body::Awake { index, covers } => self.awake(step, from, frame.generation, *index, *covers),
            Body::GetIntake { nonce } => self.ask_intake(step, from, nonce),
            Body::Intake { nonce: _, intake, signature } => {
                step.send(Peer::Client, Body::IntakeOffered { intake: *intake, signature: signature.clone() });
                Ok(())
            }
            Body::ReEscrow { escrow } => self.re_escrow(step, from, escrow),
            Body::KeyReturned { tenant, user, commitment } => {
                self.of_generation(step, frame.generation)?;
                self.key_returned(step, tenant, user, commitment)
            }
            Body::SnapshotTaken { digest, share_epoch, covers } => {
                self.witness(step, from, digest, *share_epoch, *covers)
            }
            Body::GetWitness => self.tell_witness(step, from),
            _ => self.order(step, from, &frame.body),
        }
    }

    /// What a person orders at an endpoint that names the caller.
    fn order(&mut self, step: &mut Step<'_>, from: &Peer, body: &Body) -> Done {
        match body {
            Body::RequestJob { tenant, user } => self.request(step, from, tenant, user),
            Body::AbortJob { tenant, user } => self.abort(step, from, tenant, user),
            Body::Deauthorize { tenant, user, device } => self.deauthorize(step, from, (tenant, user), device),
            Body::SetStanding { tenant, user, change } => self.set_standing(step, from, tenant, user, *change),
            Body::SetRight { tenant, admin, restore } => self.set_right(step, from, tenant, admin, *restore),
            Body::ReplayKey { tenant, user } => self.replay(step, from, tenant, user),
            // NET-9: a kind that comes in no such lane.
            _ => Err(Refusal::Malformed),
        }
    }
}

impl Role for Authority {
    type Memory = ();

    fn place(&self) -> Place {
        Place::Authority
    }

    fn memory(&mut self) -> &mut () {
        &mut self.memory
    }

    fn handle(&mut self, step: &mut Step<'_>, input: Input<'_>) -> Done {
        match input {
            Input::Frame { from, frame } => self.frame(step, from, frame),
            Input::Checked { checked, frame, .. } => self.checked(step, frame, checked),
            Input::Timer(Timer::Publish(point)) => self.publish(step, *point),
            Input::Timer(Timer::Acknowledge) => {
                self.acknowledge(step);
                Ok(())
            }
            Input::Timer(Timer::Job(id)) => self.order_end(step, id),
            Input::Timer(Timer::Started) => {
                self.start(step);
                Ok(())
            }
            Input::Timer(_) => Err(Refusal::OutOfTurn),
        }
    }

    /// ENR-19, NET-15: a refused reply of the keystore is told to the one whose exchange it is; a refused consumption to the keystore.
    fn answer(&self, from: &Peer, frame: &Frame, refusal: Refusal) -> Option<Outgoing> {
        let to = match (from, &frame.body) {
            (Peer::Keystore(_), Body::ConsumeGrant { grant, .. }) => {
                let body = Body::GrantRefused { grant: *grant };
                let frame = Frame { exchange: frame.exchange, generation: None, body };
                return Some(Outgoing { to: from.clone(), frame });
            }
            (_, Body::Awake { .. } | Body::Confirm { .. } | Body::GetWitness) => return None,
            // JOB-3: a message of a job that is over is told to nobody.
            (Peer::Keystore(_), _) if refusal == Refusal::JobOver => return None,
            (Peer::Keystore(_), _) if frame.exchange.is_some() => Peer::Client,
            (Peer::Client | Peer::Device(_) | Peer::Person(_), _) => from.clone(),
            _ => return None,
        };
        let body = Body::Refusal { reason: refusal_code(refusal) };
        Some(Outgoing { to, frame: Frame { exchange: frame.exchange, generation: None, body } })
    }
}
