//! Rotary positions: queries and keys turned by angles that say where a patch is.

use crate::element::{Element, Read, tensor, with_float};
use crate::op::Op;
use crate::parallel::{for_each_chunk, vectorized};
use crate::profile::{Pass, timed};
use crate::tracked::{Gradient, Tracked, compose_as};
use candle_core::{Result, Tensor, bail};

/// Turns the queries and keys of a packed projection, as timm's `apply_rot_embed_cat` with `half=True` does between
/// `qkv` and the softmax of an `EvaAttention`: value `i` of a head and value `i + D/2` are one pair, which is turned by
/// the angle whose sine and cosine are given. Values, and the tokens before the patches, stay as they are.
///
/// Angles are constants to the gradient, which is turned back.
///
/// # Shapes
/// `qkv (B, N, 3 · heads · D)`, in timm's order (q, k, v; then head; then D); `sin` and `cos` `(P, D/2)` of the last P of
/// the N tokens → as `qkv`
///
/// # Errors
/// If the shapes do not fit or the dtypes differ or are neither f32 nor f64.
pub fn rotary(qkv: &Tracked, heads: usize, sin: &Tensor, cos: &Tensor) -> Result<Tracked> {
    let s = Sizes::new(qkv.value().dims3()?, heads, sin, cos)?;
    if !qkv.is_on_cpu() {
        let (sin, cos) = (sin.clone(), cos.clone());
        return compose_as("rotary", &[qkv], |t| reference(&t[0], &s, &sin, &cos));
    }
    let qkv = qkv.contiguous()?;
    let (sin, cos) = (sin.contiguous()?, cos.contiguous()?);
    let op = Op::Rotary {
        heads,
        sin: sin.clone(),
        cos: cos.clone(),
    };
    let turn = move |x: &Tensor, back: bool| {
        let (xr, sr, cr) = (Read::new(x)?, Read::new(&sin)?, Read::new(&cos)?);
        with_float!(x.dtype(), "rotary", T => {
            tensor(turned(xr.slice::<T>()?, &s, sr.slice()?, cr.slice()?, back), x.dims())
        })
    };
    let y = timed("rotary", Pass::Forward, || turn(qkv.value(), false))?;
    Ok(Tracked::record(op, y, &[&qkv], move |dy| {
        Ok(vec![Some(Gradient::fresh(turn(&dy.contiguous()?, true)?))])
    }))
}

/// What the shapes say.
#[derive(Clone, Copy)]
struct Sizes {
    batch: usize,
    tokens: usize,
    /// Tokens before the patches.
    prefix: usize,
    heads: usize,
    /// Half of a head: the number of pairs.
    half: usize,
}

impl Sizes {
    fn new(qkv: (usize, usize, usize), heads: usize, sin: &Tensor, cos: &Tensor) -> Result<Self> {
        let (batch, tokens, width) = qkv;
        let (patches, half) = sin.dims2()?;
        let fits = heads > 0 && half > 0 && width == 6 * heads * half && patches <= tokens;
        if !fits || cos.dims() != sin.dims() {
            bail!(
                "rotary: sines {:?} and cosines {:?} do not fit {qkv:?} of {heads} heads",
                sin.dims(),
                cos.dims()
            );
        }
        Ok(Self {
            batch,
            tokens,
            prefix: tokens - patches,
            heads,
            half,
        })
    }
}

/// The plain twin, and the path on other devices.
fn reference(qkv: &Tensor, s: &Sizes, sin: &Tensor, cos: &Tensor) -> Result<Tensor> {
    let (b, n, half) = (s.batch, s.tokens, s.half);
    let of = |angles: &Tensor, fill: f64| {
        let before = (Tensor::zeros((s.prefix, half), angles.dtype(), angles.device())? + fill)?;
        Tensor::cat(&[&before, angles], 0)?.reshape((1, n, 1, 1, half))
    };
    let (sin, cos) = (of(sin, 0.)?, of(cos, 1.)?);
    let x = qkv.reshape((b, n, 3, s.heads, 2 * half))?;
    let turned = x.narrow(2, 0, 2)?;
    let (first, second) = (turned.narrow(4, 0, half)?, turned.narrow(4, half, half)?);
    let x1 = (first.broadcast_mul(&cos)? - second.broadcast_mul(&sin)?)?;
    let x2 = (second.broadcast_mul(&cos)? + first.broadcast_mul(&sin)?)?;
    let turned = Tensor::cat(&[x1, x2], 4)?;
    Tensor::cat(&[turned, x.narrow(2, 2, 1)?], 2)?.reshape(qkv.shape())
}

