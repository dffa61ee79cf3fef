//! The stages, and what they make of streams: twins agree, and parts of a stream are cut as the whole.

use std::collections::BTreeSet;

use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use super::proposals::{PROPOSED, fastest, portable, proposed};
use super::*;

const SUBKEY: [u8; 32] = [7; 32];

fn chunker() -> KeyedChunker {
    KeyedChunker::under(&SUBKEY, fastest())
}

/// The functions for the first stage that this machine can run, if it has more than the portable one.
fn twins() -> [Propose; 2] {
    [portable, fastest()]
}

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    ChaCha20Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

/// Words of a vocabulary of a thousand, their letters about as frequent as in English.
fn text(seed: u64, length: usize) -> Vec<u8> {
    const LETTERS: &[u8] = b"eeeeeeetttttaaaaaooooiiiinnnnsssshhhrrrddllcumwfgypbvk";
    let letter = |pick: &u8| LETTERS[usize::from(*pick) % LETTERS.len()];
    let vocabulary: Vec<Vec<u8>> = noise(77, 10_000)
        .chunks(10)
        .map(|picks| picks[..1 + usize::from(picks[9] % 9)].iter().map(letter).chain([b' ']).collect())
        .collect();
    let picks = noise(seed, 2 * length);
    let words = picks.chunks(2).map(|pick| &vocabulary[usize::from(pick[0]) * 3 + usize::from(pick[1]) % 232]);
    words.flatten().copied().take(length).collect()
}

/// Bytes of which each position is proposed: of the values of the next byte exactly one does it.
fn proposed_everywhere(length: usize) -> Vec<u8> {
    let mut bytes = vec![1, 2, 3];
    while bytes.len() < length {
        let [.., a, b, c] = bytes[..] else { unreachable!() };
        bytes.push((0..=255).find(|d| proposed([a, b, c, *d])).unwrap());
    }
    bytes
}

fn repeated(pattern: &[u8], length: usize) -> Vec<u8> {
    pattern.iter().copied().cycle().take(length).collect()
}

/// Content of many kinds, named.
fn samples(length: usize) -> Vec<(String, Vec<u8>)> {
    let mut samples = vec![
        ("noise".into(), noise(1, length)),
        ("text".into(), text(2, length)),
        ("proposed everywhere".into(), proposed_everywhere(length)),
    ];
    samples.extend((0..=255).map(|byte| (format!("run of {byte}"), vec![byte; length])));
    samples.extend(
        (2..40).map(|period| (format!("period {period}"), repeated(&noise(period, period as usize), length))),
    );
    samples.extend((3..12).map(|period| {
        let pattern = &proposed_everywhere(20)[20 - period..];
        (format!("period {period} with proposals"), repeated(pattern, length))
    }));
    samples
}

/// By the definition, a position at a time.
fn is_cut(chunker: &KeyedChunker, before: &[u8]) -> bool {
    let proposed = before.last_chunk().is_some_and(|bytes| proposed(*bytes));
    proposed && before.last_chunk().is_some_and(|window| chunker.decides(window))
}

fn lengths(chunker: &dyn Chunker, mut data: &[u8]) -> Vec<usize> {
    let mut lengths = Vec::new();
    while !data.is_empty() {
        let length = chunker.first_cut(data);
        lengths.push(length);
        data = &data[length..];
    }
    lengths
}

/// Chunk lengths of a stream that is searched in parts that end at these positions.
fn lengths_in_parts(chunker: &KeyedChunker, data: &[u8], ends: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let (mut chunks, mut lengths, mut searched) = (ChunkLengths::new(), Vec::new(), 0usize);
    for end in ends {
        let begin = searched.saturating_sub(WINDOW_BYTES);
        let mut cuts = Vec::new();
        chunker.cuts(&data[begin..end], searched + 1 - begin, &mut cuts);
        chunks.advance(cuts.iter().map(|cut| (begin + cut) as u64), end as u64, &mut lengths);
        assert!(end as u64 - chunks.begun() < CHUNK_MAX_BYTES as u64);
        searched = end;
    }
    chunks.finish(data.len() as u64, &mut lengths);
    lengths
}

