//! From a folder into an archive.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use bailee_archive::engine::{BackUp, Closed, Files, Journal, Plan, Planned};
use bailee_archive::tree::Time;
use bailee_archive::{Archive, ArchiveError, Digest, ReadStore, Store, Totals, TreePath};
use rustix::fs::{FileType, Mode, OFlags, SeekFrom, Stat};
use rustix::io::Errno;

use crate::catalogue::{Catalogue, Recorder, TICK_SECONDS};
use crate::error::{FilesError, Warning};
use crate::folder::may_keep_atime;
use crate::meta::{self, State};
use crate::notes::Notes;
use crate::scout::Scout;
use crate::surveyor::{Ahead, Scope, Surveyor};
use crate::walk::{Changes, SeenFile, Walk, key_of};

/// A finished backup.
pub struct BackedUp<S> {
    /// The archive, with one version more.
    pub archive: Archive<S>,
    /// What was read and stored.
    pub totals: Totals,
    /// The files of the version, as compared with the catalogue.
    pub changes: Changes,
    /// What was left out, by path. None: the version is whole.
    pub warnings: Vec<Warning>,
    /// What made it slower than it need be: a catalogue that could not be used or written. The version lacks nothing by it.
    pub notes: Vec<String>,
}

/// What a backup would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DryRun {
    /// What the walk found, as compared with the catalogue.
    pub changes: Changes,
    /// Entries of the version: files, folders and everything else.
    pub entries: u64,
    /// What would be left out because it cannot be listed; whether a file can be read is not tried.
    pub warnings: Vec<Warning>,
    /// As in [`BackedUp`].
    pub notes: Vec<String>,
}

/// Backs a folder up as one version. What cannot be read is left out and named in the warnings. With a catalogue, files that did
/// not change since the version that it is of are not read; it is that of the new version afterwards.
///
/// # Errors
/// `NotADirectory`, `Io` if the folder itself cannot be read, and what the archive says of its own store.
pub fn back_up<S: Store>(
    mut archive: Archive<S>,
    folder: &Path,
    scope: &Scope,
    catalogue: Option<&Path>,
    how: &BackUp<'_>,
) -> Result<BackedUp<S>, FilesError> {
    let mut remarks = Vec::new();
    match archive.verify_doubtful()? {
        0 => {}
        1 => remarks.push("a block was read again: its segment is not as the last backup left it".into()),
        blocks => {
            remarks.push(format!(
                "{blocks} blocks were read again: their segments are not as the last backup left them"
            ));
        }
    }
    let notes = Notes::new(folder);
    let begun = now();
    let known = catalogue.and_then(|path| open_catalogue(&archive, path, &mut remarks));
    let mut surveyor = Surveyor::new(scope, &notes);
    let scout = Scout::new(folder, &surveyor)?;
    let recorder = catalogue.and_then(|path| match Recorder::create(path, archive.id(), begun) {
        Ok(recorder) => Some(recorder),
        Err(error) => {
            remarks.push(format!("the catalogue cannot be written, the next backup reads everything: {error}"));
            None
        }
    });
    recorder.iter().flat_map(Recorder::places).for_each(|place| surveyor.leave_out(place));
    let ahead = surveyor.begin(scout);
    let walk = Walk::new(&ahead, known, &notes).holding(archive.holdings());
    let mut keeper = Keeper { notes: &notes, recorder, key: Vec::new(), changes: Changes::default() };
    let (archive, totals) = archive.back_up(walk, &Disk { notes: &notes, ahead: &ahead }, &mut keeper, how)?;
    if let (Some(recorder), Some(version)) = (keeper.recorder, archive.versions().last())
        && let Err(error) = recorder.finish(version.digest)
    {
        remarks.push(format!("the catalogue was not written, the next backup reads everything: {error}"));
    }
    remark_trouble(&notes, &mut remarks);
    let changes = keeper.changes;
    Ok(BackedUp { archive, totals, changes, warnings: notes.into_warnings(), notes: remarks })
}

