//! In which exchange a frame travels, which kinds a lane takes, and who is told of a refusal (NET-7, NET-7a, NET-8, NET-9, NET-15).

use bailee_core::cbor;
use bailee_core::machine::{Effects, Peer, Person, Role, refusal_code};
use bailee_core::wire::{B32, Body, Decision, Frame, LogEntry, StandingChange};
use bailee_spec::limits::{MESSAGE_BYTES, NAME_BYTES};
use bailee_spec::outcome::Refusal;

use crate::common::{Desk, Flight, HOLDER, House, OPERATOR, Says, admin, b32, sent, user};
use crate::{PEOPLE, every_flow};

/// NET-7: what the keystore sends names the generation of its store, and nothing else does; what is said in a session or a job is in
/// its exchange, from the frame that opens it to the last.
#[test]
fn a_frame_names_its_exchange_and_the_keystores_generation() {
    let (mut keystores, mut others, mut exchanges) = (0, 0, std::collections::BTreeSet::new());
    every_flow(&mut |house: &mut House, Flight { from, frame, .. }: &Flight| {
        let name = frame.body.name();
        if matches!(from, Peer::Keystore(_)) {
            let generation = house.nodes[0].peek(bailee_core::roles::keystore::generation);
            assert_eq!(frame.generation, Some(generation), "{name}");
            keystores += 1;
        } else {
            assert_eq!(frame.generation, None, "{name}");
            others += 1;
        }
        assert!(cbor::encode(frame).len() <= frame.body.limit(), "{name}");
        exchanges.extend(frame.exchange.map(|exchange| exchange.to_vec()));
    });
    assert!(keystores > 15 && others > 60, "{keystores}, {others}");
    assert!(exchanges.len() >= 7, "sessions, jobs and a question: {}", exchanges.len());
    for begin in [sign_in as fn(&mut House), ask_for_a_job] {
        let mut house = House::new(1, PEOPLE);
        house.enrol(0);
        begin(&mut house);
        let opens = house.wire.iter().position(|flight| flight.frame.exchange.is_some());
        let exchange = house.wire[opens.expect("an exchange")].frame.exchange;
        let mut count = 0;
        while let Some(flight) = house.wire.pop_front() {
            assert_eq!(flight.frame.exchange, exchange, "{}", flight.frame.body.name());
            let _ = house.deliver(flight);
            count += 1;
        }
        assert!(count >= 7, "{count} frames");
    }
}

/// Device 1 has typed the password, and the authority has answered.
fn sign_in(house: &mut House) {
    house.sign_in(1);
    let ask = house.run_to("SignIn");
    assert_eq!(ask.frame.exchange, None, "there is no session yet");
    house.deliver(ask).unwrap();
}

fn ask_for_a_job(house: &mut House) {
    let request = Body::RequestJob { tenant: "t".into(), user: "ann".into() };
    house.order(&user("t", "ann"), Peer::Authority, 0, request).unwrap();
}

/// NET-7: a frame is as long as its kind may be, and not a byte longer.
#[test]
fn a_frame_that_is_too_long_is_none() {
    let frame = |long: usize| {
        let password = vec![7; long].into();
        cbor::encode(&Body::SignIn { tenant: "t".into(), user: "ann".into(), password }.frame())
    };
    let around = frame(MESSAGE_BYTES / 2).len() - MESSAGE_BYTES / 2;
    assert_eq!(frame(MESSAGE_BYTES - around).len(), MESSAGE_BYTES);
    assert!(Frame::decode(&frame(MESSAGE_BYTES - around)).is_ok());
    assert!(Frame::decode(&frame(MESSAGE_BYTES - around + 1)).is_err());
}

/// GEN-12, GEN-12a: no handler sees a frame with a name that is empty or too long, whichever kind names it.
#[test]
fn a_name_has_1_to_255_bytes() {
    let of = |long: usize| "n".repeat(long);
    let kinds: [fn(String, String) -> Body; 4] = [
        |tenant, user| Body::RequestJob { tenant, user },
        |tenant, user| Body::SignIn { tenant, user, password: vec![1].into() },
        |tenant, admin| Body::SetRight { tenant, admin, restore: true },
        |tenant, user| {
            let entry = LogEntry { tenant, user, decision: Decision::Revoked(b32(1)) };
            Body::Publish { from: 0, entries: vec![entry], epoch: 0, head: 0, lease: None }
        },
    ];
    for body in kinds {
        for (tenant, other, is_frame) in [
            (1, NAME_BYTES, true),
            (NAME_BYTES, 1, true),
            (0, 1, false),
            (1, 0, false),
            (NAME_BYTES + 1, 1, false),
            (1, NAME_BYTES + 1, false),
        ] {
            let body = body(of(tenant), of(other));
            assert_eq!(body.names_fit(), is_frame, "{tenant} and {other} bytes");
        }
    }
}

