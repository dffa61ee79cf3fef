//! The first day: keys, custodians, people, and what the stores begin with.

use bailee_core::cbor;
use bailee_core::crypto::password::{self, Cost};
use bailee_core::crypto::sign::Signing;
use bailee_core::roles::authority::{self, AdminRecord, Authority, PointRecord};
use bailee_core::roles::custodian::{Custodian, Dealt};
use bailee_core::roles::custody::Custody;
use bailee_core::roles::device::Device;
use bailee_core::roles::keystore::Keystore;
use bailee_core::roles::mark::{MARK, Mark};
use bailee_core::roles::restorer::Restorer;
use bailee_core::roles::storage::Storage;
use bailee_core::store::Batch;
use bailee_spec::action::Point;
use bailee_spec::limits::VALIDITY_SECONDS;
use rand_core::CryptoRng;

/// The administrator who restores and manages users.
pub const ADMIN: &str = "admin";
/// The administrator who gives and withdraws rights.
pub const HEAD: &str = "head";

/// How many of each. Users have two devices each; users of an even and of an odd number are of two tenants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Users.
    pub users: u8,
    /// Keystore nodes.
    pub nodes: u8,
}

impl Default for Size {
    fn default() -> Self {
        Size { users: 3, nodes: 2 }
    }
}

/// Devices of each user.
pub(crate) const DEVICES: u8 = 2;
/// Custodians.
pub(crate) const CUSTODIANS: u8 = 5;
/// Shares needed.
const THRESHOLD: u8 = 3;

/// The tenant of a user.
pub fn tenant_of(user: u8) -> String {
    format!("tenant-{}", user % 2)
}

/// The name of a user: the same in both tenants, as nothing forbids it.
pub fn user_of(user: u8) -> String {
    format!("user-{}", user / 2)
}

/// The password of a user.
pub fn password_of(user: u8) -> Vec<u8> {
    format!("the password of user {user}").into_bytes()
}

/// Every role, as its process has it.
#[cfg_attr(feature = "testing", derive(Clone))]
pub(crate) struct Roles {
    pub(crate) authority: Authority,
    pub(crate) keystore: Vec<Keystore>,
    pub(crate) storage: Storage,
    pub(crate) restorer: Restorer,
    pub(crate) custody: Custody,
    pub(crate) custodians: Vec<Custodian>,
    pub(crate) devices: Vec<Device>,
}

/// What each store begins with.
pub(crate) struct First {
    pub(crate) authority: Batch,
    pub(crate) keystore: Batch,
    pub(crate) point: Batch,
    pub(crate) custody: Batch,
    pub(crate) custodians: Vec<Batch>,
}

fn people(size: Size, rng: &mut dyn CryptoRng) -> Batch {
    let mut batch = Batch::default();
    for user in 0..size.users {
        let mut salt = [0; 16];
        rng.fill_bytes(&mut salt);
        let (tenant, name) = (tenant_of(user), user_of(user));
        Authority::add_user(&mut batch, &tenant, &name, password::record(Cost::TEST, salt, &password_of(user)));
        let admin = AdminRecord { restore: true, users: true, rights: false };
        Authority::add_admin(&mut batch, &tenant, ADMIN, admin);
        let head = AdminRecord { restore: false, users: false, rights: true };
        Authority::add_admin(&mut batch, &tenant, HEAD, head);
    }
    for point in Point::ALL {
        let record = PointRecord { lease: VALIDITY_SECONDS, ..PointRecord::default() };
        authority::set_up_point(&mut batch, point, &record);
    }
    batch
}

/// Everybody is present: keys are pinned, the first shares dealt, the nodes unsealed. Nothing else is ever written past a step (GEN-19a).
pub(crate) fn first_day(size: Size, rng: &mut dyn CryptoRng) -> (Roles, First) {
    let (keystore_key, authority_key, restorer_key) =
        (Signing::generate(rng), Signing::generate(rng), Signing::generate(rng));
    let (ks, au) = (keystore_key.public(), authority_key.public());
    let restorer = Restorer::new(restorer_key, ks);
    let custodians: Vec<Custodian> = (1..=CUSTODIANS).map(|index| Custodian::generate(index, ks, rng)).collect();
    let public: Vec<_> = custodians.iter().map(Custodian::keys).collect();
    let mut setup = Keystore::initialise(&public, THRESHOLD, VALIDITY_SECONDS, rng).expect("three of five");
    let (mut custody, mut clients) = (Batch::default(), Vec::new());
    for (custodian, share) in custodians.iter().zip(&setup.shares) {
        let mut client = Batch::default();
        let dealt = Dealt { index: share.index, wrapped: &share.sealed, header: &share.header };
        custodian.take_first(&mut client, dealt).expect("a share as it was dealt");
        clients.push(client);
        Custody::add_login(&mut custody, share.index, custodian.authenticator());
        Custody::add_share(&mut custody, &share.header, share.index, &share.sealed);
    }
    let mut nodes = Vec::new();
    for node in 0..size.nodes {
        let mut keystore = Keystore::new(node, size.nodes, Signing::from_seed(&keystore_key.seed()), au);
        keystore.present(setup.opened.clone());
        keystore.open_channel(&mut setup.batch, rng);
        nodes.push(keystore);
    }
    let mut point = Batch::default();
    point.put(MARK, cbor::encode(&Mark { lease: VALIDITY_SECONDS, ..Mark::default() }));
    let owners = (0..size.users).flat_map(|user| (0..DEVICES).map(move |_| user));
    let devices = owners.map(|user| Device::new(&tenant_of(user), &user_of(user), ks, au)).collect();
    let authority = Authority::new(authority_key, ks, restorer.public());
    let first = First { authority: people(size, rng), keystore: setup.batch, point, custody, custodians: clients };
    let (storage, custody) = (Storage::new(au), Custody::new(ks));
    (Roles { authority, keystore: nodes, storage, restorer, custody, custodians, devices }, first)
}
