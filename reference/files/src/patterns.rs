//! Patterns in the syntax of gitignore, relative to the folder that is backed up or to the root of a version.

mod file;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use bailee_archive::TreePath;
use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::error::FilesError;
use crate::restore::tree_path;

/// What matches one of some patterns. A later pattern goes before an earlier one, and `!` takes back; one without a slash within
/// matches at any depth, one with a slash at its end only folders.
#[derive(Clone)]
pub struct Patterns {
    /// Paths that match whatever the patterns say, with `/` between components; ascending.
    exact: Vec<Vec<u8>>,
    matcher: Gitignore,
}

impl Default for Patterns {
    /// None: nothing matches.
    fn default() -> Self {
        Patterns { exact: Vec::new(), matcher: Gitignore::empty() }
    }
}

impl fmt::Debug for Patterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Patterns({} and {} paths)", self.matcher.len(), self.exact.len())
    }
}

impl Patterns {
    /// The patterns in the lines of these files, then those of these words. Empty lines and lines that begin with `#` are not
    /// patterns; a word that begins with `#` is one.
    ///
    /// # Errors
    /// `BadPattern`: a word is not a pattern. `BadPatternFile`: a line of a file is not one, or the file is not text or is longer
    /// than 16 MiB. `Io`: a file cannot be read.
    pub fn new(words: &[OsString], files: &[PathBuf]) -> Result<Self, FilesError> {
        let mut builder = GitignoreBuilder::new(".");
        for path in files {
            file::each_line(path, |line| builder.add_line(None, line).map(|_| ()))?;
        }
        for word in words {
            add_word(&mut builder, word)?;
        }
        let matcher = builder.build().map_err(|error| bad("all of them together", error.to_string()))?;
        Ok(Patterns { exact: Vec::new(), matcher })
    }

    /// What is left out of a backup of this folder. A word that is written like a pattern, and is the exact path of something in
    /// the folder, means that alone. It is relative to the folder; a path of the system that lies in the folder will do.
    ///
    /// # Errors
    /// As [`Patterns::new`].
    pub fn of_folder(folder: &Path, words: &[OsString], files: &[PathBuf]) -> Result<Self, FilesError> {
        let (mut exact, mut patterns) = (Vec::new(), Vec::new());
        for word in words {
            let word = from_folder(folder, word);
            match exact_path(folder, &word) {
                Some(path) => exact.push(path.slashed()),
                None => patterns.push(word),
            }
        }
        exact.sort();
        Ok(Patterns { exact, ..Patterns::new(&patterns, files)? })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.matcher.is_empty()
    }

    /// Whether this path, with `/` between its components, matches; not whether one above it does.
    pub(crate) fn match_path(&self, path: &[u8], is_folder: bool) -> bool {
        self.decide(path, is_folder) == Some(true)
    }

    /// Whether this path matches or is taken back; none if nothing says so.
    fn decide(&self, path: &[u8], is_folder: bool) -> Option<bool> {
        if !self.exact.is_empty() && self.exact.binary_search_by(|exact| exact[..].cmp(path)).is_ok() {
            return Some(true);
        }
        match self.matcher.matched(Path::new(OsStr::from_bytes(path)), is_folder) {
            Match::Ignore(_) => Some(true),
            Match::Whitelist(_) => Some(false),
            Match::None => None,
        }
    }

    /// The same of a path in a tree; the root never matches.
    pub(crate) fn match_tree_path(&self, path: &TreePath, is_folder: bool) -> bool {
        self.decide_tree_path(path, is_folder) == Some(true)
    }

    /// Whether a path in a tree matches or is taken back; none if nothing says so.
    pub(crate) fn decide_tree_path(&self, path: &TreePath, is_folder: bool) -> Option<bool> {
        if path.is_root() { None } else { self.decide(&path.slashed(), is_folder) }
    }
}

