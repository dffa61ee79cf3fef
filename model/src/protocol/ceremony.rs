//! Ceremonies, custody and rekey (CER, KEY).

use bailee_spec::action::{Asking, Caller, Condition, Custodian, Handing, Node, Purpose};
use bailee_spec::observation::{CeremonyState, ShareHeld, Window};
use bailee_spec::outcome::Refusal;

use super::mutation::Mutation;
use super::step::{Check, Rules};
use super::world::{Share, SnapshotState, World};

impl Rules {
    /// CER-1, CER-7.
    pub(super) fn restart<const U: usize, const N: usize>(&self, w: &mut World<U, N>, node: Node) {
        w.nodes[node as usize].sealed = !self.has(Mutation::StartsUnsealed);
        self.end_ceremony(w, node);
        if node == 0 {
            w.each_lane(|lane| lane.pending = false);
        }
    }

    /// CER-1: a ceremony of the node is over.
    pub(super) fn end_ceremony<const U: usize, const N: usize>(&self, w: &mut World<U, N>, node: Node) {
        let n = &mut w.nodes[node as usize];
        let candidate_dropped = n.ceremony == CeremonyState::RekeyAcks;
        n.ceremony = CeremonyState::None;
        self.close_collection(w, node);
        if candidate_dropped {
            for custodian in &mut w.custodians {
                custodian.acked = false;
            }
        }
    }

    /// No more shares for the node's ceremony: what custodians hold for it is old.
    fn close_collection<const U: usize, const N: usize>(&self, w: &mut World<U, N>, node: Node) {
        let (window, share) = match self.has(Mutation::SharesDieAtOnce) {
            false => (Window::Dead, Share::OLD),
            true => (Window::None, Share::NONE),
        };
        let n = &mut w.nodes[node as usize];
        if n.window == Window::Live {
            n.window = window;
        }
        for custodian in &mut w.custodians {
            custodian.counted[node as usize] = false;
            if custodian.share == Share::released_for(node) {
                custodian.share = share;
            }
        }
    }

    /// TIME-1 for ceremonies.
    pub(super) fn end_ceremonies<const U: usize, const N: usize>(&self, w: &mut World<U, N>) {
        if self.has(Mutation::CeremonyNeverEnds) {
            return;
        }
        for node in 0..self.nodes {
            self.end_ceremony(w, node);
            w.nodes[node as usize].window = Window::None;
        }
        for custodian in &mut w.custodians {
            custodian.share = Share::NONE;
        }
    }

    /// CER-2.
    pub(super) fn open_ceremony<const U: usize, const N: usize>(
        &self,
        w: &mut World<U, N>,
        node: Node,
        purpose: Purpose,
        by: Caller,
    ) -> Check {
        self.may_open(by)?;
        let rekeys = w.nodes.iter().any(|n| matches!(n.ceremony, CeremonyState::Rekey | CeremonyState::RekeyAcks));
        let n = &mut w.nodes[node as usize];
        match purpose {
            Purpose::Unseal if !n.sealed => return Err(Refusal::AlreadyUnsealed),
            Purpose::Rekey if n.sealed => return Err(Refusal::NotUnsealed),
            _ => {}
        }
        if n.ceremony != CeremonyState::None || (purpose == Purpose::Rekey && rekeys) {
            return Err(Refusal::CeremonyOpen);
        }
        n.ceremony = match purpose {
            Purpose::Unseal => CeremonyState::Unseal,
            Purpose::Rekey => CeremonyState::Rekey,
        };
        Ok(())
    }

    /// CER-2, first check: whatever the world is like.
    pub(super) fn may_open(&self, by: Caller) -> Check {
        if by == Caller::Stranger && !self.has(Mutation::StrangerOpens) {
            return Err(Refusal::Unauthenticated);
        }
        Ok(())
    }

    /// CER-3.
    pub(super) fn announce<const U: usize, const N: usize>(&self, w: &mut World<U, N>, node: Node) -> Check {
        let n = &mut w.nodes[node as usize];
        match n.ceremony {
            CeremonyState::None => Err(Refusal::OutOfTurn),
            CeremonyState::RekeyAcks => Ok(()),
            CeremonyState::Unseal | CeremonyState::Rekey => {
                n.window = Window::Live;
                Ok(())
            }
        }
    }

    /// CER-4.
    pub(super) fn request_share<const U: usize, const N: usize>(
        &self,
        w: &mut World<U, N>,
        custodian: Custodian,
        node: Node,
        asking: Asking,
    ) -> Check {
        self.may_ask(asking)?;
        let window = w.nodes[node as usize].window;
        if window == Window::None && !self.has(Mutation::ShareWithoutRestart) {
            return Err(Refusal::NoRestartPending);
        }
        if !w.alerts_up && !self.has(Mutation::ShareWithoutAlert) {
            return Err(Refusal::AlertUnavailable);
        }
        w.custodians[custodian as usize].share =
            if window == Window::Live { Share::released_for(node) } else { Share::OLD };
        Ok(())
    }

    /// CER-4, first checks: whatever the world is like.
    pub(super) fn may_ask(&self, asking: Asking) -> Check {
        match asking {
            Asking::ForAnother if !self.has(Mutation::ShareToAnyone) => Err(Refusal::NotYourShare),
            Asking::WithoutCode if !self.has(Mutation::NoSecondFactor) => Err(Refusal::MfaRequired),
            Asking::WithUsedCode if !self.has(Mutation::NoSecondFactor) => Err(Refusal::CodeReplayed),
            _ => Ok(()),
        }
    }