/// Says what a backup would read, and writes nothing.
///
/// # Errors
/// `NotADirectory`, `Io` if the folder itself cannot be read.
pub fn dry_run<S: ReadStore>(
    archive: &Archive<S>,
    folder: &Path,
    scope: &Scope,
    catalogue: Option<&Path>,
) -> Result<DryRun, FilesError> {
    let notes = Notes::new(folder);
    let mut remarks = Vec::new();
    let known = catalogue.and_then(|path| open_catalogue(archive, path, &mut remarks));
    let mut surveyor = Surveyor::new(scope, &notes);
    let scout = Scout::new(folder, &surveyor)?;
    catalogue.into_iter().for_each(|place| surveyor.leave_out(place));
    let ahead = surveyor.begin(scout);
    let mut walk = Walk::new(&ahead, known, &notes);
    let (mut entries, mut changes) = (0, Changes::default());
    while let Some(planned) = walk.next() {
        entries += 1;
        match planned {
            Planned::File { file, .. } | Planned::Known { file, .. } => changes.add(&file),
            Planned::Entry(_) => {}
        }
    }
    drop(walk);
    remark_trouble(&notes, &mut remarks);
    Ok(DryRun { changes, entries, warnings: notes.into_warnings(), notes: remarks })
}

/// What the clock says, even if that is before 1970 or after the last year of any calendar.
pub fn now() -> Time {
    time_of(SystemTime::now())
}

/// A clock before 1970 keeps its time: 1970 in its place would make files look older than they are.
fn time_of(clock: SystemTime) -> Time {
    match clock.duration_since(UNIX_EPOCH) {
        Ok(since) => {
            let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
            Time { seconds, nanoseconds: since.subsec_nanos() }
        }
        Err(before) => {
            let (seconds, nanoseconds) = (before.duration().as_secs(), before.duration().subsec_nanos());
            let seconds = 0i64.saturating_sub_unsigned(seconds);
            match nanoseconds {
                0 => Time { seconds, nanoseconds },
                some => Time { seconds: seconds.saturating_sub(1), nanoseconds: 1_000_000_000 - some },
            }
        }
    }
}

/// The catalogue, if it is of a version that the archive still has.
fn open_catalogue<S: ReadStore>(archive: &Archive<S>, path: &Path, remarks: &mut Vec<String>) -> Option<Catalogue> {
    let has_version = |digest: &Digest| archive.versions().iter().any(|version| version.digest == *digest);
    let opened = Catalogue::open(path, archive.id(), has_version);
    opened.unwrap_or_else(|why| {
        remarks.push(format!("the catalogue is not used, everything is read: {why}"));
        None
    })
}

fn remark_trouble(notes: &Notes, remarks: &mut Vec<String>) {
    remarks.extend(notes.trouble().map(|what| format!("the catalogue was not used to its end: {what}")));
}

/// Files on disk, reached from the folders that they were seen in.
struct Disk<'a> {
    notes: &'a Notes,
    ahead: &'a Ahead<'a>,
}

/// A file that is being read.
struct OpenFile {
    file: File,
    /// Its state when it was opened.
    stat: Stat,
    /// Whether a change while it is read might not show.
    hides_changes: bool,
}

/// Whether a further change might not show in the state of a file: it changed since it was seen, and so lately that the clock of
/// its file system need not have moved on.
fn hides_changes(opened: &State, seen: &State, now: Time) -> bool {
    opened != seen && opened.ctime.seconds >= now.seconds.saturating_sub(TICK_SECONDS)
}

/// Whether a file takes less room than its length. Whatever its block size, a file system counts in units of 512 bytes here.
fn has_holes(stat: &Stat) -> bool {
    let allocated = u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512);
    allocated < u64::try_from(stat.st_size).unwrap_or(0)
}

impl OpenFile {
    /// How many of so many bytes from an offset on are a hole: they are zeros, and reading them would only fill the page cache.
    fn hole_at(&self, offset: u64, most: usize) -> usize {
        if !has_holes(&self.stat) {
            return 0;
        }
        let size = u64::try_from(self.stat.st_size).unwrap_or(0);
        let data = match rustix::fs::seek(&self.file, SeekFrom::Data(offset)) {
            Ok(data) => data,
            // Nothing but a hole from here to the end, or beyond it.
            Err(Errno::NXIO) => size,
            // A file system that does not tell.
            Err(_) => return 0,
        };
        let hole = data.min(size).saturating_sub(offset);
        usize::try_from(hole).unwrap_or(usize::MAX).min(most)
    }
}

