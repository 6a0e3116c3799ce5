//! Whether one set of predictions is better than another of the same images.

use crate::metrics::{Interval, f1_macro_of};
use crate::resample::Units;
use crate::{Error, Groups, MultiLabelPredictions, Result};
use cass_rng::Rng;
use serde::{Deserialize, Serialize};
use std::fmt;

const PERMUTATIONS: u64 = 2000;

/// Trainings that have to agree before a method is said to help or hurt.
const ENOUGH: usize = 3;

/// A difference in macro F1 between two methods, each with one set of predictions for each seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Mean over the seeds of the second method's macro F1 minus the first's.
    pub difference: f64,
    /// Mean macro F1 of the first method over these seeds.
    pub first: f64,
    /// Mean macro F1 of the second method over these seeds.
    pub second: f64,
    /// 95 % bootstrap interval over test images (over groups, where there are any), given these trainings.
    pub interval: Interval,
    /// 95 % bootstrap interval over seeds, then groups, then images: what another training on other test images
    /// may give. `None` with one seed.
    pub interval_with_seeds: Option<Interval>,
    /// Two-sided p value of a paired permutation test, given these trainings: the two predictions of an image, or of all
    /// images of a group, change sides, in all seeds together; 2,000 draws, so that the lowest is 1/2001.
    pub p_value: f64,
    /// Whether the second method scores better, worse or neither.
    pub outcome: Outcome,
    /// Seeds.
    pub pairs: usize,
    /// Test images of each seed; of the first where they differ.
    pub images: usize,
    /// Groups of these images, where there are any.
    pub groups: Option<usize>,
}

/// What can be said of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Better, whichever of the seeds, groups and images are drawn.
    Helped,
    /// Worse, whichever are drawn.
    Hurt,
    /// Neither can be told from these seeds and images.
    Unclear,
    /// There are fewer than three seeds, so that nothing can be said of another training.
    FewSeeds,
}

/// One seed's pair: of each image, in the order of names, the true classes and what either predicted.
struct Pair<'a> {
    files: Vec<&'a str>,
    truth: Vec<&'a [bool]>,
    sides: [Vec<&'a [bool]>; 2],
    units: Units,
}

impl Difference {
    /// Compares `second` with `first`, entry by entry; [`Predictions`](crate::Predictions) convert. The two of an
    /// entry are of the same images; those of another entry may be of others, as where each seed has a split of
    /// its own.
    ///
    /// # Errors
    /// No pairs, or a pair of other files, labels or classes.
    pub fn between(
        first: &[&MultiLabelPredictions],
        second: &[&MultiLabelPredictions],
        groups: Option<&Groups>,
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
        let classes = reference.classes.len();
        if !first
            .iter()
            .chain(second)
            .all(|p| p.classes == reference.classes)
        {
            return Err(Error::OtherImages);
        }
        let pairs = first
            .iter()
            .zip(second)
            .map(|(a, b)| Pair::of(a, b, groups));
        let pairs = pairs.collect::<Result<Vec<_>>>()?;
        if pairs.iter().any(|pair| pair.files.is_empty()) {
            return Err(Error::NoSamples);
        }
        let all = Sets::all(&pairs);
        let kept = vec![false; pairs.iter().map(|p| p.files.len()).max().unwrap_or(0)];
        let of_pair = |place: usize, images: &[usize], swapped: &[bool]| {
            let [a, b] = [0, 1].map(|side| pairs[place].f1_macro(classes, side, images, swapped));
            (a, b)
        };
        let mean = |places: &[usize], sets: &Sets, swapped: &Sets<bool>| {
            let of = |&place: &usize| {
                let (a, b) = of_pair(place, sets.of(place), swapped.of(place));
                b - a
            };
            places.iter().map(of).sum::<f64>() / places.len() as f64
        };
        let places: Vec<usize> = (0..pairs.len()).collect();
        let kept = Sets::Shared(kept);
        let difference = mean(&places, &all, &kept);
        let mut as_far = 0;
        for draw in 0..PERMUTATIONS {
            let mut rng = Rng::new(seed, "permute", [draw, 0], 0);
            let swapped = Sets::of_each(&pairs, |units| units.chosen(|| rng.bernoulli(0.5)));
            // Equal differences may differ by rounding, depending on the order of a sum.
            as_far += u64::from(mean(&places, &all, &swapped).abs() >= difference.abs() - 1e-12);
        }
        let interval = Interval::bootstrap(seed, |rng| {
            let sets = Sets::of_each(&pairs, |units| units.draw(rng));
            mean(&places, &sets, &kept)
        });
        let interval_with_seeds = (pairs.len() > 1).then(|| {
            Interval::bootstrap(seed, |rng| {
                let places: Vec<usize> = places.iter().map(|_| rng.below(pairs.len())).collect();
                let sets = Sets::of_each(&pairs, |units| units.draw_within(rng));
                mean(&places, &sets, &kept)
            })
        });
        let level = |side: fn((f64, f64)) -> f64| {
            let of = |&place: &usize| side(of_pair(place, all.of(place), kept.of(place)));
            places.iter().map(of).sum::<f64>() / places.len() as f64
        };
        Ok(Self {
            difference,
            first: level(|(a, _)| a),
            second: level(|(_, b)| b),
            interval,
            interval_with_seeds,
            p_value: (as_far + 1) as f64 / (PERMUTATIONS + 1) as f64,
            outcome: Outcome::of(pairs.len(), interval_with_seeds),
            pairs: pairs.len(),
            images: pairs[0].files.len(),
            groups: (pairs[0].units.name() == "groups").then(|| pairs[0].units.len()),
        })
    }
}

