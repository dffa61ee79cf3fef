//! AES-256-GCM under a key that is used once, with the nonce of zeroes: two back ends behind one trait (GEN-20).
//!
//! [`Portable`] is there on every machine and is the reference. `AwsLc` (feature `aws-lc`) is AWS-LC's assembly, which is
//! faster; the bench group `aead` says by how much. Both give the same bytes, which a property test compares.
//!
//! # What is wiped
//! The key belongs to the caller, who wipes it. Each back end expands it into a key schedule for one message and wipes that
//! before it returns: `aes-gcm` through its `zeroize` feature, AWS-LC because its `OPENSSL_free` overwrites whatever it
//! frees. What neither can wipe are copies that compiled code left in registers and in stack frames: round keys, the hash
//! subkey and the first key-stream block. They stay until other calls overwrite them.

#[cfg(feature = "aws-lc")]
mod aws_lc;
mod portable;

#[cfg(feature = "aws-lc")]
pub use aws_lc::AwsLc;
pub use portable::Portable;

/// Bytes of the key.
pub const KEY_BYTES: usize = 32;
/// Bytes of the authentication tag.
pub const TAG_BYTES: usize = 16;

/// The tag does not fit key, associated data and ciphertext.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Altered;

/// A back end: AES-256-GCM (NIST SP 800-38D) with the nonce 0¹², in place, the tag apart. The nonce is fixed, so a key must
/// seal one message in its life; [`seal`](super::seal) sees to that, and is the one caller outside tests and benches.
pub trait OneTimeAead {
    /// What it is called in a report.
    const NAME: &'static str;

    /// Encrypts the buffer and returns the tag over it and the associated data.
    ///
    /// # Panics
    /// If the buffer is longer than AES-GCM allows (64 GiB), or there is no memory for a key schedule.
    fn seal(key: &[u8; KEY_BYTES], associated: &[u8], buffer: &mut [u8]) -> [u8; TAG_BYTES];

    /// Decrypts the buffer if the tag fits.
    ///
    /// # Errors
    /// [`Altered`]. The buffer then holds nothing of the message: ciphertext or zeroes, as the back end likes.
    ///
    /// # Panics
    /// If there is no memory for a key schedule.
    fn open(
        key: &[u8; KEY_BYTES],
        associated: &[u8],
        buffer: &mut [u8],
        tag: &[u8; TAG_BYTES],
    ) -> Result<(), Altered>;
}

/// The back end that seals and opens where none is named: the fastest that is built in.
#[cfg(feature = "aws-lc")]
pub type Preferred = AwsLc;
/// The back end that seals and opens where none is named: the fastest that is built in.
#[cfg(not(feature = "aws-lc"))]
pub type Preferred = Portable;
