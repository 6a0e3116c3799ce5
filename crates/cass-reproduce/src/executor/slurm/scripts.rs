//! A plan as job arrays: files of plain text that a person can read, and start by hand with `sh submit.sh`.
//!
//! All of them lie in one folder and are named relative to it, so that no path needs quoting in an `#SBATCH` line.

use super::cluster::Cluster;
use crate::plan::{Kind, Run};
use anyhow::{Result, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// What every task runs.
const RUN: &str = include_str!("run.sh");
/// Slurm's own default allows indices up to 1000.
const LONGEST: usize = 1000;

/// A job array, whose tasks run in any order.
pub struct Array<'a> {
    /// File name without extension.
    pub name: String,
    pub kind: Kind,
    /// The array whose tasks of the same index these need.
    pub after: Option<String>,
    /// Runs by index; not every index is taken.
    pub tasks: BTreeMap<usize, &'a Run>,
}

/// Pretrainings are one array. Of the probes, those that only need what is finished are another, and the k-th
/// probes of all pretrainings are one each: task i needs pretraining i alone (`aftercorr`), so that it starts when
/// that one has ended well, and one that fails stops nothing else.
pub fn arrays(runs: &[Run], finished: impl Fn(&Run) -> bool) -> Vec<Array<'_>> {
    let left: Vec<&Run> = runs.iter().filter(|run| !finished(run)).collect();
    let waited_for: BTreeSet<&str> = left.iter().map(|run| run.name.as_str()).collect();
    let needs = |run: &Run| {
        run.needs
            .as_deref()
            .filter(|name| waited_for.contains(name))
            .map(str::to_owned)
    };
    let mut arrays = Vec::new();
    let free = |kind| {
        left.iter()
            .copied()
            .filter(move |run| run.kind == kind && needs(run).is_none())
    };
    for (part, chunk) in chunks(free(Kind::Pretrain)).into_iter().enumerate() {
        let name = numbered("pretrain", part);
        let mut probes: BTreeMap<usize, BTreeMap<usize, &Run>> = BTreeMap::new();
        for (index, pretrain) in chunk.iter().enumerate() {
            let its = left
                .iter()
                .filter(|run| run.needs.as_ref() == Some(&pretrain.name));
            for (nth, probe) in its.enumerate() {
                probes.entry(nth).or_default().insert(index, probe);
            }
        }
        arrays.push(Array {
            name: name.clone(),
            kind: Kind::Pretrain,
            after: None,
            tasks: chunk.into_iter().enumerate().collect(),
        });
        for (nth, tasks) in probes {
            arrays.push(Array {
                name: format!("{name}-probe-{nth:02}"),
                kind: Kind::Probe,
                after: Some(name.clone()),
                tasks,
            });
        }
    }
    for (part, chunk) in chunks(free(Kind::Probe)).into_iter().enumerate() {
        arrays.push(Array {
            name: numbered("probe", part),
            kind: Kind::Probe,
            after: None,
            tasks: chunk.into_iter().enumerate().collect(),
        });
    }
    arrays
}

fn chunks<'a>(runs: impl Iterator<Item = &'a Run>) -> Vec<Vec<&'a Run>> {
    runs.collect::<Vec<_>>()
        .chunks(LONGEST)
        .map(<[_]>::to_vec)
        .collect()
}

fn numbered(name: &str, part: usize) -> String {
    if part == 0 {
        name.to_owned()
    } else {
        format!("{name}-{part}")
    }
}

/// A run's line of a tasks file: its folder, the images to copy or nothing, the command; each a word of sh.
pub struct Line {
    pub folder: String,
    /// See [`stage`](super::stage).
    pub images: String,
    pub command: Vec<String>,
    /// Stands for `--data-root` where images are copied, with the node's variables in it.
    pub data_root: Option<String>,
}

impl Line {
    fn text(&self) -> Result<String> {
        let mut words = vec![quote(&self.folder)?, quote(&self.images)?];
        let mut is_root = false;
        for word in &self.command {
            match &self.data_root {
                Some(root) if is_root => words.push(root.clone()),
                _ => words.push(quote(word)?),
            }
            is_root = word == "--data-root";
        }
        Ok(words.join(" "))
    }
}

/// A text as one word of sh, whatever is in it, on one line.
pub fn quote(word: &str) -> Result<String> {
    ensure!(
        !word.contains(['\n', '\r', '\0']),
        "{word:?} cannot be written into a script: expected a name on one line"
    );
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:,=+-".contains(c);
    Ok(if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    })
}

