//! AWS-LC: C and assembly, built by the C compiler alone.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use super::{Altered, KEY_BYTES, OneTimeAead, TAG_BYTES};

/// `aws-lc-rs`, where it is built in.
#[derive(Clone, Copy, Debug)]
pub struct AwsLc;

/// The library calls a key whose nonces the caller chooses "less safe"; here the key is fresh and the nonce does not matter.
fn schedule(key: &[u8; KEY_BYTES]) -> LessSafeKey {
    match UnboundKey::new(&AES_256_GCM, key) {
        Ok(key) => LessSafeKey::new(key),
        Err(_) => panic!("no memory for a key schedule: the length is right, and nothing else can fail"),
    }
}

fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

impl OneTimeAead for AwsLc {
    const NAME: &'static str = "aws-lc-rs";

    fn seal(key: &[u8; KEY_BYTES], associated: &[u8], buffer: &mut [u8]) -> [u8; TAG_BYTES] {
        let tag = schedule(key).seal_in_place_separate_tag(nonce(), Aad::from(associated), buffer);
        match tag.map(|tag| tag.as_ref().try_into()) {
            Ok(Ok(tag)) => tag,
            _ => unreachable!("a message is far below the 64 GiB of AES-GCM, and its tag has 16 bytes"),
        }
    }

    fn open(
        key: &[u8; KEY_BYTES],
        associated: &[u8],
        buffer: &mut [u8],
        tag: &[u8; TAG_BYTES],
    ) -> Result<(), Altered> {
        schedule(key)
            .open_in_place_separate_tag(nonce(), Aad::from(associated), tag, buffer)
            .map(|_| ())
            .map_err(|_| Altered)
    }
}
