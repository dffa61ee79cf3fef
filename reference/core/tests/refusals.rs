//! The refusals of `spec/protocol.md`, as a table: each row takes a frame of an honest run on its way, and changes the party, the signature,
//! the context or the moment. It must be refused by name, with the receiver's store as it was and nothing sent except the refusal.
//! The twin of each row is the same frame unchanged, in the last second in which it counts.

mod common;

#[path = "refusals/authority.rs"]
mod authority;
#[path = "refusals/ceremonies.rs"]
mod ceremonies;
#[path = "refusals/clients.rs"]
mod clients;
#[path = "refusals/keystore.rs"]
mod keystore;
#[path = "protocol_vectors/notation.rs"]
#[allow(dead_code, reason = "the vectors use more of it")]
mod notation;
#[path = "refusals/points.rs"]
mod points;
#[path = "refusals/transcripts.rs"]
mod transcripts;

use std::collections::BTreeSet;

use bailee_core::cbor;
use bailee_core::crypto::sign::Signing;
use bailee_core::machine::{Peer, Person};
use bailee_core::roles::device::OnDisk;
use bailee_core::store::{MemoryStore, RECORD_BYTES};
use bailee_core::wire::{Blob, Body, StandingChange};
use bailee_spec::outcome::Refusal;

use common::{Flight, House, admin};
use transcripts::Transcripts;

/// The users of every table: ann with two devices, bob, and ann's namesake in another tenant.
pub const PEOPLE: &[(&str, &str)] = &[("t", "ann"), ("t", "ann"), ("t", "bob"), ("s", "ann")];

/// A row: the rule, what is wrong, the refusal, and the change that makes it wrong.
pub type Row<'a> = (&'static str, &'static str, Refusal, &'a dyn Fn(&mut House, &mut Flight));

/// What the receiver of a frame has in its store.
fn store_of(house: &House, to: &Peer, client: usize) -> MemoryStore {
    match to {
        Peer::Authority => house.authority.saved(),
        Peer::Keystore(node) => house.nodes[usize::from(*node)].saved(),
        Peer::Storage => house.storage.saved(),
        Peer::Restorer => house.restorer.saved(),
        Peer::Custody => house.custody.saved(),
        Peer::Custodian(index) => house.custodians[usize::from(*index) - 1].saved(),
        Peer::Client | Peer::Device(_) => house.devices[client].saved(),
        Peer::Alerts | Peer::Person(_) => MemoryStore::default(),
    }
}

/// Kinds whose first row is about an earlier check than the last one: of a frame with both faults the first one is told (GEN-7).
const EARLIEST_FIRST: &[&str] = &["BeginEnrolment", "PresentCertificate", "AddDevice"];

