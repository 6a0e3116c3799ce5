//! Noise for many images on several threads, the same bytes as on one: what is drawn is named by the image, not by the
//! thread or the order. `cargo run -p cass-rng --example threads`.

use cass_rng::Rng;
use std::thread;

/// The noise of one image in one epoch.
fn noise(seed: u64, epoch: u64, image: u64) -> Vec<f64> {
    let mut rng = Rng::new(seed, "noise", [epoch, image], 0);
    (0..1000).map(|_| rng.normal()).collect()
}

fn main() {
    let images: Vec<u64> = (0..64).collect();
    let alone: Vec<Vec<f64>> = images.iter().map(|&image| noise(7, 0, image)).collect();
    let together: Vec<Vec<f64>> = thread::scope(|scope| {
        let parts = images.chunks(16);
        let parts: Vec<_> = parts
            .map(|part| {
                scope.spawn(move || part.iter().map(|&i| noise(7, 0, i)).collect::<Vec<_>>())
            })
            .collect();
        let drawn = parts
            .into_iter()
            .flat_map(|part| part.join().unwrap_or_default());
        drawn.collect()
    });
    println!("four threads draw what one draws: {}", alone == together);
    println!(
        "another epoch draws other numbers: {}",
        noise(7, 1, 0) != alone[0]
    );
}
