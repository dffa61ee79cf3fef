//! What cuts give away (C56): two attacks that learn the secret of keyed rolling hashes, and the same attacks on this
//! chunker.
//!
//! Peers keep secret where they cut by a number that is mixed into the table of a rolling hash, by XOR (fastcdc's
//! seed, borg's buzhash) or addition, or by a secret polynomial (restic). Each of their cuts is an equation in that
//! secret (Truong, Merz, Scarlata, Günther, Paterson: Breaking and Fixing Content-Defined Chunking, eprint 2025/558;
//! Alexeev, Percival, Zhang: Chunking Attacks on File Backup Services using Content-Defined Chunking, arXiv
//! 2504.02095).
//!
//! An attack here knows plaintext and the lengths of its chunks, nothing else. What it learned is judged on fresh
//! data: of two windows, one before a cut and one not, which is which? By chance one guess in two is right.

use bailee_archive::ArchiveKeys;
use bailee_archive::chunker::{Chunker, KeyedChunker, WINDOW_BYTES};
use bailee_archive::limits::{CHUNK_MAX_BYTES, CHUNK_MIN_BYTES};
use bailee_core::crypto::keys::{Owner, Secret};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

type Window = [u8; WINDOW_BYTES];

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    ChaCha20Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

fn numbers<const N: usize>(seed: u64) -> [u64; N] {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    std::array::from_fn(|_| rng.next_u64())
}

fn window(data: &[u8], position: usize) -> Window {
    *data[..position].last_chunk().unwrap()
}

/// Where `data` is cut for its content: neither at the greatest length nor at its end. With the start of each chunk.
fn cuts(chunker: &dyn Chunker, data: &[u8]) -> Vec<(usize, usize)> {
    let (mut cuts, mut begin) = (Vec::new(), 0);
    while begin < data.len() {
        let end = begin + chunker.first_cut(&data[begin..]);
        if end < data.len() && end - begin < CHUNK_MAX_BYTES {
            cuts.push((begin, end));
        }
        begin = end;
    }
    cuts
}

/// Windows before cuts of known plaintext.
fn known(chunker: &dyn Chunker) -> Vec<Window> {
    let data = noise(1, 48 << 20);
    cuts(chunker, &data).into_iter().map(|(_, end)| window(&data, end)).collect()
}

/// What share of guesses about fresh data is right, by a score that should be higher before a cut. `proposed` is what
/// the public part of the chunker says of a window: all that is compared are windows that it proposes.
fn right(chunker: &dyn Chunker, proposed: fn(&Window) -> bool, score: impl Fn(&Window) -> usize) -> f64 {
    let data = noise(2, 48 << 20);
    let (mut right, mut guesses) = (0.0, 0.0);
    for (begin, end) in cuts(chunker, &data) {
        let others = (begin + CHUNK_MIN_BYTES..end).map(|position| window(&data, position));
        if let Some(other) = others.into_iter().find(proposed) {
            right += match score(&window(&data, end)).cmp(&score(&other)) {
                std::cmp::Ordering::Greater => 1.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Less => 0.0,
            };
            guesses += 1.0;
        }
    }
    assert!(guesses > 500.0, "{guesses} guesses are too few");
    right / guesses
}

/// Four standard deviations of the share of right guesses, of 500 at random.
const CHANCE: std::ops::Range<f64> = 0.41..0.59;

/// The chunker whose cuts should give nothing away.
fn ours() -> KeyedChunker {
    if let Ok(id) = std::env::var("BAILEE_BUG") {
        bailee_archive::quirks::Quirk::switch_on(&id);
    }
    let owner = Owner { tenant: "tenant".into(), user: "user".into(), epoch: 0 };
    KeyedChunker::new(&ArchiveKeys::new(&Secret::take(&mut [7; 32]), &owner))
}

/// The public stage of BAK-5, written again from its text.
fn proposed(window: &Window) -> bool {
    u32::from_le_bytes(*window.last_chunk().unwrap()).wrapping_mul(0x61c9_9e37) >> 24 == 0xff
}

fn anything(_: &Window) -> bool {
    true
}

// A gear hash whose public table is mixed with a secret seed.

/// Cut where these bits of the hash are zero: the mask of 15 bits of the FastCDC paper (Xia et al., USENIX ATC 2016).
const MASK: u64 = 0x0003_5907_0353_0000;

