//! `cass attend`: where a run's networks look.

use crate::choice::one_of;
use crate::failure::{Failure, Result};
use crate::options::Compute;
use crate::say::Report;
use crate::{process, sealed};
use candle_core::{Device, Tensor};
use cass_data::augment::Normalization;
use cass_data::image::Pixels;
use cass_data::source::{frames_at, images_at};
use cass_probe::look::{Heat, Look, Moment, Subject, Subjects};
use clap::builder::TypedValueParser;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Show where a run's networks look in chosen images: a PNG a network and image.
///
/// Each picture has the image, square as the network takes it, and next to it the same under a heat
/// map: of a ViT or DeiT attention, followed through all blocks (rollout) or of the last block; of
/// every other network Grad-CAM, which says what speaks for a class. A pretraining has no classes:
/// Grad-CAM then asks about the largest output. The brightest place is the largest value; one that is
/// bright everywhere looks nowhere in particular.
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// A finished pretraining or probe.
    #[arg(long, value_name = "RUN")]
    run: PathBuf,
    /// Images, and folders whose images are taken at any depth.
    #[arg(required = true, value_name = "IMAGE|FOLDER")]
    inputs: Vec<PathBuf>,
    /// Folder for the pictures, made if it is not there.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Only this network of the pretraining: cnn, vit or net.
    #[arg(long, value_name = "ARM")]
    arm: Option<String>,
    /// The networks as the run began with them.
    #[arg(long)]
    before: bool,
    /// How to look; by default rollout where the network has it, else grad-cam.
    #[arg(long, value_name = "HOW", value_parser = look())]
    look: Option<Look>,
    /// The class that Grad-CAM asks about; by default the one predicted.
    #[arg(long, value_name = "CLASS")]
    class: Option<String>,
    #[command(flatten)]
    compute: Compute,
}

const EXAMPLE: &str = "\
Examples:
  cass attend --run runs/cass --out seen scans/a.jpg scans/b.png
  cass attend --run runs/cass-cnn --class glioma --out seen scans/

Exit status: 0 all shown, 1 some file failed, 2 wrong usage or input.";

/// Reads the name of a way to look.
fn look() -> impl TypedValueParser<Value = Look> {
    one_of(
        [
            (Look::Rollout, "Attention through all blocks (ViT, DeiT)"),
            (Look::LastBlock, "Attention of the last block (ViT, DeiT)"),
            (
                Look::GradCam,
                "What speaks for a class in the last map (all others)",
            ),
        ]
        .map(|(look, about)| (look, look.name(), about)),
    )
}

pub fn run(args: Args) -> Result<Report> {
    process::configure(args.compute.threads)?;
    let subjects = Subjects::open(&args.run, &args.compute.device)?;
    sealed::note(&args.run);
    let class = args.class.as_deref().map(|class| place(&subjects, class));
    let class = class.transpose()?;
    let names = match &args.arm {
        Some(arm) => vec![arm.clone()],
        None => subjects.names(),
    };
    let when = if args.before {
        Moment::Before
    } else {
        Moment::After
    };
    let networks = names.iter().map(|name| subjects.network(name, when));
    let networks = networks.collect::<std::result::Result<Vec<Subject>, _>>()?;
    let reading = subjects.reading();
    let mut files = Vec::new();
    for input in &args.inputs {
        let images = images_at(input)?;
        files.extend(images.iter().flat_map(|image| frames_at(image, &reading)));
    }
    let created = std::fs::create_dir_all(&args.out);
    created.map_err(|error| {
        Failure::Failed(format!(
            "the folder {} cannot be created: {error}",
            args.out.display()
        ))
    })?;
    let (mut shown, mut failed, mut names) = (Vec::new(), Vec::new(), HashSet::new());
    for file in &files {
        let decoded = match cass_data::image::decode_as(file, &reading, Some(subjects.size())) {
            Ok(pixels) => pixels,
            Err(error) => {
                tracing::error!("{}", Failure::from(error));
                failed.push(file.display().to_string());
                continue;
            }
        };
        let pixels = decoded.resize(subjects.size());
        let shows = decoded.resize(subjects.size().max(SMALLEST));
        let stem = free_name(file, &mut names);
        for subject in &networks {
            let model = &subject.model;
            let look = args.look.unwrap_or_else(|| Look::for_network(model));
            let options = model.options();
            let images = tensor(&pixels, options.in_chans, &options.device)?;
            let heat = look.at(model, &images, class)?.remove(0);
            let time = if args.before { "-before" } else { "" };
            let out = args.out.join(format!("{stem}-{}{time}.png", subject.name));
            picture(&shows, &heat).write_png(&out)?;
            let class = heat.class.map(|class| match subjects.classes() {
                Some(classes) => json!(classes[class]),
                None => json!(class),
            });
            shown.push(json!({
                "file": file.display().to_string(),
                "network": subject.name,
                "look": look.name(),
                "class": class,
                "out": out.display().to_string(),
                "heat": heat.values.chunks(heat.side.max(1)).collect::<Vec<_>>(),
            }));
        }
    }
    Ok(report(&args.out, shown, failed))
}

