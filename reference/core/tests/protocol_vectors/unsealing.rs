//! Shares with their custodians (CER-4d, KEY-5a, KEY-3d), and on their way into a ceremony (CER-5a, CER-5b, CER-6a).

use bailee_core::cbor;
use bailee_core::crypto::labels;
use bailee_core::wire::{Header, Roster, ShareBody};
use serde_json::{Value, json};

use super::world::*;
use super::{Subject, hex, tree};

pub(crate) fn custodians() -> Subject {
    let mut custodians = Subject::new("custodians");
    wrapped_shares(&mut custodians);
    rosters(&mut custodians);
    roots(&mut custodians);
    custodians
}

fn wrapped_shares(custodians: &mut Subject) {
    let bytes = |header: &Header| hex(cbor::encode(header));
    for index in [1, 2, 5] {
        let inputs = json!({
            "recipient_seed": hex(custodian_seeds(index).1), "index": index, "header": bytes(&header()),
            "wrapped": hex(wrapped(index)),
        });
        let value = json!({ "value": hex(*sharing().shares[usize::from(index) - 1]) });
        custodians.sound(&format!("wrapped-share-{index}"), "CER-4d GEN-25 GEN-31", "unwrap-share", inputs, value);
    }
    let header = header();
    let digest = header.digest();
    let wrap = |context: &[u8], value: &[u8]| json!({ "wrapped": hex(hpke(*custodian(2).recipient, labels::HPKE_WRAP, context, value)) });
    let (shares, other) = (sharing().shares, sharing_of(3, 5, 0xb0));
    let own = [&digest[..], &[2]].concat();
    let with = |change: &dyn Fn(&mut Header)| {
        let mut header = header.clone();
        change(&mut header);
        json!({ "header": bytes(&header) })
    };
    let mut altered = wrapped(2);
    altered[50] ^= 1;
    // Everything agrees but the threshold: the share is one of a sharing of another degree.
    let mut lower = header.clone();
    lower.threshold = 2;
    let of_lower = [&lower.digest()[..], &[2]].concat();
    let mut agreed = wrap(&of_lower, &*shares[1]);
    agreed["header"] = json!(bytes(&lower));
    for (fault, changed) in [
        ("another-custodian", json!({ "recipient_seed": hex(custodian_seeds(3).1) })),
        ("another-index", json!({ "index": 3 })),
        ("index-0", json!({ "index": 0 })),
        ("index-6", json!({ "index": 6 })),
        ("wrapped-for-another-index", wrap(&[&digest[..], &[3]].concat(), &*shares[1])),
        ("wrapped-for-another-header", wrap(&[&NONCE[..], &[2]].concat(), &*shares[1])),
        ("wrapped-for-the-id-of-the-header", wrap(&[&HEADER_ID[..], &[2]].concat(), &*shares[1])),
        ("share-of-another-custodian", wrap(&own, &*shares[2])),
        ("share-of-another-sharing", wrap(&own, &*other.shares[1])),
        ("share-of-31-bytes", wrap(&own, &shares[1][..31])),
        ("share-of-33-bytes", wrap(&own, &[&shares[1][..], &[0]].concat())),
        ("altered", json!({ "wrapped": hex(altered) })),
        ("empty", json!({ "wrapped": "" })),
        ("header-with-another-id", with(&|header| header.id = b(NONCE))),
        ("header-with-other-commitments", with(&|header| header.commitments[1] = b(other.commitments[1]))),
        ("header-of-another-share-epoch", with(&|header| header.share_epoch += 1)),
        ("header-with-a-lower-threshold", agreed),
    ] {
        custodians.fault("wrapped-share-2", fault, "CER-4d GEN-25 GEN-26a GEN-31", changed, "OwnShareDamaged");
    }
}

