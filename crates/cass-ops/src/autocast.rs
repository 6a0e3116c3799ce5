//! Matrix products in bf16, as under PyTorch's autocast.

use crate::emulated::is_emulated;
use crate::tracked::{Gradient, Tracked};
use candle_core::{DType, Result, Tensor};
use std::cell::Cell;

thread_local! {
    static BF16: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f`, where `enabled` with the products of [`conv2d`](crate::nn::conv2d),
/// [`linear`](crate::nn::linear) and attention in bf16; otherwise, inside another `autocast` too, as
/// their operands are. It holds for what this thread calls in `f`, and for the gradients of that,
/// wherever they are taken.
///
/// It is `torch.autocast(device, dtype=torch.bfloat16)`: both operands of a product are rounded to
/// bf16, sums are formed in f32, and the result is rounded to bf16, as are the gradients that go
/// back through it. All else is in f32, what networks keep and what passes between operations
/// included: variables and their gradients, biases, residual sums, normalisation, softmax,
/// activations, losses. PyTorch lets some of that follow in bf16, so it rounds more often. An f64
/// operand is left alone, as there.
///
/// On a GPU, Candle multiplies bf16 by bf16. A CPU has no kernels for that here: f32 ones compute
/// the same from rounded operands, slower than without.
///
/// ```
/// use candle_core::{Device, Var};
/// use cass_ops::Tracked;
/// use cass_ops::scope::autocast;
/// use cass_ops::nn::linear;
///
/// # fn main() -> candle_core::Result<()> {
/// let (x, w) = (Var::new(&[[1.001f32]], &Device::Cpu)?, Var::new(&[[3f32]], &Device::Cpu)?);
/// let y = autocast(true, || linear(&Tracked::from(&x), &Tracked::from(&w), None))?;
/// assert_eq!(y.value().to_vec2::<f32>()?, [[3.0]]); // 1.001 is 1 in bf16's eight bits
/// # Ok(()) }
/// ```
pub fn autocast<R>(enabled: bool, f: impl FnOnce() -> R) -> R {
    /// Restores the state before, after a panic too.
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            BF16.set(self.0);
        }
    }
    let _before = Before(BF16.replace(enabled));
    f()
}

/// Whether this thread is inside an enabled [`autocast`].
pub(crate) fn is_autocast() -> bool {
    BF16.get()
}

/// Whether a product of such operands is to be made in bf16.
pub(crate) fn casts(operand: &Tensor) -> bool {
    is_autocast() && operand.dtype() == DType::F32
}

/// The product `f` of two operands, in bf16.
pub(crate) fn in_bf16(
    a: &Tracked,
    b: &Tracked,
    f: impl FnOnce(&Tracked, &Tracked) -> Result<Tracked>,
) -> Result<Tracked> {
    let (a, b) = (cast(a, lower, raise)?, cast(b, lower, raise)?);
    cast(&autocast(false, || f(&a, &b))?, raise, lower)
}

/// The matrix product in a composition.
pub(crate) fn matmul(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    product(a, b, casts(a))
}

/// The matrix product of f32 operands, in bf16 where it is `low`.
pub(crate) fn product(a: &Tensor, b: &Tensor, low: bool) -> Result<Tensor> {
    if !low {
        return a.matmul(b);
    }
    let (a, b) = (a.to_dtype(DType::BF16)?, b.to_dtype(DType::BF16)?);
    a.matmul(&b)?.to_dtype(DType::F32)
}

/// Rounds to bf16. On a CPU the result is f32 of the same values, which the kernels take.
fn lower(t: &Tensor) -> Result<Tensor> {
    let low = t.to_dtype(DType::BF16)?;
    match t.device().is_cpu() && !is_emulated() {
        true => low.to_dtype(DType::F32),
        false => Ok(low),
    }
}

/// Widens bf16 to f32.
fn raise(t: &Tensor) -> Result<Tensor> {
    t.to_dtype(DType::BF16)?.to_dtype(DType::F32)
}

type Cast = fn(&Tensor) -> Result<Tensor>;

fn cast(t: &Tracked, forward: Cast, backward: Cast) -> Result<Tracked> {
    let value = forward(t.value())?;
    Ok(Tracked::record("cast", value, &[t], move |dy| {
        Ok(vec![Some(Gradient::fresh(backward(dy)?))])
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::input;
    use crate::compose;
    use crate::nn::linear;
    use candle_core::Var;

    /// Candle's own product of bf16 tensors, as on a GPU, against the kernels between roundings: the
    /// same but for sums that fall on the other side of a tie.
    #[test]
    fn a_composition_and_the_kernels_agree() -> Result<()> {
        let operands = [&[37, 65][..], &[20, 65]].map(|shape| {
            let t = input(0, shape)?.to_dtype(DType::F32)?;
            Var::from_tensor(&t)
        });
        let [x, w] = operands;
        let (x, w) = (x?, w?);
        let dy = input(1, &[37, 20])?.to_dtype(DType::F32)?;
        let pass = |op: &dyn Fn(&Tracked, &Tracked) -> Result<Tracked>| -> Result<Vec<f32>> {
            let y = autocast(true, || op(&Tracked::from(&x), &Tracked::from(&w)))?;
            let mut found = y.value().flatten_all()?.to_vec1()?;
            let grads = y.backward_from(&dy)?;
            for var in [&x, &w] {
                let grad = grads.get(var).map(Tensor::flatten_all).transpose()?;
                found.extend(grad.map_or(Ok(vec![]), |g| g.to_vec1::<f32>())?);
            }
            Ok(found)
        };
        let kernels = pass(&|x, w| linear(x, w, None))?;
        let composed = pass(&|x, w| compose(&[x, w], |t| matmul(&t[0], &t[1].t()?)))?;
        assert_eq!(kernels.len(), 37 * 20 + 37 * 65 + 20 * 65);
        let close = |a: f32, b: f32| (a - b).abs() <= a.abs().max(b.abs()) / 128.0;
        let both = || kernels.iter().zip(&composed);
        assert!(both().all(|(&a, &b)| close(a, b)));
        let equal = both().filter(|(a, b)| a == b).count();
        assert!(equal * 100 >= kernels.len() * 98, "{equal}");
        Ok(())
    }
}
