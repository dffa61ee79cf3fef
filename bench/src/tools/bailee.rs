//! This project's own program.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Missing, Place, Round, Tool, first_line, second_word};
use crate::measure::Step;

/// The zstd level that all tools are run at.
const LEVEL: &str = "3";

/// `bailee`, with the padding of sealed blocks that it has unless told otherwise, or without.
pub struct Bailee {
    program: PathBuf,
    padded: bool,
    threads: Option<usize>,
}

impl Bailee {
    /// As it is by default.
    pub fn new(program: &Path) -> Self {
        Bailee { program: program.to_path_buf(), padded: true, threads: None }
    }

    /// Without padding: for the size alone, so it makes a first backup and nothing else.
    pub fn unpadded(program: &Path) -> Self {
        Bailee { padded: false, ..Bailee::new(program) }
    }

    /// With so many threads.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    fn step(&self, place: &Place, command: &str) -> Step {
        let step = place.step(&self.program).variable("BAILEE_HOME", place.state.join("home/bailee"));
        step.with([command, "--archive"]).with([place.repository()])
    }
}

impl Tool for Bailee {
    fn name(&self) -> &'static str {
        if self.padded { "bailee" } else { "bailee-unpadded" }
    }

    fn version(&self) -> Result<String, Missing> {
        let version = first_line(self.name(), &self.program, &["--version"])?;
        let has = |command: &&str| {
            let mut run = Command::new(&self.program);
            run.args([command, "--help"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            run.status().is_ok_and(|status| status.success())
        };
        let lacking: Vec<&str> = ["init", "backup", "restore"].into_iter().filter(|command| !has(command)).collect();
        if lacking.is_empty() {
            return Ok(second_word(&version));
        }
        let why = format!("{} has no command {}", self.program.display(), lacking.join(", "));
        Err(Missing { tool: self.name().to_string(), why })
    }

    fn rounds(&self) -> &'static [Round] {
        if self.padded { &Round::ALL } else { &[Round::First] }
    }

    fn prepare(&self, place: &Place) -> Vec<Step> {
        vec![self.step(place, "init")]
    }

    fn back_up(&self, place: &Place, _label: &str) -> Step {
        let mut step = self.step(place, "backup").with(["--level", LEVEL]);
        if let Some(threads) = self.threads {
            step = step.with(["--threads".to_string(), threads.to_string()]);
        }
        if !self.padded {
            step = step.with(["--no-padding"]);
        }
        step.with([&place.source])
    }

    fn restore(&self, place: &Place, _label: &str) -> Step {
        self.step(place, "restore").with(["latest", "--target"]).with([place.restored()])
    }

    fn restore_one(&self, place: &Place, _label: &str, path: &Path) -> Step {
        self.step(place, "restore").with(["latest", "--stdout"]).with([path]).into_file(place.restored_file())
    }
}
