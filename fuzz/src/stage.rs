//! A small system that has gone through every flow, with the roles kept as they were at each moment and everything that
//! passed between them. Deterministic: the corpora are made from it, and the targets deliver their bytes to it.

use std::sync::{Arc, LazyLock};

use bailee_core::cbor;
use bailee_core::crypto::keys::Secret;
use bailee_core::crypto::password;
use bailee_core::crypto::sign::Signing;
use bailee_core::quirks::Quirks;
use bailee_core::roles::authority::Authority;
use bailee_core::roles::custodian::Custodian;
use bailee_core::roles::custody::Custody;
use bailee_core::roles::device::Device;
use bailee_core::roles::keystore::{Announced, Keyring, Keystore, NewShare};
use bailee_core::roles::restorer::Restorer;
use bailee_core::roles::storage::Storage;
use bailee_core::roles::{Context, Effects};
use bailee_core::wire::{Blob, Body, Frame, Header};
use bailee_spec::action::{Caller, Purpose, Requester};
use bailee_spec::observation::Message;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

/// The tenant.
pub const TENANT: &str = "tenant-0";
/// The user.
pub const USER: &str = "user-0";
/// The user's password.
pub const PASSWORD: &[u8] = b"password of user-0";
/// A key that the targets of single constructions seal under.
pub const ROOT: [u8; 32] = [7; 32];

/// Who receives a frame. The order is that of the corpus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The authority.
    Authority,
    /// The keystore's node.
    Keystore,
    /// The first device.
    First,
    /// The second device.
    Second,
    /// The restorer.
    Restorer,
}

impl Role {
    /// Every role, in order.
    pub const ALL: [Role; 5] = [Role::Authority, Role::Keystore, Role::First, Role::Second, Role::Restorer];
}

/// Every role, at one moment.
#[derive(Clone)]
pub struct Moment {
    /// The authority.
    pub authority: Authority,
    /// The keystore: one node.
    pub keystore: Keystore,
    /// Two devices of one user.
    pub devices: [Device; 2],
    /// The restorer.
    pub restorer: Restorer,
    /// The storage.
    pub storage: Storage,
    /// Custody.
    pub custody: Custody,
    /// Five custodians.
    pub custodians: Vec<Custodian>,
}

/// A context at time 0, without bugs.
pub fn context(rng: &mut ChaCha8Rng) -> Context<'_> {
    Context { now: 0, rng, quirks: Quirks::none() }
}

impl Moment {
    /// Delivers a frame; what the role makes durable is durable, what it sends is returned with its verdict.
    pub fn deliver(&mut self, to: Role, frame: &Frame, rng: &mut ChaCha8Rng) -> Effects {
        let mut cx = context(rng);
        match to {
            Role::Authority => {
                let effects = self.authority.step(&mut cx, frame);
                self.authority.disk.commit(effects.batch.clone());
                effects
            }
            Role::Keystore => {
                let effects = self.keystore.step(&mut cx, frame);
                self.keystore.disk.commit(effects.batch.clone());
                effects
            }
            Role::First | Role::Second => {
                let device = &mut self.devices[usize::from(to == Role::Second)];
                let effects = device.step(&mut cx, frame);
                device.disk.commit(effects.batch.clone());
                effects
            }
            Role::Restorer => self.restorer.step(&mut cx, frame),
        }
    }
}

/// A frame on its way: the moment at which it arrives, and at whom.
pub struct Delivery {
    /// The place of the moment in [`Stage::moments`].
    pub moment: usize,
    /// The receiver.
    pub to: Role,
    /// The frame.
    pub frame: Vec<u8>,
}

/// What passes outside the network's frames.
pub struct Handed {
    /// The first shares, sealed to their custodians.
    pub new_shares: Vec<NewShare>,
    /// A capability and its signature.
    pub capability: (Vec<u8>, Vec<u8>),
    /// A block of the archive.
    pub block: Vec<u8>,
    /// A snapshot.
    pub snapshot: Vec<u8>,
    /// The ceremony.
    pub unsealing: Unsealing,
}

/// What passes in a ceremony.
pub struct Unsealing {
    /// The moment at which the ceremony was open, before custody heard of it.
    pub opened: usize,
    /// The ceremony, as the node signed it.
    pub ceremony: Arc<Announced>,
    /// The wrapped shares that custody gave out.
    pub wrapped: Vec<Vec<u8>>,
    /// Submitted shares with their signatures, and the moments at which they arrive.
    pub submitted: Vec<(usize, Blob, Blob)>,
}

