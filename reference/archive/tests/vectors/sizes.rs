//! Fields of the wrong size or width, and records with which two things are wrong.

use bailee_archive::ArchiveId;
use bailee_core::cbor;
use bailee_core::crypto::labels;
use minicbor::Encode;
use minicbor::bytes::ByteVec;

use super::forge::*;
use super::parts::Parts;
use super::{device, stranger};

type Refs = Vec<(ByteVec, u64)>;

/// The clear part of a manifest, field by field.
struct Clear {
    version: u64,
    archive: usize,
    device: Vec<u8>,
    previous: Option<usize>,
    blocks: Vec<(ByteVec, u64, ByteVec)>,
}

impl Clear {
    fn sound() -> Self {
        Clear { version: 1, archive: 16, device: device().public().to_vec(), previous: None, blocks: Vec::new() }
    }

    fn encode(&self) -> Vec<u8> {
        let archive = bytes(&[ARCHIVE.0, ARCHIVE.0].concat()[..self.archive]);
        let (seq, previous) =
            (1 + u64::from(self.previous.is_some()), self.previous.map(|size| bytes(vec![3; size])));
        let device = bytes(&self.device);
        cbor::encode(&(self.version, archive, device, 0u64, seq, previous, None::<ByteVec>, self.blocks.clone()))
    }
}

fn id(size: usize) -> ByteVec {
    bytes(vec![6; size])
}

fn root(seconds: impl Encode<()>, nanoseconds: u64, tree: Refs) -> Vec<u8> {
    cbor::encode(&((seconds, nanoseconds), bytes(b"l"), 1u64, 0u64, tree))
}

/// A whole number below zero as CBOR has it: -1 - `below`.
fn negative(below: u64) -> minicbor::data::Int {
    minicbor::data::Int::try_from(-1 - i128::from(below)).unwrap()
}

impl Parts {
    /// What `formats.cddl` gives a size or a width is `Encoding`; but a signature of another length does not hold.
    pub(super) fn sizes_of_links(&mut self) {
        let sound_root = || root(0i64, 0, Refs::new());
        let mut add = |name: &str, error: &str, clear: Clear, root: Vec<u8>| {
            self.add("manifest", name, error, &manifest(&clear.encode(), &root));
        };
        let encoding = "Encoding";
        let sound = Clear::sound;
        add("version-of-8-bits", "UnsupportedVersion", Clear { version: 255, ..sound() }, sound_root());
        add("version-beyond-8-bits", encoding, Clear { version: 256, ..sound() }, sound_root());
        add("archive-of-15-bytes", encoding, Clear { archive: 15, ..sound() }, sound_root());
        add("archive-of-17-bytes", encoding, Clear { archive: 17, ..sound() }, sound_root());
        add("device-of-31-bytes", encoding, Clear { device: vec![1; 31], ..sound() }, sound_root());
        add("previous-of-33-bytes", encoding, Clear { previous: Some(33), ..sound() }, sound_root());
        let listing = |id_size, length, digest_size| vec![(id(id_size), length, id(digest_size))];
        let longest = u64::from(u32::MAX);
        add("block-of-32-bits", "", Clear { blocks: listing(32, longest, 32), ..sound() }, sound_root());
        add(
            "block-beyond-32-bits",
            encoding,
            Clear { blocks: listing(32, longest + 1, 32), ..sound() },
            sound_root(),
        );
        add("block-id-of-31-bytes", encoding, Clear { blocks: listing(31, 1, 32), ..sound() }, sound_root());
        add("block-digest-of-33-bytes", encoding, Clear { blocks: listing(32, 1, 33), ..sound() }, sound_root());
        add("last-second", "", sound(), root(i64::MAX, 0, Refs::new()));
        add("second-beyond-64-bits-with-sign", encoding, sound(), root(1u64 << 63, 0, Refs::new()));
        add("first-second", "", sound(), root(negative(i64::MAX as u64), 0, Refs::new()));
        add("second-below-64-bits-with-sign", encoding, sound(), root(negative(1 << 63), 0, Refs::new()));
        add("nanoseconds-of-32-bits", "Malformed", sound(), root(0i64, longest, Refs::new()));
        add("nanoseconds-beyond-32-bits", encoding, sound(), root(0i64, longest + 1, Refs::new()));
        add("tree-chunk-of-32-bits", "Malformed", sound(), root(0i64, 0, vec![(id(32), longest)]));
        add("tree-chunk-beyond-32-bits", encoding, sound(), root(0i64, 0, vec![(id(32), longest + 1)]));
        add("tree-chunk-id-of-31-bytes", encoding, sound(), root(0i64, 0, vec![(id(31), 1)]));
        let clear = sound().encode();
        let body = pair(&clear, &sealed(labels::KEY_MANIFEST, labels::SEAL_MANIFEST, &clear, &sound_root()));
        let signature = device().sign(labels::SIGN_MANIFEST, &body);
        self.add("manifest", "signature-of-63-bytes", "BadSignature", &pair(&body, &signature[..63]));
        self.add("manifest", "signature-of-65-bytes", "BadSignature", &pair(&body, &[&signature[..], &[0]].concat()));
        self.add("manifest", "signature-of-no-bytes", "BadSignature", &pair(&body, &[]));
        let short = pair(&clear, &[0; 79]);
        let signature = device().sign(labels::SIGN_MANIFEST, &short);
        self.add("manifest", "root-shorter-than-a-seal", "NotOpened", &pair(&short, &signature));
    }

