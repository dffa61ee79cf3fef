//! The device: makes the archive key, enrols, replaces, backs up, erases.

use std::sync::Arc;

use bailee_spec::observation::{Disk as DiskView, Program};
use bailee_spec::outcome::Refusal;
use minicbor::{Decode, Encode};
use rand_core::CryptoRng;

use super::signed::{Release, add_proof, attempt_proof, escrow_context, intake_body, open_block, seal_block};
use crate::cbor;
use crate::crypto::hpke::{self, Recipient};
use crate::crypto::keys::{ArchiveKey, Owner, Secret, commitment};
use crate::crypto::labels;
use crate::crypto::sign::{self, PublicKey, Signing};
use crate::machine::{Done, Input, Outgoing, Peer, Role, Step, fresh_id};
use crate::quirks::Quirk;
use crate::store::Read;
use crate::wire::{
    B32, Blob, Body, CARRIED_BYTES, CONTENT_BYTES, Certificate, EscrowBody, Frame, Place, ReceiptBody, Signed,
};

/// The record of the identity keys. With [`KEY`] it is all that a device keeps (GEN-19).
const IDENTITY: &str = "identity";
/// The record of the archive key.
const KEY: &str = "key";

/// What survives a crash before the key is kept: identity keys and the attempt id.
#[derive(Clone, Encode, Decode)]
struct Identity {
    #[n(0)]
    sign_seed: B32,
    #[n(1)]
    recipient_seed: B32,
    #[n(2)]
    attempt: B32,
    /// The public half of the signing key: what the services know the device by.
    #[n(3)]
    device: B32,
}

impl Identity {
    fn fresh(rng: &mut dyn CryptoRng) -> Self {
        let (sign_seed, recipient_seed, attempt) = (fresh_id(rng), fresh_id(rng), fresh_id(rng));
        let device = Signing::from_seed(&sign_seed).public().into();
        Identity { sign_seed, recipient_seed, attempt, device }
    }

    fn signing(&self) -> Signing {
        Signing::from_seed(&self.sign_seed)
    }

    fn recipient(&self) -> Recipient {
        Recipient::from_seed(&self.recipient_seed)
    }
}

/// The archive key on the disk, with what proves its escrow.
#[derive(Clone, Encode, Decode)]
struct Kept {
    #[n(0)]
    key: B32,
    #[n(1)]
    receipt: Option<Blob>,
}

/// What the device waits for beside enrolment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asking {
    /// Leave to append.
    ToAppend,
    /// Leave to read.
    ToRead,
    /// The intake key, for this nonce.
    Intake(B32),
}

/// What is gone when the program stops.
#[derive(Clone, Default)]
pub struct Memory {
    program: Option<Program>,
    /// The session that the program is in.
    session: Option<B32>,
    key: Option<Arc<ArchiveKey>>,
    intake: Option<B32>,
    capability: Option<(Blob, Blob)>,
    reading: Option<(Blob, Blob)>,
    asking: Option<Asking>,
}

/// A device.
#[cfg_attr(feature = "testing", derive(Clone))]
pub struct Device {
    memory: Memory,
    owner: Owner,
    keystore: PublicKey,
    authority: PublicKey,
}

impl Device {
    /// A device of a user, with the keys of the services pinned (GEN-16).
    pub fn new(tenant: &str, user: &str, keystore: PublicKey, authority: PublicKey) -> Self {
        let owner = Owner { tenant: tenant.into(), user: user.into(), epoch: 0 };
        Device { memory: Memory::default(), owner, keystore, authority }
    }

    /// Whose it is.
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// The program.
    pub fn program(&self) -> Program {
        self.memory.program.unwrap_or(Program::Idle)
    }

    /// The key in memory that is not on the disk.
    pub fn memory_key(&self) -> Option<&ArchiveKey> {
        self.memory.key.as_deref()
    }

    /// The capability in memory.
    pub fn capability(&self) -> Option<&Blob> {
        self.memory.capability.as_ref().map(|(body, _)| body)
    }

    /// Rests: only the capability stays.
    fn rest(&mut self) {
        self.memory = Memory { capability: self.memory.capability.take(), ..Memory::default() };
    }

    fn has_key(&self, step: &mut Step<'_>) -> bool {
        step.bytes(KEY).is_some()
    }

