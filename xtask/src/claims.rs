//! Whether the paper's claims hold in the cells computed here, and in the cells it printed itself.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::folder::BeforeAfter;
use crate::stats::interval;
use crate::table::{CellId, Claim, Comparison, Method, Table, Term};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Verdict {
    #[serde(rename = "held")]
    Held,
    #[serde(rename = "did not hold")]
    DidNotHold,
    #[serde(rename = "undecided")]
    Undecided,
}

impl Verdict {
    pub fn text(self) -> &'static str {
        match self {
            Verdict::Held => "held",
            Verdict::DidNotHold => "did not hold",
            Verdict::Undecided => "undecided",
        }
    }
}

/// A claim and what became of it.
#[derive(Clone, Serialize)]
pub struct Judged {
    pub text: String,
    pub source: String,
    pub verdict: Verdict,
    /// What the verdict rests on, in a sentence.
    pub reason: String,
    /// Whether the paper's own printed means agree with the claim; absent where it prints none.
    pub paper_agrees: Option<bool>,
}

/// Scores of the cells by seed.
pub type Values = BTreeMap<CellId, BTreeMap<u64, f64>>;

/// A pretrained network's features before and after.
pub struct Collapse {
    pub method: Method,
    pub name: String,
    pub reading: BeforeAfter,
}

pub fn judge(claim: &Claim, table: &Table, values: &Values, collapses: &[Collapse]) -> Judged {
    let (verdict, reason) = match claim.never_collapses {
        Some(method) => judge_collapse(method, collapses),
        None => judge_comparisons(&claim.all, values),
    };
    let published = |term: Term| term.value(|id| table.printed(id).map(|printed| printed.mean));
    let paper_agrees = (!claim.all.is_empty()).then(|| {
        claim
            .all
            .iter()
            .all(|c| published(c.larger) > published(c.smaller))
    });
    Judged {
        text: claim.text.clone(),
        source: claim.source.clone(),
        verdict,
        reason,
        paper_agrees,
    }
}

/// Paired over seeds: held if the 95 % interval (Student's t) of every mean difference is above zero, not
/// held if one is below.
fn judge_comparisons(comparisons: &[Comparison], values: &Values) -> (Verdict, String) {
    let side = |term: Term, seed: u64| term.value(|id| values.get(&id)?.get(&seed).copied());
    let seeds: Vec<u64> = {
        let mut seeds: Vec<u64> = values
            .values()
            .flat_map(|cell| cell.keys().copied())
            .collect();
        seeds.sort_unstable();
        seeds.dedup();
        seeds
    };
    let (mut held, mut failed, mut missing, mut towards) = (0, 0, 0, 0);
    let mut fewest = usize::MAX;
    for comparison in comparisons {
        let differences: Vec<f64> = seeds
            .iter()
            .filter_map(|&seed| {
                Some(side(comparison.larger, seed)? - side(comparison.smaller, seed)?)
            })
            .collect();
        fewest = fewest.min(differences.len());
        missing += usize::from(differences.is_empty());
        towards += usize::from(differences.iter().sum::<f64>() > 0.0);
        match interval(&differences) {
            Some((low, _)) if low > 0.0 => held += 1,
            Some((_, high)) if high < 0.0 => failed += 1,
            _ => {}
        }
    }
    let (n, n_seeds) = (comparisons.len(), seeds.len());
    let towards = format!("{towards} of {n} comparisons point its way");
    let (verdict, reason) = if failed > 0 {
        (
            Verdict::DidNotHold,
            format!("reversed beyond the noise of {n_seeds} seeds: {failed}"),
        )
    } else if missing > 0 {
        (Verdict::Undecided, format!("without cells: {missing}"))
    } else if held == n {
        (
            Verdict::Held,
            format!("beyond the noise of {n_seeds} seeds: all"),
        )
    } else if fewest < 2 {
        (
            Verdict::Undecided,
            "a single seed has no interval".to_owned(),
        )
    } else {
        (
            Verdict::Undecided,
            format!("beyond the noise of {n_seeds} seeds: {held}"),
        )
    };
    (verdict, format!("{towards}; {reason}"))
}

