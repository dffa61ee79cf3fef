//! Every kind of frame from every kind of peer at every role, and every timer at every role, early and twice.

use bailee_core::cbor;
use bailee_core::machine::{Peer, Person, Role, Timer};
use bailee_core::store::MemoryStore;
use bailee_core::wire::{
    B32, Blob, Body, CustodianKeys, Decision, Factor, Header, LogEntry, Place, Roster, StandingChange,
};
use bailee_spec::action::Point;
use bailee_spec::outcome::Refusal;

use crate::common::{Desk, House, Says, b32};

const PEOPLE: &[(&str, &str)] = &[("t", "ann"), ("t", "ann")];

fn blob() -> Blob {
    vec![1, 2, 3].into()
}

fn header() -> Header {
    Header {
        id: b32(1),
        share_epoch: 9,
        threshold: 2,
        commitments: vec![b32(1)],
        custodians: vec![CustodianKeys { sign: b32(1), recipient: b32(2) }],
        root: blob(),
    }
}

/// One body of every kind: names of a user and a device that exist, and nothing that verifies.
#[rustfmt::skip]
fn bodies(device: B32) -> Vec<Body> {
    let (t, u, b, k) = (|| "t".to_string(), || "ann".to_string(), blob, b32(1));
    let roster = Roster { threshold: 1, custodians: vec![CustodianKeys { sign: k, recipient: k }] };
    vec![
        Body::SignIn { tenant: t(), user: u(), password: b() },
        Body::SessionOpened { enrolled: None },
        Body::BeginEnrolment { attempt: k, device, recipient: k, proof: b() },
        Body::OpenEnrolment { tenant: t(), user: u(), attempt: k, device },
        Body::EnrolmentOpened { attempt: k, nonce: k, intake: k, signature: b() },
        Body::Nonce { nonce: k, intake: k, signature: b() },
        Body::PresentCertificate { certificate: b(), signature: b() },
        Body::CreateAccount { admission: b(), signature: b() },
        Body::AccountCreated { attempt: k },
        Body::Admission,
        Body::EscrowKey { escrow: b(), signature: b() },
        Body::Escrow { tenant: t(), user: u(), device, escrow: b(), signature: b() },
        Body::Receipt { receipt: b(), signature: b(), escrow: b(), attempt: k },
        Body::Authorised { receipt: b(), signature: b() },
        Body::AddDevice { device, recipient: k, proof: b() },
        Body::ReleaseKey { grant: b(), signature: b() },
        Body::ConsumeGrant { grant: k, challenge: k },
        Body::GrantConsumed { grant: k, challenge: k, epoch: 0, signature: b() },
        Body::GrantRefused { grant: k },
        Body::SealedKey { grant: k, sealed: b(), receipt: b(), signature: b() },
        Body::KeyDelivery { grant: k, sealed: b(), receipt: b(), signature: b() },
        Body::AlreadyEscrowed { receipt: b(), signature: b(), escrow: b(), attempt: k },
        Body::GoReplace,
        Body::KeystoreRefusal { reason: 9 },
        Body::Refusal { reason: 9 },
        Body::AssignJob { job: k, tenant: t(), user: u(), deadline: 0, capability: b(), signature: b() },
        Body::JobKey { recipient: k, signature: b() },
        Body::JobEnd { completed: true },
        Body::GetCapability { read: true },
        Body::Capability { capability: b(), signature: b() },
        Body::Append { capability: b(), signature: b(), block: b() },
        Body::Appended { number: 1 },
        Body::Fetch { capability: b(), signature: b(), from: 0 },
        Body::Blocks { blocks: vec![b()], next: None },
        Body::Publish { from: 0, entries: vec![LogEntry { tenant: t(), user: u(), decision: Decision::Revoked(k) }], epoch: 0, head: 0, lease: None },
        Body::Confirm { index: 0, epoch: 0 },
        Body::Report,
        Body::Erase { signature: b() },
        Body::Served,
        Body::GetIntake { nonce: k },
        Body::OfferIntake { nonce: k },
        Body::Intake { nonce: k, intake: k, signature: b() },
        Body::IntakeOffered { intake: k, signature: b() },
        Body::ReEscrow { escrow: b() },
        Body::ReturnKey { tenant: t(), user: u(), dormant: false, logged: k, escrow: b(), epoch: 0 },
        Body::KeyReturned { tenant: t(), user: u(), commitment: k },
        Body::OpenCeremony { rekey: false, roster: Some(roster) },
        Body::Ceremony { ceremony: b(), signature: b() },
        Body::Announce { ceremony: b(), signature: b() },
        Body::CloseWindow { node: 0 },
        Body::GetWindow { node: 0 },
        Body::Window { ceremony: b(), signature: b() },
        Body::RequestShare { index: 1, node: 0, factor: Some(Factor { code: 9, signature: b() }) },
        Body::Alert { id: k, login: 1, node: 0, ceremony: k },
        Body::AlertRecorded { id: k },
        Body::AlertFailed { id: k },
        Body::ReleasedShare { wrapped: b(), ceremony: b(), signature: b() },
        Body::SubmitShare { share: b(), signature: b() },
        Body::ShareCounted { index: 1 },
        Body::NewShare { index: 1, wrapped: b(), header: header(), ceremony: b(), signature: b() },
        Body::StoreShare { header: header(), wrapped: b() },
        Body::ShareStored { header: k },
        Body::AckShare { index: 1, signature: b() },
        Body::Rekeyed { header: k },
        Body::NewRoot { header: k, sealed: b() },
        Body::SealNode,
        Body::SetLogin { index: 1, authenticator: k },
        Body::Awake { index: 0, covers: 0 },
        Body::TakeSnapshot,
        Body::SnapshotTaken { digest: k, share_epoch: 1, covers: 0 },
        Body::Witnessed { digest: k },
        Body::Stage { snapshot: b() },
        Body::GetWitness,
        Body::Witness { digests: vec![k], generation: 0, index: 0 },
        Body::RequestJob { tenant: t(), user: u() },
        Body::AbortJob { tenant: t(), user: u() },
        Body::EndJob { job: k, tenant: "t".into(), user: "ann".into(), deadline: 0 },
        Body::Deauthorize { tenant: t(), user: u(), device },
        Body::SetStanding { tenant: t(), user: u(), change: StandingChange::Purge },
        Body::SetRight { tenant: t(), admin: u(), restore: true },
        Body::ReplayKey { tenant: t(), user: u() },
        Body::EnterPassword { password: b() },
        Body::StartBackup,
        Body::BackUp { content: b() },
        Body::ReadBack,
        Body::CheckIn,
        Body::EscrowAgain,
        Body::FetchShare { node: 0, code: Some(9), roster: None },
        Body::HandIn { node: 0 },
        Body::Done,
        Body::Snapshot { snapshot: b() },
        Body::SnapshotKept { digest: k },
    ]
}

