//! The archive and the files, as the commands need them: the only module that calls their engines.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bailee_archive::engine::{self, Counters, Totals};
use bailee_archive::limits::LABEL_BYTES;
use bailee_archive::tree::{Content, Entry, EntryKind};
use bailee_archive::{
    ArchiveError, ArchiveId, ArchiveKeys, DeviceId, Digest, FolderStore, LostLinks, Origin, Padding, Prune,
    ReadStore, Store as _, System, TreePath, Version,
};
use bailee_core::crypto::keys::ArchiveKey;
use bailee_core::crypto::sign::Signing;
use bailee_files::{
    Cause, Changes, Inside, Overwrite, Patterns, RestoreOptions, RestoreProgress, Restored, Scope, Selection,
    Warning, WatchOptions,
};

use super::failure::{Done, Failure};
use super::progress::{Goal, State};
use super::record::{Record, Remembered};
use super::when;
use crate::random;

/// An archive in a folder.
pub(crate) type Archive = bailee_archive::Archive<FolderStore>;

/// The number of the segment that a new archive has.
const FIRST_SEGMENT: u64 = 1;

/// What a version has lost.
pub(crate) struct Lost {
    /// The version's number.
    pub(crate) version: u64,
    /// The file; none if the list of files is lost from some place on.
    pub(crate) path: Option<TreePath>,
    /// Why.
    pub(crate) what: String,
    /// The version is lost as a whole: not even its record is left.
    pub(crate) is_gone: bool,
}

/// Why a version is lost as a whole.
const GONE: &str = "its record is damaged or missing";

/// What a check found.
#[derive(Default)]
pub(crate) struct Checked {
    /// What is damaged, and where.
    pub(crate) damage: Vec<String>,
    /// How much damage is not listed: it is too much.
    pub(crate) unlisted: u64,
    /// What that costs.
    pub(crate) lost: Vec<Lost>,
    /// Entries that were looked at, in all versions.
    pub(crate) entries: u64,
}

/// What a prune did, or would do.
pub(crate) struct Pruned {
    /// Segments that were removed.
    pub(crate) segments: u64,
    /// Bytes that were removed, and bytes that were written to keep what is needed of them.
    pub(crate) removed: u64,
    pub(crate) written: u64,
}

fn store(folder: &Path) -> Done<FolderStore> {
    FolderStore::open(folder).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => Failure::no_archive(folder),
        _ => Failure::io("opening the archive", folder, &error),
    })
}

/// Which archives may be in a folder, the likeliest first: read without any key.
pub(crate) fn candidates(folder: &Path) -> Done<Vec<ArchiveId>> {
    bailee_archive::candidates(&store(folder)?).map_err(|error| Failure::archive(folder, &error))
}

/// Whether a folder is there and no file in it is a segment of any archive, as far as all of them can be read.
pub(crate) fn has_nothing(folder: &Path) -> bool {
    let found = FolderStore::open(folder).ok().map(|store| bailee_archive::candidates(&store));
    matches!(found, Some(Err(error)) if !matches!(error, ArchiveError::Store { .. }))
}

/// Makes an archive in a folder that is absent or empty.
pub(crate) fn create(folder: &Path, keys: ArchiveKeys) -> Done<ArchiveId> {
    let store = FolderStore::create_in(folder).map_err(|error| Failure::io("making the archive", folder, &error))?;
    random::works().map_err(Failure::random)?;
    let archive = bailee_archive::Archive::create(store, keys, &System);
    archive.map(|archive| archive.id()).map_err(|error| Failure::archive(folder, &error))
}

/// Begins an archive anew in a folder from which all of it was taken: the same archive, with the same key.
pub(crate) fn create_again(folder: &Path, record: &Record) -> Done<Archive> {
    random::works().map_err(Failure::random)?;
    let store = store(folder)?;
    let archive = bailee_archive::Archive::create_as(store, record.archive, record.keys());
    archive.map_err(|error| Failure::archive(folder, &error))
}

/// Removes an archive that was made a moment ago, with nothing in it; and its folder, if that was made for it.
///
/// # Errors
/// What the system said. Then something of it is left.
pub(crate) fn discard(folder: &Path, with_folder: bool) -> std::io::Result<()> {
    let mut store = FolderStore::open(folder)?;
    store.remove(&[FIRST_SEGMENT])?;
    drop(store);
    for name in ["lock", "seen"] {
        std::fs::remove_file(folder.join(name))?;
    }
    if with_folder { std::fs::remove_dir(folder) } else { Ok(()) }
}