fn rosters(custodians: &mut Subject) {
    let rekey = |roster: Option<Roster>| {
        cbor::encode(&bailee_core::wire::CeremonyBody { rekey: true, roster, ..ceremony_body() })
    };
    let said = |roster| json!({ "ceremony": tree(&rekey(roster)) });
    let inputs = json!({ "ceremony": hex(rekey(Some(roster()))), "agreed": hex(*roster().digest()) });
    custodians.sound("roster", "KEY-5a KEY-5", "agree-to-roster", inputs, said(Some(roster())));
    let inputs = json!({ "ceremony": hex(rekey(None)), "agreed": null });
    custodians.sound("no-roster", "KEY-5a", "agree-to-roster", inputs, said(None));
    let with = |change: &dyn Fn(&mut Roster)| {
        let mut roster = roster();
        change(&mut roster);
        json!({ "ceremony": hex(rekey(Some(roster))) })
    };
    for (fault, changed) in [
        ("another-threshold", with(&|roster| roster.threshold = 3)),
        ("another-custodian", with(&|roster| roster.custodians[2] = custodian(9))),
        ("custodians-exchanged", with(&|roster| roster.custodians.swap(0, 1))),
        ("a-custodian-less", with(&|roster| roster.custodians.truncate(2))),
        ("no-roster", json!({ "ceremony": hex(rekey(None)) })),
        ("nothing-agreed", json!({ "agreed": null })),
    ] {
        custodians.fault("roster", fault, "KEY-5a", changed, "OutOfTurn");
    }
}

fn roots(custodians: &mut Subject) {
    let digest = header().digest();
    let to = recipient(CHANNEL_SEED).public();
    let sealed = |context: &[u8], root: &[u8]| json!({ "sealed": hex(hpke(to, labels::HPKE_ROOT, context, root)) });
    let own = [&digest[..], &[1]].concat();
    let mut inputs = sealed(&own, &ROOT);
    for (field, value) in [
        ("channel_seed", json!(hex(CHANNEL_SEED))),
        ("node", json!(1)),
        ("header", json!(hex(cbor::encode(&header())))),
        ("keyring", json!(hex(keyring()))),
        ("header_digest", json!(hex(*digest))),
    ] {
        inputs[field] = value;
    }
    custodians.sound("new-root", "KEY-3d GEN-31", "take-root", inputs, json!({ "root": hex(ROOT) }));
    for (fault, refusal, changed) in [
        ("another-header", "WrongEpoch", json!({ "header_digest": hex(NONCE) })),
        ("id-of-the-header", "WrongEpoch", json!({ "header_digest": hex(HEADER_ID) })),
        ("another-channel-key", "BadSignature", json!({ "channel_seed": hex(RECIPIENT_SEED) })),
        ("another-node", "BadSignature", json!({ "node": 2 })),
        ("sealed-for-another-node", "BadSignature", sealed(&[&digest[..], &[0]].concat(), &ROOT)),
        ("sealed-for-another-header", "BadSignature", sealed(&[&NONCE[..], &[1]].concat(), &ROOT)),
        ("empty", "BadSignature", json!({ "sealed": "" })),
        ("another-root", "Malformed", sealed(&own, &KEY)),
        ("root-of-31-bytes", "Malformed", sealed(&own, &ROOT[..31])),
        ("empty-keyring", "Malformed", json!({ "keyring": "" })),
    ] {
        custodians.fault("new-root", fault, "KEY-3d", changed, refusal);
    }
}

/// A share as it is submitted: body and signature.
pub(crate) fn submission(body: &[u8], by: u8) -> Value {
    let signature = signed(custodian_seeds(by).0, labels::SIGN_SHARE, body);
    json!({ "share": hex(body), "signature": hex(&signature[..]) })
}

/// The right share of a custodian, submitted.
pub(crate) fn right(index: u8) -> Value {
    submission(&share(index), index)
}

