//! Runs on this machine, some side by side, all stopped on Ctrl-C.

use std::collections::BTreeMap;
use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{Executor, Outcome, Site, index};
use crate::folder::Folder;
use crate::plan::{Costs, Plan, Run};
use crate::progress::{Display, Tail, duration};

/// This machine, so many runs at a time.
pub struct Local {
    pub jobs: usize,
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

impl Executor for Local {
    fn execute(&self, site: &Site, plan: &Plan) -> Result<Outcome> {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = stop.clone();
        ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))
            .context("failed to listen for Ctrl-C")?;
        let mut board = Board::new(site, &plan.runs, self.jobs);
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
}

fn start(site: &Site, run: &Run) -> Result<Child> {
    let path = site.open(run)?;
    let log = path.join("stderr.log");
    let stderr =
        File::create(&log).with_context(|| format!("failed to write {}", log.display()))?;
    let command = site.command(run);
    Command::new(&command[0])
        .args(&command[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .with_context(|| format!("failed to start {}", command[0]))
}

/// Where every run of a job stands.
struct Board<'a> {
    site: &'a Site<'a>,
    runs: &'a [Run],
    jobs: usize,
    by_name: BTreeMap<&'a str, usize>,
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
    fn new(site: &'a Site<'a>, runs: &'a [Run], jobs: usize) -> Board<'a> {
        let mut costs = Costs::new();
        let states: Vec<State> = runs
            .iter()
            .map(|run| match site.finished(run) {
                Some(metrics) => {
                    costs.add(run, metrics.common().seconds);
                    State::Done
                }
                None => State::Waiting,
            })
            .collect();
        let finished = states.iter().filter(|state| **state == State::Done).count();
        if finished > 0 {
            eprintln!("{finished} of {} runs are finished already", runs.len());
        }
        Board {
            site,
            runs,
            jobs,
            by_name: index(runs),
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
            let path = self.site.folder(&run.name);
            self.spent += ended.seconds();
            let line = match self.site.finished(run).filter(|_| status.success()) {
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
            if self.active.len() >= self.jobs {
                break;
            }
            if self.states[index] != State::Waiting {
                continue;
            }
            match self.needed(run) {
                State::Done => {
                    let child = start(self.site, run)?;
                    let path = self.site.folder(&run.name);
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
        let index = self.by_name.get(name.as_str());
        index.map_or(State::Failed, |&index| self.states[index])
    }

    fn show(&self) {
        let going = self
            .active
            .iter()
            .map(|a| (self.runs[a.run].name.as_str(), &a.tail.last));
        let now: f64 = self.active.iter().map(Active::seconds).sum();
        let spent = (self.spent + now) / self.jobs as f64;
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
        (waiting + running) / self.jobs as f64
    }
}
