//! `cass export`: a run's network as a folder for other programs.

use crate::choice::one_of;
use crate::failure::Result;
use crate::next::word;
use crate::say::Report;
use crate::sealed;
use cass_models::Model;
use cass_models::export::Format;
use cass_models::onnx::{ONNX_FILE, OPSET};
use cass_run::{Finished, Metrics};
use clap::builder::TypedValueParser;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Write a network of a finished run as a folder that timm loads, model.safetensors and config.json, or
/// as ONNX, model.onnx.
///
/// A probe's network comes with its classifier and the names of the classes; one of --mode knn has no
/// classifier to export. In ONNX a pretraining's network gives features alone. The configuration, or
/// the metadata of the ONNX file, says how images were resized and normalised in the run, which is not
/// always as for the weights that the run began with.
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// The run: of cass pretrain or cass probe.
    #[arg(long, value_name = "RUN")]
    run: PathBuf,
    /// Which network of a pretraining: cnn or vit of CASS, net of DINO.
    #[arg(long, value_name = "ARM")]
    arm: Option<String>,
    /// What reads the folder.
    #[arg(long, value_name = "FORMAT", default_value = "timm", value_parser = format())]
    format: Format,
    /// The folder to write, new or empty.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

const EXAMPLE: &str = "\
Examples:
  cass export --run runs/cass --arm vit --out exported
  cass export --run runs/cass-vit --format onnx --out exported-onnx
In Python:
  timm.create_model(\"local-dir:exported\", pretrained=True)
  onnxruntime.InferenceSession(\"exported-onnx/model.onnx\")";

/// Reads what a folder is for.
fn format() -> impl TypedValueParser<Value = Format> {
    one_of([
        (Format::Timm, "timm", "timm.create_model"),
        (
            Format::Onnx,
            "onnx",
            "onnxruntime and whatever else runs ONNX",
        ),
    ])
}

pub fn run(args: &Args) -> Result<Report> {
    let run = Finished::open(&args.run)?;
    sealed::note(&args.run);
    let (arm, format) = (args.arm.as_deref(), args.format);
    let (model, has_labels) = match run.metrics {
        Metrics::Pretrain(_) => {
            let model = cass_train::export::export(&run, arm, format, &args.out)?;
            (model, false)
        }
        Metrics::Probe(_) => {
            let model = cass_probe::apply::export(&run, arm, format, &args.out)?;
            (model, true)
        }
    };
    Ok(match format {
        Format::Timm => timm(&args.out, &model),
        Format::Onnx => onnx(&args.out, &model, has_labels),
    })
}

fn timm(out: &Path, model: &Model) -> Report {
    let (name, outputs) = (model.name(), model.num_classes());
    let size = model.options().input_size;
    let out = out.display().to_string();
    let create = format!("timm.create_model(\"local-dir:{out}\", pretrained=True)");
    let text = format!("{out}: {name} with {outputs} outputs at {size} px\n{create}");
    let python = format!("import timm; {create}");
    let json = json!({
        "out": out,
        "format": "timm",
        "architecture": name,
        "num_classes": outputs,
        "input_size": size,
    });
    Report::done(text, json).next(format!("python -c {}", word(python)))
}

fn onnx(out: &Path, model: &Model, has_labels: bool) -> Report {
    let (name, options) = (model.name(), model.options());
    let (channels, size) = (options.in_chans, options.input_size);
    let file = out.join(ONNX_FILE).display().to_string();
    let mut outputs = vec![("features", model.feature_dim())];
    if has_labels {
        outputs.push(("logits", model.num_classes()));
    }
    let named = outputs
        .iter()
        .map(|(name, width)| format!("{name} (batch, {width})"));
    let named: Vec<_> = named.collect();
    let text = format!(
        "{file}: {name}, opset {OPSET}, images (batch, {channels}, {size}, {size}) to {}\n\
         onnxruntime.InferenceSession(\"{file}\").run(None, {{\"images\": images}})",
        named.join(" and ")
    );
    let json = json!({
        "out": out.display().to_string(),
        "format": "onnx",
        "file": file,
        "opset": OPSET,
        "architecture": name,
        "num_classes": has_labels.then(|| model.num_classes()),
        "input_size": size,
        "outputs": outputs.iter().map(|(name, _)| name).collect::<Vec<_>>(),
    });
    Report::done(text, json)
}
