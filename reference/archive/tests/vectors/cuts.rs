//! How streams are cut.

use bailee_archive::testing::Seeded;
use bailee_archive::tree::{ChunkRef, Entry, EntryKind, Meta, Time, Xattr};
use bailee_archive::{Archive, BackUp, Counters, MemoryStore, Padding, TreePath};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::sound::back_up;
use super::{KEY, device, hex, keys, path};

pub(crate) fn counted(length: usize) -> Vec<u8> {
    (0u64..).flat_map(|number| Sha256::digest(number.to_be_bytes())).take(length).collect()
}

fn told(chunks: &[ChunkRef]) -> Value {
    chunks.iter().map(|chunk| json!([chunk.length, hex(chunk.id.0)])).collect()
}

/// How a stream is cut.
pub(crate) fn cuts() -> Value {
    let stream = counted(1_000_000);
    let archive = Archive::create(MemoryStore::default(), keys(), &Seeded(0)).unwrap();
    let (device, random, counters) = (device(), Seeded(1), Counters::default());
    let mut writer = archive.begin(&BackUp::new(&device, Time::default(), &random, &counters)).unwrap();
    let content = writer.content(&mut &stream[..]).unwrap();
    json!({
        "tenant": "tenant", "user": "user", "epoch": 0, "key": hex(KEY),
        "stream": "SHA-256 of each number from 0 on, as 8 bytes, big-endian; the first `length` bytes of all of them",
        "length": stream.len(),
        "chunks": told(&content.chunks),
    })
}

/// How the stream of a tree is cut: after entries, and before those that would make a chunk too long.
pub(crate) fn tree_cuts() -> Value {
    const LINKS: u64 = 4000;
    const LARGE: u64 = 4;
    let archive = Archive::create(MemoryStore::default(), keys(), &Seeded(0)).unwrap();
    let link = |number: u64| {
        let target = hex(Sha256::digest(number.to_be_bytes())).into_bytes();
        let attribute = Xattr { name: b"user.a".to_vec().into(), value: vec![0; 100_000].into() };
        let xattrs = if number < LINKS { Vec::new() } else { vec![attribute] };
        Entry {
            path: path(&format!("{number:08}")),
            meta: Meta { xattrs, ..Meta::default() },
            kind: EntryKind::Symlink { target },
        }
    };
    let root = Entry { path: TreePath::root(), meta: Meta::default(), kind: EntryKind::Directory };
    let entries = std::iter::once(root).chain((0..LINKS + LARGE).map(link));
    let entries: Vec<_> = entries.map(|entry| (entry, Vec::new())).collect();
    let archive = back_up(&device(), archive, 1, &entries, 1 << 26, Padding::Padme);
    json!({
        "tenant": "tenant", "user": "user", "epoch": 0, "key": hex(KEY),
        "tree": "the root directory and, by numbers from 0 on, symbolic links: the name is the number in 8 decimal digits, the \
                 target the SHA-256 of the number (8 bytes, big-endian) in hex; after the first `links` of them come `large` more that have the extended \
                 attribute `user.a` of 100000 zeros; all other metadata is 0",
        "links": LINKS, "large": LARGE,
        "chunks": told(&archive.versions()[0].root.tree),
    })
}
