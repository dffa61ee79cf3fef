//! Ceremonies, custody and rekey (CER, KEY).

use bailee_spec::action::{Asking, Caller, Condition, Custodian, Handing, Node, Purpose};
use bailee_spec::observation::{CeremonyState, Person, ShareHeld, Window};
use bailee_spec::outcome::Refusal;

use super::mutation::Mutation;
use super::step::{Check, Rules, Turn};
use super::world::{Share, SnapshotState};

impl<const U: usize, const N: usize> Turn<'_, U, N> {
    /// CER-1, CER-7.
    pub(super) fn restart(&mut self, node: Node) {
        self.w.nodes[node as usize].sealed = !self.rules.has(Mutation::StartsUnsealed);
        self.end_ceremony(node);
        if node == 0 {
            self.w.each_lane(|lane| lane.pending = false);
        }
    }

    /// CER-1: a ceremony of the node is over.
    pub(super) fn end_ceremony(&mut self, node: Node) {
        let n = &mut self.w.nodes[node as usize];
        let candidate_dropped = n.ceremony == CeremonyState::RekeyAcks;
        n.ceremony = CeremonyState::None;
        self.close_collection(node);
        if candidate_dropped && !self.rules.has(Mutation::AcksSurvive) {
            for custodian in &mut self.w.custodians {
                custodian.acked = false;
            }
        }
    }

    /// No more shares for the node's ceremony: what custodians hold for it is old.
    fn close_collection(&mut self, node: Node) {
        let (window, share) = match self.rules.has(Mutation::SharesDieAtOnce) {
            false => (Window::Dead, Share::OLD),
            true => (Window::None, Share::NONE),
        };
        let n = &mut self.w.nodes[node as usize];
        if n.window == Window::Live {
            n.window = window;
        }
        for custodian in &mut self.w.custodians {
            custodian.counted[node as usize] = false;
            if custodian.share == Share::released_for(node) {
                custodian.share = share;
            }
        }
    }

    /// TIME-1 for ceremonies.
    pub(super) fn end_ceremonies(&mut self) {
        if self.rules.has(Mutation::CeremonyNeverEnds) {
            return;
        }
        for node in 0..self.rules.nodes {
            self.end_ceremony(node);
            if !self.rules.has(Mutation::WindowNeverEnds) {
                self.w.nodes[node as usize].window = Window::None;
            }
        }
        for custodian in &mut self.w.custodians {
            custodian.share = Share::NONE;
        }
        self.nobody_joined();
    }

    /// The window of before is gone.
    fn nobody_joined(&mut self) {
        for custodian in &mut self.w.custodians {
            custodian.joined = false;
        }
    }

    /// CER-2.
    pub(super) fn open_ceremony(&mut self, node: Node, purpose: Purpose, by: Caller) -> Check {
        self.rules.may_open(by)?;
        let rekeys =
            self.w.nodes.iter().any(|n| matches!(n.ceremony, CeremonyState::Rekey | CeremonyState::RekeyAcks));
        let n = &mut self.w.nodes[node as usize];
        match purpose {
            Purpose::Unseal if !n.sealed => return Err(Refusal::AlreadyUnsealed),
            Purpose::Rekey if n.sealed => return Err(Refusal::NotUnsealed),
            _ => {}
        }
        let replaced = n.ceremony == CeremonyState::Unseal && self.rules.has(Mutation::OpeningReplaces);
        let rekeys = rekeys && !self.rules.has(Mutation::TwoRekeys);
        if n.ceremony != CeremonyState::None && !replaced || (purpose == Purpose::Rekey && rekeys) {
            return Err(Refusal::CeremonyOpen);
        }
        if replaced {
            self.end_ceremony(node);
        }
        let n = &mut self.w.nodes[node as usize];
        n.ceremony = match purpose {
            Purpose::Unseal => CeremonyState::Unseal,
            Purpose::Rekey => CeremonyState::Rekey,
        };
        Ok(())
    }

    /// KEY-6: the one who acts is there and holds a share.
    fn serves(&self, custodian: Custodian) -> Check {
        match self.w.custodians[custodian as usize].person {
            Person::Serving => Ok(()),
            Person::Gone | Person::New => Err(Refusal::OutOfTurn),
        }
    }

    /// KEY-6.
    pub(super) fn lose_custodian(&mut self, custodian: Custodian) -> Check {
        self.serves(custodian)?;
        let custodians = &mut self.w.custodians[..self.rules.custodians as usize];
        let serving = custodians.iter().filter(|c| c.person == Person::Serving).count();
        if serving <= self.rules.threshold as usize {
            return Err(Refusal::OutOfTurn);
        }
        let custodian = &mut custodians[custodian as usize];
        (custodian.person, custodian.share, custodian.joined) = (Person::Gone, Share::NONE, false);
        Ok(())
    }

    /// KEY-7.
    pub(super) fn open_replacement(&mut self, node: Node) -> Check {
        let custodians = ..self.rules.custodians as usize;
        if self.w.custodians[custodians].iter().all(|c| c.person == Person::Serving) {
            return Err(Refusal::OutOfTurn);
        }
        self.open_ceremony(node, Purpose::Rekey, Caller::Operator)?;
        for custodian in self.w.custodians[custodians].iter_mut().filter(|c| c.person != Person::Serving) {
            custodian.person = if self.rules.has(Mutation::RosterAtOnce) { Person::Serving } else { Person::New };
        }
        Ok(())
    }

    /// CER-3.
    pub(super) fn announce(&mut self, node: Node) -> Check {
        let n = &mut self.w.nodes[node as usize];
        match n.ceremony {
            CeremonyState::None => Err(Refusal::OutOfTurn),
            CeremonyState::RekeyAcks => Ok(()),
            CeremonyState::Unseal | CeremonyState::Rekey => {
                n.window = Window::Live;
                self.nobody_joined();
                Ok(())
            }
        }
    }

    /// CER-4.
    pub(super) fn request_share(&mut self, custodian: Custodian, node: Node, asking: Asking) -> Check {
        self.serves(custodian)?;
        self.rules.may_ask(asking)?;
        let window = self.w.nodes[node as usize].window;
        if window == Window::None && !self.rules.has(Mutation::ShareWithoutRestart) {
            return Err(Refusal::NoRestartPending);
        }
        if !self.w.alerts_up && !self.rules.has(Mutation::ShareWithoutAlert) {
            return Err(Refusal::AlertUnavailable);
        }
        if self.w.custodians[custodian as usize].joined {
            return Err(Refusal::OwnShareDamaged);
        }
        self.w.custodians[custodian as usize].share =
            if window == Window::Live { Share::released_for(node) } else { Share::OLD };
        Ok(())
    }

    /// CER-5.
    pub(super) fn submit_share(&mut self, custodian: Custodian, node: Node, handing: Handing) -> Check {
        self.serves(custodian)?;
        match handing {
            Handing::Right => self.submit_right(custodian, node),
            Handing::Retired if !self.w.retired_shares => Err(Refusal::OutOfTurn),
            _ => self.submit_bad(custodian, node, handing),
        }
    }

    fn submit_right(&mut self, custodian: Custodian, node: Node) -> Check {
        let c = &mut self.w.custodians[custodian as usize];
        match c.share.held() {
            ShareHeld::None => Err(Refusal::OutOfTurn),
            ShareHeld::For(other) if other != node && !self.rules.has(Mutation::ShareOfAnotherNode) => {
                Err(Refusal::OutOfTurn)
            }
            ShareHeld::Old => {
                c.share = Share::NONE;
                let collects =
                    matches!(self.w.nodes[node as usize].ceremony, CeremonyState::Unseal | CeremonyState::Rekey);
                if collects && self.rules.has(Mutation::OldShareCounts) {
                    return self.count(custodian, node);
                }
                Err(Refusal::CeremonyExpired)
            }
            ShareHeld::For(_) => {
                c.share = Share::NONE;
                self.count(custodian, node)
            }
        }
    }

    fn submit_bad(&mut self, custodian: Custodian, node: Node, handing: Handing) -> Check {
        if !matches!(self.w.nodes[node as usize].ceremony, CeremonyState::Unseal | CeremonyState::Rekey) {
            return Err(Refusal::CeremonyExpired);
        }
        let refusal = match handing {
            Handing::AsAnother => Refusal::BadSignature,
            Handing::Retired => Refusal::WrongEpoch,
            _ if self.w.custodians[custodian as usize].counted[node as usize] => return Err(Refusal::DuplicateShare),
            _ => Refusal::WrongShare,
        };
        if self.rules.may_count(handing) { self.count(custodian, node) } else { Err(refusal) }
    }

    fn count(&mut self, custodian: Custodian, node: Node) -> Check {
        if self.w.retired_shares && self.rules.has(Mutation::RekeyLosesShares) {
            return Err(Refusal::WrongEpoch);
        }
        let mut extra = 0;
        let c = &mut self.w.custodians[custodian as usize];
        if c.counted[node as usize] {
            if !self.rules.has(Mutation::ShareCountsTwice) {
                return Err(Refusal::DuplicateShare);
            }
            extra = 1;
        }
        c.counted[node as usize] = true;
        if self.rules.has(Mutation::OneShareFewer) {
            extra = 1;
        }
        let counted = self.w.custodians.iter().filter(|c| c.counted[node as usize]).count() as u8;
        if counted + extra >= self.rules.threshold {
            match self.w.nodes[node as usize].ceremony {
                CeremonyState::Unseal => self.unseal(node),
                CeremonyState::Rekey => self.make_candidate(node),
                CeremonyState::None | CeremonyState::RekeyAcks => {}
            }
        }
        Ok(())
    }

    /// CER-6.
    fn unseal(&mut self, node: Node) {
        self.end_ceremony(node);
        if self.rules.has(Mutation::UnsealFails) {
            return;
        }
        self.w.nodes[node as usize].sealed = false;
        if node == 0 && self.w.restoring {
            self.finish_restore();
        }
        self.keystore_hears();
        self.acknowledge();
    }

    /// CER-8.
    pub(super) fn unseal_together(&mut self, node: Node) -> Check {
        if !self.w.nodes[node as usize].sealed {
            return Err(Refusal::AlreadyUnsealed);
        }
        self.unseal(node);
        Ok(())
    }

    /// KEY-1.
    fn make_candidate(&mut self, node: Node) {
        self.close_collection(node);
        self.w.nodes[node as usize].ceremony = CeremonyState::RekeyAcks;
        if self.rules.has(Mutation::CandidateAtOnce) {
            self.rekeyed();
        }
    }

    /// KEY-2.
    pub(super) fn ack_share(&mut self, custodian: Custodian, condition: Condition) -> Check {
        let collecting = |n: usize| self.w.nodes[n].ceremony == CeremonyState::RekeyAcks;
        let gone = self.w.custodians[custodian as usize].person == Person::Gone;
        if gone || !(0..self.rules.nodes as usize).any(collecting) {
            return Err(Refusal::OutOfTurn);
        }
        if condition == Condition::Damaged && !self.rules.has(Mutation::DamagedShareAcked) {
            return Err(Refusal::OwnShareDamaged);
        }
        if self.w.custodians[custodian as usize].person == Person::New && self.rules.has(Mutation::RosterNotTaken) {
            return Err(Refusal::OwnShareDamaged);
        }
        self.w.custodians[custodian as usize].acked = true;
        let acked = self.w.custodians.iter().filter(|c| c.acked).count() as u8;
        let needed = match self.rules.mutation {
            Some(Mutation::RekeyEarly) => self.rules.threshold,
            Some(Mutation::RekeyNeverEnds) => self.rules.custodians + 1,
            _ => self.rules.custodians,
        };
        if acked >= needed {
            self.rekeyed();
        }
        Ok(())
    }

    /// KEY-3: every ceremony is over, for whoever collects has shares of the former header, and so is a restore of its epoch.
    fn rekeyed(&mut self) {
        for node in 0..self.rules.nodes {
            self.end_ceremony(node);
        }
        let window = self.w.nodes[0].window != Window::None;
        for custodian in &mut self.w.custodians {
            custodian.joined = window && custodian.person == Person::New;
            if custodian.person == Person::New {
                custodian.person = Person::Serving;
            }
        }
        self.w.restoring = false;
        self.w.retired_shares = true;
        if self.w.snapshot == SnapshotState::Current {
            self.w.snapshot = SnapshotState::Retired;
        }
    }

    /// KEY-4.
    pub(super) fn rekey_together(&mut self) -> Check {
        if self.w.nodes[0].sealed {
            return Err(Refusal::NotUnsealed);
        }
        self.rekeyed();
        Ok(())
    }
}

