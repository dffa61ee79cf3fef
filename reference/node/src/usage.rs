//! Wrong usage, as it is said to whoever reads JSON lines.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};

use serde_json::json;

use crate::exit::Exit;

/// Says why the arguments are wrong, or what they ask for: help, or the version.
pub(crate) fn refuse(error: &clap::Error, arguments: impl IntoIterator<Item = OsString>) -> Exit {
    // A reader who went away is no error of ours.
    let _ = error.print();
    if !error.use_stderr() {
        return Exit::Ok;
    }
    if asks_for_json(arguments) {
        let object = json!({"message_type": "error", "code": Exit::Usage as u8, "message": what(&error.to_string()),
            "next": "see what the command takes with --help"});
        let _ = writeln!(io::stdout(), "{object}");
    }
    Exit::Usage
}

/// Whether JSON lines are asked for: what stands behind `--` is no option.
fn asks_for_json(arguments: impl IntoIterator<Item = OsString>) -> bool {
    arguments
        .into_iter()
        .skip(1)
        .take_while(|argument| argument != OsStr::new("--"))
        .any(|argument| argument == "--json")
}

/// The first paragraph as one line: the rest is usage, for people.
fn what(said: &str) -> String {
    let paragraph = said.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = paragraph.split_whitespace().collect();
    let line = words.join(" ");
    line.strip_prefix("error: ").unwrap_or(&line).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_asked_for_by_an_option_alone() {
        let asks = |arguments: &[&str]| asks_for_json(arguments.iter().map(OsString::from));
        assert!(asks(&["bailee", "forget", "--json"]) && asks(&["bailee", "--json", "--", "x"]));
        assert!(!asks(&["bailee", "ls"]) && !asks(&["bailee", "ls", "--", "--json"]) && !asks(&["--json"]));
    }

    #[test]
    fn what_is_wrong_is_one_line() {
        assert_eq!(what("error: not provided:\n  <A>\n  <B>\n\nUsage: x"), "not provided: <A> <B>");
        assert_eq!(what(""), "");
    }
}
