//! Ceremonies at a node: initialisation, unsealing, rekey (CER, KEY).

use std::collections::BTreeSet;
use std::sync::Arc;

use bailee_secret::Secret;
use bailee_spec::action::{Caller, Purpose};
use bailee_spec::observation::CeremonyState;
use bailee_spec::outcome::Refusal;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{Keyring, Keystore, LIMIT, LogEntry, Memory, Opened};
use crate::cbor;
use crate::crypto::hpke::{self, Recipient};
use crate::crypto::sharing::{self, SharingError, VerifiedShare};
use crate::crypto::sign::{self, PublicKey, Signing};
use crate::crypto::{labels, seal};
use crate::disk::{Batch, Disk};
use crate::quirks::Quirk;
use crate::roles::{Context, deadline, fresh_id};
use crate::wire::{B32, Blob, CeremonyBody, CustodianKeys, Header, ShareBody};

/// A ceremony as a node signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// The encoded [`CeremonyBody`].
    pub body: Vec<u8>,
    /// The node's signature.
    pub signature: Vec<u8>,
}

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

/// A ceremony under way: memory only.
#[cfg_attr(feature = "fork", derive(Clone))]
pub(super) struct Ceremony {
    body: CeremonyBody,
    announced: Arc<Announced>,
    recipient: Recipient,
    shares: Vec<VerifiedShare>,
    candidate: Option<Candidate>,
}

#[derive(Clone)]
struct Candidate {
    header: Header,
    root: Arc<Secret<32>>,
    acked: BTreeSet<u8>,
}

impl Ceremony {
    pub(super) fn has_candidate(&self) -> bool {
        self.candidate.is_some()
    }

    pub(super) fn state(&self) -> CeremonyState {
        match (&self.candidate, self.body.rekey) {
            (Some(_), _) => CeremonyState::RekeyAcks,
            (None, true) => CeremonyState::Rekey,
            (None, false) => CeremonyState::Unseal,
        }
    }
}

/// What a new keystore starts with.
pub struct Setup {
    /// The keystore, every node unsealed.
    pub keystore: Keystore,
    /// The first shares.
    pub shares: Vec<NewShare>,
}

/// The context that binds a wrapped share to its header and custodian.
pub(crate) fn wrap_context(header: &B32, index: u8) -> Vec<u8> {
    [&header[..], &[index]].concat()
}

/// The context that binds a submitted share to its ceremony and custodian.
pub(crate) fn share_context(ceremony: &B32, index: u8) -> Vec<u8> {
    [&ceremony[..], &[index]].concat()
}

/// A new header with a new root under new shares, and the shares sealed to their custodians.
fn deal(
    custodians: &[CustodianKeys],
    threshold: u8,
    share_epoch: u64,
    rng: &mut dyn CryptoRng,
) -> Result<(Header, Arc<Secret<32>>, Vec<NewShare>), SharingError> {
    let sharing = sharing::split(threshold, custodians.len() as u8, rng)?;
    let id = fresh_id(rng);
    let root = Secret::random(rng);
    let kek = sharing::unseal_key(&sharing.secret, &id, share_epoch);
    let mut header = Header {
        id,
        share_epoch,
        threshold,
        commitments: sharing.commitments.iter().copied().map(B32::from).collect(),
        custodians: custodians.to_vec(),
        root: Vec::new().into(),
    };
    let digest = header.digest();
    header.root = seal::seal_once(&kek, labels::SEAL_ROOT, &digest[..], root.expose(), rng).into();
    let mut shares = Vec::new();
    for ((index, keys), value) in (1u8..).zip(custodians).zip(&sharing.shares) {
        let context = wrap_context(&digest, index);
        let sealed = hpke::seal_to(&keys.recipient, labels::HPKE_WRAP, &context, &value[..], rng)
            .ok_or(SharingError::BadParameters)?;
        shares.push(NewShare { index, sealed, header: header.clone() });
    }
    Ok((header, Arc::new(root), shares))
}

/// The commitments of a header, as the sharing wants them.
pub(crate) fn commitments(header: &Header) -> sharing::Commitments {
    header.commitments.iter().map(|point| **point).collect()
}

