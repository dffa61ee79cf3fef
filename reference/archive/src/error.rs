//! Every way in which an archive says no: what, and where.

use std::fmt;
use std::io;

use bailee_core::cbor::CborError;
use bailee_core::crypto::seal::SealError;

use crate::id::{ArchiveId, BlockId, DeviceId};

/// A place in an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The number of the segment.
    pub segment: u64,
    /// The offset in the segment, in bytes.
    pub offset: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "segment {} at byte {}", self.segment, self.offset)
    }
}

/// What an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The head of a segment.
    Segment,
    /// The head of a record in a segment.
    Frame,
    /// A block.
    Block,
    /// An index record.
    Index,
    /// A manifest.
    Manifest,
    /// A retention record.
    Retention,
    /// The sealed root of a version.
    Root,
    /// An item of a tree.
    Tree,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Segment => "segment",
            Part::Frame => "record head",
            Part::Block => "block",
            Part::Index => "index record",
            Part::Manifest => "manifest",
            Part::Retention => "retention record",
            Part::Root => "root of a version",
            Part::Tree => "tree",
        })
    }
}

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* } => $($format:expr),+;)*) => {
        /// Why an archive operation was refused or failed.
        #[derive(Debug)]
        pub enum ArchiveError {
            $($(#[$doc])* $name { $($(#[$field_doc])* $field: $type,)* },)*
        }

        impl ArchiveError {
            /// The name of the error, without its particulars.
            pub fn name(&self) -> &'static str {
                match self { $(ArchiveError::$name { .. } => stringify!($name),)* }
            }
        }

        impl fmt::Display for ArchiveError {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self { $(ArchiveError::$name { $($field),* } => write!(f, $($format),+),)* }
            }
        }
    };
}

