//! A figure as a file of its own, for a paper or a slide: `cargo run -p cass-page --example roc > roc.svg`.

use cass_page::figure::Plot;

fn main() {
    let mut plot = Plot::new(["false positive rate", "true positive rate"]);
    plot.diagonal();
    for (kind, (name, bend)) in [("with pretraining", 0.15), ("without", 0.4)]
        .into_iter()
        .enumerate()
    {
        let points = (0..=50).map(|i| f64::from(i) / 50.0);
        let curve: Vec<(f64, f64)> = points.map(|x| (x, x.powf(bend))).collect();
        plot.curve(&curve, kind);
        plot.name(kind, name);
    }
    println!("{}", plot.write());
}
