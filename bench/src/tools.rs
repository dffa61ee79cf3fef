//! The programs that are compared, at equal settings: zstd 3 or what is nearest, encryption on.
//!
//! Each keeps everything of its own in one folder, its home and cache included, so that runs do not hear of each
//! other.

mod bailee;
mod borg;
mod bupstash;
mod floors;
mod restic;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Serialize;

use crate::measure::Step;

pub use bailee::Bailee;
pub use borg::Borg;
pub use bupstash::Bupstash;
pub use floors::{Copy, Walk, walk_if_asked};
pub use restic::{Restic, Rustic};

/// What is done. Every tool does one before any does the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Round {
    /// A backup into a new repository.
    First,
    /// Another one, nothing having changed.
    Unchanged,
    /// Another one, one file in a hundred having changed.
    Changed,
    /// The last version, into a new folder.
    Restore,
    /// One file of the last version.
    One,
}

impl Round {
    /// All, in the order in which they are done.
    pub const ALL: [Round; 5] = [Round::First, Round::Unchanged, Round::Changed, Round::Restore, Round::One];

    /// As it is called in ratios.
    pub fn name(self) -> &'static str {
        match self {
            Round::First => "first",
            Round::Unchanged => "unchanged",
            Round::Changed => "changed",
            Round::Restore => "restore",
            Round::One => "one",
        }
    }

    /// As people call it.
    pub fn title(self) -> &'static str {
        match self {
            Round::First => "first backup",
            Round::Unchanged => "unchanged",
            Round::Changed => "1 % changed",
            Round::Restore => "restore",
            Round::One => "restore of one file",
        }
    }
}

/// Where a tool works: what it backs up, and its own folder.
#[derive(Clone, Debug)]
pub struct Place {
    /// The tree.
    pub source: PathBuf,
    /// Holds everything of this tool and repetition. Is there when a step is asked for.
    pub state: PathBuf,
}

impl Place {
    /// Its repository. Not there before it was prepared.
    pub fn repository(&self) -> PathBuf {
        self.state.join("repository")
    }

    /// Where a restored tree goes. Empty before each run.
    pub fn restored(&self) -> PathBuf {
        self.state.join("restored")
    }

    /// Where one restored file goes.
    pub fn restored_file(&self) -> PathBuf {
        self.state.join("restored-file")
    }

    /// A step in the tree, with home and caches in the tool's own folder.
    fn step(&self, program: impl Into<OsString>) -> Step {
        let home = self.state.join("home");
        Step::new(program, &self.source)
            .variable("XDG_CACHE_HOME", home.join("cache"))
            .variable("XDG_CONFIG_HOME", home.join("config"))
            .variable("XDG_DATA_HOME", home.join("data"))
            .variable("HOME", home)
    }
}

/// A program that is measured.
pub trait Tool {
    /// As it is called in ratios.
    fn name(&self) -> &'static str;

    /// Its version, as it tells it.
    ///
    /// # Errors
    /// It is not installed, or lacks what is needed.
    fn version(&self) -> Result<String, Missing>;

    /// The rounds that it takes part in.
    fn rounds(&self) -> &'static [Round] {
        &Round::ALL
    }

    /// What makes a new repository; not measured.
    fn prepare(&self, place: &Place) -> Vec<Step>;

    /// Backs the tree up. `label` is new each time.
    fn back_up(&self, place: &Place, label: &str) -> Step;

    /// Restores the version with this label, the last one, to [`Place::restored`].
    fn restore(&self, place: &Place, label: &str) -> Step;

    /// Restores one file of it, by its path below the tree, to [`Place::restored_file`].
    fn restore_one(&self, place: &Place, label: &str, path: &Path) -> Step;
}

/// A tool that cannot take part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// Which.
    pub tool: String,
    /// Why.
    pub why: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} takes no part: {}", self.tool, self.why)
    }
}

/// The first line of what a program prints, started with these arguments.
///
/// # Errors
/// It is not there, or fails.
fn first_line(tool: &str, program: &Path, arguments: &[&str]) -> Result<String, Missing> {
    let missing = |why: String| Missing { tool: tool.to_string(), why };
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().map_err(|error| {
        let program = program.display();
        missing(if error.kind() == std::io::ErrorKind::NotFound {
            format!("{program} is not installed")
        } else {
            format!("{program} cannot be run: {error}")
        })
    })?;
    if !output.status.success() {
        return Err(missing(format!("{} {}: {}", program.display(), arguments.join(" "), output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or("").trim().to_string())
}

/// The word after the program's name: `restic 0.14.0 compiled with …`.
fn second_word(line: &str) -> String {
    line.split_whitespace().nth(1).unwrap_or(line).to_string()
}

/// What opens the peers' repositories here: they hold nothing but made-up trees.
const PASSWORD: &str = "bench";

/// Writes the password to a file, through the shell that every peer's machine has.
fn password_file(place: &Place) -> (Step, PathBuf) {
    let file = place.state.join("password");
    let step = Step::new("sh", &place.state).with(["-c", "printf %s \"$BENCH_PASSWORD\" > password"]);
    (step.variable("BENCH_PASSWORD", PASSWORD), file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place { source: "/source".into(), state: "/state".into() }
    }

    fn all() -> Vec<Box<dyn Tool>> {
        vec![
            Box::new(Bailee::new(Path::new("/bin/bailee"))),
            Box::new(Bailee::unpadded(Path::new("/bin/bailee"))),
            Box::new(Restic),
            Box::new(Rustic),
            Box::new(Borg),
            Box::new(Bupstash),
        ]
    }

    fn steps(tool: &dyn Tool) -> Vec<Step> {
        let place = place();
        let mut steps = tool.prepare(&place);
        steps.push(tool.back_up(&place, "first"));
        steps.push(tool.restore(&place, "first"));
        steps.push(tool.restore_one(&place, "first", Path::new("a/b")));
        steps
    }

    #[test]
    fn every_step_keeps_its_home_to_itself_and_no_password_is_an_argument() {
        for tool in all() {
            for step in steps(tool.as_ref()) {
                assert!(!step.arguments.iter().any(|argument| argument == PASSWORD), "{step}");
                if step.program != "sh" {
                    let home =
                        step.environment.iter().find(|(name, _)| name == "HOME").map(|(_, value)| value.clone());
                    assert_eq!(home, Some("/state/home".into()), "{step}");
                }
            }
        }
    }

    #[test]
    fn all_tools_compress_alike() {
        let line = |tool: &dyn Tool| steps(tool).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(line(&Restic).contains("--compression auto") && line(&Restic).contains("--repository-version 2"));
        assert!(line(&Rustic).contains("--set-compression 3"));
        assert!(line(&Borg).contains("-C zstd,3") && line(&Borg).contains("-e repokey-blake2"));
        assert!(line(&Bupstash).contains("--compression zstd:3"));
        assert!(line(&Bailee::new(Path::new("bailee"))).contains("--level 3"));
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let missing = first_line("restic", Path::new("/no/such/restic"), &["version"]).unwrap_err();
        assert_eq!(missing.to_string(), "restic takes no part: /no/such/restic is not installed");
        let failing = first_line("restic", Path::new("false"), &["version"]).unwrap_err();
        assert!(failing.why.contains("false version"), "{failing}");
        assert_eq!(
            first_line("echo", Path::new("echo"), &["echo 1.2 x"]).map(|line| second_word(&line)),
            Ok("1.2".into())
        );
    }

    #[test]
    fn a_bailee_without_the_commands_is_no_bailee() {
        let old = Bailee::new(Path::new("false")).version().unwrap_err();
        assert!(old.why.contains("false"), "{old}");
    }
}
