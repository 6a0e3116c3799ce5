//! What was said of the images of a part, next to what is true of them.

use super::parts::Parts;
use super::recipe::{ProbeMode, ProbeRecipe};
use crate::{Error, Result};
use candle_core::{D, DType, Tensor};
use candle_nn::ops::{sigmoid, softmax};
use cass_data::dataset::{Dataset, Part};
use cass_metrics::metrics::{
    Confusion, Interval, Metrics, MultiLabelMetrics, NotGiven, multi_label_f1_macro,
};
use cass_metrics::{Groups, MultiLabelPredictions, Prediction, Predictions};
use cass_run::RunDir;
use cass_run::names::{GROUPS, PREDICTIONS};
use cass_train::methods::FocalForm;
use serde::{Deserialize, Serialize};

/// What was said of one image.
pub(crate) struct Decision {
    /// Ascending; exactly one where images have one class.
    pub(crate) classes: Vec<usize>,
    /// Probability of each class, in [0, 1].
    pub(crate) probabilities: Vec<f64>,
}

/// Metrics of either kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AnyMetrics {
    /// Metrics where each image is of one class.
    One(Metrics),
    /// Any number of classes an image.
    Any(MultiLabelMetrics),
}

/// Metrics of a part of the images, as `metrics.json` holds them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartMetrics {
    /// Every metric.
    #[serde(flatten)]
    pub metrics: AnyMetrics,
    /// Macro F1 as the published notebooks count it; under their loss alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub f1_notebook: Option<f64>,
}

/// A part of the data set with what was said of it.
pub(crate) struct Judged {
    pub(crate) metrics: AnyMetrics,
    /// Metrics of the mean probabilities of each group, where there are groups.
    pub(crate) by_group: Option<AnyMetrics>,
    /// Interval of the macro F1.
    pub(crate) interval: Result<Interval, NotGiven>,
    pub(crate) said: Said,
}

/// Predictions of either kind.
pub enum Said {
    /// Where each image is of one class.
    One(Predictions),
    /// Any number of classes an image.
    Any(MultiLabelPredictions),
}

impl Decision {
    /// Decisions on each row of logits `(N, C)`: the class of the largest, the first of equal ones; or of several
    /// classes those of a probability above 0.5.
    pub(crate) fn of(logits: &Tensor, recipe: &ProbeRecipe) -> Result<Vec<Self>> {
        let rows = probabilities(logits, recipe)?;
        if recipe.multi_label {
            return Ok(rows.into_iter().map(Self::above_half).collect());
        }
        let largest = logits.argmax(D::Minus1)?.to_vec1::<u32>()?;
        let pairs = largest.into_iter().zip(rows);
        Ok(pairs
            .map(|(class, probabilities)| Self {
                classes: vec![class as usize],
                probabilities,
            })
            .collect())
    }

    /// The class of the largest probability, the first of equal ones.
    pub(crate) fn largest(probabilities: Vec<f64>) -> Self {
        let p = &probabilities;
        let largest = (1..p.len()).fold(0, |best, i| if p[i] > p[best] { i } else { best });
        Self {
            classes: vec![largest],
            probabilities,
        }
    }

    /// Every class of a probability above 0.5.
    pub(crate) fn above_half(probabilities: Vec<f64>) -> Self {
        let classes = (0..probabilities.len())
            .filter(|&class| probabilities[class] > 0.5)
            .collect();
        Self {
            classes,
            probabilities,
        }
    }
}

/// Probability of each class: softmax, or under the sigmoid form each class' own.
fn probabilities(logits: &Tensor, recipe: &ProbeRecipe) -> Result<Vec<Vec<f64>>> {
    let logits = logits.to_dtype(DType::F64)?;
    let form = match recipe.mode {
        // Its loss is no focal one, whatever the recipe has for the others.
        ProbeMode::Logistic if !recipe.multi_label => FocalForm::Softmax,
        _ => recipe.loss,
    };
    let p = match form {
        FocalForm::Softmax => softmax(&logits, D::Minus1)?,
        FocalForm::Sigmoid => sigmoid(&logits)?,
    };
    // Rounding may leave a sum, and so a value, a last digit above 1.
    let rows = p.minimum(1.0)?.to_vec2::<f64>()?;
    if rows.iter().flatten().any(|p| !p.is_finite()) {
        return Err(Error::NotFinite);
    }
    Ok(rows)
}

impl AnyMetrics {
    /// Macro F1.
    pub fn f1_macro(&self) -> f64 {
        match self {
            Self::One(metrics) => metrics.averages.f1_macro,
            Self::Any(metrics) => metrics.averages.f1_macro,
        }
    }

    /// Share of samples whose class, or whose every class, was predicted rightly.
    pub fn accuracy(&self) -> f64 {
        match self {
            Self::One(metrics) => metrics.accuracy,
            Self::Any(metrics) => metrics.accuracy,
        }
    }

