//! The archive key, its commitment and its tree.

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::labels;
pub use bailee_secret::Secret;

/// A 256-bit archive key of one user and one key epoch. It is only ever an input of HKDF.
pub type ArchiveKey = Secret<32>;

/// What an archive key is bound to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, minicbor::Encode, minicbor::Decode)]
pub struct Owner {
    /// The tenant.
    #[n(0)]
    pub tenant: String,
    /// The user.
    #[n(1)]
    pub user: String,
    /// The key epoch.
    #[n(2)]
    pub epoch: u64,
}

/// Hides the key and binds to it: two keys with one commitment are not to be found.
pub type Commitment = [u8; 32];

/// A key of the tree: HKDF-Expand(archive key, label ‖ owner).
pub fn subkey(key: &ArchiveKey, label: &str, owner: &Owner) -> Zeroizing<[u8; 32]> {
    let context = crate::cbor::encode(owner);
    let mut out = Zeroizing::new([0; 32]);
    let derived = Hkdf::<Sha256>::from_prk(key.expose())
        .map(|hkdf| hkdf.expand_multi_info(&[label.as_bytes(), &context], &mut *out));
    debug_assert!(matches!(derived, Ok(Ok(()))), "32 bytes are a valid key and a valid length");
    out
}

/// The commitment to an archive key.
pub fn commitment(key: &ArchiveKey, owner: &Owner) -> Commitment {
    *subkey(key, labels::KEY_COMMIT, owner)
}