/// How the seed is mixed into the entries of the table. The lower bits of a hash hang on the lower bits of the seed
/// alone.
#[derive(Clone, Copy, Debug)]
enum Mix {
    Xor,
    Add,
}

struct Gear {
    table: [u64; 256],
    mix: Mix,
}

impl Gear {
    fn public(mix: Mix) -> Self {
        Gear { table: numbers(3), mix }
    }

    fn roll(&self, seed: u64, hash: u64, byte: u8) -> u64 {
        let entry = self.table[usize::from(byte)];
        (hash << 1).wrapping_add(match self.mix {
            Mix::Xor => entry ^ seed,
            Mix::Add => entry.wrapping_add(seed),
        })
    }

    fn hash(&self, seed: u64, bytes: &[u8]) -> u64 {
        bytes.iter().fold(0, |hash, byte| self.roll(seed, hash, *byte))
    }

    /// How many of the bits below `bits` that must be zero before a cut are so.
    fn zeros(&self, seed: u64, window: &Window, bits: usize) -> usize {
        let mask = MASK & (u64::MAX >> (64 - bits));
        // Bytes further back have been shifted out of these bits.
        let hash = self.hash(seed, &window[WINDOW_BYTES - bits..]);
        (!hash & mask).count_ones() as usize
    }

    /// The attack: from the lowest bit of the seed upwards, keep what explains most cuts.
    fn learn(&self, known: &[Window]) -> u64 {
        const KEPT: usize = 64;
        let bits = (u64::BITS - MASK.leading_zeros()) as usize;
        let mut seeds = vec![0];
        for bit in 0..bits {
            seeds = seeds.iter().flat_map(|seed| [*seed, seed | 1 << bit]).collect();
            if MASK >> bit & 1 == 1 {
                let explained =
                    |seed: &u64| -> usize { known.iter().map(|window| self.zeros(*seed, window, bit + 1)).sum() };
                seeds.sort_by_cached_key(|seed| std::cmp::Reverse(explained(seed)));
                seeds.truncate(KEPT);
            }
        }
        seeds[0]
    }

    /// Learns from a chunker, and tries on it what was learned.
    fn attack(&self, chunker: &dyn Chunker, proposed: fn(&Window) -> bool) -> (u64, f64) {
        let seed = self.learn(&known(chunker)[..100]);
        (seed, right(chunker, proposed, |window| self.zeros(seed, window, WINDOW_BYTES)))
    }
}

/// A chunker as peers have it.
struct SeededGear {
    gear: Gear,
    seed: u64,
}

impl Chunker for SeededGear {
    fn first_cut(&self, data: &[u8]) -> usize {
        let end = data.len().min(CHUNK_MAX_BYTES);
        if end <= CHUNK_MIN_BYTES {
            return end;
        }
        let mut hash = self.gear.hash(self.seed, &window(data, CHUNK_MIN_BYTES));
        for (cut, byte) in data[..end].iter().enumerate().skip(CHUNK_MIN_BYTES) {
            if hash & MASK == 0 {
                return cut;
            }
            hash = self.gear.roll(self.seed, hash, *byte);
        }
        end
    }
}

#[test]
fn a_seeded_gear_gives_its_seed_away() {
    let [seed] = numbers(4);
    for mix in [Mix::Xor, Mix::Add] {
        let victim = SeededGear { gear: Gear::public(mix), seed };
        let (learned, right) = Gear::public(mix).attack(&victim, anything);
        assert!(right > 0.99, "{mix:?}: {right} of the guesses are right");
        if let Mix::Xor = mix {
            let bits = u64::MAX >> MASK.leading_zeros();
            assert_eq!(learned, seed & bits, "every bit of the seed that cuts hang on");
        }
    }
}

#[test]
fn the_attack_on_a_seed_learns_nothing_from_our_cuts() {
    for mix in [Mix::Xor, Mix::Add] {
        let (_, right) = Gear::public(mix).attack(&ours(), proposed);
        assert!(CHANCE.contains(&right), "{mix:?}: {right} of the guesses are right");
    }
}

// A hash that is linear over GF(2), as Rabin's fingerprint is: the secret is the polynomial.

/// Bits of the fingerprint that are zero before a cut.
const ZEROS: u64 = (1 << 15) - 1;

