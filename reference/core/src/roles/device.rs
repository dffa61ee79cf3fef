//! The device: makes the archive key, enrols, replaces, backs up, erases.

use std::sync::Arc;

use bailee_spec::observation::{Disk as DiskView, Program};
use bailee_spec::outcome::Refusal;
use minicbor::{Decode, Encode};
use rand_core::CryptoRng;

use super::keystore::{escrow_context, open_release};
use super::{Context, Effects, fresh_id};
use crate::cbor;
use crate::crypto::hpke::{self, Recipient};
use crate::crypto::keys::{ArchiveKey, Owner, Secret, commitment};
use crate::crypto::sign::{self, PublicKey, Signing};
use crate::crypto::{labels, seal};
use crate::disk::{Batch, Disk};
use crate::quirks::Quirk;
use crate::wire::{B32, Blob, Body, Certificate, EscrowBody, Frame, ReceiptBody};

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
}

/// The archive key on the disk, with what proves its escrow.
#[derive(Clone, Encode, Decode)]
struct Kept {
    #[n(0)]
    key: B32,
    #[n(1)]
    receipt: Option<Blob>,
}

/// What is gone when the program stops.
#[cfg_attr(feature = "fork", derive(Clone))]
#[derive(Default)]
struct Memory {
    program: Option<Program>,
    key: Option<Arc<ArchiveKey>>,
    intake: Option<B32>,
    capability: Option<(Vec<u8>, Vec<u8>)>,
}

/// A device.
#[cfg_attr(feature = "fork", derive(Clone))]
pub struct Device {
    /// Its disk.
    pub disk: Disk,
    memory: Memory,
    owner: Owner,
    password: Vec<u8>,
    keystore: PublicKey,
    authority: PublicKey,
}

/// A block as the device sends it to storage.
pub struct Upload {
    /// The sealed block.
    pub block: Vec<u8>,
    /// The encoded capability.
    pub capability: Vec<u8>,
    /// Its signature.
    pub signature: Vec<u8>,
}

impl Device {
    /// A device of a user, with the keys of the services pinned.
    pub fn new(tenant: &str, user: &str, password: &[u8], keystore: PublicKey, authority: PublicKey) -> Self {
        Device {
            disk: Disk::default(),
            memory: Memory::default(),
            owner: Owner { tenant: tenant.into(), user: user.into(), epoch: 0 },
            password: password.to_vec(),
            keystore,
            authority,
        }
    }

    /// Whose it is.
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    fn identity(&self) -> Option<Identity> {
        self.disk.get("identity")
    }

    fn signing(&self) -> Option<Signing> {
        self.identity().map(|identity| Signing::from_seed(&identity.sign_seed))
    }

    /// Its present identity.
    pub fn id(&self) -> Option<B32> {
        self.identity().map(|identity| identity.device)
    }

    /// The key with which it signs its manifests: its identity key.
    pub fn manifest_key(&self) -> Option<Signing> {
        self.signing()
    }

    /// Its attempt.
    pub fn attempt(&self) -> Option<B32> {
        self.identity().map(|identity| identity.attempt)
    }

    /// What the disk holds.
    pub fn disk_view(&self) -> DiskView {
        match (self.disk.bytes("key"), self.disk.bytes("identity")) {
            (Some(_), _) => DiskView::Key,
            (None, Some(_)) => DiskView::Identity,
            (None, None) => DiskView::Blank,
        }
    }

    /// The program.
    pub fn program(&self) -> Program {
        self.memory.program.unwrap_or(Program::Idle)
    }

    /// The key on the disk.
    pub fn kept_key(&self) -> Option<ArchiveKey> {
        let mut kept: Kept = self.disk.get("key")?;
        Some(Secret::take(&mut kept.key))
    }

    /// The key in memory that is not on the disk.
    pub fn memory_key(&self) -> Option<&ArchiveKey> {
        self.memory.key.as_deref()
    }

    /// The capability in memory.
    pub fn capability(&self) -> Option<&(Vec<u8>, Vec<u8>)> {
        self.memory.capability.as_ref()
    }

    /// NET-5: the program starts again from the disk.
    pub fn restart(&mut self) {
        self.memory = Memory::default();
    }

    fn rest(&mut self) {
        self.memory.program = None;
        self.memory.key = None;
        self.memory.intake = None;
    }

    /// ENR-1: what it sends.
    ///
    /// # Errors
    /// `OutOfTurn`.
    pub fn sign_in(&mut self) -> Result<Body, Refusal> {
        if self.program() != Program::Idle || self.disk_view() == DiskView::Key {
            return Err(Refusal::OutOfTurn);
        }
        self.memory.program = Some(Program::SigningIn);
        Ok(Body::SignIn {
            tenant: self.owner.tenant.clone(),
            user: self.owner.user.clone(),
            password: self.password.clone().into(),
        })
    }

