//! What the checking tools have in common on the command line: exit codes, and the words of their output.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// Something failed that is no verdict: a file cannot be written, a scope is too large.
pub const FAILURE: u8 = 1;
/// The command cannot be carried out as it was given.
pub const USAGE: u8 = 2;
/// Nothing ran, so nothing was shown.
pub const NOTHING: u8 = 4;
/// A violation was found, or a verdict was not the expected one.
pub const VIOLATION: u8 = 100;

/// Why a command did not come to a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A name, an option or a file of the caller is wrong: what, and what is known.
    Usage(String),
    /// It went wrong on the way.
    Run(String),
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Failure::Run(message)
    }
}

impl From<&str> for Failure {
    fn from(message: &str) -> Self {
        Failure::Run(message.into())
    }
}

/// The exit code of a command; a failure is told on standard error.
pub fn end(result: Result<u8, Failure>) -> ExitCode {
    let (message, code) = match result {
        Ok(code) => return ExitCode::from(code),
        Err(Failure::Usage(message)) => (message, USAGE),
        Err(Failure::Run(message)) => (message, FAILURE),
    };
    eprintln!("error: {message}");
    ExitCode::from(code)
}

/// Writes a line of output. A reader that went away is not an error.
pub fn line(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// A number with its noun: "1 step", "2 steps", "3 properties".
pub fn counted(number: u64, noun: &str) -> String {
    match (number, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        (_, None) => format!("{number} {noun}s"),
    }
}

/// A path as one word of a shell.
pub fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular() {
        assert_eq!(counted(1, "step"), "1 step");
        assert_eq!(counted(0, "step"), "0 steps");
        assert_eq!(counted(2, "property"), "2 properties");
    }
}