/// Adds the pattern of a word. What is typed is never a comment, and `./` begins at the root as `/` does.
fn add_word(builder: &mut GitignoreBuilder, word: &OsStr) -> Result<(), FilesError> {
    let Some(text) = word.to_str() else {
        let what = "it is not UTF-8: name a path exactly, or write ? for each byte that is not UTF-8";
        return Err(bad(&word.to_string_lossy(), what.into()));
    };
    let line = match text.strip_prefix('.') {
        Some(rest) if rest.starts_with('/') => rest.to_owned(),
        _ if text.starts_with('#') => format!("\\{text}"),
        _ => text.to_owned(),
    };
    builder.add_line(None, &line).map(|_| ()).map_err(|error| bad(text, error.to_string()))
}

fn bad(pattern: &str, what: String) -> FilesError {
    FilesError::BadPattern { pattern: pattern.into(), what }
}

/// A word that is a path of the system below the folder, as one from the folder on; any other as it is.
fn from_folder(folder: &Path, word: &OsStr) -> OsString {
    let named = Path::new(word);
    // The folder may have such a path in it, too: then that is meant, as in gitignore.
    let first = named.components().find(|component| matches!(component, Component::Normal(_)));
    if first.is_none_or(|first| folder.join(first).symlink_metadata().is_ok()) {
        return word.to_owned();
    }
    let places = [std::path::absolute(folder), fs::canonicalize(folder)];
    let Some(below) = places.iter().flatten().find_map(|place| named.strip_prefix(place).ok()) else {
        return word.to_owned();
    };
    let end: &[u8] = if word.as_bytes().ends_with(b"/") { b"/" } else { b"" };
    OsString::from_vec([b"/", below.as_os_str().as_bytes(), end].concat())
}

/// The path of a word that is written like a pattern, if the folder has something there. What a plain name means in gitignore
/// includes what has that path, so it stays a pattern and goes on to match at any depth.
fn exact_path(folder: &Path, word: &OsStr) -> Option<TreePath> {
    if !may_mean_another(word) {
        return None;
    }
    let path = tree_path(word).ok().filter(|path| !path.is_root())?;
    let there = fs::symlink_metadata(crate::folder::on_disk(folder, &path)).ok()?;
    (there.is_dir() || !word.as_bytes().ends_with(b"/")).then_some(path)
}

