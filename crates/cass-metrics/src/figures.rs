//! Metrics to look at, as SVG: plain text, no fonts or scripts of its own.

use crate::metrics::{precision_recall_curve, reliability_curve, roc_curve};
use crate::{MultiLabelPredictions, Predictions, Result};
use cass_page::figure::{Plot, counts};

impl Predictions {
    /// The confusion matrix, a cell's shade its share of the true class.
    ///
    /// # Errors
    /// As [`Predictions::confusion`].
    pub fn confusion_svg(&self) -> Result<String> {
        let rows: Vec<_> = self.confusion()?.rows().map(<[_]>::to_vec).collect();
        let names = [self.classes.as_slice(); 2];
        Ok(counts(names, ["true", "predicted"], &rows))
    }

    /// Reliability diagram: how often predictions of some confidence are right, and the diagonal where confidence is
    /// honest; a point's area is its number of samples. `None` without probabilities.
    pub fn reliability_svg(&self) -> Option<String> {
        let confidence: Option<Vec<f64>> = (self.rows.iter())
            .map(|row| row.probabilities.get(row.predicted).copied())
            .collect();
        let right: Vec<bool> = self.rows.iter().map(|r| r.truth == r.predicted).collect();
        Some(reliability(
            ["mean confidence", "share right"],
            &confidence?,
            &right,
        ))
    }

    /// The ROC curve of each class against the rest; classes without one are left out. `None`
    /// without probabilities.
    pub fn roc_svg(&self) -> Option<String> {
        MultiLabelPredictions::from(self).roc_svg()
    }

    /// The precision-recall curve of each class against the rest; classes without one are left out.
    /// `None` without probabilities.
    pub fn precision_recall_svg(&self) -> Option<String> {
        MultiLabelPredictions::from(self).precision_recall_svg()
    }
}

impl MultiLabelPredictions {
    /// Table of how often each class was found, missed, said where it is not, and rightly not said; a cell's
    /// shade is its share of the images with the class, or without it.
    pub fn confusion_svg(&self) -> String {
        let columns = ["found", "missed", "false alarm", "rightly not"].map(String::from);
        let k = self.classes.len();
        let row = |class: usize| {
            let truth = self.known_of(&self.truth, class).into_iter();
            let pairs = truth.zip(self.known_of(&self.predicted, class));
            let mut found = [0; 4];
            for pair in pairs {
                found[match pair {
                    (true, true) => 0,
                    (true, false) => 1,
                    (false, true) => 2,
                    (false, false) => 3,
                }] += 1;
            }
            found.to_vec()
        };
        let rows: Vec<_> = (0..k).map(row).collect();
        counts([&self.classes, &columns], ["class", ""], &rows)
    }

    /// Reliability diagram over all classes: how often a class of some probability is there; else as
    /// [`Predictions::reliability_svg`].
    pub fn reliability_svg(&self) -> Option<String> {
        let axes = ["mean probability", "share that is there"];
        let both = self.probabilities.as_ref()?.iter().zip(&self.truth);
        let both = both.zip(&self.known).filter(|(_, known)| **known);
        let (p, truth): (Vec<f64>, Vec<bool>) = both.map(|((p, t), _)| (*p, *t)).unzip();
        Some(reliability(axes, &p, &truth))
    }

    /// ROC curves, as [`Predictions::roc_svg`] draws them.
    pub fn roc_svg(&self) -> Option<String> {
        let mut plot = Plot::new(["false positive rate", "true positive rate"]);
        plot.diagonal();
        self.curves(plot, roc_curve)
    }

    /// Precision-recall curves, as [`Predictions::precision_recall_svg`] draws them.
    pub fn precision_recall_svg(&self) -> Option<String> {
        self.curves(Plot::new(["recall", "precision"]), precision_recall_curve)
    }

    /// One curve a class.
    fn curves(&self, mut plot: Plot, curve: Curve) -> Option<String> {
        let p = self.probabilities.as_ref()?;
        for (class, name) in self.classes.iter().enumerate() {
            let (scores, positive) = (self.known_of(p, class), self.known_of(&self.truth, class));
            if let Some(curve) = curve(&scores, &positive) {
                plot.curve(&curve, class);
                plot.name(class, name);
            }
        }
        Some(plot.write())
    }
}

/// Points of a curve of scores and of which samples are positive.
type Curve = fn(&[f64], &[bool]) -> Option<Vec<(f64, f64)>>;

fn reliability(axes: [&str; 2], confidence: &[f64], right: &[bool]) -> String {
    let bins = reliability_curve(confidence, right);
    let mut plot = Plot::new(axes);
    plot.diagonal();
    let points: Vec<_> = bins.iter().map(|b| (b.confidence, b.accuracy)).collect();
    plot.curve(&points, 0);
    for bin in bins {
        let share = bin.samples as f64 / right.len() as f64;
        let radius = 2.0 + 12.0 * share.sqrt();
        plot.dot((bin.confidence, bin.accuracy), radius, 0);
    }
    plot.write()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Prediction;

    fn predictions(bare: bool) -> Predictions {
        let row = |truth, predicted, p: f64| Prediction {
            file: "x".into(),
            truth,
            predicted,
            probabilities: if bare { vec![] } else { vec![p, 1.0 - p] },
        };
        Predictions {
            classes: ["a<b".to_string(), "c&d".into()].into(),
            rows: vec![row(0, 0, 0.9), row(0, 1, 0.4), row(1, 1, 0.2)],
        }
    }

    #[test]
    fn figures_show_every_count_and_class() {
        let p = predictions(false);
        let svg = p.confusion_svg().unwrap();
        assert_eq!(svg.matches("<rect").count(), 1 + 4);
        assert!(svg.contains("a&lt;b") && svg.contains("c&amp;d") && !svg.contains("a<b"));
        let svg = p.roc_svg().unwrap();
        assert_eq!(svg.matches("<polyline").count(), 2);
        let svg = p.precision_recall_svg().unwrap();
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert_eq!(p.reliability_svg().unwrap().matches("<circle").count(), 3);
    }

    #[test]
    fn several_classes_an_image_are_counted_apart() {
        let mut p = MultiLabelPredictions::new(["a", "b"].map(String::from).into());
        p.push("1".into(), &[0, 1], &[0], &[0.9, 0.2]);
        p.push("2".into(), &[], &[0], &[0.8, 0.1]);
        let svg = p.confusion_svg();
        assert_eq!(svg.matches("<rect").count(), 1 + 2 * 4);
        assert!(svg.contains("false alarm"), "{svg}");
        assert_eq!(p.roc_svg().unwrap().matches("<polyline").count(), 2);
        assert_eq!(p.reliability_svg().unwrap().matches("<circle").count(), 4);
    }

    #[test]
    fn bare_predictions_have_no_curves() {
        let p = predictions(true);
        assert_eq!((p.roc_svg(), p.reliability_svg()), (None, None));
    }
}
