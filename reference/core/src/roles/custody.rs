//! Custody: wrapped shares, windows, second factors, and an alert before every share.

use std::collections::BTreeMap;

use bailee_spec::limits;
use bailee_spec::outcome::Refusal;
use minicbor::{Decode, Encode};

use super::signed::factor_body;
use crate::cbor;
use crate::crypto::labels;
use crate::crypto::sign::{self, PublicKey};
use crate::machine::{Done, Input, Peer, Role, Step, Timer, refusal_code};
use crate::quirks::Quirk;
use crate::store::Batch;
use crate::wire::{B32, Blob, Body, CARRIED_BYTES, CeremonyBody, Factor, Header, Place, Signed};

/// A custodian's login at custody.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs, reason = "named after rule CER-4")]
pub struct Login {
    #[n(0)]
    pub authenticator: B32,
    #[n(1)]
    pub last_code: u64,
}

/// A window: the ceremony for which shares may leave.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs, reason = "named after rule CER-3")]
pub struct WindowRecord {
    #[n(0)]
    pub ceremony: Blob,
    #[n(1)]
    pub signature: Blob,
    #[n(2)]
    pub id: B32,
    #[n(3)]
    pub number: u64,
    #[n(4)]
    pub expiry: u64,
    /// Closed by the operator before its time: no share leaves, and the same ceremony is not announced again (CER-3c).
    #[n(5)]
    pub closed: bool,
}

impl WindowRecord {
    /// Whether shares may leave for it.
    fn is_open(&self, step: &Step<'_>) -> bool {
        (step.now <= self.expiry || step.quirks.has(Quirk::WindowNeverEnds)) && !self.closed
    }
}

/// A share that waits for its alert to be recorded.
#[derive(Clone)]
struct Waiting {
    login: u8,
    index: u8,
    node: u8,
    ceremony: B32,
}

/// What is gone when the process stops: a custodian then asks again.
#[derive(Clone, Default)]
pub struct Memory {
    waiting: BTreeMap<[u8; 32], Waiting>,
}

/// Custody.
#[cfg_attr(feature = "testing", derive(Clone))]
pub struct Custody {
    keystore: PublicKey,
    memory: Memory,
}

/// The record of the number of shares that left.
pub const READS: &str = "reads";
/// The record of the number of alerts that were recorded before.
pub const ALERTS: &str = "alerts";

fn window_name(node: u8) -> [u8; 3] {
    [b'w', b'/', node]
}

fn login_name(index: u8) -> [u8; 3] {
    [b'l', b'/', index]
}

/// A share is named by its header: a rekey that comes to nothing has the same share epoch as the one after it.
fn share_name(header: &B32, index: u8) -> Vec<u8> {
    [b"s/".as_slice(), &header[..], &[index]].concat()
}

/// The wrapped share that belongs to a header, given by its digest.
pub fn wrapped(step: &mut Step<'_>, header: &B32, index: u8) -> Option<Blob> {
    step.bytes(share_name(header, index)).map(|bytes| bytes.to_vec().into())
}

/// The window for a node, in its time.
pub fn window(step: &mut Step<'_>, node: u8) -> Option<WindowRecord> {
    step.get::<WindowRecord>(window_name(node)).filter(|window| window.is_open(step))
}

/// Shares that left, and alerts that were recorded before.
pub fn counts(step: &mut Step<'_>) -> (u64, u64) {
    (step.get(READS).unwrap_or(0), step.get(ALERTS).unwrap_or(0))
}

impl Custody {
    /// Custody that trusts this keystore.
    pub fn new(keystore: PublicKey) -> Self {
        Custody { keystore, memory: Memory::default() }
    }

    /// Adds a custodian's login: done by the one who sets custody up, with the custodian present.
    pub fn add_login(batch: &mut Batch, index: u8, authenticator: PublicKey) {
        let login = Login { authenticator: B32::from(authenticator), last_code: 0 };
        batch.put(login_name(index), cbor::encode(&login));
    }

    /// Adds a custodian's first wrapped share.
    pub fn add_share(batch: &mut Batch, header: &Header, index: u8, wrapped: &[u8]) {
        batch.put(share_name(&header.digest(), index), wrapped);
    }

