//! Files of several frames, and what their frames are called.

use std::path::{Path, PathBuf};

/// How many images a file holds, and of whom.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    /// 0 where that cannot be told.
    pub(crate) frames: usize,
    pub(crate) patient: Option<String>,
}

impl Frames {
    /// Of DICOM files; others have no frames that count.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        #[cfg(feature = "dicom")]
        if super::is_dicom(bytes) {
            return super::dicom::frames(bytes).unwrap_or_default();
        }
        let _ = bytes;
        Self::default()
    }
}

/// The name of a frame, from 1.
pub(crate) fn frame_name(path: &Path, number: usize) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!("#{number}"));
    name.into()
}

/// The file and the number of such a name, if there is no file of the whole name.
pub(super) fn of_name(path: &Path) -> Option<(PathBuf, usize)> {
    let text = path.file_name()?.to_str()?;
    let (file, number) = text.rsplit_once('#')?;
    let number = number.parse().ok().filter(|number| *number > 0)?;
    let file = path.with_file_name(file);
    (!path.exists() && file.is_file()).then_some((file, number))
}
