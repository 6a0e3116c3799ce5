//! Short runs of PyTorch, replayed on the same batches from the same weights.

use candle_core::safetensors::load;
use candle_core::{DType, Device, Tensor, Var};
use cass_models::{Block, Model, ModelConfig, ModelOptions, ResNetConfig, VitConfig};
use cass_train::*;
use serde_json::Value;
use std::collections::HashMap;
use std::path::PathBuf;

const SIZE: usize = 24;

struct Golden {
    folder: PathBuf,
    tensors: HashMap<String, Tensor>,
    run: Value,
}

impl Golden {
    fn open(name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("../../fixtures/golden")
            .join(name);
        let file = folder.join("trajectory.safetensors");
        let tensors = load(&file, &Device::Cpu).unwrap();
        Self {
            run: header(&file, "run"),
            folder,
            tensors,
        }
    }

    fn get(&self, name: &str) -> &Tensor {
        self.tensors
            .get(name)
            .unwrap_or_else(|| panic!("no {name} in the golden file"))
    }

    fn steps(&self) -> usize {
        self.get("loss").elem_count()
    }

    /// The network whose initial weights are in `file`.
    fn network(&self, file: &str) -> Model {
        let path = self.folder.join(file);
        let config = header(&path, "config");
        let number = |key: &str| config[key].as_u64().unwrap() as usize;
        let four = |key: &str| serde_json::from_value::<[usize; 4]>(config[key].clone()).unwrap();
        let shape = if config.get("patch_size").is_some() {
            ModelConfig::Vit(VitConfig {
                patch_size: number("patch_size"),
                embed_dim: number("embed_dim"),
                depth: number("depth"),
                num_heads: number("num_heads"),
            })
        } else {
            ModelConfig::ResNet(ResNetConfig {
                block: Block::Basic,
                layers: four("layers"),
                channels: four("channels"),
                stem_width: number("stem"),
            })
        };
        let num_classes = number("num_classes");
        let options = ModelOptions {
            num_classes,
            input_size: SIZE,
            ..Default::default()
        };
        let model = Model::from_config("small", shape, &options).unwrap();
        model.load(&path).unwrap();
        model
    }

    /// Replays every step; losses have to agree within 1e-3, rates to 1e-12.
    fn replay(&self, step: &mut dyn Step, views: &[&str], mut after: impl FnMut(usize, &dyn Step)) {
        let losses = self.get("loss").to_vec1::<f32>().unwrap();
        let mut worst = 0f64;
        for (i, want) in losses.iter().map(|&loss| f64::from(loss)).enumerate() {
            let views: Vec<Tensor> = views
                .iter()
                .map(|view| self.get(&format!("{view}.{i}")).clone())
                .collect();
            let report = step.step(&views).unwrap();
            let error = (report.loss - want).abs() / want.abs();
            assert!(error < 1e-3, "step {i}: loss {} not {want}", report.loss);
            worst = worst.max(error);
            if let Some(lr) = self.tensors.get("lr") {
                let want = lr.to_vec1::<f64>().unwrap()[i];
                assert!(
                    report.lr.values().all(|lr| (lr - want).abs() < 1e-12),
                    "step {i}"
                );
            }
            after(i, step);
        }
        println!("worst loss error {worst:.1e}");
    }

    /// Compares tensors with the golden ones under `prefix`, each within 1e-2 of its norm.
    fn compare(&self, prefix: &str, found: Vec<(String, Var)>) {
        let count = self
            .tensors
            .keys()
            .filter(|key| key.starts_with(prefix))
            .count();
        assert_eq!(found.len(), count, "{prefix}");
        let mut worst = (0f64, String::new());
        for (name, var) in found {
            let want = self.get(&format!("{prefix}{name}"));
            assert_eq!(var.dims(), want.dims(), "{prefix}{name}");
            let error = distance(&var, want) / norm(want).max(1e-6);
            assert!(error < 1e-2, "{prefix}{name} is off by {error:.1e}");
            if error >= worst.0 {
                worst = (error, name);
            }
        }
        println!("{prefix}* worst {:.1e} at {}", worst.0, worst.1);
    }
}

fn header(file: &std::path::Path, key: &str) -> Value {
    let bytes = std::fs::read(file).unwrap();
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let text = metadata
        .metadata()
        .as_ref()
        .and_then(|m| m.get(key))
        .cloned();
    text.map_or(Value::Null, |text| serde_json::from_str(&text).unwrap())
}

