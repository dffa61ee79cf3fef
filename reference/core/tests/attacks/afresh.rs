//! What fresh eyes tried on the roles, by kind: lists that are cut, what another worker or another node writes meanwhile, words that come
//! after a decision, and what an outsider can make large.

use std::cell::RefCell;

use bailee_core::cbor;
use bailee_core::crypto::labels;
use bailee_core::machine::{Input, Peer, Role, Timer, run};
use bailee_core::quirks::Quirks;
use bailee_core::roles::authority::{self, DeviceState};
use bailee_core::roles::custodian::Custodian;
use bailee_core::roles::keystore;
use bailee_core::store::{Batch, MemoryStore, NotApplied, Read, Record, Store, StoreFailed};
use bailee_core::wire::{B32, Body, Header, Roster, StandingChange};
use bailee_spec::action::Point;
use bailee_spec::limits::{DEVICES_PER_USER, GUESSES, OPEN_ATTEMPTS_PER_USER};
use bailee_spec::outcome::Refusal;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::common::{HOLDER, House, OPERATOR, Says, admin, b32, sent, share_for, user, wrapped};
use crate::disaster::{lose, restore};

const ANN: &[(&str, &str)] = &[("t", "ann"), ("t", "ann")];
const PEOPLE: &[(&str, &str)] = &[("t", "ann"), ("t", "bob"), ("t", "ann")];

fn set(user: &str, change: StandingChange) -> Body {
    Body::SetStanding { tenant: "t".into(), user: user.into(), change }
}

fn request(user: &str) -> Body {
    Body::RequestJob { tenant: "t".into(), user: user.into() }
}

fn deauthorize(house: &mut House, device: usize) {
    let device = house.id_of(device);
    let body = Body::Deauthorize { tenant: "t".into(), user: "ann".into(), device };
    house.must(&admin("t", "boss"), Peer::Authority, body);
}

/// GEN-17a, DEA-1: every device is deauthorized, also after more of them were deauthorized than a user may have.
#[test]
fn a_deactivation_reaches_every_device_however_many_came_before() {
    let mut house = House::new(1, &[("t", "ann"); DEVICES_PER_USER * 2 + 2]);
    let last = DEVICES_PER_USER * 2;
    for device in 0..last {
        house.enrol(device);
        deauthorize(&mut house, device);
    }
    house.enrol(last);
    house.enrol(last + 1);
    house.must(&admin("t", "boss"), Peer::Authority, set("ann", StandingChange::Deactivate));
    for device in [last, last + 1] {
        let id = house.id_of(device);
        let record = house.authority.peek(|step| authority::device(step, &id)).unwrap();
        assert_eq!(record.state, DeviceState::Revoked, "device {device}");
    }
}

/// DEA-1: a device that another worker adds while its user is deactivated is seen by one of both.
#[test]
fn no_device_is_added_beside_a_deactivation() {
    let mut house = House::new(1, ANN);
    house.enrol(0);
    house.sign_in(1);
    let add = house.run_to("AddDevice");
    let added = house.authority.step(&add.from, add.frame.clone());
    let ended = house.authority.step(&admin("t", "boss"), set("ann", StandingChange::Deactivate));
    assert_eq!((added.verdict, ended.verdict), (Ok(()), Ok(())), "each alone");
    house.authority.apply(&added).unwrap();
    assert!(matches!(house.authority.apply(&ended), Err(NotApplied::Conflict { .. })), "a device was missed");
}

/// A store into which another worker writes between two reads of a step.
struct Meddled<'a> {
    inner: RefCell<&'a mut MemoryStore>,
    /// What is written, and before which record is read.
    other: RefCell<Option<(Vec<u8>, Batch)>>,
}

impl Read for Meddled<'_> {
    fn get(&self, name: &[u8]) -> Result<Option<Record>, StoreFailed> {
        if let Some((_, batch)) = self.other.borrow_mut().take_if(|(before, _)| *before == name) {
            self.inner.borrow_mut().apply(&batch).unwrap();
        }
        self.inner.borrow().get(name)
    }

    fn scan(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, Record)>, StoreFailed> {
        self.inner.borrow().scan(prefix, from, limit)
    }
}

impl Store for Meddled<'_> {
    fn apply(&mut self, batch: &Batch) -> Result<(), NotApplied> {
        self.inner.borrow_mut().apply(batch)
    }
}

