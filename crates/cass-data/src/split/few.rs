//! Label fractions.

use crate::dataset::{Dataset, Task};
use cass_rng::Rng;
use std::collections::VecDeque;

/// The labelled subset, in ascending order: the given fraction of each class among `indices`,
/// rounded, at least one image a class. By one seed, a smaller fraction is part of every larger
/// one; 1 or more is everything.
///
/// Where an image has several labels, the fraction is of all images, chosen so that every class
/// keeps its share as nearly as the images let it. Of images without a label it is the same share.
pub fn fraction(dataset: &Dataset, indices: &[usize], fraction: f64, seed: u64) -> Vec<usize> {
    let labelled = |i: &usize| dataset.samples[*i].labelled;
    let (labelled, mut others): (Vec<usize>, Vec<usize>) =
        indices.iter().partition(|i| labelled(i));
    let indices = &labelled;
    others.sort_unstable(); // the order given must not matter
    Rng::new(seed, "unlabel", [0, 0], 0).shuffle(&mut others);
    let count = (others.len() as f64 * fraction).round() as usize;
    others.truncate(count.max(1));
    let mut chosen = others;
    match dataset.task {
        Task::MultiClass => {
            for class in dataset.shuffled_classes(indices, seed, "fraction") {
                let count = ((class.len() as f64 * fraction).round() as usize).max(1);
                chosen.extend(class.into_iter().take(count));
            }
        }
        Task::MultiLabel => {
            let (order, covering) = balanced_order(dataset, indices, seed);
            let count = (indices.len() as f64 * fraction).round() as usize;
            chosen.extend(order.into_iter().take(count.max(covering)));
        }
    }
    chosen.sort_unstable();
    chosen
}

/// All `indices` in an order of which every beginning has each class's share, and how many of the
/// first it takes for every class to have an image: any beginning is part of a longer one.
fn balanced_order(dataset: &Dataset, indices: &[usize], seed: u64) -> (Vec<usize>, usize) {
    let mut order = Order::new(dataset, indices, seed);
    // First one image of every class, the rarest class first: it may bring others along.
    let mut by_count: Vec<_> = (0..dataset.classes.len()).collect();
    by_count.sort_by_key(|&class| order.totals[class]);
    for class in by_count {
        if order.taken[class] == 0 {
            order.take(class);
        }
    }
    let covering = order.chosen.len();
    // Then of the class that is furthest behind its share.
    let mut open: Vec<_> = (0..order.totals.len()).collect();
    loop {
        let behind = |a: &usize, b: &usize| order.behind(*a).total_cmp(&order.behind(*b));
        let Some(class) = open.iter().copied().max_by(behind) else {
            break;
        };
        if !order.take(class) {
            open.retain(|&other| other != class);
        }
    }
    (order.chosen, covering)
}

/// An order in the making. Images without a label are of a class of their own, the last.
struct Order<'a> {
    dataset: &'a Dataset,
    images: usize,
    /// Of each class, its images that may still be there.
    queues: Vec<VecDeque<usize>>,
    totals: Vec<usize>,
    taken: Vec<usize>,
    used: Vec<bool>,
    chosen: Vec<usize>,
}

impl<'a> Order<'a> {
    /// Candidates that are compared; more would cost time and little else.
    const CANDIDATES: usize = 16;

    fn new(dataset: &'a Dataset, indices: &[usize], seed: u64) -> Self {
        let mut queues = dataset.shuffled_classes(indices, seed, "fraction");
        let unlabelled = |i: &usize| dataset.samples[*i].labels.is_empty();
        let mut none: Vec<_> = indices.iter().copied().filter(unlabelled).collect();
        none.sort_unstable();
        Rng::new(seed, "fraction", [queues.len() as u64, 0], 0).shuffle(&mut none);
        queues.push(none);
        Self {
            dataset,
            images: indices.len(),
            totals: queues.iter().map(Vec::len).collect(),
            taken: vec![0; queues.len()],
            queues: queues.into_iter().map(VecDeque::from).collect(),
            used: vec![false; dataset.len()],
            chosen: Vec::with_capacity(indices.len()),
        }
    }

    /// The classes of an image.
    fn classes(&self, image: usize) -> Vec<usize> {
        match &self.dataset.samples[image].labels[..] {
            [] => vec![self.totals.len() - 1],
            labels => labels.to_vec(),
        }
    }

    /// How many images a class lacks of its share of one image more.
    fn behind(&self, class: usize) -> f64 {
        let share = self.totals[class] as f64 / self.images as f64;
        share * (self.chosen.len() + 1) as f64 - self.taken[class] as f64
    }

    /// Takes the next image of a class, or one soon after it whose other classes need it more.
    fn take(&mut self, class: usize) -> bool {
        let queue = &mut self.queues[class];
        while queue.front().is_some_and(|&i| self.used[i]) {
            queue.pop_front();
        }
        let queue = &self.queues[class];
        let need = |i: usize| self.classes(i).iter().map(|&c| self.behind(c)).sum::<f64>();
        let candidates = queue.iter().copied().filter(|&i| !self.used[i]);
        let candidates = candidates.take(Self::CANDIDATES).collect::<Vec<_>>();
        // Of equals the first.
        let best = candidates
            .into_iter()
            .rev()
            .max_by(|&a, &b| need(a).total_cmp(&need(b)));
        let Some(image) = best else { return false };
        self.used[image] = true;
        self.chosen.push(image);
        for class in self.classes(image) {
            self.taken[class] += 1;
        }
        true
    }
}
