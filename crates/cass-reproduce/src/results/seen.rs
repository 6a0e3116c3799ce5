//! What one sees, in at most three sentences: put together from the numbers, whatever they are.

use super::claims::Verdict;
use super::entries::{Cell, Pretraining, Results};
use crate::plan::Downstream;
use crate::store::{Folder, predictions};
use crate::table::Arm;
use crate::units::list;
use cass_metrics::compare::Difference;
use cass_metrics::metrics::Interval;
use cass_metrics::{Groups, MultiLabelPredictions};
use cass_run::Metrics;

/// Labels, features, collapse and claims: a sentence each, where there is something to say. Of several tables only the last
/// is said, of all together.
pub(super) fn sentences(results: &Results, folders: &[Folder]) -> Vec<String> {
    let of_one = results.tables.len() == 1;
    let one = [supervised(results), features(results, folders)];
    let one = one.into_iter().flatten().filter(|_| of_one);
    one.chain(features_lost_and_claims(results)).collect()
}

/// How far labels alone come, and how that depends on how many there are.
fn supervised(results: &Results) -> Option<String> {
    let of_arm = |arm: Arm| {
        let mut cells = cells(results, results.headline, "Supervised", arm);
        cells.sort_by_key(|cell| cell.percent);
        let means: Vec<f64> = cells.iter().filter_map(|cell| cell.mean).collect();
        let scores = cells.iter().rev().enumerate().filter_map(|(nth, cell)| {
            let of = if nth == 0 { " of the labels" } else { "" };
            Some(format!("{:.2} with {} %{of}", cell.mean?, cell.percent))
        });
        let scores = list(scores)?;
        let rising = means.len() > 1 && means.windows(2).all(|pair| pair[0] < pair[1]);
        let order = if rising {
            ", the more labels the higher"
        } else {
            ""
        };
        Some(format!("the {} reaches {scores}{order}", arm.title()))
    };
    let arms: Vec<String> = Arm::BOTH.into_iter().filter_map(of_arm).collect();
    let title = &results.tables.first()?.metric_title;
    (!arms.is_empty()).then(|| format!("{title}: trained on labels alone, {}.", arms.join("; ")))
}

/// What pretraining made of the features with few labels, by the judge that has converged where there is one.
fn features(results: &Results, folders: &[Folder]) -> Option<String> {
    let table = results.tables.first()?;
    let judges = [Downstream::Logistic, Downstream::Knn, Downstream::Linear];
    let judge = judges
        .into_iter()
        .find(|one| table.downstream.contains(one))?;
    // Few labels are what pretraining is for; the fewest may be one image a class.
    let mut shares: Vec<u32> = results.cells.iter().map(|cell| cell.percent).collect();
    shares.sort_unstable();
    shares.dedup();
    let share = *shares.get(shares.len() / 2)?;
    let mut compared = None;
    let mut of_arm = |arm: Arm| {
        let of = |method: &str| {
            let cells = cells(results, judge, method, arm);
            cells.into_iter().find(|cell| cell.percent == share)
        };
        let start = of("Untrained")?;
        let mut methods: Vec<&str> = Vec::new();
        for cell in &results.cells {
            let other = !["Untrained", "Supervised"].contains(&cell.method.as_str());
            if other && cell.arm == Some(arm) && !methods.contains(&cell.method.as_str()) {
                methods.push(&cell.method);
            }
        }
        let after = methods.into_iter().filter_map(|method| {
            let cell = of(method)?;
            let mut text = format!("{:.2} after {method}", cell.mean?);
            if let Some((interval, difference)) = interval(start, cell, folders) {
                text += &format!(" ({})", told(interval));
                compared.get_or_insert((difference.pairs, difference.images));
            }
            Some(text)
        });
        let after = list(after)?;
        let start = start.mean?;
        Some(format!(
            "of the {} {start:.2} as initialised, {after}",
            arm.title()
        ))
    };
    let arms: Vec<String> = Arm::BOTH.into_iter().filter_map(&mut of_arm).collect();
    if arms.is_empty() {
        return None;
    }
    let brackets = match compared {
        Some((trainings, images)) => format!(
            "; in brackets the 95 % interval of the difference from as initialised, over {trainings} {} and {images} test images",
            if trainings == 1 {
                "training"
            } else {
                "trainings"
            }
        ),
        None => String::new(),
    };
    Some(format!(
        "{} with {share} % of the labels: {}{brackets}.",
        judge.title(),
        arms.join("; ")
    ))
}

