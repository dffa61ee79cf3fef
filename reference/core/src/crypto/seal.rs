//! `seal_once`: the one way in which anything is encrypted at rest.
//!
//! salt ← 32 random bytes; K‖T = HKDF-SHA-256(root, salt, label ‖ SHA-256(header), 64); c = AES-256-GCM(K, nonce 0, m,
//! aad = header ‖ salt). The sealed form is salt ‖ T ‖ c. A key is used once, whatever a store or a counter did; T commits
//! to root and header and is compared before anything is opened.

use std::ops::Range;

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use rand_core::CryptoRng;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use super::kdf;

/// Bytes of the salt; in a block they are also its id.
pub const SALT_BYTES: usize = 32;
/// Bytes of the key tag.
pub const KEY_TAG_BYTES: usize = 32;
/// Bytes of the authentication tag.
pub const AUTH_TAG_BYTES: usize = 16;
/// What sealing adds to a message, in bytes.
pub const OVERHEAD_BYTES: usize = SALT_BYTES + KEY_TAG_BYTES + AUTH_TAG_BYTES;

/// Why a sealed form does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealError {
    /// Shorter than [`OVERHEAD_BYTES`].
    TooShort,
    /// Another root, another label or another header: the key tag differs.
    WrongKeyOrHeader,
    /// The ciphertext was altered.
    Altered,
}

impl std::fmt::Display for SealError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            SealError::TooShort => "the sealed form is shorter than its overhead",
            SealError::WrongKeyOrHeader => "the key, the label or the header is not the one it was sealed with",
            SealError::Altered => "the ciphertext was altered",
        })
    }
}

impl std::error::Error for SealError {}

struct OneTimeKey {
    cipher: Aes256Gcm,
    tag: [u8; KEY_TAG_BYTES],
}

fn derive(root: &[u8; 32], label: &str, header: &[u8], salt: &[u8; SALT_BYTES]) -> OneTimeKey {
    let digest = Sha256::digest(header);
    let okm: Zeroizing<[u8; 64]> = kdf::derive(Some(salt), root, &[label.as_bytes(), &digest]);
    let (key, tag_bytes) = okm.split_at(32);
    let mut tag = [0; KEY_TAG_BYTES];
    tag.copy_from_slice(tag_bytes);
    let mut key_bytes = [0; 32];
    key_bytes.copy_from_slice(key);
    let cipher = Aes256Gcm::new(&key_bytes.into());
    key_bytes.zeroize();
    OneTimeKey { cipher, tag }
}

fn associated(header: &[u8], salt: &[u8; SALT_BYTES]) -> Vec<u8> {
    [header, salt].concat()
}

/// Bytes between a header and its message in a record that [`seal_in_place`] seals: room for the salt and the key tag.
pub const ROOM_BYTES: usize = SALT_BYTES + KEY_TAG_BYTES;

/// Seals a record where it lies: `header ‖ room ‖ message` becomes `header ‖ sealed form`, [`AUTH_TAG_BYTES`] longer. What the
/// room held is overwritten; what comes before the header is left alone.
///
/// # Panics
/// If the record is shorter than header and room: that is the caller's fault, never an outsider's.
pub fn seal_in_place(
    root: &[u8; 32],
    label: &str,
    record: &mut Vec<u8>,
    header: Range<usize>,
    rng: &mut dyn CryptoRng,
) {
    assert!(record.len() >= header.end + ROOM_BYTES, "a record without room for salt and key tag");
    // Header and salt lie side by side, so that together they are the associated data without a copy.
    let (associated, rest) = record[header.start..].split_at_mut(header.len() + SALT_BYTES);
    let (header, salt_room) = associated.split_at_mut(header.len());
    let mut salt = [0; SALT_BYTES];
    rng.fill_bytes(&mut salt);
    salt_room.copy_from_slice(&salt);
    let key = derive(root, label, header, &salt);
    let (tag_room, message) = rest.split_at_mut(KEY_TAG_BYTES);
    tag_room.copy_from_slice(&key.tag);
    match key.cipher.encrypt_inout_detached(&Nonce::default(), associated, message.into()) {
        Ok(tag) => record.extend_from_slice(&tag),
        Err(_) => unreachable!("a message is far below the 64 GiB of AES-GCM"),
    }
}

