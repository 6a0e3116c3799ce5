//! A data set as a table that the layout `csv` reads again, copies of a picture in one group.

use super::{Dataset, Part, Task};
use crate::likeness::{Gallery, Likeness};
use crate::source::Origin;
use crate::{Error, Result};
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

impl Dataset {
    /// Gives pictures that are the same, or nearly, one [group](super::Sample::group), so that no split divides them:
    /// two patients who share a picture become one group. Returns how many images have a copy.
    ///
    /// ```
    /// use cass_data::{image::Pixels, prelude::*, source::Item};
    /// # fn main() -> cass_data::Result<()> {
    /// let slope = |step: u8| Pixels::from_grey(32, 32, (0..1024).map(|i| (i % 32) as u8 * step).collect());
    /// let items = vec![
    ///     Item::pixels("scan", slope(5)).label(0),
    ///     Item::pixels("scan-again", slope(5)).label(0),
    ///     Item::pixels("another", Pixels::from_grey(32, 32, (0..1024).map(|i| 255 - (i / 32) as u8 * 7).collect())).label(1),
    /// ];
    /// let mut dataset = Dataset::from_items(["a", "b"], items)?;
    /// assert_eq!(dataset.keep_copies_together(), 2);
    /// assert_eq!(dataset.samples[0].group, dataset.samples[1].group);
    /// assert_eq!(dataset.samples[2].group, None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn keep_copies_together(&mut self) -> usize {
        let pairs = self.copies();
        let mut sets = Sets::new(self.len());
        let mut first: HashMap<&str, usize> = HashMap::new();
        for (i, sample) in self.samples.iter().enumerate() {
            if let Some(group) = &sample.group {
                sets.join(i, *first.entry(group).or_insert(i));
            }
        }
        for &(i, j) in &pairs {
            sets.join(i, j);
        }
        let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for i in 0..self.len() {
            members.entry(sets.of(i)).or_default().push(i);
        }
        for together in members.into_values().filter(|of| of.len() > 1) {
            let known = together
                .iter()
                .filter_map(|&i| self.samples[i].group.clone());
            let name = known
                .min()
                .unwrap_or_else(|| format!("like {}", self.file_name(together[0])));
            for i in together {
                self.samples[i].group = Some(name.clone());
            }
        }
        let mut copied: Vec<usize> = pairs.iter().flat_map(|&(i, j)| [i, j]).collect();
        copied.sort_unstable();
        copied.dedup();
        copied.len()
    }

    /// Pairs of images that are the same file, or nearly the same picture.
    fn copies(&self) -> Vec<(usize, usize)> {
        let mut first: HashMap<[u8; 32], usize> = HashMap::new();
        let (mut pairs, mut singles) = (Vec::new(), Vec::new());
        for (i, sample) in self.samples.iter().enumerate() {
            match *first.entry(sample.sha256).or_insert(i) {
                original if original == i => singles.push(i),
                original => pairs.push((original, i)),
            }
        }
        let look = |&i: &usize| {
            let likeness = self.likenesses.get(&self.samples[i].sha256)?;
            Some((i, likeness))
        };
        let looks: Vec<(usize, &Likeness)> = singles.iter().filter_map(look).collect();
        let gallery = Gallery::of(looks.iter().map(|(_, look)| *look).collect());
        let near: Vec<(usize, usize)> = (0..looks.len())
            .into_par_iter()
            .flat_map_iter(|later| {
                let (i, own) = looks[later];
                let before = gallery.near(own, later).into_iter();
                before.map(|(at, _)| (looks[at].0, i)).collect::<Vec<_>>()
            })
            .collect();
        pairs.extend(near);
        pairs
    }

    /// The data set as a table in UTF-8 that the layout `csv` reads again: `path`, then `label`, or a 0/1 column a class
    /// where an image may have several (empty where it is not known), then `group` and `split` where any image has one.
    ///
    /// # Errors
    /// Images that are not files of their own: of an array, of a file's frames, or in memory.
    pub fn to_csv(&self) -> Result<Vec<u8>> {
        let several = self.task == Task::MultiLabel;
        let labelled = self.is_labelled();
        let grouped = self.samples.iter().any(|sample| sample.group.is_some());
        let divided = self.samples.iter().any(|sample| sample.part.is_some());
        let mut head = vec!["path"];
        match (labelled, several) {
            (true, true) => head.extend(self.classes.iter().map(String::as_str)),
            (true, false) => head.push("label"),
            (false, _) => {}
        }
        head.extend(grouped.then_some("group"));
        head.extend(divided.then_some("split"));
        let mut table = csv::Writer::from_writer(Vec::new());
        table.write_record(&head).map_err(unmade)?;
        for sample in &self.samples {
            if !matches!(sample.origin, Origin::File) {
                return Err(not_a_file(&sample.path));
            }
            let path = std::path::absolute(&sample.path).unwrap_or_else(|_| sample.path.clone());
            let path = path.to_str().ok_or_else(|| not_a_file(&path))?;
            let mut row = vec![path];
            match (labelled, several) {
                (true, true) => row.extend((0..self.classes.len()).map(|class| {
                    match (
                        sample.labels.contains(&class),
                        sample.unknown.contains(&class),
                    ) {
                        _ if !sample.labelled => "",
                        (true, _) => "1",
                        (_, true) => "",
                        _ => "0",
                    }
                })),
                (true, false) => {
                    let class = sample.labels.first().filter(|_| sample.labelled);
                    row.push(class.map_or("", |&class| &self.classes[class]));
                }
                (false, _) => {}
            }
            row.extend(grouped.then(|| sample.group.as_deref().unwrap_or_default()));
            row.extend(divided.then(|| sample.part.map_or("", Part::name)));
            table.write_record(&row).map_err(unmade)?;
        }
        table
            .into_inner()
            .map_err(|e| unmade(e.into_error().into()))
    }
}

