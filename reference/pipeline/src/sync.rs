//! The synchronisation that is used, from the standard library or from loom.

#[cfg(loom)]
pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
#[cfg(not(loom))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};

/// Runs `other` on so many threads beside `own`, and waits for all of them.
#[cfg(not(loom))]
pub(crate) fn scope(others: usize, other: impl Fn() + Sync, own: impl FnOnce()) {
    std::thread::scope(|scope| {
        for _ in 0..others {
            scope.spawn(&other);
        }
        own();
    });
}

/// Loom has no scoped threads: its tests make their own.
#[cfg(loom)]
pub(crate) fn scope(_: usize, _: impl Fn() + Sync, own: impl FnOnce()) {
    own();
}

/// A thread that panics ends the run by its guard, so that nothing which it left half done is used.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

pub(crate) fn wait<'a, T>(changed: &Condvar, held: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    changed.wait(held).unwrap_or_else(|poisoned| poisoned.into_inner())
}

pub(crate) fn into_inner<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner())
}