/// GEN-8a, BAK-1: leave to append that names the newest revocation is given to no device which that revocation deauthorized, though a
/// step that gives leave writes nothing.
#[test]
fn no_leave_is_given_beside_a_deauthorization() {
    let mut house = House::new(1, ANN);
    house.enrol(0);
    let (device, id) = (house.peer_of(0), house.id_of(0));
    let order = Body::Deauthorize { tenant: "t".into(), user: "ann".into(), device: id };
    let revoked = house.authority.step(&admin("t", "boss"), order);
    assert_eq!(revoked.verdict, Ok(()));
    let desk = &mut house.authority;
    let mut store = desk.saved();
    let other = RefCell::new(Some((authority::EPOCHS.as_bytes().to_vec(), revoked.batch)));
    let mut meddled = Meddled { inner: RefCell::new(&mut store), other };
    let frame = Body::GetCapability { read: false }.frame();
    let input = Input::Frame { from: &device, frame: &frame };
    let effects = run(&mut desk.role, &mut meddled, 0, &mut desk.rng, Quirks::none(), input).unwrap();
    assert!(meddled.other.borrow().is_none(), "the other worker wrote between");
    assert_eq!(effects.verdict, Err(Refusal::DeviceRevoked));
}

/// DIS-6c, DEA-1, DEA-2: a key that comes back by a word from before a deactivation, or from before a reactivation, does not undo it.
#[test]
fn a_key_that_comes_back_late_undoes_no_standing() {
    for (first, then) in
        [(None, StandingChange::Deactivate), (Some(StandingChange::Deactivate), StandingChange::Reactivate)]
    {
        let mut house = House::new(1, PEOPLE);
        house.enrol(0);
        let snapshot = house.snapshot();
        house.enrol(1);
        lose(&mut house);
        restore(&mut house, &snapshot);
        let boss = admin("t", "boss");
        if let Some(first) = first {
            house.must(&boss, Peer::Authority, set("bob", first));
            house.publish_all();
        }
        let replay = Body::ReplayKey { tenant: "t".into(), user: "bob".into() };
        house.order(&OPERATOR, Peer::Authority, 0, replay.clone()).unwrap();
        let late = house.run_to("ReturnKey");
        house.must(&boss, Peer::Authority, set("bob", then));
        house.publish_all();
        assert_eq!(house.deliver(late), Err(Refusal::Overtaken), "{then:?}");
        house.run();
        house.must(&OPERATOR, Peer::Authority, replay);
        let state = house.keyring.account(&*house.nodes[0].store.borrow(), "t", "bob").unwrap().state();
        let dormant = state == bailee_spec::observation::AccountState::Dormant;
        assert_eq!(dormant, then == StandingChange::Deactivate, "{then:?}: {state:?}");
    }
}

/// DIS-3f: a node that was open while another one restored the store has not followed the log of the store that is there now.
/// A snapshot by it would let the authority forget what the restore has lost.
#[test]
fn a_node_beside_a_restore_says_nothing_of_the_restored_store() {
    let mut house = House::new(2, PEOPLE);
    house.enrol(0);
    let snapshot = house.snapshot();
    house.enrol(1);
    house.restart(0);
    house.order(&OPERATOR, Peer::Keystore(0), 0, Body::Stage { snapshot: snapshot.into() }).unwrap();
    house.run();
    house.ceremony(0, Body::OpenCeremony { rekey: false, roster: None });
    house.fetch(0, 0);
    house.hand_in(0, 0);
    house.fetch(1, 0);
    house.order(&HOLDER, Peer::Custodian(2), 0, Body::HandIn { node: 0 }).unwrap();
    // The restored store asks, and the question is under way.
    let awake = house.run_to("Awake");
    assert_eq!(house.order(&OPERATOR, Peer::Keystore(1), 0, Body::TakeSnapshot), Err(Refusal::Sealed));
    house.run();
    if let Some((_, Body::Snapshot { snapshot })) = house.told.last().cloned() {
        let digest = keystore::Snapshot::digest(&snapshot);
        house.must(&OPERATOR, Peer::Keystore(1), Body::SnapshotKept { digest });
    }
    house.deliver(awake).unwrap();
    house.run();
    let replay = Body::ReplayKey { tenant: "t".into(), user: "bob".into() };
    house.must(&OPERATOR, Peer::Authority, replay);
    assert_eq!(house.escrowed("t", "bob"), house.key_of(1).map(|key| key.to_vec()));
}

