//! All roles in one address space, with the network between them and the people around them: for the lockstep runner, for
//! tests and for the demo.
//!
//! It runs the roles as `CONTRACT.md` says: it names the sender of each frame, applies each batch before a frame leaves, and
//! fires timers. It knows nothing of the protocol's checks. `network` carries frames, `people` give orders, and `testing` has what
//! only tests may do: copies, peep-holes, and the hands of an adversary.

mod act;
mod network;
mod people;
mod publication;
#[cfg(feature = "testing")]
mod testing;

use std::sync::Arc;

use bailee_spec::action::{Lane, Point};
use rand_core::CryptoRng;

use crate::cbor;
use crate::crypto::password::{self, Cost};
use crate::crypto::sharing::SharingError;
use crate::crypto::sign::{PublicKey, Signing};
use crate::machine::{Context, Outgoing, Peer, Person, Step, Timer};
use crate::quirks::Quirks;
use crate::roles::authority::{self, AdminRecord, Authority, PointRecord};
use crate::roles::custodian::{Custodian, Dealt};
use crate::roles::custody::Custody;
use crate::roles::device::{Device, OnDisk};
use crate::roles::keystore::{Keyring, Keystore};
use crate::roles::mark::{MARK, Mark};
use crate::roles::restorer::Restorer;
use crate::roles::storage::Storage;
use crate::store::{Batch, MemoryStore, Read, Store};
use crate::wire::{Body, Frame, Header};

/// How many of each, and what the network does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Users.
    pub users: u8,
    /// Tenants; at most as many as users, who are shared out among them in order.
    pub tenants: u8,
    /// Devices a user.
    pub devices_per_user: u8,
    /// Keystore nodes.
    pub nodes: u8,
    /// Custodians.
    pub custodians: u8,
    /// Shares needed.
    pub threshold: u8,
    /// Messages outlive a broken connection.
    pub late: bool,
}

/// Where a role runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum At {
    Authority,
    Keystore(u8),
    Storage,
    Restorer,
    Custody,
    Custodian(u8),
    Device(u8),
}

/// The stores, one for each role; the keystore's nodes share one.
#[cfg_attr(feature = "testing", derive(Clone))]
struct Stores {
    authority: MemoryStore,
    keystore: MemoryStore,
    storage: MemoryStore,
    restorer: MemoryStore,
    custody: MemoryStore,
    custodians: Vec<MemoryStore>,
    devices: Vec<MemoryStore>,
}

/// A frame on its way.
#[derive(Clone, PartialEq, Eq)]
struct Flight {
    from: Peer,
    to: Peer,
    bytes: Arc<[u8]>,
}

/// All roles, the network and the people.
#[cfg_attr(feature = "testing", derive(Clone))]
pub struct Ensemble {
    size: Size,
    quirks: Quirks,
    /// The clock of the authority, and of all who are not a point.
    now: u64,
    /// The clock that the admission points share.
    points_now: u64,
    /// The points whose publications are carried one message at a time, where they are.
    publication: Option<Arc<[Point]>>,
    authority: Arc<Authority>,
    keystore: Vec<Arc<Keystore>>,
    storage: Arc<Storage>,
    restorer: Arc<Restorer>,
    custody: Arc<Custody>,
    custodians: Vec<Arc<Custodian>>,
    devices: Vec<Arc<Device>>,
    stores: Stores,
    timers: Arc<Vec<(u64, At, Timer)>>,
    /// By device, then late by device, then the job's, then by point, then late by point.
    lanes: Vec<Option<Arc<Flight>>>,
    /// What the restorer asked of storage: the work of its job, which goes on when it is carried.
    fetching: Option<Arc<Flight>>,
    /// The new shares of a rekey, on their way to their custodians.
    new_shares: Arc<Vec<Outgoing>>,
    /// Where the operator keeps snapshots: the newest one.
    snapshot: Option<Arc<[u8]>>,
    alerts_up: bool,
    /// Custodians who are gone for good.
    gone: Vec<bool>,
    /// What custodians pin.
    keystore_key: PublicKey,
    /// The code that each custodian's authenticator shows next.
    codes: Vec<u64>,
    former_header: Option<Arc<Header>>,
    /// What opens the store for an onlooker: taken when it was set up.
    #[cfg(feature = "testing")]
    onlooker: Arc<Keyring>,
}

