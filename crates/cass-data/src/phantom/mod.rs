//! A stand-in for the brain MRIs, drawn by code.

mod biopsy;
mod dermoscopy;
mod draw;
mod lesion;
mod tables;
mod texture;

use crate::dataset::Part;
use crate::error::expect;
use crate::source::brain_mri::{self, CLASSES, PARTS};
use crate::source::{biopsies, isic2019};
use crate::{Error, Result};
use cass_rng::Rng;
use cass_run::make_unsynced;
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};
use rayon::prelude::*;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

const JPEG_QUALITY: u8 = 92;
/// The real set has 1,995 RGB files of 3,568 looked at, all of them with equal channels.
const P_RGB: f64 = 0.5;
/// Smaller images have no room for the smallest lesion.
const MIN_SIZE: usize = 16;

/// How much phantoms of the brain MRIs vary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PhantomStyle {
    /// Pose, anatomy, contrast, noise and brightness differ from image to image, and lesions stand out as little as a
    /// patient's may: small networks need thousands of steps.
    #[default]
    Varied,
    /// Heads are much alike and lesions large and of their own look, so that small networks learn to tell them within
    /// some hundred steps.
    Clear,
}

impl PhantomStyle {
    /// Every style.
    pub const ALL: [Self; 2] = [Self::Varied, Self::Clear];

    /// `varied` or `clear`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Varied => "varied",
            Self::Clear => "clear",
        }
    }
}

/// Which phantoms [`write_phantom`] draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhantomConfig {
    /// Decides every pixel.
    pub seed: u64,
    /// Images of each class for training.
    pub train_per_class: usize,
    /// Images of each class for testing.
    pub test_per_class: usize,
    /// Side of the square images, in pixels, at least 16.
    pub size: usize,
    /// How much they vary: only brain MRIs have more than [`PhantomStyle::Varied`].
    pub style: PhantomStyle,
}

/// Writes phantoms to `out` in the layout that [`Layout`](crate::source::Layout) reads as `kind`.
///
/// Those of `brain-mri` are in the curator's layout. Each is a slice through a head in random pose, with ventricles, tissue, noise, a bias field and
/// a random brightness, and the lesion of its class: *glioma* an irregular, heterogeneous blob that
/// infiltrates the tissue; *meningioma* a smooth, bright, round one attached to the skull;
/// *pituitary* a small one low in the middle; *notumor* none. They are pictures to test training
/// with, not a model of disease. The mean brightness of every image is drawn alike for all classes,
/// so that it tells nothing. Those of [`PhantomStyle::Clear`] are heads much alike, and a *glioma* there has a bright, ragged
/// rim around a dark core.
///
/// `kind` may also be `isic2019`: blobs on skin in eight kinds, two images a lesion, in the layout of
/// the challenge; or `biopsies`: 16-bit TIFFs of glowing cells of five types, several in an image, two
/// images a patient. These have no given split: of each class, or for each cell type, there are as
/// many images as for training and testing together.
///
/// Equal settings write equal files.
///
/// # Errors
/// An unknown kind; a setting out of range; an `out` with anything in it, lest phantoms mix with patients; a folder
/// or file that cannot be written.
pub fn write_phantom_of(kind: &str, out: &Path, config: &PhantomConfig) -> Result<()> {
    let least = |name, value, least, expected| expect(name, value, value >= least, expected);
    least("size", config.size, MIN_SIZE, "at least 16 pixels")?;
    least("train-per-class", config.train_per_class, 2, "at least 2")?;
    least("test-per-class", config.test_per_class, 1, "at least 1")?;
    let style = config.style;
    expect(
        "style",
        style.name(),
        kind == brain_mri::NAME || style == PhantomStyle::Varied,
        "varied: only phantoms of brain-mri have another style",
    )?;
    if fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some()) {
        let source = std::io::ErrorKind::DirectoryNotEmpty.into();
        return Err(io("filled with phantoms", out, source));
    }
    match kind {
        brain_mri::NAME => heads(out, config),
        isic2019::NAME => tables::isic(out, config),
        biopsies::NAME => tables::biopsies(out, config),
        _ => Err(Error::UnknownDataset {
            name: kind.to_owned(),
            known: [brain_mri::NAME, isic2019::NAME, biopsies::NAME].join(", "),
        }),
    }
}

/// Writes phantoms of the brain MRIs: [`write_phantom_of`] `brain-mri`.
///
/// # Errors
/// As there.
pub fn write_phantom(out: &Path, config: &PhantomConfig) -> Result<()> {
    write_phantom_of(brain_mri::NAME, out, config)
}

fn heads(out: &Path, config: &PhantomConfig) -> Result<()> {
    let counts = [config.train_per_class, config.test_per_class];
    let mut jobs = Vec::new();
    for ((part, folder), count) in PARTS.into_iter().zip(counts) {
        for (label, class) in CLASSES.iter().enumerate() {
            let folder = out.join(folder).join(class);
            fs::create_dir_all(&folder).map_err(|e| io("created", &folder, e))?;
            jobs.extend((0..count).map(|number| (part, label, number, folder.clone())));
        }
    }
    jobs.into_par_iter()
        .try_for_each(|(part, label, number, folder)| {
            let stream = (number as u64) << 1 | u64::from(part == Part::Test);
            let mut rng = Rng::new(config.seed, "phantom", [label as u64, stream], 0);
            let grey = draw::head(config.size, CLASSES[label], config.style, &mut rng);
            let path = folder.join(format!("{}-{number:05}.jpg", CLASSES[label]));
            if rng.bernoulli(P_RGB) {
                let rgb: Vec<u8> = grey.iter().flat_map(|&v| [v; 3]).collect();
                write_jpeg(&path, config.size, &rgb, true)
            } else {
                write_jpeg(&path, config.size, &grey, false)
            }
        })
}

fn write_jpeg(path: &Path, size: usize, pixels: &[u8], is_rgb: bool) -> Result<()> {
    let (side, color) = (
        size as u32,
        [ExtendedColorType::L8, ExtendedColorType::Rgb8],
    );
    write_with(path, |file| {
        let encoder = JpegEncoder::new_with_quality(file, JPEG_QUALITY);
        encoder.write_image(pixels, side, side, color[usize::from(is_rgb)])
    })
}

fn write_with(
    path: &Path,
    encode: impl FnOnce(&mut BufWriter<File>) -> image::ImageResult<()>,
) -> Result<()> {
    make_unsynced(path, |file| encode(file).map_err(std::io::Error::other))
        .map_err(|e| io("written", path, e))
}

fn io(action: &'static str, path: &Path, source: std::io::Error) -> Error {
    Error::Io {
        action,
        path: PathBuf::from(path),
        source,
    }
}
