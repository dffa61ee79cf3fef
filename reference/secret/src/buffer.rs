//! A secret of a size known at run time.

use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroize;

use crate::Protection;
use crate::arena::Slot;

/// A secret of any length in protected memory: an opened record, a password as typed.
///
/// Its length is not secret. Beyond 4096 bytes it has pages of its own.
///
/// ```compile_fail
/// fn printable<T: std::fmt::Debug>() {}
/// printable::<bailee_secret::LockedBox>();
/// ```
/// ```compile_fail
/// fn copyable<T: Clone>() {}
/// copyable::<bailee_secret::LockedBox>();
/// ```
pub struct LockedBox(Slot);

impl LockedBox {
    /// `length` zero bytes: a place to write a secret into.
    #[must_use]
    pub fn zeroed(length: usize) -> Self {
        LockedBox(Slot::zeroed(length))
    }

    /// Copies a secret in. The caller still has the source and has to wipe it.
    #[must_use]
    pub fn from_slice(source: &[u8]) -> Self {
        let mut secret = Self::zeroed(source.len());
        secret.expose_mut().copy_from_slice(source);
        secret
    }

    /// Moves a secret in: the source is wiped and emptied.
    pub fn take(source: &mut Vec<u8>) -> Self {
        let secret = Self::from_slice(source);
        source.zeroize();
        secret
    }

    /// The secret itself.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.bytes()
    }

    /// The secret itself, to be written.
    pub fn expose_mut(&mut self) -> &mut [u8] {
        self.0.bytes_mut()
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.expose().len()
    }

    /// True if there is no byte in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the pages under this secret are locked.
    #[must_use]
    pub fn protection(&self) -> Protection {
        self.0.protection()
    }

    /// A second copy of the secret, for a save-point of a whole role in a test.
    #[cfg(feature = "fork")]
    #[must_use]
    pub fn fork(&self) -> Self {
        Self::from_slice(self.expose())
    }
}

impl ConstantTimeEq for LockedBox {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.expose().ct_eq(other.expose())
    }
}

/// In constant time for equal lengths; the length is not secret.
impl PartialEq for LockedBox {
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(other).into()
    }
}

impl Eq for LockedBox {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn take_wipes_and_empties_its_source() {
        let mut source = vec![5u8; 10];
        let secret = LockedBox::take(&mut source);
        assert!(source.is_empty());
        assert_eq!(secret.expose(), [5; 10]);
    }

    #[test]
    fn empty_small_and_large_secrets_work() {
        for length in [0, 1, 32, 33, 4096, 4097, 70_000] {
            let secret = LockedBox::from_slice(&vec![3; length]);
            assert_eq!(secret.len(), length);
            assert_eq!(secret.is_empty(), length == 0);
            assert!(secret == LockedBox::from_slice(&vec![3; length]));
        }
    }

    #[test]
    fn another_length_or_byte_is_unequal() {
        assert!(LockedBox::from_slice(b"ab") != LockedBox::from_slice(b"abc"));
        assert!(LockedBox::from_slice(b"ab") != LockedBox::from_slice(b"ac"));
    }
}
