//! Sizes and counts of the archive format. Every limit is checked before memory is taken for what it bounds.

/// The smallest chunk but for the last one of a stream, in bytes.
pub const CHUNK_MIN_BYTES: usize = 16 * 1024;
/// The chunk size aimed at, in bytes.
pub const CHUNK_AVERAGE_BYTES: usize = 64 * 1024;
/// The largest chunk, in bytes.
pub const CHUNK_MAX_BYTES: usize = 256 * 1024;

/// The most chunk content in a block, in bytes: what is gathered before compression (BAK-7).
pub const BLOCK_CONTENT_BYTES: usize = 1024 * 1024;
/// The most chunks in a block.
pub const BLOCK_CHUNKS: usize = 4096;
/// The most a block holds when open: content, table and count. Nothing is ever decompressed beyond it.
pub const BLOCK_PLAIN_BYTES: usize = BLOCK_CONTENT_BYTES + BLOCK_CHUNKS * 4 + 4;

/// The largest window that the zstd frame of a block may declare, in bytes: what decoders take unless told otherwise.
pub const FRAME_WINDOW_BYTES: u64 = 128 * 1024 * 1024;

/// The size at which a segment is closed and the next one begun, in bytes.
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// The most bytes of a segment that a reader looks at: a writer goes on in the next one long before.
pub const SEGMENT_MOST_BYTES: u64 = 1024 * 1024 * 1024;
/// The most segment numbers in a row that may be neither there nor given up: a file beyond is no segment of the archive.
pub const SEGMENT_GAP: u64 = 1024 * 1024;
/// The most damages that a reader names one by one.
pub const MOST_DAMAGE: usize = 100_000;

/// The largest manifest record, in bytes: about 850,000 blocks.
pub const MANIFEST_BYTES: usize = 64 * 1024 * 1024;
/// The largest index record, in bytes.
pub const INDEX_BYTES: usize = 4 * 1024 * 1024;
/// Chunks after which a writer puts an index record into the archive without waiting for the commit.
pub const INDEX_CHUNKS: usize = 32 * 1024;

/// The largest item of a tree with the length in front of it, in bytes: an item is never cut.
pub const ITEM_BYTES: usize = CHUNK_MAX_BYTES;
/// The most chunk references in one item of a tree; a longer file has several items.
pub const ITEM_CHUNKS: usize = 1024;
/// The most components of a path.
pub const PATH_COMPONENTS: usize = 512;
/// The longest component of a path, in bytes.
pub const COMPONENT_BYTES: usize = 1024;
/// The most bytes of all components of a path together.
pub const PATH_BYTES: usize = 32 * 1024;
/// The longest target of a symbolic link, in bytes.
pub const LINK_BYTES: usize = 16 * 1024;
/// The longest name of an extended attribute, in bytes.
pub const XATTR_NAME_BYTES: usize = 255;
/// The most bytes of all extended attributes of an entry, names and values together.
pub const XATTR_TOTAL_BYTES: usize = 128 * 1024;
/// The longest label of a version, in bytes.
pub const LABEL_BYTES: usize = 16 * 1024;
/// The longest name of a host, in bytes.
pub const HOST_BYTES: usize = 255;
/// The longest name of a user, in bytes.
pub const USER_BYTES: usize = 255;
