//! Ceremonies against replayed announcements, dead windows, spent codes, crashes and custodians who are gone
//! (CER-3, CER-3b, CER-4, CER-4e, KEY-2, KEY-2b, KEY-3, KEY-5).

use bailee_core::crypto::labels;
use bailee_core::machine::{Peer, Person, Timer};
use bailee_core::roles::custodian::Custodian;
use bailee_core::roles::keystore::header;
use bailee_core::store::Batch;
use bailee_core::wire::{B32, Body, CeremonyBody, Header, Roster};
use bailee_spec::limits::{ALERT_SECONDS, VALIDITY_SECONDS};
use bailee_spec::outcome::Refusal;

use crate::common::{Desk, Flight, HOLDER, House, OPERATOR, Says, b32, sent, signed};

const ANN: &[(&str, &str)] = &[("t", "ann")];
const UNSEAL: Body = Body::OpenCeremony { rekey: false, roster: None };
const REKEY: Body = Body::OpenCeremony { rekey: true, roster: None };

fn digest(house: &House) -> B32 {
    house.nodes[0].peek(header).unwrap().digest()
}

/// A ceremony that the keystore's key signed.
fn announcement(house: &House, id: u8, number: u64, expiry: u64) -> Body {
    let body = CeremonyBody {
        id: b32(id),
        node: 0,
        rekey: false,
        recipient: b32(5),
        header: digest(house),
        share_epoch: 1,
        expiry,
        number,
        roster: None,
    };
    let (ceremony, signature) = signed(&house.keystore_key, labels::SIGN_CEREMONY, &body);
    Body::Announce { ceremony, signature }
}

fn ask(house: &House, ceremony: B32, code: Option<u64>) -> Body {
    house.custodians[0].role.request(&ceremony, 1, 0, code)
}

/// What custody answers to a request, with the alert recorded.
fn share_for(house: &mut House, body: Body) -> Result<Body, Refusal> {
    let asked = house.custody.say(&Peer::Custodian(1), body);
    asked.verdict?;
    let Body::Alert { id, .. } = sent(&asked, &Peer::Alerts).body else { panic!("{asked:?}") };
    let answer = house.custody.say(&Peer::Alerts, Body::AlertRecorded { id });
    answer.verdict?;
    Ok(sent(&answer, &Peer::Custodian(1)).body)
}

/// (g), CER-3a, CER-3b: an announcement whose time is over opens no window, and none displaces a later one.
#[test]
fn an_old_announcement_opens_no_window_and_displaces_none() {
    let mut house = House::new(1, ANN);
    let year = 365 * 86_400;
    let (old, pending) = (announcement(&house, 1, 1, 600), announcement(&house, 2, 2, year + 600));
    let (overtaken, next) = (announcement(&house, 3, 1, year + 500), announcement(&house, 4, 3, year + 600));
    let same_number = announcement(&house, 5, 2, year + 600);
    house.set_clocks(year);
    let custody = &mut house.custody;
    custody.refuses(&OPERATOR, old, Refusal::CeremonyExpired, "a year old");
    custody.accepts(&OPERATOR, pending.clone(), "a pending one");
    custody.refuses(&OPERATOR, overtaken, Refusal::CeremonyExpired, "in its time, but overtaken");
    custody.refuses(&OPERATOR, same_number, Refusal::CeremonyExpired, "of the same number, and another");
    let saved = custody.saved();
    custody.accepts(&OPERATOR, pending, "the pending one again");
    assert!(custody.saved().same(&saved), "a repeat prolongs nothing");
    custody.accepts(&OPERATOR, next, "a later one");
}

