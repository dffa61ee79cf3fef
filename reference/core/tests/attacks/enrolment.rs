//! Enrolment against an authority that lies, a user who names what is another's, and a network that repeats itself
//! (ENR-2b, ENR-4b, ENR-5b, ENR-5c, ENR-7a, ENR-13c, DIS-6).

use bailee_core::crypto::hpke::Recipient;
use bailee_core::crypto::labels;
use bailee_core::crypto::sign::Signing;
use bailee_core::machine::{Input, Peer};
use bailee_core::roles::authority::{self, UserRecord, user_name};
use bailee_core::roles::device::OnDisk;
use bailee_core::roles::signed::{attempt_proof, intake_body};
use bailee_core::store::{Batch, Read};
use bailee_core::wire::{B32, Blob, Body, ReceiptBody};
use bailee_spec::limits::{DEVICES_PER_USER, GUESSES, OPEN_ATTEMPTS_PER_USER, VALIDITY_SECONDS};
use bailee_spec::outcome::Refusal;

use crate::common::{HOLDER, House, Says, admin, b32, receipt as common_receipt, sent};

const ANNS: &[(&str, &str)] = &[("t", "ann"), ("t", "ann"), ("t", "bob")];

fn signed_intake(key: &Signing, nonce: B32, intake: B32) -> Blob {
    key.sign(labels::SIGN_INTAKE, &intake_body(&nonce, &intake)).into()
}

/// (i): at enrolment the device takes the intake key on the keystore's word alone, for this very nonce.
#[test]
fn an_authority_cannot_have_a_key_sealed_to_itself_at_enrolment() {
    let liar = B32::from(Recipient::from_seed(&[6; 32]).public());
    for case in 0..3 {
        let mut house = House::new(1, ANNS);
        house.sign_in(0);
        let mut honest = house.run_to("Nonce");
        let Body::Nonce { nonce, intake, signature } = &mut honest.frame.body else { unreachable!() };
        match case {
            0 => (*intake, *signature) = (liar, signed_intake(&house.authority_key, *nonce, liar)),
            1 => *intake = liar,
            _ => *nonce = b32(1),
        }
        assert_eq!(house.deliver(honest), Err(Refusal::Malformed), "case {case}");
        assert!(house.wire.is_empty(), "no certificate, and no key");
        assert!(house.devices[0].role.memory_key().is_none());
    }
    let mut house = House::new(1, ANNS);
    house.enrol(0);
}

/// (i), DIS-6b: the same when a key is escrowed again.
#[test]
fn an_authority_cannot_have_a_key_sealed_to_itself_at_a_re_escrow() {
    let liar = B32::from(Recipient::from_seed(&[6; 32]).public());
    let mut house = House::new(1, ANNS);
    house.enrol(0);
    for case in 0..4 {
        house.order(&HOLDER, Peer::Client, 0, Body::EscrowAgain).unwrap();
        let mut honest = house.run_to("IntakeOffered");
        let Body::IntakeOffered { intake, signature } = &mut honest.frame.body else { unreachable!() };
        let expected = match case {
            0 => {
                (*intake, *signature) = (liar, signed_intake(&house.authority_key, b32(1), liar));
                Err(Refusal::BadSignature)
            }
            1 => {
                *intake = liar;
                Err(Refusal::BadSignature)
            }
            2 => {
                *signature = signed_intake(&house.keystore_key, b32(1), *intake);
                Err(Refusal::BadSignature)
            }
            _ => Ok(()),
        };
        assert_eq!(house.deliver(honest.clone()), expected, "case {case}");
        let sent = house.wire.iter().filter(|flight| flight.frame.body.name() == "ReEscrow").count();
        assert_eq!(sent, usize::from(expected.is_ok()), "case {case}");
        assert_eq!(house.deliver(honest), Err(Refusal::OutOfTurn), "an offer is answered once");
        house.wire.clear();
    }
}

/// (l), ENR-5c, GEN-9: the nonce of an attempt is told to the device and the user whose attempt it is.
#[test]
fn naming_an_attempt_does_not_bring_its_nonce() {
    let mut house = House::new(1, ANNS);
    let open = |user: &str, device: u8, attempt: u8| {
        let (tenant, user) = ("t".into(), user.into());
        (b32(9), Body::OpenEnrolment { tenant, user, attempt: b32(attempt), device: b32(device) })
    };
    let node = &mut house.nodes[0];
    let first = node.gives(&Peer::Authority, open("ann", 2, 1), "an attempt");
    node.refuses(&Peer::Authority, open("bob", 2, 1), Refusal::NotYourAttempt, "another user");
    node.refuses(&Peer::Authority, open("ann", 3, 1), Refusal::NotYourAttempt, "another device");
    let again = node.gives(&Peer::Authority, open("ann", 2, 1), "its own, again");
    assert_eq!(sent(&first, &Peer::Authority).body, sent(&again, &Peer::Authority).body);
}

