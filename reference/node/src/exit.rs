//! The exit codes of `bailee`, in one table.

use std::process::ExitCode;

/// How a command ended. An unknown code is a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Everything is as it should be.
    Ok = 0,
    /// Something failed; the message says what.
    Failure = 1,
    /// The command was used wrongly.
    Usage = 2,
    /// Everything was done but for what is named.
    Partial = 3,
    /// There is no archive.
    NoArchive = 10,
    /// Another process writes the archive.
    Locked = 11,
    /// No key, or a wrong one.
    KeyRefused = 12,
    /// Its terminal was closed (128 + SIGHUP).
    HungUp = 129,
    /// Interrupted from its terminal (128 + SIGINT).
    Interrupted = 130,
    /// Asked to end (128 + SIGTERM).
    Terminated = 143,
}

/// The table, for `--help`.
pub(crate) const TABLE: &str = "\
Exit codes:
    0  ok
    1  failure; of check: damage; of repair: damage that stays; of demo: a restored folder that differs
    2  wrong usage
    3  partial: all except what is named was backed up or restored; of repair: a version is lost
   10  there is no archive here
   11  the archive is locked by another writer
   12  no key for this archive, or a wrong one
  129  interrupted: its terminal was closed
  130  interrupted from its terminal
  143  interrupted by another process";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_code_and_no_other() {
        let codes: Vec<u8> =
            TABLE.lines().skip(1).filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect();
        let all = [
            Exit::Ok,
            Exit::Failure,
            Exit::Usage,
            Exit::Partial,
            Exit::NoArchive,
            Exit::Locked,
            Exit::KeyRefused,
            Exit::HungUp,
            Exit::Interrupted,
            Exit::Terminated,
        ];
        assert_eq!(codes, all.map(|exit| exit as u8));
    }
}
