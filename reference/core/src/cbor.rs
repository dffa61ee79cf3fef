//! Canonical CBOR (GEN-4, GEN-5): bytes are accepted only if nothing remains and encoding the value again gives the same
//! bytes.

use minicbor::{Decode, Encode};

/// Why bytes were refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CborError {
    /// Longer than the limit, which is checked before anything else.
    TooLarge {
        /// The length.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// Not the expected value: what, and at which byte.
    Malformed {
        /// The byte at which decoding stopped.
        at: usize,
        /// What the decoder said.
        what: String,
    },
    /// Bytes remain behind the value.
    Trailing {
        /// The first of them.
        at: usize,
    },
    /// The value has a shorter or other canonical encoding.
    NotCanonical {
        /// The first byte that differs.
        at: usize,
    },
}

impl std::fmt::Display for CborError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CborError::TooLarge { length, limit } => write!(f, "{length} bytes; at most {limit} are allowed"),
            CborError::Malformed { at, what } => write!(f, "at byte {at}: {what}"),
            CborError::Trailing { at } => write!(f, "bytes remain from byte {at} on"),
            CborError::NotCanonical { at } => write!(f, "not the canonical encoding, from byte {at} on"),
        }
    }
}

impl std::error::Error for CborError {}

/// The canonical encoding.
pub fn encode<T: Encode<()>>(value: &T) -> Vec<u8> {
    match minicbor::to_vec(value) {
        Ok(bytes) => bytes,
        Err(error) => unreachable!("writing to memory does not fail: {error}"),
    }
}

/// Decodes exactly one canonical value.
///
/// # Errors
/// [`CborError`]: what is wrong, and where.
pub fn decode<'a, T: Decode<'a, ()> + Encode<()>>(bytes: &'a [u8], limit: usize) -> Result<T, CborError> {
    if bytes.len() > limit {
        return Err(CborError::TooLarge { length: bytes.len(), limit });
    }
    let mut decoder = minicbor::Decoder::new(bytes);
    let value: T =
        decoder.decode().map_err(|error| CborError::Malformed { at: decoder.position(), what: error.to_string() })?;
    if decoder.position() != bytes.len() {
        return Err(CborError::Trailing { at: decoder.position() });
    }
    match first_difference(&value, bytes) {
        None => Ok(value),
        Some(at) => Err(CborError::NotCanonical { at }),
    }
}

/// Where bytes first differ from the encoding of a value. They are compared as they are written: a copy of the encoding would cost
/// more than decoding does.
fn first_difference<T: Encode<()>>(value: &T, bytes: &[u8]) -> Option<usize> {
    let mut compared = Compared { bytes, same: 0 };
    match minicbor::encode(value, &mut compared) {
        Ok(()) if compared.same == bytes.len() => None,
        _ => Some(compared.same),
    }
}

/// A writer that keeps nothing: it fails at the first byte that is not the expected one.
struct Compared<'a> {
    bytes: &'a [u8],
    same: usize,
}

/// What was written is not what is expected.
struct Differs;

impl minicbor::encode::Write for Compared<'_> {
    type Error = Differs;

    // Most writes are of a byte or a few: where their length is known, the comparison is one instruction and no call.
    #[inline(always)]
    fn write_all(&mut self, written: &[u8]) -> Result<(), Differs> {
        let expected = &self.bytes[self.same..];
        if expected.starts_with(written) {
            self.same += written.len();
            return Ok(());
        }
        self.same += expected.iter().zip(written).take_while(|(a, b)| a == b).count();
        Err(Differs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlong_integers_trailing_bytes_and_size_are_refused() {
        assert_eq!(decode::<u64>(&[0x01], 8), Ok(1));
        assert_eq!(decode::<u64>(&[0x18, 0x01], 8), Err(CborError::NotCanonical { at: 0 }));
        assert_eq!(decode::<u64>(&[0x01, 0x01], 8), Err(CborError::Trailing { at: 1 }));
        assert_eq!(decode::<u64>(&[0x01; 9], 8), Err(CborError::TooLarge { length: 9, limit: 8 }));
        assert!(matches!(decode::<u64>(&[0x61], 8), Err(CborError::Malformed { .. })));
        assert!(matches!(decode::<Vec<u8>>(&[0x9f, 0x01, 0xff], 8), Err(CborError::NotCanonical { .. })));
    }
}
