//! `status DIR`: how a job stands, from `plan.json` and the run folders alone, wherever it runs.

use crate::plan::{Costs, Run, schedule};
use crate::store::{self, Entry, Folder, PLAN, Stand, State, unfinished};
use crate::units::duration;
use anyhow::{Context, Result};
use cass_run::read_json;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `status`.
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

pub fn status(args: &Args) -> Result<ExitCode> {
    let plan = args.dir.join(PLAN);
    let entries: Vec<Entry> = read_json(&plan)?.with_context(|| {
        format!(
            "{} cannot be found: no job was started there",
            plan.display()
        )
    })?;
    let mut costs = Costs::default();
    let mut stands: BTreeMap<&str, Stand> = BTreeMap::new();
    // What is needed stands before what needs it.
    for Entry { run, .. } in &entries {
        // The folder may have moved as a whole since the plan was written.
        let path = store::folder(&args.dir, &run.name);
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
