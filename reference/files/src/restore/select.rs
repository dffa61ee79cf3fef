//! What of a version is restored.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use bailee_archive::tree::{Entry, EntryKind};
use bailee_archive::{Archive, ArchiveError, ReadStore, TreePath, Version};

use crate::error::FilesError;
use crate::patterns::Patterns;

/// What of a version is restored: all of it, or what lies at some paths or matches some patterns, with everything below it and the
/// folders above it.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    whole: bool,
    /// Ascending, none below another.
    paths: Vec<TreePath>,
    patterns: Patterns,
}

/// Whether a word is a pattern and not a path.
fn is_pattern(word: &OsStr) -> bool {
    word.as_bytes().iter().any(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\'))
}

/// A path as somebody writes it, relative to the root of a version; a slash in front is that root.
///
/// # Errors
/// `NotInVersion` for what leads out of the version.
pub fn tree_path(word: &OsStr) -> Result<TreePath, FilesError> {
    let components = word.as_bytes().split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
    TreePath::new(components).map_err(|_| FilesError::NotInVersion { path: PathBuf::from(word) })
}

impl Selection {
    /// The whole version.
    pub fn whole() -> Self {
        Selection { whole: true, ..Selection::default() }
    }

    /// What these words name. One with `*`, `?`, `[` or `\` is a pattern as gitignore has them, the others are paths. None: the whole.
    ///
    /// # Errors
    /// `NotInVersion`, `BadPattern`.
    pub fn of<W: AsRef<OsStr>>(words: &[W]) -> Result<Self, FilesError> {
        if words.is_empty() {
            return Ok(Selection::whole());
        }
        let mut patterns = Vec::new();
        let mut paths = Vec::new();
        for word in words.iter().map(AsRef::as_ref) {
            match (is_pattern(word), word.to_str()) {
                (false, _) => paths.push(tree_path(word)?),
                (true, Some(pattern)) => patterns.push(pattern.to_owned()),
                (true, None) => {
                    let pattern = word.to_string_lossy().into_owned();
                    return Err(FilesError::BadPattern { pattern, what: "it is no text".into() });
                }
            }
        }
        paths.sort();
        paths.dedup_by(|path, above| path.is_within(above));
        let whole = paths.iter().any(TreePath::is_root);
        Ok(Selection { whole, paths, patterns: Patterns::new(&patterns, &[])? })
    }

    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether the path itself, or a folder above it, is chosen.
    pub(super) fn includes(&self, path: &TreePath) -> bool {
        let within = |chosen: &TreePath| path.is_within(chosen);
        self.whole || self.paths.iter().any(within) || self.matches_above(path)
    }

    fn matches_above(&self, path: &TreePath) -> bool {
        self.patterns.match_tree_path(path, false)
            || path.above().any(|folder| self.patterns.match_tree_path(&folder, true))
    }

    fn chooses(&self, entry: &Entry) -> bool {
        let is_folder = matches!(entry.kind, EntryKind::Directory);
        self.paths.binary_search(&entry.path).is_ok() || self.patterns.match_tree_path(&entry.path, is_folder)
    }
}

/// Entries of a version, each of which may be unreadable.
type Entries<'a> = Box<dyn Iterator<Item = Result<Entry, ArchiveError>> + 'a>;

/// The chosen entries of a version, in the order of paths, each after the folders above it.
pub(super) struct Chosen<'a, S> {
    archive: &'a Archive<S>,
    version: &'a Version,
    selection: &'a Selection,
    /// Paths that are still to be looked up; none when the whole tree is read.
    paths: VecDeque<TreePath>,
    reader: Entries<'a>,
    /// Everything below this path is chosen.
    inside: Option<TreePath>,
    /// Folders above the place in the tree that are not given out.
    above: Vec<Entry>,
    ready: VecDeque<Result<Entry, ArchiveError>>,
    last_path: Option<TreePath>,
}

