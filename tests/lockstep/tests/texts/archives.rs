//! Real bytes of archives, by the rule of `spec/formats.cddl` that they must fit: versions of a folder with an entry of
//! every kind.

use std::collections::HashSet;

use bailee_archive::block::BLOCK_HEADER_BYTES;
use bailee_archive::limits::ITEM_BYTES;
use bailee_archive::manifest::{decode_manifest, open_index};
use bailee_archive::retention::decode_retention;
use bailee_archive::segment::{FRAME_HEAD_BYTES, Frame, Kind, SEGMENT_HEAD_BYTES, scan_segment};
use bailee_archive::tree::{Content, Entry, EntryKind, Item, Meta, Time, Xattr, decode_item};
use bailee_archive::{
    Archive, ArchiveKeys, BackUp, Counters, DeviceId, MachineId, MemoryStore, Origin, System, TreePath,
};
use bailee_core::cbor;
use bailee_core::crypto::keys::{Owner, Secret};
use bailee_core::crypto::sign::Signing;
use bailee_core::wire::Blob;

use super::samples::Sample;

fn keys() -> ArchiveKeys {
    let owner = Owner { tenant: "tenant".into(), user: "user".into(), epoch: 0 };
    ArchiveKeys::new(&Secret::take(&mut [7; 32]), &owner)
}

fn path(name: &str) -> TreePath {
    TreePath::root().join(name.as_bytes()).unwrap()
}

/// Everything but files, in the order of paths; a hard link's first name is `a`.
fn special_entries() -> Vec<Entry> {
    let xattr = Xattr { name: b"user.note".to_vec().into(), value: Vec::new().into() };
    let mtime = Time { seconds: -1, nanoseconds: 999_999_999 };
    let meta = Meta { mode: 0o7777, uid: u32::MAX, gid: 0, mtime, xattrs: vec![xattr] };
    let kinds = [
        ("b", EntryKind::HardLink { to: path("a") }),
        ("c", EntryKind::Directory),
        ("d", EntryKind::Symlink { target: b"/nowhere".to_vec() }),
        ("e", EntryKind::Fifo),
        ("f", EntryKind::Socket),
        ("g", EntryKind::Device { block: true, major: 8, minor: u32::MAX }),
    ];
    kinds.map(|(name, kind)| Entry { path: path(name), meta: meta.clone(), kind }).into()
}

fn back_up(
    archive: Archive<MemoryStore>,
    device: &Signing,
    file: &[u8],
    origin: Option<&Origin>,
) -> Archive<MemoryStore> {
    let counters = Counters::default();
    let how = BackUp { origin, ..BackUp::new(device, Time::default(), &System, &counters) };
    let mut writer = archive.begin(&how).unwrap();
    let plain = |path, kind| Entry { path, meta: Meta::default(), kind };
    writer.entry(&plain(TreePath::root(), EntryKind::Directory)).unwrap();
    let content = writer.content(&mut &file[..]).unwrap();
    writer.entry(&plain(path("a"), EntryKind::File { content, changed: true, sparse: true })).unwrap();
    for entry in special_entries() {
        writer.entry(&entry).unwrap();
    }
    writer.commit(Time::default(), b"label").unwrap().0
}

/// What a record holds, and what it seals.
fn record(archive: &Archive<MemoryStore>, kind: Kind, payload: Vec<u8>) -> Vec<Sample> {
    match kind {
        Kind::Block => {
            let header = payload[..BLOCK_HEADER_BYTES].to_vec();
            vec![raw("block-header-bytes", header), raw("block-bytes", payload)]
        }
        Kind::Index => {
            let plain = cbor::encode(&open_index(&keys(), archive.id(), &payload).unwrap());
            vec![("index-record".into(), payload), ("index-plain".into(), plain)]
        }
        Kind::Manifest => {
            let root = decode_manifest(&payload).unwrap().open_root(&keys()).unwrap();
            let mut tree = Vec::new();
            archive.copy_content(&Content { size: 0, chunks: root.tree.clone() }, &mut tree).unwrap();
            let mut out = vec![("manifest".into(), payload), ("manifest-root".into(), cbor::encode(&root))];
            out.extend(items(&tree));
            out
        }
        Kind::Retention => {
            decode_retention(&payload).unwrap();
            vec![("retention".into(), payload)]
        }
    }
}

/// The items of a tree, without the lengths in front of them.
fn items(mut tree: &[u8]) -> Vec<Sample> {
    let mut out = Vec::new();
    while !tree.is_empty() {
        let (_, length) = decode_item(tree).unwrap();
        out.push(("item".into(), tree[4..length].to_vec()));
        tree = &tree[length..];
    }
    out
}

/// Bytes that are no CBOR: the grammar speaks of them as of a byte string.
fn raw(rule: &str, bytes: Vec<u8>) -> Sample {
    (rule.into(), cbor::encode(&Blob::from(bytes)))
}

/// Every record of an archive of four versions, of which one is forgotten: they say nothing, something and all of their origin.
pub(crate) fn records() -> Vec<Sample> {
    let device = Signing::from_seed(&[3; 32]);
    let archive = Archive::create(MemoryStore::default(), keys(), &System).unwrap();
    let unknown = Origin { host: b"host".to_vec(), user: Vec::new(), machine: None };
    let known = Origin { user: b"user".to_vec(), machine: Some(MachineId([5; 16])), ..unknown.clone() };
    let archive = back_up(archive, &device, b"first", None);
    let archive = back_up(archive, &device, b"changed", Some(&unknown));
    let archive = back_up(archive, &device, b"again", Some(&known));
    let archive = back_up(archive, &device, b"forgotten", None);
    let last = archive.versions()[3].digest;
    let store = archive.forget(&[last], &device).unwrap().into_store();
    let archive = Archive::open(store.clone(), keys(), &[DeviceId(device.public())]).unwrap();
    let mut out = Vec::new();
    for (number, bytes) in &store.segments {
        out.push(raw("segment-head-bytes", bytes[..SEGMENT_HEAD_BYTES].to_vec()));
        for frame in scan_segment(&store, *number, archive.id()).unwrap().frames {
            out.push(raw("record-head-bytes", head_of(bytes, &frame)));
            out.extend(record(&archive, frame.head.kind, frame.read(&store).unwrap()));
        }
    }
    out
}

fn head_of(segment: &[u8], frame: &Frame) -> Vec<u8> {
    let end = frame.payload.offset as usize;
    segment[end - FRAME_HEAD_BYTES..end].to_vec()
}

/// How many kinds of entries the samples show.
pub(crate) fn kinds_of_entries(samples: &[Sample]) -> usize {
    let items = samples.iter().filter(|(rule, _)| rule == "item");
    let kinds: HashSet<_> = items
        .filter_map(|(_, bytes)| match cbor::decode(bytes, ITEM_BYTES).unwrap() {
            Item::Entry(record) => Some(std::mem::discriminant(&record.kind)),
            Item::Chunks(_) => None,
        })
        .collect();
    kinds.len()
}
