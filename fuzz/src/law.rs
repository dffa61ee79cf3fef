//! The laws that every decoder keeps.

use bailee_core::cbor::{self, CborError};
use minicbor::{Decode, Encode};

/// Accepted bytes are the one encoding of their value, and nothing may follow them. Returns what was accepted.
///
/// # Panics
/// When the decoder breaks the law.
pub fn canonical<T, E: std::fmt::Display>(
    decode: impl Fn(&[u8]) -> Result<T, E>,
    encode: impl Fn(&T) -> Vec<u8>,
    data: &[u8],
) -> Option<T> {
    match decode(data) {
        Ok(value) => {
            assert!(encode(&value) == data, "bytes were accepted that are not the encoding of their value");
            let longer = [data, &[0]].concat();
            assert!(decode(&longer).is_err(), "a trailing byte was accepted");
            Some(value)
        }
        Err(error) => {
            assert!(!error.to_string().is_empty(), "a refusal without a reason");
            None
        }
    }
}

/// [`canonical`] for canonical CBOR of at most `limit` bytes, whose refusals say what and where.
///
/// # Panics
/// When the decoder breaks the law.
pub fn cbor<T: for<'a> Decode<'a, ()> + Encode<()>>(data: &[u8], limit: usize) -> Option<T> {
    let decode = |bytes: &[u8]| {
        cbor::decode::<T>(bytes, limit).inspect_err(|error| {
            let inside = match error {
                CborError::TooLarge { length, limit: named } => {
                    *length == bytes.len() && named == &limit && length > named
                }
                CborError::Malformed { at, what } => *at <= bytes.len() && !what.is_empty(),
                CborError::Trailing { at } => *at < bytes.len(),
                CborError::NotCanonical { at } => *at <= bytes.len(),
            };
            assert!(inside, "{error} in {} bytes", bytes.len());
        })
    };
    canonical(decode, cbor::encode, data)
}
