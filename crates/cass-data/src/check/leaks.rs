//! Test images that have a copy among the training images.

use super::duplicates::alike;
use super::{Leaks, Seen};
use crate::dataset::{Dataset, Part};
use rayon::prelude::*;

/// The seed of the split that is looked at where none is given.
const SEED: u64 = 0;
const VAL_FRACTION: f64 = 0.1;

/// Counts the test images of the given parts, or of the split by seed 0, that are in training too, as
/// the same file or nearly the same picture.
pub(super) fn count(dataset: &Dataset, seen: &[Seen]) -> Leaks {
    let split = dataset.split(SEED, VAL_FRACTION);
    let given = dataset.samples.iter().any(|s| s.part == Some(Part::Test));
    let copied = split.test.par_iter().filter(|&&test| {
        // Validation images, where none were given, are cut from training.
        let mut train = split.train.iter().chain(&split.val);
        train.any(|&train| alike(&seen[test], &seen[train]))
    });
    Leaks {
        test: split.test.len(),
        copied: copied.count(),
        given,
    }
}
