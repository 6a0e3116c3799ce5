use crate::groups::mean_rows;
use crate::metrics::{Interval, MultiLabelMetrics, NotGiven, f1_macro_of};
use crate::resample::Units;
use crate::table::{COLUMNS, Cell, Table, sorted, to_csv};
use crate::{Error, Groups, Predictions, Result};
use std::collections::HashMap;
use std::path::Path;

/// What separates the classes of a file that has several.
const SEPARATOR: char = '|';

/// What stands before a class of which it is not known whether a file is of it.
const UNKNOWN: char = '?';

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

    /// Reads a CSV file, the truth from `labels` (columns `file`, `true`) if there is such a file.
    ///
    /// # Errors
    /// As [`Predictions::read`](crate::Predictions::read).
    pub fn read(path: &Path, labels: Option<&Path>) -> Result<Self> {
        let table = Table::read(path, labels)?;
        let mut classes = table.classes;
        let bare = classes.is_empty();
        if bare {
            let cells = table.rows.iter().flat_map(|r| [&r.truth, &r.predicted]);
            let all = cells
                .flat_map(names)
                .map(|name| name.trim_start_matches(UNKNOWN));
            classes = sorted(all.map(String::from).collect());
        }
        let by_name: HashMap<&str, usize> = (classes.iter().enumerate().rev())
            .map(|(place, class)| (class.as_str(), place))
            .collect();
        // The places of the classes that a field names, and of those that it says are not known.
        let places = |cell: &Cell| -> Result<[Vec<usize>; 2]> {
            let mut places = [const { Vec::new() }; 2];
            for name in names(cell) {
                let of = |name: &str| by_name.get(name).copied();
                let unknown = || of(name.strip_prefix(UNKNOWN)?);
                match (of(name), unknown()) {
                    (Some(place), _) => places[0].push(place),
                    (None, Some(place)) => places[1].push(place),
                    (None, None) => return Err(cell.not_one_of(&classes)),
                }
            }
            Ok(places)
        };
        let mut read = Self::new(classes.clone());
        for row in table.rows {
            let [truth, unknown] = places(&row.truth)?;
            let [predicted, _] = places(&row.predicted)?;
            read.push_known(row.file, &truth, &unknown, &predicted, &row.probabilities);
        }
        if !bare {
            read.probabilities.get_or_insert_default();
        }
        Ok(read)
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

    /// The threshold of each class under which deciding by its probability has the highest F1 here:
    /// halfway between two neighbouring probabilities, of equally good ones the nearest to 0.5; 0.5
    /// for a class that nothing is of, and for all without probabilities.
    pub fn best_thresholds(&self) -> Vec<f64> {
        let k = self.classes.len();
        let of = |class: usize| {
            let scores = self.probabilities.as_deref();
            let scores = scores.map(|p| self.known_of(p, class)).unwrap_or_default();
            best_threshold(&scores, &self.known_of(&self.truth, class))
        };
        (0..k).map(of).collect()
    }

    /// The same probabilities, with every class predicted whose probability is above its threshold.
    /// Bare predictions stay as they are.
    pub fn decided_at(&self, thresholds: &[f64]) -> Self {
        let mut decided = self.clone();
        if let Some(p) = &self.probabilities {
            let pairs = p.iter().zip(thresholds.iter().cycle()).zip(&self.known);
            decided.predicted = pairs.map(|((p, t), known)| *known && p > t).collect();
        }
        decided
    }

    /// Names of the classes that were predicted of the `i`-th file.
    pub fn predicted_names(&self, i: usize) -> Vec<&str> {
        let k = self.classes.len();
        let row = self.predicted.get(i * k..(i + 1) * k).unwrap_or_default();
        let named = self.classes.iter().zip(row).filter(|(_, said)| **said);
        named.map(|(name, _)| name.as_str()).collect()
    }

    /// The bytes of a CSV file that [`read`](Self::read) reads back exactly.
    ///
    /// # Errors
    /// A name of a class with a `|` in it.
    pub fn to_csv(&self) -> Result<Vec<u8>> {
        if let Some(class) = self.classes.iter().find(|name| name.contains(SEPARATOR)) {
            let class = class.clone();
            return Err(Error::ClassName { class });
        }
        let k = self.classes.len();
        let names = |row: &[bool]| {
            let places: Vec<usize> = (0..k).filter(|&class| row[class]).collect();
            joined(&self.classes, &places)
        };
        let headings = self.probabilities.iter().flat_map(|_| &self.classes);
        let rows = self.files.iter().enumerate().map(|(i, file)| {
            let row = i * k..(i + 1) * k;
            let of = |p: &Vec<f64>| p[row.clone()].to_vec();
            let (truth, predicted) = (&self.truth[row.clone()], &self.predicted[row.clone()]);
            let known = &self.known[row.clone()];
            let unknown = (0..k).filter(|&class| !known[class]);
            let unknown = unknown.map(|class| format!("{UNKNOWN}{}", self.classes[class]));
            let said = std::iter::once(names(truth)).chain(unknown);
            let said: Vec<String> = said.filter(|name| !name.is_empty()).collect();
            let said = said.join(&SEPARATOR.to_string());
            let start = [file.clone(), said, names(predicted)];
            (
                start,
                self.probabilities.as_ref().map(of).unwrap_or_default(),
            )
        });
        let columns = COLUMNS.into_iter().chain(headings.map(String::as_str));
        Ok(to_csv(columns, rows))
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

/// The names of the classes at `places` as one field of a predictions file: separated by `|`.
pub fn joined(classes: &[String], places: &[usize]) -> String {
    let names: Vec<&str> = places
        .iter()
        .map(|&class| classes[class].as_str())
        .collect();
    names.join(&SEPARATOR.to_string())
}

/// See [`MultiLabelPredictions::best_thresholds`].
fn best_threshold(scores: &[f64], truth: &[bool]) -> f64 {
    const HALF: f64 = 0.5;
    let positives = truth.iter().filter(|&&t| t).count();
    let mut samples: Vec<(f64, bool)> = scores.iter().copied().zip(truth.iter().copied()).collect();
    samples.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut best, mut threshold) = (0.0, HALF);
    let (mut found, mut said) = (0, 0);
    for (i, &(score, is_true)) in samples.iter().enumerate() {
        if score <= 0.0 {
            break; // above no threshold
        }
        (found, said) = (found + usize::from(is_true), said + 1);
        let next = samples.get(i + 1).map_or(0.0, |next| next.0);
        if next == score && i + 1 < samples.len() {
            continue; // equal scores are decided alike
        }
        // Where 0.5 lies between the two, it is the nearest to itself.
        let between = if next <= HALF && HALF < score {
            HALF
        } else {
            f64::midpoint(score, next)
        };
        let f1 = 2.0 * found as f64 / (said + positives) as f64;
        let nearer = (between - HALF).abs() < (threshold - HALF).abs();
        if f1 > best || (f1 == best && f1 > 0.0 && nearer) {
            (best, threshold) = (f1, between);
        }
    }
    threshold
}

fn names(cell: &Cell) -> impl Iterator<Item = &str> {
    cell.text
        .split(SEPARATOR)
        .map(str::trim)
        .filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(predictions: &str, labels: Option<&str>) -> Result<MultiLabelPredictions> {
        let folder = tempfile::tempdir().unwrap();
        let [p, l] = ["p.csv", "l.csv"].map(|name| folder.path().join(name));
        std::fs::write(&p, predictions).unwrap();
        std::fs::write(&l, labels.unwrap_or_default()).unwrap();
        MultiLabelPredictions::read(&p, labels.map(|_| l.as_path()))
    }

    #[test]
    fn a_file_has_any_number_of_classes() {
        let text = "file,true,predicted,a,b\n1,a|b,a,0.9,0.1\n2,,b,0.6,0.7\n3,b,b,0.2,0.8\n";
        let read_back = read(text, None).unwrap();
        assert_eq!(read_back.truth, [true, true, false, false, false, true]);
        let metrics = read_back.metrics().unwrap();
        assert_eq!((metrics.samples, metrics.accuracy), (3, 1.0 / 3.0));
        // One file of each set of classes: every resample is the sample.
        let reason = read_back.interval(None, 0).unwrap_err().to_string();
        assert!(reason.contains("the 3 images"), "{reason}");
        let bare = read("file,predicted\n1,x\n2,\n", Some("file,true\n2,y\n1,x|y\n")).unwrap();
        assert_eq!((bare.classes.len(), bare.probabilities), (2, None));
    }

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
    fn reads_back_what_it_wrote() {
        let mut p = MultiLabelPredictions::new(["a, b", "c", "d"].map(String::from).into());
        p.push("1.tif".into(), &[0, 2], &[], &[0.5, 1e-300, 0.1]);
        p.push(
            "x y.tif".into(),
            &[],
            &[0, 1, 2],
            &[1.0, f64::from(0.7_f32), 0.6],
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.csv");
        std::fs::write(&path, p.to_csv().unwrap()).unwrap();
        assert_eq!(MultiLabelPredictions::read(&path, None).unwrap(), p);
        p.push_known("y.tif".into(), &[0], &[1, 2], &[0, 1], &[0.9, 0.8, 0.1]);
        std::fs::write(&path, p.to_csv().unwrap()).unwrap();
        assert_eq!(MultiLabelPredictions::read(&path, None).unwrap(), p);
        p.classes[1] = "c|d".into();
        let error = p.to_csv().unwrap_err().to_string();
        assert!(error.contains("\"c|d\""), "{error}");
    }

    #[test]
    fn thresholds_have_the_best_f1() {
        let truth = [true, false, true, false, false];
        // At 0.35 two are found of three said, at 0.7 one of one, at 0.2 two of four.
        assert_eq!(best_threshold(&[0.8, 0.6, 0.4, 0.3, 0.1], &truth), 0.35);
        assert_eq!(best_threshold(&[0.8, 0.1, 0.7, 0.3, 0.1], &truth), 0.5);
        assert_eq!(best_threshold(&[0.4, 0.1, 0.4, 0.3, 0.1], &truth), 0.35);
        assert_eq!(best_threshold(&[0.4, 0.1], &[false, false]), 0.5);
        assert_eq!(best_threshold(&[0.4, 0.2], &[true, true]), 0.1);
        assert_eq!(best_threshold(&[], &[]), 0.5);
        let mut p = MultiLabelPredictions::new(["a", "b"].map(String::from).into());
        for (file, truth) in truth.into_iter().enumerate() {
            let labels: &[usize] = if truth { &[0] } else { &[1] };
            p.push(
                file.to_string(),
                labels,
                &[],
                &[0.2 + 0.1 * file as f64, 0.4],
            );
        }
        let thresholds = p.best_thresholds();
        let f1 = |p: &MultiLabelPredictions| p.metrics().unwrap().averages.f1_macro;
        assert!(f1(&p.decided_at(&thresholds)) > f1(&p.decided_at(&[0.5, 0.5])));
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

    #[test]
    fn an_unknown_class_is_named() {
        let text = "file,true,predicted,a,b\n1,a|c,a,0.9,0.1\n";
        let error = read(text, None).unwrap_err().to_string();
        assert!(
            error.ends_with("line 2, column true: \"a|c\", expected one of a, b"),
            "{error}"
        );
    }
}
