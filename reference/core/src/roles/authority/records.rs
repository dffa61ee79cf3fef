//! What the authority keeps, and how it is named in its store (GEN-17).

use bailee_spec::action::Point;
use bailee_spec::limits;
use bailee_spec::observation::{JobKind, JobState, Standing};
use bailee_spec::outcome::Refusal;
use hmac::{Hmac, KeyInit, Mac};
use minicbor::{Decode, Encode};
use sha2::Sha256;

use crate::crypto::labels;
use crate::machine::{Peer, Person, Step};
use crate::quirks::Quirk;
use crate::wire::{B32, Blob, Decision, LogEntry};

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
    pub kept: Option<Kept>,
    #[n(5)]
    pub password: Blob,
}

/// An escrow message that the authority keeps until a snapshot covers it (DIS-4).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs, reason = "named after rule DIS-4")]
pub struct Kept {
    #[n(0)]
    pub escrow: Blob,
    /// How long the log was when it named the key.
    #[n(1)]
    pub index: u64,
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

    /// The standing; a number that nobody knows is the least.
    pub fn standing(&self) -> Standing {
        Standing::ALL.get(usize::from(self.standing)).copied().unwrap_or(Standing::Purged)
    }

    /// The standing that a user needs to be served as usual.
    pub(super) fn in_good_standing(&self) -> Result<(), Refusal> {
        match self.standing() {
            Standing::Active => Ok(()),
            Standing::Suspended => Err(Refusal::UserSuspended),
            Standing::Deactivated | Standing::Purged => Err(Refusal::UserDeactivated),
        }
    }
}

/// How far a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
#[allow(
    missing_docs,
    reason = "the states of rule REV-3; a revoked device is `Revoking` until its epoch is acknowledged"
)]
pub enum DeviceState {
    #[n(1)]
    Pending,
    #[n(2)]
    Active,
    #[n(3)]
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
    /// The revocation epoch of its deauthorization; 0 before.
    #[n(5)]
    pub revoked_at: u64,
}

impl DeviceRecord {
    /// Of the user who is signed in.
    pub fn is_of(&self, session: &SessionRecord) -> bool {
        (self.tenant == session.tenant || Quirk::DeviceOfNamesake.is_on()) && self.user == session.user
    }

    /// Deauthorized, acknowledged or not.
    pub fn is_revoked(&self) -> bool {
        self.state == DeviceState::Revoked
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
        now < self.expiry || (now == self.expiry && !Quirk::SessionEndsEarly.is_on())
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
    pub exchange: B32,
    #[n(4)]
    pub used: bool,
}

/// A job (JOB-1). A user has one at a time.
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
    /// The administrator who asked; none for the user's own job and for maintenance.
    #[n(5)]
    pub admin: Option<String>,
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

/// An admission point, as the authority knows it (REV-2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct PointRecord {
    /// The newest epoch that the point confirmed.
    #[n(0)]
    pub epoch: u64,
    /// How many entries of the log it confirmed.
    #[n(1)]
    pub index: u64,
    /// The latest end of a lease that was ever named to it, written before it was sent (REV-2e).
    #[n(2)]
    pub lease: u64,
}

/// The revocation epoch, and how far it is acknowledged (REV-3).
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Epochs {
    /// The newest.
    #[n(0)]
    pub newest: u64,
    /// Every revocation up to here is acknowledged.
    #[n(1)]
    pub acknowledged: u64,
}

/// A snapshot that may be restored (DIS-1).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs, reason = "named after rule DIS-1")]
pub struct Witness {
    #[n(0)]
    pub digest: B32,
    #[n(1)]
    pub share_epoch: u64,
    /// How long the log was before it was taken: every key that the log named by then is in it, except those of `lost`.
    #[n(2)]
    pub covers: u64,
}

/// What the authority knows of the keystore's store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct StoreRecord {
    /// The newest generation.
    #[n(0)]
    pub generation: u64,
    /// The snapshot that may be restored.
    #[n(1)]
    pub snapshot: Option<Witness>,
    /// Ranges of the log, first and last entry, whose keys were lost in a restore and have not come back.
    #[n(2)]
    pub lost: Vec<(u64, u64)>,
}

