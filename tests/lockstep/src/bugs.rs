//! Bugs that a named test sees: those that honest parties never meet, and those that make a claim false whose evidence is a test.
//!
//! `bugs.toml` lists them. Each test is run as a process of its own with the bug's id in the environment variable [`VARIABLE`], which
//! nothing but the support code of the tests reads. It must fail then, and pass without.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bailee_spec::claim::Claim;
use serde::Deserialize;

/// The committed list.
pub const BUGS: &str = include_str!("../bugs.toml");

/// How the support code of the tests is told which bug is on.
pub const VARIABLE: &str = "BAILEE_BUG";

/// How long a test may run, with a bug or without.
const LIMIT: Duration = Duration::from_secs(120);

/// A test of the workspace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Test {
    /// Its package.
    pub package: String,
    /// Its file in `tests/`, without the ending.
    pub target: String,
    /// Its path in that file.
    pub name: String,
}

impl TryFrom<String> for Test {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let words: Vec<&str> = text.split(' ').collect();
        let [package, target, name] = words[..] else {
            return Err(format!("{text}: expected a package, a file of its tests and a test in that file"));
        };
        Ok(Test { package: package.into(), target: target.into(), name: name.into() })
    }
}

impl std::fmt::Display for Test {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.package, self.target, self.name)
    }
}

/// A bug, and the test that sees it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bug {
    /// Its id, as the crate has it.
    pub id: String,
    /// The test that fails with it.
    pub test: Test,
    /// The claims that it makes false.
    #[serde(default)]
    pub claims: Vec<String>,
}

/// Reads a list of bugs.
///
/// # Errors
/// Line, column and what was expected.
pub fn parse(text: &str) -> Result<Vec<Bug>, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct BugFile {
        bug: Vec<Bug>,
    }
    toml::from_str::<BugFile>(text).map(|file| file.bug).map_err(|error| error.to_string())
}

/// The claims that rest on a test, and for which no bug is listed that one of their own tests is to see.
pub fn claims_without_a_bug<'a>(claims: &'a [Claim], bugs: &[Bug]) -> Vec<&'a str> {
    let own = |claim: &Claim, bug: &Bug| {
        let named = bug.test.name.rsplit("::").next().is_some_and(|name| claim.tests.iter().any(|test| test == name));
        named && bug.claims.contains(&claim.id)
    };
    let by_test = |claim: &&Claim| !claim.planned && matches!(claim.evidence.as_str(), "test" | "both");
    let without = claims.iter().filter(by_test).filter(|claim| !bugs.iter().any(|bug| own(claim, bug)));
    without.map(|claim| claim.id.as_str()).collect()
}

/// How a run of a test ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It passed.
    Passed,
    /// It failed: where and why, in its own words.
    Failed(String),
    /// It is not there, it did not come to an end, or it could not be started.
    NotRun(String),
}

/// The programs of tests, built.
pub struct Programs {
    /// Package, file of tests, program, and the folder of the package.
    built: Vec<(String, String, PathBuf, PathBuf)>,
}

/// The root of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

impl Programs {
    /// Builds the files of these tests, with the features that the whole workspace has.
    ///
    /// # Errors
    /// When they do not build.
    pub fn build<'a>(tests: impl IntoIterator<Item = &'a Test>) -> Result<Programs, String> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.current_dir(root()).args(["test", "--release", "--workspace", "--no-run"]);
        command.arg("--message-format=json-render-diagnostics");
        let mut files: Vec<&str> = tests.into_iter().map(|test| test.target.as_str()).collect();
        files.sort_unstable();
        files.dedup();
        command.args(files.iter().flat_map(|file| ["--test", file]));
        let output = command.stderr(Stdio::inherit()).output().map_err(|error| format!("cargo: {error}"))?;
        if !output.status.success() {
            return Err("the tests that are to see the bugs do not build".into());
        }
        let lines = String::from_utf8_lossy(&output.stdout);
        Ok(Programs { built: lines.lines().filter_map(program).collect() })
    }

    /// Runs a test, with the bug of an id or without any.
    pub fn run(&self, test: &Test, bug: Option<&str>) -> Ended {
        let of_test =
            |(package, target, ..): &&(String, String, _, _)| *package == test.package && *target == test.target;
        let Some((.., program, folder)) = self.built.iter().find(of_test) else {
            return Ended::NotRun(format!("{} has no tests {}", test.package, test.target));
        };
        let mut command = Command::new(program);
        command.args([&test.name, "--exact", "--test-threads=1"]).current_dir(folder);
        command
            .env("CARGO_MANIFEST_DIR", folder)
            .env("INSTA_UPDATE", "no")
            .env("RUST_BACKTRACE", "0")
            .env_remove(VARIABLE);
        command.envs(bug.map(|id| (VARIABLE, id)));
        match in_time(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null())) {
            Ok((passed, said)) if said.contains("running 1 test\n") => {
                if passed {
                    Ended::Passed
                } else {
                    Ended::Failed(why(&said))
                }
            }
            Ok(_) => Ended::NotRun("there is no such test".into()),
            Err(error) => Ended::NotRun(error),
        }
    }
}

