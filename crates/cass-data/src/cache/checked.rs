use super::Storage;
use crate::image::Reading;
use cass_run::make_unsynced;
use std::collections::HashSet;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

/// Names what is accepted as an image: to be counted up whenever another version of this crate
/// might refuse what this one decodes.
const VERSION: &str = if cfg!(feature = "dicom") {
    "checked-2"
} else {
    "checked-2-without-dicom"
};

type Hash = [u8; 32];

/// The SHA-256 of every image that was decoded before, in a file: what is in it decodes, whatever
/// its name and place, so that opening a data set again reads and hashes its files and decodes none.
///
/// The file is hashes, one after the other, in ascending order. A damaged one costs time alone: no
/// image has the hash that damage leaves.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    file: Option<PathBuf>,
    known: HashSet<Hash>,
}

impl Checked {
    /// The record of images that are read so: what one reading refuses another takes.
    pub(crate) fn open(storage: &Storage, reading: &Reading) -> Self {
        let mut name = VERSION.to_owned();
        if !reading.is_default() {
            let of = cass_run::sha256(reading.key());
            name += &format!("-{}", &of[..16]);
        }
        let file = storage.record().map(|folder| folder.join(name));
        let known = file.as_ref().and_then(|file| fs::read(file).ok());
        let known = known.unwrap_or_default();
        Self {
            file,
            known: known.as_chunks().0.iter().copied().collect(),
        }
    }

    pub(crate) fn knows(&self, sha256: &Hash) -> bool {
        self.known.contains(sha256)
    }

    /// Adds these images. That it cannot be written is no error: they are decoded again next time.
    /// Of two processes that write at once one loses its additions, to the same effect.
    pub(crate) fn keep(mut self, images: impl Iterator<Item = Hash>) {
        let Some(file) = self.file else { return };
        let before = self.known.len();
        self.known.extend(images);
        if self.known.len() == before {
            return;
        }
        let mut all: Vec<_> = self.known.into_iter().collect();
        all.sort_unstable();
        let write = || {
            fs::create_dir_all(file.parent().unwrap_or(&file))?;
            make_unsynced(&file, |to| to.write_all(all.as_flattened()))
        };
        let _ = write();
    }
}
