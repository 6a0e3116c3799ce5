//! A table of the paper as one file: its grid, its printed numbers, its claims, its contradictions.

mod expr;
#[cfg(test)]
mod paper;
mod printed;
mod subject;

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::Deserialize;
use toml::Spanned;

pub use expr::{CellName, Comparison, Expr, Relation, Value};
pub use printed::Printed;
pub use subject::{Arm, Augment, DataSet, Measure, Method, Optimizer, Subject, Weights};

use subject::Fields;

use crate::folder::Scores;

/// Every table there is a file for, in the paper's order.
const FILES: [(&str, &str); 20] = [
    ("1", include_str!("../../tables/01.toml")),
    ("2", include_str!("../../tables/02.toml")),
    ("3", include_str!("../../tables/03.toml")),
    ("4", include_str!("../../tables/04.toml")),
    ("5", include_str!("../../tables/05.toml")),
    ("6", include_str!("../../tables/06.toml")),
    ("7", include_str!("../../tables/07.toml")),
    ("8", include_str!("../../tables/08.toml")),
    ("9", include_str!("../../tables/09.toml")),
    ("10", include_str!("../../tables/10.toml")),
    ("11", include_str!("../../tables/11.toml")),
    ("12", include_str!("../../tables/12.toml")),
    ("13", include_str!("../../tables/13.toml")),
    ("14", include_str!("../../tables/14.toml")),
    ("C1", include_str!("../../tables/c1.toml")),
    ("15", include_str!("../../tables/15.toml")),
    ("16", include_str!("../../tables/16.toml")),
    ("17", include_str!("../../tables/17.toml")),
    ("18", include_str!("../../tables/18.toml")),
    ("19", include_str!("../../tables/19.toml")),
];

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
    /// One a column.
    pub cells: Vec<Cell>,
}

pub struct Cell {
    pub content: Content,
    pub printed: Option<Printed>,
}

/// Where a cell's numbers come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// From runs.
    Runs(Box<Subject>),
    /// From other cells; with the method it is of.
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    number: String,
    title: String,
    metric: Spanned<String>,
    metric_title: String,
    /// An expression for every cell, with `{places}` that rows and columns fill.
    value: Option<String>,
    #[serde(default)]
    cell: Fields,
    columns: Vec<Column>,
    #[serde(default)]
    contradictions: Vec<String>,
    row: Vec<Spanned<FileRow>>,
    #[serde(default)]
    claim: Vec<Spanned<Claim>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRow {
    id: String,
    head: Vec<String>,
    #[serde(default)]
    cell: Fields,
    #[serde(default)]
    with: BTreeMap<String, String>,
    /// The paper's cells; none where the row is ours.
    #[serde(default)]
    printed: Vec<Printed>,
    /// Further cells, which the paper gives in its text.
    #[serde(default)]
    in_text: Vec<Printed>,
    /// What the paper prints behind the cells.
    #[serde(default)]
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "compared with the paper in a test")
    )]
    tail: String,
}

impl Table {
    fn parse(text: &str) -> Result<Table> {
        let file: File = toml::from_str(text).map_err(|error| {
            let place = error
                .span()
                .map_or(String::new(), |span| place(text, &span));
            // The message alone: the library's own rendering takes several lines.
            anyhow!("{place}{}", error.message().trim().replace('\n', "; "))
        })?;
        let metric = file.metric.get_ref().clone();
        let known = Scores::NAMES.contains(&metric.as_str())
            || ["hours", "score"].contains(&metric.as_str());
        ensure!(
            known,
            "{}unknown metric `{metric}`: expected hours, score, {}",
            place(text, &file.metric.span()),
            Scores::NAMES.join(", ")
        );
        let mut table = Table {
            number: file.number,
            title: file.title,
            metric,
            metric_title: file.metric_title,
            columns: file.columns,
            rows: Vec::new(),
            claims: Vec::new(),
            contradictions: file.contradictions,
        };
        for row in file.row {
            let at = row.span();
            let read = table
                .read_row(row.into_inner(), &file.cell, file.value.as_deref())
                .with_context(|| place(text, &at).trim_end_matches(": ").to_owned())?;
            table.rows.push(read);
        }
        for claim in file.claim {
            let at = claim.span();
            let claim = claim.into_inner();
            table
                .check_claim(&claim)
                .with_context(|| place(text, &at).trim_end_matches(": ").to_owned())?;
            table.claims.push(claim);
        }
        Ok(table)
    }

