//! What the committed vectors of the archive format are made from: `spec/vectors/archive/*.json`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bailee_archive::block::{BlockHeader, Form, padme};
use bailee_archive::segment::{FrameHead, Kind, SegmentHead, decode_segment_head, scan_segment};
use bailee_archive::testing::Seeded;
use bailee_archive::tree::{ChunkRef, Entry, EntryKind, Item, Meta, Record, RecordKind, Time, Xattr};
use bailee_archive::{
    Archive, ArchiveId, ArchiveKeys, BackUp, Counters, DeviceId, MemoryStore, Padding, Place, Prune, Randomness,
    TreePath,
};
use bailee_core::cbor;
use bailee_core::crypto::keys::{Owner, Secret, subkey};
use bailee_core::crypto::sign::Signing;
use bailee_core::crypto::{labels, seal};
use minicbor::Encode;
use minicbor::bytes::ByteVec;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const KEY: [u8; 32] = [0x4b; 32];
const DEVICE_SEED: [u8; 32] = [0x5d; 32];
/// The place at which heads of records are read.
pub(crate) const PLACE: Place = Place { segment: 1, offset: 33 };

fn owner() -> Owner {
    Owner { tenant: "tenant".into(), user: "user".into(), epoch: 0 }
}

pub(crate) fn keys() -> ArchiveKeys {
    ArchiveKeys::new(&Secret::take(&mut { KEY }), &owner())
}

fn device() -> Signing {
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

/// Every file of vectors, by name.
pub(crate) fn files() -> BTreeMap<&'static str, String> {
    let files = [
        ("archive.json", archive()),
        ("cuts.json", cuts()),
        ("malformed_parts.json", Value::Array(Parts::all())),
        ("malformed_archives.json", Value::Array(malformed_archives())),
    ];
    files.map(|(name, value)| (name, serde_json::to_string_pretty(&value).unwrap_or_default() + "\n")).into()
}

// ---------------------------------------------------------------------------------------------- a sound archive

fn path(name: &str) -> TreePath {
    TreePath::new(name.split('/')).unwrap()
}

fn counted(length: usize) -> Vec<u8> {
    (0u64..).flat_map(|number| Sha256::digest(number.to_be_bytes())).take(length).collect()
}

