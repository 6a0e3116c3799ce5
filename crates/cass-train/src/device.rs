use crate::error::{Error, Result};
use candle_core::Device;

/// The device of a recipe's `device`: `auto` is the first GPU where this build and machine have
/// one, else the CPU.
///
/// # Errors
/// If the device is not there, or this build cannot use it.
pub fn open_device(name: &str) -> Result<Device> {
    let wrong = |expected: String| Error::Field {
        field: "device".into(),
        value: name.into(),
        expected,
    };
    let ordinal = match name {
        "cpu" => return Ok(Device::Cpu),
        "auto" if cfg!(feature = "cuda") => return Ok(Device::cuda_if_available(0)?),
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
    Device::new_cuda(ordinal).map_err(|error| wrong(format!("a GPU that is there ({error})")))
}

/// `cpu` or `cuda:N`.
pub fn device_name(device: &Device) -> String {
    match device.location() {
        candle_core::DeviceLocation::Cpu => "cpu".into(),
        candle_core::DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
        candle_core::DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
    }
}