    /// CER-5.
    pub(super) fn submit_share<const U: usize, const N: usize>(
        &self,
        w: &mut World<U, N>,
        custodian: Custodian,
        node: Node,
        handing: Handing,
    ) -> Check {
        match handing {
            Handing::Right => self.submit_right(w, custodian, node),
            Handing::Retired if !w.retired_shares => Err(Refusal::OutOfTurn),
            _ => self.submit_bad(w, custodian, node, handing),
        }
    }

    fn submit_right<const U: usize, const N: usize>(
        &self,
        w: &mut World<U, N>,
        custodian: Custodian,
        node: Node,
    ) -> Check {
        let c = &mut w.custodians[custodian as usize];
        match c.share.held() {
            ShareHeld::None => Err(Refusal::OutOfTurn),
            ShareHeld::For(other) if other != node => Err(Refusal::OutOfTurn),
            ShareHeld::Old => {
                c.share = Share::NONE;
                Err(Refusal::CeremonyExpired)
            }
            ShareHeld::For(_) => {
                c.share = Share::NONE;
                self.count(w, custodian, node)
            }
        }
    }

    fn submit_bad<const U: usize, const N: usize>(
        &self,
        w: &mut World<U, N>,
        custodian: Custodian,
        node: Node,
        handing: Handing,
    ) -> Check {
        if !matches!(w.nodes[node as usize].ceremony, CeremonyState::Unseal | CeremonyState::Rekey) {
            return Err(Refusal::CeremonyExpired);
        }
        let refusal = match handing {
            Handing::AsAnother => Refusal::BadSignature,
            Handing::Retired => Refusal::WrongEpoch,
            _ if w.custodians[custodian as usize].counted[node as usize] => return Err(Refusal::DuplicateShare),
            _ => Refusal::WrongShare,
        };
        if self.may_count(handing) { self.count(w, custodian, node) } else { Err(refusal) }
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

    fn count<const U: usize, const N: usize>(&self, w: &mut World<U, N>, custodian: Custodian, node: Node) -> Check {
        let counted = |w: &World<U, N>| w.custodians.iter().filter(|c| c.counted[node as usize]).count() as u8;
        if w.retired_shares && self.has(Mutation::RekeyLosesShares) {
            return Err(Refusal::WrongEpoch);
        }
        let mut extra = 0;
        let c = &mut w.custodians[custodian as usize];
        if c.counted[node as usize] {
            if !self.has(Mutation::ShareCountsTwice) {
                return Err(Refusal::DuplicateShare);
            }
            extra = 1;
        }
        c.counted[node as usize] = true;
        if self.has(Mutation::OneShareFewer) {
            extra = 1;
        }
        if counted(w) + extra >= self.threshold {
            match w.nodes[node as usize].ceremony {
                CeremonyState::Unseal => self.unseal(w, node),
                CeremonyState::Rekey => self.make_candidate(w, node),
                CeremonyState::None | CeremonyState::RekeyAcks => {}
            }
        }
        Ok(())
    }

    /// CER-6.
    fn unseal<const U: usize, const N: usize>(&self, w: &mut World<U, N>, node: Node) {
        self.end_ceremony(w, node);
        if self.has(Mutation::UnsealFails) {
            return;
        }
        w.nodes[node as usize].sealed = false;
        if node == 0 && w.restoring {
            self.finish_restore(w);
        }
        self.keystore_hears(w);
        self.acknowledge(w);
    }

    /// CER-8.
    pub(super) fn unseal_together<const U: usize, const N: usize>(&self, w: &mut World<U, N>, node: Node) -> Check {
        if !w.nodes[node as usize].sealed {
            return Err(Refusal::AlreadyUnsealed);
        }
        self.unseal(w, node);
        Ok(())
    }

    /// KEY-1.
    fn make_candidate<const U: usize, const N: usize>(&self, w: &mut World<U, N>, node: Node) {
        self.close_collection(w, node);
        w.nodes[node as usize].ceremony = CeremonyState::RekeyAcks;
    }

    /// KEY-2.
    pub(super) fn ack_share<const U: usize, const N: usize>(
        &self,
        w: &mut World<U, N>,
        custodian: Custodian,
        condition: Condition,
    ) -> Check {
        let collecting = |w: &World<U, N>, n: usize| w.nodes[n].ceremony == CeremonyState::RekeyAcks;
        if !(0..self.nodes as usize).any(|n| collecting(w, n)) {
            return Err(Refusal::OutOfTurn);
        }
        if condition == Condition::Damaged {
            return Err(Refusal::OwnShareDamaged);
        }
        w.custodians[custodian as usize].acked = true;
        let acked = w.custodians.iter().filter(|c| c.acked).count() as u8;
        let needed = match self.mutation {
            Some(Mutation::RekeyEarly) => self.threshold,
            Some(Mutation::RekeyNeverEnds) => self.custodians + 1,
            _ => self.custodians,
        };
        if acked >= needed {
            self.rekeyed(w);
        }
        Ok(())
    }

    /// KEY-3: every ceremony is over, for whoever collects has shares of the former header, and so is a restore of its epoch.
    fn rekeyed<const U: usize, const N: usize>(&self, w: &mut World<U, N>) {
        for node in 0..self.nodes {
            self.end_ceremony(w, node);
        }
        w.restoring = false;
        w.retired_shares = true;
        if w.snapshot == SnapshotState::Current {
            w.snapshot = SnapshotState::Retired;
        }
    }

    /// KEY-4.
    pub(super) fn rekey_together<const U: usize, const N: usize>(&self, w: &mut World<U, N>) -> Check {
        if w.nodes[0].sealed {
            return Err(Refusal::NotUnsealed);
        }
        self.rekeyed(w);
        Ok(())
    }
}