/// (l), ENR-4b: the same at the authority.
#[test]
fn a_device_begins_no_attempt_of_another() {
    let mut house = House::new(1, ANNS);
    house.sign_in(0);
    let begun = house.run_to("BeginEnrolment");
    let Body::BeginEnrolment { attempt, .. } = begun.frame.body else { unreachable!() };
    house.deliver(begun).unwrap();
    house.wire.clear();
    let session = sign_in(&mut house, "bob", b"bob");
    let (device, recipient) = (Signing::from_seed(&[4; 32]), b32(5));
    let mut begin = |attempt: B32| {
        let proof = device.sign(labels::SIGN_ATTEMPT, &attempt_proof(&session, &attempt, &recipient)).into();
        let device = device.public().into();
        house.authority.verdict(&Peer::Client, (session, Body::BeginEnrolment { attempt, device, recipient, proof }))
    };
    assert_eq!(begin(attempt), Err(Refusal::NotYourAttempt));
    assert_eq!(begin(b32(1)), Ok(()), "one of its own");
}

fn sign_in(house: &mut House, user: &str, password: &[u8]) -> B32 {
    let body = Body::SignIn { tenant: "t".into(), user: user.into(), password: password.to_vec().into() };
    sent(&house.authority.say(&Peer::Client, body), &Peer::Client).exchange.unwrap()
}

/// (k), ENR-5b: a user has a stated number of open attempts; those whose time is over make room.
#[test]
fn a_user_has_only_so_many_open_attempts() {
    let mut house = House::new(1, ANNS);
    let node = &mut house.nodes[0];
    let open = |user: &str, attempt: usize| {
        let (tenant, user) = ("t".into(), user.into());
        (b32(9), Body::OpenEnrolment { tenant, user, attempt: b32(attempt as u8), device: b32(2) })
    };
    for attempt in 1..=OPEN_ATTEMPTS_PER_USER {
        node.accepts(&Peer::Authority, open("ann", attempt), "there is room");
    }
    let more = OPEN_ATTEMPTS_PER_USER + 1;
    let lease = Some(2 * VALIDITY_SECONDS);
    let publish = Body::Publish { from: 0, entries: Vec::new(), epoch: 0, head: 0, lease };
    node.accepts(&Peer::Authority, publish, "a longer lease");
    node.now = VALIDITY_SECONDS;
    node.refuses(
        &Peer::Authority,
        open("ann", more),
        Refusal::Busy,
        "one too many, in the last second of the others",
    );
    node.accepts(&Peer::Authority, open("ann", 1), "one that is open already");
    node.accepts(&Peer::Authority, open("bob", more), "another user");
    node.now = VALIDITY_SECONDS + 1;
    node.accepts(&Peer::Authority, open("ann", more + 1), "the others are out of time");
}

/// (k), ENR-4c: a user has a stated number of devices.
#[test]
fn a_user_has_only_so_many_devices() {
    let mut house = House::new(1, ANNS);
    house.enrol(0);
    let session = sign_in(&mut house, "ann", b"ann");
    let add = |seed: usize| {
        let device = Signing::from_seed(&[seed as u8; 32]);
        let recipient = B32::from(Recipient::from_seed(&[5; 32]).public());
        let proof =
            device.sign(labels::SIGN_ADD_DEVICE, &bailee_core::roles::signed::add_proof(&session, &recipient));
        (session, Body::AddDevice { device: device.public().into(), recipient, proof: proof.into() })
    };
    for seed in 1..DEVICES_PER_USER {
        house.authority.accepts(&Peer::Client, add(100 + seed), "there is room");
    }
    house.authority.refuses(&Peer::Client, add(99), Refusal::TooLarge, "one too many");
    house.authority.accepts(&Peer::Client, add(101), "one that is there already");
}

