use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::{
    Error, Pixels, Result,
    cache::{Cache, Key, Store},
    sources::{self, Entry, Found, Origin, Problem, ProblemKind, brain_mri},
    stages::{Clock, Stage},
};

/// The part of the data that a sample is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// For training.
    Train,
    /// For early stopping and choices.
    Val,
    /// For testing only.
    Test,
}

impl Part {
    /// `train`, `val` or `test`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        }
    }
}

/// What the labels of a data set are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Every image is of exactly one class.
    MultiClass,
    /// An image is of any number of classes.
    MultiLabel,
}

impl Task {
    /// `multi-class` or `multi-label`.
    pub fn name(self) -> &'static str {
        match self {
            Self::MultiClass => "multi-class",
            Self::MultiLabel => "multi-label",
        }
    }
}

/// One labelled image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The file.
    pub path: PathBuf,
    /// Ascending indices into [`Dataset::classes`]: exactly one if the task is multi-class.
    pub labels: Vec<usize>,
    /// The part that the curator gave it to; `None` where there is no given split.
    pub part: Option<Part>,
    /// The patient, lesion or other group, none of which a split divides.
    pub group: Option<String>,
    /// SHA-256 of the file's bytes when the data set was opened.
    pub sha256: [u8; 32],
    pub(crate) origin: Origin,
}

impl Sample {
    /// The class of a multi-class sample; of a multi-label one the first, or 0.
    pub fn label(&self) -> usize {
        self.labels.first().copied().unwrap_or(0)
    }
}

/// Labelled images on disk, every one of them decoded once before anybody trains on them.
#[derive(Debug)]
pub struct Dataset {
    /// The loader's name, as given to [`open`].
    pub name: String,
    /// The folder that holds the layout: the one given, or the one of the data set's name in it.
    pub root: PathBuf,
    /// Class names, in label order.
    pub classes: Vec<String>,
    /// Whether an image has one label or any number.
    pub task: Task,
    /// The usable images, in an order that is the same everywhere.
    pub samples: Vec<Sample>,
    /// Files and rows of tables left out because they cannot be used, and why.
    pub skipped: Vec<(PathBuf, String)>,
    cache: Store,
}

/// Opens a data set and checks every file of it, on all cores.
///
/// `data_root` is the folder that holds the data set, or its parent, in which it has the name of
/// its `kind`:
///
/// | `kind` | layout | task |
/// |---|---|---|
/// | `brain-mri` | `Training/<class>/` and `Testing/<class>/`, classes glioma, meningioma, notumor, pituitary | multi-class |
/// | `isic2019` | `ISIC_2019_Training_Input/*.jpg`, `ISIC_2019_Training_GroundTruth.csv`; groups by `lesion_id` if there is `ISIC_2019_Training_Metadata.csv` | multi-class |
/// | `biopsies` | TIFF images and one CSV file: `image`, a 0/1 column for each of TFH-1, TFH-217, TFH-Like, B cells and others, perhaps `patient` | multi-label |
/// | `folder` | `<class>/`, or `train/<class>/` and perhaps `val/<class>/` and `test/<class>/` | multi-class |
/// | `csv` | a CSV file: `path`; `label`, or `labels` separated by `|` or `;`, or a 0/1 column a class; perhaps `split` and `group` | both |
/// | `medmnist` | a 2D `.npz` file of the MedMNIST collection | both |
///
/// # Errors
/// An unknown `kind`; a layout that is not there; a table without a column that it needs; a class
/// folder that is unknown; a class without a usable image; and, unless `skip_bad` moves them to
/// [`Dataset::skipped`], files that are no usable image and rows that cannot be used.
pub fn open(kind: &str, data_root: &Path, skip_bad: bool) -> Result<Dataset> {
    Dataset::check(kind, sources::find(kind, data_root)?, skip_bad)
}

/// Whether the images of a data set have one label or any number, told from its layout and tables
/// without a look at the images. Arguments as of [`open`].
///
/// # Errors
/// An unknown `kind`, a layout that is not there, or a table that cannot be read.
pub fn task_of(kind: &str, data_root: &Path) -> Result<Task> {
    Ok(sources::find(kind, data_root)?.task)
}

