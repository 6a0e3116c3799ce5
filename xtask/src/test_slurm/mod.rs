//! `cargo xtask test-slurm`: table 3 on a real Slurm that is mistreated meanwhile, and a study, to the numbers of this
//! machine alone.

mod loopback;

use crate::checkout;
use anyhow::{Context, Result, ensure};
use cass_reproduce::Device;
use loopback::{Loopback, NODES, signal, until};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant, SystemTime};
use std::{env, fs};

#[derive(clap::Args)]
pub struct Args {
    /// Only trials whose names contain this; may be given several times.
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// Keep the folder, with all logs.
    #[arg(long)]
    keep: bool,
}

/// Name, job, what happens meanwhile.
type Trial = (&'static str, Job, fn(&mut Bench, &mut Child) -> Result<()>);

const TRIALS: &[Trial] = &[
    ("undisturbed", Job::Table, |_, _| Ok(())),
    ("study", Job::Study, |_, _| Ok(())),
    ("node-killed", Job::Part, node_killed),
    ("slurmd-killed", Job::Part, slurmd_killed),
    ("controller-restarted", Job::Part, controller_restarted),
    ("task-cancelled", Job::Part, task_cancelled),
];

/// What is run, on this machine and on the cluster.
#[derive(Clone, Copy, PartialEq)]
enum Job {
    /// All of table 3.
    Table,
    /// One pretraining and the probes of one of its networks.
    Part,
    /// A study of a folder of images.
    Study,
}

impl Job {
    /// The folder of its results on this machine.
    fn name(self) -> &'static str {
        match self {
            Self::Table => "all",
            Self::Part => "part",
            Self::Study => "local-study",
        }
    }
}

/// For whatever comes next, on a machine that may have other work.
const PATIENCE: Duration = Duration::from_secs(900);

pub fn test(args: &Args) -> Result<ExitCode> {
    install()?;
    let cass = checkout::cass(&Device("cpu".to_owned()))?;
    let dir = env::temp_dir().join(format!("cass-slurm-{}", std::process::id()));
    fs::create_dir_all(&dir).with_context(|| format!("{} cannot be created", dir.display()))?;
    let result = trials(args, &cass, &dir);
    let lost = *result.as_ref().unwrap_or(&1);
    if lost > 0 || args.keep {
        eprintln!("all logs are in {}", dir.display());
    } else {
        fs::remove_dir_all(&dir).with_context(|| format!("{} cannot be removed", dir.display()))?;
    }
    Ok(ExitCode::from(u8::from(result? > 0)))
}

/// How many went wrong.
fn trials(args: &Args, cass: &Path, dir: &Path) -> Result<usize> {
    let slurm = Loopback::start(dir)?;
    let mut bench = Bench {
        slurm,
        cass: cass.to_owned(),
        out: PathBuf::new(),
    };
    let mut lost = 0;
    for (name, job, disturb) in TRIALS {
        let wanted = |only: &String| name.contains(only.as_str());
        if !args.only.is_empty() && !args.only.iter().any(wanted) {
            continue;
        }
        let since = Instant::now();
        let outcome = bench.trial(name, *job, *disturb);
        let seconds = since.elapsed().as_secs();
        match outcome {
            Ok(cells) => {
                println!("passed  {name}: {cells} cells equal the local executor's ({seconds} s)")
            }
            Err(error) => {
                println!("FAILED  {name}: {error:#} ({seconds} s)");
                lost += 1;
            }
        }
    }
    Ok(lost)
}

struct Bench {
    slurm: Loopback,
    cass: PathBuf,
    /// Output folder of the present trial.
    out: PathBuf,
}

impl Bench {
    fn trial(
        &mut self,
        name: &str,
        job: Job,
        disturb: fn(&mut Bench, &mut Child) -> Result<()>,
    ) -> Result<usize> {
        let local = self.slurm.dir.join(job.name());
        if !local.join("results.csv").exists() {
            let status = self.start(job, &local, &[])?.wait()?;
            ensure!(status.success(), "it did not run on this machine: {status}");
        }
        self.out = self.slurm.dir.join(name);
        let mut running = self.start(job, &self.out, SLURM)?;
        let disturbed = disturb(self, &mut running);
        if disturbed.is_err() {
            let _ = running.kill();
        }
        let status = running.wait()?;
        disturbed?;
        ensure!(status.success(), "it ended with {status}");
        let left = self.slurm.says("squeue", &["-h"])?;
        ensure!(
            left.trim().is_empty(),
            "something is left in the queue: {left}"
        );
        for node in 0..NODES.len() {
            if !self.is_up(node) {
                self.slurm.kill_node(node);
                self.slurm.start_node(node)?;
            }
        }
        match job {
            Job::Study => compare_studies(&local, &self.out),
            Job::Table | Job::Part => compare(&local, &self.out),
        }
    }

