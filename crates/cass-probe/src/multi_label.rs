use crate::{
    Interval, MultiLabelMetrics, Result,
    metrics::multi_label_interval,
    table::{Cell, Table, sorted},
};
use std::path::Path;

/// What separates the classes of a file that has several.
const SEPARATOR: char = '|';

/// Predictions of any number of classes a file: as [`Predictions`](crate::Predictions), but `true`
/// and `predicted` name classes separated by `|`, none where the field is empty.
#[derive(Debug, Clone, PartialEq)]
pub struct MultiLabelPredictions {
    /// Names of the classes.
    pub classes: Vec<String>,
    /// The files, in order.
    pub files: Vec<String>,
    truth: Vec<bool>,
    predicted: Vec<bool>,
    probabilities: Option<Vec<f64>>,
}

impl MultiLabelPredictions {
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
            classes = sorted(cells.flat_map(names).map(String::from).collect());
        }
        let flags = |cell: &Cell| -> Result<Vec<bool>> {
            let mut flags = vec![false; classes.len()];
            for name in names(cell) {
                let place = classes.iter().position(|class| class == name);
                flags[place.ok_or_else(|| cell.not_one_of(&classes))?] = true;
            }
            Ok(flags)
        };
        let (mut truth, mut predicted) = (Vec::new(), Vec::new());
        for row in &table.rows {
            truth.extend(flags(&row.truth)?);
            predicted.extend(flags(&row.predicted)?);
        }
        let probabilities = table.rows.iter().flat_map(|r| r.probabilities.clone());
        Ok(Self {
            probabilities: (!bare).then(|| probabilities.collect()),
            files: table.rows.into_iter().map(|r| r.file).collect(),
            classes,
            truth,
            predicted,
        })
    }

    /// Every metric.
    ///
    /// # Errors
    /// As [`MultiLabelMetrics::of`].
    pub fn metrics(&self) -> Result<MultiLabelMetrics> {
        let probabilities = self.probabilities.as_deref();
        MultiLabelMetrics::of(&self.classes, &self.truth, &self.predicted, probabilities)
    }

    /// The 95 % interval of the macro F1 over 1,000 resamples of the files that keep how often each
    /// set of true classes occurs.
    pub fn interval(&self, seed: u64) -> Interval {
        multi_label_interval(self.classes.len(), &self.truth, &self.predicted, seed)
    }
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
        let (f1, interval) = (metrics.averages.f1_macro, read_back.interval(0));
        assert_eq!((interval.low, interval.high), (f1, f1));
        let bare = read("file,predicted\n1,x\n2,\n", Some("file,true\n2,y\n1,x|y\n")).unwrap();
        assert_eq!((bare.classes.len(), bare.probabilities), (2, None));
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
