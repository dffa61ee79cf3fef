//! RustCrypto's `aes-gcm`: Rust alone, hardware instructions where they are.

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};

use super::{Altered, KEY_BYTES, OneTimeAead, TAG_BYTES};

/// `aes-gcm`, on every machine.
#[derive(Clone, Copy, Debug)]
pub struct Portable;

impl OneTimeAead for Portable {
    const NAME: &'static str = "aes-gcm";

    fn seal(key: &[u8; KEY_BYTES], associated: &[u8], buffer: &mut [u8]) -> [u8; TAG_BYTES] {
        match Aes256Gcm::new(key.into()).encrypt_inout_detached(&Nonce::default(), associated, buffer.into()) {
            Ok(tag) => tag.into(),
            Err(_) => unreachable!("a message is far below the 64 GiB of AES-GCM"),
        }
    }

    fn open(
        key: &[u8; KEY_BYTES],
        associated: &[u8],
        buffer: &mut [u8],
        tag: &[u8; TAG_BYTES],
    ) -> Result<(), Altered> {
        Aes256Gcm::new(key.into())
            .decrypt_inout_detached(&Nonce::default(), associated, buffer.into(), tag.into())
            .map_err(|_| Altered)
    }
}
