//! HPKE (RFC 9180, rule GEN-23), base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.

use std::sync::Arc;

use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

type PrivateKey = <X25519HkdfSha256 as Kem>::PrivateKey;

/// The recipient's public key, 32 bytes.
pub type RecipientKey = [u8; 32];

/// A recipient: a key pair whose private half stays here.
#[derive(Clone)]
pub struct Recipient {
    private: Arc<PrivateKey>,
    public: RecipientKey,
}

impl Recipient {
    /// A fresh key pair.
    pub fn generate(rng: &mut dyn CryptoRng) -> Self {
        let mut ikm = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *ikm);
        Recipient::from_seed(&ikm)
    }

    /// The key pair of a seed (RFC 9180 `DeriveKeyPair`).
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let (private, public) = X25519HkdfSha256::derive_keypair(seed);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(&public.to_bytes());
        Recipient { private: Arc::new(private), public: bytes }
    }

    /// The public half.
    pub fn public(&self) -> RecipientKey {
        self.public
    }

    /// Opens what was sealed to this recipient; none if it was not, or for another purpose.
    pub fn open(&self, label: &str, context: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (enc, body) = sealed.split_first_chunk::<32>()?;
        let enc = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(enc).ok()?;
        let info = [label.as_bytes(), context].concat();
        hpke::single_shot_open::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &self.private,
            &enc,
            &info,
            body,
            &[],
        )
        .ok()
        .map(Zeroizing::new)
    }
}

/// Seals a message to a recipient, for one purpose and context: encapsulated key ‖ ciphertext. None if the public key is not
/// a usable one.
pub fn seal_to(
    recipient: &RecipientKey,
    label: &str,
    context: &[u8],
    message: &[u8],
    mut rng: &mut dyn CryptoRng,
) -> Option<Vec<u8>> {
    let public = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(recipient).ok()?;
    let info = [label.as_bytes(), context].concat();
    let (enc, body) = hpke::single_shot_seal_with_rng::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
        &OpModeS::Base,
        &public,
        &info,
        message,
        &[],
        &mut rng,
    )
    .ok()?;
    Some([&enc.to_bytes()[..], &body].concat())
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    #[test]
    fn only_the_recipient_opens_and_only_for_the_purpose() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let recipient = Recipient::generate(&mut rng);
        let sealed = seal_to(&recipient.public(), "label", b"context", b"key", &mut rng).unwrap();
        assert_eq!(recipient.open("label", b"context", &sealed).unwrap().as_slice(), b"key");
        assert!(recipient.open("label", b"other", &sealed).is_none());
        assert!(recipient.open("lapel", b"context", &sealed).is_none());
        assert!(Recipient::generate(&mut rng).open("label", b"context", &sealed).is_none());
        assert!(recipient.open("label", b"context", &sealed[..31]).is_none());
    }

    #[test]
    fn the_zero_point_is_no_recipient() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        assert!(seal_to(&[0; 32], "label", b"", b"key", &mut rng).is_none());
    }
}
