//! Who runs a plan, on the command line.

use crate::executor::{Cluster, Slurm};
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