    /// At rest, with a key (BAK-1).
    fn at_rest(&self, step: &mut Step<'_>) -> Done {
        if self.program() == Program::Idle && self.has_key(step) { Ok(()) } else { Err(Refusal::OutOfTurn) }
    }

    fn identity(&self, step: &mut Step<'_>) -> Result<Identity, Refusal> {
        step.get(IDENTITY).ok_or(Refusal::OutOfTurn)
    }

    // Orders of its user.

    fn order(&mut self, step: &mut Step<'_>, body: &Body) -> Done {
        match body {
            Body::EnterPassword { password } => self.sign_in(step, password),
            Body::StartBackup => self.ask(step, Asking::ToAppend, Body::GetCapability { read: false }),
            Body::ReadBack => self.ask(step, Asking::ToRead, Body::GetCapability { read: true }),
            Body::BackUp { content } => self.back_up(step, content),
            Body::CheckIn => {
                if self.program() != Program::Idle {
                    return Err(Refusal::OutOfTurn);
                }
                self.identity(step)?;
                step.send(Peer::Authority, Body::Report);
                Ok(())
            }
            Body::EscrowAgain => {
                let nonce = step.fresh_id();
                self.at_rest(step)?;
                self.memory.asking = Some(Asking::Intake(nonce));
                // The nonce names the exchange, so that the answer finds its way back (NET-7a).
                step.send_in(Peer::Authority, Some(nonce), Body::GetIntake { nonce });
                Ok(())
            }
            _ => Err(Refusal::Malformed),
        }
    }

    /// ENR-1.
    fn sign_in(&mut self, step: &mut Step<'_>, password: &Blob) -> Done {
        if self.program() != Program::Idle || self.has_key(step) {
            return Err(Refusal::OutOfTurn);
        }
        if password.len() > CARRIED_BYTES {
            return Err(Refusal::TooLarge);
        }
        self.memory.program = Some(Program::SigningIn);
        let (tenant, user) = (self.owner.tenant.clone(), self.owner.user.clone());
        step.send_in(Peer::Authority, None, Body::SignIn { tenant, user, password: password.clone() });
        Ok(())
    }

    fn ask(&mut self, step: &mut Step<'_>, asking: Asking, body: Body) -> Done {
        self.at_rest(step)?;
        self.memory.asking = Some(asking);
        step.send(Peer::Authority, body);
        Ok(())
    }

    /// BAK-2.
    fn back_up(&mut self, step: &mut Step<'_>, content: &Blob) -> Done {
        let (capability, signature) = self.memory.capability.clone().ok_or(Refusal::OutOfTurn)?;
        if content.len() > CONTENT_BYTES {
            return Err(Refusal::TooLarge);
        }
        let key = kept_key(step).ok_or(Refusal::OutOfTurn)?;
        let block = seal_block(&key, &self.owner, content, step.rng).into();
        step.send(Peer::Storage, Body::Append { capability, signature, block });
        Ok(())
    }

    // What the services say.

    fn frame(&mut self, step: &mut Step<'_>, from: &Peer, frame: &Frame) -> Done {
        match (&frame.body, from) {
            (Body::Capability { capability, signature }, Peer::Authority) => {
                self.take_capability(step, capability, signature)
            }
            (Body::Blocks { blocks, next }, Peer::Storage) => self.read(step, blocks, *next),
            (Body::IntakeOffered { intake, signature }, Peer::Authority) => {
                self.escrow_again(step, intake, signature)
            }
            (Body::Appended { .. } | Body::Served | Body::Done, _) => Ok(()),
            (Body::Erase { signature }, Peer::Authority) => self.erase(step, signature),
            (Body::Refusal { .. }, Peer::Authority) if self.memory.program.is_some() => {
                self.in_session(frame)?;
                self.rest();
                Ok(())
            }
            (Body::Refusal { .. }, _) => {
                self.memory.asking = None;
                self.memory.reading = None;
                Ok(())
            }
            _ => self.enrol(step, frame),
        }
    }

    /// A frame of another session than the program's changes nothing (NET-14).
    fn in_session(&self, frame: &Frame) -> Done {
        let answer = matches!(frame.body, Body::SessionOpened { .. } | Body::Refusal { .. });
        let signing_in = self.memory.program == Some(Program::SigningIn) && answer;
        let in_session = frame.exchange.is_some() && frame.exchange == self.memory.session;
        if signing_in || in_session || Quirk::AnySession.is_on() { Ok(()) } else { Err(Refusal::OutOfTurn) }
    }

