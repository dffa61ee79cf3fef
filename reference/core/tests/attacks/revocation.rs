//! Publications and confirmations that are old, doubled or lost (REV-2, REV-2d, REV-2e, REV-3).

use bailee_core::crypto::labels;
use bailee_core::machine::{Peer, Timer};
use bailee_core::roles::authority;
use bailee_core::roles::mark::Mark;
use bailee_core::wire::{B32, Blob, Body, CapabilityBody};
use bailee_spec::action::Point;
use bailee_spec::limits::VALIDITY_SECONDS;
use bailee_spec::outcome::Refusal;

use crate::common::{Flight, House, admin, b32, sent, signed, user};

const ANNS: &[(&str, &str)] = &[("t", "ann"), ("t", "ann")];

fn publish(epoch: u64, lease: Option<u64>) -> Body {
    Body::Publish { from: 0, entries: Vec::new(), epoch, head: 0, lease }
}

fn deauthorize(house: &House, device: usize) -> Body {
    Body::Deauthorize { tenant: "t".into(), user: "ann".into(), device: house.id_of(device) }
}

fn acknowledged(house: &mut House) -> u64 {
    house.authority.peek(authority::epochs).acknowledged
}

/// Leave to append that the authority gave at an epoch.
fn capability(house: &House, device: B32, epoch: u64) -> (Blob, Blob) {
    let (tenant, user) = ("t".into(), "ann".into());
    let body = CapabilityBody { tenant, user, device, epoch, expiry: u64::MAX, read: false };
    signed(&house.authority_key, labels::SIGN_CAPABILITY, &body)
}

fn append(house: &House, epoch: u64) -> Body {
    let (capability, signature) = capability(house, b32(2), epoch);
    Body::Append { capability, signature, block: b"block".to_vec().into() }
}

/// (c): a publication of an older epoch takes neither mark nor lease back, and gives no longer lease either.
#[test]
fn an_older_publication_changes_nothing_at_the_point() {
    let mut house = House::new(1, ANNS);
    let (old, new) = (append(&house, 1), append(&house, 2));
    let storage = &mut house.storage;
    storage.accepts(&Peer::Authority, publish(2, Some(900)), "news");
    let device = Peer::Device(b32(2));
    for late in [publish(1, Some(5_000)), publish(1, None), publish(0, Some(9_000))] {
        let confirmed = storage.gives(&Peer::Authority, late, "it is confirmed for what is stored");
        assert_eq!(sent(&confirmed, &Peer::Authority).body, Body::Confirm { index: 0, epoch: 2 });
        assert_eq!(storage.peek(Mark::of), Mark { epoch: 2, index: 0, lease: 900 });
        storage.refuses(&device, old.clone(), Refusal::CapabilityInvalid, "an overtaken capability");
    }
    storage.accepts(&Peer::Authority, publish(2, Some(700)), "an overtaken renewal");
    assert_eq!(storage.peek(Mark::of).lease, 900, "a lease that was given is not shortened by an overtaken one");
    storage.now = 900;
    storage.accepts(&device, new.clone(), "in the last second of the lease");
    storage.now = 901;
    storage.refuses(&device, new, Refusal::LeaseExpired, "after it");
}

/// (c): what was confirmed for one epoch does not acknowledge the next.
#[test]
fn a_late_confirmation_acknowledges_what_it_names_and_no_more() {
    let mut house = House::new(1, ANNS);
    house.enrol(0);
    house.enrol(1);
    house.publish_all();
    let first = deauthorize(&house, 0);
    house.must(&admin("t", "boss"), Peer::Authority, first);
    house.publish(Point::Keystore);
    house.publish(Point::Restorer);
    let told = house.authority.fire(&Timer::Publish(Point::Storage));
    house.put(&Peer::Authority, 0, told).unwrap();
    let late = house.run_to("Confirm");
    assert_eq!(acknowledged(&mut house), 0);
    let second = deauthorize(&house, 1);
    house.must(&admin("t", "boss"), Peer::Authority, second);
    house.publish(Point::Keystore);
    house.publish(Point::Restorer);
    house.deliver(late.clone()).unwrap();
    assert_eq!(acknowledged(&mut house), 0, "storage has not heard of the second");
    house.wire.clear();
    let _ = house.deliver(late);
    assert_eq!(acknowledged(&mut house), 0, "a second copy says no more");
    house.publish(Point::Storage);
    assert_eq!(acknowledged(&mut house), 2);
}

/// REV-2f: a confirmation of what was never said is refused.
#[test]
fn a_confirmation_from_the_future_is_refused() {
    let mut house = House::new(1, ANNS);
    for (index, epoch) in [(1, 0), (0, 1), (u64::MAX, u64::MAX)] {
        let body = Body::Confirm { index, epoch };
        house.authority.refuses(&Peer::Storage, body, Refusal::StoreRolledBack, "nothing of it was told");
    }
    house.authority.accepts(&Peer::Storage, Body::Confirm { index: 0, epoch: 0 }, "what it knows");
}

