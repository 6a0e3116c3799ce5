//! Two-dimensional convolution.

mod columns;
mod depthwise;
mod geometry;
mod kernels;
pub(crate) mod reference;
mod taps;
mod winograd;

use crate::autocast::{casts, in_bf16};
use crate::cuda::{self, Gpu};
use crate::element::{Element, Read, tensor, with_float};
use crate::interrupt;
use crate::op::{Conv2dConfig, Op};
use crate::profile::{Pass, timed};
use crate::tracked::{Gradient, Kept, Tracked, compose_as};
use candle_core::{Result, Tensor, bail};
use geometry::Geometry;

impl Conv2dConfig {
    /// Output size along one direction.
    pub(crate) fn out_size(&self, size: usize, kernel: usize) -> Result<usize> {
        let padded = size + 2 * self.padding;
        if self.stride == 0 || kernel == 0 || padded < kernel {
            bail!("conv2d: {size} pixels are too few for kernel {kernel} with {self:?}");
        }
        Ok((padded - kernel) / self.stride + 1)
    }
}

/// Cross-correlation without bias, as `torch.nn.functional.conv2d`.
///
/// An input that needs no gradient (the image) costs none in the backward pass.
///
/// # Shapes
/// `x (B, C, H, W)`, `weight (O, C / groups, KH, KW)` → `(B, O, H', W')` with
/// `H' = (H + 2 padding - KH) / stride + 1`
///
/// # Errors
/// If the shapes do not fit or the dtypes differ or are neither f32 nor f64.
pub fn conv2d(x: &Tracked, weight: &Tracked, config: &Conv2dConfig) -> Result<Tracked> {
    let g = Geometry::new(x.value().dims4()?, weight.value().dims4()?, config)?;
    if casts(x.value()) {
        return in_bf16(x, weight, |x, weight| conv2d(x, weight, config));
    }
    if let Some(gpu) = Gpu::storing(x) {
        let kernels = match depthwise::suits(&g) {
            true => cuda::depthwise,
            false => cuda::convolution,
        };
        return kernels(gpu, x, weight, g.on_gpu());
    }
    if !x.is_on_cpu() {
        let twin = match depthwise::suits(&g) {
            true => depthwise::reference::conv2d,
            false => reference::conv2d,
        };
        return compose_as("conv2d", &[x, weight], |t| twin(&t[0], &t[1], config));
    }
    let (x, weight) = (x.contiguous()?, weight.contiguous()?);
    interrupt::check()?;
    let y = timed("conv2d", Pass::Forward, || {
        let (xr, wr) = (Read::new(x.value())?, Read::new(weight.value())?);
        with_float!(x.value().dtype(), "conv2d", T => {
            let (xs, ws) = (xr.slice::<T>()?, wr.slice::<T>()?);
            let [forward, ..] = kernels_for::<T>(&g);
            tensor(forward(&g, xs, ws), &g.out_shape())
        })
    })?;
    let needs_x = x.is_tracked();
    let saved_x = weight.is_tracked().then(|| x.kept());
    let saved_weight = weight.value().clone();
    let op = Op::Conv2d(*config);
    Ok(Tracked::record(op, y, &[&x, &weight], move |dy| {
        backward(&g, saved_x, &saved_weight, needs_x, dy)
    }))
}

/// From two of input, weight and the result's gradient to the third's partner.
type Kernel<T> = fn(&Geometry, &[T], &[T]) -> Vec<T>;

/// Forward, gradient of the input, gradient of the weight.
fn kernels_for<T: Element>(g: &Geometry) -> [Kernel<T>; 3] {
    if depthwise::suits(g) {
        [
            depthwise::forward,
            depthwise::grad_x,
            depthwise::grad_weight,
        ]
    } else if winograd::suits(g) {
        [winograd::forward, winograd::grad_x, winograd::grad_weight]
    } else if taps::suits(g) {
        [taps::forward, taps::grad_x, taps::grad_weight]
    } else {
        [kernels::forward, kernels::grad_x, kernels::grad_weight]
    }
}

