//! Snapshots: their code and digest (GEN-30, DIS-2a), and their restore at an unsealing (DIS-3a, DIS-3b).

use bailee_core::crypto::labels;
use bailee_core::roles::keystore::Snapshot;
use serde_json::{Value, json};

use super::barrier::{hmac, records};
use super::unsealing::{node, opened, right};
use super::world::*;
use super::{Subject, hex};

/// A snapshot with the code that a root makes.
fn coded(mut snapshot: Snapshot, root: [u8; 32]) -> Snapshot {
    snapshot.mac = b([0; 32]);
    snapshot.mac = b(hmac(&root, labels::SNAPSHOT_MAC, &snapshot.encode()));
    snapshot
}

pub(crate) fn snapshot() -> Snapshot {
    let records = records().into_iter().map(|(name, record)| (name.into(), record.into())).collect();
    let snapshot = Snapshot {
        header: header(),
        keyring: keyring().into(),
        generation: 2,
        index: 7,
        covers: 4,
        records,
        mac: b([0; 32]),
    };
    coded(snapshot, ROOT)
}

pub(crate) fn snapshots() -> Subject {
    let mut snapshots = Subject::new("snapshots");
    digests(&mut snapshots);
    restored(&mut snapshots);
    snapshots
}

fn digests(snapshots: &mut Subject) {
    let bytes = snapshot().encode();
    let value = json!({ "digest": hex(*Snapshot::digest(&bytes)), "code": hex(*snapshot().mac) });
    let inputs = json!({ "snapshot": hex(&bytes), "root": hex(ROOT) });
    snapshots.sound("snapshot", "GEN-30 GEN-31 DIS-2a", "read-snapshot", inputs, value);
    let mut empty = snapshot();
    empty.records.clear();
    let empty = coded(empty, ROOT);
    let value = json!({ "digest": hex(*Snapshot::digest(&empty.encode())), "code": hex(*empty.mac) });
    let inputs = json!({ "snapshot": hex(empty.encode()), "root": hex(ROOT) });
    snapshots.sound("snapshot-without-records", "GEN-30 GEN-31", "read-snapshot", inputs, value);
    let mut no = |fault: &str, bytes: &[u8]| {
        let changed = json!({ "snapshot": hex(bytes) });
        snapshots.fault("snapshot", fault, "DIS-2a GEN-5", changed, "SnapshotDamaged");
    };
    no("cut-by-a-byte", &bytes[..bytes.len() - 1]);
    no("a-byte-behind", &[&bytes[..], &[0]].concat());
    no("empty", &[]);
    no("array-with-a-wide-head", &[&[0x98, 7], &bytes[1..]].concat());
    no("array-of-no-length", &[&[0x9f], &bytes[1..], &[0xff]].concat());
    no("without-its-code", &[&[0x86], &bytes[1..bytes.len() - 34]].concat());
    for (fault, snapshot) in altered() {
        let changed = json!({ "snapshot": hex(snapshot.encode()) });
        snapshots.fault("snapshot", fault, "GEN-30 DIS-3a", changed, "SnapshotDamaged");
    }
    let root = json!({ "root": hex(KEY) });
    snapshots.fault("snapshot", "another-root", "GEN-30 DIS-3a", root, "SnapshotDamaged");
}

/// The snapshot with one part changed, and the code as it was; and with codes that cover something else.
fn altered() -> Vec<(&'static str, Snapshot)> {
    let with = |change: &dyn Fn(&mut Snapshot)| {
        let mut snapshot = snapshot();
        change(&mut snapshot);
        snapshot
    };
    let over = |input: Vec<u8>, label: &str| with(&|snapshot| snapshot.mac = b(hmac(&ROOT, label, &input)));
    let unsigned = Snapshot { mac: b([0; 32]), ..snapshot() };
    let without_records = Snapshot { records: Vec::new(), ..unsigned.clone() };
    let without_code = unsigned.encode();
    vec![
        ("header-altered", with(&|snapshot| snapshot.header.share_epoch += 1)),
        ("root-in-the-header-altered", with(&|snapshot| snapshot.header.root[3] ^= 1)),
        ("keyring-altered", with(&|snapshot| snapshot.keyring[3] ^= 1)),
        ("another-generation", with(&|snapshot| snapshot.generation = 9)),
        ("another-index", with(&|snapshot| snapshot.index = 4)),
        ("covers-more", with(&|snapshot| snapshot.covers = 7)),
        ("a-record-less", with(&|snapshot| drop(snapshot.records.pop()))),
        ("a-record-twice", with(&|snapshot| snapshot.records.push(snapshot.records[0].clone()))),
        ("a-record-altered", with(&|snapshot| snapshot.records[0].1[70] ^= 1)),
        ("a-name-altered", with(&|snapshot| snapshot.records[0].0[10] ^= 1)),
        ("records-exchanged", with(&|snapshot| snapshot.records.swap(0, 1))),
        ("code-altered", with(&|snapshot| snapshot.mac[31] ^= 1)),
        ("code-of-zeroes", with(&|snapshot| snapshot.mac = b([0; 32]))),
        ("code-of-another-root", coded(snapshot(), KEY)),
        ("code-without-label", over(without_code.clone(), "")),
        ("code-without-the-records", over(without_records.encode(), labels::SNAPSHOT_MAC)),
        (
            "code-without-room-for-itself",
            over(without_code[..without_code.len() - 34].to_vec(), labels::SNAPSHOT_MAC),
        ),
    ]
}

/// What a node does with a staged snapshot when its shares are there.
fn restored(snapshots: &mut Subject) {
    let staged = |snapshot: &Snapshot, above: u64| json!({ "snapshot": hex(snapshot.encode()), "above": above });
    let three = [right(1), right(2), right(3)];
    let with = |generation: u64, staged: Value| {
        let mut inputs = node(&three);
        inputs["generation"] = json!(generation);
        inputs["staged"] = staged;
        inputs
    };
    let at = |generation: u64| {
        let mut value = opened();
        value["generation"] = json!(generation);
        value["records"] = snapshot().records.iter().map(|(name, _)| Value::from(hex(&name[..]))).collect();
        value
    };
    for (name, own, above, after) in
        [("of-the-same-generation", 2, 2, 3), ("of-a-former-generation", 8, 2, 9), ("when-more-is-known", 2, 11, 12)]
    {
        let name = format!("restored-{name}");
        let inputs = with(own, staged(&snapshot(), above));
        snapshots.sound(&name, "DIS-3a DIS-3b GEN-30", "submit-shares", inputs, at(after));
    }
    for (fault, snapshot) in altered() {
        let changed = json!({ "staged": staged(&snapshot, 2) });
        snapshots.fault("restored-of-the-same-generation", fault, "DIS-3a GEN-30", changed, "SnapshotDamaged");
    }
}
