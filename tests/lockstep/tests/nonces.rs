//! No key meets one nonce twice (C54): everything that seals is run while each (key, nonce, message) is taken down. Every
//! test here records before it seals: a recording is of the whole process, and nothing else may seal beside it.

use std::collections::HashMap;
use std::convert::Infallible;

use bailee_archive::block::{BlockSealer, Gathered};
use bailee_archive::manifest::{IndexedBlock, encode_index};
use bailee_archive::tree::{Entry, EntryKind, Meta, Time};
use bailee_archive::{
    Archive, ArchiveId, ArchiveKeys, BackUp, BlockId, ChunkId, Counters, MemoryStore, Padding, TreePath,
};
use bailee_core::crypto::keys::{Owner, Secret};
use bailee_core::crypto::password::Cost;
use bailee_core::crypto::record::{Recording, Use};
use bailee_core::crypto::sign::Signing;
use bailee_core::ensemble::{Ensemble, Size};
use bailee_core::quirks::{Quirk, Quirks};
use bailee_lockstep::bugs::VARIABLE;
use bailee_spec::action::{Action, Condition, Lane};
use bailee_spec::outcome::Outcome;
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, Rng, SeedableRng, TryCryptoRng, TryRng};

/// A broken source of randomness: whoever asks gets the same bytes again, so that every salt is the same.
struct Repeating;

impl TryRng for Repeating {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(7)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(7)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill(7);
        Ok(())
    }
}

impl TryCryptoRng for Repeating {}

fn sound() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(54)
}

/// Something that seals, by name.
type User = (&'static str, fn(&mut dyn CryptoRng));

/// What a record says of C54.
#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    /// Seals under a key and nonce that had sealed before.
    repeated: usize,
    /// Those of them with another message: their ciphertexts give the XOR of the two messages away.
    fatal: usize,
}

const SOUND: Verdict = Verdict { repeated: 0, fatal: 0 };

fn judge(uses: &[Use]) -> Verdict {
    let mut first: HashMap<[u8; 32], [u8; 32]> = HashMap::new();
    let mut verdict = SOUND;
    for used in uses {
        let before = *first.entry(used.key_and_nonce).or_insert(used.sealed);
        verdict.fatal += usize::from(before != used.sealed);
    }
    verdict.repeated = uses.len() - first.len();
    verdict
}

fn keys() -> ArchiveKeys {
    let owner = Owner { tenant: "tenant".into(), user: "user".into(), epoch: 0 };
    ArchiveKeys::new(&Secret::take(&mut [7; 32]), &owner)
}

const ARCHIVE: ArchiveId = ArchiveId([1; 16]);

fn text(of: &str) -> Vec<u8> {
    (0..20_000).flat_map(|line| format!("{of}: line {line}\n").into_bytes()).collect()
}

fn noise(seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; 100_000];
    ChaCha20Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

/// The same content at two zstd levels, and two contents that zstd does not shrink.
fn blocks(rng: &mut dyn CryptoRng) {
    for (content, level) in [(text("a"), 1), (text("a"), 19), (noise(1), 3), (noise(2), 3)] {
        let mut gathered = Gathered::default();
        for (number, chunk) in content.chunks(50_000).enumerate() {
            gathered.push(ChunkId([number as u8; 32]), chunk).unwrap();
        }
        BlockSealer::new(level, Padding::Padme).unwrap().seal(&keys(), ARCHIVE, &mut gathered, rng);
    }
}

fn index_records(rng: &mut dyn CryptoRng) {
    for byte in [1, 2] {
        let listed = IndexedBlock { id: BlockId([byte; 32]), chunks: vec![ChunkId([byte; 32])] };
        encode_index(&keys(), ARCHIVE, &[listed], rng);
    }
}

/// Two versions of an archive: blocks, index records and manifests as a backup writes them.
fn versions(_: &mut dyn CryptoRng) {
    let (device, counters) = (Signing::from_seed(&[3; 32]), Counters::default());
    let random = bailee_archive::System;
    let mut archive = Archive::create(MemoryStore::default(), keys(), &random).unwrap();
    for day in ["monday", "tuesday"] {
        let mut writer = archive.begin(&BackUp::new(&device, Time::default(), &random, &counters)).unwrap();
        let root = Entry { path: TreePath::root(), meta: Meta::default(), kind: EntryKind::Directory };
        writer.entry(&root).unwrap();
        let content = writer.content(&mut &text(day)[..]).unwrap();
        let path = TreePath::root().join(b"file").unwrap();
        let kind = EntryKind::File { content, changed: false, sparse: false };
        writer.entry(&Entry { path, meta: Meta::default(), kind }).unwrap();
        archive = writer.commit(Time { seconds: 1, nanoseconds: 0 }, day.as_bytes()).unwrap().0;
    }
    assert_eq!(archive.versions().len(), 2);
}

