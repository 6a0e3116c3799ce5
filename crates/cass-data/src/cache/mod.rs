//! What is kept of the work of reading images, so that later epochs and runs need not do it again.

mod checked;
mod disk;
mod ram;

pub(crate) use checked::Checked;

use crate::Result;
use crate::image::Pixels;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a data set keeps what it has worked out. Nothing in it changes a pixel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Storage {
    /// Resized pixels.
    pub cache: Cache,
    /// Folder of the record of images that were decoded before, which are not decoded to be checked
    /// again; made where it is not there. By default it is in a disk cache's folder, and there is
    /// none without one.
    pub record: Option<PathBuf>,
}

impl Storage {
    fn record(&self) -> Option<&Path> {
        match (&self.record, &self.cache) {
            (Some(folder), _) => Some(folder),
            (None, Cache::Disk { folder }) => Some(folder),
            (None, _) => None,
        }
    }
}

impl From<Cache> for Storage {
    fn from(cache: Cache) -> Self {
        Self {
            cache,
            record: None,
        }
    }
}

/// Where resized pixels are kept from one epoch to the next. It changes no pixel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cache {
    /// Nowhere: every epoch decodes every file.
    Off,
    /// In this process' memory, until `bytes` are used.
    Ram {
        /// The most to use for pixels.
        bytes: usize,
    },
    /// In files below `folder`, by the SHA-256 of the image file and the size: what one run leaves
    /// there serves others, of other data sets, too. Several processes may share it. A damaged or
    /// half-written file is not used, and written anew. Nothing is ever removed from it.
    Disk {
        /// Made where it is not there.
        folder: PathBuf,
    },
}

impl Default for Cache {
    /// 2 GiB of memory: 14,000 grey or 4,800 coloured images of 384 x 384.
    fn default() -> Self {
        Self::Ram { bytes: 2 << 30 }
    }
}

/// Which pixels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key<'a> {
    pub(crate) sha256: &'a [u8; 32],
    pub(crate) size: usize,
}

/// A cache in use.
#[derive(Debug)]
pub(crate) enum Store {
    Off,
    Ram(ram::Ram),
    Disk(disk::Disk),
}

impl Store {
    /// # Errors
    /// A folder that cannot be made.
    pub(crate) fn open(storage: &Storage) -> Result<Self> {
        Ok(match &storage.cache {
            Cache::Off => Self::Off,
            Cache::Ram { bytes } => Self::Ram(ram::Ram::new(*bytes)),
            Cache::Disk { folder } => Self::Disk(disk::Disk::open(folder)?),
        })
    }

    /// Keeps pixels that are not there yet; they are made only if they will be kept.
    pub(crate) fn put_new(&self, key: Key, make: impl FnOnce() -> Pixels) {
        let room = match self {
            Self::Off => false,
            Self::Ram(ram) => ram.has_room(),
            Self::Disk(disk) => disk.get(key).is_none(),
        };
        if room {
            self.put(key, &Arc::new(make()));
        }
    }

    pub(crate) fn get(&self, key: Key) -> Option<Arc<Pixels>> {
        match self {
            Self::Off => None,
            Self::Ram(ram) => ram.get(key),
            Self::Disk(disk) => disk.get(key).map(Arc::new),
        }
    }

    pub(crate) fn put(&self, key: Key, pixels: &Arc<Pixels>) {
        match self {
            Self::Off => {}
            Self::Ram(ram) => ram.put(key, pixels),
            Self::Disk(disk) => disk.put(key, pixels),
        }
    }
}
