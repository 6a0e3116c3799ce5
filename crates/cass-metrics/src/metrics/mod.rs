//! Metrics over labels, predictions and probabilities.

mod calibration;
mod confusion;
mod counts;
mod interval;
mod ranking;
#[cfg(test)]
mod tests;

pub use calibration::{ReliabilityBin, expected_calibration_error, reliability_curve};
pub use confusion::Confusion;
pub use interval::{Interval, NotGiven};
pub use ranking::{auroc, average_precision, precision_recall_curve, roc_curve};

use crate::{Error, Result};
use counts::{Counts, macro_mean, weighted_mean};
use serde::{Deserialize, Serialize};

/// Metrics of predictions of one class for each sample. Equal to scikit-learn 1.9 with all classes as
/// `labels` and `zero_division=0`; where that warns or has no value, the field says what stands here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Number of samples.
    pub samples: usize,
    /// Share of samples whose class was predicted.
    pub accuracy: f64,
    /// Mean recall of the classes that occur.
    pub balanced_accuracy: f64,
    /// Precision, recall, F1 and ranking scores over the classes.
    #[serde(flatten)]
    pub averages: Averages,
    /// Cohen's kappa; `None` where truth and prediction are one and the same class.
    pub kappa: Option<f64>,
    /// Expected calibration error of the predicted class's probability, 15 bins; `None` without
    /// probabilities.
    pub ece: Option<f64>,
    /// One entry for each class, in the order of the classes.
    pub per_class: Vec<ClassMetrics>,
    /// One row for each true class, with a column for each predicted class.
    pub confusion: Vec<Vec<usize>>,
}

/// Metrics of predictions of any number of classes for each sample. As [`Metrics`] otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MultiLabelMetrics {
    /// Number of samples.
    pub samples: usize,
    /// Share of samples whose every class was predicted rightly.
    pub accuracy: f64,
    /// Mean over the classes of what `balanced_accuracy` is of a class against its absence: the mean
    /// of the recalls of both, or of the one that occurs.
    pub balanced_accuracy: f64,
    /// Precision, recall, F1 and ranking scores over the classes.
    #[serde(flatten)]
    pub averages: Averages,
    /// Mean over the classes of Cohen's kappa of a class against its absence, where it is defined;
    /// `None` where it is for none.
    pub kappa: Option<f64>,
    /// Expected calibration error of every sample's probability of every class, 15 bins; `None`
    /// without probabilities.
    pub ece: Option<f64>,
    /// One entry for each class, in the order of the classes.
    pub per_class: Vec<ClassMetrics>,
    /// One matrix for each class: a row for absent and one for present, a column for not predicted and one
    /// for predicted (`sklearn.metrics.multilabel_confusion_matrix`).
    pub confusion: Vec<[[usize; 2]; 2]>,
}

/// Scores averaged over classes, each in [0, 1]: `macro` weighs classes equally, `weighted` by their
/// samples, `micro` counts decisions over all classes together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are the definition")]
pub struct Averages {
    pub precision_macro: f64,
    pub precision_micro: f64,
    pub precision_weighted: f64,
    pub recall_macro: f64,
    pub recall_micro: f64,
    pub recall_weighted: f64,
    pub f1_macro: f64,
    pub f1_micro: f64,
    pub f1_weighted: f64,
    /// Mean AUROC of each class against the rest, over the classes where it is defined; `None` where there are
    /// none, and without probabilities.
    pub auroc_macro: Option<f64>,
    /// Mean average precision, over the classes as `auroc_macro`.
    pub average_precision_macro: Option<f64>,
}

/// Scores of one class against the rest, in [0, 1].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassMetrics {
    /// Name of the class.
    pub class: String,
    /// Share of this class's predictions that are right; 0 if it was never predicted.
    pub precision: f64,
    /// Share of this class's samples that were found; 0 if it has none.
    pub recall: f64,
    /// Harmonic mean of precision and recall; 0 if it was neither true nor predicted.
    pub f1: f64,
    /// Share of this class's samples that were found; `None` if it has none.
    #[serde(default)]
    pub sensitivity: Option<f64>,
    /// Share of the other samples that were not taken for this class; `None` if there are none.
    #[serde(default)]
    pub specificity: Option<f64>,
    /// Samples of this class.
    pub support: usize,
    /// [`auroc`] of its probabilities; `None` if they are missing or all samples are on one side.
    pub auroc: Option<f64>,
    /// [`average_precision`] of its probabilities, the area under their [`precision_recall_curve`];
    /// `None` as for `auroc`.
    pub average_precision: Option<f64>,
}