/// Whether the pattern of a word may match something else than what has its name.
fn may_mean_another(word: &OsStr) -> bool {
    let bytes = word.as_bytes();
    let has_sign = bytes.iter().any(|byte| b"*?[]{}\\".contains(byte));
    let begins = [&b"!"[..], b"#", b"./"].iter().any(|start| bytes.starts_with(start));
    has_sign || begins || bytes.ends_with(b" ") || word.to_str().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_git_matches_them() {
        let lines = ["*.o", "!keep.o", "/top", "build/", "a/**/z", "#hash", "", r"\#file", "caf?"];
        let patterns = Patterns::new(&lines.map(OsString::from), &[]).unwrap();
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
            ("#hash", false, true),
            ("#file", false, true),
        ] {
            assert_eq!(patterns.match_path(path.as_bytes(), is_folder), expected, "{path}");
        }
        assert!(patterns.match_path(b"not \xff text.o", false));
        assert!(!Patterns::default().match_path(b"x.o", false));
    }

    #[test]
    fn what_is_not_a_pattern_is_named_and_files_come_first() {
        let error = Patterns::new(&["[z-a]".into()], &[]).unwrap_err();
        assert!(error.to_string().contains("[z-a]"), "{error}");
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("patterns");
        fs::write(&file, "\u{feff}*.o\r\n# comment\r\nspace \r\nkept\\ \r\nlast").unwrap();
        let patterns = Patterns::new(&["!x.o".into()], std::slice::from_ref(&file)).unwrap();
        let matches = |path: &str| patterns.match_path(path.as_bytes(), false);
        assert!(matches("y.o") && !matches("x.o"));
        assert!(matches("space") && !matches("space ") && matches("kept ") && !matches("kept") && matches("last"));
        fs::write(&file, b"*.o\n[z-a]\n").unwrap();
        let said = Patterns::new(&[], std::slice::from_ref(&file)).unwrap_err().to_string();
        assert!(said.contains("patterns, line 2: ") && said.contains("[z-a]"), "{said}");
        fs::remove_file(&file).unwrap();
        assert!(matches!(Patterns::new(&[], &[file]), Err(FilesError::Io { .. })));
    }

    fn folder_with(names: &[&[u8]]) -> tempfile::TempDir {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("in")).unwrap();
        for name in names {
            fs::write(place.path().join(OsStr::from_bytes(name)), b"").unwrap();
        }
        place
    }

    /// What a word leaves out of a folder that has something of that name, and what it would as a pattern.
    #[test]
    fn an_exact_path_in_the_folder_means_itself_alone() {
        let names: [&[u8]; 14] = [
            b"[abc].txt",
            b"[.txt",
            b"a*b",
            b"!bang",
            b"#hash",
            b"trail ",
            b"back\\slash",
            b"q?",
            b"{x,y}",
            b"a{b",
            b"[z-a]",
            b"odd\xff*",
            b"in/[abc]",
            b"in/{",
        ];
        let others: [&[u8]; 9] =
            [b"a.txt", b"acb", b"bang", b"trail", b"backslash", b"qq", b"x", b"in/a", b"in/[abc].txt"];
        let folder = folder_with(&[&names[..], &others[..]].concat());
        for name in names {
            for word in [name.to_vec(), [b"/", name].concat(), [b"./", name].concat()] {
                let word = OsString::from_vec(word);
                let patterns = Patterns::of_folder(folder.path(), std::slice::from_ref(&word), &[]).unwrap();
                assert!(patterns.match_path(name, false), "{word:?}");
                assert!(!others.iter().any(|other| patterns.match_path(other, false)), "{word:?}");
            }
        }
        // A slash at the end is of a folder.
        let patterns = Patterns::of_folder(folder.path(), &["q?/".into()], &[]).unwrap();
        assert!(patterns.match_path(b"qq", true) && !patterns.match_path(b"q?", false));
    }

    #[test]
    fn what_the_folder_does_not_have_is_a_pattern_and_a_plain_name_holds_at_any_depth() {
        let folder = folder_with(&[b"a", b"!b*"]);
        let of = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            Patterns::of_folder(folder.path(), &words, &[]).unwrap()
        };
        let patterns = of(&["[abc]", "a", "!b"]);
        assert!(patterns.match_path(b"c", false) && patterns.match_path(b"deep/a", false));
        assert!(!patterns.match_path(b"b", false), "it is taken back");
        let patterns = of(&["b?", "!b*"]);
        assert!(patterns.match_path(b"bb", false) && patterns.match_path(b"!b*", false), "that is a name here");
        let patterns = of(&["./*.o"]);
        assert!(patterns.match_path(b"x.o", false) && !patterns.match_path(b"deep/x.o", false));
        for nothing in ["", "/", "./", "."] {
            assert!(!of(&[nothing]).match_path(b"a", false), "{nothing:?}");
        }
    }

    #[test]
    fn a_path_of_the_system_is_one_in_the_folder() {
        let folder = folder_with(&[b"in/[x]", b"in/x"]);
        let of = |below: &str| {
            let word = folder.path().join(below).into_os_string();
            Patterns::of_folder(folder.path(), &[word], &[]).unwrap()
        };
        let matched = |patterns: &Patterns| {
            ["in", "in/x", "in/[x]"].map(|path| patterns.match_path(path.as_bytes(), path == "in"))
        };
        assert_eq!(matched(&of("in")), [true, false, false]);
        assert_eq!(matched(&of("in/")), [true, false, false]);
        assert_eq!(matched(&of("in/[x]")), [false, false, true]);
        assert_eq!(matched(&of("in/?")), [false, true, false]);
        assert!(!of("in").match_path(b"deep/in", true));
    }

    #[test]
    fn a_pattern_that_is_not_utf8_is_an_error_that_says_what_to_write() {
        let folder = folder_with(&[]);
        let word = OsString::from_vec(b"\xff*".to_vec());
        let said = Patterns::of_folder(folder.path(), &[word], &[]).unwrap_err().to_string();
        assert!(said.contains("not UTF-8") && said.contains("write ?"), "{said}");
        let patterns = Patterns::new(&["caf?".into()], &[]).unwrap();
        assert!(patterns.match_path(b"caf\xe9", false), "as it says");
    }
}
