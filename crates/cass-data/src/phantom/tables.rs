//! Phantoms of the two sets whose labels are in tables.

use super::dermoscopy::Lesion;
use super::{PhantomConfig, biopsy, io, write_jpeg, write_with};
use crate::Result;
use crate::source::{biopsies, isic2019};
use cass_rng::Rng;
use cass_run::write_whole;
use image::codecs::tiff::TiffEncoder;
use image::{ExtendedColorType, ImageEncoder};
use rayon::prelude::*;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Images of one lesion or patient.
const PER_GROUP: usize = 2;
/// Height to width of the biopsies, 352 to 469 pixels.
const WIDER: (usize, usize) = (469, 352);
/// Chance that a cell type is seen in a biopsy beside the one that it is drawn for.
const P_OTHER: f64 = 0.25;

/// Dermoscopic phantoms in the layout of ISIC 2019, with lesions of two images each.
pub(super) fn isic(out: &Path, config: &PhantomConfig) -> Result<()> {
    let count = config.train_per_class + config.test_per_class;
    let classes = &isic2019::COLUMNS[..8];
    let folder = out.join(isic2019::INPUT);
    fs::create_dir_all(&folder).map_err(|e| io("created", &folder, e))?;
    let mut truth = format!("image,{}\n", isic2019::COLUMNS.join(","));
    let mut metadata = "image,age_approx,anatom_site_general,lesion_id,sex\n".to_owned();
    let mut jobs = Vec::new();
    for label in 0..classes.len() {
        for number in 0..count {
            let name = format!("ISIC_{:07}", number * classes.len() + label);
            let hot =
                (0..isic2019::COLUMNS.len()).map(|c| if c == label { ",1.0" } else { ",0.0" });
            let lesion = number / PER_GROUP;
            let _ = writeln!(truth, "{name}{}", hot.collect::<String>());
            let _ = writeln!(metadata, "{name},,,PHANTOM_{label}_{lesion:05},");
            jobs.push((label, number, folder.join(name + ".jpg")));
        }
    }
    jobs.into_par_iter().try_for_each(|(label, number, path)| {
        let path_of = |stream: usize| [label as u64, stream as u64];
        let mut shared = Rng::new(config.seed, "lesion", path_of(number / PER_GROUP), 0);
        let lesion = Lesion::new(label, &mut shared);
        let mut rng = Rng::new(config.seed, "dermosc", path_of(number), 0);
        write_jpeg(
            &path,
            config.size,
            &lesion.draw(config.size, &mut rng),
            true,
        )
    })?;
    write_text(&out.join(isic2019::TRUTH), &truth)?;
    write_text(&out.join(isic2019::METADATA), &metadata)
}

/// Biopsy phantoms: 16-bit TIFFs with one to five cell types, and patients of two images each.
pub(super) fn biopsies(out: &Path, config: &PhantomConfig) -> Result<()> {
    let classes = biopsies::CLASSES.len();
    let count = classes * (config.train_per_class + config.test_per_class);
    let (width, height) = (config.size * WIDER.0 / WIDER.1, config.size);
    fs::create_dir_all(out).map_err(|e| io("created", out, e))?;
    let mut table = format!("image,{},patient\n", biopsies::CLASSES.join(","));
    let mut jobs = Vec::new();
    for number in 0..count {
        let mut rng = Rng::new(config.seed, "biopsy", [number as u64, 0], 0);
        let seen =
            |label: usize, rng: &mut Rng| label == number % classes || rng.bernoulli(P_OTHER);
        let labels: Vec<usize> = (0..classes)
            .filter(|&label| seen(label, &mut rng))
            .collect();
        let name = format!("biopsy-{number:05}.tif");
        let hot = (0..classes).map(|c| if labels.contains(&c) { ",1" } else { ",0" });
        let (hot, patient) = (hot.collect::<String>(), number / PER_GROUP);
        let _ = writeln!(table, "{name}{hot},patient-{patient:04}");
        jobs.push((out.join(name), labels, rng));
    }
    jobs.into_par_iter()
        .try_for_each(|(path, labels, mut rng)| {
            let values = biopsy::tissue(width, height, &labels, &mut rng);
            let bytes: Vec<u8> = values.into_iter().flat_map(u16::to_ne_bytes).collect();
            write_with(&path, |file| {
                let (width, height) = (width as u32, height as u32);
                TiffEncoder::new(file).write_image(&bytes, width, height, ExtendedColorType::Rgb16)
            })
        })?;
    write_text(&out.join("labels.csv"), &table)
}

fn write_text(path: &Path, text: &str) -> Result<()> {
    write_whole(path, text.as_bytes()).map_err(|e| io("written", path, e))
}
