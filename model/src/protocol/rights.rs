//! Backup, revocation, suspension, deactivation and purge (BAK, REV, SUS, DEA).

use bailee_spec::action::{Device, Point, Requester, User};
use bailee_spec::observation::{
    AccountState, Attempt, Capability, DeviceState, Disk, Freshness, JobState, Message, Program, Standing,
};
use bailee_spec::outcome::Refusal;

use super::mutation::Mutation;
use super::step::{Check, Rules};
use super::world::{NO_KEY, Slot, World};

impl Rules {
    /// BAK-1: the device is at rest and holds a key.
    pub(super) fn device_may_ask<const U: usize, const N: usize>(&self, w: &World<U, N>, device: Device) -> Check {
        let d = &w.devices[device as usize];
        let at_rest = d.program == Program::Idle && d.lane.message.is_none();
        if at_rest && d.disk_key != NO_KEY { Ok(()) } else { Err(Refusal::OutOfTurn) }
    }

    /// BAK-1: the authority serves this device.
    pub(super) fn authority_serves<const U: usize, const N: usize>(&self, w: &World<U, N>, device: Device) -> Check {
        let standing = w.users[self.user_of(device) as usize].standing;
        if matches!(standing, Standing::Deactivated | Standing::Purged) {
            return Err(Refusal::UserDeactivated);
        }
        if w.devices[device as usize].at_authority != DeviceState::Active {
            return Err(Refusal::DeviceRevoked);
        }
        Ok(())
    }

    /// BAK-1.
    pub(super) fn open_backup<const U: usize, const N: usize>(&self, w: &mut World<U, N>, device: Device) -> Check {
        self.device_may_ask(w, device)?;
        self.authority_serves(w, device)?;
        w.devices[device as usize].capability = Capability::Current;
        Ok(())
    }

    /// BAK-2.
    pub(super) fn append<const U: usize, const N: usize>(&self, w: &mut World<U, N>, device: Device) -> Check {
        let d = &w.devices[device as usize];
        if d.capability == Capability::None || d.disk_key == NO_KEY {
            return Err(Refusal::OutOfTurn);
        }
        if w.points[1] == Freshness::Fenced {
            return Err(Refusal::LeaseExpired);
        }
        if d.capability == Capability::Dead {
            return Err(Refusal::CapabilityInvalid);
        }
        w.users[self.user_of(device) as usize].archive = true;
        Ok(())
    }

    /// BAK-3.
    pub(super) fn fetch<const U: usize, const N: usize>(&self, w: &World<U, N>, device: Device) -> Check {
        self.device_may_ask(w, device)?;
        self.authority_serves(w, device)?;
        let user = &w.users[self.user_of(device) as usize];
        if user.standing == Standing::Suspended {
            return Err(Refusal::RestoreSuspended);
        }
        if w.points[1] == Freshness::Fenced {
            return Err(Refusal::LeaseExpired);
        }
        if !user.archive {
            return Err(Refusal::NothingStored);
        }
        Ok(())
    }

    /// REV-1.
    pub(super) fn deauthorize<const U: usize, const N: usize>(
        &self,
        w: &mut World<U, N>,
        device: Device,
        by: Requester,
    ) -> Check {
        self.may_deauthorize(by)?;
        match w.devices[device as usize].at_authority {
            DeviceState::None => return Err(Refusal::NotYourDevice),
            DeviceState::Revoking | DeviceState::Revoked => return Err(Refusal::AlreadyRevoked),
            DeviceState::Pending | DeviceState::Active => {}
        }
        let releasing = w.devices[device as usize].lane.message == Slot::of(Message::GrantConsumed);
        if releasing && self.has(Mutation::RevocationWaits) {
            return Err(Refusal::Busy);
        }
        self.revoke(w, device);
        self.raise_epoch(w);
        Ok(())
    }

    /// First check of a deauthorisation: whatever the world is like.
    pub(super) fn may_deauthorize(&self, by: Requester) -> Check {
        match by {
            Requester::ForeignAdmin => Err(Refusal::OtherTenant),
            Requester::Neighbour => Err(Refusal::NotYourDevice),
            _ => Ok(()),
        }
    }

    fn revoke<const U: usize, const N: usize>(&self, w: &mut World<U, N>, device: Device) {
        let d = &mut w.devices[device as usize];
        d.at_authority = if self.has(Mutation::AckEarly) { DeviceState::Revoked } else { DeviceState::Revoking };
        d.attempt = Attempt::None;
    }

    /// REV-1: the revocation epoch rises.
    fn raise_epoch<const U: usize, const N: usize>(&self, w: &mut World<U, N>) {
        for point in &mut w.points {
            if *point == Freshness::Current {
                *point = Freshness::Behind;
            }
        }
        for device in &mut w.devices {
            if device.capability == Capability::Current {
                device.capability = Capability::Overtaken;
            }
        }
    }

    /// REV-2.
    pub(super) fn publish<const U: usize, const N: usize>(&self, w: &mut World<U, N>, point: Point) -> Check {
        match point {
            Point::Keystore => {
                self.unsealed(w)?;
                self.keystore_hears(w);
            }
            Point::Storage => {
                w.points[1] = Freshness::Current;
                for device in &mut w.devices {
                    if device.capability == Capability::Overtaken && !self.has(Mutation::OldCapability) {
                        device.capability = Capability::Dead;
                    }
                }
                for user in &mut w.users {
                    if user.standing == Standing::Purged {
                        user.archive = false;
                    }
                }
            }
            Point::Restorer => w.points[2] = Freshness::Current,
        }
        self.acknowledge(w);
        Ok(())
    }

