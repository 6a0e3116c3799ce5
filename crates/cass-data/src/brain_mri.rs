//! The curator's layout of the brain tumour MRI set, seen by [`find`].
use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    Error, Part, Result,
    dataset::{Found, FoundFile},
};

pub(crate) const NAME: &str = "brain-mri";
pub(crate) const CLASSES: [&str; 4] = ["glioma", "meningioma", "notumor", "pituitary"];

/// Files that systems leave in folders.
const LITTER: [&str; 2] = ["thumbs.db", "desktop.ini"];

/// The folder of a part.
pub(crate) fn folder(part: Part) -> &'static str {
    match part {
        Part::Train => "Training",
        Part::Test => "Testing",
    }
}

/// Lists the files of the layout at `data_root` or in its `brain-mri`.
pub(crate) fn find(data_root: &Path) -> Result<Found> {
    let looked = [data_root.to_owned(), data_root.join(NAME)];
    let holds = |root: &Path, part| root.join(folder(part)).is_dir();
    let root = looked
        .iter()
        .find(|root| holds(root, Part::Train) && holds(root, Part::Test))
        .ok_or_else(|| Error::Layout {
            name: NAME,
            expected: format!(
                "folders Training/<class> and Testing/<class> of .jpg, .jpeg or .png files, classes {}",
                CLASSES.join(", ")
            ),
            looked: describe(&looked),
        })?;
    let mut files = Vec::new();
    for part in [Part::Train, Part::Test] {
        let part_root = root.join(folder(part));
        for class_folder in list(&part_root)? {
            if class_folder.is_dir() && label(&class_folder).is_none() {
                return Err(Error::UnknownClass {
                    folder: class_folder,
                    expected: CLASSES.join(", "),
                });
            }
        }
        for (label, class) in CLASSES.iter().enumerate() {
            let class_folder = part_root.join(class);
            if !class_folder.is_dir() {
                return Err(Error::EmptyClass {
                    folder: class_folder,
                });
            }
            let paths = list(&class_folder)?.into_iter();
            files.extend(paths.map(|path| FoundFile { path, label, part }));
        }
    }
    Ok(Found {
        root: root.clone(),
        classes: CLASSES.map(String::from).to_vec(),
        files,
    })
}

fn label(class_folder: &Path) -> Option<usize> {
    let name = class_folder.file_name()?;
    CLASSES.iter().position(|class| name == *class)
}

/// The entries of a folder by name, without hidden files and the systems' litter.
fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let fail = |source| Error::Io {
        action: "list folder",
        path: folder.to_owned(),
        source,
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name().to_string_lossy().to_ascii_lowercase();
        if !name.starts_with('.') && !LITTER.contains(&name.as_str()) {
            paths.push(entry.path());
        }
    }
    paths.sort_unstable();
    Ok(paths)
}

fn describe(looked: &[PathBuf; 2]) -> String {
    let [given, inside] = looked;
    if given.is_dir() {
        format!("{} and {}", given.display(), inside.display())
    } else {
        format!("{}, which is no folder", given.display())
    }
}
