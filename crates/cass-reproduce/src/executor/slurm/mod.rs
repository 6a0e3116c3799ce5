//! Runs on the nodes of a Slurm cluster: job arrays that Slurm schedules, finished when their run folders are.
//!
//! Nothing here decides when or where a run is done. A plan becomes [scripts], `sh submit.sh` hands them over, and
//! from then on the run folders alone say how things stand: this process may be interrupted, Slurm's controller may be
//! restarted, nodes may die. A node needs `cass`, the images and the shared out folder.

mod cluster;
mod queue;
mod scripts;
mod stage;

pub use cluster::Cluster;
pub use queue::{Queue, cancel, name as job_name};

use super::{Executor, Outcome, Site, absolute};
use crate::machine::Device;
use crate::plan::{Plan, Run};
use crate::store::{self, FAILURES, State, why};
use anyhow::{Context, Result, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{fs, thread};

/// A cluster, reached through the programs of Slurm.
pub struct Slurm {
    pub cluster: Cluster,
    /// Submit, and leave.
    pub detach: bool,
}

/// Name of the scripts' folder in the out folder.
const FOLDER: &str = "slurm";
/// Between two looks at the run folders.
const LOOK: Duration = Duration::from_secs(3);

impl Executor for Slurm {
    fn execute(&self, site: &Site, plan: &Plan) -> Result<Outcome> {
        let job = job_name(site.out);
        match (Queue::read(&job)?.is_empty(), begun(site.out)) {
            (true, _) => self.submit(site, plan, &job)?,
            (false, Some(scripts)) => hand_over(&scripts, &job)?,
            (false, None) => eprintln!(
                "{job} is in the queue already: nothing is submitted before that has ended"
            ),
        }
        if self.detach {
            let out = site.out.display();
            eprintln!(
                "submitted: `{0} status {out}` says how it stands, `{0} report {out}` reports it",
                site.caller
            );
            return Ok(Outcome {
                detached: true,
                ..Outcome::default()
            });
        }
        if !wait(site, plan, &job)? {
            eprintln!(
                "{job} continues: `{} cancel {}` ends it",
                site.caller,
                site.out.display()
            );
            return Ok(Outcome {
                interrupted: true,
                ..Outcome::default()
            });
        }
        let lost = plan
            .runs
            .iter()
            .filter(|run| !matches!(site.state(run), State::Finished(_)));
        let failures = lost
            .map(|run| (run.clone(), why(&site.folder(&run.name), run)))
            .collect();
        Ok(Outcome {
            failures,
            ..Outcome::default()
        })
    }
}

impl Slurm {
    /// What runs compute on, where nothing is said: the GPU that they ask for.
    pub fn device(&self, asked: &Device) -> Device {
        match asked.0.as_str() {
            "auto" if self.cluster.has_gpu() => Device("cuda".to_owned()),
            "auto" => Device("cpu".to_owned()),
            _ => asked.clone(),
        }
    }

    /// Threads of a run.
    pub fn threads(&self) -> usize {
        self.cluster.cpus.map_or(1, |cpus| cpus as usize)
    }

    /// Writes the scripts of what is not finished; returns their folder.
    pub fn write(&self, site: &Site, plan: &Plan, name: &str) -> Result<PathBuf> {
        let dir = site.out.join(FOLDER).join(name);
        if dir.exists() {
            fs::remove_dir_all(&dir)
                .with_context(|| format!("{} cannot be cleared", dir.display()))?;
        }
        fs::create_dir_all(&dir).with_context(|| format!("{} cannot be created", dir.display()))?;
        let arrays = scripts::arrays(&plan.runs, |run| {
            matches!(site.state(run), State::Finished(_))
        });
        for (name, text) in self.files(site, &arrays)? {
            store::write(&dir.join(name), text.as_bytes())?;
        }
        Ok(dir)
    }

    fn files(
        &self,
        site: &Site,
        arrays: &[scripts::Array<'_>],
    ) -> Result<BTreeMap<String, String>> {
        let stages = self.cluster.scratch.is_some();
        let data = |run: &Run| site.data.get(&run.data).filter(|_| stages);
        let mut files = scripts::files(arrays, &self.cluster, &job_name(site.out), |run| {
            scripts::Line {
                folder: absolute(&site.folder(&run.name)).display().to_string(),
                images: data(run).map(stage::name).unwrap_or_default(),
                command: site.command(run),
                data_root: data(run).map(stage::root),
            }
        })?;
        if let Some(scratch) = &self.cluster.scratch {
            let runs = arrays.iter().flat_map(|array| array.tasks.values());
            let used: BTreeSet<_> = runs.map(|run| run.data).collect();
            let used = || used.iter().filter_map(|set| site.data.get(set));
            files.insert("stage.sh".to_owned(), stage::script(scratch, used())?);
            for data in used() {
                files.insert(stage::sums_file(data), stage::sums(data)?);
            }
        }
        Ok(files)
    }

    fn submit(&self, site: &Site, plan: &Plan, job: &str) -> Result<()> {
        let dir = self.write(site, plan, &(last(site.out) + 1).to_string())?;
        for run in &plan.runs {
            if !matches!(site.state(run), State::Finished(_)) {
                // Whoever asks again wants it tried again.
                let _ = fs::remove_file(site.open(run)?.join(FAILURES));
            }
        }
        hand_over(&dir, job)
    }
}

/// The number of the newest folder of scripts, 0 where there is none.
fn last(out: &Path) -> u32 {
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    let entries = fs::read_dir(out.join(FOLDER))
        .into_iter()
        .flatten()
        .flatten();
    entries.filter_map(number).max().unwrap_or(0)
}

/// The newest scripts, if not all of their arrays were submitted.
fn begun(out: &Path) -> Option<PathBuf> {
    let scripts = out.join(FOLDER).join(last(out).to_string());
    let submitted = fs::read_to_string(scripts.join("submitted.txt")).ok()?;
    let arrays = arrays_in(&scripts);
    (submitted.lines().count() < arrays).then_some(scripts)
}

fn arrays_in(scripts: &Path) -> usize {
    let entries = fs::read_dir(scripts).into_iter().flatten().flatten();
    let is_array = |entry: &fs::DirEntry| entry.path().extension().is_some_and(|e| e == "sbatch");
    entries.filter(is_array).count()
}

/// Submits what was not submitted yet. What Slurm has accepted stays with it, also where it refuses the rest.
fn hand_over(scripts: &Path, job: &str) -> Result<()> {
    let script = scripts.join("submit.sh");
    let output = Command::new("sh")
        .arg(&script)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("{} cannot be started", script.display()))?;
    let submitted = String::from_utf8_lossy(&output.stdout).lines().count();
    let arrays = arrays_in(scripts);
    ensure!(
        output.status.success(),
        "Slurm accepted {submitted} of {arrays} job arrays of {job} and refused the next (sbatch says why above): \
         the same command submits the rest"
    );
    eprintln!(
        "{submitted} job arrays submitted as {job}, by {}",
        script.display()
    );
    Ok(())
}

/// Tells of every run that ends until Slurm has none left; `false` on Ctrl-C.
fn wait(site: &Site, plan: &Plan, job: &str) -> Result<bool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))
        .context("Ctrl-C cannot be listened for")?;
    let mut done = BTreeSet::new();
    let mut answers = true;
    let mut held = 0;
    loop {
        // Asked first: what ends between the two looks is told of then.
        let queue = Queue::read(job);
        for run in &plan.runs {
            let path = site.folder(&run.name);
            if done.contains(&run.name) || !path.join("metrics.json").exists() {
                continue;
            }
            if let State::Finished(metrics) = site.state(run) {
                done.insert(run.name.clone());
                eprintln!(
                    "[{}/{}] {} · {}",
                    done.len(),
                    plan.runs.len(),
                    run.name,
                    store::summary(&metrics)
                );
            }
        }
        match queue {
            Ok(queue) if queue.is_empty() => return Ok(true),
            Ok(queue) => {
                answers = true;
                if queue.held > held {
                    eprintln!(
                        "Slurm holds {} tasks back: they wait for `scontrol release jobname={job}`; `squeue --name {job}` says why",
                        queue.held
                    );
                }
                held = queue.held;
            }
            Err(error) => {
                // It may be restarted. What it runs continues without it.
                if answers {
                    eprintln!("{error:#}; waiting for it to answer");
                }
                answers = false;
            }
        }
        for _ in 0..LOOK.as_millis() / 100 {
            if stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Cancels what was submitted from an out folder: the job's name, and what it had in the queue.
pub fn cancel_job(out: &Path) -> Result<(String, Queue)> {
    ensure!(
        out.join(FOLDER).is_dir(),
        "{} cannot be cancelled: nothing was submitted from it (Ctrl-C ends a job on this machine)",
        out.display()
    );
    let job = job_name(out);
    let queue = Queue::read(&job)?;
    cancel(&job)?;
    Ok((job, queue))
}
