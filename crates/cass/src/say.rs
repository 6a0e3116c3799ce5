//! Results on standard output.

use serde_json::Value;
use std::io::Write;

/// What a finished command has to say.
pub struct Report {
    /// For people, some lines.
    pub text: String,
    /// For programs.
    pub json: Value,
}

impl Report {
    /// Prints either form. A reader that has gone away is no error.
    pub fn print(&self, json: bool) {
        let text = if json {
            self.json.to_string()
        } else {
            self.text.clone()
        };
        let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
    }
}