/// JOB-2c, JOB-7a: an order to end a job that is over, or its assignment, carried once more and late, ends no later job of that user in silence.
#[test]
fn late_words_of_a_job_that_is_over_do_not_end_the_next_one() {
    let abort = Body::AbortJob { tenant: "t".into(), user: "ann".into() };
    for late in ["EndJob", "AssignJob"] {
        let mut house = House::new(1, ANN);
        house.enrol(0);
        let ann = user("t", "ann");
        house.order(&ann, Peer::Authority, 0, request("ann")).unwrap();
        let assign = house.run_to("AssignJob");
        house.deliver(assign.clone()).unwrap();
        let _ = house.run_to("Fetch");
        house.order(&ann, Peer::Authority, 0, abort.clone()).unwrap();
        let (_, timer) = house.authority.timers.pop().unwrap();
        let ordered = house.authority.fire(&timer);
        let end = ordered.frames[0].frame.clone();
        house.put(&Peer::Authority, 0, ordered).unwrap();
        house.run();
        house.set_clocks(1);
        house.order(&ann, Peer::Authority, 0, request("ann")).unwrap();
        let _ = house.run_to("Fetch");
        assert_eq!(house.restorer.role.held().count(), 1);
        let frame = if late == "EndJob" { end } else { assign.frame };
        let effects = house.restorer.say(&Peer::Authority, frame);
        assert_eq!(effects.verdict.err(), (late == "AssignJob").then_some(Refusal::JobOver));
        let _ = house.put(&Peer::Restorer, 0, effects);
        house.run();
        let holds = house.restorer.role.held().count() == 1;
        let known = house.authority.peek(|step| authority::job_of(step, "t", "ann")).is_some();
        assert_eq!(holds, known, "a late {late}: the key is gone, and the authority takes the job for one under way");
    }
}

/// KEY-2d: a share that custody has is not written over by somebody with the custodian's login alone.
#[test]
fn a_login_alone_destroys_no_share() {
    let mut house = House::new(1, ANN);
    let header = house.nodes[0].peek(keystore::header).unwrap();
    let body = Body::StoreShare { header, wrapped: vec![0; 80].into() };
    for custodian in 1..=3 {
        house.custody.refuses(&Peer::Custodian(custodian), body.clone(), Refusal::DuplicateShare, "another share");
    }
    house.restart(0);
    house.unseal(0);
    assert!(!house.is_sealed(0));
}

/// GEN-12a: a name longer than a name may be is refused, and is not taken for a store that fails.
#[test]
fn a_name_out_of_bounds_is_malformed() {
    let mut house = House::new(1, ANN);
    for length in [0, 256, 2_000] {
        let tenant = "t".repeat(length);
        let body = Body::SignIn { tenant, user: "ann".into(), password: b"ann".to_vec().into() };
        house.authority.refuses(&Peer::Client, body, Refusal::Malformed, "no name");
    }
    let body = Body::SignIn { tenant: "t".repeat(255), user: "ann".into(), password: b"ann".to_vec().into() };
    assert_eq!(house.authority.verdict(&Peer::Client, body), Err(Refusal::BadCredential), "a name of nobody");
}

/// ENR-2c: wrong passwords for a name that nobody has say nothing of another name in the same place, be it a user's or nobody's.
#[test]
fn a_shared_place_tells_no_user_from_nobody() {
    let mut house = House::new(1, ANN);
    let word =
        |name: &str| Body::SignIn { tenant: "t".into(), user: name.into(), password: b"wrong".to_vec().into() };
    for _ in 0..GUESSES {
        assert_eq!(house.authority.verdict(&Peer::Client, word("nobody")), Err(Refusal::BadCredential));
    }
    assert_eq!(house.authority.verdict(&Peer::Client, word("nobody")), Err(Refusal::Throttled));
    let places = house.authority.saved().scan(b"gn/", b"gn/", 9).unwrap();
    let secret: B32 = house.authority.peek(|step| step.get(authority::NOBODY)).unwrap();
    let place = |name: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(&secret[..]).unwrap();
        mac.update(labels::GUESS_PLACE.as_bytes());
        mac.update(&cbor::encode(&("t", name)));
        mac.finalize().into_bytes()[..2].to_vec()
    };
    assert_eq!(places.len(), 1);
    assert_eq!(places[0].0[3..], place("nobody"), "only who knows the secret finds the place");
    let other = (0..).map(|number| format!("name-{number}")).find(|name| place(name) == place("nobody")).unwrap();
    assert_eq!(
        house.authority.verdict(&Peer::Client, word(&other)),
        Err(Refusal::BadCredential),
        "as a user's would be"
    );
    assert_eq!(house.authority.verdict(&Peer::Client, word("ann")), Err(Refusal::BadCredential));
}

