//! Snapshots, disaster restore and what comes back (DIS), and the least adversary (ADV).

use bailee_spec::action::{Condition, Custodian, Device, Node, User};
use bailee_spec::observation::{AccountState, Message};
use bailee_spec::outcome::Refusal;

use super::mutation::Mutation;
use super::step::{Check, Rules};
use super::world::{Key, NO_KEY, SnapshotState, World};

/// The account holds a key that can be released now or after a reactivation.
fn holds_key(account: AccountState) -> bool {
    matches!(account, AccountState::Active | AccountState::Dormant)
}

impl Rules {
    /// DIS-1.
    pub(super) fn take_snapshot<const U: usize, const N: usize>(&self, w: &mut World<U, N>) -> Check {
        self.unsealed(w)?;
        w.snapshot = SnapshotState::Current;
        for user in &mut w.users {
            if !self.has(Mutation::EmptySnapshot) {
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
    pub(super) fn stage_restore<const U: usize, const N: usize>(
        &self,
        w: &mut World<U, N>,
        condition: Condition,
    ) -> Check {
        if !w.nodes[0].sealed {
            return Err(Refusal::NotSealed);
        }
        match w.snapshot {
            SnapshotState::None => return Err(Refusal::SnapshotUnknown),
            _ if condition == Condition::Damaged && !self.has(Mutation::DamagedSnapshot) => {
                return Err(Refusal::SnapshotDamaged);
            }
            SnapshotState::Retired if !self.has(Mutation::RetiredSnapshot) => return Err(Refusal::EpochRetired),
            SnapshotState::Current | SnapshotState::Retired => {}
        }
        w.restoring = true;
        Ok(())
    }

    /// DIS-3, up to the sync that every unsealing makes.
    pub(super) fn finish_restore<const U: usize, const N: usize>(&self, w: &mut World<U, N>) {
        w.restoring = false;
        for user in 0..self.users {
            self.close_attempts(w, user);
            let u = &mut w.users[user as usize];
            u.account = u.snapshot_account;
            u.escrowed = u.snapshot_key;
            let as_logged = holds_key(u.account) && u.escrowed == u.enrolled;
            if u.enrolled != NO_KEY && !as_logged && !self.has(Mutation::LossNotNoticed) {
                u.account = AccountState::Lost;
                u.escrowed = NO_KEY;
            }
        }
        if self.has(Mutation::GenerationStays) {
            return;
        }
        w.each_lane(|lane| {
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
    pub(super) fn replay<const U: usize, const N: usize>(&self, w: &mut World<U, N>, user: User) -> Check {
        let kept = w.users[user as usize].kept;
        if kept == NO_KEY {
            return Err(Refusal::NothingKept);
        }
        self.take_back(w, user, kept)
    }

    /// DIS-6.
    pub(super) fn re_escrow<const U: usize, const N: usize>(&self, w: &mut World<U, N>, device: Device) -> Check {
        self.device_may_ask(w, device)?;
        self.authority_serves(w, device)?;
        let key = w.devices[device as usize].disk_key;
        self.take_back(w, self.user_of(device), key)
    }

    fn take_back<const U: usize, const N: usize>(&self, w: &mut World<U, N>, user: User, key: Key) -> Check {
        self.unsealed(w)?;
        let u = &mut w.users[user as usize];
        if u.account != AccountState::Lost {
            return Err(Refusal::NotLost);
        }
        if key != u.enrolled {
            return Err(Refusal::CommitmentMismatch);
        }
        u.account = AccountState::Active;
        u.escrowed = key;
        if self.has(Mutation::AnyKeyComesBack) {
            let fresh = w.fresh_key();
            w.users[user as usize].escrowed = fresh;
        }
        self.accounts_follow_log(w);
        Ok(())
    }

    /// ADV-1.
    pub(super) fn read_host<const U: usize, const N: usize>(&self, w: &mut World<U, N>, node: Node) -> Check {
        if w.nodes[node as usize].sealed {
            return Err(Refusal::Sealed);
        }
        for user in &mut w.users {
            user.opened_by_root |= holds_key(user.account) && !self.has(Mutation::EscrowStaysSealed);
        }
        Ok(())
    }

    /// ADV-2.
    pub(super) fn corrupt_custodian<const U: usize, const N: usize>(
        &self,
        w: &mut World<U, N>,
        custodian: Custodian,
    ) -> Check {
        w.custodians[custodian as usize].corrupt = true;
        self.combine_loot(w);
        Ok(())
    }

    /// ADV-3.
    pub(super) fn steal_snapshot<const U: usize, const N: usize>(&self, w: &mut World<U, N>) -> Check {
        if w.snapshot == SnapshotState::None {
            return Err(Refusal::SnapshotUnknown);
        }
        for user in &mut w.users {
            user.stolen |= holds_key(user.snapshot_account);
        }
        self.combine_loot(w);
        Ok(())
    }

    /// ADV-4.
    fn combine_loot<const U: usize, const N: usize>(&self, w: &mut World<U, N>) {
        let shares = w.custodians.iter().filter(|c| c.corrupt).count() as u8;
        let needed = match self.mutation {
            Some(Mutation::TwoSharesOpen) => 2,
            Some(Mutation::StoreInClear) => 0,
            Some(Mutation::EscrowStaysSealed) => u8::MAX,
            _ => self.threshold,
        };
        for user in &mut w.users {
            user.opened_by_shares |= user.stolen && shares >= needed;
        }
    }
}
