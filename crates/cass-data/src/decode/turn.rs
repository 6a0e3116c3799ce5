//! Pictures that are to be turned, by EXIF.

use super::Pixels;
use crate::pixels::Bytes;
use image::metadata::Orientation;

impl Pixels {
    /// The picture as its file says that it is to be shown.
    pub(crate) fn turned(self, orientation: Orientation) -> Self {
        use Orientation as O;
        let (width, height, channels) = (self.width, self.height, self.channels);
        let swaps = matches!(
            orientation,
            O::Rotate90 | O::Rotate270 | O::Rotate90FlipH | O::Rotate270FlipH
        );
        let (new_width, new_height) = if swaps {
            (height, width)
        } else {
            (width, height)
        };
        if orientation == O::NoTransforms {
            return self;
        }
        let (last_x, last_y) = (width.wrapping_sub(1), height.wrapping_sub(1));
        let mut data = Vec::with_capacity(self.data.len());
        for y in 0..new_height {
            for x in 0..new_width {
                let (from_x, from_y) = match orientation {
                    O::NoTransforms => (x, y),
                    O::FlipHorizontal => (last_x - x, y),
                    O::Rotate180 => (last_x - x, last_y - y),
                    O::FlipVertical => (x, last_y - y),
                    // Transposed: along the one diagonal, and along the other.
                    O::Rotate90FlipH => (y, x),
                    O::Rotate270FlipH => (last_x - y, last_y - x),
                    O::Rotate90 => (y, last_y - x),
                    O::Rotate270 => (last_x - y, x),
                };
                let at = (from_y * width + from_x) * channels;
                data.extend_from_slice(&self.data[at..at + channels]);
            }
        }
        Self {
            width: new_width,
            height: new_height,
            channels,
            data: Bytes::from(data),
        }
    }
}
