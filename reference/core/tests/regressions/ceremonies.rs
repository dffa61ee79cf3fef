//! Ceremonies at several nodes, and a header that somebody else wrote (KEY-1a, KEY-3f, KEY-3g,
//! GEN-26a, DIS-3e).

use bailee_core::cbor;
use bailee_core::crypto::password::Cost;
use bailee_core::crypto::sharing;
use bailee_core::ensemble::{Ensemble, Size};
use bailee_core::machine::Peer;
use bailee_core::quirks::Quirks;
use bailee_core::roles::keystore::{HEADER, HEADER_DIGEST, STAGED, Snapshot, generation, header};
use bailee_core::store::{Batch, Read};
use bailee_core::wire::{B32, Body, Header};
use bailee_spec::action::{Action, Asking, Caller, Condition, Handing, Node, Purpose};
use bailee_spec::outcome::{Outcome, Refusal};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use crate::common::{House, OPERATOR, sent, share_for, wrapped};

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
            tenants: 1,
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
    house: House,
    snapshot: Vec<u8>,
}

const UNSEAL: Body = Body::OpenCeremony { rekey: false, roster: None };

impl Quorum {
    fn new() -> Self {
        let mut house = House::new(1, &[("t", "ann")]);
        let snapshot = house.snapshot();
        house.restart(0);
        Quorum { house, snapshot }
    }

    /// Other people's commitments under the header's own id: what a writer of the store can do. None of the custodians'
    /// shares matches them.
    fn swap_commitments(&mut self) {
        let node = &mut self.house.nodes[0];
        let mut header: Header = node.peek(header).unwrap();
        let strangers = sharing::split(THRESHOLD, CUSTODIANS, &mut node.rng).unwrap();
        header.commitments = strangers.commitments.iter().copied().map(B32::from).collect();
        let mut batch = Batch::default();
        batch.put(HEADER, cbor::encode(&header));
        node.write(&batch);
    }

    /// The same, by a writer who also keeps the digest in step.
    fn swap_digest(&mut self) {
        let node = &mut self.house.nodes[0];
        let digest = node.peek(header).unwrap().digest();
        let mut batch = Batch::default();
        batch.put(HEADER_DIGEST, cbor::encode(&digest));
        node.write(&batch);
    }

    fn holds(&self, person: usize) -> bool {
        self.house.custodians[person].role.holds_for().is_some()
    }

    fn counted(&self, index: u8) -> bool {
        let node = &self.house.nodes[0];
        node.peek(|step| node.role.counted(step, index))
    }

    /// What the unsealing ended in: the last refusal, if any.
    fn unseal(&mut self) -> Option<Refusal> {
        let before = self.house.refusals.len();
        self.house.unseal(0);
        self.house.refusals.get(before).copied()
    }

    /// Stages a snapshot that the authority says it witnessed.
    fn stage(&mut self, bytes: &[u8]) {
        let node = &mut self.house.nodes[0];
        let asked = node.gives(&OPERATOR, Body::Stage { snapshot: bytes.to_vec().into() }, "staged");
        let mut witness = sent(&asked, &Peer::Authority);
        witness.body = Body::Witness { digests: vec![Snapshot::digest(bytes)], generation: 0, index: 0 };
        node.accepts(&Peer::Authority, witness, "witnessed");
    }

    fn restoring(&self) -> bool {
        self.house.nodes[0].saved().get(STAGED.as_bytes()).unwrap().is_some()
    }

    fn generation(&self) -> u64 {
        self.house.nodes[0].peek(generation)
    }
}

/// GEN-26a, claim C22, whenever the header is written: before the share leaves custody or while it is on its way.
#[test]
fn an_honest_share_is_not_blamed_for_swapped_commitments() {
    let mut honest = Quorum::new();
    honest.house.ceremony(0, UNSEAL);
    honest.house.fetch(0, 0);
    assert!(honest.holds(0));
    honest.house.hand_in(0, 0);
    assert!(honest.counted(1));
    assert_eq!(honest.house.refusals, []);

    let mut before = Quorum::new();
    let former = before.house.nodes[0].peek(header).unwrap().digest();
    before.swap_commitments();
    before.swap_digest();
    before.house.restart(0);
    let announced = before.house.ceremony(0, UNSEAL);
    before.house.fetch(0, 0);
    assert_eq!(before.house.last_refusal(), Some(Refusal::NotYourShare), "custody has no share of this header");
    let share = wrapped(&mut before.house, &former, 1);
    let client = &mut before.house.custodians[0];
    let release = share_for(announced, share);
    client.refuses(&Peer::Custody, release, Refusal::OwnShareDamaged, "the client does not know this header");
    assert!(!before.holds(0));

    // The share names its header, and the node's is another.
    let mut after = Quorum::new();
    after.house.ceremony(0, UNSEAL);
    after.house.fetch(0, 0);
    after.swap_commitments();
    after.house.hand_in(0, 0);
    assert_eq!(after.house.last_refusal(), Some(Refusal::WrongEpoch));
    assert!(!after.counted(1));

    // With its digest in step the ceremony itself is of a header that is not in force (KEY-3f).
    let mut in_step = Quorum::new();
    in_step.house.ceremony(0, UNSEAL);
    in_step.house.fetch(0, 0);
    in_step.swap_commitments();
    in_step.swap_digest();
    in_step.house.hand_in(0, 0);
    assert_eq!(in_step.house.last_refusal(), Some(Refusal::CeremonyExpired));
    assert!(!in_step.counted(1));
}

/// GEN-30, DIS-3a, DIS-3e: the code under the root finds a forged snapshot that was witnessed all the same, and the next unsealing is not spoilt.
#[test]
fn a_forged_staged_snapshot_is_given_up() {
    let mut honest = Quorum::new();
    honest.stage(&honest.snapshot.clone());
    assert!(honest.restoring());
    assert_eq!(honest.unseal(), None);
    assert_eq!((honest.restoring(), honest.generation()), (false, 1));

    let mut forged = Quorum::new();
    let snapshot = Snapshot::decode(&forged.snapshot).unwrap();
    forged.stage(&Snapshot { generation: snapshot.generation + 9, ..snapshot }.encode());
    assert_eq!(forged.unseal(), Some(Refusal::SnapshotDamaged));
    assert!(forged.house.is_sealed(0), "the node stays sealed");
    assert_eq!(forged.unseal(), None);
    assert!(!forged.house.is_sealed(0));
    assert_eq!(forged.generation(), 0, "nothing of it was restored");
}