/// Runs a flow to a frame of a kind, for each row anew. `last` is the last second in which the frame counts; none if it always does.
/// What ends in a second is good in that second, and over in the next (GEN-13).
pub fn table(kind: &str, begin: &dyn Fn() -> House, last: Option<u64>, rows: &[Row<'_>]) {
    let ready = || {
        let mut house = begin();
        let flight = house.run_to(kind);
        house.wire.clear();
        (house, flight)
    };
    let (mut house, flight) = ready();
    let mut transcripts = Transcripts::of(&house, &flight, kind, rows[0].0);
    if let Some(last) = last {
        house.set_clocks(last);
    }
    let rules: Vec<&str> = BTreeSet::from_iter(rows.iter().map(|row| row.0)).into_iter().collect();
    let verdict = deliver(house, flight, &mut transcripts, (&rules, None)).1;
    assert_eq!(verdict, Ok(()), "{kind}: the twin of every row");
    for (rule, note, why, change) in rows {
        let (mut house, mut flight) = ready();
        change(&mut house, &mut flight);
        house.wire.clear();
        let (to, client) = (flight.to.clone(), flight.client);
        let before = store_of(&house, &to, client);
        let (house, verdict) = deliver(house, flight, &mut transcripts, (&[rule], Some(note)));
        assert_eq!(verdict, Err(*why), "{rule}, {kind}: {note}");
        assert!(store_of(&house, &to, client).same(&before), "{rule}, {kind}: {note}: the store changed");
        for sent in &house.wire {
            let name = sent.frame.body.name();
            let tells = ["Refusal", "KeystoreRefusal", "GrantRefused", "AlreadyEscrowed", "KeyReturned", "JobEnd"]
                .contains(&name);
            assert!(tells, "{rule}, {kind}: {note}: {name} was sent");
        }
    }
    let (first, last) = (&rows[0], &rows[rows.len() - 1]);
    if EARLIEST_FIRST.contains(&kind) && first.2 != last.2 {
        let (mut house, mut flight) = ready();
        (last.3)(&mut house, &mut flight);
        (first.3)(&mut house, &mut flight);
        house.wire.clear();
        let note = format!("{}, and {}", first.1, last.1);
        let verdict = deliver(house, flight, &mut transcripts, (&["GEN-7", first.0], Some(&note))).1;
        assert_eq!(verdict, Err(first.2), "GEN-7, {kind}: {note}");
    }
    if let Some(transcripts) = transcripts {
        transcripts.keep();
    }
}

/// Delivers a frame, and writes down what came of it.
fn deliver(
    mut house: House,
    flight: Flight,
    transcripts: &mut Option<Transcripts>,
    what: (&[&str], Option<&str>),
) -> (House, Result<(), Refusal>) {
    let (to, before) = (flight.to.clone(), transcripts.as_ref().map(|_| Transcripts::before(&house, &flight)));
    let verdict = house.deliver(flight);
    if let (Some(transcripts), Some(before)) = (transcripts, before) {
        transcripts.add(before, &house, &to, what, verdict);
    }
    (house, verdict)
}

/// A house before anything.
pub fn fresh() -> House {
    House::new(1, PEOPLE)
}

/// Device 0 has signed in.
pub fn enrolling() -> House {
    let mut house = fresh();
    house.sign_in(0);
    house
}

/// Devices 0, 2 and 3 are enrolled, and device 1 has signed in.
pub fn replacing() -> House {
    let mut house = enrolled();
    house.sign_in(1);
    house
}

/// Devices 0, 2 and 3 are enrolled.
pub fn enrolled() -> House {
    let mut house = fresh();
    [0, 2, 3].into_iter().for_each(|device| house.enrol(device));
    house
}

/// Ann has asked for a job.
pub fn restoring() -> House {
    let mut house = enrolled();
    let request = Body::RequestJob { tenant: "t".into(), user: "ann".into() };
    house.order(&common::user("t", "ann"), Peer::Authority, 0, request).unwrap();
    house
}

/// The clocks show this second.
pub fn at(now: u64) -> impl Fn(&mut House, &mut Flight) {
    move |house, _| house.set_clocks(now)
}

/// A user's standing changes on the way.
pub fn standing(change: StandingChange) -> impl Fn(&mut House, &mut Flight) {
    move |house, _| {
        let body = Body::SetStanding { tenant: "t".into(), user: "ann".into(), change };
        house.must(&admin("t", "boss"), Peer::Authority, body);
    }
}

/// A device is deauthorized on the way.
pub fn deauthorized(device: usize) -> impl Fn(&mut House, &mut Flight) {
    move |house, _| {
        let body = Body::Deauthorize { tenant: "t".into(), user: "ann".into(), device: house.id_of(device) };
        house.must(&admin("t", "boss"), Peer::Authority, body);
    }
}

/// Another keystore generation than the frame's.
pub fn of_another_store(_: &mut House, flight: &mut Flight) {
    flight.frame.generation = Some(flight.frame.generation.unwrap_or(0) + 1);
}

/// The frame comes in an exchange that nobody opened.
pub fn in_no_exchange(_: &mut House, flight: &mut Flight) {
    flight.frame.exchange = None;
}

/// It comes from another peer.
pub fn from(peer: Peer) -> impl Fn(&mut House, &mut Flight) {
    move |_, flight| flight.from = peer.clone()
}

/// Anybody at the local endpoint.
pub fn stranger() -> Peer {
    Peer::Person(Person::Stranger)
}

/// The signing key of a device.
pub fn key_of(house: &House, device: usize) -> Signing {
    OnDisk(&house.devices[device].saved()).signing().unwrap()
}

/// Flips a bit of what is signed or sealed.
pub fn flip(bytes: &mut Blob) {
    *bytes.last_mut().unwrap() ^= 1;
}

/// Not a message of this protocol.
pub fn garble(bytes: &mut Blob) {
    bytes.push(0);
}

/// Changes a signed body and signs it again.
pub fn again<T>(key: &Signing, label: &str, body: &mut Blob, signature: &mut Blob, change: impl FnOnce(&mut T))
where
    T: for<'b> minicbor::Decode<'b, ()> + minicbor::Encode<()>,
{
    let mut said: T = cbor::decode(body, RECORD_BYTES).unwrap();
    change(&mut said);
    let bytes = cbor::encode(&said);
    *signature = key.sign(label, &bytes).into();
    *body = bytes.into();
}

/// Edits the fields of a body of a kind.
#[macro_export]
macro_rules! edit {
    ($kind:ident { $($field:ident),+ } => $change:expr) => {
        &|_house: &mut $crate::common::House, flight: &mut $crate::common::Flight| {
            let bailee_core::wire::Body::$kind { $($field,)+ .. } = &mut flight.frame.body else {
                panic!("{flight:?}")
            };
            $change
        }
    };
    ($house:ident, $kind:ident { $($field:ident),+ } => $change:expr) => {
        &|$house: &mut $crate::common::House, flight: &mut $crate::common::Flight| {
            let bailee_core::wire::Body::$kind { $($field,)+ .. } = &mut flight.frame.body else {
                panic!("{flight:?}")
            };
            $change
        }
    };
    ($house:ident, $flight:ident, $kind:ident { $($field:ident),+ } => $change:expr) => {
        &|$house: &mut $crate::common::House, $flight: &mut $crate::common::Flight| {
            let bailee_core::wire::Body::$kind { $($field,)+ .. } = &mut $flight.frame.body else {
                panic!("{:?}", $flight)
            };
            $change
        }
    };
}
