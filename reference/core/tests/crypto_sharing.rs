//! Feldman sharing against a textbook oracle, and against the ways to cheat it (GEN-25, D22).

#[path = "common/bug.rs"]
mod bug;

use bailee_core::crypto::sharing::{Sharing, SharingError, VerifiedShare, combine, split, unseal_key, verify};
use curve25519_dalek::constants::RISTRETTO_BASEPOINT_POINT;
use curve25519_dalek::ristretto::CompressedRistretto;
use curve25519_dalek::{RistrettoPoint, Scalar};
use proptest::prelude::*;
use proptest::sample::subsequence;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

fn sharing(threshold: u8, shares: u8, seed: u64) -> Sharing {
    split(threshold, shares, &mut ChaCha20Rng::seed_from_u64(seed)).expect("good parameters")
}

fn scalar(bytes: &[u8; 32]) -> Scalar {
    Option::from(Scalar::from_canonical_bytes(*bytes)).expect("canonical")
}

fn value(sharing: &Sharing, index: u8) -> Scalar {
    scalar(&sharing.shares[usize::from(index) - 1])
}

fn verified(sharing: &Sharing, index: u8, threshold: u8) -> VerifiedShare {
    verify(index, &sharing.shares[usize::from(index) - 1], &sharing.commitments, threshold).expect("an honest share")
}

/// The product over the other indices, as every term of Lagrange's formula needs.
fn product(index: u8, indices: &[u8], term: impl Fn(Scalar, Scalar) -> Scalar) -> Scalar {
    indices.iter().filter(|other| **other != index).map(|other| term(index.into(), (*other).into())).product()
}

/// Lagrange interpolation at zero, from the textbook.
fn at_zero(sharing: &Sharing, indices: &[u8]) -> Scalar {
    let weight = |index| product(index, indices, |own, other| other * (other - own).invert());
    indices.iter().map(|&index| value(sharing, index) * weight(index)).sum()
}

/// The leading coefficient of the polynomial through these shares.
fn leading(sharing: &Sharing, indices: &[u8]) -> Scalar {
    let weight = |index| product(index, indices, |own, other| (own - other).invert());
    indices.iter().map(|&index| value(sharing, index) * weight(index)).sum()
}

