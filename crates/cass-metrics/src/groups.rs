use crate::Result;
use crate::table::{COLUMNS, Text, to_csv};
use std::collections::BTreeMap;
use std::path::Path;

/// Headings of a file of groups.
const HEADINGS: [&str; 2] = [COLUMNS[0], "group"];

/// Groups of files that belong together: the patient, lesion or other group of each file that has one.
///
/// Images of one patient say less than as many images of as many patients, so intervals are drawn over
/// patients where they are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Groups {
    of: BTreeMap<String, String>,
}

/// Pairs of a file and its group.
impl FromIterator<(String, String)> for Groups {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self {
            of: pairs.into_iter().collect(),
        }
    }
}

impl Groups {
    /// Reads a CSV file with the columns `file` and `group`.
    ///
    /// # Errors
    /// A file that cannot be read or has other columns, or a file named twice.
    pub fn read(path: &Path) -> Result<Self> {
        let text = Text::read(path)?;
        text.check_header(&HEADINGS)?;
        let mut of = BTreeMap::new();
        for record in &text.records {
            text.check_width(record)?;
            if of.insert(record[0].into(), record[1].into()).is_some() {
                return Err(text.error(record, 0, "a file not named before".into()));
            }
        }
        Ok(Self { of })
    }

    /// The bytes of a CSV file that [`Groups::read`] reads back exactly.
    pub fn to_csv(&self) -> Vec<u8> {
        let rows = self.of.iter();
        to_csv(
            HEADINGS.into_iter(),
            rows.map(|(file, group)| ([file.clone(), group.clone()], vec![])),
        )
    }

    /// The groups of all their files, as of several splits of the same images; `None` where there are none.
    pub fn union<'a>(all: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        let pairs = all.into_iter().flat_map(|groups| groups.of.clone());
        let union: Self = pairs.collect();
        (!union.is_empty()).then_some(union)
    }

    /// The group of a file, if it has one.
    pub fn of(&self, file: &str) -> Option<&str> {
        self.of.get(file).map(String::as_str)
    }

    /// The places of `files` by group, in the order of names: a file without a group is one of its own name.
    pub(crate) fn gather<'a>(
        &'a self,
        files: impl Iterator<Item = &'a str>,
    ) -> Vec<(String, Vec<usize>)> {
        let mut gathered = BTreeMap::<(&str, bool), Vec<usize>>::new();
        for (place, file) in files.enumerate() {
            let group = self.of(file);
            let key = (group.unwrap_or(file), group.is_some());
            gathered.entry(key).or_default().push(place);
        }
        let named = gathered.into_iter();
        named
            .map(|((name, _), places)| (name.into(), places))
            .collect()
    }

    /// Whether no file has a group.
    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }
}

/// The mean of rows of `width` values.
pub(crate) fn mean_rows<'a>(
    rows: impl ExactSizeIterator<Item = &'a [f64]>,
    width: usize,
) -> Vec<f64> {
    let n = rows.len() as f64;
    let mut mean = vec![0.0; width];
    for row in rows {
        for (mean, value) in mean.iter_mut().zip(row) {
            *mean += value / n;
        }
    }
    // Rounding may leave a mean of ones a last digit above.
    mean.iter_mut().for_each(|value| *value = value.min(1.0));
    mean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_union_knows_the_files_of_each() {
        let one = |file: &str, group: &str| -> Groups {
            [(file.to_owned(), group.to_owned())].into_iter().collect()
        };
        let union = Groups::union([&one("a", "p"), &one("b", "q")]).unwrap();
        assert_eq!((union.of("a"), union.of("b")), (Some("p"), Some("q")));
        assert_eq!(Groups::union([&Groups::default()]), None);
    }

    #[test]
    fn reads_back_what_it_wrote() {
        let pairs = [("b, 1.png", "p2"), ("a.png", "p1"), ("c.png", "p1")];
        let groups: Groups = (pairs.into_iter())
            .map(|(file, group)| (file.to_string(), group.to_string()))
            .collect();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("groups.csv");
        std::fs::write(&path, groups.to_csv()).unwrap();
        assert_eq!(Groups::read(&path).unwrap(), groups);
        assert_eq!((groups.of("c.png"), groups.of("d.png")), (Some("p1"), None));
        std::fs::write(&path, "file,group\na,1\na,2\n").unwrap();
        let error = Groups::read(&path).unwrap_err().to_string();
        assert!(error.ends_with("line 3, column file: \"a\", expected a file not named before"));
    }
}
