//! Backup, revocation, suspension, deactivation and purge at the authority (BAK, REV, SUS, DEA).

use bailee_spec::action::Point;
use bailee_spec::observation::{JobState, Standing};
use bailee_spec::outcome::Refusal;

use super::*;
use crate::cbor;
use crate::crypto::labels;
use crate::machine::Person;
use crate::quirks::Quirk;
use crate::wire::{Blob, CapabilityBody, Decision, StandingChange};

impl Authority {
    /// BAK-1: the device of the client certificate (BAK-1a) and its user, if the device is served.
    pub(super) fn serves(&self, step: &mut Step<'_>, from: &Peer) -> Result<(DeviceRecord, UserRecord), Refusal> {
        let Peer::Device(id) = from else { return Err(Refusal::Unauthenticated) };
        let record = device(step, id);
        let user = record.as_ref().and_then(|record| user(step, &record.tenant, &record.user));
        if user.as_ref().is_some_and(|user| user.standing() >= Standing::Deactivated) {
            return Err(Refusal::UserDeactivated);
        }
        match (record, user) {
            (Some(record), Some(user)) if record.state == DeviceState::Active => Ok((record, user)),
            _ => Err(Refusal::DeviceRevoked),
        }
    }

    /// BAK-1, BAK-3: leave to append, or to read.
    pub(super) fn give_capability(&self, step: &mut Step<'_>, from: &Peer, read: bool) -> Done {
        let (record, user) = self.serves(step, from)?;
        if step.quirks.has(Quirk::BackupNeedsKeystore) && step.now > point(step, Point::Keystore).lease {
            return Err(Refusal::LeaseExpired);
        }
        if read && user.standing() == Standing::Suspended {
            return Err(Refusal::RestoreSuspended);
        }
        let Peer::Device(id) = from else { return Err(Refusal::Unauthenticated) };
        let expiry = step.deadline();
        let (capability, signature) = self.capability(step, (&record.tenant, &record.user), id, expiry, read);
        step.send(Peer::Client, Body::Capability { capability, signature });
        Ok(())
    }

    /// A capability and its signature.
    pub(super) fn capability(
        &self,
        step: &mut Step<'_>,
        (tenant, user): (&str, &str),
        device: &B32,
        expiry: u64,
        read: bool,
    ) -> (Blob, Blob) {
        let epoch = epochs(step).newest;
        let body = CapabilityBody { tenant: tenant.into(), user: user.into(), device: *device, epoch, expiry, read };
        let body = cbor::encode(&body);
        let signature = self.key.sign(labels::SIGN_CAPABILITY, &body);
        (body.into(), signature.into())
    }

    /// REV-4: whether the device must erase itself; the signed order.
    pub(super) fn report(&self, step: &mut Step<'_>, from: &Peer) -> Done {
        let Peer::Device(id) = from else { return Err(Refusal::Unauthenticated) };
        let revoked = device(step, id).is_some_and(|record| record.is_revoked());
        let body = if revoked && !step.quirks.has(Quirk::NoWipe) {
            Body::Erase { signature: self.key.sign(labels::SIGN_WIPE, &id[..]).into() }
        } else {
            Body::Served
        };
        step.send(Peer::Client, body);
        Ok(())
    }

    /// REV-1.
    pub(super) fn deauthorize(
        &self,
        step: &mut Step<'_>,
        from: &Peer,
        (tenant, user): (&str, &str),
        id: &B32,
    ) -> Done {
        let rights = rights_over(step, from, tenant)?;
        if let Peer::Person(Person::User { tenant: own, user: name, .. }) = from
            && ((own != tenant && !step.quirks.has(Quirk::NamesakeDeauthorizes)) || name != user)
        {
            return Err(Refusal::NotYourDevice);
        }
        // REV-1b.
        if rights.is_some_and(|rights| !rights.users) {
            return Err(Refusal::NoAdminRight);
        }
        let known = device(step, id).filter(|record| record.tenant == tenant && record.user == user);
        let record = known.ok_or(Refusal::NotYourDevice)?;
        if record.is_revoked() {
            return Err(Refusal::AlreadyRevoked);
        }
        let epoch = self.raise_epoch(step);
        self.revoke(step, id, record, epoch);
        // REV-1a: it is done. When it is acknowledged is for the points to say.
        step.send(from.clone(), Body::Done);
        Ok(())
    }

