//! An archive in memory, a plan in memory, and what is read back.
#![allow(dead_code, reason = "each test file uses its part of it")]

use std::io;

use bailee_archive::testing::Seeded;
use bailee_archive::tree::{Entry, EntryKind, Meta, Time};
use bailee_archive::{
    Archive, ArchiveError, ArchiveKeys, BackUp, Closed, Counters, DeviceId, Files, Journal, MemoryStore, Plan,
    Planned, ReadStore, Store, Totals, TreePath, Version,
};
use bailee_core::crypto::keys::{Owner, Secret};
use bailee_core::crypto::sign::Signing;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

/// Names and contents, in the order of names.
pub(crate) type Content = Vec<(String, Vec<u8>)>;

fn owner(epoch: u64) -> Owner {
    Owner { tenant: "tenant".into(), user: "user".into(), epoch }
}

pub(crate) fn keys() -> ArchiveKeys {
    ArchiveKeys::new(&Secret::take(&mut [7; 32]), &owner(0))
}

/// Keys of the next epoch, which also read what was sealed under [`keys`].
pub(crate) fn later_keys() -> ArchiveKeys {
    ArchiveKeys::new(&Secret::take(&mut [8; 32]), &owner(1)).with_former(&Secret::take(&mut [7; 32]), &owner(0))
}

pub(crate) fn device() -> Signing {
    Signing::from_seed(&[3; 32])
}

pub(crate) fn trusted() -> [DeviceId; 1] {
    [DeviceId(device().public())]
}

pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    ChaCha20Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

/// Words from a small seeded vocabulary: it compresses, and has cuts.
pub(crate) fn text(seed: u64, length: usize) -> Vec<u8> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut out = Vec::with_capacity(length + 8);
    while out.len() < length {
        out.extend_from_slice(format!("word{} ", rng.next_u32() % 5000).as_bytes());
    }
    out.truncate(length);
    out
}

/// Switches on the bug that `cargo lockstep mutants` names to this process, if it names one.
pub(crate) fn bug() {
    if let Ok(id) = std::env::var("BAILEE_BUG") {
        let _ = bailee_archive::quirks::Quirk::switch_on(&id) || bailee_core::quirks::Quirk::switch_on(&id);
    }
}

pub(crate) fn fresh() -> Archive<MemoryStore> {
    bug();
    Archive::create(MemoryStore::default(), keys(), &Seeded(0)).unwrap()
}

pub(crate) fn root() -> Entry {
    Entry { path: TreePath::root(), meta: Meta::default(), kind: EntryKind::Directory }
}

pub(crate) fn path(name: &str) -> TreePath {
    TreePath::root().join(name.as_bytes()).unwrap()
}

/// A plan over content in memory.
pub(crate) struct MemoryPlan {
    files: std::vec::IntoIter<(String, Vec<u8>)>,
    begun: bool,
}

impl MemoryPlan {
    pub(crate) fn new(content: &Content) -> Self {
        MemoryPlan { files: content.clone().into_iter(), begun: false }
    }
}

impl Plan for MemoryPlan {
    type File = (String, Vec<u8>);

    fn next(&mut self) -> Option<Planned<Self::File>> {
        if !std::mem::replace(&mut self.begun, true) {
            return Some(Planned::Entry(root()));
        }
        let file = self.files.next()?;
        let size = file.1.len() as u64;
        Some(Planned::File { file, size })
    }
}

/// Reads what [`MemoryPlan`] names. A file whose name begins with `unreadable` fails where its name says.
pub(crate) struct MemoryFiles;

impl Files for MemoryFiles {
    type File = (String, Vec<u8>);
    type Open = Vec<u8>;

    fn open(&self, file: &Self::File) -> io::Result<Vec<u8>> {
        if file.0.starts_with("unreadable-at-once") {
            Err(io::ErrorKind::PermissionDenied.into())
        } else {
            Ok(file.1.clone())
        }
    }

    fn read_at(&self, open: &Vec<u8>, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = open.get(offset as usize..).unwrap_or_default();
        // Short reads are allowed, and happen.
        let length = rest.len().min(buffer.len()).min(300_000);
        if rest.starts_with(b"FAIL HERE") {
            return Err(io::Error::other("a bad sector"));
        }
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn close(&self, file: &Self::File, _: &Vec<u8>, size_read: u64) -> Closed {
        let changed = size_read != file.1.len() as u64;
        Closed { path: path(&file.0), meta: Meta::default(), changed, sparse: false }
    }

    fn path(&self, file: &Self::File) -> TreePath {
        path(&file.0)
    }
}

/// Keeps what it hears.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) stored: Vec<(String, Vec<u8>)>,
    pub(crate) left_out: Vec<String>,
    pub(crate) refused: Vec<(String, &'static str)>,
}

impl Journal for Heard {
    type File = (String, Vec<u8>);

    fn stored(&mut self, file: &Self::File, items: &[u8]) {
        self.stored.push((file.0.clone(), items.to_vec()));
    }

    fn left_out(&mut self, file: &Self::File, _: &io::Error) {
        self.left_out.push(file.0.clone());
    }

    fn refused(&mut self, path: &TreePath, error: &ArchiveError) {
        self.refused.push((path.to_string(), error.name()));
    }
}

/// A backup of content in memory on so many threads.
pub(crate) fn back_up<S: Store>(
    archive: Archive<S>,
    content: &Content,
    seed: u64,
    threads: usize,
    segment_bytes: u64,
) -> Result<(Archive<S>, Totals), ArchiveError> {
    let (device, random, counters) = (device(), Seeded(seed), Counters::default());
    let time = Time { seconds: seed as i64, nanoseconds: 0 };
    let how = BackUp { threads, segment_bytes, ..BackUp::new(&device, time, &random, &counters) };
    archive.back_up(MemoryPlan::new(content), &MemoryFiles, &mut Heard::default(), &how)
}

/// An archive with which nothing is wrong.
pub(crate) fn reopen<S: ReadStore>(store: S) -> Result<Archive<S>, ArchiveError> {
    Archive::open(store, keys(), &trusted())?.sound()
}

/// The files of a version, in full.
pub(crate) fn content_of<S: ReadStore>(archive: &Archive<S>, version: &Version) -> Result<Content, ArchiveError> {
    let mut files = Vec::new();
    for entry in archive.tree(version) {
        let entry = entry?;
        if let EntryKind::File { content, .. } = &entry.kind {
            let mut bytes = Vec::new();
            archive.copy_content(content, &mut bytes)?;
            files.push((entry.path.to_string(), bytes));
        }
    }
    Ok(files)
}
