//! Is the second set of predictions better than the first, of the same files? `cargo run -p cass-metrics --example
//! compare_two -- FIRST.csv SECOND.csv` (without files, of two classifiers that it makes up).

use cass_metrics::compare::Difference;
use cass_metrics::{MultiLabelPredictions, Prediction, Predictions};
use std::path::PathBuf;

/// 40 files of two classes, the first `wrong` of which are predicted as the other.
fn made_up(wrong: usize) -> Predictions {
    let row = |i: usize| Prediction {
        file: format!("{i}.png"),
        truth: i % 2,
        predicted: if i < wrong { 1 - i % 2 } else { i % 2 },
        probabilities: vec![],
    };
    Predictions {
        classes: ["benign", "malignant"].map(String::from).into(),
        rows: (0..40).map(row).collect(),
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [first, second] = match paths.as_slice() {
        [first, second] => [Predictions::read(first)?, Predictions::read(second)?],
        _ => [made_up(14), made_up(4)],
    };
    let [first, second] = [&first, &second].map(MultiLabelPredictions::from);
    println!("{}", Difference::between(&[&first], &[&second], None, 0)?);
    Ok(())
}
