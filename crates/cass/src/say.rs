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
}

impl Report {
    /// The report of a command that did what it was asked.
    pub fn done(text: String, json: Value) -> Self {
        Self {
            text,
            json,
            passed: true,
        }
    }

    /// 0, or 1 for a check that failed.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(u8::from(!self.passed))
    }

    /// Prints either form. A reader that has gone away is no error.
    pub fn print(&self, json: bool) {
        // Names of files and classes are others': none of them moves the cursor.
        let text = if json {
            self.json.to_string()
        } else {
            cass_run::printable_lines(&self.text).into_owned()
        };
        if text.is_empty() {
            return; // all was said already
        }
        let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
    }
}
