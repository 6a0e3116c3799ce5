//! Networks listed, exported and held against PyTorch.

use super::*;

#[test]
fn pytorchs_steps_are_replayed() {
    let bench = Bench::new();
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/golden");
    let verify = format!("verify --trajectory {golden}/trajectory_cass --method cass");
    let passed = bench.cass(&format!("{verify} --json"));
    let found = json(&passed);
    assert_eq!((code(&passed), &found["passed"]), (0, &true.into()));
    assert_eq!(found["loss"]["errors"].as_array().map(Vec::len), Some(8));
    assert!(found["lr"].as_f64() < Some(1e-12));
    assert_eq!(found["tensors"][3]["what"], "swa.cnn parameters");
    // Another optimiser than the recorded one.
    let failed = bench.cass(&format!("{verify} --cnn-optimizer sgd"));
    let text = String::from_utf8_lossy(&failed.stdout).into_owned();
    assert!(code(&failed) == 1 && text.contains("FAILED"), "{text}");
    let dino = "verify --method dino --trajectory";
    bench.fails(
        &format!("{dino} {golden}/trajectory_cass"),
        2,
        &["no tensor `local1.0`"],
    );
    assert_eq!(code(&bench.cass("verify --trajectory x")), 2);
    assert_eq!(code(&bench.cass("verify --arch resnet18")), 2);
}

#[test]
fn networks_of_runs_are_exported_for_timm_and_as_onnx() {
    let bench = Bench::new();
    bench.cass(&format!("{CASS} {SMALL} --out a"));
    bench.cass("probe --run a --arm vit --epochs 1 --threads 2 --device cpu --out p");
    let config = |folder: &str| -> Value {
        let file = bench.path(folder).join("config.json");
        serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
    };
    let cnn = json(&bench.cass("export --run a --arm cnn --out e/cnn --json"));
    assert_eq!(
        (&cnn["architecture"], &cnn["num_classes"]),
        (&"resnet18".into(), &1000.into())
    );
    assert!(is_whole(&bench.path("e/cnn/model.safetensors")));
    assert_eq!(config("e/cnn")["cass"]["method"], "cass");
    // What the run did, not what the weights of the name were made with.
    let mean = serde_json::json!([0.485, 0.456, 0.406]);
    let probed = json(&bench.cass("export --run p --out e/probe --json"));
    assert_eq!(probed["num_classes"], 4);
    let probe = config("e/probe");
    assert_eq!(probe["pretrained_cfg"]["mean"], mean);
    assert_eq!(probe["model_args"]["img_size"], 16);
    assert_eq!(probe["cass"]["method"], "logistic");
    assert_eq!(probe["cass"]["arm"], "vit");
    assert_eq!(
        probe["label_names"],
        serde_json::json!(["glioma", "meningioma", "notumor", "pituitary"])
    );

    let probed = json(&bench.cass("export --run p --format onnx --out o/probe --json"));
    assert_eq!(probed["outputs"], serde_json::json!(["features", "logits"]));
    assert!(bench.path("o/probe/model.onnx").is_file());
    let said = bench.cass("export --run a --arm cnn --format onnx --out o/cnn");
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(
        said.contains("resnet18, opset 17, images (batch, 3, 16, 16) to features (batch, 512)\n"),
        "{said}"
    );

    bench.fails("export --run a --out x", 2, &["--arm cnn or --arm vit"]);
    bench.fails("export --run a --arm net --out x", 2, &["no arm net"]);
    bench.fails("export --run p --arm cnn --out x", 2, &["expected vit"]);
    bench.fails("export --run data --out x", 2, &["no recipe.toml"]);
    bench.fails("export --run a --arm cnn --out e/cnn", 2, &["is not empty"]);
    fs::remove_file(bench.path("p/predictions.csv")).unwrap();
    bench.fails(
        "export --run p --out x",
        2,
        &["p/predictions.csv", "is not there"],
    );
    fs::remove_file(bench.path("a/metrics.json")).unwrap();
    bench.fails(
        "export --run a --arm cnn --out x",
        2,
        &["holds no finished run"],
    );
    assert!(!bench.path("x").exists());
}