/// `has` says whether there are images of a part and class.
fn every_class_has_images(
    name: &str,
    root: &Path,
    classes: &[String],
    has: impl Fn(Option<Part>, usize) -> bool,
) -> Result<()> {
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

impl Dataset {
    /// Decodes every file. With `skip_bad`, leaves the unusable out.
    fn check(name: &str, found: Found, skip_bad: bool) -> Result<Self> {
        let mut skipped = Vec::new();
        for Problem { kind, path, detail } in found.problems {
            match kind {
                ProblemKind::Row | ProblemKind::MissingFile => skipped.push((path, detail)),
                ProblemKind::UnlabelledFile => {}
                ProblemKind::UnknownClass => {
                    return Err(Error::UnknownClass {
                        folder: path,
                        expected: detail,
                    });
                }
            }
        }
        // A class whose folder is not there is told before the time that decoding takes.
        every_class_has_images(name, &found.root, &found.classes, |part, label| {
            let mut of_part = found.entries.iter().filter(|e| e.part == part);
            of_part.any(|e| e.labels.contains(&label))
        })?;
        let total = found.entries.len() + skipped.len();
        // One thread a file, results in the files' order.
        let checked: Vec<_> = found.entries.into_par_iter().map(check_file).collect();
        let mut samples = Vec::with_capacity(total);
        for result in checked {
            match result {
                Ok(sample) => samples.push(sample),
                Err(bad) => skipped.push(bad),
            }
        }
        if !skipped.is_empty() && !skip_bad {
            return Err(bad_images(&skipped, total));
        }
        let dataset = Self {
            name: name.to_owned(),
            root: found.root,
            classes: found.classes,
            task: found.task,
            cache: Store::open(Cache::installed())?,
            samples,
            skipped,
        };
        every_class_has_images(name, &dataset.root, &dataset.classes, |part, label| {
            let mut of_part = dataset.samples.iter().filter(|s| s.part == part);
            of_part.any(|s| s.labels.contains(&label))
        })?;
        Ok(dataset)
    }

    /// The number of usable images.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there is none; [`open`] never gives such a data set.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Says whether the labels are of the kind that the caller needs.
    ///
    /// # Errors
    /// If they are not.
    pub fn expect_task(&self, task: Task) -> Result<()> {
        if self.task == task {
            return Ok(());
        }
        Err(Error::Task {
            name: self.name.clone(),
            found: self.task.name(),
            expected: task.name(),
        })
    }

    /// Sets where decoded, resized pixels are kept, instead of where [`Cache::install`] said. All
    /// loaders of the data set share them.
    ///
    /// # Errors
    /// A folder that cannot be made.
    pub fn with_cache(mut self, cache: Cache) -> Result<Self> {
        self.cache = Store::open(cache)?;
        Ok(self)
    }

    /// The labels of some samples as 0 and 1, row-major `(samples, classes)`.
    pub fn targets(&self, samples: &[usize]) -> Vec<f32> {
        let classes = self.classes.len();
        let mut targets = vec![0.0; samples.len() * classes];
        for (row, &sample) in targets.chunks_exact_mut(classes.max(1)).zip(samples) {
            for &label in &self.samples[sample].labels {
                row[label] = 1.0;
            }
        }
        targets
    }

    /// Sample `index`, decoded and resized to `size` x `size`: from the cache when it is there.
    ///
    /// # Errors
    /// A file that changed since the data set was opened.
    pub fn pixels(&self, index: usize, size: usize) -> Result<Arc<Pixels>> {
        self.pixels_timed(index, size, &Clock::default())
    }

    pub(crate) fn pixels_timed(
        &self,
        index: usize,
        size: usize,
        clock: &Clock,
    ) -> Result<Arc<Pixels>> {
        let sample = &self.samples[index];
        let key = Key {
            sample: index,
            sha256: &sample.sha256,
            size,
        };
        if let Some(pixels) = clock.time(Stage::Cache, || self.cache.get(key)) {
            return Ok(pixels);
        }
        let decoded = clock
            .time(Stage::Read, || {
                let bytes = sample.origin.bytes(&sample.path)?;
                // A cached image must be the one that the manifest names.
                let same = <[u8; 32]>::from(Sha256::digest(&bytes)) == sample.sha256;
                let changed = || "has changed since the data set was opened".to_owned();
                same.then_some(bytes).ok_or_else(changed)
            })
            .and_then(|bytes| clock.time(Stage::Decode, || sample.origin.decode(&bytes)))
            .map_err(|reason| Error::Image {
                path: sample.path.clone(),
                reason,
            })?;
        let pixels = Arc::new(clock.time(Stage::Resize, || decoded.pixels.resize(size)));
        clock.time(Stage::Cache, || self.cache.put(key, &pixels));
        Ok(pixels)
    }
}

fn check_file(entry: Entry) -> Result<Sample, (PathBuf, String)> {
    let sha256 = entry.origin.bytes(&entry.path).and_then(|bytes| {
        entry.origin.decode(&bytes)?;
        Ok(Sha256::digest(&bytes).into())
    });
    match sha256 {
        Ok(sha256) => Ok(Sample {
            path: entry.path,
            labels: entry.labels,
            part: entry.part,
            group: entry.group,
            sha256,
            origin: entry.origin,
        }),
        Err(reason) => Err((entry.path, reason)),
    }
}

fn bad_images(bad: &[(PathBuf, String)], total: usize) -> Error {
    const NAMED: usize = 3;
    let mut examples = bad
        .iter()
        .take(NAMED)
        .map(|(path, reason)| format!("{} {reason}", path.display()))
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
