//! A person in front of the command: how far it is, what comes next, how long it will take.

#![cfg(unix)]

mod bench;

use bench::Bench;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The command on the last line that says what comes next.
fn next(output: &Output) -> String {
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    let last = said.lines().last().unwrap_or_default();
    let next = last.strip_prefix("next: ");
    next.unwrap_or_else(|| panic!("no next line: {said}"))
        .to_owned()
}

/// What a shell makes of a line, with this `cass` in its path.
fn shell(bench: &Bench, line: &str) -> Output {
    let folder = Path::new(env!("CARGO_BIN_EXE_cass")).parent().unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell
        .args(["-c", line])
        .env("PATH", path)
        .env_remove("RUST_LOG");
    shell.current_dir(bench.folder.path()).output().unwrap()
}

#[test]
fn each_command_names_the_next_one_with_the_users_own_paths() {
    let bench = Bench::new();
    let draw =
        "cass data phantom --out 'my scans' --train-per-class 6 --test-per-class 2 --size 24";
    let pretrain = next(&shell(&bench, draw));
    assert!(pretrain.contains("--data-root 'my scans'"), "{pretrain}");
    let probe = next(&shell(&bench, &pretrain));
    assert_eq!(
        probe,
        "cass probe --run runs/cass --arm cnn --out runs/cass-cnn"
    );
    let predict = next(&shell(&bench, &probe));
    assert_eq!(predict, "cass predict --run runs/cass-cnn NEW_IMAGES");
    let predicted = shell(&bench, &predict.replace("NEW_IMAGES", "'my scans/Testing'"));
    assert_eq!(text(&predicted.stdout).lines().count(), 1 + 8);
    assert_eq!(
        next(&predicted),
        "cass evaluate --run runs/cass-cnn --data-root IMAGES_WITH_LABELS"
    );
    let evaluate = "cass evaluate --run runs/cass-cnn --data folder --data-root 'my scans/Testing'";
    let attend = next(&shell(&bench, evaluate));
    assert_eq!(
        attend,
        "cass attend --run runs/cass-cnn --out runs/cass-cnn-attend IMAGES"
    );
    shell(&bench, &attend.replace("IMAGES", "'my scans/Testing'"));
    let features = "cass features --run runs/cass-cnn --out 'my features.npy' 'my scans/Testing'";
    assert_eq!(
        next(&shell(&bench, features)),
        r#"python -c 'import numpy; numpy.load("my features.npy")'"#
    );
    // For programs it is a key, and standard error is for people.
    let again = shell(&bench, &format!("{probe} --json"));
    let json: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(json["next"], predict);
    assert!(!text(&again.stderr).contains("next: "));

    let preview = "cass data preview --data-root 'my scans' --exclude 'x*' --out p.png --per-class 1 --views 1";
    let preview = next(&shell(&bench, preview));
    let of_preview = "cass pretrain --method cass --data brain-mri --data-root 'my scans' --exclude 'x*' --out runs/cass";
    assert_eq!(preview, of_preview);
    let export = next(&shell(
        &bench,
        "cass export --run runs/cass --arm vit --out 'to timm'",
    ));
    assert_eq!(
        export,
        "python -c 'import timm; timm.create_model(\"local-dir:to timm\", pretrained=True)'"
    );
}

#[test]
fn images_without_labels_lead_to_a_probe_on_a_table() {
    let bench = Bench::new();
    let pretrain = "cass pretrain --method dino --net vit_tiny_patch16_224 --weights random --data images \
        --data-root data --size 16 --set method.num_classes_k=64 --epochs 1 --batch 8 --device cpu --out run";
    let labels = "--data csv --data-root LABELS.csv";
    let expected = format!("cass probe --run run --arm net {labels} --out run-net");
    assert_eq!(next(&shell(&bench, pretrain)), expected);
    assert_eq!(
        next(&shell(&bench, pretrain)),
        expected,
        "of the finished run"
    );
}

