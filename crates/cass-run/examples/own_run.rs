//! A run of one's own that can be stopped at any time, by Ctrl-C or by kill -9: the same command continues after the last
//! step that was logged, and a finished run is not repeated.
//!
//! `cargo run -p cass-run --example own_run -- FOLDER`

use cass_run::{Common, PretrainMetrics, RunDir};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A line of the log.
#[derive(Serialize, Deserialize)]
struct Step {
    step: u64,
    loss: f64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os()
        .nth(1)
        .map_or_else(|| "own-run".into(), PathBuf::from);
    // Everything that decides the run. Another recipe in the same folder is refused.
    let run = RunDir::open(&folder, "steps = 5\n")?;
    if run.metrics::<PretrainMetrics>()?.is_some() {
        println!("{} is finished", folder.display());
        return Ok(());
    }
    // All that is there, but for a line that was cut.
    let mut log = run.log_from(u64::MAX)?;
    let done = log.events::<Step>()?.len() as u64;
    for step in done..5 {
        let loss = 1.0 / (step + 1) as f64;
        log.write(&Step { step, loss })?;
        println!("step {step}: loss {loss:.3}");
    }
    run.finish(&PretrainMetrics {
        method: "own".into(),
        common: Common::new(1.5),
        ..PretrainMetrics::default()
    })?;
    Ok(())
}
