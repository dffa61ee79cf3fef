//! Every interleaving of sealing and releasing threads, by loom.

use std::panic::catch_unwind;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread;

use crate::SealGate;

/// What the test needs of a gate, so that the broken one is tried by the same test.
trait Gate: Send + Sync + 'static {
    fn open() -> Self;
    fn seal(&self);
    /// Runs the closure if the gate is open.
    fn release(&self, with: impl FnOnce());
}

impl Gate for SealGate<()> {
    fn open() -> Self {
        let gate = SealGate::new();
        gate.unseal(());
        gate
    }

    fn seal(&self) {
        SealGate::seal(self);
    }

    fn release(&self, with: impl FnOnce()) {
        let _ = SealGate::release(self, |()| with());
    }
}

/// The tempting shortcut: a flag, looked at before the release and not held during it.
struct FlagOnly {
    sealed: AtomicBool,
}

impl Gate for FlagOnly {
    fn open() -> Self {
        FlagOnly { sealed: AtomicBool::new(false) }
    }

    fn seal(&self) {
        self.sealed.store(true, Ordering::SeqCst);
    }

    fn release(&self, with: impl FnOnce()) {
        if !self.sealed.load(Ordering::SeqCst) {
            with();
        }
    }
}

/// After `seal` returned, no release is in progress and none starts, with this many releasing threads.
fn nothing_is_released_after_the_seal<G: Gate>(releasing: usize) {
    loom::model(move || {
        let gate = Arc::new(G::open());
        let seal_returned = Arc::new(AtomicBool::new(false));
        let threads: Vec<_> = (0..releasing)
            .map(|_| {
                let (gate, seal_returned) = (gate.clone(), seal_returned.clone());
                thread::spawn(move || {
                    gate.release(|| {
                        assert!(!seal_returned.load(Ordering::SeqCst), "a release runs after the seal returned");
                        thread::yield_now();
                        assert!(!seal_returned.load(Ordering::SeqCst), "the seal returned during a release");
                    });
                })
            })
            .collect();
        gate.seal();
        seal_returned.store(true, Ordering::SeqCst);
        gate.release(|| panic!("the sealing thread released after its own seal"));
        for thread in threads {
            thread.join().expect("a releasing thread failed");
        }
    });
}

#[test]
fn the_gate_releases_nothing_after_the_seal() {
    nothing_is_released_after_the_seal::<SealGate<()>>(1);
    nothing_is_released_after_the_seal::<SealGate<()>>(2);
}

#[test]
fn loom_finds_the_fault_of_a_gate_that_only_looks_at_a_flag() {
    let found = catch_unwind(|| nothing_is_released_after_the_seal::<FlagOnly>(1));
    assert!(found.is_err(), "the broken gate passed: the test shows nothing");
}

/// Both orders do happen: the test above does not pass because no release ever ran.
#[test]
fn some_interleaving_releases_and_some_refuses() {
    let released = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let refused = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let (seen_released, seen_refused) = (released.clone(), refused.clone());
    loom::model(move || {
        let gate = Arc::new(SealGate::<()>::open());
        let runs = Arc::new(AtomicUsize::new(0));
        let thread = {
            let (gate, runs) = (gate.clone(), runs.clone());
            thread::spawn(move || {
                Gate::release(&*gate, || {
                    runs.fetch_add(1, Ordering::SeqCst);
                });
            })
        };
        Gate::seal(&*gate);
        thread.join().expect("no panic");
        let counter = if runs.load(Ordering::SeqCst) == 1 { &seen_released } else { &seen_refused };
        counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    });
    assert!(released.load(std::sync::atomic::Ordering::SeqCst) > 0);
    assert!(refused.load(std::sync::atomic::Ordering::SeqCst) > 0);
}

/// The keys are gone, and dropped on no thread but after the last release that saw them.
#[test]
fn the_keys_outlive_every_release_and_not_the_seal() {
    struct Keys(Arc<AtomicBool>);
    impl Drop for Keys {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    loom::model(|| {
        let dropped = Arc::new(AtomicBool::new(false));
        let gate = Arc::new(SealGate::new());
        gate.unseal(Keys(dropped.clone()));
        let thread = {
            let gate = gate.clone();
            thread::spawn(move || {
                let _ = gate.release(|keys: &Keys| {
                    assert!(!keys.0.load(Ordering::SeqCst), "keys dropped under a release");
                });
            })
        };
        gate.seal();
        assert!(dropped.load(Ordering::SeqCst), "keys alive after the seal");
        thread.join().expect("no panic");
    });
}
