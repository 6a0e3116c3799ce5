use super::emulator::{compile, with_text};
use super::source::{Dialect, source, source_of};
use super::{AdamStep, AdamTensors, SgdStep, SgdTensors, adam, blend, sgd, squares};
use crate::Tracked;
use crate::check::{constant, input};
use crate::emulated::{emulated, is_emulated, take_composed};
use crate::nn::*;
use candle_core::{DType, Result, Tensor, Var};
use cass_testing::relative_error;

/// Together, and each dtype's by themselves, as a GPU gets them.
#[test]
fn cc_compiles_every_kernel_without_a_warning() {
    let by_dtype = ["f32", "f64", "bf16"].map(|dtype| source_of(Dialect::Emulated, &[dtype]));
    for text in by_dtype.iter().chain([&source(Dialect::Emulated)]) {
        if let Err(errors) = compile(text, &[]) {
            panic!("{errors}");
        }
    }
}

#[test]
fn emulation_ends_with_its_scope() {
    assert!(!is_emulated());
    emulated(|| assert!(is_emulated()));
    assert!(!is_emulated());
}

/// A layer norm and its gradients, by kernels in which `from` is `to`.
fn layer_norm_with(from: &str, to: &str) -> Result<Vec<Tensor>> {
    let text = source(Dialect::Emulated);
    assert!(text.contains(from), "{from}");
    let inputs = [&[70, 33][..], &[33], &[33]];
    let vars = inputs.map(|shape| Var::from_tensor(&input(0, shape)?));
    let [x, weight, bias] = vars;
    let vars = [x?, weight?, bias?];
    with_text(&text.replace(from, to), || {
        let [x, weight, bias] = vars.each_ref().map(Tracked::from);
        let y = layer_norm(&x, &weight, &bias, 1e-6)?;
        let mut found = vec![y.value().clone()];
        let grads = y.backward_from(&input(1, &[70, 33])?)?;
        found.extend(vars.iter().filter_map(|var| grads.get(var).cloned()));
        Ok(found)
    })
}

#[test]
fn the_emulator_finds_a_forgotten_barrier() -> Result<()> {
    let right = layer_norm_with("", "")?;
    let from = "BARRIER();\n    if (part == 0";
    let wrong = layer_norm_with(from, "if (part == 0")?;
    assert_eq!(right.len(), 4);
    for (i, (right, wrong)) in right.iter().zip(&wrong).enumerate() {
        let same = relative_error(right, wrong)? < 1e-12;
        // Value and gradient of the input need no barrier, the sums over rows do.
        assert_eq!(same, i < 2, "{i}");
    }
    Ok(())
}

#[test]
fn the_emulator_refuses_lanes_that_part() {
    let alone = "if (row >= a.rows || threadIdx.x % 2) return;";
    let error = layer_norm_with("if (row >= a.rows) return; // the whole warp", alone);
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("layer_norm_forward_f64: not all lanes of a warp"),
        "{error}"
    );
    let alone = "if (lane == 5) return;\n    weights[threadIdx.x] = dweight;";
    let error = layer_norm_with("weights[threadIdx.x] = dweight;", alone);
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("layer_norm_columns_f64: not all threads of a block"),
        "{error}"
    );
}

#[test]
fn what_a_kernel_leaves_out_is_nan() -> Result<()> {
    let left = layer_norm_with(
        "a.dx[row * a.width + i] =",
        "if (i != 7) a.dx[row * a.width + i] =",
    )?;
    let dx = left[1].to_vec2::<f64>()?;
    assert!(dx.iter().all(|row| row[7].is_nan() && row[8].is_finite()));
    Ok(())
}

#[test]
fn a_struct_of_another_size_is_refused() {
    let wider = "typedef struct { double more; const STORED *x; const STORED *weight; const STORED *bias; STORED *y;";
    let from =
        "typedef struct { const STORED *x; const STORED *weight; const STORED *bias; STORED *y;";
    let error = layer_norm_with(from, wider).unwrap_err().to_string();
    assert!(error.contains("takes another struct"), "{error}");
}

