//! ONNX files read again: that they are whole, say what they are, and compute what the network does.
//!
//! `beside_onnxruntime.py` compares them with onnxruntime (`cargo xtask onnx`); here the operators are those of
//! `evaluator.rs`, so that no Python is needed.

mod evaluator;

use cass_models::onnx::ONNX_FILE;
use cass_models::onnx::proto::{Dimension, GraphProto, ModelProto, ValueInfoProto};
use cass_models::{Mode, Model, ModelOptions};
use cass_testing::{SMALL_NETWORKS, assert_close, export_of, normal_images, small_network, stir};
use prost::Message;
use std::collections::{BTreeSet, HashSet};
use std::error::Error;
use std::fs;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn model(folder: &str, input_size: usize) -> Outcome<Model> {
    let options = ModelOptions {
        num_classes: 3,
        input_size,
        ..Default::default()
    };
    let model = Model::from_config(folder, small_network(folder), &options)?;
    stir(&model)?;
    Ok(model)
}

fn written(model: &Model, labels: &[&str], with_logits: bool) -> Outcome<ModelProto> {
    let parent = tempfile::tempdir()?;
    let folder = parent.path().join("new/folder");
    model.export_onnx(&folder, &export_of(labels), with_logits)?;
    assert_eq!(fs::read_dir(&folder)?.count(), 1, "nothing else is left");
    Ok(ModelProto::decode(&fs::read(folder.join(ONNX_FILE))?[..])?)
}

fn graph(file: ModelProto) -> Outcome<GraphProto> {
    Ok(file.graph.ok_or("no graph")?)
}

/// `["batch", 3]` and the like.
fn shape(value: &ValueInfoProto) -> Vec<String> {
    let tensor = value.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
    let shape = tensor.and_then(|tensor| tensor.shape.as_ref());
    let dims = shape.into_iter().flat_map(|shape| &shape.dim);
    dims.filter_map(|dim| match dim.value.as_ref()? {
        Dimension::Value(size) => Some(size.to_string()),
        Dimension::Param(name) => Some(name.clone()),
    })
    .collect()
}

#[test]
fn a_file_computes_what_the_network_does_for_any_number_of_images() -> Outcome {
    for (folder, sizes) in SMALL_NETWORKS {
        let size = sizes[0];
        let model = model(folder, size)?;
        let graph = graph(written(&model, &[], true)?)?;
        for count in [1, 3] {
            let images = normal_images(count, size)?;
            let ours = model.frozen()?.forward(&images, Mode::Eval)?;
            let theirs = evaluator::run(&graph, &images)?;
            let what = |output: &str| format!("{output} of {count} by {folder}");
            let (features, logits) = (ours.features.value(), ours.logits.value());
            assert_close(&what("features"), &theirs["features"], features, 1e-5)?;
            assert_close(&what("logits"), &theirs["logits"], logits, 1e-5)?;
        }
    }
    Ok(())
}

#[test]
fn a_file_has_every_weight_once_and_every_value_before_its_use() -> Outcome {
    for (folder, sizes) in SMALL_NETWORKS {
        let model = model(folder, sizes[0])?;
        let graph = graph(written(&model, &[], true)?)?;
        let mut known: HashSet<&str> = HashSet::from(["images"]);
        for tensor in &graph.initializer {
            assert!(
                known.insert(&tensor.name),
                "{folder}: {} twice",
                tensor.name
            );
        }
        let mut used: HashSet<&str> = HashSet::new();
        for node in &graph.node {
            for input in &node.input {
                assert!(
                    known.contains(input.as_str()),
                    "{folder}: {input} of {}",
                    node.name
                );
                used.insert(input);
            }
            for output in &node.output {
                assert!(known.insert(output), "{folder}: {output} twice");
            }
        }
        let initializers = || graph.initializer.iter().map(|t| t.name.as_str());
        assert!(initializers().all(|name| used.contains(name)), "{folder}");
        let kept: BTreeSet<&str> = initializers()
            .filter(|n| !n.starts_with("constant_"))
            .collect();
        let all = model.params().all();
        let all = all.iter().map(|(name, _)| name.as_str());
        let wanted: BTreeSet<&str> = all
            .filter(|n| !n.ends_with("num_batches_tracked"))
            .collect();
        assert_eq!(kept, wanted, "{folder}");
        for tensor in graph
            .initializer
            .iter()
            .filter(|t| wanted.contains(t.name.as_str()))
        {
            let ours = model.params().get(&tensor.name).ok_or("lost")?;
            let values: Vec<f32> = ours.flatten_all()?.to_vec1()?;
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            assert!(
                tensor.raw_data == bytes,
                "{folder}: values of {}",
                tensor.name
            );
        }
    }
    Ok(())
}

