//! Which version a person means: `latest`, a number, or the beginning of a digest; among all versions, or those of a host and a
//! label.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use bailee_archive::{Version, escaped};
use clap::Args;

use super::failure::{Done, Failure};
use super::origin;
use super::when;

/// Fewer digits of a digest than this are too easily a number or a slip.
const PREFIX_DIGITS: usize = 4;
/// Digits of a digest that are shown to people.
const SHOWN_DIGITS: usize = 8;
/// Versions that are listed where one was meant, at most.
const LISTED: usize = 20;

/// The beginning of a version's digest, as it is shown to people.
pub(crate) fn short(version: &Version) -> String {
    let mut digits = version.digest.to_string();
    digits.truncate(SHOWN_DIGITS);
    digits
}

/// Which versions are meant at all.
#[derive(Args, Debug, Default)]
pub(crate) struct Which {
    /// Only versions of this host. Where two machines have one name: the name, `#` and the 4 digits that `bailee snapshots` shows.
    #[arg(long, value_name = "NAME")]
    host: Option<OsString>,
    /// Only versions with this label.
    #[arg(long, value_name = "TEXT")]
    label: Option<OsString>,
}

impl Which {
    /// Those that are meant, in their order; perhaps none.
    pub(crate) fn among<'a>(&self, versions: &'a [Version]) -> Vec<&'a Version> {
        versions.iter().filter(|version| self.means(version)).collect()
    }

    /// Those that are meant, in their order.
    ///
    /// # Errors
    /// `Usage`: a host or a label was named, and no version has it.
    pub(crate) fn some<'a>(&self, versions: &'a [Version]) -> Done<Vec<&'a Version>> {
        let meant = self.among(versions);
        if !meant.is_empty() || versions.is_empty() {
            return Ok(meant);
        }
        Err(Failure::usage(format!("no version{}", self.described()), "see which there are with `bailee snapshots`"))
    }

    /// The version that is meant by `latest`, a number or a digest.
    ///
    /// # Errors
    /// `Usage`: there is none, or there are several, which are listed.
    pub(crate) fn version<'a>(&self, versions: &'a [Version], meant: &str) -> Done<&'a Version> {
        let versions = self.some(versions)?;
        if meant == "latest" {
            return versions
                .last()
                .copied()
                .ok_or_else(|| Failure::usage("the archive has no version yet", "make one with `bailee backup`"));
        }
        let candidates: Vec<Candidate> = versions.iter().copied().map(Candidate::of).collect();
        match matching(&candidates, meant)[..] {
            [one] => Ok(versions[one]),
            [] => {
                let what = format!("no version{} is {}", self.described(), meant.escape_debug());
                let next = "name latest, a number, or 4 digits or more of a digest: see `bailee snapshots`";
                Err(Failure::usage(what, next))
            }
            ref several => {
                let lines: Vec<String> = several.iter().map(|at| line(versions[*at])).collect();
                Err(ambiguous(meant, &lines))
            }
        }
    }

    fn means(&self, version: &Version) -> bool {
        let root = &version.root;
        let of_host =
            |said: &OsString| root.origin.as_ref().is_some_and(|origin| origin::is_meant(origin, said.as_bytes()));
        self.host.as_ref().is_none_or(of_host)
            && self.label.as_ref().is_none_or(|label| label.as_bytes() == &root.label[..])
    }

    /// As it continues `no version`; empty if all are meant.
    fn described(&self) -> String {
        let host = self.host.iter().map(|host| format!(" of host {}", escaped(host.as_bytes())));
        let label = self.label.iter().map(|label| format!(" with label {}", escaped(label.as_bytes())));
        host.chain(label).collect()
    }
}

/// What is said where several versions are meant, of which each has a line.
fn ambiguous(meant: &str, several: &[String]) -> Failure {
    let mut what = format!("{} may be {} versions:", meant.escape_debug(), several.len());
    for line in several.iter().take(LISTED) {
        what = format!("{what}\n  {line}");
    }
    if several.len() > LISTED {
        what = format!("{what}\n  and {} more", several.len() - LISTED);
    }
    Failure::usage(what, "name one by more digits of its digest, or say which with --host or --label")
}

/// What a version can be named by.
struct Candidate {
    seq: u64,
    digest: String,
}

impl Candidate {
    fn of(version: &Version) -> Self {
        Candidate { seq: version.seq, digest: version.digest.to_string() }
    }
}

/// Which candidates are meant.
fn matching(candidates: &[Candidate], meant: &str) -> Vec<usize> {
    let those = |is: &dyn Fn(&Candidate) -> bool| -> Vec<usize> {
        (0..candidates.len()).filter(|at| is(&candidates[*at])).collect()
    };
    let numbered = meant.parse().map(|number: u64| those(&|candidate| candidate.seq == number)).unwrap_or_default();
    if !numbered.is_empty() {
        return numbered;
    }
    let prefix = meant.to_ascii_lowercase();
    if prefix.len() < PREFIX_DIGITS || !prefix.chars().all(|c| c.is_ascii_hexdigit()) {
        return Vec::new();
    }
    those(&|candidate| candidate.digest.starts_with(&prefix))
}

fn line(version: &Version) -> String {
    let mut digits = version.digest.to_string();
    digits.truncate(2 * SHOWN_DIGITS);
    let (number, time, label) = (version.seq, when::seconds(version.root.time), escaped(&version.root.label));
    match &version.root.origin {
        Some(of) => {
            format!("{digits}  number {number} of {time}  {}  {label}", origin::with_machine(&of.host, of.machine))
        }
        None => format!("{digits}  number {number} of {time}  {label}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(meant: &str) -> Vec<usize> {
        let candidate = |(seq, digest): (u64, &str)| Candidate { seq, digest: digest.into() };
        matching(
            &[(1, "12345678aa"), (2, "12345678bb"), (3, "00ff0000cc"), (12345, "ffff000000")].map(candidate),
            meant,
        )
    }

    #[test]
    fn a_number_or_a_prefix_that_is_long_enough() {
        assert_eq!(found("2"), [1]);
        assert_eq!(found("12345678b"), [1]);
        assert_eq!(found("00FF"), [2]);
        assert_eq!(found("00f"), [0; 0], "too short");
        assert_eq!(found("latest1"), [0; 0]);
        assert_eq!(found(""), [0; 0]);
        assert_eq!(found("99"), [0; 0]);
    }

    #[test]
    fn a_number_wins_over_a_prefix_and_a_common_prefix_is_ambiguous() {
        assert_eq!(found("12345"), [3]);
        assert_eq!(found("123456"), [0, 1]);
    }

    #[test]
    fn several_versions_are_listed_up_to_a_limit_with_what_to_do() {
        let said = |number: usize| {
            let lines: Vec<String> = (0..number).map(|at| format!("version {at}")).collect();
            match ambiguous("1234", &lines) {
                Failure::Because { what, next, .. } => (what, next),
                Failure::ReaderLeft => unreachable!("an error of usage"),
            }
        };
        let (what, next) = said(2);
        assert_eq!(what, "1234 may be 2 versions:\n  version 0\n  version 1");
        assert!(next.contains("more digits") && next.contains("--host"), "{next}");
        let (what, _) = said(LISTED + 3);
        assert_eq!(what.lines().count(), LISTED + 2);
        assert!(what.ends_with("\n  and 3 more"), "{what}");
    }
}