/// GEN-17a: what one user can make the authority keep is bounded: sessions, attempts, pending devices, grants and jobs.
#[test]
fn a_user_fills_no_store_of_the_authority() {
    let mut house = House::new(1, &[("t", "ann"), ("t", "bob"), ("t", "bob")]);
    house.enrol(1);
    let mut sizes = Vec::new();
    for round in 1..120 {
        house.set_clocks(round * 10_000);
        house.publish_all();
        // One who never enrols begins anew each time, on a blank device.
        *house.devices[0].store.borrow_mut() = MemoryStore::default();
        house.sign_in(0);
        let _ = house.run_to("OpenEnrolment");
        house.wire.clear();
        house.devices[0].role.restart();
        // One who is enrolled asks for the key with a further device, and for a job.
        *house.devices[2].store.borrow_mut() = MemoryStore::default();
        house.devices[2].role.restart();
        house.sign_in(2);
        let _ = house.run_to("ReleaseKey");
        house.wire.clear();
        house.order(&user("t", "bob"), Peer::Authority, 0, request("bob")).unwrap();
        let _ = house.run_to("ReleaseKey");
        house.wire.clear();
        let id = house.id_of(2);
        house.must(
            &user("t", "bob"),
            Peer::Authority,
            Body::Deauthorize { tenant: "t".into(), user: "bob".into(), device: id },
        );
        sizes.push(house.authority.saved().len());
    }
    // What stays is the record of each deauthorized device, and its entry of the log.
    assert_eq!(sizes[118] - sizes[60], 2 * (118 - 60), "{sizes:?}");
}

/// ENR-5b: attempts that are over do not stay at the keystore, whose snapshot has to fit into a record.
#[test]
fn attempts_that_are_over_leave_the_keystore() {
    let mut house = House::new(1, PEOPLE);
    let mut sizes = Vec::new();
    for round in 0..6 {
        house.set_clocks(round * 10_000);
        house.publish_all();
        for number in 0..OPEN_ATTEMPTS_PER_USER as u8 {
            let (attempt, device) = (b32(round as u8 * 16 + number + 1), b32(200));
            let body = Body::OpenEnrolment { tenant: "t".into(), user: "ann".into(), attempt, device };
            house.nodes[0].accepts(&Peer::Authority, body, "there is room");
        }
        sizes.push(house.nodes[0].saved().len());
    }
    assert_eq!(sizes[1], sizes[5], "{sizes:?}");
}

/// DIS-4: messages that no snapshot covers, because their keys were lost and do not come back, keep nobody's message from being erased.
#[test]
fn kept_messages_that_stay_are_in_nobodys_way() {
    let names: Vec<String> = (0..40).map(|number| format!("user-{number}")).collect();
    let people: Vec<(&str, &str)> = names.iter().map(|name| ("t", name.as_str())).collect();
    let mut house = House::new(1, &people);
    house.enrol(0);
    let snapshot = house.snapshot();
    (1..39).for_each(|device| house.enrol(device));
    lose(&mut house);
    restore(&mut house, &snapshot);
    house.enrol(39);
    let _ = house.snapshot();
    (0..3).for_each(|_| house.publish_all());
    let kept = |name: &str| house.authority.peek(|step| authority::user(step, "t", name)).unwrap().kept.is_some();
    assert!(kept("user-1"), "no snapshot has it");
    assert!(!kept("user-39"), "the snapshot has it");
}

