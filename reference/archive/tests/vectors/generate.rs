//! What the committed vectors of the archive format are made from: `spec/vectors/archive/*.json`.

mod archives;
mod cuts;
pub(crate) mod fields;
mod folder;
mod forge;
mod given_up;
mod lost;
mod parts;
mod several;
pub(crate) mod signatures;
mod sizes;
mod sound;
mod standalone;
mod tails;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bailee_archive::{ArchiveId, ArchiveKeys, DeviceId, MemoryStore, Place, TreePath};
use bailee_core::crypto::keys::{Owner, Secret};
use bailee_core::crypto::sign::Signing;
use serde_json::{Value, json};

use archives::Archives;
use parts::Parts;
use signatures::Signatures;

pub(crate) const KEY: [u8; 32] = [0x4b; 32];
pub(crate) const DEVICE_SEED: [u8; 32] = [0x5d; 32];
/// The place at which heads of records are read.
pub(crate) const PLACE: Place = Place { segment: 1, offset: 33 };

pub(crate) fn owner() -> Owner {
    Owner { tenant: "tenant".into(), user: "user".into(), epoch: 0 }
}

pub(crate) fn keys() -> ArchiveKeys {
    ArchiveKeys::new(&Secret::take(&mut { KEY }), &owner())
}

pub(crate) fn device() -> Signing {
    Signing::from_seed(&DEVICE_SEED)
}

/// A device that is not one of the owner's.
pub(crate) fn stranger() -> Signing {
    Signing::from_seed(&[0; 32])
}

pub(crate) fn trusted() -> [DeviceId; 1] {
    [DeviceId(device().public())]
}

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors/archive")
}

pub(crate) fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn path(name: &str) -> TreePath {
    TreePath::new(name.split('/')).unwrap()
}

pub(crate) fn hex_segments(store: &MemoryStore) -> Value {
    store.segments.iter().map(|(number, bytes)| (number.to_string(), Value::from(hex(bytes)))).collect()
}

/// Bytes as hex in pieces; a long run of one byte is a piece that says how long it is.
pub(crate) fn runs(bytes: &[u8]) -> String {
    const LONG: usize = 256;
    let mut pieces = vec![String::new()];
    for run in bytes.chunk_by(|a, b| a == b) {
        if run.len() >= LONG {
            pieces.extend([format!("{}*{}", hex(&run[..1]), run.len()), String::new()]);
        } else if let Some(piece) = pieces.last_mut() {
            piece.push_str(&hex(run));
        }
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces.join(" ")
}

/// What a reader of vectors has to know: the archive, its key and its one device.
fn context(archive: ArchiveId) -> Value {
    let Owner { tenant, user, epoch } = owner();
    json!({
        "archive": hex(archive.0), "tenant": tenant, "user": user, "epoch": epoch, "key": hex(KEY),
        "device": hex(device().public()),
    })
}

/// The same of parts, and where heads of records are read.
fn context_of_parts() -> Value {
    let mut context = context(forge::ARCHIVE);
    context["segment"] = PLACE.segment.into();
    context["offset"] = PLACE.offset.into();
    context
}

fn malformed_parts() -> Value {
    json!({
        "context": context_of_parts(),
        "vectors": Parts::all(),
    })
}

fn signatures() -> Value {
    json!({
        "context": context_of_parts(),
        "vectors": Signatures::all(),
    })
}

fn malformed_archives() -> Value {
    let archives = Archives::all();
    json!({ "context": context(archives.id()), "vectors": archives.vectors() })
}

/// Every file of vectors, by name.
pub(crate) fn files() -> BTreeMap<&'static str, String> {
    let files = [
        ("archive.json", sound::archive()),
        ("devices.json", several::devices()),
        ("epochs.json", several::epochs()),
        ("clocks.json", several::clocks()),
        ("folder.json", folder::folder()),
        ("standalone.json", standalone::standalone()),
        ("cuts.json", cuts::cuts()),
        ("tree_cuts.json", cuts::tree_cuts()),
        ("malformed_parts.json", malformed_parts()),
        ("signatures.json", signatures()),
        ("malformed_archives.json", malformed_archives()),
    ];
    let files = files.map(|(name, mut value)| {
        value["fields"] = fields::of(name, &value);
        (name, value)
    });
    files.map(|(name, value)| (name, serde_json::to_string_pretty(&value).unwrap_or_default() + "\n")).into()
}
