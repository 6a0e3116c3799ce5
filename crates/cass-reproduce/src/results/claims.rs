//! Whether the paper's claims hold in the cells computed here, and in the cells it printed itself.

use super::stats::interval;
use crate::table::{CellName, Claim, Comparison, Method, Relation, Value};
use cass_run::BeforeAfter;
use serde::Serialize;
use std::collections::BTreeMap;

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
    pub table: String,
    pub text: String,
    pub source: String,
    pub verdict: Verdict,
    /// What the verdict rests on, in a sentence.
    pub reason: String,
    /// How it was tested.
    pub test: &'static str,
    /// Whether the paper's own printed means agree with the claim; absent where it prints none.
    pub paper_agrees: Option<bool>,
    pub comparisons: Vec<Compared>,
    /// Verdict under a probe that has converged, where the verdict above rests on the paper's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub converged: Option<Converged>,
}

/// What a claim comes to under the logistic regression.
#[derive(Clone, Serialize)]
pub struct Converged {
    pub verdict: Verdict,
    pub reason: String,
    pub comparisons: Vec<Compared>,
}

impl Judged {
    /// The verdict under the converged probe, where it is another.
    pub fn otherwise(&self) -> Option<&Converged> {
        let converged = self.converged.as_ref();
        converged.filter(|converged| converged.verdict != self.verdict)
    }
}

/// A comparison of a claim, left minus right.
#[derive(Clone, Serialize)]
pub struct Compared {
    pub text: String,
    pub verdict: Verdict,
    pub difference: Option<f64>,
    /// 95 % interval of the difference.
    pub interval: Option<[f64; 2]>,
    /// Seeds that both sides have.
    pub n: usize,
    /// Difference by the paper's own printed means.
    pub paper: Option<f64>,
}

/// The values of a cell by seed.
pub type Cells<'a> = &'a dyn Fn(&CellName) -> Option<BTreeMap<u64, f64>>;

/// A pretrained network's features before and after.
pub struct Collapse {
    pub method: Method,
    pub name: String,
    pub reading: BeforeAfter,
}

const PAIRED: &str = "95 % interval (Student's t) of the difference, paired over seeds";
const READING: &str = "effective rank and mean cosine of the test images' features";

/// Judges a claim of a table by our cells, and by the `printed` ones; and, if there are any, by cells of a `converged`
/// probe.
pub fn judge(
    claim: &Claim,
    table: &str,
    ours: Cells,
    converged: Option<Cells>,
    printed: Cells,
    collapses: &[Collapse],
) -> Judged {
    let compared = |cells: Cells| -> Vec<Compared> {
        let comparisons = claim.all.iter();
        comparisons
            .map(|comparison| compare(comparison, cells, printed))
            .collect()
    };
    let comparisons = compared(ours);
    let converged = converged.filter(|_| !claim.all.is_empty()).map(|cells| {
        let comparisons = compared(cells);
        let (verdict, reason) = sum_up(&comparisons);
        Converged {
            verdict,
            reason,
            comparisons,
        }
    });
    let (verdict, reason) = match claim.never_collapses {
        Some(method) => judge_collapse(method, collapses),
        None => sum_up(&comparisons),
    };
    let papers: Option<Vec<bool>> = claim
        .all
        .iter()
        .zip(&comparisons)
        .map(|(comparison, compared)| Some(comparison.relation.holds(compared.paper?)))
        .collect();
    Judged {
        table: table.to_owned(),
        text: claim.text.clone(),
        source: claim.source.clone(),
        verdict,
        reason,
        test: if claim.never_collapses.is_some() {
            READING
        } else {
            PAIRED
        },
        paper_agrees: papers
            .filter(|papers| !papers.is_empty())
            .map(|papers| papers.into_iter().all(|agrees| agrees)),
        comparisons,
        converged,
    }
}

