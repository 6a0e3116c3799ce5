//! `provenance.json`: where a result came from, next to its recipe.

use super::Training;
use crate::device::device_name;
use crate::error::Result;
use cass_run::names::PROVENANCE;
use cass_run::{Attempt, Provenance, read_json};
use std::time::{SystemTime, UNIX_EPOCH};

impl Training<'_> {
    /// Writes what made this run: program, machine, data, weights, and every attempt at it.
    pub(super) fn write_provenance(&self) -> Result<()> {
        let lock = self.run.lock();
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let mut attempts = self.earlier_attempts();
        attempts.push(Attempt {
            started: now.map_or(0, |now| now.as_secs()),
            host: lock.owner().host.clone(),
            pid: lock.owner().pid,
            owner: lock.generation(),
            from_step: self.progress.step,
        });
        let provenance = Provenance {
            version: env!("CARGO_PKG_VERSION").into(),
            program: self.options.program.clone(),
            target: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
            device: device_name(&self.setup.device),
            threads: rayon::current_num_threads(),
            manifest: self.setup.manifest.hash(),
            weights: self.weights(),
            attempts,
        };
        Ok(self.run.write_json(PROVENANCE, &provenance)?)
    }

    /// Attempts that led here. None where the run begins, or the file is not one of ours.
    fn earlier_attempts(&self) -> Vec<Attempt> {
        if self.progress.step == 0 {
            return Vec::new();
        }
        let earlier = read_json::<Provenance>(&self.run.file(PROVENANCE));
        let earlier = earlier.ok().flatten();
        earlier.map_or(Vec::new(), |earlier| earlier.attempts)
    }
}
