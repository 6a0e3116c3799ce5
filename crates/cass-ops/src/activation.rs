//! Functions of every element by itself: ReLU, GELU and their kin.

use crate::cuda::{self, Gpu};
use crate::element::{Element, Read, tensor, with_float};
use crate::op::{Function, Op};
use crate::pieces::{map, zip_map};
use crate::profile::{Pass, timed};
use crate::tracked::{Gradient, Tracked, compose_as};
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

/// `x sigmoid(1.702 x)`, OpenAI's approximation of GELU, as timm's `quick_gelu`.
///
/// # Errors
/// If `x` is neither f32 nor f64.
pub fn quick_gelu(x: &Tracked) -> Result<Tracked> {
    elementwise::<QuickGelu>(x)
}

/// `x sigmoid(x)`, as `torch.nn.SiLU()`.
///
/// # Errors
/// If `x` is neither f32 nor f64.
pub fn silu(x: &Tracked) -> Result<Tracked> {
    elementwise::<Silu>(x)
}

/// `1 / (1 + exp(-x))`, as `torch.nn.Sigmoid()`.
///
/// # Errors
/// If `x` is neither f32 nor f64.
pub fn sigmoid(x: &Tracked) -> Result<Tracked> {
    elementwise::<Sigmoid>(x)
}

/// `min(max(x, 0), 6)` with slope 0 at both ends, as `torch.nn.ReLU6()`.
///
/// # Errors
/// If `x` is neither f32 nor f64.
pub fn relu6(x: &Tracked) -> Result<Tracked> {
    elementwise::<Relu6>(x)
}

/// `min(max(x + 3, 0), 6) / 6`, as `torch.nn.Hardsigmoid()`, with slope 0 at both ends.
///
/// # Errors
/// If `x` is neither f32 nor f64.
pub fn hard_sigmoid(x: &Tracked) -> Result<Tracked> {
    elementwise::<HardSigmoid>(x)
}

/// `x` times its [`hard_sigmoid`], as `torch.nn.Hardswish()`.
///
/// # Errors
/// If `x` is neither f32 nor f64.
pub fn hard_swish(x: &Tracked) -> Result<Tracked> {
    elementwise::<HardSwish>(x)
}

/// How a [`Function`] and its gradient are computed.
pub(crate) trait Elementwise {
    const FUNCTION: Function;

    fn value<T: Element>(x: T) -> T;

    /// The gradient of `x`, given that of the value.
    fn gradient<T: Element>(x: T, dy: T) -> T;

    /// The plain twin, and the path on other devices.
    fn reference(x: &Tensor) -> Result<Tensor>;
}

