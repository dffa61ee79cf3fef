//! What is at rest.

use bailee_core::crypto::keys::{Owner, Secret};
use bailee_core::crypto::password::Cost;
use bailee_core::machine::{Context, Input, Peer, Person, Role};
use bailee_core::quirks::Quirks;
use bailee_core::roles::authority::{
    AdminRecord, AttemptRecord, DeviceRecord, Epochs, GrantRecord, Guesses, JobRecord, OnBehalf, PointRecord,
    SessionRecord, StoreRecord, UserRecord,
};
use bailee_core::roles::custodian::Known;
use bailee_core::roles::custody::{Login, WindowRecord};
use bailee_core::roles::device::{Device, OnDisk};
use bailee_core::roles::keystore::{Account, Attempt, Keyring, Snapshot, Staged};
use bailee_core::roles::mark::Mark;
use bailee_core::store::{Batch, MemoryStore, RECORD_BYTES, Store};
use bailee_core::wire::{B32, Body, Frame, Header};
use bailee_services::{tenant_of, user_of};
use minicbor::{Decode, Encode};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use super::piece;
use super::wire::assert_named;
use crate::{law, stage};

/// Kinds of [`record`], by number: the order is that of the corpus.
pub const KINDS: [fn(&[u8]); 21] = [
    plain::<UserRecord>,
    plain::<DeviceRecord>,
    plain::<AttemptRecord>,
    plain::<SessionRecord>,
    plain::<GrantRecord>,
    job,
    plain::<PointRecord>,
    plain::<Epochs>,
    plain::<Login>,
    plain::<WindowRecord>,
    account,
    plain::<Attempt>,
    plain::<Vec<B32>>,
    plain::<StoreRecord>,
    plain::<Mark>,
    plain::<Owner>,
    plain::<Guesses>,
    plain::<OnBehalf>,
    plain::<AdminRecord>,
    plain::<Staged>,
    plain::<Known>,
];

fn plain<T: for<'a> Decode<'a, ()> + Encode<()>>(data: &[u8]) {
    law::cbor::<T>(data, RECORD_BYTES);
}

fn job(data: &[u8]) {
    if let Some(job) = law::cbor::<JobRecord>(data, RECORD_BYTES) {
        let _ = (job.kind(), job.state_at(0), job.state_at(u64::MAX));
    }
}

fn account(data: &[u8]) {
    if let Some(account) = law::cbor::<Account>(data, RECORD_BYTES) {
        let _ = (account.state(), account.holds_key(), account.key());
    }
}

/// A stored record: one byte for the kind, then the record.
pub fn record(data: &[u8]) {
    let Some((&kind, record)) = data.split_first() else { return };
    KINDS[usize::from(kind) % KINDS.len()](record);
}

/// A snapshot: and its records make a store, whatever their names are.
pub fn snapshot(data: &[u8]) {
    let decode = |bytes: &[u8]| Snapshot::decode(bytes).ok_or("not a snapshot");
    if let Some(snapshot) = law::canonical(decode, Snapshot::encode, data) {
        let store = snapshot.store();
        assert!(store.len() <= snapshot.records.len());
        if let Some(account) = stage::STAGE.keyring.account(&store, &tenant_of(0), &user_of(0)) {
            assert!(account.holds_key() || account.key().is_empty(), "a record opened that nobody sealed");
        }
    }
}

/// The records `identity` and `key` of a device: the program starts from whatever its disk holds, takes every order of its user
/// and every frame that a device was ever sent, and refuses by a name.
pub fn device_disk(mut data: &[u8]) {
    let mut store = MemoryStore::default();
    let mut batch = Batch::default();
    for name in ["identity", "key"] {
        let record = piece(&mut data);
        if !record.is_empty() {
            batch.put(name, record);
        }
    }
    store.apply(&batch).expect("records within the limits");
    let disk = OnDisk(&store);
    let _ = (disk.id(), disk.attempt(), disk.key(), disk.view(), disk.signing());
    let mut device = Device::new(&tenant_of(0), &user_of(0), [0; 32], [0; 32]);
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let holder = Peer::Person(Person::Holder);
    let orders = [
        Body::StartBackup,
        Body::BackUp { content: data.to_vec().into() },
        Body::ReadBack,
        Body::CheckIn,
        Body::EscrowAgain,
        Body::EnterPassword { password: data.to_vec().into() },
    ];
    let order = |body| (&holder, Frame { exchange: None, generation: None, body });
    let orders: Vec<(&Peer, Frame)> = orders.map(order).into();
    let answers: Vec<(&Peer, Frame)> = stage::answers().collect();
    for (from, frame) in orders.into_iter().chain(answers) {
        let cx = Context { now: 0, rng: &mut rng, store: &store, quirks: Quirks::none() };
        if let Err(refusal) = device.step(cx, Input::Frame { from, frame: &frame }).verdict {
            assert_named(refusal);
        }
    }
}

/// A sealed keyring: opens unchanged with root and header that sealed it, or not at all.
pub fn keyring(data: &[u8]) {
    let root = Secret::take(&mut stage::ROOT.clone());
    let header = &stage::STAGE.header;
    if Keyring::open(&root, header, data).is_none() {
        return;
    }
    for place in 0..data.len() {
        let mut altered = data.to_vec();
        altered[place] ^= 1;
        assert!(Keyring::open(&root, header, &altered).is_none(), "altered at {place}, it opened");
    }
    let next = Header { share_epoch: header.share_epoch + 1, ..header.clone() };
    assert!(Keyring::open(&root, &next, data).is_none(), "it opened under another share epoch");
}

/// The cost of the passwords of the corpus.
pub(crate) const COST: Cost = Cost::TEST;