/// Opens an archive with the key of its record.
pub(crate) fn open(folder: &Path, record: &Record, to: To) -> Done<Archive> {
    open_raw(folder, record, to)?.map_err(|error| Failure::archive(folder, &error))
}

/// What an archive is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    /// Others may write to it meanwhile.
    Read,
    /// Others are kept out, before it is read.
    Write,
}

impl To {
    /// A dry run only reads: it needs no lock, and works on media that cannot be written.
    pub(crate) fn write_unless(dry_run: bool) -> To {
        if dry_run { To::Read } else { To::Write }
    }
}

fn open_raw(folder: &Path, record: &Record, to: To) -> Done<Result<Archive, ArchiveError>> {
    let device = DeviceId(record.device().public());
    let mut store = store(folder)?;
    if to == To::Write
        && let Err(error) = store.claim()
    {
        return Ok(Err(ArchiveError::Store { doing: "keeping other writers out", error }));
    }
    Ok(bailee_archive::Archive::open_as(store, record.archive, record.keys(), &[device]))
}

/// What stands at the end of an archive and is no whole record, if something does: what a crash leaves, or damage.
pub(crate) fn torn(archive: &Archive) -> Option<String> {
    let torn = archive.torn()?;
    Some(format!(
        "{}: {} bytes to the end are no whole record: they may have been one that is damaged",
        torn.place, torn.length
    ))
}

/// What trying a key on an archive shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trial {
    /// A version opened.
    Right,
    /// Nothing opened.
    Wrong,
    /// There is nothing that could open.
    Nothing,
}

/// A folder that names more archives than this one was tampered with; each trial reads it whole.
const MOST_TRIED: usize = 8;

/// Tries a key on the archives that a folder may hold, the likeliest first. The record is then one of the archive that the key
/// opens; if it opens none, of the likeliest.
pub(crate) fn try_key(folder: &Path, ids: &[ArchiveId], key: ArchiveKey) -> Done<(Record, Trial)> {
    let likeliest = *ids.first().ok_or_else(|| Failure::no_archive(folder))?;
    let mut record = Record::new(likeliest, key);
    let mut of_likeliest = None;
    for &id in ids.iter().take(MOST_TRIED) {
        record.archive = id;
        let trial = try_record(folder, &record);
        if matches!(trial, Ok(Trial::Right)) {
            return Ok((record, Trial::Right));
        }
        of_likeliest.get_or_insert(trial);
    }
    record.archive = likeliest;
    Ok((record, of_likeliest.unwrap_or(Ok(Trial::Wrong))?))
}

fn try_record(folder: &Path, record: &Record) -> Done<Trial> {
    let archive = match open_raw(folder, record, To::Read)? {
        Err(error) if is_of_another_key(&error) => return Ok(Trial::Wrong),
        other => other.map_err(|error| Failure::archive(folder, &error))?,
    };
    Ok(match archive.newest(DeviceId(record.device().public())) {
        Some(_) => Trial::Right,
        None if archive.damage().is_empty() && archive.stored().blocks == 0 => Trial::Nothing,
        None => Trial::Wrong,
    })
}

fn is_of_another_key(error: &ArchiveError) -> bool {
    use ArchiveError as E;
    matches!(error, E::UnknownDevice { .. } | E::WrongArchive { .. } | E::NotOpened { .. } | E::UnknownEpoch { .. })
}

/// Refuses an archive that lacks what was seen in it before.
pub(crate) fn remember(archive: &Archive, device: DeviceId, seen: Remembered) -> Result<(), ArchiveError> {
    archive.remember(device, seen.seq, seen.digest)
}

/// The newest link of each device's chain: a version, or what was forgotten.
pub(crate) fn newest(archive: &Archive, own: DeviceId) -> Vec<(DeviceId, Remembered)> {
    let mut devices: Vec<DeviceId> = archive.versions().iter().map(|version| version.device).chain([own]).collect();
    devices.sort_unstable();
    devices.dedup();
    let newest = |device| archive.newest(device).map(|(seq, digest)| (device, Remembered { seq, digest }));
    devices.into_iter().filter_map(newest).collect()
}

/// A backup to be made.
pub(crate) struct BackUp<'a> {
    pub(crate) folder: &'a Path,
    /// What the version is called.
    pub(crate) label: Vec<u8>,
    /// What of the folder belongs to the version.
    pub(crate) scope: Scope,
    /// Where it is made.
    pub(crate) origin: Option<Origin>,
    pub(crate) level: Option<i32>,
    pub(crate) threads: Option<usize>,
    pub(crate) padding: bool,
    pub(crate) dry_run: bool,
    /// What is known of the folder's files from the last backup, so that unchanged ones are not read.
    pub(crate) catalogue: PathBuf,
}