/// (k), ENR-2a, ENR-2b: after ten wrong passwords even the right one is refused, until the last wrong one is far enough back.
#[test]
fn passwords_are_guessed_only_so_often() {
    let mut house = House::new(1, ANNS);
    let word = |user: &str, word: &str| Body::SignIn {
        tenant: "t".into(),
        user: user.into(),
        password: word.as_bytes().to_vec().into(),
    };
    let authority = &mut house.authority;
    for _ in 1..GUESSES {
        assert_eq!(authority.verdict(&Peer::Client, word("ann", "wrong")), Err(Refusal::BadCredential));
    }
    authority.accepts(&Peer::Client, word("ann", "ann"), "the right one wipes the count");
    for _ in 0..GUESSES {
        assert_eq!(authority.verdict(&Peer::Client, word("ann", "wrong")), Err(Refusal::BadCredential));
    }
    authority.now = VALIDITY_SECONDS;
    authority.refuses(&Peer::Client, word("ann", "ann"), Refusal::Throttled, "in the last second");
    authority.accepts(&Peer::Client, word("bob", "bob"), "another user");
    authority.now = VALIDITY_SECONDS + 1;
    authority.accepts(&Peer::Client, word("ann", "ann"), "after it");
    for _ in 0..GUESSES {
        assert_eq!(authority.verdict(&Peer::Client, word("nobody", "x")), Err(Refusal::BadCredential));
    }
    authority.refuses(&Peer::Client, word("nobody", "x"), Refusal::Throttled, "a name that nobody has, as a user");
    let before = authority.saved().len();
    for name in 0..8 {
        let _ = authority.verdict(&Peer::Client, word(&format!("name {name}"), "x"));
    }
    let places = authority.saved().scan(b"gn/", b"gn/", usize::MAX).unwrap();
    assert!(
        places.len() > 1 && authority.saved().len() - before < 8 + 1,
        "a name that nobody has takes one place at most"
    );
    assert!(places.iter().all(|(name, _)| name.len() == 5), "there are 65,536 places");
}

/// (k), ENR-2b: passwords that are being checked at the same time are counted too.
#[test]
fn passwords_are_not_guessed_more_often_by_asking_all_at_once() {
    let mut house = House::new(1, ANNS);
    let authority = &mut house.authority;
    let mut waiting = Vec::new();
    for guess in 0..=GUESSES {
        let word = if guess == GUESSES { "ann" } else { "wrong" };
        let password = word.as_bytes().to_vec().into();
        let frame = Body::SignIn { tenant: "t".into(), user: "ann".into(), password }.frame();
        let effects = authority.input(Input::Frame { from: &Peer::Client, frame: &frame });
        assert_eq!(effects.verdict, Ok(()));
        waiting.push((frame, effects.work.unwrap().run()));
    }
    let mut verdicts = waiting
        .iter()
        .map(|(frame, checked)| authority.input(Input::Checked { from: &Peer::Client, frame, checked }).verdict);
    for _ in 0..GUESSES {
        assert_eq!(verdicts.next(), Some(Err(Refusal::BadCredential)));
    }
    assert_eq!(verdicts.next(), Some(Err(Refusal::Throttled)), "the right one, after ten wrong ones");
}

/// ENR-13c: of two devices that race, the first escrow wins, and the loser comes to the same key.
#[test]
fn two_escrows_of_two_devices_leave_one_key() {
    let mut house = House::new(1, ANNS);
    house.sign_in(0);
    let first = house.run_to("Escrow");
    house.sign_in(1);
    let second = house.run_to("Escrow");
    house.deliver(second).unwrap();
    house.run();
    assert_eq!(house.deliver(first), Err(Refusal::AlreadyEscrowed));
    house.run();
    assert_eq!(house.key_of(0), house.key_of(1));
    assert_eq!(house.escrowed("t", "ann"), house.key_of(0).map(|key| key.to_vec()));
}

/// GEN-9: every frame of an enrolment, carried twice in turn: one key for the user, and none that is not escrowed.
#[test]
fn an_enrolment_with_any_frame_carried_twice_ends_with_one_key() {
    let mut frames = 0;
    for doubled in 0..20 {
        let mut house = House::new(1, ANNS);
        house.sign_in(0);
        let mut at = 0;
        while let Some(flight) = house.wire.pop_front() {
            let _ = house.deliver(flight.clone());
            if at == doubled {
                let _ = house.deliver(flight);
            }
            at += 1;
            assert!(at < 200, "no end with frame {doubled} doubled");
        }
        frames = frames.max(at);
        if house.key_of(0).is_none() {
            // What came of it is a refusal; the next attempt completes.
            house.enrol(0);
        }
        assert_eq!(house.escrowed("t", "ann"), house.key_of(0).map(|key| key.to_vec()), "frame {doubled}");
        house.enrol(1);
        assert_eq!(house.key_of(1), house.key_of(0), "frame {doubled}");
    }
    assert!(frames >= 13);
}

