//! Weights in files: safetensors or of `torch.save`, under timm's names or another project's.

mod write;

use crate::error::{Error, Result};
use crate::keys::{self, Asked, Groups, Named};
use crate::model::Model;
use crate::read::{WEIGHTS_FILE, read_file};
use crate::resample::Resampled;
use crate::text::printable;
use candle_core::{DType, Tensor};
use std::collections::{HashMap, HashSet};
use std::fmt::{self, Write as _};
use std::path::Path;

/// What loading a file did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadReport {
    /// Trainable tensors taken.
    pub tensors: usize,
    /// Values in them.
    pub parameters: usize,
    /// Other tensors taken: running statistics.
    pub buffers: usize,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// The file.
    pub source: String,
    /// The classifier that stayed as it was, where the file's is of another class count.
    pub new_head: Option<NewHead>,
    /// Sides of the grid in the file and in the network where position embeddings, or the first
    /// table of relative position biases, were resampled.
    pub resampled: Option<(usize, usize)>,
    /// What stood before the network's names in the file.
    pub prefix: String,
    /// Whose names the file had, if not timm's.
    pub layout: Option<&'static str>,
    /// Keys of the file that are of something else: a decoder, another head, an optimiser.
    pub left_out: Vec<String>,
    /// Parameters that the file lacks and that stayed as they were, as was asked for.
    pub new: Vec<String>,
    /// Channels of images for which the file's first convolution is, and for which it was made.
    pub channels: Option<(usize, usize)>,
}

/// A classifier that was not loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHead {
    /// timm's name, `fc`; of two heads both.
    pub name: String,
    /// Classes of the file.
    pub from: usize,
    /// Classes of the network.
    pub to: usize,
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (n, m) = (self.tensors, self.parameters as f64 / 1e6);
        let short = self.sha256.get(..12).unwrap_or(&self.sha256);
        write!(
            f,
            "loaded {n} tensors ({m:.1} M parameters, sha256 {short}…)"
        )?;
        if self.buffers > 0 {
            write!(f, " and {} running statistics", self.buffers)?;
        }
        write!(f, " from {}", self.source)?;
        if let Some(NewHead { name, from, to }) = &self.new_head {
            write!(f, "; new head {name} ({from} → {to})")?;
        }
        if let Some((from, to)) = self.resampled {
            write!(f, "; positions {from}x{from} → {to}x{to}")?;
        }
        if let Some((from, to)) = self.channels {
            write!(f, "; channels {from} → {to}")?;
        }
        if let Some(layout) = self.layout {
            write!(f, "; {layout}")?;
        }
        if !self.prefix.is_empty() {
            write!(f, "; keys under {}", printable(&self.prefix))?;
        }
        if !self.left_out.is_empty() {
            write!(
                f,
                "; left out {}",
                printable(&Groups(&self.left_out).to_string())
            )?;
        }
        if !self.new.is_empty() {
            write!(f, "; new, as the file lacks it: {}", Groups(&self.new))?;
        }
        Ok(())
    }
}

/// What a file has for a network.
struct Plan {
    /// Tensors in the network's order and shapes.
    tensors: Vec<(String, Tensor)>,
    new_head: Option<NewHead>,
    resampled: Option<(usize, usize)>,
    channels: Option<(usize, usize)>,
    left_out: Vec<String>,
    new: Vec<String>,
}

/// What a tensor of a file is to a network.
struct Fitted {
    value: Tensor,
    /// Sides of its grid before and after, where it had to be resampled.
    sides: Option<(usize, usize)>,
    /// Channels of images before and after, where it had to be made for others.
    channels: Option<(usize, usize)>,
}

