//! Starts `cass` for every run that is not finished, some side by side, and stops them all on Ctrl-C.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};

use crate::data::{Data, phantom_args};
use crate::folder::{self, Folder, Info};
use crate::plan::{Costs, Run, folder};
use crate::progress::{Display, Tail, duration};

/// Everything but the plan.
pub struct Executor<'a> {
    pub cass: &'a Path,
    pub out: &'a Path,
    pub data: &'a Data,
    pub jobs: usize,
    pub skip_bad: bool,
    /// Noted in every run folder, with the run filled in.
    pub info: Info,
}

/// How a job ended.
pub struct Outcome {
    /// Runs without metrics, and why.
    pub failures: Vec<(Run, String)>,
    /// Ctrl-C was pressed.
    pub interrupted: bool,
}

struct Active {
    run: usize,
    child: Child,
    tail: Tail,
    since: Instant,
}

enum State {
    Waiting,
    Running,
    Done,
    Failed,
}

/// `cass`'s exit code for wrong usage or input.
const WRONG_INPUT: i32 = 2;

impl Executor<'_> {
    /// Runs what is not finished. A failed run is reported and stops only what needs it, unless it is
    /// the first of this job and says that its input is wrong: all others would meet the same.
    pub fn execute(&self, runs: &[Run]) -> Result<Outcome> {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = stop.clone();
        ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))
            .context("failed to listen for Ctrl-C")?;

        let mut costs = Costs::new();
        let mut states = Vec::new();
        for run in runs {
            let finished = Folder::finished(&folder(self.out, &run.name), run);
            if let Some(metrics) = &finished {
                costs.add(run, metrics.common().seconds);
            }
            states.push(if finished.is_some() {
                State::Done
            } else {
                State::Waiting
            });
        }
        let reused = states
            .iter()
            .filter(|state| matches!(state, State::Done))
            .count();
        if reused > 0 {
            eprintln!("{reused} of {} runs are finished already", runs.len());
        }

        let mut display = Display::new(runs.len(), reused);
        let mut active: Vec<Active> = Vec::new();
        let mut failures = Vec::new();
        let mut succeeded = reused;
        let mut spent = 0.0;
        while !stop.load(Ordering::Relaxed) {
            // What ended?
            let mut index = 0;
            while index < active.len() {
                active[index].tail.poll();
                let status = active[index]
                    .child
                    .try_wait()
                    .context("failed to wait for `cass`")?;
                let Some(status) = status else {
                    index += 1;
                    continue;
                };
                let ended = active.swap_remove(index);
                let run = &runs[ended.run];
                let path = folder(self.out, &run.name);
                let seconds = ended.since.elapsed().as_secs_f64();
                spent += seconds;
                let finished = Folder::finished(&path, run).filter(|_| status.success());
                let line = match &finished {
                    Some(metrics) => {
                        succeeded += 1;
                        costs.add(run, seconds);
                        states[ended.run] = State::Done;
                        format!("{} · {}", metrics.summary(), duration(seconds))
                    }
                    None => {
                        let reason = if status.success() {
                            "it left no readable metrics.json".to_owned()
                        } else {
                            Folder::last_words(&path)
                        };
                        if status.code() == Some(WRONG_INPUT) && succeeded == 0 {
                            display.clear();
                            kill(&mut active);
                            bail!("{reason}");
                        }
                        states[ended.run] = State::Failed;
                        let line = format!("FAILED ({status}): {reason}");
                        failures.push((run.clone(), reason));
                        line
                    }
                };
                display.ended(&run.name, &line, self.left(runs, &states, &active, &costs));
            }

            // What can start?
            for (index, run) in runs.iter().enumerate() {
                if active.len() >= self.jobs {
                    break;
                }
                if !matches!(states[index], State::Waiting) {
                    continue;
                }
                let needs = run.needs.as_ref().map(|name| {
                    let position = runs.iter().position(|other| other.name == *name);
                    position.map_or(&State::Failed, |position| &states[position])
                });
                match needs {
                    None | Some(State::Done) => {
                        let started = self.start(run).inspect_err(|_| kill(&mut active))?;
                        active.push(Active {
                            run: index,
                            ..started
                        });
                        states[index] = State::Running;
                    }
                    Some(State::Failed) => {
                        states[index] = State::Failed;
                        let reason = format!(
                            "it needs {}, which failed",
                            run.needs.as_deref().unwrap_or_default()
                        );
                        display.ended(
                            &run.name,
                            &format!("not run: {reason}"),
                            self.left(runs, &states, &active, &costs),
                        );
                        failures.push((run.clone(), reason));
                    }
                    Some(State::Waiting | State::Running) => {}
                }
            }
            if active.is_empty() && !states.iter().any(|state| matches!(state, State::Waiting)) {
                break;
            }
            let going = active
                .iter()
                .map(|a| (runs[a.run].name.as_str(), &a.tail.last));
            let now: f64 = active.iter().map(|a| a.since.elapsed().as_secs_f64()).sum();
            display.running(
                going,
                spent + now,
                self.left(runs, &states, &active, &costs),
            );
            thread::sleep(Duration::from_millis(50));
        }
        display.clear();
        kill(&mut active);
        Ok(Outcome {
            failures,
            interrupted: stop.load(Ordering::Relaxed),
        })
    }

    /// Seconds until all is done.
    fn left(&self, runs: &[Run], states: &[State], active: &[Active], costs: &Costs) -> f64 {
        let waiting: f64 = runs
            .iter()
            .zip(states)
            .filter(|(_, state)| matches!(state, State::Waiting))
            .map(|(run, _)| costs.of(run))
            .sum();
        let running: f64 = active
            .iter()
            .map(|a| {
                let (cost, elapsed) = (costs.of(&runs[a.run]), a.since.elapsed().as_secs_f64());
                match a.tail.last.share() {
                    // Enough steps to extrapolate.
                    Some(share) if share > 0.1 => elapsed * (1.0 - share) / share,
                    _ => (cost - elapsed).max(0.0),
                }
            })
            .sum();
        (waiting + running) / self.jobs as f64
    }

    fn start(&self, run: &Run) -> Result<Active> {
        let path = folder(self.out, &run.name);
        // Not finished, or it would not be started: what an earlier attempt left is redone.
        if path.exists() {
            fs::remove_dir_all(&path)
                .with_context(|| format!("failed to clear {}", path.display()))?;
        }
        fs::create_dir_all(&path)
            .with_context(|| format!("failed to create {}", path.display()))?;
        let info = Info {
            run: run.clone(),
            started: SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .map_or(0, |since| since.as_secs()),
            ..self.info.clone()
        };
        folder::write(&path.join("run.json"), &serde_json::to_vec_pretty(&info)?)?;

        let log = path.join("stderr.log");
        let stderr =
            File::create(&log).with_context(|| format!("failed to write {}", log.display()))?;
        let child = self
            .command(run, &path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .with_context(|| format!("failed to start {}", self.cass.display()))?;
        Ok(Active {
            run: 0,
            child,
            tail: Tail::new(path.join("log.jsonl")),
            since: Instant::now(),
        })
    }

    fn command(&self, run: &Run, path: &Path) -> Command {
        let mut command = Command::new(self.cass);
        command.args(&run.recipe);
        if let Some(needs) = &run.needs {
            command.arg("--run").arg(folder(self.out, needs));
        }
        command.arg("--data-root").arg(&self.data.root);
        command.args(["--device", &self.info.provenance.device]);
        command.args(["--threads", &self.info.provenance.threads.to_string()]);
        if self.skip_bad {
            command.arg("--skip-bad");
        }
        command.arg("--out").arg(path);
        command
    }
}