/// What a GPU would compute without kernels of this crate, of all operations in f32 and with products in bf16.
#[test]
fn all_operations_but_rotary_have_kernels() -> Result<()> {
    let t = |index: u64, shape: &[usize]| -> Result<Tracked> {
        let t = input(index, shape)?.to_dtype(DType::F32)?;
        Ok(Tracked::from(&Var::from_tensor(&t)?))
    };
    let (x, c) = (t(0, &[2, 4, 8, 8])?, t(1, &[4])?);
    let (weight, single) = (t(2, &[4, 4, 3, 3])?, t(3, &[4, 1, 3, 3])?);
    let (rows, qkv) = (t(4, &[3, 4])?, t(5, &[2, 5, 24])?);
    let (angles, scores) = (t(6, &[4, 2])?, t(7, &[2, 5, 5])?);
    let (padding, stats) = (1, input(8, &[4])?.abs()?.to_dtype(DType::F32)?);
    let grouped = |groups| Conv2dConfig {
        stride: 1,
        padding,
        groups,
    };
    let max = MaxPool2dConfig {
        kernel_size: 3,
        stride: 2,
        padding,
    };
    let avg = AvgPool2dConfig {
        kernel_size: 2,
        stride: 2,
        ceil_mode: true,
    };
    let soft = SoftCrossEntropyConfig {
        target_temp: 0.5,
        temp: 0.9,
        eps: 1e-20,
    };
    let all = || -> Result<Vec<Tracked>> {
        Ok(vec![
            relu(&x)?,
            gelu(&x)?,
            quick_gelu(&x)?,
            silu(&x)?,
            sigmoid(&x)?,
            relu6(&x)?,
            hard_sigmoid(&x)?,
            hard_swish(&x)?,
            attention(&qkv, 2)?,
            window_attention(&qkv, 2, &scores, Some(scores.value()))?,
            avg_pool2d(&x, &avg)?,
            max_pool2d(&x, &max)?,
            batch_norm_train(&x, &c, &c, Some(&x), 1e-5, Activation::Relu)?.0,
            batch_norm_eval(&x, &c, &c, None, (&stats, &stats), 1e-5, Activation::Silu)?,
            channels_first(&x)?,
            channels_last(&x)?,
            conv2d(&x, &weight, &grouped(1))?,
            conv2d(&x, &single, &grouped(4))?,
            layer_norm(&rows, &c, &c, 1e-6)?,
            linear(&rows, &t(9, &[4, 4])?, Some(&c))?,
            linear_add(&rows, &t(9, &[4, 4])?, None, Some(&rows))?,
            add_planes(&x, &c)?,
            gate_planes(&x, &t(10, &[2, 4])?)?,
            scale_add(&rows, &c, &rows)?,
            soft_cross_entropy(rows.value(), &t(11, &[1, 4])?.into_value(), &rows, &soft)?,
            rotary(&qkv, 2, angles.value(), angles.value())?,
        ])
    };
    for low in [false, true] {
        emulated(|| -> Result<()> {
            take_composed();
            for y in crate::scope::autocast(low, all)? {
                let dy = y.value().ones_like()?;
                y.backward_from(&dy)?;
            }
            assert_eq!(take_composed().into_iter().collect::<Vec<_>>(), ["rotary"]);
            Ok(())
        })?;
    }
    Ok(())
}

