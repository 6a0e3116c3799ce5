//! `cass export`: a run's network as a folder that timm loads.

use crate::failure::Result;
use crate::say::Report;
use crate::sealed;
use cass_run::{Finished, Metrics};
use serde_json::json;
use std::path::PathBuf;

/// Write a network of a finished run as a folder that timm loads: model.safetensors and config.json.
///
/// A probe's network comes with its classifier and the names of the classes; one of --mode knn has no
/// classifier to export. The configuration says
/// how images were resized and normalised in the run, which is not always as for the weights that
/// the run began with.
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// The run: of cass pretrain or cass probe.
    #[arg(long, value_name = "RUN")]
    run: PathBuf,
    /// Which network of a pretraining: cnn or vit of CASS, net of DINO.
    #[arg(long, value_name = "ARM")]
    arm: Option<String>,
    /// The folder to write, new or empty.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

const EXAMPLE: &str = "\
Example:
  cass export --run runs/cass --arm vit --out exported
In Python:
  timm.create_model(\"local-dir:exported\", pretrained=True)";

pub fn run(args: &Args) -> Result<Report> {
    let run = Finished::open(&args.run)?;
    sealed::note(&args.run);
    let arm = args.arm.as_deref();
    let model = match run.metrics {
        Metrics::Pretrain(_) => cass_train::export::export(&run, arm, &args.out)?,
        Metrics::Probe(_) => cass_probe::apply::export(&run, arm, &args.out)?,
    };
    let (name, outputs) = (model.name(), model.num_classes());
    let size = model.options().input_size;
    let out = args.out.display().to_string();
    let text = format!(
        "{out}: {name} with {outputs} outputs at {size} px\n\
         timm.create_model(\"local-dir:{out}\", pretrained=True)"
    );
    let json = json!({
        "out": out,
        "architecture": name,
        "num_classes": outputs,
        "input_size": size,
    });
    Ok(Report::done(text, json))
}
