//! What every role promises alike (`spec/protocol.md` §1, §2, §5): one write, its order of checks, whose ids it draws, what is on its disk,
//! in which exchange it answers, and who is told.

mod common;

#[path = "conventions/disks.rs"]
mod disks;
#[path = "conventions/frames.rs"]
mod frames;
#[path = "conventions/steps.rs"]
mod steps;

use bailee_core::machine::Peer;
use bailee_core::wire::Body;

use common::{Flight, HOLDER, House, OPERATOR, admin, user};

/// Two users of one tenant, one with two devices, and a namesake in another tenant.
const PEOPLE: &[(&str, &str)] = &[("t", "ann"), ("t", "ann"), ("t", "bob"), ("s", "ann")];

/// Every flow of a house with one node in turn: `look` sees each frame before it is delivered.
fn every_flow(look: &mut dyn FnMut(&mut House, &Flight)) -> House {
    let mut house = House::new(1, PEOPLE);
    for device in 0..PEOPLE.len() {
        house.sign_in(device);
        settle(&mut house, look);
    }
    for body in [Body::StartBackup, Body::BackUp { content: b"text".to_vec().into() }, Body::ReadBack, Body::CheckIn]
    {
        obey(&mut house, &HOLDER, Peer::Client, body, look);
    }
    for from in [user("t", "ann"), admin("t", "boss")] {
        let request = Body::RequestJob { tenant: "t".into(), user: "ann".into() };
        obey(&mut house, &from, Peer::Authority, request, look);
    }
    let device = house.id_of(1);
    let revoke = Body::Deauthorize { tenant: "t".into(), user: "ann".into(), device };
    obey(&mut house, &user("t", "ann"), Peer::Authority, revoke, look);
    house.restart(0);
    house.ceremony(0, Body::OpenCeremony { rekey: false, roster: None });
    for custodian in 1..=2 {
        let code = Some(house.codes[usize::from(custodian) - 1]);
        obey(&mut house, &HOLDER, Peer::Custodian(custodian), Body::FetchShare { node: 0, code, roster: None }, look);
        obey(&mut house, &HOLDER, Peer::Custodian(custodian), Body::HandIn { node: 0 }, look);
    }
    obey(&mut house, &OPERATOR, Peer::Keystore(0), Body::TakeSnapshot, look);
    obey(&mut house, &HOLDER, Peer::Client, Body::EscrowAgain, look);
    house
}

/// A person orders, and all that follows.
fn obey(house: &mut House, from: &Peer, to: Peer, body: Body, look: &mut dyn FnMut(&mut House, &Flight)) {
    house.order(from, to, 0, body).unwrap();
    settle(house, look);
}

fn settle(house: &mut House, look: &mut dyn FnMut(&mut House, &Flight)) {
    for _ in 0..2_000 {
        let Some(flight) = house.wire.pop_front() else { return };
        look(house, &flight);
        let _ = house.deliver(flight);
    }
    panic!("no end")
}