/// The system and its history.
pub struct Stage {
    /// The roles, moment by moment.
    pub moments: Vec<Moment>,
    /// The frames that were delivered.
    pub deliveries: Vec<Delivery>,
    /// The rest.
    pub handed: Handed,
    /// The seal header.
    pub header: Header,
    /// The keyring that was opened by the root.
    pub keyring: std::sync::Arc<Keyring>,
    /// A keyring sealed under [`ROOT`].
    pub sealed_keyring: Vec<u8>,
}

/// The one stage.
pub static STAGE: LazyLock<Stage> = LazyLock::new(Stage::play);

/// The receiver of a message in the lane of a client.
fn receiver(kind: Message, client: Role) -> Role {
    use Message as M;
    match kind {
        M::OpenEnrolment | M::CreateAccount | M::Escrow | M::ReleaseKey | M::GrantConsumed | M::GrantRefused => {
            Role::Keystore
        }
        M::SessionOpened
        | M::Nonce
        | M::Admission
        | M::Authorised
        | M::KeyDelivery
        | M::GoReplace
        | M::Refusal
        | M::AssignJob => client,
        _ => Role::Authority,
    }
}

/// The stage while it is being played.
struct Play {
    now: Moment,
    rng: ChaCha8Rng,
    moments: Vec<Moment>,
    deliveries: Vec<Delivery>,
}

impl Play {
    fn mark(&mut self) -> usize {
        self.moments.push(self.now.clone());
        self.moments.len() - 1
    }

    /// Delivers a frame and all that follows from it.
    fn run(&mut self, client: Role, mut frame: Frame) {
        loop {
            let to = receiver(frame.body.kind(), client);
            let moment = self.mark();
            self.deliveries.push(Delivery { moment, to, frame: cbor::encode(&frame) });
            let effects = self.now.deliver(to, &frame, &mut self.rng);
            let generation = (to == Role::Keystore).then(|| self.now.keystore.generation());
            let exchange = effects.opens.or(frame.exchange);
            let Some(body) = effects.send else { return };
            frame = Frame { exchange, generation, body };
        }
    }

    fn sign_in(&mut self, client: Role) {
        let device = &mut self.now.devices[usize::from(client == Role::Second)];
        let body = device.sign_in().expect("the device is at rest");
        self.run(client, Frame { exchange: None, generation: None, body });
    }

    /// One backup: capability, signature, block.
    fn back_up(&mut self) -> ((Vec<u8>, Vec<u8>), Vec<u8>) {
        let id = self.now.devices[0].id().expect("the device has its keys");
        let cx = context(&mut self.rng);
        let capability = self.now.authority.open_backup(&cx, &id).expect("the device is authorised");
        self.now.devices[0].take_capability(capability.0.clone(), capability.1.clone());
        let upload = self.now.devices[0].upload(&mut context(&mut self.rng), b"a backup set").expect("it has a key");
        let cx = context(&mut self.rng);
        let batch = self.now.storage.append(&cx, &capability.0, &capability.1, &upload.block).expect("it may append");
        self.now.storage.disk.commit(batch);
        (capability, upload.block)
    }

    /// A maintenance job from the assignment to its end.
    fn job(&mut self) {
        let mut cx = context(&mut self.rng);
        let effects = self.now.authority.request(&mut cx, Requester::Schedule, TENANT, USER).expect("it may");
        self.now.authority.disk.commit(effects.batch);
        let body = effects.send.expect("a job is assigned");
        self.run(Role::Restorer, Frame { exchange: effects.opens, generation: None, body });
        let blocks = self.now.storage.blocks(TENANT, USER);
        let (done, body) = self.now.restorer.finish(&context(&mut self.rng), Ok(blocks));
        done.expect("the blocks open");
        let exchange = self.now.authority.totals().job;
        self.run(Role::Restorer, Frame { exchange, generation: None, body });
    }

