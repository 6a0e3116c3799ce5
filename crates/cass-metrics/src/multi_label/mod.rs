mod file;
mod thresholds;

pub use file::joined;

use crate::groups::mean_rows;
use crate::metrics::{Interval, MultiLabelMetrics, NotGiven, f1_macro_of};
use crate::resample::Units;
use crate::{Error, Groups, Predictions, Result};

/// Predictions of any number of classes a file: as [`Predictions`](crate::Predictions), but `true`
/// and `predicted` name classes separated by `|`, none where the field is empty. In `true`, a class
/// with a `?` before it is not known: it counts in no metric.
#[derive(Debug, Clone, PartialEq)]
pub struct MultiLabelPredictions {
    /// Names of the classes.
    pub classes: Vec<String>,
    /// The files, in order.
    pub files: Vec<String>,
    /// True classes, row-major (files, classes).
    pub(crate) truth: Vec<bool>,
    /// Which of these are known, row-major (files, classes). What is not is neither true nor predicted.
    pub(crate) known: Vec<bool>,
    /// Predicted classes, row-major (files, classes).
    pub(crate) predicted: Vec<bool>,
    /// One a class, row-major (files, classes); `None` in bare predictions.
    pub(crate) probabilities: Option<Vec<f64>>,
}

/// A file of one class is one of any number of classes.
impl From<&Predictions> for MultiLabelPredictions {
    fn from(one: &Predictions) -> Self {
        let mut any = Self::new(one.classes.clone());
        for row in &one.rows {
            let p = &row.probabilities;
            any.push(row.file.clone(), &[row.truth], &[row.predicted], p);
        }
        any
    }
}

impl MultiLabelPredictions {
    /// Predictions of no file yet.
    pub fn new(classes: Vec<String>) -> Self {
        Self {
            classes,
            files: Vec::new(),
            truth: Vec::new(),
            known: Vec::new(),
            predicted: Vec::new(),
            probabilities: None,
        }
    }

    /// Adds a file: its true and predicted classes, as places in [`classes`](Self::classes), of which
    /// those beyond are none; and one probability a class, or none in bare predictions.
    pub fn push(
        &mut self,
        file: String,
        truth: &[usize],
        predicted: &[usize],
        probabilities: &[f64],
    ) {
        self.push_known(file, truth, &[], predicted, probabilities);
    }

    /// The same of a file of which it is not known whether it is of the classes `unknown`.
    pub fn push_known(
        &mut self,
        file: String,
        truth: &[usize],
        unknown: &[usize],
        predicted: &[usize],
        probabilities: &[f64],
    ) {
        self.files.push(file);
        for class in 0..self.classes.len() {
            let known = !unknown.contains(&class);
            self.known.push(known);
            self.truth.push(known && truth.contains(&class));
            self.predicted.push(known && predicted.contains(&class));
        }
        if !probabilities.is_empty() {
            let all = self.probabilities.get_or_insert_default();
            all.extend(probabilities);
        }
    }

    /// Every metric.
    ///
    /// # Errors
    /// As [`MultiLabelMetrics::of`].
    pub fn metrics(&self) -> Result<MultiLabelMetrics> {
        let probabilities = self.probabilities.as_deref();
        let (truth, predicted) = (&self.truth, &self.predicted);
        MultiLabelMetrics::of_known(&self.classes, truth, predicted, probabilities, &self.known)
    }

    /// Names of the classes that were predicted of the `i`-th file.
    pub fn predicted_names(&self, i: usize) -> Vec<&str> {
        let k = self.classes.len();
        let row = self.predicted.get(i * k..(i + 1) * k).unwrap_or_default();
        let named = self.classes.iter().zip(row).filter(|(_, said)| **said);
        named.map(|(name, _)| name.as_str()).collect()
    }

    /// The 95 % interval of the macro F1 over 1,000 resamples of the files that keep how often each
    /// set of true classes occurs; of whole groups where there are any.
    ///
    /// # Errors
    /// Where all resamples score the same, so that they say nothing of how sure the score is.
    pub fn interval(&self, groups: Option<&Groups>, seed: u64) -> Result<Interval, NotGiven> {
        let rows: Vec<_> = self.rows().collect();
        let files = self.files.iter().map(String::as_str);
        let units = Units::of(files, rows.iter().map(|row| row.0), groups);
        Interval::over(&units, seed, |drawn| {
            f1_macro_of(self.classes.len(), drawn.iter().map(|&i| rows[i]))
        })
    }

    /// What is known of a class, of values row-major (files, classes).
    pub(crate) fn known_of<T: Copy>(&self, values: &[T], class: usize) -> Vec<T> {
        let both = values.iter().zip(&self.known);
        let column = both.skip(class).step_by(self.classes.len().max(1));
        column
            .filter(|(_, known)| **known)
            .map(|(v, _)| *v)
            .collect()
    }

