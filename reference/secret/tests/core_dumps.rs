//! In a process of its own, as the switch cannot be taken back.
#![cfg(target_os = "linux")]

#[test]
fn after_the_switch_the_process_is_not_dumpable() {
    use rustix::process::{DumpableBehavior, Resource, dumpable_behavior, getrlimit};
    let before = dumpable_behavior().expect("the kernel answers");
    assert_ne!(
        before,
        DumpableBehavior::NotDumpable,
        "else the test shows nothing"
    );
    bailee_secret::disable_core_dumps().expect("Linux has the call");
    let after = dumpable_behavior().expect("the kernel answers");
    assert_eq!(after, DumpableBehavior::NotDumpable);
    assert_eq!(getrlimit(Resource::Core).current, Some(0));
}
