//! What a recording of PyTorch consists of.

use crate::error::{Error, Result};
use candle_core::{DType, Device, Tensor};
use cass_models::family::{Block, ModelConfig, ResNetConfig, Variant, VitConfig};
use cass_models::{Model, ModelOptions};
use safetensors::SafeTensors;
use serde_json::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// A safetensors file of a recording.
pub(crate) struct Recorded {
    path: PathBuf,
    pub(crate) tensors: HashMap<String, Tensor>,
    header: HashMap<String, String>,
}

impl Recorded {
    /// Its tensors, on a device.
    pub(crate) fn open(path: &Path, device: &Device) -> Result<Self> {
        let wrong =
            |why: String| Error::Mismatch(format!("{} cannot be replayed: {why}", path.display()));
        let bytes = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
        let read = SafeTensors::read_metadata(&bytes).map_err(|error| wrong(error.to_string()))?;
        let tensors = candle_core::safetensors::load_buffer(&bytes, device);
        Ok(Self {
            path: path.into(),
            tensors: tensors.map_err(|error| wrong(error.to_string()))?,
            header: read.1.metadata().clone().unwrap_or_default(),
        })
    }

    /// The tensor of this name.
    pub(crate) fn get(&self, name: &str) -> Result<&Tensor> {
        let missing = || self.wrong(format!("it holds no tensor `{name}`"));
        self.tensors.get(name).ok_or_else(missing)
    }

    /// How many names end so.
    pub(crate) fn count(&self, end: &str) -> usize {
        self.tensors
            .keys()
            .filter(|name| name.ends_with(end))
            .count()
    }

    pub(crate) fn wrong(&self, why: impl std::fmt::Display) -> Error {
        Error::Mismatch(format!("{} cannot be replayed: {why}", self.path.display()))
    }
}

/// The network whose initial weights are in a file, for images of `size` pixels, in the precision of these.
pub(crate) fn network(path: &Path, size: usize, device: &Device) -> Result<Model> {
    let recorded = Recorded::open(path, &Device::Cpu)?;
    let is_double = recorded.tensors.values().any(|t| t.dtype() == DType::F64);
    let options = |num_classes| ModelOptions {
        num_classes,
        input_size: size,
        device: device.clone(),
        dtype: if is_double { DType::F64 } else { DType::F32 },
        ..Default::default()
    };
    let (name, config) = (
        recorded.header.get("architecture"),
        recorded.header.get("config"),
    );
    let model = match (name, config) {
        (Some(name), _) => {
            // As many outputs as the classifier in the file has, whatever timm calls it.
            let params = Model::new(name, &options(1))?.classifier_params();
            let bias = params.iter().find(|(name, _)| name.ends_with("bias"));
            let bias = bias.and_then(|(name, _)| recorded.tensors.get(name));
            let bias = bias.ok_or_else(|| recorded.wrong("it holds no classifier"))?;
            Model::new(name, &options(bias.elem_count()))?
        }
        (None, Some(config)) => {
            let wrong = |why: &str| recorded.wrong(format!("its `config` {why}"));
            let config: Value = serde_json::from_str(config).map_err(|_| wrong("is not JSON"))?;
            let classes = number(&config, "num_classes");
            let shape = shape(&config).ok_or_else(|| wrong("is of no network that is known"))?;
            let classes = classes.ok_or_else(|| wrong("has no num_classes"))?;
            Model::from_config("recorded", shape, &options(classes))?
        }
        (None, None) => {
            return Err(recorded.wrong("its header has neither `architecture` nor `config`"));
        }
    };
    model.load(path)?;
    Ok(model)
}

fn number(config: &Value, key: &str) -> Option<usize> {
    usize::try_from(config.get(key)?.as_u64()?).ok()
}

/// The network that constructor arguments of timm's `ResNet` or `VisionTransformer` stand for.
fn shape(config: &Value) -> Option<ModelConfig> {
    let number = |key| number(config, key);
    if config.get("patch_size").is_some() {
        let [patch, width] = [number("patch_size")?, number("embed_dim")?];
        let config = VitConfig::plain(patch, width, number("depth")?, number("num_heads")?);
        return Some(ModelConfig::Vit(config));
    }
    let four = |key| serde_json::from_value::<[usize; 4]>(config.get(key)?.clone()).ok();
    Some(ModelConfig::ResNet(ResNetConfig {
        block: Block::Basic,
        layers: four("layers")?,
        channels: four("channels")?,
        stem_width: number("stem")?,
        variant: Variant::Standard,
    }))
}