impl StoreRecord {
    /// Whether the key that the log named as its entry `index` is in a witnessed snapshot (DIS-4a).
    pub fn covers(&self, index: u64) -> bool {
        let covered = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.covers);
        index <= covered && !self.lost.iter().any(|(first, last)| (*first..=*last).contains(&index))
    }
}

/// Jobs on behalf, and the notices to owners that were written with them (JOB-12).
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs, reason = "named after rule JOB-12")]
pub struct OnBehalf {
    #[n(0)]
    pub jobs: u64,
    #[n(1)]
    pub notices: u64,
}

/// What an administrator may do in the own tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct AdminRecord {
    /// Restore on a user's behalf (JOB-1).
    #[n(0)]
    pub restore: bool,
    /// Suspend, deactivate and deauthorize (SUS, DEA, REV-1).
    #[n(1)]
    pub users: bool,
    /// Give and withdraw rights (JOB-8).
    #[n(2)]
    pub rights: bool,
}

/// Wrong passwords in a row, and when the last one was (ENR-2b).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs, reason = "named after rule ENR-2b")]
pub struct Guesses {
    #[n(0)]
    pub wrong: u64,
    #[n(1)]
    pub last: u64,
}

/// The record of the revocation epochs.
pub const EPOCHS: &str = "epochs";
/// The record of the length of the log.
pub const HEAD: &str = "head";
/// The record of the number of releases.
pub const RELEASED: &str = "released";
/// The record of the jobs on behalf.
pub const ON_BEHALF: &str = "on-behalf";
/// The record of the keystore's store.
pub const STORE: &str = "store";
/// The record of the secret by which names that nobody has are put into places (ENR-2c).
pub const NOBODY: &str = "nobody";
/// The record of the jobs under way, with their deadlines.
pub const RUNNING: &str = "running";

/// A name of two parts that no other two parts have (GEN-12): the first one has its length before it.
fn pair_name(kind: &str, tenant: &str, other: &str) -> Vec<u8> {
    format!("{kind}/{}/{tenant}/{other}", tenant.len()).into_bytes()
}

/// The name of a user's record.
pub fn user_name(tenant: &str, user: &str) -> Vec<u8> {
    pair_name("u", tenant, user)
}

/// The name of an administrator's record.
pub fn admin_name(tenant: &str, admin: &str) -> Vec<u8> {
    pair_name("ad", tenant, admin)
}

/// Where wrong passwords are counted for a name, and for which name if it is one that nobody has.
pub(super) struct GuessPlace {
    record: Vec<u8>,
    nobody: Option<B32>,
}

impl GuessPlace {
    /// For a user under the user's own name; for a name that nobody has in one of 65,536 places, so that what an outsider names does
    /// not fill the store. Nobody outside can tell which names share a place (ENR-2c): a count of one would say of the other
    /// whether it is a user.
    pub(super) fn of(step: &mut Step<'_>, tenant: &str, name: &str) -> GuessPlace {
        if user(step, tenant, name).is_some() {
            return GuessPlace { record: pair_name("gs", tenant, name), nobody: None };
        }
        let secret = step.get(NOBODY).unwrap_or_else(|| {
            let secret = step.fresh_id();
            step.put(NOBODY, &secret);
            secret
        });
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&secret[..]) else {
            unreachable!("HMAC takes a key of any length")
        };
        mac.update(labels::GUESS_PLACE.as_bytes());
        mac.update(&crate::cbor::encode(&(tenant, name)));
        let digest: [u8; 32] = mac.finalize().into_bytes().into();
        GuessPlace { record: vec![b'g', b'n', b'/', digest[0], digest[1]], nobody: Some(digest.into()) }
    }

    /// The count; none is of another name.
    pub(super) fn get(&self, step: &mut Step<'_>) -> Guesses {
        let found = match self.nobody {
            None => step.get(&self.record),
            Some(own) => step.get(&self.record).filter(|(name, _): &(B32, _)| *name == own).map(|(_, count)| count),
        };
        found.unwrap_or_default()
    }

    /// Writes the count.
    pub(super) fn put(&self, step: &mut Step<'_>, guesses: Guesses) {
        match self.nobody {
            None => step.put(&self.record, &guesses),
            Some(own) => step.put(&self.record, &(own, guesses)),
        }
    }

    /// Removes the count, if there is one.
    pub(super) fn clear(&self, step: &mut Step<'_>) {
        if step.bytes(&self.record).is_some() {
            step.remove(&self.record);
        }
    }
}

