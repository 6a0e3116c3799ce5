//! Where an image's bytes are.

use super::span::Span;
use crate::decode::{self, Decoded};
use crate::image::{Frame, Pixels, Reading};
use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An image is a file, pixels in memory, or one of many in an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    File,
    Pixels(Arc<Pixels>),
    Array {
        images: Arc<Images>,
        index: usize,
    },
    /// One of a file's frames, from 1.
    Frame {
        file: PathBuf,
        number: usize,
    },
}

/// 8-bit images of one shape, one after the other.
pub(crate) struct Images {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) channels: usize,
    pub(crate) data: Span,
}

impl Origin {
    /// What the image's SHA-256 is of, or why it cannot be read.
    pub(crate) fn bytes(&self, path: &Path, reading: &Reading) -> Result<Cow<'_, [u8]>, String> {
        match self {
            Self::File => decode::read(path, reading).map(Cow::Owned),
            Self::Frame { file, number } => {
                // Frames of a file are told apart by their number.
                let mut bytes = decode::read(file, reading)?;
                bytes.extend((*number as u64).to_le_bytes());
                Ok(Cow::Owned(bytes))
            }
            Self::Pixels(pixels) => {
                // Images of other shapes may have the same bytes.
                let sides = [pixels.width, pixels.height, pixels.channels].map(|side| side as u64);
                let mut bytes: Vec<u8> = sides.iter().flat_map(|s| s.to_le_bytes()).collect();
                bytes.extend_from_slice(&pixels.data);
                Ok(Cow::Owned(bytes))
            }
            Self::Array { images, index } => {
                let length = images.width * images.height * images.channels;
                images.data.part(*index as u64 * length as u64, length)
            }
        }
    }

    /// The image in these bytes, or why there is none.
    pub(crate) fn decode(
        &self,
        bytes: &[u8],
        reading: &Reading,
        size: Option<usize>,
    ) -> Result<Decoded, String> {
        let pixels = match self {
            Self::File => return decode::decode_bytes(bytes, reading, size),
            Self::Frame { number, .. } => {
                let file = &bytes[..bytes.len().saturating_sub(size_of::<u64>())];
                let frame = Frame::Number(*number);
                let reading = Reading {
                    frame,
                    ..reading.clone()
                };
                let decoded = decode::decode_bytes(file, &reading, size)?;
                return Ok(Decoded {
                    frames: 1,
                    ..decoded
                });
            }
            Self::Pixels(pixels) => Pixels::clone(pixels),
            Self::Array { images, .. } => {
                let (width, height, data) = (images.width, images.height, bytes.to_vec());
                match images.channels {
                    1 => Pixels::from_grey(width, height, data),
                    3 => Pixels::from_rgb(width, height, data),
                    many => Pixels::from_channels(width, height, many, data),
                }
            }
        };
        let mode = match pixels.channels {
            1 => "L8".into(),
            3 => "Rgb8".into(),
            many => format!("{many} channels of 8 bits"),
        };
        Ok(Decoded {
            mode,
            pixels: pixels.for_channels(reading.in_chans)?,
            format: "array",
            widest: None,
            range: None,
            turned: false,
            frames: 1,
            patient: None,
        })
    }
}

/// By their shape: what they show is compared by the SHA-256 of each.
impl PartialEq for Images {
    fn eq(&self, other: &Self) -> bool {
        let shape = |images: &Self| [images.width, images.height, images.channels];
        (shape(self), self.data.length()) == (shape(other), other.data.length())
    }
}

impl Eq for Images {}

impl fmt::Debug for Images {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (w, h, c) = (self.width, self.height, self.channels);
        write!(f, "{w}x{h}x{c} images of {} bytes", self.data.length())
    }
}
