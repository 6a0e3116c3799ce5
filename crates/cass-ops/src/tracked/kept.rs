//! What an operation keeps of its inputs for the backward pass: values, or how to compute them again.

use super::Tracked;
use candle_core::{Result, Tensor};
use std::fmt;
use std::sync::Arc;

/// Computes a value again, to the bit, from what its operation keeps for its own gradient anyway.
#[derive(Clone)]
pub(crate) struct Again(Arc<dyn Fn() -> Result<Tensor> + Send + Sync>);

impl fmt::Debug for Again {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Again")
    }
}

/// An input, kept for the backward pass.
pub(crate) enum Kept {
    Value(Tensor),
    Again(Again),
}

impl Kept {
    /// The input's value.
    pub(crate) fn value(self) -> Result<Tensor> {
        match self {
            Self::Value(value) => Ok(value),
            Self::Again(Again(f)) => f(),
        }
    }
}

impl Tracked {
    /// Lets what follows keep `f` rather than the value: for an operation that takes far less time than those that keep its
    /// result. `f` has to give the same bits, from nothing but what the operation keeps for its gradient.
    pub(crate) fn or_again(self, f: impl Fn() -> Result<Tensor> + Send + Sync + 'static) -> Self {
        let again = self.is_tracked().then(|| Again(Arc::new(f)));
        Self { again, ..self }
    }

    /// The value for a backward pass, or how to compute it again.
    pub(crate) fn kept(&self) -> Kept {
        match &self.again {
            Some(again) => Kept::Again(again.clone()),
            None => Kept::Value(self.value.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use crate::nn::{
        Activation, Conv2dConfig, batch_norm_train, conv2d, gelu, layer_norm, linear, relu,
    };
    use candle_core::Var;

    type Step = Box<dyn Fn(&Tracked) -> Result<Tracked>>;

    /// Gradients through what is computed again are those through what is kept, to the bit.
    #[test]
    fn what_is_computed_again_is_what_was_kept() -> Result<()> {
        let parameter = |seed, shape: &[usize]| Var::from_tensor(&check::input(seed, shape)?);
        let [w, scale, shift] =
            [&[5, 6][..], &[6], &[6]].map(|shape| parameter(shape.len() as u64, shape));
        let (w, scale, shift, kernel) = (w?, scale?, shift?, parameter(7, &[3, 4, 3, 3])?);
        let (scale4, shift4) = (parameter(8, &[4])?, parameter(9, &[4])?);
        let of = |f: fn(&Tracked) -> Result<Tracked>| -> Step { Box::new(f) };
        let norm = {
            let [scale, shift] = [&scale, &shift].map(Tracked::from);
            let f = move |x: &Tracked| layer_norm(x, &scale, &shift, 1e-6);
            Box::new(f) as Step
        };
        let map = {
            let w = Tracked::from(&w);
            move |x: &Tracked| linear(x, &w, None)
        };
        let convolution = {
            let kernel = Tracked::from(&kernel);
            move |x: &Tracked| conv2d(x, &kernel, &Conv2dConfig::default())
        };
        let statistics = {
            let [scale, shift] = [&scale4, &shift4].map(Tracked::from);
            let f = move |x: &Tracked| {
                Ok(batch_norm_train(x, &scale, &shift, None, 1e-5, Activation::Silu)?.0)
            };
            Box::new(f) as Step
        };
        let cases: [(Step, Step, &Var, &[usize]); 4] = [
            (of(gelu), Box::new(map.clone()), &w, &[4, 6]),
            (norm, Box::new(map), &w, &[4, 6]),
            (
                of(relu),
                Box::new(convolution.clone()),
                &kernel,
                &[2, 4, 5, 5],
            ),
            (statistics, Box::new(convolution), &kernel, &[2, 4, 5, 5]),
        ];
        for (first, second, parameter, shape) in cases {
            let x = Var::from_tensor(&check::input(1, shape)?)?;
            let gradients = |strip: bool| -> Result<Vec<Vec<f64>>> {
                let middle = first(&Tracked::from(&x))?;
                assert!(matches!(middle.kept(), Kept::Again(_)));
                let again = if strip { None } else { middle.again.clone() };
                let y = second(&Tracked { again, ..middle })?;
                let dy = y.value().affine(0.5, 1.0)?;
                let found = y.backward_from(&dy)?;
                let found = [&x, parameter]
                    .into_iter()
                    .filter_map(|of| found.get(of).cloned());
                found.map(|of| of.flatten_all()?.to_vec1()).collect()
            };
            let kept = gradients(true)?;
            assert_eq!(kept.len(), 2);
            assert_eq!(kept, gradients(false)?);
        }
        Ok(())
    }

    /// What wants no gradient keeps nothing in another's place.
    #[test]
    fn constants_are_not_computed_again() -> Result<()> {
        let y = gelu(&check::constant(0, &[3])?)?;
        assert!(matches!(y.kept(), Kept::Value(_)));
        Ok(())
    }
}
