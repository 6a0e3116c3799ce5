//! What one look at a file tells.

use super::{Finding, FindingKind};
use crate::decode::Decoded;
use crate::image::{Levels, Reading};
use crate::likeness::Likeness;
use crate::source::Item;
use sha2::{Digest, Sha256};

pub(crate) struct Look {
    pub(crate) sha256: [u8; 32],
    pub(super) size: (usize, usize),
    /// Format and colour mode.
    pub(super) mode: String,
    pub(super) likeness: Likeness,
    blank: bool,
    format: &'static str,
    widest: Option<u16>,
    turned: bool,
    frames: usize,
    /// Who is shown, where the file says so.
    pub(super) patient: Option<String>,
}

impl Look {
    pub(super) fn at(item: &Item, reading: &Reading) -> Result<Self, String> {
        let bytes = item.origin.bytes(&item.path, reading)?;
        let Decoded {
            pixels,
            format,
            mode,
            widest,
            range: _,
            turned,
            frames,
            patient,
        } = item.origin.decode(&bytes, reading, None)?;
        Ok(Self {
            likeness: Likeness::of(&pixels),
            sha256: Sha256::digest(&bytes).into(),
            size: (pixels.width(), pixels.height()),
            mode: format!("{format} {mode}"),
            blank: pixels.data.iter().all(|&v| v == pixels.data[0]),
            format,
            widest,
            turned,
            frames,
            patient,
        })
    }

    /// What is wrong with the file by itself.
    pub(super) fn findings(&self, item: &Item, reading: &Reading) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut found = |kind, detail| {
            let file = item.path.clone();
            findings.push(Finding { kind, file, detail });
        };
        let ending = item.file_of().extension().unwrap_or_default();
        let ending = ending.to_string_lossy().to_ascii_lowercase();
        if !endings(self.format).contains(&ending.as_str()) {
            let detail = format!("is a {} file by its content", self.format);
            found(FindingKind::WrongExtension, detail);
        }
        if self.blank {
            found(FindingKind::Blank, "has one colour everywhere".into());
        }
        if let Some(widest) = self.widest.filter(|_| reading.levels == Levels::HighByte) {
            let detail = format!(
                "has 16-bit values up to {widest}: their high byte, which is used, has {} levels \
                 (PIL would clip grey at 255)",
                (widest >> 8) + 1
            );
            found(FindingKind::SixteenBit, detail);
        }
        if self.turned {
            let detail = "says by EXIF that it is to be turned, which is not done".into();
            found(FindingKind::Rotated, detail);
        }
        if self.frames > 1 && !reading.chooses_of(self.format) {
            let what = match self.format {
                "TIFF" => "pages",
                _ => "frames",
            };
            let detail = format!("has {} {what}, of which the first is used", self.frames);
            found(FindingKind::SeveralFrames, detail);
        }
        findings
    }
}

fn endings(format: &str) -> &'static [&'static str] {
    match format {
        "JPEG" => &["jpg", "jpeg", "jpe", "jfif"],
        "PNG" => &["png"],
        "TIFF" => &["tif", "tiff"],
        "BMP" => &["bmp"],
        "PNM" => &["pgm", "ppm", "pnm", "pbm"],
        "WebP" => &["webp"],
        "GIF" => &["gif"],
        _ => &["dcm", "dicom", ""],
    }
}