#[test]
fn the_batch_is_free_and_features_come_without_a_classifier_where_none_is_wanted() -> Outcome {
    let model = model("deit_distilled_small", 32)?;
    let both = graph(written(&model, &["a", "b", "c"], true)?)?;
    assert_eq!(shape(&both.input[0]), ["batch", "3", "32", "32"]);
    let outputs = |graph: &GraphProto| -> Vec<(String, Vec<String>)> {
        let all = graph.output.iter();
        all.map(|output| (output.name.clone(), shape(output)))
            .collect()
    };
    let of = |name: &str, width: &str| (name.to_string(), vec!["batch".into(), width.into()]);
    assert_eq!(outputs(&both), [of("features", "24"), of("logits", "3")]);
    let alone = graph(written(&model, &[], false)?)?;
    assert_eq!(outputs(&alone), [of("features", "24")]);
    assert!(!alone.initializer.iter().any(|t| t.name.starts_with("head")));
    Ok(())
}

#[test]
fn the_metadata_say_how_images_were_made_and_where_the_network_comes_from() -> Outcome {
    let file = written(&model("vit_small_golden", 32)?, &["a", "b, c", "ü"], true)?;
    let opsets = file.opset_import.iter();
    let opsets: Vec<_> = opsets.map(|o| (o.domain.as_str(), o.version)).collect();
    assert_eq!((opsets, file.ir_version), (vec![("", 17)], 8));
    let found: BTreeSet<(&str, &str)> = file
        .metadata_props
        .iter()
        .map(|entry| (entry.key.as_str(), entry.value.as_str()))
        .collect();
    let wanted = [
        ("architecture", "vit_small_golden"),
        ("cass.arm", "vit"),
        ("cass.method", "linear"),
        // printf 'seed = 1\n' | sha256sum
        (
            "cass.recipe_sha256",
            "46545c629053298cb8b068758bd6cb0ba83f1533f50a054de71575535afea66b",
        ),
        ("cass.version", env!("CARGO_PKG_VERSION")),
        ("crop_mode", "squash"),
        ("crop_pct", "1.0"),
        ("input_size", "[3,32,32]"),
        ("interpolation", "bilinear"),
        ("label_names", r#"["a","b, c","ü"]"#),
        ("mean", "[0.485,0.456,0.406]"),
        ("pixel_range", "0 to 1, then minus mean, over std"),
        ("std", "[0.229,0.224,0.225]"),
    ];
    assert_eq!(found, BTreeSet::from(wanted));
    Ok(())
}

#[test]
fn what_would_be_overwritten_or_misnamed_is_refused() -> Outcome {
    let out = tempfile::tempdir()?;
    let refused = |model: &Model, labels: &[&str]| {
        let done = model.export_onnx(out.path(), &export_of(labels), true);
        done.unwrap_err().to_string()
    };
    let small = model("vit_small_golden", 32)?;
    let text = refused(&small, &["a"]);
    assert!(
        text.ends_with("there are 1 label names for 3 outputs"),
        "{text}"
    );
    fs::write(out.path().join("mine"), "x")?;
    let text = refused(&small, &[]);
    assert!(
        text.ends_with("expected a new or an empty folder"),
        "{text}"
    );
    assert_eq!(fs::read_dir(out.path())?.count(), 1);
    Ok(())
}
