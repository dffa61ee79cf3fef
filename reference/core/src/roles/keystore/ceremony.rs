//! Ceremonies at a node: initialisation, unsealing, rekey (CER, KEY).

use std::collections::BTreeSet;
use std::sync::Arc;

use bailee_secret::Secret;
use bailee_spec::observation::CeremonyState;
use bailee_spec::outcome::Refusal;
use minicbor::{Decode, Encode};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{CANDIDATE, COVERS, HEADER, HEADER_DIGEST, KEYRING, Keyring, Keystore, Opened, REKEY, STAGED, header};
use crate::cbor;
use crate::crypto::hpke::{self, Recipient};
use crate::crypto::sharing::{self, SharingError, VerifiedShare};
use crate::crypto::sign;
use crate::crypto::{labels, seal};
use crate::machine::{Done, Peer, Person, Step, Timer, fresh_id};
use crate::quirks::Quirk;
use crate::roles::mark::{MARK, Mark};
use crate::roles::signed::{commitments, share_context, wrap_context};
use crate::store::Batch;
use crate::wire::{B32, Blob, Body, CeremonyBody, CustodianKeys, Header, Roster, ShareBody};

/// A new share on its way to its custodian.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewShare {
    /// The custodian's index, from 1.
    pub index: u8,
    /// The share, sealed to the custodian.
    pub sealed: Vec<u8>,
    /// The header that it belongs to.
    pub header: Header,
}

/// A ceremony as the node signed it.
#[derive(Clone)]
struct Announced {
    body: Blob,
    signature: Blob,
}

/// A ceremony under way: memory only.
#[derive(Clone)]
pub(super) struct Ceremony {
    body: CeremonyBody,
    announced: Arc<Announced>,
    recipient: Arc<Recipient>,
    shares: Vec<Arc<VerifiedShare>>,
    candidate: Option<Arc<Candidate>>,
    acked: BTreeSet<u8>,
}

struct Candidate {
    header: Header,
    root: Arc<Secret<32>>,
}

/// Which node's rekey is under way (KEY-1a).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct RekeyRecord {
    #[n(0)]
    node: u8,
    #[n(1)]
    expiry: u64,
}

impl Ceremony {
    pub(super) fn state(&self) -> CeremonyState {
        match (&self.candidate, self.body.rekey) {
            (Some(_), _) => CeremonyState::RekeyAcks,
            (None, true) => CeremonyState::Rekey,
            (None, false) => CeremonyState::Unseal,
        }
    }

    fn counts(&self, index: u8) -> bool {
        self.shares.iter().any(|share| share.index() == index)
    }
}

/// What a new keystore starts with.
pub struct Setup {
    /// What is to be written into the empty store.
    pub batch: Batch,
    /// The open barrier, for the nodes that are present.
    pub opened: Opened,
    /// The first shares.
    pub shares: Vec<NewShare>,
}

/// A new header with a new root under new shares, and the shares sealed to their custodians.
fn deal(
    roster: &Roster,
    share_epoch: u64,
    rng: &mut dyn CryptoRng,
) -> Result<(Header, Arc<Secret<32>>, Vec<NewShare>), SharingError> {
    let count = u8::try_from(roster.custodians.len()).map_err(|_| SharingError::BadParameters)?;
    let threshold = roster.threshold - u8::from(Quirk::ThresholdLower.is_on());
    let sharing = sharing::split(threshold, count, rng)?;
    let id = fresh_id(rng);
    let root = Secret::random(rng);
    let kek = sharing::unseal_key(&sharing.secret, &id, share_epoch);
    let mut header = Header {
        id,
        share_epoch,
        threshold,
        commitments: sharing.commitments.iter().copied().map(B32::from).collect(),
        custodians: roster.custodians.clone(),
        root: Vec::new().into(),
    };
    let digest = header.digest();
    header.root = seal::seal_once(&kek, labels::SEAL_ROOT, &digest[..], root.expose(), rng).into();
    let mut shares = Vec::new();
    for ((index, keys), value) in (1u8..).zip(&roster.custodians).zip(&sharing.shares) {
        let context = wrap_context(&digest, index);
        let sealed = hpke::seal_to(&keys.recipient, labels::HPKE_WRAP, &context, &value[..], rng)
            .ok_or(SharingError::BadParameters)?;
        shares.push(NewShare { index, sealed, header: header.clone() });
    }
    Ok((header, Arc::new(root), shares))
}

