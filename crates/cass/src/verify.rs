//! `cass verify`: a network against what timm computed.

use crate::failure::Result;
use crate::process;
use crate::say::Report;
use serde_json::json;
use std::fmt::Write as _;
use std::path::PathBuf;

/// Compare a network with what timm computed for the same weights and input.
///
/// Prints the relative error (‖ours - timm's‖₂ / ‖timm's‖₂) of logits and features, of the logits in
/// training mode, and of the gradient and the running statistic that are furthest off.
///
/// The reference decides the precision: f64 where its input is. In f32 the gradients of a deep
/// network of ReLUs may be off by percents and yet be right: an input of a ReLU within rounding of 0
/// passes the gradient in one program and not in the other. f64 tells that from a mistake. The
/// reference must be made without drop rates (timm's Swin has drop_path_rate=0.1 unless told
/// otherwise), as what is dropped at random is met by no other program.
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// The network, by timm's name.
    #[arg(long, value_name = "NAME")]
    arch: String,
    /// Its weights: safetensors with timm's keys.
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// What timm computed: safetensors of input, logits, features, train_logits, probe, grad.KEY
    /// and buffer.KEY.
    #[arg(long, value_name = "FILE")]
    reference: PathBuf,
    /// The largest relative error that passes.
    #[arg(long, value_name = "RTOL", default_value_t = 1e-4)]
    rtol: f64,
    /// Worker threads; 0 for one a core.
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: usize,
}

const EXAMPLE: &str = "\
Example:
  cass verify --arch resnet50 --weights weights.safetensors --reference reference.safetensors

Exit status: 0 within the tolerance, 1 above it, 2 wrong usage or input.";

pub fn run(args: Args) -> Result<Report> {
    process::configure(args.threads)?;
    let found = cass_models::verify(&args.arch, &args.weights, &args.reference)?;
    let passed = found.passed(args.rtol);
    let worst = |tensor: &Option<cass_models::TensorError>| match tensor {
        Some(t) => format!("{:.2e} ({})", t.error, t.name),
        None => "none".into(),
    };
    let mut text = format!(
        "{}: logits {:.2e}, features {:.2e}, train_logits {:.2e}, worst gradient {}, worst buffer {}: {}",
        args.arch,
        found.logits,
        found.features,
        found.train_logits,
        worst(&found.worst_gradient),
        worst(&found.worst_buffer),
        if passed { "passed" } else { "FAILED" },
    );
    let cause = found.likely_cause(args.rtol).map(|cause| cause.to_string());
    if let Some(cause) = &cause {
        let _ = write!(text, "\nlikely cause: {cause}");
    }
    let named = |tensor: &Option<cass_models::TensorError>| {
        tensor
            .as_ref()
            .map(|t| json!({"name": t.name, "error": t.error}))
    };
    let json = json!({
        "arch": args.arch,
        "rtol": args.rtol,
        "logits": found.logits,
        "features": found.features,
        "train_logits": found.train_logits,
        "worst_gradient": named(&found.worst_gradient),
        "worst_buffer": named(&found.worst_buffer),
        "dtype": found.dtype.as_str(),
        "likely_cause": cause,
        "passed": passed,
    });
    Ok(Report { text, json, passed })
}
