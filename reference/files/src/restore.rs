//! From an archive into a folder.
//!
//! One thread goes through the tree in the order of paths and makes folders, which only their owner may enter yet; others write
//! what is in them, in batches. Hard links are made when their first names are complete, and folders get their metadata in a
//! second pass, the inner ones first: making what is in them changes their times and needs their permissions. So memory does not
//! grow with the version.
//!
//! **Never outside.** Every name is made in a folder that was opened by its own name in the folder above it, without following a
//! link, and names in a tree are neither `..` nor contain a slash.
//!
//! **Resuming.** A file is written under its own name, and its time of change is set last of all. So a file that has length and
//! time of the version is complete, and one that was interrupted has another time: there is no need of a temporary name, a rename
//! for each file or a list of what is done. Nothing is made durable on the way: after a power failure, resume with `verify`.

mod content;
mod make;
mod select;

use std::ffi::CString;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use bailee_archive::tree::{Entry, EntryKind, Meta};
use bailee_archive::{Archive, ReadStore, TreePath, Version};
use rustix::fs::Mode;
use rustix::io::Errno;

use crate::error::{FilesError, Warning};
use crate::folder::Folder;
use crate::meta;
use make::{Batches, Link, Maker, Task};
use select::{Choice, Chosen, check, find};
pub use select::{Selection, is_pattern, tree_path};

/// Tasks of a batch, at most: about as long as handing it over is not felt.
const BATCH_TASKS: usize = 256;
/// Content of a batch after which it is handed over, in bytes.
const BATCH_BYTES: u64 = 4 * 1024 * 1024;
/// Hard links that wait for their first names, at most.
const WAITING_LINKS: usize = 4096;

/// How to restore.
#[derive(Clone, Copy, Debug)]
pub struct RestoreOptions<'a> {
    /// How many threads write files; at least one does.
    pub threads: usize,
    /// Whether the target may have something in it: an earlier restore, which is completed. What stands there under a name of the
    /// version and is not as the version has it is replaced, unless it is a folder; other names are left alone.
    pub resume: bool,
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
    /// What is not as it was, by path, for a reason on this machine.
    pub warnings: Vec<Warning>,
    /// What the archive no longer gives, by path; nothing is left of it in the folder. Both empty: the folder is whole.
    pub damaged: Vec<Warning>,
    /// Paths and patterns that were asked for and of which the version has nothing.
    pub unmatched: Vec<PathBuf>,
}

/// What becomes known from several threads.
struct Report<'a> {
    target: &'a Path,
    warnings: Mutex<Vec<Warning>>,
    damaged: Mutex<Vec<Warning>>,
    /// What makes going on useless.
    fatal: Mutex<Option<FilesError>>,
}

impl Report<'_> {
    fn warn(&self, path: &TreePath, what: String) {
        self.push(&self.warnings, path, what);
    }

    fn damage(&self, path: &TreePath, what: String) {
        self.push(&self.damaged, path, what);
    }

    fn push(&self, list: &Mutex<Vec<Warning>>, path: &TreePath, what: String) {
        let path = crate::folder::on_disk(self.target, path);
        list.lock().unwrap_or_else(PoisonError::into_inner).push(Warning { path, what });
    }

    /// Something was not made. A disk that is full, or takes no writes, ends the restore.
    fn not_made(&self, path: &TreePath, error: io::Error) {
        use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        if matches!(error.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem) {
            let path = crate::folder::on_disk(self.target, path);
            let mut fatal = self.fatal.lock().unwrap_or_else(PoisonError::into_inner);
            fatal.get_or_insert(FilesError::Io { doing: "writing", path, error });
        } else {
            self.warn(path, format!("not made: {error}"));
        }
    }

    fn is_over(&self) -> bool {
        self.fatal.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn into_parts(self) -> Result<(Vec<Warning>, Vec<Warning>), FilesError> {
        let sorted = |list: Mutex<Vec<Warning>>| {
            let mut list = list.into_inner().unwrap_or_else(PoisonError::into_inner);
            list.sort_by(|a, b| a.path.cmp(&b.path));
            list
        };
        match self.fatal.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok((sorted(self.warnings), sorted(self.damaged))),
        }
    }
}

