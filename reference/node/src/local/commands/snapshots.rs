//! `bailee snapshots`: the versions of an archive.

use std::collections::{BTreeMap, BTreeSet};

use bailee_archive::tree::Time;
use bailee_archive::{MachineId, Version, escaped};
use clap::Args;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::local::common::Common;
use crate::local::engine::To;
use crate::local::entry::put_bytes;
use crate::local::failure::Done;
use crate::local::origin::with_machine;
use crate::local::report::{count, size};
use crate::local::select::{self, Which};
use crate::local::session::Session;
use crate::local::when;

/// Lists the versions of an archive, the oldest first.
///
/// Of each: number, beginning of the digest, time in UTC, entries, size of what a restore gives, host, user, and the label: the path
/// of the folder, unless `backup --label` gave another. Where two machines have one host name, 4 digits of the machine stand after
/// it: `name#1a2b`. The versions of one key are in the order in which they were made, whatever their clocks said; the last line is
/// the latest. A time later than now is marked.
#[derive(Args, Debug)]
pub(crate) struct Snapshots {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    which: Which,
}

impl Snapshots {
    pub(crate) fn run(&self, session: &mut Session<'_>) -> Done<Exit> {
        let (archive, _) = session.open(To::Read)?;
        let versions = self.which.among(archive.versions());
        let lines = Lines::new(archive.versions(), &versions, when::now());
        for version in &versions {
            session.report.data(|| lines.object(version), || lines.line(version))?;
        }
        let number = versions.len() as u64;
        session.report.summary(json!({"versions": number}), &count(number, "version", "versions"))?;
        Ok(Exit::Ok)
    }
}

/// Names of hosts and users that are longer than this stand out of their column.
const WIDEST: usize = 20;
/// What is shown of a version that does not say where it was made.
const UNKNOWN: &str = "-";

/// How versions are shown, one a line.
pub(crate) struct Lines<'a> {
    /// Host names that stand for more than one machine.
    shared: BTreeSet<&'a [u8]>,
    host_width: usize,
    user_width: usize,
    now: Time,
}

impl<'a> Lines<'a> {
    /// For these versions out of all.
    pub(crate) fn new(all: &'a [Version], shown: &[&Version], now: Time) -> Self {
        let mut machines: BTreeMap<&[u8], BTreeSet<Option<MachineId>>> = BTreeMap::new();
        for origin in all.iter().filter_map(|version| version.root.origin.as_ref()) {
            machines.entry(&origin.host).or_default().insert(origin.machine);
        }
        let several = |(host, machines): (_, BTreeSet<_>)| (machines.len() > 1).then_some(host);
        let shared = machines.into_iter().filter_map(several).collect();
        let mut lines = Lines { shared, host_width: 0, user_width: 0, now };
        let width = |text: String| text.chars().count().min(WIDEST);
        lines.host_width = shown.iter().map(|version| width(lines.host(version))).max().unwrap_or(0);
        lines.user_width = shown.iter().map(|version| width(user(version))).max().unwrap_or(0);
        lines
    }

    /// Whether a version has a time that is later than now.
    pub(crate) fn is_ahead(&self, version: &Version) -> bool {
        version.root.time > self.now
    }

    fn host(&self, version: &Version) -> String {
        match &version.root.origin {
            None => UNKNOWN.into(),
            Some(origin) if self.shared.contains(&origin.host[..]) => with_machine(&origin.host, origin.machine),
            Some(origin) => escaped(&origin.host),
        }
    }

    /// A version, for machines.
    pub(crate) fn object(&self, version: &Version) -> Value {
        let root = &version.root;
        let mut object = json!({"message_type": "snapshot", "version": version.seq, "digest": version.digest.to_string(),
            "device": version.device.to_string(), "time": when::exact(root.time), "in_future": self.is_ahead(version),
            "entries": root.entries, "bytes": root.bytes, "host": null, "user": null, "machine": null});
        put_bytes(&mut object, "label", &root.label);
        if let Some(origin) = &root.origin {
            put_bytes(&mut object, "host", &origin.host);
            put_bytes(&mut object, "user", &origin.user);
            object["machine"] = origin.machine.map(|machine| machine.to_string()).into();
        }
        object
    }

    /// A version, for people.
    pub(crate) fn line(&self, version: &Version) -> String {
        let root = &version.root;
        let (short, time, size) = (select::short(version), when::seconds(root.time), size(root.bytes));
        let (host, user) = (self.host(version), user(version));
        let (host_width, user_width) = (self.host_width, self.user_width);
        let mark = if self.is_ahead(version) { "  (in the future)" } else { "" };
        format!(
            "{:>5}  {short}  {time}  {:>9}  {size:>10}  {host:<host_width$}  {user:<user_width$}  {}{mark}",
            version.seq,
            root.entries,
            escaped(&root.label)
        )
    }
}

fn user(version: &Version) -> String {
    version.root.origin.as_ref().map_or_else(|| UNKNOWN.into(), |origin| escaped(&origin.user))
}
