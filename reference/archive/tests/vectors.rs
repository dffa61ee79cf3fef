//! The committed vectors of the archive format: they are what is generated now, and every one reads as it says.

#[path = "vectors/generate.rs"]
mod generate;

use std::collections::{BTreeMap, BTreeSet};

use bailee_archive::block::{block_id, decode_block, open_block};
use bailee_archive::manifest::{decode_manifest, open_index};
use bailee_archive::retention::decode_retention;
use bailee_archive::segment::{Kind, decode_frame_head, decode_segment_head, scan_segment};
use bailee_archive::tree::{EntryKind, decode_tree};
use bailee_archive::{
    Archive, ArchiveError, ArchiveId, ArchiveKeys, BlockId, DeviceId, Digest, FolderStore, Lost, MemoryStore, Place,
    ReadStore, Version,
};
use bailee_core::crypto::keys::{Owner, Secret};
use bailee_core::crypto::{labels, sign};
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::{EdwardsPoint, Scalar};
use generate::signatures::challenge;
use generate::{files, folder, hex, keys, trusted};
use minicbor::bytes::ByteVec;
use serde_json::{Map, Value, json};
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

/// What an archive has one of, or a list of several.
fn each<'a>(vector: &'a Value, field: &str) -> Vec<&'a Value> {
    vector[field].as_array().map_or_else(|| vec![vector], |all| all.iter().collect())
}

fn device_of(hex: &str) -> DeviceId {
    DeviceId(unhex(hex).try_into().unwrap())
}

fn devices_of(vector: &Value) -> Vec<DeviceId> {
    each(vector, "devices").iter().map(|device| device_of(text(device, "device"))).collect()
}

/// The keys of the epochs for which `known` says so; the latest of them writes.
fn keys_of(vector: &Value, known: impl Fn(u64) -> bool) -> ArchiveKeys {
    let name = |field: &str| text(vector, field).to_owned();
    let epochs = each(vector, "epochs").into_iter().rev().map(|epoch| {
        let owner = Owner { tenant: name("tenant"), user: name("user"), epoch: epoch["epoch"].as_u64().unwrap() };
        (Secret::take(&mut unhex(text(epoch, "key")).try_into().unwrap()), owner)
    });
    let mut epochs = epochs.filter(|(_, owner)| known(owner.epoch));
    let (key, owner) = epochs.next().unwrap();
    epochs.fold(ArchiveKeys::new(&key, &owner), |keys, (key, owner)| keys.with_former(&key, &owner))
}

fn reads_as_it_says(name: &str) {
    let vector = committed(name);
    store_reads_as_it_says(&vector, store(&vector));
}

fn store_reads_as_it_says(vector: &Value, store: impl ReadStore) {
    let devices = devices_of(vector);
    let archive = Archive::open(store, keys_of(vector, |_| true), &devices).unwrap().sound().unwrap();
    assert_eq!(archive.id(), archive_of(vector));
    for (device, stated) in devices.iter().zip(each(vector, "devices")) {
        let newest = remembered(&stated["newest"]);
        assert_eq!(archive.newest(*device), Some(newest));
        archive.remember(*device, newest.0, newest.1).unwrap();
    }
    let versions = vector["versions"].as_array().unwrap();
    assert_eq!(archive.versions().len(), versions.len());
    for (version, right) in archive.versions().iter().zip(versions) {
        assert_eq!((version.seq, version.digest), remembered(right));
        assert_eq!(version.device, right["device"].as_str().map_or(devices[0], device_of));
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
    reads_as_it_says("devices.json");
    reads_as_it_says("epochs.json");
    reads_as_it_says("clocks.json");
}

fn in_a_folder(files: &Value) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files.as_object().unwrap() {
        std::fs::write(folder.path().join(name), unhex(content.as_str().unwrap())).unwrap();
    }
    folder
}

#[test]
fn an_archive_is_found_in_its_folder() {
    let vector = committed("folder.json");
    let folder = in_a_folder(&vector["files"]);
    store_reads_as_it_says(&vector, FolderStore::open(folder.path()).unwrap());
    for named in vector["names"].as_array().unwrap() {
        let name = text(named, "name");
        let folder = in_a_folder(&json!({ name: "" }));
        let numbers = FolderStore::open(folder.path()).unwrap().list().unwrap();
        assert_eq!(numbers, Vec::from_iter(named["number"].as_u64()), "{name:?}");
    }
}

