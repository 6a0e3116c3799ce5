//! Memory: what a run has taken, and what it will take at the least.

use crate::error::Result;
use crate::recipe::{Arm, Recipe};
use candle_core::Device;
use cass_models::registry::find;

/// Bytes of a weight, and of a pixel's channel once it is a network's input.
const NUMBER: u128 = 4;
/// Numbers that a network keeps of each pixel for its backward pass, at the least: that of the smallest
/// of the registry keeps some thirty, one that computes its blocks again a few.
const KEPT: u128 = 8;

/// The most memory this process has held, in MiB, where the system tells.
pub fn peak_rss_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024)
}

/// The most memory that this process has held on a GPU, in MiB; none of a CPU.
pub fn peak_gpu_mib(device: &Device) -> Option<u64> {
    let memory = cass_ops::gpu::memory(device).ok().flatten()?;
    Some(memory.peak >> 20)
}

/// Checks that this computer has the memory that training takes at the least, before anything of it is
/// asked for. GPUs say themselves what they lack.
///
/// # Errors
/// Naming what is needed and what is there; if a network is unknown.
pub fn expect_memory(recipe: &Recipe) -> Result<()> {
    if recipe.device.starts_with("cuda") || cfg!(feature = "cuda") && recipe.device == "auto" {
        return Ok(());
    }
    let mut bytes = 0;
    for arm in recipe.arms.values() {
        let copies = copies_of(arm);
        let at_once = recipe.batch.div_ceil(recipe.accumulate.max(1));
        let image = [recipe.size, recipe.data.in_chans];
        bytes += network_memory(&arm.network, recipe.outputs, image, copies, at_once)?;
    }
    let copies = recipe.arms.values().map(copies_of).max();
    bytes += recipe.method.memory(copies.unwrap_or_default() as u128);
    Ok(cass_run::expect_memory(bytes)?)
}

/// Weights, their gradients, and what the optimiser keeps of each.
fn copies_of(arm: &Arm) -> usize {
    2 + arm.optimizer.state_names().len()
}

/// What a network takes at the least, in bytes: so many copies of its weights, and `images` of `size` x
/// `size` pixels of so many channels at once.
///
/// # Errors
/// If there is no network of this name.
pub fn network_memory(
    name: &str,
    outputs: usize,
    [size, channels]: [usize; 2],
    copies: usize,
    images: usize,
) -> Result<u128> {
    let info = find(name)?;
    let classifier = info
        .config
        .cost(info.input_size, channels, outputs)
        .parameters as u128;
    let pixels = (size as u128).pow(2) * images as u128;
    let kept = if copies > 1 { KEPT } else { 0 };
    Ok(NUMBER * (copies as u128 * classifier + pixels * (channels as u128 + kept)))
}
