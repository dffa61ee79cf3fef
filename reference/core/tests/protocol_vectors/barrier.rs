//! The seal header and its digest (GEN-26, GEN-26a), the keyring and the records behind the barrier (GEN-27, GEN-27a, GEN-28).

use bailee_core::cbor;
use bailee_core::crypto::labels;
use bailee_core::wire::{CustodianKeys, Header};
use hmac::{Hmac, KeyInit, Mac};
use minicbor::bytes::ByteVec;
use serde_json::{Value, json};
use sha2::Sha256;

use super::world::*;
use super::{Subject, hex, tree};

pub(crate) fn hmac(key: &[u8; 32], label: &str, input: &[u8]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("any length will do");
    mac.update(label.as_bytes());
    mac.update(input);
    mac.finalize().into_bytes().into()
}

/// The header with one field changed, and what the change is called.
fn changed_headers() -> Vec<(&'static str, Header)> {
    let with = |change: &dyn Fn(&mut Header)| {
        let mut header = header();
        change(&mut header);
        header
    };
    let other = sharing_of(3, 5, 0xb0);
    let keys = |header: &mut Header, change: &dyn Fn(&mut CustodianKeys)| change(&mut header.custodians[1]);
    vec![
        ("another-id", with(&|header| header.id = b(NONCE))),
        ("another-share-epoch", with(&|header| header.share_epoch += 1)),
        ("another-threshold", with(&|header| header.threshold = 2)),
        ("first-commitment-of-another-sharing", with(&|header| header.commitments[0] = b(other.commitments[0]))),
        ("last-commitment-of-another-sharing", with(&|header| header.commitments[2] = b(other.commitments[2]))),
        ("commitments-exchanged", with(&|header| header.commitments.swap(1, 2))),
        ("a-commitment-less", with(&|header| header.commitments.truncate(2))),
        ("another-signing-key", with(&|header| keys(header, &|keys| keys.sign = public(STRANGER_SEED)))),
        ("another-unwrapping-key", with(&|header| keys(header, &|keys| keys.recipient = b(NONCE)))),
        (
            "keys-of-a-custodian-exchanged",
            with(&|header| keys(header, &|keys| std::mem::swap(&mut keys.sign, &mut keys.recipient))),
        ),
        ("custodians-exchanged", with(&|header| header.custodians.swap(0, 4))),
        ("a-custodian-less", with(&|header| header.custodians.truncate(4))),
        ("a-custodian-more", with(&|header| header.custodians.push(custodian(6)))),
    ]
}

