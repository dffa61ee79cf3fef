//! What was sealed under which one-time key, taken down for a test of C54. A shipped build has no feature `record`, and so
//! neither this module nor the call to it.
//!
//! The record is of the whole process: [`Recording::start`] waits for another recording to end, and whatever any thread seals
//! meanwhile is in it. While nobody records, a seal costs one load of a flag more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

use super::aead::KEY_BYTES;

/// The nonce of every seal.
const NONCE: [u8; 12] = [0; 12];

/// One seal, as digests: neither key nor message is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Use {
    /// SHA-256(key ‖ nonce).
    pub key_and_nonce: [u8; 32],
    /// SHA-256(length of the associated data, 8 bytes ‖ associated data ‖ message).
    pub sealed: [u8; 32],
}

static RECORDING: AtomicBool = AtomicBool::new(false);
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
static USES: Mutex<Vec<Use>> = Mutex::new(Vec::new());

/// A test that failed while it recorded leaves whole values behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn note(key: &[u8; KEY_BYTES], associated: &[u8], message: &[u8]) {
    if !RECORDING.load(Ordering::Acquire) {
        return;
    }
    let sealed = Sha256::new()
        .chain_update((associated.len() as u64).to_be_bytes())
        .chain_update(associated)
        .chain_update(message)
        .finalize();
    let key_and_nonce = Sha256::new().chain_update(key).chain_update(NONCE).finalize();
    lock(&USES).push(Use { key_and_nonce: key_and_nonce.into(), sealed: sealed.into() });
}

/// A recording under way. Dropped, it ends and forgets.
#[must_use = "nothing is recorded once this is dropped"]
pub struct Recording {
    _only: MutexGuard<'static, ()>,
}

impl Recording {
    /// Takes down every seal of this process from now on.
    pub fn start() -> Self {
        let only = lock(&ONE_AT_A_TIME);
        lock(&USES).clear();
        RECORDING.store(true, Ordering::Release);
        Recording { _only: only }
    }

    /// What was sealed since the start, or since it was last asked.
    pub fn take(&self) -> Vec<Use> {
        std::mem::take(&mut *lock(&USES))
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        RECORDING.store(false, Ordering::Release);
        lock(&USES).clear();
    }
}
