//! Where networks look against torch, and runs that are looked at from their folders.

use candle_core::Tensor;
use cass_data::dataset::Part;
use cass_data::recipe::DataRecipe;
use cass_models::{Model, ModelOptions};
use cass_probe::fit::{ProbeMode, ProbeRecipe, probe};
use cass_probe::look::{Embedding, Heat, LayerCka, Look, Moment, Subject, Subjects};
use cass_run::RunDir;
use cass_testing::{Tensors, phantoms, small_network};
use cass_train::methods::CassConfig;
use cass_train::{PretrainOptions, Protocol, Recipe, Weights, pretrain};
use std::error::Error;
use std::path::Path;

type Outcome = Result<(), Box<dyn Error>>;
fn golden(folder: &str) -> candle_core::Result<Tensors> {
    cass_testing::golden(&format!("{folder}/golden.safetensors"))
}

/// A small network of the goldens without a graph, and its input.
fn network(name: &str) -> Result<(Model, Tensor), Box<dyn Error>> {
    let golden = golden(name)?;
    let options = ModelOptions {
        num_classes: golden["logits"].dim(1)?,
        input_size: golden["input"].dim(2)?,
        ..ModelOptions::default()
    };
    let model = Model::from_config(name, small_network(name), &options)?;
    for (key, var) in model.params().all() {
        var.set(&golden[&format!("weights.{key}")])?;
    }
    Ok((model.frozen()?, golden["input"].clone()))
}

/// Every image's values against those of torch.
fn close(what: &str, got: &[Vec<f32>], want: &Tensor) -> Outcome {
    let want = want.flatten(1, 2)?.to_vec2::<f32>()?;
    assert_eq!(got.len(), want.len(), "{what}");
    for (got, want) in got.iter().zip(&want) {
        assert_eq!(got.len(), want.len(), "{what}");
        for (g, w) in got.iter().zip(want) {
            assert!((g - w).abs() < 1e-4, "{what}: {got:?} for {want:?}");
        }
    }
    Ok(())
}

fn of(heats: &[Heat], value: impl Fn(&Heat) -> Vec<f32>) -> Vec<Vec<f32>> {
    heats.iter().map(value).collect()
}

#[test]
fn attention_equals_torch() -> Outcome {
    let golden = golden("seeing")?;
    for name in ["vit_small_golden", "deit_distilled_small"] {
        let (model, images) = network(name)?;
        for look in [Look::Rollout, Look::LastBlock] {
            let key = format!("{name}.{}", look.name().replace('-', "_"));
            let heats = look.at(&model, &images, None)?;
            close(&key, &of(&heats, |heat| heat.values.clone()), &golden[&key])?;
        }
        let heats = Look::for_network(&model).at(&model, &images, None)?;
        let key = format!("{name}.resized");
        close(&key, &of(&heats, |heat| heat.resized(9)), &golden[&key])?;
        let error = Look::GradCam
            .at(&model, &images, None)
            .err()
            .ok_or("it looked")?;
        assert!(
            error.to_string().contains("expected rollout or last-block"),
            "{error}"
        );
    }
    Ok(())
}

#[test]
fn grad_cam_equals_torch() -> Outcome {
    let golden = golden("seeing")?;
    for name in ["resnet_small", "densenet_small", "swin_small"] {
        let (model, images) = network(name)?;
        let look = Look::for_network(&model);
        let heats = look.at(&model, &images, Some(2))?;
        let key = format!("{name}.grad_cam");
        close(&key, &of(&heats, |heat| heat.values.clone()), &golden[&key])?;
        let key = format!("{name}.resized");
        close(&key, &of(&heats, |heat| heat.resized(9)), &golden[&key])?;
        let heats = look.at(&model, &images, None)?;
        let key = format!("{name}.largest");
        close(&key, &of(&heats, |heat| heat.values.clone()), &golden[&key])?;
        let classes: Vec<_> = heats.iter().filter_map(|heat| heat.class).collect();
        let want = golden[&format!("{name}.class")].to_vec1::<i64>()?;
        assert!(
            classes
                .iter()
                .zip(&want)
                .all(|(&got, &want)| got as i64 == want)
        );
        for wrong in [Look::Rollout, Look::LastBlock] {
            assert!(wrong.at(&model, &images, None).is_err());
        }
        let error = look.at(&model, &images, Some(5)).err().ok_or("it looked")?;
        assert!(
            error
                .to_string()
                .contains("no output 5, expected less than 5"),
            "{error}"
        );
    }
    Ok(())
}

/// A CASS run of a few steps in `run`, a probe of its ViT in `probe`.
fn runs(folder: &Path) -> Outcome {
    phantoms(&folder.join("brain-mri"), 1, [6, 3], 24)?;
    let mut recipe = Recipe::paper(CassConfig::default());
    recipe.data.root = folder.into();
    (recipe.size, recipe.epochs, recipe.batch, recipe.threads) = (16, 1, 6, 2);
    let networks = [("cnn", "resnet18"), ("vit", "vit_tiny_patch16_224")];
    for (arm, network) in networks {
        let arm = recipe.arms.get_mut(arm).ok_or("no such arm")?;
        arm.network = network.into();
        arm.weights = Weights::Random;
    }
    let run = RunDir::open(&folder.join("run"), &recipe.to_toml())?;
    pretrain(
        &recipe.validate()?,
        &run,
        &PretrainOptions::default(),
        &mut |_| {},
    )?;
    let recipe = ProbeRecipe {
        network: "vit_tiny_patch16_224".into(),
        weights: Weights::File(folder.join("run/checkpoint-vit.safetensors")),
        arm: Some("vit".into()),
        data: DataRecipe::new("brain-mri", folder),
        size: 16,
        epochs: 1,
        threads: 2,
        ..ProbeRecipe::preset(Protocol::Paper, ProbeMode::Linear)
    };
    let run = RunDir::open(&folder.join("probe"), &recipe.to_toml())?;
    probe(&recipe, &run, &mut |_| {})?;
    Ok(())
}

