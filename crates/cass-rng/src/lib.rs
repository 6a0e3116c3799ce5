#![doc = include_str!("../README.md")]

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng};

/// The one source of randomness: counter-based, seeded, the same on every platform.
///
/// A generator is named, not shared: the key of a ChaCha8 block function is made of the run's
/// `seed`, a `purpose` and a `path` of two counters (say epoch and sample), the nonce is a `stream`
/// (say the view). The same name draws the same numbers everywhere, so neither the order of
/// work nor the number of threads nor a restart changes a result.
///
/// ```
/// use cass_rng::Rng;
/// let mut a = Rng::new(7, "augment", [3, 1042], 0);
/// let mut b = Rng::new(7, "augment", [3, 1042], 0);
/// assert_eq!(a.next_u64(), b.next_u64());
/// assert_ne!(a.next_u64(), Rng::new(7, "augment", [3, 1042], 1).next_u64());
/// ```
#[derive(Debug, Clone)]
pub struct Rng {
    core: ChaCha8Rng,
    spare_normal: Option<f64>,
}

impl Rng {
    /// The generator of this name. Only the first eight bytes of `purpose` count.
    pub fn new(seed: u64, purpose: &str, path: [u64; 2], stream: u64) -> Self {
        debug_assert!(purpose.len() <= 8, "purpose {purpose:?} is over 8 bytes");
        let mut key = [0u8; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let tag = &purpose.as_bytes()[..purpose.len().min(8)];
        key[8..8 + tag.len()].copy_from_slice(tag);
        key[16..24].copy_from_slice(&path[0].to_le_bytes());
        key[24..].copy_from_slice(&path[1].to_le_bytes());
        let mut core = ChaCha8Rng::from_seed(key);
        core.set_stream(stream);
        Self {
            core,
            spare_normal: None,
        }
    }

    /// 32 uniform bits.
    pub fn next_u32(&mut self) -> u32 {
        self.core.next_u32()
    }

    /// 64 uniform bits.
    pub fn next_u64(&mut self) -> u64 {
        self.core.next_u64()
    }

    /// Uniform in [0, 1), a multiple of 2⁻⁵³.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in [`lo`, `hi`).
    pub fn uniform_in(&mut self, lo: f64, hi: f64) -> f64 {
        lo + (hi - lo) * self.uniform()
    }

    /// Uniform in 0..`n`; 0 when `n` is 0. Without bias (Lemire's rejection).
    pub fn below(&mut self, n: usize) -> usize {
        let n = n as u64;
        if n == 0 {
            return 0;
        }
        let threshold = n.wrapping_neg() % n;
        loop {
            let wide = u128::from(self.next_u64()) * u128::from(n);
            if wide as u64 >= threshold {
                return (wide >> 64) as usize;
            }
        }
    }

    /// True with probability `p`.
    pub fn bernoulli(&mut self, p: f64) -> bool {
        self.uniform() < p
    }

    /// Standard normal (Box and Muller, both of the pair used).
    pub fn normal(&mut self) -> f64 {
        if let Some(z) = self.spare_normal.take() {
            return z;
        }
        // 1 - u is in (0, 1]: its logarithm is finite.
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * self.uniform()).sin_cos();
        self.spare_normal = Some(radius * sin);
        radius * cos
    }

    /// Brings the items into a uniformly random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_the_name_matters() {
        let first = |mut r: Rng| r.next_u64();
        let names = [
            first(Rng::new(1, "a", [0, 0], 0)),
            first(Rng::new(2, "a", [0, 0], 0)),
            first(Rng::new(1, "b", [0, 0], 0)),
            first(Rng::new(1, "a", [1, 0], 0)),
            first(Rng::new(1, "a", [0, 1], 0)),
            first(Rng::new(1, "a", [0, 0], 1)),
        ];
        for (i, a) in names.iter().enumerate() {
            assert!(!names[..i].contains(a), "names {i} collide");
        }
    }

    /// Pinned: if these move, every seeded result in the world moves.
    #[test]
    fn numbers_are_pinned() {
        let mut r = Rng::new(42, "pin", [1, 2], 3);
        assert_eq!(r.next_u64(), 1_550_768_091_535_892_086);
        assert_eq!(r.below(1000), 207);
    }

    #[test]
    fn moments_are_right() {
        let mut r = Rng::new(5, "moments", [0, 0], 0);
        let n = 200_000;
        let normals: Vec<f64> = (0..n).map(|_| r.normal()).collect();
        let mean = normals.iter().sum::<f64>() / n as f64;
        let var = normals.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / n as f64;
        assert!(mean.abs() < 0.01, "mean {mean}");
        assert!((var - 1.0).abs() < 0.02, "variance {var}");
        let ones = (0..n).filter(|_| r.bernoulli(0.3)).count() as f64 / n as f64;
        assert!((ones - 0.3).abs() < 0.01, "share {ones}");
        let mut counts = [0usize; 7];
        (0..70_000).for_each(|_| counts[r.below(7)] += 1);
        assert!(
            counts.iter().all(|c| (9_500..10_500).contains(c)),
            "{counts:?}"
        );
    }

    #[test]
    fn shuffle_permutes() {
        let mut v: Vec<usize> = (0..100).collect();
        Rng::new(0, "shuffle", [0, 0], 0).shuffle(&mut v);
        assert_ne!(v, (0..100).collect::<Vec<_>>());
        v.sort_unstable();
        assert_eq!(v, (0..100).collect::<Vec<_>>());
    }
}
