//! A file of the MedMNIST collection (2D): images and labels of three parts in one archive.

use super::listing::{list, name};
use super::npz::{self, ImageArray};
use super::origin::Images;
use super::table::table;
use super::{Found, Item, locate};
use crate::Result;
use crate::channels::MOST_CHANNELS;
use crate::decode::MAX_PIXELS;
use crate::source::{Part, Task};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) const NAME: &str = "medmnist";
const PARTS: [(Part, &str); 3] = [
    (Part::Train, "train"),
    (Part::Val, "val"),
    (Part::Test, "test"),
];
/// More classes than any of the collection has; a label beyond is a mistake.
const MAX_CLASSES: i128 = 1000;

/// Reads the `.npz` file at `data_root`, or the only one in that folder. Classes have numbers for
/// names, as the file has no others.
pub(crate) fn find(data_root: &Path) -> Result<Found> {
    let expected = "a file such as pathmnist.npz, or a folder with exactly one .npz file";
    let file = |root: &Path| {
        if root.is_file() {
            Some(root.to_owned())
        } else {
            only_npz(root)
        }
    };
    let root = locate(data_root, NAME, expected, |root| file(root).is_some())?;
    let path = file(&root).unwrap_or_default();
    read(&path).map_err(|detail| table(&path, detail))
}

fn read(path: &Path) -> Result<Found, String> {
    let file = File::open(path).map_err(|error| format!("it cannot be read: {error}"))?;
    let mut archive = npz::open(file)?;
    let mut items = Vec::new();
    let mut columns = None;
    let mut classes = 0;
    for (part, prefix) in PARTS {
        let mut array = |what: &str| {
            let name = format!("{prefix}_{what}");
            npz::read(&mut archive, &name)?.ok_or(format!("it has no array {name}"))
        };
        let labels = array("labels")?;
        let name = format!("{prefix}_images");
        let expect = |shape: &[usize], width| sides(shape, width).map(drop);
        let pixels = npz::read_images(&mut archive, path, &name, expect)?;
        let pixels = pixels.ok_or_else(|| format!("it has no array {name}"))?;
        let images = images(pixels).map_err(|why| format!("array {name} {why}"))?;
        let width = match labels.shape[..] {
            [count, width] if count == images.count() && width > 0 => width,
            [count] if count == images.count() => 1,
            _ => {
                let (found, images) = (&labels.shape, images.count());
                return Err(format!(
                    "array {prefix}_labels has shape {found:?}, expected ({images}, labels)"
                ));
            }
        };
        if *columns.get_or_insert(width) != width {
            return Err(format!(
                "array {prefix}_labels has {width} columns, unlike train_labels"
            ));
        }
        let images = Arc::new(images);
        let numbers: Vec<_> = labels.numbers().collect();
        for (index, row) in numbers.chunks_exact(width).enumerate() {
            let labels = labels_of(row).ok_or_else(|| {
                format!(
                    "array {prefix}_labels, row {index}: {row:?}, expected a class or 0s and 1s"
                )
            })?;
            let last = labels.last().map_or(0, |last| last + 1);
            classes = classes.max(if width > 1 { width } else { last });
            let name = path.join(prefix).join(index.to_string());
            let item = Item::in_array(name, images.clone(), index);
            items.push(item.labelled(labels).part(part));
        }
    }
    Ok(Found {
        root: path.parent().map(Path::to_owned).unwrap_or_default(),
        classes: (0..classes).map(|class| class.to_string()).collect(),
        task: match columns {
            Some(2..) => Task::MultiLabel,
            _ => Task::MultiClass,
        },
        items,
        problems: Vec::new(),
        notes: Vec::new(),
    })
}

/// The labels of a row: one number is a class, several are 0 or 1 for each.
fn labels_of(row: &[i128]) -> Option<Vec<usize>> {
    match *row {
        [class] => (0..MAX_CLASSES)
            .contains(&class)
            .then_some(vec![class as usize]),
        _ if row.iter().all(|hot| (0..=1).contains(hot)) => {
            Some((0..row.len()).filter(|&label| row[label] == 1).collect())
        }
        _ => None,
    }
}

/// Height, width and channels of images in an array of this shape, whose values have so many bytes.
fn sides(shape: &[usize], bytes: usize) -> Result<[usize; 3], String> {
    let fits = |h: usize, w: usize| {
        let area = h.checked_mul(w).map(|area| area as u64);
        bytes == 1 && area.is_some_and(|area| (1..=MAX_PIXELS).contains(&area))
    };
    match *shape {
        [_, h, w] if fits(h, w) => Ok([h, w, 1]),
        [_, h, w, channels @ 1..=MOST_CHANNELS] if fits(h, w) => Ok([h, w, channels]),
        [_, depth, height, width] | [_, depth, height, width, _] => Err(format!(
            "holds volumes (3D) of {depth}x{height}x{width}, expected images: its slices can be written as \
             an array of shape (images, height, width)"
        )),
        _ => Err(format!(
            "has shape {shape:?} of {bytes} bytes a value, expected bytes of shape (images, height, width) or \
             (images, height, width, channels)"
        )),
    }
}

fn images(array: ImageArray) -> Result<Images, String> {
    let [height, width, channels] = sides(&array.shape, 1)?;
    Ok(Images {
        width,
        height,
        channels,
        data: array.data,
    })
}

impl Images {
    fn count(&self) -> usize {
        self.data.length() as usize / (self.width * self.height * self.channels)
    }
}

fn only_npz(folder: &Path) -> Option<PathBuf> {
    let files = list(folder).ok()?;
    let mut arrays = files
        .into_iter()
        .filter(|path| name(path).ends_with(".npz") && path.is_file());
    arrays.next().filter(|_| arrays.next().is_none())
}
