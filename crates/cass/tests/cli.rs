//! The command as a user meets it: runs on phantoms, and every way of being wrong.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    /// A folder with phantoms in `data`.
    fn new() -> Self {
        let bench = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let draw = "data phantom --out data --train-per-class 6 --test-per-class 2 --size 24";
        assert_eq!(code(&bench.cass(draw)), 0);
        bench
    }

    fn cass(&self, args: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cass"));
        command
            .args(args.split_whitespace())
            .current_dir(self.folder.path());
        command.env_remove("RUST_LOG").output().unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Asserts that a command fails with `code` and one line that contains every part of `said`.
    fn fails(&self, args: &str, code: i32, said: &[&str]) {
        let output = self.cass(args);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let errors: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with("error: "))
            .collect();
        assert_eq!(output.status.code(), Some(code), "{args}: {text}");
        assert_eq!(errors, text.lines().last().as_slice(), "{args}: {text}");
        for part in said {
            assert!(
                text.contains(part),
                "{args}: {text:?} does not say {part:?}"
            );
        }
    }
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn json(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or_default();
    let error = String::from_utf8_lossy(&output.stderr);
    serde_json::from_str(line).unwrap_or_else(|_| panic!("{text}\n{error}"))
}

const SMALL: &str = "--data-root data --size 16 --epochs 1 --batch 8 --threads 2 --device cpu";
const CASS: &str =
    "pretrain --method cass --cnn resnet18 --vit vit_tiny_patch16_224 --weights random";

#[test]
fn pretrain_then_probe() {
    let bench = Bench::new();
    let first = bench.cass(&format!("{CASS} {SMALL} --seed 3 --out a --json"));
    let metrics = json(&first);
    assert_eq!(metrics["kind"], "pretrain");
    assert_eq!(metrics["arms"]["vit"], "vit_tiny_patch16_224");
    assert_eq!(metrics["threads"], 2);
    assert!(bench.path("a/checkpoint-cnn.safetensors").is_file());
    assert!(bench.path("a/checkpoint-vit.safetensors").is_file());

    // Once is enough.
    let again = bench.cass(&format!("{CASS} {SMALL} --seed 3 --out a --json"));
    assert_eq!((code(&again), json(&again)), (0, metrics.clone()));
    assert!(String::from_utf8_lossy(&again.stderr).contains("finished already"));
    bench.fails(
        &format!("{CASS} {SMALL} --seed 4 --out a"),
        2,
        &["a run with another recipe (seed = 3, not 4)"],
    );

    // A recipe file and the flags it came from are one run.
    let copy = json(&bench.cass("pretrain --recipe a/recipe.toml --out b --json"));
    assert_eq!(copy["epochs"][0]["loss"], metrics["epochs"][0]["loss"]);
    assert_eq!(copy["collapse"], metrics["collapse"]);
    for file in [
        "recipe.toml",
        "manifest.tsv",
        "checkpoint-cnn.safetensors",
        "checkpoint-vit.safetensors",
    ] {
        let bytes = |run: &str| fs::read(bench.path(run).join(file)).unwrap();
        assert!(bytes("a") == bytes("b"), "{file} differs");
    }
    let provenance = fs::read_to_string(bench.path("a/provenance.json")).unwrap();
    let provenance: Value = serde_json::from_str(&provenance).unwrap();
    assert!(!provenance["program"]["commit"].as_str().unwrap().is_empty());
    assert_eq!(provenance["manifest"], metrics["manifest"]);
    assert_eq!(provenance["weights"]["cnn"]["source"], "random");
    assert_eq!(provenance["attempts"].as_array().map(Vec::len), Some(1));

    let probe = "probe --run a --arm cnn --epochs 2 --threads 2 --device cpu --out p --json";
    let probed = json(&bench.cass(probe));
    assert_eq!(
        (&probed["kind"], &probed["arm"]),
        (&"probe".into(), &"cnn".into())
    );
    assert_eq!(probed["manifest"], metrics["manifest"]);
    assert!(probed["test"]["f1_macro"].is_f64());
    assert!(
        fs::read_to_string(bench.path("p/recipe.toml"))
            .unwrap()
            .contains("size = 16")
    );
    bench.fails(
        "probe --run a --out q",
        2,
        &["several networks", "--arm cnn or --arm vit"],
    );
    bench.fails(
        "probe --run a --arm net --out q",
        2,
        &["no arm net", "cnn or vit"],
    );
    bench.fails(
        "probe --run data --out q",
        2,
        &["failed to probe data", "recipe.toml"],
    );
}

