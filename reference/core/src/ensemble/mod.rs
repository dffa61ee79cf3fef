//! All roles in one address space, and the network between them: for the lockstep runner, for tests and for the demo.
//!
//! Messages travel as bytes. Every step commits its batch before its message leaves; `DeliverThenCrash` lets the receiver
//! die in between. A copy (feature `fork`) shares every role until one of the two changes it.

mod act;
mod ceremonies;
pub mod view;

use std::sync::Arc;

use bailee_spec::action::Lane;
use bailee_spec::observation::Message;
use rand_core::CryptoRng;

use crate::cbor;
use crate::crypto::keys::{ArchiveKey, Owner};
use crate::crypto::password::{self, Cost};
use crate::crypto::sharing::SharingError;
use crate::crypto::sign::Signing;
use crate::disk::Disk;
use crate::quirks::Quirks;
use crate::roles::Context;
use crate::roles::authority::Authority;
use crate::roles::custodian::Custodian;
use crate::roles::custody::Custody;
use crate::roles::device::Device;
use crate::roles::keystore::{Keyring, Keystore, NewShare};
use crate::roles::restorer::Restorer;
use crate::roles::storage::Storage;
use crate::wire::{B32, Frame, Header};

/// How many of each, and what the network does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Users; every ten share a tenant.
    pub users: u8,
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

/// All roles and the network.
#[cfg_attr(feature = "fork", derive(Clone))]
pub struct Ensemble {
    size: Size,
    quirks: Quirks,
    now: u64,
    authority: Arc<Authority>,
    keystore: Arc<Keystore>,
    storage: Arc<Storage>,
    restorer: Arc<Restorer>,
    custody: Arc<Custody>,
    devices: Vec<Arc<Device>>,
    custodians: Vec<Arc<Custodian>>,
    /// By device, then late by device, then the job's.
    lanes: Vec<Option<Arc<[u8]>>>,
    alerts_up: bool,
    snapshot: Option<Arc<[u8]>>,
    new_shares: Vec<NewShare>,
    former_header: Option<Arc<Header>>,
    /// What opens the store for the onlooker: taken from the first node when it was set up.
    onlooker: Arc<Keyring>,
}

/// The tenant of a user.
pub fn tenant_of(user: u8) -> String {
    format!("tenant-{}", user / 10)
}

/// The name of a user.
pub fn name_of(user: u8) -> String {
    format!("user-{user}")
}

/// Copies a role before it is changed, if a save-point shares it.
#[cfg(feature = "fork")]
pub(crate) fn own<T: Clone>(role: &mut Arc<T>) -> &mut T {
    Arc::make_mut(role)
}

/// The role, to be changed: without save-points nobody shares it.
#[cfg(not(feature = "fork"))]
pub(crate) fn own<T>(role: &mut Arc<T>) -> &mut T {
    match Arc::get_mut(role) {
        Some(role) => role,
        None => unreachable!("a role is shared only between save-points"),
    }
}

impl Ensemble {
    /// A fresh system: every node unsealed, nobody enrolled.
    ///
    /// # Errors
    /// When the numbers of custodians and shares allow no sharing.
    pub fn new(size: Size, cost: Cost, quirks: Quirks, rng: &mut dyn CryptoRng) -> Result<Self, SharingError> {
        let keystore_key = Signing::generate(rng);
        let authority_key = Signing::generate(rng);
        let restorer = Restorer::new(Signing::generate(rng), keystore_key.public());
        let (ks, au) = (keystore_key.public(), authority_key.public());
        let mut custodians: Vec<Custodian> =
            (1..=size.custodians).map(|index| Custodian::generate(index, ks, rng)).collect();
        let keys: Vec<_> = custodians.iter().map(Custodian::keys).collect();
        let setup = Keystore::initialise(size.nodes, &keys, size.threshold, keystore_key, au, rng)?;
        let authenticators: Vec<_> = custodians.iter().map(Custodian::authenticator).collect();
        let mut custody = Custody::new(ks, &authenticators);
        for (custodian, share) in custodians.iter_mut().zip(&setup.shares) {
            custodian.take_new(share).map_err(|_| SharingError::WrongShare)?;
            let batch = custody.store_share(&share.header, share.index, &share.sealed);
            custody.disk.commit(batch);
        }
        let mut authority = Authority::new(authority_key, ks, restorer.public());
        let mut devices = Vec::new();
        for user in 0..size.users {
            let (tenant, name) = (tenant_of(user), name_of(user));
            let word = format!("password of {name}").into_bytes();
            let mut salt = [0; 16];
            rng.fill_bytes(&mut salt);
            authority.add_user(&tenant, &name, password::record(cost, salt, &word));
            for _ in 0..size.devices_per_user {
                devices.push(Arc::new(Device::new(&tenant, &name, &word, ks, au)));
            }
        }
        let opened = setup.keystore.opened(0).ok_or(SharingError::BadParameters)?;
        let onlooker = opened.keyring.clone();
        Ok(Ensemble {
            size,
            quirks,
            now: 0,
            storage: Arc::new(Storage::new(au)),
            lanes: vec![None; devices.len() * 2 + 1],
            authority: Arc::new(authority),
            keystore: Arc::new(setup.keystore),
            restorer: Arc::new(restorer),
            custody: Arc::new(custody),
            devices,
            custodians: custodians.into_iter().map(Arc::new).collect(),
            alerts_up: true,
            snapshot: None,
            new_shares: Vec::new(),
            former_header: None,
            onlooker,
        })
    }

    /// How many of each.
    pub fn size(&self) -> Size {
        self.size
    }