/// GEN-27a, (l): a record that does not open is damage. Nothing is written over it, as if it were absent.
#[test]
fn a_damaged_account_is_not_an_absent_one() {
    let mut house = House::new(1, ANNS);
    house.enrol(0);
    let name = house.keyring.account_name("t", "ann");
    let mut record = house.nodes[0].saved().get(&name).unwrap().unwrap().to_vec();
    *record.last_mut().unwrap() ^= 1;
    let mut batch = Batch::default();
    batch.put(&name, record);
    house.nodes[0].write(&batch);
    let open = Body::OpenEnrolment { tenant: "t".into(), user: "ann".into(), attempt: b32(1), device: b32(2) };
    house.nodes[0].refuses(&Peer::Authority, (b32(9), open.clone()), Refusal::StoreDamaged, "a flipped bit");
    assert!(OnDisk(&house.devices[0].saved()).key().is_some());
    let mut empty = House::new(1, ANNS);
    empty.nodes[0].accepts(&Peer::Authority, (b32(9), open), "an account that is absent");
}

/// ENR-2: a password that was changed while it was checked opens no session.
#[test]
fn a_password_that_was_changed_meanwhile_opens_no_session() {
    let mut house = House::new(1, ANNS);
    let password = b"ann".to_vec().into();
    let frame = Body::SignIn { tenant: "t".into(), user: "ann".into(), password }.frame();
    let (from, changed) = (&Peer::Client, House::new(1, &[("t", "bob")]));
    let asked = house.authority.input(Input::Frame { from, frame: &frame });
    let checked = asked.work.unwrap().run();
    assert!(checked.matches);
    let before = house.authority.saved();
    assert_eq!(house.authority.input(Input::Checked { from, frame: &frame, checked: &checked }).verdict, Ok(()));
    *house.authority.store.borrow_mut() = before;
    let mut batch = Batch::default();
    let record = changed.authority.saved().get(&user_name("t", "bob")).unwrap().unwrap();
    let other: UserRecord = bailee_core::cbor::decode(&record, 1 << 10).unwrap();
    let present = house.authority.peek(|step| authority::user(step, "t", "ann")).unwrap();
    let next = UserRecord { password: other.password, ..present };
    batch.put(user_name("t", "ann"), bailee_core::cbor::encode(&next));
    house.authority.write(&batch);
    let late = house.authority.input(Input::Checked { from, frame: &frame, checked: &checked });
    assert_eq!(late.verdict, Err(Refusal::BadCredential));
    let word = |word: &str| Body::SignIn {
        tenant: "t".into(),
        user: "ann".into(),
        password: word.as_bytes().to_vec().into(),
    };
    assert_eq!(house.authority.verdict(&Peer::Client, word("ann")), Err(Refusal::BadCredential), "the former one");
    house.authority.accepts(&Peer::Client, word("bob"), "the present one");
}

/// ENR-14, DEA-3: a receipt that comes after the purge logs no key for the user, and authorises no device.
#[test]
fn a_late_receipt_logs_no_key_for_a_purged_user() {
    use bailee_core::wire::StandingChange::{Deactivate, Purge};
    let mut house = House::new(1, ANNS);
    house.sign_in(0);
    let late = house.run_to("Receipt");
    for change in [Deactivate, Purge] {
        let body = Body::SetStanding { tenant: "t".into(), user: "ann".into(), change };
        house.authority.accepts(&admin("t", "boss"), body, "an order");
    }
    let head = house.authority.peek(authority::head);
    assert_eq!(house.deliver(late), Err(Refusal::DeviceRevoked));
    let record = house.authority.peek(|step| authority::user(step, "t", "ann")).unwrap();
    assert_eq!((record.enrolled, record.kept, house.authority.peek(authority::head)), (None, None, head));
    assert!(house.authority.saved().scan(b"k/", b"k/", 9).unwrap().is_empty(), "and nothing is kept for a replay");
}

/// ENR-14b: a user has one key, whatever receipts of the keystore say later.
#[test]
fn a_receipt_for_a_second_key_authorises_no_device() {
    let mut house = House::new(1, ANNS);
    house.enrol(0);
    house.sign_in(1);
    house.run_to("AddDevice");
    let logged = house.authority.peek(|step| authority::user(step, "t", "ann")).unwrap().enrolled;
    let receipt = |commitment: B32| {
        let body = ReceiptBody { tenant: "t".into(), user: "ann".into(), commitment, generation: 0 };
        let (receipt, signature) = common_receipt(&house.keystore_key, &body);
        let attempt = OnDisk(&house.devices[0].saved()).attempt().unwrap();
        (b32(9), 0, Body::Receipt { receipt, signature, escrow: Vec::new().into(), attempt })
    };
    let (second, own) = (receipt(b32(5)), receipt(logged.unwrap()));
    house.authority.refuses(&Peer::Keystore(0), second, Refusal::ReceiptInvalid, "another key");
    house.authority.accepts(&Peer::Keystore(0), own, "the user's own");
    assert_eq!(house.authority.peek(|step| authority::user(step, "t", "ann")).unwrap().enrolled, logged);
}
