//! Products in bf16: against what PyTorch computed under its autocast (`fixtures/golden/autocast`),
//! and what has to stay as it is.
//!
//! There are no finite differences of bf16: a step that is large against its rounding is no slope.
//! The way back is that of f32, which has them, between roundings that these tests see.

use candle_core::{DType, Device, Result, Tensor, Var};
use cass_ops::Tracked;
use cass_ops::nn::{
    Activation, Conv2dConfig, attention, batch_norm_train, conv2d, gelu, layer_norm, linear,
    linear_add, window_attention,
};
use cass_ops::scope::{autocast, recompute};
use cass_rng::Rng;
use cass_testing::{Tensors, golden};

fn normal(index: u64, shape: &[usize]) -> Result<Tensor> {
    let mut rng = Rng::new(1, "autocast", [index, shape.len() as u64], 0);
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| rng.normal() as f32).collect();
    Tensor::from_vec(values, shape, &Device::Cpu)
}

fn flat(t: &Tensor) -> Result<Vec<f32>> {
    assert_eq!(t.dtype(), DType::F32);
    t.flatten_all()?.to_vec1()
}

/// Result, and the gradient of each input, all of them f32.
fn pass(
    inputs: &[Tensor],
    dy: &Tensor,
    op: impl Fn(&[Tracked]) -> Result<Tracked>,
) -> Result<Vec<Vec<f32>>> {
    let vars: Vec<Var> = inputs.iter().map(Var::from_tensor).collect::<Result<_>>()?;
    let y = op(&vars.iter().map(Tracked::from).collect::<Vec<_>>())?;
    let mut found = vec![flat(y.value())?];
    // Taken outside: what was rounded on the way there is on the way back.
    let grads = y.backward_from(dy)?;
    for var in &vars {
        found.push(flat(grads.get(var).expect("a gradient"))?);
    }
    Ok(found)
}

/// Bits below bf16's.
const BELOW: u32 = 0xffff;

/// One unit in the last place of bf16 at `v`.
fn unit(v: f32) -> f32 {
    f32::from_bits(v.to_bits() & 0x7f80_0000) / 128.0
}

/// Share of `ours` that has the very bits of `theirs`, where all are bf16's and none is further than
/// a unit in the last place: sums in another order can fall on the other side of a tie.
fn equal_share(what: &str, ours: &[f32], theirs: &[f32]) -> f64 {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (a, b) in ours.iter().zip(theirs) {
        assert_eq!((a.to_bits() | b.to_bits()) & BELOW, 0, "{what}: {a}, {b}");
        assert!(
            (a - b).abs() <= unit(a.abs().max(b.abs())),
            "{what}: {a}, not {b}"
        );
    }
    let equal = ours.iter().zip(theirs).filter(|(a, b)| a == b).count();
    equal as f64 / ours.len() as f64
}

fn relative(a: &[f32], b: &[f32]) -> f64 {
    let square = |v: f32| f64::from(v).powi(2);
    let off: f64 = a.iter().zip(b).map(|(a, b)| square(a - b)).sum();
    (off / b.iter().map(|&b| square(b)).sum::<f64>()).sqrt()
}

struct Golden(Tensors);

impl Golden {
    fn load() -> Result<Self> {
        golden("autocast/ops.safetensors").map(Self)
    }

    fn get(&self, case: &str, name: &str) -> &Tensor {
        &self.0[&format!("{case}.{name}")]
    }

    /// What `op` gives of the inputs under autocast and without, and what torch gave: each the
    /// result, then gradients.
    fn run(
        &self,
        case: &str,
        inputs: &[&str],
        op: impl Fn(&[Tracked]) -> Result<Tracked>,
    ) -> Result<[Vec<Vec<f32>>; 3]> {
        let tensors: Vec<_> = inputs.iter().map(|i| self.get(case, i).clone()).collect();
        let dy = self.get(case, "dy");
        let mut torch = vec![flat(self.get(case, "y"))?];
        for input in inputs {
            torch.push(flat(self.get(case, &format!("d{input}")))?);
        }
        let low = pass(&tensors, dy, |t| autocast(true, || op(t)))?;
        Ok([low, pass(&tensors, dy, op)?, torch])
    }

