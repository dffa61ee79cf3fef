//! `seal_once` against its formula, and against the shortcuts that break it (GEN-20, D23).

#[path = "common/bug.rs"]
mod bug;

use aes_gcm::aead::{Aead, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use bailee_core::crypto::labels;
use bailee_core::crypto::seal::{KEY_TAG_BYTES, OVERHEAD_BYTES, SALT_BYTES, SealError, open, seal_once};
use hmac::{Hmac, Mac};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

const BODY: usize = SALT_BYTES + KEY_TAG_BYTES;

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key).expect("any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

/// HKDF-SHA-256 with 64 bytes of output, written from RFC 5869 by hand: extract, then two blocks of expand.
fn hkdf_64(salt: &[u8], ikm: &[u8], info: &[u8]) -> Vec<u8> {
    let prk = hmac(salt, &[ikm]);
    let first = hmac(&prk, &[info, &[1]]);
    let second = hmac(&prk, &[&first, info, &[2]]);
    [first, second].concat()
}

#[test]
fn our_hkdf_gives_the_known_answer_of_rfc_5869() {
    let salt: Vec<u8> = (0..=0x0c).collect();
    let info: Vec<u8> = (0xf0..=0xf9).collect();
    let known = [
        0x3c, 0xb2, 0x5f, 0x25, 0xfa, 0xac, 0xd5, 0x7a, 0x90, 0x43, 0x4f, 0x64, 0xd0, 0x36, 0x2f, 0x2a, 0x2d, 0x2d,
        0x0a, 0x90, 0xcf, 0x1a, 0x5a, 0x4c, 0x5d, 0xb0, 0x2d, 0x56, 0xec, 0xc4, 0xc5, 0xbf, 0x34, 0x00, 0x72, 0x08,
        0xd5, 0xb8, 0x87, 0x18, 0x58, 0x65,
    ];
    assert_eq!(hkdf_64(&salt, &[0x0b; 22], &info)[..42], known);
}

/// The formula of the protocol, written a second time from primitives.
fn by_the_formula(root: &[u8; 32], label: &str, header: &[u8], message: &[u8], salt: &[u8]) -> Vec<u8> {
    let derived = hkdf_64(salt, root, &[label.as_bytes(), &Sha256::digest(header)].concat());
    let cipher = Aes256Gcm::new_from_slice(&derived[..32]).expect("32 bytes");
    let aad = [header, salt].concat();
    let sealed = cipher.encrypt(&Nonce::default(), Payload { msg: message, aad: &aad }).expect("short");
    [salt, &derived[32..], &sealed].concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn sealing_is_the_formula_and_opening_its_inverse(
        root: [u8; 32],
        header in prop::collection::vec(any::<u8>(), 0..100),
        message in prop::collection::vec(any::<u8>(), 0..300),
        seed: u64,
    ) {
        let sealed = seal_once(&root, labels::SEAL_RECORD, &header, &message, &mut rng(seed));
        let mut salt = [0; SALT_BYTES];
        rng(seed).fill_bytes(&mut salt);
        prop_assert_eq!(sealed.len(), message.len() + OVERHEAD_BYTES);
        prop_assert_eq!(&sealed, &by_the_formula(&root, labels::SEAL_RECORD, &header, &message, &salt));
        let opened = open(&root, labels::SEAL_RECORD, &header, &sealed).map(|message| message.to_vec());
        prop_assert_eq!(opened, Ok(message));
    }

    #[test]
    fn no_bytes_make_opening_panic(root: [u8; 32], sealed in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(open(&root, labels::SEAL_RECORD, b"", &sealed).is_err());
    }
}

/// The earlier draft's shortcut: a key from the content's id, and nonce 0.
fn with_a_fixed_key(key: &[u8; 32], message: &[u8]) -> Vec<u8> {
    let cipher = Aes256Gcm::new_from_slice(key).expect("32 bytes");
    cipher.encrypt(&Nonce::default(), message).expect("short")
}

fn xor(a: &[u8], b: &[u8]) -> Vec<u8> {
    a.iter().zip(b).map(|(a, b)| a ^ b).collect()
}

/// GEN-20, D23: one content compressed at two levels. Under a key of the id the ciphertexts give the payloads' XOR away;
/// `seal_once` does not, and neither salt nor key tag repeats.
#[test]
fn two_levels_of_one_content_share_no_keystream() {
    let root = [1; 32];
    let (fast, small) = (
        [0x55u8; 96],
        *b"the same content, compressed better, is other bytes under the same block id: 96 of them, as here",
    );
    let leaked = xor(&with_a_fixed_key(&root, &fast)[..96], &with_a_fixed_key(&root, &small)[..96]);
    assert_eq!(leaked, xor(&fast, &small), "the control: a fixed key leaks");

    let mut rng = rng(1);
    let first = seal_once(&root, labels::SEAL_BLOCK, b"header", &fast, &mut rng);
    let second = seal_once(&root, labels::SEAL_BLOCK, b"header", &small, &mut rng);
    assert_ne!(xor(&first[BODY..][..96], &second[BODY..][..96]), xor(&fast, &small));
    assert_ne!(first[..SALT_BYTES], second[..SALT_BYTES]);
    assert_ne!(first[SALT_BYTES..BODY], second[SALT_BYTES..BODY]);
}

/// GEN-20: sealing the very same bytes again, a thousand times, never repeats a salt, a key or a ciphertext.
#[test]
fn a_seal_never_repeats() {
    let mut rng = rng(2);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..1000 {
        let sealed = seal_once(&[1; 32], labels::SEAL_BLOCK, b"", &[0; 32], &mut rng);
        assert!(seen.insert(sealed[..SALT_BYTES].to_vec()), "a salt twice");
        assert!(seen.insert(sealed[SALT_BYTES..BODY].to_vec()), "a key tag twice");
        assert!(seen.insert(sealed[BODY..].to_vec()), "a ciphertext twice");
    }
}

/// GEN-20: another key is refused by its tag, before the AEAD is tried: the verdict is the same whether the ciphertext is
/// whole or not, so a server learns nothing from one ciphertext made for many keys.
#[test]
fn another_key_is_refused_before_the_ciphertext_is_looked_at() {
    let mut sealed = seal_once(&[1; 32], labels::SEAL_RECORD, b"header", b"message", &mut rng(3));
    assert_eq!(open(&[2; 32], labels::SEAL_RECORD, b"header", &sealed), Err(SealError::WrongKeyOrHeader));
    *sealed.last_mut().expect("not empty") ^= 1;
    assert_eq!(open(&[2; 32], labels::SEAL_RECORD, b"header", &sealed), Err(SealError::WrongKeyOrHeader));
    assert_eq!(open(&[1; 32], labels::SEAL_RECORD, b"header", &sealed), Err(SealError::Altered));
}

/// GEN-20, the other way round: a ciphertext that is valid AES-GCM under the derived key, but whose key tag is another's,
/// does not open.
#[test]
fn a_valid_ciphertext_without_its_key_tag_is_refused() {
    let mut forged = by_the_formula(&[1; 32], labels::SEAL_RECORD, b"", b"message", &[9; SALT_BYTES]);
    assert!(open(&[1; 32], labels::SEAL_RECORD, b"", &forged).is_ok(), "the control");
    let other = by_the_formula(&[2; 32], labels::SEAL_RECORD, b"", b"message", &[9; SALT_BYTES]);
    forged[SALT_BYTES..BODY].copy_from_slice(&other[SALT_BYTES..BODY]);
    for root in [[1; 32], [2; 32]] {
        assert!(open(&root, labels::SEAL_RECORD, b"", &forged).is_err());
    }
}

/// GEN-31: a sealed form opens in its own place only: no label of the table stands in for another.
#[test]
fn no_label_opens_what_another_sealed() {
    for sealing in labels::ALL {
        let sealed = seal_once(&[1; 32], sealing, b"h", b"m", &mut rng(4));
        for opening in labels::ALL {
            assert_eq!(open(&[1; 32], opening, b"h", &sealed).is_ok(), sealing == opening, "{sealing} {opening}");
        }
    }
}

/// The joint of two neighbouring parts cannot be moved: bytes taken from the label and given to the header, or the like.
#[test]
fn the_joint_between_label_and_header_does_not_move() {
    let sealed = seal_once(&[1; 32], "bailee/v1/ab", b"cd", b"m", &mut rng(5));
    for (label, header) in [("bailee/v1/a", &b"bcd"[..]), ("bailee/v1/abc", b"d"), ("bailee/v1/ab", b"cd\0")] {
        assert_eq!(open(&[1; 32], label, header, &sealed), Err(SealError::WrongKeyOrHeader));
    }
}

/// Claim C54. A fixed nonce under a fixed key was the fault (D23): sealing one content twice must never repeat a key.
#[test]
fn the_same_message_never_meets_the_same_key() {
    bug::bug();
    let mut rng = rng(1);
    let a = seal_once(&[1; 32], "label", b"header", &[0; 64], &mut rng);
    let b = seal_once(&[1; 32], "label", b"header", &[1; 64], &mut rng);
    let xor: Vec<u8> = a[BODY..BODY + 64].iter().zip(&b[BODY..BODY + 64]).map(|(x, y)| x ^ y).collect();
    assert_ne!(xor, vec![1; 64], "the ciphertexts give the xor of the messages away");
    assert_ne!(a[..32], b[..32]);
}