/// (g), CER-3a: an announcement in its last second counts, one second later it does not, and a stranger's never does.
#[test]
fn an_announcement_is_the_keystores_and_in_time() {
    let mut house = House::new(1, ANN);
    let body = announcement(&house, 1, 1, 100);
    let Body::Announce { ceremony, .. } = body.clone() else { unreachable!() };
    let signature = house.authority_key.sign(labels::SIGN_CEREMONY, &ceremony).into();
    house.custody.refuses(&OPERATOR, Body::Announce { ceremony, signature }, Refusal::BadSignature, "another's");
    let Body::Announce { mut ceremony, signature } = body.clone() else { unreachable!() };
    ceremony.push(0);
    let garbled = Body::Announce { ceremony, signature };
    house.custody.refuses(&OPERATOR, garbled, Refusal::Malformed, "not canonical");
    house.custody.now = 101;
    house.custody.refuses(&OPERATOR, body.clone(), Refusal::CeremonyExpired, "one second late");
    house.custody.now = 100;
    house.custody.accepts(&OPERATOR, body, "in its last second");
}

/// (g), CER-4f, CER-4a: no share leaves in a dead window, not even one that was asked for in time.
#[test]
fn no_share_leaves_after_its_window() {
    let mut house = House::new(1, ANN);
    house.custody.accepts(&OPERATOR, announcement(&house, 1, 1, 100), "a window");
    house.custody.now = 100;
    let body = ask(&house, b32(1), Some(1));
    assert!(matches!(share_for(&mut house, body), Ok(Body::ReleasedShare { .. })), "in its last second");
    let body = ask(&house, b32(1), Some(2));
    let asked = house.custody.gives(&Peer::Custodian(1), body, "asked in time");
    let Body::Alert { id, .. } = sent(&asked, &Peer::Alerts).body else { panic!("{asked:?}") };
    house.custody.now = 101;
    house.custody.refuses(&Peer::Alerts, Body::AlertRecorded { id }, Refusal::NoRestartPending, "recorded too late");
    let body = ask(&house, b32(1), Some(3));
    assert_eq!(share_for(&mut house, body), Err(Refusal::MfaRequired), "a factor for a ceremony that is over");
    let body = ask(&house, b32(0), Some(4));
    assert_eq!(share_for(&mut house, body), Err(Refusal::NoRestartPending));
    let (reads, alerts) = house.custody.peek(bailee_core::roles::custody::counts);
    assert_eq!((reads, alerts), (1, 1));
}

/// (g): a second factor is spent by the request that shows it, whatever becomes of the request.
#[test]
fn a_refused_request_spends_its_second_factor() {
    let mut house = House::new(1, ANN);
    let early = ask(&house, b32(0), Some(1));
    assert_eq!(house.custody.verdict(&Peer::Custodian(1), early.clone()), Err(Refusal::NoRestartPending));
    house.set_clocks(30 * 86_400);
    assert_eq!(house.custody.verdict(&Peer::Custodian(1), early.clone()), Err(Refusal::CodeReplayed));
    house.custody.accepts(&OPERATOR, announcement(&house, 1, 1, 30 * 86_400), "a window");
    assert_eq!(house.custody.verdict(&Peer::Custodian(1), early), Err(Refusal::MfaRequired), "for no ceremony");
    let again = ask(&house, b32(1), Some(1));
    assert_eq!(house.custody.verdict(&Peer::Custodian(1), again), Err(Refusal::CodeReplayed), "the code is spent");
    let fresh = ask(&house, b32(1), Some(2));
    assert!(share_for(&mut house, fresh).is_ok());
}

/// CER-3c: an announcement that is carried twice does not open a window again that the operator has closed, nor does an older one.
#[test]
fn a_closed_window_stays_closed() {
    let mut house = House::new(1, ANN);
    let (older, announced, next) =
        (announcement(&house, 1, 1, 90), announcement(&house, 2, 2, 100), announcement(&house, 3, 3, 110));
    let custody = &mut house.custody;
    custody.accepts(&OPERATOR, announced.clone(), "a window");
    custody.accepts(&OPERATOR, Body::CloseWindow { node: 0 }, "closed");
    custody.refuses(&OPERATOR, announced.clone(), Refusal::CeremonyExpired, "carried twice");
    custody.refuses(&OPERATOR, older, Refusal::CeremonyExpired, "an older one");
    let body = ask(&house, b32(0), Some(1));
    assert_eq!(share_for(&mut house, body), Err(Refusal::NoRestartPending));
    house.custody.accepts(&OPERATOR, Body::CloseWindow { node: 0 }, "closed twice");
    house.custody.accepts(&OPERATOR, next, "the next ceremony");
    let body = ask(&house, b32(3), Some(2));
    assert!(share_for(&mut house, body).is_ok());
}

