//! Backup, revocation, suspension, deactivation and purge (BAK, REV, SUS, DEA).

use bailee_spec::action::{Device, Point, Requester, User};
use bailee_spec::observation::{
    AccountState, Attempt, Capability, DeviceState, Disk, Freshness, JobState, Message, Program, Standing,
};
use bailee_spec::outcome::Refusal;

use super::canon::rename_epochs;
use super::mutation::Mutation;
use super::publication::{FRESH_END, OVER};
use super::step::{Check, Rules, Turn};
use super::world::{DeviceRecord, NO_KEY, Slot};

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
        if standing == Standing::Suspended && self.rules.has(Mutation::SuspendedBacksUpNot) {
            return Err(Refusal::UserSuspended);
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
        let newest = self.w.newest;
        let d = &mut self.w.devices[device as usize];
        d.capability = Capability::Current;
        if self.rules.publication {
            d.capability_epoch = newest;
            d.capability_end = FRESH_END;
        }
        Ok(())
    }

    /// BAK-2.
    pub(super) fn append(&mut self, device: Device) -> Check {
        let d = &self.w.devices[device as usize];
        if d.capability == Capability::None || d.disk_key == NO_KEY {
            return Err(Refusal::OutOfTurn);
        }
        if self.fenced(Point::Storage) && !self.rules.has(Mutation::FencedAppends) {
            return Err(Refusal::LeaseExpired);
        }
        if self.storage_refuses(d) {
            return Err(Refusal::CapabilityInvalid);
        }
        self.w.users[self.rules.user_of(device) as usize].archive = true;
        Ok(())
    }

    /// BAK-2, PUB-6.
    fn storage_refuses(&self, device: &DeviceRecord) -> bool {
        if !self.rules.publication {
            return device.capability == Capability::Dead;
        }
        let overtaken = device.capability_epoch < self.w.points[Point::Storage as usize].mark;
        let over = device.capability_end == OVER && !self.rules.has(Mutation::CapabilityNeverEnds);
        over || overtaken && !self.rules.has(Mutation::OldCapability)
    }

    /// BAK-3.
    pub(super) fn fetch(&self, device: Device) -> Check {
        self.device_may_ask(device)?;
        self.authority_serves(device)?;
        let user = &self.w.users[self.rules.user_of(device) as usize];
        if user.standing == Standing::Suspended && !self.rules.has(Mutation::SuspendedReadsBack) {
            return Err(Refusal::RestoreSuspended);
        }
        if self.fenced(Point::Storage) && !self.rules.has(Mutation::FencedReads) {
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
        if self.rules.publication {
            // Ranks are as good as numbers, and a walk of any length has room for them.
            if self.w.newest == u8::MAX {
                rename_epochs(&self.rules.points, self.w);
            }
            self.w.newest += 1;
            for (point, served) in self.w.points.iter_mut().zip(self.rules.points) {
                point.confirmed = !served;
            }
            self.acknowledge();
            return;
        }
        for point in &mut self.w.points {
            if point.freshness == Freshness::Current {
                point.freshness = Freshness::Behind;
            }
        }
        for device in &mut self.w.devices {
            if device.capability == Capability::Current {
                device.capability = Capability::Overtaken;
            }
        }
        self.acknowledge();
    }

    /// REV-2.
    pub(super) fn publish_together(&mut self, point: Point) -> Check {
        match point {
            Point::Keystore => {
                self.unsealed()?;
                self.keystore_hears();
            }
            Point::Storage => {
                self.w.points[1].freshness = Freshness::Current;
                for device in &mut self.w.devices {
                    if device.capability == Capability::Overtaken && !self.rules.has(Mutation::OldCapability) {
                        device.capability = Capability::Dead;
                    }
                }
                self.remove_purged_archives();
            }
            Point::Restorer => self.w.points[2].freshness = Freshness::Current,
        }
        self.acknowledge();
        Ok(())
    }

    /// REV-2 at storage.
    pub(super) fn remove_purged_archives(&mut self) {
        for user in &mut self.w.users {
            if user.standing == Standing::Purged {
                user.archive = false;
            }
        }
    }

    /// REV-2 at the keystore, also at every unsealing (CER-6).
    pub(super) fn keystore_hears(&mut self) {
        if self.rules.publication {
            return self.sync_keystore();
        }
        self.w.points[0].freshness = Freshness::Current;
        if !self.rules.has(Mutation::PendingSurvives) {
            self.w.each_lane(|lane| lane.pending = false);
        }
        self.attempts_follow_log();
        self.accounts_follow_log();
    }

    /// REV-2h: the attempts of deauthorized devices, and of users who were deactivated or purged, are closed at the keystore: what was
    /// sent for them before is void.
    fn attempts_follow_log(&mut self) {
        if self.rules.has(Mutation::AttemptsSurvive) {
            return;
        }
        for user in 0..self.rules.users {
            let ending = std::mem::take(&mut self.w.users[user as usize].ending);
            for device in self.rules.devices_of(user) {
                let device = &mut self.w.devices[device];
                let retired = matches!(device.at_authority, DeviceState::Revoking | DeviceState::Revoked);
                if ending || retired && !device.heard {
                    device.close_attempt();
                }
                device.heard |= retired && device.opening_may_come();
            }
        }
    }

    /// REV-3.
    pub(super) fn acknowledge(&mut self) {
        let waits = match self.rules.publication {
            true => Point::ALL.iter().any(|point| self.waits_for(*point)),
            false => self.w.points.iter().any(|point| point.freshness == Freshness::Behind),
        };
        if waits || self.rules.has(Mutation::NeverAcknowledged) {
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
                    if !self.rules.has(Mutation::PurgeKeepsKey) {
                        u.escrowed = NO_KEY;
                    }
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
            d.attempt_at_keystore = Attempt::None;
        }
        Ok(())
    }

    /// SUS-1.
    pub(super) fn suspend(&mut self, user: User, by: Requester) -> Check {
        self.rules.may_manage(by)?;
        let standing = &mut self.w.users[user as usize].standing;
        match standing {
            Standing::Active => *standing = Standing::Suspended,
            Standing::Suspended => return Err(Refusal::AlreadySuspended),
            Standing::Deactivated | Standing::Purged => return Err(Refusal::UserDeactivated),
        }
        Ok(())
    }

    /// SUS-2.
    pub(super) fn resume(&mut self, user: User, by: Requester) -> Check {
        self.rules.may_manage(by)?;
        let standing = &mut self.w.users[user as usize].standing;
        if *standing != Standing::Suspended {
            return Err(Refusal::NotSuspended);
        }
        *standing = Standing::Active;
        Ok(())
    }

    /// DEA-1.
    pub(super) fn deactivate(&mut self, user: User, by: Requester) -> Check {
        self.rules.may_manage(by)?;
        let standing = &mut self.w.users[user as usize].standing;
        if matches!(standing, Standing::Deactivated | Standing::Purged) {
            return Err(Refusal::UserDeactivated);
        }
        *standing = Standing::Deactivated;
        self.w.users[user as usize].ending = self.rules.enrols;
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
    pub(super) fn reactivate(&mut self, user: User, by: Requester) -> Check {
        self.rules.may_manage(by)?;
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
        u.ending = self.rules.enrols;
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
            Requester::ForeignAdmin if !self.has(Mutation::ForeignAdminDeauthorizes) => Err(Refusal::OtherTenant),
            Requester::Neighbour | Requester::Namesake => Err(Refusal::NotYourDevice),
            _ => Ok(()),
        }
    }

    /// SUS-1, SUS-2, DEA-1, DEA-2, first check: whatever the world is like.
    pub(super) fn may_manage(&self, by: Requester) -> Check {
        match by {
            Requester::ForeignAdmin if !self.has(Mutation::ForeignAdminManages) => Err(Refusal::OtherTenant),
            _ => Ok(()),
        }
    }
}