pub(crate) fn headers() -> Subject {
    let mut headers = Subject::new("headers");
    let digest = |header: &Header| json!({ "digest": hex(*header.digest()), "root": hex(&header.root[..]) });
    let bytes = |header: &Header| json!({ "header": hex(cbor::encode(header)) });
    headers.sound("digest", "GEN-26a", "header-digest", bytes(&header()), digest(&header()));
    for (name, header) in changed_headers() {
        headers.sound(&format!("digest-of-{name}"), "GEN-26a", "header-digest", bytes(&header), digest(&header));
    }
    // Only the sealed root is left out.
    let mut other_root = header();
    other_root.root[5] ^= 1;
    let of_other = json!({ "digest": hex(*header().digest()), "root": hex(&other_root.root[..]) });
    headers.sound("digest-of-another-root", "GEN-26a", "header-digest", bytes(&other_root), of_other);
    let whole = cbor::encode(&header());
    let short = |at: usize| [&whole[..at], &[0x58, 31], &whole[at + 3..]].concat();
    for (fault, bytes) in [
        ("cut-by-a-byte", whole[..whole.len() - 1].to_vec()),
        ("a-byte-behind", [&whole[..], &[0]].concat()),
        ("array-with-a-wide-head", [&[0x98, 6], &whole[1..]].concat()),
        ("a-field-too-many", [&[0x87], &whole[1..], &[0xf6]].concat()),
        ("id-of-31-bytes", short(1)),
        ("share-epoch-with-a-wide-head", [&whole[..35], &[0x18, 7], &whole[36..]].concat()),
        ("threshold-of-256", [&whole[..36], &[0x19, 1, 0], &whole[37..]].concat()),
        ("commitment-of-31-bytes", short(38)),
    ] {
        headers.fault("digest", fault, "GEN-4 GEN-5 GEN-5a GEN-26a", json!({ "header": hex(bytes) }), "Malformed");
    }
    let inputs = json!({ "header": hex(&whole), "secret": hex(*sharing().secret) });
    headers.sound("root", "GEN-26 GEN-26a GEN-20", "open-root", inputs, json!({ "root": hex(ROOT) }));
    for (fault, header) in changed_headers() {
        headers.fault("root", fault, "GEN-26 GEN-26a", bytes(&header), "NotOpened");
    }
    headers.fault("root", "root-altered", "GEN-26", bytes(&other_root), "NotOpened");
    let secret = json!({ "secret": hex(*sharing_of(3, 5, 0xb0).secret) });
    headers.fault("root", "another-secret", "GEN-26", secret, "NotOpened");
    let mut of_digest_0 = header();
    let kek = bailee_core::crypto::sharing::unseal_key(&sharing().secret, &HEADER_ID, SHARE_EPOCH);
    of_digest_0.root = sealed(*kek, labels::SEAL_ROOT, &HEADER_ID, &ROOT).into();
    headers.fault("root", "root-bound-to-the-id-alone", "GEN-26 GEN-26a", bytes(&of_digest_0), "NotOpened");
    headers
}

fn account_path(tenant: &str, user: &str) -> Vec<u8> {
    cbor::encode(&("account", tenant, user))
}

fn attempt_path(id: [u8; 32]) -> Vec<u8> {
    cbor::encode(&("attempt", b(id)))
}

fn attempts_path(tenant: &str, user: &str) -> Vec<u8> {
    cbor::encode(&("attempts", tenant, user))
}

/// The name of the record at a path (GEN-28).
pub(crate) fn name_of(path_key: &[u8; 32], path: &[u8]) -> Vec<u8> {
    [b"r/".as_slice(), &hmac(path_key, labels::STORE_KEY, path)].concat()
}

fn name(path: &[u8]) -> Vec<u8> {
    name_of(&PATH_KEY, path)
}

fn bytes(bytes: &[u8]) -> ByteVec {
    bytes.to_vec().into()
}

/// An account in a state, as its number; with its key, if it has one.
fn account(state: u8, with_key: bool) -> Vec<u8> {
    let committed = with_key.then(|| b(commitment_of(KEY, &owner())));
    let (key, message) = if with_key { (bytes(&KEY), bytes(&escrow())) } else { (bytes(&[]), bytes(&[])) };
    cbor::encode(&(state, committed, key, message))
}

fn attempt() -> Vec<u8> {
    cbor::encode(&bailee_core::roles::keystore::Attempt {
        tenant: TENANT.into(),
        user: USER.into(),
        device: public(DEVICE_SEED),
        nonce: b(NONCE),
        expiry: 600,
        generation: 2,
        open: true,
        admitted: false,
    })
}

/// The records of a store: name, and what is sealed for this path.
pub(crate) fn record(path: &[u8], sealed_for: &[u8], plain: &[u8]) -> (Vec<u8>, Vec<u8>) {
    (name(path), sealed(DATA_KEY, labels::SEAL_RECORD, sealed_for, plain))
}

/// Two records of a store: an account and an attempt.
pub(crate) fn records() -> Vec<(Vec<u8>, Vec<u8>)> {
    let (of_account, of_attempt) = (account_path(TENANT, USER), attempt_path(ATTEMPT));
    let mut records =
        vec![record(&of_account, &of_account, &account(2, true)), record(&of_attempt, &of_attempt, &attempt())];
    records.sort();
    records
}

fn stored(records: &[(Vec<u8>, Vec<u8>)]) -> Value {
    records.iter().map(|(name, record)| json!({ "name": hex(name), "record": hex(record) })).collect()
}