errors! {
    /// The store failed.
    Store {
        /// What was being done.
        doing: &'static str,
        /// What the store said.
        error: io::Error,
    } => "{doing}: {error}";
    /// The source of a file's content failed.
    Source {
        /// What it said.
        error: io::Error,
    } => "reading the content: {error}";
    /// The sink of a file's content failed.
    Sink {
        /// What it said.
        error: io::Error,
    } => "writing the content: {error}";
    /// The store has no archive.
    NoArchive {} => "there is no archive here";
    /// Segments are missing between the first and the last.
    MissingSegment {
        /// The number of the first.
        number: u64,
        /// The number of the last: up to there none is there.
        last: u64,
    } => "{}", missing_segments(*number, *last);
    /// Bytes end too early.
    Truncated {
        /// Of what.
        part: Part,
        /// How many bytes there are.
        length: usize,
        /// How many are needed.
        needed: usize,
    } => "{part}: {length} bytes where {needed} are needed";
    /// A size is above its limit; nothing was allocated for it.
    TooLarge {
        /// Of what.
        part: Part,
        /// The size found.
        length: u64,
        /// The limit.
        limit: u64,
    } => "{part}: {length} where at most {limit} is allowed";
    /// A field has a value that no writer writes.
    Malformed {
        /// Of what.
        part: Part,
        /// Which field, or what about it.
        what: &'static str,
    } => "{part}: {what}";
    /// Not the canonical CBOR that is expected.
    Encoding {
        /// Of what.
        part: Part,
        /// What is wrong, and where.
        error: CborError,
    } => "{part}: {error}";
    /// A format version that this code does not read.
    UnsupportedVersion {
        /// Of what.
        part: Part,
        /// The version.
        version: u8,
    } => "{part}: version {version} is not supported";
    /// A record was altered, or is not where it was written.
    Damaged {
        /// Where.
        place: Place,
        /// What about it.
        what: &'static str,
    } => "{place}: {what}";
    /// Part of another archive.
    WrongArchive {
        /// What.
        part: Part,
        /// The archive it is of.
        found: ArchiveId,
    } => "{part}: belongs to archive {found}";
    /// Sealed under a key epoch whose key is not at hand.
    UnknownEpoch {
        /// The epoch.
        epoch: u64,
    } => "no key for key epoch {epoch}";
    /// A sealed part does not open.
    NotOpened {
        /// What.
        part: Part,
        /// Why.
        error: SealError,
    } => "{part}: {error}";
    /// The content of a block does not decompress to what its head says.
    NotDecompressed {} => "block: does not decompress to the stated length";
    /// A chunk is not the one that its id names. The id is not for logs (BAK-4).
    ChunkMismatch {} => "a chunk has another content than its id names";
    /// No block holds a chunk of the version.
    MissingChunk {} => "a chunk is in no block";
    /// The archive has no such block.
    MissingBlock {
        /// The block.
        id: BlockId,
    } => "block {id} is missing";
    /// A block is there a second time.
    RepeatedBlock {
        /// The block.
        id: BlockId,
    } => "block {id} is there a second time";
    /// zstd could not be set up.
    Compressor {
        /// The level that was asked for.
        level: i32,
        /// What zstd said.
        error: io::Error,
    } => "zstd at level {level}: {error}";
    /// The sealed bytes of a block are not those that a signed manifest lists.
    BlockAltered {
        /// The block.
        id: BlockId,
    } => "block {id} is not the one that the manifest lists";
    /// The signature of a manifest or a retention record is not by its device.
    BadSignature {
        /// The device.
        device: DeviceId,
        /// The manifest's number in the chain.
        seq: u64,
    } => "manifest {seq} of device {device}: the signature is not genuine";
    /// A manifest of a device that is none of the user's.
    UnknownDevice {
        /// The device.
        device: DeviceId,
    } => "a manifest is signed by device {device}, which is not known";
    /// A manifest does not follow the one before it.
    ChainBroken {
        /// The device.
        device: DeviceId,
        /// The manifest's number.
        seq: u64,
        /// The number that should have come.
        expected: u64,
    } => "device {device}: manifest {seq} does not follow; {expected} was expected";
    /// The archive lacks a version that this device remembers.
    RolledBack {
        /// The device.
        device: DeviceId,
        /// The remembered number.
        remembered: u64,
        /// The last number found; 0 for none.
        found: u64,
    } => "device {device}: version {remembered} is remembered, the archive ends at {found}";
    /// No such version.
    UnknownVersion {} => "the archive has no such version";
    /// A path that no entry may have.
    BadPath {
        /// Why.
        what: &'static str,
    } => "path: {what}";
    /// An entry out of the order of paths, or below no directory.
    Misplaced {
        /// Its path, as text.
        path: String,
        /// What is wrong.
        what: &'static str,
    } => "{path}: {what}";
    /// A hard link names no file of its version.
    DanglingLink {
        /// The name that it gives.
        to: String,
    } => "it is another name of {to}, which is no file of the version";
    /// A count or a sum does not agree with what was announced.
    Disagrees {
        /// Of what.
        what: &'static str,
        /// What was announced.
        expected: u64,
        /// What was found.
        found: u64,
    } => "{what}: {expected} announced, {found} found";
    /// Another writer was at the archive since it was read; nothing was written.
    WrittenSince {} => "another writer was at the archive since it was read: open it again";
    /// A write failed before; the archive must be opened again.
    WriterStopped {} => "an earlier write failed: open the archive again";
}

impl std::error::Error for ArchiveError {}

fn missing_segments(first: u64, last: u64) -> String {
    if first == last {
        format!("segment {first} is missing")
    } else {
        format!("segments {first} to {last} are missing")
    }
}

impl ArchiveError {
    pub(crate) fn store(doing: &'static str) -> impl Fn(io::Error) -> ArchiveError {
        move |error| ArchiveError::Store { doing, error }
    }

    pub(crate) fn not_opened(part: Part) -> impl Fn(SealError) -> ArchiveError {
        move |error| ArchiveError::NotOpened { part, error }
    }

    pub(crate) fn encoding(part: Part) -> impl Fn(CborError) -> ArchiveError {
        move |error| ArchiveError::Encoding { part, error }
    }
}
