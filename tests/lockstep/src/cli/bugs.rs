//! The bugs of the reference by their names on the command line.

use bailee_core::quirks::{Quirk, Quirks};
use bailee_model::command::Failure;

/// The reference with the bug of an id, or without any.
pub(super) fn quirks_of(id: Option<&str>) -> Result<Quirks, Failure> {
    let Some(id) = id else { return Ok(Quirks::none()) };
    let known = || Quirk::ALL.iter().map(|quirk| quirk.id()).collect::<Vec<_>>().join(", ");
    let unknown = || Failure::Usage(format!("the reference has no bug {id} to switch on; it has: {}", known()));
    quirk(id).map(Quirks::only).ok_or_else(unknown)
}

/// The bug of an id.
pub(super) fn quirk(id: &str) -> Option<Quirk> {
    Quirk::ALL.iter().copied().find(|quirk| quirk.id() == id)
}