#[test]
fn a_chunker_is_shared_by_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<KeyedChunker>();
}

#[test]
fn no_run_and_no_repeated_pair_is_proposed() {
    let pairs = (0..=u16::MAX).map(u16::to_le_bytes);
    assert_eq!(pairs.filter(|[a, b]| proposed([*a, *b, *a, *b])).count(), 0);
}

#[test]
fn one_value_of_the_next_byte_is_proposed() {
    for before in noise(3, 3000).chunks_exact(3) {
        let count = (0..=255).filter(|last| proposed([before[0], before[1], before[2], *last])).count();
        assert_eq!(count, 1);
    }
    assert_eq!(PROPOSED, 0xff);
}

#[test]
fn twins_propose_the_same() {
    for (name, bytes) in samples(STRETCH + 300) {
        for at in 0..65 {
            let all = twins().into_iter().map(|propose| {
                let mut bits = [!0; STRETCH / 64];
                (propose(&bytes[at..], &mut bits), bits)
            });
            let found: BTreeSet<_> = all.collect();
            assert_eq!(found.len(), 1, "{name} from {at}");
        }
    }
}

#[test]
fn twins_propose_by_the_definition_at_every_length() {
    let longer = proposed_everywhere(STRETCH + 80);
    for bytes in [noise(4, 200), longer[..200].to_vec(), vec![0; 200]] {
        for length in 0..=200 {
            for propose in twins() {
                let mut bits = [!0; STRETCH / 64];
                let count = propose(&bytes[..length], &mut bits);
                assert_eq!(count, length.saturating_sub(3));
                for position in 0..STRETCH {
                    let expected = position < count && proposed(*bytes[position..].first_chunk().unwrap());
                    assert_eq!(bits[position / 64] >> (position % 64) & 1 == 1, expected, "{position} of {length}");
                }
            }
        }
    }
    for propose in twins() {
        let mut bits = [0; STRETCH / 64];
        assert_eq!(propose(&longer, &mut bits), STRETCH);
        assert_eq!(bits[1..], [!0; STRETCH / 64 - 1]);
    }
}

#[test]
fn twins_cut_the_same_and_by_the_definition() {
    for (name, data) in samples(12_000) {
        let cuts = |propose| {
            let mut cuts = Vec::new();
            KeyedChunker::under(&SUBKEY, propose).cuts(&data, 0, &mut cuts);
            cuts
        };
        let by_definition: Vec<usize> =
            (WINDOW_BYTES..=data.len()).filter(|at| is_cut(&chunker(), &data[..*at])).collect();
        for propose in twins() {
            assert_eq!(cuts(propose), by_definition, "{name}");
        }
    }
}

#[test]
fn what_is_proposed_everywhere_is_cut_one_position_in_so_many() {
    let data = proposed_everywhere(200_000);
    let mut cuts = Vec::new();
    chunker().cuts(&data, 0, &mut cuts);
    assert!(cuts.len() > 20, "{} cuts", cuts.len());
    assert!(lengths(&chunker(), &data).iter().rev().skip(1).all(|length| *length < 2 * CHUNK_MIN_BYTES));
}

#[test]
fn every_short_length_is_searched_to_its_end() {
    let data = proposed_everywhere(4_000);
    let mut all = Vec::new();
    chunker().cuts(&data, 0, &mut all);
    assert!(all.len() > 3, "the sample has cuts");
    for length in (0..200).chain(all.iter().flat_map(|cut| [cut - 1, *cut, cut + 1])) {
        let mut cuts = Vec::new();
        chunker().cuts(&data[..length.min(data.len())], 0, &mut cuts);
        assert!(cuts.iter().eq(all.iter().take_while(|cut| **cut <= length)), "{length}");
    }
    for from in [0, 63, 64, 65, all[1], all[1] + 1, data.len(), data.len() + 1, usize::MAX] {
        let mut cuts = vec![17];
        chunker().cuts(&data, from, &mut cuts);
        assert!(cuts[1..].iter().eq(all.iter().filter(|cut| **cut >= from)), "from {from}");
    }
}

