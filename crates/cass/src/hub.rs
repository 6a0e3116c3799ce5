//! Weights of the Hugging Face Hub, brought with a bar on a terminal and plain lines elsewhere.

use crate::failure::Result;
use crate::progress::style;
use cass_models::hub::{Hub, HubEvent};
use cass_train::Weights;
use cass_train::weights::resolve_weights;
use indicatif::ProgressBar;

/// The weights that a recipe keeps: those of the Hub at a commit.
pub fn resolve(weights: &Weights, network: &str, earlier: Option<&Weights>) -> Result<Weights> {
    if matches!(weights, Weights::Random | Weights::File(_)) {
        return Ok(weights.clone());
    }
    let hub = Hub::from_env()?;
    let mut transfer = Transfer::new(network);
    let observe = &mut |event: &HubEvent| transfer.show(event);
    Ok(resolve_weights(weights, network, earlier, &hub, observe)?)
}

/// Brings the weights of a recipe into the cache, where they are the Hub's: a run shows no bar.
pub fn bring(weights: &Weights, network: &str) -> Result<()> {
    if let Weights::HubRepo(id) = weights {
        let mut transfer = Transfer::new(network);
        Hub::from_env()?.get(id, &mut |event| transfer.show(event))?;
    }
    Ok(())
}

/// How a file is coming on.
pub struct Transfer {
    name: String,
    bar: ProgressBar,
}

impl Transfer {
    /// Nothing to show until the Hub answers.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            bar: ProgressBar::hidden(),
        }
    }

    /// Shows what happened.
    pub fn show(&mut self, event: &HubEvent) {
        match event {
            HubEvent::Start { bytes } => {
                let size = bytes.map_or(String::new(), |n| format!(", {:.1} MB", n as f64 / 1e6));
                self.line(&format!("fetching {}{size}", self.name));
                let template = "{bar:30} {decimal_bytes}/{decimal_total_bytes}  {decimal_bytes_per_sec}  {eta} left";
                self.bar = ProgressBar::new(bytes.unwrap_or(0));
                self.bar.set_style(style(template));
            }
            HubEvent::Bytes(bytes) => self.bar.set_position(*bytes),
            HubEvent::Wait { reason, wait } => {
                let seconds = wait.as_secs_f64();
                self.line(&format!("{reason}; trying again in {seconds:.0} s"));
            }
            HubEvent::OtherProcess => {
                self.line(&format!("another process is fetching {}", self.name));
            }
        }
    }

    fn line(&self, text: &str) {
        self.bar.suspend(|| tracing::info!("{text}"));
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
