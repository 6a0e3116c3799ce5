//! Weights in files: safetensors under timm's key names.

use crate::{
    error::{Error, Result, printable},
    model::Model,
    read::{WEIGHTS_FILE, read_file},
    resample::Resampled,
};
use candle_core::{DType, Tensor};
use std::{
    collections::HashMap,
    fmt::{self, Write as _},
    path::Path,
};

/// What loading a file did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadReport {
    /// Trainable tensors taken.
    pub tensors: usize,
    /// Values in them.
    pub parameters: usize,
    /// Other tensors taken: running statistics.
    pub buffers: usize,
    /// Of the file, in hexadecimal.
    pub sha256: String,
    /// The file.
    pub source: String,
    /// The classifier that stayed as it was, where the file's is of another class count.
    pub new_head: Option<NewHead>,
    /// Sides of the grid in the file and in the network where position embeddings, or the first
    /// table of relative position biases, were resampled.
    pub resampled: Option<(usize, usize)>,
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
        Ok(())
    }
}

/// What a file has for a network.
struct Plan {
    /// In the network's order and shapes.
    tensors: Vec<(String, Tensor)>,
    new_head: Option<NewHead>,
    resampled: Option<(usize, usize)>,
}

impl Model {
    /// Takes the weights of a safetensors file with timm's key names, or of a folder that holds one
    /// as `model.safetensors`.
    ///
    /// A classifier of another class count is left as it is, and so is one that the file has nothing
    /// of (0 classes); position embeddings and relative position biases of another input size are
    /// resampled as timm does; f16, bf16 and f64 are cast. Nothing is changed on error.
    ///
    /// # Errors
    /// If the file is missing, malformed, or has missing, extra, wrongly shaped or non-finite
    /// tensors (the first five are named).
    pub fn load(&self, file: &Path) -> Result<LoadReport> {
        let inside = file.join(WEIGHTS_FILE);
        let file = if file.is_dir() { &inside } else { file };
        let wrong = |reason: String| Error::Weights {
            file: file.to_path_buf(),
            reason,
        };
        let (bytes, found) = read_file(file, self.largest_file())?;
        let plan = self.match_tensors(&found).map_err(wrong)?;
        let mut report = LoadReport {
            tensors: 0,
            parameters: 0,
            buffers: 0,
            sha256: cass_run::sha256(&bytes),
            source: file.display().to_string(),
            new_head: plan.new_head,
            resampled: plan.resampled,
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

    /// The tensors to take, in this network's shapes.
    fn match_tensors(&self, found: &HashMap<String, Tensor>) -> std::result::Result<Plan, String> {
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
                None => faults.push(format!("{name} is missing")),
                Some(value) => match self.fit(&name, value, var.dims()) {
                    Ok((value, sides)) => {
                        plan.tensors.push((name, value));
                        plan.resampled = plan.resampled.or(sides);
                    }
                    Err(fault) => faults.push(fault),
                },
            }
        }
        let mut extra: Vec<_> = found
            .keys()
            .filter(|k| self.params().get(k).is_none() && !self.network().derives(k))
            .collect();
        extra.sort();
        faults.extend(
            extra
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
        Err(text)
    }

    /// The value in the shape that is wanted, and the sides of its grid before and after where it
    /// had to be resampled.
    fn fit(
        &self,
        name: &str,
        value: &Tensor,
        shape: &[usize],
    ) -> std::result::Result<(Tensor, Option<(usize, usize)>), String> {
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
        if value.dims() != shape {
            return Err(format!("{name} is {:?}, expected {shape:?}", value.dims()));
        }
        Ok((value, sides))
    }

    /// All variables as a safetensors file under timm's key names, with `metadata` and the
    /// architecture in the header.
    ///
    /// # Errors
    /// If they cannot be brought from their device.
    pub fn to_safetensors(&self, metadata: &[(&str, String)]) -> Result<Vec<u8>> {
        let tensors = self.params().tensors()?;
        let mut header: HashMap<String, String> = metadata
            .iter()
            .map(|(k, v)| (k.to_string(), v.clone()))
            .collect();
        header.insert("architecture".into(), self.name().into());
        header.insert("input_size".into(), self.options().input_size.to_string());
        header.insert("num_classes".into(), self.num_classes().to_string());
        let bytes = safetensors::serialize(&tensors, Some(header))
            .map_err(|e| e.to_string())
            .and_then(|bytes| with_sorted_header(&bytes))
            .map_err(candle_core::Error::msg)?;
        Ok(bytes)
    }

    /// Writes [`Model::to_safetensors`]. The file appears whole or not at all.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, file: &Path, metadata: &[(&str, String)]) -> Result<()> {
        cass_run::write_whole(file, &self.to_safetensors(metadata)?).map_err(|source| {
            Error::Write {
                file: file.to_path_buf(),
                source,
            }
        })
    }
}

/// The same file with its header's keys in order: the crate writes the metadata in a random one,
/// and the same weights should be the same bytes.
fn with_sorted_header(file: &[u8]) -> std::result::Result<Vec<u8>, String> {
    const LENGTH: usize = 8;
    let length = file
        .first_chunk::<LENGTH>()
        .map_or(0, |l| u64::from_le_bytes(*l)) as usize;
    let (header, data) = file[LENGTH..].split_at(length);
    let header: serde_json::Value = serde_json::from_slice(header).map_err(|e| e.to_string())?;
    let mut header = header.to_string().into_bytes();
    header.resize(header.len().next_multiple_of(LENGTH), b' ');
    Ok([
        &(header.len() as u64).to_le_bytes(),
        header.as_slice(),
        data,
    ]
    .concat())
}
