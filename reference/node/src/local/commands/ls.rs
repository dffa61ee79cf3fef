//! `bailee ls`: what is in a version.

use std::ffi::OsString;

use bailee_archive::TreePath;
use clap::Args;
use serde_json::json;

use crate::exit::Exit;
use crate::local::common::Common;
use crate::local::engine::{self, To};
use crate::local::entry;
use crate::local::failure::{Done, Failure};
use crate::local::pattern::{path, refuse_empty};
use crate::local::select::Which;
use crate::local::session::Session;

/// Lists what is in a version, or in a folder of it and below.
#[derive(Args, Debug)]
pub(crate) struct Ls {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Which version: `latest`, a number, or 4 digits or more of its digest.
    #[arg(value_name = "VERSION", default_value = "latest")]
    version: String,
    /// The file or folder to list; all of the version if it is left out.
    #[arg(value_name = "PATH")]
    path: Option<OsString>,
    /// Kind, permissions, owner, group, size and time (UTC) of each entry.
    #[arg(long, short)]
    long: bool,
    #[command(flatten)]
    which: Which,
}

impl Ls {
    pub(crate) fn run(&self, session: &mut Session<'_>) -> Done<Exit> {
        let folder = match &self.path {
            Some(named) => {
                refuse_empty(named)?;
                path(named)?
            }
            None => TreePath::root(),
        };
        let (archive, _) = session.open(To::Read)?;
        let version = self.which.version(archive.versions(), &self.version)?;
        let place = session.place();
        let failed = |error| Failure::archive(place, &error);
        let (mut entries, mut bytes) = (0u64, 0);
        for found in engine::tree_from(&archive, version, &folder).map_err(failed)? {
            let found = found.map_err(failed)?;
            if !found.path.is_within(&folder) {
                break;
            }
            entries += 1;
            bytes += entry::length(&found).unwrap_or(0);
            let text = || if self.long { entry::long(&found) } else { found.path.to_string() };
            session.report.data(|| entry::object(&found), text)?;
        }
        if entries == 0 {
            let what = format!("version {} has no {folder}", version.seq);
            return Err(Failure::new(
                Exit::Failure,
                what,
                "see what it has with `bailee ls`, or search with `bailee find`",
            ));
        }
        session.report.summary(json!({"version": version.seq, "entries": entries, "bytes": bytes}), "")?;
        Ok(Exit::Ok)
    }
}
