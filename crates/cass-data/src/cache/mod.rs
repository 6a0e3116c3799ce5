//! Resized pixels, kept so that later epochs need not decode.
mod disk;
mod ram;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{Pixels, Result};

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

static FOR_ALL: Mutex<Option<Cache>> = Mutex::new(None);

impl Cache {
    /// Makes this the cache of every data set that this process opens from now on.
    pub fn install(self) {
        *FOR_ALL.lock().unwrap_or_else(PoisonError::into_inner) = Some(self);
    }

    pub(crate) fn installed() -> Self {
        let installed = FOR_ALL.lock().unwrap_or_else(PoisonError::into_inner);
        installed.clone().unwrap_or_default()
    }
}

/// Which pixels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key<'a> {
    pub(crate) sample: usize,
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
    pub(crate) fn open(cache: Cache) -> Result<Self> {
        Ok(match cache {
            Cache::Off => Self::Off,
            Cache::Ram { bytes } => Self::Ram(ram::Ram::new(bytes)),
            Cache::Disk { folder } => Self::Disk(disk::Disk::open(folder)?),
        })
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
