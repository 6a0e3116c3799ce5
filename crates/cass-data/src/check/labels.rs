//! Classes and groups: names that look like slips, classes without images, divided groups.

use super::{ClassCount, Finding, FindingKind, Seen};
use crate::dataset::Task;
use crate::source::{Found, Item, csv, folder};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Shorter names differ by a letter for good reasons.
const TYPO_LENGTH: usize = 5;

/// Pairs of classes of which one is likely a slip of the other, where users name the classes.
pub(super) fn typos(kind: &str, found: &Found) -> Vec<Finding> {
    if ![folder::NAME, csv::NAME].contains(&kind) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (place, a) in found.classes.iter().enumerate() {
        for b in &found.classes[place + 1..] {
            if alike(a, b) {
                findings.push(Finding {
                    kind: FindingKind::LabelTypo,
                    file: found.root.clone(),
                    detail: format!("has classes {a:?} and {b:?}: are they the same?"),
                });
            }
        }
    }
    findings
}

/// Whether only case and punctuation, or one letter, tell the names apart. Numbers count: "grade
/// 1" is not "grade 2".
fn alike(a: &str, b: &str) -> bool {
    let of = |name: &str, keep: fn(char) -> bool| -> String {
        name.to_lowercase().chars().filter(|&c| keep(c)).collect()
    };
    let [bare_a, bare_b] = [a, b].map(|name| of(name, char::is_alphanumeric));
    let [digits_a, digits_b] = [a, b].map(|name| of(name, char::is_numeric));
    let long = bare_a.chars().count().min(bare_b.chars().count()) >= TYPO_LENGTH;
    bare_a == bare_b
        || (digits_a == digits_b && long && strsim::osa_distance(&bare_a, &bare_b) == 1)
}

/// What to say of a folder that is none of the `expected` classes.
pub(super) fn unknown(folder: &Path, expected: &str) -> String {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    match expected.split(", ").find(|class| alike(class, &name)) {
        Some(class) => format!("is an unknown class: is it {class:?}?"),
        None => format!("is an unknown class, expected {expected}"),
    }
}

pub(super) fn empty(root: &Path, classes: &[ClassCount]) -> Vec<Finding> {
    let empty = classes.iter().filter(|class| class.total() == 0);
    let finding = |class: &ClassCount| Finding {
        kind: FindingKind::EmptyClass,
        file: root.to_owned(),
        detail: format!("has no usable image of class {:?}", class.class),
    };
    empty.map(finding).collect()
}

/// With several labels an image, one class can be there or not.
pub(super) fn single(root: &Path, task: Task, classes: &[ClassCount]) -> Option<Finding> {
    match classes {
        [only] if task == Task::MultiClass => Some(Finding {
            kind: FindingKind::SingleClass,
            file: root.to_owned(),
            detail: format!("has no class but {:?}: nothing to tell apart", only.class),
        }),
        _ => None,
    }
}

/// Images of a class under which nothing can be learned of it and judged.
const FEW: usize = 3;

/// Classes that a part lacks, and classes of few images.
pub(super) fn small(root: &Path, classes: &[ClassCount]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |kind, detail| {
        let file = root.to_owned();
        findings.push(Finding { kind, file, detail });
    };
    let names = ["training", "validation", "test"];
    let given: Vec<usize> = (0..3)
        .filter(|&part| classes.iter().any(|class| class.parts[part] > 0))
        .collect();
    for class in classes.iter().filter(|class| class.total() > 0) {
        let (name, all) = (&class.class, class.total());
        for &part in &given {
            // What no part is given for is cut from training.
            let cut = part == 0 && class.unsplit > 0;
            if class.parts[part] == 0 && !cut {
                let detail = format!("has no {} image of class {name:?}", names[part]);
                find(FindingKind::ClassMissingFromPart, detail);
            }
        }
        if all < FEW {
            let detail =
                format!("has {all} images of class {name:?}: too few to train and judge by");
            find(FindingKind::FewImages, detail);
        }
    }
    findings
}

/// Classes whose images are all of one group: what tells the class may be what tells the patient.
pub(super) fn one_patient(found: &Found, seen: &[Seen]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (label, class) in found.classes.iter().enumerate() {
        let of_class = seen.iter().filter(|seen| seen.item.labels.contains(&label));
        let groups: Vec<_> = of_class.map(|seen| seen.item.group.as_deref()).collect();
        if let [Some(first), _, ..] = groups[..]
            && groups.iter().all(|group| *group == Some(first))
        {
            findings.push(Finding {
                kind: FindingKind::OnePatientClass,
                file: found.root.clone(),
                detail: format!("has class {class:?} of the one patient or other group {first:?}"),
            });
        }
    }
    findings
}

/// The number of groups.
pub(super) fn groups(items: &[Item]) -> usize {
    let groups: BTreeSet<_> = items.iter().filter_map(|e| e.group.as_ref()).collect();
    groups.len()
}

/// Groups with images in several given parts.
pub(super) fn divided_groups(items: &[Item]) -> Vec<Finding> {
    let mut groups: BTreeMap<&str, &Item> = BTreeMap::new();
    let mut findings = BTreeMap::new();
    for item in items {
        let (Some(group), Some(part)) = (item.group.as_deref(), item.part) else {
            continue;
        };
        let first = *groups.entry(group).or_insert(item);
        if first.part != Some(part) {
            findings.entry(group).or_insert_with(|| Finding {
                kind: FindingKind::GroupAcrossSplits,
                file: item.path.clone(),
                detail: format!(
                    "is for {} and of group {group:?}, whose {} is for {}",
                    part.name(),
                    first.path.display(),
                    first.part.map_or("", |part| part.name()),
                ),
            });
        }
    }
    findings.into_values().collect()
}
