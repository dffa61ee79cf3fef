//! HPKE with the ephemeral key given, in every context (GEN-23, GEN-31).

use bailee_core::cbor;
use bailee_core::crypto::{hpke as crypto, labels};
use hpke::{Kem, Serializable, kem::X25519HkdfSha256};
use serde_json::{Value, json};

use super::world::*;
use super::{Given, Subject, hex};

/// The contexts: name, label, the parts, and what they make.
fn contexts() -> Vec<(&'static str, &'static str, Value, Vec<u8>)> {
    let committed = commitment_of(KEY, &owner());
    let digest = header().digest();
    let index = |id: &[u8], last: u8| [id, &[last]].concat();
    vec![
        (
            "intake",
            labels::HPKE_INTAKE,
            json!([TENANT, USER, hex(committed)]),
            cbor::encode(&(TENANT, USER, b(committed))),
        ),
        ("release", labels::HPKE_RELEASE, json!([hex(GRANT), hex(committed)]), [GRANT, committed].concat()),
        ("share", labels::HPKE_SHARE, json!([hex(CEREMONY), 2]), index(&CEREMONY, 2)),
        ("wrap", labels::HPKE_WRAP, json!([hex(*digest), 2]), index(&digest[..], 2)),
        ("root", labels::HPKE_ROOT, json!([hex(*digest), 1]), index(&digest[..], 1)),
    ]
}

/// The private half of a seed, 32 bytes.
fn private(seed: &[u8; 32]) -> Vec<u8> {
    X25519HkdfSha256::derive_keypair(seed).0.to_bytes().to_vec()
}

/// Points of X25519 from which every private key makes the all-zero secret.
fn useless_points() -> Vec<(&'static str, [u8; 32])> {
    let with = |low: u8, rest: u8, high: u8| {
        let mut bytes = [rest; 32];
        (bytes[0], bytes[31]) = (low, high);
        bytes
    };
    // y of order 8 on the curve, as numbers of the u coordinate (RFC 7748, section 6.1).
    let eighth = super::unhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800");
    let other = super::unhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157");
    vec![
        ("point-0", [0; 32]),
        ("point-1", with(1, 0, 0)),
        ("point-of-order-8", eighth.try_into().expect("32 bytes")),
        ("other-point-of-order-8", other.try_into().expect("32 bytes")),
        ("point-minus-1", with(0xec, 0xff, 0x7f)),
        ("point-0-above-the-field", with(0xed, 0xff, 0x7f)),
        ("point-1-above-the-field", with(0xee, 0xff, 0x7f)),
    ]
}

pub(crate) fn hpke() -> Subject {
    let mut subject = Subject::new("hpke");
    for (name, seed) in [("recipient", RECIPIENT_SEED), ("recipient-of-zeroes", [0; 32])] {
        let own = recipient(seed);
        let value = json!({ "private": hex(private(&seed)), "public": hex(own.public()) });
        subject.sound(name, "GEN-23", "derive-recipient", json!({ "seed": hex(seed) }), value);
    }
    for (name, label, parts, context) in contexts() {
        in_context(&mut subject, name, label, parts, &context);
    }
    exchanged(&mut subject);
    useless(&mut subject);
    subject
}

