//! A factor or a summand a channel: LayerScale, the gates of squeeze-and-excitation, the bias of a
//! convolution.

use crate::cuda::{self, Gpu};
use crate::element::{Element, Read, tensor, with_float};
use crate::op::Op;
use crate::parallel::{collect, for_each_chunk, lane_sum, vectorized};
use crate::profile::{Pass, timed};
use crate::tracked::{Gradient, Tracked, compose_as};
use candle_core::{Result, Tensor, bail};

/// Rows that a task takes at once, and over which the gradient of the factors is summed apart.
const ROWS: usize = 64;
/// Planes likewise.
const PLANES: usize = 8;

/// `residual + x * gamma`: the end of a branch with `timm.layers.LayerScale`.
///
/// # Shapes
/// `x (..., D)`, `gamma (D)`, `residual` as `x` → the same
///
/// # Errors
/// If the shapes do not fit or the dtypes differ or are neither f32 nor f64.
pub fn scale_add(x: &Tracked, gamma: &Tracked, residual: &Tracked) -> Result<Tracked> {
    let d = gamma.value().dims1()?;
    if d == 0 || x.dims().last() != Some(&d) || residual.dims() != x.dims() {
        let (x, residual) = (x.dims(), residual.dims());
        bail!("scale_add: {x:?} times {d} factors does not add to {residual:?}");
    }
    if let Some(gpu) = Gpu::of(x) {
        return cuda::scale_add(gpu, x, gamma, residual);
    }
    if !x.is_on_cpu() {
        return compose_as("scale_add", &[x, gamma, residual], |t| {
            scale_add_reference(&t[0], &t[1], &t[2])
        });
    }
    let (x, gamma, residual) = (x.contiguous()?, gamma.contiguous()?, residual.contiguous()?);
    let y = timed("scale_add", Pass::Forward, || {
        let (xr, gr) = (Read::new(x.value())?, Read::new(gamma.value())?);
        let rr = Read::new(residual.value())?;
        with_float!(x.value().dtype(), "scale_add", T => {
            let (xs, gs, rs) = (xr.slice::<T>()?, gr.slice::<T>()?, rr.slice::<T>()?);
            tensor(add_scaled(xs, gs, rs), x.dims())
        })
    })?;
    let (saved, saved_gamma) = (x.value().clone(), gamma.value().clone());
    Ok(Tracked::record(
        Op::ScaleAdd,
        y,
        &[&x, &gamma, &residual],
        move |dy| {
            let dy = dy.contiguous()?;
            let (xr, gr, dyr) = (
                Read::new(&saved)?,
                Read::new(&saved_gamma)?,
                Read::new(&dy)?,
            );
            with_float!(dy.dtype(), "scale_add", T => {
                let (xs, gs, dys) = (xr.slice::<T>()?, gr.slice::<T>()?, dyr.slice::<T>()?);
                let (dx, dgamma) = (scaled(dys, gs), sums_of_products(xs, dys, gs.len()));
                Ok(vec![
                    Some(Gradient::fresh(tensor(dx, saved.dims())?)),
                    Some(Gradient::fresh(tensor(dgamma, saved_gamma.dims())?)),
                    Some(Gradient::shared(dy.clone())),
                ])
            })
        },
    ))
}

/// Every plane of `x` times its gate, as `x * gate` in `timm.layers.SqueezeExcite`.
///
/// # Shapes
/// `x (B, C, H, W)`, `gate (B, C)` → `(B, C, H, W)`
///
/// # Errors
/// If the shapes do not fit or the dtypes differ or are neither f32 nor f64.
pub fn gate_planes(x: &Tracked, gate: &Tracked) -> Result<Tracked> {
    let (b, c, h, w) = x.value().dims4()?;
    if gate.dims() != [b, c] {
        bail!(
            "gate_planes: gates {:?} do not fit {:?}",
            gate.dims(),
            x.dims()
        );
    }
    if let Some(gpu) = Gpu::of(x) {
        return cuda::gate_planes(gpu, x, gate);
    }
    if !x.is_on_cpu() {
        return compose_as("gate_planes", &[x, gate], |t| {
            gate_planes_reference(&t[0], &t[1])
        });
    }
    let (x, gate, plane) = (x.contiguous()?, gate.contiguous()?, (h * w).max(1));
    let y = timed("gate_planes", Pass::Forward, || {
        let (xr, gr) = (Read::new(x.value())?, Read::new(gate.value())?);
        with_float!(x.value().dtype(), "gate_planes", T => {
            tensor(gated(xr.slice::<T>()?, gr.slice::<T>()?, plane), x.dims())
        })
    })?;
    let (saved, saved_gate) = (x.value().clone(), gate.value().clone());
    Ok(Tracked::record(
        Op::GatePlanes,
        y,
        &[&x, &gate],
        move |dy| {
            let dy = dy.contiguous()?;
            let (xr, gr, dyr) = (Read::new(&saved)?, Read::new(&saved_gate)?, Read::new(&dy)?);
            with_float!(dy.dtype(), "gate_planes", T => {
                let (xs, gs, dys) = (xr.slice::<T>()?, gr.slice::<T>()?, dyr.slice::<T>()?);
                let (dx, dgate) = (gated(dys, gs, plane), inner_products(xs, dys, gs.len(), plane));
                Ok(vec![
                    Some(Gradient::fresh(tensor(dx, saved.dims())?)),
                    Some(Gradient::fresh(tensor(dgate, saved_gate.dims())?)),
                ])
            })
        },
    ))
}

