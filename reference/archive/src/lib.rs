//! Chunks, blocks, segments and versions: bytes in, sealed bytes out.
//!
//! A *store* keeps numbered, append-only segments (`store`, `folder`). A segment is a run of records (`segment`): *blocks*
//! (`block`), *index records* and *manifests* (`manifest`). A stream is cut into *chunks* (`chunker`), equal chunks are
//! stored once, chunks are gathered into blocks. A *tree* (`tree`) says which files have which chunks; the manifest that
//! seals its root commits the version. [`Archive`] reads, [`Writer`] writes.
//!
//! Whoever has the store and no key sees lengths, counts, times and which device wrote when; no name, no content, no chunk id.

mod archive;
pub mod block;
mod bytes;
pub mod chunker;
mod error;
mod folder;
mod id;
mod keys;
pub mod limits;
pub mod manifest;
mod path;
pub mod segment;
mod store;
pub mod tree;
mod writer;

pub use archive::{Archive, Version};
pub use error::{ArchiveError, Part, Place};
pub use folder::FolderStore;
pub use id::{ArchiveId, BlockId, ChunkId, DeviceId, Digest};
pub use keys::ArchiveKeys;
pub use path::TreePath;
pub use store::{MemoryStore, ReadStore, Store};
pub use writer::{Totals, Writer};
