//! How two versions differ: both trees are read side by side, and neither is ever whole in memory.

use std::cmp::Ordering;

use bailee_archive::tree::{Entry, EntryKind};
use bailee_archive::{ArchiveError, TreePath};

/// What became of a path from one version to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Change {
    Added,
    Removed,
    /// A file is now a folder, or the like.
    Kind,
    /// Other content, or another target of a link.
    Content,
    /// Same content, other metadata.
    Metadata,
}

impl Change {
    pub(crate) const ALL: [Change; 5] =
        [Change::Added, Change::Removed, Change::Kind, Change::Content, Change::Metadata];

    /// The letter that users of other backup tools know.
    pub(crate) fn letter(self) -> char {
        match self {
            Change::Added => '+',
            Change::Removed => '-',
            Change::Kind => 'T',
            Change::Content => 'M',
            Change::Metadata => 'U',
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Change::Added => "added",
            Change::Removed => "removed",
            Change::Kind => "kind",
            Change::Content => "content",
            Change::Metadata => "metadata",
        }
    }
}

/// A difference: where, what, and the length of the content on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) path: TreePath,
    pub(crate) change: Change,
    pub(crate) before: Option<u64>,
    pub(crate) after: Option<u64>,
}

/// Every difference between two trees, in the order of paths.
pub(crate) fn differences<I, J>(before: I, after: J) -> Differences<I, J>
where
    I: Iterator<Item = Result<Entry, ArchiveError>>,
    J: Iterator<Item = Result<Entry, ArchiveError>>,
{
    Differences { before, after, waiting: (None, None) }
}

pub(crate) struct Differences<I, J> {
    before: I,
    after: J,
    /// The next entry of each side, once it was read.
    waiting: (Option<Entry>, Option<Entry>),
}

impl<I, J> Iterator for Differences<I, J>
where
    I: Iterator<Item = Result<Entry, ArchiveError>>,
    J: Iterator<Item = Result<Entry, ArchiveError>>,
{
    type Item = Result<Difference, ArchiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Err(error) = self.fill() {
                return Some(Err(error));
            }
            let order = match &self.waiting {
                (None, None) => return None,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(before), Some(after)) => before.path.cmp(&after.path),
            };
            let before = if order.is_le() { self.waiting.0.take() } else { None };
            let after = if order.is_ge() { self.waiting.1.take() } else { None };
            if let Some(difference) = compare(before, after) {
                return Some(Ok(difference));
            }
        }
    }
}

impl<I, J> Differences<I, J>
where
    I: Iterator<Item = Result<Entry, ArchiveError>>,
    J: Iterator<Item = Result<Entry, ArchiveError>>,
{
    fn fill(&mut self) -> Result<(), ArchiveError> {
        if self.waiting.0.is_none() {
            self.waiting.0 = self.before.next().transpose()?;
        }
        if self.waiting.1.is_none() {
            self.waiting.1 = self.after.next().transpose()?;
        }
        Ok(())
    }
}

fn compare(before: Option<Entry>, after: Option<Entry>) -> Option<Difference> {
    let size = |entry: &Option<Entry>| entry.as_ref().and_then(super::entry::length);
    let (sizes, change) = (
        (size(&before), size(&after)),
        match (&before, &after) {
            (None, _) => Change::Added,
            (_, None) => Change::Removed,
            (Some(before), Some(after)) => changed(before, after)?,
        },
    );
    let path = after.or(before)?.path;
    Some(Difference { path, change, before: sizes.0, after: sizes.1 })
}

fn changed(before: &Entry, after: &Entry) -> Option<Change> {
    use EntryKind as K;
    if std::mem::discriminant(&before.kind) != std::mem::discriminant(&after.kind) {
        return Some(Change::Kind);
    }
    let same = match (&before.kind, &after.kind) {
        // Equal chunks are equal content; other chunks of one key epoch are other content.
        (K::File { content: a, .. }, K::File { content: b, .. }) => a == b,
        (a, b) => a == b,
    };
    match (same, before.meta == after.meta) {
        (false, _) => Some(Change::Content),
        (true, false) => Some(Change::Metadata),
        (true, true) => None,
    }
}

#[cfg(test)]
mod tests {
    use bailee_archive::ChunkId;
    use bailee_archive::tree::{ChunkRef, Content, Meta};

    use super::*;

    fn entry(path: &str, kind: EntryKind, mode: u32) -> Entry {
        let path = TreePath::new(path.split('/')).unwrap();
        Entry { path, kind, meta: Meta { mode, ..Meta::default() } }
    }

    fn file(path: &str, chunk: u8, mode: u32) -> Entry {
        let chunks = vec![ChunkRef { id: ChunkId([chunk; 32]), length: 10 }];
        entry(path, EntryKind::File { content: Content { size: 10, chunks }, changed: false, sparse: false }, mode)
    }

    fn said(before: Vec<Entry>, after: Vec<Entry>) -> Vec<String> {
        let found = differences(before.into_iter().map(Ok), after.into_iter().map(Ok));
        found.map(|found| found.map(|d| format!("{} {}", d.change.letter(), d.path)).unwrap()).collect()
    }

    #[test]
    fn every_kind_of_change_is_found_in_the_order_of_paths() {
        let before = vec![
            file("a", 1, 0o600),
            entry("b", EntryKind::Directory, 0o700),
            file("b/x", 1, 0o600),
            file("c", 1, 0o600),
            file("d", 1, 0o600),
            entry("e", EntryKind::Symlink { target: b"x".to_vec() }, 0o777),
            file("f", 1, 0o600),
        ];
        let after = vec![
            file("a", 1, 0o600),
            file("b", 1, 0o600),
            file("c", 2, 0o640),
            file("d", 1, 0o640),
            entry("e", EntryKind::Symlink { target: b"y".to_vec() }, 0o777),
            file("e2", 1, 0o600),
            file("f", 1, 0o600),
        ];
        assert_eq!(said(before.clone(), after), ["T b", "- b/x", "M c", "U d", "M e", "+ e2"]);
        assert_eq!(said(before.clone(), before), Vec::<String>::new());
    }

    #[test]
    fn one_side_may_end_first() {
        let (one, two) = (vec![file("a", 1, 0)], vec![file("a", 1, 0), file("b", 1, 0), file("c", 1, 0)]);
        assert_eq!(said(one.clone(), two.clone()), ["+ b", "+ c"]);
        assert_eq!(said(two.clone(), one), ["- b", "- c"]);
        assert_eq!(said(Vec::new(), two), ["+ a", "+ b", "+ c"]);
    }

    #[test]
    fn an_unreadable_tree_is_an_error_and_not_a_removal() {
        let before = vec![Ok(file("a", 1, 0)), Err(ArchiveError::MissingChunk {})];
        let after = vec![Ok(file("a", 1, 0)), Ok(file("b", 1, 0))];
        let found: Vec<_> = differences(before.into_iter(), after.into_iter()).take(1).collect();
        assert!(matches!(found[..], [Err(ArchiveError::MissingChunk {})]));
    }
}
