//! Predictions and labels as CSV text: columns, lines and what is wrong in them; no metric.

use crate::{Error, Result};
use cass_run::{for_spreadsheet, from_spreadsheet, read_bounded};
use csv::StringRecord;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// The largest file that is read, in bytes.
const LARGEST: u64 = 4 << 30;
/// A file of more classes is refused: a confusion matrix, and so an interval, goes with their square.
const MOST_CLASSES: usize = 2000;

pub(crate) const COLUMNS: [&str; 3] = ["file", "true", "predicted"];

/// A predictions file, its labels still text.
pub(crate) struct Table {
    /// As the probability columns are headed; empty without them.
    pub(crate) classes: Vec<String>,
    /// At least one.
    pub(crate) rows: Vec<Row>,
}

pub(crate) struct Row {
    pub(crate) file: String,
    pub(crate) truth: Cell,
    pub(crate) predicted: Cell,
    pub(crate) probabilities: Vec<f64>,
}

/// A label, and where it stands.
#[derive(Clone)]
pub(crate) struct Cell {
    pub(crate) text: String,
    path: PathBuf,
    line: usize,
    column: &'static str,
}

impl Cell {
    pub(crate) fn not_one_of(&self, classes: &[String]) -> Error {
        Error::Field {
            path: self.path.clone(),
            line: self.line,
            column: self.column.into(),
            value: self.text.clone(),
            expected: match classes.len() {
                ..=20 => format!("one of {}", classes.join(", ")),
                more => format!("one of {more} classes such as {}", classes[..20].join(", ")),
            },
        }
    }
}

/// A file with these headings and of each row the first fields and the probabilities.
pub(crate) fn to_csv<'a>(
    headings: impl Iterator<Item = &'a str>,
    rows: impl Iterator<Item = (impl IntoIterator<Item = String>, Vec<f64>)>,
) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Nothing fails in memory but lines of different lengths, which are written as they are.
    let _ = writer.write_record(headings.map(|heading| for_spreadsheet(heading).into_owned()));
    for (start, probabilities) in rows {
        let probabilities = probabilities.into_iter().map(|p| format!("{p:?}"));
        let start = start.into_iter();
        let start = start.map(|field| for_spreadsheet(&field).into_owned());
        let _ = writer.write_record(start.chain(probabilities));
    }
    writer.into_inner().unwrap_or_default()
}

/// Each name once, in order.
pub(crate) fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names.dedup();
    names
}

impl Table {
    /// Reads predictions, the truth from `labels` if there is such a file.
    pub(crate) fn read(path: &Path, labels: Option<&Path>) -> Result<Self> {
        let text = Text::read(path)?;
        let (header, records) = (&text.header, &text.records);
        // Labels of their own make the column `true` dispensable.
        let truth = match labels {
            Some(_) if header.get(1) == Some(COLUMNS[2]) => None,
            _ => Some(1),
        };
        let (columns, labels) = match labels {
            None => (&COLUMNS[..], None),
            Some(labels) => {
                let columns = if truth.is_some() {
                    &COLUMNS[..]
                } else {
                    &[COLUMNS[0], COLUMNS[2]]
                };
                (columns, Some(read_labels(labels)?))
            }
        };
        text.check_header(columns)?;
        let start = columns.len();
        let classes: Vec<String> = header.iter().skip(start).map(String::from).collect();
        if classes.len() > MOST_CLASSES {
            let found = classes.len();
            let expected = format!("at most {MOST_CLASSES} columns of classes, found {found}");
            return Err(text.error(header, start + MOST_CLASSES, expected));
        }
        let mut named = HashSet::new();
        for (place, class) in classes.iter().enumerate() {
            if !named.insert(class) || class.is_empty() {
                let expected = "the name of a class not named before".to_string();
                return Err(text.error(header, place + start, expected));
            }
        }
        if records.is_empty() {
            return Err(text.empty("at least one prediction"));
        }
        let row = |record: &StringRecord| {
            text.check_width(record)?;
            let file = record[0].to_string();
            let truth = match &labels {
                None => text.cell(record, 1, COLUMNS[1]),
                Some(labels) => labels.get(&file).cloned().ok_or_else(|| {
                    text.error(record, 0, "a file that the labels name".to_string())
                })?,
            };
            Ok(Row {
                truth,
                predicted: text.cell(record, start - 1, COLUMNS[2]),
                probabilities: (start..record.len())
                    .map(|column| text.probability(record, column))
                    .collect::<Result<_>>()?,
                file,
            })
        };
        let rows = records.iter().map(row).collect::<Result<Vec<Row>>>()?;
        if classes.is_empty() {
            let cells = rows.iter().flat_map(|row| [&row.truth, &row.predicted]);
            let found: HashSet<&str> = cells.map(|cell| cell.text.as_str()).collect();
            if found.len() > MOST_CLASSES {
                let expected = format!("at most {MOST_CLASSES} classes, found {}", found.len());
                return Err(text.error(header, 1, expected));
            }
        }
        Ok(Self { classes, rows })
    }
}

