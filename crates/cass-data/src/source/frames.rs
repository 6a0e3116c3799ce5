//! Every frame of a file as an image of its own.

use super::{Found, Item, Origin};
use crate::decode::{self, Frames, frame_name};
use crate::image::{Frame, Reading};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The names by which [`decode_as`](crate::image::decode_as) reads a file: its own or, under
/// [`Frame::All`], `scan.dcm#1`, `scan.dcm#2` and so on where it has several frames. A file that cannot be
/// read keeps its name.
///
/// ```
/// use cass_data::{image::Reading, source::frames_at};
/// assert_eq!(frames_at("photo.png".as_ref(), &Reading::default()).len(), 1);
/// ```
pub fn frames_at(path: &Path, reading: &Reading) -> Vec<PathBuf> {
    let frames = match reading.frame {
        Frame::All => look(path, reading).frames,
        _ => 1,
    };
    match frames {
        0 | 1 => vec![path.to_owned()],
        frames => (1..=frames)
            .map(|number| frame_name(path, number))
            .collect(),
    }
}

/// The images in a file: itself or, under [`Frame::All`], each of its frames.
pub fn items_in(file: &Path, reading: &Reading) -> Vec<Item> {
    let names = frames_at(file, reading);
    if names.len() == 1 {
        return vec![Item::file(file)];
    }
    let frame = |(name, number): (PathBuf, usize)| Item {
        origin: Origin::Frame {
            file: file.to_owned(),
            number,
        },
        ..Item::file(name)
    };
    names.into_iter().zip(1..).map(frame).collect()
}

fn look(path: &Path, reading: &Reading) -> Frames {
    let bytes = decode::read(path, reading);
    bytes.map_or(Frames::default(), |bytes| Frames::of(&bytes))
}

/// Makes an image of each frame. Those of a file stay together: in its group, or its patient's where
/// neither table nor folder gives groups and the files name several patients, or one of their own.
pub(super) fn divide(found: &mut Found, reading: &Reading) {
    // On this thread: lists are made before it is known how many threads there are to be.
    let looked: Vec<Frames> = (found.items.iter())
        .map(|item| match item.origin {
            Origin::File => look(&item.path, reading),
            _ => Frames::default(),
        })
        .collect();
    let several = looked.iter().filter(|look| look.frames > 1).count();
    if several == 0 {
        return;
    }
    let patients: BTreeSet<_> = looked.iter().filter_map(|l| l.patient.as_ref()).collect();
    let by_patient = patients.len() > 1 && found.items.iter().all(|item| item.group.is_none());
    let mut items = Vec::new();
    for (mut item, look) in std::mem::take(&mut found.items).into_iter().zip(&looked) {
        if by_patient {
            item.group.clone_from(&look.patient);
        }
        if look.frames < 2 {
            items.push(item);
            continue;
        }
        let below = item.path.strip_prefix(&found.root).unwrap_or(&item.path);
        let group = item.group.clone();
        let group = group.unwrap_or_else(|| below.display().to_string());
        items.extend((1..=look.frames).map(|number| Item {
            path: frame_name(&item.path, number),
            group: Some(group.clone()),
            origin: Origin::Frame {
                file: item.path.clone(),
                number,
            },
            ..item.clone()
        }));
    }
    let of = if by_patient {
        format!(
            "the frames of each of the {} patients that files name",
            patients.len()
        )
    } else {
        "the frames of a file".to_owned()
    };
    found.notes.push(format!(
        "{several} files have several frames, each an image of its own: {} images; no split divides {of}",
        items.len()
    ));
    found.items = items;
}
