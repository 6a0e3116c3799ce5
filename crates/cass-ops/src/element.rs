//! The scalars that kernels are written for, and the way from a Candle tensor to their slices.

use crate::vector::Lanes;
use candle_core::{Layout, Result, Storage, StorageRef, Tensor, WithDType, bail};
use std::ops::Range;

/// f32 for work, f64 for checking gradients against finite differences.
///
/// `exp`, `ln` and `erf` of f32 are branch-free polynomials that the compiler can vectorise.
pub(crate) trait Element: WithDType + Lanes + std::ops::Neg<Output = Self> {
    const ZERO: Self;
    const ONE: Self;

    /// The nearest to `value`. Candle's `from_f64` is a call where Candle is built without inlining, and a loop with a call in
    /// it is no vector loop.
    fn of(value: f64) -> Self;
    fn exp(self) -> Self;
    /// Of a positive number that is not subnormal, or of a NaN.
    fn ln(self) -> Self;
    fn erf(self) -> Self;
    fn sqrt(self) -> Self;

    /// The larger of two; `self` if they do not compare, so that NaN is not swallowed.
    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        if other > self { other } else { self }
    }

    /// The smaller of two; `self` if they do not compare.
    #[inline(always)]
    fn smaller(self, other: Self) -> Self {
        if other < self { other } else { self }
    }
}

impl Element for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;

    #[inline(always)]
    fn of(value: f64) -> Self {
        value as f32
    }

    /// Within 2 ulp of the exact value (range reduction and a polynomial, after Cephes' `expf`).
    #[inline(always)]
    fn exp(self) -> Self {
        const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23: adding it rounds to an integer
        let x = self.clamp(-87.336_54, 88.376_26);
        let n = (x * std::f32::consts::LOG2_E + ROUND) - ROUND;
        let r = x - n * 0.693_359_4;
        let r = r - n * -2.121_944_4e-4;
        let mut p = 1.987_569_2e-4;
        p = p * r + 1.398_199_9e-3;
        p = p * r + 8.333_452e-3;
        p = p * r + 4.166_579_6e-2;
        p = p * r + 1.666_666_5e-1;
        p = p * r + 0.5;
        let y = p * r * r + r + 1.0;
        y * f32::from_bits(((n as i32 + 127) as u32) << 23)
    }

    /// Within 2 ulp of the exact value, or 1e-7 near 0 (Cephes' `logf`).
    #[inline(always)]
    fn ln(self) -> Self {
        // The mantissa to [√½, √2), the exponent with it.
        let bits = self.to_bits().wrapping_sub(0x3f35_04f3);
        let exponent = (bits as i32 >> 23) as f32;
        let m = f32::from_bits((bits & 0x007f_ffff) + 0x3f35_04f3) - 1.0;
        let mut p = 7.037_683_6e-2;
        p = p * m - 1.151_461e-1;
        p = p * m + 1.167_699_8e-1;
        p = p * m - 1.242_014_1e-1;
        p = p * m + 1.424_932_3e-1;
        p = p * m - 1.666_805_7e-1;
        p = p * m + 2.000_071_4e-1;
        p = p * m - 2.499_999_4e-1;
        p = p * m + 3.333_333e-1;
        let square = m * m;
        let y = p * m * square + exponent * -2.121_944_4e-4 - 0.5 * square;
        // The bits of a NaN are no mantissa: 0, or NaN of a NaN, is added.
        m + y + exponent * 0.693_359_4 + self * 0.0
    }

    /// Within 5e-7 absolute (the rational minimax form that Eigen and XLA use).
    #[inline(always)]
    fn erf(self) -> Self {
        let x = self.clamp(-4.0, 4.0);
        let s = x * x;
        let mut a = -2.726_142_3e-10;
        a = a * s + 2.770_681_4e-8;
        a = a * s - 2.101_024e-6;
        a = a * s - 5.692_506_5e-5;
        a = a * s - 7.349_906_3e-4;
        a = a * s - 2.954_6e-3;
        a = a * s - 1.609_603_3e-2;
        let mut b = -1.456_607_2e-5;
        b = b * s - 2.133_740_6e-4;
        b = b * s - 1.682_827e-3;
        b = b * s - 7.373_329e-3;
        b = b * s - 1.426_473_9e-2;
        x * a / b
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        f32::sqrt(self)
    }
}