/// The program in a line of what cargo says.
fn program(line: &str) -> Option<(String, String, PathBuf, PathBuf)> {
    let said: serde_json::Value = serde_json::from_str(line).ok()?;
    let text = |at: &str| said.pointer(at).and_then(|value| value.as_str());
    let is_test = said.pointer("/target/kind/0").is_some_and(|kind| kind == "test");
    let (program, manifest) = (text("/executable").filter(|_| is_test)?, Path::new(text("/manifest_path")?));
    // In an id the version comes last, and the name before it unless the folder has that name.
    let id = text("/package_id")?;
    let (path, version) = id.rsplit_once('#')?;
    let package = version.rsplit_once('@').map_or(path.rsplit('/').next()?, |(name, _)| name);
    Some((package.into(), text("/target/name")?.into(), program.into(), manifest.parent()?.into()))
}

/// Runs a command to its end, or to the end of its time: whether it succeeded, and what it said.
fn in_time(command: &mut Command) -> Result<(bool, String), String> {
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let mut output = child.stdout.take().ok_or("no output")?;
    let reader = std::thread::spawn(move || {
        let mut said = Vec::new();
        let _ = output.read_to_end(&mut said);
        String::from_utf8_lossy(&said).into_owned()
    });
    let started = Instant::now();
    let status = loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) => break Some(status),
            None if started.elapsed() > LIMIT => break None,
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    if status.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let said = reader.join().map_err(|_| "its output could not be read")?;
    status.map(|status| (status.success(), said)).ok_or_else(|| format!("it ran for {} s", LIMIT.as_secs()))
}

/// The beginning of a panic's message.
fn why(said: &str) -> String {
    const CHARACTERS: usize = 160;
    let after = said.lines().skip_while(|line| !line.contains("panicked at")).skip(1);
    let message: Vec<&str> = after.take(3).map(str::trim).filter(|line| !line.starts_with("note:")).collect();
    message.join(" ").chars().take(CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_three_words() {
        let test = Test::try_from("package file module::name".to_string()).unwrap();
        assert_eq!((test.target.as_str(), test.to_string().as_str()), ("file", "package file module::name"));
        assert!(Test::try_from("file name".to_string()).unwrap_err().contains("expected"));
    }

    #[test]
    fn a_program_is_found_in_what_cargo_says() {
        let line = |id: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","package_id":"{id}","manifest_path":"/w/x/Cargo.toml",
                "target":{{"kind":["test"],"name":"refusals"}},"executable":"/w/target/refusals"}}"#
            )
        };
        for id in ["path+file:///w/x#bailee-core@0.1.0", "path+file:///w/bailee-core#0.1.0"] {
            let (package, target, program, folder) = program(&line(id)).unwrap();
            assert_eq!((package.as_str(), target.as_str()), ("bailee-core", "refusals"));
            assert_eq!((program, folder), ("/w/target/refusals".into(), "/w/x".into()));
        }
        assert_eq!(program("Compiling"), None);
    }

    #[test]
    fn a_claim_needs_a_bug_that_one_of_its_own_tests_sees() {
        let claim = |planned: bool| Claim {
            id: "C1".into(),
            text: String::new(),
            origin: String::new(),
            classic: "H".into(),
            blind: "H".into(),
            enforcement: Vec::new(),
            evidence: "test".into(),
            properties: Vec::new(),
            tests: vec!["own".into()],
            planned,
        };
        let bug = |test: &str, of: &str| Bug {
            id: "x".into(),
            test: Test::try_from(format!("p t {test}")).unwrap(),
            claims: vec![of.into()],
        };
        assert_eq!(claims_without_a_bug(&[claim(false)], &[]), ["C1"]);
        assert_eq!(claims_without_a_bug(&[claim(false)], &[bug("m::other", "C1")]), ["C1"]);
        assert_eq!(claims_without_a_bug(&[claim(false)], &[bug("m::own", "C2")]), ["C1"]);
        assert!(claims_without_a_bug(&[claim(false)], &[bug("m::own", "C1")]).is_empty());
        assert!(claims_without_a_bug(&[claim(true)], &[]).is_empty());
    }
}
