//! A progress bar on a terminal, plain lines elsewhere; both on standard error.

use crate::pace::{Pace, span};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

/// How a run is coming on.
pub struct Progress {
    bar: ProgressBar,
    pace: Pace,
    steps: u64,
    /// Where nobody sees a bar.
    lines: bool,
    /// Images that something is computed of before the first step.
    counted: Option<(ProgressBar, Pace)>,
}

impl Progress {
    /// Nothing to show until [`Progress::start`].
    pub fn new() -> Self {
        Self {
            bar: ProgressBar::hidden(),
            pace: Pace::default(),
            steps: 0,
            lines: !io::stderr().is_terminal(),
            counted: None,
        }
    }

    /// Starts a bar over `steps` steps.
    pub fn start(&mut self, steps: u64) {
        let bar = ProgressBar::new(steps);
        bar.set_style(style("{bar:30} step {pos}/{len}  {msg}  {eta} left"));
        bar.set_message("before the first step");
        bar.enable_steady_tick(Duration::from_secs(1));
        (self.bar, self.steps) = (bar, steps);
        self.pace.begin(0, Instant::now());
    }

    /// Goes on after `step` steps of an earlier attempt.
    pub fn resume(&mut self, step: u64) {
        self.bar.set_position(step);
        self.bar.reset_eta();
        self.pace.begin(step, Instant::now());
    }

    /// Networks were looked at, which is not of the steps' time.
    pub fn looked(&mut self) {
        self.pace.looked(Instant::now());
    }

    /// One more step is done, of this epoch.
    pub fn step(&mut self, epoch: usize, step: u64, loss: f64, images_per_s: f64) {
        let done = step + 1;
        let said = format!("loss {loss:.3e}  {images_per_s:.1} images/s");
        self.bar.set_message(format!("epoch {epoch}  {said}"));
        self.bar.set_position(done);
        let left = self.pace.at(done, self.steps, Instant::now());
        if let (true, Some(left)) = (self.lines, left) {
            let (steps, left) = (self.steps, span(left));
            tracing::info!(
                "epoch {epoch}, step {done} of {steps}: loss {loss:.3e}, {images_per_s:.1} images/s, about {left} left"
            );
        }
    }

    /// So many of `of` images have been through the network.
    pub fn count(&mut self, done: usize, of: usize) {
        let (bar, pace) = self.counted.get_or_insert_with(|| {
            let bar = ProgressBar::new(of as u64);
            bar.set_style(style(
                "{bar:30} features {pos}/{len}  {per_sec}  {eta} left",
            ));
            let mut pace = Pace::default();
            pace.begin(0, Instant::now());
            (bar, pace)
        });
        bar.set_position(done as u64);
        let left = pace.at(done as u64, of as u64, Instant::now());
        if let (true, Some(left)) = (self.lines, left) {
            tracing::info!(
                "features of {done} of {of} images, about {} left",
                span(left)
            );
        }
        if done >= of {
            bar.finish_and_clear();
            self.counted = None;
        }
    }

    /// A line that stays, above the bar where there is one.
    pub fn line(&self, text: &str) {
        self.bar.suspend(|| tracing::info!("{text}"));
    }
}

/// How a bar looks, by `indicatif`'s template.
pub fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template);
    style.unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        if let Some((bar, _)) = &self.counted {
            bar.finish_and_clear();
        }
    }
}
