//! The sealed form (GEN-20), the key tree (GEN-21), commitments (GEN-22), names of records and places (GEN-28, ENR-2c).

use bailee_core::crypto::keys::{Secret, subkey};
use bailee_core::crypto::labels;
use serde_json::{Value, json};

use super::world::*;
use super::{Subject, hex};

fn sealing(label: &str, header: &[u8], message: &[u8]) -> Value {
    json!({ "root": hex(ROOT), "label": label, "header": hex(header), "message": hex(message), "salt": hex(SALT) })
}

fn opening(label: &str, header: &[u8], sealed: &[u8]) -> Value {
    json!({ "root": hex(ROOT), "label": label, "header": hex(header), "sealed": hex(sealed) })
}

pub(crate) fn seals() -> Subject {
    let mut seals = Subject::new("seals");
    let cases: [(&str, &str, &[u8], &[u8]); 6] = [
        ("message", labels::SEAL_RECORD, b"header", b"message"),
        ("empty-message", labels::SEAL_RECORD, b"header", b""),
        ("empty-header", labels::SEAL_RECORD, b"", b"message"),
        ("block", labels::SEAL_BLOCK, b"header", b"message"),
        ("long-header", labels::SEAL_MANIFEST, &[0x68; 300], b"message"),
        ("long-message", labels::SEAL_ROOT, b"header", &[0x6d; 5_000]),
    ];
    for (name, label, header, message) in cases {
        let bytes = sealed(ROOT, label, header, message);
        let value = json!({ "sealed": hex(&bytes) });
        seals.sound(&format!("seal-{name}"), "GEN-20", "seal", sealing(label, header, message), value);
        let value = json!({ "message": hex(message) });
        seals.sound(&format!("open-{name}"), "GEN-20", "open-seal", opening(label, header, &bytes), value);
    }
    let whole = sealed(ROOT, labels::SEAL_RECORD, b"header", b"message");
    let flip = |place: usize| {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x80;
        json!({ "sealed": hex(bytes) })
    };
    let of = "open-message";
    let mut no = |fault: &str, changed: Value| seals.fault(of, fault, "GEN-20", changed, "NotOpened");
    no("another-root", json!({ "root": hex(KEY) }));
    no("another-label", json!({ "label": labels::SEAL_BLOCK }));
    no("another-header", json!({ "header": hex(b"headed") }));
    no("empty-header", json!({ "header": "" }));
    no("header-with-a-byte-more", json!({ "header": hex(b"header\0") }));
    no("salt-altered", flip(0));
    no("salt-altered-in-its-last-byte", flip(31));
    no("key-tag-altered", flip(32));
    no("key-tag-altered-in-its-last-byte", flip(63));
    no("ciphertext-altered", flip(64));
    no("tag-altered", flip(whole.len() - 1));
    no("cut-by-a-byte", json!({ "sealed": hex(&whole[..whole.len() - 1]) }));
    no("a-byte-behind", json!({ "sealed": hex([&whole[..], &[0]].concat()) }));
    no("empty", json!({ "sealed": "" }));
    no("of-79-bytes", json!({ "sealed": hex(&whole[..79]) }));
    no("without-key-tag", json!({ "sealed": hex([&whole[..32], &whole[64..]].concat()) }));
    no("salt-and-key-tag-exchanged", json!({ "sealed": hex([&whole[32..64], &whole[..32], &whole[64..]].concat()) }));
    no("tag-in-front", json!({ "sealed": hex([&whole[..64], &whole[71..], &whole[64..71]].concat()) }));
    no("tag-of-zeroes", json!({ "sealed": hex([&whole[..71], &[0; 16]].concat()) }));
    seals
}

fn of_owner(tenant: &str, user: &str, epoch: u64) -> Value {
    json!({ "key": hex(KEY), "tenant": tenant, "user": user, "epoch": epoch })
}

pub(crate) fn keys() -> Subject {
    let mut keys = Subject::new("keys");
    for label in labels::ALL.iter().filter(|label| label.contains("/key/")) {
        let mut inputs = of_owner(TENANT, USER, 0);
        inputs["label"] = json!(label);
        let branch = subkey(&Secret::take(&mut { KEY }), label, &owner());
        let name = format!("branch-{}", label.trim_start_matches("bailee/v1/key/"));
        keys.sound(&name, "GEN-21", "branch", inputs, json!({ "branch": hex(*branch) }));
    }
    let owners = [("owner", TENANT, USER, 0), ("joint-ab-c", "ab", "c", 0), ("joint-a-bc", "a", "bc", 0)];
    for (name, tenant, user, epoch) in owners.into_iter().chain([("later-epoch", TENANT, USER, 1 << 32)]) {
        let mut inputs = of_owner(tenant, user, epoch);
        inputs["commitment"] = json!(hex(commitment_of(KEY, &owner_of(tenant, user, epoch))));
        keys.sound(&format!("commitment-{name}"), "GEN-21 GEN-22 GEN-31", "check-commitment", inputs, json!({}));
    }
    let rules = "GEN-21 GEN-22 GEN-31 ENR-13b";
    let mut no = |of: &str, fault: &str, changed: Value| keys.fault(of, fault, rules, changed, "CommitmentMismatch");
    no("commitment-owner", "another-key", json!({ "key": hex(ROOT) }));
    no("commitment-owner", "another-tenant", json!({ "tenant": "acmf" }));
    no("commitment-owner", "another-user", json!({ "user": "adb" }));
    no("commitment-owner", "another-epoch", json!({ "epoch": 1 }));
    no("commitment-owner", "tenant-and-user-exchanged", json!({ "tenant": USER, "user": TENANT }));
    no("commitment-joint-ab-c", "joint-moved", json!({ "tenant": "a", "user": "bc" }));
    let branch = |label: &str| hex(*subkey(&Secret::take(&mut { KEY }), label, &owner()));
    no("commitment-owner", "another-branch", json!({ "commitment": branch(labels::KEY_ID) }));
    no("commitment-owner", "the-key-itself", json!({ "commitment": hex(KEY) }));
    keys
}
