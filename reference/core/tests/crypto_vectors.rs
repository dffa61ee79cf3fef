//! Vectors: what the constructions give for fixed inputs. A change here is a change of the format, and makes what was
//! written before unreadable: it needs a new version, not a new snapshot.

use std::fmt::Write as _;

use bailee_core::crypto::keys::{ArchiveKey, Owner, Secret, commitment, subkey};
use bailee_core::crypto::{hpke, labels, password, seal, sharing, sign};
use bailee_core::roles::keystore::Keyring;
use bailee_core::wire::{B32, Header};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

/// Lines of name and hexadecimal digits.
#[derive(Default)]
struct Vectors(String);

impl Vectors {
    fn add(&mut self, name: &str, bytes: &[u8]) {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(self.0, "{name} = {digits}").expect("to memory");
    }
}

/// Every vector's generator starts from its own seed, so that one does not depend on another.
fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn archive_key() -> ArchiveKey {
    ArchiveKey::take(&mut std::array::from_fn(|place| place as u8))
}

fn owner(tenant: &str, user: &str, epoch: u64) -> Owner {
    Owner { tenant: tenant.to_owned(), user: user.to_owned(), epoch }
}

#[test]
fn seal_once() {
    let mut vectors = Vectors::default();
    vectors.add("empty", &seal::seal_once(&[1; 32], labels::SEAL_RECORD, b"", b"", &mut rng(1)));
    vectors.add("header", &seal::seal_once(&[1; 32], labels::SEAL_RECORD, b"header", b"message", &mut rng(1)));
    vectors.add("block", &seal::seal_once(&[1; 32], labels::SEAL_BLOCK, b"header", b"message", &mut rng(1)));
    vectors.add("two-levels-one", &seal::seal_once(&[2; 32], labels::SEAL_BLOCK, b"h", b"level 3", &mut rng(2)));
    vectors.add("two-levels-two", &seal::seal_once(&[2; 32], labels::SEAL_BLOCK, b"h", b"level 9", &mut rng(3)));
    insta::assert_snapshot!(vectors.0);
}

/// GEN-21, GEN-22.
#[test]
fn key_tree() {
    let mut vectors = Vectors::default();
    let key = archive_key();
    for label in labels::ALL.iter().filter(|label| label.contains("/key/")) {
        vectors.add(label, &*subkey(&key, label, &owner("acme", "ada", 0)));
    }
    vectors.add("commitment", &commitment(&key, &owner("acme", "ada", 0)));
    vectors.add("commitment, next epoch", &commitment(&key, &owner("acme", "ada", 1)));
    vectors.add("commitment, other user", &commitment(&key, &owner("acme", "bob", 0)));
    insta::assert_snapshot!(vectors.0);
}

/// GEN-12, GEN-22: names that join to the same text are still two owners.
#[test]
fn the_joint_between_tenant_and_user_does_not_move() {
    let key = archive_key();
    assert_ne!(commitment(&key, &owner("ab", "c", 0)), commitment(&key, &owner("a", "bc", 0)));
    assert_ne!(commitment(&key, &owner("", "ab", 0)), commitment(&key, &owner("ab", "", 0)));
}

/// GEN-26.
#[test]
fn unsealing() {
    let mut vectors = Vectors::default();
    let sharing = sharing::split(3, 5, &mut rng(1)).expect("good parameters");
    vectors.add("scalar", &*sharing.secret);
    for (share, index) in sharing.shares.iter().zip(1..) {
        vectors.add(&format!("share {index}"), &**share);
    }
    for (commitment, place) in sharing.commitments.iter().zip(0..) {
        vectors.add(&format!("commitment {place}"), commitment);
    }
    vectors.add("key", &*sharing::unseal_key(&sharing.secret, &[7; 32], 1));
    insta::assert_snapshot!(vectors.0);
}

/// GEN-27: the keyring is bound to the id and the share epoch of the seal header.
#[test]
fn keyring() {
    let mut vectors = Vectors::default();
    let keyring = Keyring::generate(&mut rng(1));
    for (name, id, share_epoch) in [("first", [7; 32], 1), ("next share epoch", [8; 32], 2)] {
        let (id, root) = (B32::from(id), Vec::new().into());
        let header = Header { id, share_epoch, threshold: 3, commitments: Vec::new(), custodians: Vec::new(), root };
        vectors.add(name, &keyring.seal(&Secret::take(&mut [1; 32]), &header, &mut rng(2)));
    }
    insta::assert_snapshot!(vectors.0);
}

#[test]
fn signatures() {
    let mut vectors = Vectors::default();
    let key = sign::Signing::from_seed(&[1; 32]);
    vectors.add("public", &key.public());
    for label in labels::ALL.iter().filter(|label| label.contains("/sign/")) {
        vectors.add(label, &key.sign(label, b"body"));
    }
    insta::assert_snapshot!(vectors.0);
}

#[test]
fn hpke() {
    let mut vectors = Vectors::default();
    let recipient = hpke::Recipient::from_seed(&[1; 32]);
    vectors.add("public", &recipient.public());
    for label in labels::ALL.iter().filter(|label| label.contains("/hpke/")) {
        let sealed = hpke::seal_to(&recipient.public(), label, b"context", &[2; 32], &mut rng(1));
        vectors.add(label, &sealed.expect("a good key"));
    }
    insta::assert_snapshot!(vectors.0);
}

/// GEN-29.
#[test]
fn passwords() {
    let mut vectors = Vectors::default();
    vectors.add("test cost", &password::record(password::Cost::TEST, [1; 16], b"correct horse"));
    insta::assert_snapshot!(vectors.0);
}