impl Keystore {
    /// A new keystore: a fresh root under fresh shares, every node unsealed.
    ///
    /// # Errors
    /// When the parameters allow no sharing, or a custodian's key is not usable.
    pub fn initialise(
        nodes: u8,
        custodians: &[CustodianKeys],
        threshold: u8,
        key: Signing,
        authority: PublicKey,
        rng: &mut dyn CryptoRng,
    ) -> Result<Setup, SharingError> {
        let (header, root, shares) = deal(custodians, threshold, 1, rng)?;
        let keyring = Arc::new(Keyring::generate(rng));
        let mut batch = Batch::default();
        batch.put("header", &header);
        batch.put_bytes("keyring", keyring.seal(&root, &header, rng));
        batch.put("mark", &(0u64, deadline(0)));
        let mut disk = Disk::default();
        disk.commit(batch);
        let open = Opened { root, keyring };
        let memory = || Memory { open: Some(open.clone()), ..Memory::default() };
        let nodes = (0..nodes).map(|_| memory()).collect();
        Ok(Setup { keystore: Keystore { disk, nodes, key, authority }, shares })
    }

    /// The header in force.
    pub fn header(&self) -> Option<Header> {
        self.disk.get("header")
    }

    pub(super) fn live_ceremony(&self, now: u64, node: u8) -> Option<&Ceremony> {
        self.nodes[node as usize].ceremony.as_ref().filter(|ceremony| now <= ceremony.body.expiry)
    }

    /// The id of the ceremony that collects shares at a node.
    pub fn collecting(&self, now: u64, node: u8) -> Option<B32> {
        self.live_ceremony(now, node).filter(|ceremony| !ceremony.has_candidate()).map(|ceremony| ceremony.body.id)
    }

    /// Whether the node counted the custodian's share.
    pub fn counted(&self, now: u64, node: u8, index: u8) -> bool {
        self.live_ceremony(now, node).is_some_and(|c| c.shares.iter().any(|share| share.index() == index))
    }

    /// Whether the custodian has acknowledged the new share.
    pub fn acked(&self, now: u64, node: u8, index: u8) -> bool {
        let candidate = self.live_ceremony(now, node).and_then(|ceremony| ceremony.candidate.as_ref());
        candidate.is_some_and(|candidate| candidate.acked.contains(&index))
    }

    /// TIME-1: what is over is forgotten.
    pub fn expire(&mut self, now: u64) {
        self.nodes[0].pending.clear();
        for node in 0..self.nodes.len() as u8 {
            if self.nodes[node as usize].ceremony.is_some() && self.live_ceremony(now, node).is_none() {
                self.drop_ceremony(node);
            }
        }
    }

    fn drop_ceremony(&mut self, node: u8) {
        let dropped = self.nodes[node as usize].ceremony.take();
        if dropped.is_some_and(|ceremony| ceremony.has_candidate()) {
            let mut batch = Batch::default();
            batch.remove("candidate");
            self.disk.commit(batch);
        }
    }

    /// CER-2.
    ///
    /// # Errors
    /// The first failed check.
    pub fn open_ceremony(
        &mut self,
        cx: &mut Context<'_>,
        node: u8,
        purpose: Purpose,
        by: Caller,
    ) -> Result<Arc<Announced>, Refusal> {
        if by == Caller::Stranger && !cx.quirks.has(Quirk::StrangerOpens) {
            return Err(Refusal::Unauthenticated);
        }
        let unsealed = self.nodes[node as usize].open.is_some();
        match purpose {
            Purpose::Unseal if unsealed => return Err(Refusal::AlreadyUnsealed),
            Purpose::Rekey if !unsealed => return Err(Refusal::NotUnsealed),
            _ => {}
        }
        if self.live_ceremony(cx.now, node).is_some() {
            return Err(Refusal::CeremonyOpen);
        }
        // KEY-1a: there is one candidate header, so one rekey at a time, whichever node it is at.
        let rekeys = |node: u8| self.live_ceremony(cx.now, node).is_some_and(|ceremony| ceremony.body.rekey);
        if purpose == Purpose::Rekey && (0..self.nodes.len() as u8).any(rekeys) {
            return Err(Refusal::CeremonyOpen);
        }
        let header = self.header().ok_or(Refusal::Malformed)?;
        let recipient = Recipient::generate(cx.rng);
        let body = CeremonyBody {
            id: fresh_id(cx.rng),
            node,
            rekey: purpose == Purpose::Rekey,
            recipient: recipient.public().into(),
            header: header.digest(),
            share_epoch: header.share_epoch,
            expiry: deadline(cx.now),
        };
        let announced = Arc::new(self.sign_ceremony(&body));
        let ceremony =
            Ceremony { body, announced: announced.clone(), recipient, shares: Vec::new(), candidate: None };
        self.nodes[node as usize].ceremony = Some(ceremony);
        Ok(announced)
    }

