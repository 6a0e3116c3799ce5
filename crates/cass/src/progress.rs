//! A progress bar on a terminal, plain lines elsewhere; both on standard error.

use indicatif::{ProgressBar, ProgressStyle};

/// How a run is coming on.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Nothing to show until [`Progress::start`].
    pub fn new() -> Self {
        Self {
            bar: ProgressBar::hidden(),
        }
    }

    /// Starts a bar over `steps` steps.
    pub fn start(&mut self, steps: u64) {
        let template = "{bar:30} step {pos}/{len}  {msg}  {eta} left";
        let style = ProgressStyle::with_template(template);
        self.bar = ProgressBar::new(steps);
        self.bar
            .set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    }

    /// Goes on after `step` steps of an earlier attempt.
    pub fn resume(&self, step: u64) {
        self.bar.set_position(step);
        self.bar.reset_eta();
    }

    /// One more step is done.
    pub fn step(&self, step: u64, loss: f64, images_per_s: f64) {
        self.bar
            .set_message(format!("loss {loss:.3e}  {images_per_s:.1} images/s"));
        self.bar.set_position(step + 1);
    }

    /// A line that stays, above the bar where there is one.
    pub fn line(&self, text: &str) {
        self.bar.suspend(|| tracing::info!("{text}"));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
