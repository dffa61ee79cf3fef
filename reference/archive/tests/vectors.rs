//! The committed vectors of the archive format: they are what is generated now, and every one reads as it says.

#[path = "vectors/generate.rs"]
mod generate;

use bailee_archive::block::open_block;
use bailee_archive::manifest::{decode_manifest, open_index};
use bailee_archive::retention::decode_retention;
use bailee_archive::segment::{decode_frame_head, decode_segment_head};
use bailee_archive::tree::{EntryKind, decode_tree};
use bailee_archive::{Archive, ArchiveError, ArchiveId, ArchiveKeys, DeviceId, Digest, MemoryStore, Place};
use bailee_core::crypto::keys::{Owner, Secret};
use bailee_core::crypto::{labels, sign};
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::{EdwardsPoint, Scalar};
use generate::signatures::challenge;
use generate::{files, folder, hex, keys, trusted};
use minicbor::bytes::ByteVec;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

fn committed(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(folder().join(name)).unwrap()).unwrap()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("no {field} in {value}"))
}

fn unhex(hex: &str) -> Vec<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16).unwrap() as u8;
    hex.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// Hex in pieces, some of them with how often they are repeated.
fn bytes(value: &Value) -> Vec<u8> {
    let piece = |piece: &str| match piece.split_once('*') {
        Some((hex, times)) => unhex(hex).repeat(times.parse().unwrap()),
        None => unhex(piece),
    };
    value.as_str().unwrap().split_whitespace().flat_map(piece).collect()
}

fn store(value: &Value) -> MemoryStore {
    let segments = value["segments"].as_object().unwrap();
    let segments = segments.iter().map(|(number, bytes)| (number.parse().unwrap(), unhex(bytes.as_str().unwrap())));
    MemoryStore { segments: segments.collect() }
}

fn remembered(value: &Value) -> (u64, Digest) {
    (value["seq"].as_u64().unwrap(), Digest(unhex(text(value, "digest")).try_into().unwrap()))
}

#[test]
fn what_is_committed_is_what_is_generated() {
    for (name, generated) in files() {
        let committed = std::fs::read_to_string(folder().join(name)).unwrap_or_default();
        assert!(committed == generated, "{name} is out of date: cargo run -p bailee-archive --example make-vectors");
    }
}

fn reads_as_it_says(name: &str) {
    let vector = committed(name);
    let name = |field: &str| text(&vector, field).to_owned();
    let owner = Owner { tenant: name("tenant"), user: name("user"), epoch: vector["epoch"].as_u64().unwrap() };
    let mut key = unhex(text(&vector, "key")).try_into().unwrap();
    let device = DeviceId(unhex(text(&vector, "device")).try_into().unwrap());
    let keys = ArchiveKeys::new(&Secret::take(&mut key), &owner);
    let archive = Archive::open(store(&vector), keys, &[device]).unwrap().sound().unwrap();
    assert_eq!(archive.id(), archive_of(&vector));
    let (seq, digest) = remembered(&vector["newest"]);
    archive.remember(device, seq, digest).unwrap();
    let versions = vector["versions"].as_array().unwrap();
    assert_eq!(archive.versions().len(), versions.len());
    for (version, right) in archive.versions().iter().zip(versions) {
        assert_eq!((version.seq, version.digest), remembered(right));
        let tree = right["tree"].as_array().unwrap();
        let entries: Vec<_> = archive.tree(version).collect::<Result<_, _>>().unwrap();
        assert_eq!(entries.len(), tree.len());
        for (entry, right) in entries.iter().zip(tree) {
            let components: Vec<Value> = entry.path.components().map(|name| Value::from(hex(name))).collect();
            assert_eq!(Value::from(components), right["path"]);
            assert_eq!(Value::from(entry.meta.mode), right["mode"]);
            assert_eq!(matches!(entry.kind, EntryKind::File { .. }), right["kind"] == "file");
            if let EntryKind::File { content, .. } = &entry.kind {
                let mut bytes = Vec::new();
                archive.copy_content(content, &mut bytes).unwrap();
                assert_eq!(hex(Sha256::digest(&bytes)), text(right, "sha256"));
            }
        }
    }
}

#[test]
fn the_archives_read_as_they_say() {
    reads_as_it_says("archive.json");
    reads_as_it_says("standalone.json");
}

fn archive_of(context: &Value) -> ArchiveId {
    ArchiveId(unhex(text(context, "archive")).try_into().unwrap())
}

