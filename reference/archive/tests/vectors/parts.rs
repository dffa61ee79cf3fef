//! Parts of an archive one by one, malformed in one way each.

use bailee_archive::block::Form;
use bailee_archive::segment::SegmentHead;
use bailee_archive::tree::{ChunkRef, Item, Meta, Record, RecordKind, Time, Xattr};
use bailee_archive::{ArchiveId, Padding, TreePath};
use bailee_core::cbor;
use bailee_core::crypto::labels;
use minicbor::bytes::ByteVec;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::forge::*;
use super::{PLACE, device, path, runs};

/// Of a header, a seal, and the Padmé length of both lengths and the longest plain text.
const LONGEST_BLOCK: u32 = 35 + 80 + 1_081_344;

#[derive(Default)]
pub(crate) struct Parts(Vec<Value>);

impl Parts {
    pub(crate) fn all() -> Vec<Value> {
        let mut parts = Parts::default();
        parts.heads();
        parts.blocks();
        parts.orders();
        parts.opened_blocks();
        parts.frames();
        parts.heads_of_frames();
        parts.unpadded_blocks();
        parts.indexes();
        parts.manifests();
        parts.retentions();
        parts.trees();
        parts.bounds_of_trees();
        parts.sizes_of_links();
        parts.sizes_of_index_records();
        parts.sizes_of_items();
        parts.orders_of_records();
        parts.origins();
        parts.0
    }

    pub(super) fn add(&mut self, part: &str, name: &str, error: &str, bytes: &[u8]) {
        self.0.push(json!({ "part": part, "name": name, "error": error, "bytes": runs(bytes) }));
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
        self.add("record", "longest-block", "", &checked(1, LONGEST_BLOCK));
        self.add("record", "longest-index", "", &checked(2, 4 << 20));
        self.add("record", "longest-manifest", "", &checked(3, 64 << 20));
        self.add("record", "longest-retention", "", &checked(4, 64 << 20));
        self.add("record", "empty", "", &checked(1, 0));
        self.add("record", "block-too-long", "TooLarge", &checked(1, LONGEST_BLOCK + 1));
        self.add("record", "index-too-long", "TooLarge", &checked(2, (4 << 20) + 1));
        self.add("record", "manifest-too-long", "TooLarge", &checked(3, (64 << 20) + 1));
        self.add("record", "retention-too-long", "TooLarge", &checked(4, (64 << 20) + 1));
    }

