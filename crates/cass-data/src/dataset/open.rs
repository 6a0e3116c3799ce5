//! From a source's list to a data set: every image is one that decodes.

use super::told::{Told, give_patients};
use super::{Dataset, Part, Sample, Skipped, Task, keyed};
use crate::cache::{Checked, Key, Storage, Store};
use crate::image::Reading;
use crate::likeness::{Likeness, Likenesses};
use crate::source::{Found, Item, Problem, ProblemKind, Source, brain_mri, csv, folder};
use crate::{Error, Result};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::path::Path;

/// How a data set is opened. The default stops at the first set of unusable images and keeps pixels
/// in memory.
#[derive(Debug, Clone, Default)]
pub struct OpenOptions {
    /// Leaves unusable files and rows out, and lists them, instead of stopping.
    pub skip_bad: bool,
    /// Side, in pixels, of the images that will be asked for: what is decoded to be checked is then
    /// kept at that size, as far as the storage has room.
    pub size: Option<usize>,
    /// Where work is kept for later. It changes no pixel.
    pub storage: Storage,
    /// How files become pixels.
    pub reading: Reading,
}

impl Dataset {
    /// Lists the images of a source and checks that each decodes, on all cores. An image that the
    /// storage's record knows by its SHA-256 is read, but not decoded again.
    ///
    /// ```
    /// use cass_data::prelude::*;
    /// # fn main() -> cass_data::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let config = cass_data::phantom::PhantomConfig { seed: 1, train_per_class: 4, test_per_class: 1, size: 32, style: Default::default() };
    /// # cass_data::phantom::write_phantom(folder.path(), &config)?;
    /// # let root = folder.path();
    /// let dataset = Dataset::open(&Layout::new("brain-mri", root), &OpenOptions::default())?;
    /// assert_eq!((dataset.len(), dataset.classes.len()), (20, 4));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`Source::find`]; a class folder that is unknown; a class without a usable image;
    /// and, unless `skip_bad` moves them to [`Dataset::skipped`], files that are no usable image and
    /// rows that cannot be used.
    pub fn open(source: &dyn Source, options: &OpenOptions) -> Result<Self> {
        Self::of(source.name(), source.find()?, options)
    }

    /// A data set of one's own images, in files or in memory. An item of several labels makes it
    /// multi-label.
    ///
    /// ```
    /// use cass_data::{image::Pixels, prelude::*, source::Item};
    /// # fn main() -> cass_data::Result<()> {
    /// let grey = |level| Pixels::from_grey(8, 8, vec![level; 64]);
    /// let items = vec![
    ///     Item::pixels("dark-1", grey(20)).label(0),
    ///     Item::pixels("dark-2", grey(30)).label(0),
    ///     Item::pixels("bright-1", grey(200)).label(1),
    /// ];
    /// let dataset = Dataset::from_items(["dark", "bright"], items)?;
    /// assert_eq!((dataset.len(), dataset.task), (3, Task::MultiClass));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A label that is none of the classes; files that are no usable image; no items.
    pub fn from_items(
        classes: impl IntoIterator<Item = impl Into<String>>,
        items: Vec<Item>,
    ) -> Result<Self> {
        let several = items.iter().any(|item| item.labels.len() > 1);
        let found = Found {
            root: Default::default(),
            classes: classes.into_iter().map(Into::into).collect(),
            task: if several {
                Task::MultiLabel
            } else {
                Task::MultiClass
            },
            items,
            problems: Vec::new(),
            notes: Vec::new(),
        };
        Self::of("items", found, &OpenOptions::default())
    }