/// A backup that was made, or that would be.
pub(crate) struct BackedUp {
    /// What was read and stored; of a dry run only what would be read.
    pub(crate) totals: Totals,
    /// Its files, as compared with the last backup.
    pub(crate) changes: Changes,
    /// The archive with the new version in it; none for a dry run.
    pub(crate) archive: Option<Archive>,
    /// The new version; none for a dry run.
    pub(crate) version: Option<Version>,
    /// What was left out.
    pub(crate) warnings: Vec<Warning>,
    /// What made it slower than it need be.
    pub(crate) notes: Vec<String>,
}

/// How far a backup is.
pub(crate) fn backup_state(counters: &Counters) -> State {
    State { entries: counters.entries.load(Ordering::Relaxed), bytes: counters.bytes.load(Ordering::Relaxed) }
}

/// Makes a version of a folder, or says what would be in it.
pub(crate) fn back_up(
    archive: Archive,
    place: &Path,
    job: &BackUp<'_>,
    device: &Signing,
    counters: &Counters,
) -> Done<BackedUp> {
    let failed = |error| Failure::files(place, &error);
    let scope = &job.scope;
    if job.dry_run {
        let planned = bailee_files::dry_run(&archive, job.folder, scope, Some(&job.catalogue)).map_err(failed)?;
        let changes = planned.changes;
        let read = changes.new.bytes + changes.changed.bytes;
        let bytes = read + changes.unchanged.bytes;
        let totals = Totals { entries: planned.entries, bytes, read, ..Totals::default() };
        let (warnings, notes) = (planned.warnings, planned.notes);
        return Ok(BackedUp { totals, changes, archive: None, version: None, warnings, notes });
    }
    random::works().map_err(Failure::random)?;
    let usual = engine::BackUp::new(device, when::now(), &System, counters);
    let how = engine::BackUp {
        label: &job.label,
        origin: job.origin.as_ref(),
        level: job.level.unwrap_or(usual.level),
        padding: if job.padding { Padding::Padme } else { Padding::Exact },
        threads: job.threads.unwrap_or_else(processors),
        ..usual
    };
    let done = bailee_files::back_up(archive, job.folder, scope, Some(&job.catalogue), &how).map_err(failed)?;
    let newest = done.archive.newest(DeviceId(device.public())).map(|(_, digest)| digest);
    let version = done.archive.versions().iter().find(|version| Some(version.digest) == newest).cloned();
    let (archive, warnings, notes) = (Some(done.archive), done.warnings, done.notes);
    Ok(BackedUp { totals: done.totals, changes: done.changes, archive, version, warnings, notes })
}

/// What of a folder belongs to a version: all except what these words and the lines of this file exclude, and except these places,
/// should they lie in the folder.
pub(crate) fn scope(
    folder: &Path,
    excludes: &[OsString],
    exclude_file: Option<&Path>,
    without: [&Path; 2],
) -> Done<Scope> {
    let files: Vec<PathBuf> = exclude_file.iter().map(|file| file.to_path_buf()).collect();
    let excludes = Patterns::of_folder(folder, excludes, &files).map_err(|error| Failure::files(folder, &error))?;
    let without = without.iter().map(|place| place.to_path_buf()).collect();
    Ok(Scope { excludes, without, ..Scope::default() })
}

/// The version that the next one of a job comes after: the newest of its label, from its host and machine or from nobody knows
/// where.
pub(crate) fn newest_of<'a>(versions: &'a [Version], job: &BackUp<'_>) -> Option<&'a Version> {
    let is_from_here = |version: &Version| match (&job.origin, &version.root.origin) {
        (Some(here), Some(there)) => (&here.host, here.machine) == (&there.host, there.machine),
        _ => true,
    };
    versions.iter().rev().find(|version| version.root.label[..] == job.label && is_from_here(version))
}

/// Why a folder yields nothing, though its last version had something: files may not be mounted there now.
pub(crate) struct Emptied<'a> {
    /// The version that had something.
    pub(crate) last: &'a Version,
    /// What is there in place of it.
    pub(crate) inside: Inside,
}

