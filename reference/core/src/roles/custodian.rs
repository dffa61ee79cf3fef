//! A custodian's client: one person, one share, keys of their own.

use std::sync::Arc;

use bailee_spec::outcome::Refusal;
use minicbor::{Decode, Encode};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::signed::{commitments, factor_body, share_context, wrap_context};
use crate::cbor;
use crate::crypto::hpke::{self, Recipient};
use crate::crypto::labels;
use crate::crypto::sharing::{self, ShareValue};
use crate::crypto::sign::{PublicKey, Signing};
use crate::machine::{Done, Input, Outgoing, Peer, Person, Role, Step, Timer, refusal_code};
use crate::quirks::Quirk;
use crate::store::Batch;
use crate::wire::{B32, Blob, Body, CeremonyBody, CustodianKeys, Factor, Frame, Header, Place, ShareBody, Signed};

/// A share in the client's memory, for one ceremony.
#[derive(Clone)]
struct Held {
    ceremony: CeremonyBody,
    value: Arc<ShareValue>,
}

/// What the person ordered.
#[derive(Clone, Copy)]
struct Asking {
    node: u8,
    code: Option<u64>,
    /// The roster to which the person agreed, by its digest.
    roster: Option<B32>,
}

/// What is gone when the program stops.
#[derive(Clone, Default)]
pub struct Memory {
    held: Option<Held>,
    /// For which node a share is asked for, with which code.
    asking: Option<Asking>,
    /// The ceremony to whose roster the person agreed.
    agreed: Option<B32>,
    /// The new share that is on its way into custody: its header, and the node that dealt it.
    storing: Option<(B32, u8)>,
}

/// The headers that the client knows: the one in force, and new ones whose shares it has acknowledged (KEY-2b).
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Known {
    #[n(0)]
    headers: Vec<Header>,
    #[n(1)]
    in_force: Option<B32>,
}

/// The record of the headers.
const HEADERS: &str = "headers";

/// New headers that are known beside the one in force.
const NEW_HEADERS: usize = 2;

impl Known {
    fn find(&self, digest: &B32) -> Option<&Header> {
        self.headers.iter().find(|header| header.digest() == *digest)
    }

    /// A ceremony that the custodian takes part in says by its signature which header is in force.
    fn now_in_force(&mut self, digest: &B32) {
        if self.find(digest).is_some() {
            self.in_force = Some(*digest);
        }
    }

    /// The same from a frame that nobody asked for: one that is carried late takes nothing back (KEY-2b).
    fn later_in_force(&mut self, digest: &B32) {
        let epoch = |known: &Self, digest: &B32| known.find(digest).map(|header| header.share_epoch);
        let now = self.in_force.as_ref().and_then(|digest| epoch(self, digest));
        if epoch(self, digest) >= now || Quirk::LateRekeyBelieved.is_on() {
            self.now_in_force(digest);
        }
    }

    /// Adds a header. The one in force is never given up, or its share could be used no more.
    fn add(&mut self, header: Header) {
        if self.find(&header.digest()).is_none() {
            self.headers.push(header);
        }
        while self.headers.len() > NEW_HEADERS + 1 {
            let old = self.headers.iter().position(|header| Some(header.digest()) != self.in_force);
            self.headers.remove(old.unwrap_or(0));
        }
    }
}

/// A new share as it is dealt: index, wrapped share and header.
#[derive(Clone, Copy)]
pub struct Dealt<'a> {
    /// The custodian's index, from 1.
    pub index: u8,
    /// The share, sealed to the custodian.
    pub wrapped: &'a [u8],
    /// The header that it belongs to.
    pub header: &'a Header,
}

/// A custodian's client.
#[cfg_attr(feature = "testing", derive(Clone))]
pub struct Custodian {
    index: u8,
    key: Signing,
    recipient: Recipient,
    authenticator: Signing,
    keystore: PublicKey,
    memory: Memory,
}

impl Custodian {
    /// A custodian with fresh keys.
    pub fn generate(index: u8, keystore: PublicKey, rng: &mut dyn CryptoRng) -> Self {
        Custodian {
            index,
            key: Signing::generate(rng),
            recipient: Recipient::generate(rng),
            authenticator: Signing::generate(rng),
            keystore,
            memory: Memory::default(),
        }
    }

    /// The public keys, for the header.
    pub fn keys(&self) -> CustodianKeys {
        CustodianKeys { sign: self.key.public().into(), recipient: self.recipient.public().into() }
    }

    /// The authenticator's public key, for custody.
    pub fn authenticator(&self) -> PublicKey {
        self.authenticator.public()
    }

    /// The ceremony for which it holds a share in memory.
    pub fn holds_for(&self) -> Option<&CeremonyBody> {
        self.memory.held.as_ref().map(|held| &held.ceremony)
    }

