//! Patterns in the syntax of gitignore, relative to the folder that is backed up or to the root of a version.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bailee_archive::TreePath;
use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::error::FilesError;

/// The largest file of patterns, in bytes.
const FILE_BYTES: u64 = 16 * 1024 * 1024;

/// What matches one of some patterns. A later pattern goes before an earlier one, and `!` takes back; one without a slash within
/// matches at any depth, one with a slash at its end only folders.
#[derive(Clone)]
pub struct Patterns {
    matcher: Gitignore,
}

impl Default for Patterns {
    /// None: nothing matches.
    fn default() -> Self {
        Patterns { matcher: Gitignore::empty() }
    }
}

impl fmt::Debug for Patterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Patterns({})", self.matcher.len())
    }
}

impl Patterns {
    /// These patterns, behind those of the files, in which each line is one; empty lines and those that begin with `#` are none.
    ///
    /// # Errors
    /// `BadPattern`: one of them is none. `Io`: a file cannot be read, is no text or is longer than 16 MiB.
    pub fn new(patterns: &[String], files: &[PathBuf]) -> Result<Self, FilesError> {
        let mut builder = GitignoreBuilder::new(".");
        for file in files {
            for line in read(file)?.lines() {
                add(&mut builder, line)?;
            }
        }
        for pattern in patterns {
            add(&mut builder, pattern)?;
        }
        let matcher = builder.build().map_err(|error| bad("all of them together", &error))?;
        Ok(Patterns { matcher })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.matcher.is_empty()
    }

    /// Whether this path, with `/` between its components, matches; not whether one above it does.
    pub(crate) fn match_path(&self, path: &[u8], is_folder: bool) -> bool {
        matches!(self.matcher.matched(Path::new(OsStr::from_bytes(path)), is_folder), Match::Ignore(_))
    }

    /// The same of a path in a tree; the root never matches.
    pub(crate) fn match_tree_path(&self, path: &TreePath, is_folder: bool) -> bool {
        !path.is_root() && self.match_path(&path.slashed(), is_folder)
    }
}

fn add(builder: &mut GitignoreBuilder, pattern: &str) -> Result<(), FilesError> {
    builder.add_line(None, pattern).map(|_| ()).map_err(|error| bad(pattern, &error))
}

fn bad(pattern: &str, error: &ignore::Error) -> FilesError {
    FilesError::BadPattern { pattern: pattern.into(), what: error.to_string() }
}

fn read(file: &Path) -> Result<String, FilesError> {
    use std::io::Read;
    let mut text = String::new();
    std::fs::File::open(file)
        .and_then(|open| open.take(FILE_BYTES + 1).read_to_string(&mut text))
        .and_then(|length| {
            let fits = length as u64 <= FILE_BYTES;
            if fits { Ok(()) } else { Err(std::io::Error::other("more than 16 MiB of patterns")) }
        })
        .map_err(FilesError::io("reading the patterns in", file))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_git_matches_them() {
        let lines = ["*.o", "!keep.o", "/top", "build/", "a/**/z", "# none", "", r"\#file", "caf?"];
        let patterns = Patterns::new(&lines.map(String::from), &[]).unwrap();
        for (path, is_folder, expected) in [
            ("x.o", false, true),
            ("deep/er/x.o", false, true),
            ("deep/keep.o", false, false),
            ("top", false, true),
            ("sub/top", false, false),
            ("build", true, true),
            ("build", false, false),
            ("a/b/c/z", false, true),
            ("a/z", false, true),
            ("# none", false, false),
            ("#file", false, true),
        ] {
            assert_eq!(patterns.match_path(path.as_bytes(), is_folder), expected, "{path}");
        }
        assert!(patterns.match_path(b"not \xff text.o", false));
        assert!(!Patterns::default().match_path(b"x.o", false));
    }

    #[test]
    fn a_pattern_that_is_none_is_named_and_files_come_first() {
        let error = Patterns::new(&["[z-a]".into()], &[]).unwrap_err();
        assert!(error.to_string().contains("[z-a]"), "{error}");
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("patterns");
        std::fs::write(&file, "*.o\n# comment\n").unwrap();
        let patterns = Patterns::new(&["!x.o".into()], std::slice::from_ref(&file)).unwrap();
        assert!(patterns.match_path(b"y.o", false) && !patterns.match_path(b"x.o", false));
        std::fs::write(&file, b"\xff").unwrap();
        assert!(matches!(Patterns::new(&[], &[file]), Err(FilesError::Io { .. })));
    }
}
