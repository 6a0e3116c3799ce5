//! Any folder and labels become one table, which all runs read.

use super::args::{Args, Reading};
use super::cass::{ask, path, words};
use super::rows::Rows;
use anyhow::{Context, Result, bail, ensure};
use cass_run::Skipped;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The images of a study.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Images {
    /// `path`, labels, `group` and `split` of all: what every run reads.
    pub table: PathBuf,
    /// Changes with the images, their labels, groups and parts.
    pub fingerprint: String,
    /// Images, and those with a label.
    pub images: u64,
    pub labelled: u64,
    /// Images of each class.
    pub classes: BTreeMap<String, u64>,
    /// Patients, or pictures that are there twice.
    pub groups: u64,
    /// Images that have a copy, or nearly one: a split keeps them together.
    pub copies: u64,
    /// Images that are given for testing.
    pub test: u64,
    /// Of these, how many are of a patient, or copies of a picture, among the others.
    pub leaked: u64,
    /// Images that cannot be decoded, and why.
    pub skipped: Vec<Skipped>,
    /// What is wrong with the images, by kind, and the first of each kind.
    pub findings: BTreeMap<String, Findings>,
    /// The side that most images exceed, in pixels.
    pub side: u32,
}

/// What is wrong in one way.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Findings {
    pub count: u64,
    pub first: Vec<String>,
}

/// What `cass data list` says.
#[derive(Deserialize)]
struct Listed {
    fingerprint: String,
    images: u64,
    labelled: u64,
    classes: BTreeMap<String, u64>,
    groups: u64,
    copies: Option<u64>,
    parts: BTreeMap<String, u64>,
    skipped: Vec<Skipped>,
}

/// What `cass data check` says.
#[derive(Deserialize)]
struct Checked {
    sizes: Vec<Size>,
    counts: BTreeMap<String, u64>,
    findings: Vec<Finding>,
}

#[derive(Deserialize)]
struct Size {
    width: u32,
    height: u32,
    images: u64,
}

#[derive(Deserialize)]
struct Finding {
    kind: String,
    file: String,
    detail: String,
}

/// Findings of a kind that are told.
const TOLD: usize = 5;

/// Looks at every image, and leaves `images.csv` in the study's folder.
pub fn look(program: &Path, args: &Args) -> Result<Images> {
    let lister = Lister {
        program,
        reading: &args.reading,
        folder: &args.out,
    };
    let mut rows = lister.labelled(args)?;
    if args
        .labels
        .as_deref()
        .is_some_and(|labels| labels != BY_FOLDER)
    {
        let known: BTreeSet<PathBuf> = rows.paths().collect();
        let all = lister.list("images", &args.dir, &[], "all.csv")?.0;
        rows.add(all, |path| !known.contains(path));
    }
    if let Some(test) = &args.test {
        let tested = lister.tested(test)?;
        rows.test_on(tested)?;
    }
    let listed = args.out.join("listed.csv");
    rows.write(&listed)?;
    let table = args.out.join("images.csv");
    let mut list = words(&["data", "list", "--data", "csv", "--keep-copies-together"]);
    list.extend(["--data-root".to_owned(), path(&listed)]);
    list.extend(args.reading.of_pixels());
    list.extend(["--out".to_owned(), path(&table)]);
    let (all, _): (Listed, bool) = ask(program, &list)?;
    let mut check = words(&["data", "check", "--data", "csv"]);
    check.extend(["--data-root".to_owned(), path(&table)]);
    check.extend(args.reading.of_pixels());
    let (checked, _): (Checked, bool) = ask(program, &check)?;
    let leaked = Rows::read(&table)?.leaked();
    let mut findings: BTreeMap<String, Findings> = BTreeMap::new();
    for finding in checked.findings {
        let of = findings.entry(finding.kind).or_default();
        if of.first.len() < TOLD {
            of.first
                .push(format!("{} {}", finding.file, finding.detail));
        }
    }
    for (kind, count) in checked.counts {
        findings.entry(kind).or_default().count = count;
    }
    Ok(Images {
        table: std::path::absolute(&table).unwrap_or(table),
        fingerprint: all.fingerprint,
        images: all.images,
        labelled: all.labelled,
        classes: all.classes,
        groups: all.groups,
        copies: all.copies.unwrap_or(0),
        test: all.parts.get("test").copied().unwrap_or(0),
        leaked,
        skipped: all.skipped,
        findings,
        side: side(&checked.sizes),
    })
}

