//! Short runs of PyTorch, replayed on the same batches from the same weights, in f64 where they were recorded so.

mod files;

pub(crate) use files::{Recorded, network};

use crate::error::Result;
use crate::settings::Protocol;
use crate::step::Step;
use candle_core::{DType, Device, Tensor, Var};
use cass_models::Model;
use cass_models::verify::TensorError;

/// What PyTorch ran, where its files do not say.
#[derive(Debug, Clone)]
pub struct Replay {
    /// The protocol: under the notebook's, gradients are never zeroed and nothing is averaged.
    pub protocol: Protocol,
    /// Whether CASS' first network was trained by plain SGD and not by Adam.
    pub cnn_sgd: bool,
    /// The step, from 0, after which CASS' averages count their first weights in.
    pub swa_start: usize,
    /// Learning rate of DINO, constant; CASS' begins with the first that the files hold.
    pub lr: f64,
    /// Where it is computed.
    pub device: Device,
}

/// How far a replay is from what PyTorch recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Deviation {
    /// The loss of every step.
    pub losses: Vec<LossError>,
    /// The largest difference of a learning rate; none where the files hold no rates.
    pub lr: Option<f64>,
    /// How far tensors are off after the last step, by kind.
    pub tensors: Vec<KindError>,
}

/// The loss of one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LossError {
    /// The loss as computed here.
    pub ours: f64,
    /// The loss as recorded.
    pub theirs: f64,
}

/// Tensors of one kind, such as all parameters of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct KindError {
    /// `cnn parameters`, `swa.vit statistics`, `centers`, ...
    pub what: String,
    /// ‖ours - theirs‖₂ / ‖theirs‖₂ over all of them.
    pub error: f64,
    /// The tensor that is furthest off for its own norm.
    pub worst: TensorError,
    /// Whether the files hold all that decides these tensors. They need not: vit-pytorch feeds its
    /// teacher a batch of noise before training, which only the running statistics remember.
    pub decided: bool,
}

impl LossError {
    /// The relative error.
    pub fn error(&self) -> f64 {
        (self.ours - self.theirs).abs() / self.theirs.abs().max(f64::MIN_POSITIVE)
    }
}

impl Deviation {
    /// The step, from 0, whose loss is furthest off, and its relative error.
    pub fn worst_loss(&self) -> (usize, f64) {
        let errors = self.losses.iter().map(LossError::error).enumerate();
        errors.fold((0, 0.0), |worst, now| {
            match now.1 > worst.1 || now.1.is_nan() {
                true => now,
                false => worst,
            }
        })
    }

    /// Whether every loss is within `rtol`, every rate within 1e-12 (absolute), and the tensors of
    /// every kind that the files decide within ten times `rtol`, relative by norm.
    pub fn passed(&self, rtol: f64) -> bool {
        let tensors = self.tensors.iter().filter(|kind| kind.decided);
        self.losses.iter().all(|loss| loss.error() <= rtol)
            && self.lr.is_none_or(|error| error <= 1e-12)
            && tensors
                .map(|kind| kind.error)
                .all(|error| error <= 10.0 * rtol)
    }
}

impl Replay {
    /// PyTorch's run under a protocol, Adam throughout, as the reference script's
    /// defaults have it.
    pub fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            cnn_sgd: false,
            swa_start: 4,
            lr: 1e-3,
            device: Device::Cpu,
        }
    }
}

/// Takes every recorded step.
pub(crate) fn steps(
    recorded: &Recorded,
    step: &mut dyn Step,
    views: &[&str],
    mut after: impl FnMut(usize, &dyn Step) -> Result<()>,
) -> Result<Deviation> {
    let losses = recorded
        .get("loss")?
        .to_dtype(DType::F64)?
        .to_vec1::<f64>()?;
    let lrs = recorded.tensors.get("lr").map(|lr| lr.to_vec1::<f64>());
    let lrs = lrs.transpose()?;
    let mut found = Deviation {
        losses: Vec::new(),
        lr: lrs.as_ref().map(|_| 0.0),
        tensors: Vec::new(),
    };
    for (i, theirs) in losses.into_iter().enumerate() {
        let views = views
            .iter()
            .map(|view| recorded.get(&format!("{view}.{i}")).cloned());
        let report = step.step(&views.collect::<Result<Vec<Tensor>>>()?)?;
        let ours = report.loss;
        found.losses.push(LossError { ours, theirs });
        if let (Some(worst), Some(theirs)) = (&mut found.lr, lrs.as_ref().and_then(|l| l.get(i))) {
            let errors = report.lr.values().map(|ours| (ours - theirs).abs());
            *worst = errors.fold(*worst, f64::max);
        }
        after(i, step)?;
    }
    Ok(found)
}

/// A network's parameters and its running statistics, recorded under `name.`; `known` says whether
/// the files decide the statistics.
pub(crate) fn of_network(
    recorded: &Recorded,
    name: &str,
    model: &Model,
    known: bool,
) -> Result<Vec<KindError>> {
    let kind = |what: &str| (format!("{name} {what}"), format!("{name}."));
    let parameters = compare(
        recorded,
        kind("parameters"),
        model.params().trainable(),
        true,
    )?;
    let statistics = compare(
        recorded,
        kind("statistics"),
        model.params().buffers(),
        known,
    )?;
    Ok(parameters.into_iter().chain(statistics).collect())
}

/// Compares tensors with the recorded ones of a kind, `(what, prefix)`; nothing where there are none.
pub(crate) fn compare(
    recorded: &Recorded,
    (what, prefix): (String, String),
    ours: Vec<(String, Var)>,
    decided: bool,
) -> Result<Option<KindError>> {
    let (mut distance, mut norm) = (0.0, 0.0);
    let mut worst: Option<TensorError> = None;
    for (name, var) in ours {
        let key = format!("{prefix}{name}");
        let theirs = recorded.get(&key)?;
        if theirs.dims() != var.dims() {
            let (found, wanted) = (theirs.dims(), var.dims());
            return Err(recorded.wrong(format!("`{key}` is {found:?}; expected {wanted:?}")));
        }
        let ours = var.as_detached_tensor().to_dtype(DType::F64)?;
        let theirs = theirs.to_dtype(DType::F64)?;
        let (off, size) = (squares(&(ours - &theirs)?)?, squares(&theirs)?);
        let error = off.sqrt() / size.sqrt().max(1e-6);
        if worst
            .as_ref()
            .is_none_or(|worst| error.is_nan() || error > worst.error)
        {
            worst = Some(TensorError { name, error });
        }
        // How many batches a statistic has seen is a count, not a size.
        if var.dtype() == DType::I64 {
            let differs = off > 0.0 && decided;
            distance += if differs { f64::INFINITY } else { 0.0 };
        } else {
            (distance, norm) = (distance + off, norm + size);
        }
    }
    Ok(worst.map(|worst| KindError {
        what,
        error: distance.sqrt() / norm.sqrt().max(1e-6),
        worst,
        decided,
    }))
}

fn squares(x: &Tensor) -> Result<f64> {
    Ok(x.sqr()?.sum_all()?.to_scalar()?)
}
