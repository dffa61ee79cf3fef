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
    /// Every path that was named, those below another too.
    named: Vec<TreePath>,
    /// Each pattern by itself, but for those that take back.
    singles: Vec<(String, Patterns)>,
}

/// Whether a word is a pattern and not a path.
pub fn is_pattern(word: &OsStr) -> bool {
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
        let named = paths.clone();
        paths.sort();
        paths.dedup_by(|path, above| path.is_within(above));
        let whole = paths.iter().any(TreePath::is_root);
        let single = |pattern: &String| Ok((pattern.clone(), Patterns::new(std::slice::from_ref(pattern), &[])?));
        let singles = patterns.iter().filter(|pattern| !pattern.starts_with('!')).map(single);
        let singles = singles.collect::<Result<_, FilesError>>()?;
        Ok(Selection { whole, paths, patterns: Patterns::new(&patterns, &[])?, named, singles })
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
    /// Patterns that nothing has matched yet.
    unmatched: Vec<&'a (String, Patterns)>,
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
            unmatched: selection.singles.iter().collect(),
            above: Vec::new(),
            ready: VecDeque::new(),
            last_path: None,
        }
    }

    /// Patterns that nothing has matched; none of them where not everything could be read.
    pub(super) fn unmatched(&self) -> Vec<PathBuf> {
        self.unmatched.iter().map(|(pattern, _)| PathBuf::from(pattern)).collect()
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
        let is_folder = matches!(entry.kind, EntryKind::Directory);
        self.unmatched.retain(|(_, single)| !single.match_tree_path(&entry.path, is_folder));
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
        } else if is_folder {
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
                    self.unmatched.clear();
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

/// What of a selection the version has, and the paths that it does not have, before anything is written.
///
/// # Errors
/// `NotInVersion` if there is nothing but such paths, and what reading the tree says.
pub(super) fn check<S: ReadStore>(
    archive: &Archive<S>,
    version: &Version,
    selection: &Selection,
) -> Result<(Selection, Vec<PathBuf>), FilesError> {
    let mut missing = Vec::new();
    for path in &selection.named {
        if archive.find_entry(version, path)?.is_none() {
            missing.push(path);
        }
    }
    if let Some(path) = missing.first()
        && missing.len() == selection.named.len()
        && selection.singles.is_empty()
    {
        return Err(not_in_version(path));
    }
    let mut there = selection.clone();
    there.paths.retain(|path| !missing.contains(&path));
    Ok((there, missing.into_iter().map(as_named).collect()))
}

fn as_named(path: &TreePath) -> PathBuf {
    crate::folder::on_disk(std::path::Path::new(""), path)
}

fn not_in_version(path: &TreePath) -> FilesError {
    FilesError::NotInVersion { path: as_named(path) }
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
    archive.find_entry(version, path)?.ok_or_else(|| not_in_version(path))
}