/// Whether shares can be dealt to these custodians (KEY-5, GEN-25): it is tried, so that no ceremony begins that cannot end.
fn is_sound(roster: &Roster, rng: &mut dyn CryptoRng) -> bool {
    let count = roster.custodians.len();
    (2..=bailee_spec::limits::CUSTODIANS).contains(&count)
        && (2..=count).contains(&usize::from(roster.threshold))
        && deal(roster, 0, rng).is_ok()
}

/// How soon a node asks the authority again, in seconds.
const WAKE_SECONDS: u64 = 10;

fn ceremonies_name(node: u8) -> [u8; 3] {
    [b'c', b'/', node]
}

fn channel_name(node: u8) -> [u8; 3] {
    [b'n', b'/', node]
}

impl Keystore {
    /// A new keystore: a fresh root under fresh shares. The mark begins with a lease up to `lease`.
    ///
    /// # Errors
    /// When the parameters allow no sharing, or a custodian's key is not usable.
    pub fn initialise(
        custodians: &[CustodianKeys],
        threshold: u8,
        lease: u64,
        rng: &mut dyn CryptoRng,
    ) -> Result<Setup, SharingError> {
        let roster = Roster { threshold, custodians: custodians.to_vec() };
        let (header, root, shares) = deal(&roster, 1, rng)?;
        let keyring = Arc::new(Keyring::generate(rng));
        let mut batch = Batch::default();
        batch.put(HEADER, cbor::encode(&header));
        batch.put(HEADER_DIGEST, cbor::encode(&header.digest()));
        batch.put(KEYRING, keyring.seal(&root, &header, rng));
        batch.put(MARK, cbor::encode(&Mark { lease, ..Mark::default() }));
        let opened = Opened { root, keyring, header: header.digest(), ready: true, generation: 0 };
        Ok(Setup { batch, opened, shares })
    }

    /// A node that is present at the initialisation starts unsealed.
    pub fn present(&mut self, opened: Opened) {
        self.memory.open = Some(opened);
    }

    pub(super) fn live_ceremony(&self, step: &mut Step<'_>) -> Option<&Ceremony> {
        let ceremony = self.memory.ceremony.as_ref().filter(|ceremony| step.now <= ceremony.body.expiry)?;
        // KEY-3f: a ceremony for a header that is no longer in force is over.
        (step.get::<B32>(HEADER_DIGEST) == Some(ceremony.body.header)).then_some(ceremony)
    }

    /// The ceremony that collects shares, as the node signed it.
    pub fn collecting(&self, step: &mut Step<'_>) -> Option<&CeremonyBody> {
        self.live_ceremony(step).filter(|ceremony| ceremony.candidate.is_none()).map(|ceremony| &ceremony.body)
    }

    /// The node's ceremony, signed, for the operator to announce.
    pub fn announced(&self, step: &mut Step<'_>) -> Option<(Blob, Blob)> {
        let announced = &self.live_ceremony(step)?.announced;
        Some((announced.body.clone(), announced.signature.clone()))
    }

    /// Whether the node counted the custodian's share.
    pub fn counted(&self, step: &mut Step<'_>, index: u8) -> bool {
        self.live_ceremony(step).is_some_and(|ceremony| ceremony.counts(index))
    }

    /// Whether the custodian has acknowledged the new share.
    pub fn acked(&self, step: &mut Step<'_>, index: u8) -> bool {
        self.live_ceremony(step).is_some_and(|ceremony| ceremony.acked.contains(&index))
    }

    /// KEY-3b: a candidate whose ceremony is gone is removed.
    pub(super) fn clear_rekey(&self, step: &mut Step<'_>) {
        if step.get::<RekeyRecord>(REKEY).is_some_and(|rekey| rekey.node == self.node) {
            step.remove(REKEY);
            step.remove(CANDIDATE);
        }
    }

    pub(super) fn drop_ceremony(&mut self, step: &mut Step<'_>) {
        if self.memory.ceremony.take().is_some_and(|ceremony| ceremony.body.rekey) {
            self.clear_rekey(step);
        }
    }