impl Metrics {
    /// Compare `predicted` with `truth`, class indices into `classes`, one a sample. `probabilities`
    /// is row-major with shape (samples, classes), each in [0, 1]; rows need not sum to 1.
    ///
    /// # Errors
    /// No samples, lists that do not fit each other, a class index or probability out of range.
    pub fn of(
        classes: &[String],
        truth: &[usize],
        predicted: &[usize],
        probabilities: Option<&[f64]>,
    ) -> Result<Self> {
        let k = classes.len();
        let confusion = Confusion::new(k, truth, predicted)?;
        check_probabilities(probabilities, truth.len(), k)?;
        let counts = confusion.class_counts();
        let per_class = per_class(classes, &counts, probabilities, &[], |class| {
            truth.iter().map(|&t| t == class).collect()
        });
        let ece = probabilities.map(|p| {
            let confidence: Vec<f64> = p.chunks(k).zip(predicted).map(|(row, &p)| row[p]).collect();
            let right: Vec<bool> = truth.iter().zip(predicted).map(|(t, p)| t == p).collect();
            expected_calibration_error(&confidence, &right)
        });
        Ok(Self {
            samples: truth.len(),
            accuracy: confusion.accuracy(),
            balanced_accuracy: confusion.balanced_accuracy(),
            averages: Averages::of(&counts, &per_class),
            kappa: confusion.kappa(),
            ece,
            per_class,
            confusion: confusion.rows().map(<[_]>::to_vec).collect(),
        })
    }
}

impl MultiLabelMetrics {
    /// Compare `predicted` with `truth`, both row-major with shape (samples, classes), as is
    /// `probabilities`. Rows without any class are allowed on either side.
    ///
    /// # Errors
    /// No samples, lists that do not fit each other, or a probability out of [0, 1].
    pub fn of(
        classes: &[String],
        truth: &[bool],
        predicted: &[bool],
        probabilities: Option<&[f64]>,
    ) -> Result<Self> {
        Self::of_known(
            classes,
            truth,
            predicted,
            probabilities,
            &vec![true; truth.len()],
        )
    }

    /// The same where not all of the truth is known: `known`, of the same shape, says what is. What is
    /// not counts in no metric.
    ///
    /// # Errors
    /// As [`MultiLabelMetrics::of`].
    pub fn of_known(
        classes: &[String],
        truth: &[bool],
        predicted: &[bool],
        probabilities: Option<&[f64]>,
        known: &[bool],
    ) -> Result<Self> {
        let k = classes.len();
        if truth.is_empty() || k == 0 {
            return Err(Error::NoSamples);
        }
        let samples = truth.len() / k;
        check_length("true labels", truth.len(), samples * k)?;
        check_length("predicted labels", predicted.len(), truth.len())?;
        check_length("flags of what is known", known.len(), truth.len())?;
        check_probabilities(probabilities, samples, k)?;
        let both = |flags: &[bool]| -> Vec<bool> {
            flags
                .iter()
                .zip(known)
                .map(|(flag, known)| *flag && *known)
                .collect()
        };
        let (truth, predicted) = (&both(truth)[..], &both(predicted)[..]);
        let counts = decisions(k, truth.chunks(k).zip(predicted.chunks(k)));
        let per_class = per_class(classes, &counts, probabilities, known, |class| {
            column(truth, known, class, k)
        });
        let right = truth.chunks(k).zip(predicted.chunks(k));
        let samples_of: Vec<usize> = (0..k)
            .map(|class| column(known, known, class, k).len())
            .collect();
        let binary = counts.iter().zip(&samples_of);
        let binary = binary.map(|(c, samples)| c.against_absence(*samples));
        let binary: Vec<Confusion> = binary.collect();
        let kappas: Vec<f64> = binary.iter().filter_map(Confusion::kappa).collect();
        let balanced = binary.iter().map(Confusion::balanced_accuracy);
        Ok(Self {
            samples,
            accuracy: right.filter(|(t, p)| t == p).count() as f64 / samples as f64,
            balanced_accuracy: balanced.sum::<f64>() / k as f64,
            averages: Averages::of(&counts, &per_class),
            kappa: mean(&kappas),
            ece: probabilities.map(|p| {
                expected_calibration_error(&column(p, known, 0, 1), &column(truth, known, 0, 1))
            }),
            per_class,
            confusion: counts
                .iter()
                .zip(&samples_of)
                .map(|(c, n)| c.matrix(*n))
                .collect(),
        })
    }
}

