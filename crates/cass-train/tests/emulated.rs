//! Whole steps by the kernels of a GPU, which an emulation runs on the CPU, against the CPU's own: in f64, as Adam makes steps of what
//! rounding leaves of gradients that are 0.

use candle_core::{DType, Device, Tensor};
use cass_models::family::ModelConfig;
use cass_models::registry::find;
use cass_models::{Model, ModelOptions};
use cass_ops::gpu::{emulated, launches, take_composed};
use cass_rng::Rng;
use cass_train::methods::{
    CassConfig, CassStep, ContrastConfig, ContrastStep, DinoConfig, DinoStep, Projector,
    StepOptions,
};
use cass_train::optim::{OptimizerConfig, SgdConfig};
use cass_train::{Recipe, Step};
use std::collections::HashMap;

const SIZE: usize = 64;
const STEPS: usize = 3;

fn model(name: &str, seed: u64, dtype: DType) -> Model {
    let config: ModelConfig = find(name).unwrap().config.shrunk();
    let options = ModelOptions {
        num_classes: 5,
        input_size: SIZE,
        seed,
        dtype,
        ..ModelOptions::default()
    };
    Model::from_config("small", config, &options).unwrap()
}

fn views(dtype: DType) -> Vec<Tensor> {
    let view = |view: u64| {
        let mut rng = Rng::new(0, "images", [view, 0], 0);
        let values = (0..4 * 3 * SIZE * SIZE).map(|_| rng.normal() as f32);
        let values: Vec<f32> = values.collect();
        let view = Tensor::from_vec(values, (4, 3, SIZE, SIZE), &Device::Cpu);
        view.and_then(|view| view.to_dtype(dtype)).unwrap()
    };
    (0..4).map(view).collect()
}

/// Adam with weight decay for one network, SGD with momentum for the other; gradients are clipped.
fn cass(dtype: DType) -> CassStep {
    let mut adam = Recipe::paper(CassConfig::default()).arms["cnn"].clone();
    if let OptimizerConfig::Adam(config) = &mut adam.optimizer {
        config.weight_decay = 0.01;
    }
    let mut sgd = adam.clone();
    sgd.optimizer = OptimizerConfig::Sgd(SgdConfig {
        lr: 0.01,
        momentum: 0.9,
        ..SgdConfig::default()
    });
    let options = StepOptions {
        clip_norm: Some(0.5),
        ..StepOptions::default()
    };
    let (cnn, vit) = (
        model("resnet50", 0, dtype),
        model("vit_base_patch16_384", 1, dtype),
    );
    let arms = [("cnn", cnn, &sgd), ("vit", vit, &adam)];
    CassStep::new(arms, &CassConfig { guard: None }, &options).unwrap()
}

fn dino() -> DinoStep {
    let config = DinoConfig {
        projection_hidden_size: 8,
        num_classes_k: 16,
        ..DinoConfig::default()
    };
    let net = model("swin_tiny_patch4_window7_224", 0, DType::F64);
    let projector =
        Projector::new(&config.projector(net.feature_dim()), 0, 0, &Device::Cpu).unwrap();
    let projector = projector.to_dtype(DType::F64).unwrap();
    let arm = &Recipe::paper(config.clone()).arms["net"];
    let options = StepOptions::default();
    DinoStep::new("net", net, projector, arm, &config, &options).unwrap()
}

/// By SGD: Adam would make steps of what rounding leaves of the gradient of a bias before BatchNorm, which is 0.
fn contrast() -> ContrastStep {
    let config = ContrastConfig {
        projection_hidden_size: 8,
        projection_size: 4,
        queue: 12,
        anchor: 0.5,
        distil: 0.5,
        ..ContrastConfig::default()
    };
    let mut arm = Recipe::from_random(config.clone()).arms["cnn"].clone();
    arm.optimizer = OptimizerConfig::Sgd(SgdConfig {
        momentum: 0.9,
        ..SgdConfig::default()
    });
    let (cnn, vit) = (
        model("resnet50", 0, DType::F64),
        model("vit_base_patch16_384", 1, DType::F64),
    );
    let arms = [("cnn", cnn, &arm), ("vit", vit, &arm)];
    ContrastStep::new(arms, &config, &StepOptions::default()).unwrap()
}

/// Losses and norms of some steps, and the state after them.
fn trained<S: Step>(mut step: S, views: &[Tensor]) -> (Vec<f64>, HashMap<String, Tensor>) {
    let mut numbers = Vec::new();
    for _ in 0..STEPS {
        let report = step.step(views).unwrap();
        numbers.push(report.loss);
        numbers.extend(report.grad_norm.values());
    }
    (numbers, step.state().unwrap())
}

fn norm(t: &Tensor) -> f64 {
    let t = t.to_dtype(DType::F64).unwrap();
    let squares = t.sqr().unwrap().sum_all().unwrap();
    squares.to_scalar::<f64>().unwrap().sqrt()
}

/// Holds steps under emulation to those of the CPU; gives the launches of one.
fn hold<S: Step>(new: impl Fn() -> S, views: &[Tensor], composed: &[&str]) -> u64 {
    let (here, state) = trained(new(), views);
    take_composed();
    let before = launches();
    let (there, other) = emulated(|| trained(new(), views));
    let launched = (launches() - before) / STEPS as u64;
    assert_eq!(take_composed().into_iter().collect::<Vec<_>>(), composed);
    for (here, there) in here.iter().zip(&there) {
        assert!((here - there).abs() < 1e-9 * here.abs(), "{here} {there}");
    }
    assert_eq!(state.len(), other.len());
    for (name, value) in &state {
        let off = norm(&(value - &other[name]).unwrap());
        assert!(
            off <= 1e-7 * norm(value) + 1e-9,
            "{name}: {off} of {}",
            norm(value)
        );
    }
    launched
}

/// The loss alone is composed; the number of launches does not hang on the number of parameters.
#[test]
fn steps_of_cass_are_the_cpus() {
    let launched = hold(
        || cass(DType::F64),
        &views(DType::F64)[..1],
        &["composition"],
    );
    println!("{launched} launches a step");
    assert!((100..1000).contains(&launched), "{launched}");
}

#[test]
fn steps_of_dino_are_the_cpus() {
    let launched = hold(dino, &views(DType::F64), &["composition"]);
    println!("{launched} launches a step");
    assert!((100..1500).contains(&launched), "{launched}");
}

#[test]
fn steps_of_a_contrast_are_the_cpus() {
    let launched = hold(contrast, &views(DType::F64)[..2], &["composition"]);
    println!("{launched} launches a step");
    assert!((100..1500).contains(&launched), "{launched}");
}

#[test]
fn two_runs_under_emulation_have_the_same_bytes() {
    let run = || emulated(|| trained(cass(DType::F32), &views(DType::F32)[..1]));
    let ((first, state), (second, other)) = (run(), run());
    assert_eq!(first, second);
    for (name, value) in &state {
        let bytes = |t: &Tensor| t.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>();
        assert_eq!(
            bytes(value).unwrap(),
            bytes(&other[name]).unwrap(),
            "{name}"
        );
    }
}
