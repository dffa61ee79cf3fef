//! Ceremonies with all their people.

use std::sync::Arc;

use bailee_spec::action::{Asking, Caller, Condition, Handing, Point, Purpose};
use bailee_spec::observation::CeremonyState;
use bailee_spec::outcome::Refusal;
use rand_core::CryptoRng;

use super::act::Done;
use super::{Ensemble, own};
use crate::cbor;
use crate::roles::custodian::Submission;
use crate::wire::{B32, CeremonyBody};

/// A scalar that is nobody's share.
const WRONG: [u8; 32] = {
    let mut bytes = [0; 32];
    bytes[0] = 1;
    bytes
};

impl Ensemble {
    pub(super) fn announce(&mut self, node: u8, rng: &mut dyn CryptoRng) -> Done {
        let ceremony = self.keystore.announced(self.now, node).ok_or(Refusal::OutOfTurn)?;
        let batch = self.custody.announce(&self.context(rng), &ceremony)?;
        own(&mut self.custody).disk.commit(batch);
        Ok(())
    }

    /// The index of the next custodian in the roll.
    fn next_index(&self, custodian: u8) -> u8 {
        (custodian + 1) % self.size.custodians + 1
    }

    pub(super) fn request_share(&mut self, custodian: u8, node: u8, asking: Asking, rng: &mut dyn CryptoRng) -> Done {
        let own_index = custodian + 1;
        let last = self.custody.last_code(own_index);
        let (index, code) = match asking {
            Asking::Honestly => (own_index, Some(last + 1)),
            Asking::WithoutCode => (own_index, None),
            Asking::WithUsedCode => (own_index, Some(last)),
            Asking::ForAnother => (self.next_index(custodian), Some(last + 1)),
        };
        let client = &self.custodians[custodian as usize];
        let asked = client.ask(index, node, code);
        let up = self.alerts_up;
        let (batch, wrapped, ceremony) = self.custody.request(&self.context(rng), &asked, || up)?;
        own(&mut self.custody).disk.commit(batch);
        own(&mut self.custodians[custodian as usize]).receive(&wrapped, &ceremony)
    }

    /// The ceremony that collects at a node, or one that is nobody's.
    fn ceremony_at(&self, node: u8) -> CeremonyBody {
        let nobody = || CeremonyBody {
            id: B32::from([0; 32]),
            node,
            rekey: false,
            recipient: self.custodians[0].keys().recipient,
            header: B32::from([0; 32]),
            share_epoch: 0,
            expiry: 0,
        };
        let announced = self.keystore.announced(self.now, node);
        announced
            .filter(|_| self.keystore.collecting(self.now, node).is_some())
            .and_then(|ceremony| cbor::decode(&ceremony.body, bailee_spec::limits::MESSAGE_BYTES).ok())
            .unwrap_or_else(nobody)
    }

    fn submission(
        &mut self,
        custodian: u8,
        node: u8,
        handing: Handing,
        rng: &mut dyn CryptoRng,
    ) -> Result<Submission, Refusal> {
        let ceremony = self.ceremony_at(node);
        let mut cx = self.context(rng);
        let (index, now) = (custodian + 1, self.now);
        if handing == Handing::Right {
            let (keystore, nodes) = (&self.keystore, self.size.nodes);
            let elsewhere = |id: &B32| (0..nodes).any(|n| n != node && keystore.collecting(now, n) == Some(*id));
            return own(&mut self.custodians[custodian as usize]).submit(&mut cx, node, elsewhere);
        }
        let client = &self.custodians[custodian as usize];
        let packed = match handing {
            Handing::Right | Handing::Wrong => client.package(&mut cx, &ceremony, index, &WRONG),
            Handing::AsAnother => client.package(&mut cx, &ceremony, self.next_index(custodian), &WRONG),
            Handing::Retired => {
                let header = self.former_header.as_ref().ok_or(Refusal::OutOfTurn)?;
                let wrapped = self.custody.wrapped(header.share_epoch, index).ok_or(Refusal::OutOfTurn)?;
                let value = client.unwrap(header, &wrapped)?;
                let retired =
                    CeremonyBody { share_epoch: header.share_epoch, header: header.digest(), ..ceremony.clone() };
                client.package(&mut cx, &retired, index, &value)
            }
        };
        packed.ok_or(Refusal::Malformed)
    }

