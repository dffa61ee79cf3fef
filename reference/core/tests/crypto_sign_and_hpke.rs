//! Signatures and HPKE: known answers, strictness, and what they bind.

use bailee_core::crypto::hpke::{Recipient, seal_to};
use bailee_core::crypto::labels;
use bailee_core::crypto::sign::{Signing, verify};
use ed25519_dalek::{Signature, Verifier, VerifyingKey};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use sha2::{Digest, Sha256};

fn bytes32(hex: &str) -> [u8; 32] {
    std::array::from_fn(|place| u8::from_str_radix(&hex[2 * place..2 * place + 2], 16).expect("hexadecimal"))
}

/// RFC 8032 §7.1, tests 1 and 2: the public key of a seed.
#[test]
fn public_keys_are_those_of_rfc_8032() {
    for (seed, public) in [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        ),
    ] {
        assert_eq!(Signing::from_seed(&bytes32(seed)).public(), bytes32(public));
    }
}

/// GEN-24: what is signed is label ‖ SHA-256(body), and nothing else.
#[test]
fn a_signature_is_over_the_label_and_the_digest() {
    let key = Signing::from_seed(&[1; 32]);
    let signature = Signature::from_slice(&key.sign(labels::SIGN_GRANT, b"body")).expect("64 bytes");
    let message = [labels::SIGN_GRANT.as_bytes(), &Sha256::digest(b"body")].concat();
    let public = VerifyingKey::from_bytes(&key.public()).expect("a point");
    assert!(public.verify(&message, &signature).is_ok());
}

/// GEN-24: the key of order one "signs" every message for a verifier that is not strict (RFC 8032 leaves it open):
/// ours refuses.
#[test]
fn a_public_key_of_small_order_is_refused() {
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut signature = [0; 64];
    signature[0] = 1;
    let lax = VerifyingKey::from_bytes(&identity).expect("a point");
    assert!(lax.verify(b"anything", &Signature::from_bytes(&signature)).is_ok(), "the control");
    assert!(!verify(&identity, labels::SIGN_GRANT, b"anything", &signature));
}

/// GEN-24: a signature whose scalar is not reduced is another encoding of the same signature: refused, so there is
/// only one.
#[test]
fn a_signature_has_one_encoding() {
    let key = Signing::from_seed(&[1; 32]);
    let mut signature = key.sign(labels::SIGN_GRANT, b"body");
    let order = (-curve25519_dalek::Scalar::ONE).to_bytes();
    let mut carry = 1u16;
    for (byte, order) in signature[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
    assert_eq!(carry, 0, "the sum fits");
    assert!(!verify(&key.public(), labels::SIGN_GRANT, b"body", &signature));
}

/// GEN-31.
#[test]
fn no_label_verifies_for_another() {
    let key = Signing::from_seed(&[1; 32]);
    for signing in labels::ALL {
        let signature = key.sign(signing, b"body");
        for verifying in labels::ALL {
            let accepted = verify(&key.public(), verifying, b"body", &signature);
            assert_eq!(accepted, signing == verifying, "{signing} {verifying}");
        }
    }
}

/// GEN-23: the sealed form is enc ‖ ciphertext, and its info is label ‖ context: opened here by the library itself.
#[test]
fn the_sealed_form_is_rfc_9180_with_label_and_context_as_info() {
    use hpke::{Deserializable, Kem, OpModeR, aead::AesGcm256, kdf::HkdfSha256, kem::X25519HkdfSha256};
    let seed = [5; 32];
    let recipient = Recipient::from_seed(&seed);
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let sealed = seal_to(&recipient.public(), labels::HPKE_INTAKE, b"context", b"key", &mut rng).expect("a good key");
    assert_eq!(sealed.len(), 32 + 3 + 16);
    let (private, _) = X25519HkdfSha256::derive_keypair(&seed);
    let enc = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(&sealed[..32]).expect("32 bytes");
    let info = [labels::HPKE_INTAKE.as_bytes(), b"context"].concat();
    let opened = hpke::single_shot_open::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        &private,
        &enc,
        &info,
        &sealed[32..],
        &[],
    );
    assert_eq!(opened.ok().as_deref(), Some(&b"key"[..]));
}

#[test]
fn sealing_the_same_twice_repeats_nothing() {
    let recipient = Recipient::from_seed(&[5; 32]);
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let mut seal = || seal_to(&recipient.public(), labels::HPKE_INTAKE, b"", &[0; 32], &mut rng).expect("a good key");
    let (one, two) = (seal(), seal());
    assert_ne!(one[..32], two[..32], "the ephemeral key");
    assert_ne!(one[32..], two[32..], "the ciphertext");
}

/// GEN-23: the points of small order on Curve25519 give a shared secret of zero: no key is sealed to them.
#[test]
fn no_key_is_sealed_to_a_point_of_small_order() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let mut one = [0; 32];
    one[0] = 1;
    let order_eight = bytes32("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800");
    for point in [[0; 32], one, order_eight] {
        assert!(seal_to(&point, labels::HPKE_INTAKE, b"", b"key", &mut rng).is_none());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_changed_bit_of_a_sealed_key_is_refused(bit in 0usize..(32 + 32 + 16) * 8, seed: u64) {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let recipient = Recipient::generate(&mut rng);
        let mut sealed = seal_to(&recipient.public(), labels::HPKE_RELEASE, b"c", &[7; 32], &mut rng).expect("good");
        // X25519 ignores the top bit of a public key (RFC 7748), but the KEM hashes the encoding.
        sealed[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(recipient.open(labels::HPKE_RELEASE, b"c", &sealed).is_none());
    }

    #[test]
    fn no_bytes_make_opening_or_verifying_panic(
        sealed in prop::collection::vec(any::<u8>(), 0..120),
        public: [u8; 32],
    ) {
        prop_assert!(Recipient::from_seed(&[5; 32]).open(labels::HPKE_RELEASE, b"", &sealed).is_none());
        prop_assert!(!verify(&public, labels::SIGN_GRANT, b"", &sealed));
    }
}
