//! Steps of every kind of network, in pairs of any kinds, and of batches in parts.

mod two_views;

use candle_core::{DType, Device, Tensor, Var};
use cass_models::family::ModelConfig;
use cass_models::registry::MODELS;
use cass_models::{Mode, Model, ModelOptions};
use cass_rng::Rng;
use cass_train::methods::{
    CassConfig, CassStep, DinoConfig, DinoStep, Guard, Projector, StepOptions, cass_loss,
    variance_penalty,
};
use cass_train::optim::{OptimizerConfig, SgdConfig};
use cass_train::recipe::{Arm, Portion, Precision};
use cass_train::{Recipe, Step};
use std::collections::{BTreeMap, HashMap};

const SIZE: usize = 64;

/// Every kind of network that the registry has, small.
fn kinds() -> Vec<(&'static str, ModelConfig)> {
    let kinds = MODELS.iter().map(|info| (info.name, info.config.shrunk()));
    let kinds: BTreeMap<String, _> = kinds.map(|kind| (format!("{:?}", kind.1), kind)).collect();
    kinds.into_values().collect()
}

fn model(config: ModelConfig, seed: u64) -> Model {
    let options = ModelOptions {
        num_classes: 5,
        input_size: SIZE,
        seed,
        ..ModelOptions::default()
    };
    Model::from_config("small", config, &options).unwrap()
}

fn images(batch: usize, view: u64) -> Tensor {
    let mut rng = Rng::new(0, "images", [view, 0], 0);
    let values = (0..batch * 3 * SIZE * SIZE).map(|_| rng.normal() as f32);
    let shape = (batch, 3, SIZE, SIZE);
    Tensor::from_vec(values.collect::<Vec<_>>(), shape, &Device::Cpu).unwrap()
}

fn views(batch: usize) -> Vec<Tensor> {
    (0..4).map(|view| images(batch, view)).collect()
}

fn config() -> DinoConfig {
    DinoConfig {
        projection_hidden_size: 8,
        num_classes_k: 16,
        ..DinoConfig::default()
    }
}

fn dino(network: ModelConfig) -> DinoStep {
    dino_with(network, &StepOptions::default())
}

fn dino_with(network: ModelConfig, options: &StepOptions) -> DinoStep {
    let net = model(network, 0);
    let projector =
        Projector::new(&config().projector(net.feature_dim()), 0, 0, &Device::Cpu).unwrap();
    let arm = &Recipe::paper(config()).arms["net"];
    DinoStep::new("net", net, projector, arm, &config(), options).unwrap()
}

fn cass(a: ModelConfig, b: ModelConfig) -> CassStep {
    cass_with(a, b, None, &StepOptions::default())
}

fn cass_with(
    a: ModelConfig,
    b: ModelConfig,
    guard: Option<Guard>,
    options: &StepOptions,
) -> CassStep {
    let recipe = Recipe::paper(CassConfig::default());
    let adam = recipe.arms["cnn"].clone();
    let mut sgd = adam.clone();
    sgd.optimizer = OptimizerConfig::Sgd(SgdConfig {
        lr: 0.1, // of a parameter of 1, f32 does not keep a smaller change
        momentum: 0.9,
        ..SgdConfig::default()
    });
    CassStep::new(
        [("cnn", model(a, 0), &sgd), ("vit", model(b, 1), &adam)],
        &CassConfig { guard },
        options,
    )
    .unwrap()
}

/// Copies of all parameters.
fn parameters(variables: Vec<(String, Var)>) -> HashMap<String, Tensor> {
    let copy = |var: Var| var.as_detached_tensor().copy().unwrap();
    variables
        .into_iter()
        .map(|(name, var)| (name, copy(var)))
        .collect()
}

fn distance(a: &Tensor, b: &Tensor) -> f64 {
    let difference = (a - b).unwrap().to_dtype(DType::F64).unwrap();
    let squares = difference.sqr().unwrap().sum_all().unwrap();
    squares.to_scalar::<f64>().unwrap().sqrt()
}

