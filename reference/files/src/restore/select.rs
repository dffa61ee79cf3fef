//! What of a version is restored.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use bailee_archive::tree::{Entry, EntryKind};
use bailee_archive::{Archive, ArchiveError, ReadStore, TreePath, Version};

use crate::error::FilesError;
use crate::patterns::Patterns;

/// What somebody wants of a version, in words: each is the path of something in it, or a pattern. Which of the two it is, the
/// version says: a path that it has is that path, whatever signs are in it.
#[derive(Clone, Debug)]
pub struct Selection {
    /// None: the whole version.
    words: Vec<Word>,
}

/// A word, and what it may mean: at least one of the two.
#[derive(Clone, Debug)]
struct Word {
    path: Option<TreePath>,
    pattern: Option<OsString>,
}

/// What a selection means in one version: all of it, or what has some paths or matches some patterns, with everything below it
/// and the folders above it. What a pattern takes back is left out, with everything below it that nothing else names.
#[derive(Clone, Debug, Default)]
pub(super) struct Choice {
    whole: bool,
    /// Ascending. None is below another, unless there are patterns.
    paths: Vec<TreePath>,
    patterns: Patterns,
    /// Each pattern by itself, except those that take back.
    singles: Vec<(OsString, Patterns)>,
}

/// Whether a word has the signs of a pattern.
pub fn is_pattern(word: &OsStr) -> bool {
    let bytes = word.as_bytes();
    bytes.starts_with(b"!") || bytes.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\'))
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
        Selection { words: Vec::new() }
    }

    /// What these words name. One with `*`, `?`, `[` or `\`, or with `!` in front, is a pattern as gitignore has them if the version
    /// has nothing of exactly that path; the others are paths. No words: the whole.
    ///
    /// # Errors
    /// `NotInVersion` for a path that no version has.
    pub fn of<W: AsRef<OsStr>>(words: &[W]) -> Result<Self, FilesError> {
        let word = |word: &W| {
            let word = word.as_ref();
            let pattern = is_pattern(word).then(|| word.to_owned());
            match tree_path(word) {
                Err(error) if pattern.is_none() => Err(error),
                path => Ok(Word { path: path.ok(), pattern }),
            }
        };
        Ok(Selection { words: words.iter().map(word).collect::<Result<_, _>>()? })
    }
}

impl Choice {
    fn whole() -> Self {
        Choice { whole: true, ..Choice::default() }
    }

    fn new(mut paths: Vec<TreePath>, patterns: &[OsString]) -> Result<Self, FilesError> {
        paths.sort();
        if patterns.is_empty() {
            paths.dedup_by(|path, above| path.is_within(above));
        }
        let whole = paths.iter().any(TreePath::is_root);
        let single = |pattern: &OsString| Ok((pattern.clone(), Patterns::new(std::slice::from_ref(pattern), &[])?));
        let takes = patterns.iter().filter(|pattern| !pattern.as_bytes().starts_with(b"!"));
        let singles = takes.map(single).collect::<Result<_, FilesError>>()?;
        Ok(Choice { whole, paths, patterns: Patterns::new(patterns, &[])?, singles })
    }

    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether every entry of the version is chosen.
    pub(super) fn is_everything(&self) -> bool {
        self.whole && self.patterns.is_empty()
    }

    /// Whether what has this path, and is not a folder, is chosen.
    pub(super) fn includes(&self, path: &TreePath) -> bool {
        let by_folder = || path.above().filter_map(|folder| self.decide(&folder, true)).last();
        self.decide(path, false).or_else(by_folder).unwrap_or(self.whole)
    }

    /// Whether a path is chosen or taken back by itself; none if it is as the folder that it is in.
    fn decide(&self, path: &TreePath, is_folder: bool) -> Option<bool> {
        if self.paths.binary_search(path).is_ok() {
            return Some(true);
        }
        if self.patterns.is_empty() { None } else { self.patterns.decide_tree_path(path, is_folder) }
    }
}