fn peers(device: B32) -> Vec<Peer> {
    let (tenant, name) = (|| "t".to_string(), || "ann".to_string());
    vec![
        Peer::Client,
        Peer::Device(device),
        Peer::Device(b32(7)),
        Peer::Authority,
        Peer::Keystore(0),
        Peer::Keystore(1),
        Peer::Storage,
        Peer::Restorer,
        Peer::Custody,
        Peer::Custodian(1),
        Peer::Custodian(200),
        Peer::Alerts,
        Peer::Person(Person::Holder),
        Peer::Person(Person::User { tenant: tenant(), user: name(), stepped_up: true }),
        Peer::Person(Person::Admin { tenant: tenant(), admin: name() }),
        Peer::Person(Person::Schedule),
        Peer::Person(Person::Operator),
        Peer::Person(Person::Stranger),
    ]
}

/// The kinds that write although they end in a refusal, because a rule says so: a guess is counted (ENR-2b).
const WRITES_AND_REFUSES: &[&str] = &["SignIn"];

/// What the table of `spec/protocol.md` says of a place, said once more: the kinds that it takes.
fn taken_by(place: Place) -> usize {
    Body::TABLE.iter().filter(|(_, _, _, places)| places.contains(&place)).count()
}

/// GEN-6: every kind from every peer: refused `Unauthenticated` with nothing changed, unless the table lets it come; and then, if it is refused
/// all the same, with nothing changed either.
fn everything_comes<R: Role>(desk: &mut Desk<R>, device: B32) {
    let place = desk.role.place();
    let start: MemoryStore = desk.saved();
    let (mut came, mut stopped) = (std::collections::BTreeSet::new(), 0);
    for body in bodies(device) {
        for from in peers(device) {
            for exchange in [None, Some(b32(9))] {
                *desk.store.borrow_mut() = start.clone();
                let mut frame = body.clone().frame();
                frame.exchange = exchange;
                let effects = desk.say(&from, frame);
                let changed = !desk.saved().same(&start);
                let what = format!("{} from {from:?} at {place:?}", body.name());
                if !body.may_come(&from, place) {
                    assert_eq!(effects.verdict, Err(Refusal::Unauthenticated), "{what}");
                    assert!(!changed && effects.timers.is_empty() && effects.work.is_none(), "{what}");
                    stopped += 1;
                } else if effects.verdict.is_err() {
                    came.insert(body.number());
                    assert!(!changed || WRITES_AND_REFUSES.contains(&body.name()), "{what}: a refusal that writes");
                } else {
                    came.insert(body.number());
                }
            }
        }
    }
    *desk.store.borrow_mut() = start;
    assert_eq!(came.len(), taken_by(place), "every kind that the place takes came from somebody");
    assert!(stopped > 1_000);
}

