//! A user with many former devices: the limit and a deactivation are about those that are not deauthorized (ENR-4c, DEA-1).

use bailee_core::crypto::hpke::Recipient;
use bailee_core::crypto::labels;
use bailee_core::crypto::sign::Signing;
use bailee_core::machine::Peer;
use bailee_core::roles::authority;
use bailee_core::roles::signed::add_proof;
use bailee_core::wire::{B32, Body, StandingChange};
use bailee_spec::limits::DEVICES_PER_USER;
use bailee_spec::outcome::Refusal;

use crate::common::{House, admin, sent, user};

/// Device keys of a test, in the order of their ids.
fn keys(count: usize) -> Vec<Signing> {
    let mut keys: Vec<_> = (0..count).map(|seed| Signing::from_seed(&[100 + seed as u8; 32])).collect();
    keys.sort_by_key(Signing::public);
    keys
}

fn session(house: &mut House) -> B32 {
    let body = Body::SignIn { tenant: "t".into(), user: "ann".into(), password: b"ann".to_vec().into() };
    sent(&house.authority.say(&Peer::Client, body), &Peer::Client).exchange.unwrap()
}

fn add(session: B32, device: &Signing) -> (B32, Body) {
    let recipient = B32::from(Recipient::from_seed(&[5; 32]).public());
    let proof = device.sign(labels::SIGN_ADD_DEVICE, &add_proof(&session, &recipient)).into();
    (session, Body::AddDevice { device: device.public().into(), recipient, proof })
}

fn deauthorize(device: &Signing) -> Body {
    Body::Deauthorize { tenant: "t".into(), user: "ann".into(), device: device.public().into() }
}

/// A user who has had more devices than the limit, and deauthorized the first ones, in the order of their ids.
fn with_former_devices() -> (House, Vec<Signing>, B32) {
    let mut house = House::new(1, &[("t", "ann")]);
    house.enrol(0);
    let own = house.id_of(0);
    house.authority.accepts(
        &user("t", "ann"),
        Body::Deauthorize { tenant: "t".into(), user: "ann".into(), device: own },
        "her first one",
    );
    let keys = keys(2 * DEVICES_PER_USER + 2);
    let session = session(&mut house);
    let (former, present) = keys.split_at(DEVICES_PER_USER + 1);
    for device in former {
        house.authority.accepts(&Peer::Client, add(session, device), "a device");
        house.authority.accepts(&user("t", "ann"), deauthorize(device), "a former device");
    }
    for device in &present[..DEVICES_PER_USER] {
        house.authority.accepts(&Peer::Client, add(session, device), "there is room");
    }
    (house, keys, session)
}

/// ENR-4c: former devices neither take room nor hide those that do.
#[test]
fn former_devices_do_not_hide_the_present_ones() {
    let (mut house, keys, session) = with_former_devices();
    let last = keys.last().unwrap();
    house.authority.refuses(&Peer::Client, add(session, last), Refusal::TooLarge, "one too many");
    house.authority.accepts(&user("t", "ann"), deauthorize(&keys[DEVICES_PER_USER + 1]), "one makes room");
    house.authority.accepts(&Peer::Client, add(session, last), "there is room");
}

/// DEA-1: every device of a deactivated user is deauthorized, however many there were before.
#[test]
fn a_deactivation_misses_no_device() {
    let (mut house, keys, _) = with_former_devices();
    let body = Body::SetStanding { tenant: "t".into(), user: "ann".into(), change: StandingChange::Deactivate };
    house.authority.accepts(&admin("t", "boss"), body, "deactivated");
    let states = house.authority.peek(|step| {
        keys.iter()
            .map(|key| authority::device(step, &key.public().into()).map(|record| record.is_revoked()))
            .collect::<Vec<_>>()
    });
    let known = states.iter().filter(|state| state.is_some()).count();
    assert_eq!(known, 2 * DEVICES_PER_USER + 1, "the check looked at too few");
    assert!(states.iter().flatten().all(|revoked| *revoked), "{states:?}");
}
