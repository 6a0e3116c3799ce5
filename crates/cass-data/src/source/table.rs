//! Tables with a header, as spreadsheets and programs write them.

use super::{Problem, ProblemKind, dialect};
use crate::{Error, Result};
use std::collections::{BTreeMap, HashSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Larger tables are refused; the 25,331 rows of ISIC 2019 have 1.2 MB.
const MAX_BYTES: u64 = 256 << 20;

/// A header and the rows that have as many fields.
///
/// Understood are commas, semicolons and tabs between fields, whichever the header has; UTF-8, and
/// UTF-16 that says so; quotes, and spaces around fields; every kind of line end; and the column
/// without a name that pandas and R put first, which is left out. Lines count from 1, the header's.
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
        let file = cass_run::open_regular(path).map_err(fail)?;
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
        let dialect = dialect::of(bytes).map_err(|detail| table(path, detail))?;
        let mut lines = dialect.lines();
        let mut reader = dialect.reader();
        let header = reader
            .headers()
            .map_err(|e| table(path, format!("line {}: {}", dialect.first_line, reason(&e))))?;
        let mut columns: Vec<String> = header.iter().map(String::from).collect();
        if columns.iter().all(String::is_empty) {
            return Err(table(path, "it is empty, expected a header line".into()));
        }
        let mut rows = Vec::new();
        let mut problems = Vec::new();
        for record in reader.records() {
            match record {
                Ok(record) => {
                    let line = lines.of(record.position());
                    let fields: Vec<_> = record.iter().map(String::from).collect();
                    rows.push(Row { line, fields });
                }
                Err(error) => {
                    let line = lines.of(error.position());
                    let detail = format!("line {line}: {}", reason(&error));
                    problems.push(row_problem(path, detail));
                    if error.is_io_error() {
                        break;
                    }
                }
            }
        }
        leave_out_the_index(&mut columns, &mut rows);
        let mut named = HashSet::new();
        for (place, column) in columns.iter().enumerate() {
            if column.is_empty() || !named.insert(column) {
                let place = (place + 1).to_string();
                let detail = cell(dialect.first_line, &place, column, "a name of its own");
                return Err(table(path, detail));
            }
        }
        let expected = columns.len();
        rows.retain(|Row { line, fields }| {
            let found = fields.len();
            if found != expected {
                let open = fields.iter().any(|field| field.contains('\n'));
                let hint = if open { "; is a quote left open?" } else { "" };
                let detail = format!("line {line}: {found} fields, expected {expected}{hint}");
                problems.push(row_problem(path, detail));
            }
            found == expected
        });
        Ok(Self {
            path: path.to_owned(),
            columns,
            rows,
            problems,
        })
    }

    /// The place of the first of these columns that is there. Case, spaces and punctuation do not
    /// matter: `Image Index` is `image_index`.
    pub(crate) fn column(&self, names: &[&str]) -> Option<usize> {
        names.iter().find_map(|name| {
            let mut columns = self.columns.iter();
            let exact = columns.position(|column| column == name);
            let mut columns = self.columns.iter();
            exact.or_else(|| columns.position(|column| bare(column) == bare(name)))
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

/// A name without what people write differently: case, spaces, punctuation.
pub(crate) fn bare(name: &str) -> String {
    let letters = name.chars().filter(|c| c.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

/// Leaves out columns that hold no data: the first one if it has no name, as pandas writes its
/// index, or if only the rows have it, as R writes theirs; later ones if they are empty, as a
/// separator at the end of every line makes them.
fn leave_out_the_index(columns: &mut Vec<String>, rows: &mut [Row]) {
    let longer = |row: &Row| row.fields.len() == columns.len() + 1;
    if !rows.is_empty() && rows.iter().all(longer) {
        if rows
            .iter()
            .all(|row| row.fields.last().is_some_and(String::is_empty))
        {
            rows.iter_mut().for_each(|row| drop(row.fields.pop()));
        } else {
            rows.iter_mut().for_each(|row| drop(row.fields.remove(0)));
        }
    }
    for place in (0..columns.len()).rev() {
        let empty = |row: &Row| row.fields.get(place).is_none_or(String::is_empty);
        let unnamed = columns[place].is_empty() || columns[place].starts_with("Unnamed: ");
        if unnamed && (place == 0 || rows.iter().all(empty)) {
            columns.remove(place);
            for row in rows.iter_mut().filter(|row| place < row.fields.len()) {
                row.fields.remove(place);
            }
        }
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
        csv::ErrorKind::Utf8 { .. } => {
            "it is not UTF-8 (spreadsheets save it as `CSV UTF-8`)".into()
        }
        _ => error.to_string().replace('\n', " "),
    }
}
