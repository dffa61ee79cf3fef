//! One step: one write, the order of its checks, the ids that it draws, and what belongs to a node (GEN-3, GEN-7, GEN-11, GEN-15, CER-6a).

use std::convert::Infallible;

use bailee_core::crypto::labels;
use bailee_core::machine::{Effects, Input, Peer, Role, run};
use bailee_core::quirks::Quirks;
use bailee_core::roles::keystore::{HEADER, KEYRING};
use bailee_core::store::{Batch, MemoryStore, NotApplied, Read, Record, Store, StoreFailed};
use bailee_core::wire::{B32, Blob, Body, Frame, GrantBody};
use bailee_spec::limits::{MARGIN_SECONDS, VALIDITY_SECONDS};
use bailee_spec::outcome::Refusal;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng, TryCryptoRng, TryRng};

use crate::common::{Desk, Flight, HOLDER, House, OPERATOR, Says, b32, said, sent, signed, user};
use crate::{PEOPLE, every_flow};

/// A store that counts the batches that are applied to it.
struct Counting {
    inner: MemoryStore,
    batches: usize,
}

impl Read for Counting {
    fn get(&self, name: &[u8]) -> Result<Option<Record>, StoreFailed> {
        self.inner.get(name)
    }

    fn scan(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, Record)>, StoreFailed> {
        self.inner.scan(prefix, from, limit)
    }
}

impl Store for Counting {
    fn apply(&mut self, batch: &Batch) -> Result<(), NotApplied> {
        self.batches += usize::from(batch.changes().next().is_some());
        self.inner.apply(batch)
    }
}

/// How many batches a copy of a role writes for a frame.
fn batches<R: Role + Clone>(desk: &Desk<R>, from: &Peer, frame: &Frame) -> usize {
    let (mut role, mut rng) = (desk.role.clone(), desk.rng.clone());
    let mut store = Counting { inner: desk.saved(), batches: 0 };
    let effects =
        run(&mut role, &mut store, desk.now, &mut rng, Quirks::none(), Input::Frame { from, frame }).unwrap();
    assert_eq!(store.batches == 0, store.inner.same(&desk.saved()), "{}: {effects:?}", frame.body.name());
    store.batches
}

/// GEN-3: no frame of any flow is answered by more than one write.
#[test]
fn a_step_writes_once_at_most() {
    let (mut steps, mut writes) = (0, 0);
    every_flow(&mut |house: &mut House, Flight { from, to, client, frame }: &Flight| {
        let written = match to {
            Peer::Authority => batches(&house.authority, from, frame),
            Peer::Keystore(node) => batches(&house.nodes[usize::from(*node)], from, frame),
            Peer::Storage => batches(&house.storage, from, frame),
            Peer::Restorer => batches(&house.restorer, from, frame),
            Peer::Custody => batches(&house.custody, from, frame),
            Peer::Custodian(index) => batches(&house.custodians[usize::from(*index) - 1], from, frame),
            Peer::Client | Peer::Device(_) => batches(&house.devices[*client], from, frame),
            Peer::Alerts | Peer::Person(_) => 0,
        };
        assert!(written <= 1, "{} of {} batches", frame.body.name(), written);
        steps += 1;
        writes += written;
    });
    assert!(steps > 80 && writes > 20, "{writes} writes in {steps} steps");
}

fn release(key: &bailee_core::crypto::sign::Signing, user: &str, expiry: u64) -> Body {
    let recipient = bailee_core::crypto::hpke::Recipient::from_seed(&[5; 32]).public().into();
    let body = GrantBody { id: b32(8), tenant: "t".into(), user: user.into(), recipient, epoch: 0, expiry };
    let (grant, signature) = signed(key, labels::SIGN_GRANT, &body);
    Body::ReleaseKey { grant, signature }
}

