//! Ed25519 (GEN-24), strictly verified, over a label and the digest of a canonical body.

use std::sync::Arc;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use rand_core::CryptoRng;
use sha2::{Digest, Sha256};

use super::labels;
use crate::quirks::Quirk;

/// A public key, 32 bytes.
pub type PublicKey = [u8; 32];

/// A signing key. It wipes itself on drop; copies of the handle share one key.
#[derive(Clone)]
pub struct Signing {
    key: Arc<SigningKey>,
}

impl Signing {
    /// A fresh key.
    pub fn generate(rng: &mut dyn CryptoRng) -> Self {
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        let key = Signing::from_seed(&seed);
        zeroize::Zeroize::zeroize(&mut seed);
        key
    }

    /// The key of a seed.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Signing { key: Arc::new(SigningKey::from_bytes(seed)) }
    }

    /// The seed, for the holder's own disk.
    pub fn seed(&self) -> [u8; 32] {
        self.key.to_bytes()
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        self.key.verifying_key().to_bytes()
    }

    /// Signs a body under a label.
    pub fn sign(&self, label: &str, body: &[u8]) -> Vec<u8> {
        self.key.sign(&message(label, body)).to_bytes().to_vec()
    }
}

fn message(label: &str, body: &[u8]) -> Vec<u8> {
    [label.as_bytes(), &Sha256::digest(body)].concat()
}

/// Whether the signature is by this key, for this label and this body.
pub fn verify(public: &PublicKey, label: &str, body: &[u8], signature: &[u8]) -> bool {
    if unsigned(label).is_some_and(Quirk::is_on) {
        return true;
    }
    let Ok(key) = VerifyingKey::from_bytes(public) else { return false };
    let Ok(signature) = Signature::from_slice(signature) else { return false };
    let verifies = |label| key.verify_strict(&message(label, body), &signature).is_ok();
    verifies(label) || (Quirk::LabelIgnored.is_on() && labels::ALL.iter().any(|other| verifies(other)))
}

/// The bug that leaves the signatures under a label unverified.
fn unsigned(label: &str) -> Option<Quirk> {
    Some(match label {
        labels::SIGN_ATTEMPT => Quirk::UnsignedAttempt,
        labels::SIGN_ADD_DEVICE => Quirk::UnsignedAddition,
        labels::SIGN_CERTIFICATE => Quirk::UnsignedCertificate,
        labels::SIGN_ESCROW => Quirk::UnsignedEscrow,
        labels::SIGN_ADMISSION => Quirk::UnsignedAdmission,
        labels::SIGN_RECEIPT => Quirk::UnsignedReceipt,
        labels::SIGN_INTAKE => Quirk::UnsignedIntake,
        labels::SIGN_GRANT => Quirk::UnsignedGrant,
        labels::SIGN_CONSUMED => Quirk::UnsignedConsumption,
        labels::SIGN_CAPABILITY => Quirk::UnsignedCapability,
        labels::SIGN_WIPE => Quirk::UnsignedWipe,
        labels::SIGN_JOB_KEY => Quirk::UnsignedJobKey,
        labels::SIGN_CEREMONY => Quirk::UnsignedCeremony,
        labels::SIGN_SHARE => Quirk::UnsignedShare,
        labels::SIGN_ACK => Quirk::UnsignedAck,
        labels::SIGN_MFA => Quirk::UnsignedFactor,
        labels::SIGN_MANIFEST => Quirk::UnsignedManifest,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_body_and_key_are_bound() {
        let key = Signing::from_seed(&[1; 32]);
        let signature = key.sign("a", b"body");
        assert!(verify(&key.public(), "a", b"body", &signature));
        assert!(!verify(&key.public(), "b", b"body", &signature));
        assert!(!verify(&key.public(), "a", b"bodz", &signature));
        assert!(!verify(&Signing::from_seed(&[2; 32]).public(), "a", b"body", &signature));
        assert!(!verify(&key.public(), "a", b"body", &signature[..63]));
    }
}
