//! ReLU and GELU.

use crate::{
    element::{Element, Read, tensor, with_float},
    parallel::{map, zip_map},
    profile::{Pass, timed},
    tracked::{Gradient, Tracked, compose},
};
use candle_core::{Result, Tensor};

/// `max(x, 0)` with slope 0 at 0, as PyTorch has it (Candle's slope there is 1).
///
/// # Errors
/// If `x` is neither f32 nor f64.
pub fn relu(x: &Tracked) -> Result<Tracked> {
    elementwise::<Relu>(x)
}

/// The exact GELU `x Φ(x)`, as `torch.nn.GELU()`.
///
/// # Errors
/// If `x` is neither f32 nor f64.
pub fn gelu(x: &Tracked) -> Result<Tracked> {
    elementwise::<Gelu>(x)
}

/// A function of every element by itself.
trait Elementwise {
    const NAME: &'static str;

    fn value<T: Element>(x: T) -> T;

    /// The gradient of `x`, given that of the value.
    fn gradient<T: Element>(x: T, dy: T) -> T;

    /// The plain twin, and the path on other devices.
    fn reference(x: &Tensor) -> Result<Tensor>;
}

fn elementwise<F: Elementwise>(x: &Tracked) -> Result<Tracked> {
    if !x.is_on_cpu() {
        return compose(&[x], |t| F::reference(&t[0]));
    }
    let x = x.contiguous()?;
    let y = timed(F::NAME, Pass::Forward, || {
        let xr = Read::new(x.value())?;
        with_float!(x.value().dtype(), F::NAME, T => {
            tensor(map(xr.slice::<T>()?, #[inline(always)] |x| F::value(x)), x.dims())
        })
    })?;
    let saved = x.value().clone();
    Ok(Tracked::record(F::NAME, y, &[&x], move |dy| {
        let dy = dy.contiguous()?;
        let (xr, dyr) = (Read::new(&saved)?, Read::new(&dy)?);
        with_float!(saved.dtype(), F::NAME, T => {
            let (xs, dys) = (xr.slice::<T>()?, dyr.slice::<T>()?);
            let dx = zip_map(xs, dys, #[inline(always)] |x, dy| F::gradient(x, dy));
            Ok(vec![Some(Gradient::fresh(tensor(dx, saved.dims())?))])
        })
    }))
}

struct Relu;

impl Elementwise for Relu {
    const NAME: &'static str = "relu";

    #[inline(always)]
    fn value<T: Element>(x: T) -> T {
        x.larger(T::ZERO)
    }

    #[inline(always)]
    fn gradient<T: Element>(x: T, dy: T) -> T {
        if x > T::ZERO { dy } else { T::ZERO }
    }

    fn reference(x: &Tensor) -> Result<Tensor> {
        // Asked this way round, a NaN stays one.
        x.le(0.0)?.where_cond(&x.zeros_like()?, x)
    }
}

struct Gelu;

/// `Φ(x)`.
#[inline(always)]
fn normal_cdf<T: Element>(x: T) -> T {
    let half = T::from_f64(0.5);
    half + half * (x * T::from_f64(std::f64::consts::FRAC_1_SQRT_2)).erf()
}

impl Elementwise for Gelu {
    const NAME: &'static str = "gelu";

    #[inline(always)]
    fn value<T: Element>(x: T) -> T {
        x * normal_cdf(x)
    }

    #[inline(always)]
    fn gradient<T: Element>(x: T, dy: T) -> T {
        let density = T::from_f64((0.5 / std::f64::consts::PI).sqrt());
        dy * (normal_cdf(x) + x * density * Element::exp(T::from_f64(-0.5) * x * x))
    }

    /// Candle's own `gelu_erf` has a gradient of f32 precision in f64.
    fn reference(x: &Tensor) -> Result<Tensor> {
        let cdf = ((x * std::f64::consts::FRAC_1_SQRT_2)?.erf()? + 1.0)?;
        x * (cdf * 0.5)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Case;
    use candle_core::{Device, Var};

    #[test]
    fn equal_their_twins_and_finite_differences() -> Result<()> {
        for shape in [&[1][..], &[3, 5, 7], &[2, 20_000]] {
            Case::new("relu", &[shape]).run(|t| relu(&t[0]), |t| Relu::reference(&t[0]))?;
            Case::new("gelu", &[shape]).run(|t| gelu(&t[0]), |t| Gelu::reference(&t[0]))?;
        }
        Ok(())
    }

    #[test]
    fn relu_has_slope_zero_at_zero() -> Result<()> {
        let x = Var::new(&[-1f32, 0.0, 2.0], &Device::Cpu)?;
        let by_hand = relu(&Tracked::from(&x))?;
        let by_candle = compose(&[&Tracked::from(&x)], |t| Relu::reference(&t[0]))?;
        for y in [by_hand, by_candle] {
            let grads = y.backward_from(&x.ones_like()?)?;
            let slope = grads.get(&x).map(|g| g.to_vec1::<f32>()).transpose()?;
            assert_eq!(slope, Some(vec![0.0, 0.0, 1.0]));
        }
        Ok(())
    }

    #[test]
    fn nan_stays_nan() -> Result<()> {
        let nan = Tensor::new(&[f32::NAN], &Device::Cpu)?;
        let x = Tracked::constant(&nan);
        let kernels = [relu(&x)?.into_value(), gelu(&x)?.into_value()];
        for y in [Relu::reference(&nan)?, Gelu::reference(&nan)?]
            .iter()
            .chain(&kernels)
        {
            assert!(y.to_vec1::<f32>()?[0].is_nan());
        }
        Ok(())
    }
}
