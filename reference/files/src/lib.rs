//! Folders on disk: what is in them, into an archive and back.
//!
//! [`back_up`] walks a folder and writes a version; with a catalogue it reads only what changed, and [`watch`] calls it again when
//! something did. [`restore`] makes a folder from a version or from a part of one; [`compare`] says how two folders differ. Nothing
//! here follows a symbolic link, and names are bytes, not text.

mod backup;
mod catalogue;
mod compare;
mod empty;
mod error;
mod folder;
mod meta;
mod notes;
mod patterns;
pub mod quirks;
mod restore;
mod scout;
mod surveyor;
#[cfg(feature = "testing")]
pub mod testing;
mod walk;
mod watch;

pub use backup::{BackedUp, DryRun, back_up, dry_run, now};
pub use compare::{Difference, compare};
pub use empty::{Inside, look_inside};
pub use error::{FilesError, Warning};
pub use patterns::Patterns;
pub use restore::{
    JOURNAL, Overwrite, Paths, RestoreOptions, RestoreProgress, Restored, Selection, copy_file, is_pattern, restore,
    tree_path,
};
pub use surveyor::Scope;
pub use walk::{Amount, Changes};
pub use watch::{Cause, WatchOptions, watch};