/// Every file by its name. `job` is what Slurm calls all of it.
pub fn files(
    arrays: &[Array<'_>],
    cluster: &Cluster,
    job: &str,
    line: impl Fn(&Run) -> Line,
) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::from([
        ("run.sh".to_owned(), RUN.to_owned()),
        ("submit.sh".to_owned(), submit(arrays)),
    ]);
    for array in arrays {
        let last = array.tasks.keys().last().copied().unwrap_or(0);
        let mut tasks = String::new();
        for index in 0..=last {
            if let Some(run) = array.tasks.get(&index) {
                tasks += &line(run).text()?;
            }
            tasks.push('\n');
        }
        files.insert(format!("{}.tasks", array.name), tasks);
        files.insert(
            format!("{}.sbatch", array.name),
            script(array, cluster, job),
        );
    }
    Ok(files)
}

/// Submits the arrays, each after what it needs, and prints their numbers.
fn submit(arrays: &[Array<'_>]) -> String {
    let mut text = "#!/bin/sh\n\
        # Submits every array, and prints its number. Where Slurm refused one, the same again submits the rest.\n\
        set -eu\n\
        cd \"$(dirname \"$0\")\"\n\
        mkdir -p log\n\
        : >> submitted.txt\n\
        array() { # FILE [OPTION...]: its number, without the cluster's name\n    \
            file=$1\n    \
            shift\n    \
            number=$(sed -n \"s/ $file\\$//p\" submitted.txt)\n    \
            if [ -z \"$number\" ]; then\n        \
                number=$(sbatch --parsable \"$@\" \"$file\")\n        \
                number=${number%%;*}\n        \
                echo \"$number $file\" >> submitted.txt\n    \
            fi\n    \
            echo \"$number $file\"\n\
        }\n"
    .to_owned();
    for array in arrays {
        let after = match &array.after {
            Some(_) => " --dependency=aftercorr:$needed --kill-on-invalid-dep=yes",
            None => "",
        };
        let _ = writeln!(text, "array {}.sbatch{after}", array.name);
        if array.kind == Kind::Pretrain {
            text += "needed=$number\n";
        }
    }
    text
}

/// What `sbatch` is given of one array.
fn script(array: &Array<'_>, cluster: &Cluster, job: &str) -> String {
    let mut text = format!(
        "#!/bin/sh\n#SBATCH --job-name={job}\n#SBATCH --comment={}\n",
        array.name
    );
    let limit = cluster.concurrency(array.kind).map(|n| format!("%{n}"));
    let _ = writeln!(
        text,
        "#SBATCH --array={}{}",
        ranges(array.tasks.keys().copied()),
        limit.unwrap_or_default()
    );
    for (name, value) in cluster.options(array.kind) {
        let _ = writeln!(text, "#SBATCH --{name}={value}");
    }
    for option in cluster.extra(array.kind) {
        let _ = writeln!(text, "#SBATCH {option}");
    }
    let _ = writeln!(text, "#SBATCH --signal=B:USR1@{}", cluster.grace());
    text += "#SBATCH --requeue\n#SBATCH --open-mode=append\n#SBATCH --output=log/%A_%a.txt\n";
    for line in &cluster.prologue {
        text += line;
        text.push('\n');
    }
    let _ = writeln!(text, "exec sh run.sh {}.tasks", array.name);
    text
}

/// `0-3,7` of ascending numbers.
fn ranges(numbers: impl Iterator<Item = usize>) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let text = |(first, last): &(usize, usize)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    ranges.iter().map(text).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_the_shell_as_they_are() {
        for word in [
            "plain/word-1.0",
            "",
            "two words",
            "it's",
            "\"$HOME\" `id` \\ ;*",
            "größe",
        ] {
            let script = format!("printf %s {}", quote(word).unwrap());
            let output = std::process::Command::new("sh")
                .args(["-c", &script])
                .output()
                .unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
        assert!(
            quote("two\nlines")
                .unwrap_err()
                .to_string()
                .contains("on one line")
        );
    }

    #[test]
    fn indices_are_ranges() {
        assert_eq!(ranges([0, 1, 2, 5, 7, 8].into_iter()), "0-2,5,7-8");
        assert_eq!(ranges([3].into_iter()), "3");
    }
}
