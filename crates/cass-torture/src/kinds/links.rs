//! Links, pipes and folders where a run has its files.

use super::{Case, Verdict};
use anyhow::Result;
use std::fs;
use std::path::Path;

/// Names that a run writes, in its folder.
const NAMES: [&str; 14] = [
    ".lock",
    ".owner.1",
    ".owner.2",
    ".recipe.toml.new.2",
    ".metrics.json.new.2",
    "recipe.toml",
    "log.jsonl",
    "metrics.json",
    "manifest.tsv",
    "provenance.json",
    "events.out.tfevents.cass",
    "checkpoint-cnn.safetensors",
    "predictions.csv",
    "resume",
];

/// One of a run's names leads elsewhere, in a new folder or one in which a run was killed.
pub(super) fn links(case: &mut Case) -> Result<Verdict> {
    if cfg!(not(unix)) {
        return Ok(Verdict::Skipped("links are another thing here".into()));
    }
    let subject = case.subject();
    let out = case.out();
    let mut is_new = case.rng.bernoulli(0.3);
    if !is_new {
        case.kill_midway(subject)?;
    }
    is_new |= !out.exists();
    let mut folder = out.clone();
    if subject.name == "reproduce" {
        // The folder of one of its runs, where there is one.
        let runs = fs::read_dir(out.join("runs"))
            .into_iter()
            .flatten()
            .flatten();
        let mut runs: Vec<_> = runs
            .map(|run| run.path())
            .filter(|run| run.is_dir())
            .collect();
        runs.sort();
        let place = case.rng.below(runs.len().max(1));
        folder = runs.into_iter().nth(place).unwrap_or(folder);
    }
    fs::create_dir_all(&folder)?;
    let name = NAMES[case.rng.below(NAMES.len())];
    let path = folder.join(name);
    // What a finished run left is put back in the end: that it is removed is not the fault here.
    let finished = folder.join("metrics.json").is_file();
    let before = fs::read(&path).ok().filter(|_| finished);
    let _ = fs::remove_file(&path);
    let _ = fs::remove_dir_all(&path);
    let own = case.own();
    let what = put(case, &path, &own)?;
    case.tell(format!("{name} is {what}, in a new folder: {is_new}"));
    // Whatever it makes of that, it ends, and the user's files are safe.
    case.again(subject)?;
    case.survived()?;
    if is_new {
        fs::remove_dir_all(&out)?;
    } else if let Ok(kind) = path.symlink_metadata()
        && !kind.is_file()
    {
        let _ = fs::remove_file(&path);
        let _ = fs::remove_dir_all(&path);
        if let Some(bytes) = before {
            fs::write(&path, bytes)?;
        }
    }
    let ended = case.again(subject)?;
    subject.expect_done_or_refused(&ended, &out)?;
    case.survived()
}

/// Puts something at a path that is no file of its own; what.
fn put(case: &mut Case, path: &Path, own: &Path) -> Result<&'static str> {
    #[cfg(unix)]
    match case.rng.below(5) {
        0 => {
            let status = std::process::Command::new("mkfifo").arg(path).status();
            if status.is_ok_and(|status| status.success()) {
                return Ok("a pipe");
            }
        }
        1 => {
            std::os::unix::fs::symlink("/dev/zero", path)?;
            return Ok("a link to a device");
        }
        2 if own.is_file() => {
            fs::hard_link(own, path)?;
            return Ok("a hard link to a file of the user's");
        }
        3 => {}
        _ => {
            std::os::unix::fs::symlink(own, path)?;
            return Ok("a link to something of the user's");
        }
    }
    let _ = (case, own);
    fs::create_dir(path)?;
    fs::write(path.join("note.txt"), "mine")?;
    Ok("a folder")
}
