//! The recovery code: an archive key in letters that a person copies down (bech32m, BIP 350).
//!
//! The human-readable part is `bailee-key-`, so that a scanner for leaked secrets finds a code by the fixed text
//! `bailee-key-1`. Spaces, hyphens and case are not part of a code.

use std::fmt;

use bailee_core::crypto::keys::ArchiveKey;
use bailee_secret::Secret;
use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32m, Hrp};
use zeroize::Zeroizing;

/// What stands before the separator `1`.
const PREFIX: &str = "bailee-key-";
/// The same, and the separator, as it is found once spaces and hyphens are gone.
const SQUEEZED: &str = "baileekey1";
/// The letters behind the separator: 32 bytes by five bits, and six for the checksum.
const LETTERS: usize = 52 + 6;
/// Letters of one group.
const GROUP: usize = 4;
/// What is typed is longer than a code only by mistake.
pub(crate) const TYPED_BYTES: usize = 1024;

/// Why typed text is no recovery code. Nothing of the text is repeated but a character that no code has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CodeError {
    /// It begins otherwise.
    Prefix,
    /// Too short or too long: how many letters were found.
    Length(usize),
    /// A character that no code has, and which letter it is, from 1.
    Character(char, usize),
    /// All letters are such as a code has, but they do not belong together.
    Checksum,
}

impl fmt::Display for CodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CodeError::Prefix => write!(f, "this is no recovery code: one begins with {PREFIX}1"),
            CodeError::Length(found) => {
                write!(f, "the recovery code has {found} letters behind the first 1 where {LETTERS} are needed")
            }
            CodeError::Character(c, at) => {
                write!(f, "letter {at} of the recovery code is {}, which no code has", c.escape_debug())
            }
            CodeError::Checksum => f.write_str("the recovery code was mistyped: its checksum is wrong"),
        }
    }
}

/// The code of a key, without groups.
pub(crate) fn encode(key: &ArchiveKey) -> Zeroizing<String> {
    // The capacity is that of a whole code, so that no part of it stays behind in memory when the text grows.
    let mut out = Zeroizing::new(String::with_capacity(PREFIX.len() + 1 + LETTERS));
    let done = Hrp::parse(PREFIX).map_err(|_| fmt::Error).and_then(|prefix| {
        bech32::encode_lower_to_fmt::<Bech32m, _>(&mut *out, prefix, key.expose()).map_err(|_| fmt::Error)
    });
    match done {
        Ok(()) => out,
        Err(_) => unreachable!("the prefix is valid and the length is fixed"),
    }
}

/// A code in groups, for reading and copying down.
pub(crate) fn grouped(code: &str) -> Zeroizing<String> {
    let head = PREFIX.len() + 1;
    let mut out = Zeroizing::new(String::with_capacity(code.len() + LETTERS.div_ceil(GROUP)));
    for (i, c) in code.chars().enumerate() {
        if i >= head && (i - head).is_multiple_of(GROUP) {
            out.push(' ');
        }
        out.push(c);
    }
    out
}

/// The key of a typed code.
///
/// # Errors
/// [`CodeError`].
pub(crate) fn decode(typed: &str) -> Result<ArchiveKey, CodeError> {
    let letters = letters(typed)?;
    let mut code = Zeroizing::new(String::with_capacity(PREFIX.len() + 1 + LETTERS));
    code.push_str(PREFIX);
    code.push('1');
    code.push_str(&letters);
    let checked = CheckedHrpstring::new::<Bech32m>(&code).map_err(|_| CodeError::Checksum)?;
    let mut key = Zeroizing::new([0; 32]);
    let mut bytes = checked.byte_iter();
    for byte in key.iter_mut() {
        *byte = bytes.next().ok_or(CodeError::Checksum)?;
    }
    let key = Secret::take(&mut key);
    // 260 bits carry 256: another filling of the last four would be a second code of the same key.
    if *encode(&key) == *code { Ok(key) } else { Err(CodeError::Checksum) }
}

