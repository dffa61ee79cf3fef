//! Framing of what is sealed, signed, shared and hashed.

use bailee_core::crypto::hpke::{Recipient, seal_to};
use bailee_core::crypto::seal::{OVERHEAD_BYTES, SealError, open, seal_once};
use bailee_core::crypto::sharing::{self, SharingError};
use bailee_core::crypto::sign::{self, Signing};
use bailee_core::crypto::{labels, password};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use super::{front, piece};
use crate::stage;

/// Alters one bit, chosen by two bytes.
fn altered(bytes: &[u8], choice: u16) -> Vec<u8> {
    let mut out = bytes.to_vec();
    let bit = usize::from(choice) % (bytes.len() * 8);
    out[bit / 8] ^= 1 << (bit % 8);
    out
}

/// Opens the bytes; then seals them, and opens them altered.
pub fn seal(mut data: &[u8]) {
    let choice = u16::from_be_bytes(front(&mut data));
    let header = piece(&mut data);
    match open(&stage::ROOT, labels::SEAL_BLOCK, header, data) {
        Ok(message) => assert_eq!(message.len() + OVERHEAD_BYTES, data.len()),
        Err(SealError::TooShort) => assert!(data.len() < OVERHEAD_BYTES),
        Err(SealError::WrongKeyOrHeader | SealError::Altered) => assert!(data.len() >= OVERHEAD_BYTES),
    }
    let mut rng = ChaCha8Rng::seed_from_u64(choice.into());
    let sealed = seal_once(&stage::ROOT, labels::SEAL_BLOCK, header, data, &mut rng);
    let opened = open(&stage::ROOT, labels::SEAL_BLOCK, header, &sealed);
    assert_eq!(opened.as_deref().map(Vec::as_slice), Ok(data));
    assert!(open(&stage::ROOT, labels::SEAL_BLOCK, header, &altered(&sealed, choice)).is_err());
    let other = [header, &[0]].concat();
    assert_eq!(open(&stage::ROOT, labels::SEAL_BLOCK, &other, &sealed), Err(SealError::WrongKeyOrHeader));
}

/// Opens the bytes; then seals them, and opens them altered.
pub fn hpke(mut data: &[u8]) {
    let choice = u16::from_be_bytes(front(&mut data));
    let context = piece(&mut data);
    let recipient = Recipient::from_seed(&stage::ROOT);
    let _ = recipient.open(labels::HPKE_RELEASE, context, data);
    let mut rng = ChaCha8Rng::seed_from_u64(choice.into());
    let to_anybody = front(&mut &*data);
    let _ = seal_to(&to_anybody, labels::HPKE_RELEASE, context, data, &mut rng);
    let Some(sealed) = seal_to(&recipient.public(), labels::HPKE_RELEASE, context, data, &mut rng) else {
        panic!("a good key was refused")
    };
    let opened = recipient.open(labels::HPKE_RELEASE, context, &sealed);
    assert_eq!(opened.as_deref().map(Vec::as_slice), Some(data));
    // The top bit of an X25519 key is no part of it (RFC 7748 §5): HPKE hashes the bytes as sent, so it still counts.
    assert!(recipient.open(labels::HPKE_RELEASE, context, &altered(&sealed, choice)).is_none());
    assert!(recipient.open(labels::HPKE_SHARE, context, &sealed).is_none());
}

/// Verifies; then signs, and verifies under another label and altered.
pub fn signature(mut data: &[u8]) {
    let choice = u16::from_be_bytes(front(&mut data));
    let public = front(&mut data);
    let signature = piece(&mut data);
    let own = Signing::from_seed(&stage::ROOT);
    if sign::verify(&public, labels::SIGN_RECEIPT, data, signature) {
        assert!(!sign::verify(&public, labels::SIGN_RECEIPT, data, &altered(signature, choice)));
        assert!(!sign::verify(&public, labels::SIGN_GRANT, data, signature));
    }
    let good = own.sign(labels::SIGN_RECEIPT, data);
    assert!(sign::verify(&own.public(), labels::SIGN_RECEIPT, data, &good));
    assert!(!sign::verify(&own.public(), labels::SIGN_RECEIPT, data, &altered(&good, choice)));
    assert!(!sign::verify(&own.public(), labels::SIGN_RECEIPT, &[data, &[0]].concat(), &good));
}

/// Checks a share against commitments; one share, however often, is never enough.
pub fn sharing(mut data: &[u8]) {
    let [threshold, index] = front(&mut data);
    let value: [u8; 32] = front(&mut data);
    let (points, _) = data.as_chunks::<32>();
    let commitments = points.to_vec();
    let verified = || sharing::verify(index, &value, &commitments, threshold);
    match verified() {
        Ok(share) => {
            assert_eq!(share.index(), index);
            assert!(index > 0 && threshold >= 2 && commitments.len() == usize::from(threshold));
            let same: Vec<_> = (0..threshold).filter_map(|_| verified().ok()).collect();
            assert_eq!(sharing::combine(&same, &commitments).err(), Some(SharingError::NotEnoughShares));
            let fewer = commitments[..1].to_vec();
            assert_eq!(sharing::combine(&[share], &fewer).err(), Some(SharingError::OtherCommitments));
        }
        Err(error) => assert!(matches!(error, SharingError::BadCommitments | SharingError::WrongShare), "{error:?}"),
    }
}

/// Compares a password with a record. Costs above a few blocks are left to a unit test: hashing is slow by design.
pub fn password(mut data: &[u8]) {
    let record = piece(&mut data);
    let mut costs = record;
    let (memory, passes) = (u32::from_be_bytes(front(&mut costs)), u32::from_be_bytes(front(&mut costs)));
    let cheap = memory <= 64 && passes <= 2;
    if cheap && password::matches(record, data) {
        assert!(!password::matches(record, &[data, &[0]].concat()), "another password matched");
    }
}