    fn read_row(&self, row: FileRow, shared: &Fields, value: Option<&str>) -> Result<Row> {
        let name = format!("row `{}`", row.id);
        ensure!(
            self.rows.iter().all(|other| other.id != row.id),
            "{name} stands there twice"
        );
        let printed: Vec<Printed> = row.printed.into_iter().chain(row.in_text).collect();
        ensure!(
            printed.is_empty() || printed.len() == self.columns.len(),
            "{name} has {} numbers, expected {} (one a column)",
            printed.len(),
            self.columns.len(),
        );
        let mut printed = printed.into_iter();
        let mut cells: Vec<Cell> = Vec::new();
        for column in &self.columns {
            let which = || format!("cell `{} {}`", row.id, column.id);
            let content = match value {
                Some(template) => {
                    let mut text = template.to_owned();
                    for (key, value) in row.with.iter().chain(&column.with) {
                        text = text.replace(&format!("{{{key}}}"), value);
                    }
                    ensure!(
                        !text.contains('{'),
                        "{} leaves a place of `{text}` open",
                        which()
                    );
                    Content::Computed {
                        value: text.parse().with_context(which)?,
                        method: column.with.get("method").cloned().unwrap_or_default(),
                    }
                }
                None => {
                    let fields = shared.and(&column.cell).and_then(|f| f.and(&row.cell));
                    let subject = fields.and_then(Fields::subject).with_context(which)?;
                    Content::Runs(Box::new(subject))
                }
            };
            let twice = (self.rows.iter().flat_map(|row| &row.cells).chain(&cells))
                .any(|cell| cell.content == content);
            ensure!(!twice, "{} repeats another cell", which());
            cells.push(Cell {
                content,
                printed: printed.next(),
            });
        }
        Ok(Row {
            id: row.id,
            head: row.head,
            cells,
        })
    }

    fn check_claim(&self, claim: &Claim) -> Result<()> {
        let text = &claim.text;
        ensure!(
            claim.all.is_empty() == claim.never_collapses.is_some(),
            "claim `{text}` needs either `all` or `never_collapses`"
        );
        for name in claim.all.iter().flat_map(Comparison::cells) {
            ensure!(
                name.table.is_some() || self.find(&name.cell).is_some(),
                "claim `{text}` names `{}`, which the table has not",
                name.cell
            );
        }
        Ok(())
    }

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

/// `line 3, column 7: `.
fn place(text: &str, span: &Range<usize>) -> String {
    let before = text.get(..span.start).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or(before).chars().count() + 1;
    format!("line {line}, column {column}: ")
}

/// Every table, for claims and computed cells name cells of each other.
pub struct Book {
    tables: Vec<Table>,
}

impl Book {
    pub fn load() -> Result<Book> {
        let mut tables = Vec::new();
        for (number, text) in FILES {
            tables.push(
                Table::parse(text).with_context(|| format!("failed to read table {number}"))?,
            );
        }
        let book = Book { tables };
        book.tables.iter().try_for_each(|table| book.check(table))?;
        Ok(book)
    }

    /// The same with a table of one's own, which is found by its number.
    pub fn with_file(mut self, path: &Path) -> Result<(Book, String)> {
        let failed = || format!("failed to read table {}", path.display());
        let text = fs::read_to_string(path).with_context(failed)?;
        let table = Table::parse(&text).with_context(failed)?;
        let number = table.number.clone();
        ensure!(
            self.tables.iter().all(|other| other.number != number),
            "failed to read table {}: its number {number} is one of the paper's",
            path.display()
        );
        self.check(&table)?;
        self.tables.push(table);
        Ok((self, number))
    }