/// Macro F1 of true and predicted flags, both row-major with shape (samples, `classes`), in [0, 1].
///
/// `classes` is at least 1; an empty list of flags has 0.
pub fn multi_label_f1_macro(classes: usize, truth: &[bool], predicted: &[bool]) -> f64 {
    f1_macro_of(
        classes,
        truth.chunks(classes).zip(predicted.chunks(classes)),
    )
}

/// Macro F1 over rows of true and predicted flags.
pub(crate) fn f1_macro_of<'a>(
    classes: usize,
    rows: impl Iterator<Item = (&'a [bool], &'a [bool])>,
) -> f64 {
    macro_mean(&decisions(classes, rows), Counts::f1)
}

/// `None` of nothing.
fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Counts of each class over rows of true and predicted flags.
fn decisions<'a>(
    classes: usize,
    rows: impl Iterator<Item = (&'a [bool], &'a [bool])>,
) -> Vec<Counts> {
    let mut counts = vec![Counts::default(); classes];
    for (truth, predicted) in rows {
        for (class, (&t, &p)) in counts.iter_mut().zip(truth.iter().zip(predicted)) {
            class.true_positives += usize::from(t && p);
            class.false_positives += usize::from(!t && p);
            class.false_negatives += usize::from(t && !p);
        }
    }
    counts
}

impl Averages {
    fn of(counts: &[Counts], per_class: &[ClassMetrics]) -> Self {
        let all = Counts::sum(counts);
        let defined_mean = |score: fn(&ClassMetrics) -> Option<f64>| {
            mean(&per_class.iter().filter_map(score).collect::<Vec<_>>())
        };
        Self {
            precision_macro: macro_mean(counts, Counts::precision),
            precision_micro: all.precision(),
            precision_weighted: weighted_mean(counts, Counts::precision),
            recall_macro: macro_mean(counts, Counts::recall),
            recall_micro: all.recall(),
            recall_weighted: weighted_mean(counts, Counts::recall),
            f1_macro: macro_mean(counts, Counts::f1),
            f1_micro: all.f1(),
            f1_weighted: weighted_mean(counts, Counts::f1),
            auroc_macro: defined_mean(|c| c.auroc),
            average_precision_macro: defined_mean(|c| c.average_precision),
        }
    }
}

/// What is known of every `step`-th value from `first` on.
fn column<T: Copy>(values: &[T], known: &[bool], first: usize, step: usize) -> Vec<T> {
    let both = values.iter().zip(known).skip(first).step_by(step);
    both.filter(|(_, known)| **known).map(|(v, _)| *v).collect()
}

/// Each class against the rest; `positive(class)` says which samples are of it. `known` is empty where
/// all is.
fn per_class(
    classes: &[String],
    counts: &[Counts],
    probabilities: Option<&[f64]>,
    known: &[bool],
    positive: impl Fn(usize) -> Vec<bool>,
) -> Vec<ClassMetrics> {
    let scores = |class| -> Option<Vec<f64>> {
        let (all, step) = (probabilities?, classes.len());
        Some(match known {
            [] => all.iter().skip(class).step_by(step).copied().collect(),
            known => column(all, known, class, step),
        })
    };
    let of = |(class, (name, counts)): (usize, (&String, &Counts))| {
        let (scores, positive) = (scores(class), positive(class));
        let rank = |f: fn(&[f64], &[bool]) -> Option<f64>| f(scores.as_ref()?, &positive);
        ClassMetrics {
            class: name.clone(),
            precision: counts.precision(),
            recall: counts.recall(),
            f1: counts.f1(),
            sensitivity: counts.sensitivity(),
            specificity: counts.specificity(positive.len()),
            support: counts.support(),
            auroc: rank(auroc),
            average_precision: rank(average_precision),
        }
    };
    classes.iter().zip(counts).enumerate().map(of).collect()
}

fn check_length(what: &'static str, found: usize, expected: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::Length {
        what,
        found,
        expected,
    })
}

fn check_probabilities(
    probabilities: Option<&[f64]>,
    samples: usize,
    classes: usize,
) -> Result<()> {
    let Some(values) = probabilities else {
        return Ok(());
    };
    check_length("probabilities", values.len(), samples * classes)?;
    match values.iter().position(|v| !(0.0..=1.0).contains(v)) {
        None => Ok(()),
        Some(place) => Err(Error::Probability {
            sample: place / classes,
            value: values[place],
        }),
    }
}
