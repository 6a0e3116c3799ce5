use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::{Error, Pixels, Result, Split, brain_mri, cache::PixelCache, decode};

/// The part of the data that the curator gave a sample to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// For training; [`Dataset::split`] cuts the validation images from these.
    Train,
    /// For testing only.
    Test,
}

/// One labelled image file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The file.
    pub path: PathBuf,
    /// Index into [`Dataset::classes`].
    pub label: usize,
    /// The curator's split.
    pub part: Part,
    /// SHA-256 of the file's bytes when the data set was opened.
    pub sha256: [u8; 32],
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
    /// The usable images, by part, class and file name: the same order everywhere.
    pub samples: Vec<Sample>,
    /// Files left out because they cannot be used, and why.
    pub skipped: Vec<(PathBuf, String)>,
    cache: PixelCache,
}

/// What a loader found on disk, not yet looked into: the seam for other layouts.
pub(crate) struct Found {
    pub(crate) root: PathBuf,
    pub(crate) classes: Vec<String>,
    pub(crate) files: Vec<FoundFile>,
}

/// A labelled file, not yet looked into.
pub(crate) struct FoundFile {
    pub(crate) path: PathBuf,
    pub(crate) label: usize,
    pub(crate) part: Part,
}

/// Opens a data set and checks every file of it, on all cores.
///
/// `kind` is `brain-mri`: `Training/<class>/` and `Testing/<class>/` folders of JPEG or PNG files,
/// classes glioma, meningioma, notumor and pituitary. `data_root` is the folder that holds them or
/// its parent, in which they are in `brain-mri`.
///
/// # Errors
/// An unknown `kind`; a layout that is not there; a class folder that is unknown or has no usable
/// image; and, unless `skip_bad` moves them to [`Dataset::skipped`], files that are no usable image.
pub fn open(kind: &str, data_root: &Path, skip_bad: bool) -> Result<Dataset> {
    let found = match kind {
        brain_mri::NAME => brain_mri::find(data_root)?,
        _ => {
            return Err(Error::UnknownDataset {
                name: kind.to_owned(),
                known: brain_mri::NAME.to_owned(),
            });
        }
    };
    Dataset::check(kind, found, skip_bad)
}

impl Dataset {
    /// Decodes every file. With `skip_bad`, leaves the unusable out.
    fn check(name: &str, found: Found, skip_bad: bool) -> Result<Self> {
        let total = found.files.len();
        // One thread a file, results in the files' order.
        let checked: Vec<_> = found.files.into_par_iter().map(check_file).collect();
        let mut samples = Vec::with_capacity(total);
        let mut skipped = Vec::new();
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
            cache: PixelCache::new(),
            samples,
            skipped,
        };
        dataset.every_class_has_images()?;
        Ok(dataset)
    }

    fn every_class_has_images(&self) -> Result<()> {
        for (label, class) in self.classes.iter().enumerate() {
            for part in [Part::Train, Part::Test] {
                let mut of_part = self.samples.iter().filter(|s| s.part == part);
                if !of_part.any(|s| s.label == label) {
                    return Err(Error::EmptyClass {
                        folder: self.root.join(brain_mri::folder(part)).join(class),
                    });
                }
            }
        }
        Ok(())
    }

    /// The number of usable images.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there is none; [`open`] never gives such a data set.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Sets how many bytes of decoded, resized pixels are kept in memory (2 GiB if not set; 0 keeps
    /// none). All loaders of the data set share them; they change no pixel.
    pub fn with_cache_bytes(mut self, bytes: usize) -> Self {
        self.cache.budget = bytes;
        self
    }

    /// Sample `index`, decoded and resized to `size` x `size`: from memory when it is there.
    ///
    /// # Errors
    /// A file that changed for the worse since the data set was opened.
    pub fn pixels(&self, index: usize, size: usize) -> Result<Arc<Pixels>> {
        self.cache.get_or(index, size, || {
            Ok(decode(&self.samples[index].path)?.resize(size))
        })
    }

    /// SHA-256 over one line a sample of the split: its path below [`Dataset::root`], its file's
    /// SHA-256, train, val or test, and its class. Equal hashes are equal data, split alike.
    pub fn manifest_hash(&self, split: &Split) -> String {
        let parts = [
            ("train", &split.train),
            ("val", &split.val),
            ("test", &split.test),
        ];
        let mut lines: Vec<String> = parts
            .iter()
            .flat_map(|(part, indices)| indices.iter().map(move |&i| self.manifest_line(i, part)))
            .collect();
        lines.sort_unstable();
        hex(&Sha256::digest(lines.concat()))
    }

    fn manifest_line(&self, index: usize, part: &str) -> String {
        let sample = &self.samples[index];
        let relative = sample.path.strip_prefix(&self.root).unwrap_or(&sample.path);
        let names: Vec<_> = relative.iter().map(|n| n.to_string_lossy()).collect();
        let (path, sha256) = (names.join("/"), hex(&sample.sha256));
        format!("{path}\t{sha256}\t{part}\t{}\n", self.classes[sample.label])
    }
}

fn check_file(file: FoundFile) -> Result<Sample, (PathBuf, String)> {
    let bytes = decode::read(&file.path).and_then(|bytes| {
        decode::decode_bytes(&bytes)?;
        Ok(bytes)
    });
    match bytes {
        Ok(bytes) => Ok(Sample {
            path: file.path,
            label: file.label,
            part: file.part,
            sha256: Sha256::digest(&bytes).into(),
        }),
        Err(reason) => Err((file.path, reason)),
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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // a String takes every write
        text
    })
}
