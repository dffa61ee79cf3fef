//! What a program costs: wall time, processor time, memory.
//!
//! Each measured program is started by a small process of its own ([`launch_if_asked`]), because Linux counts what
//! the starting process held as peak memory of the started one (`setmax_mm_hiwater_rss` in `fs/exec.c`).

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};

/// The first argument by which one of our programs knows that it is to start and measure another.
const LAUNCH: &str = "launch-and-measure";

/// A program to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// A path, or a name that is looked up in `PATH`.
    pub program: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// What its environment has beside ours.
    pub environment: Vec<(OsString, OsString)>,
    /// Where it runs.
    pub folder: PathBuf,
    /// What it prints goes to this file; to the log if there is none.
    pub output: Option<PathBuf>,
}

impl Step {
    /// A program that runs in this folder.
    pub fn new(program: impl Into<OsString>, folder: &Path) -> Self {
        let (arguments, environment) = (Vec::new(), Vec::new());
        Step { program: program.into(), arguments, environment, folder: folder.to_path_buf(), output: None }
    }

    /// With these arguments after those that are there.
    #[must_use]
    pub fn with<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// With this variable.
    #[must_use]
    pub fn variable(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// What it prints goes to this file.
    #[must_use]
    pub fn into_file(mut self, output: PathBuf) -> Self {
        self.output = Some(output);
        self
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.program.to_string_lossy())?;
        self.arguments.iter().try_for_each(|argument| write!(f, " {}", argument.to_string_lossy()))
    }
}

/// What a run cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Seconds from the start to the end.
    pub wall: f64,
    /// Seconds of processors, in user and system mode, of the program and of those that it started and awaited.
    pub cpu: f64,
    /// Peak resident memory in bytes, of the largest of these processes.
    pub memory: u64,
}

/// Why there is no cost.
#[derive(Debug)]
pub enum RunError {
    /// It could not be started, or not be awaited.
    NotRun {
        /// What was to be run.
        step: String,
        /// What the system said.
        error: io::Error,
    },
    /// It said by its exit code that something went wrong.
    Failed {
        /// What was run.
        step: String,
        /// Its exit code; none if a signal ended it.
        code: Option<i32>,
        /// The end of what it printed.
        said: String,
    },
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::NotRun { step, error } => write!(f, "cannot run `{step}`: {error}"),
            RunError::Failed { step, code: Some(code), said } => {
                write!(f, "`{step}` ended with exit code {code}: {said}")
            }
            RunError::Failed { step, code: None, said } => write!(f, "`{step}` was ended by a signal: {said}"),
        }
    }
}

impl std::error::Error for RunError {}

/// What the launcher tells on its standard output.
#[derive(Serialize, Deserialize)]
struct Told {
    code: Option<i32>,
    cost: Cost,
}

/// Runs a step and gives its cost. Codes beside 0 that are no failure are `accepted`.
///
/// # Errors
/// It did not run, or failed.
pub fn measure(step: &Step, accepted: &[i32]) -> Result<Cost, RunError> {
    let not_run = |error| RunError::NotRun { step: step.to_string(), error };
    let log = tempfile::NamedTempFile::new().map_err(not_run)?;
    let launched = Command::new(std::env::current_exe().map_err(not_run)?)
        .arg(LAUNCH)
        .arg(step.output.as_deref().unwrap_or(log.path()))
        .arg(&step.program)
        .args(&step.arguments)
        .envs(step.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(&step.folder)
        .stdin(Stdio::null())
        .stderr(log.reopen().map_err(not_run)?)
        .output()
        .map_err(not_run)?;
    let said = || tail(&String::from_utf8_lossy(&fs::read(log.path()).unwrap_or_default()));
    let Ok(told) = serde_json::from_slice::<Told>(&launched.stdout) else {
        return Err(not_run(io::Error::other(said())));
    };
    match told.code {
        Some(code) if code == 0 || accepted.contains(&code) => Ok(told.cost),
        code => Err(RunError::Failed { step: step.to_string(), code, said: said() }),
    }
}

/// The last lines.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(5)..].join("; ")
}

/// To be called first by every program that measures: if it was started as a launcher, it does that work and must
/// then end with this code.
pub fn launch_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != LAUNCH {
        return None;
    }
    let (output, program) = (arguments.next()?, arguments.next()?);
    Some(match launch(Path::new(&output), &program, arguments) {
        Ok(told) => {
            println!("{}", serde_json::json!(told));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    })
}

fn launch(output: &Path, program: &OsString, arguments: impl Iterator<Item = OsString>) -> io::Result<Told> {
    let output = File::options().create(true).append(true).open(output)?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(output);
    let started = Instant::now();
    let status = command.status()?;
    let wall = started.elapsed().as_secs_f64();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    let cpu = seconds(usage.user_time()) + seconds(usage.system_time());
    // Linux counts it in KiB (getrusage(2)).
    let memory = usage.max_rss() as u64 * 1024;
    Ok(Told { code: status.code(), cost: Cost { wall, cpu, memory } })
}
