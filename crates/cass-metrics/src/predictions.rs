use crate::groups::mean_rows;
use crate::metrics::{Confusion, Interval, Metrics, NotGiven};
use crate::resample::Units;
use crate::table::{COLUMNS, Cell, Table, sorted, to_csv};
use crate::{Error, Groups, Result};
use std::collections::HashMap;
use std::path::Path;

/// Predictions of a classifier for each file, and the truth: a `predictions.csv`.
///
/// Its columns are `file`, `true`, `predicted` (names of classes) and one probability a class, headed
/// by the class's name, in the order of the classes. A file without probability columns is one of
/// bare predictions: its classes are the names that occur, sorted.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions {
    /// Names of the classes.
    pub classes: Vec<String>,
    /// One entry for each file.
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
    /// One probability for each class, in [0, 1]; empty in bare predictions.
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

    /// The 95 % interval of a statistic over 1,000 resamples of the files that keep each true class's number;
    /// of whole groups where there are any.
    ///
    /// # Errors
    /// Where all resamples score the same, so that they say nothing of how sure the score is.
    pub fn interval(
        &self,
        groups: Option<&Groups>,
        seed: u64,
        statistic: impl Fn(&Confusion) -> f64,
    ) -> Result<Interval, NotGiven> {
        let k = self.classes.len();
        let hot: Vec<Vec<bool>> = (0..k).map(|t| (0..k).map(|c| c == t).collect()).collect();
        let files = self.rows.iter().map(|row| row.file.as_str());
        let truth = self.rows.iter().map(|row| hot[row.truth].as_slice());
        let units = Units::of(files, truth, groups);
        Interval::over(&units, seed, |drawn| {
            let rows = drawn.iter().map(|&i| &self.rows[i]);
            statistic(&Confusion::counted(k, rows.map(|r| (r.truth, r.predicted))))
        })
    }

    /// The mean probabilities of each group's files as predictions of its own, of the class with the largest one
    /// and named in place of a file; files of no group stand for themselves. Also the number of groups that are
    /// left out, since their files are of several classes.
    ///
    /// # Errors
    /// Bare predictions, which have nothing to average.
    pub fn by_group(&self, groups: &Groups) -> Result<(Self, usize)> {
        let (k, mut mixed) = (self.classes.len(), 0);
        let mut rows = Vec::new();
        for (file, places) in groups.gather(self.rows.iter().map(|row| row.file.as_str())) {
            let of = || places.iter().map(|&i| &self.rows[i]);
            if of().any(|row| row.probabilities.len() != k) {
                return Err(Error::Bare);
            }
            let truth = self.rows[places[0]].truth;
            if of().any(|row| row.truth != truth) {
                mixed += 1;
                continue;
            }
            let mean = mean_rows(of().map(|row| row.probabilities.as_slice()), k);
            let better = |best: usize, i: usize| if mean[i] > mean[best] { i } else { best };
            rows.push(Prediction {
                file,
                truth,
                predicted: (1..k).fold(0, better),
                probabilities: mean,
            });
        }
        let classes = self.classes.clone();
        Ok((Self { classes, rows }, mixed))
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

    /// Reads predictions as [`Predictions::read`], with the truth from another CSV file: columns `file` and `true`. The
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
        let places: HashMap<&str, usize> = (known.iter().enumerate().rev())
            .map(|(place, class)| (class.as_str(), place))
            .collect();
        let is_place = |cell: &String| cell.parse().is_ok_and(|place: usize| place < known.len());
        let cells = cells(&table);
        let by_place =
            cells.iter().all(is_place) && !cells.iter().any(|c| places.contains_key(c.as_str()));
        let class = |cell: &Cell| {
            let found = if by_place {
                cell.text.parse().ok()
            } else {
                places.get(cell.text.as_str()).copied()
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
    fn the_images_of_a_patient_speak_together() {
        let text = "file,true,predicted,a,b\n1,a,a,0.9,0.1\n2,a,b,0.4,0.6\n3,b,a,0.7,0.3\n4,a,a,1,0\n5,b,b,0,1\n";
        let predictions = read(text).unwrap();
        let pairs = [("1", "p"), ("2", "p"), ("4", "q"), ("5", "q")];
        let groups: Groups = (pairs.into_iter())
            .map(|(file, group)| (file.to_string(), group.to_string()))
            .collect();
        let (merged, mixed) = predictions.by_group(&groups).unwrap();
        let said = |row: &Prediction| (row.file.clone(), row.truth, row.predicted);
        let said: Vec<_> = merged.rows.iter().map(said).collect();
        assert_eq!(
            (said, mixed),
            (vec![("3".into(), 1, 0), ("p".into(), 0, 0)], 1)
        );
        let bare = read("file,true,predicted\n1,a,a\n").unwrap();
        assert!(bare.by_group(&groups).is_err());
    }

    #[test]
    fn intervals_are_wider_over_patients_than_over_their_images() {
        let row = |i: usize| Prediction {
            file: i.to_string(),
            truth: i / 100,
            // Of every fifth patient, of five images each, all are taken for the other class.
            predicted: (i / 100) ^ usize::from((i / 5).is_multiple_of(5)),
            probabilities: vec![],
        };
        let predictions = Predictions {
            classes: ["a", "b"].map(String::from).into(),
            rows: (0..200).map(row).collect(),
        };
        let groups: Groups = (0..200)
            .map(|i| (i.to_string(), format!("p{}", i / 5)))
            .collect();
        let one = |i: usize| (i.to_string(), "all".to_string());
        let width = |groups| {
            let got = predictions
                .interval(groups, 0, Confusion::accuracy)
                .unwrap();
            got.high - got.low
        };
        assert!(width(Some(&groups)) > 1.8 * width(None));
        let one: Groups = (0..200).map(one).collect();
        let reason = predictions
            .interval(Some(&one), 0, Confusion::accuracy)
            .unwrap_err();
        assert_eq!(reason.to_string(), "the images are of one group");
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
