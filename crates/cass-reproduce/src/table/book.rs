//! All tables together: their claims and computed cells name cells of each other.

use super::{CellName, Comparison, Content, Table};
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Every table there is a file for, in the paper's order.
pub(super) const FILES: [(&str, &str); 20] = [
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

/// Every table, for claims and computed cells name cells of each other.
pub struct Book {
    tables: Vec<Table>,
}

impl Book {
    pub fn load() -> Result<Book> {
        let mut tables = Vec::new();
        for (number, text) in FILES {
            tables.push(
                Table::parse(text).with_context(|| format!("table {number} cannot be read"))?,
            );
        }
        let book = Book { tables };
        book.tables.iter().try_for_each(|table| book.check(table))?;
        Ok(book)
    }

    /// Adds a table of one's own, which is found by its number.
    pub fn with_file(mut self, path: &Path) -> Result<(Book, String)> {
        let failed = || format!("table {} cannot be read", path.display());
        let text = fs::read_to_string(path).with_context(failed)?;
        let table = Table::parse(&text).with_context(failed)?;
        let number = table.number.clone();
        ensure!(
            self.tables.iter().all(|other| other.number != number),
            "table {} cannot be read: its number {number} is one of the paper's",
            path.display()
        );
        self.check(&table)?;
        self.tables.push(table);
        Ok((self, number))
    }

    /// Cells that are named exist, and none is computed of computed ones.
    pub(crate) fn check(&self, table: &Table) -> Result<()> {
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
                    "table {} cannot be read: it names `{number}/{}`, which is not there",
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
                    "table {} cannot be read: it computes a cell of `{}`, which is computed itself",
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
                "there is no table {number}: available: all, {}",
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

    /// The paper's tables, then one of one's own.
    pub fn all(&self) -> impl Iterator<Item = &Table> {
        self.tables.iter()
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
    use super::super::{Cell, Method, Optimizer, Subject, Weights};
    use super::*;

    #[test]
    fn every_table_file_reads_and_is_found_by_its_number() {
        let book = Book::load().unwrap();
        for ((number, _), table) in FILES.iter().zip(book.all()) {
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
}
