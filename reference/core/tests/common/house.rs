//! All roles, and a network that does what the test says.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use bailee_core::cbor;
use bailee_core::crypto::password::{self, Cost};
use bailee_core::crypto::sign::Signing;
use bailee_core::machine::{Effects, Peer, Role, Timer};
use bailee_core::roles::authority::{self, AdminRecord, Authority, PointRecord};
use bailee_core::roles::custodian::{Custodian, Dealt};
use bailee_core::roles::custody::{self, Custody};
use bailee_core::roles::device::{Device, OnDisk};
use bailee_core::roles::keystore::{Keyring, Keystore};
use bailee_core::roles::mark::{MARK, Mark};
use bailee_core::roles::restorer::Restorer;
use bailee_core::roles::storage::Storage;
use bailee_core::store::{Batch, MemoryStore, RECORD_BYTES, Store};
use bailee_core::wire::{B32, Body, CeremonyBody, Frame};
use bailee_spec::action::Point;
use bailee_spec::limits::VALIDITY_SECONDS;
use bailee_spec::outcome::Refusal;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use super::{Desk, HOLDER, OPERATOR, Says};

/// A frame on its way.
#[derive(Clone, Debug)]
pub struct Flight {
    /// Who sent it.
    pub from: Peer,
    /// To whom.
    pub to: Peer,
    /// The device whose exchange it belongs to.
    pub client: usize,
    /// What.
    pub frame: Frame,
}

/// All roles, and the network between them.
pub struct House {
    pub authority: Desk<Authority>,
    pub nodes: Vec<Desk<Keystore>>,
    pub storage: Desk<Storage>,
    pub restorer: Desk<Restorer>,
    pub custody: Desk<Custody>,
    pub custodians: Vec<Desk<Custodian>>,
    pub devices: Vec<Desk<Device>>,
    /// The keys of the services, for forgeries.
    pub authority_key: Signing,
    pub keystore_key: Signing,
    pub restorer_key: Signing,
    /// What opens the store, taken at the initialisation.
    pub keyring: std::sync::Arc<Keyring>,
    /// What is on its way, the oldest first.
    pub wire: VecDeque<Flight>,
    /// What people were told.
    pub told: Vec<(Peer, Body)>,
    /// Everything that was refused on the way, the newest last.
    pub refusals: Vec<Refusal>,
    /// The code that each authenticator shows next.
    pub codes: Vec<u64>,
    /// Every frame that was ever on the wire, as bytes.
    pub carried: Vec<Vec<u8>>,
}

/// Custodians of a house.
pub const CUSTODIANS: u8 = 3;
/// Shares that unseal it.
pub const THRESHOLD: u8 = 2;

/// A point's mark, with a lease of one period.
pub fn marked() -> Batch {
    let mut batch = Batch::default();
    batch.put(MARK, cbor::encode(&Mark { lease: VALIDITY_SECONDS, ..Mark::default() }));
    batch
}

fn shared(batch: &Batch) -> super::Shared {
    let mut store = MemoryStore::default();
    store.apply(batch).unwrap();
    Rc::new(RefCell::new(store))
}

/// Users with their names as passwords; each tenant's `boss` manages and restores, its `head` gives rights.
pub fn population(users: &[(&str, &str)]) -> Batch {
    let mut batch = Batch::default();
    for (tenant, name) in users {
        Authority::add_user(&mut batch, tenant, name, password::record(Cost::TEST, [7; 16], name.as_bytes()));
        let boss = AdminRecord { restore: true, users: true, rights: false };
        Authority::add_admin(&mut batch, tenant, "boss", boss);
        Authority::add_admin(&mut batch, tenant, "head", AdminRecord { rights: true, ..AdminRecord::default() });
    }
    let record = PointRecord { lease: VALIDITY_SECONDS, ..PointRecord::default() };
    Point::ALL.into_iter().for_each(|point| authority::set_up_point(&mut batch, point, &record));
    batch
}