/// Makes a folder from a version, or from what is chosen of it. The folder must be absent or empty, unless a restore is resumed.
/// What cannot be made, or is damaged in the archive, is named in the result, and the rest is restored.
///
/// # Errors
/// `NotEmpty`, `NotInVersion` if it has none of the paths, before anything is written; `NothingChosen`; `Io` if the folder cannot be used or the disk is full.
/// What was restored so far stays.
pub fn restore<S: ReadStore>(
    archive: &Archive<S>,
    version: &Version,
    target: &Path,
    what: &Selection,
    how: &RestoreOptions<'_>,
) -> Result<Restored, FilesError> {
    let (what, mut unmatched) = check(archive, version, what)?;
    prepare(target, how.resume)?;
    let root = Folder::root(target).map_err(FilesError::io("opening", target))?;
    let report = Report { target, warnings: Mutex::default(), damaged: Mutex::default(), fatal: Mutex::default() };
    let maker = Maker { archive, how, report: &report };
    let mut pass = Pass {
        archive,
        version,
        what: &what,
        maker: &maker,
        root: &root,
        levels: vec![Arc::clone(&root)],
        failed: Vec::new(),
        batch: Vec::new(),
        batch_bytes: 0,
        links: Vec::new(),
        stand_ins: Default::default(),
    };
    unmatched.extend(pass.make_all());
    pass.dress_folders();
    let (warnings, damaged) = report.into_parts()?;
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (entries, bytes, kept) = (&how.progress.entries, &how.progress.bytes, &how.progress.kept);
    let (entries, bytes, kept) = (count(entries), count(bytes), count(kept));
    let restored = Restored { entries, bytes, kept, warnings, damaged, unmatched };
    if restored.entries == 0 && restored.damaged.is_empty() {
        return Err(FilesError::NothingChosen);
    }
    Ok(restored)
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

fn prepare(target: &Path, resume: bool) -> Result<(), FilesError> {
    match fs::create_dir(target) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let mut inside = fs::read_dir(target).map_err(FilesError::io("reading", target))?;
            match inside.next() {
                Some(_) if !resume => Err(FilesError::NotEmpty { path: target.to_path_buf() }),
                _ => Ok(()),
            }
        }
        done => done.map_err(FilesError::io("making", target)),
    }
}

fn c_name(name: &[u8]) -> io::Result<CString> {
    Ok(CString::new(name)?)
}

/// The thread that goes through the tree.
struct Pass<'a, S> {
    archive: &'a Archive<S>,
    version: &'a Version,
    what: &'a Choice,
    maker: &'a Maker<'a, S>,
    root: &'a Arc<Folder>,
    /// The folder that the walk through the tree is in, and those above it.
    levels: Vec<Arc<Folder>>,
    /// Folders that could not be made: what is in them is passed over.
    failed: Vec<TreePath>,
    batch: Vec<Task>,
    batch_bytes: u64,
    links: Vec<Link>,
    /// For a file whose first name is not chosen: the name that has its content instead.
    stand_ins: std::collections::HashMap<TreePath, TreePath>,
}