    /// Cells that are named are there, and none is computed of computed ones.
    fn check(&self, table: &Table) -> Result<()> {
        let find = |name: &CellName| {
            let number = name.table.as_ref().unwrap_or(&table.number);
            let other = if *number == table.number {
                Some(table)
            } else {
                self.table(number).ok()
            };
            let found = other.and_then(|other| other.find(&name.cell));
            found.with_context(|| {
                format!(
                    "failed to read table {}: it names `{number}/{}`, which is not there",
                    table.number, name.cell
                )
            })
        };
        for name in table
            .claims
            .iter()
            .flat_map(|claim| &claim.all)
            .flat_map(Comparison::cells)
        {
            find(name)?;
        }
        for cell in table.rows.iter().flat_map(|row| &row.cells) {
            let Content::Computed { value, .. } = &cell.content else {
                continue;
            };
            for name in value.cells() {
                ensure!(
                    matches!(find(name)?.content, Content::Runs(_)),
                    "failed to read table {}: it computes a cell of `{}`, which is computed itself",
                    table.number,
                    name.cell
                );
            }
        }
        Ok(())
    }

    /// The table of that number; `3` and `03` are the same, and so are `C1` and `c1`.
    pub fn table(&self, number: &str) -> Result<&Table> {
        let wanted = number.trim_start_matches('0').to_ascii_uppercase();
        let found = (self.tables.iter()).find(|t| t.number.to_ascii_uppercase() == wanted);
        let Some(found) = found else {
            let available: Vec<_> = self.tables.iter().map(|t| t.number.as_str()).collect();
            bail!(
                "failed to find table {number}: available: all, {}",
                available.join(", ")
            );
        };
        Ok(found)
    }

    /// What the paper printed in a cell, as the value of one seed.
    pub fn printed(&self, table: &str, name: &CellName) -> Option<BTreeMap<u64, f64>> {
        let table = self.table(name.table.as_deref().unwrap_or(table)).ok()?;
        let printed = table.find(&name.cell)?.printed.as_ref()?;
        Some(BTreeMap::from([(0, printed.mean)]))
    }

    /// What a claim about all of a table's pretrainings speaks of: a summary speaks of the whole paper.
    pub fn scope<'a>(&'a self, table: &'a Table) -> Vec<&'a Table> {
        if table.subjects().next().is_some() {
            vec![table]
        } else {
            self.tables.iter().collect()
        }
    }

    /// The paper's tables.
    pub fn paper(&self) -> impl Iterator<Item = &Table> {
        self.tables.iter().take(FILES.len())
    }