impl House {
    /// A house of users, one device for each entry, with this many keystore nodes.
    pub fn new(nodes: u8, users: &[(&str, &str)]) -> House {
        super::bug();
        let mut rng = ChaCha8Rng::seed_from_u64(77);
        let [authority_key, keystore_key, restorer_key] = [1, 2, 3].map(|seed| Signing::from_seed(&[seed; 32]));
        let (au, ks) = (authority_key.public(), keystore_key.public());
        let people: Vec<_> = (1..=CUSTODIANS).map(|index| Custodian::generate(index, ks, &mut rng)).collect();
        let keys: Vec<_> = people.iter().map(Custodian::keys).collect();
        let mut setup = Keystore::initialise(&keys, THRESHOLD, VALIDITY_SECONDS, &mut rng).unwrap();
        let (mut vault, mut custodians) = (Batch::default(), Vec::new());
        for (person, share) in people.into_iter().zip(&setup.shares) {
            let mut batch = Batch::default();
            let dealt = Dealt { index: share.index, wrapped: &share.sealed, header: &share.header };
            person.take_first(&mut batch, dealt).unwrap();
            Custody::add_login(&mut vault, share.index, person.authenticator());
            Custody::add_share(&mut vault, &share.header, share.index, &share.sealed);
            custodians.push(Desk::new(person, 50 + u64::from(share.index), &batch));
        }
        let keyring = setup.opened.keyring.clone();
        let roles: Vec<_> = (0..nodes)
            .map(|node| {
                let mut role = Keystore::new(node, nodes, Signing::from_seed(&keystore_key.seed()), au);
                role.present(setup.opened.clone());
                role.open_channel(&mut setup.batch, &mut rng);
                role
            })
            .collect();
        let store = shared(&setup.batch);
        let nodes = roles.into_iter().zip(20..).map(|(role, seed)| Desk::over(role, seed, store.clone())).collect();
        let own = |key: &Signing| Signing::from_seed(&key.seed());
        House {
            authority: Desk::new(
                Authority::new(own(&authority_key), ks, restorer_key.public()),
                10,
                &population(users),
            ),
            nodes,
            storage: Desk::new(Storage::new(au), 30, &marked()),
            restorer: Desk::new(Restorer::new(own(&restorer_key), ks), 31, &marked()),
            custody: Desk::new(Custody::new(ks), 40, &vault),
            custodians,
            devices: users
                .iter()
                .zip(60..)
                .map(|((tenant, name), seed)| Desk::new(Device::new(tenant, name, ks, au), seed, &Batch::default()))
                .collect(),
            authority_key,
            keystore_key,
            restorer_key,
            keyring,
            wire: VecDeque::new(),
            told: Vec::new(),
            refusals: Vec::new(),
            codes: vec![1; usize::from(CUSTODIANS)],
            carried: Vec::new(),
        }
    }

    /// Every clock shows this second.
    pub fn set_clocks(&mut self, now: u64) {
        self.authority.now = now;
        self.storage.now = now;
        self.restorer.now = now;
        self.custody.now = now;
        self.nodes.iter_mut().for_each(|desk| desk.now = now);
        self.custodians.iter_mut().for_each(|desk| desk.now = now);
        self.devices.iter_mut().for_each(|desk| desk.now = now);
    }

    /// Who a device is to the services.
    pub fn peer_of(&self, device: usize) -> Peer {
        OnDisk(&*self.devices[device].store.borrow()).id().map_or(Peer::Client, Peer::Device)
    }

    /// A device's identity.
    pub fn id_of(&self, device: usize) -> B32 {
        OnDisk(&*self.devices[device].store.borrow()).id().unwrap()
    }

    /// The archive key on a device's disk.
    pub fn key_of(&self, device: usize) -> Option<[u8; 32]> {
        OnDisk(&*self.devices[device].store.borrow()).key().map(|key| *key.expose())
    }

    /// The key in a user's account.
    pub fn escrowed(&self, tenant: &str, user: &str) -> Option<Vec<u8>> {
        let account = self.keyring.account(&*self.nodes[0].store.borrow(), tenant, user)?;
        account.holds_key().then(|| account.key().to_vec())
    }

