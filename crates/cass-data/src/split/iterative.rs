//! Iterative stratification (Sechidis, Tsoumakas, Vlahavas 2011) of groups of images.

use crate::dataset::Dataset;
use cass_rng::Rng;
use std::collections::BTreeMap;

/// Images that stay together, and how many of them each class has.
struct Unit {
    indices: Vec<usize>,
    counts: Vec<usize>,
}

/// Cuts `indices` into training, validation and test images; `shares` are of the latter two. An
/// image without a label counts as one of a class of its own.
pub(super) fn cut(
    dataset: &Dataset,
    indices: &[usize],
    shares: [f64; 2],
    seed: u64,
) -> [Vec<usize>; 3] {
    let classes = dataset.classes.len() + 1;
    let mut units = units(dataset, indices, classes);
    Rng::new(seed, "isplit", [0, 0], 0).shuffle(&mut units);
    // Large groups first, while there is room for them.
    units.sort_by_key(|unit| std::cmp::Reverse(unit.indices.len()));

    let shares = [1.0 - shares[0] - shares[1], shares[0], shares[1]];
    let mut wanted = [const { Vec::new() }; 3];
    for class in 0..classes {
        let of_class = units.iter().map(|u| u.counts[class]).filter(|&c| c > 0);
        let total = of_class.clone().sum::<usize>() as f64;
        // A part that lacks a class cannot be scored: a group at least, where there are enough.
        let groups = of_class.count();
        let least = if groups >= 3 {
            total / groups as f64
        } else {
            0.0
        };
        let want = |share: f64| {
            if share > 0.0 {
                (share * total).max(least)
            } else {
                0.0
            }
        };
        let (val, test) = (want(shares[1]), want(shares[2]));
        wanted[0].push(total - val - test);
        wanted[1].push(val);
        wanted[2].push(test);
    }
    let mut room = shares.map(|share| share * indices.len() as f64);
    let mut parts = [const { Vec::new() }; 3];
    while let Some(class) = rarest(&units, classes) {
        let (of_class, others) = units.into_iter().partition(|unit| unit.counts[class] > 0);
        units = others;
        for Unit { indices, counts } in of_class {
            // The part that lacks most of the class, then the one that lacks most images.
            let lack = |part: usize| [wanted[part][class], room[part]];
            let more = |a: &usize, b: &usize| {
                let ([a, a_room], [b, b_room]) = (lack(*a), lack(*b));
                a.total_cmp(&b).then(a_room.total_cmp(&b_room))
            };
            let open = (0..3).rev().filter(|&part| shares[part] > 0.0);
            let part = open.max_by(more).unwrap_or(0);
            room[part] -= indices.len() as f64;
            for (wanted, count) in wanted[part].iter_mut().zip(counts) {
                *wanted -= count as f64;
            }
            parts[part].extend(indices);
        }
    }
    parts
}

fn units(dataset: &Dataset, indices: &[usize], classes: usize) -> Vec<Unit> {
    let mut groups: BTreeMap<(Option<&str>, usize), Vec<usize>> = BTreeMap::new();
    for &i in indices {
        let group = dataset.samples[i].group.as_deref();
        // Without a group, an image is one.
        let key = (group, if group.is_some() { 0 } else { i });
        groups.entry(key).or_default().push(i);
    }
    let unit = |indices: Vec<usize>| {
        let mut counts = vec![0; classes];
        for &i in &indices {
            let labels = &dataset.samples[i].labels;
            labels.iter().for_each(|&label| counts[label] += 1);
            counts[classes - 1] += usize::from(labels.is_empty());
        }
        Unit { indices, counts }
    };
    groups.into_values().map(unit).collect()
}

/// The class with the fewest images left, but for those with none.
fn rarest(units: &[Unit], classes: usize) -> Option<usize> {
    let mut left = vec![0; classes];
    for unit in units {
        left.iter_mut().zip(&unit.counts).for_each(|(l, c)| *l += c);
    }
    (0..classes)
        .filter(|&class| left[class] > 0)
        .min_by_key(|&class| left[class])
}