    /// The images of the study: phantoms, in a folder a class.
    fn scans(&self) -> Result<PathBuf> {
        let scans = self.slurm.dir.join("scans");
        if !scans.exists() {
            let mut draw = Command::new(&self.cass);
            draw.args(["data", "phantom", "--size", "32", "--train-per-class", "12"]);
            draw.args(["--test-per-class", "4", "--out"]).arg(&scans);
            checkout::succeed(draw.stdout(Stdio::null()))?;
        }
        Ok(scans.join("Training"))
    }

    fn start(&self, job: Job, out: &Path, more: &[&str]) -> Result<Child> {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.slurm.dir.join("log/job.txt"))?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "INT"]); // nor does this one outlive the test
        match job {
            Job::Table | Job::Part => {
                // The least scale: what is asked is whether both say the same.
                let profile = checkout::workspace().join("xtask/src/check/quick.toml");
                let table = ["reproduce", "--table", "3", "--profile"];
                command.arg(env::current_exe()?).args(table).arg(profile);
            }
            Job::Study => {
                command.arg(&self.cass).arg("study").arg(self.scans()?);
                command.args(["--size", "16", "--epochs", "1", "--finetune-epochs", "1"]);
                command.args(["--budget", "1m"]);
            }
        }
        if job == Job::Part {
            command.args(["--only", "cass-cnn"]);
        }
        command
            .args(["--seeds", "1", "--device", "cpu", "--threads", "1", "--out"])
            .arg(out)
            .args(more)
            .env("SLURM_CONF", self.slurm.conf())
            .env("CASS_BIN", &self.cass)
            .env("CASS_TWIN_SECONDS", "2")
            .stdout(Stdio::null())
            .stderr(log);
        command.spawn().context("setpriv cannot be started")
    }

    fn is_up(&self, node: usize) -> bool {
        let state = self
            .slurm
            .says("sinfo", &["-h", "-n", NODES[node], "-o", "%T"]);
        state
            .is_ok_and(|state| ["idle", "mixed", "allocated", "completing"].contains(&state.trim()))
    }

    /// Waits until the pretraining trains, and pauses it: it is in the middle for as long as it takes.
    fn pause_training(&self) -> Result<(usize, u32)> {
        let mut found = None;
        until("a pretraining train", PATIENCE, || {
            found = self.training();
            found.is_some()
        })?;
        let (node, pid) = found.context("the pretraining cannot be found")?;
        signal(pid, "STOP")?;
        ensure!(
            !self.is_pretrained(),
            "the pretraining ended before it was paused"
        );
        Ok((node, pid))
    }

    fn training(&self) -> Option<(usize, u32)> {
        let log = fs::read_to_string(self.pretrain()?.join("log.jsonl")).ok()?;
        if !log.contains("\"step\"") {
            return None;
        }
        (0..NODES.len()).find_map(|node| Some((node, self.slurm.cass(node)?)))
    }

    fn pretrain(&self) -> Option<PathBuf> {
        let entries = fs::read_dir(self.out.join("runs")).ok()?.flatten();
        entries.map(|entry| entry.path()).find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("pretrain-"))
        })
    }

    fn is_pretrained(&self) -> bool {
        self.pretrain()
            .is_some_and(|path| path.join("metrics.json").exists())
    }

    /// Whether a log of a task holds this.
    fn logged(&self, text: &str) -> bool {
        let logs = fs::read_dir(self.out.join("slurm/1/log"))
            .into_iter()
            .flatten()
            .flatten();
        let mut texts = logs.filter_map(|log| fs::read_to_string(log.path()).ok());
        texts.any(|log| log.contains(text))
    }
}

const SLURM: &[&str] = &["--executor", "slurm"];

/// All that runs on the node is gone: Slurm finds out, and the run continues elsewhere.
fn node_killed(bench: &mut Bench, _: &mut Child) -> Result<()> {
    let (node, _) = bench.pause_training()?;
    bench.slurm.kill_node(node);
    until("the pretraining go on elsewhere", PATIENCE, || {
        bench.is_pretrained()
    })
}

/// Slurm takes the node for dead and starts the run a second time, while the first still continues.
fn slurmd_killed(bench: &mut Bench, _: &mut Child) -> Result<()> {
    let (node, pid) = bench.pause_training()?;
    bench.slurm.kill_slurmd(node)?;
    let twin = until("the run started twice", PATIENCE, || {
        bench.logged("is running in it")
    });
    signal(pid, "CONT")?;
    twin?;
    until("the first one finish", PATIENCE, || bench.is_pretrained())
}

