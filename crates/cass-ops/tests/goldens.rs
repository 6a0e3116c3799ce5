//! Every op, forward and backward, against what PyTorch computed in f64 (`fixtures/golden/ops`).

use candle_core::{Result, Tensor, Var};
use cass_ops::Tracked;
use cass_ops::nn::{
    Activation, Conv2dConfig, MaxPool2dConfig, attention, batch_norm_eval, batch_norm_train,
    conv2d, gelu, layer_norm, linear, max_pool2d, relu,
};
use cass_testing::{Tensors, assert_close, golden};
use std::collections::BTreeSet;

/// The cases of one op: tensors under `<case>.<name>`.
struct Golden {
    tensors: Tensors,
}

impl Golden {
    fn load(op: &str) -> Result<Self> {
        let tensors = golden(&format!("ops/{op}.safetensors"))?;
        Ok(Self { tensors })
    }

    fn cases(&self) -> BTreeSet<&str> {
        self.tensors
            .keys()
            .filter_map(|k| k.split('.').next())
            .collect()
    }

    fn get(&self, case: &str, name: &str) -> &Tensor {
        &self.tensors[&format!("{case}.{name}")]
    }

    /// `op` of the named inputs equals `y`, and its gradients under `dy` equal `d<input>`.
    fn check(
        &self,
        case: &str,
        inputs: &[&str],
        op: impl Fn(&[Tracked]) -> Result<Tracked>,
    ) -> Result<()> {
        let vars = inputs
            .iter()
            .map(|name| Var::from_tensor(self.get(case, name)));
        let vars: Vec<Var> = vars.collect::<Result<_>>()?;
        let tracked: Vec<Tracked> = vars.iter().map(Tracked::from).collect();
        let y = op(&tracked)?;
        close(&format!("{case}.y"), y.value(), self.get(case, "y"))?;
        let grads = y.backward_from(self.get(case, "dy"))?;
        for (name, var) in inputs.iter().zip(&vars) {
            let what = format!("{case}.d{name}");
            let grad = grads
                .get(var)
                .unwrap_or_else(|| panic!("{what} is missing"));
            close(&what, grad, &self.tensors[&what])?;
        }
        Ok(())
    }
}

fn close(what: &str, a: &Tensor, b: &Tensor) -> Result<()> {
    assert_close(what, a, b, 1e-11)
}

/// Stride, padding and groups by the case's name, as `export.py` has them.
fn conv_config(case: &str) -> Conv2dConfig {
    let (stride, padding, groups) = match case {
        "conv3x3s2" | "conv3x3s2_nonsquare" | "conv3x3_one_pixel" => (2, 1, 1),
        "conv7x7s2" | "conv7x7s2_nonsquare" => (2, 3, 1),
        "conv1x1s1" => (1, 0, 1),
        "conv1x1s2" => (2, 0, 1),
        "conv16x16s16" => (16, 0, 1),
        "conv3x3_groups2" => (1, 1, 2),
        _ => (1, 1, 1),
    };
    Conv2dConfig {
        stride,
        padding,
        groups,
    }
}

#[test]
fn conv2d_equals_torch() -> Result<()> {
    let golden = Golden::load("conv2d")?;
    for case in golden.cases() {
        let config = conv_config(case);
        if golden.tensors.contains_key(&format!("{case}.bias")) {
            golden.check(case, &["x", "weight", "bias"], |t| {
                let bias = t[2].reshape((1, t[2].dims()[0], 1, 1))?;
                conv2d(&t[0], &t[1], &config)?.broadcast_add(&bias)
            })?;
        } else {
            golden.check(case, &["x", "weight"], |t| conv2d(&t[0], &t[1], &config))?;
        }
    }
    Ok(())
}

#[test]
fn batch_norm_equals_torch() -> Result<()> {
    let golden = Golden::load("batch_norm")?;
    for case in golden.cases() {
        let activation = if case.ends_with("relu") {
            Activation::Relu
        } else {
            Activation::Identity
        };
        let running = |what: &str| golden.get(case, what).clone();
        golden.check(case, &["x", "weight", "bias"], |t| {
            if case.starts_with("eval") {
                let (mean, var) = (running("running_mean"), running("running_var"));
                return batch_norm_eval(&t[0], &t[1], &t[2], None, (&mean, &var), 1e-5, activation);
            }
            let (y, batch) = batch_norm_train(&t[0], &t[1], &t[2], None, 1e-5, activation)?;
            for (what, new) in [("running_mean", &batch.mean), ("running_var", &batch.var)] {
                let after = ((running(what) * 0.9)? + (new * 0.1)?)?;
                close(what, &after, &running(&format!("{what}_after")))?;
            }
            Ok(y)
        })?;
    }
    Ok(())
}

#[test]
fn layer_norm_equals_torch() -> Result<()> {
    let golden = Golden::load("layer_norm")?;
    for case in golden.cases() {
        golden.check(case, &["x", "weight", "bias"], |t| {
            layer_norm(&t[0], &t[1], &t[2], 1e-6)
        })?;
    }
    Ok(())
}

#[test]
fn linear_equals_torch() -> Result<()> {
    let golden = Golden::load("linear")?;
    for case in golden.cases() {
        golden.check(case, &["x", "weight", "bias"], |t| {
            linear(&t[0], &t[1], Some(&t[2]))
        })?;
    }
    Ok(())
}

#[test]
fn attention_equals_torch() -> Result<()> {
    let golden = Golden::load("attention")?;
    for case in golden.cases() {
        let heads = if case == "tokens17" { 3 } else { 2 };
        golden.check(case, &["x"], |t| attention(&t[0], heads))?;
    }
    Ok(())
}

#[test]
fn activations_and_pooling_equal_torch() -> Result<()> {
    Golden::load("gelu")?.check("erf", &["x"], |t| gelu(&t[0]))?;
    Golden::load("relu")?.check("zeros", &["a", "b"], |t| relu(&t[0].broadcast_add(&t[1])?))?;
    let golden = Golden::load("max_pool")?;
    let config = MaxPool2dConfig {
        kernel_size: 3,
        stride: 2,
        padding: 1,
    };
    for case in golden.cases() {
        golden.check(case, &["x"], |t| max_pool2d(&t[0], &config))?;
    }
    Ok(())
}