impl Size {
    fn tenant_number(self, user: u8) -> u8 {
        (u32::from(user) * u32::from(self.tenants) / u32::from(self.users)) as u8
    }

    /// The tenant of a user.
    pub fn tenant_of(self, user: u8) -> String {
        tenant_name(self.tenant_number(user))
    }

    /// The name of a user, who is not the only one of that name if there are several tenants.
    pub fn name_of(self, user: u8) -> String {
        let tenant = self.tenant_number(user);
        let first = (0..user).find(|other| self.tenant_number(*other) == tenant).unwrap_or(user);
        format!("user-{}", user - first)
    }

    /// The tenant after the one of a user, if there is another.
    fn other_tenant_of(self, user: u8) -> Option<String> {
        (self.tenants > 1).then(|| tenant_name((self.tenant_number(user) + 1) % self.tenants))
    }
}

/// The name of a tenant.
fn tenant_name(tenant: u8) -> String {
    format!("tenant-{tenant}")
}

/// The password of a user.
fn password_of(user: u8) -> Vec<u8> {
    format!("password of user {user}").into_bytes()
}

/// The administrator who restores and manages users.
const ADMIN: &str = "admin";
/// The administrator who gives and withdraws rights.
const HEAD: &str = "head";

/// Copies a role before it is changed, if a save-point shares it.
#[cfg(feature = "testing")]
fn own<T: Clone>(role: &mut Arc<T>) -> &mut T {
    Arc::make_mut(role)
}

/// The role, to be changed: without save-points nobody shares it.
#[cfg(not(feature = "testing"))]
fn own<T>(role: &mut Arc<T>) -> &mut T {
    match Arc::get_mut(role) {
        Some(role) => role,
        None => unreachable!("a role is shared only between save-points"),
    }
}

fn store_of(batch: &Batch) -> MemoryStore {
    let mut store = MemoryStore::default();
    match store.apply(batch) {
        Ok(()) => store,
        Err(error) => unreachable!("an empty store takes a first batch: {error}"),
    }
}

/// A store with a mark and nothing else, whose lease runs one period from the start.
fn marked(lease: u64) -> MemoryStore {
    let mut batch = Batch::default();
    batch.put(MARK, cbor::encode(&Mark { lease, ..Mark::default() }));
    store_of(&batch)
}

/// The people of the authority: users with their passwords, and each tenant's two administrators.
fn population(size: Size, cost: Cost, lease: u64, rng: &mut dyn CryptoRng) -> MemoryStore {
    let mut batch = Batch::default();
    for user in 0..size.users {
        let (tenant, name) = (size.tenant_of(user), size.name_of(user));
        let mut salt = [0; 16];
        rng.fill_bytes(&mut salt);
        Authority::add_user(&mut batch, &tenant, &name, password::record(cost, salt, &password_of(user)));
        let admin = AdminRecord { restore: true, users: true, rights: false };
        Authority::add_admin(&mut batch, &tenant, ADMIN, admin);
        Authority::add_admin(&mut batch, &tenant, HEAD, AdminRecord { rights: true, ..AdminRecord::default() });
    }
    for point in Point::ALL {
        authority::set_up_point(&mut batch, point, &PointRecord { lease, ..PointRecord::default() });
    }
    store_of(&batch)
}

/// The custodians with their first shares, and custody with their logins.
struct Circle {
    custodians: Vec<Arc<Custodian>>,
    stores: Vec<MemoryStore>,
    custody: MemoryStore,
    keystore: MemoryStore,
    nodes: Vec<Arc<Keystore>>,
    #[cfg(feature = "testing")]
    keyring: Arc<Keyring>,
}