    /// CER-3: a ceremony that the node signed, in its time (CER-3a), and none that is older than the one announced (CER-3b).
    fn announce(&self, step: &mut Step<'_>, from: &Peer, ceremony: &Blob, signature: &Blob) -> Done {
        let signed = Signed { body: ceremony, signature };
        let body: CeremonyBody =
            signed.open(&self.keystore, labels::SIGN_CEREMONY, Refusal::Malformed, Refusal::BadSignature)?;
        let early = step.now == body.expiry && step.quirks.has(Quirk::AnnouncementEndsEarly);
        if (step.now > body.expiry && !step.quirks.has(Quirk::AnnouncementOutlives)) || early {
            return Err(Refusal::CeremonyExpired);
        }
        let record: Option<WindowRecord> = step.get(window_name(body.node));
        if let Some(window) = record.filter(|window| step.now <= window.expiry) {
            let same = window.id == body.id;
            if same && !window.closed {
                step.send(from.clone(), Body::Done);
                return Ok(());
            }
            // A node whose store was lost counts its ceremonies from 1 again, so after a closed window the time counts first.
            let overtaken = match window.closed {
                false => body.number <= window.number && !step.quirks.has(Quirk::OlderAnnouncement),
                true if step.quirks.has(Quirk::ClosedReopens) => false,
                true => same || (body.expiry, body.number) <= (window.expiry, window.number),
            };
            if overtaken {
                return Err(Refusal::CeremonyExpired);
            }
        }
        let record = WindowRecord {
            ceremony: ceremony.clone(),
            signature: signature.clone(),
            id: body.id,
            number: body.number,
            expiry: body.expiry.min(step.deadline()),
            closed: false,
        };
        step.put(window_name(body.node), &record);
        step.send(from.clone(), Body::Done);
        Ok(())
    }

    /// CER-4: what is announced for a node, for the custodian to see before anything is asked for.
    fn show_window(&self, step: &mut Step<'_>, from: &Peer, node: u8) -> Done {
        let window = window(step, node).ok_or(Refusal::NoRestartPending)?;
        step.send(from.clone(), Body::Window { ceremony: window.ceremony, signature: window.signature });
        Ok(())
    }

    /// CER-4a: the login's own factor for this ceremony, whose code is spent from here on, whatever becomes of the request (CER-4e).
    fn spend_factor(&self, step: &mut Step<'_>, login_index: u8, ceremony: &B32, factor: Option<&Factor>) -> Done {
        let mut login: Login = step.get(login_name(login_index)).ok_or(Refusal::NotYourShare)?;
        let lenient = step.quirks.has(Quirk::NoSecondFactor);
        let Some(factor) = factor else {
            return if lenient { Ok(()) } else { Err(Refusal::MfaRequired) };
        };
        let body = factor_body(ceremony, login_index, factor.code);
        if !sign::verify(&login.authenticator, labels::SIGN_MFA, &body, &factor.signature) {
            return Err(Refusal::MfaRequired);
        }
        if factor.code <= login.last_code && !lenient && !step.quirks.has(Quirk::CodeTwice) {
            return Err(Refusal::CodeReplayed);
        }
        login.last_code = login.last_code.max(factor.code);
        step.put(login_name(login_index), &login);
        if !step.quirks.has(Quirk::CodeNotSpent) {
            step.keep();
        }
        Ok(())
    }

    /// CER-4: everything but the alert.
    fn request(&mut self, step: &mut Step<'_>, from: &Peer, index: u8, node: u8, factor: Option<&Factor>) -> Done {
        let Peer::Custodian(login) = *from else { return Err(Refusal::NotYourShare) };
        if login != index && !step.quirks.has(Quirk::ShareToAnyone) {
            return Err(Refusal::NotYourShare);
        }
        let window = window(step, node);
        // Where nothing is announced, a factor is for no ceremony.
        let announced = window.as_ref().map_or(B32::from([0; 32]), |window| window.id);
        self.spend_factor(step, login, &announced, factor)?;
        let window = window.ok_or(Refusal::NoRestartPending)?;
        let id = step.fresh_id();
        // A login has one request at a time: what it asks for again replaces what waits.
        self.memory.waiting.retain(|_, waiting| waiting.login != login);
        self.memory.waiting.insert(*id, Waiting { login, index, node, ceremony: window.id });
        step.set_timer(step.now.saturating_add(limits::ALERT_SECONDS), Timer::Alert(id));
        step.send(Peer::Alerts, Body::Alert { id, login, node, ceremony: window.id });
        Ok(())
    }