    /// Nearly all bits are torch's, and few are without autocast.
    fn equal(
        &self,
        case: &str,
        inputs: &[&str],
        op: impl Fn(&[Tracked]) -> Result<Tracked>,
    ) -> Result<()> {
        let [low, full, torch] = self.run(case, inputs, op)?;
        for (i, ((low, full), torch)) in low.iter().zip(&full).zip(&torch).enumerate() {
            let what = format!("{case} {i}");
            let share = equal_share(&what, low, torch);
            assert!(share >= 0.98, "{what}: {share:.4} of the bits are torch's");
            assert!(full.iter().filter(|v| v.to_bits() & BELOW != 0).count() * 2 > full.len());
        }
        Ok(())
    }
}

#[test]
fn convolutions_and_their_gradients_are_torchs() -> Result<()> {
    let golden = Golden::load()?;
    for (case, stride, padding) in [
        ("conv2d_3x3s1", 1, 1), // Winograd's way
        ("conv2d_3x3s2", 2, 1),
        ("conv2d_1x1s1", 1, 0),
        ("conv2d_7x7s2", 2, 3),
    ] {
        let config = Conv2dConfig {
            stride,
            padding,
            groups: 1,
        };
        golden.equal(case, &["x", "weight"], |t| conv2d(&t[0], &t[1], &config))?;
    }
    Ok(())
}

#[test]
fn linear_maps_and_their_gradients_are_torchs() -> Result<()> {
    let golden = Golden::load()?;
    golden.equal("linear_plain", &["x", "weight"], |t| {
        linear(&t[0], &t[1], None)
    })
}

/// torch rounds once, product and bias together, and the bias too; here the product is rounded and
/// the bias added in f32: half a unit of each may lie between. The bias' gradient is a sum of what
/// torch has rounded, and rounds again.
#[test]
fn a_bias_is_added_in_f32_and_differs_from_torchs_by_rounding_alone() -> Result<()> {
    let golden = Golden::load()?;
    let inputs = ["x", "weight", "bias"];
    let op = |t: &[Tracked]| linear(&t[0], &t[1], Some(&t[2]));
    let [low, _, torch] = golden.run("linear_bias", &inputs, op)?;
    let bias = flat(golden.get("linear_bias", "bias"))?;
    for (i, (&y, &want)) in low[0].iter().zip(&torch[0]).enumerate() {
        let bias = bias[i % bias.len()];
        let halves = unit(y - bias) + unit(bias) + unit(want);
        assert!((y - want).abs() <= 0.5 * halves * 1.001, "{y}, not {want}");
    }
    for i in [1, 2] {
        let share = equal_share("gradient", &low[i], &torch[i]);
        assert!(share >= 0.98, "{share}");
    }
    let dy = flat(golden.get("linear_bias", "dy"))?;
    for (i, (&db, &want)) in low[3].iter().zip(&torch[3]).enumerate() {
        let summed = dy.iter().skip(i).step_by(bias.len());
        let halves = unit(want) + summed.map(|&dy| unit(dy)).sum::<f32>();
        assert!(
            (db - want).abs() <= 0.5 * halves * 1.001,
            "{db}, not {want}"
        );
    }
    Ok(())
}

/// A score or weight on the other side of a tie moves what is computed from it, sums with
/// cancellation by several of their units: what is asked is that the whole is closer to torch's
/// than a tenth of bf16's own error, and most bits the same.
#[test]
fn attention_and_its_gradient_are_torchs() -> Result<()> {
    let golden = Golden::load()?;
    for (case, heads) in [("attention_small", 3), ("attention_wide", 2)] {
        let [low, full, torch] = golden.run(case, &["x"], |t| attention(&t[0], heads))?;
        for ((low, full), torch) in low.iter().zip(&full).zip(&torch) {
            let (off, rounding) = (relative(low, torch), relative(full, torch));
            assert!(rounding > 1e-3, "{case}: {rounding:.1e}");
            assert!(off < 0.1 * rounding, "{case}: {off:.1e}, {rounding:.1e}");
            let equal = low.iter().zip(torch).filter(|(a, b)| a == b).count();
            assert!(equal * 10 > low.len() * 9, "{case}: {equal}");
        }
    }
    Ok(())
}

/// Operations that the networks have, in one: a convolution, BatchNorm, a linear map with a
/// residual, LayerNorm, both attentions.
fn network(t: &[Tracked]) -> Result<Tracked> {
    let config = Conv2dConfig::default();
    let y = conv2d(&t[0], &t[1], &config)?; // (2, 12, 4, 4)
    let (y, _) = batch_norm_train(&y, &t[2], &t[3], None, 1e-5, Activation::Relu)?;
    let tokens = y.reshape((2, 12, 16))?.permute(&[0, 2, 1])?; // (2, 16, 12)
    let normed = layer_norm(&tokens, &t[2], &t[3], 1e-6)?;
    let qkv = linear(&normed, &t[4], None)?; // (2, 16, 36)
    let attended = attention(&qkv, 3)?;
    let x = linear_add(&attended, &t[5], Some(&t[3]), Some(&tokens))?;
    let qkv = linear(&gelu(&x)?, &t[4], None)?;
    window_attention(&qkv, 2, &t[6], None)
}

