//! The seal gate: no key is released after the seal returned (CER-7a).
//!
//! A keystore node answers many requests at once, and an operator may seal it at any moment. [`SealGate`] holds the keys
//! that a sealed node must not have, and is the only way to them:
//!
//! * [`SealGate::release`] lends the keys to a closure and refuses when sealed;
//! * [`SealGate::seal`] waits for the closures that are running, drops the keys (a secret is wiped by that) and returns.
//!
//! So when `seal` has returned, no release is in progress, none can start, and the keys are gone. The proof is a loom
//! test: it runs every interleaving of a sealing and a releasing thread, and finds the fault in a gate that only looks
//! at a flag before it releases. `RUSTFLAGS="--cfg loom" cargo test --release -p bailee-gate --target-dir target/loom`.
//!
//! No dependencies (loom under its own `cfg`).

mod sync;

#[cfg(all(test, loom))]
mod interleavings;

use std::fmt;
use std::sync::PoisonError;

use sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The refusal of a sealed gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed;

impl fmt::Display for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sealed")
    }
}

impl std::error::Error for Sealed {}

/// Keys that exist only while the gate is open. A new gate is sealed, as every node is at its start.
pub struct SealGate<K> {
    keys: RwLock<Option<K>>,
}

impl<K> SealGate<K> {
    /// A sealed gate.
    #[must_use]
    pub fn new() -> Self {
        SealGate { keys: RwLock::new(None) }
    }

    /// Opens the gate with these keys. Keys of an earlier opening are dropped, once nothing uses them.
    pub fn unseal(&self, keys: K) {
        *self.write() = Some(keys);
    }

    /// Closes the gate: waits for the releases in progress, then drops the keys. Sealing twice is sealing once.
    ///
    /// Must not be called from within a release, which it would wait for.
    pub fn seal(&self) {
        *self.write() = None;
    }

    /// Runs `with` on the keys, and holds every seal off until it returns. Releases run side by side.
    ///
    /// `with` is to be short and must not come back to this gate: a seal that waits between the two would block both.
    /// What it answers must hold no key that outlives the seal; that is the caller's promise, and the reason why the
    /// roles seal what they release to its recipient *inside* the closure.
    ///
    /// # Errors
    /// [`Sealed`]; `with` has not run then.
    pub fn release<T>(&self, with: impl FnOnce(&K) -> T) -> Result<T, Sealed> {
        match &*self.read() {
            Some(keys) => Ok(with(keys)),
            None => Err(Sealed),
        }
    }

    /// Whether the gate is sealed at this moment. Only `true` after one's own `seal` stays true; to act on `false`, use
    /// [`SealGate::release`].
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.read().is_none()
    }

    /// A poisoned lock is as good as another: a panic inside `release` only read, and one in the `Drop` of keys still
    /// leaves the assignment that dropped them done.
    fn read(&self) -> RwLockReadGuard<'_, Option<K>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Option<K>> {
        self.keys.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K> Default for SealGate<K> {
    fn default() -> Self {
        SealGate::new()
    }
}

/// Shows the state, never the keys.
impl<K> fmt::Debug for SealGate<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_sealed() { "SealGate(sealed)" } else { "SealGate(open)" })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn a_gate_starts_sealed_and_follows_seal_and_unseal() {
        let gate = SealGate::new();
        assert_eq!(gate.release(|key: &u8| *key), Err(Sealed));
        gate.unseal(7);
        assert_eq!(gate.release(|key| *key), Ok(7));
        gate.unseal(8);
        assert_eq!(gate.release(|key| *key), Ok(8));
        gate.seal();
        gate.seal();
        assert_eq!(gate.release(|key| *key), Err(Sealed));
        assert!(gate.is_sealed());
    }

    struct Tells(Arc<AtomicBool>);

    impl Drop for Tells {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    /// CER-7a.
    #[test]
    fn the_keys_are_dropped_when_seal_returns() {
        let dropped = Arc::new(AtomicBool::new(false));
        let gate = SealGate::new();
        gate.unseal(Tells(dropped.clone()));
        assert!(!dropped.load(Ordering::SeqCst));
        gate.seal();
        assert!(dropped.load(Ordering::SeqCst));
    }

    #[test]
    fn a_panic_inside_a_release_leaves_a_gate_that_can_be_sealed() {
        let gate = SealGate::new();
        gate.unseal(1u8);
        let panicked = catch_unwind(AssertUnwindSafe(|| gate.release(|_| panic!("in the closure"))));
        assert!(panicked.is_err());
        assert_eq!(gate.release(|key| *key), Ok(1));
        gate.seal();
        assert!(gate.is_sealed());
    }

    #[test]
    fn debug_shows_no_key() {
        let gate = SealGate::new();
        assert_eq!(format!("{gate:?}"), "SealGate(sealed)");
        gate.unseal("the key");
        assert_eq!(format!("{gate:?}"), "SealGate(open)");
    }
}
