//! Predictions of any number of classes as a CSV file.

use super::MultiLabelPredictions;
use crate::table::{COLUMNS, Cell, Table, sorted, to_csv};
use crate::{Error, Result};
use std::collections::HashMap;
use std::path::Path;

/// What separates the classes of a file that has several.
const SEPARATOR: char = '|';

/// What stands before a class of which it is not known whether a file is of it.
const UNKNOWN: char = '?';

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
}

/// The names of the classes at `places` as one field of a predictions file: separated by `|`.
pub fn joined(classes: &[String], places: &[usize]) -> String {
    let names: Vec<&str> = places
        .iter()
        .map(|&class| classes[class].as_str())
        .collect();
    names.join(&SEPARATOR.to_string())
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
    fn an_unknown_class_is_named() {
        let text = "file,true,predicted,a,b\n1,a|c,a,0.9,0.1\n";
        let error = read(text, None).unwrap_err().to_string();
        assert!(
            error.ends_with("line 2, column true: \"a|c\", expected one of a, b"),
            "{error}"
        );
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
}
