//! Every metric of a predictions file, with an interval: `cargo run -p cass-metrics --example metrics_of_csv -- FILE.csv`
//! (without a file, of a small one that it holds itself).

use cass_metrics::Predictions;
use cass_metrics::metrics::Confusion;
use std::path::PathBuf;

const EXAMPLE: &str = "\
file,true,predicted,glioma,notumor
Testing/glioma/1.jpg,glioma,glioma,0.9,0.1
Testing/glioma/2.jpg,glioma,notumor,0.4,0.6
Testing/notumor/1.jpg,notumor,notumor,0.2,0.8
Testing/notumor/2.jpg,notumor,notumor,0.3,0.7
";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = match std::env::args_os().nth(1) {
        Some(path) => PathBuf::from(path),
        None => {
            let path = folder.path().join("example.csv");
            std::fs::write(&path, EXAMPLE)?;
            path
        }
    };
    let predictions = Predictions::read(&path)?;
    let metrics = predictions.metrics()?;
    println!("{}", serde_json::to_string_pretty(&metrics)?);
    let f1 = metrics.averages.f1_macro;
    match predictions.interval(None, 0, Confusion::f1_macro) {
        Ok(interval) => println!(
            "macro F1 {f1:.3}, 95 % interval {:.3} to {:.3}",
            interval.low, interval.high
        ),
        Err(reason) => println!("macro F1 {f1:.3}, interval not given: {reason}"),
    }
    Ok(())
}
