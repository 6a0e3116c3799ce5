//! What a probe makes of data and checkpoints that do not fit: one clear line, or a stated outcome.

use cass_data::prelude::*;
use cass_models::export::Format;
use cass_models::{Model, ModelOptions};
use cass_probe::apply::{Predictor, export};
use cass_probe::fit::{ProbeMode, ProbeRecipe, probe};
use cass_run::{Finished, RunDir};
use cass_testing::phantoms;
use cass_train::{Protocol, Weights};
use serde_json::{Value, json};
use std::error::Error;
use std::fs;
use std::path::PathBuf;

type Outcome = Result<(), Box<dyn Error>>;

/// A folder with phantoms in `brain-mri`, and in `folder` whatever [`Bench::class`] copies of them.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Result<Self, Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        phantoms(&folder.path().join("brain-mri"), 3, [12, 2], 24)?;
        Ok(Self { folder })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts `count` images under `folder/NAME/`; names that differ in their first letter have others.
    fn class(&self, name: &str, count: usize) -> Outcome {
        let kinds = ["glioma", "meningioma", "notumor", "pituitary"];
        let kind = kinds[usize::from(name.as_bytes()[0]) % kinds.len()];
        let class = self.path("folder").join(name);
        fs::create_dir_all(&class)?;
        for i in 0..count {
            let file = format!("{kind}-{i:05}.jpg");
            let from = self.path("brain-mri/Training").join(kind).join(&file);
            fs::copy(from, class.join(file))?;
        }
        Ok(())
    }

    fn recipe(&self, mode: ProbeMode) -> ProbeRecipe {
        ProbeRecipe {
            network: "resnet18".into(),
            weights: Weights::Random,
            data: DataRecipe::new("brain-mri", self.folder.path()),
            size: 16,
            epochs: 2,
            batch: 8,
            threads: 2,
            ..ProbeRecipe::preset(Protocol::Paper, mode)
        }
    }

    fn of_folder(&self, mode: ProbeMode) -> ProbeRecipe {
        ProbeRecipe {
            data: DataRecipe::new("folder", self.path("folder")),
            ..self.recipe(mode)
        }
    }

    fn run(&self, recipe: &ProbeRecipe, out: &str) -> Result<Value, Box<dyn Error>> {
        let run = RunDir::open(&self.path(out), &recipe.to_toml())?;
        Ok(serde_json::to_value(probe(recipe, &run, &mut |_| {})?)?)
    }

    /// Asserts that a probe ends in one line that contains every part of `said`, and unfinished.
    fn fails(&self, recipe: &ProbeRecipe, said: &[&str]) -> Outcome {
        let out = tempfile::tempdir()?;
        let run = RunDir::open(out.path(), &recipe.to_toml())?;
        let error = probe(recipe, &run, &mut |_| {}).err().ok_or("it ran")?;
        one_line(&error, said);
        assert!(!out.path().join("metrics.json").exists());
        Ok(())
    }
}

fn one_line(error: &dyn Error, said: &[&str]) {
    let text = error.to_string();
    assert!(!text.contains('\n'), "{text}");
    for part in said {
        assert!(text.contains(part), "{text:?} does not say {part:?}");
    }
}

#[test]
fn a_checkpoint_of_another_architecture_is_named_with_what_it_lacks() -> Outcome {
    let bench = Bench::new()?;
    let file = bench.path("vit.safetensors");
    let options = ModelOptions {
        input_size: 16,
        ..ModelOptions::default()
    };
    Model::new("vit_tiny_patch16_224", &options)?.save(&file, &[])?;
    for mode in [ProbeMode::Linear, ProbeMode::Finetune, ProbeMode::Knn] {
        let recipe = ProbeRecipe {
            weights: Weights::File(file.clone()),
            ..bench.recipe(mode)
        };
        bench.fails(
            &recipe,
            &["vit.safetensors", "conv1.weight is missing", "more"],
        )?;
    }
    Ok(())
}

