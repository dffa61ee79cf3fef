//! How well-kept primitives are bound together. No primitive is written here.

pub mod aead;
pub mod hpke;
mod kdf;
pub mod keys;
pub mod labels;
pub mod password;
#[cfg(feature = "record")]
pub mod record;
pub mod seal;
pub mod sharing;
pub mod sign;
