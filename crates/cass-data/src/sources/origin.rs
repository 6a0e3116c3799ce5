//! Where an image's bytes are.
use std::{borrow::Cow, fmt, path::Path, sync::Arc};

use crate::{
    Pixels,
    decode::{self, Decoded},
};

/// An image is a file, or one of many in an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    File,
    Array { images: Arc<Images>, index: usize },
}

/// 8-bit images of one shape, one after the other.
#[derive(PartialEq, Eq)]
pub(crate) struct Images {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) channels: usize,
    pub(crate) data: Vec<u8>,
}

impl Origin {
    /// What the image's SHA-256 is of, or why it cannot be had.
    pub(crate) fn bytes(&self, path: &Path) -> Result<Cow<'_, [u8]>, String> {
        match self {
            Self::File => decode::read(path).map(Cow::Owned),
            Self::Array { images, index } => {
                let length = images.width * images.height * images.channels;
                let data = images.data.get(index * length..(index + 1) * length);
                data.map(Cow::Borrowed)
                    .ok_or("is beyond the array's end".into())
            }
        }
    }

    /// The image in these bytes, or why there is none.
    pub(crate) fn decode(&self, bytes: &[u8]) -> Result<Decoded, String> {
        let Self::Array { images, .. } = self else {
            return decode::decode_bytes(bytes);
        };
        let (width, height, data) = (images.width, images.height, bytes.to_vec());
        let (pixels, mode) = match images.channels {
            1 => (Pixels::from_grey(width, height, data), "L8"),
            _ => (Pixels::from_rgb(width, height, data), "Rgb8"),
        };
        Ok(Decoded {
            pixels,
            format: "array",
            mode: mode.into(),
            widest: None,
            turned: false,
            frames: 1,
        })
    }
}

impl fmt::Debug for Images {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (w, h, c) = (self.width, self.height, self.channels);
        write!(f, "{w}x{h}x{c} images of {} bytes", self.data.len())
    }
}
