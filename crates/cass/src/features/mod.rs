//! `cass features`: images to the features that a network has for them.

mod parquet;

use crate::failure::{Failure, Result};
use crate::images::{DataArgs, expect_root, survey};
use crate::options::{Compute, normalization};
use crate::output::write;
use crate::say::Report;
use crate::{hub, next, process, sealed};
use cass_data::dataset::{Dataset, OpenOptions};
use cass_data::loader::{Loader, LoaderConfig};
use cass_data::recipe::DataRecipe;
use cass_probe::fit::{ProbeMode, ProbeRecipe};
use cass_probe::look::{Moment, Subject, Subjects};
use cass_run::for_spreadsheet;
use cass_train::recipe::Normalize;
use cass_train::{Protocol, Weights};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Write the features of images, for programs that go on from there.
///
/// FILE.npy is an array of float32, a row an image, for `numpy.load`; what each row is of stands in FILE.files.csv next to it.
/// FILE.csv and FILE.parquet have the same columns (file, label, group) and then one a feature, f0, f1 and so on. Labels
/// and groups are those of the data set, empty (null in Parquet) where there are none. The features are what a probe is fitted on: timm's `forward_head(x, pre_logits=True)`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// A finished pretraining or probe, whose network it is.
    #[arg(long, value_name = "RUN", required_unless_present = "weights")]
    run: Option<PathBuf>,
    /// Which of the pretraining's networks: cnn, vit or net.
    #[arg(long, value_name = "ARM", requires = "run")]
    arm: Option<String>,
    /// Instead of a run: random, hub, hub:OWNER/NAME@REVISION, or a file of weights.
    #[arg(
        long,
        value_name = "WEIGHTS",
        conflicts_with = "run",
        requires = "arch"
    )]
    weights: Option<Weights>,
    /// The network of these weights, by timm's name.
    #[arg(long, value_name = "NAME", conflicts_with = "run")]
    arch: Option<String>,
    /// Height and width of the images the network sees, in pixels; by default the run's, or 224.
    #[arg(long, value_name = "PX", conflicts_with = "run")]
    size: Option<usize>,
    /// What images are normalised by; by default as the run has it, or as the weights were trained.
    #[arg(long, value_name = "STATISTICS", conflicts_with = "run", value_parser = normalization())]
    normalization: Option<Normalize>,
    /// Seed of random weights.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    images: DataArgs,
    /// The file to write: FILE.npy, FILE.csv or FILE.parquet.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Images at a time.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    batch: u64,
    #[command(flatten)]
    compute: Compute,
    /// Images, and folders whose images are taken at any depth; instead of --data-root.
    #[arg(value_name = "IMAGE|FOLDER")]
    inputs: Vec<PathBuf>,
}

const EXAMPLE: &str = "\
Examples:
  cass features --run runs/cass --arm vit --out scans.npy scans/
  cass features --weights hub --arch vit_small_patch14_dinov2 --data folder --data-root DIR --out dinov2.csv";

/// Form of the file.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Npy,
    Csv,
    Parquet,
}

pub fn run(args: Args) -> Result<Report> {
    let form = match args.out.extension().and_then(|end| end.to_str()) {
        Some("npy") => Form::Npy,
        Some("csv") => Form::Csv,
        Some("parquet") => Form::Parquet,
        _ => {
            let text = format!(
                "--out {}: expected FILE.npy, FILE.csv or FILE.parquet",
                args.out.display()
            );
            return Err(Failure::Wrong(text));
        }
    };
    process::configure(args.compute.threads)?;
    let (subject, mut recipe) = network(&args)?;
    match args.inputs.split_first() {
        Some((first, more)) => {
            recipe.name = "images".into();
            (recipe.root, recipe.more_roots) = (first.clone(), more.to_vec());
            args.images.apply(&mut recipe, true)?;
        }
        None => args.images.apply(&mut recipe, args.run.is_some())?,
    }
    expect_root(&recipe)?;
    subject.expect_reading(&recipe.reading())?;
    survey(&recipe)?;
    let size = subject.model.options().input_size;
    let dataset = Arc::new(recipe.open(&OpenOptions {
        size: Some(size),
        ..OpenOptions::default()
    })?);
    let config = LoaderConfig {
        size,
        batch: args.batch as usize,
        device: subject.model.options().device.clone(),
        ..LoaderConfig::default()
    };
    let loader = Loader::new(
        dataset.clone(),
        (0..dataset.len()).collect(),
        config.plain(),
    )?;
    let features = subject.features(&loader)?;
    let dim = subject.model.feature_dim();
    let list = args.out.with_extension("files.csv");
    match form {
        Form::Npy => {
            write(&list, table(&dataset, &[], 0)?)?;
            write(&args.out, npy(&features, dim))?;
        }
        Form::Csv => write(&args.out, table(&dataset, &features, dim)?)?,
        Form::Parquet => {
            let rows: Vec<_> = (0..dataset.len()).map(|i| about(&dataset, i)).collect();
            let bytes = parquet::table(&rows, &features, dim);
            let bytes = bytes
                .map_err(|error| Failure::Failed(format!("a table cannot be made: {error}")))?;
            write(&args.out, bytes)?;
        }
    }
    let images = dataset.len();
    let text = format!(
        "{}: {images} images, {dim} features of {}\n",
        args.out.display(),
        subject.name
    );
    let json = json!({
        "kind": "features",
        "images": images,
        "dim": dim,
        "network": subject.model.name(),
        "file": args.out,
        "list": (form == Form::Npy).then_some(list),
    });
    Ok(Report::done(text, json).next(opening(&args.out, form)))
}

