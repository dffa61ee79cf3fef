//! `bailee find`: names in versions.

use clap::Args;
use serde_json::json;

use crate::exit::Exit;
use crate::local::Common;
use crate::local::engine::{self, To};
use crate::local::entry;
use crate::local::failure::{Done, Failure};
use crate::local::pattern::Pattern;
use crate::local::report::count;
use crate::local::select::Which;
use crate::local::session::Session;

/// Finds entries in all versions, or in one.
///
/// Each line begins with the number of the version. A pattern without `/` is of a name in any folder; with one, of the whole path. `*` and `?` do not match `/`, `**` does.
#[derive(Args, Debug)]
pub(crate) struct Find {
    #[command(flatten)]
    pub(crate) common: Common,
    /// What to find.
    #[arg(value_name = "GLOB")]
    glob: String,
    /// Only in this version: `latest`, a number, or 4 digits or more of its digest.
    #[arg(long = "in", value_name = "VERSION")]
    version: Option<String>,
    /// Kind, permissions, owner, group, size and time (UTC) of each entry.
    #[arg(long, short)]
    long: bool,
    #[command(flatten)]
    which: Which,
}

impl Find {
    pub(crate) fn run(&self, session: &mut Session<'_>) -> Done<Exit> {
        let (archive, _) = session.open(To::Read)?;
        let pattern = Pattern::new(&self.glob)?;
        let versions = match &self.version {
            Some(meant) => vec![self.which.version(archive.versions(), meant)?],
            None => self.which.some(archive.versions())?,
        };
        let place = session.place();
        let failed = |error| Failure::archive(place, &error);
        let mut matches = 0;
        for &version in &versions {
            for found in engine::tree(&archive, version) {
                let found = found.map_err(failed)?;
                if !pattern.matches(&found.path) {
                    continue;
                }
                matches += 1;
                let object = || {
                    let mut object = entry::object(&found);
                    object["version"] = version.seq.into();
                    object
                };
                let shown = || if self.long { entry::long(&found) } else { found.path.to_string() };
                session.report.data(object, || format!("{:>5}  {}", version.seq, shown()))?;
            }
        }
        let text = count(matches, "match", "matches");
        session.report.summary(json!({"matches": matches, "versions": versions.len()}), &text)?;
        Ok(Exit::Ok)
    }
}
