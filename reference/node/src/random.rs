//! Randomness of the system. No option of a shipped command sets what an archive is written with.

use bailee_archive::MachineId;
use bailee_core::crypto::keys::ArchiveKey;
use bailee_secret::Secret;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use zeroize::Zeroizing;

/// A generator that the system seeded.
///
/// # Errors
/// The system has no randomness.
pub(crate) fn generator() -> Result<ChaCha20Rng, getrandom::Error> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *seed)?;
    Ok(ChaCha20Rng::from_seed(*seed))
}

/// Makes sure that the system has randomness, before an archive is written: its source does not fail once it did not.
///
/// # Errors
/// The system has no randomness.
pub(crate) fn works() -> Result<(), getrandom::Error> {
    getrandom::fill(&mut [0; 1])
}

/// A fresh archive key, straight from the system: no generator's state can give it away.
///
/// # Errors
/// The system has no randomness.
pub(crate) fn archive_key() -> Result<ArchiveKey, getrandom::Error> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *bytes)?;
    Ok(Secret::take(&mut bytes))
}

/// The id of a machine.
///
/// # Errors
/// The system has no randomness.
pub(crate) fn machine() -> Result<MachineId, getrandom::Error> {
    let mut machine = MachineId([0; 16]);
    getrandom::fill(&mut machine.0)?;
    Ok(machine)
}
