//! One flipped bit in any file of a finished run, and every command that reads the file.

mod bench;

use bench::Bench;
use serde_json::Value;
use std::fs;
use std::path::Path;

const RUN: &str = "--data-root data --size 16 --epochs 1 --batch 8 --threads 2 --device cpu";

impl Bench {
    fn done(&self, args: &str) -> String {
        let output = self.cass(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args}: {said}");
        said
    }

    /// Asserts that the command ends with exit code 2 and one line that names the file.
    fn refuses(&self, args: &str, file: &str) {
        let output = self.cass(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{args} with {file}: {said}");
        let errors: Vec<_> = said.lines().filter(|l| l.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "{args}: {said}");
        assert!(errors[0].contains(file), "{args}: {said}");
    }
}

/// Changes one bit, and back.
fn flip(file: &Path, share: f64) {
    let mut bytes = fs::read(file).unwrap();
    let place = (bytes.len() as f64 * share) as usize;
    bytes[place] ^= 1;
    fs::write(file, bytes).unwrap();
}

#[test]
fn a_flipped_bit_is_refused_by_every_reader() {
    let bench = Bench::new();
    let networks = "--cnn resnet18 --vit vit_tiny_patch16_224 --weights random";
    let pretrain = format!("pretrain --method cass {networks} {RUN} --out run");
    bench.done(&pretrain);
    let probe = |mode: &str, out: &str| {
        format!("probe --run run --arm cnn --mode {mode} {RUN} --out {out} --feature-cache cache")
    };
    bench.done(&probe("linear", "linear"));
    bench.done(&probe("knn", "knn"));
    let image = "data/brain-mri/Testing/glioma/000.png";
    let image = match bench.path(image).exists() {
        true => image.to_string(),
        false => "data".into(),
    };
    let of_run = [
        format!("probe --run run --arm cnn --out new {RUN}"),
        "export --run run --arm cnn --out new".into(),
        "cka --run run --data-root data --out new.html".into(),
        "embed --run run --data-root data --out new.html".into(),
        format!("attend --run run --arm cnn --out new {image}"),
        pretrain.clone(),
    ];
    let weights =
        format!("probe --weights run/checkpoint-cnn.safetensors --arch resnet18 {RUN} --out new");
    let of_linear = [
        format!("predict --run linear {image}"),
        "export --run linear --out new".into(),
        probe("linear", "linear"),
    ];
    let predictions = [
        "compare linear linear".to_string(),
        "metrics --predictions linear/predictions.csv".into(),
        "embed --run linear --data-root data --out new.html".into(),
    ];
    let mut cases: Vec<(&str, Vec<String>)> = vec![
        ("run/checkpoint-cnn.safetensors", of_run.to_vec()),
        ("run/recipe.toml", of_run[..5].to_vec()),
        ("run/metrics.json", of_run.to_vec()),
        (
            "run/manifest.tsv",
            vec![of_run[0].clone(), pretrain.clone()],
        ),
        ("linear/checkpoint.safetensors", of_linear.to_vec()),
        ("linear/predictions.csv", predictions.to_vec()),
        ("linear/metrics.json", of_linear.to_vec()),
        (
            "knn/neighbours.safetensors",
            vec![format!("predict --run knn {image}")],
        ),
    ];
    cases[0].1.push(weights);
    for (file, commands) in &cases {
        for share in [0.001, 0.5, 0.999] {
            flip(&bench.path(file), share);
            // Every place of one file, the others once.
            let commands = if share == 0.5 {
                &commands[..]
            } else {
                &commands[..1]
            };
            for command in commands {
                bench.refuses(command, file);
                assert!(
                    !bench.path("new").join("metrics.json").exists(),
                    "{command}"
                );
            }
            flip(&bench.path(file), share);
        }
    }
    // All is as it was, and only a comparison of a run with itself is refused.
    for command in of_linear.iter().chain(&predictions[1..]) {
        bench.done(command);
    }
}

#[test]
fn damaged_features_are_computed_again_and_that_is_said() {
    let bench = Bench::new();
    let probe = |out: &str| {
        format!(
            "probe --weights random --arch resnet18 --mode logistic {RUN} --feature-cache cache --out {out}"
        )
    };
    bench.done(&probe("first"));
    let kept = fs::read_dir(bench.path("cache")).unwrap().next().unwrap();
    let kept = kept.unwrap().path();
    let whole = fs::read(&kept).unwrap();
    for (place, share) in [0.001, 0.1, 0.5, 0.999].into_iter().enumerate() {
        flip(&kept, share);
        let out = format!("again{place}");
        let said = bench.done(&probe(&out));
        assert!(said.contains("note: the kept features cache/"), "{said}");
        assert!(said.contains("they are computed again"), "{said}");
        assert!(fs::read(&kept).unwrap() == whole, "it is whole again");
        for name in ["predictions.csv", "checkpoint.safetensors"] {
            let read = |run: &str| fs::read(bench.path(run).join(name)).unwrap();
            assert!(read("first") == read(&out), "{name}");
        }
    }
}

#[test]
fn a_run_from_before_checksums_is_read_with_a_note() {
    let bench = Bench::new();
    bench.done(&format!(
        "probe --weights random --arch resnet18 --mode linear {RUN} --out old"
    ));
    let file = bench.path("old/metrics.json");
    let mut metrics: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let object = metrics.as_object_mut().unwrap();
    assert!(object.remove("seal").is_some() && object.remove("files").is_some());
    fs::write(&file, metrics.to_string()).unwrap();
    bench.refuses("predict --run old data", "old/metrics.json");
    metrics["schema"] = 1.into();
    fs::write(&file, metrics.to_string()).unwrap();
    let said = bench.done("predict --run old data");
    assert!(
        said.contains("note: an earlier version left old without checksums"),
        "{said}"
    );
}
