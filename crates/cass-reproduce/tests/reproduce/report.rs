//! What the written files hold.

use super::{Job, succeeded, text};
use serde_json::Value;
use std::fs;

#[test]
fn results_hold_the_keys_that_scripts_rely_on() {
    let job = Job::new();
    let output = job.run("reproduce --table 3 --downstream all --device cpu --out {out}");
    succeeded(&output);
    let printed = text(&output.stdout);
    let headed = |title: &str| {
        let line = printed.lines().find(|line| line.starts_with(title));
        line.unwrap_or_else(|| panic!("{title}: {printed}"))
            .ends_with("(paper)")
    };
    assert!(headed("Frozen features, linear classifier"));
    assert!(!headed("Frozen features, logistic regression"), "{printed}");
    let results = job.results();
    assert_eq!(results["table"], "3");
    assert_eq!(results["profile"], "demo");
    assert_eq!(results["protocol"], "paper");
    assert_eq!(results["phantoms"], true);
    let deviations = results["deviations"].as_array().unwrap();
    assert!(deviations.contains(&"pretraining zero_grad = false (paper: true)".into()));
    assert_eq!(
        deviations[0],
        "images = 320 + 200 drawn phantoms (paper: 5712 + 1310)"
    );
    let sizes = deviations
        .iter()
        .filter(|text| text.as_str().unwrap().contains("size = 64"));
    assert_eq!(sizes.count(), 1, "{deviations:?}");
    assert_eq!(results["seeds"], serde_json::json!([0, 1]));
    let provenance = &results["provenance"][0];
    for key in ["commit", "cass", "rustc", "cpu", "device", "threads"] {
        assert!(!provenance[key].is_null(), "{key}");
    }

    let cells = results["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 30 + 3 * 24);
    for cell in cells {
        assert_eq!(cell["metric"], "f1_macro");
        assert_eq!(cell["n"], 2);
        let values: Vec<f64> = cell["values"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_f64)
            .collect();
        let mean = (values[0] + values[1]) / 2.0;
        assert!(
            (cell["mean"].as_f64().unwrap() - mean).abs() < 1e-12,
            "{cell}"
        );
        // Sample deviation of two values.
        let std = (values[0] - values[1]).abs() / 2f64.sqrt();
        assert!(
            (cell["std"].as_f64().unwrap() - std).abs() < 1e-12,
            "{cell}"
        );
        assert_eq!(cell["runs"].as_array().unwrap().len(), 2);
    }
    let cell = cells
        .iter()
        .find(|c| c["method"] == "CASS" && c["arm"] == "vit" && c["fraction"] == 0.1)
        .unwrap();
    assert_eq!(cell["downstream"], "linear", "the headline comes first");
    assert_eq!(cell["backbone"], "vit_tiny_patch16_224");
    assert_eq!(cell["paper_mean"], 0.7833);
    assert_eq!(cell["paper_std"], 0.0259);
    let delta = cell["mean"].as_f64().unwrap() - 0.7833;
    assert!((cell["delta"].as_f64().unwrap() - delta).abs() < 1e-12);
    // The paper prints nothing by the converged probes.
    let ours = |c: &&Value| ["logistic", "knn"].contains(&c["downstream"].as_str().unwrap());
    let ours: Vec<_> = cells.iter().filter(ours).collect();
    assert_eq!(ours.len(), 2 * 24);
    for cell in ours {
        for key in ["paper_mean", "paper_std", "delta", "apart"] {
            assert!(cell[key].is_null(), "{key}: {cell}");
        }
    }

    for claim in results["claims"].as_array().unwrap() {
        assert!(claim["text"].is_string());
        let verdict = claim["verdict"].as_str().unwrap();
        assert!(
            ["held", "did not hold", "undecided"].contains(&verdict),
            "{verdict}"
        );
    }
    // The stand-in's CASS ends collapsed.
    assert_eq!(results["claims"][0]["verdict"], "did not hold");
    assert_eq!(job.read("results.csv").lines().count(), 1 + 102 * 5);
}

/// The stand-in's scores rise with the labels, DINO is better than the start, and CASS collapses.
#[test]
fn what_one_sees_is_said_first_and_follows_from_the_numbers() {
    let job = Job::new();
    let output = job.run("reproduce --table 3 --device cpu --out {out}");
    succeeded(&output);
    let results = job.results();
    let seen: Vec<&str> = results["seen"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(seen.len(), 3, "{seen:?}");
    assert!(
        seen[0].starts_with(
            "F1 (macro) on the test images: trained on labels alone, the CNN reaches 0.8"
        ),
        "{}",
        seen[0]
    );
    assert!(
        seen[0].contains("with 10 % and 0.5") && seen[0].contains("; the Transformer reaches 0.8"),
        "{}",
        seen[0]
    );
    assert_eq!(
        seen[0].matches("the more labels the higher").count(),
        2,
        "{}",
        seen[0]
    );
    assert!(
        seen[1].starts_with(
            "Frozen features, logistic regression with 10 % of the labels: of the CNN 0.4"
        ),
        "{}",
        seen[1]
    );
    assert_eq!(seen[1].matches(" as initialised").count(), 3, "{}", seen[1]);
    assert_eq!(seen[1].matches(" after DINO (").count(), 2, "{}", seen[1]);
    let about = "; in brackets the 95 % interval of the difference from as initialised, over 2 trainings and 100 test images.";
    assert!(seen[1].ends_with(about), "{}", seen[1]);
    let collapsed = "4 of 10 pretrained networks ended with collapsed features (CASS CNN 2 of 2 and CASS Transformer 2 of 2); of the paper's 11 claims ";
    assert!(seen[2].starts_with(collapsed), "{}", seen[2]);

    let picture = job.read("table-3.svg");
    for part in ["<svg xmlns", "DINO", "Supervised", "Transformer · vit_tiny"] {
        assert!(picture.contains(part), "{part}: {picture}");
    }
    assert_eq!(
        picture.matches("</title></rect>").count(),
        30,
        "a bar a cell"
    );

    let (page, markdown) = (job.read("report.html"), job.read("report.md"));
    let first = page.find("trained on labels alone").unwrap();
    assert!(first < page.find("What differs from the paper").unwrap());
    assert!(
        markdown.find("trained on labels alone").unwrap() < markdown.find("What differs").unwrap()
    );
    let printed = text(&output.stdout);
    assert!(
        seen.iter().all(|sentence| printed.contains(sentence)),
        "{printed}"
    );

    // Without predictions there is no interval, and nothing is said of one.
    for run in fs::read_dir(job.out().join("runs")).unwrap() {
        let _ = fs::remove_file(run.unwrap().path().join("predictions.csv"));
    }
    job.run("report {out}");
    let results = job.results();
    let said = results["seen"][1].as_str().unwrap();
    assert!(
        said.contains(" after DINO") && !said.contains("95 %") && !said.contains("apart"),
        "{said}"
    );
}

#[test]
fn several_tables_have_no_sentence_of_one() {
    let job = Job::new();
    succeeded(&job.run("reproduce --table 3,16 --seeds 1 --device cpu --out {out}"));
    let results = job.results();
    let seen = results["seen"].as_array().unwrap();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert!(
        seen[0]
            .as_str()
            .unwrap()
            .contains("stay undecided in this run"),
        "{seen:?}"
    );
}

#[test]
fn one_seed_has_no_deviation_and_decides_nothing() {
    let job = Job::new();
    succeeded(&job.demo());
    let results = job.results();
    assert!(
        results["cells"]
            .as_array()
            .unwrap()
            .iter()
            .all(|c| c["n"] == 1 && c["std"].is_null())
    );
    let claims = results["claims"].as_array().unwrap();
    assert!(
        claims[1..]
            .iter()
            .all(|claim| claim["verdict"] == "undecided")
    );
    assert!(!job.read("report.html").contains("class=\"std\"> ±"));
}

#[test]
fn the_page_stands_alone_and_keeps_text_text() {
    let job = Job::new();
    let output = job
        .command("reproduce --table 3 --seeds 1 --device cpu --out {out}")
        .env("FAKE_FAIL", "linear-dino-cnn-10pct")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let page = job.read("report.html");
    // From the failed run's log, and from a skipped image's name.
    for (escaped, raw) in [
        ("made to &lt;fail&gt; &amp; stop", "<fail>"),
        ("&lt;b&gt;.jpg", "<b>.jpg"),
    ] {
        assert!(page.contains(escaped) && !page.contains(raw), "{raw}");
    }
    for foreign in ["<script", "http:", "https:", "src=", "url("] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    let head = page.find("drawn phantoms, not patients").unwrap();
    assert!(
        head < page.find("<table").unwrap(),
        "the notice comes before any number"
    );
    assert!(page.contains("collapsed"));
    for opened in ["section", "table", "svg", "ul", "figure", "dl"] {
        let count = |tag: String| page.matches(&tag).count();
        assert_eq!(
            count(format!("<{opened}")),
            count(format!("</{opened}>")),
            "{opened}"
        );
    }
    let markdown = job.read("report.md");
    assert!(markdown.contains("made to \\<fail\\> & stop"));
    assert!(
        markdown
            .lines()
            .take(6)
            .any(|line| line.contains("phantoms")),
        "{markdown}"
    );
}

#[test]
fn a_report_is_made_of_run_folders_alone() {
    let job = Job::new();
    succeeded(&job.run("reproduce --table 3 --device cpu --out {out}"));
    let files = ["results.json", "results.csv", "report.md", "report.html"];
    let before = files.map(|file| job.read(file));
    for file in files {
        fs::remove_file(job.out().join(file)).unwrap();
    }
    job.started();
    succeeded(&job.run("report {out}"));
    assert!(job.started().is_empty());
    for (file, before) in files.iter().zip(before) {
        assert!(job.read(file) == before, "{file} differs");
    }
}

#[test]
fn reports_of_two_machines_are_merged() {
    let (a, b) = (Job::new(), Job::new());
    succeeded(&a.run(
        "reproduce --table 3 --device cpu --downstream linear --only cnn --seeds 1 --out {out}",
    ));
    succeeded(&b.run(
        "reproduce --table 3 --device cpu --downstream linear --only vit --seeds 1 --out {out}",
    ));
    let means = |job: &Job| {
        let cells = job.results()["cells"].clone();
        cells
            .as_array()
            .unwrap()
            .iter()
            .filter(|cell| !cell["mean"].is_null())
            .count()
    };
    assert_eq!((means(&a), means(&b)), (15, 15));
    succeeded(&a.run(&format!("report {{out}} {}", b.out().display())));
    assert_eq!(means(&a), 30);
}

#[test]
fn a_rebuilt_report_says_what_is_missing() {
    let job = Job::new();
    succeeded(&job.demo());
    fs::remove_file(job.folder("linear-cass-cnn-1pct").join("metrics.json")).unwrap();
    let output = job.run("report {out}");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("error: 1 cells are incomplete"));
    assert!(job.read("report.html").contains("not finished"));
}