#[test]
fn dino_trains_every_kind_of_network_of_the_registry() {
    let kinds = kinds();
    assert!(kinds.len() > 6, "{} kinds of networks", kinds.len());
    for (name, kind) in kinds {
        let mut step = dino(kind);
        let before = parameters(step.student().0.backbone_params());
        let teacher = parameters(step.teacher().0.params().trainable());
        // Residual branches begin at zero: what is before their last layer moves in the second step.
        step.step(&views(4)).unwrap();
        let report = step.step(&views(4)).unwrap();
        assert!(
            report.loss.is_finite() && report.grad_norm["net"] > 0.0,
            "{name}: {report:?}"
        );
        for (key, after) in parameters(step.student().0.backbone_params()) {
            assert!(
                distance(&after, &before[&key]) > 0.0,
                "{name}: {key} did not move"
            );
            let followed = &step
                .teacher()
                .0
                .params()
                .get(&key)
                .unwrap()
                .as_detached_tensor();
            assert!(
                distance(followed, &teacher[&key]) > 0.0,
                "{name}: teacher's {key}"
            );
        }
        let centers = step.centers().sqr().unwrap().sum_all().unwrap();
        assert!(centers.to_scalar::<f32>().unwrap() > 0.0, "{name}");
    }
}

#[test]
fn cass_pairs_any_two_networks_each_with_its_optimiser() {
    let kinds = kinds();
    let pairs = kinds.iter().zip(kinds.iter().cycle().skip(1));
    for ((a, first), (b, second)) in pairs {
        for (first, second) in [(first, second), (first, first)] {
            let mut step = cass(*first, *second);
            let before: Vec<_> = step
                .arms()
                .iter()
                .map(|(_, model)| parameters(model.params().trainable()))
                .collect();
            step.step(&[images(4, 0)]).unwrap();
            let report = step.step(&[images(4, 1)]).unwrap();
            assert!((0.0..=4.0).contains(&report.loss), "{a} + {b}: {report:?}");
            for ((arm, model), before) in step.arms().into_iter().zip(before) {
                assert!(report.grad_norm[arm] > 0.0, "{a} + {b}: {report:?}");
                for (key, after) in parameters(model.params().trainable()) {
                    assert!(
                        distance(&after, &before[&key]) > 0.0,
                        "{a} + {b}: {arm}'s {key}"
                    );
                }
            }
        }
    }
}

/// Networks without BatchNorm: the whole batch and its parts are one step.
#[test]
fn a_batch_in_parts_is_the_same_step() {
    let of =
        |wanted: fn(&ModelConfig) -> bool| kinds().into_iter().find(|k| wanted(&k.1)).unwrap().1;
    let vit = of(|k| matches!(k, ModelConfig::Vit(_)));
    let swin = of(|k| matches!(k, ModelConfig::Swin(_)));
    let same = |whole: Vec<(String, Var)>, parts: Vec<(String, Var)>| {
        let parts = parameters(parts);
        for (key, whole) in parameters(whole) {
            let (error, norm) = (
                distance(&whole, &parts[&key]),
                distance(&whole, &whole.zeros_like().unwrap()),
            );
            // Adam's first step is the gradient's sign: only where that is rounding do they differ.
            assert!(
                error <= 1e-3 * norm.max(0.1),
                "{key}: {error:e} of {norm:e}"
            );
        }
    };
    let options = |part| StepOptions {
        part: Some(part),
        ..StepOptions::default()
    };
    let mut whole = cass(vit, swin);
    let mut parts = cass_with(vit, swin, None, &options(3));
    let reports = [&mut whole, &mut parts].map(|step| step.step(&[images(8, 0)]).unwrap());
    assert!(
        (reports[0].loss - reports[1].loss).abs() < 1e-6,
        "{reports:?}"
    );
    for arm in ["cnn", "vit"] {
        let [a, b] = [0, 1].map(|i| reports[i].grad_norm[arm]);
        assert!((a - b).abs() < 1e-4 * a, "{reports:?}");
    }
    for ((_, whole), (_, parts)) in whole.arms().into_iter().zip(parts.arms()) {
        same(whole.params().trainable(), parts.params().trainable());
    }

    let (mut whole, mut parts) = (dino(vit), dino_with(vit, &options(2)));
    let reports = [&mut whole, &mut parts].map(|step| step.step(&views(6)).unwrap());
    assert!(
        (reports[0].loss - reports[1].loss).abs() < 1e-5,
        "{reports:?}"
    );
    same(
        whole.student().0.backbone_params(),
        parts.student().0.backbone_params(),
    );
    assert!(distance(whole.centers(), parts.centers()) < 1e-6);
}