/// What opens a file of features in Python.
fn opening(out: &Path, form: Form) -> String {
    let path = out.display().to_string();
    let read = match form {
        Form::Npy => format!("import numpy; numpy.load({path:?})"),
        Form::Csv => format!("import pandas; pandas.read_csv({path:?})"),
        Form::Parquet => format!("import pandas; pandas.read_parquet({path:?})"),
    };
    format!("python -c {}", next::word(read))
}

/// The network that is asked for, and how its images are read.
fn network(args: &Args) -> Result<(Subject, DataRecipe)> {
    if let Some(run) = &args.run {
        let subjects = Subjects::open(run, &args.compute.device)?;
        sealed::note(run);
        let names = subjects.names();
        let name = match (&args.arm, &names[..]) {
            (Some(arm), _) => arm,
            (None, [only]) => only,
            (None, _) => {
                let arms = names.join(" or --arm ");
                let text = format!(
                    "{} has several networks, choose --arm {arms}",
                    run.display()
                );
                return Err(Failure::Wrong(text));
            }
        };
        let recipe = DataRecipe {
            root: PathBuf::new(),
            ..subjects.data().clone().as_read()
        };
        return Ok((subjects.network(name, Moment::After)?, recipe));
    }
    let (Some(weights), Some(arch)) = (&args.weights, &args.arch) else {
        return Err(Failure::Wrong("--run or --weights is missing".into()));
    };
    let mut recipe = ProbeRecipe::preset(Protocol::Paper, ProbeMode::Knn);
    recipe.network.clone_from(arch);
    recipe.weights = hub::resolve(weights, arch, None)?;
    recipe.size = args.size.unwrap_or(224);
    recipe.seed = args.seed;
    recipe.device.clone_from(&args.compute.device);
    recipe.normalization = match args.normalization {
        Some(normalization) => normalization,
        None => Normalize::for_weights(arch, &recipe.weights)?,
    };
    if let Some(channels) = args.images.in_chans {
        recipe.data.in_chans = channels;
    }
    recipe.data.check()?;
    hub::bring(&recipe.weights, arch)?;
    Ok((Subject::of_weights(&recipe)?, recipe.data))
}

/// The file of an image, its labels and its group.
fn about(dataset: &Dataset, index: usize) -> parquet::Row {
    let sample = &dataset.samples[index];
    let labels = sample
        .labels
        .iter()
        .map(|&label| dataset.classes[label].as_str());
    let labels: Vec<&str> = labels.collect();
    let group = sample.group.clone().unwrap_or_default();
    [dataset.file_name(index), labels.join("|"), group]
}

/// Files, labels and groups, and then `dim` features each.
fn table(dataset: &Dataset, features: &[f32], dim: usize) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let failed = |error: csv::Error| Failure::Failed(format!("a table cannot be made: {error}"));
    let heads = ["file", "label", "group"].map(str::to_owned).into_iter();
    let heads = heads.chain((0..dim).map(|i| format!("f{i}")));
    writer.write_record(heads).map_err(failed)?;
    for index in 0..dataset.len() {
        let start = about(dataset, index).map(|field| for_spreadsheet(&field).into_owned());
        let row = features
            .get(index * dim..(index + 1) * dim)
            .unwrap_or_default();
        let fields = start.into_iter().chain(row.iter().map(f32::to_string));
        writer.write_record(fields).map_err(failed)?;
    }
    let unfinished = |error: csv::IntoInnerError<_>| failed(error.into_error().into());
    writer.into_inner().map_err(unfinished)
}

/// A NumPy file (version 1.0) of float32, row-major.
fn npy(features: &[f32], dim: usize) -> Vec<u8> {
    let shape = (features.len() / dim.max(1), dim);
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape:?}, }}");
    // With what stands before it a multiple of 64 bytes, the last a newline.
    let length = (10 + header.len() + 1).next_multiple_of(64) - 10;
    header += &" ".repeat(length - 1 - header.len());
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(features.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}
