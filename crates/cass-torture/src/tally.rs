//! What came of the cases, by kind.

use crate::kinds::Verdict;
use std::collections::BTreeMap;
use std::fmt;

/// Counts of one kind.
#[derive(Default)]
struct Counts {
    survived: u64,
    lost: u64,
    /// Cases that this computer cannot have, and why.
    skipped: BTreeMap<String, u64>,
}

/// Counts of every kind; shown as a table.
#[derive(Default)]
pub(crate) struct Tally(BTreeMap<&'static str, Counts>);

impl Tally {
    pub(crate) fn count(&mut self, kind: &'static str, verdict: Verdict) {
        let counts = self.0.entry(kind).or_default();
        match verdict {
            Verdict::Survived => counts.survived += 1,
            Verdict::Lost(_) => counts.lost += 1,
            Verdict::Skipped(why) => *counts.skipped.entry(why).or_default() += 1,
        }
    }

    pub(crate) fn lost(&self) -> u64 {
        self.0.values().map(|counts| counts.lost).sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<22}{:>8}{:>10}{:>6}",
            "fault", "tried", "survived", "lost"
        )?;
        let mut sum = [0; 3];
        for (kind, counts) in &self.0 {
            let tried = counts.survived + counts.lost;
            let row = [tried, counts.survived, counts.lost];
            writeln!(f, "{kind:<22}{:>8}{:>10}{:>6}", row[0], row[1], row[2])?;
            for (why, times) in &counts.skipped {
                writeln!(f, "  skipped {times}: {why}")?;
            }
            (0..3).for_each(|i| sum[i] += row[i]);
        }
        writeln!(f, "{:<22}{:>8}{:>10}{:>6}", "all", sum[0], sum[1], sum[2])
    }
}