fn finding(path: &[u8], records: &[(Vec<u8>, Vec<u8>)]) -> Value {
    json!({ "data_key": hex(DATA_KEY), "path_key": hex(PATH_KEY), "path": tree(path), "records": stored(records) })
}

pub(crate) fn barrier() -> Subject {
    let mut barrier = Subject::new("barrier");
    keyrings(&mut barrier);
    let paths = [
        ("account", account_path(TENANT, USER)),
        ("attempt", attempt_path(ATTEMPT)),
        ("attempts", attempts_path(TENANT, USER)),
    ];
    for (kind, path) in &paths {
        let inputs = json!({ "path_key": hex(PATH_KEY), "path": tree(path) });
        let value = json!({ "name": hex(name(path)) });
        barrier.sound(&format!("name-of-{kind}"), "GEN-28 GEN-31", "record-name", inputs, value);
    }
    accounts(&mut barrier);
    moved(&mut barrier);
    let secret = json!({ "secret": hex(SALT), "tenant": TENANT, "user": "nobody" });
    let code = hmac(&SALT, labels::GUESS_PLACE, &cbor::encode(&(TENANT, "nobody")));
    let value = json!({ "code": hex(code), "place": hex(&code[..2]) });
    barrier.sound("place-of-wrong-passwords", "ENR-2c GEN-31", "guess-place", secret, value);
    barrier
}

fn keyrings(barrier: &mut Subject) {
    let digest = header().digest();
    let inputs = json!({ "root": hex(ROOT), "header_digest": hex(*digest), "sealed": hex(keyring()) });
    let intake = recipient(INTAKE_SEED).public();
    let value = json!({
        "data_key": hex(DATA_KEY), "path_key": hex(PATH_KEY), "intake_seed": hex(INTAKE_SEED), "intake": hex(intake),
    });
    barrier.sound("keyring", "GEN-27 GEN-23", "open-keyring", inputs, value);
    let of = |plain: &[u8]| json!({ "sealed": hex(sealed(ROOT, labels::SEAL_KEYRING, &digest[..], plain)) });
    let plain = keyring_plain();
    let as_root = sealed(ROOT, labels::SEAL_ROOT, &digest[..], &plain);
    for (fault, changed) in [
        ("another-root", json!({ "root": hex(KEY) })),
        ("another-header", json!({ "header_digest": hex(NONCE) })),
        ("sealed-under-another-label", json!({ "sealed": hex(as_root) })),
        ("of-95-bytes", of(&plain[..95])),
        ("of-97-bytes", of(&[&plain[..], &[0]].concat())),
        ("empty", of(&[])),
        ("not-sealed", json!({ "sealed": hex(&plain) })),
    ] {
        barrier.fault("keyring", fault, "GEN-27", changed, "NotOpened");
    }
}

/// Accounts in their six states, of which *none* is no record.
fn accounts(barrier: &mut Subject) {
    let path = account_path(TENANT, USER);
    let states = [("empty", 1, false), ("active", 2, true), ("lost", 3, false), ("lost-with-a-key", 3, true)];
    for (state, code, with_key) in states.into_iter().chain([("dormant", 4, true), ("purged", 5, false)]) {
        let plain = account(code, with_key);
        let value = json!({ "record": tree(&plain) });
        let inputs = finding(&path, &[record(&path, &path, &plain)]);
        barrier.sound(&format!("account-{state}"), "GEN-27 GEN-27a GEN-28", "find-record", inputs, value);
    }
    let with = |plain: &[u8]| json!({ "records": stored(&[record(&path, &path, plain)]) });
    let plain = account(2, true);
    let mut wide = plain.clone();
    wide.splice(1..2, [0x18, 2]);
    for (fault, changed) in [
        ("state-6", with(&account(6, false))),
        ("state-as-text", with(&[&plain[..1], &[0x61, b'2'], &plain[2..]].concat())),
        ("number-with-a-wide-head", with(&wide)),
        ("a-byte-behind", with(&[&plain[..], &[0]].concat())),
        ("a-field-less", with(&cbor::encode(&(2u8, b(KEY), bytes(&KEY))))),
        ("empty-record", with(&[])),
        ("an-attempt-in-its-place", with(&attempt())),
    ] {
        barrier.fault("account-active", fault, "GEN-27a GEN-5", changed, "StoreDamaged");
    }
    barrier.fault("account-active", "no-record", "GEN-28", json!({ "records": [] }), "Absent");
    barrier.fault("account-active", "another-path-key", "GEN-28", json!({ "path_key": hex(KEY) }), "Absent");
    let key = json!({ "data_key": hex(KEY) });
    barrier.fault("account-active", "another-data-key", "GEN-27 GEN-27a", key, "StoreDamaged");
}