    fn of(name: &str, mut found: Found, options: &OpenOptions) -> Result<Self> {
        let mut skipped = problems(std::mem::take(&mut found.problems))?;
        expect_labels(&found.classes, &found.items)?;
        if found.items.is_empty() && skipped.is_empty() {
            return Err(Error::NoImages { root: found.root });
        }
        if options.skip_bad && found.is_named_by_users(name) {
            skipped.extend(found.leave_out_empty_classes());
        }
        // A class whose folder is not there is told before the time that decoding takes.
        let listed: Vec<_> = found
            .items
            .iter()
            .map(|i| (i.part, &i.labels[..]))
            .collect();
        every_class_has_images(name, &found.root, &found.classes, &listed)?;

        let total = found.items.len() + skipped.len();
        let cache = Store::open(&options.storage)?;
        options.reading.check()?;
        let checked = Checked::open(&options.storage, &options.reading);
        let keep = options.size.map(|size| (size, &cache));
        // One thread a file, results in the files' order.
        let looked: Vec<_> = (found.items.into_par_iter())
            .map(|item| check(item, found.task, &checked, keep, &options.reading))
            .collect();
        let mut samples = Vec::with_capacity(total);
        let mut seen = Vec::with_capacity(total);
        for result in looked {
            match result {
                Ok((sample, told)) => {
                    samples.push(sample);
                    seen.push(told);
                }
                Err(bad) => skipped.push(bad),
            }
        }
        let likenesses: Likenesses = (samples.iter().zip(&mut seen))
            .filter_map(|(sample, told)| Some((sample.sha256, told.likeness.take()?)))
            .collect();
        // What there is something to say of is looked at again, to say it again.
        let silent = samples
            .iter()
            .zip(&seen)
            .filter(|(_, told)| told.is_silent());
        checked.keep(silent.filter_map(|(sample, _)| {
            let (hash, likeness) = likenesses.get_key_value(&sample.sha256)?;
            Some((*hash, likeness))
        }));
        let mut warnings = Told::sentences(&seen, &options.reading);
        warnings.extend(give_patients(&mut samples, &seen));
        if !skipped.is_empty() && !options.skip_bad {
            return Err(bad_images(&skipped, total));
        }
        let usable: Vec<_> = samples.iter().map(|s| (s.part, &s.labels[..])).collect();
        every_class_has_images(name, &found.root, &found.classes, &usable)?;
        Ok(Self {
            name: name.to_owned(),
            root: found.root,
            classes: found.classes,
            task: found.task,
            samples,
            skipped,
            notes: found.notes,
            warnings,
            reading: options.reading.clone(),
            likenesses,
            cache,
        })
    }
}

impl Dataset {
    /// The data set of images that were looked at already, each with its SHA-256: to be split, not to be loaded.
    pub(crate) fn of_known<'a>(
        name: &str,
        found: &Found,
        known: impl Iterator<Item = (&'a Item, [u8; 32])>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            root: found.root.clone(),
            classes: found.classes.clone(),
            task: found.task,
            samples: known
                .map(|(item, sha256)| Sample::of(item.clone(), found.task, sha256))
                .collect(),
            skipped: Vec::new(),
            notes: Vec::new(),
            warnings: Vec::new(),
            reading: Reading::default(),
            likenesses: Likenesses::default(),
            cache: Store::Off,
        }
    }
}

impl Sample {
    fn of(item: Item, task: Task, sha256: [u8; 32]) -> Self {
        Self {
            labelled: item.is_labelled(task),
            unknown: item.unknown,
            path: item.path,
            labels: item.labels,
            part: item.part,
            group: item.group,
            sha256,
            origin: item.origin,
        }
    }
}

impl Found {
    /// Whether classes have the names that a user gave to folders or in a table.
    fn is_named_by_users(&self, name: &str) -> bool {
        [folder::NAME, csv::NAME].contains(&name)
    }

    /// Leaves out the classes that no image is of, and tells of them.
    fn leave_out_empty_classes(&mut self) -> Vec<Skipped> {
        let all = self.items.iter().flat_map(|item| &item.labels);
        let used: BTreeSet<usize> = all.copied().collect();
        let mut places = vec![0; self.classes.len()];
        let (mut skipped, mut kept) = (Vec::new(), Vec::new());
        for (label, class) in std::mem::take(&mut self.classes).into_iter().enumerate() {
            if used.contains(&label) {
                places[label] = kept.len();
                kept.push(class);
            } else {
                let reason = format!("has no image of class {class:?}");
                skipped.push(Skipped::new(&self.root, &reason));
            }
        }
        self.classes = kept;
        for item in &mut self.items {
            item.labels
                .iter_mut()
                .for_each(|label| *label = places[*label]);
            item.unknown.retain(|label| used.contains(label));
            item.unknown
                .iter_mut()
                .for_each(|label| *label = places[*label]);
        }
        skipped
    }
}