    /// CER-2: a ceremony with a key pair of its own (CER-2a), in the place of none that runs (CER-2c).
    pub(super) fn open_ceremony(
        &mut self,
        step: &mut Step<'_>,
        from: &Peer,
        rekey: bool,
        roster: Option<&Roster>,
    ) -> Done {
        if *from == Peer::Person(Person::Stranger) && !step.quirks.has(Quirk::StrangerOpens) {
            return Err(Refusal::Unauthenticated);
        }
        let unsealed = self.unsealed(step).is_ok();
        match rekey {
            false if unsealed => return Err(Refusal::AlreadyUnsealed),
            true if !unsealed => return Err(Refusal::NotUnsealed),
            _ => {}
        }
        if self.live_ceremony(step).is_some() {
            return Err(Refusal::CeremonyOpen);
        }
        // KEY-1a: there is one candidate header, so one rekey at a time, whichever node it is at.
        let under_way: Option<RekeyRecord> = step.get(REKEY);
        if rekey && under_way.is_some_and(|rekey| step.now <= rekey.expiry && rekey.node != self.node) {
            return Err(Refusal::CeremonyOpen);
        }
        let header = header(step).ok_or(Refusal::Malformed)?;
        if roster.is_some_and(|roster| !is_sound(roster, step.rng)) && !step.quirks.has(Quirk::UnusableRoster) {
            return Err(Refusal::Malformed);
        }
        let number = step.get::<u64>(ceremonies_name(self.node)).unwrap_or(0) + 1;
        step.put(ceremonies_name(self.node), &number);
        let expiry = step.deadline();
        if rekey {
            step.put(REKEY, &RekeyRecord { node: self.node, expiry });
        }
        let recipient = Recipient::generate(step.rng);
        let body = CeremonyBody {
            id: step.fresh_id(),
            node: self.node,
            rekey,
            recipient: recipient.public().into(),
            header: header.digest(),
            share_epoch: header.share_epoch,
            expiry,
            number,
            roster: roster.filter(|_| rekey).cloned(),
        };
        let encoded = cbor::encode(&body);
        let signature: Blob = self.key.sign(labels::SIGN_CEREMONY, &encoded).into();
        let announced = Announced { body: encoded.into(), signature };
        let (ceremony, signature) = (announced.body.clone(), announced.signature.clone());
        step.send(from.clone(), Body::Ceremony { ceremony, signature });
        step.set_timer(expiry.saturating_add(1), Timer::Ceremony);
        self.memory.ceremony = Some(Ceremony {
            body,
            announced: Arc::new(announced),
            recipient: Arc::new(recipient),
            shares: Vec::new(),
            candidate: None,
            acked: BTreeSet::new(),
        });
        Ok(())
    }

    /// CER-5, CER-5a. No refusal raises the count, or names another custodian than the one who signed (CER-5b).
    pub(super) fn submit(&mut self, step: &mut Step<'_>, from: &Peer, share: &Blob, signature: &Blob) -> Done {
        let header = header(step).ok_or(Refusal::Malformed)?;
        let limit = bailee_spec::limits::MESSAGE_BYTES;
        let said: ShareBody = cbor::decode(share, limit).map_err(|_| Refusal::Malformed)?;
        if self.collecting(step).map(|body| body.id) != Some(said.ceremony) {
            return Err(Refusal::CeremonyExpired);
        }
        let keys = usize::from(said.index).checked_sub(1).and_then(|i| header.custodians.get(i));
        let keys = keys.ok_or(Refusal::BadSignature)?;
        if !sign::verify(&keys.sign, labels::SIGN_SHARE, share, signature) {
            return Err(Refusal::BadSignature);
        }
        let is_of_header = said.share_epoch == header.share_epoch && said.header == header.digest();
        if !is_of_header && !step.quirks.has(Quirk::ShareOfAnotherHeader) {
            return Err(Refusal::WrongEpoch);
        }
        let ceremony = self.memory.ceremony.as_mut().ok_or(Refusal::CeremonyExpired)?;
        let again = ceremony.counts(said.index);
        if again && !step.quirks.has(Quirk::ShareCountsTwice) {
            return Err(Refusal::DuplicateShare);
        }
        let context = share_context(&said.ceremony, said.index);
        let opened = ceremony.recipient.open(labels::HPKE_SHARE, &context, &said.sealed);
        let value = opened.and_then(|bytes| <[u8; 32]>::try_from(&bytes[..]).ok()).map(Zeroizing::new);
        let value = value.ok_or(Refusal::WrongShare)?;
        match sharing::verify(said.index, &value, &commitments(&header), header.threshold) {
            Ok(_) if again => {}
            Ok(share) => ceremony.shares.push(Arc::new(share)),
            Err(_) if step.quirks.has(Quirk::WrongShareCounts) => {}
            Err(_) => return Err(Refusal::WrongShare),
        }
        step.send(from.clone(), Body::ShareCounted { index: said.index });
        let needed = usize::from(header.threshold) - usize::from(step.quirks.has(Quirk::OneShareFewer));
        if ceremony.shares.len() < needed {
            return Ok(());
        }
        if ceremony.body.rekey { self.make_candidate(step, &header) } else { self.complete_unseal(step, &header) }
    }