/// GEN-7: a request with every fault is refused for the first one; each that is put right brings the next.
#[test]
fn checks_are_made_in_their_order() {
    let mut house = House::new(1, PEOPLE);
    house.enrol(0);
    let ask = |house: &mut House, from: &Peer, body: Body| house.nodes[0].verdict(from, (b32(9), body));
    let garbage = Body::ReleaseKey { grant: vec![0xff].into(), signature: Blob::from(vec![]) };
    let authority = Peer::Authority;
    house.restart(0);
    house.nodes[0].now = 3 * VALIDITY_SECONDS;
    assert_eq!(ask(&mut house, &Peer::Client, garbage.clone()), Err(Refusal::Unauthenticated), "the caller");
    assert_eq!(ask(&mut house, &authority, garbage.clone()), Err(Refusal::Sealed), "then the seal");
    house.set_clocks(1);
    house.unseal(0);
    house.nodes[0].now = 3 * VALIDITY_SECONDS;
    assert_eq!(ask(&mut house, &authority, garbage.clone()), Err(Refusal::RevocationStale), "then what it has heard");
    house.nodes[0].now = 2;
    assert_eq!(ask(&mut house, &authority, garbage), Err(Refusal::Malformed), "then what is signed");
    let (good, bad) = (&house.authority_key, &house.keystore_key);
    let cases = [
        (release(bad, "bob", 1 + MARGIN_SECONDS), Err(Refusal::GrantInvalid), "by whom"),
        (release(good, "bob", 1 + MARGIN_SECONDS), Err(Refusal::GrantInvalid), "until when"),
        (release(good, "bob", 2 + MARGIN_SECONDS), Err(Refusal::NoAccount), "then the state of the account"),
        (release(good, "ann", 2 + MARGIN_SECONDS), Ok(()), "nothing is wrong"),
    ];
    for (body, expected, note) in cases {
        assert_eq!(ask(&mut house, &authority, body), expected, "{note}");
    }
}

/// A generator that remembers what it gave.
struct Recorded {
    inner: ChaCha8Rng,
    given: Vec<u8>,
}

impl TryRng for Recorded {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.inner.fill_bytes(bytes);
        self.given.extend_from_slice(bytes);
        Ok(())
    }
}

impl TryCryptoRng for Recorded {}

/// What a role does with a frame, and what it drew for that.
fn recorded<R: Role>(desk: &mut Desk<R>, seed: u64, from: &Peer, what: impl Says) -> (Effects, Vec<u8>) {
    let frame = what.frame();
    let mut rng = Recorded { inner: ChaCha8Rng::seed_from_u64(seed), given: Vec::new() };
    let mut store = desk.saved();
    let mut step =
        |input: Input<'_>| run(&mut desk.role, &mut store, desk.now, &mut rng, Quirks::none(), input).unwrap();
    let mut effects = step(Input::Frame { from, frame: &frame });
    if let Some(work) = effects.work.take() {
        effects = step(Input::Checked { from, frame: &frame, checked: &work.run() });
    }
    *desk.store.borrow_mut() = store;
    assert_eq!(effects.verdict, Ok(()), "{}", frame.body.name());
    (effects, rng.given)
}

/// That an id is 32 bytes as the role's own generator gave them, and another one with another generator.
fn is_drawn<R: Role + Clone>(desk: &mut Desk<R>, from: &Peer, what: impl Says, id: impl Fn(&Effects) -> B32) {
    let frame = what.frame();
    let (role, saved) = (desk.role.clone(), desk.saved());
    let ids = [1, 2].map(|seed| {
        desk.role = role.clone();
        *desk.store.borrow_mut() = saved.clone();
        let (effects, given) = recorded(desk, seed, from, frame.clone());
        let id = id(&effects);
        assert!(given.windows(32).any(|drawn| drawn == &id[..]), "{}: not of the generator", frame.body.name());
        id
    });
    assert_ne!(ids[0], ids[1], "{}: the same for every generator", frame.body.name());
}