/// Held if the 95 % interval of the difference lies where the relation wants it, not held if it lies wholly
/// elsewhere.
fn compare(comparison: &Comparison, ours: Cells, printed: Cells) -> Compared {
    let values = match comparison.difference(ours) {
        Some(value @ Value::BySeed(_)) => value.values(),
        _ => Vec::new(),
    };
    let interval = interval(&values);
    // The same on both sides in every seed: a stand-in for both, or features that tell nothing apart.
    let same = values.iter().all(|value| *value == 0.0);
    let verdict = match (interval, comparison.relation) {
        (None, _) => Verdict::Undecided,
        _ if same => Verdict::Undecided,
        (Some((low, high)), Relation::Greater | Relation::AtLeast) => match () {
            () if low > 0.0 => Verdict::Held,
            () if high < 0.0 => Verdict::DidNotHold,
            () => Verdict::Undecided,
        },
        (Some((low, high)), Relation::Within(most)) => match () {
            () if -most < low && high < most => Verdict::Held,
            () if high < -most || low > most => Verdict::DidNotHold,
            () => Verdict::Undecided,
        },
    };
    Compared {
        text: comparison.text.clone(),
        verdict,
        difference: (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64),
        interval: interval.map(|(low, high)| [low, high]),
        n: values.len(),
        paper: comparison.difference(printed).map(|value| value.mean()),
    }
}

/// All have to hold; one that does not decides.
fn sum_up(comparisons: &[Compared]) -> (Verdict, String) {
    let count = |verdict| comparisons.iter().filter(|c| c.verdict == verdict).count();
    let (n, held, failed) = (
        comparisons.len(),
        count(Verdict::Held),
        count(Verdict::DidNotHold),
    );
    let missing = comparisons.iter().filter(|c| c.n == 0).count();
    let seeds = comparisons.iter().map(|c| c.n).min().unwrap_or(0);
    let noise = format!("the noise of {seeds} seeds");
    if failed > 0 {
        (
            Verdict::DidNotHold,
            format!("{failed} of {n} contradict it beyond the noise of the seeds"),
        )
    } else if missing > 0 {
        (Verdict::Undecided, format!("{missing} of {n} lack a cell"))
    } else if held == n {
        (Verdict::Held, format!("{n} of {n} beyond {noise}"))
    } else if comparisons
        .iter()
        .any(|c| c.difference == Some(0.0) && c.interval == Some([0.0; 2]))
    {
        (
            Verdict::Undecided,
            "two sides are the same number in every seed".to_owned(),
        )
    } else if seeds < 2 {
        (
            Verdict::Undecided,
            "a single seed has no interval".to_owned(),
        )
    } else {
        (Verdict::Undecided, format!("{held} of {n} beyond {noise}"))
    }
}