/// CER-4f: a share that was asked for does not leave once the operator has closed the window.
#[test]
fn closing_a_window_stops_a_share_on_its_way() {
    let mut house = House::new(1, ANN);
    house.custody.accepts(&OPERATOR, announcement(&house, 1, 1, 100), "a window");
    let body = ask(&house, b32(1), Some(1));
    let asked = house.custody.gives(&Peer::Custodian(1), body, "asked");
    let Body::Alert { id, .. } = sent(&asked, &Peer::Alerts).body else { panic!("{asked:?}") };
    house.custody.accepts(&OPERATOR, Body::CloseWindow { node: 0 }, "closed");
    house.custody.refuses(&Peer::Alerts, Body::AlertRecorded { id }, Refusal::NoRestartPending, "too late");
}

/// CER-4e: the login of an operator's order that is carried twice does not make spent codes good again.
#[test]
fn setting_a_login_twice_revives_no_code() {
    let mut house = House::new(1, ANN);
    house.custody.accepts(&OPERATOR, announcement(&house, 1, 1, 100), "a window");
    let authenticator = house.custodians[0].role.authenticator().into();
    let order = Body::SetLogin { index: 1, authenticator };
    house.custody.accepts(&OPERATOR, order.clone(), "a login");
    let body = ask(&house, b32(1), Some(5));
    assert!(share_for(&mut house, body.clone()).is_ok());
    house.custody.accepts(&OPERATOR, order, "the same order, carried twice");
    assert_eq!(share_for(&mut house, body), Err(Refusal::CodeReplayed));
}

/// CER-4b, CER-4f, CER-4: an alert that is not recorded in time, or twice, lets nothing leave.
#[test]
fn no_share_leaves_without_its_alert() {
    let mut house = House::new(1, ANN);
    house.custody.accepts(&OPERATOR, announcement(&house, 1, 1, 100), "a window");
    let asks = |house: &mut House, code| {
        let body = ask(house, b32(1), Some(code));
        let asked = house.custody.gives(&Peer::Custodian(1), body, "asked");
        let Body::Alert { id, .. } = sent(&asked, &Peer::Alerts).body else { panic!("{asked:?}") };
        id
    };
    let id = asks(&mut house, 1);
    let custody = &mut house.custody;
    custody.refuses(&Peer::Alerts, Body::AlertFailed { id }, Refusal::AlertUnavailable, "not recorded");
    custody.refuses(&Peer::Alerts, Body::AlertRecorded { id }, Refusal::OutOfTurn, "recorded after all");
    let id = asks(&mut house, 2);
    house.custody.now = ALERT_SECONDS;
    let late = house.custody.fire(&Timer::Alert(id));
    assert_eq!(late.verdict, Err(Refusal::AlertUnavailable));
    assert!(matches!(sent(&late, &Peer::Custodian(1)).body, Body::Refusal { .. }));
    assert_eq!(house.custody.fire(&Timer::Alert(id)).verdict, Ok(()), "a timer that fires twice is harmless");
    house.custody.refuses(&Peer::Alerts, Body::AlertRecorded { id }, Refusal::OutOfTurn, "recorded after all");
    let id = asks(&mut house, 3);
    let custody = &mut house.custody;
    custody.accepts(&Peer::Alerts, Body::AlertRecorded { id }, "recorded");
    custody.refuses(&Peer::Alerts, Body::AlertRecorded { id }, Refusal::OutOfTurn, "recorded twice");
    assert_eq!(custody.peek(bailee_core::roles::custody::counts), (1, 1));
}

