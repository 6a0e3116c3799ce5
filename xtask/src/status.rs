//! `cargo xtask status DIR`: how a job stands, from `plan.json` and the run folders alone, whoever runs it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::json;

use crate::executor::FAILURES;
use crate::folder::{Folder, State, read_json};
use crate::plan::{Costs, Entry, Plan, Run, schedule};
use crate::progress::{Tail, duration};

#[derive(clap::Args)]
pub struct Args {
    /// Output folder of `reproduce`.
    dir: PathBuf,
    /// Runs at a time that the estimate counts on [default: as many as are running].
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u64).range(1..))]
    jobs: Option<u64>,
    /// Print one JSON object instead.
    #[arg(long)]
    json: bool,
}

/// How a run stands.
#[derive(Debug, PartialEq)]
enum Stand {
    Done,
    /// And the share of its steps that are done, where that is known.
    Running(Option<f64>),
    Waiting,
    /// And the last lines it wrote.
    Failed(Vec<String>),
    /// What it needs has failed.
    Blocked(String),
}

pub fn status(args: &Args) -> Result<ExitCode> {
    let plan = args.dir.join(Plan::FILE);
    let entries: Vec<Entry> = read_json(&plan)?.with_context(|| {
        format!(
            "failed to find {}: no job was started there",
            plan.display()
        )
    })?;
    let mut costs = Costs::default();
    let mut stands: BTreeMap<&str, Stand> = BTreeMap::new();
    // What is needed stands before what needs it.
    for Entry { run, .. } in &entries {
        // The folder may have moved as a whole since the plan was written.
        let path = crate::plan::folder(&args.dir, &run.name);
        let failed = |needs: &&String| {
            matches!(
                stands.get(needs.as_str()),
                Some(Stand::Failed(_) | Stand::Blocked(_))
            )
        };
        let stand = match Folder::state(&path, run) {
            State::Finished(metrics) => {
                costs.add(run, metrics.common().seconds);
                Stand::Done
            }
            _ => match run.needs.as_ref().filter(failed) {
                Some(needs) => Stand::Blocked(needs.clone()),
                None => unfinished(&path),
            },
        };
        stands.insert(&run.name, stand);
    }
    let runs: Vec<&Run> = entries.iter().map(|entry| &entry.run).collect();
    let left = left(&runs, &stands, &costs, args.jobs);
    if args.json {
        print_json(&runs, &stands, left);
    } else {
        print(&runs, &stands, left);
    }
    let lost = stands
        .values()
        .any(|stand| matches!(stand, Stand::Failed(_) | Stand::Blocked(_)));
    Ok(ExitCode::from(u8::from(lost)))
}

/// An owner of a run folder, as `cass` notes it in `.owner.N`, the N-th one.
#[derive(Deserialize)]
struct Owner {
    released: bool,
}

/// A living owner gives a sign of life every ten seconds.
const SILENCE: Duration = Duration::from_secs(60);

fn unfinished(path: &Path) -> Stand {
    if is_owned(path) {
        let mut tail = Tail::new(path.join("log.jsonl"));
        tail.poll();
        return Stand::Running(tail.last.share());
    }
    if has_failed(path) {
        Stand::Failed(Folder::log_tail(path))
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
    let log = Folder::log_tail(path);
    log.last()
        .is_some_and(|line| line.starts_with("error: ") && !line.contains("goes on from there"))
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
        (None, None) => Folder::last_words(path),
    }
}

/// Seconds until the end with so many runs at a time.
fn left(runs: &[&Run], stands: &BTreeMap<&str, Stand>, costs: &Costs, jobs: Option<u64>) -> f64 {
    let stand = |run: &Run| &stands[run.name.as_str()];
    let to_come = runs.iter().copied();
    let to_come: Vec<&Run> = to_come
        .filter(|run| matches!(stand(run), Stand::Running(_) | Stand::Waiting))
        .collect();
    let running = stands
        .values()
        .filter(|stand| matches!(stand, Stand::Running(_)))
        .count();
    let jobs = jobs.map_or(running.max(1), |jobs| jobs as usize);
    let seconds = |run: &Run| match stand(run) {
        Stand::Running(Some(share)) => costs.of(run) * (1.0 - share),
        _ => costs.of(run),
    };
    schedule(&to_come, jobs, seconds).end
}

fn count(stands: &BTreeMap<&str, Stand>, of: impl Fn(&Stand) -> bool) -> usize {
    stands.values().filter(|stand| of(stand)).count()
}

fn print(runs: &[&Run], stands: &BTreeMap<&str, Stand>, left: f64) {
    for run in runs {
        match &stands[run.name.as_str()] {
            Stand::Running(share) => {
                let share = share.map(|share| format!(" · {:.0} %", 100.0 * share));
                println!("running  {}{}", run.name, share.unwrap_or_default());
            }
            Stand::Failed(lines) => {
                println!("failed   {}", run.name);
                for line in lines.iter().rev().take(3).rev() {
                    println!("         | {line}");
                }
            }
            Stand::Blocked(needs) => println!("not run  {}: it needs {needs}", run.name),
            Stand::Done | Stand::Waiting => {}
        }
    }
    println!(
        "{} runs: {} done, {} running, {} waiting, {} failed, {} not run for those; about {} left",
        runs.len(),
        count(stands, |stand| *stand == Stand::Done),
        count(stands, |stand| matches!(stand, Stand::Running(_))),
        count(stands, |stand| *stand == Stand::Waiting),
        count(stands, |stand| matches!(stand, Stand::Failed(_))),
        count(stands, |stand| matches!(stand, Stand::Blocked(_))),
        duration(left)
    );
}

fn print_json(runs: &[&Run], stands: &BTreeMap<&str, Stand>, left: f64) {
    let names = |of: fn(&Stand) -> bool| -> Vec<&str> {
        let names = runs.iter().map(|run| run.name.as_str());
        names.filter(|name| of(&stands[name])).collect()
    };
    let failed = runs
        .iter()
        .filter_map(|run| match &stands[run.name.as_str()] {
            Stand::Failed(lines) => Some(json!({"run": run.name, "log": lines})),
            Stand::Blocked(needs) => Some(json!({"run": run.name, "needs": needs})),
            _ => None,
        });
    println!(
        "{}",
        json!({
            "runs": runs.len(),
            "done": names(|stand| *stand == Stand::Done),
            "running": names(|stand| matches!(stand, Stand::Running(_))),
            "waiting": names(|stand| *stand == Stand::Waiting),
            "failed": failed.collect::<Vec<_>>(),
            "seconds_left": left.round(),
        })
    );
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
            "a line\nerror: failed to finish: stopped after step 3 of 9; the same command goes on from there\n",
        );
        assert_eq!(unfinished(path), Stand::Waiting);
        write("stderr.log", "a line\nerror: failed to go on\n");
        let failed = Stand::Failed(vec!["a line".into(), "error: failed to go on".into()]);
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
