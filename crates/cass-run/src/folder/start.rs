//! A start that came to nothing: no step was taken, and the folder is as if it had not been.

use super::{entries, name_of, remove_empty};
use crate::file::read_text;
use crate::lock::{LOCK, owner_path};
use crate::names::{BEGUN, LOG, MANIFEST, METRICS, PROVENANCE, RECIPE, RESUME, TENSORBOARD};
use std::fs;
use std::path::{Path, PathBuf};

/// Events of `log.jsonl` that stand before the first step of a training.
const BEFORE_STEPS: [&str; 5] = ["start", "weights", "collapse", "agreement", "warning"];
/// What a run has written by then, and its owner.
const FILES: [&str; 5] = [RECIPE, LOG, MANIFEST, PROVENANCE, TENSORBOARD];

/// What undoes the start of a run that has taken no step yet.
#[derive(Debug, Clone)]
pub struct Start {
    path: PathBuf,
    generation: u64,
    made: Vec<PathBuf>,
}

impl Start {
    pub(super) fn new(path: PathBuf, generation: u64, made: Vec<PathBuf>) -> Self {
        Self {
            path,
            generation,
            made,
        }
    }

    /// Removes what the start left, and the folders that were made for it, before the process ends. Once a step was
    /// taken, or where somebody else works in the folder, nothing is removed.
    pub fn undo(&self) {
        let owner = owner_path(&self.path, self.generation);
        if has_begun(&self.path) || !owner.exists() {
            return;
        }
        let begun = format!("{BEGUN}{}", self.generation);
        for path in entries(&self.path).unwrap_or_default() {
            let name = name_of(&path);
            if FILES.contains(&name.as_str()) || name.ends_with(&begun) {
                let _ = fs::remove_file(path);
            }
        }
        let _ = fs::remove_file(owner);
        let _ = fs::remove_file(self.path.join(LOCK));
        remove_empty(&self.made);
    }
}

/// Whether anything is in a run's folder that a later attempt needs: results, states, or the log of a step.
pub(super) fn has_begun(folder: &Path) -> bool {
    if [METRICS, RESUME]
        .iter()
        .any(|name| folder.join(name).exists())
    {
        return true;
    }
    let path = folder.join(LOG);
    match read_text(&path) {
        Ok(None) => false,
        Ok(Some(log)) => !log.lines().all(is_before_steps),
        // It is no log, or too long for one without steps.
        Err(_) => true,
    }
}

fn is_before_steps(line: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Any {
        event: String,
    }
    // A line that is cut was the last of its process.
    serde_json::from_str::<Any>(line).map_or(!line.ends_with('}'), |any| {
        BEFORE_STEPS.contains(&any.event.as_str())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RunDir;
    use serde_json::json;

    #[test]
    fn a_start_without_a_step_is_undone_and_stands_in_nobodys_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runs/cass");
        let run = RunDir::open(&path, "a = 1").unwrap();
        run.log()
            .unwrap()
            .write(&json!({"event": "start"}))
            .unwrap();
        // Killed here, the next may be of another recipe.
        std::mem::forget(run);
        let lock = path.join(LOCK);
        fs::remove_file(&lock).unwrap(); // the system's lock of this very process
        let run = RunDir::open(&path, "a = 2");
        // Its owner gave no sign that it is over: on this computer the lock decides.
        let run = run.unwrap();
        let start = run.start().unwrap();
        run.write(MANIFEST, b"images").unwrap();
        start.undo();
        // The folder itself was there before.
        assert_eq!(entries(&path).unwrap(), Vec::<PathBuf>::new());
    }

    #[test]
    fn what_has_taken_a_step_is_not_undone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let run = RunDir::open(&path, "a = 1").unwrap();
        let start = run.start().unwrap();
        let mut log = run.log().unwrap();
        log.write(&json!({"event": "start"})).unwrap();
        log.write(&json!({"event": "step"})).unwrap();
        start.undo();
        assert!(path.join(RECIPE).exists() && run.start().is_none());
    }
}
