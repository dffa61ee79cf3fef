//! What the authority keeps, and how it is named on its disk.

use bailee_spec::observation::{JobKind, JobState, Standing};
use minicbor::{Decode, Encode};

use super::Authority;
use crate::wire::{B32, Blob};

/// The number of a standing on disk.
pub fn standing_code(standing: Standing) -> u8 {
    standing as u8
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs, reason = "named after rule ENR-2 and DIS-4")]
pub struct UserRecord {
    #[n(0)]
    pub tenant: String,
    #[n(1)]
    pub user: String,
    #[n(2)]
    pub standing: u8,
    #[n(3)]
    pub enrolled: Option<B32>,
    #[n(4)]
    pub kept: Option<Blob>,
    #[n(5)]
    pub password: Blob,
}

impl UserRecord {
    pub(super) fn new(tenant: &str, user: &str, password: Vec<u8>) -> Self {
        UserRecord {
            tenant: tenant.into(),
            user: user.into(),
            standing: standing_code(Standing::Active),
            enrolled: None,
            kept: None,
            password: password.into(),
        }
    }
}

/// How far a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
#[allow(missing_docs, reason = "the states of rule REV-3")]
pub enum DeviceState {
    #[n(1)]
    Pending,
    #[n(2)]
    Active,
    #[n(3)]
    Revoking,
    #[n(4)]
    Revoked,
}

/// A device, under its identity key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs, reason = "named after rule ENR-4")]
pub struct DeviceRecord {
    #[n(0)]
    pub tenant: String,
    #[n(1)]
    pub user: String,
    #[n(2)]
    pub recipient: B32,
    #[n(3)]
    pub state: DeviceState,
    #[n(4)]
    pub expiry: u64,
}

impl DeviceRecord {
    /// Of the user who is signed in.
    pub fn is_of(&self, session: &SessionRecord) -> bool {
        self.tenant == session.tenant && self.user == session.user
    }

    /// Deauthorized, acknowledged or not.
    pub fn is_revoked(&self) -> bool {
        matches!(self.state, DeviceState::Revoking | DeviceState::Revoked)
    }
}

/// How far an attempt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
#[allow(missing_docs, reason = "the states of rule ENR-4")]
pub enum AttemptState {
    #[n(0)]
    Opened,
    #[n(1)]
    Admitted,
    #[n(2)]
    Closed,
}

/// An enrolment attempt.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs, reason = "named after rule ENR-4")]
pub struct AttemptRecord {
    #[n(0)]
    pub device: B32,
    #[n(1)]
    pub state: AttemptState,
    #[n(2)]
    pub expiry: u64,
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs, reason = "named after rule ENR-2")]
pub struct SessionRecord {
    #[n(0)]
    pub tenant: String,
    #[n(1)]
    pub user: String,
    #[n(2)]
    pub expiry: u64,
}

impl SessionRecord {
    /// Within its time.
    pub fn is_live(&self, now: u64) -> bool {
        now <= self.expiry
    }
}

/// Whom a grant serves.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs, reason = "the two recipients of rule REP-1 and JOB-2")]
pub enum GrantHolder {
    #[n(0)]
    Device(#[n(0)] B32),
    #[n(1)]
    Job(#[n(0)] B32),
}

/// A grant.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs, reason = "named after rule REP-1")]
pub struct GrantRecord {
    #[n(0)]
    pub tenant: String,
    #[n(1)]
    pub user: String,
    #[n(2)]
    pub holder: GrantHolder,
    #[n(3)]
    pub exchange: Option<B32>,
    #[n(4)]
    pub used: bool,
}

/// A job.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs, reason = "named after rule JOB-1")]
pub struct JobRecord {
    #[n(0)]
    pub tenant: String,
    #[n(1)]
    pub user: String,
    #[n(2)]
    pub kind: u8,
    #[n(3)]
    pub state: u8,
    #[n(4)]
    pub deadline: u64,
}

impl JobRecord {
    /// Its state now: a job whose lease is over is over, and so is one in a state that nobody knows.
    pub fn state_at(&self, now: u64) -> JobState {
        let known = JobState::ALL.get(usize::from(self.state)).copied().unwrap_or(JobState::None);
        if now > self.deadline { JobState::None } else { known }
    }

    /// What it is for; none for a kind that nobody knows.
    pub fn kind(&self) -> Option<JobKind> {
        JobKind::ALL.get(usize::from(self.kind)).copied()
    }
}

/// An admission point, as the authority knows it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs, reason = "named after rule REV-2")]
pub struct PointRecord {
    #[n(0)]
    pub confirmed: u64,
    #[n(1)]
    pub lease: u64,
}

/// Counters and marks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Totals {
    /// The revocation epoch.
    #[n(0)]
    pub epoch: u64,
    /// Releases recorded.
    #[n(1)]
    pub released: u64,
    /// Jobs on behalf.
    #[n(2)]
    pub on_behalf: u64,
    /// Notices to owners.
    #[n(3)]
    pub notices: u64,
    /// The newest store generation that was seen.
    #[n(4)]
    pub store_generation: u64,
    /// The digest of the witnessed snapshot.
    #[n(5)]
    pub snapshot: Option<B32>,
    /// The job under way or last under way.
    #[n(6)]
    pub job: Option<B32>,
}

/// The name of a user's record.
pub fn user_name(tenant: &str, user: &str) -> Vec<u8> {
    format!("u/{}/{tenant}/{user}", tenant.len()).into_bytes()
}

fn name(kind: u8, id: &B32) -> Vec<u8> {
    [&[kind, b'/'], &id[..]].concat()
}

pub(super) fn device_name(device: &B32) -> Vec<u8> {
    name(b'd', device)
}

pub(super) fn attempt_name(attempt: &B32) -> Vec<u8> {
    name(b'a', attempt)
}

pub(super) fn session_name(session: &B32) -> Vec<u8> {
    name(b's', session)
}

pub(super) fn grant_name(grant: &B32) -> Vec<u8> {
    name(b'g', grant)
}

pub(super) fn job_name(job: &B32) -> Vec<u8> {
    name(b'j', job)
}

impl Authority {
    /// A user's record.
    pub fn user(&self, tenant: &str, user: &str) -> Option<UserRecord> {
        self.disk.get(user_name(tenant, user))
    }

    /// A device's record; a pending one whose attempt is over is none.
    pub fn device(&self, now: u64, device: &B32) -> Option<DeviceRecord> {
        let record: DeviceRecord = self.disk.get(device_name(device))?;
        (record.state != DeviceState::Pending || now <= record.expiry).then_some(record)
    }

    /// An attempt that is open.
    pub fn attempt(&self, now: u64, attempt: &B32) -> Option<AttemptRecord> {
        self.last_attempt(attempt).filter(|record| record.state != AttemptState::Closed && now <= record.expiry)
    }

    /// An attempt, open or not.
    pub(super) fn last_attempt(&self, attempt: &B32) -> Option<AttemptRecord> {
        self.disk.get(attempt_name(attempt))
    }

    /// A job's record.
    pub fn job(&self, job: &B32) -> Option<JobRecord> {
        self.disk.get(job_name(job))
    }

    /// Counters and marks.
    pub fn totals(&self) -> Totals {
        self.disk.get("totals").unwrap_or_default()
    }

    /// Whether the exchange's session or job is within its time.
    pub fn exchange_is_live(&self, now: u64, exchange: &B32) -> bool {
        match self.job(exchange) {
            Some(job) => now <= job.deadline,
            None => {
                self.disk.get::<SessionRecord>(session_name(exchange)).is_some_and(|session| session.is_live(now))
            }
        }
    }
}