/// Whose features no longer tell images apart, and what became of the paper's claims.
fn features_lost_and_claims(results: &Results) -> Option<String> {
    let networks: Vec<(&Pretraining, Arm, bool)> = (results.pretrainings.iter())
        .flat_map(|p| {
            p.collapse
                .iter()
                .map(move |(arm, both)| (p, *arm, both.is_collapsed()))
        })
        .collect();
    let mut parts = Vec::new();
    if !networks.is_empty() {
        let mut kinds: Vec<(String, usize, usize)> = Vec::new();
        for (pretraining, arm, collapsed) in &networks {
            let name = format!("{} {}", pretraining.method_name(), arm.title());
            let at = kinds.iter().position(|(known, ..)| *known == name);
            let at = at.unwrap_or_else(|| {
                kinds.push((name, 0, 0));
                kinds.len() - 1
            });
            kinds[at].1 += usize::from(*collapsed);
            kinds[at].2 += 1;
        }
        let lost = networks.iter().filter(|(.., collapsed)| *collapsed).count();
        let named = kinds.into_iter().filter(|(_, lost, _)| *lost > 0);
        let named = named.map(|(name, lost, all)| format!("{name} {lost} of {all}"));
        parts.push(match list(named) {
            Some(named) => format!(
                "{lost} of {} pretrained networks ended with collapsed features ({named})",
                networks.len()
            ),
            None => format!("none of {} pretrained networks collapsed", networks.len()),
        });
    }
    if !results.claims.is_empty() {
        let count = |verdict| {
            results
                .claims
                .iter()
                .filter(|c| c.verdict == verdict)
                .count()
        };
        parts.push(format!(
            "of the paper's {} claims {} held, {} did not and {} stay undecided in this run",
            results.claims.len(),
            count(Verdict::Held),
            count(Verdict::DidNotHold),
            count(Verdict::Undecided)
        ));
    }
    let text = parts.join("; ");
    let mut letters = text.chars();
    let first = letters.next()?.to_uppercase();
    Some(first.chain(letters).chain(['.']).collect())
}

/// The cells of a method in an arm that have a score: none where a table varies more than the share of labels.
fn cells<'a>(results: &'a Results, judge: Downstream, method: &str, arm: Arm) -> Vec<&'a Cell> {
    let of = |cell: &&Cell| {
        (cell.downstream, cell.method.as_str(), cell.arm) == (judge, method, Some(arm))
            && cell.mean.is_some()
            && cell.metric != "hours"
    };
    let cells: Vec<&Cell> = results.cells.iter().filter(of).collect();
    let mut percents: Vec<u32> = cells.iter().map(|cell| cell.percent).collect();
    percents.sort_unstable();
    let varied = percents.windows(2).any(|pair| pair[0] == pair[1]);
    if varied { Vec::new() } else { cells }
}

/// By how much the second cell is better, over trainings and test images; `None` where its predictions are gone, or are
/// not scored by macro F1.
fn interval(first: &Cell, second: &Cell, folders: &[Folder]) -> Option<(Interval, Difference)> {
    if second.metric != "f1_macro" || first.seeds != second.seeds {
        return None;
    }
    let read = |cell: &Cell| -> Option<Vec<(MultiLabelPredictions, Option<Groups>)>> {
        let of = |name: &String| {
            let folder = folders
                .iter()
                .find(|folder| folder.info.run.name == *name)?;
            match folder.metrics.as_ref().ok()? {
                Metrics::Probe(metrics) => predictions(&folder.path, metrics).ok(),
                Metrics::Pretrain(_) => None,
            }
        };
        cell.runs.iter().map(of).collect()
    };
    let (first, second) = (read(first)?, read(second)?);
    let groups = Groups::union(first.iter().filter_map(|(_, groups)| groups.as_ref()));
    let difference = Difference::between(
        &first.iter().map(|(one, _)| one).collect::<Vec<_>>(),
        &second.iter().map(|(one, _)| one).collect::<Vec<_>>(),
        groups.as_ref(),
        0,
    );
    let difference = difference.ok()?;
    let interval = difference
        .interval_with_seeds
        .unwrap_or(difference.interval);
    Some((interval, difference))
}

/// What an interval says of a difference.
fn told(Interval { low, high, .. }: Interval) -> String {
    let said = match () {
        () if low > 0.0 => "better",
        () if high < 0.0 => "worse",
        () => "not told apart",
    };
    let signed = |value: f64| format!("{value:+.2}").replace('-', "−");
    format!("{said}, {} to {}", signed(low), signed(high))
}
