//! Every flow of the demo, driven by encoded frames and timers alone, with restarts between any two inputs. Nothing of the feature
//! `testing` is used: this crate does not switch it on.

use std::path::{Path, PathBuf};

use bailee_core::crypto::keys::ArchiveKey;
use bailee_core::machine::{Peer, Person};
use bailee_core::store::{Batch, NotApplied, Read, Record, Store, StoreFailed};
use bailee_core::wire::{Body, CONTENT_BYTES, StandingChange};
use bailee_services::{At, Disks, Entry, InMemory, Restarts, Size, World};
use bailee_spec::observation::Standing;
use bailee_spec::outcome::Refusal;
use bailee_store::RedbStore;

/// Stores in files, which are closed and opened again.
struct InFiles {
    folder: PathBuf,
    made: u32,
}

/// A store in a file: open, except while it changes hands.
struct InFile {
    path: PathBuf,
    open: Option<RedbStore>,
}

impl InFile {
    fn store(&self) -> &RedbStore {
        self.open.as_ref().expect("it is open between inputs")
    }
}

impl Read for InFile {
    fn get(&self, name: &[u8]) -> Result<Option<Record>, StoreFailed> {
        self.store().get(name)
    }

    fn scan(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, Record)>, StoreFailed> {
        self.store().scan(prefix, from, limit)
    }
}

impl Store for InFile {
    fn apply(&mut self, batch: &Batch) -> Result<(), NotApplied> {
        self.open.as_mut().expect("it is open between inputs").apply(batch)
    }
}

/// A folder for files whose medium need not be slow: what survives a real power cut is for the store's own tests.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder for the stores")
}

impl InFiles {
    fn at(folder: &Path) -> InFiles {
        InFiles { folder: folder.to_path_buf(), made: 0 }
    }
}

impl Disks for InFiles {
    type Store = InFile;

    fn blank(&mut self, name: &str) -> InFile {
        self.made += 1;
        let path = self.folder.join(format!("{name}-{}.redb", self.made));
        let open = Some(RedbStore::create(&path).expect("a new file"));
        InFile { path, open }
    }

    fn reopen(&mut self, store: &mut InFile) {
        store.open = None;
        store.open = Some(RedbStore::open(&store.path).expect("the file of a store"));
    }
}

fn same(one: &Option<ArchiveKey>, other: &Option<ArchiveKey>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if one.expose() == other.expose())
}

/// Everybody stops and starts, and the nodes are unsealed.
fn all_start_again<D: Disks>(world: &mut World<D>) {
    if world.restarts == Restarts::Always {
        println!("{} inputs", world.inputs);
        world.power_cut();
        assert!(world.is_sealed(0), "a node that starts is sealed");
        world.unseal_all();
        assert!(!world.is_sealed(0), "three custodians unseal it");
    }
}

/// Enrolment, backup, unsealing, replacement, restore, on behalf, abort.
fn everyday<D: Disks>(world: &mut World<D>) {
    world.enrol(0);
    all_start_again(world);
    world.back_up(0, b"monday");
    world.back_up(0, b"tuesday");
    all_start_again(world);
    world.read_back(0);
    world.enrol(1);
    assert!(same(&world.key_of(0), &world.key_of(1)), "a replacement has the same key");
    all_start_again(world);
    world.read_back(1);
    assert!(world.blocks_of(0) >= 2);
    world.restore_own(0);
    all_start_again(world);
    world.restore_on_behalf(0);
    world.maintain(0);
    world.abort(0);
}

/// Snapshot, a key after it, an empty machine, keys that come back from the authority and from a device; a rekey, and all again.
fn disaster<D: Disks>(world: &mut World<D>) {
    world.take_snapshot();
    all_start_again(world);
    world.enrol(2);
    world.back_up(2, b"of another tenant");
    world.enrol(4);
    world.back_up(4, b"of a third user");
    world.restore_keystore();
    all_start_again(world);
    world.restore_own(0);
    world.replay(1);
    world.restore_own(1);
    world.escrow_again(4);
    world.restore_own(2);
    let epoch = world.header().map(|header| header.share_epoch);
    world.rekey();
    assert!(world.header().map(|header| header.share_epoch) > epoch);
    all_start_again(world);
    world.take_snapshot();
    world.restore_keystore();
    world.restore_own(1);
}

/// Right, deauthorization, suspension, deactivation, purge.
fn departures<D: Disks>(world: &mut World<D>) {
    world.set_right(0, false);
    world.set_right(0, true);
    world.deauthorize(1);
    all_start_again(world);
    world.set_standing(0, StandingChange::Suspend, Standing::Suspended);
    world.back_up(0, b"a suspended user's devices go on");
    world.set_standing(0, StandingChange::Resume, Standing::Active);
    world.restore_own(0);
    all_start_again(world);
    world.set_standing(0, StandingChange::Deactivate, Standing::Deactivated);
    assert!(world.blocks_of(0) > 0);
    world.set_standing(0, StandingChange::Purge, Standing::Purged);
    world.advance(60);
    assert_eq!(world.blocks_of(0), 0, "a purged archive is gone");
    assert!(world.blocks_of(1) > 0, "and no other is");
}

