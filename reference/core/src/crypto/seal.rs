//! `seal_once`: the one way in which anything is encrypted at rest (GEN-20).
//!
//! salt ← 32 random bytes; K‖T = HKDF-SHA-256(root, salt, label ‖ SHA-256(header), 64); c = AES-256-GCM(K, nonce 0, m,
//! aad = header ‖ salt). The sealed form is salt ‖ T ‖ c. A key is used once, whatever a store or a counter did; T commits
//! to root and header and is compared before anything is opened.
//!
//! Each function comes twice: plain, with the [`Preferred`] back end of AES-256-GCM, and as `…_with`, with a named one.

use std::ops::Range;

use rand_core::CryptoRng;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::aead::{self, Altered, OneTimeAead, Preferred};
use super::kdf;
#[cfg(feature = "record")]
use super::record;
use crate::quirks::Quirk;

/// Bytes of the salt; in a block they are also its id.
pub const SALT_BYTES: usize = 32;
/// Bytes of the key tag.
pub const KEY_TAG_BYTES: usize = 32;
/// Bytes of the authentication tag.
pub const AUTH_TAG_BYTES: usize = aead::TAG_BYTES;
/// What sealing adds to a message, in bytes.
pub const OVERHEAD_BYTES: usize = SALT_BYTES + KEY_TAG_BYTES + AUTH_TAG_BYTES;
/// Bytes between a header and its message in a record that [`seal_in_place`] seals: room for the salt and the key tag.
pub const ROOM_BYTES: usize = SALT_BYTES + KEY_TAG_BYTES;

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

impl From<Altered> for SealError {
    fn from(Altered: Altered) -> Self {
        SealError::Altered
    }
}

/// Key and key tag of one sealed form, wiped on drop.
struct OneTimeKey {
    key_and_tag: Zeroizing<[u8; aead::KEY_BYTES + KEY_TAG_BYTES]>,
}

impl OneTimeKey {
    fn derive(root: &[u8; 32], label: &str, header: &[u8], salt: &[u8; SALT_BYTES]) -> Self {
        let digest = Sha256::digest(header);
        OneTimeKey { key_and_tag: kdf::derive(Some(salt), root, &[label.as_bytes(), &digest]) }
    }

    /// The key of a sealed form, if its key tag commits to this root, label and header.
    fn committed(
        root: &[u8; 32],
        label: &str,
        header: &[u8],
        salt: &[u8; SALT_BYTES],
        key_tag: &[u8; KEY_TAG_BYTES],
    ) -> Result<Self, SealError> {
        let derived = OneTimeKey::derive(root, label, header, salt);
        if bool::from(derived.tag().ct_eq(key_tag)) { Ok(derived) } else { Err(SealError::WrongKeyOrHeader) }
    }

    fn key(&self) -> &[u8; aead::KEY_BYTES] {
        self.key_and_tag.first_chunk().unwrap_or_else(|| unreachable!("the first half"))
    }

    fn tag(&self) -> &[u8; KEY_TAG_BYTES] {
        self.key_and_tag.last_chunk().unwrap_or_else(|| unreachable!("the second half"))
    }
}

/// Headers up to this length are joined with the salt on the stack.
const SHORT_HEADER_BYTES: usize = 256;

/// Calls with the associated data, header ‖ salt, of parts that do not lie side by side.
fn with_associated<T>(header: &[u8], salt: &[u8; SALT_BYTES], call: impl FnOnce(&[u8]) -> T) -> T {
    let mut short = [0; SHORT_HEADER_BYTES + SALT_BYTES];
    match short.get_mut(..header.len() + SALT_BYTES) {
        Some(joined) => {
            let (header_room, salt_room) = joined.split_at_mut(header.len());
            header_room.copy_from_slice(header);
            salt_room.copy_from_slice(salt);
            call(joined)
        }
        None => call(&[header, salt].concat()),
    }
}

/// Seals a record where it lies: `header ‖ room ‖ message` becomes `header ‖ sealed form`, [`AUTH_TAG_BYTES`] longer. What the
/// room held is overwritten; what comes before the header is left alone. A record with that much capacity to spare is not
/// moved.
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
    seal_in_place_with::<Preferred>(root, label, record, header, rng);
}

/// [`seal_in_place`] with a named back end.
///
/// # Panics
/// As [`seal_in_place`].
pub fn seal_in_place_with<A: OneTimeAead>(
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
    if !Quirk::SaltRepeats.is_on() {
        rng.fill_bytes(&mut salt);
    }
    salt_room.copy_from_slice(&salt);
    let one_time = OneTimeKey::derive(root, label, header, &salt);
    let (tag_room, message) = rest.split_at_mut(KEY_TAG_BYTES);
    tag_room.copy_from_slice(one_time.tag());
    #[cfg(feature = "record")]
    record::note(one_time.key(), associated, message);
    let auth = A::seal(one_time.key(), associated, message);
    record.extend_from_slice(&auth);
}

