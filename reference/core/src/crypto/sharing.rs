//! The unseal shares: Feldman's verifiable t-of-n sharing of a random scalar, over Ristretto (GEN-25, `vsss-rs`).
//!
//! The library's `combine` asks only for two shares; the rule of *t* verified shares of different custodians is enforced
//! here, by type: only a [`VerifiedShare`] can be combined, and only under the commitments it was verified against.

use std::borrow::Borrow;

use curve25519_dalek::ristretto::CompressedRistretto;
use curve25519_dalek::{RistrettoPoint, Scalar};
use rand_core::CryptoRng;
use sha2::{Digest, Sha256};
use vsss_rs::{
    FeldmanVerifierSet, IdentifierPrimeField, PrimeFieldShare, ReadableShareSet, Share, ShareVerifierGroup, feldman,
};
use zeroize::{Zeroize, Zeroizing};

use super::{kdf, labels};
use crate::quirks::Quirk;

type LibraryShare = PrimeFieldShare<Scalar>;
type LibraryVerifier = ShareVerifierGroup<RistrettoPoint>;

/// Commitments to the polynomial: `t` compressed points of 32 bytes.
pub type Commitments = Vec<[u8; 32]>;

/// A share's value, 32 bytes, to be kept secret.
pub type ShareValue = Zeroizing<[u8; 32]>;

/// Why sharing was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharingError {
    /// The threshold or the number of shares is out of range (2 ≤ t ≤ n ≤ 16).
    BadParameters,
    /// The commitments are not `t` points, or the last is the identity.
    BadCommitments,
    /// The share does not match the commitments.
    WrongShare,
    /// Not `t` shares of different custodians.
    NotEnoughShares,
    /// A share was verified against other commitments: it belongs to another sharing.
    OtherCommitments,
}

/// SHA-256 over all points, which are of one length.
type Digest32 = [u8; 32];

fn digest(commitments: &Commitments) -> Digest32 {
    Sha256::digest(commitments.as_flattened()).into()
}

/// A share that matched its commitments. Wiped on drop: the library's own share is a plain, copyable value.
pub struct VerifiedShare {
    index: u8,
    share: LibraryShare,
    /// What it was verified against.
    commitments: Digest32,
}

impl VerifiedShare {
    /// The custodian's index, from 1.
    pub fn index(&self) -> u8 {
        self.index
    }
}

impl Drop for VerifiedShare {
    fn drop(&mut self) {
        self.share.value.0.zeroize();
    }
}

/// Shares on their way into or out of the library, wiped on drop.
struct Wiped(Vec<LibraryShare>);

impl Drop for Wiped {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(|share| share.value.0.zeroize());
    }
}

/// A sharing of a fresh random scalar.
pub struct Sharing {
    /// The values of shares 1 to n.
    pub shares: Vec<ShareValue>,
    /// The commitments.
    pub commitments: Commitments,
    /// The scalar.
    pub secret: Zeroizing<[u8; 32]>,
}

/// Shares a fresh, uniformly random scalar.
///
/// # Errors
/// [`SharingError::BadParameters`].
pub fn split(threshold: u8, shares: u8, rng: &mut dyn CryptoRng) -> Result<Sharing, SharingError> {
    if threshold < 2 || threshold > shares || shares > 16 {
        return Err(SharingError::BadParameters);
    }
    let mut wide = Zeroizing::new([0; 64]);
    rng.fill_bytes(&mut *wide);
    let secret = Zeroizing::new(Scalar::from_bytes_mod_order_wide(&wide));
    let (made, verifiers) = feldman::split_secret::<LibraryShare, LibraryVerifier>(
        threshold.into(),
        shares.into(),
        &IdentifierPrimeField(*secret),
        None,
        rng,
    )
    .map_err(|_| SharingError::BadParameters)?;
    let made = Wiped(made);
    Ok(Sharing {
        shares: made.0.iter().map(|share| Zeroizing::new(share.value().0.to_bytes())).collect(),
        commitments: verifiers[1..].iter().map(|point| point.0.compress().to_bytes()).collect(),
        secret: Zeroizing::new(secret.to_bytes()),
    })
}

fn verifiers(commitments: &Commitments, threshold: u8) -> Result<Vec<LibraryVerifier>, SharingError> {
    if commitments.len() != usize::from(threshold) || threshold < 2 {
        return Err(SharingError::BadCommitments);
    }
    let points: Option<Vec<RistrettoPoint>> =
        commitments.iter().map(|bytes| CompressedRistretto(*bytes).decompress()).collect();
    let points = points.ok_or(SharingError::BadCommitments)?;
    let identity = RistrettoPoint::default();
    if points.last() == Some(&identity) {
        return Err(SharingError::BadCommitments);
    }
    let generator = curve25519_dalek::constants::RISTRETTO_BASEPOINT_POINT;
    Ok(std::iter::once(generator).chain(points).map(vsss_rs::ValueGroup).collect())
}

/// Checks a share against the commitments. There is no share 0: the polynomial's value there is the secret itself.
///
/// # Errors
/// [`SharingError::BadCommitments`], [`SharingError::WrongShare`].
pub fn verify(
    index: u8,
    value: &[u8; 32],
    commitments: &Commitments,
    threshold: u8,
) -> Result<VerifiedShare, SharingError> {
    let verifiers = verifiers(commitments, threshold)?;
    if index == 0 {
        return Err(SharingError::WrongShare);
    }
    let value = Option::<Scalar>::from(Scalar::from_canonical_bytes(*value)).ok_or(SharingError::WrongShare)?;
    let share = LibraryShare::with_identifier_and_value(
        IdentifierPrimeField(Scalar::from(index)),
        IdentifierPrimeField(value),
    );
    if !Quirk::ShareUnverified.is_on() {
        verifiers.verify_share(&share).map_err(|_| SharingError::WrongShare)?;
    }
    Ok(VerifiedShare { index, share, commitments: digest(commitments) })
}