    /// The opened root of a complete ceremony; none if the shares do not open it.
    fn open_root(ceremony: &Ceremony, header: &Header) -> Option<Arc<Secret<32>>> {
        let shares: Vec<&VerifiedShare> = ceremony.shares.iter().map(|share| &**share).collect();
        let scalar = sharing::combine(&shares, &commitments(header)).ok()?;
        let kek = sharing::unseal_key(&scalar, &header.id, header.share_epoch);
        let mut root = seal::open(&kek, labels::SEAL_ROOT, &header.digest()[..], &header.root).ok()?;
        Secret::take_slice(&mut root).map(Arc::new)
    }

    /// CER-6, unseal: opens root and keyring, both or nothing (CER-6a), finishes a staged restore, and asks the authority what
    /// happened since. Nothing is admitted before its answer was followed.
    fn complete_unseal(&mut self, step: &mut Step<'_>, header: &Header) -> Done {
        let ceremony = self.memory.ceremony.take().ok_or(Refusal::CeremonyExpired)?;
        let root = Self::open_root(&ceremony, header).ok_or(Refusal::Malformed)?;
        let sealed = step.bytes(KEYRING).ok_or(Refusal::Malformed)?;
        let keyring = Arc::new(Keyring::open(&root, header, &sealed).ok_or(Refusal::Malformed)?);
        if self.node == 0 && step.bytes(STAGED).is_some() {
            self.finish_restore(step, &root)?;
        }
        let channel = Recipient::generate(step.rng);
        step.put(channel_name(self.node), &B32::from(channel.public()));
        self.memory.channel = Some(Arc::new(channel));
        let generation = super::generation(step);
        self.memory.open = Some(Opened { root, keyring, header: header.digest(), ready: false, generation });
        self.wake(step);
        Ok(())
    }

    /// CER-6d: asks again until the authority has answered.
    pub(super) fn wake_again(&mut self, step: &mut Step<'_>) {
        if self.memory.open.as_ref().is_some_and(|open| !open.ready) {
            self.wake(step);
        }
    }

    /// Asks the authority for what its log says after what this store has followed.
    pub(super) fn wake(&mut self, step: &mut Step<'_>) {
        let generation = super::generation(step);
        step.speak_for(generation);
        let index = Mark::of(step).index;
        let covers = step.get(COVERS).unwrap_or(0);
        let exchange = *self.memory.asked.get_or_insert_with(|| step.fresh_id());
        step.send_in(Peer::Authority, Some(exchange), Body::Awake { index, covers });
        step.set_timer(step.now.saturating_add(WAKE_SECONDS), Timer::Wake);
    }

    /// KEY-1: a durable candidate, and the new shares, each to its custodian.
    fn make_candidate(&mut self, step: &mut Step<'_>, header: &Header) -> Done {
        let ceremony = self.memory.ceremony.as_mut().ok_or(Refusal::CeremonyExpired)?;
        let same = Roster { threshold: header.threshold, custodians: header.custodians.clone() };
        let roster = ceremony.body.roster.as_ref().unwrap_or(&same);
        let (candidate, root, shares) =
            deal(roster, header.share_epoch + 1, step.rng).map_err(|_| Refusal::Malformed)?;
        step.put(CANDIDATE, &candidate);
        ceremony.shares.clear();
        ceremony.candidate = Some(Arc::new(Candidate { header: candidate, root }));
        for share in shares {
            let (ceremony, signature) = (ceremony.announced.body.clone(), ceremony.announced.signature.clone());
            let (index, wrapped, header) = (share.index, share.sealed.into(), share.header);
            let body = Body::NewShare { index, wrapped, header, ceremony, signature };
            step.send_in(Peer::Custodian(index), None, body);
        }
        Ok(())
    }