#[test]
fn every_field_is_described() {
    for name in files().keys() {
        let file = committed(name);
        let described: BTreeSet<String> = file["fields"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(described, generate::fields::names(&file), "{name}");
    }
}

/// Anyone who lacks a device or a key epoch is told so, and restores what needs neither.
#[test]
fn who_knows_less_restores_less() {
    for file in ["devices.json", "epochs.json", "clocks.json"] {
        let vector = committed(file);
        for less in vector["knowing_less"].as_array().unwrap() {
            let has = |epoch: u64| less["epochs"].as_array().unwrap().contains(&epoch.into());
            let devices: Vec<_> = less["devices"]
                .as_array()
                .unwrap()
                .iter()
                .map(|device| device_of(device.as_str().unwrap()))
                .collect();
            let archive = Archive::open(store(&vector), keys_of(&vector, has), &devices).unwrap();
            assert_eq!(archive.id(), archive_of(&vector));
            let (names, restored) = read_to_the_end(&archive);
            assert!(names.contains(&text(less, "error")), "{file}, {less}: {names:?}");
            let restored: Value = restored
                .iter()
                .map(|version| Value::from(vec![Value::from(hex(version.device.0)), version.seq.into()]))
                .collect();
            assert_eq!(restored, less["restored"], "{file}, {less}: {names:?}");
        }
    }
}

/// The records of an archive that are of this kind.
fn records(vector: &Value, kind: Kind) -> Vec<Vec<u8>> {
    let store = store(vector);
    let scans = store.segments.keys().map(|&number| scan_segment(&store, number, archive_of(vector)).unwrap());
    let frames = scans.flat_map(|scan| scan.frames).filter(|frame| frame.head.kind == kind);
    frames.map(|frame| frame.read(&store).unwrap()).collect()
}

/// The blocks that the manifest of this number lists, if it is there.
fn listed(vector: &Value, device: DeviceId, seq: u64) -> Option<BTreeSet<BlockId>> {
    let clears = records(vector, Kind::Manifest).into_iter().map(|bytes| decode_manifest(&bytes).unwrap().clear);
    let clear = clears.into_iter().find(|clear| (clear.device, clear.seq) == (device, seq))?;
    Some(clear.blocks.iter().map(|block| block.id).collect())
}

/// BAK-15: what the vectors of several are there for is in them.
#[test]
fn several_devices_share_blocks_and_a_version_has_blocks_of_several_epochs() {
    let vector = committed("devices.json");
    let devices = devices_of(&vector);
    let at = |device: usize, seq| listed(&vector, devices[device], seq);
    assert!(!at(0, 1).unwrap().is_disjoint(&at(1, 1).unwrap()), "the second device stores nothing twice");
    assert!(at(0, 2).is_none() && at(0, 3).is_some(), "a version follows one that is gone");

    let vector = committed("epochs.json");
    let device = devices_of(&vector)[0];
    let former = records(&vector, Kind::Block).into_iter().filter(|block| decode_block(block).unwrap().0.epoch == 0);
    let former: BTreeSet<BlockId> = former.map(|block| block_id(&block).unwrap()).collect();
    let of_former = [1, 2, 3].map(|seq| {
        let blocks = listed(&vector, device, seq).unwrap();
        (blocks.intersection(&former).count(), blocks.len())
    });
    assert!(matches!(of_former, [(first, all), (some, more), (0, _)] if first == all && 0 < some && some < more));
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

/// BAK-6, BAK-11.
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

/// The names of what is wrong, read to the last byte, and the versions of which nothing is lost.
fn read_to_the_end(archive: &Archive<MemoryStore>) -> (Vec<&'static str>, Vec<&Version>) {
    let mut names: Vec<&'static str> = archive.damage().iter().map(|damage| damage.error.name()).collect();
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
            restored.push(version);
        }
    }
    (names, restored)
}