impl Element for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;

    #[inline(always)]
    fn of(value: f64) -> Self {
        value
    }

    #[inline(always)]
    fn exp(self) -> Self {
        f64::exp(self)
    }

    #[inline(always)]
    fn ln(self) -> Self {
        f64::ln(self)
    }

    #[inline(always)]
    fn erf(self) -> Self {
        libm::erf(self)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }
}

/// Binds a type name to the Rust type of `$dtype`, f32 or f64, in `$body`.
macro_rules! with_float {
    ($dtype:expr, $op:expr, $t:ident => $body:expr) => {
        match $dtype {
            candle_core::DType::F32 => {
                type $t = f32;
                $body
            }
            candle_core::DType::F64 => {
                type $t = f64;
                $body
            }
            other => candle_core::bail!("{} takes f32 or f64, not {other:?}", $op),
        }
    };
}
pub(crate) use with_float;

fn contiguous_range(layout: &Layout) -> Result<Range<usize>> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(start..end),
        None => bail!("tensor of shape {:?} is not contiguous", layout.shape()),
    }
}

/// A read lock on a contiguous CPU tensor.
pub(crate) struct Read<'a> {
    storage: StorageRef<'a>,
    range: Range<usize>,
}

impl<'a> Read<'a> {
    pub(crate) fn new(tensor: &'a Tensor) -> Result<Self> {
        let (storage, layout) = tensor.storage_and_layout();
        let range = contiguous_range(layout)?;
        Ok(Self { storage, range })
    }

    pub(crate) fn slice<T: Element>(&self) -> Result<&[T]> {
        match &*self.storage {
            Storage::Cpu(data) => Ok(&T::cpu_storage_as_slice(data)?[self.range.clone()]),
            _ => bail!("tensor is not on the CPU"),
        }
    }
}

/// A CPU tensor that owns `data`.
pub(crate) fn tensor<T: Element>(data: Vec<T>, shape: &[usize]) -> Result<Tensor> {
    Tensor::from_vec(data, shape, &candle_core::Device::Cpu)
}

#[cfg(test)]
mod tests {
    use super::Element;

    #[test]
    fn exp_is_within_two_ulp() {
        for i in -87_000..88_000 {
            let x = i as f32 / 1000.0;
            let (got, want) = (Element::exp(x) as f64, (x as f64).exp());
            assert!(
                (got - want).abs() <= 2.4e-7 * want,
                "exp({x}) = {got}, not {want}"
            );
        }
        assert!(Element::exp(f32::NEG_INFINITY) < 1e-37);
        assert!(Element::exp(f32::NAN).is_nan());
    }

    #[test]
    fn ln_is_within_two_ulp() {
        for i in -30_000..30_000 {
            let x = (i as f32 / 800.0).exp();
            let (got, want) = (Element::ln(x) as f64, (x as f64).ln());
            let allowed = 2.4e-7 * want.abs().max(0.5);
            assert!((got - want).abs() <= allowed, "ln({x}) = {got}, not {want}");
        }
        assert_eq!(Element::ln(1f32), 0.0);
        assert!(Element::ln(f32::NAN).is_nan());
    }

    #[test]
    fn erf_is_within_5e7() {
        for i in -60_000..60_000 {
            let x = i as f32 / 10_000.0;
            let (got, want) = (Element::erf(x) as f64, libm::erf(x as f64));
            assert!((got - want).abs() <= 5e-7, "erf({x}) = {got}, not {want}");
        }
    }
}
