//! A split that is the same on every machine and whatever else was drawn before:
//! `cargo run -p cass-rng --example split`.

use cass_rng::Rng;

fn main() {
    let images: Vec<String> = (0..20).map(|i| format!("scan-{i:02}.png")).collect();
    for seed in 0..3 {
        let mut drawn: Vec<&String> = images.iter().collect();
        Rng::new(seed, "split", [0, 0], 0).shuffle(&mut drawn);
        let (test, train) = drawn.split_at(images.len() / 5);
        println!(
            "seed {seed}: {} for training, for testing {test:?}",
            train.len()
        );
    }
}