/// What of a source's problems is left out; an unknown class is an error.
fn problems(problems: Vec<Problem>) -> Result<Vec<Skipped>> {
    let mut skipped = Vec::new();
    for Problem { kind, path, detail } in problems {
        match kind {
            ProblemKind::Row | ProblemKind::MissingFile => {
                skipped.push(Skipped::new(&path, &detail));
            }
            ProblemKind::UnlabelledFile | ProblemKind::TooDeep => {}
            ProblemKind::Copy => {
                return Err(Error::Copy {
                    folder: path,
                    detail,
                });
            }
            ProblemKind::UnknownClass => {
                return Err(Error::UnknownClass {
                    folder: path,
                    expected: detail,
                });
            }
        }
    }
    Ok(skipped)
}

fn expect_labels(classes: &[String], items: &[Item]) -> Result<()> {
    let labels = items.iter().flat_map(|item| item.labels.iter().copied());
    match labels.max() {
        Some(label) if label >= classes.len() => Err(Error::Setting {
            name: "label",
            value: label.to_string(),
            expected: "an index into the classes",
        }),
        _ => Ok(()),
    }
}

/// `images` are their parts and labels.
fn every_class_has_images(
    name: &str,
    root: &Path,
    classes: &[String],
    images: &[(Option<Part>, &[usize])],
) -> Result<()> {
    let has = |part, label| {
        let mut of_part = images.iter().filter(|(of, _)| *of == part);
        of_part.any(|(_, labels)| labels.contains(&label))
    };
    for (label, class) in classes.iter().enumerate() {
        if name == brain_mri::NAME {
            for (part, folder) in brain_mri::PARTS {
                if !has(Some(part), label) {
                    return Err(Error::EmptyClass {
                        folder: root.join(folder).join(class),
                    });
                }
            }
        } else if !has(None, label) && !has(Some(Part::Train), label) {
            return Err(Error::UnusedClass {
                class: class.clone(),
                root: root.to_owned(),
            });
        }
    }
    Ok(())
}

/// Reads and hashes an image, and decodes it unless the record knows it.
fn check(
    item: Item,
    task: Task,
    checked: &Checked,
    keep: Option<(usize, &Store)>,
    reading: &Reading,
) -> Result<(Sample, Told), Skipped> {
    let looked = item.origin.bytes(&item.path, reading).and_then(|bytes| {
        let sha256 = Sha256::digest(&bytes).into();
        let mut told = Told::default();
        if let Some(known) = checked.known(&sha256) {
            told.likeness = Some(known.clone());
            return Ok((sha256, told));
        }
        let size = keep.map(|(size, _)| size);
        let decoded = item.origin.decode(&bytes, reading, size)?;
        told.likeness = Some(Likeness::of(&decoded.pixels));
        told.look(&decoded, reading);
        if let Some((size, cache)) = keep {
            let keyed = keyed(sha256, reading);
            let key = Key {
                sha256: &keyed,
                size,
            };
            cache.put_new(key, || decoded.pixels.resize(size));
        }
        told.patient = decoded.patient;
        Ok((sha256, told))
    });
    match looked {
        Ok((sha256, told)) => Ok((Sample::of(item, task, sha256), told)),
        Err(reason) => Err(Skipped::new(&item.path, &reason)),
    }
}

fn bad_images(bad: &[Skipped], total: usize) -> Error {
    const NAMED: usize = 3;
    let mut examples = bad
        .iter()
        .take(NAMED)
        .map(|Skipped { file, reason }| format!("{file} {reason}"))
        .collect::<Vec<_>>()
        .join(", ");
    if bad.len() > NAMED {
        examples += &format!(" and {} more", bad.len() - NAMED);
    }
    Error::BadImages {
        bad: bad.len(),
        total,
        examples,
    }
}
