//! Probes of a small network on phantoms, from recipe to folder.

use cass_data::phantom::{PhantomConfig, PhantomStyle, write_phantom_of};
use cass_data::recipe::DataRecipe;
use cass_metrics::{MultiLabelPredictions, Predictions};
use cass_probe::apply::Predictor;
use cass_probe::fit::{ClassWeights, ProbeMode, ProbeRecipe, Stopping, probe};
use cass_run::RunDir;
use cass_train::schedule::{AnnealConfig, ScheduleConfig};
use cass_train::{Protocol, Weights};
use serde_json::Value;
use std::error::Error;
use std::path::Path;

type Outcome = Result<(), Box<dyn Error>>;

fn phantoms(folder: &Path) -> cass_data::Result<()> {
    cass_testing::phantoms(&folder.join("brain-mri"), 3, [20, 8], 48)
}

fn recipe(folder: &Path, mode: ProbeMode, protocol: Protocol) -> ProbeRecipe {
    let preset = ProbeRecipe::preset(protocol, mode);
    ProbeRecipe {
        network: "vit_tiny_patch16_224".into(),
        weights: Weights::Random,
        data: DataRecipe {
            root: folder.into(),
            ..preset.data
        },
        size: 32,
        epochs: 3,
        seed: 1,
        threads: 2,
        ..preset
    }
}

fn run(recipe: &ProbeRecipe, folder: &Path) -> Result<Value, Box<dyn Error>> {
    let run = RunDir::open(folder, &recipe.to_toml())?;
    Ok(serde_json::to_value(probe(recipe, &run, &mut |_| {})?)?)
}

#[test]
fn a_linear_probe_trains_the_classifier_alone_and_leaves_its_folder() -> Outcome {
    let folder = tempfile::tempdir()?;
    phantoms(folder.path())?;
    let recipe = recipe(folder.path(), ProbeMode::Linear, Protocol::Paper);
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    let metrics = run(&recipe, &a)?;
    assert_eq!(metrics["labels"], 72, "{metrics:#}");
    assert_eq!(metrics["test"]["samples"], 32);
    assert!(
        metrics["collapse"]["effective_rank"]
            .as_f64()
            .is_some_and(|r| r > 1.0)
    );

    // The same recipe again: the same to the byte, but for times.
    run(&recipe, &b)?;
    let files = |name: &str| {
        Ok::<_, std::io::Error>((std::fs::read(a.join(name))?, std::fs::read(b.join(name))?))
    };
    for name in ["predictions.csv", "checkpoint.safetensors"] {
        let (one, other) = files(name)?;
        assert!(one == other, "{name} differs");
    }
    let predictions = Predictions::read(&a.join("predictions.csv"))?;
    assert_eq!(predictions.rows.len(), 32);
    let f1 = predictions.metrics()?.averages.f1_macro;
    assert_eq!(Some(f1), metrics["test"]["f1_macro"].as_f64());

    // The backbone is as it was initialised.
    let options = cass_models::ModelOptions {
        num_classes: 4,
        input_size: 32,
        seed: 1,
        ..Default::default()
    };
    let fresh = cass_models::Model::new("vit_tiny_patch16_224", &options)?;
    let probed = fresh.deep_copy()?;
    probed.load(&a.join("checkpoint.safetensors"))?;
    for (name, value) in fresh.params().tensors()? {
        let same = value.flatten_all()?.to_vec1::<f32>()?
            == probed.params().tensors()?[&name]
                .flatten_all()?
                .to_vec1::<f32>()?;
        assert_eq!(same, !name.starts_with("head."), "{name}");
    }
    Ok(())
}

