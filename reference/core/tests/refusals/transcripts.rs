//! The tables as transcripts in `spec/vectors/transcripts`: what a role without a memory of its own (authority, storage) has in its
//! store, what comes, and what it answers and writes.
//!
//! `BAILEE_WRITE_TRANSCRIPTS=1 cargo test --release -p bailee-core --test refusals` writes them; without it they are compared.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bailee_core::cbor;
use bailee_core::machine::{Peer, Person};
use bailee_core::store::{MemoryStore, Read};
use bailee_spec::outcome::Refusal;
use rand_chacha::ChaCha8Rng;
use rand_core::Rng;
use serde_json::{Map, Value, json};

use crate::common::{Flight, House};
use crate::notation::hex;

/// The records of a store, by name.
type Records = BTreeMap<Vec<u8>, Vec<u8>>;

fn records(store: &MemoryStore) -> Records {
    let all = store.scan(b"", b"", usize::MAX).unwrap();
    all.into_iter().map(|(name, record)| (name.to_vec(), record.to_vec())).collect()
}

fn object<'a>(records: impl IntoIterator<Item = (&'a Vec<u8>, &'a Vec<u8>)>) -> Value {
    records.into_iter().map(|(name, record)| (hex(name), Value::from(hex(record)))).collect::<Map<_, _>>().into()
}

/// What is to be put and removed for one store to become the other.
fn difference(before: &Records, after: &Records) -> (Value, Value) {
    let put = object(after.iter().filter(|(name, record)| before.get(*name) != Some(record)));
    let removed =
        before.keys().filter(|name| !after.contains_key(*name)).map(|name| Value::from(hex(name))).collect();
    (put, removed)
}

fn peer(peer: &Peer) -> Value {
    match peer {
        Peer::Device(id) => json!({ "peer": "device", "id": hex(&id[..]) }),
        Peer::Keystore(node) => json!({ "peer": "keystore", "node": node }),
        Peer::Custodian(index) => json!({ "peer": "custodian", "index": index }),
        Peer::Person(Person::User { tenant, user, stepped_up }) => {
            json!({ "peer": "user", "tenant": tenant, "user": user, "stepped_up": stepped_up })
        }
        Peer::Person(Person::Admin { tenant, admin }) => {
            json!({ "peer": "administrator", "tenant": tenant, "admin": admin })
        }
        Peer::Person(person) => json!({ "peer": format!("{person:?}").to_lowercase() }),
        other => json!({ "peer": format!("{other:?}").to_lowercase() }),
    }
}

/// Words with hyphens.
fn hyphened(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        match letter {
            'A'..='Z' if !out.is_empty() && !out.ends_with('-') => out.extend(['-', letter.to_ascii_lowercase()]),
            _ if letter.is_ascii_alphanumeric() => out.push(letter.to_ascii_lowercase()),
            _ if !out.ends_with('-') => out.push('-'),
            _ => {}
        }
    }
    out.trim_end_matches('-').to_owned()
}

/// The name of a table: the kind, and the rule of its first row.
fn subject(kind: &str, rule: &str) -> String {
    format!("{}-{}", hyphened(kind), rule.to_lowercase())
}

/// The transcripts of a table.
pub(crate) struct Transcripts {
    subject: String,
    head: Value,
    base: Records,
    all: Vec<Value>,
}

/// What a role drew and had before a frame was delivered.
pub(crate) struct Before {
    rng: ChaCha8Rng,
    store: Records,
    now: u64,
    from: Value,
    frame: String,
}

impl Transcripts {
    /// Those of a table whose frame goes to this receiver; none if the receiver has a memory that its store does not show.
    pub(crate) fn of(house: &House, flight: &Flight, kind: &str, rule: &str) -> Option<Self> {
        let (authority, keystore) = (&house.authority_key, &house.keystore_key);
        let (role, keys) = match flight.to {
            Peer::Authority => {
                let restorer = hex(house.restorer_key.public());
                let keys = json!({ "seed": hex(authority.seed()), "keystore": hex(keystore.public()), "restorer": restorer });
                ("authority", keys)
            }
            Peer::Storage => ("storage", json!({ "authority": hex(authority.public()) })),
            _ => return None,
        };
        let base = records(&store(house, flight));
        let head = json!({ "license": "CC0-1.0", "suite": 1, "role": role, "keys": keys, "records": object(&base) });
        Some(Transcripts { subject: subject(kind, rule), head, base, all: Vec::new() })
    }

    /// What is there before the frame comes.
    pub(crate) fn before(house: &House, flight: &Flight) -> Before {
        let (rng, now) = match flight.to {
            Peer::Storage => (&house.storage.rng, house.storage.now),
            _ => (&house.authority.rng, house.authority.now),
        };
        let store = records(&store(house, flight));
        Before { rng: rng.clone(), store, now, from: peer(&flight.from), frame: hex(cbor::encode(&flight.frame)) }
    }

    /// What came of it. No fault: it is the twin of the others.
    pub(crate) fn add(
        &mut self,
        before: Before,
        house: &House,
        to: &Peer,
        (rules, fault): (&[&str], Option<&str>),
        verdict: Result<(), Refusal>,
    ) {
        let (rng, after) = match to {
            Peer::Storage => (&house.storage.rng, records(&house.storage.saved())),
            _ => (&house.authority.rng, records(&house.authority.saved())),
        };
        let words = rng.get_word_pos() - before.rng.get_word_pos();
        let mut random = vec![0; usize::try_from(words).unwrap() * 4];
        before.rng.clone().fill_bytes(&mut random);
        let (changed, missing) = difference(&self.base, &before.store);
        let (put, removed) = difference(&before.store, &after);
        let sent =
            house.wire.iter().map(|sent| json!({ "to": peer(&sent.to), "frame": hex(cbor::encode(&sent.frame)) }));
        let sent: Vec<Value> = sent.collect();
        let name = fault.map_or_else(|| "sound".to_owned(), hyphened);
        let mut transcript = json!({
            "id": format!("{}/{name}", self.subject), "rules": rules, "fault": fault.map_or("none", |_| &name), "now": before.now,
            "from": before.from, "frame": before.frame, "random": hex(random), "state": { "put": changed, "removed": missing },
            "expected": {
                "verdict": verdict.map_or_else(|no| format!("{no:?}"), |()| "Accepted".into()), "frames": sent, "put": put,
                "removed": removed,
            },
        });
        if fault.is_some() {
            transcript["twin"] = json!(format!("{}/sound", self.subject));
        }
        self.all.push(transcript);
    }

    /// Compares them with what is committed, or writes them.
    pub(crate) fn keep(self) {
        let mut file = self.head;
        file["subject"] = json!(self.subject);
        file["transcripts"] = self.all.into();
        let text = serde_json::to_string_pretty(&file).unwrap() + "\n";
        let path = folder().join(format!("{}.json", self.subject));
        if std::env::var_os("BAILEE_WRITE_TRANSCRIPTS").is_some() {
            std::fs::create_dir_all(folder()).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        let how = "BAILEE_WRITE_TRANSCRIPTS=1 cargo test --release -p bailee-core --test refusals";
        assert!(committed == text, "{} is out of date: {how}", path.display());
    }
}

fn store(house: &House, flight: &Flight) -> MemoryStore {
    crate::store_of(house, &flight.to, flight.client)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors/transcripts")
}
