//! Writes networks as ONNX files next to what they compute, for `tests/onnx/beside_onnxruntime.py` to compare:
//! every small network of `fixtures/golden` at two input sizes, or those of the registry that are named.
//!
//! ```sh
//! cargo run -p cass-models --example onnx_files -- FOLDER [NAME SIZE]...
//! ```

use candle_core::DType;
use cass_models::{Mode, Model, ModelOptions};
use cass_testing::{SMALL_NETWORKS, export_of, normal_images, small_network, stir};
use std::collections::HashMap;
use std::error::Error;
use std::path::Path;

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, named @ ..] = &arguments[..] else {
        return Err("expected the folder to write".into());
    };
    let folder = Path::new(folder);
    if named.is_empty() {
        for (name, sizes) in SMALL_NETWORKS {
            for size in sizes {
                let model = Model::from_config(name, small_network(name), &options(size))?;
                write(&model, &folder.join(format!("{name}-{size}")))?;
            }
        }
    }
    for pair in named.chunks(2) {
        let [name, size] = pair else {
            return Err(format!("expected an input size after {}", pair[0]).into());
        };
        let size = size.parse()?;
        let model = Model::new(name, &options(size))?;
        write(&model, &folder.join(format!("{name}-{size}")))?;
    }
    Ok(())
}

fn options(input_size: usize) -> ModelOptions {
    ModelOptions {
        num_classes: 5,
        input_size,
        ..ModelOptions::default()
    }
}

/// The network, and for one image and for three what it gives, in f32 and in f64.
fn write(model: &Model, folder: &Path) -> Outcome {
    stir(model)?;
    model.export_onnx(folder, &export_of(&[]), true)?;
    let wide = ModelOptions {
        dtype: DType::F64,
        ..model.options().clone()
    };
    let wide = Model::from_config(model.name(), *model.config(), &wide)?;
    for (name, value) in model.params().all() {
        let var = wide
            .params()
            .get(&name)
            .ok_or("the same network has other names")?;
        var.set(&value.to_dtype(var.dtype())?)?;
    }
    let (frozen, side) = (model.frozen()?, model.options().input_size);
    let wide = wide.frozen()?;
    let mut tensors = HashMap::new();
    for count in [1, 3] {
        let images = normal_images(count, side)?;
        for (kind, output) in [
            ("f32", frozen.forward(&images, Mode::Eval)?),
            (
                "f64",
                wide.forward(&images.to_dtype(DType::F64)?, Mode::Eval)?,
            ),
        ] {
            let (features, logits) = (output.features.into_value(), output.logits.into_value());
            tensors.insert(format!("features.{count}.{kind}"), features);
            tensors.insert(format!("logits.{count}.{kind}"), logits);
        }
        tensors.insert(format!("images.{count}"), images);
    }
    candle_core::safetensors::save(&tensors, folder.join("outputs.safetensors"))?;
    Ok(())
}