    fn enrol(&mut self, step: &mut Step<'_>, frame: &Frame) -> Done {
        self.in_session(frame)?;
        let done = match &frame.body {
            Body::SessionOpened { enrolled } if self.memory.program == Some(Program::SigningIn) => {
                self.start(step, frame, enrolled.is_some())
            }
            Body::Nonce { nonce, intake, signature } => self.certify(step, frame, nonce, intake, signature),
            Body::Admission => self.send_key(step),
            Body::GoReplace => self.go_replace(step, frame),
            Body::Authorised { receipt, signature } => self.keep_own(step, receipt, signature),
            Body::KeyDelivery { grant, sealed, receipt, signature } => {
                let receipt = Signed { body: receipt, signature };
                self.keep_delivered(step, &Release { grant, sealed, receipt })
            }
            _ => None,
        };
        done.ok_or_else(|| {
            self.rest();
            Refusal::Malformed
        })
    }

    /// ENR-3.
    fn start(&mut self, step: &mut Step<'_>, frame: &Frame, enrolled: bool) -> Option<()> {
        let session = frame.exchange?;
        let identity = match step.get::<Identity>(IDENTITY) {
            Some(identity) => identity,
            // REV-4c: an erased device comes back under a new identity.
            None => {
                let identity = Identity::fresh(step.rng);
                step.put(IDENTITY, &identity);
                identity
            }
        };
        self.memory.session = Some(session);
        if enrolled {
            self.memory.program = Some(Program::Replacing);
            step.send(Peer::Authority, add_device(&identity, &session));
            return Some(());
        }
        // ENR-3a: made here, for this attempt, and in memory alone.
        let one = step.quirks.has(Quirk::OneKeyForAll);
        self.memory.key = Some(Arc::new(if one { Secret::take(&mut [7; 32]) } else { Secret::random(step.rng) }));
        self.memory.program = Some(Program::Enrolling);
        let recipient = B32::from(identity.recipient().public());
        let proof = attempt_proof(&session, &identity.attempt, &recipient);
        let proof = identity.signing().sign(labels::SIGN_ATTEMPT, &proof).into();
        let (attempt, device) = (identity.attempt, identity.device);
        step.send(Peer::Authority, Body::BeginEnrolment { attempt, device, recipient, proof });
        Some(())
    }

    /// ENR-7: the keystore, whose key is pinned, signed the intake key for this very nonce (ENR-7a).
    fn certify(
        &mut self,
        step: &mut Step<'_>,
        frame: &Frame,
        nonce: &B32,
        intake: &B32,
        signature: &Blob,
    ) -> Option<()> {
        if !sign::verify(&self.keystore, labels::SIGN_INTAKE, &intake_body(nonce, intake), signature) {
            return None;
        }
        let identity = self.identity(step).ok()?;
        self.memory.intake = Some(*intake);
        let certificate = Certificate {
            attempt: identity.attempt,
            nonce: *nonce,
            session: frame.exchange?,
            device: identity.device,
            recipient: identity.recipient().public().into(),
        };
        let certificate = cbor::encode(&certificate);
        let signature = identity.signing().sign(labels::SIGN_CERTIFICATE, &certificate).into();
        step.send(Peer::Authority, Body::PresentCertificate { certificate: certificate.into(), signature });
        Some(())
    }

    fn escrow_body(&self, step: &mut Step<'_>, key: &ArchiveKey, intake: &B32) -> Option<Vec<u8>> {
        let commitment = B32::from(commitment(key, &self.owner));
        let context = escrow_context(&self.owner.tenant, &self.owner.user, &commitment);
        let attempt = self.identity(step).ok()?.attempt;
        let sealed = hpke::seal_to(intake, labels::HPKE_INTAKE, &context, key.expose(), step.rng)?;
        Some(cbor::encode(&EscrowBody { attempt, commitment, sealed: sealed.into() }))
    }

