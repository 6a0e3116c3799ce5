//! What a run says while it is in progress, and at its end.

use cass_run::{open_regular, printable_lines};
use serde::Deserialize;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Follows a run's `log.jsonl` as it grows.
pub struct Tail {
    path: PathBuf,
    offset: u64,
    rest: Vec<u8>,
    pub last: Event,
}

/// The keys of a log line that the display needs; the newest value of each is kept.
#[derive(Clone, Default, Deserialize)]
pub struct Event {
    epoch: Option<u64>,
    step: Option<u64>,
    steps: Option<u64>,
    loss: Option<f64>,
}

impl Event {
    /// Share of the run's steps done.
    pub fn share(&self) -> Option<f64> {
        Some((self.step? + 1) as f64 / self.steps.filter(|&steps| steps > 0)? as f64)
    }

    /// The newest epoch and loss, for a line of progress.
    pub fn describe(&self) -> String {
        let epoch = self.epoch.map(|epoch| format!(" epoch {epoch}"));
        let loss = self.loss.map(|loss| format!(" loss {loss:.2e}"));
        epoch.unwrap_or_default() + &loss.unwrap_or_default()
    }
}

impl Tail {
    pub fn new(path: PathBuf) -> Tail {
        Tail {
            path,
            offset: 0,
            rest: Vec::new(),
            last: Event::default(),
        }
    }

    /// Reads what was appended. A log that cannot be read only leaves the display behind.
    pub fn poll(&mut self) {
        let Ok(mut file) = open_regular(&self.path) else {
            return;
        };
        let mut new = Vec::new();
        if file.seek(SeekFrom::Start(self.offset)).is_err() || file.read_to_end(&mut new).is_err() {
            return;
        }
        self.offset += new.len() as u64;
        self.rest.extend(new);
        while let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let Ok(event) = serde_json::from_slice::<Event>(&line) else {
                continue;
            };
            let last = &mut self.last;
            last.epoch = event.epoch.or(last.epoch);
            last.step = event.step.or(last.step);
            last.steps = event.steps.or(last.steps);
            last.loss = event.loss.or(last.loss);
        }
    }
}

/// The end of what a run wrote on standard error.
pub fn log_tail(path: &Path) -> Vec<String> {
    const LINES: usize = 12;
    let text = end_of(path);
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .collect();
    let tail = &lines[lines.len().saturating_sub(LINES)..];
    tail.iter()
        .map(|line| line.chars().take(400).collect())
        .collect()
}

/// The last of what a run wrote on standard error, for people.
fn end_of(path: &Path) -> String {
    const MOST: u64 = 1 << 16;
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = open_regular(&path.join("stderr.log"))?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(MOST)))?;
        let mut end = Vec::new();
        file.take(MOST).read_to_end(&mut end)?;
        Ok(end)
    };
    let end = read().unwrap_or_default();
    printable_lines(&String::from_utf8_lossy(&end)).into_owned()
}

/// Why a run without metrics has none: the last line it wrote on standard error.
pub fn last_words(path: &Path) -> String {
    let text = end_of(path);
    match text.lines().map(str::trim).rfind(|line| !line.is_empty()) {
        Some(line) => line.strip_prefix("error: ").unwrap_or(line).to_owned(),
        None => "it wrote no error".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_tail_reads_whole_lines_and_keeps_the_newest_values() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.jsonl");
        let mut tail = Tail::new(path.clone());
        tail.poll();
        assert!(tail.last.share().is_none());
        let first = "{\"event\":\"step\",\"epoch\":0,\"step\":4,\"steps\":10,\"loss\":0.5}\n";
        fs::write(&path, format!("{first}{{\"event\":\"st")).unwrap();
        tail.poll();
        assert_eq!(tail.last.share(), Some(0.5));
        fs::write(
            &path,
            format!("{first}{{\"event\":\"step\",\"step\":9}}\nnot json\n"),
        )
        .unwrap();
        tail.poll();
        assert_eq!(tail.last.share(), Some(1.0));
        assert_eq!(tail.last.loss, Some(0.5));
    }
}
