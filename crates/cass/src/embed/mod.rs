//! `cass embed`: a run's test images in two dimensions.

mod page;

use crate::failure::{Failure, Result};
use crate::options::Compute;
use crate::output::write;
use crate::say::Report;
use crate::{process, sealed};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cass_data::dataset::Part;
use cass_data::recipe::RunImages;
use cass_metrics::{MultiLabelPredictions, Predictions};
use cass_probe::look::{Embedding, Moment, Subjects};
use cass_run::names;
use rayon::prelude::*;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Show in one page how a run's networks place the test images: by PCA and t-SNE.
///
/// Points are coloured by true class; over a point the page shows its image and names its file, and
/// rings are images that the probe mislabels. The page holds all it shows: no other file, no
/// network. Nothing is drawn at random, so the same run gives the same page.
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// A finished pretraining, whose arms are shown next to each other, or a finished probe.
    #[arg(long, value_name = "RUN")]
    run: PathBuf,
    /// The page to write; where its name ends with .svg, a picture: t-SNE of each network, and the classes' colours.
    #[arg(long, value_name = "FILE.html|.svg")]
    out: PathBuf,
    /// Only this network of the pretraining: cnn, vit or net.
    #[arg(long, value_name = "ARM")]
    arm: Option<String>,
    /// Show next to them the networks as the run began with them.
    #[arg(long)]
    before: bool,
    /// Folder that holds the data set, if not where the run had it.
    #[arg(long, value_name = "DIR")]
    data_root: Option<PathBuf>,
    /// Test images at most, evenly apart.
    #[arg(long, value_name = "N", default_value_t = 1500, value_parser = clap::value_parser!(u64).range(2..=5000))]
    images: u64,
    /// Width and height of the small images in the page, in pixels.
    #[arg(long, value_name = "PX", default_value_t = 64, value_parser = clap::value_parser!(u64).range(16..=128))]
    thumbnail: u64,
    #[command(flatten)]
    compute: Compute,
}

const EXAMPLE: &str = "\
Examples:
  cass embed --run runs/cass --before --out cass.html
  cass embed --run runs/cass-vit --out probe.html --json
  cass embed --run runs/cass --before --out cass.svg";

/// JPEG quality of the small images, from 1 to 100.
const QUALITY: u8 = 80;

/// One image of the page.
struct Shown {
    file: String,
    /// Names of its classes, or "none".
    truth: String,
    /// Class that a probe predicted.
    predicted: Option<String>,
    /// JPEG in base64.
    thumbnail: String,
}

/// One network at one time.
struct Panel {
    title: String,
    when: Moment,
    embedding: Embedding,
}

pub fn run(args: Args) -> Result<Report> {
    process::configure(args.compute.threads)?;
    let subjects = Subjects::open(&args.run, &args.compute.device)?;
    sealed::note(&args.run);
    let names = match &args.arm {
        Some(arm) => vec![arm.clone()],
        None => subjects.names(),
    };
    let images = subjects.images(args.data_root.as_deref())?;
    let indices = images.some_of(Part::Test, args.images as usize);
    if indices.len() < 2 {
        let found = indices.len();
        let text = format!("there are {found} test images to place, expected at least 2");
        return Err(Failure::Wrong(text));
    }
    let times: &[Moment] = if args.before {
        &[Moment::Before, Moment::After]
    } else {
        &[Moment::After]
    };
    let mut panels = Vec::new();
    for name in &names {
        for &when in times {
            let subject = subjects.network(name, when)?;
            let embedding = Embedding::of(&subject, &images, &indices)?;
            let title = title(&embedding, when, args.before);
            tracing::info!("placed {} images: {title}", indices.len());
            panels.push(Panel {
                title,
                when,
                embedding,
            });
        }
    }
    let predicted = predictions(&args.run)?;
    let shown = indices.par_iter().map(|&index| {
        let file = images.dataset.file_name(index);
        let pixels = images.dataset.pixels(index, args.thumbnail as usize)?;
        Ok(Shown {
            truth: truth(&images, index),
            predicted: predicted.get(&file).cloned(),
            thumbnail: STANDARD.encode(pixels.to_jpeg(QUALITY)?),
            file,
        })
    });
    let shown = shown.collect::<Result<Vec<Shown>>>()?;
    let is_picture = args
        .out
        .extension()
        .is_some_and(|end| end.eq_ignore_ascii_case("svg"));
    let page = match is_picture {
        true => page::picture(&panels, &shown),
        false => page::page(&args.run, &panels, &shown),
    };
    write(&args.out, &page)?;
    Ok(report(&args, &panels, &shown, page.len()))
}

fn title(embedding: &Embedding, when: Moment, both: bool) -> String {
    let Embedding { name, network, .. } = embedding;
    let mut title = name.clone();
    if name != network {
        title += &format!(", {network}");
    }
    match (both, when) {
        (false, _) => {}
        (true, Moment::Before) => title += ", before the run",
        (true, Moment::After) => title += ", after the run",
    }
    title
}

fn truth(images: &RunImages, index: usize) -> String {
    let labels = &images.dataset.samples[index].labels;
    let names: Vec<&str> = labels
        .iter()
        .map(|&label| images.dataset.classes[label].as_str())
        .collect();
    if names.is_empty() {
        "none".into()
    } else {
        names.join(" | ")
    }
}

/// What the run, if it is a probe, said of each file.
fn predictions(run: &Path) -> Result<HashMap<String, String>> {
    let file = run.join(names::PREDICTIONS);
    cass_run::expect_intact(&file)?;
    if let Ok(said) = Predictions::read(&file) {
        let rows = said.rows.into_iter();
        return Ok(rows
            .map(|row| (row.file, said.classes[row.predicted].clone()))
            .collect());
    }
    let Ok(said) = MultiLabelPredictions::read(&file, None) else {
        return Ok(HashMap::new());
    };
    let names = |i: usize| match said.predicted_names(i).as_slice() {
        [] => "none".to_string(),
        names => names.join(" | "),
    };
    let files = said.files.iter().cloned().enumerate();
    Ok(files.map(|(i, file)| (file, names(i))).collect())
}

fn report(args: &Args, panels: &[Panel], shown: &[Shown], bytes: usize) -> Report {
    let out = args.out.display();
    let networks = if panels.len() == 1 {
        "network"
    } else {
        "networks"
    };
    let text = format!(
        "{out}: {} images, {} {networks}, {:.1} MB",
        shown.len(),
        panels.len(),
        bytes as f64 / 1e6
    );
    let networks = panels.iter().map(|panel| {
        let Embedding {
            name,
            network,
            pca,
            tsne,
        } = &panel.embedding;
        json!({
            "name": name,
            "network": network,
            "when": if panel.when == Moment::Before { "before" } else { "after" },
            "explained": pca.explained,
            "pca": pca.points,
            "tsne": tsne,
        })
    });
    let images = shown.iter().map(
        |image| json!({"file": image.file, "true": image.truth, "predicted": image.predicted}),
    );
    let json = json!({
        "kind": "embed",
        "out": out.to_string(),
        "bytes": bytes,
        "networks": networks.collect::<Vec<Value>>(),
        "images": images.collect::<Vec<Value>>(),
    });
    Report::done(text, json)
}
