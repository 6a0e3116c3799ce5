//! The data doctor: what is in a data set, and what is wrong with it.

mod duplicates;
mod labels;
mod leaks;
mod look;

use crate::Result;
use crate::dataset::{Dataset, Part, Task};
use crate::image::Reading;
use crate::source::{Found, Item, Problem, ProblemKind, Source};
use look::Look;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// What [`check`] found out about a data set.
#[derive(Debug, Clone)]
pub struct Checkup {
    /// The folder that holds the layout.
    pub root: PathBuf,
    /// Whether an image has one label or any number.
    pub task: Task,
    /// Images that can be used.
    pub images: usize,
    /// Usable images by class and part.
    pub classes: Vec<ClassCount>,
    /// Images by format and colour mode, such as `JPEG L8`.
    pub modes: BTreeMap<String, usize>,
    /// Images by width and height, in pixels.
    pub sizes: BTreeMap<(usize, usize), usize>,
    /// Patients, lesions or other groups.
    pub groups: usize,
    /// Test images that are in training, too.
    pub leaks: Leaks,
    /// What is wrong, by kind and file.
    pub findings: Vec<Finding>,
    /// How the layout was read, one sentence each.
    pub notes: Vec<String>,
}

/// Test images that have a copy in training: the same file, or nearly the same picture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Leaks {
    /// Test images.
    pub test: usize,
    /// Those of them that have a copy.
    pub copied: usize,
    /// Whether the parts were given; they are those of a split by seed 0 otherwise.
    pub given: bool,
}

/// Usable images of a class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassCount {
    /// The class.
    pub class: String,
    /// Images given to training, validation and testing.
    pub parts: [usize; 3],
    /// Images that no split was given for.
    pub unsplit: usize,
}

impl ClassCount {
    /// All images of the class.
    pub fn total(&self) -> usize {
        self.parts.iter().sum::<usize>() + self.unsplit
    }
}

/// Something wrong with a data set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// What kind of thing.
    pub kind: FindingKind,
    /// The file or folder it is about.
    pub file: PathBuf,
    /// What exactly, as the end of a sentence that begins with the file.
    pub detail: String,
}

/// Kinds of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FindingKind {
    /// A file that is truncated or otherwise no usable image.
    Unreadable,
    /// A row of a table that cannot be used.
    BadRow,
    /// A label whose image is not there.
    MissingFile,
    /// An image without a label.
    UnlabelledFile,
    /// A class folder that the data set does not have.
    UnknownClass,
    /// A class folder that holds the other classes again.
    Copy,
    /// A single class folder whose folders may be the classes.
    TooDeep,
    /// A class without a usable image.
    EmptyClass,
    /// A class that is in one given part and not in another.
    ClassMissingFromPart,
    /// A class of one or two images.
    FewImages,
    /// A class whose images are all of one patient or other group.
    OnePatientClass,
    /// A single class, where each image has one: nothing to tell apart.
    SingleClass,
    /// Two classes whose names differ by a slip.
    LabelTypo,
    /// A file whose name says another format than its content.
    WrongExtension,
    /// An image of one colour.
    Blank,
    /// 16-bit values of which the high byte, which is used, keeps few levels or which PIL clips.
    SixteenBit,
    /// A picture that its file says is to be turned, which neither PIL nor this crate does.
    Rotated,
    /// A DICOM file of several frames, of which the first is used.
    SeveralFrames,
    /// A group with images in several given parts.
    GroupAcrossSplits,
    /// Equal files in several given parts: leakage.
    DuplicateAcrossSplits,
    /// Equal files with different labels.
    DuplicateAcrossLabels,
    /// Equal files otherwise.
    Duplicate,
    /// Nearly equal pictures in several given parts: leakage.
    NearDuplicateAcrossSplits,
    /// Nearly equal pictures with different labels.
    NearDuplicateAcrossLabels,
    /// Nearly equal pictures that a split may divide, as no group holds them together.
    NearDuplicate,
}

impl FindingKind {
    /// As in `unreadable` or `duplicate-across-splits`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::BadRow => "bad-row",
            Self::MissingFile => "missing-file",
            Self::UnlabelledFile => "unlabelled-file",
            Self::UnknownClass => "unknown-class",
            Self::Copy => "copy-of-itself",
            Self::TooDeep => "one-level-too-deep",
            Self::EmptyClass => "empty-class",
            Self::ClassMissingFromPart => "class-missing-from-part",
            Self::FewImages => "few-images",
            Self::OnePatientClass => "one-patient-class",
            Self::SingleClass => "single-class",
            Self::LabelTypo => "label-typo",
            Self::WrongExtension => "wrong-extension",
            Self::Blank => "blank",
            Self::SixteenBit => "sixteen-bit",
            Self::Rotated => "rotated",
            Self::SeveralFrames => "several-frames",
            Self::GroupAcrossSplits => "group-across-splits",
            Self::DuplicateAcrossSplits => "duplicate-across-splits",
            Self::DuplicateAcrossLabels => "duplicate-across-labels",
            Self::Duplicate => "duplicate",
            Self::NearDuplicateAcrossSplits => "near-duplicate-across-splits",
            Self::NearDuplicateAcrossLabels => "near-duplicate-across-labels",
            Self::NearDuplicate => "near-duplicate",
        }
    }
}