    /// True and predicted flags of each file.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&[bool], &[bool])> {
        let k = self.classes.len().max(1);
        self.truth.chunks(k).zip(self.predicted.chunks(k))
    }

    /// The mean probabilities of each group's files as predictions of its own, every class predicted whose mean
    /// is above 0.5: a group is of each class that a file of it is of, and named in place of a file. Files of
    /// no group stand for themselves.
    ///
    /// # Errors
    /// Bare predictions, which have nothing to average.
    pub fn by_group(&self, groups: &Groups) -> Result<Self> {
        let Some(p) = &self.probabilities else {
            return Err(Error::Bare);
        };
        let k = self.classes.len();
        let files = self.files.iter().map(String::as_str);
        let mut merged = Self::new(self.classes.clone());
        for (name, places) in groups.gather(files) {
            let of_any = |class: usize| places.iter().any(|i| self.truth[i * k + class]);
            let truth: Vec<usize> = (0..k).filter(|&class| of_any(class)).collect();
            let known_of_any = |class: &usize| places.iter().any(|i| self.known[i * k + class]);
            let unknown: Vec<usize> = (0..k).filter(|class| !known_of_any(class)).collect();
            let mean = mean_rows(places.iter().map(|i| &p[i * k..(i + 1) * k]), k);
            let said: Vec<usize> = (0..k).filter(|&class| mean[class] > 0.5).collect();
            merged.push_known(name, &truth, &unknown, &said, &mean);
        }
        Ok(merged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each class is scored as if the files of which it is not known were not there.
    #[test]
    fn what_is_not_known_counts_in_no_metric() {
        let classes: Vec<String> = ["a", "b"].map(String::from).into();
        let p = [0.9, 0.2, 0.4, 0.7, 0.1, 0.6];
        let (truth, predicted) = ([1, 0, 1, 1, 0, 0], [1, 0, 0, 1, 0, 1]);
        let mut masked = MultiLabelPredictions::new(classes.clone());
        for row in 0..6 {
            let (a, b) = (row, (row + 2) % 6);
            let of = |flags: [i32; 6]| -> Vec<usize> {
                let both = [flags[a], flags[b]].into_iter().enumerate();
                both.filter(|(_, flag)| *flag == 1)
                    .map(|(class, _)| class)
                    .collect()
            };
            let unknown: &[usize] = if row == 3 { &[1] } else { &[] };
            let scores = [p[a], p[b]];
            masked.push_known(
                row.to_string(),
                &of(truth),
                unknown,
                &of(predicted),
                &scores,
            );
        }
        let got = masked.metrics().unwrap();
        // Class b alone, without the file.
        let mut alone = MultiLabelPredictions::new(vec!["b".into()]);
        for row in (0..6).filter(|row| *row != 3) {
            let b = (row + 2) % 6;
            let flag = |flags: [i32; 6]| if flags[b] == 1 { vec![0] } else { vec![] };
            alone.push(row.to_string(), &flag(truth), &flag(predicted), &[p[b]]);
        }
        let want = alone.metrics().unwrap();
        assert_eq!(got.per_class[1], want.per_class[0]);
        assert_eq!(got.confusion[1], want.confusion[0]);
        assert_eq!(got.confusion[0].iter().flatten().sum::<usize>(), 6);
        assert_eq!(masked.best_thresholds()[1], alone.best_thresholds()[0]);
        assert_ne!(got.per_class[1].specificity, got.per_class[0].specificity);
    }

    #[test]
    fn a_file_of_one_class_is_one_of_any_number() {
        let row = |truth, predicted| crate::Prediction {
            file: "x".into(),
            truth,
            predicted,
            probabilities: vec![],
        };
        let one = Predictions {
            classes: ["a", "b", "c"].map(String::from).into(),
            rows: vec![row(0, 0), row(0, 1), row(1, 1), row(2, 1)],
        };
        let any = MultiLabelPredictions::from(&one).metrics().unwrap();
        let one = one.metrics().unwrap();
        assert_eq!(one.averages.f1_macro, any.averages.f1_macro);
        assert_eq!(one.accuracy, any.accuracy);
    }

    #[test]
    fn the_images_of_a_patient_speak_together() {
        let mut p = MultiLabelPredictions::new(["a", "b"].map(String::from).into());
        p.push("1".into(), &[0], &[0], &[0.9, 0.2]);
        p.push("2".into(), &[1], &[], &[0.3, 0.4]);
        p.push("3".into(), &[1], &[1], &[0.1, 0.7]);
        let groups = [("1", "p"), ("2", "p")].map(|(f, g)| (f.to_string(), g.to_string()));
        let merged = p.by_group(&groups.into_iter().collect()).unwrap();
        assert_eq!(merged.files, ["3", "p"]);
        assert_eq!(merged.truth, [false, true, true, true]);
        assert_eq!(merged.predicted, [false, true, true, false]);
        let mean = &merged.probabilities.unwrap()[2..];
        assert!((mean[0] - 0.6).abs() < 1e-12 && (mean[1] - 0.3).abs() < 1e-12);
    }
}
