//! Whether one set of predictions is better than another of the same images.

use crate::{Error, Interval, MultiLabelPredictions, Result, metrics::multi_label_f1_macro};
use cass_rng::Rng;
use serde::Serialize;
use std::collections::BTreeMap;

const PERMUTATIONS: u64 = 2000;

/// A difference in macro F1 between two methods, each with one prediction of the same images a seed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Difference {
    /// Mean over the seeds of the second's macro F1 minus the first's.
    pub difference: f64,
    /// 95 % bootstrap interval over test images, stratified by true classes, the same draw for all
    /// seeds.
    pub interval: Interval,
    /// Two-sided p value of a paired permutation test: an image's two predictions change sides, in
    /// all seeds together; 2,000 draws, so that the lowest is 1/2001.
    pub p_value: f64,
    /// Pairs of runs.
    pub pairs: usize,
    /// Test images of each.
    pub images: usize,
}

/// One seed's pair: of each image, in order, the classes that either predicted.
struct Pair<'a> {
    sides: [Vec<&'a [bool]>; 2],
}

impl Difference {
    /// Compares `second` with `first`, entry by entry; [`Predictions`](crate::Predictions) convert.
    /// Interval and test speak for the draw of test images, given these trained networks.
    ///
    /// # Errors
    /// No pairs, or predictions of other files, labels or classes.
    pub fn between(
        first: &[&MultiLabelPredictions],
        second: &[&MultiLabelPredictions],
        seed: u64,
    ) -> Result<Self> {
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
        let files = in_order(reference, &reference.truth);
        let same = |p: &MultiLabelPredictions| {
            p.classes == reference.classes && in_order(p, &p.truth) == files
        };
        if !first.iter().chain(second).all(|p| same(p)) {
            return Err(Error::OtherImages);
        }
        let truth: Vec<&[bool]> = files.into_iter().map(|f| f.1).collect();
        let pairs: Vec<Pair> = (first.iter().zip(second))
            .map(|(a, b)| Pair {
                sides: [a, b].map(|p| predicted_in_order(p)),
            })
            .collect();
        let difference = |images: &[usize], swapped: &[bool]| {
            mean_difference(reference.classes.len(), &truth, &pairs, images, swapped)
        };
        let all: Vec<usize> = (0..truth.len()).collect();
        let kept = vec![false; truth.len()];
        let observed = difference(&all, &kept);
        let mut as_far = 0;
        for draw in 0..PERMUTATIONS {
            let mut rng = Rng::new(seed, "permute", [draw, 0], 0);
            let swapped: Vec<bool> = truth.iter().map(|_| rng.bernoulli(0.5)).collect();
            // Equal differences may differ by rounding, depending on the order of a sum.
            as_far += u64::from(difference(&all, &swapped).abs() >= observed.abs() - 1e-12);
        }
        let mut strata = BTreeMap::<&[bool], Vec<usize>>::new();
        for (image, classes) in truth.iter().enumerate() {
            strata.entry(classes).or_default().push(image);
        }
        let interval = Interval::bootstrap(seed, |rng| {
            let mut drawn = Vec::with_capacity(truth.len());
            for stratum in strata.values() {
                drawn.extend(stratum.iter().map(|_| stratum[rng.below(stratum.len())]));
            }
            difference(&drawn, &kept)
        });
        Ok(Self {
            difference: observed,
            interval,
            p_value: (as_far + 1) as f64 / (PERMUTATIONS + 1) as f64,
            pairs: pairs.len(),
            images: truth.len(),
        })
    }
}

/// Each file with its row of `flags`, by name.
fn in_order<'a>(p: &'a MultiLabelPredictions, flags: &'a [bool]) -> Vec<(&'a str, &'a [bool])> {
    let names = p.files.iter().map(String::as_str);
    let mut rows: Vec<_> = names.zip(flags.chunks(p.classes.len().max(1))).collect();
    rows.sort_unstable();
    rows
}

/// What was predicted of each file, in the order in which [`in_order`] has the truth.
fn predicted_in_order(p: &MultiLabelPredictions) -> Vec<&[bool]> {
    let k = p.classes.len().max(1);
    let truth = p.files.iter().zip(p.truth.chunks(k));
    let mut rows: Vec<_> = truth.zip(p.predicted.chunks(k)).collect();
    rows.sort_unstable();
    rows.into_iter().map(|(_, predicted)| predicted).collect()
}

/// Mean over pairs of second minus first, over the `images`, the two of `swapped` ones exchanged.
fn mean_difference(
    classes: usize,
    truth: &[&[bool]],
    pairs: &[Pair],
    images: &[usize],
    swapped: &[bool],
) -> f64 {
    let drawn: Vec<bool> = images.iter().flat_map(|&i| truth[i]).copied().collect();
    let difference = |pair: &Pair| {
        let score = |side: usize| {
            let of = |&i: &usize| pair.sides[side ^ usize::from(swapped[i])][i];
            let predicted: Vec<bool> = images.iter().flat_map(of).copied().collect();
            multi_label_f1_macro(classes, &drawn, &predicted)
        };
        score(1) - score(0)
    };
    pairs.iter().map(difference).sum::<f64>() / pairs.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Prediction, Predictions};

    /// 60 images of two classes, `wrong` of each predicted as the other, in reverse order of files.
    fn predictions(wrong: usize) -> MultiLabelPredictions {
        let row = |i: usize| Prediction {
            file: format!("{i}.png"),
            truth: i % 2,
            predicted: (i % 2) ^ usize::from(i / 2 < wrong),
            probabilities: vec![],
        };
        MultiLabelPredictions::from(&Predictions {
            classes: ["a", "b"].map(String::from).into(),
            rows: (0..60).rev().map(row).collect(),
        })
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
        other.files[0] = "x.png".into();
        let error = Difference::between(&[&one], &[&other], 0).unwrap_err();
        assert!(error.to_string().contains("other test images"), "{error}");
        assert!(Difference::between(&[], &[], 0).is_err());
    }
}
