//! The thread that goes through the tree.

use std::collections::HashMap;
use std::ffi::CString;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, mpsc};

use bailee_archive::tree::{Entry, EntryKind, Meta};
use bailee_archive::{ReadStore, TreePath, Version};
use rustix::fs::Mode;

use super::folders::{Fate, Folders, Level, Target};
use super::give::{Before, Place};
use super::journal::JOURNAL;
use super::make::{Batches, Link, Maker, Task};
use super::select::{Choice, Chosen, find};
use super::standing::Overwrite;
use crate::folder::Folder;

/// Tasks of a batch, at most: about as long as handing it over is not felt.
const BATCH_TASKS: usize = 256;
/// Content of a batch after which it is handed over, in bytes.
const BATCH_BYTES: u64 = 4 * 1024 * 1024;
/// Hard links that wait for their first names, at most.
const WAITING_LINKS: usize = 4096;

fn c_name(name: &[u8]) -> io::Result<CString> {
    Ok(CString::new(name)?)
}

/// Whether the target has names that the restore did not make. It is asked with the entries of the version, in their order.
struct Others<'a> {
    target: &'a Target,
    names: std::iter::Peekable<Box<dyn Iterator<Item = CString>>>,
    found: bool,
}

impl<'a> Others<'a> {
    fn new(target: &'a Target) -> Self {
        let read = target.names();
        // What cannot be listed may be anybody's.
        let found = read.is_err();
        let names: Box<dyn Iterator<Item = CString>> = match read {
            Ok(Some(names)) => Box::new(names.map(|(name, _)| name)),
            _ => Box::new(std::iter::empty()),
        };
        Others { target, names: names.peekable(), found }
    }

    /// Passes an entry of the version.
    fn pass(&mut self, path: &TreePath) {
        let Some((name, _)) = path.split_last().filter(|_| path.depth() == 1) else { return };
        while let Some(other) = self.names.next_if(|other| other.to_bytes() < name) {
            self.found |= !self.target.journal.is_named(other.to_bytes());
        }
        self.names.next_if(|other| other.to_bytes() == name);
    }

    fn are_there(mut self) -> bool {
        self.found || self.names.any(|other| !self.target.journal.is_named(other.to_bytes()))
    }
}

/// The thread that goes through the tree.
pub(super) struct Pass<'a, S> {
    version: &'a Version,
    what: &'a Choice,
    maker: &'a Maker<'a, S>,
    target: &'a Target,
    folders: Folders<'a>,
    /// The folder that the walk through the tree is in, and those above it.
    levels: Vec<Level>,
    /// Folders that could not be made: what is in them is passed over.
    failed: Vec<TreePath>,
    batch: Vec<Task>,
    batch_bytes: u64,
    links: Vec<Link>,
    /// For a file whose first name does not have its content here: the name that has it instead.
    stand_ins: HashMap<TreePath, TreePath>,
    /// Entries that were to be made.
    seen: u64,
}

impl<'a, S: ReadStore> Pass<'a, S> {
    pub(super) fn new(maker: &'a Maker<'a, S>, version: &'a Version, what: &'a Choice, target: &'a Target) -> Self {
        Pass {
            version,
            what,
            maker,
            target,
            folders: Folders::new(maker.how.overwrite, maker.giver, maker.earlier),
            levels: vec![target.level.clone()],
            failed: Vec::new(),
            batch: Vec::new(),
            batch_bytes: 0,
            links: Vec::new(),
            stand_ins: HashMap::new(),
            seen: 0,
        }
    }

    /// How many entries were to be made.
    pub(super) fn seen(&self) -> u64 {
        self.seen
    }

