//! Backup, revocation, suspension, deactivation and purge (BAK, REV, SUS, DEA).

use bailee_spec::action::{Device, Point, Requester, User};
use bailee_spec::observation::{
    AccountState, Attempt, Capability, DeviceState, Disk, Freshness, JobState, Message, Program, Standing,
};
use bailee_spec::outcome::Refusal;

use super::mutation::Mutation;
use super::step::{Check, Rules, Turn};
use super::world::{NO_KEY, Slot};

impl<const U: usize, const N: usize> Turn<'_, U, N> {
    /// BAK-1: the device is at rest and holds a key.
    pub(super) fn device_may_ask(&self, device: Device) -> Check {
        let d = &self.w.devices[device as usize];
        let at_rest = d.program == Program::Idle && d.lane.message.is_none();
        if at_rest && d.disk_key != NO_KEY { Ok(()) } else { Err(Refusal::OutOfTurn) }
    }

    /// BAK-1: the authority serves this device.
    pub(super) fn authority_serves(&self, device: Device) -> Check {
        let standing = self.w.users[self.rules.user_of(device) as usize].standing;
        if matches!(standing, Standing::Deactivated | Standing::Purged) {
            return Err(Refusal::UserDeactivated);
        }
        if self.w.devices[device as usize].at_authority != DeviceState::Active {
            return Err(Refusal::DeviceRevoked);
        }
        Ok(())
    }

    /// BAK-1.
    pub(super) fn open_backup(&mut self, device: Device) -> Check {
        self.device_may_ask(device)?;
        self.authority_serves(device)?;
        self.w.devices[device as usize].capability = Capability::Current;
        Ok(())
    }

    /// BAK-2.
    pub(super) fn append(&mut self, device: Device) -> Check {
        let d = &self.w.devices[device as usize];
        if d.capability == Capability::None || d.disk_key == NO_KEY {
            return Err(Refusal::OutOfTurn);
        }
        if self.w.points[1] == Freshness::Fenced {
            return Err(Refusal::LeaseExpired);
        }
        if d.capability == Capability::Dead {
            return Err(Refusal::CapabilityInvalid);
        }
        self.w.users[self.rules.user_of(device) as usize].archive = true;
        Ok(())
    }

    /// BAK-3.
    pub(super) fn fetch(&self, device: Device) -> Check {
        self.device_may_ask(device)?;
        self.authority_serves(device)?;
        let user = &self.w.users[self.rules.user_of(device) as usize];
        if user.standing == Standing::Suspended {
            return Err(Refusal::RestoreSuspended);
        }
        if self.w.points[1] == Freshness::Fenced {
            return Err(Refusal::LeaseExpired);
        }
        if !user.archive {
            return Err(Refusal::NothingStored);
        }
        Ok(())
    }

    /// REV-1.
    pub(super) fn deauthorize(&mut self, device: Device, by: Requester) -> Check {
        self.rules.may_deauthorize(by)?;
        match self.w.devices[device as usize].at_authority {
            DeviceState::None => return Err(Refusal::NotYourDevice),
            DeviceState::Revoking | DeviceState::Revoked => return Err(Refusal::AlreadyRevoked),
            DeviceState::Pending | DeviceState::Active => {}
        }
        let releasing = self.w.devices[device as usize].lane.message == Slot::of(Message::GrantConsumed);
        if releasing && self.rules.has(Mutation::RevocationWaits) {
            return Err(Refusal::Busy);
        }
        self.revoke(device);
        self.raise_epoch();
        Ok(())
    }

    fn revoke(&mut self, device: Device) {
        let d = &mut self.w.devices[device as usize];
        d.at_authority =
            if self.rules.has(Mutation::AckEarly) { DeviceState::Revoked } else { DeviceState::Revoking };
        d.attempt = Attempt::None;
    }

    /// REV-1: the revocation epoch rises.
    fn raise_epoch(&mut self) {
        for point in &mut self.w.points {
            if *point == Freshness::Current {
                *point = Freshness::Behind;
            }
        }
        for device in &mut self.w.devices {
            if device.capability == Capability::Current {
                device.capability = Capability::Overtaken;
            }
        }
    }

    /// REV-2.
    pub(super) fn publish(&mut self, point: Point) -> Check {
        match point {
            Point::Keystore => {
                self.unsealed()?;
                self.keystore_hears();
            }
            Point::Storage => {
                self.w.points[1] = Freshness::Current;
                for device in &mut self.w.devices {
                    if device.capability == Capability::Overtaken && !self.rules.has(Mutation::OldCapability) {
                        device.capability = Capability::Dead;
                    }
                }
                for user in &mut self.w.users {
                    if user.standing == Standing::Purged {
                        user.archive = false;
                    }
                }
            }
            Point::Restorer => self.w.points[2] = Freshness::Current,
        }
        self.acknowledge();
        Ok(())
    }

    /// REV-2 at the keystore, also at every unsealing (CER-6).
    pub(super) fn keystore_hears(&mut self) {
        self.w.points[0] = Freshness::Current;
        if !self.rules.has(Mutation::PendingSurvives) {
            self.w.each_lane(|lane| lane.pending = false);
        }
        self.accounts_follow_log();
    }

    /// REV-3.
    pub(super) fn acknowledge(&mut self) {
        if self.w.points.contains(&Freshness::Behind) || self.rules.has(Mutation::NeverAcknowledged) {
            return;
        }
        for device in &mut self.w.devices {
            if device.at_authority == DeviceState::Revoking {
                device.at_authority = DeviceState::Revoked;
            }
        }
    }

    /// DEA-4.
    pub(super) fn accounts_follow_log(&mut self) {
        for user in 0..self.rules.users {
            let u = &mut self.w.users[user as usize];
            match (u.standing, u.account) {
                (Standing::Purged, AccountState::Purged) => {}
                (Standing::Purged, _) if self.rules.has(Mutation::PurgedReturns) => {}
                (Standing::Purged, _) => {
                    u.account = AccountState::Purged;
                    u.escrowed = NO_KEY;
                    self.close_attempts(user);
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
    pub(super) fn contact(&mut self, device: Device) -> Check {
        let d = &mut self.w.devices[device as usize];
        let at_rest = d.program == Program::Idle && d.lane.message.is_none() && d.late.message.is_none();
        if !at_rest || d.disk == Disk::Blank {
            return Err(Refusal::OutOfTurn);
        }
        if matches!(d.at_authority, DeviceState::Revoking | DeviceState::Revoked) && !self.rules.has(Mutation::NoWipe)
        {
            d.disk = Disk::Blank;
            d.disk_key = NO_KEY;
            d.capability = Capability::None;
            d.at_authority = DeviceState::None;
            d.attempt_at_keystore = false;
        }
        Ok(())
    }

    /// SUS-1.
    pub(super) fn suspend(&mut self, user: User) -> Check {
        let standing = &mut self.w.users[user as usize].standing;
        match standing {
            Standing::Active => *standing = Standing::Suspended,
            Standing::Suspended => return Err(Refusal::AlreadySuspended),
            Standing::Deactivated | Standing::Purged => return Err(Refusal::UserDeactivated),
        }
        Ok(())
    }

    /// SUS-2.
    pub(super) fn resume(&mut self, user: User) -> Check {
        let standing = &mut self.w.users[user as usize].standing;
        if *standing != Standing::Suspended {
            return Err(Refusal::NotSuspended);
        }
        *standing = Standing::Active;
        Ok(())
    }

    /// DEA-1.
    pub(super) fn deactivate(&mut self, user: User) -> Check {
        let standing = &mut self.w.users[user as usize].standing;
        if matches!(standing, Standing::Deactivated | Standing::Purged) {
            return Err(Refusal::UserDeactivated);
        }
        *standing = Standing::Deactivated;
        for d in self.rules.devices_of(user) {
            if matches!(self.w.devices[d].at_authority, DeviceState::Pending | DeviceState::Active) {
                self.revoke(d as Device);
            }
        }
        self.raise_epoch();
        if self.w.job.user == user && matches!(self.w.job.state, JobState::Assigned | JobState::KeyHeld) {
            self.w.job.state = JobState::Ending;
        }
        Ok(())
    }

    /// DEA-2.
    pub(super) fn reactivate(&mut self, user: User) -> Check {
        self.only_deactivated(user)?;
        self.w.users[user as usize].standing = Standing::Active;
        self.raise_epoch();
        Ok(())
    }

    /// DEA-3.
    pub(super) fn purge(&mut self, user: User) -> Check {
        self.only_deactivated(user)?;
        let u = &mut self.w.users[user as usize];
        u.standing = Standing::Purged;
        u.enrolled = NO_KEY;
        u.kept = NO_KEY;
        self.raise_epoch();
        Ok(())
    }

    fn only_deactivated(&self, user: User) -> Check {
        if self.w.users[user as usize].standing == Standing::Deactivated {
            Ok(())
        } else {
            Err(Refusal::NotDeactivated)
        }
    }
}

/// What is refused whatever the world is like.
impl Rules {
    /// First check of a deauthorisation: whatever the world is like.
    pub(super) fn may_deauthorize(&self, by: Requester) -> Check {
        match by {
            Requester::ForeignAdmin => Err(Refusal::OtherTenant),
            Requester::Neighbour => Err(Refusal::NotYourDevice),
            _ => Ok(()),
        }
    }
}
