//! Every number of every recipe, at every value that no run can have.

mod bench;

use bench::Bench;
use cass_probe::fit::{ProbeMode, ProbeRecipe};
use cass_train::optim::OptimizerConfig;
use cass_train::{Method, Protocol, Recipe};
use std::fs;
use toml::{Table, Value};

/// Paths of the numbers in a recipe, by the keys and places that lead to each.
fn numbers(value: &Value, path: &str, found: &mut Vec<(String, Value)>) {
    let join = |key: &str| match path {
        "" => key.to_string(),
        _ => format!("{path}.{key}"),
    };
    match value {
        Value::Table(table) => table.iter().for_each(|(k, v)| numbers(v, &join(k), found)),
        Value::Array(values) => {
            let places = values.iter().enumerate();
            places.for_each(|(i, v)| numbers(v, &join(&i.to_string()), found));
        }
        Value::Integer(_) | Value::Float(_) => found.push((path.into(), value.clone())),
        _ => {}
    }
}

fn set(recipe: &mut Value, path: &str, value: Value) {
    let place = path.split('.').fold(recipe, |place, key| match place {
        Value::Array(values) => &mut values[key.parse::<usize>().unwrap()],
        table => &mut table[key],
    });
    *place = value;
}

/// What is said of a recipe with one other number.
type Verdict = Result<(), String>;

/// Tries every number of a recipe's text at every value of its kind.
fn try_all(text: &str, verdict: impl Fn(&str) -> Verdict) -> usize {
    assert_eq!(verdict(text), Ok(()), "{text}");
    let recipe = Value::Table(text.parse::<Table>().unwrap());
    let mut found = Vec::new();
    numbers(&recipe, "", &mut found);
    for (path, value) in &found {
        let is_integer = value.is_integer();
        // Of a list of numbers the list is named.
        let name = path
            .split('.')
            .rfind(|key| key.parse::<u8>().is_err())
            .unwrap();
        let said = |value: Value| {
            let mut other = recipe.clone();
            set(&mut other, path, value);
            verdict(&toml::to_string(&other).unwrap())
        };
        let refused = |value: Value| {
            let text = format!("{path} = {value}");
            let error = said(value).expect_err(&text);
            assert!(!error.contains('\n'), "{text}: {error}");
            let names_it = error.contains(name) || error.contains("line ");
            assert!(names_it, "{text}: {error}");
        };
        if is_integer {
            let least = [-1, i64::MIN].map(Value::Integer);
            least.into_iter().for_each(refused);
            for value in [1 << 33, 1 << 53, 1 << 62, i64::MAX - 1, i64::MAX] {
                if name == "seed" {
                    assert_eq!(said(Value::Integer(value)), Ok(()));
                } else {
                    refused(Value::Integer(value));
                }
            }
            // Zero and one may do, and must not be more than wrong.
            for value in [0, 1, 2, 3] {
                let _ = said(Value::Integer(value));
            }
        } else {
            for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, -f64::MAX] {
                refused(Value::Float(value));
            }
            for value in [0.0, -0.0, f64::MIN_POSITIVE, 1.0, f64::MAX] {
                let _ = said(Value::Float(value));
            }
        }
        refused(Value::String("many".into()));
    }
    found.len()
}

#[test]
fn every_number_of_a_pretraining_is_bounded() {
    let verdict = |text: &str| {
        let recipe = Recipe::from_toml(text).map_err(|e| e.to_string())?;
        recipe.validate().map(|_| ()).map_err(|e| e.to_string())
    };
    let mut tried = 0;
    for method in Method::all() {
        for protocol in [Protocol::Paper, Protocol::Notebook] {
            let mut recipe = Recipe::preset(protocol, method.clone());
            recipe.clip_grad_norm = Some(1.0);
            recipe.accumulate = 2;
            tried += try_all(&recipe.to_toml(), verdict);
        }
    }
    assert!(tried > 60, "{tried}");
}

#[test]
fn every_number_of_a_probe_is_bounded() {
    let verdict = |text: &str| {
        let recipe = ProbeRecipe::from_toml(text).map_err(|e| e.to_string())?;
        recipe.validate().map_err(|e| e.to_string())
    };
    let mut tried = 0;
    for mode in [
        ProbeMode::Linear,
        ProbeMode::Logistic,
        ProbeMode::Finetune,
        ProbeMode::Knn,
    ] {
        let mut recipe = ProbeRecipe::preset(Protocol::Paper, mode);
        tried += try_all(&recipe.to_toml(), verdict);
        recipe.optimizer =
            toml::from_str::<OptimizerConfig>("name = 'sgd'\nmomentum = 0.5").unwrap();
        tried += try_all(&recipe.to_toml(), verdict);
    }
    assert!(tried > 90, "{tried}");
}