/// Opens a file: never through a link, without waiting for the other end of a pipe that took the file's place, and without moving
/// the time of its last access, where that is allowed.
fn open_to_read(file: &SeenFile) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let handle = file.folder.handle()?;
    let open = |flags| rustix::fs::openat(&*handle, &*file.name, flags, Mode::empty());
    if may_keep_atime(file.owner) {
        match open(flags | OFlags::NOATIME) {
            // By now it belongs to somebody else, or this is the root of a user namespace only.
            Err(Errno::PERM) => {}
            opened => return Ok(opened?),
        }
    }
    Ok(open(flags)?)
}

impl Files for Disk<'_> {
    type File = SeenFile;
    type Open = OpenFile;

    fn open(&self, file: &SeenFile) -> io::Result<OpenFile> {
        let open = open_to_read(file)?;
        let stat = rustix::fs::fstat(&open)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(io::Error::other("it was replaced by something that is no file"));
        }
        let hides_changes = hides_changes(&State::of(&stat), &file.state, now());
        Ok(OpenFile { file: File::from(open), stat, hides_changes })
    }

    fn path(&self, file: &SeenFile) -> TreePath {
        file.path()
    }

    fn read_at(&self, open: &OpenFile, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let hole = open.hole_at(offset, buffer.len());
        if hole > 0 {
            buffer[..hole].fill(0);
            return Ok(hole);
        }
        loop {
            match open.file.read_at(buffer, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    fn close(&self, file: &SeenFile, open: &OpenFile, size_read: u64) -> Closed {
        let path = file.path();
        let after = rustix::fs::fstat(&open.file);
        let opened = State::of(&open.stat);
        // What changed before it was opened is as whole as any other, but it is not what was seen.
        let changed = after.as_ref().map(State::of) != Ok(opened) || size_read != opened.size || open.hides_changes;
        file.changed.store(changed || opened != file.state, Ordering::Relaxed);
        let stat = after.unwrap_or(open.stat);
        let mut meta = meta::of(&stat);
        match meta::xattrs_of(&open.file) {
            Ok(xattrs) => meta.xattrs = xattrs,
            Err(error) => self.notes.warn(&path, format!("its extended attributes are left out: {error}")),
        }
        if changed {
            self.notes.warn(&path, "it changed while it was read: what is kept may mix two states".into());
        }
        Closed { path, meta, changed, sparse: has_holes(&stat) }
    }

    fn prepare(&self) -> bool {
        self.ahead.prepare()
    }
}

/// Hears what became of each file: it is counted and goes into the next catalogue, or into the warnings.
struct Keeper<'a> {
    notes: &'a Notes,
    recorder: Option<Recorder>,
    key: Vec<u8>,
    changes: Changes,
}

impl Journal for Keeper<'_> {
    type File = SeenFile;

    fn stored(&mut self, file: &SeenFile, items: &[u8]) {
        self.changes.add(file);
        let Some(recorder) = &mut self.recorder else { return };
        if !file.changed.load(Ordering::Relaxed) {
            key_of(file, &mut self.key);
            recorder.add(&self.key, &file.state, items);
        }
    }

    fn left_out(&mut self, file: &SeenFile, error: &io::Error) {
        self.notes.warn(&file.path(), format!("left out: {error}"));
    }

    fn refused(&mut self, path: &TreePath, error: &ArchiveError) {
        self.notes.warn(path, format!("left out: {error}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Finding;

    #[test]
    fn a_clock_before_1970_or_far_ahead_keeps_its_time() {
        use std::time::Duration;
        let at = |seconds, nanoseconds| Time { seconds, nanoseconds };
        let half = Duration::from_millis(500);
        assert_eq!(time_of(UNIX_EPOCH + half), at(0, 500_000_000));
        assert_eq!(time_of(UNIX_EPOCH - half), at(-1, 500_000_000));
        assert_eq!(time_of(UNIX_EPOCH - Duration::from_secs(7)), at(-7, 0));
        let far = 99_999_999_999_999;
        assert_eq!(time_of(UNIX_EPOCH + Duration::from_secs(far)), at(far as i64, 0));
        assert_eq!(time_of(UNIX_EPOCH - Duration::from_secs(far)), at(-(far as i64), 0));
        let last = Duration::from_secs(i64::MAX.unsigned_abs());
        assert_eq!(time_of(UNIX_EPOCH + last), at(i64::MAX, 0));
        assert_eq!(time_of(UNIX_EPOCH - last - Duration::from_secs(1)), at(i64::MIN, 0));
    }

    /// A file as it is read, while others write.
    struct Case {
        place: tempfile::TempDir,
        scope: Scope,
        notes: Notes,
    }

    /// What is said of it: in the version, by warnings, and to the catalogue.
    #[derive(Debug, PartialEq)]
    struct Said {
        changed: bool,
        warnings: usize,
        recorded: bool,
    }

    impl Case {
        fn new() -> Self {
            let place = tempfile::tempdir().unwrap();
            std::fs::write(place.path().join("file"), b"as it was").unwrap();
            let notes = Notes::new(place.path());
            Case { place, scope: Scope::default(), notes }
        }

        fn path(&self) -> std::path::PathBuf {
            self.place.path().join("file")
        }

        fn append(&self) {
            let mut file = File::options().append(true).open(self.path()).unwrap();
            io::Write::write_all(&mut file, b" and more").unwrap();
        }

        /// Another file of the same length takes its place.
        fn replace(&self) {
            let other = self.place.path().join("other");
            std::fs::write(&other, b"unlike it").unwrap();
            std::fs::rename(other, self.path()).unwrap();
        }

        /// Reads it so many seconds after it was seen, and lets others write before that and meanwhile.
        fn read(self, before: impl FnOnce(&Case), seconds: i64, meanwhile: impl FnOnce(&Case)) -> Said {
            let surveyor = Surveyor::new(&self.scope, &self.notes);
            let scout = Scout::new(self.place.path(), &surveyor).unwrap();
            let ahead = surveyor.begin(scout);
            let mut walk = Walk::new(&ahead, None, &self.notes);
            let (Some(_), Some(Planned::File { file, size: 9 })) = (walk.next(), walk.next()) else {
                panic!("a folder and its file")
            };
            before(&self);
            let disk = Disk { notes: &self.notes, ahead: &ahead };
            let mut open = disk.open(&file).unwrap();
            let now = Time { seconds: now().seconds + seconds, nanoseconds: 0 };
            let later = hides_changes(&State::of(&open.stat), &file.state, now);
            assert!(seconds > 0 || open.hides_changes == later);
            open.hides_changes = later;
            let read = disk.read_at(&open, 0, &mut [0; 100]).unwrap() as u64;
            meanwhile(&self);
            let closed = disk.close(&file, &open, read);

            let catalogue = self.place.path().join("catalogue");
            let archive = bailee_archive::ArchiveId([1; 16]);
            let recorder = Some(Recorder::create(&catalogue, archive, now).unwrap());
            let mut keeper = Keeper { notes: &self.notes, recorder, key: Vec::new(), changes: Changes::default() };
            keeper.stored(&file, b"items");
            keeper.recorder.unwrap().finish(Digest([2; 32])).unwrap();
            let written = Catalogue::open(&catalogue, archive, |_| true).unwrap();
            let recorded = written.unwrap().find(b"file", &file.state) != Finding::New;
            drop(walk);
            Said { changed: closed.changed, warnings: self.notes.into_warnings().len(), recorded }
        }
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_is_named() {
        let (whole, torn) = ((false, 0), (true, 1));
        let said = |(changed, warnings), recorded| Said { changed, warnings, recorded };
        assert_eq!(Case::new().read(|_| {}, 0, |_| {}), said(whole, true));
        assert_eq!(Case::new().read(|_| {}, 0, Case::append), said(torn, false));
        assert_eq!(Case::new().read(Case::append, 0, |_| {}), said(torn, false), "it may still change within a tick");
    }

    /// What was seen may come back, with its old times: the items of what was read instead are never to be taken for its own.
    #[test]
    fn a_file_that_was_replaced_before_it_was_opened_is_whole_and_not_in_the_catalogue() {
        let whole = Said { changed: false, warnings: 0, recorded: false };
        assert_eq!(Case::new().read(Case::append, 3, |_| {}), whole);
        assert_eq!(Case::new().read(Case::replace, 3, |_| {}), whole);
    }
}