/// A sealed node 0 with a ceremony of given secrets, and the shares that come.
pub(crate) fn node(submissions: &[Value]) -> Value {
    json!({
        "header": hex(cbor::encode(&header())), "keyring": hex(keyring()), "ceremony_seed": hex(CEREMONY_SEED),
        "ceremony_id": hex(CEREMONY), "generation": 2, "staged": null, "submissions": submissions,
    })
}

pub(crate) fn opened() -> Value {
    json!({ "root": hex(ROOT), "intake": hex(*intake()), "generation": 2 })
}

pub(crate) fn unsealing() -> Subject {
    let mut unsealing = Subject::new("unsealing");
    for index in [1, 5] {
        let name = format!("share-{index}");
        let value = json!({ "counted": index });
        unsealing.sound(&name, "CER-5a GEN-25 GEN-7", "submit-shares", node(&[right(index)]), value);
    }
    forged(&mut unsealing);
    wrong(&mut unsealing);
    repeated(&mut unsealing);
    complete(&mut unsealing);
    unsealing
}

/// What is refused before the share is opened, in the order of the checks (GEN-7).
fn forged(unsealing: &mut Subject) {
    let body = share(1);
    let with = |change: &dyn Fn(&mut ShareBody)| {
        let mut body = share_body(1, &*sharing().shares[0]);
        change(&mut body);
        submission(&cbor::encode(&body), 1)
    };
    let sixth = *sharing_at(6);
    let mut unsigned = right(1);
    unsigned["signature"] = json!(hex([0; 64]));
    let mut of_other_ceremony = with(&|body| body.ceremony = b(NONCE));
    let other_ceremony = of_other_ceremony.clone();
    of_other_ceremony["signature"] = json!(hex([0; 64]));
    let mut of_other_header = with(&|body| body.header = b(NONCE));
    let other_header = of_other_header.clone();
    of_other_header["signature"] = json!(hex([0; 64]));
    for (fault, refusal, submitted) in [
        ("cut-by-a-byte", "Malformed", submission(&body[..body.len() - 1], 1)),
        ("a-byte-behind", "Malformed", submission(&[&body[..], &[0]].concat(), 1)),
        ("another-ceremony", "CeremonyExpired", other_ceremony),
        ("another-ceremony-and-not-signed", "CeremonyExpired", of_other_ceremony),
        ("index-0", "BadSignature", with(&|body| body.index = 0)),
        ("index-6", "BadSignature", submission(&cbor::encode(&share_body(6, &sixth)), 1)),
        ("not-signed", "BadSignature", unsigned),
        ("signed-by-another-custodian", "BadSignature", submission(&body, 2)),
        ("another-header-and-not-signed", "BadSignature", of_other_header),
        ("another-header", "WrongEpoch", other_header),
        ("another-share-epoch", "WrongEpoch", with(&|body| body.share_epoch += 1)),
        ("header-named-by-its-id", "WrongEpoch", with(&|body| body.header = b(HEADER_ID))),
    ] {
        let rules = if fault.contains("-and-") { "CER-5a GEN-7" } else { "CER-5a" };
        let changed = json!({ "submissions": [submitted] });
        unsealing.fault("share-1", fault, rules, changed, refusal);
    }
}

/// The value of the polynomial at this index: it verifies, and nobody holds it.
fn sharing_at(index: u8) -> bailee_core::crypto::sharing::ShareValue {
    let mut values = sharing_of(3, 6, 0xa0).shares;
    values.remove(usize::from(index) - 1)
}

