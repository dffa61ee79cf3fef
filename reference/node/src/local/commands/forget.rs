//! `bailee forget`: versions that are no longer wanted.

use std::collections::BTreeSet;

use bailee_archive::{Digest, Version};
use clap::{ArgGroup, Args};
use serde_json::{Value, json};

use super::snapshots::Lines;
use crate::exit::Exit;
use crate::local::common::Common;
use crate::local::engine::{self, To};
use crate::local::failure::{Done, Failure};
use crate::local::group::{GroupBy, groups};
use crate::local::interrupt;
use crate::local::policy::{Policy, Rule};
use crate::local::report::{count, unheard};
use crate::local::select::Which;
use crate::local::session::Session;
use crate::local::when;

/// Forgets versions: those that are named, or those that the --keep rules do not keep. No command brings a forgotten version back.
///
/// The --keep rules add up: a version is kept if any of them keeps it. They hold for each group on its own: for each host, machine
/// and label, so that each folder of each machine keeps what they say, whatever else is in the archive. A rule goes from the newest
/// version of a group to the oldest, in the order of `bailee snapshots`; a time only says which day, week (ISO 8601) or month a
/// version is of, in UTC. Days without a version do not count. The last version of a group is never forgotten without --allow-last.
/// The data stays until `bailee prune`.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("policy").multiple(true)))]
pub(crate) struct Forget {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Which versions: `latest`, a number, or 4 digits or more of a digest.
    #[arg(value_name = "VERSION", required_unless_present = "policy", conflicts_with = "policy")]
    versions: Vec<String>,
    /// Keep the N newest versions of each group.
    #[arg(long, value_name = "N", group = "policy")]
    keep_last: Option<usize>,
    /// Keep the newest version of each group of each of the last N days.
    #[arg(long, value_name = "N", group = "policy")]
    keep_daily: Option<usize>,
    /// Keep the newest version of each group of each of the last N weeks.
    #[arg(long, value_name = "N", group = "policy")]
    keep_weekly: Option<usize>,
    /// Keep the newest version of each group of each of the last N months.
    #[arg(long, value_name = "N", group = "policy")]
    keep_monthly: Option<usize>,
    #[command(flatten)]
    which: Which,
    /// What the versions of a group have in common: `host` (its name and its machine), `label`, or `host,label`, which is the
    /// default; '' makes one group of all. Versions that do not say where they were made are of one host.
    #[arg(long, value_name = "BY", requires = "policy")]
    group_by: Option<GroupBy>,
    /// Forget the last version of a group, too.
    #[arg(long)]
    allow_last: bool,
    /// Say what would be forgotten, and forget nothing.
    #[arg(long)]
    dry_run: bool,
}

/// What is said of each version that was looked at.
struct Verdicts<'a> {
    /// The versions, in the order of the archive, and the rules that keep each; none: it is forgotten.
    versions: Vec<(&'a Version, Vec<Rule>)>,
    /// How many groups they are of.
    groups: usize,
}

impl Verdicts<'_> {
    fn forgotten(&self) -> BTreeSet<Digest> {
        let forgotten = self.versions.iter().filter(|(_, kept_by)| kept_by.is_empty());
        forgotten.map(|(version, _)| version.digest).collect()
    }
}

impl Forget {
    pub(crate) fn run(&self, session: &mut Session<'_>) -> Done<Exit> {
        let (archive, record) = session.open(To::write_unless(self.dry_run))?;
        let verdicts = self.verdicts(archive.versions())?;
        let forgotten = verdicts.forgotten();
        self.refuse_last(archive.versions(), &forgotten)?;
        say(session, archive.versions(), &verdicts)?;
        let (kept, groups) = (archive.versions().len() - forgotten.len(), verdicts.groups);
        if !self.dry_run && !forgotten.is_empty() {
            interrupt::means("either all of these versions are forgotten or none is");
            let digests: Vec<Digest> = forgotten.iter().copied().collect();
            let archive = engine::forget(archive, session.place(), &digests, &record.device())?;
            session.remember(&archive, &record);
        }
        self.summary(session, forgotten.len(), kept, groups)
    }