    /// The first share, at the keystore's own initialisation: checked, and its header kept.
    ///
    /// # Errors
    /// `OwnShareDamaged`.
    pub fn take_first(&self, batch: &mut Batch, dealt: Dealt<'_>) -> Done {
        self.unwrap(dealt.header, dealt.wrapped)?;
        let known = Known { headers: vec![dealt.header.clone()], in_force: Some(dealt.header.digest()) };
        batch.put(HEADERS, cbor::encode(&known));
        Ok(())
    }

    /// The value of a wrapped share, checked (CER-4d).
    ///
    /// # Errors
    /// `OwnShareDamaged`.
    pub fn unwrap(&self, header: &Header, wrapped: &[u8]) -> Result<ShareValue, Refusal> {
        let context = wrap_context(&header.digest(), self.index);
        let opened = self.recipient.open(labels::HPKE_WRAP, &context, wrapped).ok_or(Refusal::OwnShareDamaged)?;
        let value = <[u8; 32]>::try_from(&opened[..]).map(Zeroizing::new).map_err(|_| Refusal::OwnShareDamaged)?;
        sharing::verify(self.index, &value, &commitments(header), header.threshold)
            .map_err(|_| Refusal::OwnShareDamaged)?;
        Ok(value)
    }

    /// What asks custody for a share, with a factor for one ceremony (CER-4).
    pub fn request(&self, ceremony: &B32, index: u8, node: u8, code: Option<u64>) -> Body {
        let factor = code.map(|code| {
            let body = factor_body(ceremony, self.index, code);
            Factor { code, signature: self.authenticator.sign(labels::SIGN_MFA, &body).into() }
        });
        Body::RequestShare { index, node, factor }
    }

    /// A share sealed to a ceremony and signed by this custodian, right or not (CER-5).
    pub fn package(
        &self,
        ceremony: &CeremonyBody,
        index: u8,
        value: &[u8; 32],
        rng: &mut dyn CryptoRng,
    ) -> Option<Body> {
        let context = share_context(&ceremony.id, index);
        let sealed = hpke::seal_to(&ceremony.recipient, labels::HPKE_SHARE, &context, value, rng)?;
        let body = ShareBody {
            ceremony: ceremony.id,
            index,
            share_epoch: ceremony.share_epoch,
            header: ceremony.header,
            sealed: sealed.into(),
        };
        let share = cbor::encode(&body);
        let signature = self.key.sign(labels::SIGN_SHARE, &share);
        Some(Body::SubmitShare { share: share.into(), signature: signature.into() })
    }

    /// A ceremony that a node signed, in its time.
    fn genuine(&self, step: &Step<'_>, ceremony: &Blob, signature: &Blob) -> Result<CeremonyBody, Refusal> {
        let signed = Signed { body: ceremony, signature };
        let body: CeremonyBody =
            signed.open(&self.keystore, labels::SIGN_CEREMONY, Refusal::Malformed, Refusal::BadSignature)?;
        if step.now > body.expiry { Err(Refusal::CeremonyExpired) } else { Ok(body) }
    }

    fn known(&self, step: &mut Step<'_>) -> Known {
        step.get(HEADERS).unwrap_or_default()
    }

    /// CER-4: first looks at what is announced.
    fn fetch_share(&mut self, step: &mut Step<'_>, asking: Asking) -> Done {
        (self.memory.asking, self.memory.agreed) = (Some(asking), None);
        step.send(Peer::Custody, Body::GetWindow { node: asking.node });
        Ok(())
    }

    /// KEY-5a: a ceremony that changes who holds shares is shown to the person, and no share is asked for before the person has
    /// agreed to this very roster.
    fn ask(&mut self, step: &mut Step<'_>, ceremony: &Blob, signature: &Blob) -> Done {
        let Asking { node, code, roster } = self.memory.asking.take().ok_or(Refusal::OutOfTurn)?;
        let body = self.genuine(step, ceremony, signature)?;
        if body.node != node {
            return Err(Refusal::BadSignature);
        }
        let differs = body.roster.as_ref().is_some_and(|announced| roster != Some(announced.digest()));
        if differs && !step.quirks.has(Quirk::RosterNotAgreed) {
            let (ceremony, signature) = (ceremony.clone(), signature.clone());
            step.if_refused(Peer::Person(Person::Holder), Body::Window { ceremony, signature });
            return Err(Refusal::OutOfTurn);
        }
        self.memory.agreed = body.roster.is_some().then_some(body.id);
        step.send(Peer::Custody, self.request(&body.id, self.index, node, code));
        Ok(())
    }

    /// CER-4d: unwraps what custody released, for the ceremony that it was released for.
    fn receive(&mut self, step: &mut Step<'_>, wrapped: &Blob, ceremony: &Blob, signature: &Blob) -> Done {
        let body = self.genuine(step, ceremony, signature)?;
        if body.roster.is_some() && self.memory.agreed != Some(body.id) {
            return Err(Refusal::OutOfTurn);
        }
        let mut known = self.known(step);
        let header = known.find(&body.header).cloned().ok_or(Refusal::OwnShareDamaged)?;
        let value = self.unwrap(&header, wrapped)?;
        known.now_in_force(&body.header);
        step.put(HEADERS, &known);
        step.set_timer(body.expiry.saturating_add(1), Timer::Share);
        self.memory.held = Some(Held { ceremony: body, value: Arc::new(value) });
        Ok(())
    }