    /// One message of the authority.
    pub fn step(&mut self, cx: &mut Context<'_>, frame: &Frame) -> Effects {
        let done = match &frame.body {
            Body::SessionOpened { enrolled } => self.start(cx, frame, enrolled.is_some()),
            Body::Nonce { nonce, intake } => self.certify(frame, nonce, intake),
            Body::Admission => self.send_key(cx),
            Body::GoReplace => self.go_replace(cx, frame),
            Body::Authorised { receipt, signature } => self.keep_own(receipt, signature),
            Body::KeyDelivery { grant, sealed, receipt, signature } => {
                self.keep_delivered(grant, sealed, receipt, signature)
            }
            Body::Refusal { .. } => {
                self.rest();
                Some(Effects::accept())
            }
            _ => None,
        };
        done.unwrap_or_else(|| {
            self.rest();
            Effects::refuse(Refusal::Malformed, None)
        })
    }

    /// ENR-3.
    fn start(&mut self, cx: &mut Context<'_>, frame: &Frame, enrolled: bool) -> Option<Effects> {
        let session = frame.exchange?;
        let mut batch = Batch::default();
        let identity = self.identity().unwrap_or_else(|| {
            let identity = Identity::fresh(cx.rng);
            batch.put("identity", &identity);
            identity
        });
        if enrolled {
            self.memory.program = Some(Program::Replacing);
            return Some(Effects::accept().durable(batch).send(add_device(&identity, &session)));
        }
        self.memory.key = Some(Arc::new(Secret::random(cx.rng)));
        self.memory.program = Some(Program::Enrolling);
        let signing = Signing::from_seed(&identity.sign_seed);
        let recipient = B32::from(Recipient::from_seed(&identity.recipient_seed).public());
        let proof = signing.sign(labels::SIGN_ATTEMPT, &attempt_proof(&session, &identity.attempt, &recipient));
        let body = Body::BeginEnrolment {
            attempt: identity.attempt,
            device: identity.device,
            recipient,
            proof: proof.into(),
        };
        Some(Effects::accept().durable(batch).send(body))
    }

    /// ENR-7.
    fn certify(&mut self, frame: &Frame, nonce: &B32, intake: &B32) -> Option<Effects> {
        let identity = self.identity()?;
        let signing = self.signing()?;
        self.memory.intake = Some(*intake);
        let certificate = Certificate {
            attempt: identity.attempt,
            nonce: *nonce,
            session: frame.exchange?,
            device: identity.device,
            recipient: Recipient::from_seed(&identity.recipient_seed).public().into(),
        };
        let certificate = cbor::encode(&certificate);
        let signature = signing.sign(labels::SIGN_CERTIFICATE, &certificate);
        let body = Body::PresentCertificate { certificate: certificate.into(), signature: signature.into() };
        Some(Effects::accept().send(body))
    }

    fn escrow_body(&self, cx: &mut Context<'_>, key: &ArchiveKey, intake: &B32) -> Option<Vec<u8>> {
        let commitment = B32::from(commitment(key, &self.owner));
        let context = escrow_context(&self.owner.tenant, &self.owner.user, &commitment);
        let sealed = hpke::seal_to(intake, labels::HPKE_INTAKE, &context, key.expose(), cx.rng)?;
        Some(cbor::encode(&EscrowBody { attempt: self.attempt()?, commitment, sealed: sealed.into() }))
    }

    /// ENR-11.
    fn send_key(&mut self, cx: &mut Context<'_>) -> Option<Effects> {
        let key = self.memory.key.clone()?;
        let escrow = self.escrow_body(cx, &key, &self.memory.intake?)?;
        let signature = self.signing()?.sign(labels::SIGN_ESCROW, &escrow);
        let body = Body::EscrowKey { escrow: escrow.into(), signature: signature.into() };
        let effects = Effects::accept().send(body);
        if cx.quirks.has(Quirk::KeyBeforeReceipt) {
            return Some(effects.durable(keep(&key, None)));
        }
        Some(effects)
    }

    /// ENR-17.
    fn go_replace(&mut self, cx: &Context<'_>, frame: &Frame) -> Option<Effects> {
        if cx.quirks.has(Quirk::LoserKeepsKey) {
            let key = self.memory.key.clone()?;
            let batch = keep(&key, None);
            self.rest();
            return Some(Effects::accept().durable(batch));
        }
        self.memory.key = None;
        self.memory.program = Some(Program::Replacing);
        Some(Effects::accept().send(add_device(&self.identity()?, &frame.exchange?)))
    }

    /// ENR-15.
    fn keep_own(&mut self, receipt: &Blob, signature: &Blob) -> Option<Effects> {
        let key = self.memory.key.clone()?;
        let said: ReceiptBody = cbor::decode(receipt, bailee_spec::limits::MESSAGE_BYTES).ok()?;
        let genuine = sign::verify(&self.keystore, labels::SIGN_RECEIPT, receipt, signature);
        let own = said.tenant == self.owner.tenant && said.user == self.owner.user;
        if !genuine || !own || *said.commitment != commitment(&key, &self.owner) {
            return None;
        }
        let batch = keep(&key, Some(receipt.clone()));
        self.rest();
        Some(Effects::accept().durable(batch))
    }

