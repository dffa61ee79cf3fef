//! The interleavings of two threads or three, by loom: all with at most three preemptions. Faults are planted, and
//! the same tests are seen to find them.

mod ahead;
mod board;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;

/// Runs the threads of a test in each of the interleavings.
fn check(test: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(test);
}

/// What a test says that is to fail.
fn said(test: impl FnOnce()) -> String {
    let Err(panic) = catch_unwind(AssertUnwindSafe(test)) else {
        panic!("it passed: the test shows nothing");
    };
    panic
        .downcast_ref::<String>()
        .cloned()
        .or(panic.downcast_ref::<&str>().map(ToString::to_string))
        .unwrap_or_default()
}

/// Fails unless every thread waits for ever in some interleaving of a test. Loom ends the process then: it is one of its own, that
/// runs nothing but the test of this name, which called this.
fn waits_for_ever(name: &str, test: impl FnOnce()) {
    const INSIDE: &str = "BAILEE_WAITS_FOR_EVER";
    if std::env::var_os(INSIDE).is_some() {
        return test();
    }
    let mut alone = Command::new(std::env::current_exe().expect("a test is a program"));
    let output = alone.args(["--exact", name, "--nocapture"]).env(INSIDE, "1").output().expect("it can be run again");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("deadlock"), "{}: {said}", output.status);
}