/// What is refused whatever the world is like.
impl Rules {
    /// CER-2, first check: whatever the world is like.
    pub(super) fn may_open(&self, by: Caller) -> Check {
        if by == Caller::Stranger && !self.has(Mutation::StrangerOpens) {
            return Err(Refusal::Unauthenticated);
        }
        Ok(())
    }

    /// CER-4, first checks: whatever the world is like.
    pub(super) fn may_ask(&self, asking: Asking) -> Check {
        match asking {
            Asking::ForAnother if !self.has(Mutation::ShareToAnyone) => Err(Refusal::NotYourShare),
            Asking::WithoutCode if !self.has(Mutation::NoSecondFactor) => Err(Refusal::MfaRequired),
            Asking::WithUsedCode if !self.has(Mutation::NoSecondFactor) && !self.has(Mutation::UsedCodeServes) => {
                Err(Refusal::CodeReplayed)
            }
            _ => Ok(()),
        }
    }

    /// Whether a share so handed in can count at all: a bad one only by a bug.
    pub(super) fn may_count(&self, handing: Handing) -> bool {
        match handing {
            Handing::Right => true,
            Handing::Wrong => self.has(Mutation::WrongShareCounts),
            Handing::AsAnother => self.has(Mutation::IndexNotSigned),
            Handing::Retired => self.has(Mutation::RetiredShareCounts),
        }
    }
}
