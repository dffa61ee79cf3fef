//! What a corpus is like: sizes, and what zstd finds in it.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::tree::walk;

/// The level that all tools are run at.
const LEVEL: i32 = 3;
/// How much is compressed in one piece where files are gathered.
const GROUP: usize = 1 << 20;

/// What is in a tree. Ratios are compressed ÷ plain at zstd 3.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// Regular files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Half of the files are no larger.
    pub median_size: u64,
    /// The largest file.
    pub largest: u64,
    /// All content in the order of paths, in groups of 1 MiB.
    pub ratio_grouped: f64,
    /// Each file alone, or its pieces of 1 MiB.
    pub ratio_single: f64,
    /// BLAKE3 of paths, kinds and content in the order of paths.
    pub digest: String,
}

/// Reads a tree in full. An empty one has ratios of 1.
///
/// # Errors
/// Something cannot be read.
pub fn statistics(folder: &Path) -> io::Result<Statistics> {
    let mut digest = blake3::Hasher::new();
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    let (mut sizes, mut group) = (Vec::new(), Vec::new());
    let (mut single, mut grouped) = (0, 0);
    walk(folder, &mut |path, metadata| {
        let name = path.strip_prefix(folder).unwrap_or(path).as_os_str().as_bytes();
        digest.update(name).update(&[0, u8::from(metadata.is_dir()), u8::from(metadata.is_symlink())]);
        if metadata.is_symlink() {
            digest.update(fs::read_link(path)?.as_os_str().as_bytes());
        }
        if metadata.is_file() {
            let content = fs::read(path)?;
            sizes.push(content.len() as u64);
            digest.update(&(content.len() as u64).to_le_bytes()).update(&content);
            for piece in content.chunks(GROUP) {
                single += compressor.compress(piece)?.len().min(piece.len());
            }
            group.extend_from_slice(&content);
            while group.len() >= GROUP {
                grouped += compressor.compress(&group[..GROUP])?.len().min(GROUP);
                group.drain(..GROUP);
            }
        }
        Ok(())
    })?;
    grouped += compressor.compress(&group)?.len().min(group.len());
    let bytes: u64 = sizes.iter().sum();
    sizes.sort_unstable();
    let ratio = |compressed: usize| if bytes == 0 { 1.0 } else { compressed as f64 / bytes as f64 };
    Ok(Statistics {
        files: sizes.len() as u64,
        bytes,
        median_size: sizes.get(sizes.len() / 2).copied().unwrap_or(0),
        largest: sizes.last().copied().unwrap_or(0),
        ratio_grouped: ratio(grouped),
        ratio_single: ratio(single),
        digest: digest.finalize().to_hex().to_string(),
    })
}
