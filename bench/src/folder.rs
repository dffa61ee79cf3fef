//! A folder of the user's own: backed up and restored in a place that is gone afterwards.

use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;

use crate::measure::{Cost, measure};
use crate::rounds::{difference, size, warm};
use crate::tools::{Bailee, Place, Round, Tool};

/// The exit code of a backup that is whole but for what could not be read.
const PARTIAL: i32 = 3;

/// What a round over the folder cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Pass {
    /// What was done.
    pub round: Round,
    /// With how many threads the backups ran.
    pub threads: usize,
    /// Bytes of the folder's files.
    pub bytes: u64,
    /// What it cost.
    #[serde(flatten)]
    pub cost: Cost,
    /// Bytes of the archive after it.
    pub archive: u64,
}

impl Pass {
    /// The folder's bytes a second.
    pub fn rate(&self) -> f64 {
        self.bytes as f64 / self.cost.wall
    }

    /// Archive ÷ folder; 1 for an empty folder.
    pub fn ratio(&self) -> f64 {
        if self.bytes == 0 { 1.0 } else { self.archive as f64 / self.bytes as f64 }
    }
}

/// First backup, another, and a restore, told one by one. `work` must be empty, and is for the caller to remove.
/// Gives the first difference between the folder and what was restored, if there is one: the folder may have changed
/// meanwhile, or have files that cannot be read.
///
/// # Errors
/// A step failed, or the folder cannot be read.
pub fn bench(
    bailee: &Path,
    folder: &Path,
    work: &Path,
    threads: usize,
    tell: &mut dyn FnMut(&Pass),
) -> io::Result<Option<String>> {
    let place = Place { source: folder.to_path_buf(), state: work.join(format!("threads-{threads}")) };
    fs::create_dir_all(place.state.join("home"))?;
    let bailee = Bailee::new(bailee).threads(threads);
    for step in bailee.prepare(&place) {
        measure(&step, &[]).map_err(io::Error::other)?;
    }
    let bytes = size(folder)?;
    let mut different = None;
    for round in [Round::First, Round::Unchanged, Round::Restore] {
        let step = if round == Round::Restore {
            fs::create_dir(place.restored())?;
            bailee.restore(&place, Round::Unchanged.name())
        } else {
            bailee.back_up(&place, round.name())
        };
        // What cannot be read cannot be warmed either; the backup names it.
        let _ = warm(folder);
        nix::unistd::sync();
        let cost = measure(&step, &[PARTIAL]).map_err(io::Error::other)?;
        if round == Round::Restore {
            different = difference(folder, &place.restored()).unwrap_or_else(|error| Some(error.to_string()));
        }
        tell(&Pass { round, threads, bytes, cost, archive: size(&place.repository())? });
    }
    fs::remove_dir_all(place.state)?;
    Ok(different)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_and_ratio() {
        let cost = Cost { wall: 2.0, cpu: 3.0, memory: 1 };
        let pass = Pass { round: Round::First, threads: 1, bytes: 100, cost, archive: 25 };
        assert_eq!((pass.rate(), pass.ratio()), (50.0, 0.25));
        assert_eq!(Pass { bytes: 0, ..pass }.ratio(), 1.0);
    }
}
