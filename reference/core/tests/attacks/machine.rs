//! Two workers over one store, and a store that fails in the middle: no write is lost, and a step that was not applied has not
//! happened, neither in the store nor in memory.

use std::cell::Cell;

use bailee_core::machine::{Input, Peer, Person, Role, run};
use bailee_core::quirks::Quirks;
use bailee_core::roles::authority;
use bailee_core::roles::keystore::RELEASED;
use bailee_core::roles::storage::extent;
use bailee_core::store::{Batch, MemoryStore, NotApplied, Read, Record, Store, StoreFailed};
use bailee_core::wire::{B32, Body, Frame, StandingChange};
use bailee_spec::outcome::Refusal;

use crate::common::{Desk, Flight, HOLDER, House, OPERATOR, Says, admin, b32, user};

const PEOPLE: &[(&str, &str)] = &[("t", "ann"), ("t", "ann"), ("t", "bob")];

/// Two workers step at the same time; the first is applied. The second is told of a conflict, runs again, and this is its verdict.
fn race<R: Role>(desk: &mut Desk<R>, one: (&Peer, Frame), other: (&Peer, Frame)) -> Result<(), Refusal> {
    let first = desk.step(one.0, one.1);
    let second = desk.step(other.0, other.1.clone());
    assert_eq!((first.verdict, second.verdict), (Ok(()), Ok(())), "each alone is accepted");
    desk.apply(&first).unwrap();
    let saved = desk.saved();
    assert!(matches!(desk.apply(&second), Err(NotApplied::Conflict { .. })), "a lost write");
    assert!(desk.saved().same(&saved));
    desk.verdict(other.0, other.1)
}

#[test]
fn two_workers_consume_a_grant_once() {
    let mut house = House::new(1, PEOPLE);
    house.enrol(0);
    house.sign_in(1);
    let asked = house.run_to("ConsumeGrant");
    let (from, frame) = (&asked.from, asked.frame);
    assert_eq!(race(&mut house.authority, (from, frame.clone()), (from, frame)), Err(Refusal::GrantVoid));
    assert_eq!(house.authority.peek(|step| step.get::<u64>(authority::RELEASED)), Some(1));
}

#[test]
fn two_workers_take_one_escrow() {
    let mut house = House::new(1, PEOPLE);
    house.sign_in(0);
    let first = house.run_to("Escrow");
    house.sign_in(1);
    let second = house.run_to("Escrow");
    let node = &mut house.nodes[0];
    let verdict = race(node, (&first.from, first.frame.clone()), (&second.from, second.frame.clone()));
    assert_eq!(verdict, Err(Refusal::AlreadyEscrowed));
    // The first is told again what it already is; the second replaces.
    let _ = house.deliver(first);
    let _ = house.deliver(second);
    house.run();
    assert_eq!(house.escrowed("t", "ann"), house.key_of(1).map(|key| key.to_vec()));
}

#[test]
fn two_workers_append_two_blocks() {
    let mut house = House::new(1, PEOPLE);
    house.enrol(0);
    house.order(&HOLDER, Peer::Client, 0, Body::StartBackup).unwrap();
    house.run();
    let mut append = |content: &[u8]| {
        house.order(&HOLDER, Peer::Client, 0, Body::BackUp { content: content.to_vec().into() }).unwrap();
        house.wire.pop_front().unwrap()
    };
    let (one, other) = (append(b"one"), append(b"other"));
    let raced = race(&mut house.storage, (&one.from, one.frame), (&other.from, other.frame));
    assert_eq!(raced, Ok(()));
    assert_eq!(house.storage.peek(|step| extent(step, "t", "ann")), (0, 2));
}

#[test]
fn two_workers_assign_one_job_to_a_user() {
    let mut house = House::new(1, PEOPLE);
    house.enrol(0);
    house.enrol(2);
    let request = |name: &str| Body::RequestJob { tenant: "t".into(), user: name.into() }.frame();
    let (ann, bob, boss) = (user("t", "ann"), user("t", "bob"), admin("t", "boss"));
    let desk = &mut house.authority;
    assert_eq!(race(desk, (&ann, request("ann")), (&boss, request("ann"))), Err(Refusal::Busy));
    desk.accepts(&bob, request("bob"), "another user's");
    assert_eq!(desk.peek(|step| step.get::<Vec<(B32, u64)>>(authority::RUNNING)).unwrap().len(), 2);
}

#[test]
fn two_workers_lose_no_job_of_two_users() {
    let mut house = House::new(1, PEOPLE);
    house.enrol(0);
    house.enrol(2);
    let request = |name: &str| Body::RequestJob { tenant: "t".into(), user: name.into() }.frame();
    let (ann, bob) = (user("t", "ann"), user("t", "bob"));
    let desk = &mut house.authority;
    assert_eq!(race(desk, (&ann, request("ann")), (&bob, request("bob"))), Ok(()));
    assert_eq!(desk.peek(|step| step.get::<Vec<(B32, u64)>>(authority::RUNNING)).unwrap().len(), 2);
}