/// The letters behind the prefix, lower case, without spaces and hyphens.
fn letters(typed: &str) -> Result<Zeroizing<String>, CodeError> {
    let mut squeezed = Zeroizing::new(String::with_capacity(TYPED_BYTES));
    let kept = typed.chars().filter(|c| !c.is_whitespace() && *c != '-');
    squeezed.extend(kept.map(|c| c.to_ascii_lowercase()).take(TYPED_BYTES / 4));
    let found = squeezed.strip_prefix(SQUEEZED).ok_or(CodeError::Prefix)?;
    let alien = |c: char| bech32::Fe32::from_char(c).is_err();
    if let Some((at, c)) = found.chars().enumerate().find(|(_, c)| alien(*c)) {
        return Err(CodeError::Character(c, at + 1));
    }
    if found.len() != LETTERS {
        return Err(CodeError::Length(found.len()));
    }
    let mut letters = Zeroizing::new(String::with_capacity(LETTERS));
    letters.push_str(found);
    Ok(letters)
}

#[cfg(test)]
mod tests {
    use bech32::Fe32;
    use bech32::primitives::iter::{ByteIterExt, Fe32IterExt};

    use super::*;

    fn key(byte: u8) -> ArchiveKey {
        Secret::take(&mut [byte; 32])
    }

    fn refusal(typed: &str) -> CodeError {
        decode(typed).err().unwrap_or_else(|| panic!("{typed} was taken"))
    }

    #[test]
    fn a_code_is_read_back_however_it_is_spaced() {
        let code = encode(&key(7));
        assert_eq!(code.len(), PREFIX.len() + 1 + LETTERS);
        assert_eq!(&code[..12], "bailee-key-1");
        let forms = [
            code.to_string(),
            grouped(&code).to_string(),
            grouped(&code).to_uppercase(),
            format!("  {}\n", code.replace('-', "")),
            grouped(&code).replace(' ', "-"),
            grouped(&code).replace(' ', "\n"),
        ];
        for form in forms {
            assert!(decode(&form).unwrap() == key(7), "{form}");
        }
    }

    /// Every single wrong letter, every pair of neighbours swapped, every letter left out or doubled.
    #[test]
    fn a_slip_is_a_slip_and_not_another_key() {
        let code = encode(&key(0x5a)).to_string();
        let head = PREFIX.len() + 1;
        let mut tried = 0;
        for at in head..code.len() {
            for letter in "qpzry9x8gf2tvdw0s3jn54khce6mua7l".chars() {
                let slip = format!("{}{letter}{}", &code[..at], &code[at + 1..]);
                if slip != code {
                    assert_eq!(refusal(&slip), CodeError::Checksum);
                    tried += 1;
                }
            }
            let missing = format!("{}{}", &code[..at], &code[at + 1..]);
            assert_eq!(refusal(&missing), CodeError::Length(LETTERS - 1));
            let doubled = format!("{}{}", &code[..=at], &code[at..]);
            assert_eq!(refusal(&doubled), CodeError::Length(LETTERS + 1));
            let mut swapped = code.clone().into_bytes();
            if at + 1 < code.len() && swapped[at] != swapped[at + 1] {
                swapped.swap(at, at + 1);
                assert_eq!(refusal(&String::from_utf8(swapped).unwrap()), CodeError::Checksum);
            }
        }
        assert_eq!(tried, LETTERS * 31);
    }

    #[test]
    fn what_is_no_code_is_named() {
        assert_eq!(refusal(""), CodeError::Prefix);
        assert_eq!(refusal("AGE-SECRET-KEY-1QQ"), CodeError::Prefix);
        assert_eq!(refusal("bailee-key-1"), CodeError::Length(0));
        assert_eq!(refusal("bailee-key-1qqb"), CodeError::Character('b', 3));
        assert_eq!(refusal(&"bailee-key-1q".repeat(1000)), CodeError::Character('b', 2));
        assert_eq!(refusal(&"é".repeat(100_000)), CodeError::Prefix);
    }

    /// Bech32 without the m, and a right checksum over other filling bits, are not codes.
    #[test]
    fn there_is_one_code_for_a_key() {
        let old = bech32::encode::<bech32::Bech32>(Hrp::parse(PREFIX).unwrap(), key(1).expose()).unwrap();
        assert_eq!(refusal(&old), CodeError::Checksum);
        let mut letters: Vec<Fe32> = key(1).expose().iter().copied().bytes_to_fes().collect();
        assert_eq!(letters.len(), 52);
        letters[51] = Fe32::try_from(letters[51].to_u8() | 1).unwrap();
        let prefix = Hrp::parse(PREFIX).unwrap();
        let other: String = letters.into_iter().with_checksum::<Bech32m>(&prefix).chars().collect();
        assert!(CheckedHrpstring::new::<Bech32m>(&other).is_ok(), "only the filling is wrong");
        assert_eq!(refusal(&other), CodeError::Checksum);
    }
}
