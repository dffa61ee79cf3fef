//! Chunks, blocks, segments and versions: bytes in, sealed bytes out.
