//! `cass verify --trajectory`: training steps against what PyTorch recorded.

use crate::failure::Result;
use crate::options::protocol;
use crate::pretrain::methods;
use crate::say::Report;
use candle_core::Device;
use cass_train::trajectory::{Deviation, Replay};
use cass_train::{Method, Protocol};
use clap::ValueEnum;
use serde_json::json;
use std::fmt::Write as _;
use std::path::PathBuf;

/// The flags of `verify` that are about a recorded run.
#[derive(clap::Args)]
pub struct Recorded {
    /// A short run of PyTorch to replay instead: trajectory.safetensors and the initial weights
    /// (cnn and vit.safetensors, or net, and projector.safetensors and what other heads there are).
    /// What was recorded in f64 is computed in f64.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["arch", "weights", "reference"], requires = "method")]
    trajectory: Option<PathBuf>,
    /// The method of the recorded run.
    #[arg(long, requires = "trajectory", value_parser = methods())]
    method: Option<Method>,
    /// The protocol of the recorded run: the notebook's never zeroes gradients.
    #[arg(long, requires = "trajectory", default_value = "paper", value_parser = protocol())]
    protocol: Protocol,
    /// The optimiser of CASS' first network in the recorded run; all others are Adam.
    #[arg(
        long,
        requires = "trajectory",
        value_name = "NAME",
        default_value = "adam"
    )]
    cnn_optimizer: OptimizerName,
    /// The step, from 0, after which the recorded run began to average weights.
    #[arg(
        long,
        requires = "trajectory",
        value_name = "STEP",
        default_value_t = 4
    )]
    swa_start: usize,
    /// The constant learning rate of a recorded run of DINO; CASS' are in the file.
    #[arg(
        long,
        requires = "trajectory",
        value_name = "RATE",
        default_value_t = 1e-3
    )]
    lr: f64,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum OptimizerName {
    /// torch.optim.Adam.
    Adam,
    /// torch.optim.SGD, without momentum.
    Sgd,
}

impl Recorded {
    /// The replay that is asked for, and its folder, if one is.
    pub fn replay(self, device: &Device) -> Option<(Method, Replay, PathBuf)> {
        let mut replay = Replay::new(self.protocol);
        replay.cnn_sgd = self.cnn_optimizer == OptimizerName::Sgd;
        (replay.swa_start, replay.lr) = (self.swa_start, self.lr);
        replay.device = device.clone();
        Some((self.method?, replay, self.trajectory?))
    }
}

pub fn run(
    method: &Method,
    replay: &Replay,
    folder: &std::path::Path,
    rtol: f64,
) -> Result<Report> {
    let found = method.replay(replay, folder)?;
    let passed = found.passed(rtol);
    let (step, loss) = found.worst_loss();
    let losses = found.losses.iter();
    let json = json!({
        "trajectory": folder,
        "method": method.name(),
        "steps": found.losses.len(),
        "rtol": rtol,
        "loss": {
            "error": loss,
            "step": step,
            "errors": losses.clone().map(|l| l.error()).collect::<Vec<_>>(),
            "ours": losses.clone().map(|l| l.ours).collect::<Vec<_>>(),
            "theirs": losses.map(|l| l.theirs).collect::<Vec<_>>(),
        },
        "lr": found.lr,
        "tensors": found.tensors.iter().map(|kind| json!({
            "what": kind.what,
            "error": kind.error,
            "worst": {"name": kind.worst.name, "error": kind.worst.error},
            "decided": kind.decided,
        })).collect::<Vec<_>>(),
        "passed": passed,
    });
    let text = text(&found, rtol) + if passed { "passed" } else { "FAILED" };
    Ok(Report {
        passed,
        ..Report::done(text, json)
    })
}

fn text(found: &Deviation, rtol: f64) -> String {
    let mut text = format!("{:26} {:>9} {:>9}  largest\n", "", "error", "allowed");
    for (i, loss) in found.losses.iter().enumerate() {
        let (ours, theirs) = (loss.ours, loss.theirs);
        let what = format!("loss, step {i}");
        let _ = writeln!(
            text,
            "{what:26} {:9.1e} {rtol:9.0e}  {ours:.6}, torch {theirs:.6}",
            loss.error()
        );
    }
    if let Some(lr) = found.lr {
        let _ = writeln!(
            text,
            "{:26} {lr:9.1e} {:9.0e}  absolute",
            "learning rates", 1e-12
        );
    }
    for kind in &found.tensors {
        let (allowed, worst) = (10.0 * rtol, &kind.worst);
        let allowed = match kind.decided {
            true => format!("{allowed:9.0e}"),
            false => format!("{:>9}", "-"),
        };
        let note = match kind.decided {
            true => "",
            false => " (not judged: the files lack teacher0.*, what the teacher had seen before)",
        };
        let _ = writeln!(
            text,
            "{:26} {:9.1e} {allowed}  {:.1e} at {}{note}",
            kind.what, kind.error, worst.error, worst.name
        );
    }
    text
}
