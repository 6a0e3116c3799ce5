//! Tables with one 0/1 column a class, and the images that they name.

use super::listing::{Images, name};
use super::table::{Row, Table, table as unusable};
use super::{Item, Problem, ProblemKind};
use crate::Result;
use crate::source::Task;

/// What a table says of its images.
pub(super) struct Labelled {
    pub(super) items: Vec<Item>,
    pub(super) problems: Vec<Problem>,
}

/// The places of column `image` and of the classes' columns.
///
/// # Errors
/// If one is missing, or there is one that is none of them nor of `others`: it may be a class.
pub(super) fn columns(
    table: &Table,
    classes: &[&str],
    others: &[&str],
) -> Result<(usize, Vec<usize>)> {
    let image = table.need(&["image"])?;
    let mut places = Vec::new();
    for class in classes {
        places.push(table.need(&[class])?);
    }
    let other: Vec<_> = others.iter().map(|other| table.column(&[other])).collect();
    for (place, column) in table.columns.iter().enumerate() {
        if place != image && !places.contains(&place) && !other.contains(&Some(place)) {
            let known = [&["image"], others, classes].concat().join(", ");
            let detail = format!("line 1, column {column}: unknown, expected {known}");
            return Err(unusable(&table.path, detail));
        }
    }
    Ok((image, places))
}

/// Reads the labels of the images in the table's column `image` from its columns `classes`: one of
/// them if the task is multi-class, at least one otherwise.
pub(super) fn read(
    table: &Table,
    image: usize,
    classes: &[usize],
    task: Task,
    images: &Images,
) -> Labelled {
    let mut problems = table.problems.clone();
    let mut items = Vec::new();
    let mut repeated = table.repeated(image);
    for (place, row) in table.rows.iter().enumerate() {
        let entry = match repeated.remove(&place) {
            Some(problem) => Err(problem),
            None => labels(table, row, classes, task).and_then(|labels| {
                let path = images.get(&row.fields[image]).ok_or_else(|| Problem {
                    kind: ProblemKind::MissingFile,
                    ..table.bad_cell(row, image, "the name of an image that is there")
                })?;
                Ok(Item::file(path).labelled(labels))
            }),
        };
        match entry {
            Ok(entry) => items.push(entry),
            Err(problem) => problems.push(problem),
        }
    }
    problems.extend(unlabelled(table, image, images));
    items.sort_by(|a, b| a.path.cmp(&b.path));
    Labelled { items, problems }
}

fn labels(table: &Table, row: &Row, classes: &[usize], task: Task) -> Result<Vec<usize>, Problem> {
    let mut labels = Vec::new();
    for (label, &column) in classes.iter().enumerate() {
        match row.fields[column].parse::<f64>() {
            Ok(0.0) => {}
            Ok(1.0) => labels.push(label),
            _ => return Err(table.bad_cell(row, column, "0 or 1")),
        }
    }
    let expected = match (task, labels.len()) {
        (_, 1) => return Ok(labels),
        (Task::MultiLabel, 2..) => return Ok(labels),
        (Task::MultiClass, _) => "1",
        (Task::MultiLabel, _) => "at least 1",
    };
    let names: Vec<_> = classes.iter().map(|&c| table.columns[c].as_str()).collect();
    let (columns, sum) = (names.join(","), labels.len());
    Err(table.bad_row(
        row,
        &format!("columns {columns}: they sum to {sum}, expected {expected}"),
    ))
}

/// Images that no row names.
fn unlabelled(table: &Table, image: usize, images: &Images) -> Vec<Problem> {
    let named: std::collections::BTreeSet<_> = table
        .rows
        .iter()
        .filter_map(|row| images.get(&row.fields[image]))
        .collect();
    let of = |path: &std::path::PathBuf| Problem {
        kind: ProblemKind::UnlabelledFile,
        path: path.clone(),
        detail: format!("has no row in {}", name(&table.path)),
    };
    let files = images.files();
    files.filter(|path| !named.contains(path)).map(of).collect()
}

/// Gives the items their groups: what stands in column `group` of the row that names them.
pub(super) fn group(
    items: &mut [Item],
    table: &Table,
    image: usize,
    group: usize,
    images: &Images,
) {
    let groups: std::collections::BTreeMap<_, _> = table
        .rows
        .iter()
        .filter(|row| !row.fields[group].is_empty())
        .filter_map(|row| Some((images.get(&row.fields[image])?, &row.fields[group])))
        .collect();
    for entry in items {
        entry.group = groups.get(&entry.path).map(|group| group.to_string());
    }
}
