//! What finished runs measured, without a tensor library: `cargo run -p cass-run --example scores -- RUN...`.

use cass_run::{Finished, Metrics};
use std::path::Path;

fn main() {
    for folder in std::env::args().skip(1) {
        match Finished::open(Path::new(&folder)).map(|run| run.metrics) {
            Ok(Metrics::Pretrain(run)) => {
                let collapsed = run.collapse.iter().filter(|(_, arm)| arm.is_collapsed());
                let collapsed: Vec<&str> = collapsed.map(|(name, _)| name.as_str()).collect();
                let last = run.epochs.last().map_or(f64::NAN, |epoch| epoch.loss);
                println!(
                    "{folder}: {}, last loss {last:.4}, collapsed: {collapsed:?}",
                    run.method
                );
            }
            Ok(Metrics::Probe(run)) => {
                let f1 = run.test.f1_macro.unwrap_or(f64::NAN);
                println!(
                    "{folder}: {} of {}, {} labels, macro F1 {f1:.3}",
                    run.mode, run.arch, run.labels
                );
            }
            Err(error) => println!("{error}"),
        }
    }
}
