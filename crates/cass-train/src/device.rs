//! Devices by name.

use crate::error::Result;
use crate::recipe::{Precision, Recipe};
use candle_core::{DType, Device, Tensor};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// The device of a recipe's `device`: `auto` is the first GPU where this build and machine have
/// one, else the CPU; a build for GPUs that finds none says so in one line.
///
/// # Errors
/// If the device is not there, or this build cannot use it.
pub fn open_device(name: &str) -> Result<Device> {
    let wrong = |expected: String| cass_run::Error::field("device", name, expected).into();
    let ordinal = match name {
        "cpu" => return Ok(Device::Cpu),
        "auto" if cfg!(feature = "cuda") => {
            return Ok(open_gpu(0).unwrap_or_else(|error| {
                let error = error.to_string();
                let reason = error.lines().next().unwrap_or_default();
                eprintln!("device auto: no GPU can be used ({reason}), the CPU computes");
                Device::Cpu
            }));
        }
        "auto" => return Ok(Device::Cpu),
        "cuda" => 0,
        _ => name
            .strip_prefix("cuda:")
            .and_then(|n| n.parse().ok())
            .ok_or_else(|| wrong("auto, cpu, cuda or cuda:N".into()))?,
    };
    if !cfg!(feature = "cuda") {
        return Err(wrong(
            "auto or cpu: this program was built without the feature cuda".into(),
        ));
    }
    open_gpu(ordinal).map_err(|error| wrong(format!("a GPU that is there ({error})")))
}

/// GPUs by their numbers, each with the one stream of this process: what a thread starts comes after
/// what another has started. Candle's own way has a stream for every thread, which nothing orders.
static GPUS: Mutex<BTreeMap<usize, Device>> = Mutex::new(BTreeMap::new());

fn open_gpu(ordinal: usize) -> candle_core::Result<Device> {
    let mut gpus = GPUS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(device) = gpus.get(&ordinal) {
        return Ok(device.clone());
    }
    let device = cass_ops::gpu::open(ordinal)?;
    gpus.insert(ordinal, device.clone());
    Ok(device)
}

/// The device of a recipe, if that can compute in the recipe's precision. From here on the process multiplies so: a GPU rounds
/// to TF32 where the recipe says it, and nowhere else.
///
/// # Errors
/// As [`open_device`]; of [`Precision::Bf16`] on a CPU unless that is to emulate it, of [`Precision::Tf32`] on a CPU, and of
/// both on a GPU that lacks them.
pub fn device_of(recipe: &Recipe, emulate_bf16: bool) -> Result<Device> {
    let device = open_device(&recipe.device)?;
    let precision = recipe.precision.name();
    let wrong = |expected: String| cass_run::Error::field("precision", precision, expected).into();
    match (recipe.precision, device.is_cpu()) {
        (Precision::F32, _) => {}
        (Precision::Bf16, true) if emulate_bf16 => {}
        (Precision::Bf16 | Precision::Tf32, true) => {
            let name = &recipe.device;
            return Err(wrong(format!(
                "f32 on a CPU (`device` = {name}), which gains nothing by {precision}"
            )));
        }
        // GPUs have both or neither.
        (Precision::Bf16 | Precision::Tf32, false) => try_bf16(&device).map_err(|error| {
            let error = error.to_string();
            let error = error.lines().next().unwrap_or_default().to_string();
            wrong(format!(
                "f32 on this GPU, which has no {precision} ({error})"
            ))
        })?,
    }
    cass_ops::gpu::allow_tf32(recipe.precision == Precision::Tf32);
    Ok(device)
}

/// Tries one convolution, whose kernel older GPUs (below compute capability 8.0) lack, and one product.
fn try_bf16(device: &Device) -> candle_core::Result<()> {
    let one = Tensor::ones((1, 1, 1, 1), DType::F32, device)?.to_dtype(DType::BF16)?;
    let one = one.conv2d(&one, 0, 1, 1, 1)?.matmul(&one)?;
    one.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    Ok(())
}

/// `cpu` or `cuda:N`.
pub fn device_name(device: &Device) -> String {
    match device.location() {
        candle_core::DeviceLocation::Cpu => "cpu".into(),
        candle_core::DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
        candle_core::DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::methods::CassConfig;

    #[test]
    fn a_cpu_refuses_precisions_that_gain_it_nothing() {
        let mut recipe = Recipe::paper(CassConfig::default());
        recipe.device = "cpu".into();
        for (precision, emulate) in [(Precision::Tf32, true), (Precision::Bf16, false)] {
            recipe.precision = precision;
            let error = device_of(&recipe, emulate).unwrap_err().to_string();
            let name = precision.name();
            assert!(
                error.contains(&format!("`precision` is {name}; expected f32 on a CPU")),
                "{error}"
            );
        }
        recipe.precision = Precision::F32;
        assert!(device_of(&recipe, false).is_ok());
    }
}
