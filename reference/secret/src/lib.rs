//! Memory for secrets (GEN-32): locked, kept out of core dumps, wiped on drop.
//!
//! Secrets live in slots of locked pages, so that thousands of them do not each lock a page. Where the system does not
//! lock the pages ([`protection`] says so, and why), a secret is still wiped on drop: the fallback is open, not silent.

mod arena;

use std::fmt;

use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

pub use arena::{Protection, Weakness, protection};

/// The largest secret, in bytes.
pub const MAX_SECRET_BYTES: usize = arena::REGION_BYTES;

/// A secret of `N` bytes, at most [`MAX_SECRET_BYTES`]. It has no `Debug` of its content, no `Clone`, no `Serialize`.
pub struct Secret<const N: usize> {
    slot: arena::Slot,
}

impl<const N: usize> Secret<N> {
    const FITS: () = assert!(N <= MAX_SECRET_BYTES, "a secret is at most MAX_SECRET_BYTES long");

    fn zeroed() -> Self {
        let () = Self::FITS;
        Secret { slot: arena::Slot::take(N) }
    }

    /// Fresh random bytes, drawn straight into protected memory.
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        let mut secret = Self::zeroed();
        rng.fill_bytes(&mut secret.slot.bytes_mut()[..N]);
        secret
    }

    /// Moves bytes into protected memory and wipes where they came from.
    pub fn take(from: &mut [u8; N]) -> Self {
        let mut secret = Self::zeroed();
        secret.slot.bytes_mut()[..N].copy_from_slice(from);
        from.zeroize();
        secret
    }

    /// As [`Secret::take`], from a slice; none if it has another length. The slice is wiped in either case.
    pub fn take_slice(from: &mut [u8]) -> Option<Self> {
        let secret = (from.len() == N).then(|| {
            let mut secret = Self::zeroed();
            secret.slot.bytes_mut()[..N].copy_from_slice(from);
            secret
        });
        from.zeroize();
        secret
    }

    /// The bytes. The name is long so that a reader sees it.
    pub fn expose(&self) -> &[u8; N] {
        let (bytes, _) =
            self.slot.bytes().split_first_chunk::<N>().unwrap_or_else(|| unreachable!("checked by FITS"));
        bytes
    }
}

impl<const N: usize> PartialEq for Secret<N> {
    /// In constant time.
    fn eq(&self, other: &Self) -> bool {
        self.expose().ct_eq(other.expose()).into()
    }
}

impl<const N: usize> Eq for Secret<N> {}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret<{N}>(..)")
    }
}

/// Keeps this process out of core dumps and out of reach of a debugger of the same user.
///
/// # Errors
/// What the system said.
pub fn disable_core_dumps() -> std::io::Result<()> {
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_moved_not_copied() {
        let mut source = [7u8; 32];
        let secret = Secret::<32>::take(&mut source);
        assert_eq!(source, [0; 32]);
        assert_eq!(secret.expose(), &[7; 32]);
    }

    #[test]
    fn a_slot_is_wiped_before_it_is_used_again() {
        for _ in 0..10_000 {
            let mut source = [0xa5u8; 32];
            drop(Secret::<32>::take(&mut source));
        }
        let fresh = Secret::<32>::zeroed();
        assert_eq!(fresh.expose(), &[0; 32]);
    }

    #[test]
    fn debug_shows_no_byte() {
        let secret = Secret::<16>::take(&mut [0x41; 16]);
        assert_eq!(format!("{secret:?}"), "Secret<16>(..)");
    }

    #[test]
    fn a_slice_of_another_length_is_refused_and_wiped() {
        let mut bytes = vec![1u8; 31];
        assert!(Secret::<32>::take_slice(&mut bytes).is_none());
        assert_eq!(bytes, vec![0; 31]);
    }

    #[test]
    fn a_secret_may_be_as_large_as_a_region() {
        let mut source = Box::new([0x5a; MAX_SECRET_BYTES]);
        let large = Secret::take(&mut source);
        assert!(source.iter().all(|byte| *byte == 0));
        assert!(large.expose().iter().all(|byte| *byte == 0x5a));
        let small = Secret::take(&mut [0xa5; 65]);
        assert_eq!(small.expose(), &[0xa5; 65]);
        assert!(large.expose().iter().all(|byte| *byte == 0x5a), "two secrets share a byte");
    }
}
