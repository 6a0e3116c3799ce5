use super::Storage;
use crate::image::Reading;
use crate::likeness::{Likeness, PIXELS};
use cass_run::make_unsynced;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

/// Names what is accepted as an image: to be counted up whenever another version of this crate
/// might refuse what this one decodes.
const VERSION: &str = if cfg!(feature = "dicom") {
    "checked-3"
} else {
    "checked-3-without-dicom"
};

/// SHA-256 of a file.
type Hash = [u8; 32];

/// Bytes an image takes: its hash and its thumbnail.
const ROW: usize = 32 + PIXELS;

/// The SHA-256 of every image that was decoded before, and what it is recognised by, in a file: what is in it
/// decodes, whatever its name and place, so that opening a data set again reads and hashes its files and decodes none.
///
/// The file is rows, in ascending order of their hashes, and the SHA-256 of all that. A damaged one, or one that
/// cannot be read, is as none: it costs time alone.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    file: Option<PathBuf>,
    known: HashMap<Hash, Likeness>,
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
        Self {
            file,
            known: known.and_then(|bytes| rows(&bytes)).unwrap_or_default(),
        }
    }

    pub(crate) fn known(&self, sha256: &Hash) -> Option<&Likeness> {
        self.known.get(sha256)
    }

    /// Adds these images. That it cannot be written is no error: they are decoded again next time.
    /// Of two processes that write at once one loses its additions, to the same effect.
    pub(crate) fn keep<'a>(mut self, images: impl Iterator<Item = (Hash, &'a Likeness)>) {
        let Some(file) = self.file else { return };
        let before = self.known.len();
        for (hash, likeness) in images {
            let _ = self.known.entry(hash).or_insert_with(|| likeness.clone());
        }
        if self.known.len() == before {
            return;
        }
        let mut all: Vec<_> = self.known.iter().collect();
        all.sort_unstable_by_key(|(hash, _)| *hash);
        let mut bytes = Vec::with_capacity(all.len() * ROW + 32);
        for (hash, likeness) in all {
            bytes.extend(hash);
            bytes.extend(likeness.thumbnail());
        }
        let sum: Hash = Sha256::digest(&bytes).into();
        bytes.extend(sum);
        let write = || {
            fs::create_dir_all(file.parent().unwrap_or(&file))?;
            make_unsynced(&file, |to| to.write_all(&bytes))
        };
        let _ = write();
    }
}

fn rows(bytes: &[u8]) -> Option<HashMap<Hash, Likeness>> {
    let (bytes, sum) = bytes.split_last_chunk()?;
    let (rows, rest) = bytes.as_chunks::<ROW>();
    let whole = rest.is_empty() && *sum == <Hash>::from(Sha256::digest(bytes));
    let row = |row: &[u8; ROW]| {
        let (hash, thumbnail) = row.split_first_chunk()?;
        Some((*hash, Likeness::of_thumbnail(thumbnail.try_into().ok()?)))
    };
    whole.then(|| rows.iter().filter_map(row).collect())
}
