//! Backup, revocation, suspension, deactivation, purge, and what the keystore is told (BAK, REV, SUS, DEA, DIS).

use bailee_spec::action::{Point, Requester};
use bailee_spec::observation::{JobState, Standing};
use bailee_spec::outcome::Refusal;

use super::{
    Authority, DeviceRecord, DeviceState, PointRecord, UserRecord, device_name, job_name, standing_code, user_name,
};
use crate::cbor;
use crate::crypto::labels;
use crate::disk::Batch;
use crate::quirks::Quirk;
use crate::roles::{Context, deadline};
use crate::wire::{B32, Blob, CapabilityBody};

/// A verdict, and what is durable with it.
type Verdict = Result<Batch, Refusal>;

/// What the log says about a user, for the keystore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// The tenant.
    pub tenant: String,
    /// The user.
    pub user: String,
    /// The standing.
    pub standing: Standing,
    /// The enrolled key's commitment.
    pub enrolled: Option<B32>,
}

fn point_name(point: Point) -> [u8; 3] {
    [b'p', b'/', point as u8]
}

impl Authority {
    /// BAK-1: the device's user, if the device is served.
    pub fn serves(&self, now: u64, device: &B32) -> Result<(DeviceRecord, UserRecord), Refusal> {
        let record = self.device(now, device);
        let user = record.as_ref().and_then(|record| self.user(&record.tenant, &record.user));
        if user.as_ref().is_some_and(|user| user.standing >= standing_code(Standing::Deactivated)) {
            return Err(Refusal::UserDeactivated);
        }
        match (record, user) {
            (Some(record), Some(user)) if record.state == DeviceState::Active => Ok((record, user)),
            _ => Err(Refusal::DeviceRevoked),
        }
    }

    /// BAK-1: leave to append, and its signature.
    pub fn open_backup(&self, cx: &Context<'_>, device: &B32) -> Result<(Vec<u8>, Vec<u8>), Refusal> {
        let (record, _) = self.serves(cx.now, device)?;
        let body = CapabilityBody {
            tenant: record.tenant,
            user: record.user,
            device: *device,
            epoch: self.totals().epoch,
            expiry: deadline(cx.now),
        };
        let body = cbor::encode(&body);
        let signature = self.key.sign(labels::SIGN_CAPABILITY, &body);
        Ok((body, signature))
    }

    /// BAK-3: whether the device may read.
    pub fn may_fetch(&self, now: u64, device: &B32) -> Result<UserRecord, Refusal> {
        let (_, user) = self.serves(now, device)?;
        if user.standing == standing_code(Standing::Suspended) {
            return Err(Refusal::RestoreSuspended);
        }
        Ok(user)
    }

    /// REV-1.
    pub fn deauthorize(&self, cx: &Context<'_>, device: &B32, by: Requester) -> Verdict {
        match by {
            Requester::ForeignAdmin => return Err(Refusal::OtherTenant),
            Requester::Neighbour => return Err(Refusal::NotYourDevice),
            _ => {}
        }
        let record = self.device(cx.now, device).ok_or(Refusal::NotYourDevice)?;
        if record.is_revoked() {
            return Err(Refusal::AlreadyRevoked);
        }
        let mut batch = Batch::default();
        self.revoke(cx, device, record, &mut batch);
        self.raise_epoch(&mut batch);
        Ok(batch)
    }

    fn revoke(&self, cx: &Context<'_>, device: &B32, mut record: DeviceRecord, batch: &mut Batch) {
        let early = cx.quirks.has(Quirk::AckEarly);
        record.state = if early { DeviceState::Revoked } else { DeviceState::Revoking };
        batch.put(device_name(device), &record);
        for (name, mut attempt) in self.disk.all::<super::AttemptRecord>(b"a/") {
            if attempt.device == *device {
                attempt.state = super::AttemptState::Closed;
                batch.put(name, &attempt);
            }
        }
    }

    fn raise_epoch(&self, batch: &mut Batch) {
        let mut totals = self.totals();
        totals.epoch += 1;
        batch.put("totals", &totals);
    }

    /// REV-4: whether the device must erase itself; the signed order.
    pub fn wipe_order(&self, now: u64, device: &B32) -> Option<Vec<u8>> {
        let record = self.device(now, device)?;
        record.is_revoked().then(|| self.key.sign(labels::SIGN_WIPE, &device[..]))
    }

    /// REV-2: the point has stored the newest epoch.
    pub fn confirmed(&self, now: u64, point: Point) -> Batch {
        let mut batch = Batch::default();
        let record = PointRecord { confirmed: self.totals().epoch, lease: deadline(now) };
        batch.put(point_name(point), &record);
        batch
    }

    /// A point, as the authority knows it.
    pub fn point(&self, point: Point) -> PointRecord {
        self.disk.get(point_name(point)).unwrap_or(PointRecord { confirmed: 0, lease: 0 })
    }

    /// REV-3: acknowledges what every point has confirmed, or can no longer contradict.
    pub fn acknowledge(&self, now: u64) -> Batch {
        let epoch = self.totals().epoch;
        let open = |point: &Point| {
            let record = self.point(*point);
            record.confirmed < epoch && now <= record.lease
        };
        let mut batch = Batch::default();
        if !Point::ALL.iter().any(open) {
            for (name, mut device) in self.disk.all::<DeviceRecord>(b"d/") {
                if device.state == DeviceState::Revoking {
                    device.state = DeviceState::Revoked;
                    batch.put(name, &device);
                }
            }
        }
        batch
    }

