//! A network as a folder for other programs.

use crate::error::{Error, Result};
use crate::family::Readout;
use crate::model::Model;
use crate::read::WEIGHTS_FILE;
use crate::registry::{Interpolation, Normalization};
use candle_core::Tensor;
use cass_run::{put_whole, write_whole};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::{fs, io};

/// What reads a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// timm: [`Model::export`].
    Timm,
    /// Whatever runs ONNX: [`Model::export_onnx`].
    Onnx,
}

/// Description of a network that goes into a folder, next to the weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Export {
    /// Names of the classifier's outputs, in order; empty where they have none.
    pub label_names: Vec<String>,
    /// How the images it was trained on were normalised.
    pub normalization: Normalization,
    /// How they were resized: to the square input size, whatever their shape (timm's crop mode
    /// `squash`), nothing cropped.
    pub interpolation: Interpolation,
    /// How it was trained: `cass`, `dino`, `linear` or `finetune`.
    pub method: String,
    /// Which network of the run it is, if the run had names for them.
    pub arm: Option<String>,
    /// The text of the run's recipe; its SHA-256 goes into the folder.
    pub recipe: String,
}

impl Export {
    /// # Errors
    /// If the folder holds anything, or there are label names but not one an output.
    pub(crate) fn check(&self, folder: &Path, outputs: usize) -> Result<()> {
        let wrong = |reason: String| Error::Export {
            folder: folder.to_path_buf(),
            reason,
        };
        let labels = self.label_names.len();
        if labels != 0 && labels != outputs {
            return Err(wrong(format!(
                "there are {labels} label names for {outputs} outputs"
            )));
        }
        let source = |source| Error::Write {
            file: folder.to_path_buf(),
            source,
        };
        if is_empty(folder).map_err(source)? == Some(false) {
            return Err(wrong(
                "it is not empty; expected a new or an empty folder".into(),
            ));
        }
        Ok(())
    }
}

/// A new folder in the place of none or of an empty one, with what `fill` writes into it.
pub(crate) fn put_folder(folder: &Path, fill: impl FnOnce(&Path) -> io::Result<()>) -> Result<()> {
    let put = || {
        let exists = is_empty(folder)?.is_some();
        fs::create_dir_all(folder.parent().unwrap_or(folder))?;
        put_whole(folder, |beside| {
            fs::create_dir(beside)?;
            fill(beside)?;
            if exists {
                fs::remove_dir(folder)?;
            }
            Ok(())
        })
    };
    put().map_err(|source| Error::Write {
        file: folder.to_path_buf(),
        source,
    })
}

impl Model {
    /// Writes `model.safetensors` and `config.json` into a new folder, which appears whole or not
    /// at all. In Python, strictly:
    ///
    /// ```python
    /// timm.create_model("local-dir:FOLDER", pretrained=True)
    /// timm.create_model(NAME, num_classes=K, checkpoint_path="FOLDER/model.safetensors")
    /// ```
    ///
    /// The second takes `img_size=S` too where a Transformer was built for another size than its
    /// name says.
    ///
    /// # Errors
    /// If the folder exists and holds anything, if there are label names but not one an output, or
    /// if the folder cannot be written.
    pub fn export(&self, folder: &Path, export: &Export) -> Result<()> {
        export.check(folder, self.num_classes())?;
        // As torch marks its own.
        let weights = self.to_safetensors(&[("format", "pt".to_string())])?;
        let config = format!("{:#}\n", self.timm_config(export));
        put_folder(folder, |beside| {
            write_whole(&beside.join(WEIGHTS_FILE), &weights)?;
            write_whole(&beside.join("config.json"), config.as_bytes())
        })
    }

    /// Gives the two heads of a distilled DeiT the mean of both, and leaves other networks alone.
    ///
    /// [`classify`](Model::classify) does not change by it, and [`forward`](Model::forward) then
    /// gives what `classify` gives on its features: a head that was fitted on features becomes one
    /// for images.
    ///
    /// # Errors
    /// If the device fails.
    pub fn average_heads(&self) -> Result<()> {
        let layers = self.config().classifier();
        for value in ["weight", "bias"] {
            let heads = layers.iter().map(|layer| format!("{layer}.{value}"));
            let heads: Vec<_> = heads.filter_map(|key| self.params().get(&key)).collect();
            if heads.len() > 1 {
                let values: Vec<_> = heads.iter().map(|head| head.as_tensor()).collect();
                let mean = Tensor::stack(&values, 0)?.mean(0)?.detach();
                for head in heads {
                    head.set(&mean)?;
                }
            }
        }
        Ok(())
    }

    /// `config.json` as `timm.models.save_for_hf` writes it.
    pub(crate) fn timm_config(&self, export: &Export) -> Value {
        let (config, size) = (self.config(), self.options().input_size);
        let channels = self.options().in_chans;
        let [mean, std] = export.normalization.of_channels(channels);
        let classifier = match config.classifier() {
            [one] => json!(one),
            several => json!(several),
        };
        // The name that timm has it by, and the arguments that followed it.
        let mut parts = self.name().split(',');
        let architecture = parts.next().unwrap_or_default();
        let mut arguments: Map<String, Value> = parts.filter_map(argument).collect();
        let mut value = json!({
            "architecture": architecture,
            "num_classes": self.num_classes(),
            "num_features": self.feature_dim(),
            "global_pool": match config.readout() {
                Readout::Prefix { .. } => "token",
                Readout::Patches { .. } | Readout::Map(_) => "avg",
            },
            "pretrained_cfg": {
                "custom_load": false,
                "input_size": [channels, size, size],
                "fixed_input_size": config.fixed_input_size(),
                "interpolation": export.interpolation.to_string(),
                "crop_pct": 1.0,
                "crop_mode": "squash",
                "mean": mean,
                "std": std,
                "num_classes": self.num_classes(),
                "first_conv": config.first_conv(),
                "classifier": classifier,
            },
            "cass": {
                "version": env!("CARGO_PKG_VERSION"),
                "method": export.method,
                "arm": export.arm,
                "recipe_sha256": cass_run::sha256(&export.recipe),
            },
        });
        if config.fixed_input_size() {
            arguments.insert("img_size".into(), json!(size));
        }
        if channels != 3 {
            arguments.insert("in_chans".into(), json!(channels));
            // What a recipe says: those above follow from it.
            value["cass"]["normalization"] = json!(export.normalization);
        }
        if !arguments.is_empty() {
            value["model_args"] = Value::Object(arguments);
        }
        if !export.label_names.is_empty() {
            value["label_names"] = json!(export.label_names);
        }
        value
    }
}

/// `init_values=1e-5` as Python takes it.
fn argument(text: &str) -> Option<(String, Value)> {
    let (key, value) = text.split_once('=')?;
    let json = serde_json::from_str(&value.to_lowercase());
    Some((key.into(), json.unwrap_or_else(|_| json!(value))))
}

/// `None` where there is no such folder.
fn is_empty(folder: &Path) -> io::Result<Option<bool>> {
    match fs::read_dir(folder) {
        Ok(mut entries) => Ok(Some(entries.next().is_none())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