/// A record in the place of another one: its bytes open where they were sealed for, and nowhere else.
fn moved(barrier: &mut Subject) {
    let kinds: [(&str, Vec<u8>, Vec<u8>); 3] = [
        ("account", account_path(TENANT, USER), account(2, true)),
        ("attempt", attempt_path(ATTEMPT), attempt()),
        ("attempts", attempts_path(TENANT, USER), cbor::encode(&vec![b(ATTEMPT)])),
    ];
    for (kind, path, plain) in &kinds {
        let of = format!("record-{kind}");
        let inputs = finding(path, &[record(path, path, plain)]);
        barrier.sound(&of, "GEN-27 GEN-28", "find-record", inputs, json!({ "record": tree(plain) }));
        let (_, sealed_here) = record(path, path, plain);
        let mut altered = sealed_here.clone();
        *altered.last_mut().expect("a tag") ^= 1;
        let with = |record: (Vec<u8>, Vec<u8>)| json!({ "records": stored(&[record]) });
        let of_other = match *kind {
            "attempt" => attempt_path(NONCE),
            "account" => account_path(TENANT, "bob"),
            _ => attempts_path(TENANT, "bob"),
        };
        let of_other_kind = if *kind == "account" { attempts_path(TENANT, USER) } else { account_path(TENANT, USER) };
        for (fault, changed) in [
            ("moved-from-another-owner", with(record(path, &of_other, plain))),
            ("moved-from-another-kind", with(record(path, &of_other_kind, plain))),
            ("bound-to-no-path", with(record(path, &[], plain))),
            ("bound-to-its-name", with(record(path, &name(path), plain))),
            ("altered", with((name(path), altered))),
            ("cut-by-a-byte", with((name(path), sealed_here[..sealed_here.len() - 1].to_vec()))),
            ("empty", with((name(path), Vec::new()))),
            ("in-the-clear", with((name(path), plain.clone()))),
        ] {
            barrier.fault(&of, fault, "GEN-27 GEN-27a", changed, "StoreDamaged");
        }
        let clear_name = [b"r/".as_slice(), path].concat();
        let unlabelled = [b"r/".as_slice(), &hmac(&PATH_KEY, "", path)].concat();
        for (fault, name) in [("under-its-path-in-the-clear", clear_name), ("name-without-label", unlabelled)] {
            barrier.fault(&of, fault, "GEN-28", with((name, sealed_here.clone())), "Absent");
        }
    }
    let (here, there) = (account_path("ab", "c"), account_path("a", "bc"));
    let inputs = finding(&here, &[record(&here, &here, &account(1, false))]);
    let value = json!({ "record": tree(&account(1, false)) });
    barrier.sound("record-joint", "GEN-27 GEN-28 GEN-12", "find-record", inputs, value);
    let moved = json!({ "records": stored(&[record(&here, &there, &account(1, false))]) });
    barrier.fault("record-joint", "joint-moved", "GEN-12 GEN-27", moved, "StoreDamaged");
    let elsewhere = json!({ "records": stored(&[record(&there, &there, &account(1, false))]) });
    barrier.fault("record-joint", "under-the-name-of-the-moved-joint", "GEN-12 GEN-28", elsewhere, "Absent");
}