    /// CER-4: the alert is on record, or is not; only then the share leaves, if its ceremony is still the announced one (CER-4f).
    fn alerted(&mut self, step: &mut Step<'_>, id: &B32, recorded: bool) -> Done {
        let waiting = self.memory.waiting.remove(&**id).ok_or(Refusal::OutOfTurn)?;
        let to = Peer::Custodian(waiting.login);
        let refused = |refusal| Body::Refusal { reason: refusal_code(refusal) };
        if !recorded && !step.quirks.has(Quirk::ShareWithoutAlert) {
            step.if_refused(to, refused(Refusal::AlertUnavailable));
            return Err(Refusal::AlertUnavailable);
        }
        let window = window(step, waiting.node).filter(|window| window.id == waiting.ceremony);
        step.if_refused(to.clone(), refused(Refusal::NoRestartPending));
        let window = window.ok_or(Refusal::NoRestartPending)?;
        let body: CeremonyBody =
            cbor::decode(&window.ceremony, limits::MESSAGE_BYTES).map_err(|_| Refusal::StoreDamaged)?;
        step.if_refused(to.clone(), refused(Refusal::NotYourShare));
        // CER-4b.
        let wrapped = wrapped(step, &body.header, waiting.index).ok_or(Refusal::NotYourShare)?;
        let (reads, alerts) = counts(step);
        step.put(READS, &(reads + 1));
        step.put(ALERTS, &(alerts + u64::from(recorded)));
        step.send(to, Body::ReleasedShare { wrapped, ceremony: window.ceremony, signature: window.signature });
        Ok(())
    }

    /// KEY-2: the custodian's new share, wrapped, under its header.
    fn store_share(&self, step: &mut Step<'_>, from: &Peer, header: &Header, wrapped: &Blob) -> Done {
        let Peer::Custodian(index) = *from else { return Err(Refusal::NotYourShare) };
        if step.bytes(login_name(index)).is_none() {
            return Err(Refusal::NotYourShare);
        }
        if wrapped.len() > CARRIED_BYTES {
            return Err(Refusal::Malformed);
        }
        // KEY-2d: a login alone, without a factor, destroys no share.
        let name = share_name(&header.digest(), index);
        match step.bytes(&name) {
            Some(_) if step.quirks.has(Quirk::ShareWrittenOver) => step.put_bytes(name, wrapped.to_vec()),
            Some(there) if *there != ***wrapped => return Err(Refusal::DuplicateShare),
            Some(_) => {}
            None => step.put_bytes(name, wrapped.to_vec()),
        }
        step.send(from.clone(), Body::ShareStored { header: header.digest() });
        Ok(())
    }

    /// KEY-5: another person takes a custodian's place.
    fn set_login(&self, step: &mut Step<'_>, from: &Peer, index: u8, authenticator: &B32) -> Done {
        if index == 0 || usize::from(index) > limits::CUSTODIANS {
            return Err(Refusal::Malformed);
        }
        // The same order carried twice does not make spent codes good again (CER-4e).
        let known = step.get::<Login>(login_name(index)).filter(|login| login.authenticator == *authenticator);
        let known = known.filter(|_| !step.quirks.has(Quirk::CodesRevived));
        let last_code = known.map_or(0, |login| login.last_code);
        step.put(login_name(index), &Login { authenticator: *authenticator, last_code });
        step.send(from.clone(), Body::Done);
        Ok(())
    }
}

impl Role for Custody {
    type Memory = Memory;

    fn place(&self) -> Place {
        Place::Custody
    }

    fn memory(&mut self) -> &mut Memory {
        &mut self.memory
    }

    fn handle(&mut self, step: &mut Step<'_>, input: Input<'_>) -> Done {
        let (from, frame) = match input {
            Input::Frame { from, frame } => (from, frame),
            Input::Timer(Timer::Alert(id)) if self.memory.waiting.contains_key(&**id) => {
                return self.alerted(step, id, false);
            }
            Input::Timer(_) | Input::Checked { .. } => return Ok(()),
        };
        match &frame.body {
            Body::Announce { ceremony, signature } => self.announce(step, from, ceremony, signature),
            Body::CloseWindow { node } => {
                // It is remembered until its time is over, or an announcement carried twice would open it again.
                if let Some(window) = step.get::<WindowRecord>(window_name(*node)) {
                    step.put(window_name(*node), &WindowRecord { closed: true, ..window });
                }
                step.send(from.clone(), Body::Done);
                Ok(())
            }
            Body::GetWindow { node } => self.show_window(step, from, *node),
            Body::RequestShare { index, node, factor } => self.request(step, from, *index, *node, factor.as_ref()),
            Body::AlertRecorded { id } => self.alerted(step, id, true),
            Body::AlertFailed { id } => self.alerted(step, id, false),
            Body::StoreShare { header, wrapped } => self.store_share(step, from, header, wrapped),
            Body::SetLogin { index, authenticator } => self.set_login(step, from, *index, authenticator),
            _ => Err(Refusal::Malformed),
        }
    }
}
