//! Sums in two steps: slices that are cut by size, then the slices in their order.

use super::arguments::{ChannelSums, Channels, ColumnSums, SumSlices};
use super::launch::{Gpu, over, over_columns, slice_of};
use candle_core::{Result, Tensor, bail};

/// The least rows of a slice.
const ROWS: usize = 256;
/// The least places of a slice of a channel.
const PLACES: usize = 8192;

/// Sums over the first of two dimensions of `x (rows, width)`, or of `x * y` → `(width)`.
pub(super) fn of_columns(
    gpu: &Gpu,
    x: &Tensor,
    y: Option<&Tensor>,
    [rows, width]: [usize; 2],
) -> Result<Tensor> {
    let [slice, slices] = row_slices(rows);
    let parts = gpu.empty((slices, width))?;
    gpu.launch(
        "column_sums",
        over_columns(width, slices),
        &ColumnSums {
            x: gpu.read(x)?,
            y: gpu.read_some(y)?,
            parts: gpu.write(&parts)?,
            rows: rows as u64,
            width: width as u64,
            slice: slice as u64,
        },
    )?;
    of_slices(gpu, &parts, slices, width)
}

/// The sum of `slices` parts of `count` values each → `(count)`.
pub(super) fn of_slices(gpu: &Gpu, parts: &Tensor, slices: usize, count: usize) -> Result<Tensor> {
    if slices == 1 {
        return parts.reshape(count);
    }
    let total = gpu.empty(count)?;
    gpu.launch(
        "sum_slices",
        over(count),
        &SumSlices {
            parts: gpu.read(parts)?,
            total: gpu.write(&total)?,
            slices: slices as u64,
            count: count as u64,
        },
    )?;
    Ok(total)
}

/// Sums over images and pixels of `x (batch, channels, size)`, or of `x * y` → `(channels)`.
pub(super) fn of_channels(
    gpu: &Gpu,
    x: &Tensor,
    y: Option<&Tensor>,
    sizes: [usize; 3],
) -> Result<Tensor> {
    let [_, channels, _] = sizes;
    let [slice, slices] = channel_slices(sizes)?;
    let parts = gpu.empty((slices, channels))?;
    gpu.launch(
        "channel_sums",
        [channels, slices],
        &ChannelSums {
            x: gpu.read(x)?,
            y: gpu.read_some(y)?,
            parts: gpu.write(&parts)?,
            over: Channels::of(sizes),
            slice: slice as u64,
        },
    )?;
    of_slices(gpu, &parts, slices, channels)
}

impl Channels {
    pub(super) fn of([batch, channels, size]: [usize; 3]) -> Self {
        Self {
            batch: batch as u64,
            channels: channels as u64,
            size: size as u64,
        }
    }
}

/// Rows of a slice, and how many slices there are.
pub(super) fn row_slices(rows: usize) -> [usize; 2] {
    let slice = slice_of(rows, ROWS);
    [slice, rows.div_ceil(slice)]
}

/// Places of a channel's slice, and how many slices there are.
pub(super) fn channel_slices([batch, _, size]: [usize; 3]) -> Result<[usize; 2]> {
    let places = batch * size;
    if places > u32::MAX as usize {
        bail!(
            "a channel of {places} values: expected at most {}",
            u32::MAX
        );
    }
    let slice = slice_of(places, PLACES);
    Ok([slice, places.div_ceil(slice)])
}
