//! The first stage: a public function of four bytes proposes.
//!
//! The four bytes before a position, as a little-endian number, times [`FACTOR`] modulo 2³²: the position is proposed
//! where the upper 8 bits are all ones. [`FACTOR`] is odd, so that of all values of the last byte exactly one is
//! proposed whatever the three before it are: one position in 256.
//!
//! With [`FACTOR`] = m − 2¹⁶m the product is m·(low + 2¹⁶·(high − low)), low and high the two halves of the number.
//! Where they are equal, in runs of one byte and of a repeated pair, that is m·low: below 2³²·(m / 2¹⁶), and so never
//! all ones above. Such runs hold no proposal at all, cost nothing in the second stage and make longest chunks. m is
//! the odd number nearest to 2¹⁶ divided by the golden ratio: multiples of it lie as evenly as multiples can (Knuth,
//! TAOCP 3, 6.4).

/// Bytes before a position that propose it.
pub(super) const PROPOSAL_BYTES: usize = 4;

/// Positions whose proposals are found in one go.
pub(super) const STRETCH: usize = 4096;

/// Proposals of a stretch: bit i of word w is position 64·w + i.
pub(super) type Bits = [u64; STRETCH / 64];

/// m of the module's documentation.
const HALF_FACTOR: u32 = 0x9e37;

/// What four bytes are multiplied by.
pub(super) const FACTOR: u32 = HALF_FACTOR.wrapping_sub(HALF_FACTOR << 16);

/// The upper 8 bits of the product at a proposed position.
pub(super) const PROPOSED: u8 = 0xff;

pub(super) const fn proposed(bytes: [u8; PROPOSAL_BYTES]) -> bool {
    (u32::from_le_bytes(bytes).wrapping_mul(FACTOR) >> 24) as u8 == PROPOSED
}

const _: () = {
    let mut byte = 0;
    while byte < 256 {
        assert!(!proposed([byte as u8; PROPOSAL_BYTES]), "FACTOR must propose no run of one byte");
        byte += 1;
    }
};

/// Finds the proposals among positions that end in `bytes`: position i is behind `bytes[i..i + 4]`. Returns how many
/// positions it looked at: those of a stretch, or as many as there are. The bits of further positions are zero.
pub(super) type Propose = fn(bytes: &[u8], bits: &mut Bits) -> usize;

/// The fastest function for this machine. All of them agree.
pub(super) fn fastest() -> Propose {
    #[cfg(target_arch = "x86_64")]
    if let Some(avx2) = super::simd::avx2() {
        return avx2;
    }
    portable
}

/// How many positions of a stretch `bytes` has.
pub(super) fn positions(bytes: &[u8]) -> usize {
    bytes.len().saturating_sub(PROPOSAL_BYTES - 1).min(STRETCH)
}

/// Bytes that 64 positions end in.
pub(super) const GROUP_BYTES: usize = 64 + PROPOSAL_BYTES - 1;

/// The proposals among at most 64 positions: bit i is position i.
#[inline]
pub(super) fn word_of(group: &[u8]) -> u64 {
    let windows = group.array_windows::<PROPOSAL_BYTES>();
    windows.enumerate().fold(0, |word, (at, window)| word | u64::from(proposed(*window)) << at)
}

/// [`Propose`] on any machine.
pub(super) fn portable(bytes: &[u8], bits: &mut Bits) -> usize {
    let count = positions(bytes);
    for (word, at) in bits.iter_mut().zip((0..).step_by(64)) {
        let rest = bytes.get(at..).unwrap_or_default();
        // A group of known length is a loop that the compiler unrolls.
        *word = rest.first_chunk::<GROUP_BYTES>().map_or_else(|| word_of(rest), |group| word_of(group));
    }
    count
}