#[test]
fn dino_and_a_supervised_baseline() {
    let bench = Bench::new();
    let dino =
        format!("pretrain --method dino --net vit_tiny_patch16_224 --weights random {SMALL}");
    let metrics = json(&bench.cass(&format!("{dino} --out d --json")));
    assert_eq!(metrics["method"], "dino");
    assert!(bench.path("d/checkpoint-net.safetensors").is_file());
    let text = bench.cass(&format!("probe --run d --arm net {SMALL} --out p"));
    assert!(String::from_utf8_lossy(&text.stdout).contains("test F1 macro"));

    let baseline = "probe --weights random --arch resnet18 --mode finetune --fraction 0.5";
    let metrics = json(&bench.cass(&format!("{baseline} {SMALL} --out s --json")));
    assert_eq!(
        (&metrics["mode"], &metrics["arm"]),
        (&"finetune".into(), &Value::Null)
    );
}

#[test]
fn a_probe_labels_new_images_and_is_compared() {
    let bench = Bench::new();
    let probe = format!("probe --weights random --arch resnet18 {SMALL}");
    json(&bench.cass(&format!("{probe} --out s --json")));
    json(&bench.cass(&format!("{probe} --mode finetune --out f --json")));
    json(&bench.cass(&format!("{probe} --mode knn --out k --json")));

    // The test images again: the same labels, and a table that metrics reads.
    let said = bench.cass("predict --run s data/Testing --device cpu");
    assert_eq!(code(&said), 0);
    fs::write(bench.path("said.csv"), &said.stdout).unwrap();
    let known = fs::read_to_string(bench.path("s/predictions.csv")).unwrap();
    let labels = known.lines().map(|line| {
        let fields: Vec<_> = line.split(',').collect();
        let folder = if fields[0] == "file" { "" } else { "data/" };
        format!("{folder}{},{}\n", fields[0], fields[1])
    });
    fs::write(bench.path("labels.csv"), labels.collect::<String>()).unwrap();
    let again = json(&bench.cass("metrics --predictions said.csv --labels labels.csv --json"));
    let first = json(&bench.cass("metrics --predictions s/predictions.csv --json"));
    assert_eq!(again["confusion"], first["confusion"]);

    fs::write(bench.path("bad.png"), b"no image").unwrap();
    let said = bench.cass("predict --run s bad.png data/Testing/glioma --json");
    assert_eq!(
        (code(&said), json(&said)["failed"][0].clone()),
        (1, "bad.png".into())
    );
    assert!(json(&said)["images"].as_u64() > Some(0));
    bench.fails("predict --run data x.png", 2, &["no finished probe"]);
    bench.fails(
        "predict --run k x.png",
        2,
        &["knn probe fits no classifier"],
    );
    bench.fails(
        "export --run k --out x",
        2,
        &["expected one of mode linear or finetune"],
    );
    assert!(!bench.path("x").exists());

    let compared = json(&bench.cass("compare s f --json"));
    assert_eq!(compared["groups"].as_array().map(Vec::len), Some(2));
    assert_eq!(compared["differences"][0]["pairs"], 1);
    bench.fails("compare s s", 2, &["another run given has its settings"]);
    bench.fails("compare data", 2, &["no finished probe"]);
    bench.fails("metrics --predictions none.csv", 2, &["none.csv"]);
}

