//! How a run that is not finished stands, from what it and its owner left in its folder.

use super::log::{Tail, last_words, log_tail};
use crate::plan::Run;
use cass_run::read_json;
use serde::Deserialize;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A run's failures on a cluster, a line each; kept by `run.sh`.
pub const FAILURES: &str = "failures.txt";

/// How a run stands.
#[derive(Debug, PartialEq)]
pub enum Stand {
    Done,
    /// In progress, and the share of its steps that are done, where that is known.
    Running(Option<f64>),
    Waiting,
    /// Failed, and the last lines it wrote.
    Failed(Vec<String>),
    /// Not to be run, as this that it needs has failed.
    Blocked(String),
}

/// An owner of a run folder, as `cass` notes it in `.owner.N`, the N-th one.
#[derive(Deserialize)]
struct Owner {
    released: bool,
}

/// A living owner gives a sign of life every ten seconds.
const SILENCE: Duration = Duration::from_secs(60);

pub fn unfinished(path: &Path) -> Stand {
    if is_owned(path) {
        let mut tail = Tail::new(path.join("log.jsonl"));
        tail.poll();
        return Stand::Running(tail.last.share());
    }
    if has_failed(path) {
        Stand::Failed(log_tail(path))
    } else {
        Stand::Waiting
    }
}

/// Whether a process works in it, by its latest sign of life.
fn is_owned(path: &Path) -> bool {
    let newest = fs::read_dir(path)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let generation: u64 = name.to_str()?.strip_prefix(".owner.")?.parse().ok()?;
            Some((generation, entry.path()))
        });
    let Some((_, owner)) = newest.max() else {
        return false;
    };
    let modified = fs::metadata(&owner).and_then(|data| data.modified());
    let lives =
        modified.is_ok_and(|at| SystemTime::now().duration_since(at).unwrap_or_default() < SILENCE);
    lives && matches!(read_json::<Owner>(&owner), Ok(Some(owner)) if !owner.released)
}

/// Whether its last attempt ended badly, and no other is to come: on a cluster the third does, or wrong input.
fn has_failed(path: &Path) -> bool {
    if let Ok(text) = fs::read_to_string(path.join(FAILURES)) {
        let last = text.lines().last().unwrap_or_default();
        return text.lines().count() >= 3 || last.contains(": exit status 2: ");
    }
    let log = log_tail(path);
    log.last()
        .is_some_and(|line| line.starts_with("error: ") && !line.contains(" from there"))
}

/// Why a run that was to be finished is not.
pub fn why(path: &Path, run: &Run) -> String {
    let failures = fs::read_to_string(path.join(FAILURES)).unwrap_or_default();
    let needs = || {
        let needs = run.needs.as_ref()?;
        let there = path.with_file_name(needs).join("metrics.json").exists();
        (!there).then(|| format!("it needs {needs}, which is not finished"))
    };
    match (failures.lines().last(), needs()) {
        (Some(line), _) => line.to_owned(),
        (None, Some(needs)) => needs,
        (None, None) => last_words(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_says_whether_it_runs_waits_or_has_failed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path();
        let write = |name: &str, text: &str| fs::write(path.join(name), text).unwrap();
        assert_eq!(unfinished(path), Stand::Waiting);
        write(
            "stderr.log",
            "a line\nerror: the run stopped after step 3 of 9; the same command continues from there\n",
        );
        assert_eq!(unfinished(path), Stand::Waiting);
        write("stderr.log", "a line\nerror: it cannot continue\n");
        let failed = Stand::Failed(vec!["a line".into(), "error: it cannot continue".into()]);
        assert_eq!(unfinished(path), failed);

        // On a cluster it is tried three times.
        write(FAILURES, "n1: exit status 1: x\nn2: exit status 1: x\n");
        assert_eq!(unfinished(path), Stand::Waiting);
        write(FAILURES, "n1: exit status 1: x\nn2: exit status 2: x\n");
        assert_eq!(unfinished(path), failed);
        assert_eq!(
            why(path, &crate::plan::test_run("a", None, 1.0)),
            "n2: exit status 2: x"
        );

        write(
            "log.jsonl",
            "{\"event\":\"step\",\"step\":4,\"steps\":10}\n",
        );
        write(
            ".owner.9",
            "{\"host\":\"n1\",\"pid\":7,\"beat\":1,\"released\":true}",
        );
        write(
            ".owner.10",
            "{\"host\":\"n2\",\"pid\":8,\"beat\":3,\"released\":false}",
        );
        assert_eq!(unfinished(path), Stand::Running(Some(0.5)));
        // It died some time ago.
        let owner = fs::File::options()
            .write(true)
            .open(path.join(".owner.10"))
            .unwrap();
        owner.set_modified(SystemTime::now() - 2 * SILENCE).unwrap();
        assert_eq!(unfinished(path), failed);
    }
}