#[test]
fn fine_tuning_trains_everything_under_both_protocols() -> Outcome {
    let folder = tempfile::tempdir()?;
    phantoms(folder.path())?;
    for protocol in [Protocol::Paper, Protocol::Notebook] {
        let mut recipe = recipe(folder.path(), ProbeMode::Finetune, protocol);
        recipe.data.fraction = 0.5;
        let out = folder.path().join(format!("{protocol:?}"));
        let metrics = run(&recipe, &out)?;
        let notebook = protocol == Protocol::Notebook;
        assert_eq!(metrics["test"]["f1_notebook"].is_number(), notebook);
        let epochs = metrics["epochs"].as_array().ok_or("no epochs")?;
        let loss = |i: usize| epochs[i]["train_loss"].as_f64().unwrap_or(f64::NAN);
        assert!(loss(epochs.len() - 1) < loss(0), "{epochs:?}");
        let log = std::fs::read_to_string(out.join("log.jsonl"))?;
        let events: Vec<Value> = log
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()?;
        assert!(
            events
                .iter()
                .any(|e| e["event"] == "step" && e["lr"] == 3e-4),
            "{log}"
        );
    }
    Ok(())
}

#[test]
fn early_stopping_keeps_the_best_epoch() -> Outcome {
    let folder = tempfile::tempdir()?;
    phantoms(folder.path())?;
    let mut recipe = recipe(folder.path(), ProbeMode::Linear, Protocol::Paper);
    recipe.stopping = Stopping::Patience { epochs: 1 };
    recipe.epochs = 200;
    if let cass_train::optim::OptimizerConfig::Adam(adam) = &mut recipe.optimizer {
        adam.lr = 0.5; // far too much: it soon gets worse
    }
    let metrics = run(&recipe, &folder.path().join("run"))?;
    let losses: Vec<f64> = metrics["epochs"]
        .as_array()
        .ok_or("no epochs")?
        .iter()
        .filter_map(|e| e["val_loss"].as_f64())
        .collect();
    assert!(losses.len() < 200, "it never stopped");
    let best = metrics["best_epoch"].as_u64().ok_or("no best epoch")? as usize;
    assert!(
        losses.iter().all(|&l| losses[best] <= l),
        "{best} of {losses:?}"
    );
    assert_eq!(best, losses.len() - 2);
    Ok(())
}

#[test]
fn kept_features_change_no_byte_and_are_found_again() -> Outcome {
    let folder = tempfile::tempdir()?;
    phantoms(folder.path())?;
    let mut recipe = recipe(folder.path(), ProbeMode::Linear, Protocol::Paper);
    // Some batch is not full, whatever is missing: how many images it has shows in the rounding.
    (recipe.batch, recipe.size) = (10, 64);
    let out = |name: &str| folder.path().join(name);
    run(&recipe, &out("without"))?;
    recipe.feature_cache = Some(out("features"));
    // A tenth of the labels first, so that the others are computed in other batches.
    recipe.data.fraction = 0.1;
    let first = run(&recipe, &out("tenth"))?;
    recipe.data.fraction = 1.0;
    let second = run(&recipe, &out("with"))?;
    let third = run(&recipe, &out("again"))?;
    let computed = |metrics: &Value| metrics["features_computed"].as_u64();
    assert_eq!(
        [&first, &second, &third].map(computed),
        [Some(8 + 8 + 32), Some(64), Some(0)]
    );
    for file in ["predictions.csv", "checkpoint.safetensors"] {
        let read = |name: &str| std::fs::read(out(name).join(file));
        let without = read("without")?;
        assert!(
            without == read("with")? && without == read("again")?,
            "{file}"
        );
    }
    Ok(())
}