#[test]
fn wrong_usage_is_one_line_that_helps() {
    let bench = Bench::new();
    let wrong = |args: &str, said: &[&str]| bench.fails(args, 2, said);
    let with = |flags: &str| format!("{CASS} {SMALL} --out x {flags}");
    wrong(
        &with("--net resnet18"),
        &["--net is not for method cass", "--cnn and --vit"],
    );
    wrong(
        &with("").replace("resnet18", "resnet81"),
        &["resnet81", "resnet18"],
    );
    wrong(
        &with("").replace("--data-root data", ""),
        &["--data-root is missing"],
    );
    wrong(
        &with("").replace("--data-root data", "--data-root gone"),
        &["gone", "Training"],
    );
    wrong(
        &with("").replace("--batch 8", "--batch 1"),
        &["`batch` = 1", "at least 2"],
    );
    wrong(&with("--data mri"), &["\"mri\"", "brain-mri"]);
    wrong(&with("--fraction 2"), &["`fraction` = 2"]);
    wrong(&with("").replace("--size 16", "--size 17"), &["17"]);
    wrong(
        &with("").replace("random", "none.safetensors"),
        &["none.safetensors"],
    );
    wrong(
        &with("--set zero_gard=false"),
        &["`zero_gard=false`", "did you mean `zero_grad`?"],
    );
    wrong(&with("--set swa.start=2"), &["`swa.start` = 2"]);
    wrong(&with("--precision bf16"), &["`precision` = bf16", "f32"]);
    wrong(&with("--accumulate 5"), &["`accumulate` = 5", "2 images"]);
    let no_gpu = with("").replace("--device cpu", "--device cuda");
    if cfg!(not(feature = "cuda")) {
        wrong(&no_gpu, &["`device` = cuda", "without the feature cuda"]);
    }

    fs::write(bench.path("r.toml"), "epoch = 3\n").unwrap();
    wrong(
        "pretrain --recipe r.toml --out x",
        &["r.toml", "line 1", "did you mean `epochs`?"],
    );
    wrong("pretrain --recipe gone.toml --out x", &["gone.toml"]);

    // A start that its input stopped claims no folder.
    let right = bench.cass(&format!("{CASS} {SMALL} --out x"));
    assert_eq!(
        code(&right),
        0,
        "{}",
        String::from_utf8_lossy(&right.stderr)
    );
}

#[test]
fn bad_files_stop_the_run_before_training_unless_skipped() {
    let bench = Bench::new();
    let file = bench.path("data/Training/glioma/broken.jpg");
    fs::write(&file, b"\xff\xd8\xff no picture").unwrap();
    let run = format!("{CASS} {SMALL} --out x");
    bench.fails(&run, 2, &["broken.jpg"]);
    let metrics = json(&bench.cass(&format!("{run} --skip-bad --json")));
    assert!(
        metrics["skipped"][0]["file"]
            .as_str()
            .unwrap()
            .ends_with("broken.jpg")
    );

    fs::create_dir(bench.path("data/Training/kidney")).unwrap();
    bench.fails(&format!("{CASS} {SMALL} --out y"), 2, &["kidney", "glioma"]);
    fs::remove_dir(bench.path("data/Training/kidney")).unwrap();
    fs::remove_dir_all(bench.path("data/Testing/pituitary")).unwrap();
    bench.fails(
        &format!("{CASS} {SMALL} --out y"),
        2,
        &["Testing", "pituitary"],
    );
}

#[cfg(target_os = "linux")]
#[test]
fn an_output_that_cannot_be_written_is_one_line() {
    let bench = Bench::new();
    bench.fails(
        &format!("{CASS} {SMALL} --out /proc/run"),
        1,
        &["failed to create", "/proc/run"],
    );
    bench.fails("data phantom --out /proc/phantoms", 1, &["/proc/phantoms"]);

    let full = bench.path("full");
    fs::create_dir(&full).unwrap();
    std::os::unix::fs::symlink("/dev/full", full.join(".metrics.json.new")).unwrap();
    bench.fails(
        &format!("{CASS} {SMALL} --out full"),
        1,
        &["metrics.json", "No space left"],
    );
    assert!(!full.join("metrics.json").exists());
    assert!(is_whole(&full.join("checkpoint-cnn.safetensors")));
}

/// A safetensors file that is as long as its header says.
fn is_whole(file: &Path) -> bool {
    let bytes = fs::read(file).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
    let ends = header.as_object().unwrap().values();
    let end = ends
        .filter_map(|t| t["data_offsets"][1].as_u64())
        .max()
        .unwrap() as usize;
    let data = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize + 8;
    bytes.len() == data + end
}

