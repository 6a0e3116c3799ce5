//! `cluster.toml`: what a cluster wants to know of its jobs.

use crate::plan::Kind;
use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use std::fs;
use std::path::Path;

/// The file. All of it is optional: what is not said is the cluster's default.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    pub partition: Option<String>,
    pub account: Option<String>,
    pub qos: Option<String>,
    /// Generic resources of one run, such as `gpu:1` or `gpu:a100:1`.
    pub gres: Option<String>,
    /// Time limit of one run, as `24:00:00`; a run that takes longer continues in a new task.
    pub time: Option<String>,
    /// Memory of one run, as `32G`.
    pub memory: Option<String>,
    /// Cores of one run; also its threads, unless `--threads` says otherwise.
    pub cpus: Option<u32>,
    /// Tasks of an array that may run at a time.
    pub concurrency: Option<u32>,
    /// Seconds before the time limit in which a run writes a checkpoint and goes back to the queue.
    pub grace: Option<u32>,
    /// Any other options of `sbatch`, as `--constraint=a100`.
    #[serde(default)]
    pub extra: Vec<String>,
    /// Lines of sh before a run: modules, a container's environment.
    #[serde(default)]
    pub prologue: Vec<String>,
    /// A node's own folder that the images are copied to, once a node; may hold `$VARIABLES` of the node.
    pub scratch: Option<String>,
    /// What is other for pretrainings,
    #[serde(default)]
    pub pretrain: Needs,
    /// and for probes.
    #[serde(default)]
    pub probe: Needs,
}

/// What runs of a kind need other than the rest.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Needs {
    pub partition: Option<String>,
    pub gres: Option<String>,
    pub time: Option<String>,
    pub memory: Option<String>,
    pub concurrency: Option<u32>,
    /// Further options, after those of all.
    #[serde(default)]
    pub extra: Vec<String>,
}

/// What the scripts say themselves: another value would break what they rely on.
const OURS: [&str; 12] = [
    "array",
    "chdir",
    "comment",
    "dependency",
    "error",
    "job-name",
    "no-requeue",
    "open-mode",
    "output",
    "requeue",
    "signal",
    "wrap",
];

/// Seconds that writing a checkpoint may take, where nothing is said.
const GRACE: u32 = 120;

impl Cluster {
    pub fn read(path: &Path) -> Result<Cluster> {
        let failed = || format!("{} cannot be read", path.display());
        let text = fs::read_to_string(path).with_context(failed)?;
        Cluster::parse(&text).with_context(failed)
    }

    pub fn parse(text: &str) -> Result<Cluster> {
        let cluster: Cluster = match toml::from_str(text) {
            Ok(cluster) => cluster,
            Err(error) => bail!("{}", explain(&error, text)),
        };
        cluster.check()?;
        Ok(cluster)
    }

    pub fn grace(&self) -> u32 {
        self.grace.unwrap_or(GRACE)
    }

    /// Whether its jobs have a GPU.
    pub fn has_gpu(&self) -> bool {
        let all = [&self.gres, &self.pretrain.gres, &self.probe.gres];
        all.into_iter().flatten().any(|gres| gres.contains("gpu"))
    }

