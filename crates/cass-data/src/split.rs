use cass_ops::Rng;

use crate::{Dataset, Part};

/// Disjoint sets of sample indices, each in ascending order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// For training.
    pub train: Vec<usize>,
    /// For early stopping and choices: cut from the curator's training images.
    pub val: Vec<usize>,
    /// For the reported numbers: the curator's test images.
    pub test: Vec<usize>,
}

impl Dataset {
    /// Cuts a validation set from the training images: of each class the given fraction, rounded,
    /// drawn by `seed`, at least one, and never the last one.
    pub fn split(&self, seed: u64, val_fraction: f64) -> Split {
        let of = |part| {
            let all = 0..self.len();
            all.filter(|&i| self.samples[i].part == part)
                .collect::<Vec<_>>()
        };
        let (mut train, mut val) = (Vec::new(), Vec::new());
        for mut drawn in self.shuffled_classes(&of(Part::Train), seed, "split") {
            let wanted = (drawn.len() as f64 * val_fraction).round() as usize;
            let count = wanted.max(1).min(drawn.len().saturating_sub(1));
            train.extend(drawn.split_off(count));
            val.extend(drawn);
        }
        train.sort_unstable();
        val.sort_unstable();
        Split {
            train,
            val,
            test: of(Part::Test),
        }
    }

    /// `indices` by class, each class in an order drawn by `seed`.
    fn shuffled_classes(&self, indices: &[usize], seed: u64, purpose: &str) -> Vec<Vec<usize>> {
        let mut classes = vec![Vec::new(); self.classes.len()];
        for &i in indices {
            classes[self.samples[i].label].push(i);
        }
        for (label, class) in classes.iter_mut().enumerate() {
            class.sort_unstable(); // the order given must not matter
            Rng::new(seed, purpose, [label as u64, 0], 0).shuffle(class);
        }
        classes
    }
}

/// The labelled subset: of each class among `indices` the given fraction, rounded, at least one
/// image, in ascending order. By one seed, a smaller fraction is part of every larger one; 1 or
/// more is everything.
pub fn fraction(dataset: &Dataset, indices: &[usize], fraction: f64, seed: u64) -> Vec<usize> {
    let mut chosen = Vec::new();
    for class in dataset.shuffled_classes(indices, seed, "fraction") {
        let count = ((class.len() as f64 * fraction).round() as usize).max(1);
        chosen.extend(class.into_iter().take(count));
    }
    chosen.sort_unstable();
    chosen
}
