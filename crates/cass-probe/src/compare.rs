//! Whether one set of predictions is better than another of the same images.

use crate::{Confusion, Error, Interval, Predictions, Result};
use cass_ops::Rng;
use serde::Serialize;

const PERMUTATIONS: u64 = 2000;

/// A difference in macro F1 between two methods, each with one prediction of the same images a seed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Difference {
    /// Mean over the seeds of the second's macro F1 minus the first's.
    pub difference: f64,
    /// 95 % bootstrap interval over test images, stratified by class, the same draw for all seeds.
    pub interval: Interval,
    /// Two-sided p value of a paired permutation test: an image's two predictions change sides, in
    /// all seeds together; 2,000 draws, so that the lowest is 1/2001.
    pub p_value: f64,
    /// Pairs of runs.
    pub pairs: usize,
    /// Test images of each.
    pub images: usize,
}

/// One seed's pair: predicted classes of both, in the images' order.
struct Pair {
    sides: [Vec<usize>; 2],
}

impl Difference {
    /// Compares `second` with `first`, entry by entry. Interval and test speak for the draw of test
    /// images, given these trained networks.
    ///
    /// # Errors
    /// No pairs, or predictions of other files, labels or classes.
    pub fn between(first: &[&Predictions], second: &[&Predictions], seed: u64) -> Result<Self> {
        if first.len() != second.len() {
            return Err(Error::Length {
                what: "runs",
                found: second.len(),
                expected: first.len(),
            });
        }
        let Some(reference) = first.first() else {
            return Err(Error::NoSamples);
        };
        let mut files: Vec<(&str, usize)> =
            (reference.rows.iter().map(|r| (r.file.as_str(), r.truth))).collect();
        files.sort_unstable();
        let truth: Vec<usize> = files.iter().map(|f| f.1).collect();
        let side = |predictions: &Predictions| {
            let mut rows: Vec<_> = predictions.rows.iter().collect();
            rows.sort_unstable_by_key(|r| (r.file.as_str(), r.truth));
            let same = rows.len() == files.len()
                && rows
                    .iter()
                    .zip(&files)
                    .all(|(r, f)| (r.file.as_str(), r.truth) == *f)
                && predictions.classes == reference.classes;
            if same {
                Ok(rows.iter().map(|r| r.predicted).collect())
            } else {
                Err(Error::OtherImages)
            }
        };
        let pairs = (first.iter().zip(second))
            .map(|(a, b)| {
                Ok(Pair {
                    sides: [side(a)?, side(b)?],
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let classes = reference.classes.len();
        let all: Vec<usize> = (0..truth.len()).collect();
        let kept = vec![false; truth.len()];
        let difference = mean_difference(classes, &truth, &pairs, &all, &kept)?;
        let mut as_far = 0;
        for draw in 0..PERMUTATIONS {
            let mut rng = Rng::new(seed, "permute", [draw, 0], 0);
            let swapped: Vec<bool> = truth.iter().map(|_| rng.bernoulli(0.5)).collect();
            let permuted = mean_difference(classes, &truth, &pairs, &all, &swapped)?;
            // Equal differences may differ by rounding, depending on the order of a sum.
            as_far += u64::from(permuted.abs() >= difference.abs() - 1e-12);
        }
        let mut strata = vec![Vec::new(); classes];
        for (image, &class) in truth.iter().enumerate() {
            strata[class].push(image);
        }
        let interval = Interval::bootstrap(seed, |rng| {
            let drawn: Vec<usize> = (strata.iter())
                .flat_map(|stratum| {
                    stratum
                        .iter()
                        .map(|_| stratum[rng.below(stratum.len())])
                        .collect::<Vec<_>>()
                })
                .collect();
            mean_difference(classes, &truth, &pairs, &drawn, &kept).unwrap_or(difference)
        });
        Ok(Self {
            difference,
            interval,
            p_value: (as_far + 1) as f64 / (PERMUTATIONS + 1) as f64,
            pairs: pairs.len(),
            images: truth.len(),
        })
    }
}

/// Mean over pairs of second minus first, over the `images`, the two of `swapped` ones exchanged.
fn mean_difference(
    classes: usize,
    truth: &[usize],
    pairs: &[Pair],
    images: &[usize],
    swapped: &[bool],
) -> Result<f64> {
    let drawn: Vec<usize> = images.iter().map(|&i| truth[i]).collect();
    let mut sum = 0.0;
    for pair in pairs {
        let score = |side: usize| {
            let of = |&i: &usize| pair.sides[side ^ usize::from(swapped[i])][i];
            let predicted: Vec<usize> = images.iter().map(of).collect();
            Ok::<_, Error>(Confusion::new(classes, &drawn, &predicted)?.f1_macro())
        };
        sum += score(1)? - score(0)?;
    }
    Ok(sum / pairs.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Prediction;

    /// 60 images of two classes, `wrong` of each predicted as the other, in reverse order of files.
    fn predictions(wrong: usize) -> Predictions {
        let row = |i: usize| Prediction {
            file: format!("{i}.png"),
            truth: i % 2,
            predicted: (i % 2) ^ usize::from(i / 2 < wrong),
            probabilities: vec![],
        };
        Predictions {
            classes: ["a", "b"].map(String::from).into(),
            rows: (0..60).rev().map(row).collect(),
        }
    }

    #[test]
    fn a_clear_difference_is_found_and_signed() {
        let (bad, good) = (predictions(15), predictions(3));
        let got = Difference::between(&[&bad, &bad], &[&good, &good], 0).unwrap();
        assert!((got.difference - 0.4).abs() < 1e-12, "{got:?}");
        assert!(got.p_value < 0.001 && got.interval.low > 0.2, "{got:?}");
        let back = Difference::between(&[&good], &[&bad], 0).unwrap();
        assert!((back.difference + 0.4).abs() < 1e-12 && back.interval.high < 0.0);
    }

    #[test]
    fn no_difference_has_p_one() {
        let same = predictions(5);
        let got = Difference::between(&[&same], &[&same], 0).unwrap();
        assert_eq!((got.difference, got.p_value), (0.0, 1.0));
        assert_eq!((got.interval.low, got.interval.high), (0.0, 0.0));
    }

    #[test]
    fn other_images_are_refused() {
        let one = predictions(5);
        let mut other = one.clone();
        other.rows[0].file = "x.png".into();
        let error = Difference::between(&[&one], &[&other], 0).unwrap_err();
        assert!(error.to_string().contains("other test images"), "{error}");
        assert!(Difference::between(&[], &[], 0).is_err());
    }
}