#[test]
fn a_classifier_of_other_classes_is_never_taken_over() -> Outcome {
    let bench = Bench::new()?;
    let recipe = bench.recipe(ProbeMode::Linear);
    bench.run(&recipe, "first")?;
    // As many classes as the data has, and more: both begin with a new classifier, as random weights.
    let file = bench.path("first/checkpoint.safetensors");
    let again = ProbeRecipe {
        weights: Weights::File(file),
        ..recipe.clone()
    };
    bench.run(&again, "again")?;
    let read = |run: &str| fs::read(bench.path(run).join("predictions.csv"));
    assert!(read("first")? == read("again")?);
    Ok(())
}

#[test]
fn a_checkpoint_of_another_run_is_not_used() -> Outcome {
    let bench = Bench::new()?;
    for (name, count) in [("apple", 8), ("bean", 8), ("corn", 8)] {
        bench.class(name, count)?;
    }
    bench.run(&bench.recipe(ProbeMode::Linear), "heads")?;
    bench.run(&bench.of_folder(ProbeMode::Linear), "plants")?;
    let other = ProbeRecipe {
        seed: 1,
        ..bench.of_folder(ProbeMode::Linear)
    };
    bench.run(&other, "others")?;
    let plants = bench.path("plants");
    let open = |from: &str| -> Result<_, Box<dyn Error>> {
        let checkpoint = "checkpoint.safetensors";
        fs::copy(bench.path(from).join(checkpoint), plants.join(checkpoint))?;
        Ok(Predictor::open(&plants, "cpu").err())
    };
    assert!(Predictor::open(&plants, "cpu").is_ok());
    for from in ["heads", "others"] {
        let error = open(from)?.ok_or("it opened")?;
        one_line(
            &error,
            &["plants/checkpoint.safetensors", "when its run finished"],
        );
    }
    // A run of a version that kept the sum of its checkpoint alone is held to that, and one of a version
    // that kept none to the number of its classes.
    let file = plants.join("metrics.json");
    let mut metrics: Value = serde_json::from_str(&fs::read_to_string(&file)?)?;
    metrics["schema"] = json!(1);
    metrics["files"] = json!({});
    metrics["seal"] = json!(null);
    fs::write(&file, metrics.to_string())?;
    for from in ["heads", "others"] {
        let error = open(from)?.ok_or("it opened")?;
        one_line(&error, &["plants", "is of another run", "sha256"]);
    }
    open("heads")?;
    metrics["checkpoint_sha256"] = json!(null);
    fs::write(&file, metrics.to_string())?;
    let error = Predictor::open(&plants, "cpu").err().ok_or("it opened")?;
    one_line(&error, &["checkpoint has 4 classes", "metrics.json 3"]);
    let run = Finished::open(&plants)?;
    let error = export(&run, None, Format::Timm, &bench.path("x"))
        .err()
        .ok_or("it went")?;
    one_line(&error, &["plants"]);
    Ok(())
}

#[test]
fn one_class_is_nothing_to_tell_apart() -> Outcome {
    let bench = Bench::new()?;
    bench.class("apple", 8)?;
    bench.fails(
        &bench.of_folder(ProbeMode::Linear),
        &["one class \"apple\"", "at least two"],
    )
}

#[test]
fn too_few_images_name_the_part_that_is_empty() -> Outcome {
    let bench = Bench::new()?;
    for class in ["apple", "bean", "corn", "dill"] {
        bench.class(class, 1)?;
    }
    // An image a class stays in training: nothing is left to validate or test with.
    bench.fails(
        &bench.of_folder(ProbeMode::Linear),
        &["0 validation images", "at least 1"],
    )?;
    for class in ["apple", "bean", "corn", "dill"] {
        bench.class(class, 2)?;
    }
    bench.fails(
        &bench.of_folder(ProbeMode::Finetune),
        &["0 test images", "at least 1"],
    )?;
    // Fewer images than there are classes: one class has none.
    fs::remove_dir_all(bench.path("folder/dill"))?;
    fs::create_dir(bench.path("folder/dill"))?;
    bench.fails(&bench.of_folder(ProbeMode::Knn), &["dill"])
}

