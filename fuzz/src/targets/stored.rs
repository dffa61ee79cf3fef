//! What is at rest.

use bailee_core::crypto::keys::{Owner, Secret};
use bailee_core::crypto::password::Cost;
use bailee_core::disk::Batch;
use bailee_core::roles::authority::{
    AttemptRecord, DeviceRecord, GrantRecord, JobRecord, PointRecord, SessionRecord, Totals, UserRecord,
};
use bailee_core::roles::custody::{Login, WindowRecord};
use bailee_core::roles::device::Device;
use bailee_core::roles::keystore::{Account, Attempt, Keyring, Snapshot};
use bailee_core::wire::{B32, Blob, Header};
use minicbor::{Decode, Encode};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use super::piece;
use crate::{law, stage};

/// The largest record, in bytes: that of `bailee_core::disk`.
const RECORD_BYTES: usize = 1 << 24;

/// Kinds of [`record`], by number: the order is that of the corpus.
pub const KINDS: [fn(&[u8]); 16] = [
    plain::<UserRecord>,
    plain::<DeviceRecord>,
    plain::<AttemptRecord>,
    plain::<SessionRecord>,
    plain::<GrantRecord>,
    job,
    plain::<PointRecord>,
    plain::<Totals>,
    plain::<Login>,
    plain::<WindowRecord>,
    account,
    plain::<Attempt>,
    plain::<Vec<B32>>,
    plain::<Vec<Blob>>,
    plain::<(u64, u64)>,
    plain::<Owner>,
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
        assert!(store.with_prefix(b"").count() <= snapshot.records.len());
        if let Some(account) = stage::STAGE.keyring.account(&store, stage::TENANT, stage::USER) {
            assert!(account.holds_key(), "a record opened that nobody sealed");
        }
    }
}

/// The records `identity` and `key` of a device: the program starts from whatever its disk holds.
pub fn device_disk(mut data: &[u8]) {
    let mut device = Device::new(stage::TENANT, stage::USER, stage::PASSWORD, [0; 32], [0; 32]);
    let mut batch = Batch::default();
    for name in ["identity", "key"] {
        let record = piece(&mut data);
        if !record.is_empty() {
            batch.put_bytes(name, record.to_vec());
        }
    }
    device.disk.commit(batch);
    device.restart();
    let _ =
        (device.id(), device.attempt(), device.kept_key(), device.disk_view(), device.may_ask(), device.read(data));
    let _ = device.sign_in();
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for frame in stage::answers() {
        let _ = device.step(&mut stage::context(&mut rng), &frame);
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
