//! Pictures to judge a data set and its augmentation by.
mod canvas;

use std::{path::Path, sync::Arc};

use candle_core::Device;
use cass_rng::Rng;

use crate::{Dataset, Error, Loader, LoaderConfig, MEAN, Pipeline, Result, STD};
use canvas::{Canvas, LINE};

/// Larger pictures would fit no screen, and their memory few machines.
const MAX_SIDE: usize = 30_000;
const GAP: usize = 4;

/// What [`preview`] draws.
#[derive(Debug, Clone)]
pub struct PreviewConfig {
    /// Which augmentation.
    pub pipeline: Pipeline,
    /// Side of each image, in pixels.
    pub size: usize,
    /// Images of each class.
    pub per_class: usize,
    /// Augmented views of each.
    pub views: usize,
    /// Chooses the images and draws the views, as in training by this seed.
    pub seed: u64,
}

/// Draws a grid to a PNG file: some images of each class, each as it is, beside augmented views.
///
/// The views are what training by this seed shows a network in its first epochs, taken back to grey
/// levels.
///
/// # Errors
/// A setting of 0, or a picture of over 30,000 pixels a side; an image that cannot be read; a file
/// that cannot be written.
pub fn preview(dataset: &Arc<Dataset>, config: &PreviewConfig, out: &Path) -> Result<()> {
    let PreviewConfig {
        size,
        per_class,
        views,
        ..
    } = *config;
    let shown: Vec<(usize, Vec<usize>)> = (0..dataset.classes.len())
        .map(|label| (label, choose(dataset, label, per_class, config.seed)))
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
        ("size", size, size > 0),
        ("per-class", per_class, per_class > 0),
        ("views", views, views > 0),
        (
            "picture side",
            width.max(height),
            width.max(height) <= MAX_SIDE,
        ),
    ] {
        if !ok {
            return Err(Error::Setting {
                name,
                value: value.to_string(),
                expected: "at least 1, and a picture of at most 30000 pixels a side",
            });
        }
    }
    let samples: Vec<usize> = shown.iter().flat_map(|(_, s)| s.clone()).collect();
    let mut columns = vec![images(dataset, &samples, config, &Pipeline::Eval, 1)?];
    columns.extend(views_of(dataset, &samples, config)?);

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

/// Some samples of a class, drawn by the seed.
fn choose(dataset: &Dataset, label: usize, count: usize, seed: u64) -> Vec<usize> {
    let all = 0..dataset.len();
    let mut of_class: Vec<_> = all
        .filter(|&i| dataset.samples[i].labels.contains(&label))
        .collect();
    Rng::new(seed, "preview", [label as u64, 0], 0).shuffle(&mut of_class);
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
fn views_of(
    dataset: &Arc<Dataset>,
    samples: &[usize],
    config: &PreviewConfig,
) -> Result<Vec<Vec<Vec<u8>>>> {
    let epochs = config.views.div_ceil(config.pipeline.views());
    let all = images(dataset, samples, config, &config.pipeline, epochs)?;
    let per_view = all.chunks(samples.len()).map(<[_]>::to_vec);
    Ok(per_view.take(config.views).collect())
}

/// The RGB bytes of these samples in every view of every epoch, views after samples.
fn images(
    dataset: &Arc<Dataset>,
    samples: &[usize],
    config: &PreviewConfig,
    pipeline: &Pipeline,
    epochs: usize,
) -> Result<Vec<Vec<u8>>> {
    let loader = Loader::new(
        dataset.clone(),
        samples.to_vec(),
        LoaderConfig {
            pipeline: pipeline.clone(),
            size: config.size,
            batch: samples.len(),
            seed: config.seed,
            shuffle: false,
            drop_last: false,
            threads: 0,
            device: Device::Cpu,
            prefetch: 1,
        },
    )?;
    let mut images = Vec::new();
    for epoch in 0..epochs {
        for batch in loader.epoch(epoch as u64) {
            for view in batch?.views {
                let values = view.flatten_all()?.to_vec1::<f32>()?;
                let planes = values.chunks_exact(3 * config.size * config.size);
                images.extend(planes.map(to_bytes));
            }
        }
    }
    Ok(images)
}

/// Takes normalised planes `(3, size, size)` back to interleaved bytes.
fn to_bytes(planes: &[f32]) -> Vec<u8> {
    let area = planes.len() / 3;
    let byte = |i: usize| {
        let (pixel, channel) = (i / 3, i % 3);
        let value = planes[channel * area + pixel] * STD[channel] + MEAN[channel];
        (value * 255.0).round() as u8 // `as` saturates
    };
    (0..planes.len()).map(byte).collect()
}
