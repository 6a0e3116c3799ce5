//! Softmax attention from a packed projection, one head of one image at a time.

mod kernels;
pub(crate) mod reference;

use crate::autocast::casts;
use crate::cuda::{self, AttentionOperands, Gpu};
use crate::element::{Read, tensor, with_float};
use crate::interrupt;
use crate::op::Op;
use crate::profile::{Pass, timed};
use crate::tracked::{Gradient, Tracked, compose_as};
use candle_core::{Result, Tensor, bail};
use kernels::Added;

/// `softmax(q kᵀ / √D) v` for every head, as timm's `Attention` between its `qkv` and `proj`.
///
/// The N × N weights exist for one head of one image a thread, and are computed again in the
/// backward pass: memory grows with N, not with its square times the batch.
///
/// # Shapes
/// `qkv (B, N, 3 · heads · D)`, in timm's order (q, k, v; then head; then D) →
/// `(B, N, heads · D)`
///
/// # Errors
/// If the last dimension does not divide by `3 · heads`, or `qkv` is neither f32 nor f64.
pub fn attention(qkv: &Tracked, heads: usize) -> Result<Tracked> {
    let sizes = Sizes::new(qkv.value().dims3()?, heads)?;
    if let Some(gpu) = Gpu::of(qkv) {
        return cuda::attention(gpu, operands(qkv, heads, None, None));
    }
    if !on_kernels(qkv) {
        return compose_as("attention", &[qkv], |t| {
            reference::attention(&t[0], &sizes, None)
        });
    }
    on_cpu(sizes, qkv, None, None)
}

/// Attention weights `softmax(q kᵀ / √D)` for display, without a gradient.
///
/// # Shapes
/// `qkv (B, N, 3 · heads · D)` → `(B, heads, N, N)`; rows are the tokens that look, and sum to 1
///
/// # Errors
/// As [`attention`].
pub fn attention_weights(qkv: &Tensor, heads: usize) -> Result<Tensor> {
    reference::weights(qkv, &Sizes::new(qkv.dims3()?, heads)?, None)
}

/// `softmax(q kᵀ / √D + bias + mask) v` for every head of every window, as timm's `WindowAttention`
/// between its `qkv` and `proj`; memory as of [`attention`].
///
/// The mask is a constant to the gradient; element `i` of the batch is window `i % windows`.
///
/// # Shapes
/// `qkv (B, N, 3 · heads · D)`, `bias (heads, N, N)`, `mask (windows, N, N)` → `(B, N, heads · D)`
///
/// # Errors
/// As [`attention`], and if `bias` or `mask` have another shape, or `B` does not divide by
/// `windows`.
pub fn window_attention(
    qkv: &Tracked,
    heads: usize,
    bias: &Tracked,
    mask: Option<&Tensor>,
) -> Result<Tracked> {
    let s = Sizes::of_windows(qkv.value(), heads, bias.value(), mask)?;
    let mask = mask.map(|mask| mask.detach().contiguous()).transpose()?;
    if let Some(gpu) = Gpu::of(qkv) {
        return cuda::attention(gpu, operands(qkv, heads, Some(bias), mask));
    }
    if !on_kernels(qkv) {
        return compose_as("attention", &[qkv, bias], |t| {
            reference::attention(&t[0], &s, Some((&t[1], mask.as_ref())))
        });
    }
    on_cpu(s, qkv, Some(bias), mask)
}

/// Attention weights `softmax(q kᵀ / √D + bias + mask)` for display, without a gradient.
///
/// # Shapes
/// `qkv (B, N, 3 · heads · D)`, `bias (heads, N, N)`, `mask (windows, N, N)` → `(B, heads, N, N)`;
/// rows are the tokens that look, and sum to 1
///
/// # Errors
/// As [`window_attention`].
pub fn window_attention_weights(
    qkv: &Tensor,
    heads: usize,
    bias: &Tensor,
    mask: Option<&Tensor>,
) -> Result<Tensor> {
    let s = Sizes::of_windows(qkv, heads, bias, mask)?;
    reference::weights(qkv, &s, Some((bias, mask)))
}

fn operands<'a>(
    qkv: &'a Tracked,
    heads: usize,
    bias: Option<&'a Tracked>,
    mask: Option<Tensor>,
) -> AttentionOperands<'a> {
    AttentionOperands {
        qkv,
        bias,
        mask,
        heads,
        low: casts(qkv.value()),
    }
}

/// Whether the CPU kernels compute it. They cannot round between the two products, so that a
/// composition computes what is to be in bf16, on a CPU too.
fn on_kernels(qkv: &Tracked) -> bool {
    qkv.is_on_cpu() && !casts(qkv.value())
}