/// (f), KEY-3b: whatever is lost between the rekey's write and the clients, they still unseal.
#[test]
fn a_rekey_whose_news_is_lost_locks_nobody_out() {
    let mut house = House::new(1, ANN);
    house.enrol(0);
    let before = digest(&house);
    house.ceremony(0, REKEY);
    house.quorum(0);
    assert_ne!(digest(&house), before);
    // The same again, and nobody hears that the candidate is in force: node and clients die at once.
    let mut house = House::new(1, ANN);
    house.enrol(0);
    house.ceremony(0, REKEY);
    house.fetch(0, 0);
    house.hand_in(0, 0);
    house.fetch(1, 0);
    house.order(&HOLDER, Peer::Custodian(2), 0, Body::HandIn { node: 0 }).unwrap();
    let first = house.run_to("Rekeyed");
    drop(first);
    house.wire.clear();
    assert_ne!(digest(&house), before);
    house.custodians.iter_mut().for_each(|desk| bailee_core::machine::Role::restart(&mut desk.role));
    house.restart(0);
    house.unseal(0);
    assert!(!house.is_sealed(0), "{:?}", house.refusals);
    assert!(house.escrowed("t", "ann").is_some());
}

/// (f), KEY-3b: a rekey that dies before its last acknowledgement leaves the former shares good, also for those who acknowledged.
#[test]
fn a_rekey_that_is_not_finished_takes_no_share_away() {
    let mut house = House::new(1, ANN);
    let before = digest(&house);
    house.ceremony(0, REKEY);
    house.fetch(0, 0);
    house.hand_in(0, 0);
    house.fetch(1, 0);
    house.order(&HOLDER, Peer::Custodian(2), 0, Body::HandIn { node: 0 }).unwrap();
    let mut acknowledged = 0;
    while let Some(flight) = house.wire.pop_front() {
        if flight.frame.body.name() == "AckShare" {
            acknowledged += 1;
            if acknowledged == 3 {
                break;
            }
        }
        let _ = house.deliver(flight);
    }
    house.wire.clear();
    house.restart(0);
    assert_eq!((acknowledged, digest(&house)), (3, before));
    house.unseal(0);
    assert!(!house.is_sealed(0), "{:?}", house.refusals);
}

/// KEY-2, (l): a share of a rekey that came to nothing, carried late, does not replace the share that is in force.
#[test]
fn a_late_share_of_a_former_candidate_replaces_none() {
    let mut house = House::new(1, ANN);
    house.ceremony(0, REKEY);
    house.fetch(0, 0);
    house.hand_in(0, 0);
    house.fetch(1, 0);
    house.order(&HOLDER, Peer::Custodian(2), 0, Body::HandIn { node: 0 }).unwrap();
    let mut late = Vec::new();
    while let Some(flight) = house.wire.pop_front() {
        if flight.frame.body.name() == "StoreShare" {
            late.push(flight);
        } else {
            let _ = house.deliver(flight);
        }
    }
    assert_eq!(late.len(), 3);
    house.restart(0);
    house.unseal(0);
    house.ceremony(0, REKEY);
    house.quorum(0);
    house.must(&OPERATOR, Peer::Custody, Body::CloseWindow { node: 0 });
    let now = digest(&house);
    for flight in late {
        let _ = house.deliver(flight);
    }
    house.wire.clear();
    house.restart(0);
    house.unseal(0);
    assert!(!house.is_sealed(0), "locked for good: {:?}", house.refusals);
    assert_eq!(digest(&house), now);
}

/// KEY-2b: new shares of rekeys that came to nothing, carried late, do not make a client give up the header in force.
#[test]
fn a_client_keeps_the_header_in_force_whatever_comes_late() {
    let mut house = House::new(1, ANN);
    let mut late = Vec::new();
    for attempt in 0..3 {
        house.ceremony(0, REKEY);
        house.fetch(0, 0);
        house.hand_in(0, 0);
        house.fetch(1, 0);
        house.order(&HOLDER, Peer::Custodian(2), 0, Body::HandIn { node: 0 }).unwrap();
        while let Some(flight) = house.wire.pop_front() {
            let name = flight.frame.body.name();
            if name == "NewShare" {
                late.push(flight.clone());
            }
            // The first two come to nothing: the last acknowledgement is lost.
            if attempt == 2 || name != "AckShare" {
                let _ = house.deliver(flight);
            }
        }
        house.must(&OPERATOR, Peer::Custody, Body::CloseWindow { node: 0 });
        if attempt < 2 {
            house.restart(0);
            house.unseal(0);
        }
    }
    assert_eq!(late.len(), 9);
    // Those of the two that came to nothing.
    late.truncate(6);
    for flight in late {
        let _ = house.deliver(flight);
    }
    house.wire.clear();
    house.restart(0);
    house.unseal(0);
    assert!(!house.is_sealed(0), "locked for good: {:?}", house.refusals);
}