#[test]
fn neighbours_vote_and_augmented_features_are_new() -> Outcome {
    let folder = tempfile::tempdir()?;
    phantoms(folder.path())?;
    let mut recipe = recipe(folder.path(), ProbeMode::Knn, Protocol::Paper);
    let metrics = run(&recipe, &folder.path().join("knn"))?;
    let k = metrics["knn"]["k"].to_string();
    let tried = metrics["knn"]["tried"].as_object().ok_or("none tried")?;
    assert_eq!(tried.len(), 4);
    assert_eq!(tried[&k]["test_f1_macro"], metrics["test"]["f1_macro"]);
    assert_eq!(metrics["converged"], true);

    // What the neighbours said of the test images, they say of the files later.
    let out = folder.path().join("knn");
    let said = Predictions::read(&out.join("predictions.csv"))?;
    let root = folder.path().join("brain-mri");
    let files: Vec<_> = said.rows.iter().map(|row| root.join(&row.file)).collect();
    let predictor = Predictor::open(&out, "cpu")?;
    for (row, labelled) in said.rows.iter().zip(predictor.predict(&files)?) {
        assert_eq!(
            said.classes[row.predicted], labelled?.predicted,
            "{}",
            row.file
        );
    }

    recipe.augment = true;
    let error = run(&recipe, &folder.path().join("no"))
        .err()
        .ok_or("it ran")?;
    assert!(error.to_string().contains("`augment`"), "{error}");
    recipe.mode = ProbeMode::Linear;
    let augmented = run(&recipe, &folder.path().join("augmented"))?;
    recipe.augment = false;
    let plain = run(&recipe, &folder.path().join("plain"))?;
    let loss = |metrics: &Value| metrics["epochs"][0]["train_loss"].as_f64();
    assert!(loss(&augmented).is_some() && loss(&augmented) != loss(&plain));
    for figure in ["confusion.svg", "reliability.svg", "roc.svg"] {
        let svg = std::fs::read_to_string(folder.path().join("plain").join(figure))?;
        assert!(
            svg.starts_with("<svg") && svg.ends_with("</svg>\n"),
            "{figure}"
        );
    }
    Ok(())
}

#[test]
fn what_cannot_be_probed_is_one_clear_line() -> Outcome {
    let folder = tempfile::tempdir()?;
    phantoms(folder.path())?;
    let good = recipe(folder.path(), ProbeMode::Linear, Protocol::Paper);
    let says = |recipe: ProbeRecipe, expected: &str| -> Outcome {
        let out = tempfile::tempdir()?;
        let text = run(&recipe, out.path()).err().ok_or("it ran")?.to_string();
        assert!(text.contains(expected) && !text.contains('\n'), "{text}");
        Ok(())
    };
    says(
        ProbeRecipe {
            data: DataRecipe {
                fraction: 0.0,
                ..good.data.clone()
            },
            ..good.clone()
        },
        "`fraction` is 0; expected a share",
    )?;
    says(
        ProbeRecipe {
            schedule: ScheduleConfig::Anneal(AnnealConfig::default()),
            ..good.clone()
        },
        "`schedule` is anneal; expected constant or cosine in a probe",
    )?;
    says(
        ProbeRecipe {
            network: "vit_tyny".into(),
            ..good.clone()
        },
        "nearest",
    )?;
    says(
        ProbeRecipe {
            size: 33,
            ..good.clone()
        },
        "px does not divide into patches",
    )?;
    says(
        ProbeRecipe {
            weights: Weights::File("none.safetensors".into()),
            ..good.clone()
        },
        "none.safetensors",
    )?;
    says(
        ProbeRecipe {
            data: DataRecipe::new("brain-mri", folder.path().join("nothing")),
            ..good
        },
        "nothing",
    )
}

