//! Folders on disk: what is in them, into an archive and back.
//!
//! [`back_up`] walks a folder and writes a version; [`restore`] makes a folder from a version; [`compare`] says how two folders
//! differ. Nothing here follows a symbolic link, and names are bytes, not text.

mod compare;
mod error;
mod meta;
mod restore;
mod scan;

pub use compare::{Difference, compare};
pub use error::{FilesError, Warning};
pub use restore::{Restored, restore};
pub use scan::{BackedUp, back_up};
