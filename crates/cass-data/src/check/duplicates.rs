//! Pictures that are there twice.

use super::look::SIDE;
use super::{Finding, FindingKind, Seen};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;

/// Differing bits of 272 up to which two pictures may be one, resized or compressed again.
const MAX_BITS: u32 = 12;
/// Mean difference of their thumbnails, in grey levels, up to which they are.
const MAX_MEAN: f64 = 2.5;

/// The duplicates, each of a later file and its match.
pub(super) fn find(root: &Path, seen: &[Seen]) -> Vec<Finding> {
    let mut first: BTreeMap<[u8; 32], usize> = BTreeMap::new();
    let mut findings = Vec::new();
    let mut singles = Vec::new();
    for (i, image) in seen.iter().enumerate() {
        let original = *first.entry(image.look.sha256).or_insert(i);
        if original == i {
            singles.push(i);
            continue;
        }
        let kind = match relation(&seen[original], image) {
            Relation::Splits => FindingKind::DuplicateAcrossSplits,
            Relation::Labels => FindingKind::DuplicateAcrossLabels,
            Relation::Alike | Relation::Loose => FindingKind::Duplicate,
        };
        findings.push(finding(
            root,
            kind,
            "is the same file as",
            image,
            &seen[original],
        ));
    }
    findings.extend(near(root, seen, &singles));
    findings
}

/// For each picture the most alike one before it that it should not be near to.
fn near(root: &Path, seen: &[Seen], singles: &[usize]) -> Vec<Finding> {
    let of: Vec<&Seen> = singles
        .iter()
        .map(|&i| &seen[i])
        .filter(|image| !image.look.blank)
        .collect();
    let hashes: Vec<_> = of.iter().map(|image| image.look.hash).collect();
    let matches = (0..of.len()).into_par_iter().filter_map(|i| {
        let mut best: Option<(f64, usize, FindingKind)> = None;
        for j in 0..i {
            if bits(&hashes[i], &hashes[j]) > MAX_BITS {
                continue;
            }
            let kind = match relation(of[j], of[i]) {
                Relation::Splits => FindingKind::NearDuplicateAcrossSplits,
                Relation::Labels => FindingKind::NearDuplicateAcrossLabels,
                Relation::Loose => FindingKind::NearDuplicate,
                Relation::Alike => continue,
            };
            let mean = difference(&of[i].look.thumbnail, &of[j].look.thumbnail);
            if mean <= MAX_MEAN && best.is_none_or(|(least, _, _)| mean < least) {
                best = Some((mean, j, kind));
            }
        }
        best.map(|(_, j, kind)| finding(root, kind, "looks like", of[i], of[j]))
    });
    matches.collect()
}

/// Whether two images are the same file, or nearly the same picture.
pub(super) fn alike(a: &Seen, b: &Seen) -> bool {
    let (a, b) = (&a.look, &b.look);
    let near = || {
        !a.blank
            && !b.blank
            && bits(&a.hash, &b.hash) <= MAX_BITS
            && difference(&a.thumbnail, &b.thumbnail) <= MAX_MEAN
    };
    a.sha256 == b.sha256 || near()
}

/// What is wrong with two images that are the same.
enum Relation {
    /// They are given to different parts.
    Splits,
    /// They have different labels.
    Labels,
    /// A split may divide them.
    Loose,
    /// Nothing but that they are two.
    Alike,
}

fn relation(a: &Seen, b: &Seen) -> Relation {
    let (a, b) = (&a.item, &b.item);
    if a.part != b.part {
        Relation::Splits
    } else if a.labels != b.labels {
        Relation::Labels
    } else if a.part.is_none() && (a.group.is_none() || a.group != b.group) {
        Relation::Loose
    } else {
        Relation::Alike
    }
}

fn finding(root: &Path, kind: FindingKind, verb: &str, image: &Seen, other: &Seen) -> Finding {
    let path = &other.item.path;
    let other = path.strip_prefix(root).unwrap_or(path);
    Finding {
        kind,
        file: image.item.path.clone(),
        detail: format!("{verb} {}", other.display()),
    }
}

pub(crate) type Hash = [u64; 5];

/// Whether each pixel of the thumbnail is brighter than its left neighbour: a difference hash.
pub(super) fn hash(thumbnail: &[u8]) -> Hash {
    let mut hash = [0; 5];
    let rows = thumbnail.chunks_exact(SIDE);
    let brighter = rows.flat_map(|row| row.windows(2).map(|pair| pair[1] > pair[0]));
    for (place, brighter) in brighter.enumerate() {
        hash[place / 64] |= u64::from(brighter) << (place % 64);
    }
    hash
}

fn bits(a: &Hash, b: &Hash) -> u32 {
    a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum()
}

fn difference(a: &[u8], b: &[u8]) -> f64 {
    let sum: u32 = a
        .iter()
        .zip(b)
        .map(|(a, b)| u32::from(a.abs_diff(*b)))
        .sum();
    f64::from(sum) / a.len() as f64
}