fn in_context(subject: &mut Subject, name: &str, label: &str, parts: Value, context: &[u8]) {
    let own = recipient(RECIPIENT_SEED);
    let sealed = super::world::hpke(own.public(), label, context, &KEY);
    let inputs = json!({ "label": label, "parts": parts });
    subject.sound(&format!("context-{name}"), "GEN-31", "hpke-context", inputs, json!({ "context": hex(context) }));
    let inputs = json!({
        "recipient": hex(own.public()), "label": label, "context": hex(context), "message": hex(KEY),
        "ephemeral_seed": hex(EPHEMERAL_SEED), "ephemeral_private": hex(private(&EPHEMERAL_SEED)),
    });
    subject.sound(&format!("seal-{name}"), "GEN-23 GEN-31", "hpke-seal", inputs, json!({ "sealed": hex(&sealed) }));
    let inputs = json!({
        "recipient_seed": hex(RECIPIENT_SEED), "label": label, "context": hex(context), "sealed": hex(&sealed),
    });
    let of = format!("open-{name}");
    subject.sound(&of, "GEN-23 GEN-31", "hpke-open", inputs, json!({ "message": hex(KEY) }));
    let flip = |place: usize| {
        let mut bytes = sealed.clone();
        bytes[place] ^= 1;
        json!({ "sealed": hex(bytes) })
    };
    let mut altered = context.to_vec();
    *altered.last_mut().expect("no context is empty") ^= 1;
    let mut first = context.to_vec();
    first[context.len() / 2] ^= 1;
    let other = if label == labels::HPKE_WRAP { labels::HPKE_SHARE } else { labels::HPKE_WRAP };
    let of_none = crypto::seal_to(&own.public(), label, &[], &KEY, &mut Given::new(EPHEMERAL_SEED));
    for (fault, rules, changed) in [
        ("another-recipient", "GEN-23", json!({ "recipient_seed": hex(CHANNEL_SEED) })),
        ("another-label", "GEN-23 GEN-31", json!({ "label": other })),
        ("end-of-the-context-altered", "GEN-31", json!({ "context": hex(altered) })),
        ("middle-of-the-context-altered", "GEN-31", json!({ "context": hex(first) })),
        ("empty-context", "GEN-31", json!({ "context": "" })),
        ("sealed-in-no-context", "GEN-31", json!({ "sealed": hex(of_none.expect("a usable key")) })),
        ("encapsulated-key-altered", "GEN-23", flip(0)),
        ("ciphertext-altered", "GEN-23", flip(40)),
        ("tag-altered", "GEN-23", flip(sealed.len() - 1)),
        ("cut-by-a-byte", "GEN-23", json!({ "sealed": hex(&sealed[..sealed.len() - 1]) })),
        ("a-byte-behind", "GEN-23", json!({ "sealed": hex([&sealed[..], &[0]].concat()) })),
        ("encapsulated-key-behind", "GEN-23", json!({ "sealed": hex([&sealed[32..], &sealed[..32]].concat()) })),
        ("of-47-bytes", "GEN-23", json!({ "sealed": hex(&sealed[..47]) })),
        ("empty", "GEN-23", json!({ "sealed": "" })),
    ] {
        subject.fault(&of, fault, rules, changed, "NotOpened");
    }
}

/// The joint between the parts of a context does not move, and what is sealed in one is not opened in the other.
fn exchanged(subject: &mut Subject) {
    let joint = |tenant: &str, user: &str| hex(cbor::encode(&(tenant, user, b(GRANT))));
    let own = recipient(RECIPIENT_SEED);
    let sealed = super::world::hpke(own.public(), labels::HPKE_INTAKE, &super::unhex(&joint("ab", "c")), &KEY);
    let inputs = json!({
        "recipient_seed": hex(RECIPIENT_SEED), "label": labels::HPKE_INTAKE, "context": joint("ab", "c"), "sealed": hex(sealed),
    });
    subject.sound("open-joint", "GEN-23 GEN-31", "hpke-open", inputs, json!({ "message": hex(KEY) }));
    subject.fault("open-joint", "joint-moved", "GEN-31 GEN-12", json!({ "context": joint("a", "bc") }), "NotOpened");
}

/// GEN-23: a key that yields the all-zero secret is refused, on both sides.
fn useless(subject: &mut Subject) {
    for (name, point) in useless_points() {
        subject.fault("seal-intake", name, "GEN-23", json!({ "recipient": hex(point) }), "NotSealed");
        let sealed = json!({ "sealed": hex([&point[..], &[0; 48]].concat()) });
        subject.fault("open-intake", name, "GEN-23", sealed, "NotOpened");
    }
}
