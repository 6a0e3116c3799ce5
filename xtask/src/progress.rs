//! What the user sees while runs go on: a bar with the time left on a terminal, else plain lines.

use std::fs::File;
use std::io::{IsTerminal, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;

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

    fn describe(&self) -> String {
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
        let Ok(mut file) = File::open(&self.path) else {
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

/// One for a whole job.
pub struct Display {
    bar: Option<ProgressBar>,
    total: usize,
    done: usize,
    since: Instant,
}

impl Display {
    pub fn new(total: usize, done: usize) -> Display {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:24.cyan/dim} {pos:>3} % · {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(100).with_style(style)
        });
        Display {
            bar,
            total,
            done,
            since: Instant::now(),
        }
    }

    /// A run ended: `[ 4/39] NAME · WHAT`, and on plain output the time left.
    pub fn ended(&mut self, name: &str, what: &str, left: f64) {
        self.done += 1;
        let width = self.total.to_string().len();
        let line = format!("[{:>width$}/{}] {name} · {what}", self.done, self.total);
        match &self.bar {
            Some(bar) => bar.println(line),
            None if self.done < self.total => eprintln!("{line} · about {} left", duration(left)),
            None => eprintln!("{line}"),
        }
    }

    /// A line beside the counted ones.
    pub fn note(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => eprintln!("{line}"),
        }
    }

    /// Runs go on: `spent` and `left` are seconds.
    pub fn running<'a>(
        &self,
        runs: impl Iterator<Item = (&'a str, &'a Event)>,
        spent: f64,
        left: f64,
    ) {
        let Some(bar) = &self.bar else { return };
        bar.set_position((100.0 * spent / (spent + left).max(1e-9)) as u64);
        let runs: Vec<_> = runs
            .map(|(name, event)| format!("{name}{}", event.describe()))
            .collect();
        bar.set_message(format!(
            "{} so far, about {} left · {}",
            duration(self.since.elapsed().as_secs_f64()),
            duration(left),
            runs.join(", "),
        ));
    }

    pub fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// `45 s`, `12 min`, `7 h 11 min`.
pub fn duration(seconds: f64) -> String {
    let seconds = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    match seconds.as_secs() {
        0..10 => format!("{:.1} s", seconds.as_secs_f64()),
        s @ 10..60 => format!("{s} s"),
        s @ 60..600 => format!("{} min {} s", s / 60, s % 60),
        s @ 600..3600 => format!("{} min", s / 60),
        s => format!("{} h {} min", s / 3600, s % 3600 / 60),
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

    #[test]
    fn durations() {
        for (seconds, text) in [
            (3.24, "3.2 s"),
            (59.0, "59 s"),
            (61.0, "1 min 1 s"),
            (25_860.0, "7 h 11 min"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }
}
