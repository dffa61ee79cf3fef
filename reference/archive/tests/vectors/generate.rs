//! What the committed vectors of the archive format are made from: `spec/vectors/archive/*.json`.

mod archives;
mod forge;
mod parts;
mod sound;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bailee_archive::{ArchiveId, ArchiveKeys, DeviceId, MemoryStore, Place, TreePath};
use bailee_core::crypto::keys::{Owner, Secret};
use bailee_core::crypto::sign::Signing;
use serde_json::{Value, json};

use archives::Archives;
use parts::Parts;

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

/// Bytes as hex; long runs of one byte are told by their length.
pub(crate) fn runs(bytes: &[u8]) -> Value {
    const LONG: usize = 256;
    let same = bytes.chunk_by(|a, b| a == b);
    let mut pieces: Vec<(Vec<u8>, usize)> = Vec::new();
    for run in same {
        match pieces.last_mut() {
            _ if run.len() >= LONG => pieces.push((run[..1].to_vec(), run.len())),
            Some((piece, 1)) => piece.extend(run),
            _ => pieces.push((run.to_vec(), 1)),
        }
    }
    match &pieces[..] {
        [] => Value::from(""),
        [(piece, 1)] => Value::from(hex(piece)),
        _ => pieces.iter().map(|(piece, times)| json!([hex(piece), times])).collect(),
    }
}

/// What a reader of vectors has to know: the archive, its key and its one device.
fn context(archive: ArchiveId) -> Value {
    let Owner { tenant, user, epoch } = owner();
    json!({
        "archive": hex(archive.0), "tenant": tenant, "user": user, "epoch": epoch, "key": hex(KEY),
        "device": hex(device().public()),
    })
}

fn malformed_parts() -> Value {
    let mut context = context(forge::ARCHIVE);
    context["segment"] = PLACE.segment.into();
    context["offset"] = PLACE.offset.into();
    json!({
        "context": context,
        "bytes": "hex, or a list of [hex, how often it is repeated]",
        "vectors": Parts::all(),
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
        ("cuts.json", sound::cuts()),
        ("malformed_parts.json", malformed_parts()),
        ("malformed_archives.json", malformed_archives()),
    ];
    files.map(|(name, value)| (name, serde_json::to_string_pretty(&value).unwrap_or_default() + "\n")).into()
}