/// Whether a folder yields nothing except folders, though its last version had more.
pub(crate) fn emptied<'a>(archive: &'a Archive, place: &Path, job: &BackUp<'_>) -> Done<Option<Emptied<'a>>> {
    let Some(last) = newest_of(archive.versions(), job) else { return Ok(None) };
    if last.root.entries <= 1 {
        return Ok(None);
    }
    let inside = bailee_files::look_inside(job.folder, &job.scope).map_err(|error| Failure::files(place, &error))?;
    if matches!(inside, Inside::Something) {
        return Ok(None);
    }
    // A version that cannot be read may have had something.
    let had_something =
        archive.tree(last).any(|entry| entry.map_or(true, |entry| !matches!(entry.kind, EntryKind::Directory)));
    Ok(had_something.then_some(Emptied { last, inside }))
}

/// How much a backup would have to go through.
pub(crate) fn size_up(archive: &Archive, place: &Path, job: &BackUp<'_>) -> Done<Goal> {
    let walked = bailee_files::dry_run(archive, job.folder, &job.scope, None);
    let walked = walked.map_err(|error| Failure::files(place, &error))?;
    let bytes = walked.changes.new.bytes + walked.changes.changed.bytes + walked.changes.unchanged.bytes;
    Ok(Goal { entries: Some(walked.entries), bytes: Some(bytes) })
}

/// What the versions of a folder are called, unless the user says otherwise: its path, so that two folders of one name are two
/// things to the rules that forget versions. It is the folder's own path, however the folder was named.
pub(crate) fn label(folder: &Path) -> Vec<u8> {
    let real = std::fs::canonicalize(folder).or_else(|_| std::path::absolute(folder));
    let mut label = real.unwrap_or_else(|_| folder.to_path_buf()).into_os_string().into_vec();
    label.truncate(LABEL_BYTES);
    label
}

pub(crate) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// A restore to be made.
pub(crate) struct Restore<'a> {
    pub(crate) target: &'a Path,
    pub(crate) what: &'a [OsString],
    pub(crate) verify: bool,
    pub(crate) overwrite: Overwrite,
}

/// How far a restore is.
pub(crate) fn restore_state(progress: &RestoreProgress) -> State {
    State { entries: progress.entries.load(Ordering::Relaxed), bytes: progress.bytes.load(Ordering::Relaxed) }
}

/// Makes a folder from a version.
pub(crate) fn restore(
    archive: &Archive,
    place: &Path,
    version: &Version,
    job: &Restore<'_>,
    progress: &RestoreProgress,
) -> Done<Restored> {
    let failed = |error| Failure::files(place, &error);
    let what = Selection::of(job.what).map_err(failed)?;
    let how = RestoreOptions { threads: processors(), overwrite: job.overwrite, verify: job.verify, progress };
    bailee_files::restore(archive, version, job.target, &what, &how).map_err(failed)
}

/// Calls for a backup now, and again whenever something in the folder changed, until one fails.
pub(crate) fn watch(folder: &Path, without: [&Path; 2], round: &mut dyn FnMut() -> Done) -> Done {
    let without = without.iter().map(|place| place.to_path_buf()).collect();
    let options = WatchOptions { without, ..WatchOptions::default() };
    // A signal ends the process: nothing else stops it.
    let stop = AtomicBool::new(false);
    let each = |_: &Cause| match round() {
        Ok(()) => ControlFlow::Continue(()),
        Err(failure) => ControlFlow::Break(failure),
    };
    match bailee_files::watch(folder, &options, &stop, each).map_err(|error| Failure::files(folder, &error))? {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

/// The entries of a version, one after the other.
pub(crate) fn tree<'a>(
    archive: &'a Archive,
    version: &'a Version,
) -> impl Iterator<Item = Result<Entry, ArchiveError>> + use<'a> {
    archive.tree(version)
}

/// The entries of a version from a path on.
pub(crate) fn tree_from<'a>(
    archive: &'a Archive,
    version: &'a Version,
    path: &TreePath,
) -> Result<impl Iterator<Item = Result<Entry, ArchiveError>> + use<'a>, ArchiveError> {
    archive.tree_from(version, path)
}

/// Writes a file's content.
pub(crate) fn copy_content(archive: &Archive, content: &Content, sink: &mut dyn Write) -> Result<(), ArchiveError> {
    archive.copy_content(content, sink)
}

