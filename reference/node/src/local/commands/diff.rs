//! `bailee diff`: how two versions differ.

use clap::Args;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::local::common::Common;
use crate::local::diff::{Change, Difference, differences};
use crate::local::engine::{self, To};
use crate::local::entry::put_path;
use crate::local::failure::{Done, Failure};
use crate::local::select::Which;
use crate::local::session::Session;

/// Says how the second version differs from the first.
///
/// `+` added, `-` removed, `M` other content, `U` other metadata, `T` another kind. The exit code is 0 with differences, too.
#[derive(Args, Debug)]
pub(crate) struct Diff {
    #[command(flatten)]
    pub(crate) common: Common,
    /// The version before.
    #[arg(value_name = "VERSION")]
    before: String,
    /// The version after.
    #[arg(value_name = "VERSION", id = "after")]
    after: String,
    #[command(flatten)]
    which: Which,
}

impl Diff {
    pub(crate) fn run(&self, session: &mut Session<'_>) -> Done<Exit> {
        let (archive, _) = session.open(To::Read)?;
        let before = self.which.version(archive.versions(), &self.before)?;
        let after = self.which.version(archive.versions(), &self.after)?;
        let place = session.place();
        let failed = |error| Failure::archive(place, &error);
        let trees = (engine::tree(&archive, before), engine::tree(&archive, after));
        let mut counts = [0u64; Change::ALL.len()];
        for found in differences(trees.0, trees.1) {
            let found = found.map_err(failed)?;
            counts[found.change as usize] += 1;
            session.report.data(|| object(&found), || format!("{} {}", found.change.letter(), found.path))?;
        }
        let mut summary = json!({"before": before.seq, "after": after.seq});
        for change in Change::ALL {
            summary[change.name()] = counts[change as usize].into();
        }
        let said = Change::ALL.map(|change| format!("{} {}", counts[change as usize], change.name()));
        session.report.summary(summary, &said.join(", "))?;
        Ok(Exit::Ok)
    }
}

fn object(found: &Difference) -> Value {
    let mut object = json!({"message_type": "difference", "path": null, "change": found.change.name(),
        "size_before": found.before, "size_after": found.after});
    put_path(&mut object, "path", &found.path);
    object
}
