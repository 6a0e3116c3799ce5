//! What the user sees while runs are in progress: a bar with the time left on a terminal, else plain lines.

use crate::store::Event;
use crate::units::duration;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::Instant;

/// What is shown of a whole job.
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
        let what = cass_run::printable(what);
        let line = format!("[{:>width$}/{}] {name} · {what}", self.done, self.total);
        match &self.bar {
            Some(bar) => bar.println(line),
            None if self.done < self.total => eprintln!("{line} · about {} left", duration(left)),
            None => eprintln!("{line}"),
        }
    }

    /// A line between the counted ones.
    pub fn note(&self, line: &str) {
        let line = cass_run::printable(line);
        match &self.bar {
            Some(bar) => bar.println(line),
            None => eprintln!("{line}"),
        }
    }

    /// Runs are in progress: `spent` and `left` are seconds.
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