/// Two decisions never share a place in the log, and no epoch is given to two revocations that do not know of each other.
#[test]
fn two_workers_lose_no_decision() {
    let mut house = House::new(1, PEOPLE);
    (0..3).for_each(|device| house.enrol(device));
    let order = |device: B32, user: &str| Body::Deauthorize { tenant: "t".into(), user: user.into(), device }.frame();
    let (one, other) = (order(house.id_of(0), "ann"), order(house.id_of(2), "bob"));
    let boss = admin("t", "boss");
    let before = house.authority.peek(authority::head);
    assert_eq!(race(&mut house.authority, (&boss, one), (&boss, other)), Ok(()));
    assert_eq!(house.authority.peek(authority::head), before + 2);
    assert_eq!(house.authority.peek(authority::epochs).newest, 2);
    let suspend = |name: &str| {
        Body::SetStanding { tenant: "t".into(), user: name.into(), change: StandingChange::Suspend }.frame()
    };
    assert_eq!(race(&mut house.authority, (&boss, suspend("ann")), (&boss, suspend("bob"))), Ok(()));
    assert_eq!(house.authority.peek(authority::head), before + 4);
}

/// A grant that is consumed while its device is deauthorized by another worker: whichever is applied first, the other sees it.
#[test]
fn a_consumption_and_a_deauthorization_do_not_miss_each_other() {
    let mut house = House::new(1, PEOPLE);
    house.enrol(0);
    house.sign_in(1);
    let asked = house.run_to("ConsumeGrant");
    let device = house.id_of(1);
    let order = Body::Deauthorize { tenant: "t".into(), user: "ann".into(), device }.frame();
    let boss = admin("t", "boss");
    let verdict = race(&mut house.authority, (&boss, order), (&asked.from, asked.frame));
    assert_eq!(verdict, Err(Refusal::GrantVoid));
    assert_eq!(house.authority.peek(|step| step.get::<u64>(authority::RELEASED)), None);
}

#[test]
fn two_workers_spend_a_code_once() {
    let mut house = House::new(1, PEOPLE);
    house.restart(0);
    house.ceremony(0, Body::OpenCeremony { rekey: false, roster: None });
    house.order(&HOLDER, Peer::Custodian(1), 0, Body::FetchShare { node: 0, code: Some(1), roster: None }).unwrap();
    let asked = house.run_to("RequestShare");
    let (from, frame) = (&asked.from, asked.frame);
    assert_eq!(race(&mut house.custody, (from, frame.clone()), (from, frame)), Err(Refusal::CodeReplayed));
}

/// A store that fails: at a read, or when it is written.
struct Failing {
    inner: MemoryStore,
    /// Reads that still succeed.
    reads: Cell<usize>,
    writes: bool,
}

impl Failing {
    fn read(&self) -> Result<(), StoreFailed> {
        match self.reads.get().checked_sub(1) {
            Some(left) => {
                self.reads.set(left);
                Ok(())
            }
            None => Err(StoreFailed::new("the medium failed")),
        }
    }
}

impl Read for Failing {
    fn get(&self, name: &[u8]) -> Result<Option<Record>, StoreFailed> {
        self.read()?;
        self.inner.get(name)
    }

    fn scan(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, Record)>, StoreFailed> {
        self.read()?;
        self.inner.scan(prefix, from, limit)
    }
}

impl Store for Failing {
    fn apply(&mut self, batch: &Batch) -> Result<(), NotApplied> {
        if !self.writes {
            return Err(NotApplied::Failed(StoreFailed::new("the medium is full")));
        }
        self.inner.apply(batch)
    }
}

/// Gives an input to copies of a role over a store that fails at its first read, its second, and so on, and then when it is written.
/// Nothing leaves then (GEN-8), and the same input is accepted as soon as the store works again. How many reads there were.
fn survives<R: Role + Clone>(desk: &mut Desk<R>, from: &Peer, frame: &Frame) -> usize {
    let input = Input::Frame { from, frame };
    let (now, none) = (desk.now, Quirks::none());
    let saved = desk.saved();
    for reads in 0..200 {
        for writes in [true, false] {
            let mut role = desk.role.clone();
            let reads = if writes { reads } else { usize::MAX };
            let mut store = Failing { inner: saved.clone(), reads: Cell::new(reads), writes };
            let failed = match run(&mut role, &mut store, now, &mut desk.rng, none, input) {
                Ok(effects) if effects.verdict == Err(Refusal::StoreUnavailable) => {
                    assert!(effects.batch.is_empty() && effects.timers.is_empty());
                    let told = |body: &Body| matches!(body.name(), "Refusal" | "KeystoreRefusal" | "GrantRefused");
                    assert!(effects.frames.iter().all(|out| told(&out.frame.body)), "{:?}", effects.frames);
                    true
                }
                Ok(effects) => {
                    assert_eq!(effects.verdict, Ok(()), "{}", frame.body.name());
                    false
                }
                Err(NotApplied::Failed(_)) => true,
                Err(other) => panic!("{other:?}"),
            };
            if writes && !failed {
                return reads;
            }
            if failed {
                assert!(store.inner.same(&saved), "{}", frame.body.name());
                let mut healthy = saved.clone();
                let effects = run(&mut role, &mut healthy, now, &mut desk.rng, none, input).unwrap();
                assert_eq!(effects.verdict, Ok(()), "{} after a failure at read {reads}", frame.body.name());
            }
        }
    }
    panic!("{} reads without end", frame.body.name())
}

