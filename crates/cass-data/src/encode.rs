//! Images as files that others show.

use crate::image::Pixels;
use crate::{Error, Result};
use cass_run::make_whole;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use std::path::Path;

impl Pixels {
    /// A JPEG file of the image; `quality` is from 1 to 100.
    ///
    /// # Errors
    /// An image without pixels, or one wider or higher than 65,535.
    pub fn to_jpeg(&self, quality: u8) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let encoder = JpegEncoder::new_with_quality(&mut bytes, quality.clamp(1, 100));
        let written = self.encode(encoder);
        written.map_err(|e| unwritten(Path::new("a JPEG"), std::io::Error::other(e)))?;
        Ok(bytes)
    }

    /// Writes a PNG file: beside its name, synced, then renamed.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_png(&self, out: &Path) -> Result<()> {
        let encode = |file: &mut _| self.encode(PngEncoder::new(file));
        make_whole(out, |file| encode(file).map_err(std::io::Error::other))
            .map_err(|source| unwritten(out, source))
    }

    fn encode(&self, encoder: impl ImageEncoder) -> image::ImageResult<()> {
        let (width, height) = (self.width as u32, self.height as u32);
        match self.channels {
            1 => encoder.write_image(&self.data, width, height, ExtendedColorType::L8),
            3 => encoder.write_image(&self.data, width, height, ExtendedColorType::Rgb8),
            _ => encoder.write_image(&self.to_rgb(), width, height, ExtendedColorType::Rgb8),
        }
    }
}

fn unwritten(path: &Path, source: std::io::Error) -> Error {
    Error::Io {
        action: "written",
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grey_and_colour_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.png");
        let rgb: Vec<u8> = (0..4 * 2 * 3).map(|v| 10 * v).collect();
        for pixels in [
            Pixels::from_rgb(4, 2, rgb),
            Pixels::from_grey(2, 3, vec![0, 50, 100, 150, 200, 250]),
        ] {
            pixels.write_png(&path).unwrap();
            assert_eq!(crate::image::decode(&path).unwrap(), pixels);
            let jpeg = pixels.to_jpeg(90).unwrap();
            assert!(jpeg.starts_with(b"\xff\xd8\xff") && jpeg.ends_with(b"\xff\xd9"));
        }
        let error = Pixels::from_grey(1, 1, vec![0]).write_png(Path::new("/nonexistent/x.png"));
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("/nonexistent/x.png")
        );
    }
}
