//! An archive key on its way into the keystore (6.12), and on its way to a device or a job (7.7).

use bailee_core::crypto::labels;
use serde_json::{Value, json};

use super::world::*;
use super::{Subject, hex, tree};

/// A key sealed to the device for a release.
pub(crate) fn delivery(plain: &[u8], grant: &[u8; 32], commitment: [u8; 32]) -> Vec<u8> {
    let to = recipient(RECIPIENT_SEED).public();
    hpke(to, labels::HPKE_RELEASE, &[&grant[..], &commitment].concat(), plain)
}

pub(crate) fn escrows() -> Subject {
    let mut escrows = Subject::new("escrows");
    incoming(&mut escrows);
    outgoing(&mut escrows);
    confirmed(&mut escrows);
    escrows
}

fn signed_escrow(body: &[u8]) -> Value {
    json!({ "escrow": hex(body), "signature": hex(&signed(DEVICE_SEED, labels::SIGN_ESCROW, body)[..]) })
}

fn incoming(escrows: &mut Subject) {
    let committed = commitment_of(KEY, &owner());
    let mut inputs = signed_escrow(&escrow());
    for (field, value) in [
        ("intake_seed", hex(INTAKE_SEED)),
        ("tenant", TENANT.into()),
        ("user", USER.into()),
        ("device", hex(*public(DEVICE_SEED))),
    ] {
        inputs[field] = json!(value);
    }
    let value = json!({ "attempt": hex(ATTEMPT), "commitment": hex(committed), "key": hex(KEY) });
    escrows.sound("escrow", "ENR-13a ENR-13b GEN-22 GEN-23", "open-escrow", inputs, value);
    let bob = commitment_of(KEY, &owner_of(TENANT, "bob", 0));
    let other = commitment_of(ROOT, &owner());
    let later = commitment_of(KEY, &owner_of(TENANT, USER, 1));
    let mismatch = "CommitmentMismatch";
    let mut no = |fault: &str, changed: Value, refusal: &str| {
        escrows.fault("escrow", fault, "ENR-13b GEN-22", changed, refusal);
    };
    let of = |plain: &[u8], stated: [u8; 32], context| signed_escrow(&escrow_of(plain, stated, context));
    no("another-key", of(&ROOT, committed, (TENANT, USER, committed)), mismatch);
    no("commitment-of-another-key", of(&KEY, other, (TENANT, USER, other)), mismatch);
    no("commitment-of-another-user", of(&KEY, bob, (TENANT, USER, bob)), mismatch);
    no("commitment-of-another-epoch", of(&KEY, later, (TENANT, USER, later)), mismatch);
    no("sealed-for-another-user", of(&KEY, committed, (TENANT, "bob", committed)), mismatch);
    no("sealed-for-another-commitment", of(&KEY, committed, (TENANT, USER, other)), mismatch);
    no("sealed-key-of-31-bytes", of(&KEY[..31], committed, (TENANT, USER, committed)), mismatch);
    no("sealed-key-of-33-bytes", of(&[0x4b; 33], committed, (TENANT, USER, committed)), mismatch);
    no("another-intake-key", json!({ "intake_seed": hex(CHANNEL_SEED) }), mismatch);
    no("said-of-another-user", json!({ "user": "bob" }), mismatch);
    no("said-of-another-tenant", json!({ "tenant": "acmf" }), mismatch);
    no("another-device", json!({ "device": hex(*public(STRANGER_SEED)) }), "Unauthenticated");
    let by_stranger = hex(&signed(STRANGER_SEED, labels::SIGN_ESCROW, &escrow())[..]);
    no("signed-by-another", json!({ "signature": by_stranger }), "Unauthenticated");
    let wrong = escrow_of(&ROOT, committed, (TENANT, USER, committed));
    let unsigned = json!({ "escrow": hex(wrong), "signature": hex([0; 64]) });
    escrows.fault("escrow", "not-signed-and-another-key", "ENR-13b GEN-7", unsigned, "Unauthenticated");
    let cut = json!({ "escrow": hex(&escrow()[..40]), "signature": hex([0; 64]) });
    escrows.fault("escrow", "cut-and-not-signed", "ENR-13a GEN-7", cut, "Malformed");
    let behind = [&escrow()[..], &[0]].concat();
    escrows.fault("escrow", "a-byte-behind", "ENR-13a GEN-5", signed_escrow(&behind), "Malformed");
}

fn signed_receipt(body: &[u8]) -> Value {
    json!({ "receipt": hex(body), "signature": hex(&signed(KEYSTORE_SEED, labels::SIGN_RECEIPT, body)[..]) })
}