    /// Where a version was made: the last field of a root, which is left out if there is none.
    pub(super) fn origins(&mut self) {
        let clear = Clear::sound().encode();
        let with_origin = |origin: &[u8]| {
            let mut root = root(0i64, 0, Refs::new());
            // One field more.
            root[0] += 1;
            root.extend(origin);
            manifest(&clear, &root)
        };
        let mut add = |name: &str, error: &str, origin: &[u8]| {
            self.add("manifest", name, error, &with_origin(origin));
        };
        let origin = |host: usize, user: usize, machine: Option<usize>| {
            cbor::encode(&(
                bytes(vec![b'h'; host]),
                bytes(vec![b'u'; user]),
                machine.map(|size| bytes(vec![7; size])),
            ))
        };
        add("origin", "", &origin(1, 1, Some(16)));
        add("origin-of-no-machine", "", &origin(1, 1, None));
        add("origin-of-the-longest-names", "", &origin(255, 255, None));
        add("origin-of-no-user", "", &origin(1, 0, None));
        add("origin-of-no-host", "Malformed", &origin(0, 1, None));
        add("origin-of-a-host-too-long", "Malformed", &origin(256, 1, None));
        add("origin-of-a-user-too-long", "Malformed", &origin(1, 256, None));
        add("origin-of-a-machine-of-15-bytes", "Encoding", &origin(1, 1, Some(15)));
        add("origin-without-its-machine", "Encoding", &cbor::encode(&(bytes(b"h"), bytes(b"u"))));
        add("origin-that-is-null", "Encoding", &[0xf6]);
        let mut two = origin(1, 1, None);
        two.push(0);
        add("origin-and-a-field-more", "Encoding", &two);
    }

    pub(super) fn sizes_of_index_records(&mut self) {
        let record = |clear: &[u8], plain: &[u8]| {
            pair(clear, &sealed(labels::KEY_MANIFEST, labels::SEAL_MANIFEST, clear, plain))
        };
        let clear = |version: u64, archive: usize| {
            cbor::encode(&("index", version, bytes(&[ARCHIVE.0, ARCHIVE.0].concat()[..archive]), 0u64))
        };
        let plain = |block: usize, chunk: usize| cbor::encode(&[(id(block), vec![id(chunk)])]);
        self.add("index", "version-beyond-8-bits", "Encoding", &record(&clear(256, 16), &plain(32, 32)));
        self.add("index", "archive-of-17-bytes", "Encoding", &record(&clear(1, 17), &plain(32, 32)));
        self.add("index", "chunk-id-of-33-bytes", "Encoding", &record(&clear(1, 16), &plain(32, 33)));
        self.add("index", "shorter-than-a-seal", "NotOpened", &pair(&clear(1, 16), &[0; 79]));
    }

