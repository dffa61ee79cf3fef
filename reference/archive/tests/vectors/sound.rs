//! A sound archive with everything that one may have.

use bailee_archive::testing::Seeded;
use bailee_archive::tree::{Entry, EntryKind, Meta, Time, Xattr};
use bailee_archive::{Archive, BackUp, Counters, DeviceId, MemoryStore, Padding, Prune, TreePath, Version};
use bailee_core::crypto::sign::Signing;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::cuts::counted;
use super::{DEVICE_SEED, KEY, device, hex, hex_segments, keys, path, trusted};

/// The entries of a version, with the contents of files.
pub(crate) fn entries(version: u8) -> Vec<(Entry, Vec<u8>)> {
    let file = |sparse, changed| EntryKind::File { content: Default::default(), changed, sparse };
    let xattr =
        |name: &str, value: &[u8]| Xattr { name: name.as_bytes().to_vec().into(), value: value.to_vec().into() };
    let meta = Meta {
        mode: 0o4755,
        uid: 1000,
        gid: 65_536,
        mtime: Time { seconds: -1, nanoseconds: 999_999_999 },
        xattrs: vec![xattr("user.a", b""), xattr("user.b", &[0, 255])],
    };
    let plain = |path: TreePath, kind, content: Vec<u8>| (Entry { path, meta: Meta::default(), kind }, content);
    vec![
        plain(TreePath::root(), EntryKind::Directory, Vec::new()),
        plain(path("dir"), EntryKind::Directory, Vec::new()),
        (Entry { path: path("dir/all"), meta, kind: file(false, true) }, vec![version; 40]),
        plain(path("dir/empty"), file(false, false), Vec::new()),
        plain(path("dir/same"), file(false, false), counted(1000)),
        plain(path("dir-2"), EntryKind::Directory, Vec::new()),
        plain(path("disk"), EntryKind::Device { block: true, major: 8, minor: 300 }, Vec::new()),
        plain(path("link"), EntryKind::Symlink { target: b"../outside".to_vec() }, Vec::new()),
        plain(path("name"), EntryKind::HardLink { to: path("dir/same") }, Vec::new()),
        plain(path("plug"), EntryKind::Socket, Vec::new()),
        plain(path("zeros"), file(true, false), vec![0; 300_000]),
        plain(TreePath::root().join(b"\xff\xfe").unwrap(), EntryKind::Fifo, Vec::new()),
    ]
}

pub(crate) fn back_up(
    device: &Signing,
    archive: Archive<MemoryStore>,
    version: u8,
    entries: &[(Entry, Vec<u8>)],
    segment_bytes: u64,
    padding: Padding,
) -> Archive<MemoryStore> {
    let time = Time { seconds: i64::from(version) * 1000 - 2000, nanoseconds: 5 };
    back_up_at(time, device, archive, version, entries, segment_bytes, padding)
}

/// As [`back_up`], by a clock of its own.
pub(crate) fn back_up_at(
    time: Time,
    device: &Signing,
    archive: Archive<MemoryStore>,
    version: u8,
    entries: &[(Entry, Vec<u8>)],
    segment_bytes: u64,
    padding: Padding,
) -> Archive<MemoryStore> {
    let (random, counters) = (Seeded(version.into()), Counters::default());
    let how = BackUp { segment_bytes, padding, ..BackUp::new(device, time, &random, &counters) };
    let mut writer = archive.begin(&how).unwrap();
    for (entry, bytes) in entries {
        let mut entry = entry.clone();
        if let EntryKind::File { content, .. } = &mut entry.kind {
            *content = writer.content(&mut &bytes[..]).unwrap();
        }
        writer.entry(&entry).unwrap();
    }
    writer.commit(time, format!("version {version}").as_bytes()).unwrap().0
}

fn described(entry: &Entry, bytes: &[u8]) -> Value {
    let meta = &entry.meta;
    let mut value = json!({
        "path": entry.path.components().map(hex).collect::<Vec<_>>(),
        "mode": meta.mode, "uid": meta.uid, "gid": meta.gid,
        "mtime": [meta.mtime.seconds, meta.mtime.nanoseconds],
        "xattrs": meta.xattrs.iter().map(|xattr| [hex(&*xattr.name), hex(&*xattr.value)]).collect::<Vec<_>>(),
    });
    let more = match &entry.kind {
        EntryKind::File { changed, sparse, .. } => json!({
            "kind": "file", "size": bytes.len(), "sha256": hex(Sha256::digest(bytes)), "changed": changed, "sparse": sparse,
        }),
        EntryKind::Directory => json!({ "kind": "directory" }),
        EntryKind::Symlink { target } => json!({ "kind": "symlink", "target": hex(target) }),
        EntryKind::HardLink { to } => {
            json!({ "kind": "hard link", "to": to.components().map(hex).collect::<Vec<_>>() })
        }
        EntryKind::Fifo => json!({ "kind": "fifo" }),
        EntryKind::Socket => json!({ "kind": "socket" }),
        EntryKind::Device { block, major, minor } => {
            json!({ "kind": "device", "block": block, "major": major, "minor": minor })
        }
    };
    if let (Some(value), Value::Object(more)) = (value.as_object_mut(), more) {
        value.extend(more);
    }
    value
}

/// A version of these entries as the vectors have it.
pub(crate) fn told(version: &Version, entries: &[(Entry, Vec<u8>)]) -> Value {
    let root = &version.root;
    json!({
        "seq": version.seq, "digest": hex(version.digest.0),
        "time": [root.time.seconds, root.time.nanoseconds], "label": hex(&*root.label),
        "entries": root.entries, "bytes": root.bytes,
        "tree": entries.iter().map(|(entry, bytes)| described(entry, bytes)).collect::<Vec<_>>(),
    })
}

/// The newest link of a device, as the device remembers it.
pub(crate) fn newest(archive: &Archive<MemoryStore>, device: DeviceId) -> Value {
    let (seq, digest) = archive.newest(device).unwrap();
    json!({ "seq": seq, "digest": hex(digest.0) })
}

/// Three versions, of which the first is forgotten and pruned away.
pub(crate) fn archive() -> Value {
    let mut archive = Archive::create(MemoryStore::default(), keys(), &Seeded(0)).unwrap();
    for version in 1..=3 {
        let padding = if version == 2 { Padding::Exact } else { Padding::Padme };
        archive = back_up(&device(), archive, version, &entries(version), 1_500, padding);
    }
    let first = archive.versions()[0].digest;
    let archive = archive.forget(&[first], &device()).unwrap();
    let (device, random, counters) = (device(), Seeded(4), Counters::default());
    let how = BackUp { segment_bytes: 1_500, ..BackUp::new(&device, Time::default(), &random, &counters) };
    let (archive, _) = archive.prune(&Prune { unneeded_percent: 0 }, &how).unwrap();
    let versions: Vec<Value> =
        archive.versions().iter().zip(2..).map(|(version, number)| told(version, &entries(number))).collect();
    json!({
        "tenant": "tenant", "user": "user", "epoch": 0, "key": hex(KEY), "device_seed": hex(DEVICE_SEED),
        "device": hex(device.public()), "archive": hex(archive.id().0),
        "newest": newest(&archive, trusted()[0]),
        "versions": versions,
        "segments": hex_segments(&archive.into_store()),
    })
}
