//! Chunks, blocks, segments and versions: bytes in, sealed bytes out.
//!
//! A *store* keeps numbered, append-only segments (`store`, `folder`). A segment is a run of records (`segment`): *blocks*
//! (`block`), *index records*, *manifests* (`manifest`) and *retention records* (`retention`). A stream is cut into *chunks*
//! (`chunker`), equal chunks are stored once, chunks are gathered into blocks. A *tree* (`tree`) says which files have which
//! chunks; the manifest that seals its root commits the version. [`Archive`] reads; [`Archive::back_up`] writes on many threads
//! (`engine`), [`Writer`] on one; [`Archive::forget`] and [`Archive::prune`] give up what is no longer wanted.
//!
//! Whoever has the store and no key sees lengths, counts, times and which device wrote when; no name, no content, no chunk id.

mod archive;
pub mod block;
mod bytes;
mod check;
pub mod chunker;
mod commit;
mod damage;
pub mod disk;
pub mod engine;
mod error;
mod folder;
mod hints;
mod id;
mod keys;
pub mod limits;
mod links;
pub mod manifest;
mod open;
mod path;
mod prune;
pub mod quirks;
mod random;
mod reader;
mod repair;
pub mod retention;
pub mod segment;
mod store;
mod table;
mod tail;
#[cfg(feature = "testing")]
pub mod testing;
mod text;
pub mod tree;
mod verify;
mod versions;
mod which;
mod writer;

pub use archive::{Archive, LostLinks, Stored, Version};
pub use block::Padding;
pub use check::{Lost, Report};
pub use damage::Damage;
pub use engine::{BackUp, Closed, Counters, Files, Journal, Plan, Planned, Totals};
pub use error::{ArchiveError, Part, Place};
pub use folder::FolderStore;
pub use hints::SegmentState;
pub use id::{ArchiveId, BlockId, ChunkId, DeviceId, Digest, MachineId};
pub use keys::ArchiveKeys;
pub use manifest::Origin;
pub use path::TreePath;
pub use prune::{Prune, Pruned};
pub use random::{Randomness, System};
pub use reader::TreeReader;
pub use repair::Repaired;
pub use store::{MemoryStore, ReadStore, Store};
pub use text::escaped;
pub use verify::Holdings;
pub use which::candidates;
pub use writer::Writer;
