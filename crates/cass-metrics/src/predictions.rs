use crate::{
    Confusion, Metrics, Result,
    table::{COLUMNS, Cell, Table, sorted, to_csv},
};
use std::path::Path;

/// What a classifier said of each file, and what was true: a `predictions.csv`.
///
/// Its columns are `file`, `true`, `predicted` (names of classes) and one probability a class, headed
/// by the class's name, in the order of the classes. A file without probability columns is one of
/// bare predictions: its classes are the names that occur, sorted.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions {
    /// Names of the classes.
    pub classes: Vec<String>,
    /// One entry a file.
    pub rows: Vec<Prediction>,
}

/// One line of a `predictions.csv`.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// The image, usually relative to the data root.
    pub file: String,
    /// Index of the true class.
    pub truth: usize,
    /// Index of the predicted class.
    pub predicted: usize,
    /// One a class, each in [0, 1]; empty in bare predictions.
    pub probabilities: Vec<f64>,
}

impl Predictions {
    /// The confusion matrix.
    ///
    /// # Errors
    /// No rows, or a class index beyond the classes.
    pub fn confusion(&self) -> Result<Confusion> {
        let (truth, predicted) = self.labels();
        Confusion::new(self.classes.len(), &truth, &predicted)
    }

    /// Every metric, the probabilistic ones if there are probabilities.
    ///
    /// # Errors
    /// As [`Metrics::of`].
    pub fn metrics(&self) -> Result<Metrics> {
        let (truth, predicted) = self.labels();
        let probabilities: Vec<f64> = (self.rows.iter())
            .flat_map(|row| row.probabilities.iter().copied())
            .collect();
        let probabilities = (!probabilities.is_empty()).then_some(probabilities.as_slice());
        Metrics::of(&self.classes, &truth, &predicted, probabilities)
    }

    /// Read a CSV file.
    ///
    /// Where no class is named and every label is a number below the count of probability columns,
    /// labels are places of columns, from 0.
    ///
    /// # Errors
    /// A file that cannot be read, has other columns or no rows, or a field that is no class or no
    /// probability; the error names file, line, column, value and what was expected.
    pub fn read(path: &Path) -> Result<Self> {
        Self::of(Table::read(path, None)?)
    }

    /// As [`Predictions::read`], with the truth from another CSV file: columns `file` and `true`. The
    /// predictions may leave out their column `true`, or it is ignored.
    ///
    /// # Errors
    /// As [`Predictions::read`], of either file; a predicted file without a label.
    pub fn read_with_labels(path: &Path, labels: &Path) -> Result<Self> {
        Self::of(Table::read(path, Some(labels))?)
    }