impl Outcome {
    fn of(pairs: usize, interval: Option<Interval>) -> Self {
        match interval {
            Some(_) if pairs < ENOUGH => Self::FewSeeds,
            None => Self::FewSeeds,
            Some(Interval { low, .. }) if low > 0.0 => Self::Helped,
            Some(Interval { high, .. }) if high < 0.0 => Self::Hurt,
            Some(_) => Self::Unclear,
        }
    }
}

/// One sentence without a full stop: what is known, and what is not.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given = |i: &Interval| format!("{:+.4} to {:+.4}", i.low, i.high);
        let units = match self.groups {
            Some(groups) => format!("{} test images of {groups} groups", self.images),
            None => format!("{} test images", self.images),
        };
        let (d, over_images) = (self.difference, given(&self.interval));
        let few = match self.pairs {
            1 => "on this one training",
            _ => "on these two trainings",
        };
        let said = match (self.outcome, &self.interval_with_seeds) {
            (Outcome::FewSeeds, _) | (_, None) => {
                return write!(
                    f,
                    "{few}: {d:+.4} F1 macro (95 % over {units} {over_images}); how much another training \
                     differs is unknown: at least {ENOUGH} seeds can tell"
                );
            }
            (Outcome::Helped, Some(i)) => ("helped", i),
            (Outcome::Hurt, Some(i)) => ("hurt", i),
            (Outcome::Unclear, Some(i)) => ("no difference that these seeds and images show", i),
        };
        write!(
            f,
            "{}, {d:+.4} F1 macro (95 % over {} seeds and {units} {})",
            said.0,
            self.pairs,
            given(said.1)
        )
    }
}

/// A list for each pair: places of images, or flags of images.
enum Sets<T = usize> {
    /// One value for all, as they have the same images.
    Shared(Vec<T>),
    Each(Vec<Vec<T>>),
}

impl Sets {
    /// The images of each pair as they are.
    fn all(pairs: &[Pair]) -> Self {
        Self::Each(
            pairs
                .iter()
                .map(|pair| (0..pair.files.len()).collect())
                .collect(),
        )
    }
}

impl<T> Sets<T> {
    /// What `make` gives for each pair, once where all have the same images: these are drawn for all together.
    fn of_each(pairs: &[Pair], mut make: impl FnMut(&Units) -> Vec<T>) -> Self {
        let shared = |pair: &Pair| pair.files == pairs[0].files && pair.truth == pairs[0].truth;
        if pairs.iter().all(shared) {
            return Self::Shared(make(&pairs[0].units));
        }
        Self::Each(pairs.iter().map(|pair| make(&pair.units)).collect())
    }

    fn of(&self, place: usize) -> &[T] {
        match self {
            Self::Shared(list) => list,
            Self::Each(lists) => &lists[place],
        }
    }
}

