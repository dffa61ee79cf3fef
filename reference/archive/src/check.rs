//! Checking an archive, and what its damage costs.

use std::collections::BTreeSet;

use crate::archive::{Archive, LostLinks, Version};
use crate::damage::{Damage, is_vanished};
use crate::error::ArchiveError;
use crate::id::Digest;
use crate::path::TreePath;
use crate::store::ReadStore;
use crate::tree::{ChunkRef, EntryKind};
use crate::verify::Lengths;

/// How often a check begins anew because a prune removed what it was to read.
const ATTEMPTS: usize = 16;

/// An entry that a version has and that cannot be restored.
#[derive(Debug)]
pub struct Lost {
    /// The digest of the version's manifest.
    pub version: Digest,
    /// The entry; none if the tree itself is lost from some place on.
    pub path: Option<TreePath>,
    /// Why.
    pub error: ArchiveError,
}

/// What a check found.
#[derive(Debug, Default)]
pub struct Report {
    /// Blocks that were opened.
    pub blocks: u64,
    /// Entries that were looked at, in all versions.
    pub entries: u64,
    /// What is wrong with records and blocks, besides [`Archive::damage`].
    pub damage: Vec<Damage>,
    /// What that costs, of versions that are there.
    pub lost: Vec<Lost>,
    /// Versions of which not even the record is left.
    pub lost_links: Vec<LostLinks>,
}

impl<S: ReadStore> Archive<S> {
    /// Looks whether every version can be restored. With `read_data`, every block is opened; else those alone that somebody found
    /// altered, and the others count as whole if they are there and in their places. `progress` hears how many blocks of how many
    /// were opened.
    ///
    /// Damage that is found here is noted beside the archive: the next backup stores again what was lost, if it still has it. Where
    /// a prune removes segments meanwhile, the archive is read again as it is then.
    pub fn check(&mut self, read_data: bool, progress: &mut dyn FnMut(u64, u64)) -> Report {
        for _ in 1..ATTEMPTS {
            let report = self.check_once(read_data, progress);
            if !self.has_moved() && report.as_ref().is_ok_and(|report| !report.lost.iter().any(Lost::has_vanished)) {
                return report.unwrap_or_default();
            }
            if let Err(error) = self.reload() {
                return Report { damage: vec![Damage { place: None, error }], ..Report::default() };
            }
        }
        self.check_once(read_data, progress).unwrap_or_else(|error| {
            let damage = vec![Damage { place: None, error }];
            Report { damage, ..Report::default() }
        })
    }

    fn check_once(&mut self, read_data: bool, progress: &mut dyn FnMut(u64, u64)) -> Result<Report, ArchiveError> {
        let mut report = Report::default();
        let all = u64::from(self.contents.blocks.next_number());
        let (numbers, mut lengths) = if read_data {
            ((0..self.contents.blocks.next_number()).collect(), Some(Lengths::of(&self.contents.chunks)))
        } else {
            (self.suspected(), None)
        };
        let mut opened = |count| {
            report.blocks = count;
            progress(count, all);
        };
        report.damage = self.verify(&numbers, lengths.as_mut(), &mut opened)?;
        for version in &self.contents.versions {
            self.check_version(version, lengths.as_ref(), &mut report);
        }
        report.lost_links = self.contents.lost_links();
        Ok(report)
    }

    /// What the versions have and cannot be restored, as far as it is known without opening blocks.
    pub(crate) fn losses(&self) -> Vec<Lost> {
        let mut report = Report::default();
        for version in &self.contents.versions {
            self.check_version(version, None, &mut report);
        }
        report.lost
    }

    fn check_version(&self, version: &Version, lengths: Option<&Lengths>, report: &mut Report) {
        let mut first_names = BTreeSet::new();
        for entry in self.tree(version) {
            let lost = match entry {
                Ok(entry) => {
                    report.entries += 1;
                    let content = match entry.kind {
                        EntryKind::File { content, .. } => content,
                        EntryKind::HardLink { to } => {
                            first_names.insert(to);
                            continue;
                        }
                        _ => continue,
                    };
                    match self.check_chunks(&content.chunks, lengths) {
                        Ok(()) => continue,
                        Err(error) => Lost { version: version.digest, path: Some(entry.path), error },
                    }
                }
                Err(error) => Lost { version: version.digest, path: None, error },
            };
            report.lost.push(lost);
        }
        if !first_names.is_empty() {
            self.check_links(version, first_names, report);
        }
    }

    /// Every hard link names a file.
    fn check_links(&self, version: &Version, mut names: BTreeSet<TreePath>, report: &mut Report) {
        for entry in self.tree(version).map_while(Result::ok) {
            if matches!(entry.kind, EntryKind::File { .. }) {
                names.remove(&entry.path);
            }
        }
        if names.is_empty() {
            return;
        }
        for entry in self.tree(version).map_while(Result::ok) {
            if let EntryKind::HardLink { to } = entry.kind
                && names.contains(&to)
            {
                let error = ArchiveError::DanglingLink { to: to.to_string() };
                report.lost.push(Lost { version: version.digest, path: Some(entry.path), error });
            }
        }
    }

    /// Every chunk is in a block that is there, and as long as it is said to be.
    fn check_chunks(&self, chunks: &[ChunkRef], lengths: Option<&Lengths>) -> Result<(), ArchiveError> {
        let contents = &self.contents;
        for chunk in chunks {
            let at = contents.chunks.get(&chunk.id).ok_or(ArchiveError::MissingChunk {})?;
            let block = contents.blocks.get(at.block).ok_or(ArchiveError::MissingChunk {})?;
            if block.place.is_none() {
                return Err(ArchiveError::MissingBlock { id: block.id });
            }
            let length = lengths.and_then(|lengths| lengths.get(&contents.chunks, &chunk.id));
            if let Some(found) = length.filter(|length| *length != chunk.length) {
                let (expected, found) = (u64::from(chunk.length), u64::from(found));
                return Err(ArchiveError::Disagrees { what: "length of a chunk", expected, found });
            }
        }
        Ok(())
    }
}

impl Lost {
    fn has_vanished(&self) -> bool {
        is_vanished(&self.error)
    }
}
