//! A small system that has gone through every flow, kept as it was before each frame, with that frame. Deterministic: the corpora
//! are made from it, and the targets deliver their bytes to it.

use std::sync::{Arc, LazyLock};

use bailee_core::cbor;
use bailee_core::crypto::keys::Secret;
use bailee_core::machine::Peer;
use bailee_core::roles::keystore::Keyring;
use bailee_core::wire::{Body, Frame, Header, StandingChange};
use bailee_services::{At, Flight, InMemory, Size, World};
use bailee_spec::observation::Standing;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

/// A key that the targets of single constructions seal under.
pub const ROOT: [u8; 32] = [7; 32];

/// The world of the targets.
pub type Moment = World<InMemory>;

/// The system and its history.
pub struct Stage {
    /// The world before each frame, and the frame that it was then given.
    pub history: Vec<(Moment, Flight)>,
    /// What people were told.
    pub told: Vec<Body>,
    /// The newest snapshot.
    pub snapshot: Vec<u8>,
    /// The first seal header.
    pub header: Header,
    /// The keyring, which no rekey changes.
    pub keyring: Arc<Keyring>,
    /// A keyring sealed under [`ROOT`], for [`Stage::header`].
    pub sealed_keyring: Vec<u8>,
}

/// The one stage.
pub static STAGE: LazyLock<Stage> = LazyLock::new(Stage::play);

impl Stage {
    fn play() -> Stage {
        let mut world = World::new(InMemory, Size { users: 3, nodes: 1 }, 0);
        let header = world.header().expect("it was initialised");
        let keyring = world.opened(0).expect("it starts unsealed").keyring.clone();
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let sealed_keyring = keyring.seal(&Secret::take(&mut ROOT.clone()), &header, &mut rng);
        world.keep_history();
        flows(&mut world);
        let mut history = world.take_history();
        for (moment, _) in &mut history {
            // A copy of a moment is taken for every input: what was said before it is not needed.
            moment.journal.clear();
            moment.told.clear();
        }
        let told = world.told.iter().map(|(_, body)| body.clone()).collect();
        let snapshot = world.snapshot().expect("one was taken").to_vec();
        Stage { history, told, snapshot, header, keyring, sealed_keyring }
    }

    /// The last moment.
    pub fn last(&self) -> &Moment {
        &self.history.last().expect("something passed").0
    }

    /// Every frame that passed, decoded.
    pub fn frames(&self) -> impl Iterator<Item = Frame> {
        self.history.iter().filter_map(|(_, flight)| cbor::decode(&flight.bytes, usize::MAX).ok())
    }
}

/// Every flow, each once.
fn flows(world: &mut Moment) {
    world.enrol(0);
    world.back_up(0, b"a backup set");
    world.read_back(0);
    world.enrol(1);
    world.restore_own(0);
    world.restore_on_behalf(0);
    world.maintain(0);
    world.abort(0);
    world.take_snapshot();
    world.enrol(2);
    world.enrol(4);
    world.restore_keystore();
    world.replay(1);
    world.escrow_again(4);
    world.rekey();
    world.take_snapshot();
    world.set_right(0, false);
    world.set_right(0, true);
    world.deauthorize(1);
    world.set_standing(0, StandingChange::Suspend, Standing::Suspended);
    world.set_standing(0, StandingChange::Resume, Standing::Active);
    world.set_standing(0, StandingChange::Deactivate, Standing::Deactivated);
    world.set_standing(0, StandingChange::Purge, Standing::Purged);
}

/// Every frame that a device was sent, with its sender; people are left out.
pub fn answers() -> impl Iterator<Item = (&'static Peer, Frame)> {
    let to_devices = STAGE.history.iter().filter(|(_, flight)| matches!(flight.to, At::Device(_)));
    let sent = to_devices.filter(|(_, flight)| !matches!(flight.from, Peer::Person(_)));
    sent.filter_map(|(_, flight)| Some((&flight.from, cbor::decode(&flight.bytes, usize::MAX).ok()?)))
}
