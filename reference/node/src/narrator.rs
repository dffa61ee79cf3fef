//! What a run says: a numbered narration for people, JSON lines for machines.

use std::io::Write;

use serde_json::{Value, json};

/// Says what happens: narration on standard output, errors on standard error.
pub(crate) struct Narrator {
    json: bool,
    steps: usize,
}

impl Narrator {
    pub(crate) fn new(json: bool) -> Self {
        Narrator { json, steps: 0 }
    }

    /// A line; a reader who went away is no error of ours.
    fn line(&mut self, text: &str) {
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

    /// Why it ended.
    pub(crate) fn error(&mut self, what: &str) {
        if self.json {
            self.object(&json!({"message_type": "error", "message": what}));
        }
        let _ = writeln!(std::io::stderr(), "error: {what}");
    }
}