fn read_part(context: &Value, part: &str, bytes: &[u8]) -> Result<(), ArchiveError> {
    let archive = archive_of(context);
    let number = |field: &str| context[field].as_u64().unwrap();
    let place = Place { segment: number("segment"), offset: number("offset") };
    match part {
        "segment" => decode_segment_head(bytes).map(drop),
        "record" => decode_frame_head(place, bytes).map(drop),
        "block" => open_block(&keys(), archive, bytes.to_vec()).map(drop),
        "index" => open_index(&keys(), archive, bytes).map(drop),
        "manifest" => {
            let manifest = decode_manifest(bytes)?;
            let (device, seq) = (manifest.clear.device, manifest.clear.seq);
            if !sign::verify(&device.0, labels::SIGN_MANIFEST, &manifest.body, &manifest.signature) {
                return Err(ArchiveError::BadSignature { device, seq });
            }
            manifest.open_root(&keys()).map(drop)
        }
        "retention" => decode_retention(bytes).map(drop),
        "tree" => decode_tree(bytes).map(drop),
        _ => panic!("no part is called {part}"),
    }
}

fn parts_read_as_they_say(file: &str) {
    let file = committed(file);
    let mut wrong = Vec::new();
    for vector in file["vectors"].as_array().unwrap() {
        let (part, name, error) = (text(vector, "part"), text(vector, "name"), text(vector, "error"));
        let found = read_part(&file["context"], part, &bytes(&vector["bytes"]));
        let found = found.map_or_else(|error| error.name(), |()| "");
        if found != error {
            wrong.push(format!("{part} {name}: {found:?}, not {error:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_malformed_part_is_refused_by_its_name() {
    parts_read_as_they_say("malformed_parts.json");
}

#[test]
fn only_strict_signatures_hold() {
    parts_read_as_they_say("signatures.json");
}

/// The rules of GEN-24 that a signature breaks. Nothing, if not even the equation times the cofactor holds.
fn broken(device: [u8; 32], message: &[u8], signature: &[u8]) -> Option<Vec<&'static str>> {
    let (r, s): ([u8; 32], [u8; 32]) = (signature[..32].try_into().unwrap(), signature[32..].try_into().unwrap());
    let [key, point] = [device, r].map(|bytes| CompressedEdwardsY(bytes).decompress().unwrap());
    let scalar = Scalar::from_bytes_mod_order(s);
    let right = EdwardsPoint::mul_base(&scalar) - key * challenge(r, device, message);
    let rules = [
        ("key", !key.is_small_order()),
        ("r", !point.is_small_order()),
        ("scalar", scalar.to_bytes() == s),
        ("equation", right.compress().to_bytes() == r),
    ];
    let broken = rules.iter().filter(|(_, kept)| !kept).map(|(rule, _)| *rule).collect();
    (right - point).is_small_order().then_some(broken)
}

/// Each would hold for a verifier without the rules that it is said to break: it is refused by these alone.
#[test]
fn each_signature_breaks_what_it_says() {
    for vector in committed("signatures.json")["vectors"].as_array().unwrap() {
        let (body, signature) = minicbor::decode::<(ByteVec, ByteVec)>(&bytes(&vector["bytes"])).unwrap();
        let label = if text(vector, "part") == "manifest" { labels::SIGN_MANIFEST } else { labels::SIGN_RETENTION };
        let message = [label.as_bytes(), &Sha256::digest(&*body)].concat();
        let device = unhex(text(vector, "device")).try_into().unwrap();
        let broken = broken(device, &message, &signature).map(Value::from);
        assert_eq!(broken.as_ref(), Some(&vector["breaks"]), "{}", text(vector, "name"));
    }
}

/// The names of what is wrong, read to the last byte, and the numbers of the versions of which nothing is lost.
fn read(store: MemoryStore, id: ArchiveId, (seq, digest): (u64, Digest)) -> (Vec<&'static str>, Vec<u64>) {
    let archive = match Archive::open(store, keys(), &trusted()) {
        Ok(archive) => archive,
        Err(error) => return (vec![error.name()], Vec::new()),
    };
    assert_eq!(archive.id(), id);
    let mut names: Vec<&'static str> = archive.damage().iter().map(|damage| damage.error.name()).collect();
    names.extend(archive.remember(trusted()[0], seq, digest).err().map(|error| error.name()));
    let mut restored = Vec::new();
    for version in archive.versions() {
        let known = names.len();
        for entry in archive.tree(version) {
            let read = entry.and_then(|entry| match &entry.kind {
                EntryKind::File { content, .. } => archive.copy_content(content, &mut Vec::new()),
                _ => Ok(()),
            });
            names.extend(read.err().map(|error| error.name()));
        }
        if names.len() == known {
            restored.push(version.seq);
        }
    }
    (names, restored)
}

#[test]
fn every_malformed_archive_is_named_and_the_rest_of_it_restored() {
    let file = committed("malformed_archives.json");
    let mut wrong = Vec::new();
    for vector in file["vectors"].as_array().unwrap() {
        let (name, error) = (text(vector, "name"), text(vector, "error"));
        let (names, restored) = read(store(vector), archive_of(&file["context"]), remembered(&vector["remembered"]));
        let named = if error.is_empty() { names.is_empty() } else { names.contains(&error) };
        if !named || vector["restored"] != Value::from(restored.clone()) {
            wrong.push(format!("{name}: {names:?}, restored {restored:?}; {error:?}, {}", vector["restored"]));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
