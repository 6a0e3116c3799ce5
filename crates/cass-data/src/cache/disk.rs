use super::Key;
use crate::channels::MOST_CHANNELS;
use crate::image::Pixels;
use crate::pixels::Bytes;
use crate::{Error, Result};
use base16ct::lower::encode_string as hex;
use cass_run::make_unsynced;
use memmap2::Mmap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Names the arithmetic: to be counted up whenever decoding or resizing changes a pixel.
const VERSION: &str = "pixels-1";
const MAGIC: &[u8; 8] = b"CASSpix1";
/// Magic, channels, CRC-32 of the pixels.
const HEADER: usize = 8 + 4 + 4;

/// Pixels in files, one an image and size.
///
/// Files are mapped, not read: a system that is short of memory takes their pages back by itself. A
/// file is written beside its name and renamed, so that no process sees a part of it. It is not
/// synced, which would cost more than decoding: a file that a power failure cut short fails its
/// length or its checksum.
#[derive(Debug)]
pub(crate) struct Disk {
    folder: PathBuf,
    /// A disk that took no file once is asked no more.
    full: AtomicBool,
}

impl Disk {
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let folder = folder.join(VERSION);
        fs::create_dir_all(&folder).map_err(|source| Error::Io {
            action: "created",
            path: folder.clone(),
            source,
        })?;
        Ok(Self {
            folder,
            full: AtomicBool::new(false),
        })
    }

    pub(super) fn get(&self, key: Key) -> Option<Pixels> {
        let file = File::open(self.path(key)).ok()?;
        // SAFETY: files of this folder are written beside their names and renamed, so nobody
        // changes the bytes of one that can be opened. Who cuts one short while it is mapped ends
        // this process, as for any program that maps files.
        let map = unsafe { Mmap::map(&file) }.ok()?;
        let (header, data) = map.split_at_checked(HEADER)?;
        let word = |at: usize| header[at..at + 4].try_into().map(u32::from_le_bytes).ok();
        let (channels, crc) = (word(8)? as usize, word(12)?);
        let whole = &header[..8] == MAGIC
            && (1..=MOST_CHANNELS).contains(&channels)
            && data.len() == key.size * key.size * channels
            && crc32fast::hash(data) == crc;
        whole.then_some(Pixels {
            width: key.size,
            height: key.size,
            channels,
            data: Bytes::Mapped(map, HEADER, key.size * key.size * channels),
        })
    }

    /// A disk that takes no more files is no error: the pixels are decoded again.
    pub(super) fn put(&self, key: Key, pixels: &Pixels) {
        if !self.full.load(Ordering::Relaxed) && self.write(key, pixels).is_err() {
            self.full.store(true, Ordering::Relaxed);
        }
    }

    fn write(&self, key: Key, pixels: &Pixels) -> io::Result<()> {
        let path = self.path(key);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(MAGIC);
        header[8..12].copy_from_slice(&(pixels.channels as u32).to_le_bytes());
        header[12..].copy_from_slice(&crc32fast::hash(&pixels.data).to_le_bytes());
        make_unsynced(&path, |file| {
            file.write_all(&header)?;
            file.write_all(&pixels.data)
        })
    }

    fn path(&self, key: Key) -> PathBuf {
        let name = hex(key.sha256);
        let folder = self.folder.join(key.size.to_string()).join(&name[..2]);
        folder.join(name)
    }
}
