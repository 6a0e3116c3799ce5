//! Every layout on disk: what is read from it, and what is said of a broken one.

#[path = "../common/mod.rs"]
mod common;
mod dialects;
mod folders;
mod isic2019;
mod kinds;
mod named;
mod splits;
mod tables;

use cass_data::prelude::*;
use cass_data::split::Manifest;
use common::{fixture, open};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// A folder with these files: text, or an image where there is none.
fn layout(files: &[(&str, Option<&str>)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match text {
            Some(text) => fs::write(path, text).unwrap(),
            None => drop(fs::copy(fixture("rgb.png"), path).unwrap()),
        }
    }
    folder
}

/// A table of `rows`, each naming an image `<first field>.png`, below `header`.
fn table(file: &str, header: &str, rows: &[String]) -> TempDir {
    let text = format!("{header}\n{}\n", rows.join("\n"));
    let names = rows.iter().map(|row| row.split(',').next().unwrap());
    let names: BTreeSet<_> = names.map(|name| format!("{name}.png")).collect();
    let mut files: Vec<_> = names.iter().map(|name| (name.as_str(), None)).collect();
    files.push((file, Some(text.as_str())));
    layout(&files)
}

#[track_caller]
fn fails(kind: &str, root: &Path, skip_bad: bool, said: &[&str]) {
    let error = open(kind, root, skip_bad)
        .map(|d| d.len())
        .unwrap_err()
        .to_string();
    assert!(!error.contains('\n'), "{error}");
    for part in said {
        assert!(error.contains(part), "{error:?} does not say {part:?}");
    }
}

fn names(dataset: &Dataset) -> Vec<String> {
    let samples = dataset.samples.iter();
    samples
        .map(|s| {
            let path = s.path.strip_prefix(&dataset.root).unwrap();
            let labels: Vec<_> = s
                .labels
                .iter()
                .map(|&l| dataset.classes[l].as_str())
                .collect();
            format!("{} {}", path.display(), labels.join("+"))
        })
        .collect()
}
