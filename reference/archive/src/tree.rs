//! The tree of a version: its entries, and the stream of items that they are written as.
//!
//! ```text
//! tree = item*           item = length (4) ‖ canonical CBOR of Item
//! ```
//!
//! The stream is cut into chunks and stored like the content of a file, so that parts of the tree that did not change
//! are not stored again. It is cut between items only, so that a reader can begin at any chunk. A file's chunk references come in items before its entry. Entries are in the order of their paths,
//! the root directory first, every other one below a directory that came before it.

use bailee_core::cbor;
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use crate::bytes::Bytes;
use crate::error::{ArchiveError, Part};
use crate::id::ChunkId;
use crate::limits::{CHUNK_MAX_BYTES, ITEM_BYTES, ITEM_CHUNKS, LINK_BYTES, XATTR_NAME_BYTES, XATTR_TOTAL_BYTES};
use crate::path::{TreePath, starts_with};

/// A chunk of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ChunkRef {
    /// Which chunk.
    #[n(0)]
    pub id: ChunkId,
    /// Its length, in bytes.
    #[n(1)]
    pub length: u32,
}

impl ChunkRef {
    /// Whether a chunk may be as long as it says.
    pub(crate) fn has_a_length(&self) -> bool {
        (1..=CHUNK_MAX_BYTES).contains(&(self.length as usize))
    }
}

/// A point in time, before or after 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Time {
    /// Whole seconds since 1970-01-01 00:00:00 UTC.
    #[n(0)]
    pub seconds: i64,
    /// Nanoseconds in the second, below 1,000,000,000.
    #[n(1)]
    pub nanoseconds: u32,
}

/// An extended attribute.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Xattr {
    /// Its name, with the namespace.
    #[n(0)]
    pub name: ByteVec,
    /// Its value.
    #[n(1)]
    pub value: ByteVec,
}

/// What every entry has, whatever its kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Meta {
    /// Permission bits, at most `0o7777`.
    #[n(0)]
    pub mode: u32,
    /// The owner's number.
    #[n(1)]
    pub uid: u32,
    /// The group's number.
    #[n(2)]
    pub gid: u32,
    /// When the content was last changed.
    #[n(3)]
    pub mtime: Time,
    /// Extended attributes, ascending by name.
    #[n(4)]
    pub xattrs: Vec<Xattr>,
}

/// The content of a file, as chunks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// The length, in bytes: the sum of the chunks' lengths.
    pub size: u64,
    /// The chunks, in order.
    pub chunks: Vec<ChunkRef>,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A file.
    File {
        /// Its content.
        content: Content,
        /// It changed while it was read: the content may mix two states.
        changed: bool,
        /// It took less room than its length: runs of zeros are to be holes.
        sparse: bool,
    },
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink {
        /// What it says. It is never followed.
        target: Vec<u8>,
    },
    /// A further name of a file that came before.
    HardLink {
        /// The first name.
        to: TreePath,
    },
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A device.
    Device {
        /// A block device, not a character device.
        block: bool,
        /// The major number.
        major: u32,
        /// The minor number.
        minor: u32,
    },
}

/// An entry of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it is.
    pub path: TreePath,
    /// Its metadata.
    pub meta: Meta,
    /// What it is.
    pub kind: EntryKind,
}

/// An entry as it is written: a file's chunks precede it, the entry counts them.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Record {
    /// Where it is.
    #[n(0)]
    pub path: TreePath,
    /// Its metadata.
    #[n(1)]
    pub meta: Meta,
    /// What it is.
    #[n(2)]
    pub kind: RecordKind,
}

/// What a written entry is: [`EntryKind`], the content counted.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum RecordKind {
    /// A file.
    #[n(0)]
    File {
        /// Its length, in bytes.
        #[n(0)]
        size: u64,
        /// How many chunk references precede.
        #[n(1)]
        chunks: u64,
        /// It changed while it was read.
        #[n(2)]
        changed: bool,
        /// It took less room than its length.
        #[n(3)]
        sparse: bool,
    },
    /// A directory.
    #[n(1)]
    Directory,
    /// A symbolic link.
    #[n(2)]
    Symlink {
        /// What it says.
        #[n(0)]
        target: ByteVec,
    },
    /// A further name of a file.
    #[n(3)]
    HardLink {
        /// The first name.
        #[n(0)]
        to: TreePath,
    },
    /// A named pipe.
    #[n(4)]
    Fifo,
    /// A socket.
    #[n(5)]
    Socket,
    /// A device.
    #[n(6)]
    Device {
        /// A block device.
        #[n(0)]
        block: bool,
        /// The major number.
        #[n(1)]
        major: u32,
        /// The minor number.
        #[n(2)]
        minor: u32,
    },
}