    /// What a role did, put on the wire.
    pub fn put(&mut self, from: &Peer, client: usize, effects: Effects) -> Result<(), Refusal> {
        for out in effects.frames {
            self.carried.push(cbor::encode(&out.frame));
            self.wire.push_back(Flight { from: from.clone(), to: out.to, client, frame: out.frame });
        }
        self.refusals.extend(effects.verdict.err());
        effects.verdict
    }

    /// Delivers a frame; what follows is put on the wire.
    pub fn deliver(&mut self, flight: Flight) -> Result<(), Refusal> {
        let Flight { from, to, client, frame } = flight;
        match to {
            Peer::Authority => speak(&mut self.authority, &from, frame).put(self, Peer::Authority, client),
            Peer::Keystore(n) => speak(&mut self.nodes[usize::from(n)], &from, frame).put(self, to, client),
            Peer::Storage => speak(&mut self.storage, &from, frame).put(self, to, client),
            Peer::Restorer => speak(&mut self.restorer, &from, frame).put(self, to, client),
            Peer::Custody => speak(&mut self.custody, &from, frame).put(self, to, client),
            Peer::Custodian(n) => speak(&mut self.custodians[usize::from(n) - 1], &from, frame).put(self, to, client),
            Peer::Client | Peer::Device(_) => {
                let effects = speak(&mut self.devices[client], &from, frame);
                let me = self.peer_of(client);
                effects.put(self, me, client)
            }
            Peer::Alerts => {
                let Body::Alert { id, .. } = frame.body else { panic!("the sink got {frame:?}") };
                let frame = Body::AlertRecorded { id }.frame();
                self.wire.push_back(Flight { from: Peer::Alerts, to: from, client, frame });
                Ok(())
            }
            Peer::Person(_) => {
                self.told.push((to, frame.body));
                Ok(())
            }
        }
    }

    /// Delivers all that is on its way, and all that follows.
    pub fn run(&mut self) {
        for _ in 0..2_000 {
            let Some(flight) = self.wire.pop_front() else { return };
            let _ = self.deliver(flight);
        }
        panic!("the network does not come to rest: {:?}", self.wire);
    }

    /// Delivers until a frame of this kind is on its way, and takes it off the wire.
    pub fn run_to(&mut self, kind: &str) -> Flight {
        for _ in 0..2_000 {
            let Some(flight) = self.wire.pop_front() else { panic!("no {kind} came") };
            if flight.frame.body.name() == kind {
                return flight;
            }
            let _ = self.deliver(flight);
        }
        panic!("no {kind} came")
    }

    /// An order of a person; what follows is on the wire.
    pub fn order(&mut self, by: &Peer, to: Peer, client: usize, body: Body) -> Result<(), Refusal> {
        self.deliver(Flight { from: by.clone(), to, client, frame: body.frame() })
    }

    /// An order of a person that is obeyed, and all that follows.
    pub fn must(&mut self, by: &Peer, to: Peer, body: Body) {
        let name = body.name();
        assert_eq!(self.order(by, to, 0, body), Ok(()), "{name}");
        self.run();
    }

    /// A device's user types the password, which is the name.
    pub fn sign_in(&mut self, device: usize) {
        let password = self.devices[device].role.owner().user.clone().into_bytes().into();
        self.order(&HOLDER, Peer::Client, device, Body::EnterPassword { password }).unwrap();
    }

    /// A device enrols or replaces, without incident.
    pub fn enrol(&mut self, device: usize) {
        self.sign_in(device);
        self.run();
        assert!(self.key_of(device).is_some(), "device {device} has no key: {:?}", self.refusals);
    }

    /// The authority tells a point what is new, and all that follows.
    pub fn publish(&mut self, point: Point) {
        let effects = self.authority.fire(&Timer::Publish(point));
        let _ = self.put(&Peer::Authority, 0, effects);
        self.run();
    }

