//! The curator's layout of the brain tumour MRI set, seen by [`find`].

use super::listing::{list, name};
use super::{Found, Item, Problem, ProblemKind, locate};
use crate::Result;
use crate::source::{Part, Task};
use std::path::Path;

pub(crate) const NAME: &str = "brain-mri";
pub(crate) const CLASSES: [&str; 4] = ["glioma", "meningioma", "notumor", "pituitary"];
/// The curator's parts and their folders.
pub(crate) const PARTS: [(Part, &str); 2] = [(Part::Train, "Training"), (Part::Test, "Testing")];

/// Lists the files of the layout at `data_root` or in its `brain-mri`.
pub(crate) fn find(data_root: &Path) -> Result<Found> {
    let classes = CLASSES.join(", ");
    let expected = format!(
        "folders Training/<class> and Testing/<class> of .jpg, .jpeg or .png files, classes {classes}"
    );
    let root = locate(data_root, NAME, &expected, |root| {
        PARTS.iter().all(|(_, folder)| root.join(folder).is_dir())
    })?;
    let (mut items, mut problems) = (Vec::new(), Vec::new());
    for (part, folder) in PARTS {
        let part_root = root.join(folder);
        for class_folder in list(&part_root)? {
            let known = CLASSES.contains(&name(&class_folder).as_str());
            if class_folder.is_dir() && !known {
                problems.push(Problem {
                    kind: ProblemKind::UnknownClass,
                    path: class_folder,
                    detail: classes.clone(),
                });
            }
        }
        for (label, class) in CLASSES.iter().enumerate() {
            let class_folder = part_root.join(class);
            if !class_folder.is_dir() {
                continue; // an empty class, which is an error of its own
            }
            let files = list(&class_folder)?.into_iter();
            items.extend(files.map(|path| Item::file(path).label(label).part(part)));
        }
    }
    Ok(Found {
        root,
        classes: CLASSES.map(String::from).to_vec(),
        task: Task::MultiClass,
        items,
        problems,
        notes: Vec::new(),
    })
}