/// (b): the lease that a point has is never longer than the one that the authority has written, whichever frames are lost.
#[test]
fn a_lost_confirmation_leaves_no_lease_that_the_authority_does_not_know() {
    let mut house = House::new(1, ANNS);
    house.enrol(0);
    house.publish_all();
    house.set_clocks(300);
    let told = house.authority.fire(&Timer::Publish(Point::Storage));
    house.put(&Peer::Authority, 0, told).unwrap();
    let news = house.run_to("Publish");
    assert!(matches!(news.frame.body, Body::Publish { lease: Some(900), .. }), "{news:?}");
    house.deliver(news).unwrap();
    house.wire.clear();
    let revoked = deauthorize(&house, 0);
    let leave = capability(&house, house.id_of(0), 0);
    house.must(&admin("t", "boss"), Peer::Authority, revoked);
    house.publish(Point::Keystore);
    house.publish(Point::Restorer);
    let device = house.peer_of(0);
    let append = || {
        let (capability, signature) = leave.clone();
        Body::Append { capability, signature, block: b"block".to_vec().into() }
    };
    for now in [601, 900] {
        house.set_clocks(now);
        house.publish(Point::Keystore);
        assert_eq!(acknowledged(&mut house), 0, "storage still admits at {now}");
        house.storage.accepts(&device, append(), "within the lease");
    }
    house.set_clocks(901);
    house.publish(Point::Keystore);
    assert_eq!(acknowledged(&mut house), 1);
    house.storage.refuses(&device, append(), Refusal::LeaseExpired, "after the acknowledgement");
}

/// REV-2: a publication with a gap before it is not followed, and its answer says where to go on.
#[test]
fn entries_that_are_missing_are_asked_for_and_not_skipped() {
    let mut house = House::new(1, ANNS);
    let purge = Body::Publish { from: 3, entries: Vec::new(), epoch: 4, head: 3, lease: Some(VALIDITY_SECONDS * 2) };
    let saved = house.storage.saved();
    let answer = house.storage.gives(&Peer::Authority, purge, "a gap");
    assert_eq!(sent(&answer, &Peer::Authority).body, Body::Confirm { index: 0, epoch: 0 });
    assert!(house.storage.saved().same(&saved));
}

/// DEA-3, REV-2: a purge that comes in a part of the log, before the epoch of its revocations, purges for good.
#[test]
fn nothing_is_appended_to_an_archive_that_was_purged_in_parts() {
    use bailee_core::roles::storage::extent;
    use bailee_core::wire::StandingChange::{Deactivate, Purge, Resume, Suspend};
    let mut house = House::new(1, &[("t", "ann"), ("t", "bob")]);
    house.enrol(0);
    let (capability, signature) = capability(&house, house.id_of(0), 0);
    house.publish_all();
    let set = |house: &mut House, user: &str, change| {
        let body = Body::SetStanding { tenant: "t".into(), user: user.into(), change };
        house.must(&admin("t", "boss"), Peer::Authority, body);
    };
    [Deactivate, Purge].into_iter().for_each(|change| set(&mut house, "ann", change));
    for _ in 0..bailee_spec::limits::PUBLISH_ENTRIES {
        [Suspend, Resume].into_iter().for_each(|change| set(&mut house, "bob", change));
    }
    let told = house.authority.fire(&Timer::Publish(Point::Storage));
    house.put(&Peer::Authority, 0, told).unwrap();
    let part = house.run_to("Publish");
    house.deliver(part).unwrap();
    assert_eq!(house.storage.peek(Mark::of).epoch, 0, "the epoch comes with the last part");
    let device = house.peer_of(0);
    let append = Body::Append { capability, signature, block: b"block".to_vec().into() };
    house.storage.refuses(&device, append, Refusal::CapabilityInvalid, "after the purge");
    house.run();
    let (first, end) = house.storage.peek(|step| extent(step, "t", "ann"));
    assert_eq!(first, end, "nothing is kept of a purged user");
}

/// DEA-3, REV-2: an archive that is purged in one publication stays empty, although its device still holds leave to append.
#[test]
fn nothing_is_appended_to_a_purged_archive() {
    let mut house = House::new(1, ANNS);
    house.enrol(0);
    let leave = capability(&house, house.id_of(0), 0);
    house.publish_all();
    use bailee_core::wire::StandingChange::{Deactivate, Purge};
    for change in [Deactivate, Purge] {
        let body = Body::SetStanding { tenant: "t".into(), user: "ann".into(), change };
        house.must(&admin("t", "boss"), Peer::Authority, body);
    }
    house.publish(Point::Storage);
    let device = house.peer_of(0);
    let (capability, signature) = leave;
    let append = Body::Append { capability, signature, block: b"block".to_vec().into() };
    house.storage.refuses(&device, append, Refusal::CapabilityInvalid, "after the purge");
}

/// REV-4: nobody but the authority wipes a device, and an order for one identity is none for another.
#[test]
fn a_device_obeys_its_own_order_to_erase_and_no_other() {
    let mut house = House::new(1, ANNS);
    house.enrol(0);
    house.enrol(1);
    let order = |signer: &bailee_core::crypto::sign::Signing, id: B32| Body::Erase {
        signature: signer.sign(labels::SIGN_WIPE, &id[..]).into(),
    };
    let (own, other) = (house.id_of(0), house.id_of(1));
    let (by_keystore, for_other) = (order(&house.keystore_key, own), order(&house.authority_key, other));
    let device = &mut house.devices[0];
    device.refuses(&Peer::Authority, by_keystore, Refusal::BadSignature, "signed by the keystore");
    device.refuses(&Peer::Authority, for_other, Refusal::BadSignature, "another device's order");
    let wipe = order(&house.authority_key, own);
    let flight =
        Flight { from: Peer::Authority, to: Peer::Client, client: 0, frame: crate::common::Says::frame(wipe) };
    house.deliver(flight.clone()).unwrap();
    assert!(house.devices[0].saved().is_empty());
    // The same user enrols the same machine again: the old order is void for its new identity.
    house.enrol(0);
    assert_eq!(house.deliver(flight), Err(Refusal::BadSignature));
    assert!(house.key_of(0).is_some());
    let _ = user("t", "ann");
}