    fn of(mut table: Table) -> Result<Self> {
        let cells = |table: &Table| -> Vec<String> {
            let pairs = table.rows.iter();
            pairs
                .flat_map(|row| [row.truth.text.clone(), row.predicted.text.clone()])
                .collect()
        };
        if table.classes.is_empty() {
            table.classes = sorted(cells(&table));
        }
        let known = &table.classes;
        let is_place = |cell: &String| cell.parse().is_ok_and(|place: usize| place < known.len());
        let cells = cells(&table);
        let by_place = cells.iter().all(is_place) && !cells.iter().any(|c| known.contains(c));
        let class = |cell: &Cell| {
            let found = if by_place {
                cell.text.parse().ok()
            } else {
                known.iter().position(|class| class == &cell.text)
            };
            found.ok_or_else(|| cell.not_one_of(known))
        };
        let rows = (table.rows.iter())
            .map(|row| {
                Ok(Prediction {
                    file: row.file.clone(),
                    truth: class(&row.truth)?,
                    predicted: class(&row.predicted)?,
                    probabilities: row.probabilities.clone(),
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            classes: table.classes,
            rows,
        })
    }

    /// The bytes of a CSV file that [`Predictions::read`] reads back exactly.
    ///
    /// # Errors
    /// No rows, or a class index beyond the classes.
    pub fn to_csv(&self) -> Result<Vec<u8>> {
        self.confusion()?; // every class has a name
        let bare = self.rows.iter().all(|row| row.probabilities.is_empty());
        let classes = self.classes.iter().map(String::as_str).filter(|_| !bare);
        let rows = self.rows.iter().map(|row| {
            let name = |class: usize| self.classes[class].clone();
            let start = [row.file.clone(), name(row.truth), name(row.predicted)];
            (start, row.probabilities.clone())
        });
        Ok(to_csv(COLUMNS.into_iter().chain(classes), rows))
    }
    fn labels(&self) -> (Vec<usize>, Vec<usize>) {
        self.rows.iter().map(|r| (r.truth, r.predicted)).unzip()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Predictions> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("predictions.csv");
        std::fs::write(&path, text).unwrap();
        Predictions::read(&path)
    }

    #[test]
    fn reads_back_what_it_wrote() {
        let row = |file: &str, truth, predicted, probabilities: &[f64]| Prediction {
            file: file.into(),
            truth,
            predicted,
            probabilities: probabilities.into(),
        };
        let probable = Predictions {
            classes: ["no tumor", "a, \"b\"", "c"].map(String::from).into(),
            rows: vec![
                row("Testing/a b,c.jpg", 0, 1, &[0.1, f64::from(0.7_f32), 0.2]),
                row("ü.png", 2, 2, &[1e-300, 0.0, 1.0]),
            ],
        };
        let bare = Predictions {
            classes: ["a", "b"].map(String::from).into(),
            rows: vec![row("1", 1, 0, &[]), row("2", 1, 1, &[])],
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("predictions.csv");
        for predictions in [probable, bare] {
            std::fs::write(&path, predictions.to_csv().unwrap()).unwrap();
            assert_eq!(Predictions::read(&path).unwrap(), predictions);
        }
    }

    #[test]
    fn metrics_of_a_file() {
        let text = "\u{feff}file,true,predicted,a,b\n1,a,a,0.9,0.1\n2,b,a,0.6,0.4\n";
        let metrics = read(text).unwrap().metrics().unwrap();
        assert_eq!(metrics.accuracy, 0.5);
        assert_eq!(metrics.averages.auroc_macro, Some(1.0));
        let metrics = read("file,true,predicted\n1,a,a\n2,b,a\n")
            .unwrap()
            .metrics();
        assert_eq!(metrics.unwrap().ece, None);
    }

    #[test]
    fn malformed_input_is_named() {
        for (text, expected) in [
            ("", "line 1, column 1: \"\", expected the heading file"),
            (
                "file,truth\n",
                "line 1, column 2: \"truth\", expected the heading true",
            ),
            (
                "file,true,predicted,a,a\n1,a,a,0,1\n",
                "line 1, column 5: \"a\", expected the name of a class not named before",
            ),
            (
                "file,true,predicted\n",
                "line 2, column file: \"\", expected at least one prediction",
            ),
            (
                "file,true,predicted,a,b\n1,a,a,0.9,0.1\n\n2,b,c,0.9,0.1\n",
                "line 4, column predicted: \"c\", expected one of a, b",
            ),
            (
                "\u{feff}file,true,predicted,a,b\r\n1,a,a,0.9,0.1\r\n2,a,b,2,0.1\r\n",
                "line 3, column a: \"2\", expected a number from 0 to 1",
            ),
            (
                "file,true,predicted\n\"1\n1\",a,a\n2,a\n",
                "line 4, column predicted: \"\", expected 3 fields, found 2",
            ),
            (
                "file,true,predicted,a,b\n1,a,a,0.9,1.1\n",
                "line 2, column b: \"1.1\", expected a number from 0 to 1",
            ),
            (
                "file,true,predicted,a,b\n1,a,a,NaN,0.1\n",
                "line 2, column a: \"NaN\", expected a number from 0 to 1",
            ),
            (
                "file,true,predicted,a,b\n1,a,a,0.9\n",
                "line 2, column b: \"\", expected 5 fields, found 4",
            ),
            (
                "file,true,predicted,a,b\n1,a,a,0.9,0.1,7\n",
                "line 2, column 6: \"7\", expected 5 fields, found 6",
            ),
        ] {
            let message = read(text).unwrap_err().to_string();
            let end = message.split_once("predictions.csv, ").unwrap().1;
            assert_eq!(end, expected);
        }
    }

    #[test]
    fn files_that_cannot_be_used_are_named() {
        let missing = Path::new("/nonexistent/predictions.csv");
        let message = Predictions::read(missing).unwrap_err().to_string();
        assert!(
            message.starts_with("/nonexistent/predictions.csv cannot be read: "),
            "{message}"
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("latin1.csv");
        std::fs::write(&path, b"file,true,predicted\n\xfc,a,a\n").unwrap();
        let message = Predictions::read(&path).unwrap_err().to_string();
        assert!(
            message.contains("line: 2") || message.contains("line 2"),
            "{message}"
        );
    }
}
