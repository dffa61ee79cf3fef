//! In a process of its own, as the switch cannot be taken back.
#![cfg(target_os = "linux")]

use rustix::process::{DumpableBehavior, dumpable_behavior};

#[test]
fn after_the_switch_the_process_is_not_dumpable() {
    let before = dumpable_behavior().expect("the kernel answers");
    assert_ne!(before, DumpableBehavior::NotDumpable, "else the test shows nothing");
    bailee_secret::disable_core_dumps().expect("Linux has the call");
    assert_eq!(dumpable_behavior().ok(), Some(DumpableBehavior::NotDumpable));
}