/// NET-7a: what a device or a person asks outside of a session comes back in the exchange that the request was given.
#[test]
fn an_answer_finds_the_one_who_asked() {
    let mut house = House::new(1, PEOPLE);
    house.enrol(0);
    house.restart(0);
    let exchange = b32(77);
    let replay = Body::ReplayKey { tenant: "t".into(), user: "ann".into() };
    let asked = house.authority.gives(&OPERATOR, (exchange, replay), "a request with an exchange of the carrier");
    assert_eq!(sent(&asked, &Peer::Keystore(0)).exchange, Some(exchange));
    let refused = house.nodes[0].say(&Peer::Authority, sent(&asked, &Peer::Keystore(0)));
    let answer = sent(&refused, &Peer::Authority);
    assert_eq!(
        (answer.exchange, &answer.body),
        (Some(exchange), &Body::KeystoreRefusal { reason: refusal_code(Refusal::Sealed) })
    );
    let told = house.authority.gives(&Peer::Keystore(0), answer, "the keystore's answer");
    assert_eq!(sent(&told, &Peer::Client).exchange, Some(exchange));
    house.unseal(0);
    house.order(&HOLDER, Peer::Client, 0, Body::EscrowAgain).unwrap();
    let mut exchanges = Vec::new();
    for kind in ["GetIntake", "OfferIntake", "Intake", "IntakeOffered"] {
        let flight = house.run_to(kind);
        exchanges.push(flight.frame.exchange);
        house.deliver(flight).unwrap();
    }
    assert!(exchanges[0].is_some() && exchanges.iter().all(|one| *one == exchanges[0]), "{exchanges:?}");
}

/// NET-8, NET-9: an exchange that names a job is the job's, any other is a session's; a kind that comes in neither is refused there.
#[test]
fn a_lane_takes_its_own_kinds() {
    let mut house = House::new(1, PEOPLE);
    house.enrol(0);
    sign_in(&mut house);
    let session = house.run_to("SessionOpened").frame.exchange.unwrap();
    ask_for_a_job(&mut house);
    let assign = house.run_to("AssignJob");
    let job = assign.frame.exchange.unwrap();
    let authority = &mut house.authority;
    let end = || Body::JobEnd { completed: true };
    authority.refuses(&Peer::Restorer, (session, end()), Refusal::Malformed, "an end of a job, in a session");
    authority.refuses(&Peer::Restorer, (b32(1), end()), Refusal::Malformed, "the same in no exchange that is known");
    let created = || Body::AccountCreated { attempt: b32(1) };
    authority.refuses(&Peer::Keystore(0), (job, 0, created()), Refusal::JobOver, "enrolment, in a job");
    authority.accepts(&Peer::Keystore(0), (session, 0, created()), "the same in a session");
    let restorer = &mut house.restorer;
    restorer.refuses(&Peer::Storage, (b32(1), Body::Refusal { reason: 1 }), Refusal::OutOfTurn, "of another job");
    let delivery = Body::Refusal { reason: 1 };
    restorer.refuses(&Peer::Authority, delivery.frame(), Refusal::JobOver, "in no exchange");
    let Body::AssignJob { job: named, .. } = &assign.frame.body else { unreachable!() };
    assert_eq!(*named, job);
    restorer.refuses(&Peer::Authority, (b32(1), assign.frame.body.clone()), Refusal::JobOver, "in another lane");
    authority.accepts(&Peer::Restorer, (job, end()), "the end of a job, in its lane");
}

/// Who was told what, of a frame that is refused.
fn told<R: Role>(desk: &mut Desk<R>, from: &Peer, what: impl Says, why: Refusal) -> Vec<(Peer, Body)> {
    let effects: Effects = desk.say(from, what);
    assert_eq!(effects.verdict, Err(why));
    effects.frames.into_iter().map(|out| (out.to, out.frame.body)).collect()
}

fn refusal(why: Refusal) -> Body {
    Body::Refusal { reason: refusal_code(why) }
}

