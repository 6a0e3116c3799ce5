//! ReLU and GELU.

use crate::{
    element::{Element, Read, slice, tensor, with_float},
    parallel::{map, zip_map},
};
use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, WithDType,
    backend::BackendStorage,
};

/// `max(x, 0)` with slope 0 at 0, as PyTorch has it (Candle's slope there is 1).
///
/// # Errors
/// If `x` is neither f32 nor f64.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    if !x.device().is_cpu() {
        return reference::relu(x);
    }
    x.contiguous()?.apply_op1(Relu)
}

/// `relu(a + b)` in one pass: the end of a residual block.
///
/// # Shapes
/// `a` and `b` alike.
///
/// # Errors
/// If the shapes differ or the dtypes are neither f32 nor f64.
pub fn add_relu(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if a.dims() != b.dims() {
        candle_core::bail!("add_relu: {:?} and {:?} differ", a.dims(), b.dims());
    }
    if !a.device().is_cpu() {
        return reference::relu(&(a + b)?);
    }
    a.contiguous()?.apply_op2(&b.contiguous()?, AddRelu)
}

/// The exact GELU `x Φ(x)`, as `torch.nn.GELU()`.
///
/// # Errors
/// If `x` is neither f32 nor f64.
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    if !x.device().is_cpu() {
        return reference::gelu(x);
    }
    x.contiguous()?.apply_op1(Gelu)
}

/// `dy` where the result is positive.
fn relu_gradient(y: &Tensor, dy: &Tensor) -> Result<Tensor> {
    let dy = dy.contiguous()?;
    let (yr, dyr) = (Read::new(y)?, Read::new(&dy)?);
    with_float!(y.dtype(), "relu", T => {
        let zero = <T as Element>::ZERO;
        let dx = zip_map(yr.slice::<T>()?, dyr.slice::<T>()?, |y, dy| if y > zero { dy } else { zero });
        tensor(dx, y.dims())
    })
}

struct Relu;

impl CustomOp1 for Relu {
    fn name(&self) -> &'static str {
        "relu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout) -> Result<(CpuStorage, Shape)> {
        with_float!(x.dtype(), "relu", T => {
            let zero = <T as Element>::ZERO;
            let y = map(slice::<T>(x, xl)?, |x| x.larger(zero));
            Ok((T::to_cpu_storage_owned(y), xl.shape().clone()))
        })
    }

    fn bwd(&self, _x: &Tensor, y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(relu_gradient(y, dy)?))
    }
}

struct AddRelu;

impl CustomOp2 for AddRelu {
    fn name(&self) -> &'static str {
        "add_relu"
    }

    fn cpu_fwd(
        &self,
        a: &CpuStorage,
        al: &Layout,
        b: &CpuStorage,
        bl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        with_float!(a.dtype(), "add_relu", T => {
            let zero = <T as Element>::ZERO;
            let y = zip_map(slice::<T>(a, al)?, slice::<T>(b, bl)?, |a, b| (a + b).larger(zero));
            Ok((T::to_cpu_storage_owned(y), al.shape().clone()))
        })
    }

    fn bwd(
        &self,
        _a: &Tensor,
        _b: &Tensor,
        y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let d = relu_gradient(y, dy)?;
        Ok((Some(d.clone()), Some(d)))
    }
}

struct Gelu;

/// `Φ(x)`.
#[inline(always)]
fn normal_cdf<T: Element>(x: T) -> T {
    let half = T::from_f64(0.5);
    half + half * (x * T::from_f64(std::f64::consts::FRAC_1_SQRT_2)).erf()
}

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout) -> Result<(CpuStorage, Shape)> {
        with_float!(x.dtype(), "gelu", T => {
            let y = map(slice::<T>(x, xl)?, |x| x * normal_cdf(x));
            Ok((T::to_cpu_storage_owned(y), xl.shape().clone()))
        })
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let dy = dy.contiguous()?;
        let (xr, dyr) = (Read::new(x)?, Read::new(&dy)?);
        with_float!(x.dtype(), "gelu", T => {
            let density = T::from_f64((0.5 / std::f64::consts::PI).sqrt());
            let minus_half = T::from_f64(-0.5);
            let dx = zip_map(xr.slice::<T>()?, dyr.slice::<T>()?, |x, dy| {
                dy * (normal_cdf(x) + x * density * Element::exp(minus_half * x * x))
            });
            Ok(Some(tensor(dx, x.dims())?))
        })
    }
}

/// The plain twins, and the path on other devices.
mod reference {
    use candle_core::{Result, Tensor};

    pub(super) fn relu(x: &Tensor) -> Result<Tensor> {
        let positive = x.gt(0.0)?;
        positive.where_cond(x, &x.zeros_like()?)
    }

    /// Candle's own `gelu_erf` has a gradient of f32 precision in f64.
    pub(super) fn gelu(x: &Tensor) -> Result<Tensor> {
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
            Case::new("relu", &[shape]).run(|t| relu(&t[0]), |t| reference::relu(&t[0]))?;
            Case::new("gelu", &[shape]).run(|t| gelu(&t[0]), |t| reference::gelu(&t[0]))?;
            Case::new("add_relu", &[shape, shape]).run(
                |t| add_relu(&t[0], &t[1]),
                |t| reference::relu(&(&t[0] + &t[1])?),
            )?;
        }
        Ok(())
    }

    #[test]
    fn relu_has_slope_zero_at_zero() -> Result<()> {
        for op in [relu, reference::relu] {
            let x = Var::new(&[-1f32, 0.0, 2.0], &Device::Cpu)?;
            let grads = op(&x)?.sum_all()?.backward()?;
            let slope = grads.get(&x).map(|g| g.to_vec1::<f32>()).transpose()?;
            assert_eq!(slope, Some(vec![0.0, 0.0, 1.0]));
        }
        Ok(())
    }

    #[test]
    fn nan_stays_nan() -> Result<()> {
        let x = Tensor::new(&[f32::NAN], &Device::Cpu)?;
        assert!(relu(&x)?.to_vec1::<f32>()?[0].is_nan());
        assert!(gelu(&x)?.to_vec1::<f32>()?[0].is_nan());
        Ok(())
    }
}
