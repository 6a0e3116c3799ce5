//! How long a plan takes on so many workers: list scheduling over its estimates.

use super::Run;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// When a plan ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// Seconds until the last run has ended.
    pub end: f64,
    /// Share of the workers' time that runs take.
    pub busy: f64,
}

/// The longest chain of runs, each needing the one before: no number of workers is faster.
pub fn critical_path(runs: &[&Run], seconds: impl Fn(&Run) -> f64) -> f64 {
    let heads: BTreeMap<&str, f64> = runs
        .iter()
        .map(|run| (run.name.as_str(), seconds(run)))
        .collect();
    let chain = |run: &Run| {
        let before = run
            .needs
            .as_ref()
            .and_then(|needs| heads.get(needs.as_str()));
        seconds(run) + before.copied().unwrap_or(0.0)
    };
    runs.iter().map(|run| chain(run)).fold(0.0, f64::max)
}

/// Gives every worker that is free the longest chain of those that may start, as Slurm does with arrays in the order
/// of the plan, or a little better. What is needed and not in `runs` is finished.
pub fn schedule(runs: &[&Run], workers: usize, seconds: impl Fn(&Run) -> f64) -> Schedule {
    let names: BTreeMap<&str, usize> = runs
        .iter()
        .enumerate()
        .map(|(i, run)| (run.name.as_str(), i))
        .collect();
    let mut children: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut free = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        match run
            .needs
            .as_ref()
            .and_then(|needs| names.get(needs.as_str()))
        {
            Some(&parent) => children.entry(parent).or_default().push(index),
            None => free.push(index),
        }
    }
    // Milliseconds order where numbers with a fraction do not.
    let time: Vec<u64> = runs
        .iter()
        .map(|run| (1e3 * seconds(run)).round().max(0.0) as u64)
        .collect();
    let rank = |index: usize| {
        let after = children
            .get(&index)
            .into_iter()
            .flatten()
            .map(|&child| time[child])
            .max();
        (time[index] + after.unwrap_or(0), Reverse(index))
    };
    let mut ready: BinaryHeap<_> = free.into_iter().map(|index| (rank(index), index)).collect();
    let mut going: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
    let mut now = 0;
    loop {
        while going.len() < workers.max(1)
            && let Some((_, index)) = ready.pop()
        {
            going.push(Reverse((now + time[index], index)));
        }
        let Some(Reverse((end, index))) = going.pop() else {
            break;
        };
        now = end;
        ready.extend(
            children
                .get(&index)
                .into_iter()
                .flatten()
                .map(|&child| (rank(child), child)),
        );
    }
    let work: u64 = time.iter().sum();
    Schedule {
        end: now as f64 / 1e3,
        busy: work as f64 / (now.max(1) as f64 * workers.max(1) as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::test_run;

    /// Two pretrainings of 10 and 4 hours with two probes each of an hour.
    fn runs() -> Vec<Run> {
        let mut runs = vec![test_run("a", None, 10.0), test_run("b", None, 4.0)];
        for (name, needs) in [("a1", "a"), ("a2", "a"), ("b1", "b"), ("b2", "b")] {
            runs.push(test_run(name, Some(needs), 1.0));
        }
        runs
    }

    #[test]
    fn the_end_lies_between_the_work_shared_out_and_the_critical_path() {
        let runs = runs();
        let runs: Vec<&Run> = runs.iter().collect();
        let seconds = |run: &Run| run.estimate.seconds;
        assert_eq!(critical_path(&runs, seconds), 11.0);
        let ends = [1, 2, 3, 1000].map(|workers| schedule(&runs, workers, seconds).end);
        assert_eq!(ends, [18.0, 11.0, 11.0, 11.0]);
        assert_eq!(schedule(&runs, 1, seconds).busy, 1.0);
        assert_eq!(schedule(&runs, 1000, seconds).busy, 18.0 / 11_000.0);
        // The pretraining is finished: only its probes are left.
        assert_eq!(schedule(&runs[2..4], 1, seconds).end, 2.0);
        assert_eq!(schedule(&[], 4, seconds).end, 0.0);
    }
}