#[test]
fn a_run_is_looked_at_before_and_after() -> Outcome {
    let folder = tempfile::tempdir()?;
    runs(folder.path())?;
    let subjects = Subjects::open(&folder.path().join("run"), "cpu")?;
    assert_eq!(subjects.names(), ["cnn", "vit"]);
    let images = subjects.images(None)?;
    let indices = images.some_of(Part::Test, 10);
    assert_eq!(indices.len(), 10);

    let open = |name, when| subjects.network(name, when);
    let networks: Vec<Subject> = [
        open("cnn", Moment::Before)?,
        open("cnn", Moment::After)?,
        open("vit", Moment::Before)?,
    ]
    .into();
    let images = images.with_batch(5);
    let pairs = [(0, 0), (0, 1), (0, 2)];
    let found = LayerCka::of(&networks, &pairs, &images, &indices)?;
    assert_eq!((found[2].rows.len(), found[2].columns.len()), (9, 13));
    for (i, row) in found[0].values.iter().enumerate() {
        let itself = row[i].ok_or("a dead layer")?;
        assert!((itself - 1.0).abs() < 1e-9, "{i}: {itself}");
    }
    let changed = found[1].values[8][8].ok_or("a dead layer")?;
    assert!(changed < 0.999, "training changed nothing: {changed}");
    let few = images.clone().with_batch(3);
    assert!(LayerCka::of(&networks, &pairs, &few, &indices).is_err());
    let images = images.with_batch(6);

    let embedding = Embedding::of(&networks[1], &images, &indices)?;
    assert_eq!(embedding, Embedding::of(&networks[1], &images, &indices)?);
    assert_eq!((embedding.name.as_str(), embedding.tsne.len()), ("cnn", 10));
    assert_ne!(
        embedding.pca,
        Embedding::of(&networks[0], &images, &indices)?.pca
    );

    // A probe's backbone is the one that was pretrained, before and after.
    let probe = Subjects::open(&folder.path().join("probe"), "cpu")?;
    assert_eq!(probe.names(), ["vit"]);
    assert_eq!(probe.classes().map(<[_]>::len), Some(4));
    let loader = images.plain(indices)?;
    let features = |subject: Subject| subject.features(&loader);
    let trained = features(open("vit", Moment::After)?)?;
    assert_eq!(features(probe.network("vit", Moment::After)?)?, trained);
    assert_eq!(features(probe.network("vit", Moment::Before)?)?, trained);
    assert_ne!(features(open("vit", Moment::Before)?)?, trained);
    Ok(())
}

#[test]
fn what_cannot_be_looked_at_is_one_clear_line() -> Outcome {
    let folder = tempfile::tempdir()?;
    runs(folder.path())?;
    let says = |error: &dyn Error, expected: &[&str]| {
        let text = error.to_string();
        assert!(!text.contains('\n'), "{text}");
        for part in expected {
            assert!(text.contains(part), "{text:?} does not say {part:?}");
        }
    };
    let empty = tempfile::tempdir()?;
    let error = Subjects::open(empty.path(), "cpu")
        .err()
        .ok_or("it opened")?;
    says(&error, &["no finished run", "no recipe.toml"]);
    let subjects = Subjects::open(&folder.path().join("probe"), "cpu")?;
    let error = subjects
        .network("cnn", Moment::After)
        .err()
        .ok_or("it opened")?;
    says(&error, &["probe", "no arm cnn", "expected vit"]);

    // The same layout with other classes.
    let other = folder.path().join("probe/recipe.toml");
    let metrics = folder.path().join("probe/metrics.json");
    let mut older: serde_json::Value = serde_json::from_slice(&std::fs::read(&metrics)?)?;
    older["schema"] = 1.into();
    older["files"] = serde_json::json!({});
    older["seal"] = serde_json::Value::Null;
    std::fs::write(&metrics, older.to_string())?;
    let text = std::fs::read_to_string(&other)?;
    std::fs::write(
        &other,
        text.replace("name = \"brain-mri\"", "name = \"folder\""),
    )?;
    let kidneys = folder.path().join("kidneys");
    for class in ["cyst", "stone"] {
        std::fs::create_dir_all(kidneys.join(class))?;
        let image = "brain-mri/Training/glioma/glioma-00000.jpg";
        std::fs::copy(folder.path().join(image), kidneys.join(class).join("1.jpg"))?;
    }
    let subjects = Subjects::open(&folder.path().join("probe"), "cpu")?;
    let error = subjects.images(Some(&kidneys)).err().ok_or("it opened")?;
    says(
        &error,
        &["its classes are glioma", "kidneys are cyst, stone"],
    );
    Ok(())
}