/// DIS-5c: a word that a key is back, once it is lost, comes again with the next order; the next snapshot covers the key then.
#[test]
fn a_lost_word_of_a_returned_key_comes_again() {
    let mut house = House::new(1, PEOPLE);
    house.enrol(0);
    let snapshot = house.snapshot();
    house.enrol(1);
    lose(&mut house);
    restore(&mut house, &snapshot);
    let replay = Body::ReplayKey { tenant: "t".into(), user: "bob".into() };
    house.order(&OPERATOR, Peer::Authority, 0, replay.clone()).unwrap();
    let _ = house.run_to("KeyReturned");
    assert_eq!(house.escrowed("t", "bob"), house.key_of(1).map(|key| key.to_vec()));
    house.must(&OPERATOR, Peer::Authority, replay);
    assert_eq!(house.last_refusal(), Some(Refusal::NotLost));
    house.publish_all();
    let _ = house.snapshot();
    house.publish_all();
    let bob = house.authority.peek(|step| authority::user(step, "t", "bob")).unwrap();
    assert!(bob.kept.is_none(), "its key is in the snapshot");
}

/// C41, CER-6c: a store that is put back to what it was is noticed before it serves; one that is as it was serves.
#[test]
fn a_store_that_is_put_back_is_noticed() {
    for put_back in [false, true] {
        let mut house = House::new(1, PEOPLE);
        house.enrol(0);
        house.publish_all();
        let saved = house.nodes[0].saved();
        house.enrol(1);
        house.publish_all();
        if put_back {
            *house.nodes[0].store.borrow_mut() = saved;
        }
        house.restart(0);
        house.unseal(0);
        assert_eq!(house.refusals.contains(&Refusal::StoreRolledBack), put_back);
        house.sign_in(2);
        house.run();
        assert_eq!(house.key_of(2).is_none(), put_back, "{:?}", house.refusals);
    }
}

/// REV-2i: what a store had confirmed that is restored since does not make the restored one look put back.
#[test]
fn a_late_confirmation_of_a_former_store_is_none() {
    let mut house = House::new(1, PEOPLE);
    house.enrol(0);
    let snapshot = house.snapshot();
    house.enrol(1);
    let effects = house.authority.fire(&Timer::Publish(Point::Keystore));
    house.put(&Peer::Authority, 0, effects).unwrap();
    let late = house.run_to("Confirm");
    lose(&mut house);
    restore(&mut house, &snapshot);
    assert_eq!(house.deliver(late), Err(Refusal::ReceiptInvalid));
    house.restart(0);
    house.unseal(0);
    house.enrol(2);
}

/// KEY-5a: no operator changes who holds shares alone. A custodian who thinks of an unsealing is shown the roster of the rekey that was
/// announced in its place, and gives no share for it, whatever custody does; one who agrees to that very roster does.
#[test]
fn no_operator_changes_the_custodians_alone() {
    let mut house = House::new(1, ANN);
    let (pinned, rng) = (house.keystore_key.public(), &mut house.nodes[0].rng);
    let own = (1..=3).map(|index| Custodian::generate(index, pinned, rng).keys()).collect();
    let roster = Roster { threshold: 2, custodians: own };
    let announced = house.ceremony(0, Body::OpenCeremony { rekey: true, roster: Some(roster.clone()) });
    for agreed in [None, Some(b32(1))] {
        let code = house.codes[0];
        house.fetch_agreeing(0, 0, agreed);
        assert_eq!(house.last_refusal(), Some(Refusal::OutOfTurn));
        assert!(house.custodians[0].role.holds_for().is_none());
        assert!(matches!(house.told.last(), Some((HOLDER, Body::Window { .. }))), "{:?}", house.told.last());
        house.codes[0] = code;
    }
    let header = house.nodes[0].peek(keystore::header).unwrap().digest();
    let wrapped = wrapped(&mut house, &header, 1);
    let released = share_for(announced, wrapped);
    house.custodians[0].refuses(
        &Peer::Custody,
        released.clone(),
        Refusal::OutOfTurn,
        "from a custody that asks nobody",
    );
    house.fetch_agreeing(0, 0, Some(roster.digest()));
    assert!(house.custodians[0].role.holds_for().is_some(), "the code was not spent: {:?}", house.refusals);
    // What was agreed to once is not agreed to for ever.
    house.order(&HOLDER, Peer::Custodian(1), 0, Body::FetchShare { node: 0, code: None, roster: None }).unwrap();
    house.custodians[0].refuses(&Peer::Custody, released, Refusal::OutOfTurn, "after an order without the agreement");
}