/// The place of a class among a probe's.
fn place(subjects: &Subjects, class: &str) -> Result<usize> {
    let Some(classes) = subjects.classes() else {
        let text = "--class: the run is a pretraining, which knows no classes; give a probe";
        return Err(Failure::Wrong(text.into()));
    };
    let place = classes.iter().position(|name| name == class);
    place.ok_or_else(|| {
        let known = classes.join(", ");
        Failure::Wrong(format!("--class {class:?}: expected one of {known}"))
    })
}

/// The file's name without its ending, and a number where another file had it.
fn free_name(file: &Path, taken: &mut HashSet<String>) -> String {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let mut name = stem.to_string();
    let mut number = 2;
    while !taken.insert(name.clone()) {
        name = format!("{stem}-{number}");
        number += 1;
    }
    name
}

/// `(1, C, S, S)`
fn tensor(pixels: &Pixels, channels: usize, device: &Device) -> Result<Tensor> {
    let size = pixels.width();
    let mut values = vec![0f32; channels * size * size];
    pixels.normalize_into(&Normalization::IMAGENET, &mut values);
    let images = Tensor::from_vec(values, (1, channels, size, size), device);
    images.map_err(|error| cass_probe::Error::from(error).into())
}

/// Side of the image in a picture at least, in pixels, for the eye's sake.
const SMALLEST: usize = 256;
/// How much the heat covers of the image where it is cold, and where it is hottest.
const COVER: [f64; 2] = [0.35, 0.75];

/// The image, and next to it the image under the heat.
fn picture(pixels: &Pixels, heat: &Heat) -> Pixels {
    let size = pixels.width();
    let rgb = pixels.to_rgb();
    let heat = heat.resized(size);
    let mut beside = Vec::with_capacity(2 * rgb.len());
    for (row, heat) in rgb.chunks_exact(3 * size).zip(heat.chunks_exact(size)) {
        beside.extend(row);
        for (pixel, &heat) in row.chunks_exact(3).zip(heat) {
            let heat = f64::from(heat);
            let cover = COVER[0] + (COVER[1] - COVER[0]) * heat;
            for (value, colour) in pixel.iter().zip(cass_page::heat(heat)) {
                let value = f64::from(*value) * (1.0 - cover) + colour * cover;
                beside.push(value.round() as u8); // saturates
            }
        }
    }
    Pixels::from_rgb(2 * size, size, beside)
}

fn report(out: &Path, shown: Vec<Value>, failed: Vec<String>) -> Report {
    let text = format!(
        "{}: {} pictures, {} files failed",
        out.display(),
        shown.len(),
        failed.len()
    );
    Report {
        passed: failed.is_empty(),
        ..Report::done(
            text,
            json!({"kind": "attend", "pictures": shown, "failed": failed}),
        )
    }
}
