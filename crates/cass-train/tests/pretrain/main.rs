//! Whole runs on phantoms: what they leave, that they repeat, and how they fail.

mod resume;

use candle_core::safetensors::load;
use candle_core::{DType, Device};
use cass_run::{PretrainEvent as Event, PretrainMetrics, RunDir, WALL_CLOCK, When};
use cass_testing::phantoms;
use cass_train::initial::initial_network;
use cass_train::methods::{
    ByolConfig, CassConfig, ContrastConfig, DinoConfig, SimsiamConfig, VicregConfig,
};
use cass_train::optim::{OptimizerConfig, SgdConfig};
use cass_train::recipe::{Keep, Precision, Swa};
use cass_train::{Error, Method, PretrainOptions, Recipe, Result, Weights, pretrain};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// Small enough for a debug build: of 24 images of 16 px, 20 train in batches of 6, 6, 6 and 2.
fn recipe(method: impl Into<Method>, root: &Path) -> Recipe {
    let mut recipe = Recipe::from_random(method);
    recipe.data.root = root.into();
    (recipe.size, recipe.epochs, recipe.batch, recipe.outputs) = (16, 2, 6, 8);
    recipe.device = "cpu".into();
    recipe.threads = 2;
    for (name, arm) in &mut recipe.arms {
        let vit = name == "vit";
        arm.network = if vit {
            "vit_tiny_patch16_224"
        } else {
            "resnet18"
        }
        .into();
    }
    recipe
}

fn dino() -> DinoConfig {
    DinoConfig {
        projection_hidden_size: 16,
        num_classes_k: 32,
        ..DinoConfig::default()
    }
}

fn contrast() -> ContrastConfig {
    ContrastConfig {
        projection_hidden_size: 16,
        projection_size: 8,
        queue: 20,
        anchor: 0.5,
        distil: 0.5,
        ..ContrastConfig::default()
    }
}

/// Those of a user, but that any precision may be tried.
fn options() -> PretrainOptions {
    PretrainOptions {
        emulate_bf16: true,
        ..PretrainOptions::default()
    }
}

struct Folder {
    folder: tempfile::TempDir,
}

