use super::Confusion;

/// How often one class was given rightly, given wrongly and missed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) true_positives: usize,
    pub(super) false_positives: usize,
    pub(super) false_negatives: usize,
}

impl Counts {
    pub(super) fn precision(self) -> f64 {
        ratio(
            self.true_positives,
            self.true_positives + self.false_positives,
        )
    }

    pub(super) fn recall(self) -> f64 {
        ratio(self.true_positives, self.support())
    }

    /// Share of the samples of this class that were found; `None` of none.
    pub(super) fn sensitivity(self) -> Option<f64> {
        (self.support() > 0).then(|| self.recall())
    }

    /// Share of the other ones, of `samples` in all, that were not taken for it; `None` of none.
    pub(super) fn specificity(self, samples: usize) -> Option<f64> {
        let [[rejected, alarms], _] = self.matrix(samples);
        (rejected + alarms > 0).then(|| ratio(rejected, rejected + alarms))
    }

    pub(super) fn f1(self) -> f64 {
        let twice = 2 * self.true_positives;
        ratio(twice, twice + self.false_positives + self.false_negatives)
    }

    /// Samples of this class.
    pub(super) fn support(self) -> usize {
        self.true_positives + self.false_negatives
    }

    /// Rows: absent, present; columns: not predicted, predicted.
    pub(super) fn matrix(self, samples: usize) -> [[usize; 2]; 2] {
        let said = self.support() + self.false_positives;
        let absent = [samples - said, self.false_positives];
        [absent, [self.false_negatives, self.true_positives]]
    }

    /// The class against its absence, as two classes.
    pub(super) fn against_absence(self, samples: usize) -> Confusion {
        Confusion::of_two(self.matrix(samples))
    }

    /// Of all classes together: what a micro average is made of.
    pub(super) fn sum(classes: &[Self]) -> Self {
        classes.iter().fold(Self::default(), |a, b| Self {
            true_positives: a.true_positives + b.true_positives,
            false_positives: a.false_positives + b.false_positives,
            false_negatives: a.false_negatives + b.false_negatives,
        })
    }
}

/// `part / whole`, and 0 where that is 0/0: scikit-learn's `zero_division=0`.
pub(super) fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

/// The mean over classes.
pub(super) fn macro_mean(classes: &[Counts], score: fn(Counts) -> f64) -> f64 {
    classes.iter().map(|&c| score(c)).sum::<f64>() / classes.len() as f64
}

/// The mean over classes weighted by their samples; 0 without samples.
pub(super) fn weighted_mean(classes: &[Counts], score: fn(Counts) -> f64) -> f64 {
    let support = Counts::sum(classes).support();
    let weighted = classes.iter().map(|&c| score(c) * c.support() as f64);
    weighted.sum::<f64>() / support.max(1) as f64
}
