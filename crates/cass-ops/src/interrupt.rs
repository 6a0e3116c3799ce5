//! Leaving a computation between two operations of it.

use candle_core::{Result, bail};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

thread_local! {
    /// Whether to stop, where anybody wants to be asked.
    static ASKED: RefCell<Option<Rc<dyn Fn() -> bool>>> = const { RefCell::new(None) };
    /// Whether an operation has failed for it.
    static HEARD: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f`; before each of its operations on this thread, forward and backward, asks whether to stop. `None` where
/// that was so: what `f` has changed by then stays changed.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use cass_ops::Tracked;
/// use cass_ops::nn::linear;
/// use cass_ops::scope::interruptible;
///
/// # fn main() -> candle_core::Result<()> {
/// let x = Tracked::from(&Tensor::ones((1, 2), DType::F32, &Device::Cpu)?);
/// let left = interruptible(|| true, || linear(&x, &x, None))?;
/// assert!(left.is_none());
/// let whole = interruptible(|| false, || linear(&x, &x, None))?;
/// assert_eq!(whole.unwrap().dims(), [1, 1]);
/// # Ok(()) }
/// ```
///
/// # Errors
/// Those of `f`.
pub fn interruptible<T, E>(
    stops: impl Fn() -> bool + 'static,
    f: impl FnOnce() -> std::result::Result<T, E>,
) -> std::result::Result<Option<T>, E> {
    let before = (ASKED.replace(Some(Rc::new(stops))), HEARD.replace(false));
    let result = f();
    ASKED.set(before.0);
    match (result, HEARD.replace(before.1)) {
        (Err(_), true) => Ok(None),
        (result, _) => result.map(Some),
    }
}

/// Fails where the computation is to be left.
pub(crate) fn check() -> Result<()> {
    // Not borrowed while it is asked: that may compute something itself.
    let asked = ASKED.with_borrow(Clone::clone);
    if asked.is_some_and(|stops| stops()) {
        HEARD.set(true);
        bail!("the computation was left in its middle");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::input;
    use crate::nn::{gelu, linear};
    use crate::scope::recompute;
    use crate::{Gradients, Tracked};
    use candle_core::Var;

    /// Two linear layers there and back, the second computed again if asked for.
    fn pass(again: bool) -> Result<Gradients> {
        let x = Tracked::from(&Var::from_tensor(&input(0, &[3, 4])?)?);
        let w = Tracked::from(&Var::from_tensor(&input(1, &[4, 4])?)?);
        let y = gelu(&linear(&x, &w, None)?)?;
        let block = move |x: &Tracked| linear(x, &w, None);
        let y = if again {
            recompute(&y, block)?
        } else {
            block(&y)?
        };
        y.backward_from(&input(2, &[3, 4])?)
    }

    #[test]
    fn a_pass_is_left_at_any_of_its_operations_forward_and_backward() -> Result<()> {
        for again in [false, true] {
            let mut places = 0;
            loop {
                let count = Rc::new(Cell::new(0));
                let counted = count.clone();
                let stops = move || counted.replace(counted.get() + 1) == places;
                match interruptible(stops, || pass(again))? {
                    None => assert_eq!(count.get(), places + 1, "it went on"),
                    Some(_) => break,
                }
                places += 1;
            }
            assert!(places >= 6, "only {places} places");
        }
        Ok(())
    }

    #[test]
    fn an_error_of_its_own_stays_one() {
        let failed: Result<Option<()>> = interruptible(|| false, || bail!("no"));
        assert!(failed.unwrap_err().to_string().contains("no"));
        assert!(check().is_ok(), "nobody asks any more");
    }
}