impl Circle {
    /// Everybody is present: the custodians take their shares, and the nodes stay unsealed.
    fn meet(
        size: Size,
        lease: u64,
        keys: (&Signing, &Signing),
        rng: &mut dyn CryptoRng,
    ) -> Result<Self, SharingError> {
        let (keystore_key, authority_key) = keys;
        let pinned = keystore_key.public();
        let custodians: Vec<Custodian> =
            (1..=size.custodians).map(|index| Custodian::generate(index, pinned, rng)).collect();
        let public: Vec<_> = custodians.iter().map(Custodian::keys).collect();
        let mut setup = Keystore::initialise(&public, size.threshold, lease, rng)?;
        let (mut custody, mut stores) = (Batch::default(), Vec::new());
        for (custodian, share) in custodians.iter().zip(&setup.shares) {
            let mut batch = Batch::default();
            let dealt = Dealt { index: share.index, wrapped: &share.sealed, header: &share.header };
            custodian.take_first(&mut batch, dealt).map_err(|_| SharingError::WrongShare)?;
            stores.push(store_of(&batch));
            Custody::add_login(&mut custody, share.index, custodian.authenticator());
            Custody::add_share(&mut custody, &share.header, share.index, &share.sealed);
        }
        #[cfg(feature = "testing")]
        let keyring = setup.opened.keyring.clone();
        let nodes = (0..size.nodes).map(|node| {
            let key = Signing::from_seed(&keystore_key.seed());
            let mut keystore = Keystore::new(node, size.nodes, key, authority_key.public());
            keystore.present(setup.opened.clone());
            keystore.open_channel(&mut setup.batch, rng);
            Arc::new(keystore)
        });
        let nodes = nodes.collect();
        Ok(Circle {
            custodians: custodians.into_iter().map(Arc::new).collect(),
            stores,
            custody: store_of(&custody),
            keystore: store_of(&setup.batch),
            nodes,
            #[cfg(feature = "testing")]
            keyring,
        })
    }
}

impl Ensemble {
    /// A fresh system: every node unsealed, nobody enrolled.
    ///
    /// # Errors
    /// When the numbers of custodians and shares allow no sharing.
    pub fn new(size: Size, cost: Cost, quirks: Quirks, rng: &mut dyn CryptoRng) -> Result<Self, SharingError> {
        let lease = bailee_spec::limits::VALIDITY_SECONDS;
        let (keystore_key, authority_key) = (Signing::generate(rng), Signing::generate(rng));
        let (ks, au) = (keystore_key.public(), authority_key.public());
        let restorer = Restorer::new(Signing::generate(rng), ks).with_jobs(1);
        let circle = Circle::meet(size, lease, (&keystore_key, &authority_key), rng)?;
        let people = population(size, cost, lease, rng);
        let owners = (0..size.users).flat_map(|user| (0..size.devices_per_user).map(move |_| user));
        let devices: Vec<_> =
            owners.map(|user| Arc::new(Device::new(&size.tenant_of(user), &size.name_of(user), ks, au))).collect();
        let stores = Stores {
            authority: people,
            keystore: circle.keystore,
            storage: marked(lease),
            restorer: marked(lease),
            custody: circle.custody,
            custodians: circle.stores,
            devices: vec![MemoryStore::default(); devices.len()],
        };
        Ok(Ensemble {
            size,
            quirks,
            now: 0,
            points_now: 0,
            publication: None,
            authority: Arc::new(Authority::new(authority_key, ks, restorer.public()).with_jobs(1)),
            keystore: circle.nodes,
            storage: Arc::new(Storage::new(au)),
            restorer: Arc::new(restorer),
            custody: Arc::new(Custody::new(ks)),
            gone: vec![false; circle.custodians.len()],
            keystore_key: ks,
            codes: vec![1; circle.custodians.len()],
            custodians: circle.custodians,
            lanes: vec![None; devices.len() * 2 + 1 + Point::ALL.len() * 2],
            devices,
            stores,
            timers: Arc::new(Vec::new()),
            fetching: None,
            new_shares: Arc::new(Vec::new()),
            snapshot: None,
            alerts_up: true,
            former_header: None,
            #[cfg(feature = "testing")]
            onlooker: circle.keyring,
        })
    }

    /// How many of each.
    pub fn size(&self) -> Size {
        self.size
    }

