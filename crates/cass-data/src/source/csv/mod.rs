//! Tables that name images, their labels and perhaps their parts and groups.

mod cells;
mod columns;
mod names;
mod paths;

use self::cells::{Said, in_order};
use self::columns::Columns;
use self::paths::Places;
use super::folder::part;
use super::listing::{list, name};
use super::table::{Row, Table, table};
use super::{Choices, Found, Item, Problem, ProblemKind, locate};
use crate::Result;
use crate::source::{Part, Task};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub(crate) const NAME: &str = "csv";

const ENDINGS: [&str; 2] = ["csv", "tsv"];

/// Reads the table at `data_root`: a file, or a folder with exactly one, or with one for each part
/// (`train.csv`, `test.csv`). Paths are relative to its folder or the one above, or absolute, or
/// names of images below its folder.
pub(crate) fn find(data_root: &Path, choices: &Choices) -> Result<Found> {
    let expected = "a CSV file, or a folder with exactly one or with train.csv and test.csv, with a \
                    column of paths and perhaps a column label, or labels separated by | or ;, or a \
                    0/1 column a class";
    let root = match locate(data_root, NAME, expected, |root| !tables(root).is_empty()) {
        Ok(root) => root,
        Err(error) => return Err(several(data_root).unwrap_or(error)),
    };
    let files = tables(&root);
    let root = match files.first().and_then(|(file, _)| file.parent()) {
        Some(folder) => folder.to_owned(),
        None => root,
    };
    let mut all = Rows::default();
    let places = Places::new(&root, choices)?;
    for (file, part) in &files {
        all.read(places.clone(), &Table::read(file)?, *part, choices)?;
    }
    let names: Vec<String> = files.iter().map(|(file, _)| name(file)).collect();
    all.problems
        .extend(places.unnamed(&all.seen, &names.join(" or ")));
    all.found(root)
}

/// What to say of a folder with tables of which none is the one.
fn several(folder: &Path) -> Option<crate::Error> {
    let found = all_tables(folder);
    let first = found.first()?;
    let names: Vec<_> = found.iter().map(|table| name(table)).collect();
    let detail = format!(
        "it holds {}, expected one table, or train.csv and test.csv: is it --data-root {}?",
        names.join(", "),
        first.display()
    );
    Some(table(folder, detail))
}

fn all_tables(folder: &Path) -> Vec<PathBuf> {
    let is_table = |path: &PathBuf| {
        let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
        ENDINGS.iter().any(|known| ending == *known) && path.is_file()
    };
    let mut tables = list(folder).unwrap_or_default();
    tables.retain(is_table);
    tables
}

/// The tables at a path, each with the part that its name says.
pub(super) fn tables(root: &Path) -> Vec<(PathBuf, Option<Part>)> {
    if root.is_file() {
        return vec![(root.to_owned(), None)];
    }
    let tables = all_tables(root);
    if let [only] = &tables[..] {
        return vec![(only.clone(), None)];
    }
    let of_part = |path: PathBuf| {
        let stem = path.with_extension("");
        part(&name(&stem)).map(|part| (path, Some(part)))
    };
    let mut parts: Vec<_> = tables.into_iter().filter_map(of_part).collect();
    parts.sort_by_key(|(_, part)| *part);
    let trained = parts.iter().any(|(_, part)| *part == Some(Part::Train));
    let once = parts.windows(2).all(|pair| pair[0].1 != pair[1].1);
    if trained && once { parts } else { Vec::new() }
}

/// The rows of all tables, their labels yet to be numbered.
#[derive(Default)]
struct Rows {
    rows: Vec<(Item, Said)>,
    /// Line of every image's row, to tell of a second one.
    seen: BTreeMap<PathBuf, (PathBuf, u64)>,
    /// Columns that are classes, in order; none where names are.
    marked: Option<Vec<String>>,
    several: bool,
    problems: Vec<Problem>,
    notes: Vec<String>,
}

