//! `bailee stats`: how large an archive is.

use clap::Args;
use serde_json::json;

use crate::exit::Exit;
use crate::local::common::Common;
use crate::local::engine::{self, To};
use crate::local::failure::Done;
use crate::local::report::{count, size};
use crate::local::session::Session;

/// Says how large an archive is, and what it would take without deduplication and compression.
#[derive(Args, Debug)]
pub(crate) struct Stats {
    #[command(flatten)]
    pub(crate) common: Common,
}

impl Stats {
    pub(crate) fn run(&self, session: &mut Session<'_>) -> Done<Exit> {
        let (archive, _) = session.open(To::Read)?;
        let versions = archive.versions();
        let stored = archive.stored();
        let (blocks, block_bytes) = (stored.blocks, stored.bytes);
        let (segments, on_disk) = engine::on_disk(session.place())?;
        let restored = sum(versions.iter().map(|version| version.root.bytes));
        let latest = versions.last().map(|version| &version.root);
        let id = archive.id().to_string();
        let lines = [
            ("archive", id.clone()),
            ("versions", versions.len().to_string()),
            ("entries in the latest", latest.map_or(0, |root| root.entries).to_string()),
            ("size of the latest", size(latest.map_or(0, |root| root.bytes))),
            ("size of all, restored", size(restored)),
            ("blocks", format!("{blocks} of {}", size(block_bytes))),
            ("on disk", format!("{} in {}", size(on_disk), count(segments, "segment", "segments"))),
        ];
        for (name, value) in &lines {
            session.report.text(&format!("{name:<24}{value}"))?;
        }
        let object = json!({"archive_id": id, "versions": versions.len(), "latest_entries": latest.map(|root| root.entries),
            "latest_bytes": latest.map(|root| root.bytes), "restored_bytes": restored, "blocks": blocks,
            "block_bytes": block_bytes, "segments": segments, "bytes_on_disk": on_disk});
        session.report.summary(object, "")?;
        Ok(Exit::Ok)
    }
}

/// The sum of sizes that manifests state: nothing says that it fits.
fn sum(sizes: impl Iterator<Item = u64>) -> u64 {
    sizes.fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_that_does_not_fit_is_the_largest_number() {
        assert_eq!(sum([1, 2].into_iter()), 3);
        assert_eq!(sum([u64::MAX, 2].into_iter()), u64::MAX);
    }
}