fn not_a_file(path: &Path) -> Error {
    Error::Image {
        path: path.to_owned(),
        reason: "is not a file of its own with a name in UTF-8, as a table of images needs".into(),
    }
}

/// Rows of another length than the header cannot be, and memory takes all.
fn unmade(error: csv::Error) -> Error {
    Error::Io {
        action: "made into a table",
        path: "the data set".into(),
        source: error.into(),
    }
}

/// Disjoint sets of the numbers below a count.
struct Sets(Vec<usize>);

impl Sets {
    fn new(count: usize) -> Self {
        Self((0..count).collect())
    }

    /// The least number of the set that holds `i`.
    fn of(&mut self, mut i: usize) -> usize {
        while self.0[i] != i {
            self.0[i] = self.0[self.0[i]];
            i = self.0[i];
        }
        i
    }

    fn join(&mut self, i: usize, j: usize) {
        let (i, j) = (self.of(i), self.of(j));
        self.0[i.max(j)] = i.min(j);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::OpenOptions;
    use crate::image::Pixels;
    use crate::source::{Item, Layout};
    use std::fs;

    fn png(folder: &Path, name: &str, turn: u32, width: u32) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // Slow waves, of which a smaller picture shows the same.
        let wave = |at: u32, of: u32| (at as f32 / width as f32 * of as f32).sin();
        let picture = image::GrayImage::from_fn(width, width, |x, y| {
            image::Luma([(127.0 + 60.0 * wave(x, turn) + 60.0 * wave(y, 2 * turn + 1)) as u8])
        });
        picture.save(path).unwrap();
    }

    #[test]
    fn a_table_reads_back_as_the_same_data_set() {
        let folder = tempfile::tempdir().unwrap();
        for (name, turn) in [
            ("train/a, b/1.png", 1),
            ("train/a, b/2.png", 2),
            ("train/c/3.png", 5),
            ("test/c/4.png", 7),
            ("test/a, b/5.png", 9),
        ] {
            png(folder.path(), name, turn, 48);
        }
        let first = Dataset::open(
            &Layout::new("folder", folder.path()),
            &OpenOptions::default(),
        )
        .unwrap();
        let table = folder.path().join("images.csv");
        fs::write(&table, first.to_csv().unwrap()).unwrap();
        let again = Dataset::open(&Layout::new("csv", &table), &OpenOptions::default()).unwrap();
        assert_eq!(again.classes, first.classes);
        let told = |dataset: &Dataset| {
            let told = dataset
                .samples
                .iter()
                .map(|s| (s.sha256, s.labels.clone(), s.part, s.group.clone()));
            let mut told: Vec<_> = told.collect();
            told.sort();
            told
        };
        assert_eq!(told(&again), told(&first));
    }

    #[test]
    fn several_labels_are_columns_and_what_is_not_known_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        for (name, turn) in [("1.png", 1), ("2.png", 5), ("3.png", 11)] {
            png(folder.path(), name, turn, 48);
        }
        let table = folder.path().join("labels.csv");
        fs::write(&table, "path,oedema,mass\n1.png,1,0\n2.png,1,\n3.png,0,1\n").unwrap();
        let dataset = Dataset::open(&Layout::new("csv", &table), &OpenOptions::default()).unwrap();
        let text = String::from_utf8(dataset.to_csv().unwrap()).unwrap();
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!(rows[0], "path,oedema,mass");
        let ends: Vec<&str> = rows[1..]
            .iter()
            .map(|row| row.split_once(".png").unwrap().1)
            .collect();
        assert_eq!(ends, [",1,0", ",1,", ",0,1"]);
    }

    #[test]
    fn copies_of_a_picture_are_one_group_also_where_they_were_resized() {
        let folder = tempfile::tempdir().unwrap();
        for (name, turn, width) in [
            ("a/1.png", 1, 96),
            ("a/2.png", 1, 48),
            ("b/3.png", 5, 96),
            ("b/4.png", 5, 96),
            ("b/5.png", 11, 96),
        ] {
            png(folder.path(), name, turn, width);
        }
        let layout = Layout::new("folder", folder.path());
        let mut dataset = Dataset::open(&layout, &OpenOptions::default()).unwrap();
        assert_eq!(dataset.keep_copies_together(), 4);
        let groups: Vec<_> = dataset
            .samples
            .iter()
            .map(|sample| sample.group.as_deref())
            .collect();
        assert_eq!(
            groups,
            [
                Some("like a/1.png"),
                Some("like a/1.png"),
                Some("like b/3.png"),
                Some("like b/3.png"),
                None
            ]
        );
    }

    #[test]
    fn two_patients_who_share_a_picture_are_one_group() {
        let slope = |step: u8| {
            Pixels::from_grey(32, 32, (0..1024).map(|i| (i % 32) as u8 * step).collect())
        };
        let other = Pixels::from_grey(
            32,
            32,
            (0..1024).map(|i| 255 - (i / 32) as u8 * 7).collect(),
        );
        let of = |name: &str, pixels, group: &str| Item::pixels(name, pixels).label(0).group(group);
        let items = vec![
            of("1", slope(5), "eve"),
            of("2", slope(5), "adam"),
            of("3", other, "eve"),
        ];
        let mut dataset = Dataset::from_items(["a"], items).unwrap();
        assert_eq!(dataset.keep_copies_together(), 2);
        assert!(
            dataset
                .samples
                .iter()
                .all(|sample| sample.group.as_deref() == Some("adam"))
        );
        let error = dataset.to_csv().unwrap_err().to_string();
        assert!(error.contains("is not a file of its own"), "{error}");
    }
}
