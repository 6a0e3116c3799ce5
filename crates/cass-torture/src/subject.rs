//! What is mistreated: the three commands that leave runs, and what each leaves undisturbed.

use crate::process::{Allowed, Ended, Running};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// A command, and what it leaves when nothing disturbs it.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    args: Vec<String>,
    /// Length and SHA-256 of each result by its path in the folder.
    results: BTreeMap<String, String>,
    /// What it takes.
    pub(crate) time: Duration,
}

impl Subject {
    /// Runs the command once, undisturbed.
    pub(crate) fn new(name: &'static str, args: &str, cass: &Path, folder: &Path) -> Result<Self> {
        let args = args.split_whitespace().map(str::to_owned).collect();
        let mut subject = Self {
            name,
            args,
            results: BTreeMap::new(),
            time: Duration::ZERO,
        };
        let since = Instant::now();
        let out = folder.join(format!("whole-{name}"));
        let ended = Running::start(cass, folder, &subject.command(&out), Allowed::All)?.end()?;
        ensure!(
            ended.code == Some(0),
            "an undisturbed {name} fails: {}",
            ended.said
        );
        subject.time = since.elapsed();
        subject.results = results(&out)?;
        ensure!(
            !subject.results.is_empty(),
            "an undisturbed {name} leaves nothing"
        );
        Ok(subject)
    }

    /// The command line, into `out`.
    pub(crate) fn command(&self, out: &Path) -> Vec<String> {
        let mut args = self.args.clone();
        args.extend(["--out".into(), out.display().to_string()]);
        args
    }

    /// Whether what lies in `out` is what an undisturbed run leaves.
    pub(crate) fn expect_whole(&self, out: &Path) -> Result<()> {
        let found = results(out)?;
        for (name, whole) in &self.results {
            let found = found
                .get(name)
                .with_context(|| format!("{name} is missing in the end"))?;
            ensure!(
                found == whole,
                "{name} differs from that of an undisturbed run"
            );
        }
        Ok(())
    }

    /// Holds the end of a last attempt to its promise: the whole result, or one line that refuses.
    pub(crate) fn expect_done(&self, ended: &Ended, out: &Path) -> Result<()> {
        match ended.code {
            Some(0) => self.expect_whole(out),
            code => anyhow::bail!(
                "the same command ends with {code:?} in the end: {}",
                ended.said.trim()
            ),
        }
    }

    /// The same where files were damaged: that may be refused.
    pub(crate) fn expect_done_or_refused(&self, ended: &Ended, out: &Path) -> Result<()> {
        match ended.code {
            Some(2) => Ok(()),
            _ => self.expect_done(ended, out),
        }
    }
}

/// Files whose bytes a run decides alone, by their paths below a folder.
fn results(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    walk(folder, "", &mut |name, path| {
        let last = name.rsplit('/').next().unwrap_or(name);
        let kept = last.starts_with("checkpoint") && last.ends_with(".safetensors")
            || ["predictions.csv", "manifest.tsv", "neighbours.safetensors"].contains(&last);
        if kept && !name.contains("resume/") {
            found.insert(name.into(), cass_run::sha256_of(path)?);
        }
        Ok(())
    })?;
    Ok(found)
}

/// Every regular file below a folder, in order; links are not followed.
pub(crate) fn walk(
    folder: &Path,
    below: &str,
    each: &mut dyn FnMut(&str, &Path) -> Result<()>,
) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(());
    };
    let mut entries: Vec<_> = entries.collect::<std::io::Result<_>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = format!("{below}{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            walk(&entry.path(), &format!("{name}/"), each)?;
        } else if kind.is_file() {
            each(&name, &entry.path())?;
        }
    }
    Ok(())
}