    fn summary(&self, session: &mut Session<'_>, forgotten: usize, kept: usize, groups: usize) -> Done<Exit> {
        let object = json!({"forgotten": forgotten, "kept": kept, "groups": groups, "dry_run": self.dry_run});
        let would = if self.dry_run { "would be forgotten (dry run)" } else { "forgotten" };
        let (versions, groups) =
            (count(forgotten as u64, "version", "versions"), count(groups as u64, "group", "groups"));
        let mut text = format!("{versions} {would}, {kept} kept; {groups} looked at.");
        if forgotten > 0 {
            text.push_str(" The data stays until `bailee prune`, but no command brings a forgotten version back.");
        }
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

    fn group_by(&self) -> GroupBy {
        self.group_by.unwrap_or_default()
    }

    fn verdicts<'a>(&self, versions: &'a [Version]) -> Done<Verdicts<'a>> {
        if !self.versions.is_empty() {
            let named = self.versions.iter().map(|meant| Ok(self.which.version(versions, meant)?.digest));
            let named: BTreeSet<Digest> = named.collect::<Done<_>>()?;
            let named: Vec<&Version> = versions.iter().filter(|version| named.contains(&version.digest)).collect();
            let groups = groups(named.iter().copied(), self.group_by()).len();
            return Ok(Verdicts {
                versions: named.into_iter().map(|version| (version, Vec::new())).collect(),
                groups,
            });
        }
        let policy = self.policy();
        if policy.is_empty() {
            return Err(Failure::usage("this policy keeps nothing", "keep at least one version with --keep-last 1"));
        }
        Ok(by_policy(policy, self.which.some(versions)?, self.group_by()))
    }

    /// Refuses to forget all versions of a group, unless that is what is wanted.
    fn refuse_last(&self, versions: &[Version], forgotten: &BTreeSet<Digest>) -> Done {
        if self.allow_last {
            return Ok(());
        }
        let groups = groups(versions, self.group_by());
        let goes = |members: &[usize]| members.iter().all(|at| forgotten.contains(&versions[*at].digest));
        let mut emptied = groups.iter().filter(|(_, members)| goes(members)).map(|(group, _)| group);
        let Some(first) = emptied.next() else { return Ok(()) };
        let more = match emptied.count() {
            0 => String::new(),
            more => format!(", and of {}", count(more as u64, "more group", "more groups")),
        };
        Err(Failure::usage(
            format!("this would forget the last version of {first}{more}; nothing was forgotten"),
            "keep one version of it; or, if none of it is wanted any more, add --allow-last",
        ))
    }
}

/// Each group for itself, so that one that is backed up often does not crowd out another.
fn by_policy(policy: Policy, versions: Vec<&Version>, by: GroupBy) -> Verdicts<'_> {
    let groups = groups(versions.iter().copied(), by);
    let number = groups.len();
    let mut kept_by: Vec<Vec<Rule>> = vec![Vec::new(); versions.len()];
    for members in groups.into_values() {
        let times: Vec<_> = members.iter().map(|at| versions[*at].root.time).collect();
        for (at, rules) in members.into_iter().zip(policy.kept(&times)) {
            kept_by[at] = rules;
        }
    }
    Verdicts { versions: versions.into_iter().zip(kept_by).collect(), groups: number }
}

/// Says what becomes of each version, and warns of times that cannot be right.
fn say(session: &mut Session<'_>, all: &[Version], verdicts: &Verdicts<'_>) -> Done {
    let shown: Vec<&Version> = verdicts.versions.iter().map(|(version, _)| *version).collect();
    let lines = Lines::new(all, &shown, when::now());
    let ahead = shown.iter().filter(|version| lines.is_ahead(version));
    let ahead: Vec<String> = ahead.map(|version| when::is_ahead(version.seq, version.root.time)).collect();
    session.report.warn_all(ahead.iter().map(|text| (None, text.as_str())));
    for (version, kept_by) in &verdicts.versions {
        session.report.data(|| object(&lines, version, kept_by), || line(&lines, version, kept_by))?;
    }
    Ok(())
}

fn names(kept_by: &[Rule]) -> Vec<&'static str> {
    kept_by.iter().map(|rule| rule.name()).collect()
}

fn object(lines: &Lines<'_>, version: &Version, kept_by: &[Rule]) -> Value {
    let mut object = lines.object(version);
    object["message_type"] = if kept_by.is_empty() { "forget" } else { "keep" }.into();
    object["kept_by"] = names(kept_by).into();
    object
}

fn line(lines: &Lines<'_>, version: &Version, kept_by: &[Rule]) -> String {
    let verdict =
        if kept_by.is_empty() { "forget".to_string() } else { format!("keep ({})", names(kept_by).join(", ")) };
    format!("{}  {verdict}", lines.line(version))
}
