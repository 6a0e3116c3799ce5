//! Several tables at once: what they share, what is asked of each.

use super::{Job, refused, succeeded, text, write};
use std::fs;
use std::path::Path;

fn lines(job: &Job, arguments: &str) -> Vec<String> {
    let output = job.run(arguments);
    succeeded(&output);
    text(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn every_table_is_planned_and_shared_runs_stand_there_once() {
    let job = Job::new();
    let lines = lines(
        &job,
        "reproduce --table all --profile demo --seeds 1 --device cpu --downstream linear --dry-run --out {out}",
    );
    let names: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.split_whitespace().next())
        .take_while(|name| name.contains("-s0-"))
        .collect();
    let mut distinct = names.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), names.len());
    let pretrainings = |part: &str| {
        let of = names
            .iter()
            .filter(|name| name.starts_with("pretrain-") && name.contains(part));
        of.count()
    };
    // CASS and two DINO runs a data set, a contrast for the brain tumours; then what the ablations vary. The demonstration has one network for
    // ResNet-18 and 50, and starts from random weights anyway.
    assert_eq!(pretrainings("-isic2019-"), 3);
    assert_eq!(pretrainings("-biopsies-"), 3 + 2 + 3 + 3 + 1 + 1 + 1);
    assert_eq!(pretrainings("-brain-mri-"), 4 + 2 + 3 + 1 + 2 + 1 + 1);
    for variant in [
        "batch8",
        "epochs6",
        "blur-solarize",
        "sgd",
        "vit_small",
        "resnet34",
        "swin_tiny",
        "densenet121",
        "deit_tiny",
    ] {
        assert!(names.iter().any(|name| name.contains(variant)), "{variant}");
    }
    assert!(job.started().is_empty() && !job.out().exists());
}

#[test]
fn all_tables_run_and_what_one_has_another_does_not_repeat() {
    let job = Job::new();
    let one =
        "reproduce --table 3 --profile demo --seeds 1 --device cpu --downstream linear --out {out}";
    succeeded(&job.run(one));
    job.started();
    // Of table 16 the batch of 16 is there; of table 18 all.
    succeeded(&job.run(&one.replace("--table 3", "--table 16,18")));
    let started = job.started();
    assert_eq!(started.len(), 2 + 4, "{started:?}");
    assert!(
        started
            .iter()
            .all(|line| line.contains("batch8") || line.contains("batch32"))
    );
    let results = job.results();
    assert_eq!(results["table"], "16, 18");
    assert_eq!(results["cells"].as_array().unwrap().len(), 6 + 4);

    succeeded(&job.run(&one.replace("--table 3", "--table all --jobs 4")));
    let started = job.started();
    assert!(
        started
            .iter()
            .all(|line| !line.contains("batch8-brain-mri")),
        "{started:?}"
    );
    let results = job.results();
    assert_eq!(results["table"], "all");
    assert_eq!(results["tables"].as_array().unwrap().len(), 20);
    let cells = results["cells"].as_array().unwrap();
    let cell = |table: &str, row: &str, column: &str| {
        let found = cells.iter().find(|c| {
            (c["table"].as_str(), c["row"].as_str(), c["column"].as_str())
                == (Some(table), Some(row), Some(column))
        });
        found.unwrap_or_else(|| panic!("{table} {row} {column}"))
    };
    assert!(cells.iter().all(|cell| !cell["mean"].is_null()));
    assert_eq!(
        cell("16", "16", "vit")["mean"],
        cell("3", "CASS vit", "100%")["mean"]
    );
    let best = f64::max(
        cell("4", "DINO cnn", "10%")["mean"].as_f64().unwrap(),
        cell("4", "DINO vit", "10%")["mean"].as_f64().unwrap(),
    );
    assert_eq!(cell("19", "isic2019 10%", "DINO")["mean"], best);
    assert_eq!(cell("4", "DINO cnn", "10%")["metric"], "balanced_accuracy");
    // Two pretrainings of 10 to 11 seconds each, by the stand-in.
    let hours = cell("1", "brain-mri", "DINO")["mean"].as_f64().unwrap();
    assert!((20.0 / 3600.0..22.0 / 3600.0).contains(&hours), "{hours}");
    assert_eq!(
        cell("1", "brain-mri", "DINO")["runs"]
            .as_array()
            .unwrap()
            .len(),
        2
    );

    // The report and the verdicts, from the folders alone.
    let before = job.read("report.html");
    succeeded(&job.run("report {out}"));
    assert!(job.read("report.html") == before);
    let claims = lines(&job, "claims {out} --table 19");
    assert_eq!(claims.len(), 8, "{claims:?}");
    assert!(
        claims
            .iter()
            .any(|line| line.contains("11.5 points") && line.contains("contradict it"))
    );
}