#[test]
fn one_body_of_every_kind() {
    let numbers: Vec<u8> = bodies(b32(1)).iter().map(Body::number).collect();
    assert_eq!(numbers, Body::TABLE.iter().map(|(number, ..)| *number).collect::<Vec<_>>());
    for body in bodies(b32(1)) {
        assert_eq!(cbor::decode::<Body>(&cbor::encode(&body), 1 << 16).unwrap(), body);
    }
}

fn house() -> (House, B32) {
    let mut house = House::new(2, PEOPLE);
    house.enrol(0);
    let device = house.id_of(0);
    (house, device)
}

#[test]
fn nobody_says_what_is_not_theirs_to_say() {
    let (mut house, device) = house();
    everything_comes(&mut house.authority, device);
    everything_comes(&mut house.nodes[0], device);
    everything_comes(&mut house.storage, device);
    everything_comes(&mut house.restorer, device);
    everything_comes(&mut house.custody, device);
    everything_comes(&mut house.custodians[0], device);
    everything_comes(&mut house.devices[0], device);
    everything_comes(&mut house.devices[1], device);
    house.restart(0);
    everything_comes(&mut house.nodes[0], device);
}

/// A system that heard all of it serves as before.
#[test]
fn a_system_that_heard_everything_still_serves() {
    let (mut house, device) = house();
    everything_comes(&mut house.authority, device);
    everything_comes(&mut house.storage, device);
    everything_comes(&mut house.custody, device);
    everything_comes(&mut house.custodians[0], device);
    house.enrol(1);
    assert_eq!(house.key_of(0), house.key_of(1));
}

fn timers() -> Vec<Timer> {
    let mut timers = vec![Timer::Started, Timer::Ceremony, Timer::Share, Timer::Job(b32(1)), Timer::Alert(b32(1))];
    timers.push(Timer::Acknowledge);
    timers.extend(Point::ALL.map(Timer::Publish));
    timers
}

/// Timers that a role never set, each twice: nothing is written, and nothing leaves except publications.
fn every_timer<R: Role>(desk: &mut Desk<R>) {
    for timer in timers() {
        for now in [0, 1_000_000] {
            desk.now = now;
            let (first, saved) = (desk.fire(&timer), desk.saved());
            let second = desk.fire(&timer);
            assert_eq!(first.verdict, second.verdict, "{timer:?}");
            let published = matches!(timer, Timer::Publish(_));
            assert!(desk.saved().same(&saved) || published, "{timer:?} twice");
            for out in first.frames.iter().chain(&second.frames) {
                assert_eq!(out.frame.body.name(), "Publish", "{timer:?}");
            }
        }
    }
    desk.now = 0;
}

#[test]
fn a_timer_that_nobody_set_is_harmless() {
    let (mut house, _) = house();
    every_timer(&mut house.nodes[0]);
    every_timer(&mut house.storage);
    every_timer(&mut house.restorer);
    every_timer(&mut house.custody);
    every_timer(&mut house.custodians[0]);
    every_timer(&mut house.devices[0]);
    every_timer(&mut house.authority);
    house.enrol(1);
    assert_eq!(house.key_of(0), house.key_of(1));
}

/// KEY-1a: a start that is told twice does not let a second rekey in beside the one that is under way.
#[test]
fn a_second_start_does_not_end_a_rekey_under_way() {
    let (mut house, _) = house();
    let rekey = Body::OpenCeremony { rekey: true, roster: None };
    house.ceremony(0, rekey.clone());
    let _ = house.nodes[0].fire(&Timer::Started);
    house.nodes[1].refuses(&crate::common::OPERATOR, rekey.clone(), Refusal::CeremonyOpen, "one at a time");
    house.restart(0);
    house.nodes[1].accepts(&crate::common::OPERATOR, rekey, "the first one died with its node");
}

/// TIME-1: a ceremony's timer that fires early ends nothing; late or twice it ends what is over.
#[test]
fn a_ceremony_ends_by_its_time_and_not_by_its_timer() {
    let (mut house, _) = house();
    house.restart(0);
    house.ceremony(0, Body::OpenCeremony { rekey: false, roster: None });
    let node = &mut house.nodes[0];
    let last = bailee_spec::limits::VALIDITY_SECONDS;
    for (now, open) in [(0, true), (last, true), (last + 1, false), (last + 1, false)] {
        node.now = now;
        assert_eq!(node.fire(&Timer::Ceremony).verdict, Ok(()));
        assert_eq!(node.peek(|step| node.role.collecting(step).is_some()), open, "at {now}");
    }
    house.set_clocks(0);
    house.ceremony(0, Body::OpenCeremony { rekey: false, roster: None });
    house.fetch(0, 0);
    let client = &mut house.custodians[0];
    for (now, held) in [(0, true), (last, true), (last + 1, false), (last + 1, false)] {
        client.now = now;
        assert_eq!(client.fire(&Timer::Share).verdict, Ok(()));
        assert_eq!(client.role.holds_for().is_some(), held, "at {now}");
    }
}