impl<'a, S: ReadStore> Chosen<'a, S> {
    /// Only paths: they are looked up. A pattern: the whole tree is read.
    pub(super) fn new(archive: &'a Archive<S>, version: &'a Version, selection: &'a Selection) -> Self {
        let reads_all = selection.whole || !selection.patterns.is_empty();
        Chosen {
            archive,
            version,
            selection,
            paths: if reads_all { VecDeque::new() } else { selection.paths.iter().cloned().collect() },
            reader: if reads_all { Box::new(archive.tree(version)) } else { Box::new(std::iter::empty()) },
            inside: selection.whole.then(TreePath::root),
            above: Vec::new(),
            ready: VecDeque::new(),
            last_path: None,
        }
    }

    /// Looks a path up: the folders above it become ready, and the reader begins at it.
    fn look_up(&mut self, path: TreePath) {
        for folder in path.above() {
            // What was above the last path, too, was given out with it.
            if self.last_path.as_ref().is_none_or(|last| !last.is_within(&folder)) {
                match self.archive.find_entry(self.version, &folder) {
                    Ok(entry) => self.ready.extend(entry.map(Ok)),
                    Err(error) => self.ready.push_back(Err(error)),
                }
            }
        }
        self.reader = match self.archive.tree_from(self.version, &path) {
            Ok(reader) => Box::new(reader),
            Err(error) => Box::new(std::iter::once(Err(error))),
        };
        self.inside = Some(path.clone());
        self.last_path = Some(path);
    }

    /// Takes an entry in: it is given out, kept for what may be chosen below it, or passed over.
    fn take_in(&mut self, entry: Entry) {
        if self.inside.as_ref().is_some_and(|inside| entry.path.is_within(inside)) {
            self.ready.push_back(Ok(entry));
            return;
        }
        self.inside = None;
        while self.above.last().is_some_and(|folder| !entry.path.is_within(&folder.path)) {
            self.above.pop();
        }
        if self.selection.chooses(&entry) {
            self.ready.extend(self.above.drain(..).map(Ok));
            self.inside = Some(entry.path.clone());
            self.ready.push_back(Ok(entry));
        } else if matches!(entry.kind, EntryKind::Directory) {
            self.above.push(entry);
        }
    }
}

impl<S: ReadStore> Iterator for Chosen<'_, S> {
    type Item = Result<Entry, ArchiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Some(ready);
            }
            let looked_up = self.last_path.is_some();
            match self.reader.next() {
                Some(Ok(entry))
                    if looked_up && self.last_path.as_ref().is_some_and(|path| !entry.path.is_within(path)) =>
                {
                    self.reader = Box::new(std::iter::empty());
                }
                Some(Ok(entry)) => self.take_in(entry),
                // The rest of it cannot be told; other paths are looked up nevertheless.
                Some(Err(error)) => {
                    self.reader = Box::new(std::iter::empty());
                    return Some(Err(error));
                }
                None => {
                    let path = self.paths.pop_front()?;
                    self.look_up(path);
                }
            }
        }
    }
}

/// Refuses a selection with a path that the version does not have, before anything is written.
///
/// # Errors
/// `NotInVersion`, and what reading the tree says.
pub(super) fn check<S: ReadStore>(
    archive: &Archive<S>,
    version: &Version,
    selection: &Selection,
) -> Result<(), FilesError> {
    selection.paths.iter().try_for_each(|path| find(archive, version, path).map(|_| ()))
}

/// The entry at a path.
///
/// # Errors
/// `NotInVersion`, and what reading the tree says.
pub(super) fn find<S: ReadStore>(
    archive: &Archive<S>,
    version: &Version,
    path: &TreePath,
) -> Result<Entry, FilesError> {
    archive
        .find_entry(version, path)?
        .ok_or_else(|| FilesError::NotInVersion { path: crate::walk::on_disk(std::path::Path::new(""), path) })
}
