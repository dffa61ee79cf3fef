//! The parties whom the vectors are about, with keys that are given in full.

use bailee_core::cbor;
use bailee_core::crypto::hpke::{Recipient, seal_to};
use bailee_core::crypto::keys::{Owner, Secret, commitment};
use bailee_core::crypto::sharing::{self, Sharing};
use bailee_core::crypto::sign::Signing;
use bailee_core::crypto::{labels, seal};
use bailee_core::wire::{
    AdmissionBody, B32, Blob, CapabilityBody, CeremonyBody, Certificate, CustodianKeys, EscrowBody, GrantBody,
    Header, ReceiptBody, Roster, ShareBody,
};

use super::Given;

pub(crate) const TENANT: &str = "acme";
pub(crate) const USER: &str = "ada";

pub(crate) const DEVICE_SEED: [u8; 32] = [0x11; 32];
pub(crate) const AUTHORITY_SEED: [u8; 32] = [0x12; 32];
pub(crate) const KEYSTORE_SEED: [u8; 32] = [0x13; 32];
pub(crate) const RESTORER_SEED: [u8; 32] = [0x14; 32];
pub(crate) const AUTHENTICATOR_SEED: [u8; 32] = [0x15; 32];
pub(crate) const STRANGER_SEED: [u8; 32] = [0x1f; 32];
/// The device's HPKE key.
pub(crate) const RECIPIENT_SEED: [u8; 32] = [0x21; 32];
/// A ceremony's HPKE key.
pub(crate) const CEREMONY_SEED: [u8; 32] = [0x22; 32];
/// The channel key of another node.
pub(crate) const CHANNEL_SEED: [u8; 32] = [0x23; 32];
pub(crate) const CEREMONY: [u8; 32] = [0x31; 32];
pub(crate) const GRANT: [u8; 32] = [0x32; 32];
pub(crate) const ATTEMPT: [u8; 32] = [0x33; 32];
pub(crate) const SESSION: [u8; 32] = [0x34; 32];
pub(crate) const NONCE: [u8; 32] = [0x35; 32];
pub(crate) const CHALLENGE: [u8; 32] = [0x36; 32];
pub(crate) const JOB: [u8; 32] = [0x37; 32];
pub(crate) const HEADER_ID: [u8; 32] = [0x38; 32];
/// The archive key.
pub(crate) const KEY: [u8; 32] = [0x4b; 32];
pub(crate) const ROOT: [u8; 32] = [0x51; 32];
pub(crate) const DATA_KEY: [u8; 32] = [0x52; 32];
pub(crate) const PATH_KEY: [u8; 32] = [0x53; 32];
pub(crate) const INTAKE_SEED: [u8; 32] = [0x54; 32];
pub(crate) const SALT: [u8; 32] = [0x61; 32];
pub(crate) const EPHEMERAL_SEED: [u8; 32] = [0x62; 32];
/// The share epoch of the header.
pub(crate) const SHARE_EPOCH: u64 = 7;

pub(crate) fn b(bytes: [u8; 32]) -> B32 {
    B32::from(bytes)
}

pub(crate) fn key(seed: [u8; 32]) -> Signing {
    Signing::from_seed(&seed)
}

pub(crate) fn public(seed: [u8; 32]) -> B32 {
    key(seed).public().into()
}

pub(crate) fn recipient(seed: [u8; 32]) -> Recipient {
    Recipient::from_seed(&seed)
}

pub(crate) fn intake() -> B32 {
    recipient(INTAKE_SEED).public().into()
}

pub(crate) fn owner_of(tenant: &str, user: &str, epoch: u64) -> Owner {
    Owner { tenant: tenant.into(), user: user.into(), epoch }
}

pub(crate) fn owner() -> Owner {
    owner_of(TENANT, USER, 0)
}

pub(crate) fn commitment_of(key: [u8; 32], owner: &Owner) -> [u8; 32] {
    commitment(&Secret::take(&mut { key }), owner)
}

/// HPKE with the ephemeral seed of all vectors, all of which is drawn.
pub(crate) fn hpke(to: [u8; 32], label: &str, context: &[u8], message: &[u8]) -> Vec<u8> {
    let mut rng = Given::new(EPHEMERAL_SEED);
    let sealed = seal_to(&to, label, context, message, &mut rng).expect("a usable key");
    assert!(rng.is_spent());
    sealed
}

/// `seal_once` with the salt of all vectors.
pub(crate) fn sealed(root: [u8; 32], label: &str, header: &[u8], message: &[u8]) -> Vec<u8> {
    seal::seal_once(&root, label, header, message, &mut Given::new(SALT))
}

/// The random bytes of a sharing: 64 for each coefficient.
pub(crate) fn random_of(threshold: u8, first: u8) -> Vec<u8> {
    (0..threshold).flat_map(|coefficient| [first + coefficient; 64]).collect()
}

/// A sharing of what these random bytes say.
pub(crate) fn sharing_of(threshold: u8, shares: u8, first: u8) -> Sharing {
    let mut rng = Given::new(random_of(threshold, first));
    let sharing = sharing::split(threshold, shares, &mut rng).expect("good parameters");
    assert!(rng.is_spent());
    sharing
}

/// The sharing of the header: 3 of 5.
pub(crate) fn sharing() -> Sharing {
    sharing_of(3, 5, 0xa0)
}

/// A custodian's two keys.
pub(crate) fn custodian_seeds(index: u8) -> ([u8; 32], [u8; 32]) {
    ([0x70 + index; 32], [0x80 + index; 32])
}

