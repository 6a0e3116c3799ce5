//! `cass compare`: probes side by side.

mod method;

use crate::failure::{Failure, Result};
use crate::say::Report;
use cass_metrics::compare::Difference;
use cass_metrics::{Groups, MultiLabelPredictions};
use method::{Method, Run};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::ptr;

/// Compare finished probes on the same test images.
///
/// Runs that differ in their seed alone are one method: mean and standard deviation (n - 1) of the
/// macro F1. A method whose weights come from a pretraining is compared with the same network's
/// starting weights (random or hub) probed in the same way, or else with the first method: paired by
/// seed and image. That one helped is said from three seeds on, by a 95 % interval over seeds,
/// patients (or other groups) and test images. What cannot be compared is named with the reason.
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// Folders of finished probes.
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Compare also probes of different modes, or with different shares of labels.
    #[arg(long)]
    across: bool,
    /// Decides permutations and resamples.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

const EXAMPLE: &str = "\
Example:
  cass compare runs/random-vit-0 runs/random-vit-1 runs/cass-vit-0 runs/cass-vit-1

Exit status: 0 all were compared, 1 some could not be, 2 wrong usage or input.";

pub fn run(args: Args) -> Result<Report> {
    let methods = methods(&args)?;
    let (mut text, mut of_groups) = (String::new(), Vec::new());
    for method in &methods {
        let (mean, std) = method.mean_and_std();
        let (name, n) = (method.name(&methods), method.runs.len());
        let std_text = std.map_or(String::new(), |std| format!(" ± {std:.4}"));
        let seeds = if n == 1 {
            "1 seed".into()
        } else {
            format!("{n} seeds")
        };
        let unfinished = method.runs.iter().filter(|run| !run.converged).count();
        let mark = match unfinished {
            0 => String::new(),
            all if all == n => ", not converged".into(),
            some => format!(", {some} not converged"),
        };
        let _ = writeln!(text, "{name}: F1 macro {mean:.4}{std_text} ({seeds}{mark})");
        let values: Vec<f64> = method.runs.iter().map(|r| r.f1).collect();
        of_groups.push(json!({
            "name": name,
            "mean": mean,
            "std": std,
            "n": n,
            "values": values,
            "converged": unfinished == 0,
        }));
    }
    let (mut of_pairs, mut left_out) = (Vec::new(), Vec::new());
    for (i, second) in methods.iter().enumerate() {
        let Some(first) = reference(&methods, i, args.across) else {
            continue;
        };
        match compared(&methods, first, second, &args) {
            Ok((said, pair)) => {
                text += &said;
                of_pairs.push(pair);
            }
            Err(reason) => {
                let (of, over) = (second.name(&methods), first.name(&methods));
                let _ = writeln!(text, "not compared: {of} with {over}: {reason}");
                left_out.push(json!({"of": of, "over": over, "reason": reason}));
            }
        }
    }
    if methods
        .iter()
        .any(|m| m.runs.iter().any(|run| !run.converged))
    {
        text += "A probe that has not converged measures how long was trained as well: probe by --mode logistic.\n";
    }
    let passed = left_out.is_empty();
    let json = json!({
        "kind": "compare",
        "groups": of_groups,
        "differences": of_pairs,
        "not_compared": left_out,
    });
    Ok(Report {
        passed,
        ..Report::done(text, json)
    })
}

/// The runs by method, in the order in which they were given.
fn methods(args: &Args) -> Result<Vec<Method>> {
    let mut methods: Vec<Method> = Vec::new();
    for path in &args.runs {
        let run = Run::read(path)?;
        let alike = methods
            .iter_mut()
            .find(|m| m.runs[0].identity() == run.identity());
        match alike {
            Some(method) if method.runs.iter().any(|r| r.seed == run.seed) => {
                return Err(Failure::Wrong(format!(
                    "{} cannot be compared: another run given has its settings and seed {}",
                    path.display(),
                    run.seed
                )));
            }
            Some(method) => method.runs.push(run),
            None => methods.push(Method { runs: vec![run] }),
        }
    }
    Ok(methods)
}

/// What the `i`-th method is compared with: the starting weights of its network probed in the same way, or the first
/// method. A starting point that others are compared with needs no comparison of its own with one that is probed in
/// another way, nor where the first method is compared with it.
fn reference(methods: &[Method], i: usize, across: bool) -> Option<&Method> {
    let method = &methods[i];
    let first = (i > 0).then(|| &methods[0]);
    let start_of = |of: &Method| (methods.iter()).find(|m| m.is_start() && m.probes_as(of));
    if method.is_start() {
        let serves = |m: &Method| !m.is_start() && m.probes_as(method);
        let is_start_of =
            |f: &Method| !f.is_start() && start_of(f).is_some_and(|s| ptr::eq(s, method));
        let needs_one = |f: &Method| across || f.is_asked_as(method) || !methods.iter().any(serves);
        return first.filter(|f| !is_start_of(f) && needs_one(f));
    }
    let start = start_of(method).or_else(|| {
        let near = |m: &&Method| m.is_start() && m.is_asked_as(method);
        first.and(methods.iter().find(near))
    });
    start.or(first)
}

/// The lines on a pair of methods, and the same for programs; or why there are none.
fn compared(
    methods: &[Method],
    first: &Method,
    second: &Method,
    args: &Args,
) -> std::result::Result<(String, Value), String> {
    if !args.across && !first.is_asked_as(second) {
        return Err(
            "they differ in mode or share of labels (--across compares them all the same)".into(),
        );
    }
    let mut pairs: Vec<(&Run, &Run)> = Vec::new();
    let mut alone: Vec<u64> = Vec::new();
    for run in &second.runs {
        match first.runs.iter().find(|r| r.seed == run.seed) {
            Some(found) => pairs.push((found, run)),
            None => alone.push(run.seed),
        }
    }
    let of_second = |r: &&Run| !second.runs.iter().any(|run| run.seed == r.seed);
    alone.extend(first.runs.iter().filter(of_second).map(|r| r.seed));
    if pairs.is_empty() {
        return Err("no seed is common to both".into());
    }
    let (a, b): (Vec<&MultiLabelPredictions>, Vec<&MultiLabelPredictions>) = pairs
        .iter()
        .map(|(a, b)| (&a.predictions, &b.predictions))
        .unzip();
    // Each seed may have a split of its own, and so test images of its own.
    let known = pairs.iter().flat_map(|(a, b)| [&a.groups, &b.groups]);
    let groups = Groups::union(known.flatten());
    let difference =
        Difference::between(&a, &b, groups.as_ref(), args.seed).map_err(|e| e.to_string())?;
    let (over, of) = (first.name(methods), second.name(methods));
    let what = if first.is_start() && !second.is_start() {
        format!("pretraining ({of}) over {over}")
    } else {
        format!("{of} over {over}")
    };
    let verdict = format!("{what}: {difference}");
    let mut text = format!("{verdict}\n");
    let differs = second.differences(first);
    if !differs.is_empty() {
        let _ = writeln!(text, "  they also differ in: {}", differs.join(", "));
    }
    if !alone.is_empty() {
        alone.sort_unstable();
        let seeds: Vec<String> = alone.iter().map(u64::to_string).collect();
        let _ = writeln!(
            text,
            "  seeds of one side alone are left out: {}",
            seeds.join(", ")
        );
    }
    let mut pair = json!(difference);
    pair["of"] = json!(of);
    pair["over"] = json!(over);
    pair["verdict"] = json!(verdict);
    pair["differs_in"] = json!(differs);
    pair["seeds_left_out"] = json!(alone);
    Ok((text, pair))
}
