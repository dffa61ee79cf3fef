//! The commands on local archives, one module a command.

pub(crate) mod backup;
pub(crate) mod check;
pub(crate) mod diff;
pub(crate) mod find;
pub(crate) mod forget;
pub(crate) mod init;
pub(crate) mod ls;
pub(crate) mod prune;
pub(crate) mod repair;
pub(crate) mod restore;
pub(crate) mod snapshots;
pub(crate) mod stats;
