//! Any folder and labels become one table, which all runs read.

use super::args::{Args, Reading};
use super::cass::{ask, path, words};
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
    task: String,
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
        rows.add(all, |path| !known.contains(path))?;
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
    ensure!(
        all.task == "multi-class" || all.task == "multi-label",
        "{} has {} labels; expected multi-class or multi-label",
        table.display(),
        all.task
    );
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

/// A table of images: a row an image, by column.
struct Rows {
    /// `path`, then the labels'.
    columns: Vec<String>,
    rows: Vec<BTreeMap<String, String>>,
}

const PATH: &str = "path";
const GROUP: &str = "group";
const SPLIT: &str = "split";

impl Rows {
    fn read(file: &Path) -> Result<Rows> {
        let failed = || format!("{} cannot be read", file.display());
        let mut reader = csv::Reader::from_path(file).with_context(failed)?;
        let header: Vec<String> = reader
            .headers()
            .with_context(failed)?
            .iter()
            .map(str::to_owned)
            .collect();
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.with_context(failed)?;
            let fields = header.iter().cloned().zip(record.iter().map(str::to_owned));
            rows.push(fields.collect());
        }
        let label = |name: &String| ![GROUP, SPLIT].contains(&name.as_str());
        Ok(Rows {
            columns: header.into_iter().filter(label).collect(),
            rows,
        })
    }

    fn paths(&self) -> impl Iterator<Item = PathBuf> {
        self.rows
            .iter()
            .filter_map(|row| Some(real(row.get(PATH)?)))
    }

    /// Adds the rows of other images as such without a label.
    fn add(&mut self, others: Rows, is_new: impl Fn(&Path) -> bool) -> Result<()> {
        for mut row in others.rows {
            if row.get(PATH).is_some_and(|path| is_new(&real(path))) {
                row.retain(|column, _| [PATH, GROUP].contains(&column.as_str()));
                self.rows.push(row);
            }
        }
        Ok(())
    }

    /// Adds images that are tested on, so that of these here none is.
    fn test_on(&mut self, tested: Rows) -> Result<()> {
        let several = self.columns.get(1).map(String::as_str) != Some("label");
        if several {
            let unknown: Vec<_> = tested
                .columns
                .iter()
                .filter(|c| !self.columns.contains(c))
                .collect();
            ensure!(
                unknown.is_empty(),
                "--test has columns {unknown:?}, which the labels of DIR have not: {:?}",
                &self.columns[1..]
            );
        } else {
            let classes = |rows: &Rows| -> BTreeSet<String> {
                let labels = rows.rows.iter().filter_map(|row| row.get("label"));
                labels.filter(|label| !label.is_empty()).cloned().collect()
            };
            let known = classes(self);
            let unknown: Vec<String> = classes(&tested).difference(&known).cloned().collect();
            ensure!(
                unknown.is_empty(),
                "--test has images of {}, which DIR has none of; its classes are {}",
                unknown.join(", "),
                known.into_iter().collect::<Vec<_>>().join(", ")
            );
        }
        for row in &mut self.rows {
            // What was given for testing is trained on now: the others are tested on.
            if row.get(SPLIT).is_some_and(|part| part != "val") || is_labelled(row, &self.columns) {
                row.entry(SPLIT.to_owned())
                    .and_modify(|part| {
                        if part != "val" {
                            "train".clone_into(part);
                        }
                    })
                    .or_insert_with(|| "train".to_owned());
            }
        }
        for mut row in tested.rows {
            row.insert(SPLIT.to_owned(), "test".to_owned());
            self.rows.push(row);
        }
        Ok(())
    }

    fn write(&self, file: &Path) -> Result<()> {
        let failed = || format!("{} cannot be written", file.display());
        let has = |column: &str| {
            self.rows
                .iter()
                .any(|row| row.get(column).is_some_and(|v| !v.is_empty()))
        };
        let more = [GROUP, SPLIT]
            .into_iter()
            .filter(|column| has(column))
            .map(str::to_owned);
        let columns: Vec<String> = self.columns.iter().cloned().chain(more).collect();
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(&columns).with_context(failed)?;
        for row in &self.rows {
            let fields = columns
                .iter()
                .map(|column| row.get(column).map_or("", String::as_str));
            writer.write_record(fields).with_context(failed)?;
        }
        let bytes = writer
            .into_inner()
            .map_err(|error| error.into_error())
            .with_context(failed)?;
        crate::store::write(file, &bytes)
    }

    /// Test images that are of a group among the others.
    fn leaked(&self) -> u64 {
        let group = |row: &BTreeMap<String, String>| {
            row.get(GROUP).filter(|group| !group.is_empty()).cloned()
        };
        let is_tested =
            |row: &&BTreeMap<String, String>| row.get(SPLIT).is_some_and(|part| part == "test");
        let others: BTreeSet<String> = self
            .rows
            .iter()
            .filter(|row| !is_tested(row))
            .filter_map(group)
            .collect();
        let leaked = self.rows.iter().filter(is_tested).filter_map(group);
        leaked.filter(|group| others.contains(group)).count() as u64
    }
}

fn is_labelled(row: &BTreeMap<String, String>, columns: &[String]) -> bool {
    columns[1..]
        .iter()
        .any(|column| row.get(column).is_some_and(|value| !value.is_empty()))
}

/// The file itself, whatever way leads to it.
fn real(path: &str) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Rows {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("t.csv");
        fs::write(&file, text).unwrap();
        Rows::read(&file).unwrap()
    }

    fn written(rows: &Rows) -> String {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("t.csv");
        rows.write(&file).unwrap();
        fs::read_to_string(file).unwrap()
    }

    #[test]
    fn images_without_a_label_join_and_a_given_test_set_takes_all_others_for_training() {
        let mut known = rows("path,label,split\n/a.png,x,test\n/b.png,y,\n");
        known
            .add(rows("path\n/a.png\n/c.png\n"), |path| {
                path != Path::new("/a.png")
            })
            .unwrap();
        known.test_on(rows("path,label\n/t.png,y\n")).unwrap();
        assert_eq!(
            written(&known),
            "path,label,split\n/a.png,x,train\n/b.png,y,train\n/c.png,,\n/t.png,y,test\n"
        );
        let error = known
            .test_on(rows("path,label\n/t.png,z\n"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("images of z") && error.contains("x, y"),
            "{error}"
        );
    }

    #[test]
    fn a_patient_on_both_sides_is_a_leak() {
        let table = rows(
            "path,label,group,split\n/a,x,p1,train\n/b,x,p1,test\n/c,y,p2,test\n/d,y,,test\n/e,y,,train\n",
        );
        assert_eq!(table.leaked(), 1);
    }

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
