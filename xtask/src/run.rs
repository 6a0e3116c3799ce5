//! Starts `cass` for every run that is not finished, some side by side, and stops them all on Ctrl-C.

use std::fs::{self, File};
use std::path::Path;
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

#[derive(Clone, Copy, PartialEq)]
enum State {
    Waiting,
    Running,
    Done,
    Failed,
}

/// A run going on; ended with its owner.
struct Active {
    /// Index in the plan.
    run: usize,
    child: Child,
    tail: Tail,
    since: Instant,
}

impl Active {
    fn seconds(&self) -> f64 {
        self.since.elapsed().as_secs_f64()
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `cass`'s exit code for wrong usage or input.
const WRONG_INPUT: i32 = 2;

impl Executor<'_> {
    /// Runs what is not finished. A failed run is reported and stops only what needs it.
    pub fn execute(&self, runs: &[Run]) -> Result<Outcome> {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = stop.clone();
        ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))
            .context("failed to listen for Ctrl-C")?;
        let mut board = Board::new(self, runs);
        let interrupted = loop {
            board.reap()?;
            board.launch()?;
            if board.is_done() {
                break false;
            }
            if stop.load(Ordering::Relaxed) {
                break true;
            }
            board.show();
            thread::sleep(Duration::from_millis(50));
        };
        board.display.clear();
        Ok(Outcome {
            failures: std::mem::take(&mut board.failures),
            interrupted,
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

    fn start(&self, run: &Run) -> Result<Child> {
        let path = folder(self.out, &run.name);
        // Not finished, or it would not be started: what an earlier attempt left is redone.
        if path.exists() {
            fs::remove_dir_all(&path)
                .with_context(|| format!("failed to clear {}", path.display()))?;
        }
        fs::create_dir_all(&path)
            .with_context(|| format!("failed to create {}", path.display()))?;
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let info = Info {
            run: run.clone(),
            started: since_1970.map_or(0, |since| since.as_secs()),
            ..self.info.clone()
        };
        folder::write(&path.join("run.json"), &serde_json::to_vec_pretty(&info)?)?;
        let log = path.join("stderr.log");
        let stderr =
            File::create(&log).with_context(|| format!("failed to write {}", log.display()))?;
        self.command(run, &path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .with_context(|| format!("failed to start {}", self.cass.display()))
    }
}

/// Where every run of a job stands.
struct Board<'a> {
    executor: &'a Executor<'a>,
    runs: &'a [Run],
    /// Of each run.
    states: Vec<State>,
    active: Vec<Active>,
    failures: Vec<(Run, String)>,
    costs: Costs,
    /// Seconds of work in runs that ended.
    spent: f64,
    display: Display,
}

impl<'a> Board<'a> {
    fn new(executor: &'a Executor<'a>, runs: &'a [Run]) -> Board<'a> {
        let mut costs = Costs::new();
        let states: Vec<State> = runs
            .iter()
            .map(
                |run| match Folder::finished(&folder(executor.out, &run.name), run) {
                    Some(metrics) => {
                        costs.add(run, metrics.common().seconds);
                        State::Done
                    }
                    None => State::Waiting,
                },
            )
            .collect();
        let finished = states.iter().filter(|state| **state == State::Done).count();
        if finished > 0 {
            eprintln!("{finished} of {} runs are finished already", runs.len());
        }
        Board {
            executor,
            runs,
            states,
            active: Vec::new(),
            failures: Vec::new(),
            costs,
            spent: 0.0,
            display: Display::new(runs.len(), finished),
        }
    }

    fn is_done(&self) -> bool {
        self.active.is_empty() && !self.states.contains(&State::Waiting)
    }

    /// Takes what ended off the board. Wrong input met before any run succeeded stops the job: all other
    /// runs would meet it too.
    fn reap(&mut self) -> Result<()> {
        let mut index = 0;
        while let Some(active) = self.active.get_mut(index) {
            active.tail.poll();
            let status = active
                .child
                .try_wait()
                .context("failed to wait for `cass`")?;
            let Some(status) = status else {
                index += 1;
                continue;
            };
            let ended = self.active.swap_remove(index);
            let run = &self.runs[ended.run];
            let path = folder(self.executor.out, &run.name);
            self.spent += ended.seconds();
            let line = match Folder::finished(&path, run).filter(|_| status.success()) {
                Some(metrics) => {
                    self.costs.add(run, ended.seconds());
                    self.states[ended.run] = State::Done;
                    format!("{} · {}", metrics.summary(), duration(ended.seconds()))
                }
                None => {
                    let reason = if status.success() {
                        "it left no readable metrics.json".to_owned()
                    } else {
                        Folder::last_words(&path)
                    };
                    if status.code() == Some(WRONG_INPUT) && !self.states.contains(&State::Done) {
                        self.display.clear();
                        bail!("{reason}");
                    }
                    let line = format!("FAILED ({status}): {reason}");
                    self.fail(ended.run, reason);
                    line
                }
            };
            self.display.ended(&run.name, &line, self.left());
        }
        Ok(())
    }

    /// Starts what may go on now.
    fn launch(&mut self) -> Result<()> {
        for (index, run) in self.runs.iter().enumerate() {
            if self.active.len() >= self.executor.jobs {
                break;
            }
            if self.states[index] != State::Waiting {
                continue;
            }
            match self.needed(run) {
                State::Done => {
                    let child = self.executor.start(run)?;
                    let path = folder(self.executor.out, &run.name);
                    self.states[index] = State::Running;
                    self.active.push(Active {
                        run: index,
                        child,
                        tail: Tail::new(path.join("log.jsonl")),
                        since: Instant::now(),
                    });
                }
                State::Failed => {
                    let needs = run.needs.as_deref().unwrap_or_default();
                    let reason = format!("it needs {needs}, which failed");
                    let line = format!("not run: {reason}");
                    self.fail(index, reason);
                    self.display.ended(&run.name, &line, self.left());
                }
                State::Waiting | State::Running => {}
            }
        }
        Ok(())
    }

    fn fail(&mut self, run: usize, reason: String) {
        self.states[run] = State::Failed;
        self.failures.push((self.runs[run].clone(), reason));
    }

    /// How what a run starts from stands.
    fn needed(&self, run: &Run) -> State {
        let Some(name) = &run.needs else {
            return State::Done;
        };
        let index = self.runs.iter().position(|other| other.name == *name);
        index.map_or(State::Failed, |index| self.states[index])
    }

    fn show(&self) {
        let going = self
            .active
            .iter()
            .map(|a| (self.runs[a.run].name.as_str(), &a.tail.last));
        let now: f64 = self.active.iter().map(Active::seconds).sum();
        let spent = (self.spent + now) / self.executor.jobs as f64;
        self.display.running(going, spent, self.left());
    }

    /// Seconds until all is done.
    fn left(&self) -> f64 {
        let states = self.runs.iter().zip(&self.states);
        let waiting: f64 = states
            .filter(|(_, state)| **state == State::Waiting)
            .map(|(run, _)| self.costs.of(run))
            .sum();
        let running: f64 = self
            .active
            .iter()
            .map(|active| match active.tail.last.share() {
                // Enough steps to extrapolate.
                Some(share) if share > 0.1 => active.seconds() * (1.0 - share) / share,
                _ => (self.costs.of(&self.runs[active.run]) - active.seconds()).max(0.0),
            })
            .sum();
        (waiting + running) / self.executor.jobs as f64
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
pub fn prepare(out: &Path) -> Result<()> {
    fs::create_dir_all(out.join("runs"))
        .with_context(|| format!("failed to create {}", out.display()))?;
    let probe = out.join("runs/.writable");
    folder::write(&probe, b"cass")?;
    fs::remove_file(&probe).with_context(|| format!("failed to write in {}", out.display()))
}