    /// KEY-2a. When all have acknowledged, and not before, the candidate becomes the header (KEY-3a).
    pub(super) fn acknowledged(&mut self, step: &mut Step<'_>, index: u8, signature: &Blob) -> Done {
        self.unsealed(step)?;
        let candidate = self.live_ceremony(step).and_then(|ceremony| ceremony.candidate.clone());
        let candidate = candidate.ok_or(Refusal::CeremonyExpired)?;
        let keys = usize::from(index).checked_sub(1).and_then(|i| candidate.header.custodians.get(i));
        let keys = keys.ok_or(Refusal::BadSignature)?;
        if !sign::verify(&keys.sign, labels::SIGN_ACK, &candidate.header.digest()[..], signature) {
            return Err(Refusal::BadSignature);
        }
        let ceremony = self.memory.ceremony.as_mut().ok_or(Refusal::CeremonyExpired)?;
        ceremony.acked.insert(index);
        let early = step.quirks.has(Quirk::RekeyEarly);
        let all = candidate.header.custodians.len();
        let needed = if early { usize::from(candidate.header.threshold) } else { all };
        if ceremony.acked.len() >= needed {
            self.commit_rekey(step, &candidate)?;
        }
        Ok(())
    }

    /// KEY-3: one write.
    fn commit_rekey(&mut self, step: &mut Step<'_>, candidate: &Candidate) -> Done {
        let open = self.memory.open.as_mut().ok_or(Refusal::Sealed)?;
        let digest = candidate.header.digest();
        step.put(HEADER, &candidate.header);
        step.put(HEADER_DIGEST, &digest);
        let sealed = open.keyring.seal(&candidate.root, &candidate.header, step.rng);
        step.put_bytes(KEYRING, sealed);
        step.remove(CANDIDATE);
        step.remove(REKEY);
        // KEY-3g: a staged snapshot is of the former share epoch, which nothing restores any more.
        step.remove(STAGED);
        open.root = candidate.root.clone();
        open.header = digest;
        self.memory.ceremony = None;
        for index in (1u8..).take(candidate.header.custodians.len()) {
            step.send_in(Peer::Custodian(index), None, Body::Rekeyed { header: digest });
        }
        self.tell_nodes(step, candidate);
        Ok(())
    }

    /// KEY-3d: the other nodes take the new root over a channel of their own, or find out that they must seal themselves.
    fn tell_nodes(&self, step: &mut Step<'_>, candidate: &Candidate) {
        let digest = candidate.header.digest();
        for node in (0..self.nodes).filter(|node| *node != self.node) {
            let Some(channel) = step.get::<B32>(channel_name(node)) else { continue };
            let root = candidate.root.expose();
            let sealed = hpke::seal_to(&channel, labels::HPKE_ROOT, &root_context(&digest, node), root, step.rng);
            if let Some(sealed) = sealed {
                step.send_in(Peer::Keystore(node), None, Body::NewRoot { header: digest, sealed: sealed.into() });
            }
        }
    }

    /// KEY-3d at another node: the root opens the keyring that is in the store now, or it is not the root.
    pub(super) fn take_root(&mut self, step: &mut Step<'_>, digest: &B32, sealed: &Blob) -> Done {
        let header = header(step).filter(|header| header.digest() == *digest).ok_or(Refusal::WrongEpoch)?;
        // A sealed node has no root to replace: it takes the new shares at its next unsealing.
        let (Some(channel), Some(open)) = (&self.memory.channel, &self.memory.open) else { return Ok(()) };
        let context = root_context(digest, self.node);
        let mut root = channel.open(labels::HPKE_ROOT, &context, sealed).ok_or(Refusal::BadSignature)?;
        let root = Secret::take_slice(&mut root).map(Arc::new).ok_or(Refusal::Malformed)?;
        let keyring = step.bytes(KEYRING).ok_or(Refusal::Malformed)?;
        let keyring = Arc::new(Keyring::open(&root, &header, &keyring).ok_or(Refusal::Malformed)?);
        let (ready, generation) = (open.ready, open.generation);
        self.memory.ceremony = None;
        self.memory.open = Some(Opened { root, keyring, header: *digest, ready, generation });
        Ok(())
    }

    /// The channel key of a node that is present at the initialisation.
    pub fn open_channel(&mut self, batch: &mut Batch, rng: &mut dyn CryptoRng) {
        let channel = Recipient::generate(rng);
        batch.put(channel_name(self.node), cbor::encode(&B32::from(channel.public())));
        self.memory.channel = Some(Arc::new(channel));
    }
}

/// The context that binds a root on its way to another node.
fn root_context(header: &B32, node: u8) -> Vec<u8> {
    [&header[..], &[node]].concat()
}
