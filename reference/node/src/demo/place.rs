//! Where a demo writes: a folder of its own, never inside the one it reads.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bailee_files::FilesError;
use tempfile::TempDir;

use super::error::{DemoError, Done};

/// Archive and restored folders; gone at the end unless they are to be kept.
pub(crate) struct Place {
    folder: PathBuf,
    temporary: Option<TempDir>,
}

/// What a search in the archive's bytes found.
pub(crate) struct Seen {
    pub(crate) looked_for: usize,
    pub(crate) found: usize,
    pub(crate) bytes: u64,
}

/// Names shorter than this are found in any random bytes.
const NAME_WORTH_LOOKING_FOR: usize = 10;
/// So many names are looked for.
const NAMES: usize = 100;

impl Place {
    pub(crate) fn prepare(source: &Path, keep: Option<&Path>) -> Done<Self> {
        let source = fs::canonicalize(source).map_err(|error| {
            DemoError::Usage(format!("{}: {error}: name an existing folder to back up", source.display()))
        })?;
        if !source.is_dir() {
            return Err(DemoError::Files(FilesError::NotADirectory { path: source }));
        }
        let place = match keep {
            None => {
                let temporary =
                    TempDir::with_prefix("bailee-demo-").map_err(io_error("making", &std::env::temp_dir()))?;
                Place { folder: temporary.path().to_path_buf(), temporary: Some(temporary) }
            }
            Some(kept) => {
                fs::create_dir(kept).map_err(|error| {
                    DemoError::Usage(format!(
                        "{}: {error}: --keep wants a folder that does not exist yet",
                        kept.display()
                    ))
                })?;
                Place { folder: kept.to_path_buf(), temporary: None }
            }
        };
        let own = fs::canonicalize(&place.folder).map_err(io_error("reading", &place.folder))?;
        if own.starts_with(&source) {
            if place.temporary.is_none() {
                let _ = fs::remove_dir(&own);
            }
            return Err(DemoError::Usage(format!(
                "{} is inside the folder to back up: set TMPDIR or --keep to a place outside of it",
                own.display()
            )));
        }
        Ok(place)
    }

    pub(crate) fn kept(&self) -> Option<&Path> {
        self.temporary.is_none().then_some(&self.folder)
    }

    pub(crate) fn archive(&self) -> PathBuf {
        self.folder.join("archive")
    }

    pub(crate) fn restored(&self, name: &str) -> PathBuf {
        self.folder.join(format!("restored-{name}"))
    }

    pub(crate) fn io(&self, doing: &'static str) -> impl FnOnce(io::Error) -> DemoError + use<> {
        io_error(doing, &self.archive())
    }

    /// Looks for file names of the source in the archive's bytes.
    pub(crate) fn search_archive(&self, source: &Path) -> Done<Seen> {
        let names = long_names(source);
        let mut found = BTreeSet::new();
        let mut bytes = 0;
        let archive = self.archive();
        for entry in fs::read_dir(&archive).map_err(io_error("reading", &archive))? {
            let path = entry.map_err(io_error("reading", &archive))?.path();
            let content = fs::read(&path).map_err(io_error("reading", &path))?;
            bytes += content.len() as u64;
            // Only the first few MiB of a segment: every name that leaked once would leak everywhere.
            let part = &content[..content.len().min(4 << 20)];
            found.extend(names.iter().filter(|name| contains(part, name.as_bytes())).cloned());
        }
        Ok(Seen { looked_for: names.len(), found: found.len(), bytes })
    }
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DemoError + use<> {
    let path = path.to_path_buf();
    move |error| DemoError::Files(FilesError::Io { doing, path, error })
}

/// Whether the needle is in the haystack.
pub(crate) fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    let Some((&first, rest)) = needle.split_first() else { return true };
    let mut from = 0;
    while let Some(at) = haystack[from..].iter().position(|&byte| byte == first) {
        from += at + 1;
        if haystack[from..].starts_with(rest) {
            return true;
        }
    }
    false
}

/// Some names in the folder that are long enough to be no accident.
fn long_names(source: &Path) -> BTreeSet<OsString> {
    let mut names = BTreeSet::new();
    let mut open = vec![source.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if names.len() == NAMES {
                return names;
            }
            if entry.file_name().len() >= NAME_WORTH_LOOKING_FOR {
                names.insert(entry.file_name());
            }
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(entry.path());
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::contains;

    #[test]
    fn a_needle_is_found_where_it_is_and_nowhere_else() {
        assert!(contains(b"aaab", b"aab"));
        assert!(contains(b"end", b"end"));
        assert!(!contains(b"en", b"end"));
        assert!(!contains(b"abab", b"aa"));
    }
}