fn every_flow<D: Disks>(world: &mut World<D>) {
    everyday(world);
    disaster(world);
    departures(world);
}

/// How many inputs all flows have without a restart.
fn inputs_of(flows: fn(&mut World<InMemory>)) -> usize {
    let mut world = World::new(InMemory, Size::default(), 1);
    let before = world.inputs;
    flows(&mut world);
    world.inputs - before
}

#[test]
fn every_flow_without_a_restart_and_without_a_refusal() {
    let mut world = World::new(InMemory, Size::default(), 1);
    every_flow(&mut world);
    // The authority's order to end a job is due once more when the job has ended: that is refused, and harmless.
    let late = |entry: &Entry| entry.what == "Timer" && entry.verdict == Err(Refusal::JobOver);
    let refused: Vec<_> = world.journal.iter().filter(|entry| entry.verdict.is_err() && !late(entry)).collect();
    assert!(refused.is_empty(), "{refused:?}");
    assert!(world.inputs > 400, "{} inputs", world.inputs);
}

#[test]
fn every_flow_with_every_role_restarted_between_any_two_inputs() {
    restarted_throughout(World::new(InMemory, Size::default(), 2));
}

/// The same over files.
#[test]
fn every_flow_in_files_with_every_role_restarted_between_any_two_inputs() {
    let folder = folder();
    restarted_throughout(World::new(InFiles::at(folder.path()), Size::default(), 2));
}

fn restarted_throughout<D: Disks>(mut world: World<D>) {
    world.restarts = Restarts::Always;
    every_flow(&mut world);
    let starts = world.journal.iter().filter(|entry| entry.what == "Started");
    println!("{} inputs, {} starts of roles", world.inputs, starts.clone().count());
    for at in world.places() {
        assert!(starts.clone().filter(|entry| entry.at == at).count() > 10, "{at:?}");
    }
}

/// The whole system loses its power before each input of everyday flows in turn, and before every fifth of the others; people then try again, and every flow comes about.
#[test]
fn a_power_cut_before_any_input_stops_no_flow_for_good() {
    for (name, flows, every) in
        [("everyday", everyday as fn(&mut World<InMemory>), 1), ("disaster", late_disaster, 5)]
    {
        let inputs = inputs_of(flows);
        for cut in (0..inputs).step_by(every) {
            let mut world = World::new(InMemory, Size::default(), 3);
            world.restarts = Restarts::PowerCut(world.inputs + cut);
            println!("{name}: a power cut before input {cut}");
            flows(&mut world);
        }
        println!("{name}: {inputs} inputs");
    }
}

/// A disaster of a system in which somebody is enrolled, and the departures after it.
fn late_disaster(world: &mut World<InMemory>) {
    world.enrol(0);
    world.enrol(1);
    world.back_up(0, b"monday");
    disaster(world);
    departures(world);
}

/// One role stops before an input: each role, at every 61st input.
#[test]
fn a_restart_of_one_role_before_an_input_stops_no_flow_for_good() {
    let inputs = inputs_of(every_flow);
    let places = World::new(InMemory, Size::default(), 4).places();
    for (number, at) in places.into_iter().enumerate() {
        for cut in (number * 7 % 61..inputs).step_by(61) {
            let mut world = World::new(InMemory, Size::default(), 4);
            world.restarts = Restarts::One(at, world.inputs + cut);
            println!("{at:?} stops before input {cut}");
            every_flow(&mut world);
        }
    }
}

/// In a file, a power cut is one as well.
#[test]
fn a_power_cut_in_files() {
    let folder = folder();
    let mut world = World::new(InFiles::at(folder.path()), Size::default(), 5);
    world.enrol(0);
    let key = world.key_of(0);
    world.power_cut();
    assert!(world.is_sealed(0) && world.is_sealed(1));
    world.unseal_all();
    assert!(same(&key, &world.key_of(0)));
    world.enrol(1);
    assert!(same(&key, &world.key_of(1)));
    assert!(world.places().contains(&At::Keystore(1)));
}

/// Blocks of the largest size are taken, and come back in frames within their limit, which the carrier enforces; one byte more
/// is refused by the device.
#[test]
fn blocks_of_the_largest_size_come_back() {
    let mut world = World::new(InMemory, Size::default(), 6);
    world.enrol(0);
    for _ in 0..9 {
        world.back_up(0, &vec![7; CONTENT_BYTES]);
    }
    let before = world.journal.len();
    world.read_back(0);
    let answers = world.journal[before..].iter().filter(|entry| entry.what == "Blocks" && entry.verdict.is_ok());
    assert!(answers.count() >= 9);
    let body = Body::BackUp { content: vec![7; CONTENT_BYTES + 1].into() };
    assert_eq!(world.act(Peer::Person(Person::Holder), At::Device(0), body), Err(Refusal::TooLarge));
}