/// Every pair of queries and keys turned, forth or `back`; a task takes a token.
fn turned<T: Element>(x: &[T], s: &Sizes, sin: &[T], cos: &[T], back: bool) -> Vec<T> {
    let mut y = x.to_vec();
    let (half, width) = (s.half, 6 * s.heads * s.half);
    for_each_chunk(&mut y, width, |token, y| {
        let Some(patch) = (token % s.tokens).checked_sub(s.prefix) else {
            return;
        };
        let (sin, cos) = (&sin[patch * half..][..half], &cos[patch * half..][..half]);
        vectorized(
            #[inline(always)]
            || {
                for head in y[..4 * s.heads * half].chunks_exact_mut(2 * half) {
                    let (first, second) = head.split_at_mut(half);
                    let pairs = first.iter_mut().zip(second);
                    for ((a, b), (&sin, &cos)) in pairs.zip(sin.iter().zip(cos)) {
                        let sin = if back { T::ZERO - sin } else { sin };
                        (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
                    }
                }
            },
        );
    });
    y
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Case, input};

    #[test]
    fn turned_heads_equal_their_twin_and_finite_differences() -> Result<()> {
        for (b, n, heads, half, patches) in [(2, 7, 2, 3, 5), (1, 4, 1, 1, 4), (3, 9, 3, 8, 0)] {
            let angles = input(7, &[patches.max(1), half])?.narrow(0, 0, patches)?;
            let (sin, cos) = (angles.sin()?, angles.cos()?);
            let width = 6 * heads * half;
            Case::new("rotary", &[&[b, n, width]]).run(
                |t| {
                    let as_is = |v: &Tensor| v.to_dtype(t[0].value().dtype());
                    rotary(&t[0], heads, &as_is(&sin)?, &as_is(&cos)?)
                },
                |t| {
                    let s = Sizes::new(t[0].dims3()?, heads, &sin, &cos)?;
                    reference(&t[0], &s, &sin, &cos)
                },
            )?;
        }
        Ok(())
    }

    /// A turn keeps lengths, and the products of a query and a key depend on the difference of their angles alone.
    #[test]
    fn products_depend_on_the_distance_alone() -> Result<()> {
        let half = 2;
        let product = |at: [f64; 2]| -> Result<f64> {
            let angles: Vec<f64> = at.iter().flat_map(|a| [*a, 3. * a]).collect();
            let angles = Tensor::from_vec(angles, (2, half), &candle_core::Device::Cpu)?;
            let row = input(3, &[1, 1, 6 * half])?;
            let qkv = Tracked::constant(&Tensor::cat(&[&row, &row], 1)?);
            let y = rotary(&qkv, 1, &angles.sin()?, &angles.cos()?)?.into_value();
            let (q, k) = (
                y.narrow(1, 0, 1)?.narrow(2, 0, 4)?,
                y.narrow(1, 1, 1)?.narrow(2, 4, 4)?,
            );
            (q * k)?.sum_all()?.to_scalar()
        };
        let (near, moved, far) = (
            product([0.1, 0.4])?,
            product([1.3, 1.6])?,
            product([0.1, 0.9])?,
        );
        assert!((near - moved).abs() < 1e-12, "{near} {moved}");
        assert!((near - far).abs() > 1e-3, "{near} {far}");
        Ok(())
    }

    #[test]
    fn shapes_that_do_not_fit_are_errors() -> Result<()> {
        let qkv = Tracked::constant(&input(0, &[1, 3, 12])?);
        let angles = |p, half| input(1, &[p, half]);
        assert!(rotary(&qkv, 1, &angles(2, 2)?, &angles(2, 2)?).is_ok());
        assert!(rotary(&qkv, 1, &angles(4, 2)?, &angles(4, 2)?).is_err());
        assert!(rotary(&qkv, 1, &angles(2, 3)?, &angles(2, 3)?).is_err());
        assert!(rotary(&qkv, 1, &angles(2, 2)?, &angles(1, 2)?).is_err());
        Ok(())
    }
}