    fn sign_ceremony(&self, body: &CeremonyBody) -> Announced {
        let body = cbor::encode(body);
        let signature = self.key.sign(labels::SIGN_CEREMONY, &body);
        Announced { body, signature }
    }

    /// The node's ceremony, signed, for the operator to announce.
    pub fn announced(&self, now: u64, node: u8) -> Option<Arc<Announced>> {
        Some(self.live_ceremony(now, node)?.announced.clone())
    }

    /// CER-5 at the node; true when the share was the last one needed.
    ///
    /// # Errors
    /// The first failed check; none raises the count.
    pub fn submit(&mut self, cx: &Context<'_>, node: u8, share: &Blob, signature: &Blob) -> Result<bool, Refusal> {
        let header = self.header().ok_or(Refusal::Malformed)?;
        let said: ShareBody = cbor::decode(share, LIMIT).map_err(|_| Refusal::Malformed)?;
        let id = self.collecting(cx.now, node);
        if id != Some(said.ceremony) {
            return Err(Refusal::CeremonyExpired);
        }
        let keys = usize::from(said.index).checked_sub(1).and_then(|i| header.custodians.get(i));
        let keys = keys.ok_or(Refusal::BadSignature)?;
        if !sign::verify(&keys.sign, labels::SIGN_SHARE, share, signature) {
            return Err(Refusal::BadSignature);
        }
        if said.share_epoch != header.share_epoch || said.header != header.digest() {
            return Err(Refusal::WrongEpoch);
        }
        let again = self.counted(cx.now, node, said.index);
        if again && !cx.quirks.has(Quirk::ShareCountsTwice) {
            return Err(Refusal::DuplicateShare);
        }
        let Some(ceremony) = &mut self.nodes[node as usize].ceremony else { return Err(Refusal::CeremonyExpired) };
        let context = share_context(&said.ceremony, said.index);
        let opened = ceremony.recipient.open(labels::HPKE_SHARE, &context, &said.sealed);
        let value = opened.and_then(|bytes| <[u8; 32]>::try_from(&bytes[..]).ok()).map(Zeroizing::new);
        let value = value.ok_or(Refusal::WrongShare)?;
        match sharing::verify(said.index, &value, &commitments(&header), header.threshold) {
            Ok(_) if again => {}
            Ok(share) => ceremony.shares.push(share),
            Err(_) if cx.quirks.has(Quirk::WrongShareCounts) => {}
            Err(_) => return Err(Refusal::WrongShare),
        }
        let needed = usize::from(header.threshold) - usize::from(cx.quirks.has(Quirk::OneShareFewer));
        Ok(ceremony.shares.len() >= needed)
    }

    /// The opened root of a complete unseal ceremony; none if the shares do not open it.
    fn open_root(&self, node: u8) -> Option<Arc<Secret<32>>> {
        let header = self.header()?;
        let ceremony = self.nodes[node as usize].ceremony.as_ref()?;
        let scalar = sharing::combine(&ceremony.shares, &commitments(&header)).ok()?;
        let kek = sharing::unseal_key(&scalar, &header.id, header.share_epoch);
        let mut root = seal::open(&kek, labels::SEAL_ROOT, &header.digest()[..], &header.root).ok()?;
        Secret::take_slice(&mut root).map(Arc::new)
    }