    /// A device's disk.
    pub fn device_disk(&self, device: u8) -> OnDisk<'_> {
        OnDisk(&self.stores.devices[device as usize])
    }

    /// A device.
    pub fn device(&self, device: u8) -> &Device {
        &self.devices[device as usize]
    }

    /// The restorer.
    pub fn restorer(&self) -> &Restorer {
        &self.restorer
    }

    /// Whether a node is sealed.
    pub fn is_sealed(&self, node: u8) -> bool {
        self.keystore[node as usize].opened().is_none()
    }

    /// Wrapped shares that left custody, and alerts that were recorded before.
    pub fn custody_counts(&self) -> (u64, u64) {
        self.peek(At::Custody, crate::roles::custody::counts)
    }

    /// Whether root on a node's host, with the node's memory and disk alone, opens this key of a user (claim C15): it is tried.
    pub fn host_opens(
        &self,
        node: u8,
        owner: &crate::crypto::keys::Owner,
        key: &crate::crypto::keys::ArchiveKey,
    ) -> bool {
        let store = &self.stores.keystore;
        let Some(opened) = self.keystore[node as usize].opened() else { return false };
        let read = |name: &str| store.get(name.as_bytes()).ok().flatten();
        let header = read("header").and_then(|bytes| cbor::decode(&bytes, crate::store::RECORD_BYTES).ok());
        let keyring = header.zip(read("keyring"));
        let keyring = keyring.and_then(|(header, sealed)| Keyring::open(&opened.root, &header, &sealed));
        let account = keyring.and_then(|keyring| keyring.account(store, &owner.tenant, &owner.user));
        account.is_some_and(|account| account.key() == key.expose())
    }

    /// Notices to owners of restores on their behalf.
    pub fn notices(&self) -> u64 {
        let counts: Option<authority::OnBehalf> = self.peek(At::Authority, |step| step.get(authority::ON_BEHALF));
        counts.unwrap_or_default().notices
    }

    /// All that each service keeps, in its own words, for anyone who wants to search it.
    pub fn disks(&self) -> [(&'static str, &MemoryStore); 5] {
        [
            ("authority", &self.stores.authority),
            ("keystore", &self.stores.keystore),
            ("custody", &self.stores.custody),
            ("storage", &self.stores.storage),
            ("restorer", &self.stores.restorer),
        ]
    }

    fn store(&self, at: At) -> &MemoryStore {
        match at {
            At::Authority => &self.stores.authority,
            At::Keystore(_) => &self.stores.keystore,
            At::Storage => &self.stores.storage,
            At::Restorer => &self.stores.restorer,
            At::Custody => &self.stores.custody,
            At::Custodian(custodian) => &self.stores.custodians[custodian as usize],
            At::Device(device) => &self.stores.devices[device as usize],
        }
    }

    /// Looks at a role's store with the role's own eyes, and changes nothing.
    fn peek<T>(&self, at: At, look: impl FnOnce(&mut Step<'_>) -> T) -> T {
        let mut rng = NoRandomness;
        let store = self.store(at);
        look(&mut Step::new(Context { now: self.clock(at), rng: &mut rng, store, quirks: self.quirks }))
    }

    /// Seconds on the clock of a role.
    fn clock(&self, at: At) -> u64 {
        match at {
            At::Keystore(_) | At::Storage | At::Restorer => self.points_now,
            At::Authority | At::Custody | At::Custodian(_) | At::Device(_) => self.now,
        }
    }

    fn slot(&self, lane: Lane) -> usize {
        match lane {
            Lane::Device(d) => d as usize,
            Lane::Late(d) => self.devices.len() + d as usize,
            Lane::Job => self.devices.len() * 2,
            Lane::Point(point) => self.devices.len() * 2 + 1 + point as usize,
            Lane::LatePoint(point) => self.devices.len() * 2 + 1 + Point::ALL.len() + point as usize,
        }
    }

    /// The frame that is on its way in a lane.
    pub fn in_flight(&self, lane: Lane) -> Option<Frame> {
        let flight = self.lanes[self.slot(lane)].as_ref()?;
        cbor::decode(&flight.bytes, bailee_spec::limits::MESSAGE_BYTES).ok()
    }
}

/// For looking only: nothing that only looks draws random bytes.
struct NoRandomness;

impl rand_core::TryRng for NoRandomness {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(0)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(0)
    }

    fn try_fill_bytes(&mut self, into: &mut [u8]) -> Result<(), Self::Error> {
        into.fill(0);
        Ok(())
    }
}

impl rand_core::TryCryptoRng for NoRandomness {}

/// A user at a console.
fn user_at_console(tenant: String, user: String, stepped_up: bool) -> Peer {
    Peer::Person(Person::User { tenant, user, stepped_up })
}

/// An administrator at a console.
fn admin_at_console(tenant: String, admin: &str) -> Peer {
    Peer::Person(Person::Admin { tenant, admin: admin.into() })
}

/// A frame of a person, outside of any exchange.
fn order(body: Body) -> Frame {
    Frame { exchange: None, generation: None, body }
}
