//! Images, with labels or without, each of them known to be one before anyone trains on it.
//!
//! | layout | on disk | task |
//! |---|---|---|
//! | `brain-mri` | `Training/<class>/` and `Testing/<class>/`, classes glioma, meningioma, notumor, pituitary | multi-class |
//! | `isic2019` | `ISIC_2019_Training_Input/*.jpg`, `ISIC_2019_Training_GroundTruth.csv`; groups by `lesion_id` if there is `ISIC_2019_Training_Metadata.csv` | multi-class |
//! | `biopsies` | TIFF images and one CSV file: `image`, a 0/1 column for each of TFH-1, TFH-217, TFH-Like, B cells and others, perhaps `patient` | multi-label |
//! | `folder` | `<class>/`, or `train/<class>/` and perhaps `val/<class>/` and `test/<class>/`; or images without labels | multi-class |
//! | `csv` | a CSV file, or `train.csv` and `test.csv`: `path`; perhaps `label`, or `labels` separated by `|` or `;`, or a 0/1 column a class; perhaps `split` and `group` | both |
//! | `images` | any images below a folder, or those that a pattern fits | no labels |
//! | `medmnist` | a 2D `.npz` file of the MedMNIST collection | both |

mod open;
mod table;
mod told;

pub use crate::source::{Part, Task};
pub use cass_run::Skipped;
pub use open::OpenOptions;

use crate::cache::{Key, Store};
use crate::image::{Pixels, Reading};
use crate::likeness::Likenesses;
use crate::phases::{Clock, Phase};
use crate::source::Origin;
use crate::{Error, Result};
use base16ct::lower::encode_string as hex;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

/// One image, with its label if there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The file.
    pub path: PathBuf,
    /// Ascending indices into [`Dataset::classes`]: exactly one if the task is multi-class and the
    /// image is labelled.
    pub labels: Vec<usize>,
    /// The part that the curator gave it to; `None` where there is no given split.
    pub part: Option<Part>,
    /// The patient, lesion or other group, none of which a split divides.
    pub group: Option<String>,
    /// Ascending indices of the classes of which it is not known whether the image is of them: they
    /// count in no loss and no metric.
    pub unknown: Vec<usize>,
    /// Whether it can be learned from, or judged by: without a label it is for pretraining alone.
    pub labelled: bool,
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

/// Images, every one of them known to be decodable.
#[derive(Debug)]
pub struct Dataset {
    /// Name of the source, such as `folder`.
    pub name: String,
    /// The folder that paths in a manifest are relative to.
    pub root: PathBuf,
    /// Class names, in label order.
    pub classes: Vec<String>,
    /// Whether an image has one label or any number.
    pub task: Task,
    /// The usable images, in an order that is the same everywhere.
    pub samples: Vec<Sample>,
    /// Files and rows of tables left out because they cannot be used, and why.
    pub skipped: Vec<Skipped>,
    /// What a reader should know of how the data set was read, one sentence each.
    pub notes: Vec<String>,
    /// What a reader should know of the images' content, one sentence each: of pictures to be turned,
    /// several pages, few grey levels.
    pub warnings: Vec<String>,
    /// How files become pixels.
    pub reading: Reading,
    /// Until a split was looked at.
    pub(crate) likenesses: Likenesses,
    cache: Store,
}

impl Dataset {
    /// The number of usable images.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Whether any image has a label.
    pub fn is_labelled(&self) -> bool {
        self.samples.iter().any(|sample| sample.labelled)
    }

    /// The name of an image in manifests and predictions: its path below [`Dataset::root`], with `/`
    /// between folders; the whole path of one that lies elsewhere.
    pub fn file_name(&self, index: usize) -> String {
        let path = &self.samples[index].path;
        let Ok(below) = path.strip_prefix(&self.root) else {
            return path.to_string_lossy().replace('\\', "/");
        };
        let names: Vec<_> = below.iter().map(|n| n.to_string_lossy()).collect();
        names.join("/")
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

    /// Leaves out the images of these SHA-256, in hexadecimal; how many these were.
    pub fn leave_out(&mut self, hashes: &HashSet<String>) -> usize {
        let before = self.len();
        self.samples
            .retain(|sample| !hashes.contains(&hex(&sample.sha256)));
        before - self.len()
    }

    /// Gives the classes the names and order of `classes`; `places` are those of the ones that there are. Where an image
    /// may have several labels, it is not known whether it has those of the other classes.
    pub fn take_classes(&mut self, classes: Vec<String>, places: &[usize]) {
        let several = self.task == Task::MultiLabel;
        let others = (0..classes.len()).filter(|class| several && !places.contains(class));
        let others: Vec<usize> = others.collect();
        for sample in &mut self.samples {
            for labels in [&mut sample.labels, &mut sample.unknown] {
                labels.iter_mut().for_each(|label| *label = places[*label]);
                labels.sort_unstable();
            }
            sample.unknown.extend(&others);
            sample.unknown.sort_unstable();
        }
        self.classes = classes;
    }

    /// The labels of some samples as 0 and 1, row-major `(samples, classes)`; NaN where it is not known
    /// whether a sample is of a class.
    pub fn targets(&self, samples: &[usize]) -> Vec<f32> {
        let classes = self.classes.len();
        let mut targets = vec![0.0; samples.len() * classes];
        for (row, &sample) in targets.chunks_exact_mut(classes.max(1)).zip(samples) {
            let sample = &self.samples[sample];
            sample.labels.iter().for_each(|&label| row[label] = 1.0);
            sample
                .unknown
                .iter()
                .for_each(|&label| row[label] = f32::NAN);
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
        let sha256 = keyed(sample.sha256, &self.reading);
        let key = Key {
            sha256: &sha256,
            size,
        };
        if let Some(pixels) = clock.time(Phase::Cache, || self.cache.get(key)) {
            return Ok(pixels);
        }
        let decoded = clock
            .time(Phase::Read, || {
                let bytes = sample.origin.bytes(&sample.path, &self.reading)?;
                // A cached image must be the one that the manifest names.
                let same = <[u8; 32]>::from(Sha256::digest(&bytes)) == sample.sha256;
                let changed = || "has changed since the data set was opened".to_owned();
                same.then_some(bytes).ok_or_else(changed)
            })
            .and_then(|bytes| {
                let decode = || sample.origin.decode(&bytes, &self.reading, Some(size));
                clock.time(Phase::Decode, decode)
            })
            .map_err(|reason| Error::Image {
                path: sample.path.clone(),
                reason,
            })?;
        let pixels = Arc::new(clock.time(Phase::Resize, || decoded.pixels.resize(size)));
        clock.time(Phase::Cache, || self.cache.put(key, &pixels));
        Ok(pixels)
    }
}

/// What an image's pixels are kept under: its SHA-256, or one of that and of how it is read, where that
/// is not as always.
fn keyed(sha256: [u8; 32], reading: &Reading) -> [u8; 32] {
    if reading.is_default() {
        return sha256;
    }
    let both = [&sha256[..], reading.key().as_bytes()].concat();
    Sha256::digest(&both).into()
}