    /// Every point is told twice: the first time it hears, the second time its lease is renewed.
    pub fn publish_all(&mut self) {
        for _ in 0..2 {
            Point::ALL.into_iter().for_each(|point| self.publish(point));
        }
    }

    /// Opens a ceremony at a node, announces it, and gives it back as it was announced.
    pub fn ceremony(&mut self, node: u8, body: Body) -> Body {
        self.must(&OPERATOR, Peer::Keystore(node), body);
        let Some((_, Body::Ceremony { ceremony, signature })) = self.told.last().cloned() else {
            panic!("no ceremony: {:?}", self.told.last())
        };
        let announce = Body::Announce { ceremony, signature };
        self.must(&OPERATOR, Peer::Custody, announce.clone());
        announce
    }

    /// A custodian asks for the share, and agrees to the roster that is announced, if one is.
    pub fn fetch(&mut self, custodian: usize, node: u8) {
        let window = self.custody.peek(|step| custody::window(step, node));
        let ceremony: Option<CeremonyBody> =
            window.map(|window| cbor::decode(&window.ceremony, RECORD_BYTES).unwrap());
        let roster = ceremony.and_then(|ceremony| ceremony.roster).map(|roster| roster.digest());
        self.fetch_agreeing(custodian, node, roster);
    }

    /// A custodian asks for the share, and agrees to this roster.
    pub fn fetch_agreeing(&mut self, custodian: usize, node: u8, roster: Option<B32>) {
        let code = Some(self.codes[custodian]);
        self.codes[custodian] += 1;
        self.must(&HOLDER, Peer::Custodian(custodian as u8 + 1), Body::FetchShare { node, code, roster });
    }

    /// A custodian hands the share in.
    pub fn hand_in(&mut self, custodian: usize, node: u8) {
        self.must(&HOLDER, Peer::Custodian(custodian as u8 + 1), Body::HandIn { node });
    }

    /// The first custodians fetch and hand in, up to the threshold.
    pub fn quorum(&mut self, node: u8) {
        for custodian in 0..usize::from(THRESHOLD) {
            self.fetch(custodian, node);
            self.hand_in(custodian, node);
        }
    }

    /// A node's process stops and starts.
    pub fn restart(&mut self, node: u8) {
        let desk = &mut self.nodes[usize::from(node)];
        desk.role.restart();
        let effects = desk.fire(&Timer::Started);
        self.put(&Peer::Keystore(node), 0, effects).unwrap();
        self.run();
    }

    /// Unseals a node; the window is closed.
    pub fn unseal(&mut self, node: u8) {
        self.ceremony(node, Body::OpenCeremony { rekey: false, roster: None });
        self.quorum(node);
        self.must(&OPERATOR, Peer::Custody, Body::CloseWindow { node });
    }

    /// Whether a node is sealed.
    pub fn is_sealed(&self, node: u8) -> bool {
        self.nodes[usize::from(node)].role.opened().is_none()
    }

    /// Takes a snapshot that is kept and witnessed; its bytes.
    pub fn snapshot(&mut self) -> Vec<u8> {
        self.must(&OPERATOR, Peer::Keystore(0), Body::TakeSnapshot);
        let Some((_, Body::Snapshot { snapshot })) = self.told.last().cloned() else {
            panic!("no snapshot: {:?}", self.told.last())
        };
        let digest = bailee_core::roles::keystore::Snapshot::digest(&snapshot);
        self.must(&OPERATOR, Peer::Keystore(0), Body::SnapshotKept { digest });
        snapshot.to_vec()
    }

    /// The last refusal on the way.
    pub fn last_refusal(&self) -> Option<Refusal> {
        self.refusals.last().copied()
    }
}

fn speak<R: Role>(desk: &mut Desk<R>, from: &Peer, frame: Frame) -> Effects {
    desk.say(from, frame)
}

trait Put {
    fn put(self, house: &mut House, me: Peer, client: usize) -> Result<(), Refusal>;
}

impl Put for Effects {
    fn put(self, house: &mut House, me: Peer, client: usize) -> Result<(), Refusal> {
        house.put(&me, client, self)
    }
}
