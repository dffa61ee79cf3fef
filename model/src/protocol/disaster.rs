//! Snapshots, disaster restore and what comes back (DIS), and the least adversary (ADV).

use bailee_spec::action::{Condition, Custodian, Device, Node, User};
use bailee_spec::observation::{AccountState, Message};
use bailee_spec::outcome::Refusal;

use super::mutation::Mutation;
use super::step::{Check, Turn};
use super::world::{Key, NO_KEY, SnapshotState};

/// The account holds a key that can be released now or after a reactivation.
fn holds_key(account: AccountState) -> bool {
    matches!(account, AccountState::Active | AccountState::Dormant)
}

impl<const U: usize, const N: usize> Turn<'_, U, N> {
    /// DIS-1.
    pub(super) fn take_snapshot(&mut self) -> Check {
        if !self.rules.has(Mutation::SealedSnapshot) {
            self.unsealed()?;
        }
        self.w.snapshot = SnapshotState::Current;
        for user in &mut self.w.users {
            if !self.rules.has(Mutation::EmptySnapshot) {
                user.snapshot_account = user.account;
                user.snapshot_key = user.escrowed;
            }
            if holds_key(user.account) && user.escrowed == user.enrolled {
                user.kept = NO_KEY;
            }
        }
        Ok(())
    }

    /// DIS-2.
    pub(super) fn stage_restore(&mut self, condition: Condition) -> Check {
        if !self.w.nodes[0].sealed {
            return Err(Refusal::NotSealed);
        }
        match self.w.snapshot {
            SnapshotState::None => return Err(Refusal::SnapshotUnknown),
            _ if condition == Condition::Damaged && !self.rules.has(Mutation::DamagedSnapshot) => {
                return Err(Refusal::SnapshotDamaged);
            }
            SnapshotState::Retired if !self.rules.has(Mutation::RetiredSnapshot) => {
                return Err(Refusal::EpochRetired);
            }
            SnapshotState::Current | SnapshotState::Retired => {}
        }
        self.w.restoring = true;
        Ok(())
    }

    /// DIS-3, up to the sync that every unsealing makes.
    pub(super) fn finish_restore(&mut self) {
        self.w.restoring = false;
        for user in 0..self.rules.users {
            self.close_attempts(user);
            let u = &mut self.w.users[user as usize];
            u.account = u.snapshot_account;
            u.escrowed = u.snapshot_key;
            let as_logged = holds_key(u.account) && u.escrowed == u.enrolled;
            if u.enrolled != NO_KEY && !as_logged && !self.rules.has(Mutation::LossNotNoticed) {
                u.account = AccountState::Lost;
                u.escrowed = NO_KEY;
            }
        }
        if self.rules.has(Mutation::GenerationStays) {
            return;
        }
        self.w.each_lane(|lane| {
            lane.outdated |= matches!(
                lane.message.get(),
                Some(
                    Message::EnrolmentOpened
                        | Message::AccountCreated
                        | Message::Receipt
                        | Message::AlreadyEscrowed
                        | Message::SealedKey
                        | Message::KeystoreRefusal
                        | Message::ConsumeGrant
                )
            );
        });
    }

    /// DIS-5.
    pub(super) fn replay(&mut self, user: User) -> Check {
        let kept = self.w.users[user as usize].kept;
        if kept == NO_KEY {
            return Err(Refusal::NothingKept);
        }
        self.take_back(user, kept)
    }

    /// DIS-6.
    pub(super) fn re_escrow(&mut self, device: Device) -> Check {
        self.device_may_ask(device)?;
        self.authority_serves(device)?;
        let key = self.w.devices[device as usize].disk_key;
        self.take_back(self.rules.user_of(device), key)
    }

    fn take_back(&mut self, user: User, key: Key) -> Check {
        if !self.rules.has(Mutation::SealedTakesBack) {
            self.unsealed()?;
        }
        let u = &mut self.w.users[user as usize];
        if u.account != AccountState::Lost {
            return Err(Refusal::NotLost);
        }
        if key != u.enrolled {
            return Err(Refusal::CommitmentMismatch);
        }
        u.account = AccountState::Active;
        u.escrowed = key;
        if self.rules.has(Mutation::AnyKeyComesBack) {
            let fresh = self.w.fresh_key();
            self.w.users[user as usize].escrowed = fresh;
        }
        self.accounts_follow_log();
        Ok(())
    }

    /// ADV-1.
    pub(super) fn read_host(&mut self, node: Node) -> Check {
        if self.w.nodes[node as usize].sealed {
            return Err(Refusal::Sealed);
        }
        for user in &mut self.w.users {
            user.opened_by_root |= holds_key(user.account) && !self.rules.has(Mutation::EscrowStaysSealed);
        }
        Ok(())
    }

    /// ADV-2.
    pub(super) fn corrupt_custodian(&mut self, custodian: Custodian) -> Check {
        self.w.custodians[custodian as usize].corrupt = true;
        self.combine_loot();
        Ok(())
    }

    /// ADV-3.
    pub(super) fn steal_snapshot(&mut self) -> Check {
        if self.w.snapshot == SnapshotState::None {
            return Err(Refusal::SnapshotUnknown);
        }
        for user in &mut self.w.users {
            user.stolen |= holds_key(user.snapshot_account);
        }
        self.combine_loot();
        Ok(())
    }

    /// ADV-4.
    fn combine_loot(&mut self) {
        let shares = self.w.custodians.iter().filter(|c| c.corrupt).count() as u8;
        let needed = match self.rules.mutation {
            Some(Mutation::TwoSharesOpen) => 2,
            Some(Mutation::StoreInClear) => 0,
            Some(Mutation::EscrowStaysSealed) => u8::MAX,
            _ => self.rules.threshold,
        };
        for user in &mut self.w.users {
            user.opened_by_shares |= user.stolen && shares >= needed;
        }
    }
}