/// Rows of methods that the paper has not, in one network and in two, with settings of their own.
#[test]
fn a_table_of_ones_own_compares_any_methods() {
    let job = Job::new();
    let file = job.dir.path().join("own.toml");
    let mut table = String::from(
        "number = \"own\"\ntitle = \"Methods\"\nmetric = \"f1_macro\"\nmetric_title = \"F1\"\n\
         cell = { data = \"brain-mri\" }\ncolumns = [{ id = \"10%\", title = \"10 %\", cell = { percent = 10 } }]\n",
    );
    for (id, cell) in [
        (
            "VICReg vit",
            "method = \"VICReg\", arm = \"vit\", epochs = 150",
        ),
        (
            "wide cnn",
            "method = \"vicreg\", arm = \"cnn\", label = \"VICReg, wide\", set = [\"method.expander_width=64\"]",
        ),
        ("BYOL cnn", "method = \"BYOL\", arm = \"cnn\""),
        ("contrast cnn", "method = \"CASS-contrast\", arm = \"cnn\""),
        ("contrast vit", "method = \"CASS-contrast\", arm = \"vit\""),
    ] {
        table +=
            &format!("[[row]]\nid = \"{id}\"\nhead = [\"{id}\", \"net\"]\ncell = {{ {cell} }}\n");
    }
    write(&file, &table);
    let run = format!(
        "reproduce --seeds 1 --device cpu --downstream knn --out {{out}} --table {}",
        file.display()
    );
    succeeded(&job.run(&run));
    let mut started = job.started();
    started.retain(|line| line.starts_with("pretrain"));
    assert_eq!(
        started.len(),
        4,
        "two networks are trained at once: {started:?}"
    );
    let words = |start: &str| {
        let text = fs::read_to_string(job.folder(start).join("run.json")).unwrap();
        let info: serde_json::Value = serde_json::from_str(&text).unwrap();
        let words = info["run"]["recipe"].as_array().unwrap().iter();
        words
            .map(|word| word.as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    let vit = words("pretrain-vicreg-vit");
    assert!(
        vit.starts_with("pretrain --method vicreg --net vit_tiny_patch16_224"),
        "{vit}"
    );
    let epochs = |words: &str| -> f64 {
        let (_, after) = words.split_once("--epochs ").unwrap();
        after.split(' ').next().unwrap().parse().unwrap()
    };
    let standard = epochs(&words("pretrain-byol-cnn"));
    assert_eq!(epochs(&vit), (1.5 * standard).round(), "{vit}");
    let wide = words("pretrain-vicreg--wide-cnn");
    assert!(wide.contains("--set method.expander_width=64"), "{wide}");
    let pair = words("pretrain-cass-contrast-");
    assert!(
        pair.contains("--cnn resnet18 --vit vit_tiny_patch16_224"),
        "{pair}"
    );
    assert!(words("knn-cass-contrast-vit").contains("--arm vit"));
    assert!(!words("knn-byol-cnn").contains("--arm"));
}

/// What the studies would run: every method in both arms, two networks at once where a method trains two.
#[test]
fn the_studies_are_tables_that_can_be_planned() {
    let job = Job::new();
    let studies = concat!(env!("CARGO_MANIFEST_DIR"), "/../../xtask/studies");
    for (study, profile, pretrainings, rows) in [
        ("brain-mri", "two-cores", 3 + 4 * 2, 8),
        ("isic2019", "two-cores", 3 + 4 * 2, 8),
        ("learned-brain-mri", "learned", 4, 5),
        ("learned-isic2019", "learned", 4, 5),
    ] {
        let plan = format!(
            "plan --table {studies}/{study}.toml --profile {studies}/{profile}.toml --downstream knn,logistic --seeds 1 --runs"
        );
        let lines = lines(&job, &plan);
        let count = |start: &str| lines.iter().filter(|line| line.starts_with(start)).count();
        assert_eq!(count("pretrain-"), pretrainings, "{lines:?}");
        // Rows in two arms, at three shares of the labels.
        let probes = rows * 2 * 3;
        assert_eq!(
            (count("knn-"), count("logistic-")),
            (probes, probes),
            "{lines:?}"
        );
    }
}

#[test]
fn changed_folders_are_done_again() {
    let job = Job::new();
    succeeded(&job.demo());
    job.started();
    // An edit that leaves every file readable.
    let metrics = job.folder("linear-cass-cnn-1pct").join("metrics.json");
    let edited =
        fs::read_to_string(&metrics)
            .unwrap()
            .replacen("\"f1_macro\": 0.", "\"f1_macro\": 0.9", 1);
    fs::write(&metrics, edited).unwrap();
    let other = job.folder("linear-dino-vit-100pct").join("recipe.toml");
    fs::write(&other, "").unwrap();
    let report = job.run("report {out}");
    assert_eq!(report.status.code(), Some(1));
    let markdown = job.read("report.md");
    let said = markdown.lines().any(|line| {
        line.contains("metrics.json") && line.contains("it was changed since its run finished")
    });
    assert!(said, "{markdown}");
    // A pretraining that is gone is done again; what was probed of the same weights stays.
    fs::remove_dir_all(job.folder("pretrain-dino-cnn")).unwrap();
    let output = job.demo();
    succeeded(&output);
    let stderr = text(&output.stderr);
    let again = |what: &str| {
        let mut lines = stderr.lines();
        lines.any(|line| line.contains("is done again: ") && line.contains(what))
    };
    assert!(again("it was changed since its run finished"), "{stderr}");
    assert!(again("recipe.toml"), "{stderr}");
    let mut started = job.started();
    started.sort();
    assert_eq!(started.len(), 3, "{started:?}");
    assert!(started[0].contains("pretrain-dino-cnn"), "{started:?}");
}

#[test]
fn a_plan_needs_no_images() {
    let job = Job::new();
    let paper = lines(&job, "plan --table all --profile paper --gflops 7500");
    let small = lines(&job, "plan --table 3 --profile paper --gflops 7500");
    assert!(
        paper
            .last()
            .unwrap()
            .contains("for a device of 7500 GFLOP/s, 7500 GFLOP/s"),
        "{paper:?}"
    );
    assert!(
        paper[0].contains("pretrainings") && paper[0].contains("of disk"),
        "{paper:?}"
    );
    assert_ne!(paper, small);
    let room = |gib: &str| job.run(&format!("plan --table 3 --profile paper --memory {gib}"));
    succeeded(&room("1000"));
    refused(
        &room("4"),
        &["pretrain-", "needs about ", "and --memory 4 is 4.0 GiB"],
    );
    refused(&room("0"), &["--memory 0: expected a number above 0"]);
    // 16 images of 1.13 GFLOP (ResNet-18 and ViT-Ti at 96 pixels), three times for forward and back, in 300 ms.
    let measured = lines(&job, "plan --table 3 --profile small --measure");
    assert!(
        measured
            .last()
            .unwrap()
            .contains("for this machine, measured, 180 GFLOP/s"),
        "{measured:?}"
    );
    assert!(job.started().is_empty());
}

#[test]
fn tables_of_ones_own() {
    let job = Job::new();
    let path = job.dir.path().join("mine.toml");
    let good =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tables/16.toml")).unwrap();
    let good = good.replace("number = \"16\"", "number = \"mine\"");
    let run = |text: &str| {
        fs::write(&path, text).unwrap();
        job.run(&format!(
            "reproduce --table {} --profile demo --seeds 1 --device cpu --downstream linear --out {{out}}",
            path.display()
        ))
    };
    succeeded(&run(&good));
    assert_eq!(job.results()["cells"].as_array().unwrap().len(), 6);
    let before = job.read("report.html");
    succeeded(&job.run(&format!("report {{out}} --table {}", path.display())));
    assert!(job.read("report.html") == before);
    refused(&job.run("report {out}"), &["no table of the paper"]);
    job.started();
    let line = 1 + good[..good.find("cell = { batch = 8 }").unwrap()]
        .matches('\n')
        .count();
    for (to, expected) in [
        ("cell = { batches = 8 }", "unknown field `batches`"),
        (
            "cell = { cnn = \"resnet49\" }",
            "unknown network `resnet49`",
        ),
        ("cell = { batch = 32 }", "repeats another cell"),
    ] {
        let output = run(&good.replace("cell = { batch = 8 }", to));
        refused(&output, &["mine.toml", "line ", "column ", expected]);
        if to.contains("batches") {
            refused(&output, &[&format!("line {line}, column 10")]);
        }
    }
    assert!(job.started().is_empty());
}