#[test]
fn help_shows_an_example_of_every_command() {
    let bench = Bench::new();
    for command in [
        "",
        "pretrain",
        "probe",
        "data phantom",
        "data check",
        "data preview",
        "bench step",
        "bench loader",
        "bench features",
        "embed",
        "cka",
        "attend",
        "models fetch",
        "models list",
        "export",
        "predict",
        "compare",
        "metrics",
        "verify",
    ] {
        let output = bench.cass(&format!("{command} --help"));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            code(&output) == 0 && text.contains("Example"),
            "{command}: {text}"
        );
    }
    assert_eq!(code(&bench.cass("pretrain --out x")), 2);
}

/// A rate that throws the weights far off leaves features that are all alike.
#[test]
fn a_collapse_is_told_and_ends_the_run_if_asked() {
    let bench = Bench::new();
    let run = "pretrain --method cass --cnn vit_tiny_patch16_224 --vit vit_tiny_patch16_224 \
        --weights random --data-root data --size 16 --epochs 2 --batch 8 --threads 2 --device cpu \
        --set arms.cnn.optimizer.lr=3 --set arms.vit.optimizer.lr=3 --out x";
    let stopped = bench.cass(&format!("{run} --stop-on-collapse"));
    let said = String::from_utf8_lossy(&stopped.stderr).into_owned();
    assert_eq!(code(&stopped), 1, "{said}");
    assert!(
        said.contains("warning: after epoch 0, the features of cnn have collapsed"),
        "{said}"
    );
    assert!(
        said.contains("error: failed to go on after epoch 0: the features of"),
        "{said}"
    );
    assert!(!bench.path("x/metrics.json").exists());

    // Asked again it says the same at once; without the flag it goes on.
    let again = bench.cass(&format!("{run} --stop-on-collapse"));
    assert_eq!(code(&again), 1);
    let log = |event: &str| {
        let log = fs::read_to_string(bench.path("x/log.jsonl")).unwrap();
        let event = format!("\"event\":\"{event}\"");
        log.lines().filter(|line| line.contains(&event)).count()
    };
    assert_eq!(log("epoch"), 1);
    let on = bench.cass(run);
    assert_eq!(code(&on), 0, "{}", String::from_utf8_lossy(&on.stderr));
    assert_eq!(log("epoch"), 2);
}

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
fn networks_of_runs_are_exported_for_timm() {
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
    assert_eq!(probe["cass"]["method"], "linear");
    assert_eq!(probe["cass"]["arm"], "vit");
    assert_eq!(
        probe["label_names"],
        serde_json::json!(["glioma", "meningioma", "notumor", "pituitary"])
    );

    bench.fails("export --run a --out x", 2, &["--arm cnn or --arm vit"]);
    bench.fails("export --run a --arm net --out x", 2, &["no arm net"]);
    bench.fails("export --run p --arm cnn --out x", 2, &["expected vit"]);
    bench.fails("export --run data --out x", 2, &["no recipe.toml"]);
    bench.fails("export --run a --arm cnn --out e/cnn", 2, &["is not empty"]);
    fs::remove_file(bench.path("p/predictions.csv")).unwrap();
    bench.fails("export --run p --out x", 2, &["names of its classes"]);
    fs::remove_file(bench.path("a/metrics.json")).unwrap();
    bench.fails(
        "export --run a --arm cnn --out x",
        2,
        &["the run is not finished"],
    );
    assert!(!bench.path("x").exists());
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
        ["timm/vit_base_patch16_384.augreg_in21k_ft_in1k"]
    );
    assert_eq!(names("resnet50.tv_"), ["timm/resnet50.tv_in1k"]);
    assert_eq!(names("resnet50")[0], "timm/resnet50.a1_in1k");
    assert!(names("resnet50 --all").len() > 10);
    let table = bench.cass("models list resnet18");
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(
        table.contains("11.69 M") && table.contains("3.63") && table.contains("224 px"),
        "{table}"
    );
    bench.fails("models list resnot", 2, &["no name fits \"resnot\""]);
}