/// Shares that do not open, or are not right.
fn wrong(unsealing: &mut Subject) {
    let (made, other) = (sharing(), sharing_of(3, 5, 0xb0));
    let of = |index: u8, value: &[u8]| submission(&cbor::encode(&share_body(index, value)), index);
    let resealed = |to: [u8; 32], context: &[u8]| {
        let mut body = share_body(1, &*made.shares[0]);
        body.sealed = hpke(to, labels::HPKE_SHARE, context, &*made.shares[0]).into();
        submission(&cbor::encode(&body), 1)
    };
    let own = recipient(CEREMONY_SEED).public();
    let context = [&CEREMONY[..], &[1]].concat();
    for (fault, submitted) in [
        ("share-of-another-custodian", of(1, &*made.shares[1])),
        ("share-of-another-sharing", of(1, &*other.shares[0])),
        ("share-of-31-bytes", of(1, &made.shares[0][..31])),
        ("share-of-zeroes", of(1, &[0; 32])),
        ("sealed-to-another", resealed(recipient(CHANNEL_SEED).public(), &context)),
        ("sealed-for-another-ceremony", resealed(own, &[&NONCE[..], &[1]].concat())),
        ("sealed-for-another-index", resealed(own, &[&CEREMONY[..], &[2]].concat())),
        ("sealed-in-no-context", resealed(own, &[])),
    ] {
        let changed = json!({ "submissions": [submitted] });
        unsealing.fault("share-1", fault, "CER-5a GEN-25 GEN-31", changed, "WrongShare");
    }
}

fn repeated(unsealing: &mut Subject) {
    unsealing.sound(
        "two-shares",
        "CER-5a CER-5b",
        "submit-shares",
        node(&[right(1), right(2)]),
        json!({ "counted": 2 }),
    );
    let twice = json!({ "submissions": [right(1), right(1)] });
    unsealing.fault("two-shares", "same-share-twice", "CER-5a", twice, "DuplicateShare");
    let not_counted = submission(&cbor::encode(&share_body(2, &[0; 32])), 2);
    let changed = json!({ "submissions": [right(1), not_counted] });
    unsealing.fault("two-shares", "second-share-wrong", "CER-5a CER-5b", changed, "WrongShare");
    // The share that is counted stays counted, whatever comes after it under its index.
    let then_wrong = submission(&cbor::encode(&share_body(1, &[0; 32])), 1);
    let wrong = json!({ "submissions": [right(1), then_wrong] });
    unsealing.fault("two-shares", "wrong-share-after-the-right-one", "CER-5a GEN-7", wrong, "DuplicateShare");
}

/// At the threshold (CER-6a).
fn complete(unsealing: &mut Subject) {
    let three = [right(5), right(1), right(3)];
    unsealing.sound("unsealed", "CER-5a CER-6a GEN-26 GEN-27", "submit-shares", node(&three), opened());
    let bad = submission(&cbor::encode(&share_body(2, &[0; 32])), 2);
    let among = [right(1), bad, right(2), right(1), right(4)];
    unsealing.sound("unsealed-despite-refused-shares", "CER-5b CER-6a", "submit-shares", node(&among), opened());
    let mut other_root = header();
    other_root.root[40] ^= 1;
    let of_other = bailee_core::crypto::sharing::unseal_key(&sharing_of(3, 5, 0xb0).secret, &HEADER_ID, SHARE_EPOCH);
    let mut foreign = header();
    foreign.root = sealed(*of_other, labels::SEAL_ROOT, &foreign.digest()[..], &ROOT).into();
    let mut flipped = keyring();
    flipped[100] ^= 1;
    let of_former = sealed(ROOT, labels::SEAL_KEYRING, &NONCE, &keyring_plain());
    let short = sealed(ROOT, labels::SEAL_KEYRING, &header().digest()[..], &keyring_plain()[..95]);
    let bytes = |header: &Header| json!({ "header": hex(cbor::encode(header)) });
    for (fault, changed) in [
        ("root-altered", bytes(&other_root)),
        ("root-of-another-sharing", bytes(&foreign)),
        ("keyring-altered", json!({ "keyring": hex(flipped) })),
        ("keyring-of-another-header", json!({ "keyring": hex(of_former) })),
        ("keyring-of-95-bytes", json!({ "keyring": hex(short) })),
    ] {
        unsealing.fault("unsealed", fault, "CER-6a GEN-26 GEN-27", changed, "Malformed");
    }
}
