//! `cass predict`: new images to labels.

use crate::failure::{Failure, Result};
use crate::images::{DataArgs, expect_root};
use crate::options::Compute;
use crate::say::Report;
use crate::{next, process, sealed};
use cass_data::recipe::DataRecipe;
use cass_data::source::{Problem, ProblemKind, Source, items_in, recognise};
use cass_probe::apply::{Labelled, Predictor};
use cass_run::{for_spreadsheet, printable};
use clap::ValueEnum;
use serde_json::json;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Label new images with the classifier of a finished probe.
///
/// Writes a line a file to standard output as soon as its batch is done: CSV with the columns file,
/// predicted and one probability a class, or JSON. Files that cannot be used are named on standard
/// error and do not stop the others.
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// A finished probe, of any mode.
    #[arg(long, value_name = "RUN")]
    run: PathBuf,
    /// Images, folders whose images are taken at any depth, patterns such as 'scans/**/*.png', tables with a column of
    /// paths (.csv, .tsv) and .npz files of MedMNIST; instead of --data-root.
    #[arg(value_name = "IMAGE|FOLDER|TABLE")]
    inputs: Vec<PathBuf>,
    #[command(flatten)]
    images: DataArgs,
    /// Form of the lines; --json means jsonl, with a summary as the last line.
    #[arg(long, default_value = "csv")]
    format: Format,
    /// Images at a time.
    #[arg(long, value_name = "N", default_value_t = 16)]
    batch: usize,
    #[command(flatten)]
    compute: Compute,
}

const EXAMPLE: &str = "\
Examples:
  cass predict --run runs/cass-vit scans/ > predicted.csv
  cass predict --run runs/cass-vit --format jsonl a.jpg b.png
  cass predict --run runs/cass-vit patients.csv --columns path=file --images scans > predicted.csv

Exit status: 0 all labelled, 1 some file failed, 2 wrong usage or input.";

/// Form of the lines.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A header, then a line a file.
    Csv,
    /// A JSON object a line.
    Jsonl,
}

pub fn run(args: Args, json: bool) -> Result<Report> {
    if args.batch == 0 {
        return Err(Failure::Wrong("--batch 0: expected at least 1".into()));
    }
    process::configure(args.compute.threads)?;
    let predictor = Predictor::open(&args.run, &args.compute.device)?;
    sealed::note(&args.run);
    let mut failed = Vec::new();
    let mut fail = |file: &Path, why: String| {
        tracing::error!("{why}");
        failed.push(file.display().to_string());
    };
    let mut recipe = predictor.images_of_its_kind();
    if args.inputs.is_empty() {
        args.images.apply(&mut recipe, true)?;
        expect_root(&recipe)?;
    } else {
        if !args.images.data_root.is_empty() || args.images.data.is_some() {
            let text = "images are named twice: expected either IMAGE|FOLDER|TABLE or --data and --data-root";
            return Err(Failure::Wrong(text.into()));
        }
        args.images.apply(&mut recipe, true)?;
    }
    let reading = recipe.reading();
    predictor.expect_reading(&reading)?;
    // Of a table, its labels are not what is asked for.
    recipe.labels = vec!["none".into()];
    let mut items = Vec::new();
    let places = match args.inputs.is_empty() {
        true => vec![recipe.clone()],
        false => args.inputs.iter().map(|input| at(&recipe, input)).collect(),
    };
    for place in places {
        let file = place.name == "images" && place.root.is_file();
        let found = match file {
            // Whatever it is: what it is not is said when it is read.
            true => Ok(items_in(&place.root, &reading)),
            false => place.layout().find().map(|found| {
                for Problem { kind, path, detail } in found.problems {
                    if matches!(kind, ProblemKind::Row | ProblemKind::MissingFile) {
                        fail(&path, format!("{} {detail}", path.display()));
                    }
                }
                found.items
            }),
        };
        match found {
            Ok(found) => items.extend(found),
            Err(error) => fail(&place.root, Failure::from(error).to_string()),
        }
    }
    let jsonl = json || args.format == Format::Jsonl;
    let mut lines = Lines::start(jsonl, predictor.classes()).map_err(unwritten)?;
    let mut images = 0;
    for batch in items.chunks(args.batch) {
        let said = predictor.predict_items(batch, &reading)?;
        for (said, item) in said.into_iter().zip(batch) {
            match said {
                Ok(labelled) => {
                    images += 1;
                    lines.write(&labelled).map_err(unwritten)?;
                }
                Err(error) => fail(&item.path, Failure::from(error).to_string()),
            }
        }
        lines.flush().map_err(unwritten)?;
    }
    tracing::info!("labelled {images} images, {} failed", failed.len());
    let evaluate = format!(
        "cass evaluate --run {} --data-root IMAGES_WITH_LABELS",
        next::word(&args.run)
    );
    let json = json!({"kind": "predict", "images": images, "failed": failed});
    Ok(Report {
        passed: failed.is_empty(),
        ..Report::done(String::new(), json).next(evaluate)
    })
}

/// What an argument names: a table, an archive, or images.
fn at(recipe: &DataRecipe, input: &Path) -> DataRecipe {
    let name = match recognise(input) {
        Ok(name @ ("csv" | "medmnist")) if input.is_file() => name,
        _ => "images",
    };
    DataRecipe {
        name: name.into(),
        root: input.into(),
        more_roots: Vec::new(),
        ..recipe.clone()
    }
}

fn unwritten(error: io::Error) -> Failure {
    Failure::Failed(format!("standard output cannot be written to: {error}"))
}

/// Lines on standard output.
enum Lines {
    Csv(Box<csv::Writer<io::Stdout>>),
    Json {
        out: io::Stdout,
        classes: Vec<String>,
    },
}

impl Lines {
    fn start(json: bool, classes: &[String]) -> io::Result<Self> {
        let out = io::stdout();
        if json {
            let classes = classes.to_vec();
            return Ok(Self::Json { out, classes });
        }
        let mut writer = csv::Writer::from_writer(out);
        let columns = ["file", "predicted"].into_iter();
        let columns = columns.chain(classes.iter().map(String::as_str));
        writer.write_record(columns.map(|name| for_spreadsheet(name).into_owned()))?;
        Ok(Self::Csv(Box::new(writer)))
    }

    fn write(&mut self, labelled: &Labelled) -> io::Result<()> {
        match self {
            Self::Csv(writer) => {
                let start = [&labelled.file, &labelled.predicted];
                // A program gets a name as it is, a person nothing that moves the cursor.
                let terminal = io::stdout().is_terminal();
                let start = start.map(|field| match terminal {
                    true => printable(field).into_owned(),
                    false => for_spreadsheet(field).into_owned(),
                });
                let probabilities = labelled.probabilities.iter().map(|p| format!("{p:?}"));
                Ok(writer.write_record(start.into_iter().chain(probabilities))?)
            }
            Self::Json { out, classes } => {
                let probabilities: serde_json::Map<_, _> = (classes.iter().cloned())
                    .zip(labelled.probabilities.iter().map(|&p| json!(p)))
                    .collect();
                let (file, predicted) = (&labelled.file, &labelled.predicted);
                let line =
                    json!({"file": file, "predicted": predicted, "probabilities": probabilities});
                writeln!(out, "{line}")
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Csv(writer) => writer.flush(),
            Self::Json { out, .. } => out.flush(),
        }
    }
}