    /// REV-2 at the keystore, also at every unsealing (CER-6).
    pub(super) fn keystore_hears<const U: usize, const N: usize>(&self, w: &mut World<U, N>) {
        w.points[0] = Freshness::Current;
        if !self.has(Mutation::PendingSurvives) {
            w.each_lane(|lane| lane.pending = false);
        }
        self.accounts_follow_log(w);
    }

    /// REV-3.
    pub(super) fn acknowledge<const U: usize, const N: usize>(&self, w: &mut World<U, N>) {
        if w.points.contains(&Freshness::Behind) || self.has(Mutation::NeverAcknowledged) {
            return;
        }
        for device in &mut w.devices {
            if device.at_authority == DeviceState::Revoking {
                device.at_authority = DeviceState::Revoked;
            }
        }
    }

    /// DEA-4.
    pub(super) fn accounts_follow_log<const U: usize, const N: usize>(&self, w: &mut World<U, N>) {
        for user in 0..self.users {
            let u = &mut w.users[user as usize];
            match (u.standing, u.account) {
                (Standing::Purged, AccountState::Purged) => {}
                (Standing::Purged, _) if self.has(Mutation::PurgedReturns) => {}
                (Standing::Purged, _) => {
                    u.account = AccountState::Purged;
                    u.escrowed = NO_KEY;
                    self.close_attempts(w, user);
                }
                (Standing::Deactivated, AccountState::Active) => u.account = AccountState::Dormant,
                (Standing::Active | Standing::Suspended, AccountState::Dormant) => {
                    u.account = AccountState::Active;
                }
                _ => {}
            }
        }
    }

    /// REV-4.
    pub(super) fn contact<const U: usize, const N: usize>(&self, w: &mut World<U, N>, device: Device) -> Check {
        let d = &mut w.devices[device as usize];
        let at_rest = d.program == Program::Idle && d.lane.message.is_none() && d.late.message.is_none();
        if !at_rest || d.disk == Disk::Blank {
            return Err(Refusal::OutOfTurn);
        }
        if matches!(d.at_authority, DeviceState::Revoking | DeviceState::Revoked) && !self.has(Mutation::NoWipe) {
            d.disk = Disk::Blank;
            d.disk_key = NO_KEY;
            d.capability = Capability::None;
            d.at_authority = DeviceState::None;
            d.attempt_at_keystore = false;
        }
        Ok(())
    }

    /// SUS-1.
    pub(super) fn suspend<const U: usize, const N: usize>(&self, w: &mut World<U, N>, user: User) -> Check {
        let standing = &mut w.users[user as usize].standing;
        match standing {
            Standing::Active => *standing = Standing::Suspended,
            Standing::Suspended => return Err(Refusal::AlreadySuspended),
            Standing::Deactivated | Standing::Purged => return Err(Refusal::UserDeactivated),
        }
        Ok(())
    }

    /// SUS-2.
    pub(super) fn resume<const U: usize, const N: usize>(&self, w: &mut World<U, N>, user: User) -> Check {
        let standing = &mut w.users[user as usize].standing;
        if *standing != Standing::Suspended {
            return Err(Refusal::NotSuspended);
        }
        *standing = Standing::Active;
        Ok(())
    }

    /// DEA-1.
    pub(super) fn deactivate<const U: usize, const N: usize>(&self, w: &mut World<U, N>, user: User) -> Check {
        let standing = &mut w.users[user as usize].standing;
        if matches!(standing, Standing::Deactivated | Standing::Purged) {
            return Err(Refusal::UserDeactivated);
        }
        *standing = Standing::Deactivated;
        for d in self.devices_of(user) {
            if matches!(w.devices[d].at_authority, DeviceState::Pending | DeviceState::Active) {
                self.revoke(w, d as Device);
            }
        }
        self.raise_epoch(w);
        if w.job.user == user && matches!(w.job.state, JobState::Assigned | JobState::KeyHeld) {
            w.job.state = JobState::Ending;
        }
        Ok(())
    }

    /// DEA-2.
    pub(super) fn reactivate<const U: usize, const N: usize>(&self, w: &mut World<U, N>, user: User) -> Check {
        self.only_deactivated(w, user)?;
        w.users[user as usize].standing = Standing::Active;
        self.raise_epoch(w);
        Ok(())
    }

    /// DEA-3.
    pub(super) fn purge<const U: usize, const N: usize>(&self, w: &mut World<U, N>, user: User) -> Check {
        self.only_deactivated(w, user)?;
        let u = &mut w.users[user as usize];
        u.standing = Standing::Purged;
        u.enrolled = NO_KEY;
        u.kept = NO_KEY;
        self.raise_epoch(w);
        Ok(())
    }

    fn only_deactivated<const U: usize, const N: usize>(&self, w: &World<U, N>, user: User) -> Check {
        if w.users[user as usize].standing == Standing::Deactivated { Ok(()) } else { Err(Refusal::NotDeactivated) }
    }
}
