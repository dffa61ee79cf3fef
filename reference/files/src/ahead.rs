//! The way ahead of the walk: names are listed, and what has them is looked at, by whichever thread has nothing else to do.
//!
//! Asking the system for the state of so many files is most of a backup in which little changed. Listing has an order, looking
//! has none.

use bailee_pipeline::Survey;

use crate::scout::{Found, Limits, Looked, Scout};

/// So many names are taken at once: long enough to be worth a lock, short enough to be waited for.
const BATCH_NAMES: usize = 128;
/// So many batches are ahead of the walk, at most.
const BATCHES: usize = 16;

/// What lies ahead of the walk.
pub(crate) type Ahead<'a> = bailee_pipeline::Ahead<Limits<'a>>;

/// Begins with a scout.
pub(crate) fn ahead<'a>(limits: Limits<'a>, scout: Scout) -> Ahead<'a> {
    Ahead::new(limits, scout, BATCHES)
}

impl Survey for Limits<'_> {
    type Scout = Scout;
    type Listed = Vec<Found>;
    type Looked = Vec<Looked>;

    fn list(&self, scout: &mut Scout) -> Option<Vec<Found>> {
        let found: Vec<_> = std::iter::from_fn(|| scout.next(self)).take(BATCH_NAMES).collect();
        (!found.is_empty()).then_some(found)
    }

    fn look(&self, found: Vec<Found>) -> Vec<Looked> {
        found.into_iter().filter_map(|found| self.look_at(found)).collect()
    }
}
