//! Features of images as they are, computed once and kept for the next probe of the same weights.

use super::parts::Parts;
use super::probe::Tell;
use super::recipe::ProbeRecipe;
use super::vector::numbers;
use crate::{Error, Result};
use candle_core::{DType, Device, Tensor};
use cass_data::dataset::Part;
use cass_models::registry::Normalization;
use cass_models::{Mode, Model};
use cass_run::{Action, Hasher, ProbeEvent, read_bounded, write_whole};
use safetensors::SafeTensors;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Instant;

/// SHA-256 of an image file.
type ImageHash = [u8; 32];

/// What a kept file depends on besides the weights, so that a change of it is another file.
const VIEW: &str = concat!("eval ", env!("CARGO_PKG_VERSION"));

/// The key of a file's metadata with the SHA-256 of what it keeps.
const SUM: &str = "sha256";
/// The largest file that is read, in bytes.
const LARGEST: u64 = 64 << 30;

/// The features of every part, row-major on the CPU.
pub(crate) struct Features {
    pub(crate) dim: usize,
    parts: [Vec<f32>; 3],
    /// Images that were not kept from an earlier probe.
    pub(crate) computed: usize,
    /// What it took to have them all.
    pub(crate) seconds: f64,
}

impl Features {
    /// Takes the features of all parts from the recipe's cache, and computes and keeps those that are
    /// not there. An image's features are known by its file's SHA-256, so that other fractions,
    /// splits and seeds find them too.
    pub(crate) fn of(
        recipe: &ProbeRecipe,
        parts: &Parts,
        model: &Model,
        tell: &mut Tell,
    ) -> Result<Self> {
        let started = Instant::now();
        let model = model.frozen()?;
        let dim = model.feature_dim();
        let file = match &recipe.feature_cache {
            Some(folder) => Some(folder.join(file_name(&model, recipe.batch)?)),
            None => None,
        };
        let mut known = HashMap::new();
        match file.as_deref().map(|file| (file, read(file, dim))) {
            None => {}
            Some((_, Ok(kept))) => known = kept,
            Some((file, Err(why))) => {
                let file = file.display();
                let text = format!("the kept features {file} {why}; they are computed again");
                tell(ProbeEvent::Note { text })?;
            }
        }
        let all = [Part::Train, Part::Val, Part::Test];
        let hash = |i: usize| parts.dataset.samples[i].sha256;
        let mut asked = HashSet::new();
        let missing: Vec<usize> = (all.iter().flat_map(|&part| parts.indices(part)).copied())
            .filter(|&i| !known.contains_key(&hash(i)) && asked.insert(hash(i)))
            .collect();
        let computed = missing.len();
        if computed > 0 {
            // In full batches alone: the rounding of an image's features depends on how many there are
            // next to it, not on which, and so must not depend on what an earlier probe has kept.
            let mut missing = missing;
            missing.resize(computed.next_multiple_of(recipe.batch), missing[0]);
            let loader = parts.loader_of(missing, false)?;
            let mut done = 0;
            for batch in loader.epoch(0) {
                let batch = batch?;
                let rows = model.features(batch.images(), Mode::Eval)?;
                let rows = rows.into_value().to_dtype(DType::F32)?.to_vec2::<f32>()?;
                for (&i, row) in batch.samples.iter().zip(rows) {
                    if row.iter().any(|v| !v.is_finite()) {
                        let file = parts.dataset.samples[i].path.clone();
                        let network = model.name().to_string();
                        return Err(Error::Features { network, file });
                    }
                    known.insert(hash(i), row);
                }
                done = computed.min(done + batch.samples.len());
                tell(ProbeEvent::Computing {
                    done,
                    images: computed,
                })?;
            }
        }
        tell(ProbeEvent::Features { computed })?;
        if let Some(file) = file.filter(|_| computed > 0) {
            write(&file, dim, &known)?;
        }
        let rows = |part| {
            let rows = parts.indices(part).iter().map(|&i| &known[&hash(i)]);
            rows.flatten().copied().collect()
        };
        Ok(Self {
            dim,
            parts: all.map(rows),
            computed,
            seconds: started.elapsed().as_secs_f64(),
        })
    }

    /// `(N, dim)` of a part, row-major.
    pub(crate) fn rows(&self, part: Part) -> &[f32] {
        &self.parts[part as usize]
    }

    /// The features of a part as a tensor.
    pub(crate) fn tensor(&self, part: Part, device: &Device) -> Result<Tensor> {
        let rows = self.rows(part);
        Ok(Tensor::from_slice(
            rows,
            (rows.len() / self.dim, self.dim),
            device,
        )?)
    }
}

/// Names the network, its weights but the classifier's, the input size, the view and the batch, whose
/// size shows in the rounding.
fn file_name(model: &Model, batch: usize) -> Result<String> {
    let classifier: HashSet<String> = (model.classifier_params().into_iter())
        .map(|(name, _)| name)
        .collect();
    let mut tensors: Vec<(String, Tensor)> = model.params().tensors()?.into_iter().collect();
    tensors.retain(|(name, _)| !classifier.contains(name));
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    let size = model.options().input_size;
    let mut hash = Hasher::default();
    hash.update(format!("{} {size} {VIEW} {batch}\n", model.name()).as_bytes());
    let Normalization { mean, std } = model.normalization();
    if model.normalization() != Normalization::IMAGENET {
        hash.update(format!("normalised by {mean:?} {std:?}\n").as_bytes());
    }
    for (name, tensor) in tensors {
        hash.update(format!("{name} {:?}\n", tensor.dims()).as_bytes());
        let values = numbers(&tensor)?;
        for chunk in values.chunks(1 << 14) {
            let bytes: Vec<u8> = chunk.iter().flat_map(|v| v.to_le_bytes()).collect();
            hash.update(&bytes);
        }
    }
    let hash = hash.finish();
    Ok(format!("{}-{size}-{hash}.safetensors", model.name()))
}