    fn blocks(&mut self) {
        let plain = plain(&[b"chunk"]);
        let sound = block_of(ARCHIVE, Form::Raw, Padding::Padme, &padded(&plain, plain.len(), Padding::Padme));
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
        let header = header(ARCHIVE, Form::Raw, Padding::Padme, 24);
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

    /// Blocks with which two things are wrong: the one that is checked first is named.
    fn orders(&mut self) {
        let plain = plain(&[b"chunk"]);
        let sound = block_of(ARCHIVE, Form::Raw, Padding::Padme, &padded(&plain, plain.len(), Padding::Padme));
        let and = |at: usize, byte: u8| with(sound.clone(), at, byte);
        self.add("block", "magic-and-version", "Malformed", &with(and(3, b'C'), 4, 2));
        self.add("block", "version-and-suite", "UnsupportedVersion", &with(and(4, 2), 5, 2));
        let mut long = with(and(34, 67), 6, 0);
        long.resize(LONGEST_BLOCK as usize + 1, 0);
        self.add("block", "too-long-and-not-a-padded-length", "TooLarge", &long);
        self.add("block", "not-a-padded-length-and-cut", "Malformed", &and(34, 67)[..sound.len() - 1]);
        self.add("block", "cut-and-of-another-archive", "Disagrees", &and(7, 0xa0)[..sound.len() - 1]);
        self.add("block", "of-another-archive-and-epoch", "WrongArchive", &with(and(7, 0xa0), 30, 1));
        self.add("block", "unknown-epoch-and-altered", "UnknownEpoch", &with(and(30, 1), 99, sound[99] ^ 1));
    }

    fn frames(&mut self) {
        let mut add = |name: &str, error: &str, plain_length: usize, stored: &[u8]| {
            let padded = padded(stored, plain_length, Padding::Padme);
            self.add("block", name, error, &block_of(ARCHIVE, Form::Zstd, Padding::Padme, &padded));
        };
        let whole = plain(&[&[7; 500]]);
        let compress = |plain: &[u8]| zstd::bulk::compress(plain, 3).unwrap();
        let frame = compress(&whole);
        let short = plain(&[b"chunk"]);
        add("frame-that-is-not-shorter", "", short.len(), &compress(&short));
        add("frame-without-its-length", "", whole.len(), &zstd::stream::encode_all(&whole[..], 3).unwrap());
        add("bytes-after-the-frame", "NotDecompressed", whole.len(), &[&frame[..], &[0]].concat());
        let (front, back) = whole.split_at(100);
        add("two-frames", "NotDecompressed", whole.len(), &[compress(front), compress(back)].concat());
        add("empty-frame-after", "NotDecompressed", whole.len(), &[&frame[..], &compress(b"")].concat());
        let skipped = [0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 9];
        add("skippable-frame-before", "NotDecompressed", whole.len(), &[&skipped[..], &frame].concat());
        add("skippable-frame-after", "NotDecompressed", whole.len(), &[&frame[..], &skipped].concat());
        add("frame-cut", "NotDecompressed", whole.len(), &frame[..frame.len() - 1]);
        add("nothing-stored", "NotDecompressed", whole.len(), &[]);
    }

    /// What the head of a frame may declare (RFC 8878, 3.1.1.1).
    fn heads_of_frames(&mut self) {
        // The size of the window is the power of two in the upper five bits, of 1024, and eighths of that in the lower three.
        let window = |log: u8, eighths: u8| (log - 10) << 3 | eighths;
        let block = |frame: &[u8], length| {
            block_of(ARCHIVE, Form::Zstd, Padding::Padme, &padded(frame, length, Padding::Padme))
        };
        let long = plain(&[&[7; 1500]]);
        let (front, back) = long.split_at(1000);
        let longer = raw_frame(&[0, window(10, 0)], &[front, back]);
        self.add("block", "frame-longer-than-its-window", "", &block(&longer, long.len()));
        let whole = plain(&[&[7; 500]]);
        let mut add = |name: &str, error: &str, frame: &[u8]| {
            self.add("block", name, error, &block(frame, whole.len()));
        };
        let (dictionary, checksum, reserved, unused, single) = (1, 1 << 2, 1 << 3, 1 << 4, 1 << 5);
        let size_of_two_bytes = 1 << 6;
        let size = ((whole.len() - 256) as u16).to_le_bytes();
        add("frame-of-the-smallest-window", "", &raw_frame(&[0, window(10, 0)], &[&whole]));
        add("frame-of-the-largest-window", "", &raw_frame(&[0, window(27, 0)], &[&whole]));
        add("frame-of-a-window-too-large", "NotDecompressed", &raw_frame(&[0, window(27, 1)], &[&whole]));
        add("frame-of-twice-the-largest-window", "NotDecompressed", &raw_frame(&[0, window(28, 0)], &[&whole]));
        add("frame-of-a-window-of-41-bits", "NotDecompressed", &raw_frame(&[0, window(41, 7)], &[&whole]));
        let sized = [size_of_two_bytes, window(27, 1), size[0], size[1]];
        add("frame-of-its-size-and-a-window-too-large", "NotDecompressed", &raw_frame(&sized, &[&whole]));
        let single = raw_frame(&[size_of_two_bytes | single, size[0], size[1]], &[&whole]);
        add("frame-of-a-single-segment", "", &single);
        let other = [size_of_two_bytes, window(10, 0), size[0] + 1, size[1]];
        add("frame-that-states-another-size", "NotDecompressed", &raw_frame(&other, &[&whole]));
        add("frame-of-dictionary-0", "", &raw_frame(&[dictionary, window(10, 0), 0], &[&whole]));
        add("frame-of-dictionary-1", "NotDecompressed", &raw_frame(&[dictionary, window(10, 0), 1], &[&whole]));
        add("frame-with-the-reserved-bit", "NotDecompressed", &raw_frame(&[reserved, window(10, 0)], &[&whole]));
        add("frame-with-the-unused-bit", "", &raw_frame(&[unused, window(10, 0)], &[&whole]));
        let mut checked = raw_frame(&[checksum, window(10, 0)], &[&whole]);
        checked.extend(checksum_of(&whole));
        add("frame-with-a-checksum", "", &checked);
        let last = checked.len() - 1;
        add("frame-with-a-wrong-checksum", "NotDecompressed", &with(checked.clone(), last, checked[last] ^ 1));
        add("frame-without-its-checksum", "NotDecompressed", &checked[..last - 3]);
        let sound = raw_frame(&[0, window(10, 0)], &[&whole]);
        add("frame-of-a-former-format", "NotDecompressed", &with(sound, 0, 0x27));
    }

    /// Forms 2 and 3: nothing stands after what is stored.
    fn unpadded_blocks(&mut self) {
        let mut add = |name: &str, error: &str, form: Form, padded: &[u8]| {
            self.add("block", name, error, &block_of(ARCHIVE, form, Padding::Exact, padded));
        };
        let whole = plain(&[&[7; 500]]);
        let frame = zstd::bulk::compress(&whole, 3).unwrap();
        let exact = |stored: &[u8]| padded(stored, whole.len(), Padding::Exact);
        add("exact-sound", "", Form::Raw, &exact(&whole));
        add("exact-sound-zstd", "", Form::Zstd, &exact(&frame));
        add("exact-and-padded", "Malformed", Form::Raw, &[&exact(&whole)[..], &[0]].concat());
        add("exact-and-padded-zstd", "Malformed", Form::Zstd, &[&exact(&frame)[..], &[0]].concat());
        let stored = |length: u32| [&length.to_be_bytes()[..], &exact(&whole)[4..]].concat();
        add("exact-stored-length-beyond-the-end", "Truncated", Form::Raw, &stored(509));
        add("exact-stored-length-far-beyond-the-end", "Truncated", Form::Raw, &stored(u32::MAX));
        let beyond = |stored: u32| [&stored.to_be_bytes()[..], &1_064_965u32.to_be_bytes(), &whole].concat();
        add("both-lengths-beyond", "TooLarge", Form::Raw, &beyond(u32::MAX));
        add("exact-no-room-for-lengths", "Truncated", Form::Raw, &[0; 7]);
        add("exact-nothing", "Truncated", Form::Raw, &[]);
    }

    fn opened_blocks(&mut self) {
        let mut add = |name: &str, error: &str, form: Form, padded: &[u8]| {
            self.add("block", name, error, &block_of(ARCHIVE, form, Padding::Padme, padded));
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
        add("no-chunks", "", Form::Raw, &raw(&[0; 4]));
        add("bytes-and-no-chunks", "Disagrees", Form::Raw, &raw(&[9, 0, 0, 0, 0]));
        add("no-room-for-a-count", "Truncated", Form::Raw, &raw(&[0; 3]));
        add("more-chunks-than-allowed", "TooLarge", Form::Raw, &raw(&4097u32.to_be_bytes()));
        add("table-beyond-the-front", "Truncated", Form::Raw, &raw(&[0, 0, 0, 1, 0, 0, 0, 2]));
        add("chunk-of-no-length", "Malformed", Form::Raw, &raw(&[0, 0, 0, 0, 0, 0, 0, 1]));
        let longest = zstd::bulk::compress(&plain(&[&[7; 262_144]]), 3).unwrap();
        add("longest-chunk", "", Form::Zstd, &padded(&longest, 262_152, Padding::Padme));
        let most = zstd::bulk::compress(&plain(&[&[7][..]; 4096]), 3).unwrap();
        add("most-chunks", "", Form::Zstd, &padded(&most, 5 * 4096 + 4, Padding::Padme));
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
        self.add("index", "bytes-after", "Encoding", &[&sound[..], &[0]].concat());
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
        self.add("index", "plain-bytes-after", "Encoding", &record(&right, &[&plain(1)[..], &[0]].concat()));
        self.add(
            "index",
            "short-id",
            "Encoding",
            &record(&right, &cbor::encode(&[(bytes([1; 31]), vec![bytes([2; 32])])])),
        );
        self.add("index", "block-without-chunks", "Malformed", &record(&right, &plain(0)));
        self.add("index", "block-with-too-many-chunks", "Malformed", &record(&right, &plain(4097)));
        self.add("index", "no-blocks", "", &record(&right, &[0x80]));
        self.add("index", "plain-is-no-list", "Encoding", &record(&right, &[0]));
    }

    fn manifests(&mut self) {
        let time = |nanoseconds: u32| (0i64, nanoseconds);
        let root = |nanoseconds, label: usize| {
            cbor::encode(&(time(nanoseconds), bytes(vec![b'l'; label]), 1u64, 0u64, Vec::<(ByteVec, u32)>::new()))
        };
        let clear = |version, epoch, seq, previous, blocks: &[u8]| {
            manifest_clear(device().public(), version, epoch, seq, previous, blocks)
        };
        let sound = manifest(&clear(1, 0, 1, None, &[1, 2]), &root(0, 1));
        self.add("manifest", "sound", "", &sound);
        self.add("manifest", "bytes-after", "Encoding", &[&sound[..], &[0]].concat());
        self.add("manifest", "cut", "Encoding", &sound[..sound.len() - 1]);
        let mut add = |name: &str, error: &str, clear: &[u8], root: &[u8]| {
            self.add("manifest", name, error, &manifest(clear, root));
        };
        add("version", "UnsupportedVersion", &clear(2, 0, 1, None, &[]), &root(0, 1));
        add("number-0", "Malformed", &clear(1, 0, 0, None, &[]), &root(0, 1));
        add("first-with-one-before", "Malformed", &clear(1, 0, 1, Some([3; 32]), &[]), &root(0, 1));
        add("second-with-none-before", "Malformed", &clear(1, 0, 2, None, &[]), &root(0, 1));
        add("blocks-not-ascending", "Malformed", &clear(1, 0, 1, None, &[2, 1]), &root(0, 1));
        add("block-twice", "Malformed", &clear(1, 0, 1, None, &[1, 1]), &root(0, 1));
        add("unknown-epoch", "UnknownEpoch", &clear(1, 1, 1, None, &[]), &root(0, 1));
        let right = clear(1, 0, 1, None, &[]);
        add("clear-bytes-after", "Encoding", &[&right[..], &[0]].concat(), &root(0, 1));
        add("root-bytes-after", "Encoding", &right, &[&root(0, 1)[..], &[0]].concat());
        add("root-nanoseconds", "Malformed", &right, &root(1_000_000_000, 1));
        add("label-too-long", "Malformed", &right, &root(0, 16_385));
        let of_a_chunk =
            |length: u32| cbor::encode(&(time(0), bytes(b"l"), 1u64, 0u64, vec![(bytes([6; 32]), length)]));
        add("tree-chunk-of-no-length", "Malformed", &right, &of_a_chunk(0));
        add("tree-chunk-too-long", "Malformed", &right, &of_a_chunk(262_145));
        add("longest-label", "", &right, &root(999_999_999, 16_384));
        let with_tree = cbor::encode(&(time(0), bytes(b""), 1u64, 0u64, vec![(bytes([6; 32]), 262_144u32)]));
        add("tree-of-the-longest-chunk", "", &right, &with_tree);
        let other = sealed(labels::KEY_MANIFEST, labels::SEAL_MANIFEST, &clear(1, 0, 1, None, &[1]), &root(0, 1));
        self.add("manifest", "root-of-another-manifest", "NotOpened", &signed_manifest(&right, &other));
        let body = pair(&right, &sealed(labels::KEY_MANIFEST, labels::SEAL_MANIFEST, &right, &root(0, 1)));
        let wrong = [device().sign(labels::SIGN_RETENTION, &body), vec![0; 64]];
        self.add("manifest", "signed-under-another-label", "BadSignature", &pair(&body, &wrong[0]));
        self.add("manifest", "signature-of-zeros", "BadSignature", &pair(&body, &wrong[1]));
        let signature = with_another_scalar(device().sign(labels::SIGN_MANIFEST, &body));
        self.add("manifest", "signature-with-another-scalar", "BadSignature", &pair(&body, &signature));
    }

    fn retentions(&mut self) {
        type Lists<'a> = (&'a [u64], &'a [u8], &'a [u64], &'a [u8]);
        let clear = |what: &str, version: u8, seq: u64, previous: Option<[u8; 32]>, lists: Lists<'_>| {
            let place = Chained { archive: ARCHIVE, seq, previous };
            let forgotten: Vec<_> = lists.0.iter().map(|&seq| (seq, [4; 32])).collect();
            let dropped: Vec<_> = lists.1.iter().map(|&id| [id; 32]).collect();
            let removed = Removed { dropped: &dropped, segments: lists.2, blocks: &listings(lists.3) };
            retention_clear(what, version, device().public(), place, &forgotten, removed)
        };
        let signed = signed_retention;
        let none: Lists<'_> = (&[], &[], &[], &[]);
        let right = clear("retention", 1, 1, None, (&[1, 2], &[1, 2], &[1, 2], &[1, 2]));
        let sound = signed(&right);
        self.add("retention", "sound", "", &sound);
        self.add("retention", "bytes-after", "Encoding", &[&sound[..], &[0]].concat());
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
        add("forgotten-twice", "Malformed", &clear("retention", 1, 1, None, (&[1, 1], &[], &[], &[])));
        add("dropped-twice", "Malformed", &clear("retention", 1, 1, None, (&[], &[1, 1], &[], &[])));
        add("segment-twice", "Malformed", &clear("retention", 1, 1, None, (&[], &[], &[1, 1], &[])));
        add("block-twice", "Malformed", &clear("retention", 1, 1, None, (&[], &[], &[], &[1, 1])));
        add("nothing-given-up", "", &clear("retention", 1, 2, Some([3; 32]), none));
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
        add("nothing", "Misplaced", &[]);
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
        meta("attributes-too-long", Meta { xattrs: attributes(131_073), ..Meta::default() });
        meta("attributes-too-long-by-their-names", Meta { xattrs: attributes_of_names(), ..Meta::default() });
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
        let longest = vec![vec![b'a'; 1024]; 32];
        add("path-too-long-by-one", [longest, one(b"a")].concat());
    }

    /// What is just allowed, and what only looks as if it were not.
    fn bounds_of_trees(&mut self) {
        let mut add = |name: &str, items: &[Item]| self.add("tree", name, "", &stream(items));
        let root = || item(TreePath::root(), RecordKind::Directory);
        let nested = |name: &[u8], depth: usize| {
            let paths = (0..=depth).map(|depth| TreePath::new(vec![name; depth]).unwrap());
            paths.map(|path| item(path, RecordKind::Directory)).collect::<Vec<_>>()
        };
        add("longest-component", &nested(&[b'a'; 1024], 1));
        add("longest-path", &nested(&[b'a'; 1024], 32));
        let below = |name: &str, kind| item(path(name), kind);
        let link = |length: usize| RecordKind::Symlink { target: bytes(vec![b'l'; length]) };
        add("longest-link", &[root(), below("a", link(16_384))]);
        let to = || RecordKind::HardLink { to: path("a") };
        add("hard-link-to-nothing", &[root(), below("b", to())]);
        add("hard-link-to-a-directory", &[root(), below("a", RecordKind::Directory), below("b", to())]);
        add("names-that-look-like-dots", &[root(), below("...", RecordKind::Fifo), below(".a", RecordKind::Fifo)]);
        let with_meta = |meta| Item::Entry(Record { path: TreePath::root(), meta, kind: RecordKind::Directory });
        let most = Meta {
            mode: 0o7777,
            uid: u32::MAX,
            gid: u32::MAX,
            mtime: Time { seconds: i64::MIN, nanoseconds: 999_999_999 },
            xattrs: attributes(131_072),
        };
        add("most-of-an-entry", &[with_meta(most)]);
        add(
            "longest-name-of-an-attribute",
            &[with_meta(Meta { xattrs: vec![xattr(&[b'n'; 255], 0)], ..Meta::default() })],
        );
        let file = RecordKind::File { size: 0, chunks: 0, changed: true, sparse: true };
        add("file-of-no-chunks", &[root(), below("a", file)]);
        let entry = |mode: u64, uid: u64, kind: u8| {
            let meta = (mode, uid, 0u32, (0i64, 0u32), Vec::<(ByteVec, ByteVec)>::new());
            framed(&cbor::encode(&(1u8, ((Vec::<ByteVec>::new(), meta, (kind, Vec::<u8>::new())),))))
        };
        self.add("tree", "unknown-kind", "Encoding", &entry(0, 0, 7));
        self.add("tree", "owner-above-32-bits", "Encoding", &entry(0, 1 << 32, 1));
        let others: [(&str, &[u8]); 8] = [
            ("map", &[0xa0]),
            ("tag", &[0xc0, 0x80]),
            ("float", &[0xf9, 0, 0]),
            ("undefined", &[0xf7]),
            ("null", &[0xf6]),
            ("unknown-simple-value", &[0xe0]),
            ("text-that-is-not-utf-8", &[0x61, 0xff]),
            ("array-of-arrays", &[0x81; 10_000]),
        ];
        for (name, other) in others {
            self.add("tree", name, "Encoding", &framed(&[&[0x82, 1, 0x81], other].concat()));
        }
        self.add("tree", "text-for-bytes", "Encoding", &framed(&cbor::encode(&(1u8, ((["a"], 0u8),)))));
    }
}

/// The checksum that zstd writes after a frame of this content.
fn checksum_of(content: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    std::io::Write::write_all(&mut encoder, content).unwrap();
    let frame = encoder.finish().unwrap();
    frame[frame.len() - 4..].to_vec()
}

fn xattr(name: &[u8], value: usize) -> Xattr {
    Xattr { name: bytes(name), value: bytes(vec![1; value]) }
}

/// Two attributes of this many bytes, names and values.
fn attributes(total: usize) -> Vec<Xattr> {
    vec![xattr(b"user.a", 100), xattr(b"user.b", total - 112)]
}

/// Values that are allowed by themselves.
fn attributes_of_names() -> Vec<Xattr> {
    vec![xattr(b"user.a", 1), xattr(b"user.b", 131_071)]
}