fn kill(active: &mut Vec<Active>) {
    for mut run in active.drain(..) {
        // It may have ended in between; then there is nothing to kill.
        let _ = run.child.kill();
        let _ = run.child.wait();
    }
}

/// Draws the phantoms of a job unless they are there. Written aside and renamed, so half a set is never read.
pub fn draw_phantoms(cass: &Path, data: &Data, name: &str) -> Result<()> {
    let Some(phantom) = &data.phantom else {
        return Ok(());
    };
    let arguments = phantom_args(phantom);
    let (stamp, folder) = (data.root.join("phantom.txt"), data.root.join(name));
    if folder.is_dir() && fs::read_to_string(&stamp).is_ok_and(|text| text == arguments.join(" ")) {
        return Ok(());
    }
    let part = data.root.join(format!("{name}.part"));
    for old in [&folder, &part] {
        if old.exists() {
            fs::remove_dir_all(old)
                .with_context(|| format!("failed to clear {}", old.display()))?;
        }
    }
    fs::create_dir_all(&data.root)
        .with_context(|| format!("failed to create {}", data.root.display()))?;
    let output = Command::new(cass)
        .args(["data", "phantom", "--out"])
        .arg(&part)
        .args(&arguments)
        .output()
        .with_context(|| format!("failed to start {}", cass.display()))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        let line = words
            .lines()
            .rfind(|line| !line.trim().is_empty())
            .unwrap_or("it wrote no error");
        bail!(
            "failed to draw the phantoms: {}",
            line.trim_start_matches("error: ")
        );
    }
    fs::rename(&part, &folder).with_context(|| format!("failed to write {}", folder.display()))?;
    folder::write(&stamp, arguments.join(" ").as_bytes())
}

/// Makes the output folder and makes sure that it can be written to, before anything costs time.
pub fn prepare(out: &Path) -> Result<PathBuf> {
    fs::create_dir_all(out.join("runs"))
        .with_context(|| format!("failed to create {}", out.display()))?;
    let probe = out.join("runs/.writable");
    folder::write(&probe, b"cass")?;
    fs::remove_file(&probe).with_context(|| format!("failed to write in {}", out.display()))?;
    // `cass` gets whole paths, so it may run anywhere.
    fs::canonicalize(out).with_context(|| format!("failed to find {}", out.display()))
}