fn norm(t: &Tensor) -> f64 {
    let squares = t
        .to_dtype(DType::F64)
        .unwrap()
        .sqr()
        .unwrap()
        .sum_all()
        .unwrap();
    squares.to_scalar::<f64>().unwrap().sqrt()
}

fn distance(a: &Tensor, b: &Tensor) -> f64 {
    let to = |t: &Tensor| t.to_dtype(DType::F64).unwrap();
    norm(&(to(a) - to(b)).unwrap())
}

fn replay_cass(name: &str) {
    let golden = Golden::open(name);
    let recipe = match golden.run["protocol"].as_str() {
        Some("notebook") => Recipe::notebook(Method::Cass),
        _ => Recipe::paper(Method::Cass),
    };
    let vit_arm = recipe.arms["vit"].clone();
    let mut cnn_arm = vit_arm.clone();
    if golden.run["cnn_optimizer"] == "sgd" {
        cnn_arm.optimizer = OptimizerConfig::Sgd(SgdConfig::default());
    }
    let arms = ["cnn", "vit"].map(|arm| (arm, golden.network(&format!("{arm}.safetensors"))));
    let mut averages = arms
        .each_ref()
        .map(|(_, model)| WeightAverage::new(model).unwrap());
    let [(_, cnn), (_, vit)] = arms;
    let mut step = CassStep::new(
        [("cnn", cnn, &cnn_arm), ("vit", vit, &vit_arm)],
        recipe.zero_grad,
    )
    .unwrap();

    let start = golden.run["swa_start"].as_u64().unwrap() as usize;
    golden.replay(&mut step, &["batch"], |i, step| {
        if i >= start {
            for (average, (_, model)) in averages.iter_mut().zip(step.arms()) {
                average.update(model).unwrap();
            }
        }
    });
    for (arm, model) in step.arms() {
        golden.compare(&format!("{arm}."), model.params().all());
    }
    if recipe.swa.is_none() {
        return;
    }
    for ((arm, _), average) in step.arms().into_iter().zip(&averages) {
        let batches = (0..golden.steps()).map(|i| Ok(golden.get(&format!("batch.{i}")).clone()));
        update_bn(average.model(), batches).unwrap();
        assert_eq!(average.count() as usize, golden.steps() - start);
        golden.compare(&format!("swa.{arm}."), average.model().params().all());
    }
}

#[test]
fn cass_follows_pytorch() {
    replay_cass("trajectory_cass");
}

#[test]
fn cass_with_sgd_for_the_cnn_follows_pytorch() {
    replay_cass("trajectory_cass_sgd");
}

#[test]
fn cass_that_never_zeroes_gradients_follows_pytorch() {
    replay_cass("trajectory_cass_notebook");
}

fn replay_dino(name: &str) {
    let golden = Golden::open(name);
    let mut recipe = Recipe::paper(Method::Dino);
    let mut arm = recipe.arms.remove("net").unwrap();
    arm.optimizer.set_lr(1e-3);
    let config = DinoConfig {
        projection_hidden_size: 24,
        num_classes_k: golden.get("centers").dims()[1],
        ..DinoConfig::default()
    };
    let student = golden.network("net.safetensors");
    let projector = Projector::new(student.feature_dim(), &config, 0, &Device::Cpu).unwrap();
    let file = golden.folder.join("projector.safetensors");
    projector.load(&load(file, &Device::Cpu).unwrap()).unwrap();
    let mut step = DinoStep::new("net", student, projector, &arm, &config, true).unwrap();
    // vit-pytorch's teacher has seen one mock batch of its own.
    for (name, var) in step.teacher().0.params().buffers() {
        var.set(golden.get(&format!("teacher0.{name}"))).unwrap();
    }

    golden.replay(
        &mut step,
        &["local1", "local2", "global1", "global2"],
        |_, _| (),
    );
    for (who, (model, projector)) in [("student", step.student()), ("teacher", step.teacher())] {
        let projection = projector.trainable().into_iter();
        let projection = projection.map(|(name, var)| (format!("projector.{name}"), var));
        let all = model.params().all().into_iter().chain(projection).collect();
        golden.compare(&format!("{who}."), all);
    }
    let centers = golden.get("centers");
    let error = distance(step.centers(), centers) / norm(centers);
    assert!(error < 1e-2, "centers are off by {error:.1e}");
    println!("centers {error:.1e}");
}

#[test]
fn dino_follows_pytorch_for_a_cnn() {
    replay_dino("trajectory_dino_cnn");
}

#[test]
fn dino_follows_pytorch_for_a_transformer() {
    replay_dino("trajectory_dino_vit");
}
