//! What a command says: data on standard output, everything else on standard error; with `--json`, JSON lines on standard output.

use std::io::{self, BufWriter, ErrorKind, IsTerminal, Stdout, Write};

use std::path::Path;

use serde_json::{Value, json};

use super::entry::put_system_path;
use super::failure::{Done, Failure, shown};
use crate::exit::Exit;

/// Lines of one kind that people are shown, at most.
pub(crate) const SHOWN_WARNINGS: usize = 20;

/// The voice of a command.
pub(crate) struct Report {
    pub(crate) json: bool,
    pub(crate) quiet: bool,
    out: BufWriter<Stdout>,
    /// Somebody watches standard output as it grows.
    watched: bool,
    warnings: u64,
}

impl Report {
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        let out = io::stdout();
        let watched = json || out.is_terminal();
        Report { json, quiet, out: BufWriter::new(out), watched, warnings: 0 }
    }

    /// A line of data: an object with `--json`, else text.
    ///
    /// # Errors
    /// `ReaderLeft`, or what the system said.
    pub(crate) fn data(&mut self, object: impl FnOnce() -> Value, text: impl FnOnce() -> String) -> Done {
        if self.json { self.line(&object().to_string()) } else { self.line(&text()) }
    }

    /// A line of data that only people need.
    ///
    /// # Errors
    /// As [`Report::data`].
    pub(crate) fn text(&mut self, text: &str) -> Done {
        if self.json { Ok(()) } else { self.line(text) }
    }

    /// The last line of a run: always there with `--json`; for people a note that `--quiet` leaves out.
    ///
    /// # Errors
    /// As [`Report::data`].
    pub(crate) fn summary(&mut self, mut object: Value, text: &str) -> Done {
        object["message_type"] = "summary".into();
        if self.json {
            self.line(&object.to_string())?;
        } else {
            self.flush()?;
            self.note(text);
        }
        self.flush()
    }

    /// A note on standard error, for people.
    pub(crate) fn note(&mut self, text: &str) {
        if !self.quiet && !self.json && !text.is_empty() {
            let _ = writeln!(io::stderr(), "{text}");
        }
    }

    /// Something was left out or is not as it was. `--quiet` does not hide it.
    pub(crate) fn warn(&mut self, path: Option<&Path>, text: &str) {
        self.warn_all([(path, text)]);
    }

    fn warning_object(&mut self, path: Option<&Path>, text: &str) {
        if self.json {
            let mut object = json!({"message_type": "warning", "path": null, "message": text});
            if let Some(path) = path {
                put_system_path(&mut object, "path", path);
            }
            // A reader who went away does not stop a backup.
            let _ = self.line(&object.to_string());
        }
    }

    /// Warnings of one kind: so many lines that nobody reads them are cut short for people.
    pub(crate) fn warn_all<'a>(&mut self, warnings: impl IntoIterator<Item = (Option<&'a Path>, &'a str)>) {
        let mut number = 0;
        for (path, text) in warnings {
            number += 1;
            self.warnings += 1;
            self.warning_object(path, text);
            if number <= SHOWN_WARNINGS {
                warning_line(path, text);
            }
        }
        if number > SHOWN_WARNINGS {
            let _ = writeln!(io::stderr(), "{}", and_more(number));
        }
    }

    /// What to do about the warnings before it.
    pub(crate) fn advise(&mut self, text: &str) {
        let _ = writeln!(io::stderr(), "  {text}");
    }

    /// How many warnings there were.
    pub(crate) fn warnings(&self) -> u64 {
        self.warnings
    }

    /// Why it ended: the last line.
    pub(crate) fn failure(&mut self, exit: Exit, what: &str, next: &str) {
        if self.json {
            let object = json!({"message_type": "error", "code": exit as u8, "message": what, "next": next});
            let _ = self.line(&object.to_string());
        }
        let _ = self.flush();
        let _ = writeln!(io::stderr(), "error: {what}");
        if !next.is_empty() {
            let _ = writeln!(io::stderr(), "  {next}");
        }
    }

    /// Bytes of a file, as they are.
    pub(crate) fn bytes(&mut self) -> &mut dyn Write {
        &mut self.out
    }

    pub(crate) fn flush(&mut self) -> Done {
        self.out.flush().map_err(gone)
    }

    fn line(&mut self, text: &str) -> Done {
        writeln!(self.out, "{text}").map_err(gone)?;
        if self.watched { self.flush() } else { Ok(()) }
    }
}

fn warning_line(path: Option<&Path>, text: &str) {
    let _ = match path {
        Some(path) => writeln!(io::stderr(), "warning: {}: {text}", shown(path)),
        None => writeln!(io::stderr(), "warning: {text}"),
    };
}

/// What is said of the lines of one kind that are not shown.
pub(crate) fn and_more(number: usize) -> String {
    format!("and {} more (see --json)", number - SHOWN_WARNINGS)
}

impl Drop for Report {
    /// What could not be written was reported when it was tried.
    fn drop(&mut self) {
        let _ = self.out.flush();
    }
}

/// What an error of standard output means.
pub(crate) fn gone(error: io::Error) -> Failure {
    match error.kind() {
        ErrorKind::BrokenPipe => Failure::ReaderLeft,
        _ => Failure::new(Exit::Failure, format!("writing to standard output: {error}"), ""),
    }
}

/// Goes on though nobody reads any more: for commands whose work is elsewhere.
pub(crate) fn unheard(done: Done) -> Done {
    match done {
        Err(Failure::ReaderLeft) => Ok(()),
        other => other,
    }
}

/// A size for people, in binary units.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A number and its noun.
pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short_and_grow_with_the_bytes() {
        let said = [0, 1023, 1024, 1536, (1 << 20) - 1, 1 << 20, 5 << 30, u64::MAX].map(size);
        assert_eq!(said, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB", "1.0 MiB", "5.0 GiB", "16384.0 PiB"]);
    }

    #[test]
    fn a_reader_who_left_is_no_error() {
        assert!(unheard(Err(gone(ErrorKind::BrokenPipe.into()))).is_ok());
        assert!(unheard(Err(gone(ErrorKind::StorageFull.into()))).is_err());
    }
}
