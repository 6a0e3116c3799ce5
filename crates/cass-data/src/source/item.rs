use super::Origin;
use crate::image::{Pixels, Reading};
use crate::source::{Part, Task};
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One image with what is known of it, not yet looked into.
///
/// ```
/// use cass_data::{dataset::Part, image::Pixels, source::Item};
/// let scan = Item::file("scans/0001.png").label(1).group("patient 7").part(Part::Test);
/// assert_eq!(scan.labels, [1]);
/// let drawn = Item::pixels("drawn", Pixels::from_grey(2, 2, vec![0, 80, 160, 255])).label(0);
/// assert_eq!(drawn.part, None);
/// ```
#[derive(Debug, Clone)]
pub struct Item {
    /// The file, or a name for an image in memory.
    pub path: PathBuf,
    /// Ascending indices into the class names.
    pub labels: Vec<usize>,
    /// The part that the curator gave it to, if any.
    pub part: Option<Part>,
    /// The patient, lesion or other group that no split may divide.
    pub group: Option<String>,
    /// Ascending indices of the classes of which it is not known whether the image is of them: they
    /// count in no loss and no metric.
    pub unknown: Vec<usize>,
    /// Whether the image has a label at all; without one it is for pretraining alone.
    pub unlabelled: bool,
    pub(crate) origin: Origin,
}

impl Item {
    fn new(path: PathBuf, origin: Origin) -> Self {
        Self {
            path,
            labels: Vec::new(),
            part: None,
            group: None,
            unknown: Vec::new(),
            unlabelled: false,
            origin,
        }
    }

    /// The image in a file.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::new(path.into(), Origin::File)
    }

    /// An image in memory, under a name of its own.
    pub fn pixels(name: impl Into<PathBuf>, pixels: Pixels) -> Self {
        Self::new(name.into(), Origin::Pixels(Arc::new(pixels)))
    }

    pub(crate) fn in_array(
        path: PathBuf,
        images: Arc<super::origin::Images>,
        index: usize,
    ) -> Self {
        Self::new(path, Origin::Array { images, index })
    }

    /// The image's pixels, read as a data set's are; `size` is the side that they will be resized to.
    ///
    /// # Errors
    /// Those of [`decode_as`](crate::image::decode_as).
    pub fn decode(&self, reading: &Reading, size: Option<usize>) -> Result<Pixels> {
        let bytes = self.origin.bytes(&self.path, reading);
        let decoded = bytes.and_then(|bytes| self.origin.decode(&bytes, reading, size));
        let fail = |reason| Error::Image {
            path: self.path.clone(),
            reason,
        };
        Ok(decoded.map_err(fail)?.pixels)
    }

    /// The file that the image is in.
    pub(crate) fn file_of(&self) -> &Path {
        match &self.origin {
            Origin::Frame { file, .. } => file,
            _ => &self.path,
        }
    }

    /// The same image, of one class more.
    #[must_use]
    pub fn label(mut self, class: usize) -> Self {
        if let Err(place) = self.labels.binary_search(&class) {
            self.labels.insert(place, class);
        }
        self
    }

    /// The same image of these classes alone.
    #[must_use]
    pub(crate) fn labelled(self, labels: Vec<usize>) -> Self {
        Self { labels, ..self }
    }

    /// The same image, of which no label is known. (Without this, an image of no class is of none
    /// where images may be of any number, and unlabelled where each is of one.)
    #[must_use]
    pub fn unlabelled(self) -> Self {
        Self {
            labels: Vec::new(),
            unknown: Vec::new(),
            unlabelled: true,
            ..self
        }
    }

    /// Whether it can be learned from, or judged by.
    pub fn is_labelled(&self, task: Task) -> bool {
        !self.unlabelled && (task == Task::MultiLabel || !self.labels.is_empty())
    }

    /// The same image, given to a part.
    #[must_use]
    pub fn part(self, part: impl Into<Option<Part>>) -> Self {
        Self {
            part: part.into(),
            ..self
        }
    }

    /// The same image, of a group that no split divides.
    #[must_use]
    pub fn group(self, group: impl Into<String>) -> Self {
        Self {
            group: Some(group.into()),
            ..self
        }
    }
}