#[test]
fn biopsies_of_several_classes_are_probed_in_every_mode() -> Outcome {
    let folder = tempfile::tempdir()?;
    let config = PhantomConfig {
        seed: 5,
        train_per_class: 16,
        test_per_class: 4,
        size: 48,
        style: PhantomStyle::Varied,
    };
    write_phantom_of("biopsies", &folder.path().join("biopsies"), &config)?;
    let of = |mode, protocol| {
        let mut recipe = recipe(folder.path(), mode, protocol).for_multi_label();
        (recipe.data.name, recipe.batch) = ("biopsies".into(), 8);
        recipe
    };
    for (name, recipe) in [
        ("linear", of(ProbeMode::Linear, Protocol::Paper)),
        ("finetune", of(ProbeMode::Finetune, Protocol::Paper)),
        ("notebook", of(ProbeMode::Finetune, Protocol::Notebook)),
        ("logistic", of(ProbeMode::Logistic, Protocol::Paper)),
        ("knn", of(ProbeMode::Knn, Protocol::Paper)),
    ] {
        let out = folder.path().join(name);
        let metrics = run(&recipe, &out)?;
        assert_eq!(metrics["task"], "multi-label", "{metrics:#}");
        let predictions = MultiLabelPredictions::read(&out.join("predictions.csv"), None)?;
        assert_eq!(predictions.classes.len(), 5);
        let again = serde_json::to_value(predictions.metrics()?)?;
        for key in ["f1_macro", "accuracy", "auroc_macro", "kappa", "ece"] {
            assert_eq!(again[key], metrics["test"][key], "{name}: {key}");
        }
        assert!(metrics["test_f1_macro_95"]["low"].is_f64());
        let figure = std::fs::read_to_string(out.join("confusion.svg"))?;
        assert!(figure.contains("TFH-Like") && figure.contains("missed"));
        if name == "knn" {
            continue;
        }
        let loss = |i: usize| metrics["epochs"][i]["train_loss"].as_f64();
        if matches!(recipe.mode, ProbeMode::Linear | ProbeMode::Finetune) {
            assert!(loss(2) < loss(0), "{name}: {:#}", metrics["epochs"]);
        } else {
            assert_eq!(metrics["converged"], true, "{name}");
        }
        let text = recipe.to_toml();
        assert!(text.contains("multi_label = true") && text.contains("loss = \"sigmoid\""));
        let tuned = &metrics["tuned"];
        assert_eq!(tuned["thresholds"].as_object().map(|t| t.len()), Some(5));
        assert!(tuned["test_f1_macro"].is_f64());

        // What the probe said of its test images, the saved network says of their files.
        let predictor = Predictor::open(&out, "cpu")?;
        let root = folder.path().join("biopsies");
        let files: Vec<_> = predictions.files.iter().map(|f| root.join(f)).collect();
        let said = std::fs::read_to_string(out.join("predictions.csv"))?;
        for (line, labelled) in said.lines().skip(1).zip(predictor.predict(&files)?) {
            let predicted = line.split(',').nth(2).ok_or("no field")?;
            assert_eq!(predicted, labelled?.predicted, "{line}");
        }
    }
    let wrong = ProbeRecipe {
        loss: cass_train::methods::FocalForm::Softmax,
        ..of(ProbeMode::Linear, Protocol::Paper)
    };
    let error = run(&wrong, &folder.path().join("wrong"))
        .err()
        .ok_or("it ran")?;
    assert!(
        error
            .to_string()
            .contains("`loss` is softmax; expected sigmoid"),
        "{error}"
    );
    Ok(())
}

#[test]
fn a_logistic_probe_converges_and_leaves_a_network_that_says_the_same() -> Outcome {
    let folder = tempfile::tempdir()?;
    phantoms(folder.path())?;
    let mut recipe = recipe(folder.path(), ProbeMode::Logistic, Protocol::Paper);
    recipe.class_weights = ClassWeights::Balanced;
    let out = folder.path().join("logistic");
    let metrics = run(&recipe, &out)?;
    assert_eq!(metrics["converged"], true, "{metrics:#}");
    assert_eq!(metrics["class_weights"], "balanced");
    let tried = metrics["logistic"]["tried"]
        .as_array()
        .ok_or("none tried")?;
    let score = |one: &Value| one["val_f1_macro"].as_f64().unwrap_or(-1.0);
    let best = tried.iter().map(score).fold(-1.0, f64::max);
    let first = tried
        .iter()
        .find(|one| score(one) == best)
        .ok_or("no best")?;
    assert_eq!(
        metrics["logistic"]["c"], first["c"],
        "of equal ones the strongest"
    );

    let said = Predictions::read(&out.join("predictions.csv"))?;
    let root = folder.path().join("brain-mri");
    let files: Vec<_> = said.rows.iter().map(|row| root.join(&row.file)).collect();
    let predictor = Predictor::open(&out, "cpu")?;
    for (row, labelled) in said.rows.iter().zip(predictor.predict(&files)?) {
        assert_eq!(
            said.classes[row.predicted], labelled?.predicted,
            "{}",
            row.file
        );
    }
    // An epoch that is the best and the last may not be the end of it.
    recipe = ProbeRecipe {
        epochs: 1,
        ..self::recipe(folder.path(), ProbeMode::Linear, Protocol::Paper)
    };
    let metrics = run(&recipe, &folder.path().join("linear"))?;
    assert_eq!(metrics["converged"], false);
    let warnings = metrics["warnings"].to_string();
    assert!(
        warnings.contains("not converged: the best epoch, 0, was the last of 1"),
        "{warnings}"
    );
    Ok(())
}
