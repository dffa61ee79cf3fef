//! Why a demo did not end.

use std::fmt;

use bailee_archive::ArchiveError;
use bailee_files::FilesError;

/// Why a demo did not end.
#[derive(Debug)]
pub(crate) enum DemoError {
    /// The command line asks for what cannot be done.
    Usage(String),
    /// The files or the archive.
    Files(FilesError),
    /// The system has no randomness.
    Random(getrandom::Error),
    /// A role answered otherwise than the protocol says: a bug.
    Protocol(String),
}

impl DemoError {
    /// Whether the command line is at fault.
    pub(crate) fn is_usage(&self) -> bool {
        matches!(self, DemoError::Usage(_) | DemoError::Files(FilesError::NotADirectory { .. }))
    }
}

impl fmt::Display for DemoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DemoError::Usage(what) => f.write_str(what),
            DemoError::Files(error) => error.fmt(f),
            DemoError::Random(error) => write!(f, "no randomness from the system: {error}"),
            DemoError::Protocol(what) => write!(f, "{what}; run it again with --seed to follow it"),
        }
    }
}

impl std::error::Error for DemoError {}

impl From<FilesError> for DemoError {
    fn from(error: FilesError) -> Self {
        DemoError::Files(error)
    }
}

impl From<ArchiveError> for DemoError {
    fn from(error: ArchiveError) -> Self {
        DemoError::Files(error.into())
    }
}

/// What a step of the demo yields.
pub(super) type Done<T = ()> = Result<T, DemoError>;