    /// ENR-11.
    fn send_key(&mut self, step: &mut Step<'_>) -> Option<()> {
        let key = self.memory.key.clone()?;
        let intake = self.memory.intake?;
        let escrow = self.escrow_body(step, &key, &intake)?;
        let signature = self.identity(step).ok()?.signing().sign(labels::SIGN_ESCROW, &escrow).into();
        if step.quirks.has(Quirk::KeyBeforeReceipt) {
            keep(step, &key, None);
        }
        step.send(Peer::Authority, Body::EscrowKey { escrow: escrow.into(), signature });
        Some(())
    }

    /// ENR-17.
    fn go_replace(&mut self, step: &mut Step<'_>, frame: &Frame) -> Option<()> {
        if step.quirks.has(Quirk::LoserKeepsKey) {
            let key = self.memory.key.clone()?;
            keep(step, &key, None);
            self.rest();
            return Some(());
        }
        let identity = self.identity(step).ok()?;
        self.memory.key = None;
        self.memory.program = Some(Program::Replacing);
        step.send(Peer::Authority, add_device(&identity, &frame.exchange?));
        Some(())
    }

    /// ENR-15: keeps nothing that it was not told is escrowed, by the keystore and for its own user and key (ENR-15a).
    fn keep_own(&mut self, step: &mut Step<'_>, receipt: &Blob, signature: &Blob) -> Option<()> {
        let key = self.memory.key.clone()?;
        let no = Refusal::Malformed;
        let signed = Signed { body: receipt, signature };
        let said: ReceiptBody = signed.open(&self.keystore, labels::SIGN_RECEIPT, no, no).ok()?;
        let of_tenant = said.tenant == self.owner.tenant || step.quirks.has(Quirk::ReceiptOfNamesake);
        let own = of_tenant && said.user == self.owner.user;
        if !own || *said.commitment != commitment(&key, &self.owner) {
            return None;
        }
        keep(step, &key, Some(receipt.clone()));
        self.rest();
        Some(())
    }

    /// REP-7: key and receipt, kept as the first device keeps them.
    fn keep_delivered(&mut self, step: &mut Step<'_>, release: &Release<'_>) -> Option<()> {
        let recipient = self.identity(step).ok()?.recipient();
        let key = release.open(&self.keystore, &self.owner, &recipient)?;
        let without = step.quirks.has(Quirk::ReplacementWithoutReceipt);
        keep(step, &key, (!without).then(|| release.receipt.body.to_vec().into()));
        self.rest();
        Some(())
    }

    /// BAK-1, BAK-3: keeps leave to append in memory; goes to storage with leave to read.
    fn take_capability(&mut self, step: &mut Step<'_>, capability: &Blob, signature: &Blob) -> Done {
        let held = (capability.clone(), signature.clone());
        match self.memory.asking.take() {
            Some(Asking::ToAppend) => self.memory.capability = Some(held),
            Some(Asking::ToRead) => {
                let (capability, signature) = held.clone();
                self.memory.reading = Some(held);
                step.send(Peer::Storage, Body::Fetch { capability, signature, from: 0 });
            }
            // BAK-1b: it did not ask.
            other => {
                self.memory.asking = other;
                return Err(Refusal::OutOfTurn);
            }
        }
        Ok(())
    }

    /// BAK-3: a device that reads (BAK-3b) opens every block, or the archive is not of its key (BAK-3a).
    fn read(&mut self, step: &mut Step<'_>, blocks: &[Blob], next: Option<u64>) -> Done {
        let (capability, signature) = self.memory.reading.clone().ok_or(Refusal::OutOfTurn)?;
        let key = kept_key(step).ok_or(Refusal::OutOfTurn)?;
        if !blocks.iter().all(|block| open_block(&key, &self.owner, block).is_some()) {
            self.memory.reading = None;
            return Err(Refusal::CommitmentMismatch);
        }
        match next {
            Some(from) => step.send(Peer::Storage, Body::Fetch { capability, signature, from }),
            None => self.memory.reading = None,
        }
        Ok(())
    }

    /// REV-4: obeys an order to erase that the authority signed for this identity, and no other (REV-4a).
    fn erase(&mut self, step: &mut Step<'_>, signature: &Blob) -> Done {
        let identity = self.identity(step)?;
        if !sign::verify(&self.authority, labels::SIGN_WIPE, &identity.device[..], signature) {
            return Err(Refusal::BadSignature);
        }
        self.memory = Memory::default();
        step.remove(IDENTITY);
        step.remove(KEY);
        Ok(())
    }

