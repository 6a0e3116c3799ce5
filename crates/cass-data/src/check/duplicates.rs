//! Pictures that are there twice.

use super::{Finding, FindingKind, Seen};
use crate::likeness::Gallery;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;

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
    let of: Vec<&Seen> = singles.iter().map(|&i| &seen[i]).collect();
    let gallery = Gallery::of(of.iter().map(|seen| &seen.look.likeness).collect());
    let matches = (0..of.len()).into_par_iter().filter_map(|i| {
        let mut best: Option<(f64, usize, FindingKind)> = None;
        for (j, mean) in gallery.near(&of[i].look.likeness, i) {
            let kind = match relation(of[j], of[i]) {
                Relation::Splits => FindingKind::NearDuplicateAcrossSplits,
                Relation::Labels => FindingKind::NearDuplicateAcrossLabels,
                Relation::Loose => FindingKind::NearDuplicate,
                Relation::Alike => continue,
            };
            if best.is_none_or(|(least, _, _)| mean < least) {
                best = Some((mean, j, kind));
            }
        }
        best.map(|(_, j, kind)| finding(root, kind, "looks like", of[i], of[j]))
    });
    matches.collect()
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