#[test]
fn a_guard_is_added_to_the_loss() {
    let kind = |name: &str| {
        MODELS
            .iter()
            .find(|info| info.name == name)
            .unwrap()
            .config
            .shrunk()
    };
    let (cnn, vit) = (kind("resnet18"), kind("vit_tiny_patch16_224"));
    let images = images(8, 0);
    let loss = |guard| {
        let mut step = cass_with(cnn, vit, guard, &StepOptions::default());
        step.step(std::slice::from_ref(&images)).unwrap().loss
    };
    let logits = |config, seed| {
        let output = model(config, seed).forward(&images, Mode::Train).unwrap();
        output.logits.into_value()
    };
    let (r, t) = (logits(cnn, 0), logits(vit, 1));
    let value =
        |loss: candle_core::Result<Tensor>| f64::from(loss.unwrap().to_scalar::<f32>().unwrap());
    let plain = value(cass_loss(&r, &t));
    let penalty = value(variance_penalty(&r)) + value(variance_penalty(&t));
    assert!(penalty > 0.1, "{penalty}");
    assert!((loss(None) - plain).abs() < 1e-6);
    assert!((loss(Some(Guard::Variance)) - plain - penalty).abs() < 1e-6);
}

/// Of the same batches, again and again: the losses that each step began with.
fn losses(step: &mut dyn Step, views: usize) -> Vec<f64> {
    let batches: Vec<Vec<Tensor>> = (0..2u64)
        .map(|batch| {
            (0..views as u64)
                .map(|view| images(6, 4 * batch + view))
                .collect()
        })
        .collect();
    let steps = batches.iter().cycle().take(10);
    steps.map(|batch| step.step(batch).unwrap().loss).collect()
}

/// CASS' loss falls as in f32, DINO's moves as in f32, and neither by the same bits. Losses part as
/// steps follow each other: they are held against the first.
#[test]
fn in_bf16_a_training_learns_as_in_f32() {
    let of =
        |wanted: fn(&ModelConfig) -> bool| kinds().into_iter().find(|k| wanted(&k.1)).unwrap().1;
    let resnet = of(|k| matches!(k, ModelConfig::ResNet(_)));
    let vit = of(|k| matches!(k, ModelConfig::Vit(_)));
    let trained = |precision| {
        let options = StepOptions {
            precision,
            ..StepOptions::default()
        };
        let mut cass = cass_with(resnet, vit, None, &options);
        let mut dino = dino_with(vit, &options);
        [losses(&mut cass, 1), losses(&mut dino, 4)]
    };
    let (full, low) = (trained(Precision::F32), trained(Precision::Bf16));
    for cass in [&full[0], &low[0]] {
        assert!(cass[9] < 0.1 * cass[0], "{cass:?}");
    }
    for (full, low) in full.iter().zip(&low) {
        let off = full.iter().zip(low).map(|(full, low)| (full - low).abs());
        let most = off.fold(0.0, f64::max);
        assert!(most < 0.05 * full[0], "{full:?}, {low:?}");
        assert_ne!(full, low);
    }
}

