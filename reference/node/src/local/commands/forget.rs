//! `bailee forget`: versions that are no longer wanted.

use std::collections::BTreeMap;

use bailee_archive::Version;
use clap::{ArgGroup, Args};
use serde_json::{Value, json};

use super::snapshots;
use crate::exit::Exit;
use crate::local::Common;
use crate::local::engine::{self, To};
use crate::local::failure::{Done, Failure};
use crate::local::interrupt;
use crate::local::policy::{Policy, Rule};
use crate::local::report::{count, unheard};
use crate::local::select;
use crate::local::session::Session;

/// Forgets versions: those that are named, or those that the --keep rules do not keep.
///
/// The --keep rules add up: a version is kept if any of them keeps it. They hold for each label on its own, so that each folder
/// keeps what they say, whatever else is in the archive. The data stays until `bailee prune`. Days, weeks (ISO 8601) and months are of UTC; days without a version do
/// not count.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("policy").multiple(true)))]
pub(crate) struct Forget {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Which versions: `latest`, a number, or 4 digits or more of a digest.
    #[arg(value_name = "VERSION", required_unless_present = "policy", conflicts_with = "policy")]
    versions: Vec<String>,
    /// Keep the N newest versions of each label.
    #[arg(long, value_name = "N", group = "policy")]
    keep_last: Option<usize>,
    /// Keep the newest version of each label of each of the last N days.
    #[arg(long, value_name = "N", group = "policy")]
    keep_daily: Option<usize>,
    /// Keep the newest version of each label of each of the last N weeks.
    #[arg(long, value_name = "N", group = "policy")]
    keep_weekly: Option<usize>,
    /// Keep the newest version of each label of each of the last N months.
    #[arg(long, value_name = "N", group = "policy")]
    keep_monthly: Option<usize>,
    /// Say what would be forgotten, and forget nothing.
    #[arg(long)]
    dry_run: bool,
}

/// A version and the rules that keep it; none: it is forgotten.
type Verdict<'a> = (&'a Version, Vec<Rule>);

impl Forget {
    pub(crate) fn run(&self, session: &mut Session<'_>) -> Done<Exit> {
        let (archive, record) = session.open(To::write_unless(self.dry_run))?;
        let verdicts = self.verdicts(archive.versions())?;
        for (version, kept_by) in &verdicts {
            session.report.data(|| object(version, kept_by), || line(version, kept_by))?;
        }
        let digests: Vec<_> =
            verdicts.iter().filter(|(_, kept_by)| kept_by.is_empty()).map(|(version, _)| version.digest).collect();
        let kept = archive.versions().len() - digests.len();
        if !self.dry_run && !digests.is_empty() {
            interrupt::means("either all of these versions are forgotten or none is");
            let archive = engine::forget(archive, session.place(), &digests, &record.device())?;
            session.remember(&archive, &record);
        }
        let object = json!({"forgotten": digests.len(), "kept": kept, "dry_run": self.dry_run});
        let would = if self.dry_run { "would be forgotten (dry run)" } else { "forgotten" };
        let text = format!("{} {would}, {kept} kept.", count(digests.len() as u64, "version", "versions"));
        unheard(session.report.summary(object, &text))?;
        Ok(Exit::Ok)
    }

    fn policy(&self) -> Policy {
        let number = |rule: Option<usize>| rule.unwrap_or(0);
        Policy {
            last: number(self.keep_last),
            daily: number(self.keep_daily),
            weekly: number(self.keep_weekly),
            monthly: number(self.keep_monthly),
        }
    }

    fn verdicts<'a>(&self, versions: &'a [Version]) -> Done<Vec<Verdict<'a>>> {
        if !self.versions.is_empty() {
            let mut named: Vec<&Version> =
                self.versions.iter().map(|meant| select::version(versions, meant)).collect::<Result<_, _>>()?;
            named.sort_by_key(|version| version.seq);
            named.dedup_by_key(|version| version.digest);
            return Ok(named.into_iter().map(|version| (version, Vec::new())).collect());
        }
        let policy = self.policy();
        if policy.is_empty() {
            return Err(Failure::usage("this policy keeps nothing", "keep at least one version with --keep-last 1"));
        }
        Ok(by_policy(policy, versions))
    }
}

/// Each label for itself, so that one that is backed up often does not crowd out another.
fn by_policy(policy: Policy, versions: &[Version]) -> Vec<Verdict<'_>> {
    let mut groups: BTreeMap<&[u8], Vec<usize>> = BTreeMap::new();
    for (at, version) in versions.iter().enumerate() {
        groups.entry(&version.root.label).or_default().push(at);
    }
    let mut kept_by: Vec<Vec<Rule>> = vec![Vec::new(); versions.len()];
    for group in groups.into_values() {
        let times: Vec<_> = group.iter().map(|at| versions[*at].root.time).collect();
        for (at, rules) in group.into_iter().zip(policy.kept(&times)) {
            kept_by[at] = rules;
        }
    }
    versions.iter().zip(kept_by).collect()
}

fn names(kept_by: &[Rule]) -> Vec<&'static str> {
    kept_by.iter().map(|rule| rule.name()).collect()
}

fn object(version: &Version, kept_by: &[Rule]) -> Value {
    let mut object = snapshots::object(version);
    object["message_type"] = if kept_by.is_empty() { "forget" } else { "keep" }.into();
    object["kept_by"] = names(kept_by).into();
    object
}

fn line(version: &Version, kept_by: &[Rule]) -> String {
    let verdict =
        if kept_by.is_empty() { "forget".to_string() } else { format!("keep ({})", names(kept_by).join(", ")) };
    format!("{}  {verdict}", snapshots::line(version))
}
