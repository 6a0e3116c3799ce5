//! Gradients through anything written with Candle.

use super::{Gradient, Tracked};
use crate::interrupt;
use crate::profile::{Pass, timed};
use candle_core::{Result, Tensor, Var};

/// Computes `f` of the inputs, with the gradients that Candle finds for it.
///
/// `f` runs at once, under Candle's own tape. Operations take this path on devices that have no
/// kernels here; a loss written with Candle gets its gradients by it.
///
/// ```
/// use candle_core::{Device, Var};
/// use cass_ops::{Tracked, compose};
///
/// # fn main() -> candle_core::Result<()> {
/// let x = Var::new(&[1f32, -3.0], &Device::Cpu)?;
/// let loss = compose(&[&Tracked::from(&x)], |t| t[0].sqr()?.sum_all())?;
/// let dx = loss.backward()?.get(&x).map(|dx| dx.to_vec1::<f32>()).transpose()?;
/// assert_eq!(dx, Some(vec![2.0, -6.0]));
/// # Ok(()) }
/// ```
///
/// # Errors
/// If `f` fails.
pub fn compose(
    inputs: &[&Tracked],
    f: impl FnOnce(&[Tensor]) -> Result<Tensor>,
) -> Result<Tracked> {
    compose_as("composition", inputs, f)
}

/// The composition that an operation of this crate is on devices for which it has no kernels.
pub(crate) fn compose_as(
    name: &'static str,
    inputs: &[&Tracked],
    f: impl FnOnce(&[Tensor]) -> Result<Tensor>,
) -> Result<Tracked> {
    interrupt::check()?;
    #[cfg(any(test, feature = "emulator"))]
    crate::emulated::note_composed(name);
    let variables = inputs.iter().map(|input| match input.is_tracked() {
        true => Var::from_tensor(&input.value).map(Some),
        false => Ok(None),
    });
    let variables = variables.collect::<Result<Vec<_>>>()?;
    let tensors: Vec<Tensor> = inputs
        .iter()
        .zip(&variables)
        .map(|(input, variable)| match variable {
            Some(variable) => variable.as_tensor().clone(),
            None => input.value.clone(),
        })
        .collect();
    let result = timed(name, Pass::Forward, || f(&tensors))?;
    Ok(Tracked::record(name, result.detach(), inputs, move |dy| {
        // Candle starts from ones whatever the shape: a sum over the product would be one more pass.
        let gradients = (result * dy)?.backward()?;
        let of = |variable: Option<Var>| {
            variable.and_then(|variable| gradients.get(&variable).map(Tensor::detach))
        };
        let found = variables.into_iter().map(of);
        Ok(found.map(|found| found.map(Gradient::shared)).collect())
    }))
}
