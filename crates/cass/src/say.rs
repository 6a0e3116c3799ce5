//! Results on standard output.

use cass_run::Skipped;
use serde_json::Value;
use std::io::Write;
use std::process::ExitCode;

/// Lines on the images that --skip-bad left out: how many, and the first of them.
pub fn left_out(skipped: &[Skipped]) -> String {
    const LISTED: usize = 5;
    let mut text = match skipped.len() {
        0 => return String::new(),
        count => format!("  left out as unusable: {count}\n"),
    };
    for Skipped { file, reason } in skipped.iter().take(LISTED) {
        text += &format!("    {file} {reason}\n");
    }
    if let more @ 1.. = skipped.len().saturating_sub(LISTED) {
        text += &format!("    and {more} more\n");
    }
    text
}

/// What a finished command has to say.
pub struct Report {
    /// The text for people, some lines.
    pub text: String,
    /// The object for programs.
    pub json: Value,
    /// Whether what was checked is as it should be.
    pub passed: bool,
    /// The command that comes next, where there is one.
    pub next: Option<String>,
}

impl Report {
    /// The report of a command that did what it was asked.
    pub fn done(text: String, json: Value) -> Self {
        Self {
            text,
            json,
            passed: true,
            next: None,
        }
    }

    /// Names the command that comes next.
    #[must_use]
    pub fn next(mut self, command: impl Into<String>) -> Self {
        self.next = Some(command.into());
        self
    }

    /// 0, or 1 for a check that failed.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(u8::from(!self.passed))
    }

    /// Prints either form. A reader that has gone away is no error.
    pub fn print(&self, json: bool) {
        // Names of files and classes are others': none of them moves the cursor.
        let text = if json {
            self.with_next().to_string()
        } else {
            cass_run::printable_lines(&self.text).into_owned()
        };
        if !text.is_empty() {
            let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
        }
        if let (false, Some(next)) = (json, &self.next) {
            // To a person, not into a result that is kept in a file.
            eprintln!("next: {}", cass_run::printable(next));
        }
    }

    /// The object for programs, with the key `next` where a command comes next.
    fn with_next(&self) -> Value {
        let mut json = self.json.clone();
        if let (Value::Object(json), Some(next)) = (&mut json, &self.next) {
            json.insert("next".into(), next.as_str().into());
        }
        json
    }
}