fn judge_collapse(method: Method, collapses: &[Collapse]) -> (Verdict, String) {
    let of: Vec<_> = collapses.iter().filter(|c| c.method == method).collect();
    let collapsed = of.iter().filter(|c| c.reading.is_collapsed());
    // What was collapsed as initialised says nothing of the training.
    let (before, new): (Vec<&&Collapse>, Vec<_>) =
        collapsed.partition(|c| c.reading.was_collapsed());
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
    use crate::table::Book;

    fn verdict_of(text: &str, left: &[f64], right: &[f64]) -> Verdict {
        let cells = |name: &CellName| {
            let values = if name.cell == "CASS cnn" { left } else { right };
            Some((0..).zip(values.iter().copied()).collect())
        };
        let comparison = Comparison::try_from(text.to_owned()).unwrap();
        compare(&comparison, &cells, &|_| None).verdict
    }

    #[test]
    fn verdicts_follow_the_interval() {
        let verdict = |cass: &[f64], dino: &[f64]| verdict_of("CASS cnn > DINO cnn", cass, dino);
        let (high, low) = ([0.9, 0.91, 0.92], [0.8, 0.81, 0.83]);
        assert_eq!(verdict(&high, &low), Verdict::Held);
        assert_eq!(verdict(&low, &high), Verdict::DidNotHold);
        assert_eq!(verdict(&[0.9, 0.5, 0.92], &low), Verdict::Undecided);
        assert_eq!(verdict(&[0.9], &[0.1]), Verdict::Undecided);
        assert_eq!(verdict(&[0.9, 0.9], &[]), Verdict::Undecided);
        assert_eq!(verdict(&[0.1, 0.1], &[0.1, 0.1]), Verdict::Undecided);
    }

    #[test]
    fn a_stated_size_is_part_of_the_claim() {
        let (high, low) = ([0.90, 0.91, 0.92], [0.80, 0.81, 0.82]);
        let verdict = |text: &str| verdict_of(text, &high, &low);
        assert_eq!(verdict("CASS cnn - DINO cnn >= 0.05"), Verdict::Held);
        assert_eq!(verdict("CASS cnn - DINO cnn >= 0.15"), Verdict::DidNotHold);
        assert_eq!(verdict("CASS cnn ≈ DINO cnn ± 0.15"), Verdict::Held);
        assert_eq!(verdict("CASS cnn ≈ DINO cnn ± 0.05"), Verdict::DidNotHold);
        assert_eq!(
            verdict_of("CASS cnn ≈ DINO cnn ± 0.05", &low, &low),
            Verdict::Undecided,
            "nothing was compared"
        );
        let noisy = verdict_of("CASS cnn ≈ DINO cnn ± 0.05", &[0.9, 0.7, 0.8], &low);
        assert_eq!(noisy, Verdict::Undecided);
    }

    /// Which claims the printed numbers themselves contradict, found by hand from the paper's tables.
    #[test]
    fn the_papers_own_numbers_are_held_against_it() {
        let book = Book::load().unwrap();
        let mut contradicted = Vec::new();
        for table in book.all() {
            let printed = |name: &CellName| book.printed(&table.number, name);
            for claim in &table.claims {
                let judged = judge(claim, &table.number, &|_| None, None, &printed, &[]);
                assert_eq!(
                    judged.paper_agrees.is_none(),
                    claim.never_collapses.is_some()
                );
                if judged.paper_agrees == Some(false) {
                    contradicted.push(format!("{}: {}", table.number, claim.text));
                }
            }
        }
        assert_eq!(
            contradicted,
            [
                "2: CASS gains 25 points over supervised approaches",
                "3: CASS gains over DINO on average at every label fraction",
                "3: The CASS Transformer out-performs the supervised one at every label fraction",
                "3: The distance between CNN and Transformer is smaller for CASS than for DINO or supervised training",
                "5: The Transformer gains from batch 8",
                "5: The Transformer is better with smaller batches",
                "6: Half the epochs leave the Transformer almost as it is (here: within 1 point)",
                "11: The CNN that is best under supervision is the best in CASS",
                "14: The CNN differs by 0.1 points between ViT-B and DeiT-B (here: at most by 0.15)",
                "15: A Swin Transformer beside it gains ViT-B/16 about 1.3 points (here: at least 1.25)",
                "17: More epochs, better features",
                "19: CASS gains 11.5 points over DINO on average with 1 % of the labels",
            ]
        );
    }

    #[test]
    fn the_abstracts_averages_are_recomputed() {
        let book = Book::load().unwrap();
        let table = book.table("19").unwrap();
        let printed = |name: &CellName| book.printed("19", name);
        let gains: Vec<f64> = table.claims[..3]
            .iter()
            .zip([8.5, 7.3, 11.5])
            .map(|(claim, stated)| {
                let difference = claim.all[0].difference(&printed).unwrap().mean();
                (100.0 * difference + stated) * 10.0
            })
            .map(|tenths| tenths.round() / 10.0)
            .collect();
        assert_eq!(gains, [8.6, 8.9, 5.0]);
        let times = book.table("1").unwrap();
        let printed = |name: &CellName| book.printed("1", name);
        let less = times.claims[1].all[0].difference(&printed).unwrap().mean() + 0.69;
        assert_eq!((100.0 * less).round(), 72.0);
    }

    #[test]
    fn a_collapse_is_found_unless_it_was_there_before() {
        let reading = |rank| {
            Some(cass_run::Collapse {
                mean_cosine: 0.5,
                effective_rank: rank,
                std: 1.0,
            })
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
