//! Why a command ended otherwise than well, and what to do next.

use std::io;
use std::path::Path;

use bailee_archive::disk::Unusable;
use bailee_archive::{ArchiveError, ArchiveId, Damage, escaped};
use bailee_files::FilesError;
use rustix::io::Errno;

use crate::exit::Exit;

/// Why a command stopped.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Whoever read standard output has gone away: no error, there is nothing more to say.
    ReaderLeft,
    /// Everything else.
    Because {
        /// The exit code.
        exit: Exit,
        /// What happened, and where.
        what: String,
        /// What to do next; empty if the first part says it.
        next: String,
    },
}

pub(crate) type Done<T = ()> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(exit: Exit, what: impl Into<String>, next: impl Into<String>) -> Self {
        Failure::Because { exit, what: what.into(), next: next.into() }
    }

    pub(crate) fn usage(what: impl Into<String>, next: impl Into<String>) -> Self {
        Failure::new(Exit::Usage, what, next)
    }

    /// Something of the system, with the file that it is about.
    pub(crate) fn io(doing: &str, path: &Path, error: &io::Error) -> Self {
        Failure::new(
            Exit::Failure,
            format!("{doing} {}: {error}", shown(path)),
            after_limit(error).unwrap_or_default(),
        )
    }

    pub(crate) fn random(error: getrandom::Error) -> Self {
        Failure::new(Exit::Failure, format!("no randomness from the system: {error}"), "")
    }

    pub(crate) fn no_archive(folder: &Path) -> Self {
        Failure::new(
            Exit::NoArchive,
            format!("there is no archive in {}", shown(folder)),
            format!("make one with `bailee init --archive {}`, or name another folder", quoted(folder)),
        )
    }

    /// Another archive than before is in a place.
    pub(crate) fn other_archive(folder: &Path, before: ArchiveId, now: ArchiveId) -> Self {
        Failure::new(
            Exit::Failure,
            format!("{} held archive {before} and holds archive {now} now", shown(folder)),
            "look whether the right disk is mounted; if this archive is meant, say so once with --accept-other",
        )
    }

    /// No segment is left of the archive that was in a place.
    pub(crate) fn nothing_left(folder: &Path, archive: ArchiveId) -> Self {
        Failure::new(
            Exit::NoArchive,
            format!("{} held archive {archive}, and no segment of it is left there", shown(folder)),
            "look whether the right disk is mounted and whether its files have other names, or bring back a copy; \
             `bailee backup --accept-rollback` begins the archive anew with the same key, and removes nothing",
        )
    }

    /// A version that was seen is not found, and a segment is missing or cannot be read.
    pub(crate) fn segment_away(folder: &Path, version: u64, damage: Option<&Damage>) -> Self {
        let first = damage.map(|damage| format!(": {damage}")).unwrap_or_default();
        Failure::new(
            Exit::Failure,
            format!(
                "{}: version {version} was seen there and is not found, and not all segments are{first}",
                shown(folder)
            ),
            "bring the missing segment back, or let it be read: nothing was changed",
        )
    }

    /// The record of the newest version is damaged.
    pub(crate) fn damaged_version(folder: &Path, version: u64) -> Self {
        Failure::new(
            Exit::Failure,
            format!("{}: version {version} was seen there, and its record is damaged now", shown(folder)),
            "a backup or `bailee repair` goes on without it; with --accept-rollback this command shows what is left",
        )
    }

    pub(crate) fn no_key(folder: &Path) -> Self {
        Failure::new(
            Exit::KeyRefused,
            format!("the key store has no key for the archive in {}", shown(folder)),
            format!("enter its recovery code with `bailee init --archive {} --recover`", quoted(folder)),
        )
    }

    pub(crate) fn wrong_key(folder: &Path) -> Self {
        Failure::new(
            Exit::KeyRefused,
            format!("this key does not open the archive in {}", shown(folder)),
            "look for the recovery code that was printed when this very archive was made",
        )
    }

    /// What the archive in a folder said.
    pub(crate) fn archive(folder: &Path, error: &ArchiveError) -> Self {
        use ArchiveError as E;
        let (exit, next) = match error {
            E::NoArchive { .. } => return Failure::no_archive(folder),
            E::Store { error, .. } if error.kind() == io::ErrorKind::WouldBlock => {
                let next = "wait until the other backup has ended; a lock that nobody holds frees itself";
                (Exit::Locked, next.to_string())
            }
            E::Store { doing, error } => (Exit::Failure, after_store(doing, error).to_string()),
            E::UnknownDevice { .. } | E::UnknownEpoch { .. } => return Failure::wrong_key(folder),
            E::RolledBack { .. } => (
                Exit::Failure,
                "look for who replaced the archive with an older copy; with --accept-rollback the older copy counts"
                    .to_string(),
            ),
            E::UnknownVersion { .. } => (Exit::Usage, format!("see `bailee snapshots --archive {}`", quoted(folder))),
            _ => (
                Exit::Failure,
                format!("see what is lost and what is whole with `bailee check --archive {}`", quoted(folder)),
            ),
        };
        Failure::new(exit, format!("{}: {error}", shown(folder)), next)
    }

    /// What a backup or a restore said, of the archive in a folder.
    pub(crate) fn files(folder: &Path, error: &FilesError) -> Self {
        match error {
            FilesError::Archive(error) => Failure::archive(folder, error),
            FilesError::NotADirectory { .. } => Failure::usage(error.to_string(), "name the folder that it lies in"),
            FilesError::BadPattern { .. } | FilesError::BadPatternFile { .. } => {
                Failure::usage(error.to_string(), "")
            }
            FilesError::NotInVersion { .. } | FilesError::NothingChosen => Failure::new(
                Exit::Failure,
                error.to_string(),
                "see what the version has with `bailee ls`, or search with `bailee find`",
            ),
            FilesError::Io { error: system, .. } if is_full(system) => Failure::new(
                Exit::Failure,
                error.to_string(),
                "what was restored so far is whole: make room and run the same command again to go on",
            ),
            FilesError::Io { doing, error: system, .. } => {
                Failure::new(Exit::Failure, error.to_string(), after_folder(doing, system))
            }
        }
    }
}

