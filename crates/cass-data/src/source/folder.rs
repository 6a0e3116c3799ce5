//! One folder a class, with or without folders of parts above them: torchvision's `ImageFolder`.

use super::listing::{files_below, folders, name};
use super::{Found, Item, Problem, ProblemKind, locate};
use crate::Result;
use crate::dataset::{Part, Task};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub(crate) const NAME: &str = "folder";

/// Lists the files below the class folders of `data_root`. Every file in them is taken for an
/// image.
pub(crate) fn find(data_root: &Path) -> Result<Found> {
    let expected = "folders <class>, or train/<class> and perhaps val/<class> and test/<class>";
    let holds = |root: &Path| folders(root).is_ok_and(|found| !found.is_empty());
    let root = locate(data_root, NAME, expected, holds)?;
    let mut problems = Vec::new();
    let top = folders(&root)?;
    let parts: Vec<(Option<Part>, PathBuf)> =
        if top.iter().any(|f| part(&name(f)) == Some(Part::Train)) {
            let mut parts = Vec::new();
            for folder in top {
                match part(&name(&folder)) {
                    Some(part) => parts.push((Some(part), folder)),
                    None => problems.push(Problem {
                        kind: ProblemKind::UnknownClass,
                        path: folder,
                        detail: "train, val and test, as there is a folder train".into(),
                    }),
                }
            }
            parts
        } else {
            vec![(None, root.clone())]
        };
    let mut classes = BTreeSet::new();
    for (_, folder) in &parts {
        classes.extend(folders(folder)?.iter().map(|f| name(f)));
    }
    let classes: Vec<String> = classes.into_iter().collect();
    let mut items = Vec::new();
    for (part, folder) in &parts {
        for (label, class) in classes.iter().enumerate() {
            let folder = folder.join(class);
            let files = if folder.is_dir() {
                files_below(&folder)?
            } else {
                Vec::new()
            };
            let files = files.into_iter();
            items.extend(files.map(|path| Item::file(path).label(label).part(*part)));
        }
    }
    Ok(Found {
        root,
        classes,
        task: Task::MultiClass,
        items,
        problems,
    })
}

/// The part that a word names.
pub(super) fn part(word: &str) -> Option<Part> {
    match word.to_ascii_lowercase().as_str() {
        "train" | "training" => Some(Part::Train),
        "val" | "valid" | "validation" => Some(Part::Val),
        "test" | "testing" => Some(Part::Test),
        _ => None,
    }
}
