//! The text corpus from real files: what a machine has of source and documentation.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::tree::walk;

/// Endings of source and documentation.
const ENDINGS: &[&str] = &[
    "c", "h", "cc", "cpp", "hpp", "rs", "py", "pyi", "pl", "pm", "js", "mjs", "ts", "go", "java", "rb", "sh", "md",
    "rst", "txt", "html", "css", "toml", "json", "yaml", "yml", "xml", "cmake", "tex", "pod",
];

/// Copies text files from these folders into one that is there and empty, in the order of paths, until `most` bytes
/// are there. A file whose content was copied before is left out. Gives the bytes that were copied.
///
/// # Errors
/// A folder cannot be walked, or the copy cannot be written. A file that cannot be read is left out.
pub fn copy_text(from: &[PathBuf], to: &Path, most: u64) -> io::Result<u64> {
    let (mut seen, mut copied) = (HashSet::new(), 0);
    for (number, folder) in from.iter().enumerate() {
        walk(folder, &mut |path, metadata| {
            let is_text = path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known));
            if !metadata.is_file() || !is_text || copied + metadata.len() > most {
                return Ok(());
            }
            let Ok(content) = fs::read(path) else { return Ok(()) };
            if !seen.insert(blake3::hash(&content)) {
                return Ok(());
            }
            let target = to.join(format!("from-{number}")).join(path.strip_prefix(folder).unwrap_or(path));
            fs::create_dir_all(target.parent().unwrap_or(to))?;
            fs::write(target, &content)?;
            copied += content.len() as u64;
            Ok(())
        })?;
    }
    Ok(copied)
}