/// Every plane of `x` plus its channel's bias.
///
/// # Shapes
/// `x (B, C, H, W)`, `bias (C)` → `(B, C, H, W)`
///
/// # Errors
/// If the shapes do not fit or the dtypes differ or are neither f32 nor f64.
pub fn add_planes(x: &Tracked, bias: &Tracked) -> Result<Tracked> {
    let (_, c, h, w) = x.value().dims4()?;
    if bias.dims() != [c] {
        bail!(
            "add_planes: a bias {:?} does not fit {:?}",
            bias.dims(),
            x.dims()
        );
    }
    if let Some(gpu) = Gpu::of(x) {
        return cuda::add_planes(gpu, x, bias);
    }
    if !x.is_on_cpu() {
        return compose_as("add_planes", &[x, bias], |t| {
            add_planes_reference(&t[0], &t[1])
        });
    }
    let (x, bias, plane) = (x.contiguous()?, bias.contiguous()?, (h * w).max(1));
    let y = timed("add_planes", Pass::Forward, || {
        let (xr, br) = (Read::new(x.value())?, Read::new(bias.value())?);
        with_float!(x.value().dtype(), "add_planes", T => {
            tensor(shifted(xr.slice::<T>()?, br.slice::<T>()?, plane), x.dims())
        })
    })?;
    Ok(Tracked::record(Op::AddPlanes, y, &[&x, &bias], move |dy| {
        let dy = dy.contiguous()?;
        let dyr = Read::new(&dy)?;
        with_float!(dy.dtype(), "add_planes", T => {
            let dbias = channel_sums(dyr.slice::<T>()?, c, plane);
            Ok(vec![
                Some(Gradient::shared(dy.clone())),
                Some(Gradient::fresh(tensor(dbias, &[c])?)),
            ])
        })
    }))
}

/// The plain twin, and the path on other devices.
fn add_planes_reference(x: &Tensor, bias: &Tensor) -> Result<Tensor> {
    x.broadcast_add(&bias.reshape((1, (), 1, 1))?)
}

/// The plain twin, and the path on other devices.
fn scale_add_reference(x: &Tensor, gamma: &Tensor, residual: &Tensor) -> Result<Tensor> {
    x.broadcast_mul(gamma)? + residual
}

/// The plain twin, and the path on other devices.
fn gate_planes_reference(x: &Tensor, gate: &Tensor) -> Result<Tensor> {
    let (b, c) = gate.dims2()?;
    x.broadcast_mul(&gate.reshape((b, c, 1, 1))?)
}

/// `residual + x * gamma` of rows.
fn add_scaled<T: Element>(x: &[T], gamma: &[T], residual: &[T]) -> Vec<T> {
    let d = gamma.len();
    let mut y = vec![T::ZERO; x.len()];
    for_each_chunk(&mut y, ROWS * d, |i, y| {
        let at = i * ROWS * d..i * ROWS * d + y.len();
        let (x, residual) = (&x[at.clone()], &residual[at]);
        vectorized(
            #[inline(always)]
            || {
                let rows = x.chunks_exact(d).zip(residual.chunks_exact(d));
                for (y, (x, residual)) in y.chunks_exact_mut(d).zip(rows) {
                    let values = x.iter().zip(residual).zip(gamma);
                    for (y, ((&x, &residual), &gamma)) in y.iter_mut().zip(values) {
                        *y = residual + x * gamma;
                    }
                }
            },
        );
    });
    y
}

/// `x * gamma` of rows.
fn scaled<T: Element>(x: &[T], gamma: &[T]) -> Vec<T> {
    let d = gamma.len();
    let mut y = vec![T::ZERO; x.len()];
    for_each_chunk(&mut y, ROWS * d, |i, y| {
        let x = &x[i * ROWS * d..][..y.len()];
        vectorized(
            #[inline(always)]
            || {
                for (y, x) in y.chunks_exact_mut(d).zip(x.chunks_exact(d)) {
                    for ((y, &x), &gamma) in y.iter_mut().zip(x).zip(gamma) {
                        *y = x * gamma;
                    }
                }
            },
        );
    });
    y
}

