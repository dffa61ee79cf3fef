//! A secret of a size known to the compiler.

use std::fmt;

use rand_core::CryptoRng;
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroize;

use crate::Protection;
use crate::arena::Slot;

/// A secret of exactly `N` bytes in protected memory; see the crate's page for what that means.
///
/// ```compile_fail
/// fn printable<T: std::fmt::Debug>() {}
/// printable::<bailee_secret::SecretBytes<32>>();
/// ```
/// ```compile_fail
/// fn copyable<T: Clone>() {}
/// copyable::<bailee_secret::SecretBytes<32>>();
/// ```
pub struct SecretBytes<const N: usize>(Slot);

/// The given bytes are not as many as the secret has. Says nothing of their content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongLength {
    /// The length of the secret, in bytes.
    pub expected: usize,
    /// The length that was given, in bytes.
    pub given: usize,
}

impl fmt::Display for WrongLength {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "a secret of {} bytes, not of {}",
            self.expected, self.given
        )
    }
}

impl std::error::Error for WrongLength {}

impl<const N: usize> SecretBytes<N> {
    /// All zero: a place to write a secret into.
    #[must_use]
    pub fn zeroed() -> Self {
        SecretBytes(Slot::zeroed(N))
    }

    /// `N` bytes of the generator.
    pub fn random<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self::init(|bytes| rng.fill_bytes(bytes))
    }

    /// Lets `fill` write the secret where it will live, so that no copy is left elsewhere.
    pub fn init(fill: impl FnOnce(&mut [u8; N])) -> Self {
        let mut secret = Self::zeroed();
        fill(secret.expose_mut());
        secret
    }

    /// As [`SecretBytes::init`], for a `fill` that can fail. What it wrote is wiped then.
    ///
    /// # Errors
    /// Whatever `fill` answers.
    pub fn try_init<E>(fill: impl FnOnce(&mut [u8; N]) -> Result<(), E>) -> Result<Self, E> {
        let mut secret = Self::zeroed();
        fill(secret.expose_mut())?;
        Ok(secret)
    }

    /// Moves a secret in: the source is wiped.
    pub fn take(source: &mut [u8; N]) -> Self {
        let secret = Self::init(|bytes| bytes.copy_from_slice(source));
        source.zeroize();
        secret
    }

    /// Copies a secret in. The caller still has the source and has to wipe it.
    ///
    /// # Errors
    /// [`WrongLength`] unless the slice has `N` bytes.
    pub fn from_slice(source: &[u8]) -> Result<Self, WrongLength> {
        if source.len() != N {
            return Err(WrongLength {
                expected: N,
                given: source.len(),
            });
        }
        Ok(Self::init(|bytes| bytes.copy_from_slice(source)))
    }

    /// The secret itself. The name is long enough to be seen in a review.
    #[must_use]
    pub fn expose(&self) -> &[u8; N] {
        self.0
            .bytes()
            .try_into()
            .expect("a slot of N bytes has N bytes")
    }

    /// The secret itself, to be written.
    pub fn expose_mut(&mut self) -> &mut [u8; N] {
        self.0
            .bytes_mut()
            .try_into()
            .expect("a slot of N bytes has N bytes")
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
        Self::init(|bytes| bytes.copy_from_slice(self.expose()))
    }
}

impl<const N: usize> ConstantTimeEq for SecretBytes<N> {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.expose().as_slice().ct_eq(other.expose().as_slice())
    }
}

/// In constant time.
impl<const N: usize> PartialEq for SecretBytes<N> {
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(other).into()
    }
}

impl<const N: usize> Eq for SecretBytes<N> {}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn equality_is_of_content() {
        let one = SecretBytes::<32>::init(|bytes| bytes.fill(1));
        let same = SecretBytes::<32>::from_slice(&[1; 32]).expect("32 bytes");
        let other = SecretBytes::<32>::init(|bytes| bytes[31] = 1);
        assert!(one == same);
        assert!(one != other);
    }

    #[test]
    fn take_wipes_its_source() {
        let mut source = [9u8; 16];
        let secret = SecretBytes::take(&mut source);
        assert_eq!(source, [0; 16]);
        assert_eq!(secret.expose(), &[9; 16]);
    }

    #[test]
    fn a_wrong_length_is_named() {
        let refused = SecretBytes::<32>::from_slice(&[0; 31]).err();
        assert_eq!(
            refused,
            Some(WrongLength {
                expected: 32,
                given: 31
            })
        );
    }

    #[test]
    fn try_init_passes_the_refusal_on() {
        let refused = SecretBytes::<8>::try_init(|bytes| {
            bytes.fill(3);
            Err("no")
        });
        assert_eq!(refused.err(), Some("no"));
    }

    #[test]
    fn random_secrets_differ() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        assert!(SecretBytes::<32>::random(&mut rng) != SecretBytes::<32>::random(&mut rng));
    }

    #[cfg(feature = "fork")]
    #[test]
    fn a_fork_is_equal_and_apart() {
        let mut one = SecretBytes::<4>::init(|bytes| bytes.fill(1));
        let fork = one.fork();
        one.expose_mut().fill(2);
        assert_eq!(fork.expose(), &[1; 4]);
    }
}
