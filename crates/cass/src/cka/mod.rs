//! `cass cka`: how alike a run's networks see images, layer by layer.

mod page;

use crate::failure::Result;
use crate::options::Compute;
use crate::output::write;
use crate::say::Report;
use crate::{process, sealed};
use cass_data::dataset::Part;
use cass_probe::look::{LayerCka, Moment, Subject, Subjects};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Compare a run's networks layer by layer, before and after: linear CKA on test images.
///
/// 1 means that two layers tell images apart alike, but for rotation and scale, 0 that they have
/// nothing in common (Kornblith et al. 2019; of CNN and Transformer: Raghu et al. 2021). The page
/// shows both arms against each other as the run began and as it ended, and how far it moved each.
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// A finished pretraining; or a probe, whose network is compared with itself.
    #[arg(long, value_name = "RUN")]
    run: PathBuf,
    /// The page to write.
    #[arg(long, value_name = "FILE.html")]
    out: PathBuf,
    /// Folder that holds the data set, if not where the run had it.
    #[arg(long, value_name = "DIR")]
    data_root: Option<PathBuf>,
    /// Test images at most, evenly apart.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u64).range(4..))]
    images: u64,
    /// Images at a time, all of whose layers are in memory; the estimate is the mean over batches.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u64).range(4..))]
    batch: u64,
    #[command(flatten)]
    compute: Compute,
}

const EXAMPLE: &str = "\
Example:
  cass cka --run runs/cass --out alike.html --json";

/// Two networks of the comparison.
struct Pair {
    title: String,
    rows: String,
    columns: String,
    cka: LayerCka,
}

pub fn run(args: Args) -> Result<Report> {
    process::configure(args.compute.threads)?;
    let subjects = Subjects::open(&args.run, &args.compute.device)?;
    sealed::note(&args.run);
    let names = subjects.names();
    // Of each network first its beginning, then its end.
    let mut networks: Vec<Subject> = Vec::new();
    for name in &names {
        for when in [Moment::Before, Moment::After] {
            networks.push(subjects.network(name, when)?);
        }
    }
    let images = subjects.images(args.data_root.as_deref())?;
    let images = images.with_batch(args.batch as usize);
    let indices = images.some_of(Part::Test, args.images as usize);
    let last = networks.len() - 2;
    let mut wanted = vec![
        ((0, last), "before the run".to_string()),
        ((1, last + 1), "after the run".to_string()),
    ];
    for (place, name) in names.iter().enumerate() {
        let text = format!("{name}: what the run changed");
        wanted.push(((2 * place, 2 * place + 1), text));
    }
    let pairs: Vec<_> = wanted.iter().map(|(pair, _)| *pair).collect();
    let found = LayerCka::of(&networks, &pairs, &images, &indices)?;
    let title = |place: usize| {
        let time = if place.is_multiple_of(2) {
            "before"
        } else {
            "after"
        };
        format!("{}, {time}", networks[place].name)
    };
    let pairs = wanted.into_iter().zip(found);
    let pairs: Vec<Pair> = pairs
        .map(|(((a, b), text), cka)| Pair {
            title: text,
            rows: title(a),
            columns: title(b),
            cka,
        })
        .collect();
    let page = page::page(&args.run, &pairs, indices.len(), args.batch as usize);
    write(&args.out, &page)?;
    Ok(report(&args, &pairs, indices.len()))
}

/// Over all layers of both, or of the same layer before and after.
fn mean(cka: &LayerCka, same_layer: bool) -> Option<f64> {
    let cells = cka.values.iter().enumerate().flat_map(|(row, values)| {
        let cells = values.iter().enumerate();
        cells.filter_map(move |(column, v)| v.filter(|_| !same_layer || row == column))
    });
    let cells: Vec<f64> = cells.collect();
    (!cells.is_empty()).then(|| cells.iter().sum::<f64>() / cells.len() as f64)
}

fn report(args: &Args, pairs: &[Pair], images: usize) -> Report {
    let mut text = format!("{}: linear CKA on {images} test images", args.out.display());
    let described = pairs.iter().enumerate().map(|(place, pair)| {
        let (changed, what) = (
            place >= 2,
            if place >= 2 {
                "same layer"
            } else {
                "all layers"
            },
        );
        let mean = mean(&pair.cka, changed);
        let shown = mean.map_or("none".into(), |mean| format!("{mean:.3}"));
        text += &format!(
            "\n  {} x {}: mean {shown} ({what})",
            pair.rows, pair.columns
        );
        json!({
            "what": pair.title,
            "rows": pair.rows,
            "columns": pair.columns,
            "row_layers": pair.cka.rows,
            "column_layers": pair.cka.columns,
            "cka": pair.cka.values,
            "mean": mean,
        })
    });
    let described: Vec<Value> = described.collect();
    let json = json!({
        "kind": "cka",
        "out": args.out.display().to_string(),
        "images": images,
        "batch": args.batch,
        "pairs": described,
    });
    Report::done(text, json)
}
