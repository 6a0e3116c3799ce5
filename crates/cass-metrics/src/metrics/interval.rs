use super::Confusion;
use crate::resample::Units;
use cass_rng::Rng;
use serde::{Deserialize, Serialize};
use std::fmt;

const RESAMPLES: u64 = 1000;

/// A 95 % bootstrap interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The 2.5th percentile.
    pub low: f64,
    /// The 97.5th percentile.
    pub high: f64,
}

/// The reason why there is no interval, as half a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotGiven(pub String);

impl fmt::Display for NotGiven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotGiven {}

impl Confusion {
    /// The percentile bootstrap interval of `statistic` over 1,000 seeded resamples of the samples,
    /// stratified: every resample keeps each true class's number of samples. It speaks for the draw
    /// of test images, not for the training seed.
    ///
    /// # Errors
    /// Where all resamples score the same, so that they say nothing of how sure the score is.
    pub fn interval(
        &self,
        seed: u64,
        statistic: impl Fn(&Self) -> f64,
    ) -> Result<Interval, NotGiven> {
        let images = self.rows().flatten().sum();
        Interval::bootstrap(seed, |rng| statistic(&self.resampled(|n| rng.below(n))))
            .that_varies(images, "images")
    }
}

impl Interval {
    /// The percentile interval of what `resample` gives, over 1,000 seeded draws.
    pub(crate) fn bootstrap(seed: u64, mut resample: impl FnMut(&mut Rng) -> f64) -> Self {
        let values =
            (0..RESAMPLES).map(|draw| resample(&mut Rng::new(seed, "resample", [draw, 0], 0)));
        Self::around(values.collect())
    }

    /// The interval of what `statistic` makes of the images at the places it is given, over resamples of `units`.
    pub(crate) fn over(
        units: &Units,
        seed: u64,
        statistic: impl Fn(&[usize]) -> f64,
    ) -> Result<Self, NotGiven> {
        Self::bootstrap(seed, |rng| statistic(&units.draw(rng)))
            .that_varies(units.len(), units.name())
    }

    fn that_varies(self, units: usize, name: &str) -> Result<Self, NotGiven> {
        if self.low < self.high {
            return Ok(self);
        }
        let many = format!("however the {units} {name} are drawn anew, they score the same");
        Err(NotGiven(match (units, name) {
            (1, "images") => "there is one image".into(),
            (1, _) => "the images are of one group".into(),
            _ => many,
        }))
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
        let got = confusion.interval(0, Confusion::accuracy).unwrap();
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
    fn seeded_and_not_given_where_nothing_varies() {
        let confusion = three_quarters();
        let of = |seed| confusion.interval(seed, Confusion::f1_macro).unwrap();
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        let perfect = Confusion::new(3, &[0, 1, 2], &[0, 1, 2]).unwrap();
        let reason = perfect.interval(0, Confusion::f1_macro).unwrap_err();
        assert!(reason.to_string().contains("the 3 images"), "{reason}");
    }

    #[test]
    fn quantiles_interpolate() {
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.75), 3.0);
        assert_eq!(quantile(&[5.0], 0.025), 5.0);
    }
}