fn outgoing(escrows: &mut Subject) {
    let committed = commitment_of(KEY, &owner());
    let mut inputs = signed_receipt(&receipt());
    for (field, value) in [
        ("recipient_seed", hex(RECIPIENT_SEED)),
        ("tenant", TENANT.into()),
        ("user", USER.into()),
        ("keystore", hex(*public(KEYSTORE_SEED))),
        ("grant", hex(GRANT)),
        ("sealed", hex(delivery(&KEY, &GRANT, committed))),
    ] {
        inputs[field] = json!(value);
    }
    escrows.sound("delivery", "REP-7a GEN-22 GEN-23", "open-delivery", inputs, json!({ "key": hex(KEY) }));
    let sealed = |plain: &[u8], committed| json!({ "sealed": hex(delivery(plain, &GRANT, committed)) });
    // Receipt and sealed form agree with each other, and not with what else the device knows.
    let both = |key: [u8; 32], tenant: &str, user: &str, committed: [u8; 32]| {
        let mut changed = signed_receipt(&receipt_of(tenant, user, committed));
        changed["sealed"] = json!(hex(delivery(&key, &GRANT, committed)));
        changed
    };
    let other = commitment_of(ROOT, &owner());
    let bob = owner_of(TENANT, "bob", 0);
    for (fault, changed) in [
        ("another-key", sealed(&ROOT, committed)),
        ("sealed-for-another-commitment", sealed(&KEY, other)),
        ("sealed-for-another-grant", json!({ "sealed": hex(delivery(&KEY, &NONCE, committed)) })),
        ("another-grant", json!({ "grant": hex(NONCE) })),
        ("another-recipient", json!({ "recipient_seed": hex(CHANNEL_SEED) })),
        ("key-of-31-bytes", sealed(&KEY[..31], committed)),
        ("another-commitment", both(KEY, TENANT, USER, other)),
        ("receipt-of-another-user", both(KEY, TENANT, "bob", commitment_of(KEY, &bob))),
        ("receipt-of-another-user-with-own-commitment", both(KEY, TENANT, "bob", committed)),
        ("receipt-of-a-namesake", both(KEY, "acmf", USER, commitment_of(KEY, &owner_of("acmf", USER, 0)))),
        ("receipt-of-a-namesake-with-own-commitment", both(KEY, "acmf", USER, committed)),
        ("another-keystore", json!({ "keystore": hex(*public(STRANGER_SEED)) })),
        ("receipt-not-signed", json!({ "signature": hex([0; 64]) })),
        ("receipt-cut-by-a-byte", signed_receipt(&receipt()[..receipt().len() - 1])),
        ("a-byte-behind-the-receipt", signed_receipt(&[&receipt()[..], &[0]].concat())),
    ] {
        escrows.fault("delivery", fault, "REP-7a", changed, "Malformed");
    }
}

/// ENR-15a: the receipt that lets a device keep its key.
fn confirmed(escrows: &mut Subject) {
    let mut inputs = signed_receipt(&receipt());
    for (field, value) in [
        ("key", hex(KEY)),
        ("tenant", TENANT.into()),
        ("user", USER.into()),
        ("keystore", hex(*public(KEYSTORE_SEED))),
    ] {
        inputs[field] = json!(value);
    }
    let value = json!({ "receipt": tree(&receipt()) });
    escrows.sound("receipt", "ENR-15a GEN-22", "check-receipt", inputs, value);
    let committed = commitment_of(KEY, &owner());
    let of = |tenant, user, committed| signed_receipt(&receipt_of(tenant, user, committed));
    for (fault, changed) in [
        ("another-key", json!({ "key": hex(ROOT) })),
        ("another-commitment", of(TENANT, USER, commitment_of(ROOT, &owner()))),
        ("another-user", of(TENANT, "bob", committed)),
        ("a-namesake", of("acmf", USER, committed)),
        ("another-user-with-the-same-key", of(TENANT, "bob", commitment_of(KEY, &owner_of(TENANT, "bob", 0)))),
        ("another-keystore", json!({ "keystore": hex(*public(STRANGER_SEED)) })),
        ("not-signed", json!({ "signature": hex([0; 64]) })),
        ("cut-by-a-byte", signed_receipt(&receipt()[..receipt().len() - 1])),
        ("a-byte-behind", signed_receipt(&[&receipt()[..], &[0]].concat())),
    ] {
        escrows.fault("receipt", fault, "ENR-15a", changed, "Malformed");
    }
}
