//! Who runs a plan and on what, on the command line.

use crate::executor::{Cluster, Executor, Local, Slurm};
use crate::machine::{Device, cores};
use anyhow::{Result, ensure};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Choice {
    /// Who runs it: this machine, or the nodes of a Slurm cluster that share the out folder.
    #[arg(long, value_enum, default_value = "local")]
    executor: Name,
    /// What the cluster wants to know of its jobs: partition, account, time and so on.
    #[arg(long, value_name = "FILE")]
    cluster: Option<PathBuf>,
    /// Submit, and do not wait; `status DIR` says how it stands.
    #[arg(long)]
    detach: bool,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Name {
    Local,
    Slurm,
}

impl Choice {
    /// The cluster that was chosen; `None`: this machine.
    pub fn slurm(&self) -> Result<Option<Slurm>> {
        if self.executor == Name::Local {
            ensure!(
                self.cluster.is_none() && !self.detach,
                "--cluster and --detach are for --executor slurm"
            );
            return Ok(None);
        }
        let cluster = self.cluster.as_deref().map(Cluster::read);
        Ok(Some(Slurm {
            cluster: cluster.transpose()?.unwrap_or_default(),
            detach: self.detach,
        }))
    }
}

/// What runs compute on, and how many of them at a time.
#[derive(clap::Args)]
pub struct Room {
    /// Where to compute: auto, cpu, cuda or cuda:N.
    #[arg(long, default_value = "auto")]
    device: Device,
    /// GPUs by their numbers, as 0,1: each has one run at a time.
    #[arg(long, value_name = "N,N", value_delimiter = ',', conflicts_with_all = ["device", "jobs"])]
    devices: Vec<u32>,
    /// Threads of one run [default: the cores, shared among the runs at a time].
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u64).range(1..))]
    threads: Option<u64>,
    /// Runs at a time, as far as memory goes.
    #[arg(long, value_name = "J", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    jobs: u64,
}

impl Room {
    /// Refuses what no executor can do.
    pub fn check(&self, slurm: Option<&Slurm>) -> Result<()> {
        ensure!(
            slurm.is_none() || self.devices.is_empty(),
            "--devices is for --executor local: a cluster gives its jobs their GPUs"
        );
        for (index, device) in self.devices.iter().enumerate() {
            ensure!(
                !self.devices[..index].contains(device),
                "--devices names GPU {device} twice: expected each once"
            );
        }
        let (jobs, cores) = (self.jobs() as u64, cores() as u64);
        let threads = self.threads.unwrap_or(1);
        ensure!(
            self.threads.is_none() || jobs.saturating_mul(threads) <= cores.max(jobs),
            "--jobs {jobs} times --threads {threads} is more than the {cores} cores"
        );
        Ok(())
    }

    /// What a run computes on: with `--devices` the first of them, which the others are taken to be like.
    pub fn device(&self, slurm: Option<&Slurm>) -> Device {
        match (slurm, self.devices.first()) {
            // Not what this computer has, but what its nodes have.
            (Some(slurm), _) => slurm.device(&self.device),
            (None, Some(number)) => Device::gpu(*number),
            (None, None) => self.device.clone().resolve(),
        }
    }

    /// Runs at a time.
    pub fn jobs(&self) -> usize {
        match self.devices.len() {
            0 => self.jobs as usize,
            devices => devices,
        }
    }

    /// Threads of one run.
    pub fn threads(&self, slurm: Option<&Slurm>) -> usize {
        match (self.threads, slurm) {
            (Some(threads), _) => threads as usize,
            (None, Some(slurm)) => slurm.threads(),
            (None, None) => (cores() / self.jobs()).max(1),
        }
    }

    /// What runs a plan, where that is this computer: `device` is what [`device`](Self::device) found.
    pub fn executor(&self, device: &Device) -> impl Executor {
        let each = self.devices.iter().map(|number| Device::gpu(*number));
        let mut places: Vec<_> = each.collect();
        if places.is_empty() {
            places = vec![device.clone(); self.jobs()];
        }
        Local { places }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        room: Room,
    }

    fn room(line: &str) -> Result<Room, String> {
        let words = ["cass"].into_iter().chain(line.split_whitespace());
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        let checked = line.room.check(None).map_err(|error| error.to_string());
        checked.map(|()| line.room)
    }

    #[test]
    fn each_gpu_has_one_run_at_a_time() {
        let two = room("--devices 2,0").unwrap();
        assert_eq!((two.jobs(), two.device(None).0), (2, "cuda:2".to_owned()));
        assert_eq!(two.threads(None), (cores() / 2).max(1));
        let one = room("--device cpu").unwrap();
        assert_eq!((one.jobs(), one.device(None).0), (1, "cpu".to_owned()));
        for (line, expected) in [
            ("--devices 1,1", "GPU 1 twice"),
            ("--devices cuda:1", "invalid value 'cuda:1'"),
            ("--devices 0,1 --jobs 2", "cannot be used with"),
            ("--devices 0 --device cpu", "cannot be used with"),
        ] {
            let error = room(line).err().expect(line);
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
