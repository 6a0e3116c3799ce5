//! `provenance.json`: where a result came from, beside its recipe.

use super::Training;
use crate::device::device_name;
use crate::error::Result;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

const FILE: &str = "provenance.json";

impl Training<'_> {
    /// Writes what made this run: program, machine, data, weights, and every attempt at it.
    pub(super) fn write_provenance(&self) -> Result<()> {
        let lock = self.run.lock();
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let attempt = json!({
            "started": now.map_or(0, |now| now.as_secs()), // since 1970
            "host": lock.owner().host,
            "pid": lock.owner().pid,
            "owner": lock.generation(),
            "from_step": self.progress.step,
        });
        let mut attempts = self.earlier_attempts();
        attempts.push(attempt);
        let weights = self.origins.iter();
        let weights = weights.map(|(arm, origin)| (arm.clone(), origin.value.clone()));
        let provenance = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "program": self.options.program,
            "target": format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
            "device": device_name(&self.setup.device),
            "threads": rayon::current_num_threads(),
            "manifest": self.setup.manifest.hash(),
            "weights": weights.collect::<serde_json::Map<_, _>>(),
            "attempts": attempts,
        });
        self.run.write(FILE, format!("{provenance:#}\n").as_bytes())
    }

    /// None where the run begins, or the file is not one of ours.
    fn earlier_attempts(&self) -> Vec<Value> {
        if self.progress.step == 0 {
            return Vec::new();
        }
        let text = std::fs::read_to_string(self.run.file(FILE)).unwrap_or_default();
        let earlier: Value = serde_json::from_str(&text).unwrap_or_default();
        earlier["attempts"].as_array().cloned().unwrap_or_default()
    }
}