fn on_cpu(
    s: Sizes,
    qkv: &Tracked,
    bias: Option<&Tracked>,
    mask: Option<Tensor>,
) -> Result<Tracked> {
    let qkv = qkv.contiguous()?;
    let bias = bias.map(Tracked::contiguous).transpose()?;
    let added = bias.as_ref().map(|bias| (bias.value().clone(), mask));
    interrupt::check()?;
    let out = timed("attention", Pass::Forward, || {
        let (qkvr, added) = (Read::new(qkv.value())?, ReadAdded::new(added.as_ref())?);
        with_float!(qkv.value().dtype(), "attention", T => {
            let out = kernels::forward(&s, qkvr.slice::<T>()?, added.get()?);
            tensor(out, &[s.b, s.n, s.width()])
        })
    })?;
    let (saved, saved_out) = (qkv.value().clone(), out.clone());
    let op = Op::Attention {
        heads: s.heads,
        mask: added.as_ref().and_then(|(_, mask)| mask.clone()),
    };
    let inputs: Vec<&Tracked> = [&qkv].into_iter().chain(&bias).collect();
    Ok(Tracked::record(op, out, &inputs, move |dout| {
        backward(&s, &saved, added.as_ref(), &saved_out, dout)
    }))
}

/// The bias and the mask of windows.
type AddedTensors = (Tensor, Option<Tensor>);

struct ReadAdded<'a>(Option<(Read<'a>, Option<Read<'a>>)>);

impl<'a> ReadAdded<'a> {
    fn new(added: Option<&'a AddedTensors>) -> Result<Self> {
        let read = |(bias, mask): &'a AddedTensors| {
            Ok((Read::new(bias)?, mask.as_ref().map(Read::new).transpose()?))
        };
        added.map(read).transpose().map(Self)
    }

    fn get<T: crate::element::Element>(&self) -> Result<Option<Added<'_, T>>> {
        let Some((bias, mask)) = &self.0 else {
            return Ok(None);
        };
        Ok(Some(Added {
            bias: bias.slice()?,
            mask: mask.as_ref().map(Read::slice).transpose()?,
        }))
    }
}

fn backward(
    s: &Sizes,
    qkv: &Tensor,
    added: Option<&AddedTensors>,
    out: &Tensor,
    dout: &Tensor,
) -> Result<Vec<Option<Gradient>>> {
    let dout = dout.contiguous()?;
    let (qkvr, outr, doutr) = (Read::new(qkv)?, Read::new(out)?, Read::new(&dout)?);
    let read = ReadAdded::new(added)?;
    with_float!(qkv.dtype(), "attention", T => {
        let (qkvs, outs, douts) = (qkvr.slice::<T>()?, outr.slice()?, doutr.slice()?);
        let (dqkv, dbias) = kernels::backward(s, qkvs, outs, douts, read.get()?);
        let mut found = vec![Some(Gradient::fresh(tensor(dqkv, qkv.dims())?))];
        if let Some((bias, _)) = added {
            found.push(Some(Gradient::fresh(tensor(dbias, bias.dims())?)));
        }
        Ok(found)
    })
}

/// Batch, tokens, heads and width of a head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    b: usize,
    n: usize,
    heads: usize,
    d: usize,
}

impl Sizes {
    fn new((b, n, width): (usize, usize, usize), heads: usize) -> Result<Self> {
        if heads == 0 || width == 0 || width % (3 * heads) != 0 {
            bail!("attention: width {width} does not divide into q, k and v of {heads} heads");
        }
        let d = width / (3 * heads);
        Ok(Self { b, n, heads, d })
    }

    /// Sizes of windows, whose bias and mask must fit too.
    fn of_windows(
        qkv: &Tensor,
        heads: usize,
        bias: &Tensor,
        mask: Option<&Tensor>,
    ) -> Result<Self> {
        let s = Self::new(qkv.dims3()?, heads)?;
        let fits = |mask: &Tensor| matches!(mask.dims(), [w, n, m] if [*n, *m] == [s.n; 2] && *w > 0 && s.b % w == 0);
        if bias.dims() != [heads, s.n, s.n] || mask.is_some_and(|mask| !fits(mask)) {
            bail!(
                "attention: bias {:?} and mask {:?} do not fit {} windows of {} tokens, {heads} heads",
                bias.dims(),
                mask.map(Tensor::dims),
                s.b,
                s.n
            );
        }
        Ok(s)
    }

    /// Width of q, of k, of v, and of the result.
    fn width(&self) -> usize {
        self.heads * self.d
    }

