//! The scripts of a fixed plan, to the letter: what is submitted changes only where somebody means it to.

use super::super::succeeded;
use super::{Cluster, HERE};
use std::collections::BTreeMap;
use std::path::Path;
use std::{env, fs};

/// `UPDATE_GOLDEN=1 cargo test -p cass-reproduce --test reproduce scripts` writes them anew, for `git diff` to show.
#[test]
fn scripts_are_those_that_were_reviewed() {
    let cluster = Cluster::new();
    let arguments = format!(
        "reproduce --table 3 --seeds 1 --only 1pct --downstream linear,finetune --profile small --data-root {} --executor slurm \
         --cluster {HERE}/cluster.toml --dry-run --out {{out}}",
        cluster.path("mri").display()
    );
    succeeded(&cluster.job.run(&arguments));
    assert!(cluster.job.started().is_empty() && cluster.stub("submitted").is_empty());

    let golden = Path::new(HERE).join("golden");
    let mut now = read(&cluster.job.out().join("slurm/dry-run"));
    // A program that does not depend on the plan.
    assert!(now.remove("run.sh").is_some());
    for text in now.values_mut() {
        *text = nowhere(text, &cluster);
    }
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::remove_dir_all(&golden).unwrap();
        fs::create_dir(&golden).unwrap();
        for (name, text) in &now {
            fs::write(golden.join(name), text).unwrap();
        }
    }
    let reviewed = read(&golden);
    assert_eq!(
        now.keys().collect::<Vec<_>>(),
        reviewed.keys().collect::<Vec<_>>()
    );
    for (name, text) in &now {
        assert_eq!(text, &reviewed[name], "{name}");
    }
}

fn read(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let read = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().unwrap();
        (name, fs::read_to_string(entry.path()).unwrap())
    };
    entries.map(read).collect()
}

/// Without what differs from one checkout and temporary folder to the next.
fn nowhere(text: &str, cluster: &Cluster) -> String {
    let text = text
        .replace(&cluster.path("").display().to_string(), "/shared/")
        .replace(&crate::fake_cass().display().to_string(), "/shared/cass");
    let job = |line: &str| match line.split_once("--job-name=cass-out-") {
        Some((start, _)) => format!("{start}--job-name=cass-out-HASH\n"),
        None => format!("{line}\n"),
    };
    text.lines().map(job).collect()
}
