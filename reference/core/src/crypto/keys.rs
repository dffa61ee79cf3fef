//! The archive key, its tree (GEN-21) and its commitment (GEN-22).

use zeroize::Zeroizing;

use super::{kdf, labels};
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
    kdf::expand_key(key.expose(), &[label.as_bytes(), &context])
}

/// The commitment to an archive key.
pub fn commitment(key: &ArchiveKey, owner: &Owner) -> Commitment {
    *subkey(key, labels::KEY_COMMIT, owner)
}