/// What a file keeps: nothing where there is none; or why it is not what [`write`] leaves, which costs
/// time alone.
fn read(file: &Path, dim: usize) -> Result<HashMap<ImageHash, Vec<f32>>, String> {
    let bytes = match read_bounded(file, LARGEST) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(HashMap::new()),
        Err(error) => return Err(format!("cannot be read ({error})")),
    };
    let (images, features) = tensors(&bytes).map_err(|error| format!("are damaged ({error})"))?;
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| e.to_string())?;
    match header.metadata().as_ref().and_then(|about| about.get(SUM)) {
        None => return Err("were left by an earlier version, without a checksum".into()),
        Some(kept) if *kept != sum(images.iter().flatten(), features.iter().flatten()) => {
            return Err("are damaged (their SHA-256 is another)".into());
        }
        Some(_) => {}
    }
    if images.len() != features.len() || features.iter().any(|row| row.len() != dim) {
        return Err(format!("are damaged (they are not rows of {dim})"));
    }
    let kept = images.into_iter().zip(features);
    Ok(kept
        .filter(|(_, row)| row.iter().all(|v| v.is_finite()))
        .filter_map(|(image, row)| Some((ImageHash::try_from(image).ok()?, row)))
        .collect())
}

/// The images and the rows of a file.
type Rows = (Vec<Vec<u8>>, Vec<Vec<f32>>);

fn tensors(bytes: &[u8]) -> candle_core::Result<Rows> {
    let tensors = candle_core::safetensors::load_buffer(bytes, &Device::Cpu)?;
    let get = |name: &str| {
        let tensor = tensors.get(name);
        tensor.ok_or_else(|| candle_core::Error::Msg(format!("no {name}")))
    };
    let images = get("sha256")?.to_vec2::<u8>()?;
    Ok((images, get("features")?.to_vec2::<f32>()?))
}

/// SHA-256 of what a file keeps.
fn sum<'a>(
    images: impl Iterator<Item = &'a u8>,
    features: impl Iterator<Item = &'a f32>,
) -> String {
    let mut hash = Hasher::default();
    hash.update(&images.copied().collect::<Vec<u8>>());
    for value in features {
        hash.update(&value.to_le_bytes());
    }
    hash.finish()
}

/// Writes a whole file: two probes may do this at once, and one of them is last.
fn write(file: &Path, dim: usize, known: &HashMap<ImageHash, Vec<f32>>) -> Result<()> {
    let mut images: Vec<&ImageHash> = known.keys().collect();
    images.sort_unstable();
    let rows: Vec<f32> = images
        .iter()
        .flat_map(|i| known[*i].iter().copied())
        .collect();
    let hashes: Vec<u8> = images.iter().flat_map(|i| i.iter().copied()).collect();
    let n = images.len();
    let about = HashMap::from([(SUM.to_string(), sum(hashes.iter(), rows.iter()))]);
    let tensors = HashMap::from([
        ("sha256", Tensor::from_vec(hashes, (n, 32), &Device::Cpu)?),
        ("features", Tensor::from_vec(rows, (n, dim), &Device::Cpu)?),
    ]);
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(cass_run::Error::io(Action::Create, folder))?;
    let bytes = safetensors::serialize(&tensors, Some(about));
    let bytes = bytes.map_err(candle_core::Error::wrap)?;
    write_whole(file, &bytes).map_err(cass_run::Error::io(Action::Write, file))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_reads_back_and_of_a_damaged_one_nothing_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deep/features.safetensors");
        assert_eq!(read(&file, 2), Ok(HashMap::new()));
        let known = HashMap::from([([1; 32], vec![1.0, 2.0]), ([2; 32], vec![3.0, -4.5])]);
        write(&file, 2, &known).unwrap();
        assert_eq!(read(&file, 2).as_ref(), Ok(&known));
        assert!(read(&file, 3).unwrap_err().contains("rows of 3"));
        let bytes = fs::read(&file).unwrap();
        fs::write(&file, &bytes[..bytes.len() - 3]).unwrap();
        assert!(read(&file, 2).is_err());
        // Every bit counts: of the header, of the images' hashes and of the features.
        for bit in 0..8 * bytes.len() {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            fs::write(&file, &damaged).unwrap();
            let read = read(&file, 2);
            assert!(
                read.is_err() || read.as_ref() == Ok(&known),
                "bit {bit}: {read:?}"
            );
        }
        let bad = HashMap::from([([1; 32], vec![f32::NAN])]);
        write(&file, 1, &bad).unwrap();
        assert_eq!(read(&file, 1), Ok(HashMap::new()));
    }

    #[test]
    fn the_classifier_is_no_part_of_the_name() {
        let options = cass_models::ModelOptions {
            num_classes: 3,
            input_size: 32,
            ..Default::default()
        };
        let model = Model::new("resnet18", &options).unwrap();
        let name = file_name(&model, 16).unwrap();
        let more = cass_models::ModelOptions {
            num_classes: 3,
            seed: 1,
            ..options.clone()
        };
        assert_ne!(
            name,
            file_name(&Model::new("resnet18", &more).unwrap(), 16).unwrap()
        );
        assert_ne!(name, file_name(&model, 8).unwrap());
        for (_, var) in model.classifier_params() {
            var.set(&var.ones_like().unwrap()).unwrap();
        }
        assert_eq!(name, file_name(&model, 16).unwrap());
    }
}
