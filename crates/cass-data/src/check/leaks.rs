//! Test images that have a copy among the training images.

use super::{Leaks, Seen};
use crate::dataset::{Dataset, Part};

/// The seed of the split that is looked at where none is given.
const SEED: u64 = 0;
const VAL_FRACTION: f64 = 0.1;

/// Counts the test images of the given parts, or of the split by seed 0, that are in training too, as
/// the same file or nearly the same picture.
pub(super) fn count(dataset: &Dataset, seen: &[Seen]) -> Leaks {
    let split = dataset.split(SEED, VAL_FRACTION);
    let likenesses = seen
        .iter()
        .map(|Seen { look, .. }| (look.sha256, look.likeness.clone()));
    Leaks {
        test: split.test.len(),
        copied: dataset.copied(&split, &likenesses.collect()),
        given: dataset.samples.iter().any(|s| s.part == Some(Part::Test)),
    }
}