struct Rabin {
    /// What a byte adds that is shifted out above, and what it added when it leaves the window.
    above: [u64; 256],
    leaving: [u64; 256],
}

impl Rabin {
    fn new(polynomial: u64) -> Self {
        let times_x = |value: u64| (value << 1) ^ if value >> 63 == 1 { polynomial } else { 0 };
        let times = |value: u64, power: usize| (0..power).fold(value, |value, _| times_x(value));
        Rabin {
            above: std::array::from_fn(|byte| times((byte as u64) << 56, 8)),
            leaving: std::array::from_fn(|byte| times(byte as u64, 8 * WINDOW_BYTES)),
        }
    }

    fn roll(&self, hash: u64, byte: u8) -> u64 {
        ((hash << 8) | u64::from(byte)) ^ self.above[(hash >> 56) as usize]
    }
}

impl Chunker for Rabin {
    fn first_cut(&self, data: &[u8]) -> usize {
        let end = data.len().min(CHUNK_MAX_BYTES);
        if end <= CHUNK_MIN_BYTES {
            return end;
        }
        let mut hash = window(data, CHUNK_MIN_BYTES).iter().fold(0, |hash, byte| self.roll(hash, *byte));
        for cut in CHUNK_MIN_BYTES..end {
            if hash & ZEROS == 0 {
                return cut;
            }
            hash = self.roll(hash, data[cut]) ^ self.leaving[usize::from(data[cut - WINDOW_BYTES])];
        }
        end
    }
}

/// The bits of a window and a one: an equation over GF(2) is a choice of them whose sum is zero.
type Bits = [u64; WINDOW_BYTES / 8 + 1];
const COLUMNS: usize = 8 * WINDOW_BYTES + 1;

fn bits(window: &Window) -> Bits {
    let (words, _) = window.as_chunks::<8>();
    std::array::from_fn(|at| words.get(at).map_or(1, |word| u64::from_le_bytes(*word)))
}

fn bit(bits: &Bits, column: usize) -> bool {
    bits[column / 64] >> (column % 64) & 1 == 1
}

/// The attack: every equation that holds before all known cuts, a basis of them (Gauss and Jordan).
fn equations(known: &[Window]) -> Vec<Bits> {
    let mut rows: Vec<Bits> = known.iter().map(bits).collect();
    let mut pivots = Vec::new();
    for column in 0..COLUMNS {
        let Some(found) = (pivots.len()..rows.len()).find(|row| bit(&rows[*row], column)) else { continue };
        rows.swap(pivots.len(), found);
        let pivot = rows[pivots.len()];
        for (at, row) in rows.iter_mut().enumerate() {
            if at != pivots.len() && bit(row, column) {
                row.iter_mut().zip(pivot).for_each(|(word, of_pivot)| *word ^= of_pivot);
            }
        }
        pivots.push(column);
    }
    let free = (0..COLUMNS).filter(|column| !pivots.contains(column));
    let equation = |free: usize| {
        let bound = pivots.iter().zip(&rows).filter(|(_, row)| bit(row, free)).map(|(pivot, _)| *pivot);
        let mut equation = [0; COLUMNS.div_ceil(64)];
        bound.chain([free]).for_each(|column| equation[column / 64] |= 1 << (column % 64));
        equation
    };
    free.map(equation).collect()
}

fn holding(equations: &[Bits], window: &Window) -> usize {
    let holds = |equation: &&Bits| {
        let ones: u32 = equation.iter().zip(bits(window)).map(|(a, b)| (a & b).count_ones()).sum();
        ones.is_multiple_of(2)
    };
    equations.iter().filter(holds).count()
}

#[test]
fn a_secret_polynomial_gives_its_equations_away() {
    let [polynomial] = numbers(5);
    let victim = Rabin::new(polynomial | 1);
    let learned = equations(&known(&victim));
    assert_eq!(learned.len(), ZEROS.count_ones() as usize, "one for each bit that is zero before a cut");
    let right = right(&victim, anything, |window| holding(&learned, window));
    assert!(right > 0.99, "{right} of the guesses are right");
}

#[test]
fn our_cuts_give_no_equation_away() {
    let known = known(&ours());
    assert!(known.len() > COLUMNS + 64, "{} cuts are too few to tell", known.len());
    assert_eq!(equations(&known), Vec::<Bits>::new());
}
