//! Ceremonies at several nodes, and a header that somebody else wrote (KEY-1a, KEY-3f, KEY-3g,
//! GEN-26a, DIS-3e).

use bailee_core::crypto::password::Cost;
use bailee_core::crypto::sharing;
use bailee_core::crypto::sign::Signing;
use bailee_core::disk::Batch;
use bailee_core::ensemble::{Ensemble, Size};
use bailee_core::quirks::Quirks;
use bailee_core::roles::Context;
use bailee_core::roles::custodian::Custodian;
use bailee_core::roles::custody::Custody;
use bailee_core::roles::keystore::{Keystore, Snapshot};
use bailee_core::wire::{B32, Header};
use bailee_spec::action::{Action, Asking, Caller, Condition, Handing, Node, Purpose};
use bailee_spec::outcome::{Outcome, Refusal};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

const CUSTODIANS: u8 = 3;
const THRESHOLD: u8 = 2;

/// Two nodes over one store, both unsealed.
struct Nodes {
    ensemble: Ensemble,
    rng: ChaCha8Rng,
}

impl Nodes {
    fn new() -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(21);
        let size = Size {
            users: 1,
            devices_per_user: 1,
            nodes: 2,
            custodians: CUSTODIANS,
            threshold: THRESHOLD,
            late: false,
        };
        let ensemble = Ensemble::new(size, Cost::TEST, Quirks::none(), &mut rng).unwrap();
        Nodes { ensemble, rng }
    }

    fn act(&mut self, action: Action) -> Outcome {
        self.ensemble.act(action, &mut self.rng)
    }

    fn must(&mut self, action: Action) {
        assert_eq!(self.act(action), Outcome::Accepted, "{action:?}");
    }

    fn open(&mut self, node: Node, purpose: Purpose) -> Outcome {
        self.act(Action::OpenCeremony { node, purpose, by: Caller::Operator })
    }

    /// One custodian asks for a share and hands it in.
    fn share(&mut self, custodian: u8, node: Node) -> Outcome {
        self.must(Action::RequestShare { custodian, node, asking: Asking::Honestly });
        self.act(Action::SubmitShare { custodian, node, handing: Handing::Right })
    }

    /// A rekey up to its candidate.
    fn rekey_to_acks(&mut self, node: Node) {
        assert_eq!(self.open(node, Purpose::Rekey), Outcome::Accepted);
        self.must(Action::Announce { node });
        for custodian in 0..THRESHOLD {
            assert_eq!(self.share(custodian, node), Outcome::Accepted);
        }
    }

    fn rekey(&mut self, node: Node) {
        self.rekey_to_acks(node);
        for custodian in 0..CUSTODIANS {
            self.must(Action::AckShare { custodian, condition: Condition::Intact });
        }
    }

    fn sealed(&self, node: Node) -> bool {
        self.ensemble.observe(&[]).nodes[node as usize].sealed
    }
}

/// KEY-1a, also for a rekey that already waits for its acknowledgements.
#[test]
fn a_candidate_keeps_every_other_rekey_away_until_it_is_dropped() {
    let refused = Outcome::Refused(Refusal::CeremonyOpen);
    let mut nodes = Nodes::new();
    nodes.rekey_to_acks(1);
    assert_eq!(nodes.open(0, Purpose::Rekey), refused);
    assert_eq!(nodes.open(1, Purpose::Rekey), refused);
    nodes.must(Action::Restart { node: 1 });
    nodes.rekey(0);
    nodes.must(Action::UnsealTogether { node: 1 });
}

/// KEY-3f.
#[test]
fn an_unsealing_is_over_when_a_rekey_elsewhere_takes_its_shares_away() {
    let mut nodes = Nodes::new();
    nodes.must(Action::Restart { node: 1 });
    assert_eq!(nodes.open(1, Purpose::Unseal), Outcome::Accepted);
    nodes.must(Action::Announce { node: 1 });
    assert_eq!(nodes.share(0, 1), Outcome::Accepted);
    nodes.rekey(0);
    assert_eq!(nodes.share(1, 1), Outcome::Refused(Refusal::CeremonyExpired), "shares of two epochs open nothing");
    assert!(nodes.sealed(1));
    nodes.must(Action::UnsealTogether { node: 1 });
    assert!(!nodes.sealed(1));
}

/// KEY-3g: the restore was staged in time, and then its share epoch was retired.
#[test]
fn a_rekey_gives_a_staged_restore_of_the_former_epoch_up() {
    let mut nodes = Nodes::new();
    nodes.rekey_to_acks(1);
    nodes.must(Action::Snapshot);
    nodes.must(Action::Restart { node: 0 });
    nodes.must(Action::StageRestore { condition: Condition::Intact });
    for custodian in 0..CUSTODIANS {
        assert!(nodes.ensemble.observe(&[]).store.restoring);
        nodes.must(Action::AckShare { custodian, condition: Condition::Intact });
    }
    assert!(!nodes.ensemble.observe(&[]).store.restoring);
    nodes.must(Action::UnsealTogether { node: 0 });
    assert!(!nodes.sealed(0));
}

/// One node with its custodians and custody, sealed, and a snapshot of it.
struct Quorum {
    keystore: Keystore,
    snapshot: Vec<u8>,
    custody: Custody,
    people: Vec<Custodian>,
    rng: ChaCha8Rng,
}