impl Model {
    /// Takes the weights of a file, safetensors or of `torch.save` (of which nothing is run), or of a
    /// folder that holds one as `model.safetensors`.
    ///
    /// The names are timm's, or those of Hugging Face's `transformers` for ViT, DINOv2 and ResNet. They may
    /// all stand behind one prefix, `module.` or `visual.trunk.`, which is found where it is the only
    /// one; `FILE#prefix=teacher.` chooses one. Keys of something else are left out and named in the
    /// report; those that tell of another network are an error.
    ///
    /// A classifier of another class count is left as it is, and so is one that the file has nothing
    /// of (0 classes); position embeddings and relative position biases of another input size are
    /// resampled, and the first convolution is made for other channels, as timm does; f16, bf16 and f64
    /// are cast. Nothing is changed on error.
    ///
    /// # Errors
    /// If the file is missing, malformed, or has missing, foreign, wrongly shaped or non-finite
    /// tensors (the first five are named). With `FILE#missing=new` missing ones stay as they are, and
    /// the report names them.
    pub fn load(&self, file: &Path) -> Result<LoadReport> {
        let asked = Asked::parse(file).map_err(|reason| Error::Weights {
            file: file.to_path_buf(),
            reason,
        })?;
        let file = match asked.file.is_dir() {
            true => asked.file.join(WEIGHTS_FILE),
            false => asked.file.clone(),
        };
        let wrong = |reason: String| Error::Weights {
            file: file.clone(),
            reason,
        };
        let (bytes, found) = read_file(&file, self.largest_file())?;
        let named = keys::name(found, &self.wanted(), asked.prefix.as_deref()).map_err(wrong)?;
        let plan = self
            .match_tensors(&named, asked.missing_is_new)
            .map_err(wrong)?;
        let mut report = LoadReport {
            tensors: 0,
            parameters: 0,
            buffers: 0,
            sha256: cass_run::sha256(&bytes),
            source: file.display().to_string(),
            new_head: plan.new_head,
            resampled: plan.resampled,
            prefix: named.prefix,
            layout: named.layout,
            left_out: [named.left_out, plan.left_out].concat(),
            new: plan.new,
            channels: plan.channels,
        };
        let is_trainable: HashMap<_, _> = self.params().trainable().into_iter().collect();
        for (name, value) in &plan.tensors {
            if let Some(var) = self.params().get(name) {
                if is_trainable.contains_key(name) {
                    report.tensors += 1;
                    report.parameters += value.elem_count();
                } else {
                    report.buffers += 1;
                }
                var.set(&value.to_device(var.device())?.to_dtype(var.dtype())?)?;
            }
        }
        Ok(report)
    }

    /// Room for f64 with a large classifier, and no more: a file is read whole.
    fn largest_file(&self) -> u64 {
        let all = self.params().all();
        let values: usize = all.iter().map(|(_, var)| var.elem_count()).sum();
        (256 << 20) + 16 * values as u64
    }

    /// Names that a file for this network has under one prefix: all but the classifier's, and the counts
    /// that older exports of timm leave out.
    fn wanted(&self) -> Vec<String> {
        let names = self.params().all().into_iter().map(|(name, _)| name);
        let classifier = self.classifier_names();
        names
            .filter(|name| !classifier.contains(name) && !name.ends_with("num_batches_tracked"))
            .collect()
    }