    #[cfg(test)]
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// The tables whose runs a table needs: itself, and those its cells are computed from.
    pub fn computed_from<'a>(&'a self, table: &'a Table) -> Vec<&'a Table> {
        let mut needed = vec![table];
        for cell in table.rows.iter().flat_map(|row| &row.cells) {
            let Content::Computed { value, .. } = &cell.content else {
                continue;
            };
            let others = value
                .cells()
                .into_iter()
                .filter_map(|name| name.table.as_ref());
            for other in others.filter_map(|number| self.table(number).ok()) {
                if needed.iter().all(|known| known.number != other.number) {
                    needed.push(other);
                }
            }
        }
        needed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_file_reads_and_is_found_by_its_number() {
        let book = Book::load().unwrap();
        for ((number, _), table) in FILES.iter().zip(book.tables()) {
            assert_eq!(*number, table.number);
            assert!(!table.claims.is_empty() || table.number == "13", "{number}");
        }
        assert!(book.table("03").is_ok() && book.table("c1").is_ok());
        let error = book.table("99").err().unwrap().to_string();
        assert!(
            error.contains("99") && error.contains("available: all, 1, 2"),
            "{error}"
        );
    }

    #[test]
    fn cells_are_the_table_its_row_and_its_column_together() {
        let book = Book::load().unwrap();
        let subject = |table: &str, name: &str| match &book.table(table).unwrap().find(name) {
            Some(Cell {
                content: Content::Runs(subject),
                ..
            }) => (**subject).clone(),
            _ => panic!("{table}/{name}"),
        };
        let base = subject("3", "CASS vit 100%");
        for (table, name) in [
            ("16", "16 vit"),
            ("17", "100 vit"),
            ("18", "Imagenet vit"),
            ("13", "ResNet-50 vit"),
        ] {
            assert_eq!(subject(table, name), base, "{table} {name}");
        }
        assert_eq!(
            subject("16", "8 vit"),
            Subject {
                batch: 8,
                ..base.clone()
            }
        );
        assert_eq!(subject("18", "Random vit").weights, Weights::Random);
        assert_eq!(
            subject("15", "Swin vit").cnn.short(),
            "swin_base_patch4_window12_384"
        );
        assert_eq!(subject("8", "SGD cnn").cnn_optimizer, Optimizer::Sgd);
        assert_eq!(subject("10", "ViT-L score").method, Method::Supervised);
        let needed = book.computed_from(book.table("19").unwrap());
        let needed: Vec<_> = needed.iter().map(|table| table.number.as_str()).collect();
        assert_eq!(needed, ["19", "2", "3", "4"]);
    }

    #[test]
    fn mistakes_in_a_table_file_are_named_with_line_and_column() {
        let good = FILES[2].1;
        let line = |part: &str| good[..good.find(part).unwrap()].matches('\n').count() + 1;
        let row = |part: &str| {
            let before = &good[..good.find(part).unwrap()];
            before[..before.rfind("[[row]]").unwrap()]
                .matches('\n')
                .count()
                + 1
        };
        for (from, to, at, expected) in [
            (
                "\ntitle =",
                "\ntitel =",
                line("\ntitle =") + 1,
                "unknown field `titel`",
            ),
            (
                "percent = 1 }",
                "percents = 1 }",
                line("percent = 1 }"),
                "unknown field `percents`",
            ),
            (
                "cell = { data = \"brain-mri\" }",
                "cell = { data = \"brain-mri\", cnn = \"resnet51\" }",
                line("cell = { data"),
                "unknown network `resnet51`",
            ),
            (
                "method = \"DINO\", arm = \"vit\"",
                "method = \"DINO\", arm = \"cnn\"",
                row("method = \"DINO\", arm = \"vit\""),
                "repeats another cell",
            ),
            (
                "percent = 10 }",
                "percent = 1 }",
                row("Untrained cnn"),
                "cell `Untrained cnn 10%` repeats another cell",
            ),
            (
                "id = \"DINO vit\"",
                "id = \"DINO cnn\"",
                row("id = \"DINO vit\""),
                "stands there twice",
            ),
            (
                "0.52±0.018",
                "0.52",
                line("0.52±0.018"),
                "neither `mean±deviation`",
            ),
            (
                "\"f1_macro\"",
                "\"f2\"",
                line("\"f1_macro\""),
                "unknown metric `f2`",
            ),
        ] {
            assert!(good.contains(from), "{from}");
            let error = format!(
                "{:#}",
                Table::parse(&good.replacen(from, to, 1)).err().unwrap()
            );
            assert!(error.contains(expected), "{from} -> {to}: {error}");
            assert!(
                error.starts_with(&format!("line {at}, column ")),
                "{at}: {error}"
            );
            assert!(!error.contains('\n'), "{error}");
        }
        for (from, to, expected) in [
            ("\"0.8925±0.0254\", ", "", "has 2 numbers, expected 3"),
            (
                "mean(CASS cnn 1%,",
                "mean(CASS cnn 2%,",
                "names `CASS cnn 2%`",
            ),
            (", arm = \"cnn\" }", " }", "`arm` is set neither"),
            (
                "percent = 1 }",
                "percent = 1, data = \"isic2019\" }",
                "`data` is set twice",
            ),
        ] {
            assert!(good.contains(from), "{from}");
            let error = format!("{:#}", Table::parse(&good.replace(from, to)).err().unwrap());
            assert!(error.contains(expected), "{from} -> {to}: {error}");
        }
    }
}
