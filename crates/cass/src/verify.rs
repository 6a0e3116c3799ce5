//! `cass verify`: a network against what timm computed, or training against what PyTorch did.

use crate::failure::{Failure, Result};
use crate::say::Report;
use crate::{process, trajectory};
use serde_json::json;
use std::fmt::Write as _;
use std::path::PathBuf;

/// Compare a network with what timm computed, or training steps with what PyTorch did.
///
/// With --arch, for the same weights and input: prints the relative error
/// (‖ours - timm's‖₂ / ‖timm's‖₂) of logits and features, of the logits in training mode, and of the
/// gradient and the running statistic that are furthest off.
///
/// The reference decides the precision: f64 where its input is. In f32 the gradients of a deep
/// network of ReLUs may be off by percents and yet be right: an input of a ReLU within rounding of 0
/// passes the gradient in one program and not in the other. f64 tells that from a mistake. The
/// reference must be made without drop rates (timm's Swin has drop_path_rate=0.1 unless told
/// otherwise), as what is dropped at random is met by no other program.
///
/// With --trajectory, from the same weights on the same batches: prints the relative error of the
/// loss at every step, the largest difference of a learning rate, and after the last step the
/// relative error by norm of all parameters, running statistics, averaged weights, DINO's teacher
/// and centres, next to the single tensor of each kind that is furthest off. Losses may be off by
/// RTOL, rates by 1e-12, tensors by ten times RTOL.
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// The network, by timm's name.
    #[arg(long, value_name = "NAME", requires_all = ["weights", "reference"], required_unless_present = "trajectory")]
    arch: Option<String>,
    /// Its weights: safetensors with timm's keys.
    #[arg(long, value_name = "FILE", requires = "arch")]
    weights: Option<PathBuf>,
    /// What timm computed: safetensors of input, logits, features, train_logits, probe, grad.KEY
    /// and buffer.KEY.
    #[arg(long, value_name = "FILE", requires = "arch")]
    reference: Option<PathBuf>,
    #[command(flatten)]
    trajectory: trajectory::Recorded,
    /// The largest relative error that passes; by default 1e-4 for a network, 1e-3 for a trajectory.
    #[arg(long, value_name = "RTOL")]
    rtol: Option<f64>,
    /// Where to compute: auto, cpu, cuda or cuda:N.
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: String,
    /// Worker threads; 0 for one a core.
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: usize,
}

const EXAMPLE: &str = "\
Examples:
  cass verify --arch resnet50 --weights weights.safetensors --reference reference.safetensors
  cass verify --trajectory fixtures/golden/trajectory_cass --method cass

Exit status: 0 within the tolerance, 1 above it, 2 wrong usage or input.";

pub fn run(args: Args) -> Result<Report> {
    process::configure(args.threads)?;
    let device = cass_train::device::open_device(&args.device)?;
    if let Some((method, replay, folder)) = args.trajectory.replay(&device) {
        return trajectory::run(&method, &replay, &folder, args.rtol.unwrap_or(1e-3));
    }
    let (Some(arch), Some(weights), Some(reference)) = (args.arch, args.weights, args.reference)
    else {
        let text = "expected --arch, --weights and --reference, or --trajectory and --method";
        return Err(Failure::Wrong(text.into()));
    };
    let rtol = args.rtol.unwrap_or(1e-4);
    let found = cass_models::verify::verify(&arch, &weights, &reference, &device)?;
    let passed = found.passed(rtol);
    let worst = |tensor: &Option<cass_models::verify::TensorError>| match tensor {
        Some(t) => format!("{:.2e} ({})", t.error, t.name),
        None => "none".into(),
    };
    let mut text = format!(
        "{}: logits {:.2e}, features {:.2e}, train_logits {:.2e}, worst gradient {}, worst buffer {}: {}",
        arch,
        found.logits,
        found.features,
        found.train_logits,
        worst(&found.worst_gradient),
        worst(&found.worst_buffer),
        if passed { "passed" } else { "FAILED" },
    );
    let cause = found.likely_cause(rtol).map(|cause| cause.to_string());
    if let Some(cause) = &cause {
        let _ = write!(text, "\nlikely cause: {cause}");
    }
    let named = |tensor: &Option<cass_models::verify::TensorError>| {
        tensor
            .as_ref()
            .map(|t| json!({"name": t.name, "error": t.error}))
    };
    let json = json!({
        "arch": arch,
        "rtol": rtol,
        "logits": found.logits,
        "features": found.features,
        "train_logits": found.train_logits,
        "worst_gradient": named(&found.worst_gradient),
        "worst_buffer": named(&found.worst_buffer),
        "dtype": found.dtype.as_str(),
        "likely_cause": cause,
        "passed": passed,
    });
    Ok(Report {
        passed,
        ..Report::done(text, json)
    })
}
