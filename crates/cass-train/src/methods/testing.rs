//! What tests of losses share.

use candle_core::{DType, Device, Result, Tensor, Var};
use cass_ops::Tracked;
use cass_testing::{Tensors, golden};

/// Values and gradients of PyTorch.
pub(super) struct Golden(Tensors);

impl Golden {
    pub(super) fn load() -> Self {
        Self(golden("losses/golden.safetensors").unwrap())
    }

    pub(super) fn get(&self, dtype: DType, name: &str) -> Tensor {
        let prefix = if dtype == DType::F32 { "f32." } else { "" };
        self.0[&format!("{prefix}{name}")].clone()
    }

    /// Compares value and gradients of `loss`, given the named inputs as variables.
    pub(super) fn check(
        &self,
        case: &str,
        inputs: &[&str],
        loss: impl Fn(&dyn Fn(&str) -> Tensor, &[Tracked]) -> Result<Tracked>,
    ) {
        for (dtype, tolerance) in [(DType::F32, 2e-5), (DType::F64, 1e-9)] {
            let get = |name: &str| self.get(dtype, &format!("{case}.{name}"));
            let vars: Vec<_> = inputs
                .iter()
                .map(|i| Var::from_tensor(&get(i)).unwrap())
                .collect();
            let tracked: Vec<_> = vars.iter().map(Tracked::from).collect();
            let value = loss(&get, &tracked).unwrap();
            close(
                value.value(),
                &get("value"),
                tolerance,
                &format!("{case} {dtype:?}"),
            );
            let grads = value.backward().unwrap();
            for (name, var) in inputs.iter().zip(&vars) {
                if let Some(expected) = self.0.get(&format!("{case}.d{name}")) {
                    let expected = expected.to_dtype(dtype).unwrap();
                    let expected = if dtype == DType::F32 {
                        get(&format!("d{name}"))
                    } else {
                        expected
                    };
                    let what = format!("{case}.d{name} {dtype:?}");
                    close(grads.get(var).expect(&what), &expected, tolerance, &what);
                }
            }
        }
    }
}

/// Row by row, since one row of a golden gradient may be 1e11 times another; a row of zeros but for
/// rounding counts as 1e-3.
fn close(got: &Tensor, want: &Tensor, tolerance: f64, what: &str) {
    assert_eq!(got.dims(), want.dims(), "{what}");
    let rows = |t: &Tensor| {
        let t = t.to_dtype(DType::F64).unwrap();
        let width = t.dims().last().copied().unwrap_or(1);
        t.reshape(((), width)).unwrap().to_vec2::<f64>().unwrap()
    };
    let norm = |row: &[f64]| row.iter().map(|x| x * x).sum::<f64>().sqrt();
    for (i, (got, want)) in rows(got).iter().zip(rows(want)).enumerate() {
        let difference: Vec<f64> = got.iter().zip(&want).map(|(a, b)| a - b).collect();
        let error = norm(&difference) / norm(&want).max(1e-3);
        assert!(
            error <= tolerance,
            "{what}, row {i}: {error:.1e}, {got:?} not {want:?}"
        );
    }
}

/// Holds the gradient of a loss of logits `(3, 4)` to finite differences.
pub(super) fn check_slopes(name: &str, loss: &dyn Fn(&Tensor) -> Result<Tensor>) {
    let logits: Vec<f64> = (0..12).map(|i| ((i * 7 % 11) as f64 - 5.0) * 0.4).collect();
    let at = |values: &[f64]| Tensor::from_slice(values, (3, 4), &Device::Cpu).unwrap();
    let x = Var::from_tensor(&at(&logits)).unwrap();
    let grads = loss(&x).unwrap().backward().unwrap();
    let grad = grads.get(&x).unwrap().flatten_all().unwrap();
    for (i, grad) in grad.to_vec1::<f64>().unwrap().into_iter().enumerate() {
        let shifted = |by: f64| {
            let mut values = logits.clone();
            values[i] += by;
            loss(&at(&values)).unwrap().to_scalar::<f64>().unwrap()
        };
        let numeric = (shifted(1e-5) - shifted(-1e-5)) / 2e-5;
        let wrong = (grad - numeric).abs() >= 1e-8;
        assert!(!wrong, "{name} {i}: {grad} not {numeric}");
    }
}
