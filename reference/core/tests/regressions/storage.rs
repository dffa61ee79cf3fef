//! What storage accepts it keeps (BAK-2c).

use bailee_core::crypto::labels;
use bailee_core::crypto::sign::Signing;
use bailee_core::machine::{Peer, Timer};
use bailee_core::roles::storage::Storage;
use bailee_core::wire::{Blob, Body, CapabilityBody, Decision, LogEntry};
use bailee_spec::observation::Standing;
use bailee_spec::outcome::Refusal;

use crate::common::{Desk, b32, marked, said, signed};

const TENANT: &str = "tenant";

fn authority() -> Signing {
    Signing::from_seed(&[1; 32])
}

fn storage() -> Desk<Storage> {
    Desk::new(Storage::new(authority().public()), 31, &marked())
}

/// Leave to append to the archive of one user, or to read it.
fn leave(user: &str, read: bool) -> (Blob, Blob) {
    let (tenant, user) = (TENANT.into(), user.into());
    let body = CapabilityBody { tenant, user, device: b32(2), epoch: 1, expiry: u64::MAX, read };
    signed(&authority(), labels::SIGN_CAPABILITY, &body)
}

fn append(desk: &mut Desk<Storage>, user: &str, block: &[u8]) {
    let (capability, signature) = leave(user, false);
    let body = Body::Append { capability, signature, block: block.to_vec().into() };
    desk.accepts(&Peer::Device(b32(2)), body, "an append");
}

/// The whole archive, as its device fetches it.
fn lengths(desk: &mut Desk<Storage>, user: &str) -> Vec<usize> {
    let (mut lengths, mut from) = (Vec::new(), 0);
    loop {
        let (capability, signature) = leave(user, true);
        let fetched = desk.say(&Peer::Device(b32(2)), Body::Fetch { capability, signature, from });
        if fetched.verdict == Err(Refusal::NothingStored) {
            return Vec::new();
        }
        let Body::Blocks { blocks, next } = said(&fetched) else { panic!("no blocks: {fetched:?}") };
        lengths.extend(blocks.iter().map(|block| block.len()));
        match next {
            Some(next) => from = next,
            None => return lengths,
        }
    }
}

/// An archive may be larger than the largest record.
#[test]
fn a_large_archive_does_not_forget_its_beginning() {
    let mut desk = storage();
    let large = vec![7; 6 << 20];
    for _ in 0..3 {
        append(&mut desk, "user", &large);
    }
    append(&mut desk, "user", b"last");
    assert_eq!(lengths(&mut desk, "user"), [6 << 20, 6 << 20, 6 << 20, 4]);
}

#[test]
fn a_purge_takes_the_whole_archive_and_no_other() {
    let mut desk = storage();
    for _ in 0..3 {
        append(&mut desk, "user", b"block");
        append(&mut desk, "user-2", b"block");
    }
    let decision = Decision::Standing(Standing::Purged as u8);
    let entries = vec![LogEntry { tenant: TENANT.into(), user: "user".into(), decision }];
    let publish = Body::Publish { from: 0, entries, epoch: 1, head: 1, lease: None };
    desk.accepts(&Peer::Authority, publish, "a purge");
    assert!(lengths(&mut desk, "user").is_empty());
    // The blocks themselves are swept a few at a time, by the steps after it.
    let _ = desk.fire(&Timer::Started);
    assert_eq!(lengths(&mut desk, "user-2"), [5; 3]);
    let left = desk.saved().iter().filter(|(_, record)| &record[..] == b"block").count();
    assert_eq!(left, 3, "the blocks themselves are gone too");
}