impl<S: ReadStore> Pass<'_, S> {
    /// Makes what is chosen. The patterns that nothing matched.
    fn make_all(&mut self) -> Vec<PathBuf> {
        let mut chosen = Chosen::new(self.archive, self.version, self.what);
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
        let progress = self.maker.how.progress;
        let Some((name, above)) = entry.path.split_last() else {
            progress.entries.fetch_add(1, Ordering::Relaxed);
            return;
        };
        if self.is_lost(&entry.path) {
            return;
        }
        let level = self.levels.iter().rposition(|folder| folder.path().key() == above);
        let (Some(level), Ok(name)) = (level, c_name(name)) else {
            return self.maker.report.damage(&entry.path, "it is in no folder of the version".into());
        };
        self.levels.truncate(level + 1);
        let folder = Arc::clone(&self.levels[level]);
        match &entry.kind {
            EntryKind::Directory => self.make_folder(&folder, name, entry.path),
            EntryKind::HardLink { to } => {
                let to = to.clone();
                self.make_link(Task { folder, name, entry }, to, hand_over, batches);
            }
            _ => self.add(Task { folder, name, entry }, hand_over),
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

    fn make_folder(&mut self, above: &Arc<Folder>, name: CString, path: TreePath) {
        match self.try_make_folder(above, &name) {
            Ok(()) => {
                self.maker.how.progress.entries.fetch_add(1, Ordering::Relaxed);
                self.levels.push(above.inner(name, path));
            }
            Err(error) => {
                self.maker.report.not_made(&path, error);
                self.failed.push(path);
            }
        }
    }

    fn try_make_folder(&self, above: &Arc<Folder>, name: &CString) -> io::Result<()> {
        match rustix::fs::mkdirat(&*above.handle()?, &**name, Mode::RWXU) {
            Err(Errno::EXIST) if self.maker.how.resume => {}
            done => return Ok(done?),
        }
        let stat = above.look(name)?;
        if rustix::fs::FileType::from_raw_mode(stat.st_mode) != rustix::fs::FileType::Directory {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "something that is no folder has its name"));
        }
        // An earlier restore may have come as far as to close it.
        meta::set_mode_in(above, name, 0o700)
    }

    /// A link waits for its first name. If that is not chosen, the first link that is chosen becomes the file.
    fn make_link(&mut self, task: Task, to: TreePath, hand_over: &impl Fn(Vec<Task>), batches: &Batches) {
        let to = if self.what.includes(&to) {
            to
        } else if let Some(stand_in) = self.stand_ins.get(&to) {
            stand_in.clone()
        } else {
            return match find(self.archive, self.version, &to) {
                Ok(first) => {
                    self.stand_ins.insert(to, task.entry.path.clone());
                    let entry = Entry { path: task.entry.path.clone(), ..first };
                    self.add(Task { entry, ..task }, hand_over);
                }
                Err(error) => self.maker.report.damage(&task.entry.path, error.to_string()),
            };
        };
        self.links.push(Link { folder: task.folder, name: task.name, path: task.entry.path, to });
        if self.links.len() >= WAITING_LINKS {
            self.end_batch(hand_over);
            self.make_links(batches);
        }
    }

    /// Makes the links that wait, when everything that was handed over is done.
    fn make_links(&mut self, batches: &Batches) {
        batches.wait();
        let mut recent = Arc::clone(self.root);
        for link in std::mem::take(&mut self.links) {
            if self.maker.report.is_over() {
                return;
            }
            match self.folder_of(&link, &recent) {
                Ok((folder, name)) => {
                    recent = Arc::clone(&folder);
                    self.maker.link(&link, &folder, &name);
                }
                Err(error) => self.maker.report.not_made(&link.path, error),
            }
        }
    }

    /// The folder of a link's first name, and its name there.
    fn folder_of(&self, link: &Link, recent: &Arc<Folder>) -> io::Result<(Arc<Folder>, CString)> {
        let (name, above) = link.to.split_last().ok_or(io::ErrorKind::InvalidInput)?;
        let name = c_name(name)?;
        if let Some(folder) = [&link.folder, recent].into_iter().find(|folder| folder.path().key() == above) {
            return Ok((Arc::clone(folder), name));
        }
        let mut folder = Arc::clone(self.root);
        for component in link.to.components().take(link.to.depth() - 1) {
            let path = folder.path().join(component).map_err(io::Error::other)?;
            folder = folder.inner(c_name(component)?, path);
        }
        Ok((folder, name))
    }

    /// Gives folders their metadata, each when everything below it has its own.
    fn dress_folders(&self) {
        let mut open: Vec<(Arc<Folder>, Meta)> = Vec::new();
        for entry in Chosen::new(self.archive, self.version, self.what).map_while(Result::ok) {
            if self.maker.report.is_over() {
                return;
            }
            if !matches!(entry.kind, EntryKind::Directory) || self.is_lost(&entry.path) {
                continue;
            }
            while let Some((folder, meta)) = open.pop_if(|(folder, _)| !entry.path.is_within(folder.path())) {
                self.dress(&folder, &meta);
            }
            let folder = match (entry.path.split_last(), open.last()) {
                (None, _) => Arc::clone(self.root),
                (Some((name, above)), Some((folder, _))) if folder.path().key() == above => {
                    let Ok(name) = c_name(name) else { continue };
                    folder.inner(name, entry.path)
                }
                _ => continue,
            };
            open.push((folder, entry.meta));
        }
        while let Some((folder, meta)) = open.pop() {
            self.dress(&folder, &meta);
        }
    }

    fn dress(&self, folder: &Arc<Folder>, meta: &Meta) {
        // A part of a version does not say how the folder has to be that it is restored into.
        if folder.path().is_root() && !self.what.is_whole() {
            return;
        }
        match folder.handle() {
            Ok(handle) => self.maker.note(folder.path(), meta::apply(&*handle, meta)),
            Err(error) => self.maker.report.warn(folder.path(), format!("its metadata is not restored: {error}")),
        }
    }
}
