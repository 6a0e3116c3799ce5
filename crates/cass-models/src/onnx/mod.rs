//! A network as an ONNX file, which runs without this crate and without timm.
//!
//! What is written is what runs: a forward pass is [traced](cass_ops::trace), so that a family needs to say nothing.

mod attention;
mod graph;
mod lower;
pub mod proto;

use crate::error::{Error, Result};
use crate::export::{Export, put_folder};
use crate::intermediates::Collector;
use crate::layers::Mode;
use crate::model::Model;
use crate::text::printable;
use candle_core::{DType, Tensor};
use cass_ops::trace::{Trace, Value, trace};
use cass_run::write_whole;
use lower::{IMAGES, Lowering};
use prost::Message;
use proto::{ModelProto, OperatorSetIdProto, StringStringEntryProto};
use serde_json::{Map, Value as Json};
use std::path::Path;

/// The file's name in the folder of [`Model::export_onnx`].
pub const ONNX_FILE: &str = "model.onnx";

/// The operators' version, the first with layer normalisation.
pub const OPSET: i64 = 17;
/// The format's version that came with them.
const IR_VERSION: i64 = 8;
/// A protobuf message has no more.
const MOST_BYTES: usize = i32::MAX as usize;

impl Model {
    /// Writes `model.onnx` into a new folder, which appears whole or not at all.
    ///
    /// The input `images` is `(batch, C, S, S)`, f32, of any number of images, normalised as the file's metadata say
    /// under `mean` and `std`. The outputs are `features (batch, D)` and, `with_logits`, `logits (batch, K)`, as of
    /// [`forward`](Model::forward) in [`Mode::Eval`].
    ///
    /// # Errors
    /// If the network is not in f32 on the CPU or takes more than 2 GB, or as [`export`](Model::export).
    pub fn export_onnx(&self, folder: &Path, export: &Export, with_logits: bool) -> Result<()> {
        export.check(folder, self.num_classes())?;
        let wrong = |reason: String| Error::Export {
            folder: folder.to_path_buf(),
            reason,
        };
        // Before all weights are copied for it.
        check_size(self.name(), 4 * self.params().parameter_count()).map_err(wrong)?;
        let model = self.to_onnx(export, with_logits);
        let model = model.map_err(|e| wrong(printable(&e.to_string())))?;
        check_size(self.name(), model.encoded_len()).map_err(wrong)?;
        let bytes = model.encode_to_vec();
        put_folder(folder, |beside| {
            write_whole(&beside.join(ONNX_FILE), &bytes)
        })
    }

    fn to_onnx(&self, export: &Export, with_logits: bool) -> candle_core::Result<ModelProto> {
        let options = self.options();
        if options.dtype != DType::F32 || !options.device.is_cpu() {
            candle_core::bail!("it is not in f32 on the CPU");
        }
        let model = self.frozen().map_err(candle_core::Error::wrap)?;
        let side = options.input_size;
        let pass = |count: usize| -> candle_core::Result<(Tensor, Vec<Value>, Trace)> {
            let shape = (count, options.in_chans, side, side);
            let images = Tensor::zeros(shape, DType::F32, &options.device)?;
            let mut nothing = Collector::nothing(false);
            let (outputs, trace) = trace(|| match with_logits {
                true => Ok(model
                    .network()
                    .forward(&images, Mode::Eval, &mut nothing)?
                    .into()),
                false => Ok(vec![model.network().features(
                    &images,
                    Mode::Eval,
                    &mut nothing,
                )?]),
            })?;
            let found = outputs.iter().map(|output| trace.find(output.value()));
            match found.collect::<Option<Vec<_>>>() {
                Some(found) => Ok((images, found, trace)),
                None => candle_core::bail!("its outputs do not follow from its images"),
            }
        };
        let ((_, _, one), (images, outputs, two)) = (pass(1)?, pass(2)?);
        let mut lowering = Lowering::new(&one, &two, &images, model.params())?;
        lowering.run()?;
        let named = [
            ("features", self.feature_dim()),
            ("logits", self.num_classes()),
        ];
        let named = &named[..outputs.len()];
        for (&(name, _), value) in named.iter().zip(outputs) {
            let value = lowering.value(value)?;
            lowering.graph.alias(name, &value);
        }
        let input = (IMAGES, &images.dims()[1..]);
        let architecture = self.name();
        Ok(ModelProto {
            ir_version: IR_VERSION,
            producer_name: "cass".into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            graph: Some(lowering.graph.finish(architecture, input, named)),
            opset_import: vec![OperatorSetIdProto {
                domain: String::new(),
                version: OPSET,
            }],
            metadata_props: self.onnx_metadata(export),
        })
    }

    /// What is under the same keys in the `config.json` of a folder for timm. Text stands as it is, all else in JSON.
    fn onnx_metadata(&self, export: &Export) -> Vec<StringStringEntryProto> {
        let config = self.timm_config(export);
        let mut all = Map::new();
        all.insert(
            "pixel_range".into(),
            "0 to 1, then minus mean, over std".into(),
        );
        for key in ["architecture", "label_names"] {
            all.extend(config.get(key).map(|value| (key.into(), value.clone())));
        }
        let preprocessing = [
            "input_size",
            "interpolation",
            "crop_pct",
            "crop_mode",
            "mean",
            "std",
        ];
        for key in preprocessing {
            all.insert(key.into(), config["pretrained_cfg"][key].clone());
        }
        let provenance = config["cass"].as_object().into_iter().flatten();
        let provenance = provenance.filter(|(_, value)| !value.is_null());
        all.extend(provenance.map(|(key, value)| (format!("cass.{key}"), value.clone())));
        let entry = |(key, value)| StringStringEntryProto {
            key,
            value: match value {
                Json::String(text) => text,
                other => other.to_string(),
            },
        };
        all.into_iter().map(entry).collect()
    }
}

/// # Errors
/// In words, if so many bytes are more than a file holds.
fn check_size(name: &str, bytes: usize) -> std::result::Result<(), String> {
    if bytes <= MOST_BYTES {
        return Ok(());
    }
    Err(format!(
        "{name} takes {:.1} GB; expected at most 2.1 GB, which is what an ONNX file holds",
        bytes as f64 / 1e9
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_that_no_file_holds_is_refused() {
        let bytes = |parameters: usize| 4 * parameters;
        assert_eq!(check_size("vit_large", bytes(304_326_632)), Ok(()));
        let text = check_size("vit_giant", bytes(1_134_000_000)).unwrap_err();
        assert!(text.starts_with("vit_giant takes 4.5 GB; expected at most 2.1 GB"));
        assert!(
            check_size("most", 0x7fff_ffff).is_ok() && check_size("more", 0x8000_0000).is_err()
        );
    }
}
