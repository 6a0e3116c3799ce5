//! Pictures to judge a data set and its augmentation by.

mod canvas;

use crate::Result;
use crate::augment::{Normalization, Pipeline};
use crate::dataset::{Dataset, Part};
use crate::error::expect;
use crate::image::Pixels;
use crate::loader::{Loader, LoaderConfig};
use crate::recipe::RunImages;
use canvas::{Canvas, LINE};
use cass_rng::Rng;
use std::path::Path;

/// Larger pictures would fit no screen, and their memory few machines.
const MAX_SIDE: usize = 30_000;
const GAP: usize = 4;

/// How much [`preview`] draws.
#[derive(Debug, Clone)]
pub struct PreviewConfig {
    /// Images of each class.
    pub per_class: usize,
    /// Augmented views of each.
    pub views: usize,
}

/// Draws a grid to a PNG file: some training images of each class, each as it is, next to augmented
/// views.
///
/// The views are what training on these images, by their seed, shows a network in its first epochs,
/// taken back to grey levels.
///
/// # Errors
/// A setting of 0, or a picture of over 30,000 pixels a side; an image that cannot be read; a file
/// that cannot be written.
pub fn preview(images: &RunImages, config: &PreviewConfig, out: &Path) -> Result<()> {
    let PreviewConfig { per_class, views } = *config;
    let (dataset, size) = (&images.dataset, images.config().size);
    let shown: Vec<(usize, Vec<usize>)> = (0..dataset.classes.len())
        .map(|label| (label, choose(images, label, per_class)))
        .collect();
    let rows: usize = shown.iter().map(|(_, samples)| samples.len()).sum();
    let cell = size.saturating_add(GAP);
    let width = views
        .saturating_add(1)
        .saturating_mul(cell)
        .saturating_add(GAP);
    let height = rows
        .saturating_mul(cell.saturating_add(LINE))
        .saturating_add(LINE + GAP);
    for (name, value, ok) in [
        ("per-class", per_class, per_class > 0),
        ("views", views, views > 0),
        (
            "picture side",
            width.max(height),
            width.max(height) <= MAX_SIDE,
        ),
    ] {
        let expected = "at least 1, and a picture of at most 30000 pixels a side";
        expect(name, value, ok, expected)?;
    }
    let samples: Vec<usize> = shown.iter().flat_map(|(_, s)| s.clone()).collect();
    let mut columns = vec![grid(images, &samples, &Pipeline::Eval, 1)?];
    columns.extend(views_of(images, &samples, views)?);

    let mut canvas = Canvas::new(width, height);
    for column in 0..=views {
        let name = match column {
            0 => "as it is".into(),
            view => format!("view {view}"),
        };
        canvas.text(GAP + column * (size + GAP), GAP / 2, &name, size);
    }
    let labelled = shown.iter().flat_map(|(l, s)| s.iter().map(|&s| (*l, s)));
    for (row, (label, sample)) in labelled.enumerate() {
        let top = LINE + GAP + row * (size + LINE + GAP);
        canvas.text(GAP, top, &title(dataset, label, sample), width - GAP);
        for (column, images) in columns.iter().enumerate() {
            let left = GAP + column * (size + GAP);
            canvas.image(left, top + LINE, size, &images[row]);
        }
    }
    canvas.write(out)
}

/// Some training images of a class, drawn by the seed.
fn choose(images: &RunImages, label: usize, count: usize) -> Vec<usize> {
    let samples = &images.dataset.samples;
    let all = images.part(Part::Train).iter().copied();
    let mut of_class: Vec<_> = all
        .filter(|&i| samples[i].labels.contains(&label))
        .collect();
    Rng::new(images.config().seed, "preview", [label as u64, 0], 0).shuffle(&mut of_class);
    of_class.truncate(count);
    of_class
}

/// The class, the file, and the other classes if there are any.
fn title(dataset: &Dataset, label: usize, sample: usize) -> String {
    let sample = &dataset.samples[sample];
    let file = sample.path.file_name().unwrap_or_default();
    let mut title = format!("{}: {}", dataset.classes[label], file.to_string_lossy());
    for &other in sample.labels.iter().filter(|&&other| other != label) {
        title += &format!(" + {}", dataset.classes[other]);
    }
    title
}

/// The wanted number of augmented views, each of all samples.
fn views_of(images: &RunImages, samples: &[usize], views: usize) -> Result<Vec<Vec<Vec<u8>>>> {
    let pipeline = &images.config().pipeline;
    let epochs = views.div_ceil(pipeline.views());
    let all = grid(images, samples, pipeline, epochs)?;
    let per_view = all.chunks(samples.len()).map(<[_]>::to_vec);
    Ok(per_view.take(views).collect())
}

/// The RGB bytes of these samples in every view of every epoch, views after samples.
fn grid(
    images: &RunImages,
    samples: &[usize],
    pipeline: &Pipeline,
    epochs: usize,
) -> Result<Vec<Vec<u8>>> {
    let config = LoaderConfig {
        pipeline: pipeline.clone(),
        batch: samples.len(),
        shuffle: false,
        drop_last: false,
        ..images.config().clone()
    };
    let (size, normalization) = (config.size, config.normalization);
    let channels = images.dataset.reading.in_chans;
    let loader = Loader::new(images.dataset.clone(), samples.to_vec(), config)?;
    let mut drawn = Vec::new();
    for epoch in 0..epochs {
        for batch in loader.epoch(epoch as u64) {
            for view in batch?.views {
                let values = view.flatten_all()?.to_vec1::<f32>()?;
                let planes = values.chunks_exact(channels * size * size);
                drawn.extend(planes.map(|planes| to_bytes(planes, channels, &normalization)));
            }
        }
    }
    Ok(drawn)
}

/// Takes normalised planes `(C, size, size)` back to interleaved bytes of red, green and blue.
fn to_bytes(planes: &[f32], channels: usize, normalization: &Normalization) -> Vec<u8> {
    let area = planes.len() / channels;
    let byte = |i: usize| {
        let (pixel, channel) = (i / channels, i % channels);
        let normalized = normalization.of_channel(channel, channels);
        let value = normalized.invert(planes[channel * area + pixel]);
        (value * 255.0).round() as u8 // `as` saturates
    };
    let bytes = (0..planes.len()).map(byte).collect();
    let side = area.isqrt();
    Pixels::from_channels(side, side, channels, bytes).to_rgb()
}