#[test]
fn chunks_keep_to_their_bounds_and_near_the_mean() {
    for (name, data) in [("noise", noise(5, 16 << 20)), ("text", text(6, 16 << 20))] {
        let lengths = lengths(&chunker(), &data);
        let (last, whole) = lengths.split_last().unwrap();
        assert!(whole.iter().all(|length| (CHUNK_MIN_BYTES..=CHUNK_MAX_BYTES).contains(length)), "{name}");
        assert!(*last <= CHUNK_MAX_BYTES);
        let mean = data.len() / lengths.len();
        // 256 chunks: a standard deviation of the mean is a twentieth of it.
        assert!((CHUNK_AVERAGE_BYTES * 3 / 4..CHUNK_AVERAGE_BYTES * 5 / 4).contains(&mean), "{name}: {mean}");
    }
}

#[test]
fn a_cut_counts_from_the_least_length_on() {
    let data = noise(11, 8 << 20);
    let mut cuts = Vec::new();
    chunker().cuts(&data, 0, &mut cuts);
    let apart = cuts.windows(2).find(|pair| pair[0] > CHUNK_MAX_BYTES && pair[1] - pair[0] > CHUNK_MIN_BYTES);
    let [cut, next] = apart.unwrap() else { unreachable!() };
    assert_eq!(chunker().first_cut(&data[cut - CHUNK_MIN_BYTES..]), CHUNK_MIN_BYTES);
    assert!(chunker().first_cut(&data[cut - CHUNK_MIN_BYTES + 1..]) >= next - cut);
}

#[test]
fn lengths_keep_the_rules_at_their_edges() {
    const MIN: u64 = CHUNK_MIN_BYTES as u64;
    const MAX: u64 = CHUNK_MAX_BYTES as u64;
    let lengths = |cuts: &[u64], end| {
        let (mut chunks, mut lengths) = (ChunkLengths::new(), Vec::new());
        chunks.advance(cuts.iter().copied(), end, &mut lengths);
        chunks.finish(end, &mut lengths);
        lengths.into_iter().map(|length| length as u64).collect::<Vec<u64>>()
    };
    assert_eq!(lengths(&[], 0), []);
    assert_eq!(lengths(&[], 1), [1]);
    assert_eq!(lengths(&[MIN - 1], 2 * MIN), [2 * MIN]);
    assert_eq!(lengths(&[MIN], 2 * MIN), [MIN, MIN]);
    assert_eq!(lengths(&[MIN, 2 * MIN - 1, 2 * MIN], 2 * MIN), [MIN, MIN]);
    assert_eq!(lengths(&[], MAX), [MAX]);
    assert_eq!(lengths(&[MAX], MAX + 1), [MAX, 1]);
    assert_eq!(lengths(&[MAX + 1], MAX + 2), [MAX, 2]);
    assert_eq!(lengths(&[2 * MAX + MIN], 3 * MAX), [MAX, MAX, MIN, MAX - MIN]);
}

#[test]
fn runs_make_longest_chunks() {
    let data = vec![0; 3 * CHUNK_MAX_BYTES + 5];
    assert_eq!(lengths(&chunker(), &data), [CHUNK_MAX_BYTES, CHUNK_MAX_BYTES, CHUNK_MAX_BYTES, 5]);
}

#[test]
fn content_that_moves_is_cut_as_before() {
    let before = noise(8, 8 << 20);
    let after = [&before[..3_000_000], b"a few bytes more", &before[3_000_000..]].concat();
    let chunks = |data: &[u8]| {
        let mut rest = data;
        let cut = |length: usize| rest.split_off(..length).unwrap().to_vec();
        lengths(&chunker(), data).into_iter().map(cut).collect::<BTreeSet<Vec<u8>>>()
    };
    let new: usize = chunks(&after).difference(&chunks(&before)).map(Vec::len).sum();
    assert!(new < 4 * CHUNK_MAX_BYTES, "{new} bytes are new");
}

