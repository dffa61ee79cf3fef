//! Attempts that a restore, time, a deauthorization or another opening has ended, and the admission that belongs to one opening
//! (ENR-2a, ENR-5a, ENR-6a, ENR-8c, ENR-9b, REV-2h, DIS-3c).

use bailee_core::cbor;
use bailee_core::crypto::labels;
use bailee_core::crypto::password::{self, Cost};
use bailee_core::machine::{Effects, Input, Peer};
use bailee_core::roles::authority::{self, AttemptState, Authority};
use bailee_core::store::Batch;
use bailee_core::wire::{AdmissionBody, B32, Body};
use bailee_spec::action::Point;
use bailee_spec::limits::VALIDITY_SECONDS;
use bailee_spec::outcome::Refusal;

use crate::common::{Flight, House, OPERATOR, Says, admin, said, signed, user};

const ANNS: &[(&str, &str)] = &[("t", "ann"), ("t", "ann")];

/// An attempt of device 0 as the keystore opened it: its session, its id, its nonce, and the keystore's answer on its way.
struct Opened {
    session: B32,
    attempt: B32,
    nonce: B32,
    answer: Flight,
}

fn opened(house: &mut House) -> Opened {
    house.sign_in(0);
    let answer = house.run_to("EnrolmentOpened");
    let Body::EnrolmentOpened { attempt, nonce, .. } = answer.frame.body else { unreachable!() };
    Opened { session: answer.frame.exchange.unwrap(), attempt, nonce, answer }
}

impl Opened {
    /// The keystore is asked to open the attempt again: its nonce.
    fn again(&self, house: &mut House) -> B32 {
        let (attempt, device) = (self.attempt, house.id_of(0));
        let body = Body::OpenEnrolment { tenant: "t".into(), user: "ann".into(), attempt, device };
        let effects = house.nodes[0].gives(&Peer::Authority, (self.session, body), "opened again");
        let Body::EnrolmentOpened { nonce, .. } = said(&effects) else { panic!("not opened: {effects:?}") };
        nonce
    }

    /// What the authority says when it admits the attempt under a nonce.
    fn admission(&self, house: &House, nonce: B32) -> (B32, Body) {
        let body = AdmissionBody { tenant: "t".into(), user: "ann".into(), attempt: self.attempt, nonce };
        let (admission, signature) = signed(&house.authority_key, labels::SIGN_ADMISSION, &body);
        (self.session, Body::CreateAccount { admission, signature })
    }
}

/// ENR-5a, ENR-6a, DIS-3c: an attempt that the restored store still has is over, and so is what the former store said of it.
#[test]
fn a_restore_ends_every_attempt() {
    let mut house = House::new(1, ANNS);
    let open = opened(&mut house);
    assert_eq!(open.again(&mut house), open.nonce, "it is open");
    let snapshot = house.snapshot();
    house.restart(0);
    house.must(&OPERATOR, Peer::Keystore(0), Body::Stage { snapshot: snapshot.into() });
    house.unseal(0);
    assert_eq!(house.deliver(open.answer.clone()), Err(Refusal::ReceiptInvalid), "a reply of the former store");
    let former = open.admission(&house, open.nonce);
    house.nodes[0].refuses(&Peer::Authority, former, Refusal::AdmissionInvalid, "an admission to it");
    let nonce = open.again(&mut house);
    assert_ne!(nonce, open.nonce);
    let admission = open.admission(&house, nonce);
    house.nodes[0].accepts(&Peer::Authority, admission, "opened in this store");
}

/// ENR-5a: an attempt is open in its last second, and has another nonce after it.
#[test]
fn time_ends_an_attempt_at_the_keystore() {
    let mut house = House::new(1, ANNS);
    let open = opened(&mut house);
    house.set_clocks(VALIDITY_SECONDS / 2);
    house.publish_all();
    house.set_clocks(VALIDITY_SECONDS);
    assert_eq!(open.again(&mut house), open.nonce);
    house.set_clocks(VALIDITY_SECONDS + 1);
    assert_ne!(open.again(&mut house), open.nonce);
}

/// ENR-9b: an attempt that is opened again is not admitted, whatever was admitted before.
#[test]
fn an_admission_is_for_one_opening() {
    let mut house = House::new(1, ANNS);
    let open = opened(&mut house);
    house.deliver(open.answer.clone()).unwrap();
    let admission = house.run_to("CreateAccount");
    house.deliver(admission.clone()).unwrap();
    let escrow = house.run_to("Escrow");
    house.set_clocks(VALIDITY_SECONDS);
    house.publish_all();
    house.set_clocks(VALIDITY_SECONDS + 1);
    let nonce = open.again(&mut house);
    let node = &mut house.nodes[0];
    node.refuses(&Peer::Authority, escrow.frame.clone(), Refusal::NotAdmitted, "it was admitted under another nonce");
    node.refuses(&Peer::Authority, admission.frame, Refusal::AdmissionInvalid, "the former admission");
    let admission = open.admission(&house, nonce);
    house.nodes[0].accepts(&Peer::Authority, admission, "an admission of its own");
    house.nodes[0].accepts(&Peer::Authority, escrow.frame, "and now its escrow");
}

/// Device 0 is deauthorized, or its user deactivated.
fn ended(house: &House, whole_user: bool) -> Body {
    let (tenant, user) = ("t".to_string(), "ann".to_string());
    if whole_user {
        Body::SetStanding { tenant, user, change: bailee_core::wire::StandingChange::Deactivate }
    } else {
        Body::Deauthorize { tenant, user, device: house.id_of(0) }
    }
}

