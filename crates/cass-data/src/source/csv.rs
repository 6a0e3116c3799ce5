//! A table that names its images, their labels and perhaps their parts and groups.

use super::biopsies::only_csv;
use super::folder::part;
use super::table::{Row, Table, table};
use super::{Found, Item, Problem, ProblemKind, locate};
use crate::Result;
use crate::dataset::{Part, Task};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub(crate) const NAME: &str = "csv";

const PATH: [&str; 5] = ["path", "file", "filename", "filepath", "image"];
const LABEL: [&str; 3] = ["label", "class", "target"];
const LABELS: [&str; 1] = ["labels"];
const SPLIT: [&str; 2] = ["split", "part"];
const GROUP: [&str; 5] = ["group", "patient", "patient_id", "lesion_id", "study"];
/// What separates the names in a column of several labels.
const SEPARATORS: [char; 2] = ['|', ';'];

/// Which column says what.
struct Columns {
    path: usize,
    labels: Labels,
    split: Option<usize>,
    group: Option<usize>,
}

enum Labels {
    /// One name.
    One(usize),
    /// Any number of names.
    Several(usize),
    /// A 0/1 column a class.
    Hot(Vec<usize>),
}

/// Reads the table at `data_root`: a CSV file, or a folder with exactly one. Paths are relative to
/// its folder, or absolute.
pub(crate) fn find(data_root: &Path) -> Result<Found> {
    let expected = "a CSV file, or a folder with exactly one, with a column path and a column \
                    label, or labels separated by | or ;, or a 0/1 column a class";
    let file = |root: &Path| {
        if root.is_file() {
            Some(root.to_owned())
        } else {
            only_csv(root)
        }
    };
    let path = locate(data_root, NAME, expected, |root| file(root).is_some())?;
    let path = file(&path).unwrap_or_default();
    let root = path.parent().map(Path::to_owned).unwrap_or_default();
    read(root, &Table::read(&path)?)
}

fn read(root: PathBuf, table: &Table) -> Result<Found> {
    let columns = Columns::of(table)?;
    let mut problems = table.problems.clone();
    let mut rows = Vec::new();
    let mut repeated = table.repeated(columns.path);
    for (place, row) in table.rows.iter().enumerate() {
        let read = match repeated.remove(&place) {
            Some(problem) => Err(problem),
            None => columns.read(&root, table, row),
        };
        match read {
            Ok(read) => rows.push(read),
            Err(problem) => problems.push(problem),
        }
    }
    let classes: Vec<String> = match &columns.labels {
        Labels::Hot(places) => places.iter().map(|&p| table.columns[p].clone()).collect(),
        _ => {
            let names: BTreeSet<_> = rows.iter().flat_map(|(_, names)| names.clone()).collect();
            names.into_iter().collect()
        }
    };
    let places: BTreeMap<&str, usize> = classes
        .iter()
        .enumerate()
        .map(|(label, class)| (class.as_str(), label))
        .collect();
    let label = |names: Vec<String>| {
        let mut labels: Vec<_> = names.iter().map(|name| places[name.as_str()]).collect();
        labels.sort_unstable();
        labels.dedup();
        labels
    };
    let mut items: Vec<Item> = rows
        .into_iter()
        .map(|(item, names)| item.labelled(label(names)))
        .collect();
    items.sort_by(|a, b| a.path.cmp(&b.path));
    let task = match columns.labels {
        Labels::One(_) => Task::MultiClass,
        _ => Task::MultiLabel,
    };
    Ok(Found {
        root,
        classes,
        task,
        items,
        problems,
    })
}

impl Columns {
    fn of(table: &Table) -> Result<Self> {
        let path = table.need(&PATH)?;
        let (split, group) = (table.column(&SPLIT), table.column(&GROUP));
        let labels = match (table.column(&LABEL), table.column(&LABELS)) {
            (Some(one), None) => Labels::One(one),
            (None, Some(several)) => Labels::Several(several),
            (Some(one), Some(several)) => {
                let [one, several] = [one, several].map(|place| &table.columns[place]);
                let detail = format!("line 1: columns {one} and {several}, expected one of them");
                return Err(self::table(&table.path, detail));
            }
            (None, None) => {
                let other = |place: &usize| ![Some(path), split, group].contains(&Some(*place));
                Labels::Hot((0..table.columns.len()).filter(other).collect())
            }
        };
        if matches!(&labels, Labels::Hot(places) if places.is_empty()) {
            table.need(&LABEL)?;
        }
        Ok(Self {
            path,
            labels,
            split,
            group,
        })
    }

    /// The entry of a row, its labels yet to be numbered, and the names of its labels.
    fn read(&self, root: &Path, table: &Table, row: &Row) -> Result<(Item, Vec<String>), Problem> {
        let names = self.names(table, row)?;
        let group = self.group.map(|column| row.fields[column].clone());
        let item = Item {
            group: group.filter(|group| !group.is_empty()),
            ..Item::file(self.path(root, table, row)?).part(self.part(table, row)?)
        };
        Ok((item, names))
    }

    fn path(&self, root: &Path, table: &Table, row: &Row) -> Result<PathBuf, Problem> {
        let path = root.join(&row.fields[self.path]);
        if path.is_file() {
            return Ok(path);
        }
        Err(Problem {
            kind: ProblemKind::MissingFile,
            ..table.bad_cell(row, self.path, "an image file that is there")
        })
    }

    fn part(&self, table: &Table, row: &Row) -> Result<Option<Part>, Problem> {
        let Some(column) = self.split else {
            return Ok(None);
        };
        match part(&row.fields[column]) {
            Some(part) => Ok(Some(part)),
            None => Err(table.bad_cell(row, column, "train, val or test")),
        }
    }

    fn names(&self, table: &Table, row: &Row) -> Result<Vec<String>, Problem> {
        match &self.labels {
            &Labels::One(column) if row.fields[column].is_empty() => {
                Err(table.bad_cell(row, column, "a class"))
            }
            &Labels::One(column) => Ok(vec![row.fields[column].clone()]),
            &Labels::Several(column) => {
                let names = row.fields[column].split(SEPARATORS).map(str::trim);
                Ok(names.filter(|n| !n.is_empty()).map(String::from).collect())
            }
            Labels::Hot(columns) => {
                let mut names = Vec::new();
                for &column in columns {
                    match row.fields[column].parse::<f64>() {
                        Ok(0.0) => {}
                        Ok(1.0) => names.push(table.columns[column].clone()),
                        _ => return Err(table.bad_cell(row, column, "0 or 1")),
                    }
                }
                Ok(names)
            }
        }
    }
}
