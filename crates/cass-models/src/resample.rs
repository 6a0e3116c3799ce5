//! Positions for another input size.

use candle_core::{DType, Result, Tensor, bail};

/// Positions on a square grid of another size.
#[derive(Debug)]
pub(crate) struct Resampled {
    pub(crate) value: Tensor,
    /// Sides of the grid before and after.
    pub(crate) sides: (usize, usize),
}

/// `timm.layers.resample_abs_pos_embed`: the grid part of `(1, prefix + S², D)` resampled to
/// `(1, prefix + new_side², D)` with antialiased bicubic interpolation; prefix tokens stay. Nothing
/// where the size is the same.
///
/// # Errors
/// If the grid is not square.
pub(crate) fn resample_abs_pos_embed(
    pos_embed: &Tensor,
    new_side: usize,
    prefix_tokens: usize,
) -> Result<Option<Resampled>> {
    let (_, tokens, _) = pos_embed.dims3()?;
    let grid = tokens.saturating_sub(prefix_tokens);
    let side = grid.isqrt();
    if side == 0 || side * side != grid {
        bail!("position embedding of {tokens} tokens has no square grid");
    }
    if side == new_side {
        return Ok(None);
    }
    let weights = bicubic_weights(side, new_side);
    let grid = along_both(
        &weights,
        new_side,
        &pos_embed.narrow(1, prefix_tokens, grid)?,
    )?;
    Ok(Some(Resampled {
        value: Tensor::cat(&[&pos_embed.narrow(1, 0, prefix_tokens)?, &grid], 1)?,
        sides: (side, new_side),
    }))
}

/// `timm.layers.resize_rel_pos_bias_table`: `(side², heads)` to `(new_side², heads)`, linear between
/// places that lie the denser the nearer they are to the middle. Nothing where the size is the same.
///
/// # Errors
/// If the table is not square.
pub(crate) fn resize_rel_pos_bias_table(
    table: &Tensor,
    new_side: usize,
) -> Result<Option<Resampled>> {
    let rows = table.dims2()?.0;
    let side = rows.isqrt();
    if side == 0 || side * side != rows {
        bail!("relative position bias of {rows} rows is no square table");
    }
    if side == new_side {
        return Ok(None);
    }
    let weights = progression_weights(side, new_side);
    let value = along_both(&weights, new_side, &table.unsqueeze(0)?)?.squeeze(0)?;
    Ok(Some(Resampled {
        value,
        sides: (side, new_side),
    }))
}

/// `(1, side², D)` → `(1, to², D)`, by weights `(to, side)` along rows and columns.
fn along_both(weights: &[f64], to: usize, grid: &Tensor) -> Result<Tensor> {
    let (_, tokens, d) = grid.dims3()?;
    let side = tokens.isqrt();
    let weights = Tensor::from_slice(weights, (to, side), grid.device())?;
    let x = grid.to_dtype(DType::F64)?.reshape((side, side * d))?;
    let rows = weights.matmul(&x)?.reshape((to, side, d))?;
    let both = weights.broadcast_matmul(&rows)?; // (to, to, D)
    both.reshape((1, to * to, d))?.to_dtype(grid.dtype())
}

/// Row-major (`to`, `from`) weights of a linear interpolation at whole steps from the middle, between
/// `from` places whose distances grow by a constant factor outwards until they span the same.
fn progression_weights(from: usize, to: usize) -> Vec<f64> {
    let places = progression(from / 2, to / 2);
    let mut weights = vec![0.0; to * from];
    for (i, row) in weights.chunks_exact_mut(from).enumerate() {
        let x = i as f64 - (to / 2) as f64;
        let right = places.partition_point(|&place| place < x).min(from - 1);
        let left = right.saturating_sub(1);
        let (before, after) = ((x - places[left]).max(0.0), (places[right] - x).max(0.0));
        if before + after > 0.0 {
            row[left] += after / (before + after);
            row[right] += before / (before + after);
        } else {
            row[right] = 1.0;
        }
    }
    weights
}

/// 0 in the middle and `reach` places on either side, the outermost about `span` away; timm's
/// bisection.
fn progression(reach: usize, span: usize) -> Vec<f64> {
    let (mut low, mut high, mut factor) = (1.01f64, 1.5f64, 1.01f64);
    while high - low > 1e-6 {
        factor = (low + high) / 2.0;
        let sum = (1.0 - factor.powi(reach as i32)) / (1.0 - factor);
        if sum > span as f64 {
            high = factor;
        } else {
            low = factor;
        }
    }
    let outwards = (0..reach).scan(0.0, |at, i| {
        *at += factor.powi(i as i32);
        Some(*at)
    });
    let outwards: Vec<f64> = outwards.collect();
    let inwards = outwards.iter().rev().map(|at| -at);
    inwards
        .chain([0.0])
        .chain(outwards.iter().copied())
        .collect()
}

/// Row-major (`to`, `from`) weights of `torch.nn.functional.interpolate(mode="bicubic",
/// antialias=True)` along one direction.
fn bicubic_weights(from: usize, to: usize) -> Vec<f64> {
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.0);
    let support = 2.0 * stretch;
    let mut weights = vec![0.0; to * from];
    for (i, row) in weights.chunks_exact_mut(from).enumerate() {
        let centre = scale * (i as f64 + 0.5);
        let first = (centre - support + 0.5).max(0.0) as usize;
        let last = ((centre + support + 0.5) as usize).min(from);
        for (j, weight) in row.iter_mut().enumerate().take(last).skip(first) {
            *weight = cubic((j as f64 - centre + 0.5) / stretch);
        }
        let sum: f64 = row.iter().sum();
        row.iter_mut().for_each(|w| *w /= sum);
    }
    weights
}

/// Keys' cubic kernel with a = -0.5, as antialiasing uses it.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cass_testing::golden;

    #[test]
    fn position_embeddings_equal_timms() -> Result<()> {
        let golden = golden("ops/pos_embed.safetensors")?;
        for (case, side) in [("up", 7), ("down", 4), ("down_odd", 2), ("same", 3)] {
            let x = &golden[&format!("{case}.x")];
            let y = resample_abs_pos_embed(x, side, 1)?.map_or(x.clone(), |r| r.value);
            close(case, &y, &golden[&format!("{case}.y")])?;
        }
        Ok(())
    }

    #[test]
    fn relative_position_biases_equal_timms() -> Result<()> {
        let golden = golden("swin_small/tables.safetensors")?;
        for case in ["up", "up_far", "down", "to_one", "same"] {
            let (x, y) = (&golden[&format!("{case}.x")], &golden[&format!("{case}.y")]);
            let ours = resize_rel_pos_bias_table(x, y.dim(0)?.isqrt())?;
            close(case, &ours.map_or(x.clone(), |r| r.value), y)?;
        }
        Ok(())
    }

    fn close(case: &str, ours: &Tensor, timms: &Tensor) -> Result<()> {
        let off = (ours - timms)?.abs()?.max_all()?.to_scalar::<f32>()?;
        assert!(off < 3e-6, "{case} is off by {off}");
        Ok(())
    }
}
