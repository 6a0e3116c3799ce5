use super::*;
use candle_core::{Device, Var};
use cass_ops::compose;
use cass_testing::{Tensors, golden};

struct Golden(Tensors);

impl Golden {
    fn load() -> Self {
        Self(golden("losses/golden.safetensors").unwrap())
    }

    fn get(&self, dtype: DType, name: &str) -> Tensor {
        let prefix = if dtype == DType::F32 { "f32." } else { "" };
        self.0[&format!("{prefix}{name}")].clone()
    }

    /// Compares value and gradients of `loss`, given the named inputs as variables.
    fn check(
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

fn labels(target: &Tensor) -> Vec<usize> {
    target
        .to_vec1::<i64>()
        .unwrap()
        .into_iter()
        .map(|y| y as usize)
        .collect()
}

fn focal(form: FocalForm, weight: &Tensor) -> FocalLoss {
    let weights = weight.to_dtype(DType::F64).unwrap().to_vec1().unwrap();
    FocalLoss {
        alpha: 1.0,
        gamma: 2.0,
        weights,
        form,
    }
}

#[test]
fn cass_equals_torch_zero_vector_included() {
    Golden::load().check("cass", &["r", "t"], |_, v| {
        compose(&[&v[0], &v[1]], |v| cass_loss(&v[0], &v[1]))
    });
}

#[test]
fn variance_penalty_equals_torch_a_constant_output_included() {
    Golden::load().check("variance", &["x"], |_, v| {
        compose(&[&v[0]], |v| variance_penalty(&v[0]))
    });
}

#[test]
fn logits_that_tell_nothing_apart_meet_the_papers_loss_and_not_the_guard() -> Result<()> {
    let row = Tensor::new(&[[1f32, -2.0, 0.5]], &Device::Cpu)?;
    let same = row.repeat((4, 1))?;
    let value = |loss: Tensor| loss.to_scalar::<f32>();
    assert!(value(cass_loss(&same, &same)?)?.abs() < 1e-6);
    assert!((value(variance_penalty(&same)?)? - 0.99).abs() < 1e-6);
    // Outputs that differ by as much as is asked for, each by itself, cost nothing.
    let apart = [[2f32, 0.0], [-2.0, 0.0], [0.0, 2.0], [0.0, -2.0]];
    let apart = Tensor::new(&apart, &Device::Cpu)?;
    assert!(value(variance_penalty(&apart)?)?.abs() < 1e-6);
    let error = variance_penalty(&row).unwrap_err().to_string();
    assert!(error.contains("1 rows have no variance"), "{error}");
    Ok(())
}

#[test]
fn cass_is_symmetric_bounded_and_checks_shapes() -> Result<()> {
    let (r, t) = (
        Tensor::new(&[[1f32, 2.0]], &Device::Cpu)?,
        Tensor::new(&[[3f32, -1.0]], &Device::Cpu)?,
    );
    let value = |r: &Tensor, t: &Tensor| cass_loss(r, t).unwrap().to_scalar::<f32>().unwrap();
    assert_eq!(value(&r, &t), value(&t, &r));
    assert!(value(&r, &r).abs() < 1e-6);
    assert!((value(&r, &r.neg()?) - 4.0).abs() < 1e-6);
    assert_eq!(value(&r, &t.zeros_like()?), 2.0);
    assert!(cass_loss(&r, &t.t()?).is_err());
    assert!(cass_loss(&r.squeeze(0)?, &t.squeeze(0)?).is_err());
    Ok(())
}

#[test]
fn dino_equals_torch() {
    for case in ["dino", "dino_peaked"] {
        Golden::load().check(case, &["s1", "s2"], |get, s| {
            let one = |t: &str, s: &Tracked| dino_loss(&get(t), s, &get("centers"), 0.04, 0.9);
            let (first, second) = (one("t1", &s[1])?, one("t2", &s[0])?);
            compose(&[&first, &second], |l| (&l[0] + &l[1])? / 2.0)
        });
    }
}

#[test]
fn focal_losses_equal_torch() {
    let golden = Golden::load();
    for suffix in ["", "_extreme"] {
        golden.check(&format!("focal_softmax{suffix}"), &["logits"], |get, v| {
            let focal = focal(FocalForm::Softmax, &get("weight"));
            compose(&[&v[0]], |v| focal.forward(&v[0], &labels(&get("target"))))
        });
        golden.check(&format!("focal_sigmoid{suffix}"), &["logits"], |get, v| {
            let target = get("target").argmax(D::Minus1)?.to_dtype(DType::I64)?;
            let focal = focal(FocalForm::Sigmoid, &get("weight"));
            compose(&[&v[0]], |v| focal.forward(&v[0], &labels(&target)))
        });
        golden.check(
            &format!("focal_sigmoid_several{suffix}"),
            &["logits"],
            |get, v| {
                let targets = get("target").to_dtype(DType::F32)?.flatten_all()?;
                let targets = targets.to_vec1::<f32>()?;
                let focal = focal(FocalForm::Sigmoid, &get("weight"));
                compose(&[&v[0]], |v| focal.forward_targets(&v[0], &targets))
            },
        );
    }
}

#[test]
fn class_weights_equal_the_notebooks() {
    let golden = Golden::load();
    let counts = labels(&golden.get(DType::F64, "class_weights.counts"));
    let want = golden
        .get(DType::F64, "class_weights.value")
        .to_vec1::<f64>()
        .unwrap();
    for (got, want) in class_weights(&counts).iter().zip(want) {
        assert!((got - want).abs() < 1e-12);
    }
    assert_eq!(class_weights(&[7, 7]), [1.0, 1.0]);
    assert_eq!(class_weights(&[]), [0.0; 0]);
}

#[test]
fn gradients_equal_finite_differences() -> Result<()> {
    let logits: Vec<f64> = (0..12).map(|i| ((i * 7 % 11) as f64 - 5.0) * 0.4).collect();
    let other = Tensor::arange(0f64, 12.0, &Device::Cpu)?.reshape((3, 4))?;
    let weights = vec![0.2, 1.0, 0.5, 0.7];
    let focal = |form, gamma| FocalLoss {
        alpha: 0.5,
        gamma,
        weights: weights.clone(),
        form,
    };
    type Loss<'a> = Box<dyn Fn(&Tensor) -> Result<Tensor> + 'a>;
    let losses: [(&str, Loss); 6] = [
        ("cass", Box::new(|x| cass_loss(x, &other))),
        ("variance penalty", Box::new(variance_penalty)),
        (
            "softmax 2",
            Box::new(|x| focal(FocalForm::Softmax, 2.0).forward(x, &[3, 0, 1])),
        ),
        (
            "softmax 0",
            Box::new(|x| focal(FocalForm::Softmax, 0.0).forward(x, &[3, 0, 1])),
        ),
        (
            "softmax 1.5",
            Box::new(|x| focal(FocalForm::Softmax, 1.5).forward(x, &[3, 0, 1])),
        ),
        (
            "sigmoid 2",
            Box::new(|x| focal(FocalForm::Sigmoid, 2.0).forward(x, &[3, 0, 1])),
        ),
    ];
    for (name, loss) in losses {
        let at = |values: &[f64]| Tensor::from_slice(values, (3, 4), &Device::Cpu);
        let x = Var::from_tensor(&at(&logits)?)?;
        let grads = loss(&x)?.backward()?;
        let grad = grads.get(&x).unwrap().flatten_all()?.to_vec1::<f64>()?;
        for i in 0..logits.len() {
            let shifted = |by: f64| -> Result<f64> {
                let mut values = logits.clone();
                values[i] += by;
                loss(&at(&values)?)?.to_scalar::<f64>()
            };
            let numeric = (shifted(1e-5)? - shifted(-1e-5)?) / 2e-5;
            assert!(
                (grad[i] - numeric).abs() < 1e-8,
                "{name} {i}: {} not {numeric}",
                grad[i]
            );
        }
    }
    Ok(())
}

#[test]
fn wrong_labels_and_shapes_are_errors() -> Result<()> {
    let logits = Tensor::zeros((2, 3), DType::F32, &Device::Cpu)?;
    for form in [FocalForm::Softmax, FocalForm::Sigmoid] {
        for labels in [&[0, 3][..], &[0], &[0, 1, 2]] {
            assert!(
                FocalLoss::new(form, &[1, 2, 3])
                    .forward(&logits, labels)
                    .is_err()
            );
        }
        assert!(
            FocalLoss::new(form, &[1, 2])
                .forward(&logits, &[0, 1])
                .is_err()
        );
        let several = [1.0, 1.0, 0.0, 0.0, 0.0, 0.0];
        let loss = FocalLoss::new(form, &[1, 2, 3]).forward_targets(&logits, &several);
        assert_eq!(loss.is_ok(), form == FocalForm::Sigmoid);
    }
    Ok(())
}

/// The mean over what is known is the loss of that alone, and what is not gets no gradient.
#[test]
fn unknown_targets_count_in_no_focal_loss() {
    let loss = FocalLoss {
        weights: vec![0.5, 1.5],
        ..FocalLoss::new(FocalForm::Sigmoid, &[1, 1])
    };
    let logits = Var::from_slice(&[0.3f64, -1.0, 2.0, 0.7], (2, 2), &Device::Cpu).unwrap();
    let masked = loss
        .forward_targets(&logits, &[1.0, f32::NAN, 0.0, 1.0])
        .unwrap();
    let of = |targets: &[f32; 4]| {
        let all = loss.forward_targets(&logits, targets).unwrap();
        4.0 * all.to_scalar::<f64>().unwrap()
    };
    // The term of the unknown target, from two losses that differ in the other class' term alone.
    let weights = |a, b| FocalLoss {
        weights: vec![a, b],
        ..loss.clone()
    };
    let row = logits.narrow(0, 0, 1).unwrap();
    let term = weights(0.0, 1.5)
        .forward_targets(&row, &[1.0, 0.0])
        .unwrap();
    let term = 2.0 * term.to_scalar::<f64>().unwrap();
    let want = (of(&[1.0, 0.0, 0.0, 1.0]) - term) / 3.0;
    assert!((masked.to_scalar::<f64>().unwrap() - want).abs() < 1e-12);
    let gradient = masked.backward().unwrap().get(&logits).unwrap().clone();
    let gradient = gradient.flatten_all().unwrap().to_vec1::<f64>().unwrap();
    assert!(
        gradient[1] == 0.0 && gradient.iter().all(|g| g.is_finite()),
        "{gradient:?}"
    );
    assert!(gradient[0] != 0.0 && gradient[2] != 0.0 && gradient[3] != 0.0);
}
