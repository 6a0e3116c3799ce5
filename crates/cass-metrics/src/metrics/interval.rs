use super::Confusion;
use cass_rng::Rng;
use serde::{Deserialize, Serialize};

const RESAMPLES: u64 = 1000;

/// A 95 % bootstrap interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The 2.5th percentile.
    pub low: f64,
    /// The 97.5th percentile.
    pub high: f64,
}

impl Confusion {
    /// The percentile bootstrap interval of `statistic` over 1,000 seeded resamples of the samples,
    /// stratified: every resample keeps each true class's number of samples. It speaks for the draw
    /// of test images, not for the training seed.
    pub fn interval(&self, seed: u64, statistic: impl Fn(&Self) -> f64) -> Interval {
        Interval::bootstrap(seed, |rng| statistic(&self.resampled(|n| rng.below(n))))
    }
}

impl Interval {
    /// The percentile interval of what `resample` gives, over 1,000 seeded draws.
    pub(crate) fn bootstrap(seed: u64, mut resample: impl FnMut(&mut Rng) -> f64) -> Self {
        let values =
            (0..RESAMPLES).map(|draw| resample(&mut Rng::new(seed, "resample", [draw, 0], 0)));
        Self::around(values.collect())
    }

    /// From the 2.5th to the 97.5th percentile of `values`, of which there is at least one.
    fn around(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self {
            low: quantile(&values, 0.025),
            high: quantile(&values, 0.975),
        }
    }
}

/// Between the two nearest order statistics, as `numpy.quantile` by default.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let place = q * (sorted.len() - 1) as f64;
    let (below, above) = (
        sorted[place.floor() as usize],
        sorted[place.ceil() as usize],
    );
    below + (above - below) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 200 samples of two classes, three quarters of each right.
    fn three_quarters() -> Confusion {
        let truth: Vec<usize> = (0..200).map(|i| i / 100).collect();
        let predicted: Vec<usize> = (0..200)
            .map(|i| (i / 100) ^ usize::from(i % 4 == 0))
            .collect();
        Confusion::new(2, &truth, &predicted).unwrap()
    }

    #[test]
    fn width_is_that_of_the_binomial() {
        let confusion = three_quarters();
        let got = confusion.interval(0, Confusion::accuracy);
        let half = 1.96 * (0.75 * 0.25 / 200.0_f64).sqrt();
        assert!((got.low - (0.75 - half)).abs() < 0.01, "{got:?}");
        assert!((got.high - (0.75 + half)).abs() < 0.01, "{got:?}");
    }

    #[test]
    fn strata_keep_their_size() {
        let resampled = three_quarters().resampled(|n| n - 1);
        assert!(resampled.rows().all(|row| row.iter().sum::<usize>() == 100));
    }

    #[test]
    fn seeded_and_exact_where_nothing_varies() {
        let confusion = three_quarters();
        let of = |seed| confusion.interval(seed, Confusion::f1_macro);
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        let perfect = Confusion::new(3, &[0, 1, 2], &[0, 1, 2]).unwrap();
        let got = perfect.interval(0, Confusion::f1_macro);
        assert_eq!((got.low, got.high), (1.0, 1.0));
    }

    #[test]
    fn quantiles_interpolate() {
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.75), 3.0);
        assert_eq!(quantile(&[5.0], 0.025), 5.0);
    }
}