/// GEN-11: sessions, nonces, challenges, jobs, grants and ceremonies are named by what the role's generator gives.
#[test]
fn ids_are_drawn_from_the_roles_generator() {
    let mut house = House::new(1, PEOPLE);
    house.enrol(0);
    let authority = &mut house.authority;
    let sign_in = Body::SignIn { tenant: "t".into(), user: "ann".into(), password: b"ann".to_vec().into() };
    is_drawn(authority, &Peer::Client, sign_in, |effects| sent(effects, &Peer::Client).exchange.unwrap());
    let request = Body::RequestJob { tenant: "t".into(), user: "ann".into() };
    is_drawn(authority, &user("t", "ann"), request, |effects| sent(effects, &Peer::Restorer).exchange.unwrap());
    house.sign_in(1);
    let add = house.run_to("AddDevice");
    is_drawn(&mut house.authority, &add.from, add.frame, |effects| crate::common::granted(effects).id);
    let node = &mut house.nodes[0];
    let open = Body::OpenEnrolment { tenant: "t".into(), user: "bob".into(), attempt: b32(1), device: b32(2) };
    is_drawn(node, &Peer::Authority, (b32(9), open), |effects| match said(effects) {
        Body::EnrolmentOpened { nonce, .. } => nonce,
        other => panic!("{other:?}"),
    });
    let grant = release(&house.authority_key, "ann", 100);
    is_drawn(node, &Peer::Authority, (b32(9), grant), |effects| match said(effects) {
        Body::ConsumeGrant { challenge, .. } => challenge,
        other => panic!("{other:?}"),
    });
    let ceremony = Body::OpenCeremony { rekey: true, roster: None };
    is_drawn(node, &OPERATOR, ceremony, |effects| match said(effects) {
        Body::Ceremony { ceremony, .. } => {
            bailee_core::cbor::decode::<bailee_core::wire::CeremonyBody>(&ceremony, 1 << 12).unwrap().id
        }
        other => panic!("{other:?}"),
    });
    is_drawn(&mut house.devices[0], &HOLDER, Body::EscrowAgain, |effects| match said(effects) {
        Body::GetIntake { nonce } => nonce,
        other => panic!("{other:?}"),
    });
}

/// GEN-15: what one node wrote the other reads; what one node has in memory the other has not.
#[test]
fn nodes_share_a_store_and_no_memory() {
    let mut house = House::new(2, PEOPLE);
    house.enrol(0);
    let open = Body::OpenEnrolment { tenant: "t".into(), user: "ann".into(), attempt: b32(1), device: b32(2) };
    house.nodes[1].refuses(
        &Peer::Authority,
        (b32(9), open),
        Refusal::AlreadyEscrowed,
        "an account of the other node",
    );
    let grant = release(&house.authority_key, "ann", 100);
    house.nodes[0].accepts(&Peer::Authority, (b32(9), grant), "a release");
    let waits = |house: &House, node: usize| {
        let desk = &house.nodes[node];
        desk.peek(|step| desk.role.is_pending(step, &b32(8)))
    };
    assert_eq!([waits(&house, 0), waits(&house, 1)], [true, false]);
    house.restart(0);
    assert_eq!([house.is_sealed(0), house.is_sealed(1)], [true, false]);
    house.ceremony(0, Body::OpenCeremony { rekey: false, roster: None });
    let collects = |house: &House, node: usize| {
        let desk = &house.nodes[node];
        desk.peek(|step| desk.role.collecting(step).is_some())
    };
    assert_eq!([collects(&house, 0), collects(&house, 1)], [true, false]);
}

/// CER-6a: a root or a keyring that does not open leaves the node sealed, and its ceremony is over.
#[test]
fn a_node_opens_with_root_and_keyring_or_not_at_all() {
    for record in [KEYRING, HEADER] {
        let mut house = House::new(1, PEOPLE);
        house.enrol(0);
        let whole = house.nodes[0].saved().get(record.as_bytes()).unwrap().unwrap().to_vec();
        let write = |house: &mut House, bytes: Vec<u8>| {
            let mut batch = Batch::default();
            batch.put(record, bytes);
            house.nodes[0].write(&batch);
        };
        let mut bytes = whole.clone();
        // The sealed root is the last field of the header.
        *bytes.last_mut().unwrap() ^= 1;
        write(&mut house, bytes);
        house.restart(0);
        house.unseal(0);
        assert!(house.refusals.contains(&Refusal::Malformed), "{record}: {:?}", house.refusals);
        assert!(house.is_sealed(0), "{record}");
        let desk = &house.nodes[0];
        assert!(desk.peek(|step| desk.role.collecting(step).is_none()), "{record}: its ceremony is over");
        write(&mut house, whole);
        house.unseal(0);
        assert!(!house.is_sealed(0), "{record}: as it was");
    }
}