/// `x` where the weight wants a gradient.
fn backward(
    g: &Geometry,
    x: Option<Kept>,
    weight: &Tensor,
    needs_x: bool,
    dy: &Tensor,
) -> Result<Vec<Option<Gradient>>> {
    let dy = dy.contiguous()?;
    let (wr, dyr) = (Read::new(weight)?, Read::new(&dy)?);
    with_float!(weight.dtype(), "conv2d", T => {
        let (ws, dys) = (wr.slice::<T>()?, dyr.slice::<T>()?);
        let [_, grad_x, grad_weight] = kernels_for::<T>(g);
        let dx = needs_x.then(|| tensor(grad_x(g, ws, dys), &[g.b, g.c, g.h, g.w]));
        let dw = x.map(|x| {
            let x = x.value()?;
            let xr = Read::new(&x)?;
            tensor(grad_weight(g, xr.slice::<T>()?, dys), weight.dims())
        });
        Ok(vec![
            dx.transpose()?.map(Gradient::fresh),
            dw.transpose()?.map(Gradient::fresh),
        ])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{self, Case};
    use cass_testing::relative_error;

    fn case(x: [usize; 4], w: [usize; 4], stride: usize, padding: usize, groups: usize) {
        let (config, case) = case_of(x, w, stride, padding, groups);
        case.run(
            |t| conv2d(&t[0], &t[1], &config),
            |t| reference::conv2d(&t[0], &t[1], &config),
        )
        .expect("conv2d");
    }

    fn case_of(
        x: [usize; 4],
        w: [usize; 4],
        stride: usize,
        padding: usize,
        groups: usize,
    ) -> (Conv2dConfig, Case) {
        let config = Conv2dConfig {
            stride,
            padding,
            groups,
        };
        let case = Case::new(&format!("conv2d {config:?}"), &[&x, &w]);
        (config, case)
    }

    #[test]
    fn equals_its_twin_and_finite_differences() {
        case([2, 3, 9, 9], [4, 3, 3, 3], 1, 1, 1);
        case([2, 3, 9, 9], [4, 3, 3, 3], 2, 1, 1);
        case([1, 2, 8, 11], [3, 2, 3, 3], 2, 1, 1); // remainders differ
        case([2, 3, 17, 15], [5, 3, 7, 7], 2, 3, 1); // a stem
        case([3, 4, 5, 5], [6, 4, 1, 1], 1, 0, 1);
        case([3, 4, 5, 7], [6, 4, 1, 1], 2, 0, 1); // a down-sampling shortcut
        case([2, 3, 16, 24], [5, 3, 8, 8], 8, 0, 1); // patches
        case([2, 4, 6, 5], [6, 2, 3, 3], 1, 1, 2);
        case([5, 2, 3, 3], [3, 2, 3, 3], 1, 1, 1); // several images a block
        case([1, 1, 1, 1], [1, 1, 1, 1], 1, 0, 1);
        case([1, 2, 2, 2], [3, 2, 3, 3], 1, 1, 1);
        case([2, 3, 7, 7], [2, 3, 2, 4], 3, 2, 1);
        case([2, 2, 70, 66], [3, 2, 3, 3], 1, 1, 1); // several blocks an image
        case([49, 2, 4, 4], [3, 2, 3, 3], 2, 1, 1); // a block of many images and one of one
    }

    #[test]
    fn winograds_way_equals_its_twin_and_finite_differences() {
        for (x, w, padding) in [
            ([1, 16, 16, 16], [16, 16, 3, 3], 1),
            ([3, 17, 11, 14], [20, 17, 3, 3], 1), // channels and sizes that leave rests
            ([9, 32, 6, 6], [16, 32, 3, 3], 1),   // several images a block
            ([1, 16, 26, 40], [33, 16, 3, 3], 0),
            ([2, 16, 12, 13], [16, 16, 3, 3], 2),
            ([1, 130, 30, 30], [16, 130, 3, 3], 1), // several blocks an image
            ([17, 16, 6, 6], [4096, 16, 3, 3], 1),  // so wide that blocks are multiplied together
        ] {
            let config = Conv2dConfig {
                padding,
                ..Default::default()
            };
            let g = Geometry::new(x.into(), w.into(), &config).expect("sizes");
            assert!(winograd::suits(&g), "{x:?}");
            // A GPU multiplies all windows alike, which the other test has.
            let (_, case) = case_of(x, w, 1, padding, 1);
            case.run_on_cpu(
                |t| conv2d(&t[0], &t[1], &config),
                |t| reference::conv2d(&t[0], &t[1], &config),
            )
            .expect("conv2d");
        }
    }

    #[test]
    fn small_maps_by_taps_equal_their_twin_and_finite_differences() {
        for (x, w, padding) in [
            ([16, 32, 3, 3], [40, 32, 3, 3], 1),
            ([17, 33, 2, 2], [32, 33, 3, 3], 1),
            ([16, 32, 1, 3], [32, 32, 3, 3], 1), // taps that see nothing
            ([18, 35, 3, 4], [32, 35, 2, 5], 2), // every tap outside now and then, results larger than maps
        ] {
            let config = Conv2dConfig {
                padding,
                ..Default::default()
            };
            let g = Geometry::new(x.into(), w.into(), &config).expect("sizes");
            assert!(taps::suits(&g) && !winograd::suits(&g), "{x:?}");
            let (_, case) = case_of(x, w, 1, padding, 1);
            case.run_on_cpu(
                |t| conv2d(&t[0], &t[1], &config),
                |t| reference::conv2d(&t[0], &t[1], &config),
            )
            .expect("conv2d");
        }
    }

    #[test]
    fn non_contiguous_input_is_taken() -> Result<()> {
        let w = check::constant(1, &[4, 3, 3, 3])?;
        let x = check::input(0, &[2, 9, 3, 8])?.transpose(1, 2)?;
        let config = Conv2dConfig {
            padding: 1,
            ..Default::default()
        };
        let error = relative_error(
            conv2d(&Tracked::constant(&x), &w, &config)?.value(),
            &reference::conv2d(&x.contiguous()?, w.value(), &config)?,
        )?;
        assert!(error < 1e-12, "{error}");
        Ok(())
    }

    #[test]
    fn wrong_shapes_are_errors() -> Result<()> {
        let x = check::constant(0, &[1, 3, 4, 4])?;
        let default = Conv2dConfig::default();
        assert!(conv2d(&x, &check::constant(1, &[2, 4, 3, 3])?, &default).is_err());
        assert!(conv2d(&x, &check::constant(1, &[2, 3, 5, 5])?, &default).is_err());
        let grouped = Conv2dConfig {
            groups: 2,
            ..default
        };
        assert!(conv2d(&x, &check::constant(1, &[2, 3, 3, 3])?, &grouped).is_err());
        let still = Conv2dConfig {
            stride: 0,
            ..default
        };
        assert!(conv2d(&x, &check::constant(1, &[2, 3, 3, 3])?, &still).is_err());
        Ok(())
    }
}
