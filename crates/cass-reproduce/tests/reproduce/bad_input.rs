//! Every mistake is one line on standard error and exit code 2, before anything is run.

use super::{Job, data_set, refused, succeeded, write};
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::{env, iter};

#[test]
fn usage() {
    let job = Job::new();
    for (arguments, expected) in [
        (
            "--table 99",
            "there is no table 99: available: all, 1, 2, 3",
        ),
        (
            "--table 3 --profile huge",
            "there is no profile `huge`: expected auto, demo, small, paper or FILE.toml",
        ),
        (
            "--table 3 --protocol own",
            "invalid value 'own' for '--protocol",
        ),
        (
            "--table 3 --device gpu",
            "expected auto, cpu, cuda or cuda:N",
        ),
        ("--table 3 --seeds 0", "invalid value '0' for '--seeds"),
        ("--table 3 --jobs none", "invalid value 'none' for '--jobs"),
        (
            "--table 3 --only nothing",
            "no run has a name that contains `nothing`",
        ),
        (
            "--table 3 --profile small",
            "profile small needs images: pass --data-root DIR with brain-mri: Training/<class>",
        ),
        ("--tabel 3", "unexpected argument '--tabel'"),
        ("", "required arguments were not provided: --table"),
    ] {
        let output = job.run(&format!("reproduce --out {{out}} {arguments}"));
        refused(&output, &[expected]);
    }
    assert!(job.started().is_empty());
    assert!(!job.out().exists());
}

#[test]
fn settings_of_a_row() {
    let job = Job::new();
    let file = job.dir.path().join("own.toml");
    let good = include_str!("../../tables/03.toml").replace("number = \"3\"", "number = \"own\"");
    let row = |cell: &str| {
        let text = format!(
            "{good}\n[[row]]\nid = \"x\"\nhead = [\"a\", \"b\"]\ncell = {{ arm = \"cnn\", {cell} }}\n"
        );
        write(&file, &text);
        let run = "reproduce --seeds 1 --device cpu --out {out} --table";
        job.run(&format!("{run} {}", file.display()))
    };
    for (cell, expected) in [
        (
            "method = \"VICReg\", set = [\"epochs\"]",
            "`set` holds `epochs`; expected field=value",
        ),
        (
            "method = \"Untrained\", label = \"x\", set = [\"epochs=1\"]",
            "`set` is of a pretraining's recipe, but Untrained has none",
        ),
        ("method = \"MoCo\"", "unknown variant `MoCo`"),
        (
            "method = \"BYOL\", label = \"BYOL, quick\", set = [\"zero_gard=false\"]",
            "the settings of BYOL, quick cannot be used: unknown key `zero_gard`, did you mean `zero_grad`?",
        ),
    ] {
        refused(&row(cell), &[expected]);
    }
    assert!(
        job.started()
            .iter()
            .all(|line| !line.starts_with("pretrain"))
    );
}

#[test]
fn data_roots() {
    let job = Job::new();
    let root = job.dir.path().join("mri");
    let run = || {
        job.run(&format!(
            "reproduce --table 3 --device cpu --out {{out}} --data-root {}",
            root.display()
        ))
    };
    let nested = root.join("brain-mri").display().to_string();
    let layout = "expected Training/<class>/*.jpg and Testing/<class>/*.jpg";
    refused(&run(), &[layout, &nested]);
    fs::create_dir_all(root.join("Training/glioma")).unwrap();
    refused(&run(), &[layout, &nested]);
    fs::create_dir_all(root.join("Testing/glioma")).unwrap();
    refused(&run(), &["there is no image under", "Training", layout]);

    data_set(&root);
    let with_phantoms = job.run(&format!(
        "reproduce --table 3 --profile demo --out {{out}} --data-root {}",
        root.display()
    ));
    refused(
        &with_phantoms,
        &["profile demo draws its images: leave out --data-root"],
    );
}

#[test]
fn output_that_cannot_be_written() {
    let job = Job::new();
    fs::write(job.out(), "a file").unwrap();
    refused(&job.demo(), &["cannot be created", "out"]);

    // Root may write anywhere, so only others can be shown a read-only folder.
    let job = Job::new();
    fs::create_dir_all(job.out()).unwrap();
    let mut permissions = fs::metadata(job.out()).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(job.out(), permissions).unwrap();
    if fs::write(job.out().join("probe"), "").is_err() {
        refused(&job.demo(), &["cannot be created", "Permission denied"]);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk() {
    // No file may have a byte: a write fails as on a full disk.
    let job = Job::new();
    let whole = job.command("reproduce --table 3 --seeds 1 --device cpu --out {out}");
    let mut limited = std::process::Command::new("sh");
    limited
        .args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$@\"", "sh"])
        .arg(whole.get_program())
        .args(whole.get_args());
    for (name, value) in whole.get_envs() {
        limited.env(name, value.unwrap_or_default());
    }
    refused(
        &limited.output().unwrap(),
        &["runs/.writable cannot be written", "File too large"],
    );
    assert!(job.started().is_empty());

    // What stands in the way of the report.
    let job = Job::new();
    fs::create_dir_all(job.out().join("report.html")).unwrap();
    refused(
        &job.demo(),
        &["report.html cannot be written", "Is a directory"],
    );
}

#[test]
fn a_cass_that_is_not_there() {
    let job = Job::new();
    let output = job
        .command("reproduce --table 3 --device cpu --out {out}")
        .env("CASS_BIN", "/nowhere/cass")
        .output()
        .unwrap();
    refused(&output, &["/nowhere/cass cannot be started"]);
}

#[test]
fn a_gpu_whose_memory_is_too_small() {
    let job = Job::new();
    let bin = job.dir.path().join("bin");
    let smi = bin.join("nvidia-smi");
    // GPU 0 is large, GPU 1 is small, and there is no other.
    write(
        &smi,
        "#!/bin/sh
case $* in
'--query-gpu=memory.total --format=csv,noheader,nounits -i 0') echo 81559 ;;
'--query-gpu=memory.total --format=csv,noheader,nounits -i 1') echo 64 ;;
*) echo 'No devices were found' && exit 6 ;;
esac
",
    );
    fs::set_permissions(&smi, Permissions::from_mode(0o755)).unwrap();
    let path = env::var_os("PATH").unwrap_or_default();
    let path: OsString = env::join_paths(iter::once(bin).chain(env::split_paths(&path))).unwrap();
    let on = |device: &str| {
        let only = "reproduce --table 3 --seeds 1 --only linear-untrained --out {out} --device";
        let mut command = job.command(&format!("{only} {device}"));
        command.env("PATH", &path).output().unwrap()
    };
    refused(
        &on("cuda:1"),
        &[
            "linear-untrained-",
            " needs about ",
            ", and the memory of this GPU is 64 MiB",
        ],
    );
    assert!(job.started().is_empty() && !job.out().exists());
    for device in ["cuda", "cuda:0", "cuda:2"] {
        succeeded(&on(device));
    }
}

#[test]
fn folders_without_runs() {
    let job = Job::new();
    refused(&job.run("report {out}"), &["cannot be read"]);
    fs::create_dir_all(job.out()).unwrap();
    refused(
        &job.run("report {out}"),
        &["there is no run folder in", "expected runs/<name>/run.json"],
    );
}