/// An item of a tree.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Item {
    /// Chunk references of the file whose entry follows.
    #[n(0)]
    Chunks(#[n(0)] Vec<ChunkRef>),
    /// An entry.
    #[n(1)]
    Entry(#[n(0)] Record),
}

fn malformed(what: &'static str) -> ArchiveError {
    ArchiveError::Malformed { part: Part::Tree, what }
}

fn check_meta(meta: &Meta) -> Result<(), ArchiveError> {
    if meta.mode > 0o7777 {
        return Err(malformed("mode bits above 7777"));
    }
    if meta.mtime.nanoseconds >= 1_000_000_000 {
        return Err(malformed("a second or more of nanoseconds"));
    }
    let mut total = 0;
    for xattr in &meta.xattrs {
        if xattr.name.is_empty() || xattr.name.len() > XATTR_NAME_BYTES || xattr.name.contains(&0) {
            return Err(malformed("the name of an extended attribute"));
        }
        total += xattr.name.len() + xattr.value.len();
    }
    if total > XATTR_TOTAL_BYTES {
        return Err(malformed("too many bytes of extended attributes"));
    }
    if !meta.xattrs.is_sorted_by(|a, b| a.name < b.name) {
        return Err(malformed("extended attributes out of order"));
    }
    Ok(())
}

fn check_record(record: &Record) -> Result<(), ArchiveError> {
    check_meta(&record.meta)?;
    match &record.kind {
        RecordKind::Symlink { target } if target.is_empty() || target.len() > LINK_BYTES || target.contains(&0) => {
            Err(malformed("the target of a symbolic link"))
        }
        RecordKind::HardLink { to } if to.is_root() || *to >= record.path => {
            Err(malformed("a hard link to a name that does not come before it"))
        }
        _ => Ok(()),
    }
}

fn check_chunks(chunks: &[ChunkRef]) -> Result<(), ArchiveError> {
    if chunks.is_empty() || chunks.len() > ITEM_CHUNKS {
        return Err(malformed("the number of chunk references in an item"));
    }
    if !chunks.iter().all(ChunkRef::has_a_length) {
        return Err(malformed("the length of a chunk"));
    }
    Ok(())
}

fn check_item(item: &Item) -> Result<(), ArchiveError> {
    match item {
        Item::Chunks(chunks) => check_chunks(chunks),
        Item::Entry(record) => check_record(record),
    }
}

/// Writes an item with its length in front.
///
/// # Errors
/// What [`decode_item`] would refuse; nothing is written then.
pub fn encode_item(item: &Item, out: &mut Vec<u8>) -> Result<(), ArchiveError> {
    check_item(item)?;
    let bytes = cbor::encode(item);
    if 4 + bytes.len() > ITEM_BYTES {
        return Err(item_too_large(bytes.len()));
    }
    out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(&bytes);
    Ok(())
}

/// Reads the item that the bytes begin with; returns it and how many bytes it took.
///
/// # Errors
/// `Truncated` if more bytes must come, `TooLarge`, `Encoding`, `Malformed`.
pub fn decode_item(bytes: &[u8]) -> Result<(Item, usize), ArchiveError> {
    let mut input = Bytes::new(Part::Tree, bytes);
    let length = input.u32()? as usize;
    if length > ITEM_BYTES - 4 {
        return Err(item_too_large(length));
    }
    let item = cbor::decode(input.take(length)?, ITEM_BYTES).map_err(ArchiveError::encoding(Part::Tree))?;
    check_item(&item)?;
    Ok((item, bytes.len() - input.rest().len()))
}

fn item_too_large(length: usize) -> ArchiveError {
    ArchiveError::TooLarge { part: Part::Tree, length: length as u64, limit: ITEM_BYTES as u64 }
}

/// Reads a whole tree that lies in memory.
///
/// # Errors
/// Those of [`decode_item`] and [`TreeOrder::accept`], and `Disagrees` for chunk references that do not add up.
pub fn decode_tree(mut bytes: &[u8]) -> Result<Vec<Entry>, ArchiveError> {
    let (mut assembly, mut order) = (Assembly::default(), TreeOrder::default());
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let (item, length) = decode_item(bytes)?;
        bytes = &bytes[length..];
        if let Some(entry) = assembly.add(item)? {
            order.accept(&entry)?;
            entries.push(entry);
        }
    }
    assembly.finish()?;
    order.finish()?;
    Ok(entries)
}

/// Reads the items of exactly one entry.
///
/// # Errors
/// Those of [`decode_item`], and `Disagrees` or `Malformed` for anything but one entry.
pub(crate) fn decode_one(mut bytes: &[u8]) -> Result<Entry, ArchiveError> {
    let mut assembly = Assembly::default();
    while !bytes.is_empty() {
        let (item, length) = decode_item(bytes)?;
        bytes = &bytes[length..];
        match assembly.add(item)? {
            Some(entry) if bytes.is_empty() => return Ok(entry),
            Some(_) => break,
            None => {}
        }
    }
    Err(malformed("not the items of one entry"))
}

/// The items in bytes that [`encode_item`] wrote, each with its length in front.
pub(crate) fn split_items(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = u32::from_be_bytes(*bytes.first_chunk::<4>()?) as usize;
        let (item, rest) = bytes.split_at_checked(4 + length)?;
        bytes = rest;
        Some(item)
    })
}

