//! The keystore: escrowed keys behind a barrier, nodes that each start sealed, ceremonies, snapshots.
//!
//! A [`Keystore`] is one node. The nodes share one store; what a node has in memory is its own (GEN-15).

mod barrier;
mod ceremony;
mod disaster;
mod enrol;
mod release;

use std::collections::BTreeMap;
use std::sync::Arc;

use bailee_secret::Secret;
use bailee_spec::limits;
use bailee_spec::observation::CeremonyState;
use bailee_spec::outcome::Refusal;

use super::mark::{Mark, Published, holds_over};
use crate::crypto::hpke::Recipient;
use crate::crypto::sign::{PublicKey, Signing};
use crate::machine::{Done, Input, Outgoing, Peer, Role, Step, Timer, refusal_code};
use crate::quirks::Quirk;
use crate::wire::{B32, Blob, Body, Frame, GrantBody, Header, LogEntry, Place};

pub use barrier::{Account, Attempt, Keyring};
pub use ceremony::{NewShare, Setup};
pub use disaster::{Snapshot, Staged};

/// The record of the header in force. It and the records below are in the clear (GEN-18).
pub const HEADER: &str = "header";
/// The record of its digest.
pub const HEADER_DIGEST: &str = "header-digest";
/// The record of the sealed keyring.
pub const KEYRING: &str = "keyring";
/// The record of the candidate header of a rekey.
pub const CANDIDATE: &str = "candidate";
/// The record of which node's rekey is under way.
pub const REKEY: &str = "rekey";
/// The record of the store's generation.
pub const GENERATION: &str = "generation";
/// The record of the number of releases.
pub const RELEASED: &str = "released";
/// The record of how much of the authority's log the restored snapshot covers.
pub const COVERS: &str = "covers";
/// The record of a staged snapshot.
pub const STAGED: &str = "staged";
/// What the names of sealed records begin with.
pub const RECORDS: &[u8] = b"r/";

/// The open barrier.
#[derive(Clone)]
pub struct Opened {
    /// The root.
    pub root: Arc<Secret<32>>,
    /// What the root opens.
    pub keyring: Arc<Keyring>,
    /// The header that the root belongs to.
    header: B32,
    /// The node has followed the authority's log since it was opened (CER-6b).
    ready: bool,
    /// The generation of the store that it followed the log for: another node may have restored the store since (DIS-3f).
    generation: u64,
}

/// A release that waits for its grant to be consumed.
#[derive(Clone)]
struct Pending {
    grant: Arc<GrantBody>,
    /// Drawn for this release alone: an answer to an earlier one does not fit (REP-4b).
    challenge: B32,
}

/// What a node has in memory: all of it is gone when the node stops.
#[derive(Clone, Default)]
pub struct Memory {
    open: Option<Opened>,
    pending: BTreeMap<[u8; 32], Pending>,
    ceremony: Option<ceremony::Ceremony>,
    /// The key under which other nodes send a new root.
    channel: Option<Arc<Recipient>>,
    /// A snapshot that waits for the authority's word that it is the witnessed one, and the exchange of the question.
    staging: Option<(B32, Blob)>,
    snapshot: disaster::Taking,
    /// The exchange in which the node asked for what its store lacks of the log.
    asked: Option<B32>,
}

/// A keystore node.
#[cfg_attr(feature = "testing", derive(Clone))]
pub struct Keystore {
    node: u8,
    /// How many nodes there are.
    nodes: u8,
    /// It signs while the node is sealed, so it is in no store (GEN-16a). All nodes have the same.
    key: Signing,
    authority: PublicKey,
    /// By how many seconds it holds an end over early (GEN-13).
    pub(crate) margin: u64,
    memory: Memory,
}

/// The generation of the store.
pub fn generation(step: &mut Step<'_>) -> u64 {
    step.get(GENERATION).unwrap_or(0)
}

/// The header in force.
pub fn header(step: &mut Step<'_>) -> Option<Header> {
    step.get(HEADER)
}

impl Keystore {
    /// A node, sealed.
    pub fn new(node: u8, nodes: u8, key: Signing, authority: PublicKey) -> Self {
        Keystore { node, nodes, key, authority, margin: limits::MARGIN_SECONDS, memory: Memory::default() }
    }