fn parameters() -> impl Strategy<Value = (u8, u8, Vec<u8>)> {
    (2u8..=6).prop_flat_map(|threshold| (Just(threshold), threshold..=9)).prop_flat_map(|(threshold, shares)| {
        let indices: Vec<u8> = (1..=shares).collect();
        (Just(threshold), Just(shares), subsequence(indices, usize::from(threshold)))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// GEN-25.
    #[test]
    fn any_t_shares_give_the_secret_of_the_textbook((threshold, shares, chosen) in parameters(), seed: u64) {
        let sharing = sharing(threshold, shares, seed);
        prop_assert_eq!(sharing.shares.len(), usize::from(shares));
        prop_assert_eq!(sharing.commitments.len(), usize::from(threshold));
        let set: Vec<_> = chosen.iter().map(|&index| verified(&sharing, index, threshold)).collect();
        let secret = combine(&set, &sharing.commitments).expect("t different shares");
        prop_assert_eq!(scalar(&secret), at_zero(&sharing, &chosen));
        prop_assert_eq!(&secret, &sharing.secret);
    }

    #[test]
    fn fewer_than_t_shares_interpolate_to_something_else((threshold, shares, chosen) in parameters(), seed: u64) {
        let sharing = sharing(threshold, shares, seed);
        let too_few = &chosen[1..];
        prop_assert_ne!(at_zero(&sharing, too_few), scalar(&sharing.secret));
        let set: Vec<_> = too_few.iter().map(|&index| verified(&sharing, index, threshold)).collect();
        prop_assert_eq!(combine(&set, &sharing.commitments).err(), Some(SharingError::NotEnoughShares));
    }

    #[test]
    fn any_altered_share_is_refused(index in 1u8..=5, bit in 0usize..256, seed: u64) {
        let sharing = sharing(3, 5, seed);
        let mut altered = *sharing.shares[usize::from(index) - 1];
        altered[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(verify(index, &altered, &sharing.commitments, 3).err(), Some(SharingError::WrongShare));
    }

    #[test]
    fn any_altered_commitment_is_refused(index in 1u8..=5, place in 0usize..3, bit in 0usize..256, seed: u64) {
        let sharing = sharing(3, 5, seed);
        let mut commitments = sharing.commitments.clone();
        commitments[place][bit / 8] ^= 1 << (bit % 8);
        let share = &sharing.shares[usize::from(index) - 1];
        prop_assert!(verify(index, share, &commitments, 3).is_err());
    }

    #[test]
    fn no_bytes_make_verification_panic(index: u8, share: [u8; 32], commitments: [[u8; 32]; 3]) {
        prop_assert!(verify(index, &share, &commitments.to_vec(), 3).is_err());
    }
}

#[test]
fn the_commitments_are_those_of_the_polynomial() {
    let sharing = sharing(3, 5, 1);
    let point = |place: usize| CompressedRistretto(sharing.commitments[place]).decompress().expect("a point");
    assert_eq!(point(0), RISTRETTO_BASEPOINT_POINT * scalar(&sharing.secret));
    assert_eq!(point(2), RISTRETTO_BASEPOINT_POINT * leading(&sharing, &[1, 2, 3]));
    assert_eq!(leading(&sharing, &[1, 2, 3]), leading(&sharing, &[2, 4, 5]), "one polynomial");
}

#[test]
fn thresholds_out_of_range_are_refused() {
    for (threshold, shares) in [(0, 5), (1, 1), (1, 5), (4, 3), (2, 17), (17, 17)] {
        let refused = split(threshold, shares, &mut ChaCha20Rng::seed_from_u64(1)).err();
        assert_eq!(refused, Some(SharingError::BadParameters), "{threshold} of {shares}");
    }
    for (threshold, shares) in [(2, 2), (16, 16), (2, 16)] {
        assert_eq!(sharing(threshold, shares, 1).shares.len(), usize::from(shares));
    }
}

/// GEN-25: too short or too long a vector of commitments would change the threshold; an identity at its end lowers it.
#[test]
fn commitments_of_another_degree_are_refused() {
    let sharing = sharing(3, 5, 1);
    let mut longer = sharing.commitments.clone();
    longer.push([0; 32]);
    let mut lowered = sharing.commitments.clone();
    lowered[2] = [0; 32];
    let mut no_point = sharing.commitments.clone();
    no_point[1] = [0xff; 32];
    for bad in [sharing.commitments[..2].to_vec(), longer, lowered, no_point, Vec::new()] {
        assert_eq!(verify(1, &sharing.shares[0], &bad, 3).err(), Some(SharingError::BadCommitments));
    }
}

/// D22: a writer of the header swaps in the commitments of another polynomial. His share then passes and the honest
/// one is blamed: which is why each custodian checks against a copy of her own, where the same swap is seen.
#[test]
fn swapped_commitments_blame_the_honest_and_a_copy_sees_it() {
    let (honest, forged) = (sharing(3, 5, 1), sharing(3, 5, 2));
    assert!(verify(1, &forged.shares[0], &forged.commitments, 3).is_ok(), "the danger");
    assert_eq!(verify(2, &honest.shares[1], &forged.commitments, 3).err(), Some(SharingError::WrongShare));
    assert_eq!(verify(1, &forged.shares[0], &honest.commitments, 3).err(), Some(SharingError::WrongShare));
}

/// GEN-25: the library combines any two shares; here exactly t different ones.
#[test]
fn only_exactly_t_different_shares_combine() {
    let sharing = sharing(3, 5, 1);
    for indices in [&[][..], &[1], &[1, 2], &[1, 1, 2], &[1, 2, 3, 4], &[1, 2, 3, 3]] {
        let set: Vec<_> = indices.iter().map(|&index| verified(&sharing, index, 3)).collect();
        assert_eq!(combine(&set, &sharing.commitments).err(), Some(SharingError::NotEnoughShares), "{indices:?}");
    }
}

#[test]
fn odd_indices_and_values_are_refused() {
    let sharing = sharing(3, 5, 1);
    assert!(verify(0, &sharing.secret, &sharing.commitments, 3).is_err(), "index 0 is the secret itself");
    assert!(verify(6, &sharing.shares[0], &sharing.commitments, 3).is_err());
    assert!(verify(1, &[0; 32], &sharing.commitments, 3).is_err());
    let order_added = {
        // The order of the group, little endian: value + order is the same scalar, not canonically written.
        let order = (-Scalar::ONE).to_bytes();
        let mut carry = 1u16;
        let mut sum = [0u8; 32];
        for (place, out) in sum.iter_mut().enumerate() {
            let total = u16::from(order[place]) + u16::from(sharing.shares[0][place]) + carry;
            *out = total as u8;
            carry = total >> 8;
        }
        sum
    };
    assert_eq!(Scalar::from_bytes_mod_order(order_added), value(&sharing, 1), "the control");
    assert_eq!(verify(1, &order_added, &sharing.commitments, 3).err(), Some(SharingError::WrongShare));
}

/// The statistic of bytes in 256 boxes; near 255 for uniform bytes, with a standard deviation of 23.
fn chi_square(bytes: impl Iterator<Item = u8>) -> f64 {
    let mut boxes = [0f64; 256];
    bytes.for_each(|byte| boxes[usize::from(byte)] += 1.0);
    let expected = boxes.iter().sum::<f64>() / 256.0;
    boxes.iter().map(|count| (count - expected).powi(2) / expected).sum()
}

/// An earlier release of the sharing library drew odd bytes only in one of its fields, which leaked the secret. Here the
/// coefficients are recovered from shares and their bytes counted; the top byte of a scalar is not uniform and left out.
#[test]
fn the_coefficients_are_uniform() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let coefficients: Vec<[u8; 32]> =
        (0..1500).map(|_| leading(&split(2, 2, &mut rng).expect("good parameters"), &[1, 2]).to_bytes()).collect();
    let bytes = || coefficients.iter().flat_map(|scalar| scalar[..31].iter().copied());
    assert!(chi_square(bytes()) < 255.0 + 6.0 * 23.0, "{}", chi_square(bytes()));
    assert!(chi_square(bytes().map(|byte| byte | 1)) > 10_000.0, "the control: odd bytes only are seen");
}

/// GEN-26: the key that opens the root belongs to one scalar, one header and one share epoch.
#[test]
fn the_unseal_key_depends_on_all_its_inputs() {
    let key = unseal_key(&[1; 32], &[2; 32], 3);
    assert_eq!(key, unseal_key(&[1; 32], &[2; 32], 3));
    for other in
        [unseal_key(&[9; 32], &[2; 32], 3), unseal_key(&[1; 32], &[9; 32], 3), unseal_key(&[1; 32], &[2; 32], 4)]
    {
        assert_ne!(key, other);
    }
}

/// A point of the test's own that is not of the sharing, so that the identity is not the only point tried.
#[test]
fn a_foreign_point_in_the_commitments_is_a_wrong_share() {
    let sharing = sharing(3, 5, 1);
    let mut commitments = sharing.commitments.clone();
    commitments[1] = (RistrettoPoint::default() + RISTRETTO_BASEPOINT_POINT).compress().to_bytes();
    assert_eq!(verify(1, &sharing.shares[0], &commitments, 3).err(), Some(SharingError::WrongShare));
}

/// Claim C22: a wrong share is refused by its index, before it is combined with anybody's.
#[test]
fn a_wrong_share_is_named_before_it_counts() {
    bug::bug();
    let (sharing, another) = (sharing(3, 5, 7), sharing(3, 5, 8));
    let refused = |index, value: &[u8; 32]| verify(index, value, &sharing.commitments, 3).err();
    assert_eq!(refused(2, &sharing.shares[1]), None, "as it was dealt");
    for bit in 0..248 {
        let mut wrong = *sharing.shares[1];
        wrong[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(refused(2, &wrong), Some(SharingError::WrongShare), "bit {bit}");
    }
    assert_eq!(refused(3, &sharing.shares[1]), Some(SharingError::WrongShare), "another custodian's");
    assert_eq!(refused(2, &another.shares[1]), Some(SharingError::WrongShare), "of another sharing");
}