    /// CER-5: hands the held share to the node that it is for, and wipes it.
    fn hand_in(&mut self, step: &mut Step<'_>, node: u8) -> Done {
        if self.memory.held.as_ref().is_none_or(|held| held.ceremony.node != node) {
            return Err(Refusal::OutOfTurn);
        }
        let held = self.memory.held.take().ok_or(Refusal::OutOfTurn)?;
        let body = self.package(&held.ceremony, self.index, &held.value, step.rng).ok_or(Refusal::Malformed)?;
        step.send(Peer::Keystore(node), body);
        Ok(())
    }

    /// KEY-2: checks a new share against its header and the ceremony that the node signed (KEY-2c), keeps the header durably before
    /// anything is acknowledged (KEY-2b), and has custody store the share.
    fn take_new(&mut self, step: &mut Step<'_>, dealt: Dealt<'_>, ceremony: &Blob, signature: &Blob) -> Done {
        let body = self.genuine(step, ceremony, signature)?;
        let mut known = self.known(step);
        known.later_in_force(&body.header);
        let header = dealt.header;
        let own = usize::from(self.index).checked_sub(1).and_then(|at| header.custodians.get(at));
        let as_announced = match (&body.roster, known.find(&body.header)) {
            (Some(roster), _) => roster.threshold == header.threshold && roster.custodians == header.custodians,
            (None, Some(now)) => now.threshold == header.threshold && now.custodians == header.custodians,
            (None, None) => false,
        };
        let next = body.rekey && header.share_epoch == body.share_epoch.saturating_add(1);
        let as_announced = as_announced || step.quirks.has(Quirk::RosterUnannounced);
        if !next || !as_announced || own != Some(&self.keys()) || dealt.index != self.index {
            return Err(Refusal::OwnShareDamaged);
        }
        self.unwrap(header, dealt.wrapped)?;
        known.add(header.clone());
        step.put(HEADERS, &known);
        self.memory.storing = Some((header.digest(), body.node));
        let body = Body::StoreShare { header: header.clone(), wrapped: dealt.wrapped.to_vec().into() };
        step.send(Peer::Custody, body);
        Ok(())
    }

    /// KEY-2: custody has the share, so it is acknowledged.
    fn acknowledge(&mut self, step: &mut Step<'_>, stored: &B32) -> Done {
        let Some((digest, node)) = self.memory.storing.take_if(|(digest, _)| digest == stored) else {
            return Err(Refusal::OutOfTurn);
        };
        let signature = self.key.sign(labels::SIGN_ACK, &digest[..]).into();
        step.send(Peer::Keystore(node), Body::AckShare { index: self.index, signature });
        Ok(())
    }
}

impl Role for Custodian {
    type Memory = Memory;

    fn place(&self) -> Place {
        Place::Custodian
    }

    fn memory(&mut self) -> &mut Memory {
        &mut self.memory
    }

    fn handle(&mut self, step: &mut Step<'_>, input: Input<'_>) -> Done {
        let frame = match input {
            Input::Frame { frame, .. } => frame,
            Input::Timer(Timer::Share) => {
                // TIME-1: a share whose ceremony is out of time is wiped.
                if self.memory.held.as_ref().is_some_and(|held| step.now > held.ceremony.expiry) {
                    self.memory.held = None;
                }
                return Ok(());
            }
            Input::Timer(_) | Input::Checked { .. } => return Ok(()),
        };
        match &frame.body {
            Body::FetchShare { node, code, roster } => {
                self.fetch_share(step, Asking { node: *node, code: *code, roster: *roster })
            }
            Body::HandIn { node } => self.hand_in(step, *node),
            Body::Window { ceremony, signature } => self.ask(step, ceremony, signature),
            Body::ReleasedShare { wrapped, ceremony, signature } => self.receive(step, wrapped, ceremony, signature),
            Body::NewShare { index, wrapped, header, ceremony, signature } => {
                self.take_new(step, Dealt { index: *index, wrapped, header }, ceremony, signature)
            }
            Body::ShareStored { header } => self.acknowledge(step, header),
            Body::Rekeyed { header } => {
                let mut known = self.known(step);
                known.later_in_force(header);
                step.put(HEADERS, &known);
                Ok(())
            }
            Body::ShareCounted { .. } | Body::Done => Ok(()),
            Body::Refusal { .. } => {
                self.memory.asking = None;
                Ok(())
            }
            _ => Err(Refusal::Malformed),
        }
    }

    /// NET-15: a service is not told what its client thinks of an answer; a person is.
    fn answer(&self, from: &Peer, frame: &Frame, refusal: Refusal) -> Option<Outgoing> {
        let body = Body::Refusal { reason: refusal_code(refusal) };
        let frame = Frame { exchange: frame.exchange, generation: None, body };
        matches!(from, Peer::Person(_)).then(|| Outgoing { to: from.clone(), frame })
    }
}