    /// For clocks that differ by up to so many seconds.
    pub fn with_margin(mut self, seconds: u64) -> Self {
        self.margin = seconds;
        self
    }

    /// Its public key.
    pub fn public(&self) -> PublicKey {
        self.key.public()
    }

    /// The open barrier, if the node is unsealed.
    pub fn opened(&self) -> Option<&Opened> {
        self.memory.open.as_ref()
    }

    /// Whether a release waits for this grant.
    pub fn is_pending(&self, step: &Step<'_>, grant: &B32) -> bool {
        self.memory
            .pending
            .get(&**grant)
            .is_some_and(|pending| !holds_over(step, pending.grant.expiry, self.margin, Quirk::GrantEndsEarly))
    }

    /// REV-2b, PUB-2: a node whose lease is over serves nobody.
    fn in_lease(&self, step: &mut Step<'_>, unless: Quirk) -> Done {
        let admits = Mark::of(step).in_lease(step, self.margin) || step.quirks.has(unless);
        if admits { Ok(()) } else { Err(Refusal::RevocationStale) }
    }

    /// The open barrier. A node whose root belongs to a header that is no longer in force seals itself (KEY-3d).
    fn unsealed(&mut self, step: &mut Step<'_>) -> Result<Opened, Refusal> {
        let open = self.memory.open.clone().ok_or(Refusal::Sealed)?;
        if step.get::<B32>(HEADER_DIGEST) != Some(open.header) {
            self.memory = Memory::default();
            return Err(Refusal::Sealed);
        }
        Ok(open)
    }

    /// The keyring of a node that serves: open, and in step with the authority's log for the store that is there now.
    fn serving(&mut self, step: &mut Step<'_>) -> Result<Arc<Keyring>, Refusal> {
        let open = self.unsealed(step)?;
        if open.ready || step.quirks.has(Quirk::ServesBeforeSync) { Ok(open.keyring) } else { Err(Refusal::Sealed) }
    }

    /// DIS-3f: what a node followed and remembers is of the store before a restore by another node.
    fn notice_restore(&mut self, generation: u64) {
        let unnoticed = Quirk::RestoreUnnoticed.is_on();
        if let Some(open) = self.memory.open.as_mut().filter(|open| open.generation != generation && !unnoticed) {
            (open.ready, open.generation) = (false, generation);
            self.memory.pending.clear();
            self.memory.snapshot = disaster::Taking::default();
            self.memory.asked = None;
        }
    }

    /// What the authority asks, in an exchange.
    fn asked(&mut self, step: &mut Step<'_>, body: &Body) -> Done {
        if let Body::GrantRefused { grant } = body {
            self.memory.pending.remove(&**grant);
            let reason = refusal_code(Refusal::GrantVoid);
            step.send(Peer::Authority, Body::KeystoreRefusal { reason });
            return Ok(());
        }
        // GEN-7: first whether the node is sealed, then whether it has heard of the newest revocations, then the rest.
        let keyring = self.serving(step)?;
        match body {
            Body::OpenEnrolment { .. } | Body::CreateAccount { .. } | Body::Escrow { .. } => {
                // REV-2b: a node that may not have heard of a revocation takes no key either.
                self.in_lease(step, Quirk::FencedServes)?;
                self.enrol(step, &keyring, body)
            }
            Body::ReleaseKey { grant, signature } => self.may_release(step, &keyring, grant, signature),
            Body::GrantConsumed { grant, challenge, epoch, signature } => {
                self.release(step, &keyring, grant, challenge, *epoch, signature)
            }
            Body::OfferIntake { nonce } => self.offer_intake(step, &keyring, nonce),
            Body::ReturnKey { .. } => self.take_back(step, &keyring, body),
            _ => Err(Refusal::Malformed),
        }
    }