#[test]
fn a_class_never_seen_in_training_is_listed_and_scored() -> Outcome {
    let bench = Bench::new()?;
    bench.class("apple", 12)?;
    bench.class("bean", 12)?;
    bench.class("corn", 4)?;
    // Of each class two images are for testing. All other corn is of one patient and stays together:
    // with more than half of the images for validation, it is there and not in training.
    let table = |with_corn: bool| -> Result<String, Box<dyn Error>> {
        let mut table = String::from("path,label,split,group\n");
        for class in ["apple", "bean", "corn"] {
            let mut files: Vec<_> = fs::read_dir(bench.path("folder").join(class))?
                .map(|entry| entry.map(|e| e.file_name().display().to_string()))
                .collect::<Result<_, _>>()?;
            files.sort();
            for (i, file) in files.iter().enumerate() {
                let group = if class == "corn" { 0 } else { i };
                let split = if i < 2 { "test" } else { "train" };
                if with_corn || class != "corn" || split == "test" {
                    table += &format!("{class}/{file},{class},{split},{class}-{split}-{group}\n");
                }
            }
        }
        Ok(table)
    };
    let labels = bench.path("folder/labels.csv");
    let of_csv = |mode, seed| ProbeRecipe {
        data: DataRecipe {
            val_fraction: 0.6,
            ..DataRecipe::new("csv", bench.path("folder"))
        },
        seed,
        ..bench.of_folder(mode)
    };
    // A class with test images alone is no class to learn.
    fs::write(&labels, table(false)?)?;
    bench.fails(&of_csv(ProbeMode::Linear, 0), &["corn"])?;

    fs::write(&labels, table(true)?)?;
    let layout = Layout::new("csv", bench.path("folder"));
    let data = Dataset::open(&layout, &OpenOptions::default())?;
    let corn = data
        .classes
        .iter()
        .position(|c| c == "corn")
        .ok_or("no corn")?;
    let unseen = |seed: &u64| {
        let split = data.split(*seed, 0.6);
        split.train.iter().all(|&i| data.samples[i].label() != corn)
    };
    let seed = (0..50).find(unseen).ok_or("no seed trains without corn")?;
    for mode in [ProbeMode::Linear, ProbeMode::Finetune, ProbeMode::Knn] {
        let metrics = bench.run(&of_csv(mode, seed), &format!("{mode:?}"))?;
        assert_eq!(metrics["unseen_classes"], json!(["corn"]));
        let of_corn = &metrics["test"]["per_class"][corn];
        assert_eq!(
            (&of_corn["class"], &of_corn["support"]),
            (&json!("corn"), &json!(2))
        );
        if mode == ProbeMode::Knn {
            assert_eq!(of_corn["recall"], 0.0);
        }
    }
    Ok(())
}

#[test]
fn features_that_are_no_numbers_stop_every_mode() -> Outcome {
    let bench = Bench::new()?;
    let options = ModelOptions {
        num_classes: 4,
        input_size: 16,
        ..ModelOptions::default()
    };
    let model = Model::new("vit_tiny_patch16_224", &options)?;
    let file = bench.path("huge.safetensors");
    // Finite weights, but not what comes of them.
    let norm = model.params().get("norm.weight").ok_or("no norm")?;
    norm.set(&(norm.ones_like()? * 3e38)?)?;
    model.save(&file, &[])?;
    let of = |mode| ProbeRecipe {
        network: "vit_tiny_patch16_224".into(),
        weights: Weights::File(file.clone()),
        ..bench.recipe(mode)
    };
    bench.fails(&of(ProbeMode::Linear), &["vit_tiny", ".jpg are not finite"])?;
    bench.fails(&of(ProbeMode::Knn), &["vit_tiny", ".jpg are not finite"])?;
    bench.fails(&of(ProbeMode::Finetune), &["the loss is", "at step 0"])?;

    norm.set(&(norm.ones_like()? * f64::NAN)?)?;
    model.save(&file, &[])?;
    bench.fails(&of(ProbeMode::Linear), &["huge.safetensors", "norm.weight"])
}