    /// A device.
    pub fn device(&self, device: u8) -> &Device {
        &self.devices[device as usize]
    }

    /// The restorer.
    pub fn restorer(&self) -> &Restorer {
        &self.restorer
    }

    /// Wrapped shares that left custody, and alerts that were recorded before.
    pub fn custody_counts(&self) -> (u64, u64) {
        self.custody.counts()
    }

    /// Whether root on a node's host, with the node's memory and disk alone, opens this key of a user (claim C15): it is tried.
    pub fn host_opens(&self, node: u8, owner: &Owner, key: &ArchiveKey) -> bool {
        let disk = &self.keystore.disk;
        let Some(opened) = self.keystore.opened(node) else { return false };
        let keyring = disk.get("header").zip(disk.bytes("keyring"));
        let keyring = keyring.and_then(|(header, sealed)| Keyring::open(&opened.root, &header, &sealed));
        let account = keyring.and_then(|keyring| keyring.account(disk, &owner.tenant, &owner.user));
        account.is_some_and(|account| account.key() == key.expose())
    }

    /// Notices to owners of restores on their behalf.
    pub fn notices(&self) -> u64 {
        self.authority.totals().notices
    }

    /// All that each service keeps, in its own words, for whoever wants to search it.
    pub fn disks(&self) -> [(&'static str, &Disk); 5] {
        [
            ("authority", &self.authority.disk),
            ("keystore", &self.keystore.disk),
            ("custody", &self.custody.disk),
            ("storage", &self.storage.disk),
            ("restorer", &self.restorer.disk),
        ]
    }

    /// The same system with these bugs from now on.
    pub fn with_quirks(mut self, quirks: Quirks) -> Self {
        self.quirks = quirks;
        self
    }

    /// Whether nothing at all changed since the one was copied from the other: every role and message is the same
    /// memory.
    #[cfg(feature = "fork")]
    pub fn unchanged_since(&self, other: &Ensemble) -> bool {
        fn same<T: ?Sized>(a: &Option<Arc<T>>, b: &Option<Arc<T>>) -> bool {
            match (a, b) {
                (Some(a), Some(b)) => Arc::ptr_eq(a, b),
                (None, None) => true,
                _ => false,
            }
        }
        Arc::ptr_eq(&self.authority, &other.authority)
            && Arc::ptr_eq(&self.keystore, &other.keystore)
            && Arc::ptr_eq(&self.storage, &other.storage)
            && Arc::ptr_eq(&self.restorer, &other.restorer)
            && Arc::ptr_eq(&self.custody, &other.custody)
            && self.devices.iter().zip(&other.devices).all(|(a, b)| Arc::ptr_eq(a, b))
            && self.custodians.iter().zip(&other.custodians).all(|(a, b)| Arc::ptr_eq(a, b))
            && self.lanes.iter().zip(&other.lanes).all(|(a, b)| same(a, b))
            && same(&self.snapshot, &other.snapshot)
            && self.alerts_up == other.alerts_up
            && self.now == other.now
    }

    fn context<'a>(&self, rng: &'a mut dyn CryptoRng) -> Context<'a> {
        Context { now: self.now, rng, quirks: self.quirks }
    }

    fn slot(&self, lane: Lane) -> usize {
        match lane {
            Lane::Device(d) => d as usize,
            Lane::Late(d) => self.devices.len() + d as usize,
            Lane::Job | Lane::Point(_) | Lane::LatePoint(_) => self.devices.len() * 2,
        }
    }

    /// The frame that is on its way in a lane.
    pub fn in_flight(&self, lane: Lane) -> Option<Frame> {
        let bytes = self.lanes[self.slot(lane)].as_ref()?;
        cbor::decode(bytes, bailee_spec::limits::MESSAGE_BYTES).ok()
    }

    fn put(&mut self, lane: Lane, frame: Option<Frame>) {
        let slot = self.slot(lane);
        self.lanes[slot] = frame.map(|frame| cbor::encode(&frame).into());
    }

    fn users(&self) -> Vec<(String, String)> {
        (0..self.size.users).map(|user| (tenant_of(user), name_of(user))).collect()
    }
}

/// Who receives a message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Receiver {
    Authority,
    Keystore,
    /// The device of the lane, or the restorer in the job lane.
    Client,
}

fn receiver(kind: Message) -> Receiver {
    use Message as M;
    match kind {
        M::OpenEnrolment | M::CreateAccount | M::Escrow | M::ReleaseKey | M::GrantConsumed | M::GrantRefused => {
            Receiver::Keystore
        }
        M::SessionOpened
        | M::Nonce
        | M::Admission
        | M::Authorised
        | M::KeyDelivery
        | M::GoReplace
        | M::Refusal
        | M::AssignJob
        | M::Publish => Receiver::Client,
        M::SignIn
        | M::BeginEnrolment
        | M::EnrolmentOpened
        | M::PresentCertificate
        | M::AccountCreated
        | M::EscrowKey
        | M::Receipt
        | M::AddDevice
        | M::ConsumeGrant
        | M::SealedKey
        | M::AlreadyEscrowed
        | M::KeystoreRefusal
        | M::JobKey
        | M::JobEnd
        | M::Confirm => Receiver::Authority,
    }
}

/// The grant that a frame is about.
fn grant_of(frame: &Frame) -> Option<B32> {
    use crate::wire::Body;
    match &frame.body {
        Body::ConsumeGrant { grant } | Body::GrantConsumed { grant, .. } | Body::GrantRefused { grant } => {
            Some(*grant)
        }
        _ => None,
    }
}