/// Grey images on one plane, from the pretraining to what is exported.
#[test]
fn a_run_on_one_channel_keeps_to_it() {
    let bench = Bench::new();
    bench.cass(&format!("{CASS} {SMALL} --in-chans 1 --out a"));
    let recipe = fs::read_to_string(bench.path("a/recipe.toml")).unwrap();
    assert!(recipe.contains("\nin_chans = 1\n"), "{recipe}");
    // Its images are the probe's, and those that the probe labels.
    bench.cass("probe --run a --arm cnn --epochs 1 --threads 2 --device cpu --out p");
    let recipe = fs::read_to_string(bench.path("p/recipe.toml")).unwrap();
    assert!(recipe.contains("\nin_chans = 1\n"), "{recipe}");
    let images = "data/Testing/glioma";
    let labelled = json(&bench.cass(&format!("predict --run p --json {images}")));
    assert_eq!(labelled["images"], 2, "{labelled}");
    let features = format!("features --run a --arm vit --out f.npy {images}");
    assert_eq!(
        json(&bench.cass(&format!("{features} --json")))["images"],
        2
    );
    bench.fails(
        &format!("{features} --in-chans 3"),
        2,
        &["`in_chans` is 3; expected 1, as many as the run's network sees"],
    );
    for command in [
        "predict --run p --data folder",
        "evaluate --run p --data folder",
    ] {
        let command = format!("{command} --data-root data/Testing --in-chans 3");
        bench.fails(&command, 2, &["`in_chans` is 3; expected 1"]);
    }
    let attended = bench.cass(&format!("attend --run p --out heat {images}"));
    assert_eq!(code(&attended), 0, "{attended:?}");

    bench.cass("export --run p --out timm");
    let config = fs::read(bench.path("timm/config.json")).unwrap();
    let config: Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(config["model_args"]["in_chans"], 1);
    assert_eq!(
        config["pretrained_cfg"]["input_size"],
        serde_json::json!([1, 16, 16])
    );
    assert_eq!(
        config["pretrained_cfg"]["mean"].as_array().map(Vec::len),
        Some(1)
    );
    let said = bench.cass("export --run p --format onnx --out onnx");
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("images (batch, 1, 16, 16)"), "{said}");
    // Each network may begin with weights of its own.
    let own = format!("{CASS} {SMALL} --in-chans 1 --vit-weights a/checkpoint-vit.safetensors");
    let begun = bench.cass(&format!("{own} --out c"));
    let said = String::from_utf8_lossy(&begun.stderr).into_owned();
    assert!(
        said.contains("vit: loaded") && !said.contains("cnn: loaded"),
        "{said}"
    );
    let dino =
        "pretrain --method dino --net resnet18 --vit-weights random --data-root data --out d";
    bench.fails(
        dino,
        2,
        &["--vit-weights is not for method dino: expected --weights"],
    );
    // A network for colours is made for one plane, and says so.
    bench.cass("export --run a --arm vit --out of-one");
    let more = format!("{CASS} {SMALL} --out b");
    bench.cass(&more);
    bench.cass("export --run b --arm cnn --out of-three");
    let probe = "probe --mode logistic --weights of-three --arch resnet18 --in-chans 1 --size 16 --data-root data";
    let probed = bench.cass(&format!("{probe} --threads 2 --device cpu --out q"));
    let said = String::from_utf8_lossy(&probed.stderr).into_owned();
    assert!(said.contains("channels 3 → 1"), "{said}");
}

#[test]
fn networks_are_listed() {
    let bench = Bench::new();
    let names = |args: &str| -> Vec<String> {
        let found = json(&bench.cass(&format!("models list {args} --json")));
        let models = found["models"].as_array().unwrap().iter();
        models
            .map(|m| m["hub_id"].as_str().unwrap().to_string())
            .collect()
    };
    assert_eq!(
        names("vit_b*_384"),
        [
            "timm/vit_base_patch16_384.augreg_in21k_ft_in1k",
            "timm/vit_base_patch16_clip_384.laion2b_ft_in12k_in1k"
        ]
    );
    assert_eq!(names("resnet50.tv_"), ["timm/resnet50.tv_in1k"]);
    assert_eq!(names("resnet50")[0], "timm/resnet50.a1_in1k");
    assert!(names("resnet50 --all").len() > 10);
    let table = bench.cass("models list resnet18");
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(
        ["11.69 M", "3.63", "224 px", "73.2 %", "apache-2.0"]
            .iter()
            .all(|part| table.contains(part)),
        "{table}"
    );
    let all = json(&bench.cass("models list vit_base_patch16_224 --all --json"));
    let of = |tag: &str| {
        let models = all["models"].as_array().unwrap().iter();
        let model = models.clone().find(|m| m["tag"] == tag).unwrap();
        (
            model["license"].clone(),
            model["top1"].clone(),
            model["top1_input_size"].clone(),
        )
    };
    assert_eq!(
        of("augreg_in1k"),
        ("apache-2.0".into(), 79.154.into(), 224.into())
    );
    assert_eq!(of("mae"), ("cc-by-nc-4.0".into(), Value::Null, Value::Null));
    assert_eq!(of("bamboo").0, "unknown");
    bench.fails("models list resnot", 2, &["no name fits \"resnot\""]);
}