/// The controller dies, some time after the submission, and comes back.
fn controller_restarted(bench: &mut Bench, _: &mut Child) -> Result<()> {
    let (_, pid) = bench.pause_training()?;
    // What it has not saved it does not know afterwards: it would start the task a second time, and find it there.
    let task = bench.slurm.running_task()?;
    let before = SystemTime::now();
    let update = [format!("JobId={task}"), "Comment=saved".to_owned()];
    bench
        .slurm
        .says("scontrol", &["update", &update[0], &update[1]])?;
    until("the controller save its jobs", PATIENCE, || {
        bench.slurm.saved().is_some_and(|saved| saved > before)
    })?;
    bench.slurm.kill_controller()?;
    signal(pid, "CONT")?;
    until("the pretraining end without a controller", PATIENCE, || {
        bench.is_pretrained()
    })?;
    bench.slurm.start_controller()
}

/// A task is cancelled: the job ends incomplete, and the same command continues from there.
fn task_cancelled(bench: &mut Bench, job: &mut Child) -> Result<()> {
    let (_, pid) = bench.pause_training()?;
    let task = bench.slurm.running_task()?;
    bench.slurm.says("scancel", &[&task])?;
    signal(pid, "CONT")?;
    let status = job.wait()?;
    ensure!(
        status.code() == Some(1),
        "a job with a cancelled task ended with {status}"
    );
    ensure!(
        !bench.is_pretrained(),
        "the task ended before it was cancelled"
    );
    *job = bench.start(Job::Part, &bench.out, SLURM)?;
    Ok(())
}

/// Both results are the same but for times; returns the number of cells with a value.
fn compare(local: &Path, slurm: &Path) -> Result<usize> {
    let read = |dir: &Path| -> Result<Value> {
        let path = dir.join("results.json");
        let text = fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        let mut value = serde_json::from_slice(&text)?;
        without_times(&mut value);
        Ok(value)
    };
    let (one, other) = (read(local)?, read(slurm)?);
    if let Some(path) = difference(&one, &other) {
        anyhow::bail!("results.json differs from {} at {path}", local.display());
    }
    let cells = one["cells"].as_array().into_iter().flatten();
    let full = cells.filter(|cell| cell["n"].as_u64() == Some(1)).count();
    ensure!(full > 0, "there is no cell with a value to compare");
    Ok(full)
}

/// Every score and every comparison is the same to the last digit; returns the number of scores.
fn compare_studies(local: &Path, slurm: &Path) -> Result<usize> {
    let mut scores = 0;
    for name in ["verdicts.csv", "results.csv"] {
        let read = |dir: &Path| {
            let path = dir.join(name);
            fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))
        };
        let (one, other) = (read(local)?, read(slurm)?);
        let differs = || format!("{name} differs from that in {}", local.display());
        ensure!(one == other, differs());
        scores = one.lines().skip(1).count();
    }
    ensure!(scores > 0, "there is no score to compare");
    Ok(scores)
}

fn without_times(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| {
                !["seconds", "hours", "started", "images_per_s"]
                    .iter()
                    .any(|time| name.contains(time))
            });
            fields.values_mut().for_each(without_times);
        }
        Value::Array(values) => values.iter_mut().for_each(without_times),
        _ => {}
    }
}

/// Where two values first differ.
fn difference(one: &Value, other: &Value) -> Option<String> {
    match (one, other) {
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
            a.iter().find_map(|(key, value)| {
                difference(value, &b[key]).map(|rest| format!(".{key}{rest}"))
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let pairs = a.iter().zip(b).enumerate();
            pairs
                .into_iter()
                .find_map(|(i, (a, b))| difference(a, b).map(|rest| format!("[{i}]{rest}")))
        }
        _ => (one != other).then(|| format!(": {one} and {other}")),
    }
}

/// Slurm's packages, where they are missing.
fn install() -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    let root = fs::metadata("/proc/self").is_ok_and(|data| data.uid() == 0);
    ensure!(
        root,
        "a Slurm cannot be started: it needs root, in a container for example"
    );
    let has = |program: &str| {
        ["/usr/bin", "/usr/sbin"]
            .iter()
            .any(|dir| Path::new(dir).join(program).exists())
    };
    if ["slurmctld", "slurmd", "sbatch", "munged"]
        .into_iter()
        .all(has)
    {
        return Ok(());
    }
    let script = "apt-get update && apt-get install -y --no-install-recommends \
        slurmctld slurmd slurm-client munge";
    let status = Command::new("sh")
        .args(["-c", script])
        .stdout(Stdio::null())
        .status()?;
    ensure!(
        status.success(),
        "Slurm's packages cannot be installed with apt-get"
    );
    Ok(())
}