/// Checks an archive: its structure, or with `read_data` every byte of it. `blocks` counts those that were opened.
pub(crate) fn check(archive: &mut Archive, read_data: bool, blocks: &AtomicU64) -> Checked {
    let report = archive.check(read_data, &mut |done, _| blocks.store(done, Ordering::Relaxed));
    let unlisted = archive.damage_count() - archive.damage().len() as u64;
    let lost = losses(archive, report.lost, &report.lost_links);
    let mut damage: Vec<String> = archive.damage().iter().map(ToString::to_string).collect();
    damage.extend(report.damage.iter().map(ToString::to_string));
    let mut said = BTreeSet::new();
    damage.retain(|place| said.insert(place.clone()));
    Checked { damage, unlisted, lost, entries: report.entries }
}

/// What versions have lost, with their numbers, and versions that are lost as a whole.
fn losses(archive: &Archive, lost: Vec<bailee_archive::Lost>, links: &[LostLinks]) -> Vec<Lost> {
    let whole = |links: &LostLinks| Lost {
        version: links.first,
        path: None,
        what: match links.last - links.first {
            0 => GONE.into(),
            _ => format!("{GONE}, and so are those up to {}", links.last),
        },
        is_gone: true,
    };
    let number = |digest| archive.versions().iter().find(|version| version.digest == digest).map_or(0, |v| v.seq);
    let lost = lost.into_iter();
    let lost = lost.map(|lost| Lost {
        version: number(lost.version),
        path: lost.path,
        what: lost.error.to_string(),
        is_gone: false,
    });
    links.iter().map(whole).chain(lost).collect()
}

/// What a repair did, or would do.
pub(crate) struct Repaired {
    /// What was given up, and what stays.
    pub(crate) done: bailee_archive::Repaired,
    /// What versions have and cannot be restored.
    pub(crate) lost: Vec<Lost>,
}

/// Gives up what is damaged, if no version needs anything that is lost; or says what that would be.
pub(crate) fn repair(
    mut archive: Archive,
    place: &Path,
    device: &Signing,
    accept_loss: bool,
    dry_run: bool,
) -> Done<(Archive, Repaired)> {
    let failed = |error| Failure::archive(place, &error);
    let (archive, mut done) = if dry_run {
        let done = archive.plan_repair(accept_loss).map_err(failed)?;
        (archive, done)
    } else {
        random::works().map_err(Failure::random)?;
        let counters = Counters::default();
        archive.repair(&engine::BackUp::new(device, when::now(), &System, &counters), accept_loss).map_err(failed)?
    };
    let lost = losses(&archive, std::mem::take(&mut done.lost), &done.lost_links);
    Ok((archive, Repaired { done, lost }))
}

/// Forgets versions: they are no longer offered; their data stays until the next prune.
pub(crate) fn forget(archive: Archive, place: &Path, versions: &[Digest], device: &Signing) -> Done<Archive> {
    archive.forget(versions, device).map_err(|error| Failure::archive(place, &error))
}

/// Removes what no version needs, or says what would be removed.
pub(crate) fn prune(archive: Archive, place: &Path, device: &Signing, dry_run: bool) -> Done<(Archive, Pruned)> {
    let failed = |error| Failure::archive(place, &error);
    let choice = Prune::default();
    let (archive, done) = if dry_run {
        let done = archive.plan_prune(&choice).map_err(failed)?;
        (archive, done)
    } else {
        random::works().map_err(Failure::random)?;
        let counters = Counters::default();
        archive.prune(&choice, &engine::BackUp::new(device, when::now(), &System, &counters)).map_err(failed)?
    };
    let segments = done.segments.len() as u64;
    Ok((archive, Pruned { segments, removed: done.removed, written: done.written }))
}

/// The bytes that an archive takes in its folder.
pub(crate) fn on_disk(folder: &Path) -> Done<(u64, u64)> {
    let store = store(folder)?;
    let failed = |error| Failure::io("reading the archive", folder, &error);
    let numbers = store.list().map_err(failed)?;
    let lengths: Result<Vec<u64>, _> = numbers.iter().map(|number| store.length(*number)).collect();
    Ok((numbers.len() as u64, lengths.map_err(failed)?.iter().sum()))
}

/// Whether a folder may become an archive: absent, or empty but for what an interrupted `init` leaves.
pub(crate) fn is_free(folder: &Path) -> Done<bool> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(Failure::io("reading", folder, &error)),
        Ok(entries) => entries,
    };
    for entry in entries {
        let name = PathBuf::from(entry.map_err(|error| Failure::io("reading", folder, &error))?.file_name());
        let is_left_over = ["lock", "seen", "damaged"].iter().any(|left| name == Path::new(left));
        if !is_left_over && name.extension().is_none_or(|extension| extension != "tmp") {
            return Ok(false);
        }
    }
    Ok(true)
}