fn operands() -> Result<Vec<Tensor>> {
    let shapes: [&[usize]; 7] = [
        &[2, 3, 4, 4],
        &[12, 3, 1, 1],
        &[12],
        &[12],
        &[36, 12],
        &[12, 12],
        &[2, 16, 16],
    ];
    let shapes = shapes.iter().enumerate();
    shapes.map(|(i, s)| normal(i as u64, s)? * 0.3).collect()
}

#[test]
fn ends_where_it_ends_and_changes_no_bit_of_f32() -> Result<()> {
    let (inputs, dy) = (operands()?, normal(9, &[2, 16, 12])?);
    let before = pass(&inputs, &dy, network)?;
    let low = pass(&inputs, &dy, |t| autocast(true, || network(t)))?;
    for (low, full) in low.iter().zip(&before) {
        let off = relative(low, full);
        assert!((1e-3..0.05).contains(&off), "{off:.1e}");
    }
    let off_inside = pass(&inputs, &dy, |t| {
        autocast(true, || autocast(false, || network(t)))
    })?;
    assert_eq!(off_inside, before);
    let panicked = std::panic::catch_unwind(|| autocast(true, || panic!("a test")));
    assert!(panicked.is_err());
    assert_eq!(pass(&inputs, &dy, network)?, before);
    Ok(())
}

#[test]
fn what_is_computed_again_is_computed_in_bf16_again() -> Result<()> {
    let (inputs, dy) = (operands()?, normal(9, &[2, 16, 12])?);
    let kept = pass(&inputs, &dy, |t| autocast(true, || network(t)))?;
    let again = pass(&inputs, &dy, |t| {
        let rest = t[1..].to_vec();
        let block = move |x: &Tracked| {
            let all: Vec<Tracked> = [x.clone()].into_iter().chain(rest.clone()).collect();
            network(&all)
        };
        autocast(true, || recompute(&t[0], block))
    })?;
    assert_eq!(kept, again);
    Ok(())
}

/// Normalisation, activations and residual sums take no part, nor does f64.
#[test]
fn all_but_products_is_the_same_to_the_bit() -> Result<()> {
    let (x, w, b) = (
        normal(0, &[4, 6, 3, 3])?,
        normal(1, &[6])?,
        normal(2, &[6])?,
    );
    let rows = normal(3, &[5, 6])?;
    let dy = x.ones_like()?;
    let norm = |t: &[Tracked]| {
        let (y, _) = batch_norm_train(&t[0], &t[1], &t[2], None, 1e-5, Activation::Relu)?;
        gelu(&y)
    };
    let images = [x, w.clone(), b.clone()];
    let low = pass(&images, &dy, |t| autocast(true, || norm(t)))?;
    assert_eq!(low, pass(&images, &dy, norm)?);

    let dy = rows.ones_like()?;
    let norm = |t: &[Tracked]| layer_norm(&t[0], &t[1], &t[2], 1e-6);
    let rows_and = [rows.clone(), w, b];
    let low = pass(&rows_and, &dy, |t| autocast(true, || norm(t)))?;
    assert_eq!(low, pass(&rows_and, &dy, norm)?);

    // No product: what is added arrives as it is.
    let zeros = Tracked::constant(&Tensor::zeros((6, 6), DType::F32, &Device::Cpu)?);
    let [x, residual] = [1, 2].map(|_| Tracked::constant(&rows));
    let y = autocast(true, || linear_add(&x, &zeros, None, Some(&residual)))?;
    assert_eq!(flat(y.value())?, flat(&rows)?);

    let [x, w] = [&rows, &normal(4, &[3, 6])?].map(|t| t.to_dtype(DType::F64));
    let (x, w) = (Tracked::constant(&x?), Tracked::constant(&w?));
    let y = autocast(true, || linear(&x, &w, None))?;
    let full = linear(&x, &w, None)?;
    assert_eq!(y.value().to_vec2::<f64>()?, full.value().to_vec2::<f64>()?);
    Ok(())
}
