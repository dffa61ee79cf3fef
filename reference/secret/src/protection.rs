//! What the kernel granted: a value, so that a service can show it instead of assuming it.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Whether the pages under a secret are locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// The pages are never swapped.
    Locked,
    /// The pages may be swapped, for this reason. The secret is wiped on drop all the same.
    Unlocked(Reason),
}

/// Why pages are not locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// `RLIMIT_MEMLOCK` is used up.
    LimitReached,
    /// The process may not lock memory at all.
    NotPermitted,
    /// This platform has no page locking that we use.
    Unsupported,
    /// Another error of the operating system, by number.
    Os(i32),
}

impl fmt::Display for Protection {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Protection::Locked => write!(out, "locked"),
            Protection::Unlocked(reason) => write!(out, "not locked: {reason}"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::LimitReached => write!(out, "RLIMIT_MEMLOCK is used up"),
            Reason::NotPermitted => write!(out, "the process may not lock memory"),
            Reason::Unsupported => write!(out, "this platform does not lock memory"),
            Reason::Os(number) => write!(out, "operating system error {number}"),
        }
    }
}

/// The protection of all secrets of this process, in bytes of pages held (not of secrets alive).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Bytes of pages that are locked.
    pub locked_bytes: usize,
    /// Bytes of pages that hold secrets and are not locked.
    pub unlocked_bytes: usize,
}

impl Status {
    /// True if every page that ever held a secret is locked.
    #[must_use]
    pub fn all_locked(&self) -> bool {
        self.unlocked_bytes == 0
    }
}

static LOCKED: AtomicUsize = AtomicUsize::new(0);
static UNLOCKED: AtomicUsize = AtomicUsize::new(0);

/// The protection of all secrets of this process now.
#[must_use]
pub fn status() -> Status {
    Status {
        locked_bytes: LOCKED.load(Ordering::Relaxed),
        unlocked_bytes: UNLOCKED.load(Ordering::Relaxed),
    }
}

fn counter(protection: Protection) -> &'static AtomicUsize {
    match protection {
        Protection::Locked => &LOCKED,
        Protection::Unlocked(_) => &UNLOCKED,
    }
}

pub(crate) fn count_mapped(protection: Protection, bytes: usize) {
    counter(protection).fetch_add(bytes, Ordering::Relaxed);
}

pub(crate) fn count_unmapped(protection: Protection, bytes: usize) {
    counter(protection).fetch_sub(bytes, Ordering::Relaxed);
}
