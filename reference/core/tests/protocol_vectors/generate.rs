//! What the committed vectors of the protocol are made from: `spec/vectors/protocol/*.json`.

mod barrier;
mod bodies;
mod escrows;
mod fields;
mod frames;
mod hpke;
mod kinds;
mod notation;
mod passwords;
mod seals;
mod shares;
mod signatures;
mod snapshots;
pub(crate) mod table;
mod unsealing;
mod world;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};

use rand_core::{TryCryptoRng, TryRng};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

#[allow(unused_imports, reason = "the reader uses them")]
pub(crate) use barrier::{hmac, name_of};
pub(crate) use fields::{FIELDS, OPERATIONS};
#[allow(unused_imports, reason = "the reader uses all of them")]
pub(crate) use notation::{hex, number, tree, unhex};

/// The folder of all vectors.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors")
}

/// Random bytes that are given, and no others.
pub(crate) struct Given(Vec<u8>);

impl Given {
    pub(crate) fn new(bytes: impl AsRef<[u8]>) -> Self {
        Given(bytes.as_ref().iter().rev().copied().collect())
    }

    /// Whether all of them were drawn.
    pub(crate) fn is_spent(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryRng for Given {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes).map(|()| u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes).map(|()| u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.fill_with(|| self.0.pop().expect("more random bytes are drawn than are given"));
        Ok(())
    }
}

impl TryCryptoRng for Given {}

/// The vectors of one subject.
pub(crate) struct Subject {
    name: &'static str,
    vectors: Vec<Value>,
}

impl Subject {
    fn new(name: &'static str) -> Self {
        Subject { name, vectors: Vec::new() }
    }

    fn id(&self, name: &str) -> String {
        format!("{}/{name}", self.name)
    }

    /// A sound vector.
    fn sound(&mut self, name: &str, rules: &str, operation: &str, inputs: Value, value: Value) {
        let vector = json!({
            "id": self.id(name), "rules": words(rules), "fault": "none", "operation": operation, "inputs": inputs,
            "expected": { "value": value },
        });
        self.vectors.push(vector);
    }

    /// A malformed one: the sound vector `of`, in which some inputs are others. It is named after its fault.
    fn fault(&mut self, of: &str, fault: &str, rules: &str, changed: Value, refusal: &str) {
        let sound = self.id(of);
        let twin = self.vectors.iter().find(|vector| vector["id"] == sound).expect("the sound one comes first");
        let (operation, mut inputs) = (twin["operation"].clone(), twin["inputs"].clone());
        for (field, value) in changed.as_object().expect("changed fields") {
            inputs[field] = value.clone();
        }
        assert!(inputs != twin["inputs"], "{sound}, {fault}: nothing is changed");
        let vector = json!({
            "id": format!("{sound}/{fault}"), "rules": words(rules), "fault": fault, "twin": sound, "operation": operation,
            "inputs": inputs, "expected": { "refusal": refusal },
        });
        self.vectors.push(vector);
    }

    fn file(self) -> (String, String) {
        let used: std::collections::BTreeSet<&str> =
            self.vectors.iter().map(|vector| vector["operation"].as_str().expect("a text")).collect();
        let operations: Map<String, Value> = OPERATIONS
            .iter()
            .filter(|(name, _)| used.contains(name))
            .map(|(name, says)| ((*name).to_owned(), json!(says)))
            .collect();
        let file = json!({
            "license": "CC0-1.0", "suite": 1, "subject": self.name, "operations": operations,
            "fields": fields::used(&self.vectors), "vectors": self.vectors,
        });
        let text = serde_json::to_string_pretty(&file).expect("it is JSON") + "\n";
        (format!("{}.json", self.name), text)
    }
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

/// Every file of vectors, by name.
pub(crate) fn files() -> BTreeMap<String, String> {
    let subjects = [
        frames::frames(),
        seals::seals(),
        seals::keys(),
        hpke::hpke(),
        signatures::signatures(),
        bodies::bodies(),
        shares::shares(),
        barrier::headers(),
        barrier::barrier(),
        passwords::passwords(),
        escrows::escrows(),
        unsealing::custodians(),
        unsealing::unsealing(),
        snapshots::snapshots(),
    ];
    subjects.into_iter().map(Subject::file).collect()
}

/// The SHA-256 of every file, as `sha256sum --check` reads it.
pub(crate) fn sums() -> String {
    let line = |(name, content): (String, String)| format!("{}  protocol/{name}\n", hex(Sha256::digest(content)));
    files().into_iter().map(line).collect()
}
