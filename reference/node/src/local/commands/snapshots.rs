//! `bailee snapshots`: the versions of an archive.

use bailee_archive::{Version, escaped};
use clap::Args;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::local::Common;
use crate::local::engine::To;
use crate::local::entry::put_bytes;
use crate::local::failure::Done;
use crate::local::report::{count, size};
use crate::local::select;
use crate::local::session::Session;
use crate::local::when;

/// Lists the versions of an archive, the oldest first.
///
/// Of each: number, beginning of the digest, time in UTC, entries, size of what a
/// restore gives, and the label: the path of the folder, unless `backup --label` gave another.
#[derive(Args, Debug)]
pub(crate) struct Snapshots {
    #[command(flatten)]
    pub(crate) common: Common,
}

impl Snapshots {
    pub(crate) fn run(&self, session: &mut Session<'_>) -> Done<Exit> {
        let (archive, _) = session.open(To::Read)?;
        for version in archive.versions() {
            session.report.data(|| object(version), || line(version))?;
        }
        let number = archive.versions().len() as u64;
        session.report.summary(json!({"versions": number}), &count(number, "version", "versions"))?;
        Ok(Exit::Ok)
    }
}

/// A version, for machines.
pub(crate) fn object(version: &Version) -> Value {
    let root = &version.root;
    let mut object = json!({"message_type": "snapshot", "version": version.seq, "digest": version.digest.to_string(),
        "device": version.device.to_string(), "time": when::exact(root.time), "entries": root.entries,
        "bytes": root.bytes});
    put_bytes(&mut object, "label", &root.label);
    object
}

/// A version, for people.
pub(crate) fn line(version: &Version) -> String {
    let root = &version.root;
    let (short, time, size) = (select::short(version), when::seconds(root.time), size(root.bytes));
    format!("{:>5}  {short}  {time}  {:>9}  {size:>10}  {}", version.seq, root.entries, escaped(&root.label))
}