    /// The node restarts, and three custodians unseal it.
    fn unseal(&mut self) -> Unsealing {
        self.now.keystore.restart(0);
        let mut cx = context(&mut self.rng);
        let ceremony =
            self.now.keystore.open_ceremony(&mut cx, 0, Purpose::Unseal, Caller::Operator).expect("sealed");
        let opened = self.mark();
        let batch = self.now.custody.announce(&context(&mut self.rng), &ceremony).expect("the node signed it");
        self.now.custody.disk.commit(batch);
        let (mut wrapped, mut submitted) = (Vec::new(), Vec::new());
        for index in 1..=3 {
            let place = usize::from(index) - 1;
            let asked = self.now.custodians[place].ask(index, 0, Some(1));
            let given = self.now.custody.request(&context(&mut self.rng), &asked, || true);
            let (batch, share, window) = given.expect("the window is open");
            self.now.custody.disk.commit(batch);
            self.now.custodians[place].receive(&share, &window).expect("the share is whole");
            wrapped.push(share);
            let handed = self.now.custodians[place].submit(&mut context(&mut self.rng), 0, |_| false).expect("held");
            submitted.push((self.mark(), handed.share.clone(), handed.signature.clone()));
            let last = self.now.keystore.submit(&context(&mut self.rng), 0, &handed.share, &handed.signature);
            assert_eq!(last, Ok(index == 3));
        }
        let (epoch, log) = (self.now.authority.totals().epoch, self.now.authority.log());
        let batch = self.now.keystore.complete_unseal(&mut context(&mut self.rng), 0, epoch, &log).expect("it opens");
        self.now.keystore.disk.commit(batch);
        self.mark();
        Unsealing { opened, ceremony, wrapped, submitted }
    }
}

impl Stage {
    fn play() -> Stage {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let (now, new_shares) = beginning(&mut rng);
        let header = now.keystore.header().expect("it was initialised");
        let keyring = now.keystore.opened(0).expect("it starts unsealed").keyring.clone();
        let sealed_keyring = keyring.seal(&Secret::take(&mut ROOT.clone()), &header, &mut rng);
        let mut play = Play { now, rng, moments: Vec::new(), deliveries: Vec::new() };
        play.sign_in(Role::First);
        let (capability, block) = play.back_up();
        play.sign_in(Role::Second);
        play.job();
        let users = [(TENANT.to_owned(), USER.to_owned())];
        let (snapshot, _) = play.now.keystore.snapshot(&users).expect("it is unsealed");
        let unsealing = play.unseal();
        let handed = Handed { new_shares, capability, block, snapshot, unsealing };
        Stage { moments: play.moments, deliveries: play.deliveries, handed, header, keyring, sealed_keyring }
    }
}

/// A fresh system: one node, unsealed; five custodians; one user with two devices.
fn beginning(rng: &mut ChaCha8Rng) -> (Moment, Vec<NewShare>) {
    let (keystore_key, authority_key) = (Signing::generate(rng), Signing::generate(rng));
    let (ks, au) = (keystore_key.public(), authority_key.public());
    let restorer = Restorer::new(Signing::generate(rng), ks);
    let mut custodians: Vec<Custodian> = (1..=5).map(|index| Custodian::generate(index, ks, rng)).collect();
    let keys: Vec<_> = custodians.iter().map(Custodian::keys).collect();
    let setup = Keystore::initialise(1, &keys, 3, keystore_key, au, rng).expect("three of five");
    let authenticators: Vec<_> = custodians.iter().map(Custodian::authenticator).collect();
    let mut custody = Custody::new(ks, &authenticators);
    for (custodian, share) in custodians.iter_mut().zip(&setup.shares) {
        custodian.take_new(share).expect("the share is whole");
        let batch = custody.store_share(&share.header, share.index, &share.sealed);
        custody.disk.commit(batch);
    }
    let mut authority = Authority::new(authority_key, ks, restorer.public());
    authority.add_user(TENANT, USER, password::record(crate::targets::stored::COST, [1; 16], PASSWORD));
    let device = || Device::new(TENANT, USER, PASSWORD, ks, au);
    let devices = [device(), device()];
    let storage = Storage::new(au);
    let keystore = setup.keystore;
    (Moment { authority, keystore, devices, restorer, storage, custody, custodians }, setup.shares)
}

/// Every frame that a device was sent.
pub fn answers() -> impl Iterator<Item = Frame> {
    let to_devices = |delivery: &&Delivery| matches!(delivery.to, Role::First | Role::Second);
    STAGE.deliveries.iter().filter(to_devices).filter_map(|delivery| cbor::decode(&delivery.frame, usize::MAX).ok())
}

/// Body of a frame as it was sent.
pub fn bodies() -> impl Iterator<Item = Body> {
    STAGE
        .deliveries
        .iter()
        .filter_map(|delivery| cbor::decode::<Frame>(&delivery.frame, usize::MAX).ok())
        .map(|f| f.body)
}
