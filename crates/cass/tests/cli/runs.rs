//! Pretraining, probes, and what is made of them.

use super::*;

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
        &["data holds no finished run", "recipe.toml"],
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
    let part = "--train last:2 --layer-decay 0.75 --frozen-statistics";
    let metrics = json(&bench.cass(&format!("{baseline} {part} {SMALL} --out part --json")));
    let said = metrics["deviations"].to_string();
    for deviation in [
        "train = last:2 (paper: all)",
        "layer_decay = 0.75",
        "frozen_statistics = true",
    ] {
        assert!(said.contains(deviation), "{said}");
    }
    let linear = format!("probe --weights random --arch resnet18 --train last:2 {SMALL} --out x");
    bench.fails(&linear, 2, &["`mode` is logistic", "finetune where train"]);
}

#[test]
fn settings_are_checked_and_printed_where_nothing_is_to_be_run() {
    let bench = Bench::new();
    let pretrain = "pretrain --method vicreg --net resnet18 --weights random --data folder --data-root nowhere --out x --dry-run";
    let output = bench.cass(&format!("{pretrain} --set method.cov_coeff=4"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        code(&output) == 0 && text.contains("cov_coeff = 4.0"),
        "{text}"
    );
    assert!(!bench.path("x").exists());
    bench.fails(
        &format!("{pretrain} --set method.cov_coef=4"),
        2,
        &["did you mean `cov_coeff`?"],
    );
    bench.fails(
        &format!("{pretrain} --set method.cov_coeff=-1"),
        2,
        &["`method.cov_coeff` is -1"],
    );
}

#[test]
fn methods_of_two_views_are_pretrained_and_timed() {
    let bench = Bench::new();
    for (method, small, loss) in [
        ("vicreg", "method.expander_width=16", "variance"),
        ("simsiam", "method.pred_dim=16", "negative cosine"),
        (
            "byol",
            "method.projection_hidden_size=16",
            "squared distance",
        ),
    ] {
        let pretrain = format!(
            "pretrain --method {method} --net resnet18 --weights random {SMALL} --set {small} --out {method}"
        );
        let metrics = json(&bench.cass(&format!("{pretrain} --json")));
        assert_eq!(metrics["method"], method);
        assert!(
            metrics["deviations"]
                .to_string()
                .contains(small.split('=').next().unwrap())
        );
        let log = fs::read_to_string(bench.path(method).join("log.jsonl")).unwrap();
        assert!(log.lines().next().unwrap().contains(loss), "{log}");
        bench.fails(
            &format!("{pretrain}-x --set pipeline=dino"),
            2,
            &[
                "`pipeline` is dino; expected one that augments to two views",
                method,
            ],
        );
        let step =
            format!("bench step --method {method} --net resnet18 --size 32 --batch 2 --steps 1");
        let timed = json(&bench.cass(&format!("{step} --json")));
        assert!(timed["median_ms"].as_f64() > Some(0.0), "{timed}");
    }
}

/// A network is shown images as it was trained with them, from its pretraining to what is exported.
#[test]
fn images_are_normalised_by_the_statistics_that_weights_want() {
    let bench = Bench::new();
    let vit = format!("pretrain --method dino --net vit_tiny_patch16_224 {SMALL}");
    json(&bench.cass(&format!("{vit} --weights random --out start --json")));
    let vit = format!("{vit} --weights start/checkpoint-net.safetensors");
    json(&bench.cass(&format!("{vit} --out imagenet --json")));
    json(&bench.cass(&format!("{vit} --normalization weights --out own --json")));
    let read = |file: &str| fs::read_to_string(bench.path(file)).unwrap();
    let said = "normalization = weights (paper: imagenet)";
    assert!(read("own/metrics.json").contains(said));
    assert!(!read("imagenet/metrics.json").contains("normalization"));
    let weights = |run: &str| fs::read(bench.path(run).join("checkpoint-net.safetensors")).unwrap();
    assert!(weights("own") != weights("imagenet"));

    let half = "mean = [0.5, 0.5, 0.5]";
    for (weights, own) in [("own", true), ("imagenet", false)] {
        let probe = format!("probe --run {weights} {SMALL} --out p-{weights}");
        json(&bench.cass(&format!("{probe} --protocol paper --json")));
        let recipe = read(&format!("p-{weights}/recipe.toml"));
        assert_eq!(recipe.contains(half), own, "{recipe}");
        for run in [weights.to_string(), format!("p-{weights}")] {
            json(&bench.cass(&format!("export --run {run} --out e-{run} --json")));
            let config: Value =
                serde_json::from_str(&read(&format!("e-{run}/config.json"))).unwrap();
            let mean = config["pretrained_cfg"]["mean"][0].as_f64().unwrap();
            assert_eq!(mean, if own { 0.5 } else { 0.485 }, "{run}");
        }
        // What was exported says it to a probe of its file.
        let exported = format!("probe --weights e-{weights} --arch vit_tiny_patch16_224 {SMALL}");
        json(&bench.cass(&format!("{exported} --out q-{weights} --json")));
        let recipe = read(&format!("q-{weights}/recipe.toml"));
        assert_eq!(recipe.contains(half), own, "{recipe}");
    }
    assert!(read("p-own/predictions.csv") != read("p-imagenet/predictions.csv"));
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
    bench.fails("predict --run data x.png", 2, &["no finished run"]);
    // A probe by nearest neighbours labels too; a file that is not there is told of.
    let said = bench.cass("predict --run k x.png --json");
    assert_eq!(
        (code(&said), json(&said)["failed"][0].clone()),
        (1, "x.png".into())
    );
    bench.fails(
        "export --run k --out x",
        2,
        &["expected one of mode linear or finetune"],
    );
    assert!(!bench.path("x").exists());

    let compared = json(&bench.cass("compare s f --across --json"));
    assert_eq!(compared["groups"].as_array().map(Vec::len), Some(2));
    assert_eq!(compared["differences"][0]["pairs"], 1);
    // Weights of a file next to those it started from: one pair, in whichever order.
    let judged = "probe --weights s/checkpoint.safetensors --arch resnet18";
    json(&bench.cass(&format!("{judged} {SMALL} --mode knn --out t --json")));
    for order in ["t k", "k t"] {
        let compared = json(&bench.cass(&format!("compare {order} --json")));
        let pairs = compared["differences"].as_array().unwrap();
        assert_eq!(pairs.len(), 1, "{order}: {pairs:?}");
        let over = pairs[0]["over"].as_str();
        assert!(over.unwrap().starts_with("random"), "{order}: {over:?}");
    }
    bench.fails("compare s s", 2, &["another run given has its settings"]);
    bench.fails("compare data", 2, &["no finished run"]);
    bench.fails("metrics --predictions none.csv", 2, &["none.csv"]);
}

#[test]
fn a_guard_is_a_deviation_that_the_run_keeps() {
    let bench = Bench::new();
    let run = "pretrain --method cass --cnn vit_tiny_patch16_224 --vit vit_tiny_patch16_224 \
        --weights random --data-root data --size 16 --epochs 1 --batch 8 --threads 2 --device cpu";
    json(&bench.cass(&format!("{run} --out plain --json")));
    json(&bench.cass(&format!("{run} --guard variance --out guarded --json")));
    let recipe = fs::read_to_string(bench.path("guarded/recipe.toml")).unwrap();
    assert!(recipe.contains("guard = \"variance\""), "{recipe}");
    let metrics = |run: &str| fs::read_to_string(bench.path(run).join("metrics.json")).unwrap();
    let said = "method.guard = variance (paper: none)";
    assert!(metrics("guarded").contains(said) && !metrics("plain").contains(said));
    let weights = |run: &str| fs::read(bench.path(run).join("checkpoint-cnn.safetensors")).unwrap();
    assert!(weights("guarded") != weights("plain"));
    let dino = "pretrain --method dino --net resnet18 --data-root data --guard variance --out x";
    bench.fails(dino, 2, &["method.guard=variance", "unknown key `guard`"]);
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
    assert_eq!(said.matches("`--guard variance`").count(), 1, "{said}");
    assert!(
        said.contains("error: the run ends after epoch 0: the features of"),
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
    bench.cass("embed --run a --before --images 6 --out a.svg");
    let picture = fs::read_to_string(bench.path("a.svg")).unwrap();
    // Two networks before and after, and a line of names.
    assert_eq!(picture.matches("<g class=\"cloud\"").count(), 4);
    assert_eq!(picture.matches("<circle").count(), 4 * 6);
    assert!(picture.contains("meningioma") && picture.contains("after the run"));
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