    fn revoke(&self, step: &mut Step<'_>, id: &B32, mut record: DeviceRecord, epoch: u64) {
        record.state = DeviceState::Revoked;
        record.revoked_at = if step.quirks.has(Quirk::AckEarly) { 0 } else { epoch };
        put_device(step, id, &record);
        log(step, &record.tenant, &record.user, Decision::Revoked(*id));
    }

    fn raise_epoch(&self, step: &mut Step<'_>) -> u64 {
        let mut epochs = epochs(step);
        epochs.newest += 1;
        step.put(EPOCHS, &epochs);
        // Where every lease is over, nobody has to hear of it first (REV-3).
        step.set_timer(step.now, Timer::Acknowledge);
        epochs.newest
    }

    /// SUS-1, SUS-2, DEA-1 to DEA-3, by an administrator of the tenant who may manage its users; a purge also by the schedule.
    pub(super) fn set_standing(
        &self,
        step: &mut Step<'_>,
        from: &Peer,
        tenant: &str,
        name: &str,
        change: StandingChange,
    ) -> Done {
        // SUS-1a.
        let may = match rights_over(step, from, tenant)? {
            Some(rights) => rights.users,
            None => change == StandingChange::Purge,
        };
        if !may {
            return Err(Refusal::NoAdminRight);
        }
        let mut record = user(step, tenant, name).ok_or(Refusal::BadCredential)?;
        let to = next_standing(record.standing(), change)?;
        match change {
            StandingChange::Suspend | StandingChange::Resume => {}
            StandingChange::Deactivate => self.sign_out(step, tenant, name),
            StandingChange::Reactivate | StandingChange::Purge => {
                self.raise_epoch(step);
            }
        }
        if to == Standing::Purged {
            record.enrolled = None;
            record.kept = None;
        }
        record.standing = standing_code(to);
        step.put(user_name(tenant, name), &record);
        log(step, tenant, name, Decision::Standing(standing_code(to)));
        step.send(from.clone(), Body::Done);
        Ok(())
    }

    /// DEA-1: every device is deauthorized, and the job is to end. A device that is added at the same moment is not missed (GEN-17a).
    fn sign_out(&self, step: &mut Step<'_>, tenant: &str, name: &str) {
        let epoch = self.raise_epoch(step);
        for id in devices_of(step, tenant, name) {
            if let Some(device) = device(step, &id).filter(|device| !device.is_revoked()) {
                self.revoke(step, &id, device, epoch);
            }
        }
        if let Some((id, job)) = job_of(step, tenant, name) {
            self.set_job(step, &id, job, JobState::Ending);
        }
    }
}

/// The standing after a change, or why it is none.
fn next_standing(now: Standing, change: StandingChange) -> Result<Standing, Refusal> {
    use StandingChange as To;
    match (change, now) {
        (To::Suspend, Standing::Active) => Ok(Standing::Suspended),
        (To::Suspend, Standing::Suspended) => Err(Refusal::AlreadySuspended),
        (To::Resume, Standing::Suspended) => Ok(Standing::Active),
        (To::Resume, _) => Err(Refusal::NotSuspended),
        (To::Deactivate, Standing::Active | Standing::Suspended) => Ok(Standing::Deactivated),
        (To::Suspend | To::Deactivate, Standing::Deactivated | Standing::Purged) => Err(Refusal::UserDeactivated),
        (To::Reactivate, Standing::Deactivated) => Ok(Standing::Active),
        (To::Purge, Standing::Deactivated) => Ok(Standing::Purged),
        (To::Reactivate | To::Purge, _) => Err(Refusal::NotDeactivated),
    }
}
