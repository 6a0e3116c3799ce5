//! Reading a table file, strictly: every mistake is named with its line and column.

use super::subject::Fields;
use super::{Cell, Claim, Column, Comparison, Content, Printed, Row, Table};
use anyhow::{Context, Result, anyhow, ensure};
use cass_run::Scores;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
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
    pub(super) row: Vec<Spanned<FileRow>>,
    #[serde(default)]
    claim: Vec<Spanned<Claim>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileRow {
    id: String,
    pub(super) head: Vec<String>,
    #[serde(default)]
    cell: Fields,
    #[serde(default)]
    with: BTreeMap<String, String>,
    /// The paper's cells; none where the row is ours.
    #[serde(default)]
    pub(super) printed: Vec<Printed>,
    /// Further cells, which the paper gives in its text.
    #[serde(default)]
    pub(super) in_text: Vec<Printed>,
    /// What the paper prints behind the cells.
    #[serde(default)]
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "compared with the paper in a test")
    )]
    pub(super) tail: String,
}

impl Table {
    /// Reads the text of a table file.
    pub(crate) fn parse(text: &str) -> Result<Table> {
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
        // For people to read, wherever it is shown.
        let shown = |text: &str| cass_run::printable(text).into_owned();
        let mut table = Table {
            number: shown(&file.number),
            title: shown(&file.title),
            metric,
            metric_title: shown(&file.metric_title),
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
}

/// `line 3, column 7: `.
fn place(text: &str, span: &Range<usize>) -> String {
    let before = text.get(..span.start).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or(before).chars().count() + 1;
    format!("line {line}, column {column}: ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_in_a_table_file_are_named_with_line_and_column() {
        let good = include_str!("../../tables/03.toml");
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
