//! Computing a part of a network twice instead of keeping what its backward pass needs.

use crate::autocast::{autocast, is_autocast};
use crate::tracked::{Tracked, without_recording};
use candle_core::Result;
use std::cell::Cell;

thread_local! {
    static AGAIN: Cell<bool> = const { Cell::new(false) };
}

/// Whether a part is being computed for the second time: what it changes besides its result,
/// running statistics for instance, has been changed already.
pub fn is_recomputing() -> bool {
    AGAIN.get()
}

/// Computes `f(x)` and keeps nothing but `x`: the backward pass computes it again. Gradients are the
/// same to the bit if `f` is the same function both times, see [`is_recomputing`], and what it holds
/// is used nowhere else.
///
/// Gradients reach `x` and the variables that `f` holds. It is `torch.utils.checkpoint` by another
/// name, as a checkpoint is something else here.
///
/// ```
/// use candle_core::{Device, Var};
/// use cass_ops::Tracked;
/// use cass_ops::scope::recompute;
/// use cass_ops::nn::relu;
///
/// # fn main() -> candle_core::Result<()> {
/// let x = Var::new(&[2f32, -3.0], &Device::Cpu)?;
/// let y = recompute(&Tracked::from(&x), |x| relu(x)?.scale(10.0))?;
/// let grads = y.backward_from(x.ones_like()?.as_ref())?;
/// assert_eq!(grads.get(&x).map(|g| g.to_vec1::<f32>()).transpose()?, Some(vec![10.0, 0.0]));
/// # Ok(()) }
/// ```
///
/// # Errors
/// If `f` fails.
pub fn recompute(
    x: &Tracked,
    f: impl Fn(&Tracked) -> Result<Tracked> + Send + 'static,
) -> Result<Tracked> {
    let (y, depends) = without_recording(|| f(x))?;
    if !depends {
        return Ok(y);
    }
    let (input, low) = (x.clone(), is_autocast());
    Ok(Tracked::record_again(y.into_value(), x, move |dy| {
        let x = match input.is_tracked() {
            true => Tracked::constant(input.value()).watch(),
            false => input,
        };
        let before = AGAIN.replace(true);
        let y = autocast(low, || f(&x));
        AGAIN.set(before);
        let mut gradients = y?.backward_from(dy)?;
        let dx = gradients.take(&x);
        Ok((dx, gradients))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::input;
    use crate::nn::{gelu, linear};
    use candle_core::{Tensor, Var};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Two linear layers that share the block's weight, and one after the block.
    fn network(again: bool, x: &Tracked, [w, after]: &[Tracked; 2]) -> Result<Tracked> {
        let w = w.clone();
        let block = move |x: &Tracked| linear(&gelu(&linear(x, &w, None)?)?, &w, None);
        let y = if again {
            recompute(x, block)?
        } else {
            block(x)?
        };
        linear(&y.broadcast_add(x)?, after, None)
    }

    fn gradients(again: bool, constant: bool) -> Result<Vec<Option<Vec<f64>>>> {
        let x = Var::from_tensor(&input(0, &[3, 4])?)?;
        let weight = |i| Var::from_tensor(&input(i, &[4, 4])?);
        let weights = [weight(1)?, weight(3)?];
        let tracked = match constant {
            true => Tracked::constant(&x),
            false => Tracked::from(&x),
        };
        let y = network(again, &tracked, &weights.each_ref().map(Tracked::from))?;
        let dy = input(2, &[3, 4])?;
        let grads = y.backward_from(&dy)?;
        let flat = |v: &Var| grads.get(v).map(|g| g.flatten_all()?.to_vec1()).transpose();
        Ok(vec![flat(&x)?, flat(&weights[0])?, flat(&weights[1])?])
    }

    #[test]
    fn gradients_are_the_same_to_the_bit() -> Result<()> {
        for constant in [false, true] {
            let found = gradients(true, constant)?;
            assert_eq!(found, gradients(false, constant)?);
            assert_eq!(found[0].is_none(), constant);
        }
        Ok(())
    }

    #[test]
    fn the_part_is_computed_once_forward_and_once_more_backward() -> Result<()> {
        let x = Var::from_tensor(&input(0, &[3])?)?;
        let calls = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let counted = calls.clone();
        let f = move |x: &Tracked| {
            counted[usize::from(is_recomputing())].fetch_add(1, Ordering::Relaxed);
            gelu(x)
        };
        let counts = || calls.each_ref().map(|c| c.load(Ordering::Relaxed));
        let y = recompute(&Tracked::from(&x), f.clone())?;
        assert_eq!(counts(), [1, 0]);
        y.backward_from(&input(1, &[3])?)?;
        assert_eq!((counts(), is_recomputing()), ([1, 1], false));
        // Nothing to take gradients of: nothing to compute again.
        assert!(!recompute(&Tracked::constant(&x), f)?.is_tracked());
        Ok(())
    }

    #[test]
    fn a_part_inside_a_part_is_computed_again() -> Result<()> {
        let x = Var::from_tensor(&input(0, &[3])?)?;
        let dy = input(1, &[3])?;
        let gradient = |y: Tracked| -> Result<Vec<f64>> {
            let grads = y.backward_from(&dy)?;
            grads
                .get(&x)
                .map(Tensor::to_vec1)
                .transpose()
                .map(Option::unwrap_or_default)
        };
        let nested = |x: &Tracked| recompute(&gelu(x)?, gelu);
        let plain = gradient(gelu(&gelu(&Tracked::from(&x))?)?)?;
        assert_eq!(gradient(recompute(&Tracked::from(&x), nested)?)?, plain);
        Ok(())
    }

    #[test]
    fn a_failure_the_second_time_is_an_error() -> Result<()> {
        let x = Var::from_tensor(&input(0, &[3])?)?;
        let fails_again = |x: &Tracked| match is_recomputing() {
            true => candle_core::bail!("no memory"),
            false => gelu(x),
        };
        let y = recompute(&Tracked::from(&x), fails_again)?;
        assert!(y.backward_from(&input(1, &[3])?).is_err());
        assert!(!is_recomputing());
        Ok(())
    }
}