/// REV-2h, (a): an escrow that was under way when its device was deauthorized, or its user deactivated, becomes nobody's key.
#[test]
fn an_escrow_of_a_deauthorized_device_is_nobodys_key() {
    for whole_user in [false, true] {
        let mut house = House::new(1, ANNS);
        house.sign_in(0);
        let first = house.run_to("Escrow");
        house.sign_in(1);
        let second = house.run_to("Escrow");
        let order = ended(&house, whole_user);
        house.must(&admin("t", "boss"), Peer::Authority, order);
        house.publish(Point::Keystore);
        assert_eq!(house.deliver(first), Err(Refusal::NotAdmitted));
        assert_eq!(house.escrowed("t", "ann"), None);
        let expected = if whole_user { Err(Refusal::NotAdmitted) } else { Ok(()) };
        assert_eq!(house.deliver(second), expected, "the user's other device");
    }
}

fn is_admitted(house: &House, attempt: &B32) -> bool {
    let record = house.authority.peek(|step| authority::attempt(step, attempt));
    record.is_some_and(|record| record.state == AttemptState::Admitted)
}

/// ENR-8c: of everything that the authority is told in an enrolment, a replacement and a job, a certificate alone makes it admit,
/// and the attempt is admitted in its store when the admission leaves.
#[test]
fn only_a_certificate_is_answered_by_an_admission() {
    let mut house = House::new(1, ANNS);
    house.sign_in(0);
    let (mut certificates, mut others) = (0, 0);
    for stage in 0..3 {
        while let Some(flight) = house.wire.pop_front() {
            let name = flight.frame.body.name();
            let Body::PresentCertificate { certificate, .. } = &flight.frame.body else {
                let before = house.wire.len();
                let _ = house.deliver(flight);
                let admissions =
                    house.wire.iter().skip(before).filter(|out| out.frame.body.name() == "CreateAccount");
                assert_eq!(admissions.count(), 0, "after {name}");
                others += 1;
                continue;
            };
            let certificate: bailee_core::wire::Certificate = cbor::decode(certificate, 1 << 12).unwrap();
            assert!(!is_admitted(&house, &certificate.attempt));
            house.deliver(flight).unwrap();
            assert_eq!(house.wire.back().unwrap().frame.body.name(), "CreateAccount");
            assert!(is_admitted(&house, &certificate.attempt));
            certificates += 1;
        }
        match stage {
            0 => house.sign_in(1),
            _ => {
                let request = Body::RequestJob { tenant: "t".into(), user: "ann".into() };
                let _ = house.order(&user("t", "ann"), Peer::Authority, 0, request);
            }
        }
    }
    assert_eq!(certificates, 1, "device 1 replaces");
    assert!(others > 20, "{others}");
}

fn sign_in(name: &str, word: &str) -> Body {
    Body::SignIn { tenant: "t".into(), user: name.into(), password: word.as_bytes().to_vec().into() }
}

/// ENR-2a: an unknown user and a wrong password end alike, after the same work.
#[test]
fn an_unknown_user_is_not_told_from_a_wrong_password() {
    let mut house = House::new(1, ANNS);
    let mut batch = Batch::default();
    Authority::add_user(&mut batch, "t", "ann", password::record(Cost::PRODUCTION, [7; 16], b"ann"));
    house.authority.write(&batch);
    let mut guess = |name: &str, word: &str| -> (Vec<u8>, Effects) {
        let frame = sign_in(name, word).frame();
        let asked = house.authority.input(Input::Frame { from: &Peer::Client, frame: &frame });
        assert_eq!(asked.verdict, Ok(()), "nothing is said before the work");
        let work = asked.work.expect("a password to be checked");
        let record = work.record.clone();
        let checked = work.run();
        (record, house.authority.input(Input::Checked { from: &Peer::Client, frame: &frame, checked: &checked }))
    };
    let (known, wrong) = guess("ann", "wrong");
    let (unknown, nobody) = guess("nobody", "wrong");
    assert_eq!((known.len(), &known[..8]), (unknown.len(), &unknown[..8]), "the cost of the work");
    assert_eq!((wrong.verdict, nobody.verdict), (Err(Refusal::BadCredential), Err(Refusal::BadCredential)));
    assert_eq!(wrong.frames, nobody.frames);
    assert_eq!(guess("ann", "ann").1.verdict, Ok(()), "the right one");
}

/// ENR-2a: a password that was right when its check began, and is not the user's any more, does not sign in.
#[test]
fn the_password_that_counts_is_the_one_of_now() {
    for changed in [true, false] {
        let mut house = House::new(1, ANNS);
        let frame = sign_in("ann", "ann").frame();
        let asked = house.authority.input(Input::Frame { from: &Peer::Client, frame: &frame });
        let checked = asked.work.unwrap().run();
        if changed {
            let mut batch = Batch::default();
            Authority::add_user(&mut batch, "t", "ann", password::record(Cost::TEST, [8; 16], b"another"));
            house.authority.write(&batch);
        }
        let ended = house.authority.input(Input::Checked { from: &Peer::Client, frame: &frame, checked: &checked });
        assert_eq!(ended.verdict, if changed { Err(Refusal::BadCredential) } else { Ok(()) });
    }
}