/// The services, with every action that must succeed.
struct System<'a> {
    ensemble: Ensemble,
    rng: &'a mut dyn CryptoRng,
}

impl<'a> System<'a> {
    fn new(setup: &mut dyn CryptoRng, rng: &'a mut dyn CryptoRng) -> Self {
        let size =
            Size { users: 2, tenants: 1, devices_per_user: 1, nodes: 1, custodians: 3, threshold: 2, late: false };
        System { ensemble: Ensemble::new(size, Cost::TEST, Quirks::none(), setup).unwrap(), rng }
    }

    fn must(&mut self, action: Action) {
        assert_eq!(self.ensemble.act(action, self.rng), Outcome::Accepted, "{action:?}");
    }

    /// Signs in and goes on until the services have no more to say.
    fn enrol(&mut self, device: u8) {
        self.must(Action::SignIn { device });
        while self.ensemble.in_flight(Lane::Device(device)).is_some() {
            self.must(Action::Deliver { lane: Lane::Device(device) });
        }
    }

    fn append(&mut self, device: u8) {
        self.must(Action::OpenBackup { device });
        self.must(Action::Append { device });
    }
}

/// Root and keyring, records of two users, a backup set of each, a snapshot, and the keystore put back to it; then it goes on
/// as if nothing had been: rekeyed, and with records sealed where the lost ones had been.
fn disaster(rng: &mut dyn CryptoRng) {
    let mut setup = sound();
    let mut system = System::new(&mut setup, rng);
    system.enrol(0);
    system.append(0);
    system.must(Action::Snapshot);
    system.enrol(1);
    system.append(1);
    system.must(Action::Restart { node: 0 });
    system.must(Action::StageRestore { condition: Condition::Intact });
    system.must(Action::UnsealTogether { node: 0 });
    system.must(Action::ReEscrow { device: 1 });
    while system.ensemble.in_flight(Lane::Device(1)).is_some() {
        system.must(Action::Deliver { lane: Lane::Device(1) });
    }
    system.must(Action::RekeyTogether);
    system.must(Action::Snapshot);
    system.append(0);
}

#[test]
fn no_key_meets_one_nonce_twice_over_all_that_seals() {
    if let Ok(id) = std::env::var(VARIABLE) {
        Quirk::switch_on(&id);
    }
    let recording = Recording::start();
    let mut rng = sound();
    let mut all = Vec::new();
    let users: [User; 4] =
        [("blocks", blocks), ("index records", index_records), ("versions", versions), ("a disaster", disaster)];
    for (name, user) in users {
        user(&mut rng);
        let uses = recording.take();
        assert!(uses.len() >= 2, "{name}: {} seals were taken down", uses.len());
        all.extend(uses);
    }
    assert_eq!(judge(&all), SOUND);
}

/// The mutant: with its salts repeated, every kind of user is caught, with a key that met two messages.
#[test]
fn a_repeated_salt_is_caught_in_everything_that_seals() {
    let recording = Recording::start();
    let users: [User; 3] =
        [("blocks", blocks), ("index records", index_records), ("keystore records", records_of_one_attempt)];
    for (name, user) in users {
        user(&mut Repeating);
        let verdict = judge(&recording.take());
        assert!(verdict.fatal > 0, "{name}: {verdict:?}");
    }
}

/// An enrolment: the attempt's record is written open, and then closed.
fn records_of_one_attempt(rng: &mut dyn CryptoRng) {
    let mut setup = sound();
    System::new(&mut setup, rng).enrol(0);
}

/// The same message twice under one key is a repetition as well, if a harmless one.
#[test]
fn one_seal_repeated_whole_is_seen_and_told_apart() {
    let recording = Recording::start();
    blocks(&mut Repeating);
    let first = recording.take();
    blocks(&mut Repeating);
    let second = recording.take();
    assert_eq!(first, second);
    assert_eq!(judge(&[first[0], second[0]]), Verdict { repeated: 1, fatal: 0 });
    assert_eq!(recording.take(), [], "what was taken is not kept");
}