#[test]
fn data_check_reports_and_exits_with_its_verdict() {
    let bench = Bench::new();
    let clean = bench.cass("data check --data-root data --json");
    let report = json(&clean);
    assert_eq!((code(&clean), &report["images"]), (0, &32.into()));
    assert_eq!(report["classes"]["glioma"]["train"], 6);
    assert_eq!(report["findings"].as_array().unwrap().len(), 0);

    let glioma = bench.path("data/Testing/glioma");
    fs::copy(
        bench.path("data/Training/glioma/glioma-00000.jpg"),
        glioma.join("a<b.jpg"),
    )
    .unwrap();
    let ill = bench.cass("data check --data-root data --html page.html");
    assert_eq!(code(&ill), 1);
    let text = String::from_utf8_lossy(&ill.stdout).into_owned();
    assert!(
        text.contains("duplicate-across-splits: 1\n  Testing/glioma/a<b.jpg is the same"),
        "{text}"
    );
    let page = fs::read_to_string(bench.path("page.html")).unwrap();
    assert!(page.contains("a&lt;b.jpg") && !page.contains("a<b"));
    bench.fails(
        "data check --data-root nowhere",
        2,
        &["nowhere, which is no folder"],
    );
    bench.fails(
        "data check --data mnist --data-root data",
        2,
        &["\"mnist\"", "isic2019"],
    );
}

#[test]
fn data_sets_are_drawn_looked_at_and_measured() {
    let bench = Bench::new();
    let draw = "data phantom --train-per-class 3 --test-per-class 1 --size 24";
    for (kind, images) in [("isic2019", 32), ("biopsies", 20)] {
        let drawn = bench.cass(&format!("{draw} --data {kind} --out {kind}"));
        assert_eq!(code(&drawn), 0, "{drawn:?}");
        let report = json(&bench.cass(&format!("data check --data {kind} --data-root . --json")));
        assert_eq!(report["images"], images);
    }
    bench.fails(
        &format!("{draw} --data mnist --out m"),
        2,
        &["\"mnist\"", "biopsies"],
    );

    let preview = "data preview --data isic2019 --data-root . --size 24 --out p.png --json";
    assert_eq!(json(&bench.cass(preview))["classes"][0], "MEL");
    assert!(
        fs::read(bench.path("p.png"))
            .unwrap()
            .starts_with(b"\x89PNG")
    );

    let load = "bench loader --data isic2019 --data-root . --size 16 --batch 4 --threads 2";
    let report = json(&bench.cass(&format!(
        "{load} --cache disk --cache-dir pixels --epochs 2 --json"
    )));
    assert!(report["images_per_s"].as_f64().unwrap() > 0.0);
    assert_eq!(report["stages"]["decode"], 0.0, "the second epoch decodes");
    assert!(bench.path("pixels").is_dir());
    bench.fails(
        &format!("{load} --images 4"),
        2,
        &["expected at least 5 batches"],
    );

    // Several labels an image: each class has its own sigmoid, and both kinds are compared alike.
    let probe = "probe --weights random --arch resnet18 --data biopsies --data-root . --size 16";
    let probe = format!("{probe} --epochs 1 --batch 4 --threads 2 --device cpu --json");
    let metrics = json(&bench.cass(&format!("{probe} --out q")));
    assert_eq!(metrics["task"], "multi-label");
    let scored = "metrics --predictions q/predictions.csv --multi-label --json";
    let scored = json(&bench.cass(scored));
    assert_eq!(scored["f1_macro"], metrics["test"]["f1_macro"]);
    assert_eq!(scored["f1_macro_95"], metrics["test_f1_macro_95"]);
    json(&bench.cass(&format!("{probe} --mode knn --out r")));
    let compared = json(&bench.cass("compare q r --json"));
    assert_eq!(compared["differences"][0]["pairs"], 1);
    let exported = json(&bench.cass("export --run q --out e --json"));
    assert_eq!(exported["num_classes"], 5);
}