#[test]
fn another_key_cuts_elsewhere() {
    let data = noise(9, 4 << 20);
    let ends = |key: u8| {
        let lengths = lengths(&KeyedChunker::under(&[key; 32], fastest()), &data);
        lengths
            .iter()
            .scan(0, |end, length| {
                *end += length;
                Some(*end)
            })
            .collect::<BTreeSet<usize>>()
    };
    let (one, other) = (ends(1), ends(2));
    assert!(one.intersection(&other).count() < one.len() / 4, "the end of the stream is common, and little else");
}

/// The key is the first half of the subkey.
#[test]
fn the_rest_of_the_subkey_has_no_say() {
    let mut subkey = SUBKEY;
    subkey[KEY_BYTES..].fill(9);
    let data = noise(10, 1 << 20);
    assert_eq!(lengths(&KeyedChunker::under(&subkey, fastest()), &data), lengths(&chunker(), &data));
}

/// Cuts of bytes that any implementation can make: byte n is the upper byte of the n-th state of x ← 1664525·x +
/// 1013904223 mod 2³², from x = 0 (Numerical Recipes), under the key 00 01 … 0f.
#[test]
fn cuts_are_the_frozen_ones() {
    let mut state = 0u32;
    let data: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    })
    .take(1 << 20)
    .collect();
    let subkey: [u8; 32] = std::array::from_fn(|at| at as u8);
    let chunker = KeyedChunker::under(&subkey, fastest());
    let mut cuts = Vec::new();
    chunker.cuts(&data, 0, &mut cuts);
    assert_eq!(
        cuts,
        [
            12_653, 36_138, 52_496, 101_490, 345_916, 436_729, 439_840, 454_182, 586_730, 598_750, 666_415, 743_228,
            803_373, 807_911, 959_804, 981_986
        ]
    );
    assert_eq!(
        lengths(&chunker, &data),
        [36_138, 65_352, 244_426, 90_813, 17_453, 132_548, 79_685, 76_813, 60_145, 156_431, 22_182, 66_590]
    );
}

/// A stream of pieces of several kinds.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let piece = (0u64..1000, 0usize..300_000, 0..5).prop_map(|(seed, length, kind)| match kind {
        0 => noise(seed, length),
        1 => text(seed, length),
        2 => vec![seed as u8; length],
        3 => repeated(&noise(seed, 7), length),
        _ => proposed_everywhere(length / 50 + 3),
    });
    proptest::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_stream_in_parts_is_cut_as_the_whole(
        data in streams(),
        parts in proptest::collection::vec(prop_oneof![0usize..200, 0usize..400_000], 0..40),
    ) {
        let ends = parts.iter().scan(0, |end, part| { *end += part; Some(*end) });
        let ends = ends.take_while(|end| *end < data.len()).chain([data.len()]);
        prop_assert_eq!(lengths_in_parts(&chunker(), &data, ends), lengths(&chunker(), &data));
    }

    /// What a chunker sees beyond the longest chunk, or not, has no say.
    #[test]
    fn what_follows_has_no_say(data in streams()) {
        let whole = chunker().first_cut(&data);
        let held = &data[..data.len().min(CHUNK_MAX_BYTES)];
        prop_assert_eq!(chunker().first_cut(held), whole);
    }

    #[test]
    fn twins_cut_any_stream_the_same(data in streams(), from in 0usize..300) {
        let cuts = twins().into_iter().map(|propose| {
            let mut cuts = Vec::new();
            KeyedChunker::under(&SUBKEY, propose).cuts(&data, from, &mut cuts);
            cuts
        });
        prop_assert_eq!(cuts.collect::<BTreeSet<_>>().len(), 1);
    }
}