pub(crate) fn custodian(index: u8) -> CustodianKeys {
    let (sign, own) = custodian_seeds(index);
    CustodianKeys { sign: public(sign), recipient: recipient(own).public().into() }
}

pub(crate) fn custodians() -> Vec<CustodianKeys> {
    (1..=5).map(custodian).collect()
}

/// A header whose root is sealed under these shares, whatever they say.
pub(crate) fn header_of(sharing: &Sharing) -> Header {
    let mut header = Header {
        id: b(HEADER_ID),
        share_epoch: SHARE_EPOCH,
        threshold: 3,
        commitments: sharing.commitments.iter().copied().map(b).collect(),
        custodians: custodians(),
        root: Vec::new().into(),
    };
    let kek = sharing::unseal_key(&sharing.secret, &header.id, header.share_epoch);
    header.root = sealed(*kek, labels::SEAL_ROOT, &header.digest()[..], &ROOT).into();
    header
}

pub(crate) fn header() -> Header {
    header_of(&sharing())
}

pub(crate) fn keyring_plain() -> Vec<u8> {
    [DATA_KEY, PATH_KEY, INTAKE_SEED].concat()
}

pub(crate) fn keyring() -> Vec<u8> {
    sealed(ROOT, labels::SEAL_KEYRING, &header().digest()[..], &keyring_plain())
}

pub(crate) fn signed(seed: [u8; 32], label: &str, body: &[u8]) -> Blob {
    key(seed).sign(label, body).into()
}

pub(crate) fn certificate() -> Vec<u8> {
    let (device, recipient) = (public(DEVICE_SEED), recipient(RECIPIENT_SEED).public().into());
    cbor::encode(&Certificate { attempt: b(ATTEMPT), nonce: b(NONCE), session: b(SESSION), device, recipient })
}

pub(crate) fn admission() -> Vec<u8> {
    cbor::encode(&AdmissionBody { tenant: TENANT.into(), user: USER.into(), attempt: b(ATTEMPT), nonce: b(NONCE) })
}

/// An escrow message with this commitment, sealed in the context of `context_of`.
pub(crate) fn escrow_of(plain: &[u8], commitment: [u8; 32], context_of: (&str, &str, [u8; 32])) -> Vec<u8> {
    let (tenant, user, committed) = context_of;
    let context = cbor::encode(&(tenant, user, b(committed)));
    let sealed = hpke(*intake(), labels::HPKE_INTAKE, &context, plain);
    cbor::encode(&EscrowBody { attempt: b(ATTEMPT), commitment: b(commitment), sealed: sealed.into() })
}

pub(crate) fn escrow() -> Vec<u8> {
    let committed = commitment_of(KEY, &owner());
    escrow_of(&KEY, committed, (TENANT, USER, committed))
}

pub(crate) fn receipt_of(tenant: &str, user: &str, commitment: [u8; 32]) -> Vec<u8> {
    cbor::encode(&ReceiptBody { tenant: tenant.into(), user: user.into(), commitment: b(commitment), generation: 2 })
}

pub(crate) fn receipt() -> Vec<u8> {
    receipt_of(TENANT, USER, commitment_of(KEY, &owner()))
}

pub(crate) fn grant() -> Vec<u8> {
    let recipient = recipient(RECIPIENT_SEED).public().into();
    let (tenant, user) = (TENANT.into(), USER.into());
    cbor::encode(&GrantBody { id: b(GRANT), tenant, user, recipient, epoch: 3, expiry: 1_700_000_600 })
}

pub(crate) fn capability() -> Vec<u8> {
    let (tenant, user, device) = (TENANT.into(), USER.into(), public(DEVICE_SEED));
    cbor::encode(&CapabilityBody { tenant, user, device, epoch: 3, expiry: 1_700_000_600, read: false })
}

pub(crate) fn roster() -> Roster {
    Roster { threshold: 2, custodians: (1..=3).map(custodian).collect() }
}

/// The ceremony that a node opens over the header.
pub(crate) fn ceremony_body() -> CeremonyBody {
    let header = header();
    CeremonyBody {
        id: b(CEREMONY),
        node: 0,
        rekey: false,
        recipient: recipient(CEREMONY_SEED).public().into(),
        header: header.digest(),
        share_epoch: header.share_epoch,
        expiry: 600,
        number: 1,
        roster: None,
    }
}

pub(crate) fn ceremony() -> Vec<u8> {
    cbor::encode(&ceremony_body())
}

/// A share on its way into the ceremony, sealed under this index.
pub(crate) fn share_body(index: u8, value: &[u8]) -> ShareBody {
    let ceremony = ceremony_body();
    let sealed = hpke(*ceremony.recipient, labels::HPKE_SHARE, &[&CEREMONY[..], &[index]].concat(), value);
    let (share_epoch, header) = (ceremony.share_epoch, ceremony.header);
    ShareBody { ceremony: ceremony.id, index, share_epoch, header, sealed: sealed.into() }
}

/// The right share of a custodian.
pub(crate) fn share(index: u8) -> Vec<u8> {
    cbor::encode(&share_body(index, &sharing().shares[usize::from(index) - 1][..]))
}

/// A share as it lies in custody.
pub(crate) fn wrapped(index: u8) -> Vec<u8> {
    let header = header();
    let context = [&header.digest()[..], &[index]].concat();
    hpke(*custodian(index).recipient, labels::HPKE_WRAP, &context, &sharing().shares[usize::from(index) - 1][..])
}