fn judge_collapse(method: Method, collapses: &[Collapse]) -> (Verdict, String) {
    let of: Vec<_> = collapses.iter().filter(|c| c.method == method).collect();
    let collapsed = of.iter().filter(|c| c.reading.after.collapsed());
    // What was collapsed as initialised says nothing of the training.
    let (before, new): (Vec<&&Collapse>, Vec<_>) =
        collapsed.partition(|c| c.reading.before.collapsed());
    if let Some(worst) = new.first() {
        let text = format!(
            "{} of {} networks ended with collapsed features, {} among them",
            new.len(),
            of.len(),
            worst.name
        );
        (Verdict::DidNotHold, text)
    } else if of.is_empty() {
        (
            Verdict::Undecided,
            format!("no {method} pretraining has finished"),
        )
    } else if !before.is_empty() {
        let text = format!(
            "{} of {} networks read as collapsed before training too",
            before.len(),
            of.len()
        );
        (Verdict::Undecided, text)
    } else {
        (
            Verdict::Held,
            format!("none of {} networks collapsed", of.len()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::Reading;
    use crate::table::Arm;

    fn values(cells: &[(Method, Arm, u32, &[f64])]) -> Values {
        cells
            .iter()
            .map(|&(method, arm, percent, scores)| {
                let id = CellId {
                    method,
                    arm,
                    percent,
                };
                (id, (0..).zip(scores.iter().copied()).collect())
            })
            .collect()
    }

    fn claim(all: &[&str]) -> Claim {
        Claim {
            text: String::new(),
            source: String::new(),
            all: all
                .iter()
                .map(|c| Comparison::try_from(c.to_string()).unwrap())
                .collect(),
            never_collapses: None,
        }
    }

    #[test]
    fn verdicts_follow_the_interval() {
        let table = Table::find("3").unwrap();
        let claim = claim(&["CASS cnn 100% > DINO cnn 100%"]);
        let verdict = |cass: &[f64], dino: &[f64]| {
            let values = values(&[
                (Method::Cass, Arm::Cnn, 100, cass),
                (Method::Dino, Arm::Cnn, 100, dino),
            ]);
            judge(&claim, &table, &values, &[]).verdict
        };
        assert_eq!(
            verdict(&[0.9, 0.91, 0.92], &[0.8, 0.81, 0.83]),
            Verdict::Held
        );
        assert_eq!(
            verdict(&[0.8, 0.81, 0.83], &[0.9, 0.91, 0.92]),
            Verdict::DidNotHold
        );
        assert_eq!(
            verdict(&[0.9, 0.5, 0.92], &[0.8, 0.81, 0.83]),
            Verdict::Undecided
        );
        assert_eq!(verdict(&[0.9], &[0.1]), Verdict::Undecided);
        assert_eq!(verdict(&[0.9, 0.9], &[]), Verdict::Undecided);
        assert_eq!(verdict(&[0.1, 0.1], &[0.1, 0.1]), Verdict::Undecided);
    }

    #[test]
    fn the_papers_own_numbers_are_held_against_it() {
        let table = Table::find("3").unwrap();
        let agrees: Vec<_> = table
            .claims
            .iter()
            .map(|claim| judge(claim, &table, &Values::new(), &[]).paper_agrees)
            .collect();
        // By hand from the printed table: the average gain at 1 %, the Transformer against supervised
        // training, and the distance at 100 % are contradicted; "no collapse" prints no number.
        let yes = Some(true);
        let no = Some(false);
        assert_eq!(
            agrees,
            [None, no, yes, yes, yes, no, yes, yes, yes, yes, no]
        );
    }

    #[test]
    fn a_collapse_is_found_unless_it_was_there_before() {
        let reading = |rank| Reading {
            mean_cosine: Some(0.5),
            effective_rank: Some(rank),
        };
        let judge = |before, after| {
            let reading = BeforeAfter {
                before: reading(before),
                after: reading(after),
            };
            let collapse = Collapse {
                method: Method::Cass,
                name: "a".into(),
                reading,
            };
            judge_collapse(Method::Cass, &[collapse]).0
        };
        assert_eq!(judge(9.0, 8.0), Verdict::Held);
        assert_eq!(judge(9.0, 1.0), Verdict::DidNotHold);
        assert_eq!(judge(1.0, 1.0), Verdict::Undecided);
        assert_eq!(judge_collapse(Method::Cass, &[]).0, Verdict::Undecided);
    }
}