    /// DIS-6: the kept key, sealed once more to the intake key that the keystore signed for this nonce.
    fn escrow_again(&mut self, step: &mut Step<'_>, intake: &B32, signature: &Blob) -> Done {
        // DIS-6b: it asked, and the keystore signed for that very nonce.
        let Some(Asking::Intake(nonce)) = self.memory.asking else { return Err(Refusal::OutOfTurn) };
        self.memory.asking = None;
        if !sign::verify(&self.keystore, labels::SIGN_INTAKE, &intake_body(&nonce, intake), signature) {
            return Err(Refusal::BadSignature);
        }
        let key = kept_key(step).ok_or(Refusal::OutOfTurn)?;
        let escrow = self.escrow_body(step, &key, intake).ok_or(Refusal::OutOfTurn)?;
        step.send(Peer::Authority, Body::ReEscrow { escrow: escrow.into() });
        Ok(())
    }
}

impl Role for Device {
    type Memory = Memory;

    fn place(&self) -> Place {
        Place::Device
    }

    fn memory(&mut self) -> &mut Memory {
        &mut self.memory
    }

    fn handle(&mut self, step: &mut Step<'_>, input: Input<'_>) -> Done {
        match input {
            Input::Frame { from: Peer::Person(_), frame } => self.order(step, &frame.body),
            Input::Frame { from, frame } => self.frame(step, from, frame),
            Input::Timer(_) | Input::Checked { .. } => Ok(()),
        }
    }

    /// NET-15: a service is not told what its device thinks of an answer; a person is.
    fn answer(&self, from: &Peer, frame: &Frame, refusal: Refusal) -> Option<Outgoing> {
        let body = Body::Refusal { reason: crate::machine::refusal_code(refusal) };
        let frame = Frame { exchange: frame.exchange, generation: None, body };
        matches!(from, Peer::Person(_)).then(|| Outgoing { to: from.clone(), frame })
    }
}

fn add_device(identity: &Identity, session: &B32) -> Body {
    let recipient = B32::from(identity.recipient().public());
    let proof = identity.signing().sign(labels::SIGN_ADD_DEVICE, &add_proof(session, &recipient));
    Body::AddDevice { device: identity.device, recipient, proof: proof.into() }
}

/// Key and receipt in one write.
fn keep(step: &mut Step<'_>, key: &ArchiveKey, receipt: Option<Blob>) {
    step.put(KEY, &Kept { key: B32::from(*key.expose()), receipt });
}

fn kept_key(step: &mut Step<'_>) -> Option<ArchiveKey> {
    let mut kept: Kept = step.get(KEY)?;
    Some(Secret::take(&mut kept.key))
}

/// What a device's disk says, to anyone who reads it.
#[derive(Clone, Copy)]
pub struct OnDisk<'a>(pub &'a dyn Read);

impl OnDisk<'_> {
    fn get<T: for<'b> Decode<'b, ()> + Encode<()>>(&self, name: &str) -> Option<T> {
        let bytes = self.0.get(name.as_bytes()).ok()??;
        cbor::decode(&bytes, crate::store::RECORD_BYTES).ok()
    }

    /// What is on it.
    pub fn view(&self) -> DiskView {
        match (self.get::<Kept>(KEY), self.get::<Identity>(IDENTITY)) {
            (Some(_), _) => DiskView::Key,
            (None, Some(_)) => DiskView::Identity,
            (None, None) => DiskView::Blank,
        }
    }

    /// The device's present identity.
    pub fn id(&self) -> Option<B32> {
        self.get::<Identity>(IDENTITY).map(|identity| identity.device)
    }

    /// Its attempt.
    pub fn attempt(&self) -> Option<B32> {
        self.get::<Identity>(IDENTITY).map(|identity| identity.attempt)
    }

    /// The key with which it signs its manifests, and proves its client certificate: its identity key.
    pub fn signing(&self) -> Option<Signing> {
        self.get::<Identity>(IDENTITY).map(|identity| identity.signing())
    }

    /// The archive key.
    pub fn key(&self) -> Option<ArchiveKey> {
        let mut kept: Kept = self.get(KEY)?;
        Some(Secret::take(&mut kept.key))
    }
}