    /// REP-7: key and receipt, kept as the first device keeps them.
    fn keep_delivered(&mut self, grant: &B32, sealed: &Blob, receipt: &Blob, signature: &Blob) -> Option<Effects> {
        let recipient = Recipient::from_seed(&self.identity()?.recipient_seed);
        let key = open_release(&self.keystore, &self.owner, &recipient, grant, sealed, (receipt, signature))?;
        let batch = keep(&key, Some(receipt.clone()));
        self.rest();
        Some(Effects::accept().durable(batch))
    }

    /// BAK-1: at rest, with a key.
    ///
    /// # Errors
    /// `OutOfTurn`.
    pub fn may_ask(&self) -> Result<B32, Refusal> {
        let at_rest = self.program() == Program::Idle && self.disk_view() == DiskView::Key;
        if at_rest { self.id().ok_or(Refusal::OutOfTurn) } else { Err(Refusal::OutOfTurn) }
    }

    /// BAK-1: keeps the capability in memory.
    pub fn take_capability(&mut self, body: Vec<u8>, signature: Vec<u8>) {
        self.memory.capability = Some((body, signature));
    }

    /// BAK-2: a sealed block with the capability to append it.
    ///
    /// # Errors
    /// `OutOfTurn`.
    pub fn upload(&self, cx: &mut Context<'_>, content: &[u8]) -> Result<Upload, Refusal> {
        let (capability, signature) = self.memory.capability.clone().ok_or(Refusal::OutOfTurn)?;
        let key = self.kept_key().ok_or(Refusal::OutOfTurn)?;
        Ok(Upload { block: seal_block(&key, &self.owner, content, cx), capability, signature })
    }

    /// Opens a block of its archive; none if it does not open.
    pub fn read(&self, block: &[u8]) -> Option<Vec<u8>> {
        open_block(&self.kept_key()?, &self.owner, block)
    }

    /// REV-4: obeys a signed order to erase; true if it did.
    pub fn obey(&mut self, order: &[u8]) -> Option<Batch> {
        let id = self.id()?;
        if !sign::verify(&self.authority, labels::SIGN_WIPE, &id[..], order) {
            return None;
        }
        self.restart();
        let mut batch = Batch::default();
        batch.remove("identity");
        batch.remove("key");
        Some(batch)
    }

    /// DIS-6: the kept key, sealed to the keystore once more.
    ///
    /// # Errors
    /// `OutOfTurn`.
    pub fn escrow_again(&self, cx: &mut Context<'_>, intake: &B32) -> Result<Vec<u8>, Refusal> {
        let key = self.kept_key().ok_or(Refusal::OutOfTurn)?;
        self.escrow_body(cx, &key, intake).ok_or(Refusal::OutOfTurn)
    }
}

/// What a device signs to begin an attempt: session, attempt and recipient key, as canonical CBOR (ENR-3).
pub(crate) fn attempt_proof(session: &B32, attempt: &B32, recipient: &B32) -> Vec<u8> {
    cbor::encode(&(*session, *attempt, *recipient))
}

/// What a device signs to be added: session and recipient key, as canonical CBOR (REP-1).
pub(crate) fn add_proof(session: &B32, recipient: &B32) -> Vec<u8> {
    cbor::encode(&(*session, *recipient))
}

fn add_device(identity: &Identity, session: &B32) -> Body {
    let signing = Signing::from_seed(&identity.sign_seed);
    let recipient = B32::from(Recipient::from_seed(&identity.recipient_seed).public());
    let proof = signing.sign(labels::SIGN_ADD_DEVICE, &add_proof(session, &recipient));
    Body::AddDevice { device: identity.device, recipient, proof: proof.into() }
}

/// Key and receipt in one write.
fn keep(key: &ArchiveKey, receipt: Option<Blob>) -> Batch {
    let mut batch = Batch::default();
    batch.put("key", &Kept { key: B32::from(*key.expose()), receipt });
    batch
}

fn seal_block(key: &ArchiveKey, owner: &Owner, content: &[u8], cx: &mut Context<'_>) -> Vec<u8> {
    let root = crate::crypto::keys::subkey(key, labels::KEY_SEAL, owner);
    seal::seal_once(&root, labels::SEAL_BLOCK, &cbor::encode(owner), content, cx.rng)
}

/// Opens a block of an owner's archive with the archive key.
pub(crate) fn open_block(key: &ArchiveKey, owner: &Owner, block: &[u8]) -> Option<Vec<u8>> {
    let root = crate::crypto::keys::subkey(key, labels::KEY_SEAL, owner);
    seal::open(&root, labels::SEAL_BLOCK, &cbor::encode(owner), block).ok().map(|plain| plain.to_vec())
}