/// An image that was decoded.
pub(crate) struct Seen {
    pub(crate) item: Item,
    pub(crate) look: Look,
}

/// Decodes every file of a data set on all cores and reports what is in it and what is wrong with
/// it. `progress` hears how many of how many files are done, from any thread.
///
/// # Errors
/// Those of [`Source::find`]: there is nothing to report on then.
pub fn check(source: &dyn Source, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<Checkup> {
    check_as(source, &Reading::default(), progress)
}

/// [`check`] of images that are read so.
///
/// # Errors
/// As [`check`].
pub fn check_as(
    source: &dyn Source,
    reading: &Reading,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Checkup> {
    let mut found = source.find()?;
    let mut findings: Vec<Finding> = found.problems.iter().map(Finding::of).collect();
    findings.extend(labels::typos(source.name(), &found));
    let (done, total) = (AtomicU64::new(0), found.items.len() as u64);
    let looked: Vec<_> = found
        .items
        .par_iter()
        .map(|item| {
            let look = Look::at(item, reading);
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, total);
            look
        })
        .collect();
    if found.items.iter().all(|item| item.group.is_none()) {
        for (item, look) in found.items.iter_mut().zip(&looked) {
            item.group = look.as_ref().ok().and_then(|look| look.patient.clone());
        }
    }
    findings.extend(labels::divided_groups(&found.items));
    let mut seen = Vec::new();
    for (item, look) in found.items.iter().zip(looked) {
        match look {
            Ok(look) => {
                findings.extend(look.findings(item, reading));
                let item = item.clone();
                seen.push(Seen { item, look });
            }
            Err(detail) => findings.push(Finding {
                kind: FindingKind::Unreadable,
                file: item.path.clone(),
                detail,
            }),
        }
    }
    findings.extend(duplicates::find(&found.root, &seen));
    let classes = count(&found, &seen);
    findings.extend(labels::empty(&found.root, &classes));
    findings.extend(labels::single(&found.root, found.task, &classes));
    findings.extend(labels::small(&found.root, &classes));
    findings.extend(labels::one_patient(&found, &seen));
    let known = seen.iter().map(|Seen { item, look }| (item, look.sha256));
    let dataset = Dataset::of_known(source.name(), &found, known);
    let leaks = leaks::count(&dataset, &seen);
    findings.sort();
    let mut checkup = Checkup {
        task: found.task,
        images: seen.len(),
        classes,
        modes: BTreeMap::new(),
        sizes: BTreeMap::new(),
        groups: labels::groups(&found.items),
        root: found.root,
        leaks,
        findings,
        notes: found.notes,
    };
    for Seen { look, .. } in seen {
        *checkup.modes.entry(look.mode).or_default() += 1;
        *checkup.sizes.entry(look.size).or_default() += 1;
    }
    Ok(checkup)
}

fn count(found: &Found, seen: &[Seen]) -> Vec<ClassCount> {
    let count = |(label, class): (usize, &String)| {
        let of = |part: Option<Part>| {
            let items = seen.iter().map(|s| &s.item);
            items
                .filter(|e| e.part == part && e.labels.contains(&label))
                .count()
        };
        ClassCount {
            class: class.clone(),
            parts: [Part::Train, Part::Val, Part::Test].map(|part| of(Some(part))),
            unsplit: of(None),
        }
    };
    found.classes.iter().enumerate().map(count).collect()
}

impl Finding {
    fn of(problem: &Problem) -> Self {
        let (kind, detail) = match problem.kind {
            ProblemKind::Row => (FindingKind::BadRow, problem.detail.clone()),
            ProblemKind::MissingFile => (FindingKind::MissingFile, problem.detail.clone()),
            ProblemKind::UnlabelledFile => (FindingKind::UnlabelledFile, problem.detail.clone()),
            ProblemKind::Copy => (FindingKind::Copy, problem.detail.clone()),
            ProblemKind::TooDeep => (FindingKind::TooDeep, problem.detail.clone()),
            ProblemKind::UnknownClass => {
                let detail = labels::unknown(&problem.path, &problem.detail);
                (FindingKind::UnknownClass, detail)
            }
        };
        Self {
            kind,
            file: problem.path.clone(),
            detail,
        }
    }
}