/// What a step changes, and what it keeps a state of, where an arm says what is trained.
#[test]
fn what_is_not_trained_keeps_its_bytes_and_has_no_state() {
    let kind = |name: &str| {
        let info = MODELS.iter().find(|info| info.name == name);
        info.unwrap().config.shrunk()
    };
    let (cnn, vit) = (kind("resnet18"), kind("vit_tiny_patch16_224"));
    let config = CassConfig::default();
    let adam = Recipe::paper(config.clone()).arms["cnn"].clone();
    let step_of = |cnn_arm: &Arm, vit_arm: &Arm| {
        let arms = [
            ("cnn", model(cnn, 0), cnn_arm),
            ("vit", model(vit, 1), vit_arm),
        ];
        CassStep::new(arms, &config, &StepOptions::default()).unwrap()
    };
    // The names of what three steps change, of each arm, and of what an optimiser keeps a state of.
    let changed = |mut step: CassStep| {
        let all = |step: &CassStep| {
            let arms = step.arms().into_iter();
            let named =
                arms.map(|(arm, model)| (arm.to_string(), parameters(model.params().all())));
            named.collect::<HashMap<_, _>>()
        };
        let before = all(&step);
        let reports: Vec<_> = (0..3)
            .map(|i| step.step(&[images(4, i)]).unwrap())
            .collect();
        let mut names = Vec::new();
        for (arm, after) in all(&step) {
            for (name, after) in after {
                if distance(&after, &before[&arm][&name]) > 0.0 {
                    names.push(format!("{arm}.{name}"));
                }
            }
        }
        names.sort();
        let state = step.state().unwrap().into_keys();
        let moments = state.filter_map(|key| {
            let (arm, rest) = key.split_once(".optimizer.")?;
            Some(format!("{arm}.{}", rest.strip_suffix(".exp_avg")?))
        });
        let mut moments: Vec<String> = moments.collect();
        moments.sort();
        (names, moments, reports)
    };
    let is_statistic = |name: &String| name.contains("running_") || name.contains("num_batches");

    let (all, moments, _) = changed(step_of(&adam, &adam));
    let parameters: Vec<_> = all
        .iter()
        .filter(|name| !is_statistic(name))
        .cloned()
        .collect();
    assert_eq!(parameters, moments);
    assert!(parameters.len() < all.len());

    let frozen = Arm {
        frozen: true,
        ..adam.clone()
    };
    let (names, moments, reports) = changed(step_of(&frozen, &adam));
    assert!(
        names.iter().all(|name| name.starts_with("vit.")),
        "{names:?}"
    );
    assert_eq!(names, moments);
    assert_eq!(reports[2].grad_norm.keys().collect::<Vec<_>>(), ["vit"]);

    let statistics = Arm {
        frozen_statistics: true,
        ..adam.clone()
    };
    let (names, moments, _) = changed(step_of(&statistics, &adam));
    assert!(!names.iter().any(is_statistic), "{names:?}");
    assert_eq!((&names, &moments), (&parameters, &parameters));

    let last = Arm {
        train: Portion::Last(1),
        ..adam.clone()
    };
    let (names, moments, _) = changed(step_of(&adam, &last));
    let vit: Vec<_> = names
        .iter()
        .filter(|name| name.starts_with("vit."))
        .collect();
    let kept: Vec<_> = moments
        .iter()
        .filter(|name| name.starts_with("vit."))
        .collect();
    assert_eq!(vit, kept);
    assert!(
        !vit.iter()
            .any(|name| name.contains("_embed") || name.contains("_token"))
    );
    for part in ["vit.blocks.0.", "vit.norm.", "vit.head."] {
        assert!(
            vit.iter().any(|name| name.contains(part)),
            "{part}: {vit:?}"
        );
    }

    let none = Arm {
        train: Portion::Last(99),
        ..adam.clone()
    };
    let arms = [
        ("cnn", model(cnn, 0), &adam),
        ("vit", model(kind("vit_tiny_patch16_224"), 1), &none),
    ];
    let error = CassStep::new(arms, &config, &StepOptions::default())
        .err()
        .unwrap();
    assert!(error.to_string().contains("fewer than the 99"), "{error}");
}
