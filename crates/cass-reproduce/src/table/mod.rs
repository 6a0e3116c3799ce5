//! A table of the paper as one file: its grid, its printed numbers, its claims, its contradictions.

mod book;
mod expr;
mod file;
mod method;
#[cfg(test)]
mod paper;
mod printed;
mod subject;

pub use book::Book;
pub use expr::{CellName, Comparison, Expr, Relation, Value};
pub use method::{Method, pretrainings};
pub use printed::Printed;
pub use subject::{Arm, Augment, DataSet, Measure, Optimizer, Subject, Weights};

use serde::Deserialize;
use std::collections::BTreeMap;
use subject::Fields;

/// A table as a job and a report need it.
pub struct Table {
    pub number: String,
    pub title: String,
    /// Key of the headline metric in `metrics.json`; `hours`; or `score` where others' cells are combined.
    pub metric: String,
    pub metric_title: String,
    pub columns: Vec<Column>,
    pub rows: Vec<Row>,
    pub claims: Vec<Claim>,
    pub contradictions: Vec<String>,
}

/// A column's name, and what its cells share.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    pub id: String,
    pub title: String,
    #[serde(default)]
    cell: Fields,
    /// Fills the places of the table's `value`.
    #[serde(default)]
    with: BTreeMap<String, String>,
}

pub struct Row {
    pub id: String,
    /// The paper's leading columns.
    pub head: Vec<String>,
    /// Cell of each column.
    pub cells: Vec<Cell>,
}

pub struct Cell {
    pub content: Content,
    pub printed: Option<Printed>,
}

/// Where a cell's numbers come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Measured by runs.
    Runs(Box<Subject>),
    /// Computed from other cells, and the method that it is of.
    Computed { value: Expr, method: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    pub text: String,
    pub source: String,
    /// Holds if each of these does.
    #[serde(default)]
    pub all: Vec<Comparison>,
    /// Holds if no pretraining by this method ends with collapsed features.
    pub never_collapses: Option<Method>,
}

impl Table {
    /// The cell of that `ROW COLUMN`.
    pub fn find(&self, name: &str) -> Option<&Cell> {
        let (row, column) = self.position(name)?;
        self.rows.get(row)?.cells.get(column)
    }

    /// Row and column of that `ROW COLUMN`.
    pub fn position(&self, name: &str) -> Option<(usize, usize)> {
        self.rows.iter().enumerate().find_map(|(index, row)| {
            let rest = name.strip_prefix(&row.id)?.strip_prefix(' ')?;
            let column = self.columns.iter().position(|column| column.id == rest)?;
            Some((index, column))
        })
    }

    /// What its cells are about, of those that come from runs.
    pub fn subjects(&self) -> impl Iterator<Item = &Subject> {
        self.rows
            .iter()
            .flat_map(|row| &row.cells)
            .filter_map(|cell| match &cell.content {
                Content::Runs(subject) => Some(&**subject),
                Content::Computed { .. } => None,
            })
    }
}
