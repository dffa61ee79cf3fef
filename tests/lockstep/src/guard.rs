//! A panic of a reading is a disagreement, and not the end of a run.

use std::fmt;

use bailee_model::explorer::caught;
use bailee_spec::Action;

/// Who carries an action out, or is looked at after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The model.
    Model,
    /// The reference.
    Reference,
    /// The comparison of both after an action.
    Onlooker,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Model => "the model",
            Side::Reference => "the reference",
            Side::Onlooker => "the comparison of both readings",
        })
    }
}

/// Is told before a side carries an action out. A test plants a panic here; anyone else does nothing.
pub type Before<'a> = &'a (dyn Fn(Side, Action) + Sync);

/// Does the work of a side.
///
/// # Errors
/// A panic, as the one difference between the readings.
pub fn guarded<T>(side: Side, work: impl FnOnce() -> T) -> Result<T, Vec<String>> {
    caught(work).map_err(|text| vec![format!("{side} panicked: {text}")])
}