impl Quorum {
    fn new() -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(22);
        let key = Signing::generate(&mut rng);
        let pin = key.public();
        let mut people: Vec<_> = (1..=CUSTODIANS).map(|index| Custodian::generate(index, pin, &mut rng)).collect();
        let keys: Vec<_> = people.iter().map(Custodian::keys).collect();
        let setup = Keystore::initialise(1, &keys, THRESHOLD, key, [0; 32], &mut rng).unwrap();
        let mut custody = Custody::new(pin, &people.iter().map(Custodian::authenticator).collect::<Vec<_>>());
        for (custodian, share) in people.iter_mut().zip(&setup.shares) {
            custodian.take_new(share).unwrap();
            custody.disk.commit(custody.store_share(&share.header, share.index, &share.sealed));
        }
        let mut keystore = setup.keystore;
        let (snapshot, _) = keystore.snapshot(&[]).unwrap();
        keystore.restart(0);
        Quorum { keystore, snapshot, custody, people, rng }
    }

    /// Other people's commitments under the header's own id: what a writer of the store can do. None of the custodians'
    /// shares matches them.
    fn swap_commitments(&mut self) {
        let mut header: Header = self.keystore.header().unwrap();
        let strangers = sharing::split(THRESHOLD, CUSTODIANS, &mut self.rng).unwrap();
        header.commitments = strangers.commitments.iter().copied().map(B32::from).collect();
        let mut batch = Batch::default();
        batch.put("header", &header);
        self.keystore.disk.commit(batch);
    }

    fn announce(&mut self) {
        let mut cx = Context { now: 0, rng: &mut self.rng, quirks: Quirks::none() };
        let ceremony = self.keystore.open_ceremony(&mut cx, 0, Purpose::Unseal, Caller::Operator).unwrap();
        let batch = self.custody.announce(&cx, &ceremony).unwrap();
        self.custody.disk.commit(batch);
    }

    fn receive(&mut self, person: usize) -> Result<(), Refusal> {
        let cx = Context { now: 0, rng: &mut self.rng, quirks: Quirks::none() };
        let index = person as u8 + 1;
        let asked = self.people[person].ask(index, 0, Some(self.custody.last_code(index) + 1));
        let (batch, wrapped, ceremony) = self.custody.request(&cx, &asked, || true)?;
        self.custody.disk.commit(batch);
        self.people[person].receive(&wrapped, &ceremony)
    }

    fn submit(&mut self, person: usize) -> Result<bool, Refusal> {
        let mut cx = Context { now: 0, rng: &mut self.rng, quirks: Quirks::none() };
        let submission = self.people[person].submit(&mut cx, 0, |_| false)?;
        self.keystore.submit(&cx, 0, &submission.share, &submission.signature)
    }

    fn unseal(&mut self) -> Result<(), Refusal> {
        self.announce();
        for person in 0..usize::from(THRESHOLD) {
            self.receive(person)?;
            self.submit(person)?;
        }
        let mut cx = Context { now: 0, rng: &mut self.rng, quirks: Quirks::none() };
        let batch = self.keystore.complete_unseal(&mut cx, 0, 0, &[])?;
        self.keystore.disk.commit(batch);
        Ok(())
    }

    /// Stages a snapshot that the authority says it witnessed.
    fn stage(&mut self, bytes: &[u8]) {
        let cx = Context { now: 0, rng: &mut self.rng, quirks: Quirks::none() };
        let batch = self.keystore.stage(&cx, Some(bytes), Some(Snapshot::digest(bytes))).unwrap();
        self.keystore.disk.commit(batch);
    }
}

/// GEN-26a, claim C22, whenever the header is written: before the share leaves custody or while it is on its way.
#[test]
fn an_honest_share_is_not_blamed_for_swapped_commitments() {
    let mut honest = Quorum::new();
    honest.announce();
    assert_eq!(honest.receive(0), Ok(()));
    assert_eq!(honest.submit(0), Ok(false));

    let mut before = Quorum::new();
    before.swap_commitments();
    before.announce();
    assert_eq!(before.receive(0), Err(Refusal::OwnShareDamaged), "the client does not know this header");
    assert_eq!(before.people[0].holds_for(), None);

    let mut after = Quorum::new();
    after.announce();
    assert_eq!(after.receive(0), Ok(()));
    after.swap_commitments();
    assert_eq!(after.submit(0), Err(Refusal::WrongEpoch), "the share names its header: the node's is another");
    assert!(!after.keystore.counted(0, 0, 1));
}

/// GEN-30, DIS-3a, DIS-3e: the code under the root finds a forged snapshot that was witnessed all the same, and the next unsealing is not spoilt.
#[test]
fn a_forged_staged_snapshot_is_given_up() {
    let mut honest = Quorum::new();
    honest.stage(&honest.snapshot.clone());
    assert_eq!(honest.unseal(), Ok(()));
    assert_eq!((honest.keystore.restoring(), honest.keystore.generation()), (false, 1));

    let mut forged = Quorum::new();
    let snapshot = Snapshot::decode(&forged.snapshot).unwrap();
    forged.stage(&Snapshot { generation: snapshot.generation + 9, ..snapshot }.encode());
    assert_eq!(forged.unseal(), Err(Refusal::SnapshotDamaged));
    assert!(forged.keystore.opened(0).is_none(), "the node stays sealed");
    assert_eq!(forged.unseal(), Ok(()));
    assert_eq!(forged.keystore.generation(), 0, "nothing of it was restored");
}
