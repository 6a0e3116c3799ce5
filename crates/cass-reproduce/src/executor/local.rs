//! Runs on this machine, some side by side, all stopped on Ctrl-C.

use super::progress::Display;
use super::{Executor, Outcome, Site, index};
use crate::machine::{self, Device};
use crate::plan::{Costs, Plan, Run};
use crate::store::{self, State, Tail, last_words};
use crate::units::duration;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Runs a job on this machine.
pub struct Local {
    /// One run at a time on each; a device may be there more than once.
    pub places: Vec<Device>,
}

/// Where a run stands with this job.
#[derive(Clone, Copy, PartialEq)]
enum Status {
    Waiting,
    Running,
    Done,
    Failed,
}

/// A run in progress; ended with its owner.
struct Active {
    /// Index in the plan.
    run: usize,
    /// Index among the places.
    place: usize,
    child: Child,
    tail: Tail,
    since: Instant,
    /// Whether it was asked to stop.
    asked: bool,
}

impl Active {
    fn seconds(&self) -> f64 {
        self.since.elapsed().as_secs_f64()
    }

    /// Asked once, a run leaves a checkpoint to continue from; asked twice, it stops at once.
    fn ask_to_stop(&mut self) {
        if cfg!(unix) && !std::mem::replace(&mut self.asked, true) {
            let _ = Command::new("kill")
                .args(["-TERM", &self.child.id().to_string()])
                .stderr(Stdio::null())
                .status();
        }
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to stop.
        if matches!(self.child.try_wait(), Ok(None)) {
            self.ask_to_stop();
        }
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How long a run may take to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// `cass`'s exit code for wrong usage or input.
const WRONG_INPUT: i32 = 2;
/// Exit code of `cass` where another process works in the run folder.
const ELSEWHERE: i32 = 75;
/// A run that fails, or whose folder was in use a moment ago, is started once more.
const ATTEMPTS: u32 = 2;
/// How often a folder that another process works in is looked at again.
const LOOK: Duration = Duration::from_millis(500);

impl Executor for Local {
    fn execute(&self, site: &Site, plan: &Plan) -> Result<Outcome> {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = stop.clone();
        ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))
            .context("Ctrl-C cannot be listened for")?;
        let mut board = Board::new(site, &plan.runs, &self.places);
        let interrupted = loop {
            board.reap()?;
            if !stop.load(Ordering::Relaxed) {
                board.launch()?;
            }
            if board.is_done() {
                break false;
            }
            if stop.load(Ordering::Relaxed) {
                // All at once, before each is waited for.
                board.active.iter_mut().for_each(Active::ask_to_stop);
                break true;
            }
            board.show();
            thread::sleep(Duration::from_millis(20));
        };
        board.display.clear();
        Ok(Outcome {
            failures: std::mem::take(&mut board.failures),
            interrupted,
            detached: false,
        })
    }
}

fn start(site: &Site, run: &Run) -> Result<Child> {
    let path = site.open(run)?;
    let log = path.join("stderr.log");
    // A new file: a link of that name is not followed.
    let _ = fs::remove_file(&log);
    let stderr =
        File::create_new(&log).with_context(|| format!("{} cannot be written", log.display()))?;
    let words = site.command(run);
    let mut command = Command::new(&words[0]);
    // In a group of its own, so that Ctrl-C reaches us alone and each run is asked once.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    // However this process ends, that closes the pipe, and the run stops with a checkpoint.
    command
        .args(&words[1..])
        .env(cass_run::ENDS_WITH_STDIN, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .with_context(|| format!("{} cannot be started", words[0]))
}

/// Where every run of a job stands.
struct Board<'a> {
    site: &'a Site<'a>,
    runs: &'a [Run],
    places: &'a [Device],
    by_name: BTreeMap<&'a str, usize>,
    /// Status of each run.
    statuses: Vec<Status>,
    /// Times each run was started.
    attempts: Vec<u32>,
    /// When each run's folder was last found in use.
    busy: Vec<Option<Instant>>,
    active: Vec<Active>,
    /// What all runs together may take, if that is known.
    memory: Option<f64>,
    failures: Vec<(Run, String)>,
    costs: Costs,
    /// Seconds of work in runs that ended.
    spent: f64,
    display: Display,
}

