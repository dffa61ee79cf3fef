//! What stops a backup or a restore, and what only leaves something out.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use bailee_archive::{ArchiveError, escaped};

/// Nothing was done, or what was done is of no use.
#[derive(Debug)]
pub enum FilesError {
    /// The system refused something that everything else depends on.
    Io {
        /// What was being done.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The folder to back up is none.
    NotADirectory {
        /// What was named.
        path: PathBuf,
    },
    /// A pattern that is none.
    BadPattern {
        /// The pattern.
        pattern: String,
        /// What is wrong.
        what: String,
    },
    /// A file of patterns that cannot be used.
    BadPatternFile {
        /// The file.
        path: PathBuf,
        /// The line, from 1 on; none if it is about the whole file.
        line: Option<u64>,
        /// What is wrong.
        what: String,
    },
    /// A path that no entry of a version can have, or that this version does not have.
    NotInVersion {
        /// The path.
        path: PathBuf,
    },
    /// Nothing in the version matches what was asked for.
    NothingChosen,
    /// The archive said no.
    Archive(ArchiveError),
}

impl fmt::Display for FilesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FilesError::Io { doing, path, error } => write!(f, "{doing} {}: {error}", shown(path)),
            FilesError::NotADirectory { path } => {
                write!(f, "{} is not a folder: name the folder to back up", shown(path))
            }
            FilesError::BadPattern { pattern, what } => write!(f, "pattern {}: {what}", shown(Path::new(pattern))),
            FilesError::BadPatternFile { path, line: Some(line), what } => {
                write!(f, "{}, line {line}: {what}", shown(path))
            }
            FilesError::BadPatternFile { path, line: None, what } => write!(f, "{}: {what}", shown(path)),
            FilesError::NotInVersion { path } => write!(f, "{} is not in the version", shown(path)),
            FilesError::NothingChosen => f.write_str("nothing in the version matches"),
            FilesError::Archive(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for FilesError {}

impl From<ArchiveError> for FilesError {
    fn from(error: ArchiveError) -> Self {
        FilesError::Archive(error)
    }
}

impl FilesError {
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FilesError {
        let path = path.to_path_buf();
        move |error| FilesError::Io { doing, path, error }
    }
}

/// Something was left out or is not as it was; the rest is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Where.
    pub path: PathBuf,
    /// What, and what became of it.
    pub what: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", shown(&self.path), self.what)
    }
}

/// A path as text, as [`escaped`] shows it.
pub(crate) fn shown(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    escaped(path.as_os_str().as_bytes())
}
