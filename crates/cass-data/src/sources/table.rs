//! CSV files with a header, as spreadsheets write them.
use std::{
    collections::BTreeMap,
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use super::{Problem, ProblemKind};
use crate::{Error, Result};

/// Larger tables are refused; the 25,331 rows of ISIC 2019 have 1.2 MB.
const MAX_BYTES: u64 = 256 << 20;

/// A header and the rows that have as many fields.
///
/// A byte order mark, CRLF, quoted fields and spaces around fields are understood. Lines count from
/// 1, the header's.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) path: PathBuf,
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Row>,
    /// Rows of another length or of other bytes than UTF-8.
    pub(crate) problems: Vec<Problem>,
}

/// One row.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) line: u64,
    pub(crate) fields: Vec<String>,
}

impl Table {
    /// Reads a file.
    ///
    /// # Errors
    /// A file that cannot be read or is too large; a header that is missing, is not UTF-8 or has a
    /// column twice or without a name.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let fail = |source| Error::Io {
            action: "read",
            path: path.to_owned(),
            source,
        };
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(fail)?;
        file.take(MAX_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(fail)?;
        if bytes.len() as u64 > MAX_BYTES {
            let detail = format!("it has over {MAX_BYTES} bytes");
            return Err(table(path, detail));
        }
        Self::parse(path, &bytes)
    }

    /// The table in these bytes; `path` is for messages.
    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(bytes);
        let header = reader
            .headers()
            .map_err(|e| table(path, format!("line 1: {}", reason(&e))))?;
        let columns: Vec<String> = header.iter().map(String::from).collect();
        if columns.is_empty() {
            return Err(table(path, "it is empty, expected a header line".into()));
        }
        for (place, column) in columns.iter().enumerate() {
            if column.is_empty() || columns[..place].contains(column) {
                let detail = cell(1, &(place + 1).to_string(), column, "a name of its own");
                return Err(table(path, detail));
            }
        }
        let mut rows = Vec::new();
        let mut problems = Vec::new();
        let mut bad = |detail| problems.push(row_problem(path, detail));
        for record in reader.records() {
            match record {
                Ok(record) => {
                    let line = record.position().map_or(0, csv::Position::line);
                    if record.len() == columns.len() {
                        let fields = record.iter().map(String::from).collect();
                        rows.push(Row { line, fields });
                    } else {
                        let (found, expected) = (record.len(), columns.len());
                        let open = record.iter().any(|field| field.contains('\n'));
                        let hint = if open { "; is a quote left open?" } else { "" };
                        bad(format!(
                            "line {line}: {found} fields, expected {expected}{hint}"
                        ));
                    }
                }
                Err(error) => {
                    let line = error.position().map_or(0, csv::Position::line);
                    bad(format!("line {line}: {}", reason(&error)));
                    if error.is_io_error() {
                        break;
                    }
                }
            }
        }
        Ok(Self {
            path: path.to_owned(),
            columns,
            rows,
            problems,
        })
    }

    /// The place of the first of these columns that is there, whatever its case.
    pub(crate) fn column(&self, names: &[&str]) -> Option<usize> {
        names.iter().find_map(|name| {
            let mut columns = self.columns.iter();
            columns.position(|column| column.eq_ignore_ascii_case(name))
        })
    }

    /// The place of one of these columns.
    ///
    /// # Errors
    /// If none of them is there.
    pub(crate) fn need(&self, names: &[&str]) -> Result<usize> {
        self.column(names).ok_or_else(|| {
            let expected = format!("a column {}", names.join(" or "));
            let found = self.columns.join(",");
            table(
                &self.path,
                format!("line 1: {found:?}, expected {expected}"),
            )
        })
    }

    /// A problem with one field.
    pub(crate) fn bad_cell(&self, row: &Row, column: usize, expected: &str) -> Problem {
        let (name, value) = (&self.columns[column], &row.fields[column]);
        row_problem(&self.path, cell(row.line, name, value, expected))
    }

    /// A problem with the row as a whole.
    pub(crate) fn bad_row(&self, row: &Row, detail: &str) -> Problem {
        row_problem(&self.path, format!("line {}: {detail}", row.line))
    }

    /// A problem of each row whose field repeats that of an earlier row, and the places of these
    /// rows.
    pub(crate) fn repeated(&self, column: usize) -> BTreeMap<usize, Problem> {
        let mut first: BTreeMap<&str, u64> = BTreeMap::new();
        let mut repeated = BTreeMap::new();
        for (place, row) in self.rows.iter().enumerate() {
            let line = *first.entry(&row.fields[column]).or_insert(row.line);
            if line != row.line {
                let expected = format!("one row each (it is on line {line}, too)");
                repeated.insert(place, self.bad_cell(row, column, &expected));
            }
        }
        repeated
    }
}

/// The error of a table that cannot be used at all.
pub(crate) fn table(path: &Path, detail: String) -> Error {
    Error::Table {
        path: path.to_owned(),
        detail,
    }
}

fn row_problem(path: &Path, detail: String) -> Problem {
    Problem {
        kind: ProblemKind::Row,
        path: path.to_owned(),
        detail,
    }
}

fn cell(line: u64, column: &str, value: &str, expected: &str) -> String {
    format!("line {line}, column {column}: {value:?}, expected {expected}")
}

fn reason(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Utf8 { .. } => "it is not UTF-8".into(),
        _ => error.to_string().replace('\n', " "),
    }
}
