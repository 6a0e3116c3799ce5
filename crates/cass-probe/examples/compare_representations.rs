//! Do two networks see the same images alike? Linear CKA of two sets of features, and a picture of each by its two
//! principal components.
//!
//! `cargo run -p cass-probe --example compare_representations`

use cass_probe::look::{Cka, Gram, pca};
use cass_rng::Rng;

const IMAGES: usize = 64;
const DIM: usize = 8;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut rng = Rng::new(0, "example", [0, 0], 0);
    let mut features = || -> Vec<f32> { (0..IMAGES * DIM).map(|_| rng.normal() as f32).collect() };
    let (first, other) = (features(), features());
    // The same features in another order and scale, which CKA does not tell apart.
    let turned: Vec<f32> = (first.chunks(DIM))
        .flat_map(|row| row.iter().rev().map(|value| 3.0 * value))
        .collect();
    for (name, second) in [("turned", &turned), ("unrelated", &other)] {
        let mut cka = Cka::default();
        cka.add(&Gram::of(&first, DIM)?, &Gram::of(second, DIM)?)?;
        let explained = pca(second, DIM)?.explained;
        println!(
            "{name}: CKA {:.3}, two components explain {:.0} %",
            cka.value().ok_or("a network sees all images alike")?,
            100.0 * (explained[0] + explained[1])
        );
    }
    Ok(())
}
