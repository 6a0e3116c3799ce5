//! A network compared with what timm computed for the same weights and input.

use crate::error::{Error, Result};
use crate::layers::Mode;
use crate::model::Model;
use crate::options::ModelOptions;
use crate::read::read_file;
use candle_core::{DType, Device, Tensor};
use std::collections::HashMap;
use std::fmt;
use std::path::Path;

/// Weights, gradients and statistics of the largest network in f64, twice over.
const LARGEST_REFERENCE: u64 = 16 << 30;

/// Relative error of one tensor, `‖ours - theirs‖₂ / ‖theirs‖₂`; of a gradient that is rounding alone,
/// less than √ε of the largest of the network, over that share.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorError {
    /// timm's key.
    pub name: String,
    /// Relative error; not finite where either side is not.
    pub error: f64,
}

/// Relative errors of a network against a reference.
#[derive(Debug, Clone, PartialEq)]
pub struct Verification {
    /// Classifier outputs in evaluation mode.
    pub logits: f64,
    /// Error of what the classifier sees, in evaluation mode.
    pub features: f64,
    /// Classifier outputs in training mode.
    pub train_logits: f64,
    /// The gradient that is furthest off; none where the reference holds none.
    pub worst_gradient: Option<TensorError>,
    /// The running statistic that is furthest off after one forward pass in training mode; none
    /// where the network has none.
    pub worst_buffer: Option<TensorError>,
    /// Precision of the computation: that of the reference's input.
    pub dtype: DType,
    /// Difference between the reference's logits in training mode are from its own in evaluation mode.
    pub train_gap: f64,
}

/// Causes of errors other than a mistake in a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LikelyCause {
    /// The reference left out paths or values at random in training mode.
    DropRates,
    /// ReLUs whose input is within rounding of 0 passed the gradient in one program alone.
    ReluRounding,
}

impl fmt::Display for LikelyCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DropRates => {
                "the reference was made with drop rates: its training mode differs from its \
                 evaluation mode, as nothing else does without batch normalisation; timm's Swin \
                 has drop_path_rate=0.1, create it with drop_path_rate=0.0"
            }
            Self::ReluRounding => {
                "rounding: outputs and statistics agree, and in f32 a ReLU whose input is about 0 \
                 passes the gradient in one program and not in the other; a reference in f64 \
                 (model.double() and its input) tells that from a mistake"
            }
        })
    }
}

impl Verification {
    /// Whether every error is at most `rtol`.
    pub fn passed(&self, rtol: f64) -> bool {
        let worst = [&self.worst_gradient, &self.worst_buffer];
        let worst = worst.into_iter().flatten().map(|t| t.error);
        [self.logits, self.features, self.train_logits]
            .into_iter()
            .chain(worst)
            .all(|error| error <= rtol)
    }

    /// The likely cause of the errors above `rtol`, if their pattern shows one other than a mistake.
    pub fn likely_cause(&self, rtol: f64) -> Option<LikelyCause> {
        // NaN is no error of these.
        let above = |error: f64| error > rtol;
        let within = |error: f64| error <= rtol;
        if !(within(self.logits) && within(self.features)) {
            return None;
        }
        match &self.worst_buffer {
            None if above(self.train_logits) && above(self.train_gap) => {
                Some(LikelyCause::DropRates)
            }
            // The networks with batch normalisation are those with ReLUs.
            Some(buffer)
                if self.dtype == DType::F32
                    && within(self.train_logits)
                    && within(buffer.error)
                    && self.worst_gradient.as_ref().is_some_and(|g| above(g.error)) =>
            {
                Some(LikelyCause::ReluRounding)
            }
            _ => None,
        }
    }
}

