//! GPUs: opening one, its memory, and the kernels that are compiled for it.

use crate::cuda;
use candle_core::{Device, Result};

/// The C text of all kernels, as NVRTC compiles it when the first one is called.
pub fn kernels() -> String {
    cuda::kernels()
}

/// Kernels of this crate that this process has launched so far.
pub fn launches() -> u64 {
    cuda::launches()
}

/// Opens the GPU with this number: one stream, in whose order everything happens, and a pool of memory that keeps what was
/// given back.
///
/// # Errors
/// If there is none, or this build has no feature `cuda`.
pub fn open(ordinal: usize) -> Result<Device> {
    let device = Device::new_cuda_with_stream(ordinal)?;
    #[cfg(feature = "cuda")]
    if let Device::Cuda(gpu) = &device {
        cuda::driver::keep_memory(gpu)?;
    }
    Ok(device)
}

/// Runs `f` as if the tensors of the CPU were on a GPU: its kernels are compiled by `cc` and run under an emulation.
#[cfg(any(test, feature = "emulator"))]
pub fn emulated<R>(f: impl FnOnce() -> R) -> R {
    crate::emulated::emulated(f)
}

/// The operations of this thread that had no kernels of their own while it was [`emulated`], since the last call.
#[cfg(any(test, feature = "emulator"))]
pub fn take_composed() -> std::collections::BTreeSet<&'static str> {
    crate::emulated::take_composed()
}

/// Memory of a GPU, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// The most that tensors of this process have held.
    pub peak: u64,
    /// What the GPU has.
    pub total: u64,
}

/// Memory of the GPU of `device`; none of a CPU.
///
/// # Errors
/// If the driver does not tell.
pub fn memory(device: &Device) -> Result<Option<Memory>> {
    #[cfg(feature = "cuda")]
    if let Device::Cuda(gpu) = device {
        let [peak, total] = cuda::driver::memory(gpu)?;
        return Ok(Some(Memory { peak, total }));
    }
    let _ = device;
    Ok(None)
}

/// Whether a GPU may round the factors of f32 products to TF32, which has ten bits of mantissa, from now on and for the whole
/// process. It begins with no.
pub fn allow_tf32(allowed: bool) {
    candle_core::cuda::set_gemm_reduced_precision_f32(allowed);
}
