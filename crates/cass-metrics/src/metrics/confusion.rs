use super::counts::{Counts, macro_mean, ratio};
use crate::{Error, Result};

/// Confusion matrix: how often each class was taken for each, and the scores that follow from that alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    /// Row-major, true class by predicted class.
    counts: Vec<usize>,
}

impl Confusion {
    /// Count `truth` against `predicted`, class indices under `classes`.
    ///
    /// # Errors
    /// No samples, lists of different lengths, or a class index of `classes` or more.
    pub fn new(classes: usize, truth: &[usize], predicted: &[usize]) -> Result<Self> {
        if truth.is_empty() {
            return Err(Error::NoSamples);
        }
        if predicted.len() != truth.len() {
            return Err(Error::Length {
                what: "predictions",
                found: predicted.len(),
                expected: truth.len(),
            });
        }
        let pairs = truth.iter().copied().zip(predicted.iter().copied());
        let mut larger = pairs.clone().map(|(t, p)| t.max(p)).enumerate();
        if let Some((sample, class)) = larger.find(|&(_, class)| class >= classes) {
            return Err(Error::ClassIndex {
                sample,
                class,
                classes,
            });
        }
        Ok(Self::counted(classes, pairs))
    }

    /// Of pairs of a true and a predicted class, each below `classes`.
    pub(crate) fn counted(classes: usize, pairs: impl Iterator<Item = (usize, usize)>) -> Self {
        let mut counts = vec![0; classes * classes];
        for (truth, predicted) in pairs {
            counts[truth * classes + predicted] += 1;
        }
        Self { classes, counts }
    }

    /// Of two classes.
    pub(super) fn of_two(counts: [[usize; 2]; 2]) -> Self {
        let counts = counts.concat();
        Self { classes: 2, counts }
    }

    /// One row for each true class, with a column for each predicted class.
    pub fn rows(&self) -> impl Iterator<Item = &[usize]> {
        self.counts.chunks_exact(self.classes)
    }

    /// Share of samples whose class was predicted, in [0, 1].
    pub fn accuracy(&self) -> f64 {
        ratio(self.right(), self.samples())
    }

    /// Mean recall of the classes that occur, in [0, 1]; a class without samples does not count.
    pub fn balanced_accuracy(&self) -> f64 {
        let mut present = self.class_counts();
        present.retain(|c| c.support() > 0);
        macro_mean(&present, Counts::recall)
    }

    /// Mean F1 over all classes, in [0, 1]; a class neither true nor predicted counts as 0.
    pub fn f1_macro(&self) -> f64 {
        macro_mean(&self.class_counts(), Counts::f1)
    }

    /// Cohen's kappa, in [-1, 1]: agreement beyond what the class frequencies give by chance.
    /// `None` where chance already agrees always, that is where truth and prediction are one class.
    pub fn kappa(&self) -> Option<f64> {
        let n = self.samples() as f64;
        let chance: f64 = (self.class_counts().iter())
            .map(|c| c.support() as f64 * (c.true_positives + c.false_positives) as f64)
            .sum();
        let (disagreed, by_chance) = (n - self.right() as f64, n - chance / n);
        (by_chance > 0.0).then(|| 1.0 - disagreed / by_chance)
    }

    pub(super) fn class_counts(&self) -> Vec<Counts> {
        let predicted = |p| self.rows().map(|row| row[p]).sum::<usize>();
        let of = |(class, row): (usize, &[usize])| Counts {
            true_positives: row[class],
            false_positives: predicted(class) - row[class],
            false_negatives: row.iter().sum::<usize>() - row[class],
        };
        self.rows().enumerate().map(of).collect()
    }

    /// The same row sums, each sample of a row drawn anew by `draw(row sum)`, an index into the row's
    /// samples.
    pub(super) fn resampled(&self, mut draw: impl FnMut(usize) -> usize) -> Self {
        let mut counts = vec![0; self.counts.len()];
        for (row, new) in self.rows().zip(counts.chunks_exact_mut(self.classes)) {
            let samples: Vec<usize> = (row.iter().enumerate())
                .flat_map(|(predicted, &n)| std::iter::repeat_n(predicted, n))
                .collect();
            for _ in 0..samples.len() {
                new[samples[draw(samples.len())]] += 1;
            }
        }
        Self { counts, ..*self }
    }

    fn samples(&self) -> usize {
        self.counts.iter().sum()
    }

    fn right(&self) -> usize {
        self.counts.iter().step_by(self.classes + 1).sum()
    }
}
