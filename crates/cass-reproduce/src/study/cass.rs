//! Asking the `cass` program.

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs `cass --json` with these arguments; what it says, and whether it found nothing wrong. Progress goes to standard
/// error, as its own.
pub fn ask<T: DeserializeOwned>(program: &Path, words: &[String]) -> Result<(T, bool)> {
    let started = Command::new(program)
        .arg("--json")
        .args(words)
        .stdin(Stdio::null())
        .output();
    let output = started.with_context(|| format!("{} cannot be started", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !matches!(output.status.code(), Some(0 | 1)) {
        let lines = said.lines().map(str::trim);
        let last = lines.rev().find(|line| !line.is_empty());
        let last = last.unwrap_or("it wrote no error");
        bail!("{}", last.strip_prefix("error: ").unwrap_or(last));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().unwrap_or_default();
    match serde_json::from_str(last) {
        Ok(value) => Ok((value, output.status.success())),
        // Exit status 1 without a result: the command failed, and said why.
        Err(_) if !said.trim().is_empty() => {
            let last = said.lines().last().unwrap_or_default();
            bail!("{}", last.strip_prefix("error: ").unwrap_or(last))
        }
        Err(error) => Err(error).with_context(|| {
            let name = words.iter().take(2).cloned().collect::<Vec<_>>().join(" ");
            format!("what `cass {name}` printed cannot be read")
        }),
    }
}

/// Words of a command line.
pub fn words(text: &[&str]) -> Vec<String> {
    text.iter().map(|word| (*word).to_owned()).collect()
}

/// A path as an argument.
pub fn path(path: &Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute.display().to_string()
}