/// Of which records the authority keeps a user's newest ones (GEN-17a).
#[derive(Clone, Copy)]
pub(super) enum Newest {
    Sessions,
    Attempts,
    Grants,
    Jobs,
}

impl Newest {
    /// The list of them, the newest last.
    pub(super) fn list(self, tenant: &str, user: &str) -> Vec<u8> {
        let kind = match self {
            Newest::Sessions => "us",
            Newest::Attempts => "ua",
            Newest::Grants => "ug",
            Newest::Jobs => "uj",
        };
        pair_name(kind, tenant, user)
    }

    fn record(self, id: &B32) -> Vec<u8> {
        match self {
            Newest::Sessions => session_name(id),
            Newest::Attempts => attempt_name(id),
            Newest::Grants => grant_name(id),
            Newest::Jobs => job_name(id),
        }
    }

    /// Lists a new one. The oldest makes room, with its record: what a user can have written is bounded.
    pub(super) fn add(self, step: &mut Step<'_>, (tenant, user): (&str, &str), id: &B32) {
        let list = self.list(tenant, user);
        let mut ids: Vec<B32> = step.get(&list).unwrap_or_default();
        if ids.contains(id) {
            return;
        }
        ids.push(*id);
        let over = ids.len().saturating_sub(limits::NEWEST_PER_USER);
        for old in ids.drain(..over) {
            step.remove(self.record(&old));
        }
        step.put(list, &ids);
    }
}