/// The true label of each file.
fn read_labels(path: &Path) -> Result<HashMap<String, Cell>> {
    let text = Text::read(path)?;
    text.check_header(&COLUMNS[..2])?;
    let mut labels = HashMap::new();
    for record in &text.records {
        text.check_width(record)?;
        let cell = text.cell(record, 1, COLUMNS[1]);
        if labels.insert(record[0].to_string(), cell).is_some() {
            return Err(text.error(record, 0, "a file not named before".into()));
        }
    }
    Ok(labels)
}

/// A record without what keeps its fields from being formulas of a spreadsheet.
fn plain(record: StringRecord) -> StringRecord {
    if record.iter().all(|field| !field.starts_with('\'')) {
        return record;
    }
    let mut plain: StringRecord = record.iter().map(from_spreadsheet).collect();
    plain.set_position(record.position().cloned());
    plain
}

/// A CSV file: its header, its records, and how to say what is wrong in it.
pub(crate) struct Text {
    path: PathBuf,
    bytes: Vec<u8>,
    header: StringRecord,
    pub(crate) records: Vec<StringRecord>,
}

impl Text {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let file = |source| Error::Read {
            path: path.into(),
            source,
        };
        let bytes = read_bounded(path, LARGEST).map_err(|e| file(e.into()))?;
        // Flexible, so that a line of the wrong length is an error of ours that names the column.
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .from_reader(bytes.as_slice());
        let header = plain(reader.headers().map_err(file)?.clone());
        let records = reader.records().map(|record| record.map(plain));
        let records = records.collect::<Result<_, _>>().map_err(file)?;
        Ok(Self {
            path: path.into(),
            bytes,
            header,
            records,
        })
    }

    pub(crate) fn check_header(&self, columns: &[&str]) -> Result<()> {
        for (column, name) in columns.iter().enumerate() {
            if self.header.get(column) != Some(name) {
                return Err(self.error(&self.header, column, format!("the heading {name}")));
            }
        }
        Ok(())
    }

    pub(crate) fn check_width(&self, record: &StringRecord) -> Result<()> {
        if record.len() == self.header.len() {
            return Ok(());
        }
        let column = record.len().min(self.header.len());
        let expected = format!("{} fields, found {}", self.header.len(), record.len());
        Err(self.error(record, column, expected))
    }

    fn cell(&self, record: &StringRecord, place: usize, column: &'static str) -> Cell {
        Cell {
            text: record[place].into(),
            path: self.path.clone(),
            line: self.line(record),
            column,
        }
    }

    fn probability(&self, record: &StringRecord, column: usize) -> Result<f64> {
        let value = record[column].parse().ok();
        (value.filter(|v| (0.0..=1.0).contains(v)))
            .ok_or_else(|| self.error(record, column, "a number from 0 to 1".into()))
    }

    fn empty(&self, expected: &str) -> Error {
        Error::Field {
            path: self.path.clone(),
            line: 2,
            column: COLUMNS[0].into(),
            value: String::new(),
            expected: expected.into(),
        }
    }

    pub(crate) fn error(&self, record: &StringRecord, column: usize, expected: String) -> Error {
        let heading = record == &self.header;
        let name = self.header.get(column).filter(|_| !heading);
        Error::Field {
            path: self.path.clone(),
            line: self.line(record),
            column: name.map_or_else(|| (column + 1).to_string(), String::from),
            value: record.get(column).unwrap_or_default().into(),
            expected,
        }
    }

    /// The line a record starts on, from 1. The reader's own count, less the blank lines and the
    /// second half of a CRLF that it has not passed yet.
    fn line(&self, record: &StringRecord) -> usize {
        let position = record.position();
        let start = position.map_or(0, |p| p.byte() as usize);
        let rest = self.bytes.get(start..).unwrap_or_default();
        let blank = rest.iter().take_while(|b| b"\r\n".contains(b));
        let lines = position.map_or(1, |p| p.line() as usize);
        lines + blank.filter(|&&b| b == b'\n').count()
    }
}