/// As [`read_to_the_end`], with the numbers of the versions and, where a vector says it, the paths that are lost; a link is remembered, and perhaps which archive it is.
fn read(vector: &Value, id: ArchiveId) -> (Vec<&'static str>, Vec<u64>, Value) {
    let opened = if vector["knows"] == true {
        Archive::open_as(store(vector), id, keys(), &trusted())
    } else {
        Archive::open(store(vector), keys(), &trusted())
    };
    let mut archive = match opened {
        Ok(archive) => archive,
        Err(error) => return (vec![error.name()], Vec::new(), Value::Null),
    };
    assert_eq!(archive.id(), id);
    let (seq, digest) = remembered(&vector["remembered"]);
    let (mut names, restored) = read_to_the_end(&archive);
    let mut restored: Vec<(u64, Digest)> = restored.iter().map(|version| (version.seq, version.digest)).collect();
    names.extend(archive.remember(trusted()[0], seq, digest).err().map(|error| error.name()));
    let mut paths = Value::Null;
    if vector["error"] != "" {
        let report = archive.check(true, &mut |_, _| ());
        let more = report.damage.iter().map(|damage| damage.error.name()).filter(|name| !names.contains(name));
        names.extend(more.collect::<Vec<_>>());
        if vector["lost"].is_object() {
            names.extend(report.lost.iter().map(|lost| lost.error.name()));
            restored.retain(|(_, digest)| report.lost.iter().all(|lost| lost.version != *digest));
            paths = lost_paths(&archive, &report.lost).into();
        }
    }
    (names, restored.into_iter().map(|(seq, _)| seq).collect(), paths)
}

fn counted<'a>(names: &[&'a str]) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for &name in names {
        *counts.entry(name).or_default() += 1;
    }
    counts
}

/// The paths that are lost of each version, by its number.
fn lost_paths(archive: &Archive<MemoryStore>, lost: &[Lost]) -> Map<String, Value> {
    let mut paths = Map::new();
    for lost in lost {
        let version = archive.versions().iter().find(|version| version.digest == lost.version).unwrap();
        let path: Vec<Value> = lost.path.as_ref().unwrap().components().map(|name| hex(name).into()).collect();
        let of_version = paths.entry(version.seq.to_string()).or_insert_with(|| Value::Array(Vec::new()));
        of_version.as_array_mut().unwrap().push(path.into());
    }
    paths
}

/// Whether what is named is what a vector says: its error, and perhaps how often, and what is not.
fn names_agree(vector: &Value, names: &[&str]) -> bool {
    let error = text(vector, "error");
    let times = names.iter().filter(|name| **name == error).count();
    let named = if error.is_empty() { names.is_empty() } else { times > 0 };
    let often = vector["times"].as_u64().is_none_or(|stated| stated == times as u64);
    let not = vector["not"].as_array().into_iter().flatten().any(|not| names.contains(&not.as_str().unwrap()));
    named && often && !not
}

/// What a check with `read_data` calls whole is restored: index records that name a wrong block, references of a wrong length, hard
/// links to nothing are no exception.
#[test]
fn a_check_calls_nothing_whole_that_is_not_restored() {
    let file = committed("malformed_archives.json");
    let (id, mut lossy) = (archive_of(&file["context"]), 0);
    for vector in file["vectors"].as_array().unwrap() {
        let Ok(mut archive) = Archive::open_as(store(vector), id, keys(), &trusted()) else { continue };
        let report = archive.check(true, &mut |_, _| ());
        let is_whole = archive.damage_count() == 0 && report.damage.is_empty() && report.lost.is_empty();
        let is_restored = |version: &Version| {
            archive.tree(version).all(|entry| {
                entry.is_ok_and(|entry| match &entry.kind {
                    EntryKind::File { content, .. } => archive.copy_content(content, &mut Vec::new()).is_ok(),
                    EntryKind::HardLink { to } => archive
                        .find_entry(version, to)
                        .is_ok_and(|first| first.is_some_and(|first| matches!(first.kind, EntryKind::File { .. }))),
                    _ => true,
                })
            })
        };
        for version in archive.versions() {
            let restored = is_restored(version);
            let lost = report.lost.iter().any(|lost| lost.version == version.digest);
            lossy += u32::from(!restored);
            assert!(
                restored || lost,
                "{}: version {} is not restored, and the check has no loss",
                text(vector, "name"),
                version.seq
            );
            assert!(restored || !is_whole);
        }
    }
    assert!(lossy > 10, "{lossy} versions have lost something");
}

#[test]
fn every_malformed_archive_is_named_and_the_rest_of_it_restored() {
    let file = committed("malformed_archives.json");
    let mut wrong = Vec::new();
    for vector in file["vectors"].as_array().unwrap() {
        let (name, error) = (text(vector, "name"), text(vector, "error"));
        let (names, restored, lost) = read(vector, archive_of(&file["context"]));
        let restored_right = vector["restored"] == Value::from(restored.clone()) && vector["lost"] == lost;
        if !names_agree(vector, &names) || !restored_right {
            let names = counted(&names);
            wrong.push(format!("{name}: {names:?}, restored {restored:?}; {error:?}, {}", vector["restored"]));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
