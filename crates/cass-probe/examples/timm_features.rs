//! What can be read from features that timm, or anything else, computed? Rows of a CSV file, `label,f0,f1,...`, are
//! shuffled and split in two; a logistic regression and nearest neighbours learn from the first half and are judged on the second.
//!
//! `cargo run -p cass-probe --example timm_features -- FEATURES.csv` (without a file, of features that it makes up)

use cass_metrics::metrics::Confusion;
use cass_probe::fit::{Knn, Labels, Logistic, LogisticConfig};
use cass_rng::Rng;
use std::collections::BTreeSet;
use std::error::Error;

/// Two classes whose 16 features differ by as much as they vary.
fn made_up() -> String {
    let mut rng = Rng::new(0, "example", [0, 0], 0);
    let mut text = String::from("label,features\n");
    for row in 0..200 {
        let class = row % 2;
        let values: Vec<String> = (0..16)
            .map(|_| (rng.normal() + class as f64).to_string())
            .collect();
        text += &format!("{},{}\n", ["benign", "malignant"][class], values.join(","));
    }
    text
}

fn main() -> Result<(), Box<dyn Error>> {
    let text = match std::env::args_os().nth(1) {
        Some(file) => std::fs::read_to_string(file)?,
        None => made_up(),
    };
    let rows = text.lines().skip(1).filter_map(|line| line.split_once(','));
    let mut rows: Vec<(&str, &str)> = rows.collect();
    let classes: BTreeSet<&str> = rows.iter().map(|(label, _)| *label).collect();
    Rng::new(0, "split", [0, 0], 0).shuffle(&mut rows);
    let (first, second) = rows.split_at(rows.len() / 2);
    let half = |rows: &[(&str, &str)]| -> Result<(Vec<usize>, Vec<f32>), Box<dyn Error>> {
        let (mut labels, mut features) = (Vec::new(), Vec::new());
        for (label, values) in rows {
            labels.extend(classes.iter().position(|class| class == label));
            for value in values.split(',') {
                features.push(value.trim().parse()?);
            }
        }
        Ok((labels, features))
    };
    let ((labels, features), (truth, asked)) = (half(first)?, half(second)?);
    let (dim, k) = (features.len() / labels.len().max(1), classes.len());

    let weights = vec![[1.0; 2]; k];
    let config = LogisticConfig::default();
    let logistic = Logistic::fit(
        &features,
        dim,
        &Labels::One(labels.clone()),
        &weights,
        &config,
    )?;
    let knn = Knn::new(&features, dim, labels, k)?;
    for (name, probabilities) in [
        ("logistic regression", logistic.probabilities(&asked)?),
        ("5 nearest neighbours", knn.probabilities(&asked, 5)?),
    ] {
        let best = |p: &Vec<f64>| (0..k).max_by(|&a, &b| p[a].total_cmp(&p[b])).unwrap_or(0);
        let predicted: Vec<usize> = probabilities.iter().map(best).collect();
        let f1 = Confusion::new(k, &truth, &predicted)?.f1_macro();
        println!("{name}: macro F1 {f1:.3} on {} rows", truth.len());
    }
    Ok(())
}