    fn scale(&self) -> f64 {
        (self.d as f64).sqrt().recip()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{self, Case};
    use candle_core::DType;
    use cass_testing::relative_error;

    #[test]
    fn equals_its_twin_and_finite_differences() -> Result<()> {
        for (b, n, heads, d) in [(1, 1, 1, 1), (2, 5, 3, 4), (1, 37, 2, 16), (3, 17, 1, 7)] {
            Case::new("attention", &[&[b, n, 3 * heads * d]]).run(
                |t| attention(&t[0], heads),
                |t| reference::attention(&t[0], &Sizes::new(t[0].dims3()?, heads)?, None),
            )?;
        }
        Ok(())
    }

    #[test]
    fn windows_equal_their_twin_and_finite_differences() -> Result<()> {
        for (b, n, heads, d, windows) in [
            (1, 1, 1, 1, 0),
            (3, 4, 2, 3, 0),
            (6, 9, 2, 4, 3),
            (70, 4, 1, 2, 5), // several images a group
        ] {
            let mask = if windows > 0 {
                // As Swin's: pairs of tokens that must not see each other.
                let mask = check::input(9, &[windows, n, n])?.gt(0.5)?;
                Some((mask.to_dtype(DType::F64)? * -100.)?)
            } else {
                None
            };
            let mask = |t: &Tensor| mask.as_ref().map(|m| m.to_dtype(t.dtype())).transpose();
            Case::new("attention", &[&[b, n, 3 * heads * d], &[heads, n, n]]).run(
                |t| window_attention(&t[0], heads, &t[1], mask(t[0].value())?.as_ref()),
                |t| {
                    let (sizes, mask) = (Sizes::new(t[0].dims3()?, heads)?, mask(&t[0])?);
                    reference::attention(&t[0], &sizes, Some((&t[1], mask.as_ref())))
                },
            )?;
        }
        Ok(())
    }

    /// With the identity as values, attention gives its weights.
    #[test]
    fn the_weights_are_those_of_the_kernels() -> Result<()> {
        let (b, n, heads) = (4, 6, 2);
        let eye = Tensor::eye(n, DType::F64, &candle_core::Device::Cpu)?;
        let qk = check::input(0, &[b, n, 2, heads, n])?;
        let v = eye.reshape((1, n, 1, 1, n))?;
        let v = v.broadcast_as((b, n, 1, heads, n))?;
        let qkv = Tensor::cat(&[qk, v.contiguous()?], 2)?.reshape((b, n, 3 * heads * n))?;
        let (bias, mask) = (
            check::input(1, &[heads, n, n])?,
            check::input(2, &[2, n, n])?,
        );
        let tracked = Tracked::constant(&qkv);
        for (weights, attended) in [
            (attention_weights(&qkv, heads)?, attention(&tracked, heads)?),
            (
                window_attention_weights(&qkv, heads, &bias, Some(&mask))?,
                window_attention(&tracked, heads, &Tracked::constant(&bias), Some(&mask))?,
            ),
        ] {
            let attended = attended
                .value()
                .reshape((b, n, heads, n))?
                .transpose(1, 2)?;
            let off = relative_error(&weights, &attended)?;
            assert!(off < 1e-14, "{off}");
        }
        Ok(())
    }

    #[test]
    fn without_bias_and_mask_windows_are_plain_attention() -> Result<()> {
        let qkv = check::constant(0, &[4, 6, 24])?;
        let zeros = |n| Tensor::zeros((n, 6, 6), DType::F64, qkv.value().device());
        let bias = Tracked::constant(&zeros(2)?);
        let windows = window_attention(&qkv, 2, &bias, Some(&zeros(4)?))?;
        let off = relative_error(windows.value(), attention(&qkv, 2)?.value())?;
        assert!(off < 1e-15, "{off}");
        Ok(())
    }

    #[test]
    fn a_bias_or_mask_of_another_shape_is_an_error() -> Result<()> {
        let qkv = check::constant(0, &[4, 6, 24])?;
        let of = |shape: &[usize]| check::input(1, shape);
        let (bias, mask) = (check::constant(1, &[2, 6, 6])?, of(&[2, 6, 6])?);
        assert!(window_attention(&qkv, 2, &bias, Some(&mask)).is_ok());
        assert!(window_attention(&qkv, 2, &check::constant(1, &[3, 6, 6])?, None).is_err());
        assert!(window_attention(&qkv, 2, &bias, Some(&of(&[3, 6, 6])?)).is_err());
        assert!(window_attention(&qkv, 2, &bias, Some(&of(&[2, 5, 6])?)).is_err());
        Ok(())
    }

    #[test]
    fn large_scores_do_not_overflow() -> Result<()> {
        let qkv = (check::input(0, &[1, 4, 12])? * 1e4)?.to_dtype(DType::F32)?;
        let out = attention(&Tracked::constant(&qkv), 2)?.into_value();
        let out = out.flatten_all()?.to_vec1::<f32>()?;
        assert!(out.iter().all(|v| v.is_finite()), "{out:?}");
        Ok(())
    }

    #[test]
    fn widths_that_do_not_divide_are_errors() -> Result<()> {
        assert!(attention(&check::constant(0, &[1, 4, 10])?, 2).is_err());
        assert!(attention(&check::constant(0, &[1, 4, 12])?, 0).is_err());
        Ok(())
    }
}