/// Entries of a version, each of which may be unreadable.
type Entries<'a> = Box<dyn Iterator<Item = Result<Entry, ArchiveError>> + 'a>;

/// The chosen entries of a version, in the order of paths, each after the folders above it.
pub(super) struct Chosen<'a, S> {
    archive: &'a Archive<S>,
    version: &'a Version,
    choice: &'a Choice,
    /// Paths that are still to be looked up; none when the whole tree is read.
    paths: VecDeque<TreePath>,
    reader: Entries<'a>,
    /// The paths above the place in the tree that are chosen or taken back by themselves. What is below is as the last of them.
    decided: Vec<(TreePath, bool)>,
    /// Patterns that nothing has matched yet.
    unmatched: Vec<&'a (OsString, Patterns)>,
    /// Folders above the place in the tree that are not given out.
    above: Vec<Entry>,
    ready: VecDeque<Result<Entry, ArchiveError>>,
    last_path: Option<TreePath>,
}

impl<'a, S: ReadStore> Chosen<'a, S> {
    /// Only paths: they are looked up. A pattern: the whole tree is read.
    pub(super) fn new(archive: &'a Archive<S>, version: &'a Version, choice: &'a Choice) -> Self {
        let reads_all = choice.whole || !choice.patterns.is_empty();
        Chosen {
            archive,
            version,
            choice,
            paths: if reads_all { VecDeque::new() } else { choice.paths.iter().cloned().collect() },
            reader: if reads_all { Box::new(archive.tree(version)) } else { Box::new(std::iter::empty()) },
            decided: choice.whole.then(|| (TreePath::root(), true)).into_iter().collect(),
            unmatched: choice.singles.iter().collect(),
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
        self.decided = vec![(path.clone(), true)];
        self.last_path = Some(path);
    }

    /// Takes an entry in: it is given out, kept for what may be chosen below it, or passed over.
    fn take_in(&mut self, entry: Entry) {
        let is_folder = matches!(entry.kind, EntryKind::Directory);
        self.unmatched.retain(|(_, single)| !single.match_tree_path(&entry.path, is_folder));
        while self.decided.pop_if(|(path, _)| !entry.path.is_within(path)).is_some() {}
        let by_itself = self.choice.decide(&entry.path, is_folder);
        let is_chosen = by_itself.unwrap_or_else(|| self.decided.last().is_some_and(|(_, is_chosen)| *is_chosen));
        if let Some(is_chosen) = by_itself.filter(|_| is_folder) {
            self.decided.push((entry.path.clone(), is_chosen));
        }
        while self.above.last().is_some_and(|folder| !entry.path.is_within(&folder.path)) {
            self.above.pop();
        }
        if is_chosen {
            self.ready.extend(self.above.drain(..).map(Ok));
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

/// What a selection means in a version, and the paths that the version does not have. Nothing is written.
///
/// # Errors
/// `NotInVersion`, `NothingChosen` if it means nothing; `BadPattern`; and what reading the tree says.
pub(super) fn check<S: ReadStore>(
    archive: &Archive<S>,
    version: &Version,
    selection: &Selection,
) -> Result<(Choice, Vec<PathBuf>), FilesError> {
    if selection.words.is_empty() {
        return Ok((Choice::whole(), Vec::new()));
    }
    let (mut paths, mut patterns, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for word in &selection.words {
        let there = word.path.as_ref().map_or(Ok(None), |path| archive.find_entry(version, path));
        match (there, &word.pattern, &word.path) {
            (Ok(Some(entry)), ..) => paths.push(entry.path),
            // Where a part of the tree cannot be read, the rest may have what the pattern matches.
            (_, Some(pattern), _) => patterns.push(pattern.clone()),
            (there, None, path) => {
                there?;
                missing.extend(path);
            }
        }
    }
    let choice = Choice::new(paths, &patterns)?;
    if choice.paths.is_empty() && choice.singles.is_empty() {
        return Err(missing.first().map_or(FilesError::NothingChosen, |path| not_in_version(path)));
    }
    Ok((choice, missing.into_iter().map(as_named).collect()))
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
