//! Passwords: Argon2id (RFC 9106, rule GEN-29), with its cost as a value.

use argon2::{Algorithm, Argon2, Params, Version};
use subtle::ConstantTimeEq;

/// The most that a record may ask for: a forged one must not take the machine.
const MOST: Cost = Cost { memory: 1024 * 1024, passes: 16 };

/// Memory in KiB, and passes. One lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB, at least 8.
    pub memory: u32,
    /// Passes, at least 1.
    pub passes: u32,
}

impl Cost {
    /// What a service uses: 19 MiB, two passes.
    pub const PRODUCTION: Cost = Cost { memory: 19 * 1024, passes: 2 };
    /// The least that Argon2 allows: for tests, which say so in their output.
    pub const TEST: Cost = Cost { memory: 8, passes: 1 };
}

const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

fn hash_with(cost: Cost, salt: &[u8], password: &[u8]) -> Option<[u8; HASH_BYTES]> {
    if cost.memory > MOST.memory || cost.passes > MOST.passes {
        return None;
    }
    let params = Params::new(cost.memory, cost.passes, 1, Some(HASH_BYTES)).ok()?;
    let mut out = [0; HASH_BYTES];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(password, salt, &mut out).ok()?;
    Some(out)
}

/// The record of a password: cost (8 bytes), salt (16 bytes), hash (32 bytes).
pub fn record(cost: Cost, salt: [u8; SALT_BYTES], password: &[u8]) -> Vec<u8> {
    let hash = hash_with(cost, &salt, password).unwrap_or_else(|| unreachable!("the costs above are valid"));
    [&cost.memory.to_be_bytes()[..], &cost.passes.to_be_bytes(), &salt, &hash].concat()
}

/// A record that nothing matches and that costs what a service's record costs: whoever asks for a user that does not exist
/// waits as long as for one that does (ENR-2a).
pub fn decoy() -> Vec<u8> {
    let Cost { memory, passes } = Cost::PRODUCTION;
    [&memory.to_be_bytes()[..], &passes.to_be_bytes(), &[0; SALT_BYTES], &[0; HASH_BYTES]].concat()
}

/// Whether the password is the recorded one. Compares in constant time.
pub fn matches(record: &[u8], password: &[u8]) -> bool {
    let parts = || {
        let (memory, rest) = record.split_first_chunk::<4>()?;
        let (passes, rest) = rest.split_first_chunk::<4>()?;
        let (salt, hash) = rest.split_first_chunk::<SALT_BYTES>()?;
        let cost = Cost { memory: u32::from_be_bytes(*memory), passes: u32::from_be_bytes(*passes) };
        Some((hash_with(cost, salt, password)?, hash))
    };
    parts().is_some_and(|(computed, hash)| bool::from(computed.as_slice().ct_eq(hash)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GEN-29.
    #[test]
    fn only_the_password_matches() {
        let record = record(Cost::TEST, [1; 16], b"correct horse");
        assert!(matches(&record, b"correct horse"));
        assert!(!matches(&record, b"Correct horse"));
        assert!(!matches(&record[..55], b"correct horse"));
        assert!(!matches(&decoy(), b"correct horse"));
        let mut greedy = record.clone();
        greedy[..4].copy_from_slice(&u32::MAX.to_be_bytes());
        assert!(!matches(&greedy, b"correct horse"), "four terabytes were asked for");
    }
}