/// Combines exactly `t` shares of different custodians, each verified against these `t` commitments, into the scalar.
///
/// # Errors
/// [`SharingError::OtherCommitments`], [`SharingError::NotEnoughShares`].
pub fn combine<S: Borrow<VerifiedShare>>(
    shares: &[S],
    commitments: &Commitments,
) -> Result<Zeroizing<[u8; 32]>, SharingError> {
    let expected = digest(commitments);
    let shares: Vec<&VerifiedShare> = shares.iter().map(Borrow::borrow).collect();
    if shares.iter().any(|share| share.commitments != expected) {
        return Err(SharingError::OtherCommitments);
    }
    let mut indices: Vec<u8> = shares.iter().map(|share| share.index).collect();
    indices.sort_unstable();
    indices.dedup();
    if indices.len() != shares.len() || shares.is_empty() || shares.len() != commitments.len() {
        return Err(SharingError::NotEnoughShares);
    }
    let set = Wiped(shares.iter().map(|share| share.share).collect());
    let secret = Zeroizing::new(set.0.combine().map_err(|_| SharingError::NotEnoughShares)?.0);
    Ok(Zeroizing::new(secret.to_bytes()))
}

/// The key that opens the root: HKDF-SHA-256(scalar, "unseal" ‖ header id ‖ share epoch).
pub fn unseal_key(scalar: &[u8; 32], header_id: &[u8; 32], share_epoch: u64) -> Zeroizing<[u8; 32]> {
    kdf::derive(None, scalar, &[labels::UNSEAL.as_bytes(), header_id, &share_epoch.to_be_bytes()])
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    fn sharing() -> Sharing {
        split(3, 5, &mut ChaCha20Rng::seed_from_u64(7)).unwrap()
    }

    fn verified(s: &Sharing, indices: &[u8]) -> Vec<VerifiedShare> {
        indices.iter().map(|&i| verify(i, &s.shares[i as usize - 1], &s.commitments, 3).unwrap()).collect()
    }

    #[test]
    fn every_three_of_five_open_and_no_two_do() {
        let s = sharing();
        for a in 1..=5u8 {
            for b in a + 1..=5 {
                assert_eq!(combine(&verified(&s, &[a, b]), &s.commitments), Err(SharingError::NotEnoughShares));
                for c in b + 1..=5 {
                    assert_eq!(combine(&verified(&s, &[a, b, c]), &s.commitments).unwrap(), s.secret);
                }
            }
        }
    }

    #[test]
    fn one_custodian_three_times_is_not_three() {
        let s = sharing();
        assert_eq!(combine(&verified(&s, &[1, 1, 1]), &s.commitments), Err(SharingError::NotEnoughShares));
    }

    /// Shares of two sharings, each of them right: the library interpolates them to a scalar that is nobody's.
    #[test]
    fn shares_of_two_sharings_do_not_mix() {
        let (ours, theirs) = (sharing(), split(3, 5, &mut ChaCha20Rng::seed_from_u64(8)).unwrap());
        let mut mixed = verified(&ours, &[1, 2]);
        mixed.extend(verified(&theirs, &[3]));
        let unguarded = Wiped(mixed.iter().map(|share| share.share).collect());
        assert!(unguarded.0.combine().is_ok(), "the library sees nothing amiss");
        assert_eq!(combine(&mixed, &ours.commitments), Err(SharingError::OtherCommitments));
        assert_eq!(combine(&mixed, &theirs.commitments), Err(SharingError::OtherCommitments));
        assert_eq!(combine(&verified(&ours, &[1, 2, 3]), &theirs.commitments), Err(SharingError::OtherCommitments));
    }

    /// At 0 the polynomial is the secret: who knew it could pass it for a share.
    #[test]
    fn there_is_no_share_zero() {
        let s = sharing();
        assert_eq!(verify(0, &s.secret, &s.commitments, 3).err(), Some(SharingError::WrongShare));
    }

    #[test]
    fn altered_commitments_are_refused() {
        let s = sharing();
        let short = s.commitments[..2].to_vec();
        assert_eq!(verify(1, &s.shares[0], &short, 3).err(), Some(SharingError::BadCommitments));
        let mut flat = s.commitments.clone();
        flat[2] = [0; 32];
        assert_eq!(verify(1, &s.shares[0], &flat, 3).err(), Some(SharingError::BadCommitments));
        let mut swapped = s.commitments.clone();
        swapped.swap(0, 1);
        assert_eq!(verify(2, &s.shares[1], &swapped, 3).err(), Some(SharingError::WrongShare));
    }

    /// An oracle of our own: Lagrange interpolation at zero.
    #[test]
    fn the_library_interpolates_as_the_textbook_does() {
        let s = sharing();
        let xs = [2u8, 4, 5];
        let secret: Scalar = xs
            .iter()
            .map(|&i| {
                let y = Scalar::from_canonical_bytes(*s.shares[i as usize - 1]).unwrap();
                let weight: Scalar = xs
                    .iter()
                    .filter(|&&j| j != i)
                    .map(|&j| Scalar::from(j) * (Scalar::from(j) - Scalar::from(i)).invert())
                    .product();
                y * weight
            })
            .sum();
        assert_eq!(secret.to_bytes(), *s.secret);
    }
}