    /// REV-2, and the end of the sync after an unsealing (CER-6): the node follows the log, up to its head before it is ready (CER-6b).
    fn hear(&mut self, step: &mut Step<'_>, published: Published, entries: &[LogEntry], head: u64) -> Done {
        let open = self.unsealed(step)?;
        let fresh = Mark::of(step).hear(step, published, entries)?;
        // REV-2a: whatever was consumed before what is heard now is not released.
        if !step.quirks.has(Quirk::PendingSurvives) {
            self.memory.pending.clear();
        }
        for entry in fresh {
            self.follow(step, &open.keyring, entry);
        }
        // CER-6d: a publication from before the node was opened says less than the log, so it makes no node ready. Where the
        // answer was lost, the next publication has the node ask again.
        let answers = self.memory.asked.is_some() && self.memory.asked == step.exchange();
        if Mark::of(step).index >= head
            && let Some(open) = self.memory.open.as_mut().filter(|_| answers)
        {
            open.ready = true;
        }
        if !open.ready && !answers {
            self.wake(step);
        }
        Ok(())
    }

    /// What the operator orders at the local endpoint, and what custodians send.
    fn ceremonial(&mut self, step: &mut Step<'_>, from: &Peer, body: &Body) -> Done {
        match body {
            Body::OpenCeremony { rekey, roster } => self.open_ceremony(step, from, *rekey, roster.as_ref()),
            Body::SubmitShare { share, signature } => self.submit(step, from, share, signature),
            Body::AckShare { index, signature } => self.acknowledged(step, *index, signature),
            Body::NewRoot { header, sealed } => self.take_root(step, header, sealed),
            Body::SealNode => {
                self.drop_ceremony(step);
                self.memory = Memory::default();
                step.send(from.clone(), Body::Done);
                Ok(())
            }
            Body::TakeSnapshot => self.begin_snapshot(step, from),
            Body::SnapshotKept { digest } => self.snapshot_kept(step, digest),
            Body::Stage { snapshot } => self.stage(step, snapshot),
            Body::Witness { digests, generation, index } => self.told_witness(step, digests, *generation, *index),
            Body::Witnessed { .. } => Ok(()),
            _ => Err(Refusal::Malformed),
        }
    }

    /// The state of the ceremony, for an onlooker.
    pub fn ceremony_state(&self, step: &mut Step<'_>) -> CeremonyState {
        self.live_ceremony(step).map_or(CeremonyState::None, ceremony::Ceremony::state)
    }
}

impl Role for Keystore {
    type Memory = Memory;

    fn place(&self) -> Place {
        Place::Keystore
    }

    fn memory(&mut self) -> &mut Memory {
        &mut self.memory
    }

    fn handle(&mut self, step: &mut Step<'_>, input: Input<'_>) -> Done {
        let generation = generation(step);
        step.speak_for(generation);
        self.notice_restore(generation);
        match input {
            Input::Timer(Timer::Started) => {
                // A start that is told twice finds a ceremony under way.
                if self.memory.ceremony.is_none() {
                    self.clear_rekey(step);
                }
                Ok(())
            }
            Input::Timer(Timer::Ceremony) => {
                // TIME-1: what is over is forgotten.
                if self.memory.ceremony.is_some() && self.live_ceremony(step).is_none() {
                    self.drop_ceremony(step);
                }
                Ok(())
            }
            Input::Timer(Timer::Wake) => {
                self.wake_again(step);
                Ok(())
            }
            Input::Timer(_) | Input::Checked { .. } => Ok(()),
            Input::Frame { from: Peer::Authority, frame } => match &frame.body {
                Body::Publish { from, entries, epoch, head, lease } => {
                    self.hear(step, Published { from: *from, epoch: *epoch, lease: *lease }, entries, *head)
                }
                Body::Witness { .. } | Body::Witnessed { .. } => self.ceremonial(step, &Peer::Authority, &frame.body),
                body => self.asked(step, body),
            },
            Input::Frame { from, frame } => self.ceremonial(step, from, &frame.body),
        }
    }

    /// ENR-19, NET-15: the authority is told of a refused request; of nothing else.
    fn answer(&self, from: &Peer, frame: &Frame, refusal: Refusal) -> Option<Outgoing> {
        let reason = refusal_code(refusal);
        let body = match (from, &frame.body) {
            (Peer::Authority, Body::Publish { .. } | Body::Witness { .. } | Body::Witnessed { .. }) => return None,
            (Peer::Keystore(_), _) => return None,
            (Peer::Authority, _) => Body::KeystoreRefusal { reason },
            _ => Body::Refusal { reason },
        };
        Some(Outgoing { to: from.clone(), frame: Frame { exchange: frame.exchange, generation: None, body } })
    }
}
