//! Which layout a folder is of, where that is unmistakable.

use super::csv::tables;
use super::folder::{is_date, part};
use super::listing::{folders, is_image, list, name};
use super::table::Table;
use super::{biopsies, brain_mri, csv, folder, images, isic2019, medmnist, named};
use crate::source::Part;
use crate::{Error, Result};
use std::path::Path;

/// Every layout that is recognised or may be asked for, and what is there.
const EXPECTED: [(&str, &str); 11] = [
    ("images", "any images, without labels"),
    (
        "folder",
        "a folder a class, or train/<class>, val/<class> and test/<class>",
    ),
    (
        "csv",
        "a table with a column of paths and perhaps of labels",
    ),
    ("medmnist", "an .npz file of MedMNIST"),
    (
        "brain-mri",
        "Training/ and Testing/ with glioma, meningioma, notumor and pituitary",
    ),
    ("isic2018", "ISIC2018_Task3_Training_Input and its table"),
    (
        "isic2019",
        "ISIC_2019_Training_Input and ISIC_2019_Training_GroundTruth.csv",
    ),
    ("isic2020", "ISIC_2020_Training_Input and its table"),
    ("isic2024", "train-image/image and train-metadata.csv"),
    (
        "dermofit",
        "a folder a class, in it one a lesion with picture and mask",
    ),
    (
        "biopsies",
        "TIFF files and a table with columns TFH-1, TFH-217, TFH-Like, B cells and others",
    ),
];
/// More folders than that are patients or examinations rather than classes.
const MANY: usize = 50;
/// Folders that are looked at for images.
const LOOKED_AT: usize = 8;

/// The name of the layout that a path is of: a folder of the data set or the one it is in, a table, an `.npz` file, an
/// image or a pattern.
///
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # let root = folder.path();
/// std::fs::write(root.join("scan.png"), "").unwrap();
/// assert_eq!(cass_data::source::recognise(root).unwrap(), "images");
/// ```
///
/// # Errors
/// [`Error::Unrecognised`], which lists every layout, where it is of none or may be of several.
pub fn recognise(root: &Path) -> Result<&'static str> {
    seen(root).map_err(|found| Error::Unrecognised {
        root: root.to_owned(),
        found: found.into(),
        expected: EXPECTED
            .map(|(name, what)| format!("{name} ({what})"))
            .join(", "),
    })
}

fn seen(root: &Path) -> std::result::Result<&'static str, &'static str> {
    if root.is_file() {
        return of_file(root).ok_or("is neither a table, nor an .npz file, nor an image");
    }
    if !root.is_dir() {
        let is_pattern = root.to_string_lossy().contains(['*', '?', '[', '{']);
        return if is_pattern {
            Ok(images::NAME)
        } else {
            Err("is not there")
        };
    }
    if let Some(name) = of_name(root) {
        return Ok(name);
    }
    let entries = list(root).unwrap_or_default();
    if entries.is_empty() {
        return Err("is empty");
    }
    let (inside, files): (Vec<_>, Vec<_>) = entries.into_iter().partition(|path| path.is_dir());
    let pictures = inside
        .iter()
        .take(LOOKED_AT)
        .filter(|path| holds_images(path))
        .count();
    let holds_images = files.iter().any(|path| is_image(path));
    if !tables(root).is_empty() {
        return match pictures {
            0 | 1 => Ok(csv::NAME),
            _ => Err("has a table and several folders of images"),
        };
    }
    if files
        .iter()
        .any(|path| of_file(path) == Some(medmnist::NAME))
        && !holds_images
    {
        return Ok(medmnist::NAME);
    }
    let has_part = |wanted| inside.iter().any(|path| part(&name(path)) == Some(wanted));
    if has_part(Part::Train) && !holds_images {
        return Ok(folder::NAME);
    }
    match (pictures, holds_images) {
        (0, true) => Ok(images::NAME),
        (0, false) => Err("has no images in it, nor in its folders"),
        (1, _) => Err("has images in one folder alone"),
        (_, true) => Err("has images next to folders of images"),
        _ if inside.iter().all(|path| is_date(&name(path))) => Ok(images::NAME),
        _ if inside.len() > MANY || inside.iter().any(|path| is_number(&name(path))) => {
            Err("has folders that may be classes or patients")
        }
        _ => Ok(folder::NAME),
    }
}

/// A file by its ending, or by its content where that says nothing.
fn of_file(path: &Path) -> Option<&'static str> {
    let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
    match ending.to_str()? {
        "csv" | "tsv" => Some(csv::NAME),
        "npz" => Some(medmnist::NAME),
        _ => is_image(path).then_some(images::NAME),
    }
}