    /// Mean of the classes' recalls; see the field of either kind.
    pub fn balanced_accuracy(&self) -> f64 {
        match self {
            Self::One(metrics) => metrics.balanced_accuracy,
            Self::Any(metrics) => metrics.balanced_accuracy,
        }
    }
}

impl Judged {
    /// Judges what was said of each image of a part, in the part's order.
    pub(crate) fn of(
        recipe: &ProbeRecipe,
        parts: &Parts,
        part: Part,
        decisions: Vec<Decision>,
    ) -> Result<Self> {
        let (dataset, indices) = (&parts.dataset, parts.indices(part));
        Self::of_images(recipe, dataset, indices, parts.groups(), decisions)
    }

    /// Judges what was said of each of these images, in their order.
    pub(crate) fn of_images(
        recipe: &ProbeRecipe,
        dataset: &Dataset,
        indices: &[usize],
        groups: Option<&Groups>,
        decisions: Vec<Decision>,
    ) -> Result<Self> {
        let classes = dataset.classes.clone();
        let samples = indices
            .iter()
            .map(|&i| (dataset.file_name(i), &dataset.samples[i]));
        if recipe.multi_label {
            let mut said = MultiLabelPredictions::new(classes);
            for ((file, sample), decision) in samples.zip(decisions) {
                let Decision {
                    classes,
                    probabilities,
                } = decision;
                let (labels, unknown) = (&sample.labels, &sample.unknown);
                said.push_known(file, labels, unknown, &classes, &probabilities);
            }
            let metrics = said.metrics()?;
            return Ok(Self {
                metrics: AnyMetrics::Any(metrics),
                by_group: match groups {
                    Some(groups) => Some(AnyMetrics::Any(said.by_group(groups)?.metrics()?)),
                    None => None,
                },
                interval: said.interval(groups, recipe.seed),
                said: Said::Any(said),
            });
        }
        let rows = samples.zip(decisions);
        let rows = rows.map(|((file, sample), decision)| Prediction {
            file,
            truth: sample.label(),
            predicted: decision.classes[0],
            probabilities: decision.probabilities,
        });
        let said = Predictions {
            classes,
            rows: rows.collect(),
        };
        let metrics = said.metrics()?;
        Ok(Self {
            metrics: AnyMetrics::One(metrics),
            by_group: match groups {
                // Where every group has images of several classes, none can be said to be of one.
                Some(groups) => (said.by_group(groups)?.0.metrics().ok()).map(AnyMetrics::One),
                None => None,
            },
            interval: said.interval(groups, recipe.seed, Confusion::f1_macro),
            said: Said::One(said),
        })
    }

    /// Leaves `predictions.csv`, the groups of its images and its figures in the folder of a run.
    pub(crate) fn write(&self, parts: &Parts, run: &RunDir) -> Result<()> {
        for (name, bytes) in self.files(parts.groups())? {
            run.write(name, &bytes)?;
        }
        Ok(())
    }

    /// `predictions.csv`, the groups of its images and its figures, by name.
    pub(crate) fn files(&self, groups: Option<&Groups>) -> Result<Vec<(&'static str, Vec<u8>)>> {
        let (csv, confusion, curves) = match &self.said {
            Said::One(p) => (
                p.to_csv()?,
                p.confusion_svg()?,
                [p.reliability_svg(), p.roc_svg(), p.precision_recall_svg()],
            ),
            Said::Any(p) => (
                p.to_csv()?,
                p.confusion_svg(),
                [p.reliability_svg(), p.roc_svg(), p.precision_recall_svg()],
            ),
        };
        let [reliability, roc, precision_recall] = curves.map(Option::unwrap_or_default);
        let mut files = vec![(PREDICTIONS, csv)];
        files.extend(groups.map(|groups| (GROUPS, groups.to_csv())));
        let figures = [
            ("confusion.svg", confusion),
            ("reliability.svg", reliability),
            ("roc.svg", roc),
            ("precision-recall.svg", precision_recall),
        ];
        files.extend(figures.map(|(name, svg)| (name, svg.into_bytes())));
        Ok(files)
    }
}

/// The macro F1 of decisions over the images that `targets`, row-major `(N, classes)`, are of; what is
/// not known, NaN, is neither true nor said.
pub(crate) fn f1_macro(classes: usize, targets: &[f32], decisions: &[Decision]) -> f64 {
    let mut predicted = vec![false; targets.len()];
    for (row, decision) in predicted.chunks_mut(classes).zip(decisions) {
        for &class in &decision.classes {
            row[class] = true;
        }
    }
    for (said, target) in predicted.iter_mut().zip(targets) {
        *said &= !target.is_nan();
    }
    let truth: Vec<bool> = targets.iter().map(|&t| t == 1.0).collect();
    multi_label_f1_macro(classes, &truth, &predicted)
}
