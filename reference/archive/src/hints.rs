//! Notes that are kept beside the segments of an archive: hints, which decide what is read again and never what is believed
//! (BAK-18).
//!
//! ```text
//! damaged = line*   line = id of a block, 64 hexadecimal digits
//! seen    = line*   line = number length seconds nanoseconds check
//! ```
//!
//! `damaged` names blocks that somebody found altered or unreadable. `seen` has the length and the time of change of each segment as
//! the last writer left it, the later of two lines counts; *check* is the first 8 hexadecimal digits of BLAKE3 over the line
//! before it. A line that is not of this form is passed over: either file may be absent, torn or wrong at any time.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::id::BlockId;

/// The name of the file of blocks that are not what they should be.
pub(crate) const DAMAGED: &str = "damaged";
/// The name of the file of states of segments.
pub(crate) const SEEN: &str = "seen";
/// The most blocks that are noted.
pub(crate) const MOST_SUSPECTS: usize = 100_000;
/// The longest file of notes that is read, in bytes.
pub(crate) const MOST_BYTES: u64 = 64 << 20;

/// What tells that a segment is as it was: its length, and when it was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentState {
    /// The length, in bytes.
    pub length: u64,
    /// When it was changed, in seconds since 1970.
    pub seconds: i64,
    /// The nanoseconds of that second.
    pub nanoseconds: u32,
}

pub(crate) fn encode_suspects(blocks: &[BlockId]) -> String {
    blocks.iter().map(|id| format!("{id}\n")).collect()
}

/// The blocks that are named, each once, at most [`MOST_SUSPECTS`].
pub(crate) fn decode_suspects(bytes: &[u8]) -> Vec<BlockId> {
    let mut all: Vec<BlockId> =
        bytes.split(|byte| *byte == b'\n').filter_map(BlockId::from_hex).take(MOST_SUSPECTS).collect();
    all.sort();
    all.dedup();
    all
}

fn check(line: &str) -> String {
    let mut digits = blake3::hash(line.as_bytes()).to_hex().to_string();
    digits.truncate(8);
    digits
}

pub(crate) fn encode_states<'a>(states: impl IntoIterator<Item = (&'a u64, &'a SegmentState)>) -> String {
    let mut out = String::new();
    for (number, SegmentState { length, seconds, nanoseconds }) in states {
        let line = format!("{number} {length} {seconds} {nanoseconds}");
        let done = writeln!(out, "{line} {}", check(&line));
        debug_assert!(done.is_ok(), "a string takes everything");
    }
    out
}

/// The states that are noted, and how many lines there were.
pub(crate) fn decode_states(bytes: &[u8]) -> (BTreeMap<u64, SegmentState>, usize) {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let mut count = 0;
    let states = lines.inspect(|_| count += 1).filter_map(decode_state).collect();
    (states, count)
}

fn decode_state(line: &[u8]) -> Option<(u64, SegmentState)> {
    let (line, found) = std::str::from_utf8(line).ok()?.rsplit_once(' ')?;
    if check(line) != found {
        return None;
    }
    let mut fields = line.split(' ');
    let number = fields.next()?.parse().ok()?;
    let length = fields.next()?.parse().ok()?;
    let seconds = fields.next()?.parse().ok()?;
    let nanoseconds = fields.next()?.parse().ok()?;
    fields.next().is_none().then_some((number, SegmentState { length, seconds, nanoseconds }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suspects_are_read_back_and_junk_is_passed_over() {
        let blocks = [BlockId([1; 32]), BlockId([0xfe; 32])];
        let mut bytes = encode_suspects(&blocks).into_bytes();
        bytes.extend_from_slice(b"no id\n\xff\n0102\n");
        bytes.extend_from_slice(encode_suspects(&blocks[..1]).as_bytes());
        assert_eq!(decode_suspects(&bytes), blocks);
        assert_eq!(decode_suspects(b""), []);
    }

    #[test]
    fn states_are_read_back_the_later_counts_and_an_altered_line_does_not() {
        let state = |length| SegmentState { length, seconds: -7, nanoseconds: 999_999_999 };
        let (old, new) = (BTreeMap::from([(1, state(5)), (2, state(6))]), BTreeMap::from([(2, state(u64::MAX))]));
        let text = encode_states(&old) + &encode_states(&new);
        assert_eq!(decode_states(text.as_bytes()), (BTreeMap::from([(1, state(5)), (2, state(u64::MAX))]), 3));
        let first_line = text.find('\n').unwrap();
        for at in 0..first_line {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let (read, _) = decode_states(&bytes);
            assert!(read.get(&1) != Some(&state(6)) && read.get(&2) == Some(&state(u64::MAX)), "byte {at}");
            assert!(read.get(&1).is_none_or(|found| *found == state(5)), "byte {at}: {read:?}");
        }
        assert_eq!(decode_states(b"\xff\n1 2 3\n"), (BTreeMap::new(), 2));
    }
}
