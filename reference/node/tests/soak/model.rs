//! Which versions there are, by what the program said.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::source::Lane;

/// A version that was committed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Version {
    pub(crate) seq: u64,
    pub(crate) lane: Lane,
    /// The day whose content it has.
    pub(crate) day: u64,
}

/// A version as it is listed.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) digest: String,
    pub(crate) seq: u64,
    pub(crate) lane: Lane,
}

impl Listed {
    /// A line about a version.
    pub(crate) fn of(said: &Value) -> Result<Listed, String> {
        let of_parts = || {
            let lane = Lane::named(said["host"].as_str()?, said["label"].as_str()?)?;
            Some(Listed { digest: said["digest"].as_str()?.into(), seq: said["version"].as_u64()?, lane })
        };
        of_parts().ok_or_else(|| format!("no version that anybody made: {said}"))
    }
}

/// Versions by digest.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) kept: BTreeMap<String, Version>,
    pub(crate) forgotten: BTreeMap<String, Version>,
}

impl Model {
    pub(crate) fn commit(&mut self, digest: &str, version: Version) {
        if !self.forgotten.contains_key(digest) {
            self.kept.insert(digest.into(), version);
        }
    }

    pub(crate) fn forget(&mut self, listed: &Listed, day: u64) {
        let Listed { seq, lane, .. } = *listed;
        let version = self.kept.remove(&listed.digest).unwrap_or(Version { seq, lane, day });
        self.forgotten.entry(listed.digest.clone()).or_insert(version);
    }

    pub(crate) fn digests(&self) -> BTreeSet<String> {
        self.kept.keys().cloned().collect()
    }

    pub(crate) fn of_seq(&self, seq: u64) -> Option<(&String, &Version)> {
        self.kept.iter().find(|(_, version)| version.seq == seq)
    }

    /// Takes in what is listed after a command was killed whose outcome nobody said. `before` was there before the list was made;
    /// versions that are new have the content of today. A rule of `kept` for each lane explains what is gone.
    pub(crate) fn settle(
        &mut self,
        before: &BTreeSet<String>,
        listed: &[Listed],
        today: u64,
        kept: usize,
    ) -> Result<(), String> {
        let there: BTreeSet<&String> = listed.iter().map(|listed| &listed.digest).collect();
        for digest in before.iter().filter(|digest| !there.contains(digest)) {
            let Some(&Version { seq, lane, day }) = self.kept.get(digest) else { continue };
            let newer = listed.iter().filter(|listed| listed.lane == lane && listed.seq > seq).count();
            if newer < kept {
                return Err(format!("version {seq} of {lane:?} is gone, and {newer} newer ones are there"));
            }
            self.forget(&Listed { digest: digest.clone(), seq, lane }, day);
        }
        for Listed { digest, seq, lane } in listed {
            if !self.kept.contains_key(digest) {
                self.commit(digest, Version { seq: *seq, lane: *lane, day: today });
            }
        }
        Ok(())
    }
}

/// Whether a rule forgot what it should: of each lane it keeps the newest, this many, and no other.
pub(crate) fn judge(kept: &[Listed], forgotten: &[Listed], most: usize) -> Result<(), String> {
    for lane in Lane::all() {
        let of_lane = |versions: &[Listed]| -> BTreeSet<u64> {
            versions.iter().filter(|version| version.lane == lane).map(|version| version.seq).collect()
        };
        let (kept, forgotten) = (of_lane(kept), of_lane(forgotten));
        let is_right = kept.len() == most.min(kept.len() + forgotten.len())
            && kept.iter().all(|kept| forgotten.iter().all(|gone| gone < kept));
        if !is_right {
            return Err(format!("of {lane:?}, {kept:?} are kept and {forgotten:?} forgotten"));
        }
    }
    Ok(())
}
