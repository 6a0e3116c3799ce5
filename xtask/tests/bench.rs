//! `cargo xtask bench` from outside, with stand-ins for `cass` and Python.

#![cfg(unix)]

use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

struct Bench {
    dir: TempDir,
}

/// Has every package.
const PACKAGES: &str =
    r#"printf '{"timm":"1.0","torch":"2.9","torchvision":"0.2","vit-pytorch":"0.3"}\n'"#;

impl Bench {
    /// Stand-ins that log their arguments; `torch` is what Python runs for a measurement.
    fn new(packages: &str, torch: &str) -> Bench {
        let bench = Bench {
            dir: tempfile::tempdir().unwrap(),
        };
        let log = bench.dir.path().join("log");
        let log = format!("echo \"$0 $*\" | sed 's|[^ ]*/||' >> '{}'", log.display());
        let python = format!("if [ \"$1\" = -c ]; then {packages}; exit; fi\n{log}\n{torch}");
        bench.script("python", &python);
        bench.script(
            "cass",
            &format!(
                "if [ \"$1\" = --version ]; then echo 'cass 0 (fake)'; exit; fi\n{log}\n{}",
                r#"printf 'a line before\n{"median_ms":30,"peak_rss_mib":600,"roofline_share":0.5,"images_per_s":500}\n'"#
            ),
        );
        bench
    }

    fn script(&self, name: &str, text: &str) {
        let path = self.dir.path().join(name);
        // Renamed into place: a file that another thread's child still holds open for writing cannot be started.
        let beside = self.dir.path().join(format!("{name}.part"));
        fs::write(&beside, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(beside, path).unwrap();
    }

    fn run(&self, arguments: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_xtask"))
            .arg("bench")
            .args(arguments.split_whitespace())
            .env("CASS_BIN", self.dir.path().join("cass"))
            .current_dir(self.dir.path())
            .output()
            .unwrap()
    }

    fn started(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }
}

const TORCH: &str = r#"printf 'warning: x\n{"median_ms":40.0,"peak_rss_mib":1200.0}\n'"#;

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// An exit code and one line of error, which holds every part of `said`.
#[track_caller]
fn fails(output: &Output, code: i32, said: &[&str]) {
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    let errors: Vec<_> = stderr
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    assert_eq!(errors.len(), 1, "{stderr}");
    for part in said {
        assert!(
            errors[0].contains(part),
            "`{part}` is not in `{}`",
            errors[0]
        );
    }
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn sides_take_turns_and_ratios_are_printed() {
    let bench = Bench::new(PACKAGES, TORCH);
    let arguments = "--against-torch ./python --rows cass-96,dino-96 --alternations 2 --threads 2 --json out.json";
    let output = bench.run(arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    assert!(
        table.contains("0.75 (0.75 to 0.75)") && table.contains("0.50"),
        "{table}"
    );
    assert!(table.contains("torch 2.9"), "{table}");

    let started = bench.started();
    let started: Vec<_> = started.lines().collect();
    let step = "--method cass --threads 2 --cnn resnet18 --vit vit_tiny_patch16_224 --size 96 --batch 16 --steps 10";
    assert_eq!(started.len(), 8, "{started:?}");
    assert_eq!(started[0], format!("cass bench step --json {step}"));
    assert!(
        started[1].starts_with("python ") && started[1].ends_with(&format!("torch_step.py {step}"))
    );
    assert_eq!((started[2], started[3]), (started[0], started[1]));
    assert!(
        started[4].contains("--method dino --threads 2 --net resnet18"),
        "{started:?}"
    );

    let json = read(&bench.path("out.json"));
    let row = &json["rows"][0];
    assert_eq!(
        (&row["row"], &row["threads"]),
        (&"cass-96".into(), &2.into())
    );
    assert_eq!(
        (&row["time_ratio"], &row["rss_ratio"]),
        (&0.75.into(), &0.5.into())
    );
    assert_eq!(
        (&row["roofline_share"], &row["torch_compile"]),
        (&0.5.into(), &Value::Null)
    );
    assert_eq!(row["ours"]["ms"], serde_json::json!([30.0, 30.0]));
    assert_eq!(json["versions"]["torch"], "2.9");
    assert_eq!(json["provenance"]["cass"], "cass 0 (fake)");
}

#[test]
fn compiled_one_thread_and_loading() {
    let bench = Bench::new(PACKAGES, TORCH);
    let once = "--against-torch ./python --alternations 1 --threads 2";
    let output = bench.run(&format!(
        "{once} --rows cass-384 --steps 1 --compile --scaling"
    ));
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("2 threads are 1.00 times as fast as one"));
    let started = bench.started();
    assert_eq!(started.matches("--compile").count(), 2, "{started}");
    assert_eq!(started.matches("--threads 1 ").count(), 3, "{started}");
    assert_eq!(started.matches("--steps 1").count(), 6, "{started}");

    fails(
        &bench.run(&format!("{once} --rows loader-96")),
        2,
        &["--data-root"],
    );
    fails(
        &bench.run(&format!("{once} --rows loader-96 --data-root .")),
        2,
        &["there are no brain MRIs in .", "Training"],
    );
    fs::create_dir_all(bench.path("brain-mri/Training")).unwrap();
    bench.script(
        "python",
        &format!("[ \"$1\" = -c ] && {PACKAGES} || echo '{{\"images_per_s\":250}}'"),
    );
    let output = bench.run(&format!("{once} --rows loader-96 --data-root ."));
    assert!(
        text(&output.stdout).contains("loading, 96 px"),
        "{}",
        text(&output.stderr)
    );
    let started = bench.started();
    assert!(started.contains("cass bench loader --json --data brain-mri --data-root ./brain-mri --threads 2 --size 96"), "{started}");
}

#[test]
fn a_python_that_will_not_do() {
    let bench = Bench::new(r#"printf '{"timm":null,"torch":"2.9"}\n'"#, TORCH);
    let once = "--rows cass-96 --alternations 1";
    fails(
        &bench.run(&format!("--against-torch ./no-python {once}")),
        2,
        &["./no-python", "expected a Python with timm, torch"],
    );
    fails(
        &bench.run(&format!("--against-torch ./python {once}")),
        2,
        &["expected a Python with timm, torch; it lacks timm"],
    );
    bench.script("python", "echo this is no Python");
    fails(
        &bench.run(&format!("--against-torch ./python {once}")),
        2,
        &["expected a Python"],
    );
    fails(&bench.run(once), 2, &["--against-torch"]);
    fails(
        &bench.run("--against-torch ./python --rows cass-97"),
        2,
        &["cass-97", "cass-96"],
    );
    fails(
        &bench.run("--against-torch ./python --alternations 0"),
        2,
        &["--alternations"],
    );
    assert_eq!(bench.started(), "");
}

#[test]
fn a_measurement_that_fails_is_told_in_one_line() {
    let bench = Bench::new(
        PACKAGES,
        "echo Traceback >&2; echo 'MemoryError: 3 GiB' >&2; exit 1",
    );
    let once = "--against-torch ./python --rows cass-96 --alternations 1";
    let said = [
        "cass-96 on ",
        "cannot be measured",
        "PyTorch",
        "MemoryError: 3 GiB",
    ];
    fails(&bench.run(once), 1, &said);
    let bench = Bench::new(PACKAGES, "echo fine");
    fails(
        &bench.run(once),
        1,
        &["it printed `fine`: expected a JSON object"],
    );
}
