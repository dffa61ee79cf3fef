//! What a process that may not lock memory is told. In a process of its own: the limit binds all of it, and what it was once
//! refused is said from then on.
#![cfg(target_os = "linux")]

use bailee_secret::{Protection, Secret, Weakness, protection};
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

/// Gives up the privilege that the limit does not bind (CAP_IPC_LOCK), for the calling thread.
fn become_ordinary() {
    let mut sets = capabilities(None).expect("the kernel answers");
    sets.effective.remove(CapabilitySet::IPC_LOCK);
    set_capabilities(None, sets).expect("a privilege can always be given up");
}

#[test]
fn a_refusal_to_lock_is_said_with_its_reason_and_secrets_still_work() {
    become_ordinary();
    setrlimit(Resource::Memlock, Rlimit { current: Some(64 * 1024), maximum: Some(64 * 1024) })
        .expect("it is lowered");
    assert_eq!(protection(), Protection::Locked, "nothing was refused before there was a secret");
    let first = Secret::<32>::take(&mut [1; 32]);
    assert_eq!(protection(), Protection::Locked, "one region is within the limit");
    // A size of its own needs a region of its own, and the limit is one.
    let second = Secret::<1024>::take(&mut [2; 1024]);
    assert_eq!(protection(), Protection::Unlocked(Weakness::LimitReached));
    let said = protection().to_string();
    assert!(said.contains("swap") && said.contains("RLIMIT_MEMLOCK is reached"), "{said}");
    assert_eq!((first.expose(), second.expose()), (&[1; 32], &[2; 1024]));
    // The first reason stays, whatever follows.
    setrlimit(Resource::Memlock, Rlimit { current: Some(0), maximum: Some(0) }).expect("it is lowered");
    let _third = Secret::<4096>::take(&mut [3; 4096]);
    assert_eq!(protection(), Protection::Unlocked(Weakness::LimitReached));
}
