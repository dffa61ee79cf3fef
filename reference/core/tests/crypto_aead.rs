//! The back ends of AES-256-GCM against known answers, and against each other.

use bailee_core::crypto::aead::{Altered, OneTimeAead, Portable};

/// Test cases 13 and 14 of the GCM specification (McGrew and Viega): key, nonce and plaintext of zeroes.
fn gives_the_known_answers<A: OneTimeAead>() {
    let key = [0; 32];
    let tag = A::seal(&key, b"", &mut []);
    assert_eq!(tag, 0x530f_8afb_c745_36b9_a963_b4f1_c4cb_738b_u128.to_be_bytes(), "{}", A::NAME);
    let mut block = [0; 16];
    let tag = A::seal(&key, b"", &mut block);
    assert_eq!(block, 0xcea7_403d_4d60_6b6e_074e_c5d3_baf3_9d18_u128.to_be_bytes(), "{}", A::NAME);
    assert_eq!(tag, 0xd0d1_c8a7_9999_6bf0_265b_98b5_d48a_b919_u128.to_be_bytes(), "{}", A::NAME);
    assert_eq!(A::open(&key, b"", &mut block, &tag), Ok(()), "{}", A::NAME);
    assert_eq!(block, [0; 16], "{}", A::NAME);
}

/// A refused buffer holds nothing of the message.
fn refuses_without_a_word<A: OneTimeAead>() {
    let (key, message) = ([1; 32], [0x5a; 100]);
    let mut buffer = message;
    let tag = A::seal(&key, b"associated", &mut buffer);
    let sealed = buffer;
    for byte in 0..tag.len() {
        let mut other = tag;
        other[byte] ^= 1;
        let mut buffer = sealed;
        assert_eq!(A::open(&key, b"associated", &mut buffer, &other), Err(Altered), "{}", A::NAME);
        assert!(!buffer.windows(4).any(|window| window == &message[..4]), "{} gave the message out", A::NAME);
    }
}

#[test]
fn the_portable_back_end_is_aes_gcm() {
    gives_the_known_answers::<Portable>();
    refuses_without_a_word::<Portable>();
}

#[cfg(feature = "aws-lc")]
mod both {
    use bailee_core::crypto::aead::{Altered, AwsLc, OneTimeAead, Portable};
    use bailee_core::crypto::labels::SEAL_BLOCK;
    use bailee_core::crypto::seal::{
        KEY_TAG_BYTES, ROOM_BYTES, SALT_BYTES, SealError, open_in_place_with, open_record_with, open_with,
        seal_once_with,
    };
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::{Rng, SeedableRng};

    const ROOT: [u8; 32] = [1; 32];

    fn rng(seed: u64) -> ChaCha20Rng {
        ChaCha20Rng::seed_from_u64(seed)
    }

    #[test]
    fn aws_lc_is_aes_gcm() {
        super::gives_the_known_answers::<AwsLc>();
        super::refuses_without_a_word::<AwsLc>();
    }

    /// One back end seals, the other opens; the buffer begins `offset` bytes into its allocation.
    fn exchange<A: OneTimeAead, B: OneTimeAead>(
        key: &[u8; 32],
        aad: &[u8],
        message: &[u8],
        offset: usize,
    ) -> Vec<u8> {
        let mut buffer = [&vec![0; offset], message].concat();
        let tag = A::seal(key, aad, &mut buffer[offset..]);
        let sealed = [&buffer[offset..], &tag].concat();
        assert_eq!(B::open(key, aad, &mut buffer[offset..], &tag), Ok(()));
        assert_eq!(&buffer[offset..], message);
        sealed
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn both_back_ends_seal_to_the_same_bytes_and_open_each_others(
            key: [u8; 32],
            aad in prop::collection::vec(any::<u8>(), 0..400),
            message in prop::collection::vec(any::<u8>(), 0..5000),
            offset in 0..64usize,
        ) {
            let portable = exchange::<Portable, AwsLc>(&key, &aad, &message, offset);
            let aws_lc = exchange::<AwsLc, Portable>(&key, &aad, &message, offset);
            prop_assert_eq!(portable, aws_lc);
        }

        #[test]
        fn both_refuse_what_was_altered_anywhere(
            key: [u8; 32],
            aad in prop::collection::vec(any::<u8>(), 1..400),
            message in prop::collection::vec(any::<u8>(), 1..2000),
            at: prop::sample::Index,
            bit in 0..8u8,
        ) {
            let mut body = message.clone();
            let tag = Portable::seal(&key, &aad, &mut body);
            let mut all = [&key[..], &aad, &body, &tag].concat();
            let at = at.index(all.len());
            all[at] ^= 1 << bit;
            let (key, rest) = all.split_first_chunk::<32>().expect("a key");
            let (rest, tag) = rest.split_last_chunk::<16>().expect("a tag");
            let (aad, body) = rest.split_at(aad.len());
            prop_assert_eq!(Portable::open(key, aad, &mut body.to_vec(), tag), Err(Altered));
            prop_assert_eq!(AwsLc::open(key, aad, &mut body.to_vec(), tag), Err(Altered));
        }

        #[test]
        fn every_way_to_open_gives_the_same_with_either_back_end(
            header in prop::collection::vec(any::<u8>(), 0..400),
            message in prop::collection::vec(any::<u8>(), 0..3000),
            seed: u64,
        ) {
            let sealed = seal_once_with::<Portable>(&ROOT, SEAL_BLOCK, &header, &message, &mut rng(seed));
            let by_aws_lc = seal_once_with::<AwsLc>(&ROOT, SEAL_BLOCK, &header, &message, &mut rng(seed));
            prop_assert_eq!(&sealed, &by_aws_lc);
            prop_assert_eq!(every_way::<Portable>(&header, &sealed), Ok(message.clone()));
            prop_assert_eq!(every_way::<AwsLc>(&header, &sealed), Ok(message));
        }
    }

