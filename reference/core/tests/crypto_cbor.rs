//! One value, one encoding: the canonical rule against an independent decoder and against every other encoding.

use bailee_core::cbor::{CborError, decode, encode};
use ciborium::Value;
use minicbor::bytes::{ByteArray, ByteVec};
use minicbor::{Decode, Encode};
use proptest::prelude::*;

/// A format with every kind of field that ours have.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Sample {
    #[n(0)]
    number: u64,
    #[n(1)]
    name: String,
    #[n(2)]
    digest: ByteArray<32>,
    #[n(3)]
    body: ByteVec,
    #[n(4)]
    list: Vec<u16>,
    #[n(5)]
    yes: bool,
    #[n(6)]
    kind: Kind,
    #[n(7)]
    perhaps: Option<u8>,
}

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
enum Kind {
    #[n(0)]
    Plain,
    #[n(1)]
    With(#[n(0)] u32),
}

const LIMIT: usize = 4096;

fn sample() -> impl Strategy<Value = Sample> {
    let kind = prop_oneof![Just(Kind::Plain), any::<u32>().prop_map(Kind::With)];
    let bytes = prop::collection::vec(any::<u8>(), 0..300);
    let list = prop::collection::vec(any::<u16>(), 0..30);
    (any::<u64>(), ".{0,40}", any::<[u8; 32]>(), bytes, list, any::<bool>(), kind, any::<Option<u8>>()).prop_map(
        |(number, name, digest, body, list, yes, kind, perhaps)| Sample {
            number,
            name,
            digest: digest.into(),
            body: body.into(),
            list,
            yes,
            kind,
            perhaps,
        },
    )
}

proptest! {
    #[test]
    fn what_was_encoded_is_decoded(value in sample()) {
        let bytes = encode(&value);
        prop_assert_eq!(decode::<Sample>(&bytes, LIMIT), Ok(value));
    }

    /// GEN-4: ciborium reads the same items and writes the same bytes: our encoding is plain, shortest-form CBOR.
    #[test]
    fn an_independent_library_agrees(value in sample()) {
        let bytes = encode(&value);
        let read: Value = ciborium::from_reader(&bytes[..]).expect("CBOR");
        let fields = read.as_array().expect("an array by number");
        prop_assert_eq!(fields[0].as_integer(), Some(value.number.into()));
        prop_assert_eq!(fields[1].as_text(), Some(value.name.as_str()));
        prop_assert_eq!(fields[2].as_bytes().map(Vec::as_slice), Some(&value.digest[..]));
        prop_assert_eq!(fields[3].as_bytes().map(Vec::as_slice), Some(&value.body[..]));
        let mut written = Vec::new();
        ciborium::into_writer(&read, &mut written).expect("to memory");
        prop_assert_eq!(written, bytes);
    }

    #[test]
    fn every_shorter_and_longer_form_is_refused(value in sample(), cut: prop::sample::Index, more: u8) {
        let mut bytes = encode(&value);
        let cut = cut.index(bytes.len());
        let is_malformed = matches!(decode::<Sample>(&bytes[..cut], LIMIT), Err(CborError::Malformed { .. }));
        prop_assert!(is_malformed);
        let at = bytes.len();
        bytes.push(more);
        prop_assert_eq!(decode::<Sample>(&bytes, LIMIT), Err(CborError::Trailing { at }));
    }

    /// Whatever comes in: a refusal, or a value whose one encoding it is.
    #[test]
    fn accepted_bytes_are_canonical(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(value) = decode::<Vec<u64>>(&bytes, LIMIT) {
            prop_assert_eq!(encode(&value), bytes.clone());
        }
        if let Ok(value) = decode::<Sample>(&bytes, LIMIT) {
            prop_assert_eq!(encode(&value), bytes);
        }
    }

    /// The same, near good encodings, where decoders are weakest.
    #[test]
    fn a_changed_byte_is_refused_or_another_value(value in sample(), place: prop::sample::Index, byte: u8) {
        let mut bytes = encode(&value);
        let place = place.index(bytes.len());
        let changed = bytes[place] != byte;
        bytes[place] = byte;
        if let Ok(read) = decode::<Sample>(&bytes, LIMIT) {
            prop_assert_eq!(encode(&read), bytes);
            prop_assert_eq!(read != value, changed);
        }
    }
}

/// GEN-4, GEN-5: one fault each, named after it: none decodes, though a lenient reader takes the second half for the
/// first's value.
#[test]
fn other_encodings_of_a_good_value_are_refused() {
    let overlong: [&[u8]; 4] = [&[0x18, 5], &[0x19, 0, 5], &[0x1a, 0, 0, 0, 5], &[0x1b, 0, 0, 0, 0, 0, 0, 0, 5]];
    for bytes in overlong {
        assert_eq!(minicbor::decode::<u64>(bytes).ok(), Some(5), "the control: the library takes it");
        assert_eq!(decode::<u64>(bytes, LIMIT), Err(CborError::NotCanonical { at: 0 }));
    }
    let overlong_length: &[u8] = &[0x98, 1, 5];
    assert_eq!(decode::<Vec<u64>>(overlong_length, LIMIT), Err(CborError::NotCanonical { at: 0 }));
    let indefinite_array: &[u8] = &[0x9f, 5, 0xff];
    assert_eq!(minicbor::decode::<Vec<u64>>(indefinite_array).ok(), Some(vec![5]), "the control");
    assert_eq!(decode::<Vec<u64>>(indefinite_array, LIMIT), Err(CborError::NotCanonical { at: 0 }));
    let overlong_text: &[u8] = &[0x78, 1, b'a'];
    assert_eq!(decode::<String>(overlong_text, LIMIT), Err(CborError::NotCanonical { at: 0 }));
    for indefinite_text in [&[0x7f, 0x61, b'a', 0xff][..], &[0x7f, 0xff]] {
        assert!(decode::<String>(indefinite_text, LIMIT).is_err());
    }
}

/// A field that this version does not know is refused, not dropped in silence.
#[test]
fn an_unknown_field_is_refused() {
    let known = encode(&Kind::With(1));
    assert_eq!(known, [0x82, 1, 0x81, 1]);
    let with_more = [0x82, 1, 0x82, 1, 2];
    assert_eq!(minicbor::decode::<Kind>(&with_more).ok(), Some(Kind::With(1)), "the control");
    assert!(matches!(decode::<Kind>(&with_more, LIMIT), Err(CborError::NotCanonical { .. })));
}

/// A length that the bytes do not have is refused before anything is reserved for it.
#[test]
fn an_enormous_length_is_refused_at_once() {
    let huge: [&[u8]; 3] = [
        &[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0x9b, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
        &[0x9a, 0x7f, 0xff, 0xff, 0xff],
    ];
    for bytes in huge {
        assert!(matches!(decode::<Vec<u64>>(bytes, LIMIT), Err(CborError::Malformed { .. })));
    }
    assert!(decode::<String>(&[0x7b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], LIMIT).is_err());
}

/// GEN-5: the limit comes first: what is too long is not read, good or bad.
#[test]
fn the_limit_is_checked_before_the_content() {
    let good = encode(&vec![1u64; 100]);
    assert!(decode::<Vec<u64>>(&good, good.len()).is_ok());
    let refused = decode::<Vec<u64>>(&good, good.len() - 1);
    assert_eq!(refused, Err(CborError::TooLarge { length: good.len(), limit: good.len() - 1 }));
    assert!(matches!(decode::<Vec<u64>>(&[0xff; 9], 8), Err(CborError::TooLarge { .. })));
}
