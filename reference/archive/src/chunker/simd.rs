//! The first stage on AVX2: 64 positions at a time, bit for bit what [`super::proposals::portable`] finds.
#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m256i, _mm256_and_si256, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_mullo_epi32,
    _mm256_or_si256, _mm256_set1_epi8, _mm256_set1_epi32, _mm256_srli_epi32,
};

use super::proposals::{Bits, FACTOR, GROUP_BYTES, PROPOSAL_BYTES, PROPOSED, Propose, positions, word_of};

/// The AVX2 twin, where the processor has it.
pub(super) fn avx2() -> Option<Propose> {
    // SAFETY: the processor has AVX2, and no other feature is asked for.
    is_x86_feature_detected!("avx2").then_some(|bytes, bits| unsafe { propose(bytes, bits) })
}

#[target_feature(enable = "avx2")]
fn propose(bytes: &[u8], bits: &mut Bits) -> usize {
    let count = positions(bytes);
    for (word, at) in bits.iter_mut().zip((0..).step_by(64)) {
        let rest = bytes.get(at..).unwrap_or_default();
        *word = match rest.first_chunk::<GROUP_BYTES>() {
            Some(group) => word_of_group(group),
            None => word_of(rest),
        };
    }
    count
}

#[target_feature(enable = "avx2")]
fn word_of_group(group: &[u8; GROUP_BYTES]) -> u64 {
    let low = half_of(group.first_chunk().unwrap_or_else(|| unreachable!("67 bytes")));
    let high = half_of(group.last_chunk().unwrap_or_else(|| unreachable!("67 bytes")));
    u64::from(low) | u64::from(high) << 32
}

/// The proposals among 32 positions. The numbers at distance k from a multiple of four lie whole in the lanes of a
/// load at k: four loads, and the upper byte of lane i of product k belongs to position 4·i + k, where it is put.
#[target_feature(enable = "avx2")]
fn half_of(bytes: &[u8; 32 + PROPOSAL_BYTES - 1]) -> u32 {
    let upper = |byte: i32| _mm256_set1_epi32(0xff << (8 * byte));
    let [first, second, third, fourth] =
        [products::<0>(bytes), products::<1>(bytes), products::<2>(bytes), products::<3>(bytes)];
    let first = _mm256_srli_epi32::<24>(first);
    let second = _mm256_and_si256(_mm256_srli_epi32::<16>(second), upper(1));
    let third = _mm256_and_si256(_mm256_srli_epi32::<8>(third), upper(2));
    let fourth = _mm256_and_si256(fourth, upper(3));
    let in_order = _mm256_or_si256(_mm256_or_si256(first, second), _mm256_or_si256(third, fourth));
    let found = _mm256_cmpeq_epi8(in_order, _mm256_set1_epi8(PROPOSED.cast_signed()));
    _mm256_movemask_epi8(found).cast_unsigned()
}

#[target_feature(enable = "avx2")]
fn products<const AT: usize>(bytes: &[u8; 32 + PROPOSAL_BYTES - 1]) -> __m256i {
    const { assert!(AT < PROPOSAL_BYTES) }
    // SAFETY: 32 bytes from `AT`, which is below 4, lie within 35 bytes; the load needs no alignment.
    let numbers = unsafe { _mm256_loadu_si256(bytes.as_ptr().add(AT).cast()) };
    _mm256_mullo_epi32(numbers, _mm256_set1_epi32(FACTOR.cast_signed()))
}