/// KEY-5: a rekey to custodians to whom nothing can be sealed does not begin, and so stands in nobody's way.
#[test]
fn a_roster_of_unusable_keys_begins_no_rekey() {
    let mut house = House::new(1, ANN);
    let Header { threshold, mut custodians, .. } = house.nodes[0].peek(keystore::header).unwrap();
    custodians[2].recipient = b32(0);
    let body = Body::OpenCeremony { rekey: true, roster: Some(Roster { threshold, custodians }) };
    house.nodes[0].refuses(&OPERATOR, body, Refusal::Malformed, "a point of small order");
    house.nodes[0].accepts(&OPERATOR, Body::OpenCeremony { rekey: true, roster: None }, "the present ones");
}

/// JOB-8b: a right that is given makes nobody an administrator, and fills no store.
#[test]
fn a_right_makes_no_administrator() {
    let mut house = House::new(1, ANN);
    let head = admin("t", "head");
    let right = |admin: &str| Body::SetRight { tenant: "t".into(), admin: admin.into(), restore: true };
    house.authority.refuses(&head, right("nobody"), Refusal::BadCredential, "nobody");
    house.authority.refuses(&head, right(&"x".repeat(256)), Refusal::Malformed, "no name");
    house.authority.accepts(&head, right("boss"), "an administrator");
}

/// JOB-9: frames of a job from before a restart of the restorer bring it nothing.
#[test]
fn a_restarted_restorer_gets_no_key_from_old_frames() {
    let mut house = House::new(1, ANN);
    house.enrol(0);
    house.order(&user("t", "ann"), Peer::Authority, 0, request("ann")).unwrap();
    let assign = house.run_to("AssignJob");
    house.deliver(assign.clone()).unwrap();
    let delivery = house.run_to("KeyDelivery");
    house.deliver(delivery.clone()).unwrap();
    assert_eq!(house.restorer.role.held().count(), 1);
    house.wire.clear();
    house.restorer.role.restart();
    assert_eq!(house.deliver(delivery.clone()), Err(Refusal::JobOver), "no job");
    house.deliver(assign).unwrap();
    assert_eq!(house.deliver(delivery), Err(Refusal::JobOver), "another job key");
    house.run();
    assert_eq!(house.restorer.role.held().count(), 0);
}

/// Clocks at their last second, and numbers at their end: the roles go on, and nothing begins again at 0.
#[test]
fn the_last_second_is_one_like_any_other() {
    let mut house = House::new(1, PEOPLE);
    house.enrol(1);
    let snapshot = house.snapshot();
    house.set_clocks(u64::MAX);
    house.publish_all();
    house.enrol(0);
    house.order(&user("t", "ann"), Peer::Authority, 0, request("ann")).unwrap();
    house.run();
    house.restart(0);
    house.unseal(0);
    house.enrol(2);
    assert_eq!(house.key_of(2), house.key_of(0));
    // An authority that lies about the newest generation.
    house.restart(0);
    let node = &mut house.nodes[0];
    let asked = node.gives(&OPERATOR, Body::Stage { snapshot: snapshot.clone().into() }, "staged");
    let mut witness = sent(&asked, &Peer::Authority);
    let digests = vec![keystore::Snapshot::digest(&snapshot)];
    witness.body = Body::Witness { digests, generation: u64::MAX, index: u64::MAX };
    node.accepts(&Peer::Authority, witness, "witnessed");
    house.unseal(0);
    assert_eq!(house.nodes[0].peek(keystore::generation), u64::MAX);
}

/// GEN-32: nothing prints a password, or the exchange that is a session's secret.
#[test]
fn no_frame_prints_a_secret() {
    let password = b"correct horse".to_vec();
    let printed = |bytes: &[u8]| format!("{bytes:?}").trim_matches(['[', ']']).to_owned();
    for body in [
        Body::SignIn { tenant: "t".into(), user: "ann".into(), password: password.clone().into() },
        Body::EnterPassword { password: password.clone().into() },
        Body::BackUp { content: password.clone().into() },
    ] {
        let frame = (crate::common::b32(77), body).frame();
        let shown = format!("{frame:?} {:?}", Input::Frame { from: &HOLDER, frame: &frame });
        assert!(!shown.contains(&printed(&password)), "{shown}");
        assert!(!shown.contains(&printed(&[77; 32])), "{shown}");
        assert!(shown.contains(frame.body.name()), "{shown}");
    }
}