    fn set_standing(&self, mut user: UserRecord, standing: Standing, batch: &mut Batch) {
        user.standing = standing_code(standing);
        batch.put(user_name(&user.tenant, &user.user), &user);
    }

    fn known(&self, tenant: &str, user: &str) -> Result<(UserRecord, Standing), Refusal> {
        let record = self.user(tenant, user).ok_or(Refusal::BadCredential)?;
        let standing = Standing::ALL[record.standing as usize];
        Ok((record, standing))
    }

    /// SUS-1.
    pub fn suspend(&self, tenant: &str, user: &str) -> Verdict {
        let (record, standing) = self.known(tenant, user)?;
        match standing {
            Standing::Active => {}
            Standing::Suspended => return Err(Refusal::AlreadySuspended),
            Standing::Deactivated | Standing::Purged => return Err(Refusal::UserDeactivated),
        }
        let mut batch = Batch::default();
        self.set_standing(record, Standing::Suspended, &mut batch);
        Ok(batch)
    }

    /// SUS-2.
    pub fn resume(&self, tenant: &str, user: &str) -> Verdict {
        let (record, standing) = self.known(tenant, user)?;
        if standing != Standing::Suspended {
            return Err(Refusal::NotSuspended);
        }
        let mut batch = Batch::default();
        self.set_standing(record, Standing::Active, &mut batch);
        Ok(batch)
    }

    /// DEA-1.
    pub fn deactivate(&self, cx: &Context<'_>, tenant: &str, user: &str) -> Verdict {
        let (record, standing) = self.known(tenant, user)?;
        if matches!(standing, Standing::Deactivated | Standing::Purged) {
            return Err(Refusal::UserDeactivated);
        }
        let mut batch = Batch::default();
        self.set_standing(record, Standing::Deactivated, &mut batch);
        for (name, _) in self.disk.all::<DeviceRecord>(b"d/") {
            let Ok(id) = <[u8; 32]>::try_from(&name[2..]) else { continue };
            let id = B32::from(id);
            let Some(device) = self.device(cx.now, &id) else { continue };
            if device.tenant == tenant && device.user == user && !device.is_revoked() {
                self.revoke(cx, &id, device, &mut batch);
            }
        }
        if let Some((id, mut job)) = self.running_job(cx.now)
            && job.tenant == tenant
            && job.user == user
        {
            job.state = JobState::Ending as u8;
            batch.put(job_name(&id), &job);
        }
        self.raise_epoch(&mut batch);
        Ok(batch)
    }

    /// DEA-2.
    pub fn reactivate(&self, tenant: &str, user: &str) -> Verdict {
        let (record, standing) = self.known(tenant, user)?;
        if standing != Standing::Deactivated {
            return Err(Refusal::NotDeactivated);
        }
        let mut batch = Batch::default();
        self.set_standing(record, Standing::Active, &mut batch);
        self.raise_epoch(&mut batch);
        Ok(batch)
    }

    /// DEA-3.
    pub fn purge(&self, tenant: &str, user: &str) -> Verdict {
        let (mut record, standing) = self.known(tenant, user)?;
        if standing != Standing::Deactivated {
            return Err(Refusal::NotDeactivated);
        }
        record.enrolled = None;
        record.kept = None;
        let mut batch = Batch::default();
        self.set_standing(record, Standing::Purged, &mut batch);
        self.raise_epoch(&mut batch);
        Ok(batch)
    }

    /// What the log says of every user, for the keystore's sync (CER-6, DEA-4).
    pub fn log(&self) -> Vec<LogEntry> {
        self.disk
            .all::<UserRecord>(b"u/")
            .map(|(_, user)| LogEntry {
                standing: Standing::ALL[user.standing as usize],
                enrolled: user.enrolled,
                tenant: user.tenant,
                user: user.user,
            })
            .collect()
    }

    /// DIS-3: the keystore's store has a new generation.
    pub fn sees_generation(&self, generation: u64) -> Batch {
        let mut batch = Batch::default();
        let mut totals = self.totals();
        if totals.store_generation != generation {
            totals.store_generation = generation;
            batch.put("totals", &totals);
        }
        batch
    }

    /// DIS-1: witnesses a snapshot and drops what it covers.
    pub fn witness(&self, digest: B32, covered: &[(String, String, B32)]) -> Batch {
        let mut batch = Batch::default();
        let mut totals = self.totals();
        totals.snapshot = Some(digest);
        batch.put("totals", &totals);
        for (tenant, user, commitment) in covered {
            if let Some(mut record) = self.user(tenant, user)
                && record.kept.is_some()
                && record.enrolled == Some(*commitment)
            {
                record.kept = None;
                batch.put(user_name(tenant, user), &record);
            }
        }
        batch
    }

    /// DIS-5: the kept escrow message and the logged commitment.
    pub fn kept(&self, tenant: &str, user: &str) -> Result<(Blob, B32), Refusal> {
        let (record, _) = self.known(tenant, user)?;
        match (record.kept, record.enrolled) {
            (Some(kept), Some(enrolled)) => Ok((kept, enrolled)),
            _ => Err(Refusal::NothingKept),
        }
    }
}