/// The list of a user's devices that are not deauthorized.
pub(super) fn devices_name(tenant: &str, user: &str) -> Vec<u8> {
    pair_name("ud", tenant, user)
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

pub(super) fn point_name(point: Point) -> [u8; 3] {
    [b'p', b'/', point as u8]
}

/// The record of the entry of the log at which the next look at kept messages begins.
pub(super) const KEPT_NEXT: &str = "kept-next";

/// What the names of the list of kept escrow messages begin with.
pub(super) const KEPT: &[u8] = b"k/";

/// The place of a kept escrow message in the list of them, by its entry of the log.
pub(super) fn kept_name(index: u64) -> Vec<u8> {
    [KEPT, &index.to_be_bytes()].concat()
}

fn entry_name(index: u64) -> Vec<u8> {
    [b"l/".as_slice(), &index.to_be_bytes()].concat()
}

/// A user's record.
pub fn user(step: &mut Step<'_>, tenant: &str, user: &str) -> Option<UserRecord> {
    step.get(user_name(tenant, user))
}

/// A device's record; a pending one whose attempt is over is none.
pub fn device(step: &mut Step<'_>, device: &B32) -> Option<DeviceRecord> {
    let record: DeviceRecord = step.get(device_name(device))?;
    (record.state != DeviceState::Pending || step.now <= record.expiry).then_some(record)
}

/// Writes a device's record, and keeps the list of the user's devices. Whoever writes a device reads the list, and whoever ends all
/// devices of a user writes it, so neither misses the other (GEN-17a).
pub(super) fn put_device(step: &mut Step<'_>, id: &B32, record: &DeviceRecord) {
    step.put(device_name(id), record);
    let mut ids = devices_of(step, &record.tenant, &record.user);
    let listed = ids.contains(id);
    if record.is_revoked() {
        ids.retain(|known| known != id);
    } else if !listed {
        ids.push(*id);
    }
    if listed == record.is_revoked() {
        step.put(devices_name(&record.tenant, &record.user), &ids);
    }
}

/// The devices of a user that are not deauthorized: pending, active, or pending and out of time.
pub(super) fn devices_of(step: &mut Step<'_>, tenant: &str, user: &str) -> Vec<B32> {
    step.get(devices_name(tenant, user)).unwrap_or_default()
}

/// An attempt that is open: within its time, not closed, and of a device that is not deauthorized.
pub fn attempt(step: &mut Step<'_>, attempt: &B32) -> Option<AttemptRecord> {
    let record = last_attempt(step, attempt)?;
    if record.state == AttemptState::Closed || step.now > record.expiry {
        return None;
    }
    let revoked = device(step, &record.device).is_some_and(|device| device.is_revoked());
    (!revoked).then_some(record)
}

/// An attempt, open or not.
pub(super) fn last_attempt(step: &mut Step<'_>, attempt: &B32) -> Option<AttemptRecord> {
    step.get(attempt_name(attempt))
}

/// A job's record.
pub fn job(step: &mut Step<'_>, job: &B32) -> Option<JobRecord> {
    step.get(job_name(job))
}

/// The job of a user that is under way.
pub fn job_of(step: &mut Step<'_>, tenant: &str, user: &str) -> Option<(B32, JobRecord)> {
    let ids: Vec<B32> = step.get(Newest::Jobs.list(tenant, user))?;
    let id = *ids.last()?;
    let record = job(step, &id)?;
    (record.state_at(step.now) != JobState::None).then_some((id, record))
}

/// The revocation epochs.
pub fn epochs(step: &mut Step<'_>) -> Epochs {
    step.get(EPOCHS).unwrap_or_default()
}

/// A point, as the authority knows it.
pub fn point(step: &mut Step<'_>, point: Point) -> PointRecord {
    step.get(point_name(point)).unwrap_or_default()
}

/// The keystore's store, as the authority knows it.
pub fn store(step: &mut Step<'_>) -> StoreRecord {
    step.get(STORE).unwrap_or_default()
}

/// The length of the decision log.
pub fn head(step: &mut Step<'_>) -> u64 {
    step.get(HEAD).unwrap_or(0)
}

/// Appends to the decision log (REV-5); how long it is then.
pub(super) fn log(step: &mut Step<'_>, tenant: &str, user: &str, decision: Decision) -> u64 {
    let index = head(step) + 1;
    step.put(HEAD, &index);
    step.put(entry_name(index), &LogEntry { tenant: tenant.into(), user: user.into(), decision });
    index
}

/// The entries of the log after the first `from`, at most `PUBLISH_ENTRIES`.
pub(super) fn entries_after(step: &mut Step<'_>, from: u64) -> Vec<LogEntry> {
    let last = head(step).min(from.saturating_add(limits::PUBLISH_ENTRIES as u64));
    let entries: Vec<LogEntry> = (from..last).map_while(|index| step.get(entry_name(index + 1))).collect();
    // An entry below the head that is not there is damage: those after it would be followed in its place (GEN-27a).
    if (entries.len() as u64) < last.saturating_sub(from) {
        step.damaged();
    }
    entries
}

/// Whether the exchange's session or job is within its time.
pub fn exchange_is_live(step: &mut Step<'_>, exchange: &B32) -> bool {
    exchange_end(step, exchange).is_some_and(|end| step.now <= end)
}

/// The last second of the exchange's session or job; none if there is no such.
pub fn exchange_end(step: &mut Step<'_>, exchange: &B32) -> Option<u64> {
    match job(step, exchange) {
        Some(job) => Some(job.deadline),
        None => session(step, exchange).map(|session| session.expiry),
    }
}

/// A session's record.
pub(super) fn session(step: &mut Step<'_>, session: &B32) -> Option<SessionRecord> {
    step.get(session_name(session))
}

/// An administrator's rights.
pub fn rights(step: &mut Step<'_>, tenant: &str, admin: &str) -> AdminRecord {
    step.get(admin_name(tenant, admin)).unwrap_or_default()
}

/// The rights of a person over the users of a tenant.
///
/// # Errors
/// `OtherTenant` for an administrator of another tenant.
pub(super) fn rights_over(step: &mut Step<'_>, from: &Peer, tenant: &str) -> Result<Option<AdminRecord>, Refusal> {
    match from {
        Peer::Person(Person::Admin { tenant: own, .. })
            if own != tenant && !step.quirks.has(Quirk::RightsOfAnyTenant) =>
        {
            Err(Refusal::OtherTenant)
        }
        Peer::Person(Person::Admin { tenant, admin }) => Ok(Some(rights(step, tenant, admin))),
        _ => Ok(None),
    }
}

/// Writes a point's first record: how long its first lease runs.
pub fn set_up_point(batch: &mut crate::store::Batch, point: Point, record: &PointRecord) {
    batch.put(point_name(point), crate::cbor::encode(record));
}
