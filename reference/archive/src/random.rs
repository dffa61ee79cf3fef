//! Where salts come from.

use getrandom::SysRng;
use rand_core::{CryptoRng, UnwrapErr};

/// Random bytes for an archive: one stream for each thing that is sealed, so that what a stream is used for does not depend on
/// which thread was first.
///
/// The salts of everything that is sealed come from here, so nothing but [`System`] may ever be used outside tests.
pub trait Randomness: Sync {
    /// The stream with this number. A number is asked for once in a backup.
    fn stream(&self, number: u64) -> Box<dyn CryptoRng + Send>;
}

/// The system's randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Randomness for System {
    /// A read of the system's generator does not fail on the systems that this runs on once one has succeeded; a program makes
    /// sure of that at its start.
    fn stream(&self, _: u64) -> Box<dyn CryptoRng + Send> {
        Box::new(UnwrapErr(SysRng))
    }
}

/// Streams are numbered: blocks by their numbers, then index records, then what commits.
pub(crate) const INDEX_STREAMS: u64 = 1 << 40;
/// The stream of the manifest.
pub(crate) const COMMIT_STREAM: u64 = 1 << 41;