/// (l), KEY-2a: an acknowledgement of a former candidate does not complete another.
#[test]
fn a_late_acknowledgement_completes_no_other_rekey() {
    let mut house = House::new(1, ANN);
    let hold = |house: &mut House| {
        house.ceremony(0, REKEY);
        house.fetch(0, 0);
        house.hand_in(0, 0);
        house.fetch(1, 0);
        house.order(&HOLDER, Peer::Custodian(2), 0, Body::HandIn { node: 0 }).unwrap();
        let mut acks = Vec::new();
        while let Some(flight) = house.wire.pop_front() {
            if flight.frame.body.name() == "AckShare" {
                acks.push(flight);
            } else {
                let _ = house.deliver(flight);
            }
        }
        acks
    };
    let before = digest(&house);
    let late = hold(&mut house);
    house.restart(0);
    house.unseal(0);
    let acks = hold(&mut house);
    for ack in late {
        assert_eq!(house.deliver(ack), Err(Refusal::BadSignature));
    }
    house.run();
    assert_eq!(digest(&house), before);
    for ack in acks {
        house.deliver(ack).unwrap();
    }
    assert_ne!(digest(&house), before);
}

/// (l): one share more than needed, or one share twice, changes nothing.
#[test]
fn one_share_too_many_spoils_no_unsealing() {
    let mut house = House::new(1, ANN);
    house.restart(0);
    house.ceremony(0, UNSEAL);
    (0..3).for_each(|custodian| house.fetch(custodian, 0));
    house.order(&HOLDER, Peer::Custodian(1), 0, Body::HandIn { node: 0 }).unwrap();
    let first = house.run_to("SubmitShare");
    house.deliver(first.clone()).unwrap();
    assert_eq!(house.deliver(first.clone()), Err(Refusal::DuplicateShare));
    house.run();
    assert!(house.is_sealed(0), "the same share twice is one share");
    house.hand_in(1, 0);
    assert!(!house.is_sealed(0));
    house.hand_in(2, 0);
    assert_eq!(house.last_refusal(), Some(Refusal::CeremonyExpired), "one too many");
    assert_eq!(house.deliver(first), Err(Refusal::CeremonyExpired));
    assert!(!house.is_sealed(0));
}

fn replacement(house: &mut House) -> (Desk<Custodian>, Roster) {
    let node = &mut house.nodes[0];
    let person = Custodian::generate(3, house.keystore_key.public(), &mut node.rng);
    let Header { threshold, mut custodians, .. } = node.peek(header).unwrap();
    custodians[2] = person.keys();
    (Desk::new(person, 99, &Batch::default()), Roster { threshold, custodians })
}

/// (f), KEY-5: a custodian who is gone for good is replaced by those who are left, and the old share is worth nothing then.
#[test]
fn a_custodian_who_is_gone_is_replaced() {
    let mut house = House::new(1, ANN);
    house.enrol(0);
    let (person, roster) = replacement(&mut house);
    let former = std::mem::replace(&mut house.custodians[2], person);
    let authenticator = house.custodians[2].role.authenticator().into();
    house.must(&OPERATOR, Peer::Custody, Body::SetLogin { index: 3, authenticator });
    let before = digest(&house);
    house.ceremony(0, Body::OpenCeremony { rekey: true, roster: Some(roster) });
    house.quorum(0);
    assert_ne!(digest(&house), before, "{:?}", house.refusals);
    house.must(&OPERATOR, Peer::Custody, Body::CloseWindow { node: 0 });
    house.restart(0);
    house.ceremony(0, UNSEAL);
    for custodian in [0, 2] {
        house.fetch(custodian, 0);
        house.hand_in(custodian, 0);
    }
    assert!(!house.is_sealed(0), "{:?}", house.refusals);
    house.must(&OPERATOR, Peer::Custody, Body::CloseWindow { node: 0 });
    // The former custodian has keys and a program, and no login any more.
    house.restart(0);
    house.ceremony(0, UNSEAL);
    house.custodians[2] = former;
    house.fetch(2, 0);
    assert_eq!(house.last_refusal(), Some(Refusal::MfaRequired));
    assert!(house.custodians[2].role.holds_for().is_none());
}

