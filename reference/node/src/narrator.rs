//! What a run says: a numbered narration for people, JSON lines for machines, progress for whoever waits.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Between two lines of progress where nobody watches a terminal.
const QUIET: Duration = Duration::from_secs(10);
/// Between two strokes of progress on a terminal.
const LIVELY: Duration = Duration::from_millis(200);

/// Says what happens: narration on standard output, progress and errors on standard error.
pub(crate) struct Narrator {
    json: bool,
    steps: usize,
    terminal: bool,
    last_progress: Instant,
    drawn: bool,
}

impl Narrator {
    pub(crate) fn new(json: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Narrator { json, steps: 0, terminal, last_progress: Instant::now(), drawn: false }
    }

    /// A line; a reader who went away is no error of ours.
    fn line(&mut self, text: &str) {
        self.clear();
        let _ = writeln!(std::io::stdout(), "{text}");
    }

    fn object(&mut self, value: &Value) {
        self.line(&value.to_string());
    }

    /// What must be known before anything else.
    pub(crate) fn banner(&mut self, lines: &[String]) {
        if self.json {
            self.object(&json!({"message_type": "banner", "lines": lines}));
            return;
        }
        for line in lines {
            self.line(&format!("! {line}"));
        }
    }

    /// A step of the story begins.
    pub(crate) fn step(&mut self, title: &str) {
        self.steps += 1;
        if self.json {
            self.object(&json!({"message_type": "step", "number": self.steps, "title": title}));
        } else {
            self.line(&format!("\n{:>2}. {title}", self.steps));
        }
    }

    /// What a role did, refused or could see.
    pub(crate) fn fact(&mut self, who: &str, what: &str) {
        if self.json {
            self.object(&json!({"message_type": "fact", "step": self.steps, "who": who, "what": what}));
        } else {
            self.line(&format!("    {who:<12} {what}"));
        }
    }

    /// The last line of a run.
    pub(crate) fn summary(&mut self, value: &Value, text: &str) {
        if self.json { self.object(value) } else { self.line(&format!("\n{text}")) }
    }

    /// Counts the entries of a long step, and says how far it is.
    pub(crate) fn counting<'a>(&'a mut self, doing: &'a str) -> impl FnMut(&Path) + 'a {
        let mut entries = 0u64;
        move |path| {
            entries += 1;
            // Control characters in a name are not for the terminal.
            self.progress(|| {
                format!("{doing}: {entries} entries, now {}", path.display().to_string().escape_debug())
            });
        }
    }

    fn progress(&mut self, what: impl FnOnce() -> String) {
        let pause = if self.terminal { LIVELY } else { QUIET };
        if self.last_progress.elapsed() < pause {
            return;
        }
        self.last_progress = Instant::now();
        let what = what();
        let mut out = std::io::stderr();
        let _ = if self.terminal { write!(out, "\r\x1b[K{what}") } else { writeln!(out, "{what}") };
        self.drawn = self.terminal;
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }

    /// Why it ended.
    pub(crate) fn error(&mut self, what: &str) {
        self.clear();
        if self.json {
            self.object(&json!({"message_type": "error", "message": what}));
        }
        let _ = writeln!(std::io::stderr(), "error: {what}");
    }
}