#[test]
fn a_run_is_seen() {
    let bench = Bench::new();
    json(&bench.cass(&format!("{CASS} {SMALL} --out a --json")));
    let probe = "probe --run a --arm cnn --epochs 1 --threads 2 --device cpu --out p --json";
    json(&bench.cass(probe));

    let embed = json(&bench.cass("embed --run a --before --out a.html --json"));
    let networks = embed["networks"].as_array().unwrap();
    let told: Vec<_> = networks
        .iter()
        .map(|n| (n["name"].as_str().unwrap(), n["when"].as_str().unwrap()))
        .collect();
    let expected = ["before", "after"];
    assert_eq!(told[..2], expected.map(|when| ("cnn", when)));
    assert_eq!(told[2..], expected.map(|when| ("vit", when)));
    assert_eq!(networks[0]["tsne"].as_array().unwrap().len(), 8);
    assert_eq!(embed["images"][0]["true"], "glioma");
    let page = fs::read_to_string(bench.path("a.html")).unwrap();
    assert_eq!(page.len() as u64, embed["bytes"].as_u64().unwrap());
    assert_eq!(page.matches("<circle").count(), 4 * 2 * 8);
    for outside in ["http", "src=\"", "@import"] {
        assert!(!page.contains(outside), "the page asks for {outside}");
    }
    // The same to the byte, and of a probe with what it said.
    bench.cass("embed --run a --before --out b.html");
    assert!(page == fs::read_to_string(bench.path("b.html")).unwrap());
    let embed = json(&bench.cass("embed --run p --images 5 --thumbnail 16 --out p.html --json"));
    assert_eq!(embed["images"].as_array().unwrap().len(), 5);
    assert!(embed["images"][4]["predicted"].is_string());
    bench.fails(
        "embed --run data --out x.html",
        2,
        &["data", "no recipe.toml"],
    );
    bench.fails(
        "embed --run a --arm net --out x.html",
        2,
        &["no arm net", "cnn or vit"],
    );
    bench.fails("embed --run a --data-root gone --out x.html", 2, &["gone"]);
    bench.fails("embed --run a --out /proc/x.html", 1, &["/proc/x.html"]);

    let cka = json(&bench.cass("cka --run a --batch 4 --out cka.html --json"));
    let pairs = cka["pairs"].as_array().unwrap();
    assert_eq!(pairs.len(), 4);
    assert_eq!(pairs[0]["what"], "before the run");
    assert_eq!(pairs[1]["cka"].as_array().unwrap().len(), 9);
    assert_eq!(pairs[1]["cka"][0].as_array().unwrap().len(), 13);
    let page = fs::read_to_string(bench.path("cka.html")).unwrap();
    assert_eq!(page.matches("<rect").count(), 2 * 9 * 13 + 9 * 9 + 13 * 13);
    let alone = json(&bench.cass("cka --run p --batch 4 --out p-cka.html --json"));
    assert_eq!(alone["pairs"].as_array().unwrap().len(), 3);

    fs::write(bench.path("bad.png"), b"no image").unwrap();
    let seen = bench.cass("attend --run a --out seen bad.png data/Testing/glioma --json");
    let report = json(&seen);
    assert_eq!((code(&seen), &report["failed"][0]), (1, &"bad.png".into()));
    let pictures = report["pictures"].as_array().unwrap();
    assert_eq!(pictures.len(), 2 * 2);
    assert_eq!(
        (&pictures[0]["look"], &pictures[1]["look"]),
        (&"grad-cam".into(), &"rollout".into())
    );
    for picture in pictures {
        let png = fs::read(bench.path(picture["out"].as_str().unwrap())).unwrap();
        assert!(png.starts_with(b"\x89PNG"));
    }
    let image = "data/Testing/glioma/glioma-00000.jpg";
    let asked = format!("attend --run p --class notumor --out seen {image} --json");
    assert_eq!(json(&bench.cass(&asked))["pictures"][0]["class"], "notumor");
    let wrong =
        |args: &str, said: &[&str]| bench.fails(&format!("{args} --out x {image}"), 2, said);
    wrong("attend --run p --class kidney", &["\"kidney\"", "notumor"]);
    wrong("attend --run a --class glioma", &["--class", "pretraining"]);
    wrong(
        "attend --run p --look rollout",
        &["rollout", "resnet18", "grad-cam"],
    );

    let speed = "bench features --data-root data --size 16 --batch 4 --images 8 --repeat 1 --json";
    let speed = json(&bench.cass(speed));
    assert!(speed["share"].as_f64().unwrap() > 0.0 && speed["images"].as_u64() == Some(7));
}
