//! How a test learns of the bug that it is to see.

use bailee_core::quirks::Quirk;

#[allow(unreachable_pub, reason = "the rig of other tests re-exports it")]
/// Switches on the bug that `cargo lockstep mutants` names to this process, if it names one.
pub fn bug() {
    if let Ok(id) = std::env::var("BAILEE_BUG") {
        Quirk::switch_on(&id);
    }
}
