//! `cass bench`, and that the number of threads changes the time alone.

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn cass(folder: &Path, args: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cass"));
    command.args(args.split_whitespace()).current_dir(folder);
    command.env_remove("RUST_LOG").output().unwrap()
}

/// What a bench prints for programs, as the last line of standard output.
fn bench(args: &str) -> Value {
    let output = cass(Path::new("."), &format!("bench {args} --json"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args}: {errors}");
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(text.lines().last().unwrap_or_default()).unwrap()
}

/// Exit code 2 and one line that contains every part of `said`.
fn refused(args: &str, said: &[&str]) {
    let output = cass(Path::new("."), args);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{args}: {text}");
    let last = text.lines().next_back().unwrap_or_default();
    for part in said {
        assert!(
            text.contains(part),
            "{args}: {text:?} does not say {part:?}"
        );
    }
    assert!(
        last.starts_with("error: ") || last.contains("--help"),
        "{text}"
    );
}

fn positive(value: &Value) -> bool {
    value
        .as_f64()
        .is_some_and(|number| number.is_finite() && number > 0.0)
}

#[test]
fn operations_beside_candles() {
    let result = bench("ops --op linear --batch 1 --repeats 1 --threads 2");
    assert_eq!(result["kind"], "bench-ops");
    assert_eq!(result["threads"], 2);
    assert!(positive(&result["roofline_gflops"]) && positive(&result["copy_gb_per_s"]));
    let ops = result["ops"].as_array().unwrap();
    let passes: Vec<_> = ops
        .iter()
        .map(|op| (op["op"].as_str(), op["pass"].as_str()))
        .collect();
    let pair = |op| [(Some(op), Some("forward")), (Some(op), Some("backward"))];
    assert_eq!(passes, [pair("linear"), pair("linear + residual")].concat());
    for op in ops {
        for key in ["median_ms", "min_ms", "max_ms", "gflops", "roofline_share"] {
            assert!(positive(&op[key]), "{key}: {op}");
        }
        assert_eq!(op["candle"]["wrong"], Value::Null, "{op}");
        assert!(positive(&op["candle"]["times_ours"]), "{op}");
    }
}

/// The fused LayerNorm of Candle loses the gradient; the one that keeps it is timed.
#[test]
fn a_gradient_that_candle_lacks_is_told() {
    let result = bench("ops --op layer_norm --batch 1 --repeats 1 --threads 1");
    let backward = result["ops"].as_array().unwrap().iter();
    let backward = backward.filter(|op| op["pass"] == "backward");
    let candle: Vec<_> = backward.map(|op| op["candle"].clone()).collect();
    assert_eq!(candle[0]["what"], "LayerNorm");
    assert_eq!(
        (&candle[0]["wrong"], &candle[0]["median_ms"]),
        (&"no gradient".into(), &Value::Null)
    );
    assert_eq!(candle[1]["what"], "layer_norm_slow");
    assert!(positive(&candle[1]["median_ms"]));
}

#[test]
fn optimisers_and_averages() {
    let result = bench("ops --op sgd --batch 1 --repeats 1");
    let ops = result["ops"].as_array().unwrap();
    let names: Vec<_> = ops.iter().map(|op| op["op"].as_str().unwrap()).collect();
    assert_eq!(names, ["sgd", "sgd with momentum"]);
    for op in ops {
        assert!(op["pass"] == "update" && positive(&op["gb_per_s"]), "{op}");
    }
    assert_eq!(ops[1]["candle"]["wrong"], "has no momentum");
}

#[test]
fn a_logistic_regression_by_its_penalties() {
    let result = bench("logistic --images 60 --dim 8 --classes 3 --repeat 1 --threads 2");
    assert_eq!(result["kind"], "bench-logistic");
    assert_eq!(result["grid"].as_array().unwrap().len(), 7);
    assert!(positive(&result["median_s"]) && result["evaluations"].as_u64() > Some(7));
    let one = bench("logistic --images 60 --dim 8 --classes 3 --repeat 1 --c 0.01");
    assert_eq!(one["grid"], serde_json::json!([0.01]));
    assert_eq!(one["converged"], true);
    refused(
        "bench logistic --classes 1",
        &["expected at least 2 classes"],
    );
}

#[test]
fn memory_by_what_holds_it() {
    let small = "--size 32 --batch 2 --threads 1";
    let result = bench(&format!("memory {small}"));
    assert_eq!(result["kind"], "bench-memory");
    assert_eq!(
        result["nets"],
        serde_json::json!(["resnet18", "vit_tiny_patch16_224"])
    );
    // 11.69 and 5.4 million values (fewer positions at 32 pixels), four bytes each.
    let mib = |key: &str| result[key].as_f64().unwrap();
    assert!((64.0..67.0).contains(&mib("weights_mib")), "{result}");
    assert!(
        (mib("optimizer_mib") / mib("gradients_mib") - 2.0).abs() < 1e-9,
        "{result}"
    );
    if cfg!(target_os = "linux") {
        let parts = [
            "program_mib",
            "weights_mib",
            "optimizer_mib",
            "gradients_mib",
            "activations_mib",
        ];
        let sum: f64 = parts.map(mib).iter().sum();
        assert!((sum - mib("peak_rss_mib")).abs() < 0.5, "{result}");
        assert!(
            mib("peak_rss_mib") >= mib("weights_mib") + mib("optimizer_mib"),
            "{result}"
        );
    }

    // DINO's student and teacher, each with its projector; the classifier is not trained.
    let dino = bench(&format!(
        "memory --method dino --net resnet18 --steps 1 {small}"
    ));
    let mib = |key: &str| dino[key].as_f64().unwrap();
    assert!(mib("weights_mib") > 2.0 * mib("gradients_mib"), "{dino}");
}

#[test]
fn wrong_arguments() {
    refused(
        "bench ops --op nonsense",
        &["--op nonsense", "there are conv2d 1x1"],
    );
    refused("bench ops --repeats 0", &["--repeats"]);
    refused(
        "bench memory --size 0",
        &["--size 0 --batch 16: expected at least 1 pixel"],
    );
    refused("bench memory --steps 0", &["--steps"]);
    refused("bench memory --cnn resnet17", &["resnet17"]);
    refused("bench step --batch 1", &["--batch 1: expected"]);
    refused("bench memory --method moco", &["moco", "cass"]);
}

/// Loops are cut by size, never by thread: training ends in the same bytes on one thread and on three.
#[test]
fn the_number_of_threads_changes_no_bit() {
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &str| {
        let output = cass(folder.path(), args);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args}: {errors}");
    };
    run("data phantom --out data --train-per-class 4 --test-per-class 1 --size 48");
    let setting = "--weights random --data-root data --size 48 --epochs 1 --batch 6 --device cpu";
    for (method, arms) in [
        (
            "cass --cnn resnet18 --vit vit_tiny_patch16_224",
            &["cnn", "vit"][..],
        ),
        ("dino --net resnet18", &["net"]),
    ] {
        for threads in [1, 3] {
            run(&format!(
                "pretrain --method {method} {setting} --threads {threads} --out {threads}-{}",
                arms[0]
            ));
        }
        for arm in arms {
            let weights = |threads: usize| {
                let run = format!("{threads}-{}", arms[0]);
                let file = format!("checkpoint-{arm}.safetensors");
                fs::read(folder.path().join(run).join(file)).unwrap()
            };
            assert!(weights(1) == weights(3), "{method}: {arm} differs");
        }
    }
}