fn elementwise<F: Elementwise>(x: &Tracked) -> Result<Tracked> {
    if let Some(gpu) = Gpu::of(x) {
        return cuda::function(gpu, F::FUNCTION, x);
    }
    if !x.is_on_cpu() {
        return compose_as(F::FUNCTION.name(), &[x], |t| F::reference(&t[0]));
    }
    let x = x.contiguous()?;
    let y = timed(F::FUNCTION.name(), Pass::Forward, || value::<F>(x.value()))?;
    let (saved, again) = (x.value().clone(), x.value().clone());
    let y = Tracked::record(Op::Map(F::FUNCTION), y, &[&x], move |dy| {
        let dy = dy.contiguous()?;
        let (xr, dyr) = (Read::new(&saved)?, Read::new(&dy)?);
        with_float!(saved.dtype(), F::FUNCTION.name(), T => {
            let (xs, dys) = (xr.slice::<T>()?, dyr.slice::<T>()?);
            let dx = zip_map(xs, dys, #[inline(always)] |x, dy| F::gradient(x, dy));
            Ok(vec![Some(Gradient::fresh(tensor(dx, saved.dims())?))])
        })
    });
    Ok(y.or_again(move || value::<F>(&again)))
}

fn value<F: Elementwise>(x: &Tensor) -> Result<Tensor> {
    let xr = Read::new(x)?;
    with_float!(x.dtype(), F::FUNCTION.name(), T => {
        tensor(map(xr.slice::<T>()?, #[inline(always)] |x| F::value(x)), x.dims())
    })
}

pub(crate) struct Relu;

impl Elementwise for Relu {
    const FUNCTION: Function = Function::Relu;

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
    let half = T::of(0.5);
    half + half * (x * T::of(std::f64::consts::FRAC_1_SQRT_2)).erf()
}

impl Elementwise for Gelu {
    const FUNCTION: Function = Function::Gelu;

    #[inline(always)]
    fn value<T: Element>(x: T) -> T {
        x * normal_cdf(x)
    }

    #[inline(always)]
    fn gradient<T: Element>(x: T, dy: T) -> T {
        let density = T::of((0.5 / std::f64::consts::PI).sqrt());
        dy * (normal_cdf(x) + x * density * Element::exp(T::of(-0.5) * x * x))
    }

    /// Candle's own `gelu_erf` has a gradient of f32 precision in f64.
    fn reference(x: &Tensor) -> Result<Tensor> {
        let cdf = ((x * std::f64::consts::FRAC_1_SQRT_2)?.erf()? + 1.0)?;
        x * (cdf * 0.5)?
    }
}

#[inline(always)]
fn logistic<T: Element>(x: T) -> T {
    T::ONE / (T::ONE + Element::exp(-x))
}

/// Candle's own `sigmoid` has f32 precision in f64.
fn logistic_reference(x: &Tensor) -> Result<Tensor> {
    (x.neg()?.exp()? + 1.0)?.recip()
}

/// The slope of `x sigmoid(scale x)`.
#[inline(always)]
fn swish_slope<T: Element>(x: T, scale: T) -> T {
    let s = logistic(scale * x);
    s + scale * x * s * (T::ONE - s)
}

struct QuickGelu;

impl QuickGelu {
    const SCALE: f64 = 1.702;
}

impl Elementwise for QuickGelu {
    const FUNCTION: Function = Function::QuickGelu;

    #[inline(always)]
    fn value<T: Element>(x: T) -> T {
        x * logistic(T::of(Self::SCALE) * x)
    }

    #[inline(always)]
    fn gradient<T: Element>(x: T, dy: T) -> T {
        dy * swish_slope(x, T::of(Self::SCALE))
    }

    fn reference(x: &Tensor) -> Result<Tensor> {
        x * logistic_reference(&(x * Self::SCALE)?)?
    }
}

pub(crate) struct Silu;

impl Elementwise for Silu {
    const FUNCTION: Function = Function::Silu;

    #[inline(always)]
    fn value<T: Element>(x: T) -> T {
        x * logistic(x)
    }

    #[inline(always)]
    fn gradient<T: Element>(x: T, dy: T) -> T {
        dy * swish_slope(x, T::ONE)
    }

    fn reference(x: &Tensor) -> Result<Tensor> {
        x * logistic_reference(x)?
    }
}

struct Sigmoid;

impl Elementwise for Sigmoid {
    const FUNCTION: Function = Function::Sigmoid;

    #[inline(always)]
    fn value<T: Element>(x: T) -> T {
        logistic(x)
    }

    #[inline(always)]
    fn gradient<T: Element>(x: T, dy: T) -> T {
        let s = logistic(x);
        dy * s * (T::ONE - s)
    }

    fn reference(x: &Tensor) -> Result<Tensor> {
        logistic_reference(x)
    }
}

pub(crate) struct Relu6;

impl Elementwise for Relu6 {
    const FUNCTION: Function = Function::Relu6;

    #[inline(always)]
    fn value<T: Element>(x: T) -> T {
        x.larger(T::ZERO).smaller(T::of(6.0))
    }

    #[inline(always)]
    fn gradient<T: Element>(x: T, dy: T) -> T {
        let inside = x > T::ZERO && x < T::of(6.0);
        if inside { dy } else { T::ZERO }
    }

    fn reference(x: &Tensor) -> Result<Tensor> {
        let low = Relu::reference(x)?;
        let six = (low.zeros_like()? + 6.0)?;
        low.lt(6.0)?.where_cond(&low, &six)
    }
}

struct HardSigmoid;

impl Elementwise for HardSigmoid {
    const FUNCTION: Function = Function::HardSigmoid;

    #[inline(always)]
    fn value<T: Element>(x: T) -> T {
        Relu6::value(x + T::of(3.0)) * T::of(1.0 / 6.0)
    }

    #[inline(always)]
    fn gradient<T: Element>(x: T, dy: T) -> T {
        Relu6::gradient(x + T::of(3.0), dy) * T::of(1.0 / 6.0)
    }

    fn reference(x: &Tensor) -> Result<Tensor> {
        Relu6::reference(&(x + 3.0)?)? / 6.0
    }
}

pub(crate) struct HardSwish;

impl Elementwise for HardSwish {
    const FUNCTION: Function = Function::HardSwish;

    #[inline(always)]
    fn value<T: Element>(x: T) -> T {
        x * HardSigmoid::value(x)
    }

    /// 0 below -3, 1 above 3, as PyTorch has it at the borders too.
    #[inline(always)]
    fn gradient<T: Element>(x: T, dy: T) -> T {
        let three = T::of(3.0);
        let slope = x * T::of(1.0 / 3.0) + T::of(0.5);
        let below = if x <= -three { T::ZERO } else { slope };
        dy * if x >= three { T::ONE } else { below }
    }

    fn reference(x: &Tensor) -> Result<Tensor> {
        x * HardSigmoid::reference(x)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Case;
    use crate::tracked::compose;
    use candle_core::{Device, Var};

    #[test]
    fn equal_their_twins_and_finite_differences() -> Result<()> {
        for shape in [&[1][..], &[3, 5, 7], &[2, 20_000]] {
            Case::new("relu", &[shape]).run(|t| relu(&t[0]), |t| Relu::reference(&t[0]))?;
            Case::new("gelu", &[shape]).run(|t| gelu(&t[0]), |t| Gelu::reference(&t[0]))?;
            let wide = |name| Case::new(name, &[shape]).with(0, |x| x * 3.0);
            wide("quick_gelu").run(|t| quick_gelu(&t[0]), |t| QuickGelu::reference(&t[0]))?;
            wide("relu6").run(|t| relu6(&t[0]), |t| Relu6::reference(&t[0]))?;
            wide("silu").run(|t| silu(&t[0]), |t| Silu::reference(&t[0]))?;
            wide("sigmoid").run(|t| sigmoid(&t[0]), |t| Sigmoid::reference(&t[0]))?;
            wide("hard_sigmoid").run(|t| hard_sigmoid(&t[0]), |t| HardSigmoid::reference(&t[0]))?;
            wide("hard_swish").run(|t| hard_swish(&t[0]), |t| HardSwish::reference(&t[0]))?;
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
