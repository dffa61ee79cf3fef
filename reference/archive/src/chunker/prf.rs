//! The second stage: a keyed pseudo-random function of a window decides.
//!
//! CBC-MAC with AES-128 and a zero initial value. CBC-MAC of messages of *one fixed length* is a pseudo-random
//! function if the block cipher is one (Bellare, Kilian, Rogaway: The security of the cipher block chaining message
//! authentication code, JCSS 61, 2000); it is none for messages of differing lengths, and a window never has another.

use aes::cipher::array::Array;
use aes::cipher::consts::U16;
use aes::cipher::{BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, KeyInit};
use aes::{Aes128Enc, Block};
use bailee_secret::Secret;

use super::WINDOW_BYTES;
use crate::quirks::Quirk;

/// Bytes of the key.
pub(super) const KEY_BYTES: usize = 16;

/// Windows that are worked on side by side: one chain waits for each of its blocks, eight keep the cipher busy.
pub(super) const BATCH: usize = 8;

const BLOCK_BYTES: usize = 16;

/// The function under one key. It holds the expanded key outside locked memory, wiped on drop: make it for a call,
/// not for keeps.
pub(super) struct Prf {
    cipher: Aes128Enc,
}

impl Prf {
    pub(super) fn new(key: &Secret<KEY_BYTES>) -> Self {
        Prf { cipher: Aes128Enc::new(key.expose().into()) }
    }

    /// The numbers of up to [`BATCH`] windows; what is beyond them means nothing.
    pub(super) fn numbers(&self, windows: &[&[u8; WINDOW_BYTES]]) -> [u64; BATCH] {
        if Quirk::LinearCuts.is_on() {
            return linear(windows);
        }
        let mut states = [Block::default(); BATCH];
        self.cipher.encrypt_with_backend(Chains { windows, states: &mut states[..windows.len()] });
        states.map(|state| {
            let (first, _) = state.split_first_chunk::<8>().unwrap_or_else(|| unreachable!("16 bytes"));
            u64::from_le_bytes(*first)
        })
    }
}

/// What [`Quirk::LinearCuts`] decides by.
#[cold]
#[inline(never)]
fn linear(windows: &[&[u8; WINDOW_BYTES]]) -> [u64; BATCH] {
    let mut numbers = [0; BATCH];
    for (number, window) in numbers.iter_mut().zip(windows) {
        for word in window.as_chunks::<8>().0 {
            *number ^= u64::from_le_bytes(*word);
        }
    }
    numbers
}

/// All blocks of all chains in one go, so that the crate looks up once, not a block, what the processor can do.
struct Chains<'a> {
    windows: &'a [&'a [u8; WINDOW_BYTES]],
    states: &'a mut [Block],
}

impl BlockSizeUser for Chains<'_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for Chains<'_> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, cipher: &B) {
        for part in 0..WINDOW_BYTES / BLOCK_BYTES {
            for (state, window) in self.states.iter_mut().zip(self.windows) {
                let (parts, _) = window.as_chunks::<BLOCK_BYTES>();
                let mixed = u128::from_ne_bytes((*state).into()) ^ u128::from_ne_bytes(parts[part]);
                *state = mixed.to_ne_bytes().into();
            }
            let (together, alone) = Array::<Block, B::ParBlocksSize>::slice_as_chunks_mut(self.states);
            together.iter_mut().for_each(|states| cipher.encrypt_par_blocks(states.into()));
            alone.iter_mut().for_each(|state| cipher.encrypt_block(state.into()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CBC-MAC as the textbook has it, a block at a time.
    fn one(key: [u8; KEY_BYTES], window: &[u8; WINDOW_BYTES]) -> u64 {
        let cipher = aes::Aes128::new(&key.into());
        let mut state = 0u128;
        for part in window.chunks_exact(BLOCK_BYTES) {
            let part = u128::from_be_bytes(part.try_into().unwrap());
            let mut block = Block::from((state ^ part).to_be_bytes());
            cipher.encrypt_block(&mut block);
            state = u128::from_be_bytes(block.into());
        }
        (state >> 64) as u64
    }

    #[test]
    fn a_batch_is_as_many_single_chains() {
        let key = [7; KEY_BYTES];
        let prf = Prf::new(&Secret::take(&mut key.clone()));
        let windows: [[u8; WINDOW_BYTES]; BATCH] =
            std::array::from_fn(|n| std::array::from_fn(|at| (n * 101 + at * 7) as u8));
        for count in 0..=BATCH {
            let numbers = prf.numbers(&windows.each_ref()[..count]);
            for (number, window) in numbers.iter().zip(&windows[..count]) {
                assert_eq!(*number, one(key, window).swap_bytes());
            }
        }
    }

    /// The first block is the example of FIPS 197, appendix B; the chain goes on from its published result.
    #[test]
    fn the_cipher_is_the_standard_one() {
        let key = *b"\x2b\x7e\x15\x16\x28\xae\xd2\xa6\xab\xf7\x15\x88\x09\xcf\x4f\x3c";
        let plain = *b"\x32\x43\xf6\xa8\x88\x5a\x30\x8d\x31\x31\x98\xa2\xe0\x37\x07\x34";
        let sealed = *b"\x39\x25\x84\x1d\x02\xdc\x09\xfb\xdc\x11\x85\x97\x19\x6a\x0b\x32";
        let prf = Prf::new(&Secret::take(&mut key.clone()));
        // Each later part undoes the chain, so that the cipher meets the same block four times.
        let again: [u8; BLOCK_BYTES] = std::array::from_fn(|at| plain[at] ^ sealed[at]);
        let window: [u8; WINDOW_BYTES] = [plain, again, again, again].concat().try_into().unwrap();
        assert_eq!(prf.numbers(&[&window])[0].to_le_bytes(), sealed[..8]);
    }
}