/// Writes an entry as items.
pub(crate) fn encode_entry(entry: &Entry, out: &mut Vec<u8>) -> Result<(), ArchiveError> {
    let kind = match &entry.kind {
        EntryKind::File { content, changed, sparse } => {
            for chunks in content.chunks.chunks(ITEM_CHUNKS) {
                encode_item(&Item::Chunks(chunks.to_vec()), out)?;
            }
            RecordKind::File {
                size: content.size,
                chunks: content.chunks.len() as u64,
                changed: *changed,
                sparse: *sparse,
            }
        }
        EntryKind::Directory => RecordKind::Directory,
        EntryKind::Symlink { target } => RecordKind::Symlink { target: target.clone().into() },
        EntryKind::HardLink { to } => RecordKind::HardLink { to: to.clone() },
        EntryKind::Fifo => RecordKind::Fifo,
        EntryKind::Socket => RecordKind::Socket,
        EntryKind::Device { block, major, minor } => {
            RecordKind::Device { block: *block, major: *major, minor: *minor }
        }
    };
    encode_item(&Item::Entry(Record { path: entry.path.clone(), meta: entry.meta.clone(), kind }), out)
}

/// Puts items together into entries.
#[derive(Default)]
pub(crate) struct Assembly {
    chunks: Vec<ChunkRef>,
}

impl Assembly {
    pub(crate) fn add(&mut self, item: Item) -> Result<Option<Entry>, ArchiveError> {
        match item {
            Item::Chunks(chunks) => {
                self.chunks.extend(chunks);
                Ok(None)
            }
            Item::Entry(record) => self.entry(record).map(Some),
        }
    }

    fn entry(&mut self, record: Record) -> Result<Entry, ArchiveError> {
        let kind = match record.kind {
            RecordKind::File { size, chunks, changed, sparse } => {
                EntryKind::File { content: self.content(size, chunks)?, changed, sparse }
            }
            RecordKind::Directory => EntryKind::Directory,
            RecordKind::Symlink { target } => EntryKind::Symlink { target: target.into() },
            RecordKind::HardLink { to } => EntryKind::HardLink { to },
            RecordKind::Fifo => EntryKind::Fifo,
            RecordKind::Socket => EntryKind::Socket,
            RecordKind::Device { block, major, minor } => EntryKind::Device { block, major, minor },
        };
        self.finish()?;
        Ok(Entry { path: record.path, meta: record.meta, kind })
    }

    fn content(&mut self, size: u64, count: u64) -> Result<Content, ArchiveError> {
        let chunks = std::mem::take(&mut self.chunks);
        if chunks.len() as u64 != count {
            let found = chunks.len() as u64;
            return Err(ArchiveError::Disagrees { what: "chunks of a file", expected: count, found });
        }
        let found = chunks.iter().map(|chunk| u64::from(chunk.length)).sum();
        if found != size {
            return Err(ArchiveError::Disagrees { what: "size of a file", expected: size, found });
        }
        Ok(Content { size, chunks })
    }

    /// Refuses chunk references that belong to no file.
    pub(crate) fn finish(&self) -> Result<(), ArchiveError> {
        match self.chunks.len() as u64 {
            0 => Ok(()),
            found => Err(ArchiveError::Disagrees { what: "chunks of a file", expected: 0, found }),
        }
    }
}

const NO_ROOT: &str = "a tree begins with its root directory";

/// Holds a tree to its order: the root directory first, then ascending paths, each directly below a directory.
#[derive(Default)]
pub struct TreeOrder {
    last: Option<TreePath>,
    /// The key of the directory that was entered last.
    inside: Vec<u8>,
    anywhere: bool,
}

impl TreeOrder {
    /// The order from somewhere within a tree on: the first entry may be anything.
    pub(crate) fn anywhere() -> Self {
        TreeOrder { anywhere: true, ..TreeOrder::default() }
    }

    /// Refuses a tree that has ended without its root.
    ///
    /// # Errors
    /// `Misplaced`.
    pub(crate) fn finish(&self) -> Result<(), ArchiveError> {
        if self.last.is_none() && !self.anywhere {
            return Err(ArchiveError::Misplaced { path: TreePath::root().to_string(), what: NO_ROOT });
        }
        Ok(())
    }

    /// Accepts the next entry.
    ///
    /// # Errors
    /// `Misplaced`.
    pub fn accept(&mut self, entry: &Entry) -> Result<(), ArchiveError> {
        let misplaced = |what| Err(ArchiveError::Misplaced { path: entry.path.to_string(), what });
        let directory = matches!(entry.kind, EntryKind::Directory);
        match (&self.last, entry.path.split_last()) {
            (None, Some((_, parents))) if self.anywhere => self.inside.extend_from_slice(parents),
            (None, None) if directory => {}
            (None, _) => return misplaced(NO_ROOT),
            (Some(last), _) if *last >= entry.path => return misplaced("the order of paths is not ascending"),
            (Some(_), Some((_, parents))) if starts_with(&self.inside, parents) => {
                self.inside.truncate(parents.len())
            }
            (Some(_), _) => return misplaced("it is in no directory of the tree"),
        }
        if directory {
            self.inside.clear();
            self.inside.extend_from_slice(entry.path.key());
        }
        self.last.get_or_insert_default().clone_from(&entry.path);
        Ok(())
    }
}
