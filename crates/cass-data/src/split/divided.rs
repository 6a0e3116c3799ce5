//! What a split divides that belongs together: copies, nearly equal pictures, names that begin alike.

use super::Split;
use crate::dataset::Dataset;
use crate::likeness::{Gallery, Likeness, Likenesses};
use rayon::prelude::*;
use std::collections::{HashMap, HashSet};

impl Dataset {
    /// How many test images have a copy among the others: the same file, or nearly the same picture. Validation images,
    /// where none were given, are cut from training, and count as it.
    pub(crate) fn copied(&self, split: &Split, likenesses: &Likenesses) -> usize {
        let others = || split.train.iter().chain(&split.val);
        let hashes: HashSet<_> = others().map(|&i| &self.samples[i].sha256).collect();
        let pictures: Vec<_> = (hashes.iter())
            .filter_map(|hash| likenesses.get(*hash))
            .collect();
        let gallery = Gallery::of(pictures);
        let is_copy = |i: &&usize| {
            let hash = &self.samples[**i].sha256;
            let near = |own: &Likeness| !gallery.near(own, usize::MAX).is_empty();
            hashes.contains(hash) || likenesses.get(hash).is_some_and(near)
        };
        split.test.par_iter().filter(is_copy).count()
    }

    /// What there is to say of a split that was made here: copies, and names that begin alike, on both
    /// sides of it.
    pub(crate) fn warn_of_split(&mut self, split: &Split) {
        let likenesses = std::mem::take(&mut self.likenesses);
        let ours = |part: &[usize]| part.iter().any(|&i| self.samples[i].part.is_none());
        if !ours(&split.test) {
            return;
        }
        let all = split.test.len();
        if let copied @ 1.. = self.copied(split, &likenesses) {
            self.warnings.push(format!(
                "{copied} of the {all} test images have a copy in training, or nearly one (`cass data check` names \
                 them; --group-column or --group-by keep them together)"
            ));
        }
        if let Some(warning) = self.names_alike(&split.train, &split.test) {
            self.warnings.push(warning);
        }
    }

    /// Names of several images that differ in a number at the end alone, on both sides of a split.
    fn names_alike(&self, train: &[usize], test: &[usize]) -> Option<String> {
        if self.samples.iter().any(|sample| sample.group.is_some()) {
            return None;
        }
        let stem = |&i: &usize| {
            let file = self.samples[i].path.file_stem()?.to_string_lossy();
            let end = file.trim_end_matches(|c: char| c.is_ascii_digit());
            let stem = end.strip_suffix(['_', '-', ' ', '.'])?;
            // A word that all files begin with tells nothing.
            let tells = stem.contains(|c: char| c.is_ascii_digit()) && end.len() < file.len();
            tells.then(|| stem.to_owned())
        };
        let mut known: HashMap<String, usize> = HashMap::new();
        for i in train {
            known.extend(stem(i).map(|stem| (stem, *i)));
        }
        // As many as there are classes, or fewer, are the classes' names.
        if known.len() <= self.classes.len() {
            return None;
        }
        let pairs = test.iter().filter_map(|i| Some((i, known.get(&stem(i)?)?)));
        let pairs: Vec<_> = pairs.collect();
        let (&test_image, &train_image) = *pairs.first()?;
        Some(format!(
            "{} of the {} test images are named like training images, such as {} and {}: if these are of one \
             patient, --group-by '^(.+)[-_ .][0-9]+[.]' keeps them together",
            pairs.len(),
            test.len(),
            self.file_name(test_image),
            self.file_name(train_image),
        ))
    }
}