/// The data sets that are known by what their files are called.
fn of_name(root: &Path) -> Option<&'static str> {
    let in_either = |name: &'static str, holds: &dyn Fn(&Path) -> bool| {
        (holds(root) || holds(&root.join(name))).then_some(name)
    };
    let brain_mri = |root: &Path| {
        let class = |class| root.join("Training").join(class).is_dir();
        root.join("Testing").is_dir() && brain_mri::CLASSES.iter().all(class)
    };
    let isic2019 =
        |root: &Path| root.join(isic2019::INPUT).is_dir() && root.join(isic2019::TRUTH).is_file();
    let starts = |root: &Path, start: &str| {
        list(root).is_ok_and(|entries| entries.iter().any(|path| name(path).starts_with(start)))
    };
    let biopsies = |root: &Path| {
        let table = biopsies::only_csv(root).and_then(|file| Table::read(&file).ok());
        table.is_some_and(|table| {
            biopsies::CLASSES
                .iter()
                .all(|class| table.column(&[class]).is_some())
        })
    };
    let isic2024 = |root: &Path| {
        root.join("train-metadata.csv").is_file() && root.join("train-image").is_dir()
            || starts(root, "ISIC_2024_Training_Metadata")
    };
    in_either(brain_mri::NAME, &brain_mri)
        .or_else(|| in_either(isic2019::NAME, &isic2019))
        .or_else(|| {
            in_either(named::ISIC2018, &|root| {
                starts(root, "ISIC2018_Task3_Training_GroundTruth")
            })
        })
        .or_else(|| {
            in_either(named::ISIC2020, &|root| {
                starts(root, "ISIC_2020_Training_GroundTruth")
            })
        })
        .or_else(|| in_either(named::ISIC2024, &isic2024))
        .or_else(|| in_either(biopsies::NAME, &biopsies))
}

/// Whether there are images in a folder, or in the first folders below it.
fn holds_images(path: &Path) -> bool {
    let direct = |path: &Path| {
        let files = list(path).unwrap_or_default();
        files
            .iter()
            .filter(|file| !file.is_dir())
            .take(LOOKED_AT)
            .any(|file| is_image(file))
    };
    let inside = folders(path).unwrap_or_default();
    direct(path) || inside.iter().take(LOOKED_AT).any(|path| direct(path))
}

/// Whether a name is mostly a number, as a patient's is: three digits or more.
fn is_number(name: &str) -> bool {
    name.bytes().filter(u8::is_ascii_digit).count() >= 3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Layout;
    use std::fs;

    /// Makes files, with what stands behind a colon in them.
    fn tree(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let (path, text) = file.split_once(':').unwrap_or((file, ""));
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    #[test]
    fn a_folder_says_which_layout_it_is_of() {
        let mri = ["glioma", "meningioma", "notumor", "pituitary"];
        let mri = mri.map(|class| format!("Training/{class}/1.jpg"));
        let mut mri: Vec<&str> = mri.iter().map(String::as_str).collect();
        mri.push("Testing/glioma/2.jpg");
        let inside: Vec<String> = mri.iter().map(|path| format!("brain-mri/{path}")).collect();
        let inside: Vec<&str> = inside.iter().map(String::as_str).collect();
        for (files, layout) in [
            (&mri[..], "brain-mri"),
            (&inside[..], "brain-mri"),
            (&["Training/a/1.jpg", "Testing/a/1.jpg"], "folder"),
            (&["train/a/1.png", "train/b/1.png"], "folder"),
            (&["benign/1.png", "malignant/1.png"], "folder"),
            (&["grade1/p1/1.png", "grade2/p2/1.png"], "folder"),
            (&["2021-03-01/1.png", "2021-03-02/1.png"], "images"),
            (&["1.png", "2.png"], "images"),
            (&["labels.csv:path,label", "1.png"], "csv"),
            (&["labels.csv:path,label", "images/1.png"], "csv"),
            (&["pathmnist.npz"], "medmnist"),
            (
                &[
                    "ISIC_2019_Training_Input/1.jpg",
                    "ISIC_2019_Training_GroundTruth.csv:image",
                ],
                "isic2019",
            ),
            (
                &[
                    "set.csv:image,TFH-1,TFH-217,TFH-Like,B cells,others,patient",
                    "1.tif",
                ],
                "biopsies",
            ),
        ] {
            let folder = tree(files);
            assert_eq!(seen(folder.path()), Ok(layout), "{files:?}");
        }
        let folder = tree(&["a.csv:path", "a.npz", "scans/1.png"]);
        for (path, layout) in [
            ("a.csv", "csv"),
            ("a.npz", "medmnist"),
            ("scans/1.png", "images"),
            ("scans/**/*.png", "images"),
        ] {
            assert_eq!(seen(&folder.path().join(path)), Ok(layout), "{path}");
        }
    }

    #[test]
    fn what_may_be_of_several_layouts_is_asked_for_with_all_their_names() {
        for files in [
            &["patient001/1.png", "patient002/1.png"][..],
            &["labels.csv:path", "a/1.png", "b/1.png"],
            &["1.png", "a/1.png", "b/1.png"],
            &["scans/a/1.png", "scans/b/1.png"],
            &["notes.txt"],
            &[],
        ] {
            let folder = tree(files);
            let error = recognise(folder.path()).unwrap_err().to_string();
            for name in Layout::NAMES {
                assert!(error.contains(&format!("{name} (")), "{files:?}: {error}");
            }
        }
    }
}
