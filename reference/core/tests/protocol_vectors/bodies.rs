//! Every signed body with its signature, under the rule that says how its receiver refuses it (GEN-24, GEN-31).

use bailee_core::cbor;
use bailee_core::crypto::labels;
use bailee_core::roles::signed;
use serde_json::{Value, json};

use super::world::*;
use super::{Subject, hex, tree};

pub(crate) fn attempt_proof() -> Vec<u8> {
    signed::attempt_proof(&b(SESSION), &b(ATTEMPT), &recipient(RECIPIENT_SEED).public().into())
}

pub(crate) fn add_proof() -> Vec<u8> {
    signed::add_proof(&b(SESSION), &recipient(RECIPIENT_SEED).public().into())
}

pub(crate) fn intake() -> Vec<u8> {
    signed::intake_body(&b(NONCE), &super::world::intake())
}

pub(crate) fn consumed() -> Vec<u8> {
    signed::consumed_body(&b(GRANT), &b(CHALLENGE), 3)
}

pub(crate) fn factor() -> Vec<u8> {
    signed::factor_body(&b(CEREMONY), 2, 41)
}

pub(crate) fn job_key() -> Vec<u8> {
    signed::job_key_body(&b(JOB), &recipient(RECIPIENT_SEED).public().into())
}

/// A body, who signs it, and how its receiver refuses it: malformed, and forged. No first one: the receiver makes the body itself.
pub(crate) struct Row {
    pub(crate) form: &'static str,
    label: &'static str,
    seed: [u8; 32],
    body: Vec<u8>,
    rules: &'static str,
    malformed: Option<&'static str>,
    forged: &'static str,
}

#[rustfmt::skip]
fn rows() -> Vec<Row> {
    let row = |form, label, seed, body, rules, malformed, forged| Row { form, label, seed, body, rules, malformed, forged };
    let (own, malformed) = (None, Some("Malformed"));
    let custodian = custodian_seeds(2).0;
    vec![
        row("attempt-proof", labels::SIGN_ATTEMPT, DEVICE_SEED, attempt_proof(), "ENR-4a", own, "BadCertificate"),
        row("add-proof", labels::SIGN_ADD_DEVICE, DEVICE_SEED, add_proof(), "REP-1a", own, "BadCertificate"),
        row("enrolment-certificate", labels::SIGN_CERTIFICATE, DEVICE_SEED, certificate(), "ENR-8a|ENR-8b", Some("BadCertificate"), "BadCertificate"),
        row("admission-body", labels::SIGN_ADMISSION, AUTHORITY_SEED, admission(), "ENR-9a", malformed, "AdmissionInvalid"),
        row("escrow-body", labels::SIGN_ESCROW, DEVICE_SEED, escrow(), "ENR-12a ENR-13a|ENR-13b", malformed, "Unauthenticated"),
        row("receipt-body", labels::SIGN_RECEIPT, KEYSTORE_SEED, receipt(), "ENR-14a", Some("ReceiptInvalid"), "ReceiptInvalid"),
        row("intake-body", labels::SIGN_INTAKE, KEYSTORE_SEED, intake(), "ENR-7a", own, "Malformed"),
        row("intake-body-for-own-nonce", labels::SIGN_INTAKE, KEYSTORE_SEED, intake(), "DIS-6b", own, "BadSignature"),
        row("grant-body", labels::SIGN_GRANT, AUTHORITY_SEED, grant(), "REP-2a", malformed, "GrantInvalid"),
        row("consumed-body", labels::SIGN_CONSUMED, AUTHORITY_SEED, consumed(), "REP-4a", own, "GrantInvalid"),
        row("capability-body", labels::SIGN_CAPABILITY, AUTHORITY_SEED, capability(), "BAK-2a", malformed, "CapabilityInvalid"),
        row("wipe-bytes", labels::SIGN_WIPE, AUTHORITY_SEED, public(DEVICE_SEED).to_vec(), "REV-4a", own, "BadSignature"),
        row("job-key-bytes", labels::SIGN_JOB_KEY, RESTORER_SEED, job_key(), "JOB-2a", own, "JobOver"),
        row("factor-body", labels::SIGN_MFA, AUTHENTICATOR_SEED, factor(), "CER-4a", own, "MfaRequired"),
        row("ceremony-body", labels::SIGN_CEREMONY, KEYSTORE_SEED, ceremony(), "CER-3a", malformed, "BadSignature"),
        row("ceremony-body-with-roster", labels::SIGN_CEREMONY, KEYSTORE_SEED, rekey(), "CER-3a KEY-5", malformed, "BadSignature"),
        row("share-body", labels::SIGN_SHARE, custodian, share(2), "CER-5a", malformed, "BadSignature"),
        row("ack-bytes", labels::SIGN_ACK, custodian, header().digest().to_vec(), "KEY-2a", own, "BadSignature"),
    ]
}