    pub(super) fn submit_share(
        &mut self,
        custodian: u8,
        node: u8,
        handing: Handing,
        rng: &mut dyn CryptoRng,
    ) -> Done {
        let submission = self.submission(custodian, node, handing, rng)?;
        let cx = self.context(rng);
        let complete = own(&mut self.keystore).submit(&cx, node, &submission.share, &submission.signature)?;
        if complete {
            self.complete(node, rng)?;
        }
        Ok(())
    }

    /// CER-6.
    fn complete(&mut self, node: u8, rng: &mut dyn CryptoRng) -> Done {
        let mut cx = self.context(rng);
        if self.keystore.ceremony_state(self.now, node) == CeremonyState::Rekey {
            let keystore = own(&mut self.keystore);
            let (batch, shares) = keystore.make_candidate(&mut cx, node)?;
            keystore.disk.commit(batch);
            self.new_shares = shares;
            return Ok(());
        }
        let (epoch, log) = (self.authority.totals().epoch, self.authority.log());
        let keystore = own(&mut self.keystore);
        let batch = keystore.complete_unseal(&mut cx, node, epoch, &log)?;
        keystore.disk.commit(batch);
        let batch = self.authority.sees_generation(self.keystore.generation());
        own(&mut self.authority).disk.commit(batch);
        let batch = self.authority.confirmed(self.now, Point::Keystore);
        own(&mut self.authority).disk.commit(batch);
        let batch = self.authority.acknowledge(self.now);
        own(&mut self.authority).disk.commit(batch);
        Ok(())
    }

    /// KEY-2, KEY-3.
    pub(super) fn ack_share(&mut self, custodian: u8, condition: Condition, rng: &mut dyn CryptoRng) -> Done {
        let collecting = |node: &u8| self.keystore.ceremony_state(self.now, *node) == CeremonyState::RekeyAcks;
        let node = (0..self.size.nodes).find(collecting).ok_or(Refusal::OutOfTurn)?;
        let mut new = self.new_shares.get(custodian as usize).cloned().ok_or(Refusal::OutOfTurn)?;
        if condition == Condition::Damaged
            && let Some(last) = new.sealed.last_mut()
        {
            *last ^= 1;
        }
        let signature = self.custodians[custodian as usize].acknowledge(&new)?;
        let batch = self.custody.store_share(&new.header, new.index, &new.sealed);
        own(&mut self.custody).disk.commit(batch);
        let before = self.keystore.header();
        let mut cx = self.context(rng);
        let keystore = own(&mut self.keystore);
        if let Some(batch) = keystore.acknowledge_share(&mut cx, node, new.index, &signature)? {
            keystore.disk.commit(batch);
            self.former_header = before.map(Arc::new);
            for (custodian, share) in self.custodians.iter_mut().zip(&self.new_shares) {
                own(custodian).take_new(share)?;
            }
            self.new_shares.clear();
        }
        Ok(())
    }

    /// A ceremony by honest custodians, up to the threshold.
    fn hold_ceremony(&mut self, node: u8, purpose: Purpose, rng: &mut dyn CryptoRng) -> Done {
        let mut cx = self.context(rng);
        own(&mut self.keystore).open_ceremony(&mut cx, node, purpose, Caller::Operator)?;
        self.announce(node, rng)?;
        for custodian in 0..self.size.threshold {
            self.request_share(custodian, node, Asking::Honestly, rng)?;
            self.submit_share(custodian, node, Handing::Right, rng)?;
        }
        let batch = self.custody.close(node);
        own(&mut self.custody).disk.commit(batch);
        Ok(())
    }

    /// CER-8.
    pub(super) fn unseal_together(&mut self, node: u8, rng: &mut dyn CryptoRng) -> Done {
        if self.keystore.opened(node).is_some() {
            return Err(Refusal::AlreadyUnsealed);
        }
        self.hold_ceremony(node, Purpose::Unseal, rng)
    }

    /// KEY-4.
    pub(super) fn rekey_together(&mut self, rng: &mut dyn CryptoRng) -> Done {
        if self.keystore.opened(0).is_none() {
            return Err(Refusal::NotUnsealed);
        }
        self.hold_ceremony(0, Purpose::Rekey, rng)?;
        for custodian in 0..self.size.custodians {
            self.ack_share(custodian, Condition::Intact, rng)?;
        }
        Ok(())
    }
}