/// As users met them: a run of no steps, a panic, an abort, minutes of starting threads.
#[test]
fn a_run_that_cannot_be_is_one_line_and_leaves_nothing() {
    let bench = Bench::new();
    let networks = "--cnn resnet18 --vit vit_tiny_patch16_224 --weights random";
    let pretrain = format!(
        "pretrain --method cass {networks} --data-root data --size 32 --batch 8 --epochs 1 --out run"
    );
    for (set, said) in [
        ("epochs=4611686018427387904", "`epochs`"),
        ("epochs=9223372036854775807", "`epochs`"),
        ("epochs=9223372036854775808", "epochs"),
        ("size=1000000", "`size` is 1000000; expected at most 16384"),
        ("size=4294967296", "`size`"),
        ("size=16384", "GiB of memory"),
        ("batch=60000", "GiB of memory"),
        ("outputs=4294967296", "`outputs`"),
        ("outputs=16777216", "GiB of memory"),
        ("threads=3000", "`threads` is 3000; expected at most 1024"),
        ("seed=-1", "seed"),
        ("clip_grad_norm=nan", "`clip_grad_norm`"),
        ("arms.cnn.optimizer.lr=inf", "`arms.cnn.optimizer.lr`"),
    ] {
        // So that what is there is the same on every computer: 4 GiB of addresses.
        let mut command = bench.command(&format!("{pretrain} --set {set}"));
        if cfg!(target_os = "linux") && said.contains("memory") {
            let words = command.get_args().map(|a| a.to_string_lossy().into_owned());
            let line = words.collect::<Vec<_>>().join(" ");
            let cass = env!("CARGO_BIN_EXE_cass");
            command = std::process::Command::new("sh");
            command.args(["-c", &format!("ulimit -v 4194304; exec {cass} {line}")]);
            command.current_dir(bench.folder.path());
        }
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{set}: {text}");
        assert_eq!(text.lines().count(), 1, "{set}: {text}");
        assert!(
            text.starts_with("error: ") && text.contains(said),
            "{set}: {text}"
        );
        assert!(!bench.path("run").exists(), "{set}");
    }
    for flag in [
        "--seed 18446744073709551615",
        "--size 99999999",
        "--threads 4000000000",
    ] {
        let probe = "probe --weights random --arch resnet18 --data-root data --size 16 --out run";
        let output = bench.cass(&format!("{} {flag}", probe.replace("--size 16 ", "")));
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{flag}: {text}");
        assert_eq!(text.lines().count(), 1, "{flag}: {text}");
        assert!(!bench.path("run").exists(), "{flag}");
    }
    assert!(fs::read_dir(bench.path("data")).is_ok());
}

#[cfg(unix)]
#[test]
fn a_signal_is_heard_while_a_run_starts_and_while_a_probe_goes_on() {
    use std::time::{Duration, Instant};
    let bench = Bench::new();
    let networks = "--cnn resnet18 --vit vit_tiny_patch16_224 --weights random";
    let pretrain = format!(
        "pretrain --method cass {networks} --data-root data --size 32 --batch 8 --epochs 1 --threads 64 --out run"
    );
    let probe = "probe --weights random --arch resnet18 --mode finetune --data-root data --size 64 \
        --batch 4 --epochs 500 --threads 2 --out probe";
    for (args, log) in [(pretrain.as_str(), "run/.lock"), (probe, "probe/log.jsonl")] {
        let mut command = bench.command(args);
        let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
        while !bench.path(log).exists() {
            assert!(child.try_wait().unwrap().is_none(), "it ended: {args}");
            std::thread::sleep(Duration::from_millis(1));
        }
        let since = Instant::now();
        let pid = child.id().to_string();
        let sent = std::process::Command::new("kill")
            .args(["-TERM", &pid])
            .status();
        assert!(sent.unwrap().success());
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(130), "{args}: {status}");
        assert!(
            since.elapsed() < Duration::from_secs(20),
            "{:?}",
            since.elapsed()
        );
    }
    let whole = bench.cass(&pretrain);
    assert!(whole.status.success(), "the same command starts again");
}