/// The median of the images' shorter sides.
fn side(sizes: &[Size]) -> u32 {
    let mut sides: Vec<(u32, u64)> = sizes
        .iter()
        .map(|s| (s.width.min(s.height), s.images))
        .collect();
    sides.sort_unstable();
    let all: u64 = sides.iter().map(|(_, images)| images).sum();
    let mut before = 0;
    for (side, images) in sides {
        before += images;
        if 2 * before >= all {
            return side;
        }
    }
    0
}

/// What says that folders are the classes.
const BY_FOLDER: &str = "by-folder";

/// Lists images into tables in the study's folder.
struct Lister<'a> {
    program: &'a Path,
    reading: &'a Reading,
    folder: &'a Path,
}

impl Lister<'_> {
    fn list(
        &self,
        layout: &str,
        root: &Path,
        more: &[String],
        name: &str,
    ) -> Result<(Rows, Listed)> {
        let out = self.folder.join(name);
        let mut list = words(&["data", "list", "--data", layout]);
        list.extend(["--data-root".to_owned(), path(root)]);
        list.extend_from_slice(more);
        let of_tables = self.reading.of_tables();
        // A folder of images has no columns.
        let fits = |flag: &str| layout == "csv" || !["--columns", "--group-column"].contains(&flag);
        for pair in of_tables.chunks(2).filter(|pair| fits(&pair[0])) {
            list.extend_from_slice(pair);
        }
        list.extend(self.reading.of_pixels());
        list.extend(["--out".to_owned(), path(&out)]);
        let (listed, _): (Listed, bool) = ask(self.program, &list)?;
        let rows = Rows::read(&out)?;
        fs::remove_file(&out).with_context(|| format!("{} cannot be removed", out.display()))?;
        Ok((rows, listed))
    }

    /// The images whose labels are known, and perhaps others.
    fn labelled(&self, args: &Args) -> Result<Rows> {
        let labels = args.labels.as_deref();
        let (rows, listed) = match labels {
            Some(BY_FOLDER) => {
                let by_folder = words(&["--labels", BY_FOLDER]);
                self.list("folder", &args.dir, &by_folder, "labelled.csv")?
            }
            Some(table) => {
                let images = ["--images".to_owned(), path(&args.dir)];
                self.list("csv", Path::new(table), &images, "labelled.csv")?
            }
            None => self.list("folder", &args.dir, &[], "labelled.csv")?,
        };
        if listed.labelled == 0 || listed.classes.len() < 2 {
            let dir = args.dir.display();
            bail!(
                "{dir} has no labels to judge by: its folders are no classes; give --labels FILE.csv (columns path and \
                 label) or --labels by-folder, or learn without labels: cass pretrain --data images --data-root {dir}"
            );
        }
        Ok(rows)
    }

    fn tested(&self, test: &Path) -> Result<Rows> {
        let layout = if test.is_dir() { "folder" } else { "csv" };
        let (rows, listed) = self.list(layout, test, &[], "test.csv")?;
        ensure!(
            listed.labelled > 0,
            "--test {}: no image has a label, expected a folder of classes or a table with labels",
            test.display()
        );
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_image_decides_the_side() {
        let size = |width, height, images| Size {
            width,
            height,
            images,
        };
        assert_eq!(side(&[size(512, 600, 3), size(100, 90, 2)]), 512);
        assert_eq!(side(&[]), 0);
    }
}