/// Every frame of these flows meets a store that fails, at the one who receives it.
fn survives_all(house: &mut House) -> usize {
    let mut reads = 0;
    while let Some(Flight { from, to, client, frame }) = house.wire.pop_front() {
        reads += match to {
            Peer::Keystore(node) => survives(&mut house.nodes[usize::from(node)], &from, &frame),
            Peer::Storage => survives(&mut house.storage, &from, &frame),
            Peer::Restorer => survives(&mut house.restorer, &from, &frame),
            Peer::Custody => survives(&mut house.custody, &from, &frame),
            Peer::Custodian(index) => survives(&mut house.custodians[usize::from(index) - 1], &from, &frame),
            Peer::Client | Peer::Device(_) => survives(&mut house.devices[client], &from, &frame),
            Peer::Authority => survives(&mut house.authority, &from, &frame),
            Peer::Alerts | Peer::Person(_) => 0,
        };
        let name = frame.body.name();
        assert_eq!(house.deliver(Flight { from, to, client, frame }), Ok(()), "{name}");
    }
    reads
}

#[test]
fn a_store_that_fails_leaves_every_step_of_an_enrolment_to_be_done_again() {
    let mut house = House::new(1, PEOPLE);
    for device in [0, 1] {
        house.sign_in(device);
        assert!(survives_all(&mut house) > 20);
        assert!(house.key_of(device).is_some());
    }
    house.order(&HOLDER, Peer::Client, 0, Body::StartBackup).unwrap();
    assert!(survives_all(&mut house) > 0);
    house.order(&HOLDER, Peer::Client, 0, Body::BackUp { content: b"text".to_vec().into() }).unwrap();
    assert!(survives_all(&mut house) > 0);
    house.order(&HOLDER, Peer::Client, 0, Body::ReadBack).unwrap();
    assert!(survives_all(&mut house) > 0);
    house
        .order(&user("t", "ann"), Peer::Authority, 0, Body::RequestJob { tenant: "t".into(), user: "ann".into() })
        .unwrap();
    assert!(survives_all(&mut house) > 0);
    assert!(house.restorer.role.held().next().is_none());
}

/// KEY-3d: a node that cannot read which header is in force does not take itself for one of a former header.
#[test]
fn a_store_that_fails_leaves_every_step_of_a_ceremony_to_be_done_again() {
    let mut house = House::new(2, PEOPLE);
    house.enrol(0);
    house.restart(0);
    for rekey in [false, true] {
        house.ceremony(0, Body::OpenCeremony { rekey, roster: None });
        for custodian in [1, 2] {
            let code = Some(house.codes[usize::from(custodian) - 1]);
            house.codes[usize::from(custodian) - 1] += 1;
            house
                .order(&HOLDER, Peer::Custodian(custodian), 0, Body::FetchShare { node: 0, code, roster: None })
                .unwrap();
            survives_all(&mut house);
            house.order(&HOLDER, Peer::Custodian(custodian), 0, Body::HandIn { node: 0 }).unwrap();
            survives_all(&mut house);
        }
        house.must(&OPERATOR, Peer::Custody, Body::CloseWindow { node: 0 });
        assert!(!house.is_sealed(0) && !house.is_sealed(1));
    }
    house.order(&OPERATOR, Peer::Keystore(0), 0, Body::TakeSnapshot).unwrap();
    assert!(survives_all(&mut house) > 0);
    let release = house.nodes[0].peek(|step| step.get::<u64>(RELEASED));
    assert_eq!(release, None);
}

/// A worker that is always overtaken gives up, and nothing of its step has happened.
#[test]
fn a_step_that_is_always_overtaken_has_not_happened() {
    struct Overtaken(MemoryStore);
    impl Read for Overtaken {
        fn get(&self, name: &[u8]) -> Result<Option<Record>, StoreFailed> {
            self.0.get(name)
        }
        fn scan(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, Record)>, StoreFailed> {
            self.0.scan(prefix, from, limit)
        }
    }
    impl Store for Overtaken {
        fn apply(&mut self, _: &Batch) -> Result<(), NotApplied> {
            Err(NotApplied::Conflict { name: b"any".to_vec() })
        }
    }
    let mut house = House::new(1, PEOPLE);
    let mut store = Overtaken(house.nodes[0].saved());
    let node = &mut house.nodes[0];
    node.role.restart();
    let frame = Body::OpenCeremony { rekey: false, roster: None }.frame();
    let input = Input::Frame { from: &OPERATOR, frame: &frame };
    let ended = run(&mut node.role, &mut store, 0, &mut node.rng, Quirks::none(), input);
    assert!(matches!(ended, Err(NotApplied::Conflict { .. })));
    assert!(node.peek(|step| node.role.collecting(step).is_none()), "the ceremony is not in memory");
    let _ = (b32(0), Person::Holder);
}
