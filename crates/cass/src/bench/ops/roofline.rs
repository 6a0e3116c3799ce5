//! What this machine reaches at most, measured next to the operations.

use std::time::Instant;

/// Rates that nothing here can pass, but by doing less.
pub struct Rooflines {
    /// GFLOP/s of a matrix product.
    pub gflops: f64,
    /// GB/s read and written by a copy of more than the caches hold.
    pub gb_per_s: f64,
}

/// f32 values that are copied: 256 MiB.
const VALUES: usize = 64 << 20;

impl Rooflines {
    pub fn measure() -> Self {
        Self {
            gflops: cass_ops::profile::matmul_roofline(),
            gb_per_s: copy_rate(cass_ops::threads::threads(), VALUES),
        }
    }
}

/// The best of some copies, each thread its own part.
fn copy_rate(threads: usize, values: usize) -> f64 {
    let from = vec![1f32; values];
    let mut to = vec![0f32; values];
    let part = values.div_ceil(threads.max(1));
    let best = (0..5)
        .map(|_| {
            let started = Instant::now();
            std::thread::scope(|scope| {
                for (to, from) in to.chunks_mut(part).zip(from.chunks(part)) {
                    scope.spawn(|| to.copy_from_slice(from));
                }
            });
            started.elapsed()
        })
        .min()
        .unwrap_or_default();
    let bytes = 2 * values * size_of::<f32>();
    std::hint::black_box(&to);
    bytes as f64 / best.as_secs_f64() / 1e9
}

#[cfg(test)]
mod tests {
    use super::copy_rate;

    #[test]
    fn a_copy_has_a_rate() {
        let rate = copy_rate(2, 1 << 20);
        assert!(rate.is_finite() && rate > 0.0, "{rate}");
    }
}
