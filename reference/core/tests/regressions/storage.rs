//! What storage accepts it keeps (BAK-2c).

use bailee_core::cbor;
use bailee_core::crypto::labels;
use bailee_core::crypto::sign::Signing;
use bailee_core::quirks::Quirks;
use bailee_core::roles::Context;
use bailee_core::roles::storage::Storage;
use bailee_core::wire::{B32, CapabilityBody};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

/// Storage, and leave to append to the archive of one user.
fn with_capability(user: &str) -> (Storage, Vec<u8>, Vec<u8>) {
    let authority = Signing::from_seed(&[1; 32]);
    let body = CapabilityBody {
        tenant: "tenant".into(),
        user: user.into(),
        device: B32::from([2; 32]),
        epoch: 0,
        expiry: u64::MAX,
    };
    let body = cbor::encode(&body);
    let signature = authority.sign(labels::SIGN_CAPABILITY, &body).to_vec();
    (Storage::new(authority.public()), body, signature)
}

fn append(storage: &mut Storage, capability: &[u8], signature: &[u8], block: &[u8]) {
    let mut rng = ChaCha8Rng::seed_from_u64(31);
    let cx = Context { now: 0, rng: &mut rng, quirks: Quirks::none() };
    let batch = storage.append(&cx, capability, signature, block).unwrap();
    storage.disk.commit(batch);
}

/// An archive may be larger than the largest record.
#[test]
fn a_large_archive_does_not_forget_its_beginning() {
    let (mut storage, capability, signature) = with_capability("user");
    let large = vec![7; 6 << 20];
    for _ in 0..3 {
        append(&mut storage, &capability, &signature, &large);
    }
    append(&mut storage, &capability, &signature, b"last");
    let lengths: Vec<usize> = storage.blocks("tenant", "user").iter().map(|block| block.len()).collect();
    assert_eq!(lengths, [6 << 20, 6 << 20, 6 << 20, 4]);
}

#[test]
fn a_purge_takes_the_whole_archive_and_no_other() {
    let (mut storage, capability, signature) = with_capability("user");
    let (_, others, of_other) = with_capability("user-2");
    for _ in 0..3 {
        append(&mut storage, &capability, &signature, b"block");
        append(&mut storage, &others, &of_other, b"block");
    }
    let batch = storage.hear(0, 1, &[("tenant".into(), "user".into())]);
    storage.disk.commit(batch);
    assert!(storage.blocks("tenant", "user").is_empty());
    assert_eq!(storage.blocks("tenant", "user-2").len(), 3);
}