/// Compares the network `name` with `weights` to a `reference` file of the tensors `input`
/// (B, 3, S, S), `logits` and `train_logits` (B, K), `features` (B, D), `probe` (B, K),
/// `grad.<key>` of mean(train_logits · probe) and `buffer.<key>`.
///
/// The network computes on `device`, in the precision of `input`. In f32 the gradients of a deep network of
/// ReLUs on a small batch may differ by percents between any two programs, as a ReLU on either side
/// of 0 passes all or nothing; a reference in f64 tells that from a mistake. A reference made with
/// drop rates can be met by no other program. [`Verification::likely_cause`] tells both.
///
/// # Errors
/// If the name is unknown, a file is malformed or does not fit the network, or the reference lacks
/// a tensor (gradients may be missing, but only all of them).
pub fn verify(
    name: &str,
    weights: &Path,
    reference: &Path,
    device: &Device,
) -> Result<Verification> {
    let theirs = Reference {
        tensors: read_file(reference, LARGEST_REFERENCE)?.1,
        file: reference,
    };
    let (input, probe) = (theirs.get("input")?, theirs.get("probe")?);
    let (&[_, channels, _, size], &[_, classes]) = (input.dims(), probe.dims()) else {
        return Err(theirs.wrong("input is no batch of images or probe no batch of outputs".into()));
    };
    let options = ModelOptions {
        num_classes: classes,
        input_size: size,
        in_chans: channels,
        dtype: input.dtype(),
        device: device.clone(),
        ..Default::default()
    };
    let (input, probe) = (&input.to_device(device)?, &probe.to_device(device)?);
    let model = Model::new(name, &options)?;
    let report = model.load(weights)?;
    if report.new_head.is_some() || report.resampled.is_some() {
        return Err(theirs.wrong(format!("it is of another size than the weights: {report}")));
    }
    let output = model.frozen()?.forward(input, Mode::Eval)?;
    let (logits, features) = (
        theirs.error("logits", 0.0, output.logits.value())?,
        theirs.error("features", 0.0, output.features.value())?,
    );
    let output = model.forward(input, Mode::Train)?;
    let train_logits = theirs.error("train_logits", 0.0, output.logits.value())?;
    let buffers = model.params().buffers().into_iter();
    let buffers = buffers.filter(|(key, _)| !key.ends_with("num_batches_tracked"));
    let worst_buffer = theirs.worst(
        "buffer",
        0.0,
        buffers.map(|(key, var)| (key, var.as_tensor().clone())),
    )?;
    let worst_gradient = if theirs.tensors.keys().any(|key| key.starts_with("grad.")) {
        let share = 1.0 / probe.elem_count() as f64;
        let grads = output.logits.backward_from(&(probe * share)?)?;
        let params = model.params().trainable().into_iter();
        let of = |(key, var): (String, candle_core::Var)| match grads.get(&var) {
            Some(grad) => Ok((key, grad.clone())),
            None => Err(theirs.wrong(format!("{key} has no gradient of ours"))),
        };
        theirs.worst(
            "grad",
            theirs.rounding(input.dtype())?,
            params.map(of).collect::<Result<Vec<_>>>()?.into_iter(),
        )?
    } else {
        None
    };
    Ok(Verification {
        logits,
        features,
        train_logits,
        worst_gradient,
        worst_buffer,
        dtype: input.dtype(),
        train_gap: relative_error(theirs.get("train_logits")?, theirs.get("logits")?, 0.0)?,
    })
}

/// `‖t‖₂`, in f64.
fn norm(t: &Tensor) -> candle_core::Result<f64> {
    let squares = t.to_dtype(DType::F64)?.sqr()?.sum_all()?;
    squares.sqrt()?.to_scalar::<f64>()
}

/// `‖a - b‖₂ / max(‖b‖₂, least)`, in f64.
fn relative_error(a: &Tensor, b: &Tensor, least: f64) -> candle_core::Result<f64> {
    let here = |t: &Tensor| t.to_device(&Device::Cpu)?.to_dtype(DType::F64);
    let (a, b) = (here(a)?, here(b)?);
    let (off, size) = (norm(&(a - &b)?)?, norm(&b)?);
    // NaN stays where either side is not finite.
    let size = if size < least { least } else { size };
    Ok(if off == 0.0 { 0.0 } else { off / size })
}

struct Reference<'a> {
    tensors: HashMap<String, Tensor>,
    file: &'a Path,
}

impl Reference<'_> {
    fn wrong(&self, reason: String) -> Error {
        Error::Weights {
            file: self.file.to_path_buf(),
            reason,
        }
    }

    fn get(&self, name: &str) -> Result<&Tensor> {
        self.tensors
            .get(name)
            .ok_or_else(|| self.wrong(format!("{name} is missing")))
    }

    fn error(&self, name: &str, least: f64, ours: &Tensor) -> Result<f64> {
        let theirs = self.get(name)?;
        if ours.dims() != theirs.dims() {
            let (ours, theirs) = (ours.dims(), theirs.dims());
            return Err(self.wrong(format!("{name} is {theirs:?}, expected {ours:?}")));
        }
        Ok(relative_error(ours, theirs, least)?)
    }

    /// The smallest norm that a gradient's error is relative to. What is added to a map that is normalised
    /// before anything else sees it has no gradient in training, and what either program has there is
    /// what is left of sums that cancel: no two agree on it.
    fn rounding(&self, dtype: DType) -> Result<f64> {
        let epsilon = match dtype {
            DType::F64 => f64::EPSILON,
            _ => f32::EPSILON.into(),
        };
        let gradients = self
            .tensors
            .iter()
            .filter(|(key, _)| key.starts_with("grad."));
        let mut largest: f64 = 0.0;
        for (_, gradient) in gradients {
            largest = largest.max(norm(gradient)?);
        }
        Ok(largest * epsilon.sqrt())
    }

    /// The tensor under `<kind>.<key>` that is furthest off, by errors relative to at least `least`; one
    /// that is not finite is furthest.
    fn worst(
        &self,
        kind: &str,
        least: f64,
        ours: impl Iterator<Item = (String, Tensor)>,
    ) -> Result<Option<TensorError>> {
        let mut worst: Option<TensorError> = None;
        for (name, tensor) in ours {
            let error = self.error(&format!("{kind}.{name}"), least, &tensor)?;
            if worst
                .as_ref()
                .is_none_or(|w| !error.is_finite() || error > w.error)
            {
                worst = Some(TensorError { name, error });
            }
        }
        Ok(worst)
    }
}