impl Rows {
    fn read(
        &mut self,
        mut places: Places,
        table: &Table,
        part: Option<Part>,
        choices: &Choices,
    ) -> Result<()> {
        let columns = Columns::of(table, choices)?;
        self.notes.push(columns.sentence(table));
        self.problems.extend(table.problems.iter().cloned());
        let mut repeated = table.repeated(columns.path);
        let (mut missing, mut first) = (Vec::new(), None);
        for (place, row) in table.rows.iter().enumerate() {
            let read = match repeated.remove(&place) {
                Some(problem) => Err(problem),
                None => self.row(table, row, &columns, &mut places, part),
            };
            match read {
                Ok(read) => self.rows.push(read),
                Err(problem) => {
                    if problem.kind == ProblemKind::MissingFile {
                        first.get_or_insert(row);
                        missing.push(place);
                    }
                    self.problems.push(problem);
                }
            }
        }
        // One line for the one reason, not one a row.
        if let Some(row) = first.filter(|_| missing.len() == table.rows.len()) {
            let detail = places.nowhere(&row.fields[columns.path], missing.len());
            return Err(self::table(&table.path, detail));
        }
        self.notes.extend(columns.notes(table));
        if places.recased > 0 {
            self.notes.push(format!(
                "{}: {} paths are written in another case than their files",
                name(&table.path),
                places.recased
            ));
        }
        self.several |= columns.labels.are_several();
        match (columns.labels.marked(table), &self.marked) {
            (Some(marked), None) => self.marked = Some(marked),
            (Some(marked), Some(before)) if marked != *before => {
                let detail = format!(
                    "its classes are {}, those of the tables before it {}",
                    marked.join(", "),
                    before.join(", ")
                );
                return Err(self::table(&table.path, detail));
            }
            _ => {}
        }
        Ok(())
    }

    fn row(
        &mut self,
        table: &Table,
        row: &Row,
        columns: &Columns,
        places: &mut Places,
        part: Option<Part>,
    ) -> Result<(Item, Said), Problem> {
        let said = columns.said(table, row)?;
        let path = places.find(table, row, columns.path)?;
        let part = columns.part(table, row)?.or(part);
        let line = (table.path.clone(), row.line);
        if let Some((file, line)) = self.seen.insert(path.clone(), line) {
            let expected = format!(
                "one row each (it is on line {line} of {}, too)",
                name(&file)
            );
            return Err(table.bad_cell(row, columns.path, &expected));
        }
        let mut item = Item::file(path).part(part);
        item.group = columns.group(row);
        Ok((item, said))
    }

    fn found(mut self, root: PathBuf) -> Result<Found> {
        let labelled = self.rows.iter().filter(|(_, said)| *said != Said::Nothing);
        let labelled = labelled.count();
        let (classes, task) = match self.marked.take() {
            Some(classes) => {
                let one_each = classes.len() > 1 && labelled > 0 && self.has_one_mark_each();
                if one_each {
                    let note =
                        "every row has exactly one 1: each image is taken to be of one class";
                    self.notes.push(note.into());
                }
                let task = if one_each {
                    Task::MultiClass
                } else {
                    Task::MultiLabel
                };
                (classes, task)
            }
            None => {
                let names = self.rows.iter().flat_map(|(_, said)| said.names());
                let names: BTreeSet<String> = names.cloned().collect();
                let task = if self.several {
                    Task::MultiLabel
                } else {
                    Task::MultiClass
                };
                (in_order(names), task)
            }
        };
        if labelled < self.rows.len() {
            let without = self.rows.len() - labelled;
            self.notes.push(format!(
                "{without} of {} images have no label: they are for pretraining alone",
                self.rows.len()
            ));
        }
        let places: BTreeMap<String, usize> = classes.iter().cloned().zip(0..).collect();
        let numbers = |names: &[String]| {
            let mut labels: Vec<_> = names.iter().map(|name| places[name]).collect();
            labels.sort_unstable();
            labels.dedup();
            labels
        };
        let item = |(item, said): (Item, Said)| match said {
            Said::Nothing => item.unlabelled(),
            Said::Names { of, unknown } => Item {
                unknown: numbers(&unknown),
                ..item.labelled(numbers(&of))
            },
        };
        let mut items: Vec<Item> = self.rows.into_iter().map(item).collect();
        items.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Found {
            root,
            classes,
            task,
            items,
            problems: self.problems,
            notes: self.notes,
        })
    }

    fn has_one_mark_each(&self) -> bool {
        self.rows.iter().all(|(_, said)| match said {
            Said::Nothing => true,
            Said::Names { of, unknown } => of.len() == 1 && unknown.is_empty(),
        })
    }
}
