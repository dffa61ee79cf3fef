//! Which version a person means: `latest`, a number, or the beginning of a digest.

use bailee_archive::Version;

use super::failure::{Done, Failure};
use super::when;

/// Fewer digits of a digest than this are too easily a number or a slip.
const PREFIX_DIGITS: usize = 4;
/// Digits of a digest that are shown to people.
const SHOWN_DIGITS: usize = 8;

/// The beginning of a version's digest, as it is shown to people.
pub(crate) fn short(version: &Version) -> String {
    let mut digits = version.digest.to_string();
    digits.truncate(SHOWN_DIGITS);
    digits
}

/// The version that is meant. A number wins over a digest that begins with the same digits.
///
/// # Errors
/// `Usage`: there is none, or there are several, which are listed.
pub(crate) fn version<'a>(versions: &'a [Version], meant: &str) -> Done<&'a Version> {
    if meant == "latest" {
        return versions
            .last()
            .ok_or_else(|| Failure::usage("the archive has no version yet", "make one with `bailee backup`"));
    }
    let candidates: Vec<Candidate> = versions.iter().map(Candidate::of).collect();
    match matching(&candidates, meant)[..] {
        [one] => Ok(&versions[one]),
        [] => {
            let what = format!("no version is {}", meant.escape_debug());
            Err(Failure::usage(
                what,
                "name latest, a number, or 4 digits or more of a digest: see `bailee snapshots`",
            ))
        }
        ref several => {
            let lines: Vec<String> = several.iter().map(|at| line(&versions[*at])).collect();
            let what = format!("{} may be {} versions:\n  {}", meant.escape_debug(), lines.len(), lines.join("\n  "));
            Err(Failure::usage(what, "name it by more digits of its digest"))
        }
    }
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
    format!("{digits}  number {} of {}", version.seq, when::seconds(version.root.time))
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
}
