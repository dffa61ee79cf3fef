//! The walk over a folder, in the order of the paths of a tree.

use std::collections::HashMap;
use std::ffi::CString;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bailee_archive::engine::{Plan, Planned};
use bailee_archive::tree::{Entry, EntryKind};
use bailee_archive::{Holdings, TreePath};
use rustix::fs::Stat;

use crate::catalogue::{Catalogue, Finding, key};
use crate::folder::Folder;
use crate::meta::{self, State};
use crate::notes::Notes;
use crate::quirks::Quirk;
use crate::surveyor::{Ahead, Looked};

/// Files, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// How many files.
    pub files: u64,
    /// Their lengths together, in bytes, as the walk saw them.
    pub bytes: u64,
}

/// What is read and what is not, as compared with the catalogue. What is left out is not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Files that the catalogue does not have; all of them, if there is none.
    pub new: Amount,
    /// Files that are not as the catalogue has them, or of which that cannot be said.
    pub changed: Amount,
    /// Files that are as the catalogue has them: they are not read.
    pub unchanged: Amount,
}

impl Changes {
    pub(crate) fn add(&mut self, file: &SeenFile) {
        let amount = match file.compared {
            Compared::New => &mut self.new,
            Compared::Changed => &mut self.changed,
            Compared::Unchanged => &mut self.unchanged,
        };
        amount.files += 1;
        amount.bytes += file.state.size;
    }
}

/// How a file compares with the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compared {
    New,
    Changed,
    Unchanged,
}

/// A file that the walk saw.
pub(crate) struct SeenFile {
    pub(crate) folder: Arc<Folder>,
    pub(crate) name: CString,
    pub(crate) state: State,
    pub(crate) compared: Compared,
    /// Who owns it.
    pub(crate) owner: u32,
    /// Whether it was another when it was opened, or after it was read: then no catalogue is to have it.
    pub(crate) changed: AtomicBool,
}

impl SeenFile {
    pub(crate) fn path(&self) -> TreePath {
        let path = self.folder.path().join(self.name.to_bytes());
        path.unwrap_or_else(|error| unreachable!("the walk checked it: {error}"))
    }
}

/// A file with several names, of which the first was met.
struct Linked {
    first: TreePath,
    /// Names that were not met yet, if nobody adds any.
    missing: u64,
}

/// Files with several names, by file system and inode: a number of an inode says nothing on another file system.
#[derive(Default)]
pub(crate) struct ManyNames(HashMap<(u64, u64), Linked>);

impl ManyNames {
    /// The first name that was met of a file with so many; none if this is it.
    pub(crate) fn first(&mut self, state: &State, names: u64, path: impl FnOnce() -> TreePath) -> Option<TreePath> {
        let dev = if Quirk::HardLinkByInode.is_on() { 0 } else { state.dev };
        let inode = (dev, state.ino);
        let Some(linked) = self.0.get_mut(&inode) else {
            self.0.insert(inode, Linked { first: path(), missing: names.saturating_sub(1) });
            return None;
        };
        linked.missing = linked.missing.saturating_sub(1);
        let first = linked.first.clone();
        // A name that is added while the walk goes on is then kept as a file of its own.
        if linked.missing == 0 {
            self.0.remove(&inode);
        }
        Some(first)
    }
}

/// The walk compares files with the catalogue, and tells which names are one file.
pub(crate) struct Walk<'a> {
    ahead: &'a Ahead<'a>,
    notes: &'a Notes,
    catalogue: Option<Catalogue>,
    /// What the archive holds, if it is damaged: a file of which it lost a part is read again.
    holdings: Option<Holdings>,
    batch: std::vec::IntoIter<Looked>,
    linked: ManyNames,
    /// The key of the file that the walk is at.
    key: Vec<u8>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(ahead: &'a Ahead<'a>, catalogue: Option<Catalogue>, notes: &'a Notes) -> Self {
        let batch = Vec::new().into_iter();
        Walk { ahead, notes, catalogue, holdings: None, batch, linked: ManyNames::default(), key: Vec::new() }
    }

    /// The walk of a backup into an archive that holds this, if it does not hold all that it should.
    pub(crate) fn holding(self, holdings: Option<Holdings>) -> Self {
        Walk { holdings, ..self }
    }

    fn file(&mut self, folder: Arc<Folder>, name: CString, stat: &Stat) -> Planned<SeenFile> {
        let (state, compared, owner) = (State::of(stat), Compared::New, stat.st_uid);
        let mut file = SeenFile { folder, name, state, compared, owner, changed: AtomicBool::new(false) };
        #[allow(clippy::unnecessary_cast)] // Its type differs between machines.
        let names = stat.st_nlink as u64;
        if names > 1
            && let Some(first) = self.linked.first(&state, names, || file.path())
        {
            // Its metadata is that of the first name, and so are its extended attributes.
            return Planned::Entry(Entry {
                path: file.path(),
                meta: meta::of(stat),
                kind: EntryKind::HardLink { to: first },
            });
        }
        let finding = match &mut self.catalogue {
            None => Finding::New,
            Some(catalogue) => {
                key_of(&file, &mut self.key);
                catalogue.find(&self.key, &state)
            }
        };
        match finding {
            Finding::Unchanged(items) if self.holdings.as_ref().is_none_or(|held| held.has(&items)) => {
                file.compared = Compared::Unchanged;
                return Planned::Known { file, items };
            }
            Finding::Changed | Finding::Unchanged(_) => file.compared = Compared::Changed,
            Finding::New => {}
        }
        Planned::File { file, size: state.size }
    }
}

impl Plan for Walk<'_> {
    type File = SeenFile;

    fn next(&mut self) -> Option<Planned<SeenFile>> {
        loop {
            match self.batch.next() {
                Some(Looked::Entry(entry)) => return Some(Planned::Entry(entry)),
                Some(Looked::File { folder, name, stat }) => return Some(self.file(folder, name, &stat)),
                None => {}
            }
            let Some(batch) = self.ahead.next() else { break };
            self.batch = batch.into_iter();
        }
        self.notes.keep_trouble(self.catalogue.as_ref().and_then(Catalogue::trouble));
        None
    }
}

/// The key of a file, as the catalogue has it.
pub(crate) fn key_of(file: &SeenFile, out: &mut Vec<u8>) {
    key(file.folder.path(), file.name.to_bytes(), out);
}