/// NET-15: the services tell the one who asked, the keystore the authority, and the authority the client for whom it asked.
#[test]
fn a_refusal_is_told_to_the_one_who_asked() {
    let mut house = House::new(1, PEOPLE);
    house.enrol(0);
    let suspend = Body::SetStanding { tenant: "t".into(), user: "ann".into(), change: StandingChange::Suspend };
    let why = Refusal::OtherTenant;
    assert_eq!(told(&mut house.authority, &admin("s", "boss"), suspend, why), [(admin("s", "boss"), refusal(why))]);
    let why = Refusal::ReceiptInvalid;
    let created = (b32(9), 7, Body::AccountCreated { attempt: b32(1) });
    assert_eq!(told(&mut house.authority, &Peer::Keystore(0), created, why), [(Peer::Client, refusal(why))]);
    let why = Refusal::CapabilityInvalid;
    let append = |house: &House| {
        let (tenant, user, device) = ("t".into(), "ann".into(), b32(1));
        let body = bailee_core::wire::CapabilityBody { tenant, user, device, epoch: 0, expiry: 9, read: false };
        let (capability, signature) =
            crate::common::signed(&house.authority_key, bailee_core::crypto::labels::SIGN_CAPABILITY, &body);
        Body::Append { capability, signature, block: vec![1].into() }
    };
    let (device, append) = (Peer::Device(b32(2)), append(&house));
    assert_eq!(told(&mut house.storage, &device, append, why), [(device.clone(), refusal(why))]);
    let why = Refusal::NoRestartPending;
    let window = Body::GetWindow { node: 0 };
    assert_eq!(told(&mut house.custody, &Peer::Custodian(1), window, why), [(Peer::Custodian(1), refusal(why))]);
    let (stranger, why) = (Peer::Person(Person::Stranger), Refusal::Unauthenticated);
    let open = Body::OpenCeremony { rekey: true, roster: None };
    assert_eq!(told(&mut house.nodes[0], &stranger, open, why), [(stranger.clone(), refusal(why))]);
    let why = Refusal::Sealed;
    house.restart(0);
    let open = Body::OpenEnrolment { tenant: "t".into(), user: "bob".into(), attempt: b32(1), device: b32(2) };
    let reason = refusal_code(why);
    let answer = [(Peer::Authority, Body::KeystoreRefusal { reason })];
    assert_eq!(told(&mut house.nodes[0], &Peer::Authority, (b32(9), open), why), answer);
    let why = Refusal::OutOfTurn;
    assert_eq!(
        told(&mut house.devices[0], &HOLDER, Body::BackUp { content: vec![].into() }, why),
        [(HOLDER, refusal(why))]
    );
    assert_eq!(told(&mut house.custodians[0], &HOLDER, Body::HandIn { node: 0 }, why), [(HOLDER, refusal(why))]);
}

/// NET-15: clients and the restorer tell no service what they think of its answer, and some refusals are told to nobody.
#[test]
fn some_refusals_are_told_to_nobody() {
    let mut house = House::new(2, PEOPLE);
    house.enrol(0);
    let session = b32(9);
    let blocks = Body::Blocks { blocks: Vec::new(), next: None };
    assert_eq!(told(&mut house.devices[0], &Peer::Storage, (session, blocks.clone()), Refusal::OutOfTurn), []);
    assert_eq!(told(&mut house.devices[0], &Peer::Authority, (session, Body::Admission), Refusal::OutOfTurn), []);
    let window = Body::Window { ceremony: vec![].into(), signature: vec![].into() };
    assert_eq!(told(&mut house.custodians[0], &Peer::Custody, window, Refusal::OutOfTurn), []);
    assert_eq!(told(&mut house.restorer, &Peer::Storage, (session, blocks), Refusal::OutOfTurn), []);
    ask_for_a_job(&mut house);
    let job: B32 = house.run_to("AssignJob").frame.exchange.unwrap();
    let created = (job, 0, Body::AccountCreated { attempt: b32(1) });
    assert_eq!(told(&mut house.authority, &Peer::Keystore(0), created, Refusal::JobOver), []);
    let confirm = Body::Confirm { index: 99, epoch: 99 };
    assert_eq!(told(&mut house.authority, &Peer::Storage, confirm, Refusal::StoreRolledBack), []);
    let root = Body::NewRoot { header: b32(1), sealed: vec![].into() };
    assert_eq!(told(&mut house.nodes[1], &Peer::Keystore(0), root, Refusal::WrongEpoch), []);
    house.restart(0);
    let witness = Body::Witness { digests: Vec::new(), generation: 0, index: 0 };
    assert_eq!(told(&mut house.nodes[0], &Peer::Authority, witness, Refusal::OutOfTurn), []);
    let publish = Body::Publish { from: 0, entries: Vec::new(), epoch: 0, head: 0, lease: None };
    assert_eq!(told(&mut house.nodes[0], &Peer::Authority, publish, Refusal::Sealed), []);
}