    pub(super) fn sizes_of_items(&mut self) {
        let entry = |mode: u64, nanoseconds: u64, kind: &dyn Fn(&mut minicbor::Encoder<&mut Vec<u8>>)| {
            let meta = (mode, 0u32, 0u32, (0i64, nanoseconds), Vec::<(ByteVec, ByteVec)>::new());
            let mut out = Vec::new();
            let mut encoder = minicbor::Encoder::new(&mut out);
            encoder.array(2).unwrap().u8(1).unwrap().array(1).unwrap().array(3).unwrap();
            encoder.encode(Vec::<ByteVec>::new()).unwrap().encode(meta).unwrap();
            kind(&mut encoder);
            framed(&out)
        };
        let directory = |encoder: &mut minicbor::Encoder<&mut Vec<u8>>| {
            encoder.encode((1u8, Vec::<u8>::new())).unwrap();
        };
        let longest = u64::from(u32::MAX);
        let mut add = |name: &str, error: &str, item: &[u8]| self.add("tree", name, error, item);
        add("mode-of-32-bits", "Malformed", &entry(longest, 0, &directory));
        add("mode-beyond-32-bits", "Encoding", &entry(longest + 1, 0, &directory));
        add("nanoseconds-of-32-bits", "Malformed", &entry(0, longest, &directory));
        add("nanoseconds-beyond-32-bits", "Encoding", &entry(0, longest + 1, &directory));
        add(
            "number-for-a-truth-value",
            "Encoding",
            &entry(0, 0, &|encoder| {
                encoder.encode((6u8, (1u8, 0u32, 0u32))).unwrap();
            }),
        );
        add(
            "device-beyond-32-bits",
            "Encoding",
            &entry(0, 0, &|encoder| {
                encoder.encode((6u8, (true, 0u32, longest + 1))).unwrap();
            }),
        );
        let chunks = |size: usize, length: u64| framed(&cbor::encode(&(0u8, (vec![(id(size), length)],))));
        add("chunk-of-32-bits", "Malformed", &chunks(32, longest));
        add("chunk-beyond-32-bits", "Encoding", &chunks(32, longest + 1));
        add("chunk-id-of-33-bytes", "Encoding", &chunks(33, 1));
    }

    /// Index and retention records with which two things are wrong: the one that is checked first is named.
    pub(super) fn orders_of_records(&mut self) {
        let other = ArchiveId([0; 16]);
        let clear = |what: &str, version: u8, archive: ArchiveId, epoch: u64| {
            cbor::encode(&(what, version, bytes(archive.0), epoch))
        };
        let record = |clear: &[u8]| {
            let plain = cbor::encode(&Vec::<(ByteVec, Vec<ByteVec>)>::new());
            pair(clear, &sealed(labels::KEY_MANIFEST, labels::SEAL_MANIFEST, clear, &plain))
        };
        let mut add = |name: &str, error: &str, record: &[u8]| self.add("index", name, error, record);
        add("not-an-index-and-of-another-version", "Malformed", &record(&clear("indes", 2, ARCHIVE, 0)));
        add("of-another-version-and-archive", "UnsupportedVersion", &record(&clear("index", 2, other, 0)));
        add("of-another-archive-and-epoch", "WrongArchive", &record(&clear("index", 1, other, 1)));
        let of_another_epoch = record(&clear("index", 1, ARCHIVE, 1));
        let last = of_another_epoch.len() - 1;
        let altered = with(of_another_epoch.clone(), last, of_another_epoch[last] ^ 1);
        add("of-another-epoch-and-altered", "UnknownEpoch", &altered);

        let clear = |what: &str, version: u8, archive: ArchiveId, device: [u8; 32], dropped: &[[u8; 32]]| {
            let place = Chained { archive, seq: 1, previous: None };
            retention_clear(what, version, device, place, &[], Removed { dropped, ..Removed::default() })
        };
        let (ours, twice) = (device().public(), [[1; 32]; 2]);
        let unsigned = |clear: Vec<u8>| pair(&clear, &[0; 64]);
        let mut add = |name: &str, error: &str, record: &[u8]| self.add("retention", name, error, record);
        let both = clear("retentiom", 2, ARCHIVE, ours, &[]);
        add("not-a-retention-and-of-another-version", "Malformed", &signed_retention(&both));
        let both = clear("retention", 2, ARCHIVE, ours, &twice);
        add("of-another-version-and-dropped-twice", "UnsupportedVersion", &signed_retention(&both));
        add("dropped-twice-and-unsigned", "Malformed", &unsigned(clear("retention", 1, ARCHIVE, ours, &twice)));
        add("unsigned-and-of-another-archive", "BadSignature", &unsigned(clear("retention", 1, other, ours, &[])));
        let by_a_stranger = clear("retention", 1, ARCHIVE, stranger().public(), &[]);
        add("unsigned-and-of-a-stranger", "BadSignature", &unsigned(by_a_stranger));
        let signed = clear("retention", 1, ARCHIVE, ours, &[]);
        let signature = device().sign(labels::SIGN_RETENTION, &signed);
        add("signature-of-63-bytes", "BadSignature", &pair(&signed, &signature[..63]));
    }
}