    /// CER-6, unseal: opens root and keyring, finishes a staged restore, and follows the authority's log. Nothing is admitted
    /// before that.
    ///
    /// # Errors
    /// `Malformed` when root or keyring do not open, `SnapshotDamaged` when a staged snapshot is forged.
    pub fn complete_unseal(
        &mut self,
        cx: &mut Context<'_>,
        node: u8,
        epoch: u64,
        log: &[LogEntry],
    ) -> Result<Batch, Refusal> {
        let root = self.open_root(node);
        self.drop_ceremony(node);
        let root = root.ok_or(Refusal::Malformed)?;
        let sealed = self.disk.bytes("keyring").ok_or(Refusal::Malformed)?;
        let header = self.header().ok_or(Refusal::Malformed)?;
        let keyring = Arc::new(Keyring::open(&root, &header, &sealed).ok_or(Refusal::Malformed)?);
        if node == 0 && self.disk.bytes("staged").is_some() {
            self.finish_restore(cx, &root, &keyring, log).inspect_err(|_| self.unstage())?;
        }
        self.nodes[node as usize].open = Some(Opened { root, keyring: keyring.clone() });
        Ok(self.hear_with(cx, &keyring, epoch, log))
    }

    /// KEY-1: a durable candidate, and the new shares.
    ///
    /// # Errors
    /// `Malformed` when the sharing fails.
    pub fn make_candidate(&mut self, cx: &mut Context<'_>, node: u8) -> Result<(Batch, Vec<NewShare>), Refusal> {
        let header = self.header().ok_or(Refusal::Malformed)?;
        let (candidate, root, shares) = deal(&header.custodians, header.threshold, header.share_epoch + 1, cx.rng)
            .map_err(|_| Refusal::Malformed)?;
        let mut batch = Batch::default();
        batch.put("candidate", &candidate);
        if let Some(ceremony) = &mut self.nodes[node as usize].ceremony {
            ceremony.shares.clear();
            ceremony.candidate = Some(Candidate { header: candidate, root, acked: BTreeSet::new() });
        }
        Ok((batch, shares))
    }

    /// KEY-2, KEY-3 at the node: the batch that makes the candidate the header, when the last acknowledgement is in.
    ///
    /// # Errors
    /// `CeremonyExpired`, `BadSignature`.
    pub fn acknowledge_share(
        &mut self,
        cx: &mut Context<'_>,
        node: u8,
        index: u8,
        signature: &[u8],
    ) -> Result<Option<Batch>, Refusal> {
        let open = self.nodes[node as usize].open.clone().ok_or(Refusal::Sealed)?;
        let candidate = self.nodes[node as usize].ceremony.as_mut().and_then(|c| c.candidate.as_mut());
        let candidate = candidate.ok_or(Refusal::CeremonyExpired)?;
        let keys = usize::from(index).checked_sub(1).and_then(|i| candidate.header.custodians.get(i));
        let keys = keys.ok_or(Refusal::BadSignature)?;
        if !sign::verify(&keys.sign, labels::SIGN_ACK, &candidate.header.digest()[..], signature) {
            return Err(Refusal::BadSignature);
        }
        candidate.acked.insert(index);
        let early = cx.quirks.has(Quirk::RekeyEarly);
        let needed = if early { candidate.header.threshold as usize } else { candidate.header.custodians.len() };
        if candidate.acked.len() < needed {
            return Ok(None);
        }
        let candidate = candidate.clone();
        // KEY-3f: this ceremony is over, and so is every other: it collects shares of the former header.
        for node in &mut self.nodes {
            node.ceremony = None;
        }
        let mut batch = Batch::default();
        batch.put("header", &candidate.header);
        batch.put_bytes("keyring", open.keyring.seal(&candidate.root, &candidate.header, cx.rng));
        batch.remove("candidate");
        // KEY-3g: a staged snapshot is of the former share epoch, which nothing restores any more.
        batch.remove("staged");
        // KEY-3d: every unsealed node goes on with the new root, or it could never finish a restore again.
        for open in self.nodes.iter_mut().filter_map(|node| node.open.as_mut()) {
            open.root = candidate.root.clone();
        }
        Ok(Some(batch))
    }
}