/// What is made wrong of a body.
type Change<'a> = &'a dyn Fn(&mut Body);

/// KEY-5, KEY-2c: a client takes a new share only under the roster that the ceremony announced, of the next epoch, and its own.
#[test]
fn a_new_share_under_another_roster_is_refused() {
    let hold = |house: &mut House, roster: Option<Roster>| -> Flight {
        house.ceremony(0, Body::OpenCeremony { rekey: true, roster });
        house.fetch(0, 0);
        house.hand_in(0, 0);
        house.fetch(1, 0);
        house.order(&HOLDER, Peer::Custodian(2), 0, Body::HandIn { node: 0 }).unwrap();
        house.run_to("NewShare")
    };
    let mut house = House::new(1, ANN);
    let honest = hold(&mut house, None);
    let mut other = House::new(1, ANN);
    let (_, roster) = replacement(&mut other);
    let announced = hold(&mut other, Some(roster));
    let Body::NewShare { ceremony: as_announced, signature: proof, .. } = announced.frame.body else {
        unreachable!()
    };
    let change = |change: &dyn Fn(&mut Body)| {
        let mut frame = honest.frame.clone();
        change(&mut frame.body);
        frame
    };
    let cases: [(&str, Refusal, Change<'_>); 5] = [
        ("a roster that was not dealt", Refusal::OwnShareDamaged, &|body| {
            if let Body::NewShare { ceremony, signature, .. } = body {
                (*ceremony, *signature) = (as_announced.clone(), proof.clone());
            }
        }),
        ("a ceremony that the keystore did not sign", Refusal::BadSignature, &|body| {
            if let Body::NewShare { signature, .. } = body {
                *signature = proof.clone();
            }
        }),
        ("another's index", Refusal::OwnShareDamaged, &|body| {
            if let Body::NewShare { index, .. } = body {
                *index = 2;
            }
        }),
        ("a lower threshold", Refusal::OwnShareDamaged, &|body| {
            if let Body::NewShare { header, .. } = body {
                header.threshold = 1;
            }
        }),
        ("the epoch after the next", Refusal::OwnShareDamaged, &|body| {
            if let Body::NewShare { header, .. } = body {
                header.share_epoch += 1;
            }
        }),
    ];
    assert_eq!(honest.to, Peer::Custodian(1));
    for (note, why, edit) in cases {
        house.custodians[0].refuses(&Peer::Keystore(0), change(edit), why, note);
    }
    house.custodians[0].now = VALIDITY_SECONDS + 1;
    house.custodians[0].refuses(
        &Peer::Keystore(0),
        honest.frame.clone(),
        Refusal::CeremonyExpired,
        "one second late",
    );
    house.custodians[0].now = VALIDITY_SECONDS;
    house.custodians[0].accepts(&Peer::Keystore(0), honest.frame, "as it was dealt, in the last second");
}

/// CER-2: the operator opens ceremonies, one at a time, and nobody else.
#[test]
fn a_stranger_opens_no_ceremony() {
    let mut house = House::new(1, ANN);
    house.restart(0);
    let node = &mut house.nodes[0];
    let stranger = Peer::Person(Person::Stranger);
    node.refuses(&stranger, UNSEAL, Refusal::Unauthenticated, "a stranger");
    node.refuses(&OPERATOR, REKEY, Refusal::NotUnsealed, "a rekey of a sealed node");
    node.accepts(&OPERATOR, UNSEAL, "the operator");
    node.now = VALIDITY_SECONDS;
    node.refuses(&OPERATOR, UNSEAL, Refusal::CeremonyOpen, "in the last second of the one that is open");
    node.now = VALIDITY_SECONDS + 1;
    node.accepts(&OPERATOR, UNSEAL, "after it");
    let _ = UNSEAL.frame();
}
