//! From an archive into a folder.
//!
//! One thread goes through the tree in the order of paths and makes folders, which only their owner may enter yet; others write
//! what is in them, in batches. Hard links are made when their first names are complete, and folders get their metadata in a
//! second pass, the inner ones first: making what is in them changes their times and needs their permissions. So memory does not
//! grow with the version, except for the path of each folder that stood there before.
//!
//! **Never outside.** Every name is made in a folder that was opened by its own name in the folder above it, without following a
//! link, and names in a tree are neither `..` nor contain a slash.
//!
//! **Never half.** What does not exist yet is written under its own name. What replaces something is made beside it and renamed.
//! The permissions tell what is not complete: a file has mode 01200 and a folder 01700 until they get their own, the very last of
//! their metadata. So the same restore, run again, completes what was interrupted, and there is no need of a rename for each file
//! or a list of what is done. Nothing is made durable on the way: after a power failure, run it again with `verify`
//! and [`Overwrite::IfChanged`].
//!
//! **Never what is somebody's.** Permissions alone prove nothing. The target has a journal, [`JOURNAL`], from the beginning to the
//! end of a restore; after an interruption it stays. It says when the restore ran, and how it found the target. Only what was last
//! changed in that time, as the system says it, is taken for incomplete. Any restore into the target completes what it has in
//! common with the interrupted one, and removes the journal at its end. A target that was empty gets the metadata of the version
//! only if it has no other names by then. Where no journal can be made, what an interruption leaves counts as the user's.
//!
//! **Never more open.** What a folder hands down to what is made in it, an access control list or a group, opens nothing that the
//! version keeps closed. Folders that stood there keep their permissions until they get those of the version, if they do.

mod acl;
mod content;
mod folders;
mod give;
mod journal;
mod make;
mod pass;
mod report;
mod select;
mod standing;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bailee_archive::tree::EntryKind;
use bailee_archive::{Archive, ReadStore, TreePath, Version};

use crate::error::{FilesError, Warning};
use folders::Target;
use give::Giver;
pub use journal::JOURNAL;
use make::Maker;
use pass::Pass;
pub use report::Paths;
use report::Report;
pub use select::{Selection, is_pattern, tree_path};
use select::{check, find};
pub use standing::Overwrite;

/// How to restore.
#[derive(Clone, Copy, Debug)]
pub struct RestoreOptions<'a> {
    /// How many threads write files; at least one does.
    pub threads: usize,
    /// What to do about something that stands in the target under a name of the version. Other names are left alone.
    pub overwrite: Overwrite,
    /// Whether every file is read back and compared with the archive, those that stood there too. The system mostly reads from
    /// its memory then, not from the disk.
    pub verify: bool,
    /// Counts what is done, for whoever watches.
    pub progress: &'a RestoreProgress,
}

/// How far a restore is.
#[derive(Debug, Default)]
pub struct RestoreProgress {
    /// Entries made, or found complete.
    pub entries: AtomicU64,
    /// Bytes of file content written, or found complete.
    pub bytes: AtomicU64,
    /// Files that were found complete and not written again.
    pub kept: AtomicU64,
}

/// A finished restore.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Entries made, or found complete.
    pub entries: u64,
    /// Bytes of file content written, or found complete.
    pub bytes: u64,
    /// Files that were found complete and not written again.
    pub kept: u64,
    /// Entries that were to be restored. Those that are neither in `entries` nor in `left` could not be.
    pub chosen: u64,
    /// What stood there, was not as the version has it, and was replaced.
    pub replaced: Paths,
    /// What stands there, is not as the version has it, and was left as it was.
    pub left: Paths,
    /// What is not as it was, by path, for a reason on this machine.
    pub warnings: Vec<Warning>,
    /// What the archive no longer gives, by path; nothing was made of it in the folder.
    pub damaged: Vec<Warning>,
    /// Paths and patterns that were asked for and of which the version has nothing.
    pub unmatched: Vec<PathBuf>,
}

impl Restored {
    /// How many entries were to be restored and could not be.
    pub fn missing(&self) -> u64 {
        self.chosen.saturating_sub(self.entries).saturating_sub(self.left.count)
    }

    /// Whether everything that was asked for is as the version has it.
    pub fn is_whole(&self) -> bool {
        self.warnings.is_empty() && self.damaged.is_empty() && self.unmatched.is_empty() && self.left.count == 0
    }
}

/// Makes a folder from a version, or from what is chosen of it. What is absent is made; [`RestoreOptions::overwrite`] says what
/// becomes of something that stands there and is not as the version has it. A restore that was interrupted is completed by the same
/// restore. What cannot be made, or is damaged in the archive, is named in the result, and the rest is restored.
///
/// # Errors
/// `NotInVersion` if it has none of the paths, before anything is written; `NothingChosen`; `Io` if the folder cannot be used or
/// the disk is full. What was restored so far stays.
pub fn restore<S: ReadStore>(
    archive: &Archive<S>,
    version: &Version,
    target: &Path,
    what: &Selection,
    how: &RestoreOptions<'_>,
) -> Result<Restored, FilesError> {
    let (what, mut unmatched) = check(archive, version, what)?;
    let giver = Giver::new();
    let is_in_version = |name: &[u8]| {
        let path = TreePath::root().join(name);
        path.is_ok_and(|path| archive.find_entry(version, &path).is_ok_and(|entry| entry.is_some()))
    };
    let root = Target::open(target, giver, &is_in_version)?;
    let report = Report::new(target);
    let maker = Maker { archive, how, report: &report, giver, earlier: &root.earlier };
    let mut pass = Pass::new(&maker, version, &what, &root);
    unmatched.extend(pass.make_all());
    pass.dress_folders();
    pass.end_journal();
    let seen = pass.seen();
    let told = report.into_told()?;
    if seen == 0 && told.damaged.is_empty() {
        root.discard(target);
        return Err(FilesError::NothingChosen);
    }
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (entries, bytes, kept) = (&how.progress.entries, &how.progress.bytes, &how.progress.kept);
    Ok(Restored {
        entries: count(entries),
        bytes: count(bytes),
        kept: count(kept),
        // Of a list of files that cannot be read to its end, not all is seen.
        chosen: if what.is_everything() { seen.max(version.root.entries) } else { seen },
        replaced: told.replaced,
        left: told.left,
        warnings: told.warnings,
        damaged: told.damaged,
        unmatched,
    })
}

/// Writes the content of one file; returns its length in bytes.
///
/// # Errors
/// `NotInVersion` if there is no such file, and everything that reading the archive says.
pub fn copy_file<S: ReadStore>(
    archive: &Archive<S>,
    version: &Version,
    path: &TreePath,
    sink: &mut dyn Write,
) -> Result<u64, FilesError> {
    let mut entry = find(archive, version, path)?;
    if let EntryKind::HardLink { to } = &entry.kind {
        entry = find(archive, version, to)?;
    }
    match entry.kind {
        EntryKind::File { content, .. } => {
            archive.copy_content(&content, sink)?;
            Ok(content.size)
        }
        _ => Err(FilesError::NotInVersion { path: crate::folder::on_disk(Path::new(""), path) }),
    }
}