/// `Σ a * b` over rows of `d` values: partial sums of fixed pieces, so that the result is the same for
/// any number of threads.
fn sums_of_products<T: Element>(a: &[T], b: &[T], d: usize) -> Vec<T> {
    let piece = ROWS * d;
    let partials: Vec<Vec<T>> = collect(a.len().div_ceil(piece), |i| {
        let at = i * piece..(i * piece + piece).min(a.len());
        let (a, b) = (&a[at.clone()], &b[at]);
        let mut sum = vec![T::ZERO; d];
        vectorized(
            #[inline(always)]
            || {
                for (a, b) in a.chunks_exact(d).zip(b.chunks_exact(d)) {
                    for (sum, (&a, &b)) in sum.iter_mut().zip(a.iter().zip(b)) {
                        *sum += a * b;
                    }
                }
            },
        );
        sum
    });
    let mut total = vec![T::ZERO; d];
    for partial in &partials {
        total.iter_mut().zip(partial).for_each(|(t, &p)| *t += p);
    }
    total
}

/// Every plane times its gate.
fn gated<T: Element>(x: &[T], gates: &[T], plane: usize) -> Vec<T> {
    let mut y = vec![T::ZERO; x.len()];
    for_each_chunk(&mut y, PLANES * plane, |i, y| {
        let x = &x[i * PLANES * plane..][..y.len()];
        let gates = &gates[i * PLANES..];
        vectorized(
            #[inline(always)]
            || {
                let planes = y.chunks_exact_mut(plane).zip(x.chunks_exact(plane));
                for ((y, x), &gate) in planes.zip(gates) {
                    for (y, &x) in y.iter_mut().zip(x) {
                        *y = x * gate;
                    }
                }
            },
        );
    });
    y
}

/// Every plane plus its channel's bias.
fn shifted<T: Element>(x: &[T], bias: &[T], plane: usize) -> Vec<T> {
    let mut y = vec![T::ZERO; x.len()];
    for_each_chunk(&mut y, PLANES * plane, |i, y| {
        let x = &x[i * PLANES * plane..][..y.len()];
        vectorized(
            #[inline(always)]
            || {
                let planes = y.chunks_exact_mut(plane).zip(x.chunks_exact(plane));
                for (n, (y, x)) in planes.enumerate() {
                    let bias = bias[(i * PLANES + n) % bias.len()];
                    for (y, &x) in y.iter_mut().zip(x) {
                        *y = x + bias;
                    }
                }
            },
        );
    });
    y
}

/// The sum over the planes of each of `channels`, image after image.
fn channel_sums<T: Element>(x: &[T], channels: usize, plane: usize) -> Vec<T> {
    let images = x.len() / (channels * plane).max(1);
    collect(channels, |channel| {
        let sum_of = |image: usize| {
            let x = &x[(image * channels + channel) * plane..][..plane];
            let [sum] = vectorized(
                #[inline(always)]
                || lane_sum(plane, |i| [x[i]]),
            );
            sum.to_f64()
        };
        T::of((0..images).map(sum_of).sum())
    })
}

/// `Σ a * b` of each of `count` planes.
fn inner_products<T: Element>(a: &[T], b: &[T], count: usize, plane: usize) -> Vec<T> {
    let pieces: Vec<Vec<T>> = collect(count.div_ceil(PLANES), |i| {
        let planes = i * PLANES..(i * PLANES + PLANES).min(count);
        let of = |p: usize| {
            let (a, b) = (&a[p * plane..][..plane], &b[p * plane..][..plane]);
            let [sum] = vectorized(
                #[inline(always)]
                || lane_sum(plane, |i| [a[i] * b[i]]),
            );
            sum
        };
        planes.map(of).collect()
    });
    pieces.concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Case, constant};

    #[test]
    fn scaled_branches_equal_their_twin_and_finite_differences() -> Result<()> {
        for shape in [&[3, 5][..], &[2, 70, 9], &[1, 1]] {
            let d = [shape[shape.len() - 1]];
            Case::new("scale_add", &[shape, &d, shape]).run(
                |t| scale_add(&t[0], &t[1], &t[2]),
                |t| scale_add_reference(&t[0], &t[1], &t[2]),
            )?;
        }
        Ok(())
    }

    #[test]
    fn gated_planes_equal_their_twin_and_finite_differences() -> Result<()> {
        for shape in [[2, 3, 4, 5], [1, 11, 1, 1], [3, 7, 9, 2]] {
            Case::new("gate_planes", &[&shape, &shape[..2]]).run(
                |t| gate_planes(&t[0], &t[1]),
                |t| gate_planes_reference(&t[0], &t[1]),
            )?;
        }
        Ok(())
    }

    #[test]
    fn biases_equal_their_twin_and_finite_differences() -> Result<()> {
        for shape in [[2, 3, 4, 5], [1, 11, 1, 1], [3, 7, 9, 2]] {
            Case::new("add_planes", &[&shape, &shape[1..2]]).run(
                |t| add_planes(&t[0], &t[1]),
                |t| add_planes_reference(&t[0], &t[1]),
            )?;
        }
        Ok(())
    }

    #[test]
    fn shapes_that_do_not_fit_are_errors() -> Result<()> {
        let (x, gamma) = (constant(0, &[2, 3])?, constant(1, &[2])?);
        assert!(scale_add(&x, &gamma, &x).is_err());
        let maps = constant(0, &[2, 3, 4, 4])?;
        assert!(gate_planes(&maps, &constant(1, &[3, 2])?).is_err());
        Ok(())
    }
}