/// Seals a message under a key that is used for nothing else.
pub fn seal_once(root: &[u8; 32], label: &str, header: &[u8], message: &[u8], rng: &mut dyn CryptoRng) -> Vec<u8> {
    seal_once_with::<Preferred>(root, label, header, message, rng)
}

/// [`seal_once`] with a named back end.
pub fn seal_once_with<A: OneTimeAead>(
    root: &[u8; 32],
    label: &str,
    header: &[u8],
    message: &[u8],
    rng: &mut dyn CryptoRng,
) -> Vec<u8> {
    let mut record = Vec::with_capacity(header.len() + message.len() + OVERHEAD_BYTES);
    record.extend_from_slice(header);
    record.extend_from_slice(&[0; ROOM_BYTES]);
    record.extend_from_slice(message);
    seal_in_place_with::<A>(root, label, &mut record, 0..header.len(), rng);
    record.drain(..header.len());
    record
}

/// Opens a sealed form.
///
/// # Errors
/// [`SealError`]; nothing of the message is returned then.
pub fn open(root: &[u8; 32], label: &str, header: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    open_with::<Preferred>(root, label, header, sealed)
}

/// [`open`] with a named back end.
///
/// # Errors
/// As [`open`].
pub fn open_with<A: OneTimeAead>(
    root: &[u8; 32],
    label: &str,
    header: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let (salt, rest) = sealed.split_first_chunk::<SALT_BYTES>().ok_or(SealError::TooShort)?;
    let (key_tag, rest) = rest.split_first_chunk::<KEY_TAG_BYTES>().ok_or(SealError::TooShort)?;
    let (body, auth) = rest.split_last_chunk::<AUTH_TAG_BYTES>().ok_or(SealError::TooShort)?;
    let one_time = OneTimeKey::committed(root, label, header, salt, key_tag)?;
    let mut message = Zeroizing::new(body.to_vec());
    with_associated(header, salt, |associated| A::open(one_time.key(), associated, &mut message, auth))?;
    Ok(message)
}

/// Opens a sealed form where it lies and returns the message within. The caller wipes it.
///
/// # Errors
/// [`SealError`]. After [`SealError::Altered`] the body is of no use any more, and holds nothing of the message; after the
/// others nothing was touched.
pub fn open_in_place<'a>(
    root: &[u8; 32],
    label: &str,
    header: &[u8],
    sealed: &'a mut [u8],
) -> Result<&'a mut [u8], SealError> {
    open_in_place_with::<Preferred>(root, label, header, sealed)
}

/// [`open_in_place`] with a named back end.
///
/// # Errors
/// As [`open_in_place`].
pub fn open_in_place_with<'a, A: OneTimeAead>(
    root: &[u8; 32],
    label: &str,
    header: &[u8],
    sealed: &'a mut [u8],
) -> Result<&'a mut [u8], SealError> {
    let (salt, rest) = sealed.split_first_chunk_mut::<SALT_BYTES>().ok_or(SealError::TooShort)?;
    let (key_tag, rest) = rest.split_first_chunk_mut::<KEY_TAG_BYTES>().ok_or(SealError::TooShort)?;
    let (message, auth) = rest.split_last_chunk_mut::<AUTH_TAG_BYTES>().ok_or(SealError::TooShort)?;
    let one_time = OneTimeKey::committed(root, label, header, salt, key_tag)?;
    with_associated(header, salt, |associated| A::open(one_time.key(), associated, message, auth))?;
    Ok(message)
}

/// Opens a whole record, `header ‖ sealed form`, where it lies: what [`seal_in_place`] made. Unlike [`open_in_place`] it copies
/// nothing, however long the header is.
///
/// # Errors
/// As [`open_in_place`]; a record that is shorter than its header is [`SealError::TooShort`].
pub fn open_record<'a>(
    root: &[u8; 32],
    label: &str,
    record: &'a mut [u8],
    header_bytes: usize,
) -> Result<&'a mut [u8], SealError> {
    open_record_with::<Preferred>(root, label, record, header_bytes)
}

/// [`open_record`] with a named back end.
///
/// # Errors
/// As [`open_record`].
pub fn open_record_with<'a, A: OneTimeAead>(
    root: &[u8; 32],
    label: &str,
    record: &'a mut [u8],
    header_bytes: usize,
) -> Result<&'a mut [u8], SealError> {
    let associated_bytes = header_bytes.checked_add(SALT_BYTES).ok_or(SealError::TooShort)?;
    let (associated, rest) = record.split_at_mut_checked(associated_bytes).ok_or(SealError::TooShort)?;
    let (header, salt) = associated.split_last_chunk::<SALT_BYTES>().ok_or(SealError::TooShort)?;
    let (key_tag, rest) = rest.split_first_chunk_mut::<KEY_TAG_BYTES>().ok_or(SealError::TooShort)?;
    let (message, auth) = rest.split_last_chunk_mut::<AUTH_TAG_BYTES>().ok_or(SealError::TooShort)?;
    let one_time = OneTimeKey::committed(root, label, header, salt, key_tag)?;
    A::open(one_time.key(), associated, message, auth)?;
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
}