    /// What `open`, `open_in_place` and `open_record` say, which must be one thing.
    fn every_way<A: OneTimeAead>(header: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let opened = open_with::<A>(&ROOT, SEAL_BLOCK, header, sealed).map(|message| message.to_vec());
        let mut copy = sealed.to_vec();
        let in_place = open_in_place_with::<A>(&ROOT, SEAL_BLOCK, header, &mut copy).map(|message| message.to_vec());
        let mut record = [header, sealed].concat();
        let record = open_record_with::<A>(&ROOT, SEAL_BLOCK, &mut record, header.len());
        assert_eq!(in_place, opened);
        assert_eq!(record.map(|message| message.to_vec()), opened);
        opened
    }

    #[test]
    fn every_flipped_bit_is_refused_alike() {
        let (header, message) = (b"header", b"twenty bytes of text");
        let record =
            [&header[..], &seal_once_with::<AwsLc>(&ROOT, SEAL_BLOCK, header, message, &mut rng(1))].concat();
        let body = header.len() + SALT_BYTES + KEY_TAG_BYTES;
        for bit in 0..record.len() * 8 {
            let mut flipped = record.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let (header, sealed) = flipped.split_at(header.len());
            let error = if bit / 8 < body { SealError::WrongKeyOrHeader } else { SealError::Altered };
            assert_eq!(every_way::<Portable>(header, sealed), Err(error), "bit {bit}");
            assert_eq!(every_way::<AwsLc>(header, sealed), Err(error), "bit {bit}");
        }
        for length in 0..record.len() - header.len() {
            let sealed = &record[header.len()..][..length];
            let error = every_way::<Portable>(header, sealed).unwrap_err();
            assert_eq!(every_way::<AwsLc>(header, sealed), Err(error), "length {length}");
            assert_eq!(error == SealError::TooShort, length < ROOM_BYTES + 16, "length {length}");
        }
    }

    #[test]
    fn a_record_shorter_than_its_header_is_too_short() {
        for header_bytes in [1, usize::MAX - 8, usize::MAX] {
            let opened = open_record_with::<AwsLc>(&ROOT, SEAL_BLOCK, &mut [], header_bytes);
            assert_eq!(opened.err(), Some(SealError::TooShort), "{header_bytes}");
        }
    }

    #[test]
    fn both_agree_on_an_empty_message_and_on_more_than_a_mebibyte() {
        let mut message = vec![0; (1 << 20) + 17];
        rng(2).fill_bytes(&mut message);
        for length in [0, 1, 15, 16, 17, 1 << 20, (1 << 20) + 17] {
            for offset in [0, 1, 7, 13] {
                let message = &message[..length];
                let portable = exchange::<Portable, AwsLc>(&ROOT, b"associated", message, offset);
                assert!(portable == exchange::<AwsLc, Portable>(&ROOT, b"associated", message, offset), "{length}");
            }
        }
        let mut sealed = seal_once_with::<AwsLc>(&ROOT, SEAL_BLOCK, b"header", &message, &mut rng(3));
        for at in [ROOM_BYTES, ROOM_BYTES + (1 << 19), sealed.len() - 17, sealed.len() - 1] {
            sealed[at] ^= 0x10;
            assert_eq!(every_way::<Portable>(b"header", &sealed), Err(SealError::Altered), "byte {at}");
            assert_eq!(every_way::<AwsLc>(b"header", &sealed), Err(SealError::Altered), "byte {at}");
            sealed[at] ^= 0x10;
        }
        assert!(every_way::<Portable>(b"header", &sealed).as_ref() == Ok(&message));
    }
}