/// Seals a message under a key that is used for nothing else.
pub fn seal_once(root: &[u8; 32], label: &str, header: &[u8], message: &[u8], rng: &mut dyn CryptoRng) -> Vec<u8> {
    let mut record = Vec::with_capacity(header.len() + message.len() + OVERHEAD_BYTES);
    record.extend_from_slice(header);
    record.extend_from_slice(&[0; ROOM_BYTES]);
    record.extend_from_slice(message);
    seal_in_place(root, label, &mut record, 0..header.len(), rng);
    record.drain(..header.len());
    record
}

/// Opens a sealed form.
///
/// # Errors
/// [`SealError`]; nothing of the message is returned then.
pub fn open(root: &[u8; 32], label: &str, header: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let (salt, rest) = sealed.split_first_chunk::<SALT_BYTES>().ok_or(SealError::TooShort)?;
    let (tag, rest) = rest.split_first_chunk::<KEY_TAG_BYTES>().ok_or(SealError::TooShort)?;
    let (body, auth) = rest.split_last_chunk::<AUTH_TAG_BYTES>().ok_or(SealError::TooShort)?;
    let key = derive(root, label, header, salt);
    if !bool::from(key.tag.ct_eq(tag)) {
        return Err(SealError::WrongKeyOrHeader);
    }
    let mut message = Zeroizing::new(body.to_vec());
    let aad = associated(header, salt);
    key.cipher
        .decrypt_inout_detached(&Nonce::default(), &aad, message.as_mut_slice().into(), &Tag::from(*auth))
        .map_err(|_| SealError::Altered)?;
    Ok(message)
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    fn rng() -> ChaCha20Rng {
        ChaCha20Rng::seed_from_u64(1)
    }

    #[test]
    fn opens_what_was_sealed_and_nothing_else() {
        let sealed = seal_once(&[1; 32], "label", b"header", b"message", &mut rng());
        assert_eq!(sealed.len(), 7 + OVERHEAD_BYTES);
        assert_eq!(open(&[1; 32], "label", b"header", &sealed).unwrap().as_slice(), b"message");
        for (root, label, header) in
            [([2; 32], "label", &b"header"[..]), ([1; 32], "lapel", b"header"), ([1; 32], "label", b"Header")]
        {
            assert_eq!(open(&root, label, header, &sealed), Err(SealError::WrongKeyOrHeader));
        }
    }

    #[test]
    fn sealing_in_place_is_the_same_construction() {
        let mut record = [&b"header"[..], &[0xff; ROOM_BYTES], b"message"].concat();
        seal_in_place(&[1; 32], "label", &mut record, 0..6, &mut rng());
        let sealed = seal_once(&[1; 32], "label", b"header", b"message", &mut rng());
        assert_eq!(record, [&b"header"[..], &sealed].concat());
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let sealed = seal_once(&[1; 32], "label", b"header", b"message", &mut rng());
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&[1; 32], "label", b"header", &flipped).is_err(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(open(&[1; 32], "label", b"header", &sealed[..length]).is_err(), "length {length}");
        }
    }

    /// The fault of fixed nonces (F1): sealing one content twice must never repeat a key.
    #[test]
    fn the_same_message_never_meets_the_same_key() {
        let mut rng = rng();
        let a = seal_once(&[1; 32], "label", b"header", &[0; 64], &mut rng);
        let b = seal_once(&[1; 32], "label", b"header", &[1; 64], &mut rng);
        let body = SALT_BYTES + KEY_TAG_BYTES;
        let xor: Vec<u8> = a[body..body + 64].iter().zip(&b[body..body + 64]).map(|(x, y)| x ^ y).collect();
        assert_ne!(xor, vec![1; 64], "the ciphertexts give the xor of the messages away");
        assert_ne!(a[..32], b[..32]);
    }
}