fn rekey() -> Vec<u8> {
    let body = ceremony_body();
    cbor::encode(&bailee_core::wire::CeremonyBody { rekey: true, roster: Some(roster()), ..body })
}

/// What stands in a body: its fields, or the bytes of one that is no CBOR.
fn said(form: &str, body: &[u8]) -> Value {
    if form.ends_with("-bytes") { json!(hex(body)) } else { tree(body) }
}

impl Row {
    /// The rules about a body that does not decode, and those about one that is forged.
    fn rules(&self) -> (&str, &str) {
        self.rules.split_once('|').unwrap_or((self.rules, self.rules))
    }

    /// The rule whose check is asked for.
    fn rule(&self) -> &str {
        self.rules.split(['|', ' ']).next().unwrap_or_default()
    }
}

/// CBOR arrays spoilt: each says another thing than the body, or says it in another encoding.
fn spoilt(body: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let count = body[0] & 0x1f;
    let first = if body[1] == 0x58 { 35 } else { 2 + usize::from(body[1] & 0x1f) };
    vec![
        ("cut-by-a-byte", body[..body.len() - 1].to_vec()),
        ("a-byte-behind", [body, &[0]].concat()),
        ("array-with-a-wide-head", [&[0x98, count], &body[1..]].concat()),
        ("array-of-no-length", [&[0x9f], &body[1..], &[0xff]].concat()),
        ("an-item-too-many", [&[body[0] + 1], &body[1..], &[0xf6]].concat()),
        ("first-item-missing", [&[body[0] - 1], &body[first..]].concat()),
    ]
}

impl Subject {
    fn row(&mut self, row: &Row) {
        let form = row.form.replace("-for-own-nonce", "").replace("-with-roster", "");
        let (of_form, of_signer) = row.rules();
        let rules =
            if of_form == of_signer { format!("{of_form} GEN-24") } else { format!("{of_form} {of_signer} GEN-24") };
        let signature = signed(row.seed, row.label, &row.body);
        let inputs = json!({
            "rule": row.rule(), "form": form, "label": row.label, "public": hex(*public(row.seed)), "body": hex(&row.body),
            "signature": hex(&signature[..]),
        });
        self.sound(row.form, &rules, "read-signed", inputs, json!({ "body": said(row.form, &row.body) }));
        self.forgeries(row, &format!("{of_signer} GEN-24"), &signature);
        let Some(malformed) = row.malformed else { return };
        // Each is signed as it is: nothing but its form is wrong.
        for (fault, body) in spoilt(&row.body) {
            let signature = hex(&signed(row.seed, row.label, &body)[..]);
            let rules = format!("{of_form} GEN-4 GEN-5");
            self.fault(row.form, fault, &rules, json!({ "body": hex(&body), "signature": signature }), malformed);
        }
        // The form is looked at first.
        let cut = json!({ "body": hex(&row.body[..9]) });
        self.fault(row.form, "cut-and-not-signed", &format!("{of_form} GEN-7"), cut, malformed);
    }

    fn forgeries(&mut self, row: &Row, rules: &str, signature: &[u8]) {
        let by = |seed, label: &str| hex(&signed(seed, label, &row.body)[..]);
        let other = if row.label == labels::SIGN_GRANT { labels::SIGN_CAPABILITY } else { labels::SIGN_GRANT };
        let mut flipped = signature.to_vec();
        flipped[40] ^= 1;
        let mut changed = row.body.clone();
        // The last byte of what is said is in a number, a truth value, or 32 bytes: another one decodes too.
        let last = changed.len() - 1;
        changed[last] ^= 1;
        let unlabelled = {
            use ed25519_dalek::{Signer, SigningKey};
            hex(SigningKey::from_bytes(&row.seed).sign(&row.body).to_bytes())
        };
        let changes = [
            ("signed-by-another", "signature", by(STRANGER_SEED, row.label)),
            ("signed-under-another-label", "signature", by(row.seed, other)),
            ("signed-without-label-and-digest", "signature", unlabelled),
            ("signature-altered", "signature", hex(&flipped)),
            ("signature-cut-by-a-byte", "signature", hex(&signature[..63])),
            ("signature-and-a-byte", "signature", hex([signature, &[0]].concat())),
            ("no-signature", "signature", String::new()),
            ("another-body", "body", hex(&changed)),
        ];
        for (fault, field, value) in changes {
            self.fault(row.form, fault, rules, json!({ field: value }), row.forged);
        }
    }
}

pub(crate) fn bodies() -> Subject {
    let mut bodies = Subject::new("bodies");
    for row in rows() {
        bodies.row(&row);
    }
    bodies
}