impl Folder {
    fn with_phantoms() -> Self {
        let folder = tempfile::tempdir().unwrap();
        phantoms(&folder.path().join("data"), 1, [6, 2], 24).unwrap();
        Self { folder }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn run(&self, name: &str, recipe: &Recipe) -> Result<(PathBuf, PretrainMetrics)> {
        self.watched(name, recipe, &options(), &mut |_| ())
    }

    fn watched(
        &self,
        name: &str,
        recipe: &Recipe,
        options: &PretrainOptions,
        observe: &mut dyn FnMut(&Event),
    ) -> Result<(PathBuf, PretrainMetrics)> {
        let path = self.folder.path().join(name);
        let run = RunDir::open(&path, &recipe.to_toml())?;
        let metrics = pretrain(&recipe.clone().validate()?, &run, options, observe)?;
        Ok((path, metrics))
    }
}

/// JSON without what a clock or the system decides.
fn timeless(mut value: Value) -> Value {
    match &mut value {
        Value::Object(object) => {
            object.retain(|key, _| !WALL_CLOCK.contains(&key.as_str()));
            object.values_mut().for_each(|v| *v = timeless(v.take()));
        }
        Value::Array(values) => values.iter_mut().for_each(|v| *v = timeless(v.take())),
        _ => {}
    }
    value
}

#[test]
fn cass_leaves_a_finished_folder_and_repeats_to_the_bit() {
    let folder = Folder::with_phantoms();
    let recipe = recipe(CassConfig::default(), &folder.data());
    let (first, metrics) = folder.run("a", &recipe).unwrap();
    let (second, again) = folder.run("b", &recipe).unwrap();
    let timeless = |metrics: &PretrainMetrics| timeless(serde_json::to_value(metrics).unwrap());
    assert_eq!(timeless(&metrics), timeless(&again));
    for arm in ["cnn", "vit"] {
        let file = format!("checkpoint-{arm}.safetensors");
        let bytes = |run: &Path| fs::read(run.join(&file)).unwrap();
        assert_eq!(
            load_values(&first.join(&file)),
            load_values(&second.join(&file))
        );
        assert!(!bytes(&first).is_empty());
        let readings = metrics.collapse[arm];
        assert!(readings.before.is_some() && readings.after.is_some());
    }
    assert_eq!(metrics.epochs.len(), 2);
    assert_eq!((metrics.steps, metrics.images), (8, 40));
    let common = &metrics.common;
    assert!(common.deviations.contains(&"size = 16 (paper: 384)".into()));
    assert!(common.chosen.iter().any(|text| text.contains("swa.start")));

    let log = fs::read_to_string(first.join("log.jsonl")).unwrap();
    let events: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |event: &str| {
        events
            .iter()
            .filter(|e| e["event"] == event)
            .cloned()
            .collect::<Vec<_>>()
    };
    let steps = of("step");
    assert_eq!(of("start")[0]["losses"], serde_json::json!(["agreement"]));
    assert_eq!(steps.len() as u64, metrics.steps);
    assert!(steps.iter().enumerate().all(|(i, step)| step["step"] == i));
    assert_eq!(steps[0]["lr"]["cnn"], 1e-3);
    assert_eq!(of("epoch").len(), 2);
    let whens: Vec<_> = of("collapse").iter().map(|e| e["when"].clone()).collect();
    assert_eq!(
        whens,
        [
            "before", "before", "start", "start", "epoch", "epoch", "epoch", "epoch", "after",
            "after"
        ]
    );
    for reading in of("collapse") {
        assert!(reading["mean_cosine"].is_f64(), "{reading}");
        assert!(
            reading["logits"]["std"].is_f64() && reading["neighbours"].is_f64(),
            "{reading}"
        );
    }
    assert_eq!(of("agreement").len(), 5);
    assert!(steps[0]["grad_norm"]["cnn"].as_f64() > Some(0.0));
    assert!(
        first
            .join("events.out.tfevents.cass")
            .metadata()
            .unwrap()
            .len()
            > 1000
    );
    let provenance = fs::read_to_string(first.join("provenance.json")).unwrap();
    let provenance: Value = serde_json::from_str(&provenance).unwrap();
    assert_eq!(provenance["manifest"], common.manifest);
    assert_eq!(provenance["attempts"][0]["from_step"], 0);
    assert_eq!(events.last().unwrap()["event"], "done");

    // Again in the same folder: nothing is done.
    let before = fs::metadata(first.join("metrics.json"))
        .unwrap()
        .modified()
        .unwrap();
    let (_, same) = folder.run("a", &recipe).unwrap();
    assert_eq!(same, metrics);
    assert_eq!(
        fs::metadata(first.join("metrics.json"))
            .unwrap()
            .modified()
            .unwrap(),
        before
    );

    let mut other = recipe;
    other.epochs = 3;
    let error = folder.run("a", &other).unwrap_err().to_string();
    assert!(error.contains("epochs = 2, not 3"), "{error}");
}

fn load_values(file: &Path) -> Vec<(String, Vec<u8>)> {
    let tensors = load(file, &Device::Cpu).unwrap();
    let mut values: Vec<_> = tensors
        .iter()
        .map(|(name, t)| {
            let values = t
                .to_dtype(candle_core::DType::F32)
                .unwrap()
                .flatten_all()
                .unwrap();
            let values = values.to_vec1::<f32>().unwrap();
            (
                name.clone(),
                values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            )
        })
        .collect();
    values.sort();
    values
}

#[test]
fn dino_runs_and_averages_nothing() {
    let folder = Folder::with_phantoms();
    let (path, metrics) = folder.run("a", &recipe(dino(), &folder.data())).unwrap();
    assert!(path.join("checkpoint-net.safetensors").is_file());
    assert_eq!(metrics.arms["net"], "resnet18");
    assert!(metrics.epochs[1].loss.is_finite());
}

/// A rate of 1e30 lets the first step pass and ruins the second.
fn ruined(folder: &Folder, batch: usize) -> (Error, PathBuf) {
    let mut recipe = recipe(CassConfig::default(), &folder.data());
    recipe.batch = batch;
    for arm in recipe.arms.values_mut() {
        arm.optimizer.set_lr(1e30);
    }
    let error = folder.run("ruined", &recipe).unwrap_err();
    (error, folder.folder.path().join("ruined"))
}

#[test]
fn a_loss_that_is_no_number_stops_the_run() {
    let (error, run) = ruined(&Folder::with_phantoms(), 6);
    assert!(
        matches!(
            error,
            Error::NonFinite {
                step: 1,
                last_good: None,
                ..
            }
        ),
        "{error}"
    );
    assert!(!run.join("metrics.json").exists());
    assert!(!run.join("checkpoint-cnn.safetensors").exists());
}

#[test]
fn a_loss_that_is_no_number_keeps_the_checkpoint_before() {
    let folder = Folder::with_phantoms();
    let (error, run) = ruined(&folder, 20); // one step an epoch
    assert!(
        matches!(
            error,
            Error::NonFinite {
                step: 1,
                last_good: Some(0),
                ..
            }
        ),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .ends_with("at step 1; the checkpoints of epoch 0 are kept")
    );
    assert!(!run.join("metrics.json").exists());
    let values = load_values(&run.join("checkpoint-vit.safetensors"));
    assert!(!values.is_empty());
}

#[test]
fn weights_that_nobody_can_get_are_an_error_before_training() {
    let folder = Folder::with_phantoms();
    let mut recipe = recipe(CassConfig::default(), &folder.data());
    recipe.arms.get_mut("vit").unwrap().weights = Weights::File("absent.safetensors".into());
    let error = folder.run("absent", &recipe).unwrap_err().to_string();
    assert!(error.contains("absent.safetensors"), "{error}");
}

/// Under averaging too, which would round what it averages.
#[test]
fn a_frozen_arm_ends_as_it_began() {
    let folder = Folder::with_phantoms();
    let mut recipe = recipe(CassConfig::default(), &folder.data());
    recipe.arms.get_mut("cnn").unwrap().frozen = true;
    let (run, metrics) = folder.run("frozen", &recipe).unwrap();
    let (began, _) = initial_network(&recipe, "cnn", &Device::Cpu).unwrap();
    let ended = load(run.join("checkpoint-cnn.safetensors"), &Device::Cpu).unwrap();
    let values = |tensor: &candle_core::Tensor| {
        let values = tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap();
        values.to_vec1::<f32>().unwrap()
    };
    for (name, began) in began.params().all() {
        assert_eq!(values(&began), values(&ended[&name]), "{name}");
    }
    let said = "arms.cnn.frozen = true (paper: false)".to_string();
    assert!(metrics.common.deviations.contains(&said));
    let vit = load(run.join("checkpoint-vit.safetensors"), &Device::Cpu).unwrap();
    let (began, _) = initial_network(&recipe, "vit", &Device::Cpu).unwrap();
    let weight = began.params().get("head.weight").unwrap();
    assert_ne!(values(weight), values(&vit["head.weight"]));

    for arm in recipe.arms.values_mut() {
        arm.frozen = true;
    }
    let error = folder.run("still", &recipe).unwrap_err().to_string();
    assert!(error.contains("`arms` is all frozen"), "{error}");
}
