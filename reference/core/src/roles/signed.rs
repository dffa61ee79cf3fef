//! What more than one role signs, seals or opens, said once (GEN-31).

use crate::cbor;
use crate::crypto::hpke::Recipient;
use crate::crypto::keys::{ArchiveKey, Owner, Secret, commitment, subkey};
use crate::crypto::sign::PublicKey;
use crate::crypto::{labels, seal, sharing};
use crate::quirks::Quirk;
use crate::wire::{B32, Blob, Header, ReceiptBody, Signed};
use bailee_spec::outcome::Refusal;
use rand_core::CryptoRng;

/// What a device signs to begin an attempt: session, attempt and recipient key, as canonical CBOR (ENR-3).
pub fn attempt_proof(session: &B32, attempt: &B32, recipient: &B32) -> Vec<u8> {
    cbor::encode(&(*session, *attempt, *recipient))
}

/// What a device signs to be added: session and recipient key, as canonical CBOR (REP-1).
pub fn add_proof(session: &B32, recipient: &B32) -> Vec<u8> {
    cbor::encode(&(*session, *recipient))
}

/// What the keystore signs with its intake key: the attempt's nonce and the key (ENR-7a).
pub fn intake_body(nonce: &B32, intake: &B32) -> Vec<u8> {
    cbor::encode(&(*nonce, *intake))
}

/// What the authority signs when it consumes a grant (REP-3).
pub fn consumed_body(grant: &B32, challenge: &B32, epoch: u64) -> Vec<u8> {
    cbor::encode(&(*grant, *challenge, epoch))
}

/// What a custodian's authenticator signs (CER-4a).
pub fn factor_body(ceremony: &B32, index: u8, code: u64) -> Vec<u8> {
    cbor::encode(&(*ceremony, index, code))
}

/// What the restorer signs with a job key (JOB-2a).
pub fn job_key_body(job: &B32, recipient: &B32) -> Vec<u8> {
    [&job[..], &recipient[..]].concat()
}

/// What an escrow message is bound to.
pub fn escrow_context(tenant: &str, user: &str, commitment: &B32) -> Vec<u8> {
    cbor::encode(&(tenant, user, *commitment))
}

/// What a released key is bound to.
pub fn release_context(grant: &B32, commitment: &B32) -> Vec<u8> {
    [&grant[..], &commitment[..]].concat()
}

/// The context that binds a wrapped share to its header and custodian.
pub fn wrap_context(header: &B32, index: u8) -> Vec<u8> {
    [&header[..], &[index]].concat()
}

/// The context that binds a submitted share to its ceremony and custodian.
pub fn share_context(ceremony: &B32, index: u8) -> Vec<u8> {
    if Quirk::ShareContextEmpty.is_on() { Vec::new() } else { [&ceremony[..], &[index]].concat() }
}

/// The commitments of a header, as the sharing wants them.
pub fn commitments(header: &Header) -> sharing::Commitments {
    header.commitments.iter().map(|point| **point).collect()
}

/// A key on its way out of the keystore.
pub struct Release<'a> {
    /// The grant.
    pub grant: &'a B32,
    /// The key, sealed to the recipient.
    pub sealed: &'a Blob,
    /// The keystore's receipt, and its signature.
    pub receipt: Signed<'a>,
}

impl Release<'_> {
    /// The key, if the keystore's receipt says that it is the owner's (REP-7a, JOB-3).
    pub fn open(&self, keystore: &PublicKey, owner: &Owner, recipient: &Recipient) -> Option<ArchiveKey> {
        let no = Refusal::Malformed;
        let said: ReceiptBody = self.receipt.open(keystore, labels::SIGN_RECEIPT, no, no).ok()?;
        let of_tenant = said.tenant == owner.tenant || Quirk::KeyOfNamesake.is_on();
        if !of_tenant || said.user != owner.user {
            return None;
        }
        let context = release_context(self.grant, &said.commitment);
        let mut opened = recipient.open(labels::HPKE_RELEASE, &context, self.sealed)?;
        let key = Secret::<32>::take_slice(&mut opened)?;
        (commitment(&key, owner) == *said.commitment).then_some(key)
    }
}

/// A block of an owner's archive, sealed with the archive key.
pub fn seal_block(key: &ArchiveKey, owner: &Owner, content: &[u8], rng: &mut dyn CryptoRng) -> Vec<u8> {
    if Quirk::BlocksInClear.is_on() {
        return content.to_vec();
    }
    let root = subkey(key, labels::KEY_SEAL, owner);
    seal::seal_once(&root, labels::SEAL_BLOCK, &cbor::encode(owner), content, rng)
}

/// Opens a block of an owner's archive with the archive key.
pub fn open_block(key: &ArchiveKey, owner: &Owner, block: &[u8]) -> Option<Vec<u8>> {
    if Quirk::BlocksInClear.is_on() {
        return Some(block.to_vec());
    }
    let root = subkey(key, labels::KEY_SEAL, owner);
    seal::open(&root, labels::SEAL_BLOCK, &cbor::encode(owner), block).ok().map(|plain| plain.to_vec())
}
