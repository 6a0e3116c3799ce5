//! Files of weights: round trip, other heads and sizes, and everything that can be wrong with one.

mod fitted;
mod names;
mod refused;

use candle_core::{DType, Device, Tensor};
use cass_models::family::{ModelConfig, ResNetConfig};
use cass_models::weights::NewHead;
use cass_models::{Mode, Model, ModelOptions};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::error::Error;
use std::path::Path;

type Outcome = Result<(), Box<dyn Error>>;

fn model(num_classes: usize, input_size: usize, seed: u64) -> cass_models::Result<Model> {
    let options = ModelOptions {
        num_classes,
        input_size,
        seed,
        ..Default::default()
    };
    Model::new("vit_tiny_patch16_224", &options)
}

fn new_head(name: &str, from: usize, to: usize) -> NewHead {
    let name = name.into();
    NewHead { name, from, to }
}

fn logits(model: &Model, size: usize) -> Result<Vec<f32>, Box<dyn Error>> {
    let x = Tensor::ones((1, 3, size, size), DType::F32, &Device::Cpu)?;
    Ok(model
        .forward(&x, Mode::Eval)?
        .logits
        .value()
        .flatten_all()?
        .to_vec1()?)
}

fn refused(model: &Model, tensors: HashMap<String, Tensor>, expected: &str) -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("weights.safetensors");
    candle_core::safetensors::save(&tensors, &file)?;
    says(model, &file, expected)
}

/// Loading fails with one line that names the file and says `expected`, and changes nothing.
fn says(model: &Model, file: &Path, expected: &str) -> Outcome {
    let before = logits(model, 32)?;
    let text = model.load(file).err().ok_or("loaded")?.to_string();
    assert!(text.contains(expected), "{text}");
    assert!(
        text.contains("weights.safetensors") && !text.contains('\n'),
        "{text}"
    );
    assert_eq!(logits(model, 32)?, before);
    Ok(())
}

/// A small network with running statistics and a classifier of `num_classes`.
fn convolutional(num_classes: usize, dtype: DType) -> cass_models::Result<Model> {
    let options = ModelOptions {
        num_classes,
        dtype,
        ..Default::default()
    };
    let config = ResNetConfig {
        layers: [1, 1, 1, 1],
        ..ResNetConfig::resnet18()
    };
    Model::from_config("small", ModelConfig::ResNet(config), &options)
}

/// On a shared file system others read what one trains.
#[cfg(unix)]
#[test]
fn what_is_saved_is_as_open_as_any_file() -> Outcome {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir()?;
    let [plain, saved] = ["plain", "saved.safetensors"].map(|name| folder.path().join(name));
    std::fs::write(&plain, b"")?;
    model(5, 64, 0)?.save(&saved, &[])?;
    let mode = |file| std::io::Result::Ok(std::fs::metadata(file)?.permissions().mode());
    assert_eq!(mode(saved)?, mode(plain)?);
    Ok(())
}

#[test]
fn what_is_saved_loads_again() -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("weights.safetensors");
    let (a, b) = (model(5, 32, 0)?, model(5, 32, 1)?);
    a.save(&file, &[("epoch", "3".into())])?;
    let report = b.load(&file)?;
    assert_eq!(logits(&a, 32)?, logits(&b, 32)?);
    assert_eq!((&report.new_head, report.resampled), (&None, None));
    assert_eq!(report.parameters, a.params().parameter_count());
    assert!(
        report
            .to_string()
            .starts_with("loaded 152 tensors (5.5 M parameters, sha256 ")
    );
    assert_eq!(
        std::fs::read_dir(folder.path())?.count(),
        1,
        "only the file itself is left"
    );
    Ok(())
}

#[test]
fn a_report_counts_parameters_and_running_statistics_apart() -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("model.safetensors");
    let large = convolutional(1000, DType::F32)?;
    large.save(&file, &[])?;
    let report = convolutional(4, DType::F32)?.load(folder.path())?;
    assert_eq!(report.new_head, Some(new_head("fc", 1000, 4)));
    let parameters = large.params().trainable();
    assert_eq!(report.tensors, parameters.len() - 2);
    assert_eq!(report.buffers, large.params().buffers().len());
    assert_eq!(
        report.parameters,
        large.params().parameter_count() - 512 * 1000 - 1000
    );
    let bytes = std::fs::read(&file)?;
    let sha256: String = Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(report.sha256, sha256);
    assert_eq!(
        report.to_string(),
        format!(
            "loaded {} tensors (4.9 M parameters, sha256 {}…) and {} running statistics from {}; \
             new head fc (1000 → 4)",
            report.tensors,
            &sha256[..12],
            report.buffers,
            file.display()
        ),
        "a folder is its model.safetensors"
    );
    Ok(())
}
