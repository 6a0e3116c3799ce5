//! Training, validation and test images; the labelled few among them.

mod divided;
mod few;
mod iterative;
mod manifest;

pub use few::fraction;
pub use manifest::{Manifest, ManifestRow};

use crate::dataset::{Dataset, Part, Task};
use cass_rng::Rng;
use std::collections::HashSet;

/// The share of the images that is for testing where the curator gave none.
const TEST_FRACTION: f64 = 0.1;

/// Disjoint sets of sample indices, each in ascending order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// For training.
    pub train: Vec<usize>,
    /// For early stopping and choices.
    pub val: Vec<usize>,
    /// For the reported numbers.
    pub test: Vec<usize>,
}

impl Dataset {
    /// The curator's parts where they are given. What is not given is cut from the other images, or
    /// from the training images, by `seed`: `val_fraction` of them for validation, a tenth for
    /// testing (80/10/10 with a `val_fraction` of 0.1).
    ///
    /// An image without a label is for training, unless it is given to another part.
    ///
    /// The cut is stratified: of each class the same share, rounded, at least one image, and never
    /// the last one. Where an image has several labels, or images belong together
    /// ([`Sample::group`](crate::dataset::Sample::group)), it is made by iterative stratification, which
    /// keeps groups whole and the shares of the classes as even as they let it.
    pub fn split(&self, seed: u64, val_fraction: f64) -> Split {
        self.split_by(seed, val_fraction, None)
    }

    /// The same with this share for testing; `None` is a tenth. A share that is given is cut from a
    /// data set without labels, too.
    pub fn split_by(&self, seed: u64, val_fraction: f64, test_fraction: Option<f64>) -> Split {
        let given = |part| {
            let all = 0..self.len();
            all.filter(|&i| self.samples[i].part == Some(part))
                .collect::<Vec<_>>()
        };
        let (mut val, mut test) = (given(Part::Val), given(Part::Test));
        let rest =
            (0..self.len()).filter(|&i| matches!(self.samples[i].part, None | Some(Part::Train)));
        // What cannot be judged by is not held out, unless there is nothing else and it is asked for.
        let all = test_fraction.is_some() && !self.is_labelled();
        let (rest, unlabelled): (Vec<usize>, Vec<usize>) =
            rest.partition(|&i| self.samples[i].labelled || all);
        let share = test_fraction.unwrap_or(TEST_FRACTION);
        let shares = [
            if val.is_empty() { val_fraction } else { 0.0 },
            if test.is_empty() { share } else { 0.0 },
        ];
        let wanted = [val.is_empty(), test.is_empty() && share > 0.0];
        let grouped = rest.iter().any(|&i| self.samples[i].group.is_some());
        let [mut train, for_val, for_test] = if grouped || all || self.task == Task::MultiLabel {
            iterative::cut(self, &rest, shares, seed)
        } else {
            self.cut(&rest, wanted, shares, seed)
        };
        val.extend(for_val);
        test.extend(for_test);
        // A patient who is held out is so with all images.
        let groups = |part: &[usize]| {
            let groups = part
                .iter()
                .filter_map(|&i| self.samples[i].group.as_deref());
            groups.collect::<HashSet<_>>()
        };
        let [val_groups, test_groups] = [groups(&val), groups(&test)];
        for i in unlabelled {
            let in_group = |held: &HashSet<&str>| {
                let group = self.samples[i].group.as_deref();
                group.is_some_and(|group| held.contains(group))
            };
            match () {
                () if self.samples[i].part.is_some() => &mut train,
                () if in_group(&test_groups) => &mut test,
                () if in_group(&val_groups) => &mut val,
                () => &mut train,
            }
            .push(i);
        }
        for part in [&mut train, &mut val, &mut test] {
            part.sort_unstable();
        }
        Split { train, val, test }
    }

    /// Cuts each class by itself, into training, validation and test images.
    fn cut(
        &self,
        indices: &[usize],
        wanted: [bool; 2],
        shares: [f64; 2],
        seed: u64,
    ) -> [Vec<usize>; 3] {
        let mut parts = [const { Vec::new() }; 3];
        for mut drawn in self.shuffled_classes(indices, seed, "split") {
            let all = drawn.len();
            for (part, (wanted, share)) in wanted.into_iter().zip(shares).enumerate() {
                if wanted {
                    let count = (all as f64 * share).round() as usize;
                    let count = count.max(1).min(drawn.len().saturating_sub(1));
                    let left = drawn.split_off(count);
                    parts[part + 1].append(&mut drawn);
                    drawn = left;
                }
            }
            parts[0].append(&mut drawn);
        }
        parts
    }

    /// `indices` by class, each class in an order drawn by `seed`.
    fn shuffled_classes(&self, indices: &[usize], seed: u64, purpose: &str) -> Vec<Vec<usize>> {
        let mut classes = vec![Vec::new(); self.classes.len()];
        for &i in indices {
            for &label in &self.samples[i].labels {
                classes[label].push(i);
            }
        }
        for (label, class) in classes.iter_mut().enumerate() {
            class.sort_unstable(); // the order given must not matter
            Rng::new(seed, purpose, [label as u64, 0], 0).shuffle(class);
        }
        classes
    }
}
