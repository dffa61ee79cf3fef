//! What a process that may lock nothing at all is told. In a process of its own: the limit binds all of it.
#![cfg(target_os = "linux")]

use bailee_secret::{Protection, Secret, Weakness, protection};
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

#[test]
fn no_leave_to_lock_is_said_as_such() {
    let mut sets = capabilities(None).expect("the kernel answers");
    sets.effective.remove(CapabilitySet::IPC_LOCK);
    set_capabilities(None, sets).expect("a privilege can always be given up");
    setrlimit(Resource::Memlock, Rlimit { current: Some(0), maximum: Some(0) }).expect("it is lowered");
    let secret = Secret::<32>::take(&mut [1; 32]);
    assert_eq!(protection(), Protection::Unlocked(Weakness::NotPermitted));
    assert!(protection().to_string().contains("RLIMIT_MEMLOCK is 0"));
    assert_eq!(secret.expose(), &[1; 32]);
}