#[test]
fn a_long_run_says_after_its_first_steps_how_fast_it_is_and_what_is_left() {
    let bench = Bench::new();
    let pretrain = "pretrain --method dino --net vit_tiny_patch16_224 --weights random --data-root data \
        --size 32 --set method.num_classes_k=64 --epochs 20000 --batch 8 --threads 1 --device cpu --json --out run";
    let mut command = bench.command(pretrain);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = lines.find_map(|line| line.ok().filter(|line| line.contains(" left")));
    let line = line.expect("it ended without a line");
    assert!(
        line.starts_with("epoch 0, step 3 of 60000: loss "),
        "{line}"
    );
    assert!(line.contains(" images/s, about "), "{line}");
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    let mut out = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut out)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:?}");
    assert_eq!(out, "", "a stopped run has no result");
}

#[test]
fn shells_complete_commands_and_flags() {
    let bench = Bench::new();
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let script = bench.cass(&format!("completions {shell}"));
        assert!(script.status.success() && script.stderr.is_empty());
        let script = text(&script.stdout);
        for part in ["evaluate", "data-root", "completions"] {
            assert!(script.contains(part), "{shell} knows no {part}");
        }
    }
    if Command::new("bash").arg("--version").output().is_err() {
        return; // the scripts are there, nobody to try one
    }
    let try_it = "source <(cass completions bash); COMP_WORDS=(cass ev); COMP_CWORD=1; \
        _cass cass ev cass; echo \"${COMPREPLY[@]}\"";
    fs::write(bench.path("try.sh"), try_it).unwrap();
    let tried = shell(&bench, "bash try.sh");
    assert_eq!(
        text(&tried.stdout).trim(),
        "evaluate",
        "{}",
        text(&tried.stderr)
    );
}

#[test]
fn help_groups_commands_by_task() {
    let bench = Bench::new();
    let help = text(&bench.cass("--help").stdout);
    let place = |part: &str| {
        help.find(part)
            .unwrap_or_else(|| panic!("no {part}: {help}"))
    };
    assert!(place("Train and measure:") < place("\n  pretrain "));
    assert!(place("\n  pretrain ") < place("Use on new images:"));
    assert!(place("Use on new images:") < place("\n  predict "));
    assert!(place("\n  predict ") < place("\nOptions:"));
    assert!(place("\nOptions:") < place("Example, on drawn images"));
}

#[test]
fn help_shows_what_a_flag_is_where_it_is_not_given() {
    use cass_probe::fit::{ProbeMode, ProbeRecipe, Stopping};
    use cass_train::methods::{CassConfig, DinoConfig};
    use cass_train::{Protocol, Recipe};
    let bench = Bench::new();
    let help = |command: &str| {
        let text = text(&bench.cass(&format!("{command} --help")).stdout);
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let (pretrain, probe) = (help("pretrain"), help("probe"));
    let (cass, dino) = (
        Recipe::paper(CassConfig::default()),
        Recipe::paper(DinoConfig::default()),
    );
    let fit = ProbeRecipe::preset(Protocol::Paper, ProbeMode::Linear);
    assert_eq!(
        (cass.size, cass.batch, cass.seed),
        (fit.size, fit.batch, fit.seed)
    );
    let name = |recipe: &Recipe, arm: &str| {
        let network = &recipe.arms[arm].network;
        network.split('.').next().unwrap().to_owned()
    };
    let Stopping::Patience { epochs: patience } = fit.stopping else {
        panic!("the paper's probe stops by patience")
    };
    for (text, default) in [
        (&pretrain, cass.size.to_string()),
        (
            &pretrain,
            format!("{} to pretrain, {} to probe", cass.epochs, fit.epochs),
        ),
        (&pretrain, cass.batch.to_string()),
        (&pretrain, format!("{}, or that of --run", cass.seed)),
        (&pretrain, cass.device.clone()),
        (&pretrain, cass.threads.to_string()),
        (&pretrain, name(&cass, "cnn")),
        (&pretrain, name(&cass, "vit")),
        (&pretrain, name(&dino, "net")),
        (&pretrain, cass.arms["cnn"].weights.to_string()),
        (&probe, patience.to_string()),
        (&probe, fit.data.fraction.to_string()),
    ] {
        let shown = format!("[default: {default}");
        assert!(text.contains(&shown), "no {shown}: {text}");
    }
}
