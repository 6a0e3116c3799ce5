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
    let (_, tokens, d) = pos_embed.dims3()?;
    let grid = tokens.saturating_sub(prefix_tokens);
    let side = grid.isqrt();
    if side == 0 || side * side != grid {
        bail!("position embedding of {tokens} tokens has no square grid");
    }
    if side == new_side {
        return Ok(None);
    }
    let weights = bicubic_weights(side, new_side);
    let weights = Tensor::from_vec(weights, (new_side, side), pos_embed.device())?;
    let grid = pos_embed
        .narrow(1, prefix_tokens, grid)?
        .to_dtype(DType::F64)?
        .reshape((side, side * d))?;
    let rows = weights.matmul(&grid)?.reshape((new_side, side, d))?;
    let both = weights.broadcast_matmul(&rows)?; // (new_side, new_side, D)
    let grid = both
        .reshape((1, new_side * new_side, d))?
        .to_dtype(pos_embed.dtype())?;
    Ok(Some(Resampled {
        value: Tensor::cat(&[&pos_embed.narrow(1, 0, prefix_tokens)?, &grid], 1)?,
        sides: (side, new_side),
    }))
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
    use candle_core::Device;

    #[test]
    fn equals_timm() -> Result<()> {
        let file = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../fixtures/golden/ops/pos_embed.safetensors"
        );
        let golden = candle_core::safetensors::load(file, &Device::Cpu)?;
        for (case, side) in [("up", 7), ("down", 4), ("down_odd", 2), ("same", 3)] {
            let x = &golden[&format!("{case}.x")];
            let y = resample_abs_pos_embed(x, side, 1)?.map_or(x.clone(), |r| r.value);
            let off = (y - &golden[&format!("{case}.y")])?.abs()?.max_all()?;
            let off = off.to_scalar::<f32>()?;
            assert!(off < 2e-6, "{case} is off by {off}");
        }
        Ok(())
    }
}