/// The entries of a version, with the contents of files.
fn entries(version: u8) -> Vec<(Entry, Vec<u8>)> {
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

fn back_up(
    archive: Archive<MemoryStore>,
    version: u8,
    entries: &[(Entry, Vec<u8>)],
    segment_bytes: u64,
    padding: Padding,
) -> Archive<MemoryStore> {
    let (device, random, counters) = (device(), Seeded(version.into()), Counters::default());
    let time = Time { seconds: i64::from(version) * 1000 - 2000, nanoseconds: 5 };
    let how = BackUp { segment_bytes, padding, ..BackUp::new(&device, time, &random, &counters) };
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

fn hex_segments(store: &MemoryStore) -> Value {
    store.segments.iter().map(|(number, bytes)| (number.to_string(), Value::from(hex(bytes)))).collect()
}

/// Three versions, of which the first is forgotten and pruned away.
fn archive() -> Value {
    let mut archive = Archive::create(MemoryStore::default(), keys(), &Seeded(0)).unwrap();
    for version in 1..=3 {
        let padding = if version == 2 { Padding::Exact } else { Padding::Padme };
        archive = back_up(archive, version, &entries(version), 1_500, padding);
    }
    let first = archive.versions()[0].digest;
    let archive = archive.forget(&[first], &device()).unwrap();
    let (device, random, counters) = (device(), Seeded(4), Counters::default());
    let how = BackUp { segment_bytes: 1_500, ..BackUp::new(&device, Time::default(), &random, &counters) };
    let (archive, _) = archive.prune(&Prune { unneeded_percent: 0 }, &how).unwrap();
    let (seq, digest) = archive.newest(trusted()[0]).unwrap();
    let versions: Vec<Value> = archive
        .versions()
        .iter()
        .zip(2..)
        .map(|(version, number)| {
            json!({
                "seq": version.seq, "digest": hex(version.digest.0),
                "time": [version.root.time.seconds, version.root.time.nanoseconds], "label": hex(&*version.root.label),
                "entries": version.root.entries, "bytes": version.root.bytes,
                "tree": entries(number).iter().map(|(entry, bytes)| described(entry, bytes)).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "tenant": "tenant", "user": "user", "epoch": 0, "key": hex(KEY), "device_seed": hex(DEVICE_SEED),
        "device": hex(device.public()), "archive": hex(archive.id().0),
        "newest": { "seq": seq, "digest": hex(digest.0) },
        "versions": versions,
        "segments": hex_segments(&archive.into_store()),
    })
}

/// How a stream is cut.
fn cuts() -> Value {
    let stream = counted(1_000_000);
    let archive = Archive::create(MemoryStore::default(), keys(), &Seeded(0)).unwrap();
    let (device, random, counters) = (device(), Seeded(1), Counters::default());
    let mut writer = archive.begin(&BackUp::new(&device, Time::default(), &random, &counters)).unwrap();
    let content = writer.content(&mut &stream[..]).unwrap();
    let chunks: Vec<Value> = content.chunks.iter().map(|chunk| json!([chunk.length, hex(chunk.id.0)])).collect();
    json!({
        "tenant": "tenant", "user": "user", "epoch": 0, "key": hex(KEY),
        "stream": "SHA-256 of each number from 0 on, as 8 bytes, big-endian; the first `length` bytes of all of them",
        "length": stream.len(),
        "chunks": chunks,
    })
}

// ---------------------------------------------------------------------------------------------- malformed parts

const ARCHIVE: ArchiveId = ArchiveId([0xa1; 16]);

fn branch(label: &str) -> [u8; 32] {
    *subkey(&Secret::take(&mut { KEY }), label, &owner())
}

fn sealed(key: &str, label: &str, header: &[u8], message: &[u8]) -> Vec<u8> {
    seal::seal_once(&branch(key), label, header, message, &mut *Seeded(9).stream(0))
}

fn bytes(bytes: impl AsRef<[u8]>) -> ByteVec {
    bytes.as_ref().to_vec().into()
}

fn pair(first: &[u8], second: &[u8]) -> Vec<u8> {
    cbor::encode(&(bytes(first), bytes(second)))
}

fn with(mut bytes: Vec<u8>, at: usize, byte: u8) -> Vec<u8> {
    bytes[at] = byte;
    bytes
}

#[derive(Default)]
struct Parts(Vec<Value>);

impl Parts {
    fn all() -> Vec<Value> {
        let mut parts = Parts::default();
        parts.heads();
        parts.blocks();
        parts.opened_blocks();
        parts.indexes();
        parts.manifests();
        parts.retentions();
        parts.trees();
        parts.0
    }

    fn add(&mut self, part: &str, name: &str, error: &str, bytes: &[u8]) {
        self.0.push(json!({ "part": part, "name": name, "error": error, "bytes": hex(bytes) }));
    }

    fn heads(&mut self) {
        let head = SegmentHead { archive: ARCHIVE, number: 1 }.encode().to_vec();
        self.add("segment", "sound", "", &head);
        self.add("segment", "cut", "Truncated", &head[..32]);
        self.add("segment", "magic", "Malformed", &with(head.clone(), 0, b'b'));
        self.add("segment", "version", "UnsupportedVersion", &with(head, 8, 2));
        let checked = |kind: u8, length: u32| {
            let place = [PLACE.segment.to_be_bytes(), PLACE.offset.to_be_bytes()].concat();
            let head = [&[kind][..], &length.to_be_bytes()].concat();
            let check = Sha256::digest([&place[..], &head].concat());
            [&head[..], &check[..4]].concat()
        };
        let head = checked(1, 100);
        self.add("record", "sound", "", &head);
        self.add("record", "cut", "Truncated", &head[..8]);
        self.add("record", "check", "Damaged", &with(head.clone(), 8, head[8] ^ 1));
        self.add("record", "length-altered", "Damaged", &with(head, 4, 101));
        self.add("record", "kind-0", "Malformed", &checked(0, 100));
        self.add("record", "kind-5", "Malformed", &checked(5, 100));
        self.add("record", "block-too-long", "TooLarge", &checked(1, 2_000_000));
        self.add("record", "index-too-long", "TooLarge", &checked(2, (4 << 20) + 1));
        self.add("record", "manifest-too-long", "TooLarge", &checked(3, (64 << 20) + 1));
        self.add("record", "retention-too-long", "TooLarge", &checked(4, (64 << 20) + 1));
    }

    fn blocks(&mut self) {
        let plain = plain(&[b"chunk"]);
        let sound = block(Form::Raw, &padded(&plain, plain.len(), Padding::Padme));
        self.add("block", "sound", "", &sound);
        self.add("block", "cut-in-header", "Truncated", &sound[..34]);
        self.add("block", "magic", "Malformed", &with(sound.clone(), 3, b'C'));
        self.add("block", "version", "UnsupportedVersion", &with(sound.clone(), 4, 2));
        self.add("block", "suite", "Malformed", &with(sound.clone(), 5, 2));
        self.add("block", "form", "Malformed", &with(sound.clone(), 6, 4));
        self.add("block", "not-a-padded-length", "Malformed", &with(sound.clone(), 34, 67));
        self.add("block", "cut-in-seal", "Disagrees", &sound[..sound.len() - 1]);
        self.add("block", "longer-than-stated", "Disagrees", &[&sound[..], &[0]].concat());
        self.add("block", "other-archive", "WrongArchive", &with(sound.clone(), 7, 0xa0));
        self.add("block", "unknown-epoch", "UnknownEpoch", &with(sound.clone(), 30, 1));
        self.add("block", "salt-altered", "NotOpened", &with(sound.clone(), 35, sound[35] ^ 1));
        self.add("block", "key-tag-altered", "NotOpened", &with(sound.clone(), 67, sound[67] ^ 1));
        self.add("block", "ciphertext-altered", "NotOpened", &with(sound.clone(), 99, sound[99] ^ 1));
        let last = sound.len() - 1;
        self.add("block", "tag-altered", "NotOpened", &with(sound.clone(), last, sound[last] ^ 1));
        self.add("block", "form-altered", "NotOpened", &with(sound, 6, 1));
        let header = header(Form::Raw, 24);
        self.add(
            "block",
            "sealed-for-manifests",
            "NotOpened",
            &[&header[..], &sealed(labels::KEY_MANIFEST, labels::SEAL_BLOCK, &header, &[0; 24])].concat(),
        );
        self.add(
            "block",
            "sealed-under-another-label",
            "NotOpened",
            &[&header[..], &sealed(labels::KEY_SEAL, labels::SEAL_MANIFEST, &header, &[0; 24])].concat(),
        );
    }

    fn opened_blocks(&mut self) {
        let mut add = |name: &str, error: &str, form: Form, padded: &[u8]| {
            self.add("block", name, error, &block(form, padded));
        };
        let whole = plain(&[b"chunk"]);
        let raw = |plain: &[u8]| padded(plain, plain.len(), Padding::Padme);
        let lengths =
            |stored: u32, plain: u32, rest: &[u8]| [&stored.to_be_bytes()[..], &plain.to_be_bytes(), rest].concat();
        add("stored-length-beyond-the-end", "Truncated", Form::Raw, &lengths(17, 17, &[0; 16]));
        add("no-room-for-lengths", "Truncated", Form::Raw, &[0; 7]);
        add("plain-length-beyond-the-limit", "TooLarge", Form::Zstd, &lengths(16, 1_064_965, &[0; 16]));
        add("padded-too-far", "Malformed", Form::Raw, &lengths(13, 13, &[&whole[..], &[0; 11]].concat()));
        add("padding-not-zero", "Malformed", Form::Raw, &with(raw(&plain(&[&[7; 33]])), 51, 1));
        add("raw-of-another-length", "Disagrees", Form::Raw, &padded(&whole, whole.len() + 1, Padding::Padme));
        let frame = zstd::bulk::compress(&plain(&[&[7; 500]]), 3).unwrap();
        add("sound-zstd", "", Form::Zstd, &padded(&frame, 508, Padding::Padme));
        add("decompresses-to-more", "NotDecompressed", Form::Zstd, &padded(&frame, 507, Padding::Padme));
        add("decompresses-to-less", "NotDecompressed", Form::Zstd, &padded(&frame, 509, Padding::Padme));
        add("no-zstd-frame", "NotDecompressed", Form::Zstd, &padded(&[0xff; 20], 508, Padding::Padme));
        let bomb = zstd::bulk::compress(&vec![0; 4 << 20], 3).unwrap();
        add("zstd-bomb", "NotDecompressed", Form::Zstd, &padded(&bomb, 1_064_964, Padding::Padme));
        add("no-room-for-a-count", "Truncated", Form::Raw, &raw(&[0; 3]));
        add("more-chunks-than-allowed", "TooLarge", Form::Raw, &raw(&4097u32.to_be_bytes()));
        add("table-beyond-the-front", "Truncated", Form::Raw, &raw(&[0, 0, 0, 1, 0, 0, 0, 2]));
        add("chunk-of-no-length", "Malformed", Form::Raw, &raw(&[0, 0, 0, 0, 0, 0, 0, 1]));
        add("chunk-too-long", "Malformed", Form::Raw, &raw(&[0, 4, 0, 1, 0, 0, 0, 1]));
        add("bytes-in-no-chunk", "Disagrees", Form::Raw, &raw(&[9, 9, 0, 0, 0, 1, 0, 0, 0, 1]));
        add("chunk-beyond-the-table", "Disagrees", Form::Raw, &raw(&[9, 0, 0, 0, 2, 0, 0, 0, 1]));
    }

    fn indexes(&mut self) {
        let clear = |what: &str, version: u8, archive: ArchiveId, epoch: u64| {
            cbor::encode(&(what, version, bytes(archive.0), epoch))
        };
        let record = |clear: &[u8], plain: &[u8]| {
            pair(clear, &sealed(labels::KEY_MANIFEST, labels::SEAL_MANIFEST, clear, plain))
        };
        let right = clear("index", 1, ARCHIVE, 0);
        let plain = |chunks: usize| cbor::encode(&[(bytes([1; 32]), vec![bytes([2; 32]); chunks])]);
        let sound = record(&right, &plain(1));
        self.add("index", "sound", "", &sound);
        self.add("index", "bytes-behind", "Encoding", &[&sound[..], &[0]].concat());
        self.add("index", "cut", "Encoding", &sound[..sound.len() - 1]);
        self.add(
            "index",
            "clear-not-shortest",
            "Encoding",
            &record(&[&right[..right.len() - 1], &[0x18, 0]].concat(), &plain(1)),
        );
        self.add("index", "not-an-index", "Malformed", &record(&clear("indes", 1, ARCHIVE, 0), &plain(1)));
        self.add("index", "version", "UnsupportedVersion", &record(&clear("index", 2, ARCHIVE, 0), &plain(1)));
        self.add(
            "index",
            "other-archive",
            "WrongArchive",
            &record(&clear("index", 1, ArchiveId([0; 16]), 0), &plain(1)),
        );
        self.add("index", "unknown-epoch", "UnknownEpoch", &record(&clear("index", 1, ARCHIVE, 1), &plain(1)));
        self.add("index", "altered", "NotOpened", &with(sound.clone(), sound.len() - 1, sound[sound.len() - 1] ^ 1));
        self.add("index", "plain-bytes-behind", "Encoding", &record(&right, &[&plain(1)[..], &[0]].concat()));
        self.add(
            "index",
            "short-id",
            "Encoding",
            &record(&right, &cbor::encode(&[(bytes([1; 31]), vec![bytes([2; 32])])])),
        );
        self.add("index", "block-without-chunks", "Malformed", &record(&right, &plain(0)));
    }

    fn manifests(&mut self) {
        let time = |nanoseconds: u32| (0i64, nanoseconds);
        let root = |nanoseconds, label: usize| {
            cbor::encode(&(time(nanoseconds), bytes(vec![b'l'; label]), 1u64, 0u64, Vec::<(ByteVec, u32)>::new()))
        };
        let sound = manifest(&manifest_clear(1, 0, 1, None, &[1, 2]), &root(0, 1));
        self.add("manifest", "sound", "", &sound);
        self.add("manifest", "bytes-behind", "Encoding", &[&sound[..], &[0]].concat());
        self.add("manifest", "cut", "Encoding", &sound[..sound.len() - 1]);
        let mut add = |name: &str, error: &str, clear: &[u8], root: &[u8]| {
            self.add("manifest", name, error, &manifest(clear, root));
        };
        add("version", "UnsupportedVersion", &manifest_clear(2, 0, 1, None, &[]), &root(0, 1));
        add("number-0", "Malformed", &manifest_clear(1, 0, 0, None, &[]), &root(0, 1));
        add("first-with-one-before", "Malformed", &manifest_clear(1, 0, 1, Some([3; 32]), &[]), &root(0, 1));
        add("second-with-none-before", "Malformed", &manifest_clear(1, 0, 2, None, &[]), &root(0, 1));
        add("blocks-not-ascending", "Malformed", &manifest_clear(1, 0, 1, None, &[2, 1]), &root(0, 1));
        add("block-twice", "Malformed", &manifest_clear(1, 0, 1, None, &[1, 1]), &root(0, 1));
        add("unknown-epoch", "UnknownEpoch", &manifest_clear(1, 1, 1, None, &[]), &root(0, 1));
        let right = manifest_clear(1, 0, 1, None, &[]);
        add("clear-bytes-behind", "Encoding", &[&right[..], &[0]].concat(), &root(0, 1));
        add("root-bytes-behind", "Encoding", &right, &[&root(0, 1)[..], &[0]].concat());
        add("root-nanoseconds", "Malformed", &right, &root(1_000_000_000, 1));
        add("label-too-long", "Malformed", &right, &root(0, 16_385));
        let other =
            sealed(labels::KEY_MANIFEST, labels::SEAL_MANIFEST, &manifest_clear(1, 0, 1, None, &[1]), &root(0, 1));
        self.add("manifest", "root-of-another-manifest", "NotOpened", &signed_manifest(&right, &other));
        let body = pair(&right, &sealed(labels::KEY_MANIFEST, labels::SEAL_MANIFEST, &right, &root(0, 1)));
        let wrong = [device().sign(labels::SIGN_RETENTION, &body), vec![0; 64]];
        self.add("manifest", "signed-under-another-label", "BadSignature", &pair(&body, &wrong[0]));
        self.add("manifest", "signature-of-zeros", "BadSignature", &pair(&body, &wrong[1]));
    }

    fn retentions(&mut self) {
        type Lists<'a> = (&'a [u64], &'a [u8], &'a [u64], &'a [u8]);
        let clear = |what: &str, version: u8, seq: u64, previous: Option<[u8; 32]>, lists: Lists<'_>| {
            let forgotten: Vec<_> =
                lists.0.iter().map(|&seq| (bytes(device().public()), seq, bytes([4; 32]))).collect();
            let dropped: Vec<_> = lists.1.iter().map(|&id| bytes([id; 32])).collect();
            cbor::encode(&(
                what,
                version,
                bytes(ARCHIVE.0),
                bytes(device().public()),
                seq,
                previous.map(bytes),
                forgotten,
                dropped,
                lists.2,
                listings(lists.3),
            ))
        };
        let signed = |clear: &[u8]| pair(clear, &device().sign(labels::SIGN_RETENTION, clear));
        let none: Lists<'_> = (&[], &[], &[], &[]);
        let right = clear("retention", 1, 1, None, (&[1, 2], &[1, 2], &[1, 2], &[1, 2]));
        let sound = signed(&right);
        self.add("retention", "sound", "", &sound);
        self.add("retention", "bytes-behind", "Encoding", &[&sound[..], &[0]].concat());
        self.add(
            "retention",
            "signed-under-another-label",
            "BadSignature",
            &pair(&right, &device().sign(labels::SIGN_MANIFEST, &right)),
        );
        let mut add = |name: &str, error: &str, clear: &[u8]| self.add("retention", name, error, &signed(clear));
        add("not-a-retention", "Malformed", &clear("retentiom", 1, 1, None, none));
        add("version", "UnsupportedVersion", &clear("retention", 2, 1, None, none));
        add("number-0", "Malformed", &clear("retention", 1, 0, None, none));
        add("first-with-one-before", "Malformed", &clear("retention", 1, 1, Some([3; 32]), none));
        add("second-with-none-before", "Malformed", &clear("retention", 1, 2, None, none));
        add("forgotten-not-ascending", "Malformed", &clear("retention", 1, 1, None, (&[2, 1], &[], &[], &[])));
        add("dropped-not-ascending", "Malformed", &clear("retention", 1, 1, None, (&[], &[2, 1], &[], &[])));
        add("segments-not-ascending", "Malformed", &clear("retention", 1, 1, None, (&[], &[], &[2, 1], &[])));
        add("blocks-not-ascending", "Malformed", &clear("retention", 1, 1, None, (&[], &[], &[], &[2, 1])));
    }

    fn trees(&mut self) {
        let mut add = |name: &str, error: &str, items: &[Item]| self.add("tree", name, error, &stream(items));
        let root = || item(TreePath::root(), RecordKind::Directory);
        let file = |size, chunks| RecordKind::File { size, chunks, changed: false, sparse: false };
        let chunk = |length| ChunkRef { id: bailee_archive::ChunkId([6; 32]), length };
        let below = |name: &str, kind| item(path(name), kind);
        add("sound", "", &[root(), Item::Chunks(vec![chunk(5)]), below("a", file(5, 1))]);
        add("no-root", "Misplaced", &[below("a", RecordKind::Fifo)]);
        add("root-is-no-directory", "Misplaced", &[item(TreePath::root(), RecordKind::Fifo)]);
        add("root-twice", "Misplaced", &[root(), root()]);
        add("not-ascending", "Misplaced", &[root(), below("b", RecordKind::Fifo), below("a", RecordKind::Fifo)]);
        add("same-path-twice", "Misplaced", &[root(), below("a", RecordKind::Fifo), below("a", RecordKind::Fifo)]);
        add("in-no-directory", "Misplaced", &[root(), below("a/b", RecordKind::Fifo)]);
        add("in-a-file", "Misplaced", &[root(), below("a", RecordKind::Fifo), below("a/b", RecordKind::Fifo)]);
        add(
            "below-a-link",
            "Misplaced",
            &[root(), below("a", RecordKind::Symlink { target: bytes("..") }), below("a/b", RecordKind::Fifo)],
        );
        add("chunks-of-no-file", "Disagrees", &[root(), Item::Chunks(vec![chunk(5)])]);
        add("chunks-before-a-directory", "Disagrees", &[Item::Chunks(vec![chunk(5)]), root()]);
        add("fewer-chunks-than-stated", "Disagrees", &[root(), Item::Chunks(vec![chunk(5)]), below("a", file(5, 2))]);
        add("another-size-than-stated", "Disagrees", &[root(), Item::Chunks(vec![chunk(5)]), below("a", file(6, 1))]);
        add("item-without-chunks", "Malformed", &[root(), Item::Chunks(Vec::new())]);
        add("item-with-too-many-chunks", "Malformed", &[root(), Item::Chunks(vec![chunk(5); 1025])]);
        add("chunk-of-no-length", "Malformed", &[root(), Item::Chunks(vec![chunk(0)])]);
        add("chunk-too-long", "Malformed", &[root(), Item::Chunks(vec![chunk(262_145)])]);
        add("link-to-nothing", "Malformed", &[root(), below("a", RecordKind::Symlink { target: bytes("") })]);
        add("link-with-nul", "Malformed", &[root(), below("a", RecordKind::Symlink { target: bytes("a\0") })]);
        add(
            "link-too-long",
            "Malformed",
            &[root(), below("a", RecordKind::Symlink { target: bytes(vec![b'l'; 16_385]) })],
        );
        add(
            "hard-link-to-the-root",
            "Malformed",
            &[root(), below("a", RecordKind::HardLink { to: TreePath::root() })],
        );
        add("hard-link-to-itself", "Malformed", &[root(), below("a", RecordKind::HardLink { to: path("a") })]);
        add("hard-link-to-a-later-path", "Malformed", &[root(), below("a", RecordKind::HardLink { to: path("b") })]);
        let xattr = |name: &[u8], value: usize| Xattr { name: bytes(name), value: bytes(vec![1; value]) };
        let mut meta = |name: &str, meta: Meta| {
            add(
                name,
                "Malformed",
                &[Item::Entry(Record { path: TreePath::root(), meta, kind: RecordKind::Directory })],
            );
        };
        meta("mode-above-7777", Meta { mode: 0o10000, ..Meta::default() });
        meta("nanoseconds", Meta { mtime: Time { seconds: 0, nanoseconds: 1_000_000_000 }, ..Meta::default() });
        meta("attribute-without-name", Meta { xattrs: vec![xattr(b"", 0)], ..Meta::default() });
        meta("attribute-name-too-long", Meta { xattrs: vec![xattr(&[b'n'; 256], 0)], ..Meta::default() });
        meta("attribute-name-with-nul", Meta { xattrs: vec![xattr(b"a\0", 0)], ..Meta::default() });
        meta("attributes-not-ascending", Meta { xattrs: vec![xattr(b"b", 0), xattr(b"a", 0)], ..Meta::default() });
        meta("attribute-twice", Meta { xattrs: vec![xattr(b"a", 0), xattr(b"a", 0)], ..Meta::default() });
        self.paths();
        let root = stream(&[item(TreePath::root(), RecordKind::Directory)]);
        self.add("tree", "cut", "Truncated", &root[..root.len() - 1]);
        self.add("tree", "cut-in-length", "Truncated", &root[..3]);
        self.add("tree", "item-too-long", "TooLarge", &262_141u32.to_be_bytes());
        self.add("tree", "unknown-item", "Encoding", &framed(&[0x82, 2, 0x80]));
        self.add("tree", "indefinite-length", "Encoding", &framed(&[&[0x9f][..], &root[5..], &[0xff]].concat()));
    }

    /// Paths that no tree may have; the encoder refuses to make them, so they are put in by hand.
    fn paths(&mut self) {
        let root = stream(&[item(TreePath::root(), RecordKind::Directory)]);
        let mut add = |name: &str, components: Vec<Vec<u8>>| {
            let components: Vec<ByteVec> = components.into_iter().map(Into::into).collect();
            let meta = (0u32, 0u32, 0u32, (0i64, 0u32), Vec::<(ByteVec, ByteVec)>::new());
            let record = (components, meta, (4u8, Vec::<u8>::new()));
            self.add("tree", name, "Encoding", &[&root[..], &framed(&cbor::encode(&(1u8, (record,))))].concat());
        };
        let one = |name: &[u8]| vec![name.to_vec()];
        add("path-empty-component", one(b""));
        add("path-dot", one(b"."));
        add("path-dot-dot", one(b".."));
        add("path-slash", one(b"a/b"));
        add("path-absolute", one(b"/etc"));
        add("path-nul", one(b"a\0b"));
        add("path-component-too-long", one(&[b'a'; 1025]));
        add("path-too-many-components", vec![b"a".to_vec(); 513]);
        add("path-too-long", vec![vec![b'a'; 1024]; 33]);
    }
}

fn plain(chunks: &[&[u8]]) -> Vec<u8> {
    let lengths = chunks.iter().map(|chunk| (chunk.len() as u32).to_be_bytes());
    let mut out = chunks.concat();
    out.extend(lengths.flatten());
    out.extend((chunks.len() as u32).to_be_bytes());
    out
}

fn padded(stored: &[u8], plain_length: usize, padding: Padding) -> Vec<u8> {
    let mut out = [&(stored.len() as u32).to_be_bytes()[..], &(plain_length as u32).to_be_bytes(), stored].concat();
    out.resize(if padding == Padding::Padme { padme(out.len()) } else { out.len() }, 0);
    out
}

fn header(form: Form, padded: usize) -> Vec<u8> {
    BlockHeader { form, padding: Padding::Padme, archive: ARCHIVE, epoch: 0, padded: padded as u32 }.encode().to_vec()
}

fn block(form: Form, padded: &[u8]) -> Vec<u8> {
    let header = header(form, padded.len());
    let sealed = sealed(labels::KEY_SEAL, labels::SEAL_BLOCK, &header, padded);
    [header, sealed].concat()
}

fn listings(ids: &[u8]) -> Vec<(ByteVec, u32, ByteVec)> {
    ids.iter().map(|&id| (bytes([id; 32]), 200, bytes([5; 32]))).collect()
}

fn manifest_clear(version: u8, epoch: u64, seq: u64, previous: Option<[u8; 32]>, blocks: &[u8]) -> Vec<u8> {
    let device = bytes(device().public());
    cbor::encode(&(
        version,
        bytes(ARCHIVE.0),
        device,
        epoch,
        seq,
        previous.map(bytes),
        None::<ByteVec>,
        listings(blocks),
    ))
}

fn signed_manifest(clear: &[u8], sealed_root: &[u8]) -> Vec<u8> {
    let body = pair(clear, sealed_root);
    let signature = device().sign(labels::SIGN_MANIFEST, &body);
    pair(&body, &signature)
}

fn manifest(clear: &[u8], root: &[u8]) -> Vec<u8> {
    signed_manifest(clear, &sealed(labels::KEY_MANIFEST, labels::SEAL_MANIFEST, clear, root))
}

fn framed(item: &[u8]) -> Vec<u8> {
    [&(item.len() as u32).to_be_bytes()[..], item].concat()
}

fn stream<T: Encode<()>>(items: &[T]) -> Vec<u8> {
    items.iter().flat_map(|item| framed(&cbor::encode(item))).collect()
}

fn item(path: TreePath, kind: RecordKind) -> Item {
    Item::Entry(Record { path, meta: Meta::default(), kind })
}

// ---------------------------------------------------------------------------------------------- malformed archives

type Records = Vec<(Kind, Vec<u8>)>;

/// The records of an archive of one segment.
fn records(store: &MemoryStore) -> (ArchiveId, Records) {
    let head = decode_segment_head(&store.segments[&1]).unwrap();
    let scan = scan_segment(store, 1, head.archive).unwrap();
    (head.archive, scan.frames.iter().map(|frame| (frame.head.kind, frame.read(store).unwrap())).collect())
}

fn segment(archive: ArchiveId, number: u64, records: &[(Kind, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = SegmentHead { archive, number }.encode().to_vec();
    for (kind, payload) in records {
        let place = Place { segment: number, offset: bytes.len() as u64 };
        bytes.extend(FrameHead { kind: *kind, length: payload.len() as u32 }.encode(place));
        bytes.extend(payload);
    }
    bytes
}

/// An archive of two versions with one file each: block, block of the tree, index record and manifest, twice.
fn malformed_archives() -> Vec<Value> {
    let entries = |version: u8| {
        let file = EntryKind::File { content: Default::default(), changed: false, sparse: false };
        let entry = |path, kind| Entry { path, meta: Meta::default(), kind };
        vec![(entry(TreePath::root(), EntryKind::Directory), Vec::new()), (entry(path("a"), file), vec![version; 9])]
    };
    let two = |id: u64| {
        let archive = Archive::create(MemoryStore::default(), keys(), &Seeded(id)).unwrap();
        let archive = back_up(archive, 1, &entries(1), 1 << 20, Padding::Padme);
        back_up(archive, 2, &entries(2), 1 << 20, Padding::Padme)
    };
    let archive = two(0);
    let (seq, digest) = archive.newest(trusted()[0]).unwrap();
    let newest = json!({ "seq": seq, "digest": hex(digest.0) });
    let store = archive.into_store();
    let (id, all) = records(&store);
    let (other_id, other) = records(&two(50).into_store());
    let mut out = Vec::new();
    let mut add = |name: &str, error: &str, segments: Vec<(u64, Vec<u8>)>| {
        let segments = hex_segments(&MemoryStore { segments: segments.into_iter().collect() });
        out.push(json!({ "name": name, "error": error, "remembered": newest, "segments": segments }));
    };
    let one = |records: &[(Kind, Vec<u8>)]| vec![(1, segment(id, 1, records))];
    let without = |at: usize| [&all[..at], &all[at + 1..]].concat();
    let replaced = |at: usize, payload: Vec<u8>| {
        let mut all = all.clone();
        all[at].1 = payload;
        all
    };
    let flipped = |at: usize, byte: usize| replaced(at, with(all[at].1.clone(), byte, all[at].1[byte] ^ 1));
    add("sound", "", one(&all));
    add("no-archive", "NoArchive", Vec::new());
    add("segment-missing", "MissingSegment", vec![(1, segment(id, 1, &all)), (3, segment(id, 3, &[]))]);
    add("segment-of-another-number", "Malformed", vec![(1, segment(id, 1, &all)), (2, segment(id, 3, &[]))]);
    add(
        "segment-of-another-archive",
        "WrongArchive",
        vec![(1, segment(id, 1, &all)), (2, segment(other_id, 2, &other[..3])), (3, segment(id, 3, &[]))],
    );
    add("record-head-altered", "Damaged", vec![(1, with(store.segments[&1].clone(), 33, 2))]);
    add(
        "all-records-moved",
        "RolledBack",
        vec![(1, [&store.segments[&1][..33], &[0], &store.segments[&1][33..]].concat())],
    );
    add("block-twice", "RepeatedBlock", one(&[&all[..1], &all[..]].concat()));
    add("block-missing", "MissingBlock", one(&without(0)));
    add("block-altered", "BlockAltered", one(&flipped(0, 120)));
    add("index-altered", "NotOpened", one(&flipped(2, 90)));
    add("manifest-signature", "BadSignature", one(&flipped(3, all[3].1.len() - 1)));
    add("manifest-of-another-archive", "WrongArchive", one(&replaced(3, other[3].1.clone())));
    add("first-manifest-missing", "ChainBroken", one(&without(3)));
    add("last-manifest-missing", "RolledBack", one(&all[..all.len() - 1]));
    let body = |manifest: &[u8]| minicbor::decode::<(ByteVec, ByteVec)>(manifest).unwrap().0;
    let stranger = Signing::from_seed(&[0; 32]);
    let retention = {
        let clear = cbor::encode(&(
            "retention",
            1u8,
            bytes(id.0),
            bytes(stranger.public()),
            1u64,
            None::<ByteVec>,
            Vec::<(ByteVec, u64, ByteVec)>::new(),
            Vec::<ByteVec>::new(),
            [1u64],
            Vec::<(ByteVec, u32, ByteVec)>::new(),
        ));
        pair(&clear, &stranger.sign(labels::SIGN_RETENTION, &clear))
    };
    add("retention-of-a-stranger", "UnknownDevice", one(&[&all[..], &[(Kind::Retention, retention)]].concat()));
    let signed_by_stranger = body(&all[3].1);
    let signature = stranger.sign(labels::SIGN_MANIFEST, &signed_by_stranger);
    add("manifest-signed-by-a-stranger", "BadSignature", one(&replaced(3, pair(&signed_by_stranger, &signature))));
    let lying_index = |blocks: Vec<(ByteVec, Vec<ByteVec>)>| {
        let clear = cbor::encode(&("index", 1u8, bytes(id.0), 0u64));
        let plain = cbor::encode(&blocks);
        pair(&clear, &sealed(labels::KEY_MANIFEST, labels::SEAL_MANIFEST, &clear, &plain))
    };
    let chunk_id = |content: &[u8]| bytes(blake3::keyed_hash(&branch(labels::KEY_ID), content).as_bytes());
    let salt = |at: usize| bytes(&all[at].1[35..67]);
    let lies = lying_index(vec![(salt(0), vec![chunk_id(&[2; 9])])]);
    add("index-names-another-chunk", "ChunkMismatch", one(&replaced(2, lies)));
    let lies = lying_index(vec![(salt(0), vec![bytes([0; 32])])]);
    add("index-lacks-a-chunk", "MissingChunk", one(&replaced(2, lies)));
    out
}