/// Products in bf16 of kernels that load and store it, against the CPU's of rounded operands.
#[test]
fn convolutions_in_bf16_equal_the_cpus_but_for_rounding() -> Result<()> {
    for (c, groups) in [(6, 1), (6, 2), (6, 6)] {
        let shapes = [&[3, c, 9, 8][..], &[6, c / groups, 3, 3]];
        let vars = shapes.map(|shape| Var::from_tensor(&input(0, shape)?.to_dtype(DType::F32)?));
        let [x, weight] = vars;
        let (x, weight) = (x?, weight?);
        let config = Conv2dConfig {
            stride: 2,
            padding: 1,
            groups,
        };
        let pass = || -> Result<Vec<Tensor>> {
            let of = || conv2d(&Tracked::from(&x), &Tracked::from(&weight), &config);
            let y = crate::scope::autocast(true, of)?;
            let mut found = vec![y.value().clone()];
            let dy = input(1, y.dims())?.to_dtype(DType::F32)?;
            let grads = y.backward_from(&dy)?;
            found.extend(
                [&x, &weight]
                    .into_iter()
                    .filter_map(|var| grads.get(var).cloned()),
            );
            Ok(found)
        };
        let (here, there) = (pass()?, emulated(pass)?);
        assert_eq!((here.len(), there.len()), (3, 3));
        for (here, there) in here.iter().zip(&there) {
            assert_eq!(there.dtype(), DType::F32);
            let off = relative_error(here, there)?;
            assert!(off < 0.01, "{groups} groups: {off}"); // bf16 has eight bits
        }
    }
    Ok(())
}

/// Tensors of many sizes, more than one launch takes.
fn many(index: u64, dtype: DType) -> Result<Vec<Tensor>> {
    let sizes = (0..70).map(|i| 1 + i * 7 % 50).chain([5000, 70_000]);
    let of = |(i, n): (usize, usize)| input(index * 100 + i as u64, &[n])?.to_dtype(dtype);
    sizes.enumerate().map(of).collect()
}

fn close(found: &[Tensor], wanted: &[Tensor], tolerance: f64) -> Result<()> {
    for (i, (found, wanted)) in found.iter().zip(wanted).enumerate() {
        let off = relative_error(found, wanted)?;
        assert!(off < tolerance, "tensor {i}: {off}");
    }
    Ok(())
}

#[test]
fn adam_updates_many_tensors_as_its_formula() -> Result<()> {
    let step = AdamStep {
        betas: [0.9, 0.99],
        eps: 1e-3,
        bias_correction2_sqrt: 0.4,
        grad_scale: 0.5,
    };
    let rate = |i: usize| 0.1 / (i + 1) as f64;
    let decay = |i: usize| if i.is_multiple_of(2) { 0.3 } else { 0.0 };
    for (dtype, tolerance) in [(DType::F64, 1e-13), (DType::F32, 1e-6)] {
        let (params, grads) = (many(0, dtype)?, many(1, dtype)?);
        let m = many(2, dtype)?;
        let v: Vec<Tensor> = many(3, dtype)?
            .iter()
            .map(Tensor::sqr)
            .collect::<Result<_>>()?;
        let mut wanted = [vec![], vec![], vec![]];
        for i in 0..params.len() {
            let [p, g, m, v] =
                [&params[i], &grads[i], &m[i], &v[i]].map(|t| t.to_dtype(DType::F64));
            let (p, g) = (p?, g?);
            let g = ((g * step.grad_scale)? + (&p * decay(i))?)?;
            let m = ((m? * 0.9)? + (&g * 0.1)?)?;
            let v = ((v? * 0.99)? + (g.sqr()? * 0.01)?)?;
            let below = ((v.sqrt()? / step.bias_correction2_sqrt)? + step.eps)?;
            wanted[0].push((p - ((&m * rate(i))? / below)?)?);
            wanted[1].push(m);
            wanted[2].push(v);
        }
        let of = |i: usize| AdamTensors {
            param: &params[i],
            grad: &grads[i],
            m: &m[i],
            v: &v[i],
            step_size: rate(i),
            decay: decay(i),
        };
        let tensors: Vec<_> = (0..params.len()).map(of).collect();
        assert!(!adam(&tensors, &step)?); // a CPU has other kernels
        assert!(emulated(|| adam(&tensors, &step))?);
        for (found, wanted) in [&params, &m, &v].into_iter().zip(&wanted) {
            let found: Vec<Tensor> = found
                .iter()
                .map(|t| t.to_dtype(DType::F64))
                .collect::<Result<_>>()?;
            close(&found, wanted, tolerance)?;
        }
    }
    Ok(())
}

