//! `bailee find`: names in versions.

use std::ffi::OsString;

use bailee_archive::{TreePath, Version};
use clap::Args;
use serde_json::json;

use crate::exit::Exit;
use crate::local::common::Common;
use crate::local::engine::{self, Archive, To};
use crate::local::entry;
use crate::local::failure::{Done, Failure};
use crate::local::pattern::{Exact, Pattern, has_signs};
use crate::local::report::count;
use crate::local::select::Which;
use crate::local::session::Session;

/// Finds entries in all versions, or in one.
///
/// Each line begins with the number of the version. A pattern without `/` is of a name in any folder; with one, of the whole path. `*` and `?` do not match `/`, `**` does.
/// What is called exactly so is found alone; the others that a pattern matches are found if nothing is.
#[derive(Args, Debug)]
pub(crate) struct Find {
    #[command(flatten)]
    pub(crate) common: Common,
    /// What to find.
    #[arg(value_name = "NAME|GLOB")]
    word: OsString,
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
        let versions = match &self.version {
            Some(meant) => vec![self.which.version(archive.versions(), meant)?],
            None => self.which.some(archive.versions())?,
        };
        let exact = Exact::new(&self.word);
        let mut matches = self.show(session, &archive, &versions, &|path| exact.is(path))?;
        if let Some(word) = self.word.to_str().filter(|word| matches == 0 && has_signs(word)) {
            let pattern = Pattern::new(word)?;
            matches = self.show(session, &archive, &versions, &|path| pattern.matches(path))?;
        }
        let text = count(matches, "match", "matches");
        session.report.summary(json!({"matches": matches, "versions": versions.len()}), &text)?;
        Ok(Exit::Ok)
    }

    /// Shows the entries of versions whose paths are so; how many there are.
    fn show(
        &self,
        session: &mut Session<'_>,
        archive: &Archive,
        versions: &[&Version],
        is_found: &dyn Fn(&TreePath) -> bool,
    ) -> Done<u64> {
        let place = session.place();
        let mut matches = 0;
        for &version in versions {
            for found in engine::tree(archive, version) {
                let found = found.map_err(|error| Failure::archive(place, &error))?;
                if !is_found(&found.path) {
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
        Ok(matches)
    }
}
