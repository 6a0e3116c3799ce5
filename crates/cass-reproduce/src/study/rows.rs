//! The table of a study's images, in the making.

use anyhow::{Context, Result, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A table of images: a row an image, by column.
pub struct Rows {
    /// `path`, then the labels'.
    columns: Vec<String>,
    rows: Vec<BTreeMap<String, String>>,
}

const PATH: &str = "path";
const GROUP: &str = "group";
const SPLIT: &str = "split";

impl Rows {
    /// Reads a table that `cass data list` wrote.
    pub fn read(file: &Path) -> Result<Rows> {
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

    /// The files, whatever way leads to them.
    pub fn paths(&self) -> impl Iterator<Item = PathBuf> {
        self.rows
            .iter()
            .filter_map(|row| Some(real(row.get(PATH)?)))
    }

    /// Adds the rows of other images as such without a label.
    pub fn add(&mut self, others: Rows, is_new: impl Fn(&Path) -> bool) {
        for mut row in others.rows {
            if row.get(PATH).is_some_and(|path| is_new(&real(path))) {
                row.retain(|column, _| [PATH, GROUP].contains(&column.as_str()));
                self.rows.push(row);
            }
        }
    }

    /// Adds images that are tested on, so that of these here none is.
    pub fn test_on(&mut self, tested: Rows) -> Result<()> {
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
            let part = row.get(SPLIT).map_or("", String::as_str);
            if part != "val" && (!part.is_empty() || is_labelled(row, &self.columns)) {
                row.insert(SPLIT.to_owned(), "train".to_owned());
            }
        }
        for mut row in tested.rows {
            row.insert(SPLIT.to_owned(), "test".to_owned());
            self.rows.push(row);
        }
        Ok(())
    }

    /// Writes the table.
    pub fn write(&self, file: &Path) -> Result<()> {
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
    pub fn leaked(&self) -> u64 {
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
        known.add(rows("path\n/a.png\n/c.png\n"), |path| {
            path != Path::new("/a.png")
        });
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
}