    /// The tensors to take, in this network's shapes.
    fn match_tensors(
        &self,
        named: &Named,
        missing_is_new: bool,
    ) -> std::result::Result<Plan, String> {
        let found = &named.tensors;
        let classifier = self.classifier_names();
        let classes = match found.get(&classifier[1]) {
            Some(bias) => bias.elem_count(),
            // Some of timm's weights are published without a classifier.
            None if classifier.iter().all(|name| !found.contains_key(name)) => 0,
            None => self.num_classes(),
        };
        let classes = Some(classes).filter(|&count| count != self.num_classes());
        let mut plan = Plan {
            tensors: Vec::new(),
            new_head: classes.map(|from| NewHead {
                name: self.config().classifier().join(" and "),
                from,
                to: self.num_classes(),
            }),
            resampled: None,
            channels: None,
            left_out: Vec::new(),
            new: Vec::new(),
        };
        let mut faults = Vec::new();
        for (name, var) in self.params().all() {
            if plan.new_head.is_some() && classifier.contains(&name) {
                let (count, shape) = (classes.unwrap_or_default(), var.dims());
                let expected = [&[count], &shape[1..]].concat();
                match found.get(&name).map(Tensor::dims) {
                    None if count == 0 => {}
                    None => faults.push(format!("{name} is missing")),
                    Some(dims) if dims != expected => {
                        faults.push(format!("{name} is {dims:?}, expected {expected:?}"));
                    }
                    Some(_) => {}
                }
                continue;
            }
            match found.get(&name) {
                // Older exports of timm leave it out, and it decides nothing here.
                None if name.ends_with("num_batches_tracked") => {}
                None if missing_is_new => plan.new.push(name),
                None => faults.push(format!("{name} is missing")),
                Some(value) => match self.fit(&name, value, var.dims()) {
                    Ok(fitted) => {
                        plan.tensors.push((name, fitted.value));
                        plan.resampled = plan.resampled.or(fitted.sides);
                        plan.channels = plan.channels.or(fitted.channels);
                    }
                    Err(fault) => faults.push(fault),
                },
            }
        }
        let heads = self.config().classifier();
        let all = self.params().all();
        let outside_head = |name: &&str| !heads.iter().any(|head| name.starts_with(head));
        let names = all.iter().map(|(name, _)| name.as_str());
        let parts = names
            .filter(outside_head)
            .filter_map(|name| name.split('.').next());
        let parts: HashSet<&str> = parts.collect();
        let extra = found
            .keys()
            .filter(|key| self.params().get(key).is_none() && !self.network().derives(key));
        let (mut foreign, mut others): (Vec<_>, Vec<_>) = extra
            .cloned()
            .partition(|key| keys::is_foreign(key, &parts));
        foreign.sort();
        others.sort();
        plan.left_out = others;
        let hint = keys::hint(&foreign).map(|argument| {
            let name = self.name();
            format!("; {name},{argument} has it")
        });
        faults.extend(
            foreign
                .iter()
                .map(|name| format!("{name} is not of {}", self.name())),
        );
        if faults.is_empty() {
            return Ok(plan);
        }
        let mut text = faults[..faults.len().min(5)].join(", ");
        if faults.len() > 5 {
            let _ = write!(text, " and {} more", faults.len() - 5);
        }
        text.extend(hint);
        Err(text)
    }

    /// The value in the shape that is wanted.
    fn fit(
        &self,
        name: &str,
        value: &Tensor,
        shape: &[usize],
    ) -> std::result::Result<Fitted, String> {
        let say = |e: candle_core::Error| format!("{name}: {}", printable(&e.to_string()));
        let finite = || {
            let sum = value.to_dtype(DType::F64)?.abs()?.sum_all()?;
            Ok::<_, candle_core::Error>(sum.to_scalar::<f64>()?.is_finite())
        };
        let is_float = |dtype: DType| dtype.is_float();
        let wanted = self.params().get(name).map(|var| var.dtype());
        if wanted.is_some_and(is_float) && !value.dtype().is_float() {
            let found = value.dtype().as_str();
            return Err(format!("{name} is {found}, expected floating point"));
        }
        if value.dtype().is_float() && !finite().map_err(say)? {
            return Err(format!("{name} has values that are not finite"));
        }
        let (value, sides) = match self.network().resample(name, value, shape).map_err(say)? {
            Some(Resampled { value, sides }) => (value, Some(sides)),
            None => (value.clone(), None),
        };
        let is_first = name.strip_suffix(".weight") == Some(self.config().first_conv());
        let (value, channels) = match is_first {
            true => adapt_channels(&value, shape).map_err(say)?,
            false => (value, None),
        };
        if value.dims() != shape {
            return Err(format!("{name} is {:?}, expected {shape:?}", value.dims()));
        }
        Ok(Fitted {
            value,
            sides,
            channels,
        })
    }
}

/// `timm.models.adapt_input_conv`: a first convolution for colours to one for grey, as the sum over
/// colours, or for any number of channels, as the colours in turn, scaled so that the sum stays. From grey
/// to colours likewise. Others stay as they are.
fn adapt_channels(
    weight: &Tensor,
    shape: &[usize],
) -> candle_core::Result<(Tensor, Option<(usize, usize)>)> {
    let (&[_, from, ..], &[_, to, ..]) = (weight.dims(), shape) else {
        return Ok((weight.clone(), None));
    };
    let adapted = match (from, to) {
        _ if from == to || weight.rank() != 4 => return Ok((weight.clone(), None)),
        (3, 1) => weight.sum_keepdim(1)?,
        (1 | 3, _) => {
            let times = to.div_ceil(from);
            let repeated = Tensor::cat(&vec![weight; times], 1)?.narrow(1, 0, to)?;
            (repeated * (from as f64 / to as f64))?
        }
        _ => return Ok((weight.clone(), None)),
    };
    Ok((adapted, Some((from, to))))
}