impl<'a> Board<'a> {
    fn new(site: &'a Site<'a>, runs: &'a [Run], places: &'a [Device]) -> Board<'a> {
        let mut costs = Costs::default();
        let mut statuses = Vec::new();
        for run in runs {
            statuses.push(match site.state(run) {
                State::Finished(metrics) => {
                    costs.add(run, metrics.common().seconds);
                    Status::Done
                }
                State::Damaged(what) => {
                    eprintln!("{} is done again: {what}", run.name);
                    Status::Waiting
                }
                State::Absent | State::Unfinished(_) => Status::Waiting,
            });
        }
        let finished = statuses
            .iter()
            .filter(|status| **status == Status::Done)
            .count();
        if finished > 0 {
            eprintln!("{finished} of {} runs are finished already", runs.len());
        }
        Board {
            site,
            runs,
            places,
            by_name: index(runs),
            statuses,
            attempts: vec![0; runs.len()],
            busy: vec![None; runs.len()],
            memory: machine::free_memory_mib(),
            active: Vec::new(),
            failures: Vec::new(),
            costs,
            spent: 0.0,
            display: Display::new(runs.len(), finished),
        }
    }

    fn is_done(&self) -> bool {
        self.active.is_empty() && !self.statuses.contains(&Status::Waiting)
    }

    /// Takes what ended off the board. Wrong input, or another job at work in this folder, met before any run
    /// succeeded stops the job: all other runs would meet it too.
    fn reap(&mut self) -> Result<()> {
        let mut index = 0;
        while let Some(active) = self.active.get_mut(index) {
            active.tail.poll();
            let status = active
                .child
                .try_wait()
                .context("`cass` cannot be waited for")?;
            let Some(status) = status else {
                index += 1;
                continue;
            };
            let ended = self.active.swap_remove(index);
            let run = &self.runs[ended.run];
            let path = self.site.folder(&run.name);
            self.spent += ended.seconds();
            let done = match self.site.state(run) {
                State::Finished(metrics) if status.success() => Ok(metrics),
                State::Damaged(what) if status.success() => Err(what),
                _ if status.success() => Err("it left no metrics.json".to_owned()),
                _ => Err(last_words(&path)),
            };
            let line = match done {
                Ok(metrics) => {
                    self.costs.add(run, ended.seconds());
                    self.statuses[ended.run] = Status::Done;
                    self.look_again(ended.run);
                    format!(
                        "{} · {}",
                        store::summary(&metrics),
                        duration(ended.seconds())
                    )
                }
                // Say a run that a killed job left behind, which is stopping.
                Err(reason) if status.code() == Some(ELSEWHERE) && cass_run::is_in_use(&path) => {
                    if self.busy[ended.run].is_none() {
                        self.display
                            .note(&format!("{} is waited for: {reason}", run.name));
                    }
                    self.busy[ended.run] = Some(Instant::now());
                    self.attempts[ended.run] -= 1;
                    self.statuses[ended.run] = Status::Waiting;
                    continue;
                }
                Err(reason) => {
                    let wrong = status.code() == Some(WRONG_INPUT);
                    let last = wrong || self.attempts[ended.run] >= ATTEMPTS;
                    let stops = matches!(status.code(), Some(WRONG_INPUT | ELSEWHERE));
                    if stops && last && !self.statuses.contains(&Status::Done) {
                        self.display.clear();
                        bail!("{reason}");
                    }
                    if !last {
                        let line = format!("{} failed and is tried again: {reason}", run.name);
                        self.display.note(&line);
                        self.statuses[ended.run] = Status::Waiting;
                        continue;
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

    /// Starts the runs that may begin now.
    fn launch(&mut self) -> Result<()> {
        for (index, run) in self.runs.iter().enumerate() {
            let Some(place) = self.free() else {
                break;
            };
            if self.statuses[index] != Status::Waiting {
                continue;
            }
            if let Some(seen) = self.busy[index] {
                let path = self.site.folder(&run.name);
                if seen.elapsed() < LOOK {
                    continue;
                }
                if cass_run::is_in_use(&path) {
                    self.busy[index] = Some(Instant::now());
                    continue;
                }
                // What it left may be a finished run.
                if matches!(self.site.state(run), State::Finished(_)) {
                    self.statuses[index] = Status::Done;
                    self.display
                        .ended(&run.name, "done by another process", 0.0);
                    continue;
                }
            }
            match self.needed(run) {
                Status::Done if !self.fits(run) => {}
                Status::Done => {
                    let child = start(&self.site.on(&self.places[place]), run)?;
                    let path = self.site.folder(&run.name);
                    self.statuses[index] = Status::Running;
                    self.attempts[index] += 1;
                    self.active.push(Active {
                        run: index,
                        place,
                        child,
                        tail: Tail::new(path.join("log.jsonl")),
                        since: Instant::now(),
                        asked: false,
                    });
                }
                Status::Failed => {
                    let needs = run.needs.as_deref().unwrap_or_default();
                    let reason = format!("it needs {needs}, which failed");
                    let line = format!("not run: {reason}");
                    self.fail(index, reason);
                    self.display.ended(&run.name, &line, self.left());
                }
                Status::Waiting | Status::Running => {}
            }
        }
        Ok(())
    }

    /// A place where no run is in progress.
    fn free(&self) -> Option<usize> {
        let taken = |place: &usize| self.active.iter().any(|active| active.place == *place);
        (0..self.places.len()).find(|place| !taken(place))
    }

    /// Whether there is memory for it next to the runs in progress; one run alone always may start.
    fn fits(&self, run: &Run) -> bool {
        let taken = self
            .active
            .iter()
            .map(|a| self.runs[a.run].estimate.memory_mib);
        let wanted = taken.sum::<f64>() + run.estimate.memory_mib;
        self.active.is_empty() || self.memory.is_none_or(|memory| wanted <= memory)
    }

    /// What started from a run that was done again counts only if that came to the same weights.
    fn look_again(&mut self, pretrain: usize) {
        let name = Some(&self.runs[pretrain].name);
        for (run, status) in self.runs.iter().zip(&mut self.statuses) {
            if run.needs.as_ref() == name
                && *status == Status::Done
                && !matches!(self.site.state(run), State::Finished(_))
            {
                *status = Status::Waiting;
            }
        }
    }

    fn fail(&mut self, run: usize, reason: String) {
        self.statuses[run] = Status::Failed;
        self.failures.push((self.runs[run].clone(), reason));
    }

    /// How what a run starts from stands.
    fn needed(&self, run: &Run) -> Status {
        let Some(name) = &run.needs else {
            return Status::Done;
        };
        let index = self.by_name.get(name.as_str());
        index.map_or(Status::Failed, |&index| self.statuses[index])
    }

    fn show(&self) {
        let going = self
            .active
            .iter()
            .map(|a| (self.runs[a.run].name.as_str(), &a.tail.last));
        let now: f64 = self.active.iter().map(Active::seconds).sum();
        let spent = (self.spent + now) / self.places.len() as f64;
        self.display.running(going, spent, self.left());
    }

    /// Seconds until all is done.
    fn left(&self) -> f64 {
        let statuses = self.runs.iter().zip(&self.statuses);
        let waiting: f64 = statuses
            .filter(|(_, status)| **status == Status::Waiting)
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
        (waiting + running) / self.places.len() as f64
    }
}