impl<'a> Pair<'a> {
    fn of(
        a: &'a MultiLabelPredictions,
        b: &'a MultiLabelPredictions,
        groups: Option<&Groups>,
    ) -> Result<Self> {
        let in_order = |p: &'a MultiLabelPredictions| {
            let files = p.files.iter().map(String::as_str);
            let mut rows: Vec<_> = files.zip(p.rows()).collect();
            rows.sort_unstable();
            rows
        };
        let [a, b] = [a, b].map(in_order);
        let mut pairs = a.iter().zip(&b);
        if a.len() != b.len() || !pairs.all(|(a, b)| (a.0, a.1.0) == (b.0, b.1.0)) {
            return Err(Error::OtherImages);
        }
        let files: Vec<&str> = a.iter().map(|row| row.0).collect();
        let truth: Vec<&[bool]> = a.iter().map(|row| row.1.0).collect();
        Ok(Self {
            units: Units::of(files.iter().copied(), truth.iter().copied(), groups),
            sides: [a, b].map(|rows| rows.iter().map(|row| row.1.1).collect()),
            files,
            truth,
        })
    }

    /// The macro F1 of one side over `images`, the two sides of `swapped` ones exchanged.
    fn f1_macro(&self, classes: usize, side: usize, images: &[usize], swapped: &[bool]) -> f64 {
        let row = |&i: &usize| {
            let side = side ^ usize::from(swapped[i]);
            (self.truth[i], self.sides[side][i])
        };
        f1_macro_of(classes, images.iter().map(row))
    }
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
    fn three_seeds_that_agree_help_and_one_cannot_say() {
        let (bad, good) = (predictions(15), predictions(3));
        let between =
            |first: &[_], second: &[_]| Difference::between(first, second, None, 0).unwrap();
        let got = between(&[&bad; 3], &[&good; 3]);
        assert!((got.difference - 0.4).abs() < 1e-12, "{got:?}");
        assert!((got.second - got.first - 0.4).abs() < 1e-12, "{got:?}");
        assert!(got.p_value < 0.001 && got.interval.low > 0.2, "{got:?}");
        assert_eq!(got.outcome, Outcome::Helped);
        assert!(
            got.to_string()
                .starts_with("helped, +0.4000 F1 macro (95 % over 3 seeds"),
            "{got}"
        );
        assert_eq!(between(&[&good; 3], &[&bad; 3]).outcome, Outcome::Hurt);
        assert_eq!(between(&[&bad; 2], &[&good; 2]).outcome, Outcome::FewSeeds);
        let one = between(&[&bad], &[&good]);
        assert_eq!(
            (one.outcome, one.interval_with_seeds),
            (Outcome::FewSeeds, None)
        );
        let said = one.to_string();
        assert!(said.starts_with("on this one training: +0.4000"), "{said}");
        assert!(
            said.contains("another training differs is unknown"),
            "{said}"
        );
    }

    #[test]
    fn seeds_that_disagree_are_no_help() {
        let (bad, good) = (predictions(15), predictions(3));
        let first = [&bad, &good, &bad];
        let got = Difference::between(&first, &[&good, &bad, &good], None, 0).unwrap();
        assert!(got.difference > 0.1 && got.interval.low > 0.0, "{got:?}");
        assert_eq!(got.outcome, Outcome::Unclear);
    }

    #[test]
    fn no_difference_has_p_one() {
        let same = predictions(5);
        let got = Difference::between(&[&same], &[&same], None, 0).unwrap();
        assert_eq!((got.difference, got.p_value), (0.0, 1.0));
        assert_eq!((got.interval.low, got.interval.high), (0.0, 0.0));
    }

    #[test]
    fn images_of_one_patient_are_drawn_together() {
        let (bad, good) = (predictions(15), predictions(3));
        let groups: Groups = (0..60)
            .map(|i| (format!("{i}.png"), format!("p{}", i / 10)))
            .collect();
        let between = |groups| Difference::between(&[&bad], &[&good], groups, 0).unwrap();
        let (patients, images) = (between(Some(&groups)), between(None));
        assert_eq!((patients.groups, images.groups), (Some(6), None));
        let width = |d: &Difference| d.interval.high - d.interval.low;
        assert!(width(&patients) > width(&images));
        assert!(patients.p_value > images.p_value);
    }

    #[test]
    fn every_seed_may_have_images_of_its_own() {
        let renamed = |wrong| {
            let mut p = predictions(wrong);
            p.files.iter_mut().for_each(|file| file.insert(0, 'x'));
            p
        };
        let (bad, good, other_bad, other_good) =
            (predictions(15), predictions(3), renamed(15), renamed(3));
        let first = [&bad, &other_bad, &bad];
        let second = [&good, &other_good, &good];
        let got = Difference::between(&first, &second, None, 0).unwrap();
        assert_eq!(got.outcome, Outcome::Helped);
        let error = Difference::between(&[&bad], &[&other_good], None, 0).unwrap_err();
        assert!(error.to_string().contains("other test images"), "{error}");
        assert!(Difference::between(&[], &[], None, 0).is_err());
    }
}
