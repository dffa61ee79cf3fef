//! Checking an archive, and what its damage costs.

use crate::archive::{Archive, Damage, Version};
use crate::error::ArchiveError;
use crate::id::Digest;
use crate::path::TreePath;
use crate::store::ReadStore;
use crate::tree::{ChunkRef, EntryKind};

/// A file that a version has and that cannot be restored.
#[derive(Debug)]
pub struct Lost {
    /// The digest of the version's manifest.
    pub version: Digest,
    /// The file; none if the tree itself is lost from some place on.
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
    /// What that costs.
    pub lost: Vec<Lost>,
}

impl<S: ReadStore> Archive<S> {
    /// Looks whether every version can be restored. With `read_data`, every block is opened; else blocks count as whole that are
    /// there and in their places. `progress` hears how many blocks of how many were opened.
    ///
    /// Damage that is found here is remembered: [`Archive::back_up`] stores again what was lost, if it still has it.
    pub fn check(&mut self, read_data: bool, progress: &mut dyn FnMut(u64, u64)) -> Report {
        let mut report = Report::default();
        if read_data {
            self.open_every_block(&mut report, progress);
        }
        for version in &self.versions {
            self.check_version(version, &mut report);
        }
        report
    }

    fn open_every_block(&mut self, report: &mut Report, progress: &mut dyn FnMut(u64, u64)) {
        let all = u64::from(self.blocks.next_number());
        for number in 0..self.blocks.next_number() {
            let Some(place) = self.blocks.get(number).and_then(|block| block.place) else { continue };
            report.blocks += 1;
            progress(report.blocks, all);
            if let Err(error) = self.read_block(number) {
                report.damage.push(Damage { place: Some(place), error });
                if let Some(block) = self.blocks.get_mut(number) {
                    block.place = None;
                }
            }
        }
        self.chunks.forget_blocks(|block| self.blocks.get(block).is_none_or(|block| block.place.is_none()));
    }

    fn check_version(&self, version: &Version, report: &mut Report) {
        for entry in self.tree(version) {
            let lost = match entry {
                Ok(entry) => {
                    report.entries += 1;
                    let EntryKind::File { content, .. } = &entry.kind else { continue };
                    match self.check_chunks(&content.chunks) {
                        Ok(()) => continue,
                        Err(error) => Lost { version: version.digest, path: Some(entry.path), error },
                    }
                }
                Err(error) => Lost { version: version.digest, path: None, error },
            };
            report.lost.push(lost);
        }
    }

    /// Every chunk is in a block that is there.
    fn check_chunks(&self, chunks: &[ChunkRef]) -> Result<(), ArchiveError> {
        for chunk in chunks {
            let at = self.chunks.get(&chunk.id).ok_or(ArchiveError::MissingChunk {})?;
            let block = self.blocks.get(at.block).ok_or(ArchiveError::MissingChunk {})?;
            if block.place.is_none() {
                return Err(ArchiveError::MissingBlock { id: block.id });
            }
        }
        Ok(())
    }
}
