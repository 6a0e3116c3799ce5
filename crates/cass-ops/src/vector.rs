//! Vectors of an element, for kernels that the compiler does not vectorise by itself.

use pulp::Simd;
use pulp::bytemuck::Pod;

/// The vector of a scalar type on each instruction set.
pub(crate) trait Lanes: Pod {
    /// As many as the instruction set takes at once.
    type Vector<S: Simd>: Pod;

    fn splat<S: Simd>(simd: S, value: Self) -> Self::Vector<S>;
    fn plus<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    fn minus<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    fn times<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    /// `a * b + c`, rounded once where the instruction set can.
    fn times_plus<S: Simd>(
        simd: S,
        a: Self::Vector<S>,
        b: Self::Vector<S>,
        c: Self::Vector<S>,
    ) -> Self::Vector<S>;

    /// Scalars of a vector.
    #[inline(always)]
    fn lanes<S: Simd>() -> usize {
        size_of::<Self::Vector<S>>() / size_of::<Self>()
    }

    /// The first lanes of `from`.
    #[inline(always)]
    fn load<S: Simd>(_: S, from: &[Self]) -> Self::Vector<S> {
        pulp::bytemuck::pod_read_unaligned(pulp::bytemuck::cast_slice(&from[..Self::lanes::<S>()]))
    }

    /// Writes over the first lanes of `to`.
    #[inline(always)]
    fn store<S: Simd>(_: S, to: &mut [Self], vector: Self::Vector<S>) {
        let to = &mut to[..Self::lanes::<S>()];
        to.copy_from_slice(pulp::bytemuck::cast_slice(std::slice::from_ref(&vector)));
    }
}

macro_rules! lanes {
    ($t:ty, $vector:ident, $splat:ident, $add:ident, $sub:ident, $mul:ident, $fma:ident) => {
        impl Lanes for $t {
            type Vector<S: Simd> = S::$vector;

            #[inline(always)]
            fn splat<S: Simd>(simd: S, value: Self) -> S::$vector {
                simd.$splat(value)
            }

            #[inline(always)]
            fn plus<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
                simd.$add(a, b)
            }

            #[inline(always)]
            fn minus<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
                simd.$sub(a, b)
            }

            #[inline(always)]
            fn times<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
                simd.$mul(a, b)
            }

            #[inline(always)]
            fn times_plus<S: Simd>(
                simd: S,
                a: S::$vector,
                b: S::$vector,
                c: S::$vector,
            ) -> S::$vector {
                simd.$fma(a, b, c)
            }
        }
    };
}

lanes!(
    f32,
    f32s,
    splat_f32s,
    add_f32s,
    sub_f32s,
    mul_f32s,
    mul_add_e_f32s
);
lanes!(
    f64,
    f64s,
    splat_f64s,
    add_f64s,
    sub_f64s,
    mul_f64s,
    mul_add_e_f64s
);