/// What to do when a folder to be read or to be made was not there, or was something else.
fn after_folder(doing: &str, error: &io::Error) -> &'static str {
    if let Some(next) = after_limit(error) {
        return next;
    }
    match (doing, error.kind()) {
        ("making", io::ErrorKind::NotFound) => "make the folder above it first, or name another",
        ("making" | "reading", io::ErrorKind::NotADirectory) => "it is in the place of a folder: name another",
        ("reading", io::ErrorKind::NotFound) => "name a folder that is there",
        ("reading the patterns in", io::ErrorKind::NotFound) => "name a file that is there",
        ("making" | "opening" | "reading", io::ErrorKind::PermissionDenied) => {
            "look at who owns it, and the folders above it, or name another"
        }
        _ => "",
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// What to do when the archive's folder did not take a write, or did not let itself be read.
fn after_store(doing: &str, error: &io::Error) -> &'static str {
    let reads = ["reading", "measuring", "listing"].iter().any(|word| doing.starts_with(word));
    match Unusable::of(error) {
        Some(Unusable::Linked { .. }) => {
            "nothing is written to a file that has two names: remove the other name, or copy the files of the archive \
             into a folder of their own in place of linking them"
        }
        Some(Unusable::NotAFile { .. }) => {
            "nothing was changed: look what it is, and move it out of the archive's folder"
        }
        None => after_system(reads, error),
    }
}

/// What to do when no more files can be opened.
fn after_limit(error: &io::Error) -> Option<&'static str> {
    let is = |system: Errno| error.raw_os_error() == Some(system.raw_os_error());
    if is(Errno::MFILE) {
        return Some("the limit on open files of this process is reached: raise it with `ulimit -n 1024`");
    }
    is(Errno::NFILE).then_some("this machine has too many files open: end what is not needed, and run it again")
}

fn after_system(reads: bool, error: &io::Error) -> &'static str {
    if let Some(next) = after_limit(error) {
        return next;
    }
    match error.kind() {
        io::ErrorKind::PermissionDenied if reads => {
            "a file of the archive may not be read from here: look at who owns it and who may read it"
        }
        _ if reads => "nothing was changed: see what the medium says, and run it again",
        _ if is_full(error) => {
            "nothing that was committed is lost: make room and run it again, what was stored so far is used"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "the archive may not be written from here, only read: look at who owns its folder and how it is mounted"
        }
        _ => "nothing that was committed is lost: run it again",
    }
}

/// A path as text, as [`escaped`] shows it.
pub(crate) fn shown(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    escaped(path.as_os_str().as_bytes())
}

/// A path to be pasted into a shell.
fn quoted(path: &Path) -> String {
    // A shell takes a backslash between quotes as it is.
    let text = shown(path).replace("\\\\", "\\");
    let plain = |c: char| c.is_alphanumeric() || "/._-+@%,:=".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_does_not_break_out_of_a_quote() {
        assert_eq!(quoted(Path::new("/srv/plain-1")), "/srv/plain-1");
        assert_eq!(quoted(Path::new("it's here")), "'it'\\''s here'");
        assert_eq!(quoted(Path::new("a\\b")), "'a\\b'");
    }

    #[test]
    fn the_advice_fits_the_reason() {
        let linked = io::Error::other(Unusable::Linked { name: "lock".into() });
        let pipe = io::Error::other(Unusable::NotAFile { name: "lock".into() });
        let cases = [
            (linked, "remove the other name"),
            (pipe, "move it out"),
            (Errno::MFILE.into(), "ulimit -n"),
            (Errno::NFILE.into(), "this machine"),
            (io::ErrorKind::ReadOnlyFilesystem.into(), "only read"),
        ];
        for (error, expected) in cases {
            for doing in ["writing a record", "reading a segment"] {
                if doing.starts_with("writing") || error.kind() != io::ErrorKind::ReadOnlyFilesystem {
                    let said = after_store(doing, &error);
                    assert!(said.contains(expected), "{error}: {said}");
                }
            }
        }
        assert!(after_folder("reading", &Errno::MFILE.into()).contains("ulimit -n"));
        let Failure::Because { next, .. } = Failure::io("reading", Path::new("/a"), &Errno::MFILE.into()) else {
            panic!("an error of the system")
        };
        assert!(next.contains("ulimit -n"), "{next}");
    }

    #[test]
    fn a_lock_and_a_rollback_are_told_apart_from_damage() {
        let exit = |error| match Failure::archive(Path::new("/a"), &error) {
            Failure::Because { exit, .. } => exit,
            Failure::ReaderLeft => unreachable!("an error of the archive"),
        };
        let store = |kind: io::ErrorKind| ArchiveError::Store { doing: "writing", error: kind.into() };
        assert_eq!(exit(store(io::ErrorKind::WouldBlock)), Exit::Locked);
        assert_eq!(exit(store(io::ErrorKind::StorageFull)), Exit::Failure);
        assert_eq!(exit(ArchiveError::NoArchive {}), Exit::NoArchive);
        assert_eq!(exit(ArchiveError::UnknownEpoch { epoch: 1 }), Exit::KeyRefused);
        assert_eq!(exit(ArchiveError::MissingChunk {}), Exit::Failure);
    }
}