#[test]
fn sgd_updates_many_tensors_as_its_formula() -> Result<()> {
    for (momentum, nesterov) in [(None, false), (Some(0.9), false), (Some(0.9), true)] {
        let step = SgdStep {
            momentum: 0.9,
            gain: 0.8,
            nesterov,
            grad_scale: 1.0,
        };
        let (params, grads) = (many(0, DType::F64)?, many(1, DType::F64)?);
        let buffers = many(2, DType::F64)?;
        let mut wanted = [vec![], vec![]];
        for i in 0..params.len() {
            let g = (&grads[i] + (&params[i] * 0.2)?)?;
            let kept = ((&buffers[i] * 0.9)? + (&g * 0.8)?)?;
            let update = match momentum {
                None => g,
                Some(_) if nesterov => (g + (&kept * 0.9)?)?,
                Some(_) => kept.clone(),
            };
            wanted[0].push((&params[i] - (update * 0.1)?)?);
            wanted[1].push(if momentum.is_some() {
                kept
            } else {
                buffers[i].copy()?
            });
        }
        let of = |i: usize| SgdTensors {
            param: &params[i],
            grad: &grads[i],
            buffer: momentum.map(|_: f64| &buffers[i]),
            lr: 0.1,
            decay: 0.2,
        };
        let tensors: Vec<_> = (0..params.len()).map(of).collect();
        assert!(emulated(|| sgd(&tensors, &step))?);
        close(&params, &wanted[0], 1e-13)?;
        close(&buffers, &wanted[1], 1e-13)?;
    }
    Ok(())
}

#[test]
fn averages_and_norms_of_many_tensors_are_theirs() -> Result<()> {
    let (targets, sources) = (many(0, DType::F64)?, many(1, DType::F64)?);
    let wanted = targets.iter().zip(&sources);
    let wanted = wanted.map(|(t, s)| (t * 0.75)? + (s * 0.25)?);
    let wanted: Vec<Tensor> = wanted.collect::<Result<_>>()?;
    let pairs: Vec<_> = targets.iter().zip(&sources).collect();
    assert!(emulated(|| blend(&pairs, 0.75))?);
    close(&targets, &wanted, 1e-14)?;

    let sum: f64 = targets
        .iter()
        .map(|t| t.sqr()?.sum_all()?.to_scalar::<f64>())
        .sum::<Result<_>>()?;
    let single: Vec<Tensor> = targets
        .iter()
        .map(|t| t.to_dtype(DType::F32))
        .collect::<Result<_>>()?;
    for (tensors, tolerance) in [(&targets, 1e-13), (&single, 1e-6)] {
        let found = emulated(|| squares(tensors))?
            .map(|sum| sum.to_scalar::<f64>())
            .transpose()?;
        let off = (found.unwrap_or(f64::NAN) / sum - 1.0).abs();
        assert!(off < tolerance, "{off}");
    }
    assert!(squares(&targets)?.is_none());
    Ok(())
}

#[test]
fn tensors_that_do_not_fit_are_refused() -> Result<()> {
    let (a, b) = (input(0, &[3])?, input(1, &[4])?);
    assert!(emulated(|| blend(&[(&a, &b)], 0.5)).is_err());
    let x = constant(0, &[2, 3])?;
    let single = Tracked::constant(&input(1, &[3])?.to_dtype(DType::F32)?);
    let error = emulated(|| layer_norm(&x, &single, &single, 1e-6)).unwrap_err();
    assert!(
        error.to_string().contains("expected contiguous F64"),
        "{error}"
    );
    Ok(())
}