    /// The `#SBATCH` options of an array of this kind, `(name, value)`.
    pub fn options(&self, kind: Kind) -> Vec<(&'static str, String)> {
        let own = match kind {
            Kind::Pretrain => &self.pretrain,
            Kind::Probe => &self.probe,
        };
        let either = |own: &Option<String>, all: &Option<String>| own.clone().or(all.clone());
        let options = [
            ("partition", either(&own.partition, &self.partition)),
            ("account", self.account.clone()),
            ("qos", self.qos.clone()),
            ("gres", either(&own.gres, &self.gres)),
            ("time", either(&own.time, &self.time)),
            ("mem", either(&own.memory, &self.memory)),
            ("cpus-per-task", self.cpus.map(|cpus| cpus.to_string())),
        ];
        let given = |(name, value): (&'static str, Option<String>)| Some((name, value?));
        options.into_iter().filter_map(given).collect()
    }

    /// Further options of an array of this kind, as they are written.
    pub fn extra(&self, kind: Kind) -> impl Iterator<Item = &String> {
        let own = match kind {
            Kind::Pretrain => &self.pretrain,
            Kind::Probe => &self.probe,
        };
        self.extra.iter().chain(&own.extra)
    }

    /// Tasks of an array of this kind at a time.
    pub fn concurrency(&self, kind: Kind) -> Option<u32> {
        let own = match kind {
            Kind::Pretrain => self.pretrain.concurrency,
            Kind::Probe => self.probe.concurrency,
        };
        own.or(self.concurrency)
    }

    /// Refuses what would be read as something else in a script.
    fn check(&self) -> Result<()> {
        for kind in [Kind::Pretrain, Kind::Probe] {
            for (name, value) in self.options(kind) {
                let plain = |c: char| c.is_ascii_alphanumeric() || "_.:,-=/+@*()&|!".contains(c);
                ensure!(
                    !value.is_empty() && value.chars().all(plain),
                    "{name} = {value:?}: expected one word of letters, digits and _.:,-=/+@*()&|!"
                );
            }
        }
        for option in self.extra(Kind::Pretrain).chain(&self.probe.extra) {
            let plain = |c: char| c.is_ascii_graphic() && !"\"'`\\$".contains(c);
            let name = option
                .strip_prefix("--")
                .map(|rest| rest.split('=').next().unwrap_or(rest));
            ensure!(
                name.is_some_and(|name| !name.is_empty()) && option.chars().all(plain),
                "extra = [{option:?}]: expected one option of sbatch in one word, as --constraint=a100"
            );
            ensure!(
                name.is_none_or(|name| !OURS.contains(&name)),
                "extra = [{option:?}]: the scripts decide that themselves"
            );
        }
        for (name, value) in [
            ("cpus", self.cpus),
            ("concurrency", self.concurrency),
            ("pretrain.concurrency", self.pretrain.concurrency),
            ("probe.concurrency", self.probe.concurrency),
        ] {
            ensure!(value != Some(0), "{name} = 0: expected 1 or more");
        }
        if let Some(scratch) = &self.scratch {
            let plain = |c: char| !c.is_control() && !"\"\\`".contains(c);
            ensure!(
                scratch.starts_with(['/', '$'])
                    && !scratch.contains("$(")
                    && scratch.chars().all(plain),
                "scratch = {scratch:?}: expected an absolute path or one that starts with a $VARIABLE"
            );
        }
        let one = |line: &String| !line.contains(['\n', '\r']);
        ensure!(
            self.prologue.iter().all(one),
            "prologue: expected a list of single lines"
        );
        Ok(())
    }
}

/// An error of the TOML reader as one line: where, what, and the nearest key for an unknown one.
fn explain(error: &toml::de::Error, text: &str) -> String {
    let line = error.span().map_or_else(String::new, |span| {
        let before = text.get(..span.start).unwrap_or(text);
        format!("line {}: ", before.matches('\n').count() + 1)
    });
    let message = error.message().lines().next().unwrap_or_default();
    let Some(rest) = message.strip_prefix("unknown field ") else {
        return format!("{line}{message}");
    };
    let mut quoted = rest.split('`').skip(1).step_by(2);
    let key = quoted.next().unwrap_or_default();
    let nearest = quoted.min_by_key(|known| strsim::damerau_levenshtein(key, known));
    match nearest {
        Some(known) => format!("{line}unknown key `{key}`, did you mean `{known}`?"),
        None => format!("{line}unknown key `{key}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_may_need_other_things_than_the_rest() {
        let text = "partition = \"gpu\"\ntime = \"24:00:00\"\ncpus = 8\nconcurrency = 64\n\
            [probe]\ntime = \"2:00:00\"\nconcurrency = 256";
        let cluster = Cluster::parse(text).unwrap();
        let time = |kind| {
            let options = cluster.options(kind);
            options.iter().find(|(name, _)| *name == "time").cloned()
        };
        assert_eq!(time(Kind::Pretrain).unwrap().1, "24:00:00");
        assert_eq!(time(Kind::Probe).unwrap().1, "2:00:00");
        assert_eq!(cluster.concurrency(Kind::Pretrain), Some(64));
        assert_eq!(cluster.concurrency(Kind::Probe), Some(256));
        let text = "extra = [\"--constraint=a100\"]\n[probe]\nextra = [\"--qos=long\"]";
        let more = Cluster::parse(text).unwrap();
        assert_eq!(
            (
                more.extra(Kind::Pretrain).count(),
                more.extra(Kind::Probe).count()
            ),
            (1, 2)
        );
        assert_eq!(cluster.grace(), 120);
        assert!(!cluster.has_gpu());
        assert_eq!(Cluster::parse("").unwrap(), Cluster::default());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, expected) in [
            (
                "cpus = 2\nmemroy = \"1G\"",
                "line 2: unknown key `memroy`, did you mean `memory`?",
            ),
            ("[probe]\ntmie = \"1\"", "did you mean `time`?"),
            ("cpus = \"x\"", "line 1: invalid type"),
            ("cpus = 0", "cpus = 0: expected 1 or more"),
            (
                "partition = \"a b\"",
                "partition = \"a b\": expected one word",
            ),
            ("account = \"a\\n#SBATCH --uid=0\"", "account = "),
            (
                "scratch = \"tmp\"",
                "scratch = \"tmp\": expected an absolute path",
            ),
            ("scratch = \"$(rm x)\"", "scratch = "),
            (
                "extra = [\"-C a100\"]",
                "expected one option of sbatch in one word",
            ),
            (
                "[probe]\nextra = [\"--array=0-9\"]",
                "the scripts decide that themselves",
            ),
        ] {
            let error = Cluster::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
