//! Names and patterns on the command line, over paths of a version.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use bailee_archive::{TreePath, escaped};
use globset::{GlobBuilder, GlobMatcher};

use super::failure::{Done, Failure};

/// A path as a person names it: a leading or trailing `/` and a leading `./` mean nothing.
///
/// # Errors
/// `Usage`: no path of a version.
pub(crate) fn path(named: &OsStr) -> Done<TreePath> {
    let names = named.as_bytes().split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b"."));
    TreePath::new(names).map_err(|error| {
        let what = format!("{}: {error}", escaped(named.as_bytes()));
        Failure::usage(what, "name a path of the version: names with / in between, and no .. among them")
    })
}

/// Refuses an empty word: it comes from a variable of a script that is not set, and then the whole version is not meant.
///
/// # Errors
/// `Usage`.
pub(crate) fn refuse_empty(named: &OsStr) -> Done {
    match named.is_empty() {
        true => Err(Failure::usage("a path is empty", "name a path of the version, or / for all of it")),
        false => Ok(()),
    }
}

/// A pattern as a person writes it. Without a `/` it is of a name in any folder; with one, of the whole path; `**` is any number
/// of folders.
pub(crate) struct Pattern {
    matcher: GlobMatcher,
}

impl Pattern {
    /// # Errors
    /// `Usage`: no pattern.
    pub(crate) fn new(written: &str) -> Done<Self> {
        let anchored = written.trim_end_matches('/');
        let glob = match anchored.strip_prefix("./").or_else(|| anchored.strip_prefix('/')) {
            Some(rest) => rest.to_string(),
            None if anchored.contains('/') => anchored.to_string(),
            None => format!("**/{anchored}"),
        };
        let built =
            GlobBuilder::new(&glob).literal_separator(true).backslash_escape(true).allow_unclosed_class(true).build();
        let glob = built.map_err(|error| Failure::usage(format!("the pattern is wrong: {error}"), ""))?;
        Ok(Pattern { matcher: glob.compile_matcher() })
    }

    pub(crate) fn matches(&self, path: &TreePath) -> bool {
        let bytes = path.slashed();
        self.matcher.is_match(Path::new(OsStr::from_bytes(&bytes)))
    }
}

/// What a word names exactly: a name in any folder or, with a `/`, a whole path.
pub(crate) enum Exact {
    Name(Vec<u8>),
    Path(TreePath),
    /// No version can have it.
    Nothing,
}

impl Exact {
    pub(crate) fn new(word: &OsStr) -> Self {
        let bytes = word.as_bytes();
        let end = bytes.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
        match &bytes[..end] {
            name if !name.contains(&b'/') => Exact::Name(name.to_vec()),
            _ => path(word).map_or(Exact::Nothing, Exact::Path),
        }
    }

    pub(crate) fn is(&self, path: &TreePath) -> bool {
        match self {
            Exact::Name(name) => path.split_last().is_some_and(|(last, _)| last == name),
            Exact::Path(whole) => whole == path,
            Exact::Nothing => false,
        }
    }
}

/// Whether a word may match names other than its own.
pub(crate) fn has_signs(word: &str) -> bool {
    word.contains(['*', '?', '[', '{', '\\'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> TreePath {
        path(OsStr::new(text)).unwrap()
    }

    #[test]
    fn paths_as_people_write_them() {
        assert_eq!(at("/a//b/"), at("./a/b"));
        assert!(at("").is_root() && at("/").is_root() && at(".").is_root());
        assert!(path(OsStr::new("a/../b")).is_err());
    }

    #[test]
    fn a_pattern_is_of_a_name_or_of_a_path() {
        let found = |pattern: &str, path: &str| Pattern::new(pattern).unwrap().matches(&at(path));
        assert!(found("*.txt", "deep/inside/a.txt") && found("*.txt", "a.txt"));
        assert!(found("./*.txt", "a.txt") && !found("./*.txt", "deep/a.txt"));
        assert!(found("/a.txt", "a.txt") && !found("/a.txt", "deep/a.txt"));
        assert!(found("deep/*.txt", "deep/a.txt") && !found("deep/*.txt", "deep/er/a.txt"));
        assert!(found("deep/**/*.txt", "deep/er/a.txt") && found("**/er/*", "deep/er/a.txt"));
        assert!(found("[ab]?", "x/b1") && !found("[ab]?", "x/c1"));
        assert!(found("\\*", "a/*") && !found("\\*", "a/b"));
        assert!(Pattern::new("[z-a]").is_err());
        // As in .gitignore, so that what one command takes for a pattern is one for all.
        assert!(found("a[", "x/a[") && !found("a[", "x/a"));
    }

    #[test]
    fn a_word_names_itself_exactly() {
        let is = |word: &str, path: &str| Exact::new(OsStr::new(word)).is(&at(path));
        assert!(is("[a]*", "deep/[a]*") && !is("[a]*", "deep/a") && !is("[a]*", "[a]*/b"));
        assert!(
            is("deep/[a]", "deep/[a]") && !is("deep/[a]", "x/deep/[a]") && is("/[a]", "[a]") && !is("/[a]", "x/[a]")
        );
        assert!(is("./deep//[a]/", "deep/[a]") && is("[a]/", "deep/[a]"));
        assert!(!is("", "a") && !is("../a", "a") && !is("a/..", "a"));
    }

    #[test]
    fn a_pattern_meets_names_that_are_no_text() {
        let odd = TreePath::root().join(b"\xff.txt").unwrap();
        assert!(Pattern::new("*.txt").unwrap().matches(&odd));
    }
}