    /// Makes what is chosen. The patterns that nothing matched.
    pub(super) fn make_all(&mut self) -> Vec<PathBuf> {
        let mut chosen = Chosen::new(self.maker.archive, self.version, self.what);
        let maker = self.maker;
        let threads = maker.how.threads.max(1);
        let batches = Batches::default();
        let (sender, receiver) = mpsc::sync_channel(threads);
        let receiver = Mutex::new(receiver);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| maker.work(&receiver, &batches));
            }
            let hand_over = |batch: Vec<Task>| {
                batches.begin();
                // The receiver outlives the sender.
                let _ = sender.send(batch);
            };
            for entry in chosen.by_ref() {
                if maker.report.is_over() {
                    break;
                }
                match entry {
                    Ok(entry) => self.make(entry, &hand_over, &batches),
                    Err(error) => {
                        maker.report.damage(&TreePath::root(), format!("what follows is unreadable: {error}"))
                    }
                }
            }
            self.end_batch(&hand_over);
            self.make_links(&batches);
            drop(sender);
        });
        chosen.unmatched()
    }

    /// Whether the entry lies in a folder that could not be made.
    fn is_lost(&self, path: &TreePath) -> bool {
        self.failed.iter().any(|failed| path.is_within(failed))
    }

    fn make(&mut self, entry: Entry, hand_over: &impl Fn(Vec<Task>), batches: &Batches) {
        self.seen += 1;
        let Some((name, above)) = entry.path.split_last() else { return self.enter_target(&entry.meta) };
        if self.is_lost(&entry.path) {
            return;
        }
        let level = self.levels.iter().rposition(|level| level.folder.path().key() == above);
        let (Some(level), Ok(name)) = (level, c_name(name)) else {
            return self.maker.report.damage(&entry.path, "it is in no folder of the version".into());
        };
        self.levels.truncate(level + 1);
        let level = self.levels[level].clone();
        if matches!(entry.kind, EntryKind::Directory) {
            return self.make_folder(&level, name, entry);
        }
        let task = Task { folder: level.folder, name, entry, inherits_list: level.hands_down_list };
        match &task.entry.kind {
            EntryKind::HardLink { to } => {
                let to = to.clone();
                self.make_link(task, to, hand_over, batches);
            }
            _ => self.add(task, hand_over),
        }
    }

    fn add(&mut self, task: Task, hand_over: &impl Fn(Vec<Task>)) {
        if let EntryKind::File { content, .. } = &task.entry.kind {
            self.batch_bytes += content.size;
        }
        self.batch.push(task);
        if self.batch.len() >= BATCH_TASKS || self.batch_bytes >= BATCH_BYTES {
            self.end_batch(hand_over);
        }
    }

    fn end_batch(&mut self, hand_over: &impl Fn(Vec<Task>)) {
        self.batch_bytes = 0;
        if !self.batch.is_empty() {
            hand_over(std::mem::take(&mut self.batch));
        }
    }

    fn enter_target(&mut self, meta: &Meta) {
        match self.folders.enter_target(self.target, meta, self.what.is_whole()) {
            Ok(()) => drop(self.maker.how.progress.entries.fetch_add(1, Ordering::Relaxed)),
            Err(error) => self.maker.report.not_made(&TreePath::root(), error),
        }
    }

    fn make_folder(&mut self, above: &Level, name: CString, entry: Entry) {
        match self.folders.make(above, name, entry.path.clone(), &entry.meta) {
            Ok(level) => {
                self.maker.how.progress.entries.fetch_add(1, Ordering::Relaxed);
                self.levels.push(level);
            }
            Err(error) => {
                self.maker.report.not_made(&entry.path, error);
                self.failed.push(entry.path);
            }
        }
    }

    /// A link waits for its first name. If that is not chosen, the first link that is chosen becomes the file.
    fn make_link(&mut self, task: Task, to: TreePath, hand_over: &impl Fn(Vec<Task>), batches: &Batches) {
        let to = if self.what.includes(&to) {
            to
        } else if let Some(stand_in) = self.stand_ins.get(&to) {
            stand_in.clone()
        } else {
            return match self.first(&to) {
                Ok(first) => {
                    self.stand_ins.insert(to, task.entry.path.clone());
                    let entry = Entry { path: task.entry.path.clone(), ..first };
                    self.add(Task { entry, ..task }, hand_over);
                }
                Err(error) => self.maker.report.damage(&task.entry.path, error),
            };
        };
        self.links.push(Link { task, to });
        if self.links.len() >= WAITING_LINKS {
            self.end_batch(hand_over);
            self.make_links(batches);
        }
    }

    /// What a link is a further name of. The archive does not promise that it is a file.
    fn first(&self, path: &TreePath) -> Result<Entry, String> {
        let entry = find(self.maker.archive, self.version, path).map_err(|error| error.to_string())?;
        match entry.kind {
            EntryKind::Directory | EntryKind::HardLink { .. } => {
                Err(format!("its first name, {path}, is not the first name of a file"))
            }
            _ => Ok(entry),
        }
    }

    /// Makes the links that wait, when everything that was handed over is done.
    fn make_links(&mut self, batches: &Batches) {
        batches.wait();
        let mut recent = Arc::clone(&self.target.level.folder);
        for link in std::mem::take(&mut self.links) {
            if self.maker.report.is_over() {
                return;
            }
            if self.maker.report.is_obstructed() {
                self.make_link_with_care(link);
                continue;
            }
            match self.folder_of(&link, &recent) {
                Ok((folder, name)) => {
                    recent = Arc::clone(&folder);
                    self.maker.link(&link, &folder, &name);
                }
                Err(error) => self.maker.report.not_made(&link.task.entry.path, error),
            }
        }
    }

    /// Makes a link where something else may have the first name: then the link becomes the file.
    fn make_link_with_care(&mut self, link: Link) {
        let root = Arc::clone(&self.target.level.folder);
        let EntryKind::HardLink { to: first } = &link.task.entry.kind else { return };
        let to = self.stand_ins.get(first).unwrap_or(&link.to).clone();
        let (first, link) = (first.clone(), Link { to, ..link });
        let path = link.task.entry.path.clone();
        let entry = match self.first(&first) {
            Ok(entry) => entry,
            Err(error) => return self.maker.report.damage(&path, error),
        };
        if let Ok((folder, name)) = self.folder_of(&link, &root) {
            let stands = Task { folder, name, entry: entry.clone(), inherits_list: false };
            if self.maker.has_file(&stands) {
                return self.maker.link(&link, &stands.folder, &stands.name);
            }
        }
        self.stand_ins.insert(first, path.clone());
        self.maker.make(&Task { entry: Entry { path, ..entry }, ..link.task });
    }

    /// The folder of a link's first name, and its name there.
    fn folder_of(&self, link: &Link, recent: &Arc<Folder>) -> io::Result<(Arc<Folder>, CString)> {
        let (name, above) = link.to.split_last().ok_or(io::ErrorKind::InvalidInput)?;
        let name = c_name(name)?;
        if let Some(folder) = [&link.task.folder, recent].into_iter().find(|folder| folder.path().key() == above) {
            return Ok((Arc::clone(folder), name));
        }
        let mut folder = Arc::clone(&self.target.level.folder);
        for component in link.to.components().take(link.to.depth() - 1) {
            let path = folder.path().join(component).map_err(io::Error::other)?;
            folder = folder.inner(c_name(component)?, path);
        }
        Ok((folder, name))
    }

    /// Removes the journal. It stays if the restore is over before its end.
    pub(super) fn end_journal(&self) {
        if self.maker.report.is_over() {
            return;
        }
        if let Err(error) = self.target.journal.end() {
            self.maker.report.warn(&TreePath::root(), format!("the file {JOURNAL} in it is not removed: {error}"));
        }
    }

    /// Gives folders their metadata, each when everything below it has its own.
    pub(super) fn dress_folders(&mut self) {
        let mut open: Vec<(Arc<Folder>, Meta)> = Vec::new();
        let mut others = Others::new(self.target);
        for path in self.folders.doubtful() {
            let what = "its metadata is not restored: somebody changed it since the interrupted restore";
            self.maker.report.warn(path, what.into());
        }
        for entry in Chosen::new(self.maker.archive, self.version, self.what).filter_map(Result::ok) {
            if self.maker.report.is_over() {
                return;
            }
            others.pass(&entry.path);
            if !matches!(entry.kind, EntryKind::Directory) || self.is_lost(&entry.path) {
                continue;
            }
            while let Some((folder, meta)) = open.pop_if(|(folder, _)| !entry.path.is_within(folder.path())) {
                self.dress(&folder, &meta);
            }
            let folder = match (entry.path.split_last(), open.last()) {
                (None, _) => Arc::clone(&self.target.level.folder),
                (Some((name, above)), Some((folder, _))) if folder.path().key() == above => {
                    let Ok(name) = c_name(name) else { continue };
                    folder.inner(name, entry.path)
                }
                _ => continue,
            };
            open.push((folder, entry.meta));
        }
        if others.are_there() && matches!(self.maker.how.overwrite, Overwrite::Never | Overwrite::IfNewer) {
            self.folders.keep_target(self.target);
        }
        while let Some((folder, meta)) = open.pop() {
            self.dress(&folder, &meta);
        }
    }

    fn dress(&self, folder: &Arc<Folder>, meta: &Meta) {
        if folder.path().is_root() {
            // This changes the folder's time, and may need its permissions.
            self.end_journal();
        }
        let fate = self.folders.fate(folder.path());
        if fate == Fate::Kept(None) || folder.path().is_root() && fate == Fate::Dressed && !self.what.is_whole() {
            return;
        }
        let handle = match folder.handle() {
            Ok(handle) => handle,
            Err(error) => {
                return self.maker.report.warn(folder.path(), format!("its metadata is not restored: {error}"));
            }
        };
        match fate {
            Fate::Dressed => {
                let refused = self.maker.giver.give(Place::Open(handle.as_fd()), meta, Before::Anything);
                self.maker.note(folder.path(), refused);
            }
            Fate::Kept(Some(mode)) => {
                if let Err(error) = rustix::fs::fchmod(&*handle, Mode::from_raw_mode(mode)) {
                    self.maker.report.warn(folder.path(), format!("its permissions are not put back: {error}"));
                }
            }
            Fate::Kept(None) => {}
        }
    }
}
