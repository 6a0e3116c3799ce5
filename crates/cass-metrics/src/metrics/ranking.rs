/// Area under the ROC curve of one class, in [0, 1]: the probability that a positive has the higher
/// score, ties counting half (`sklearn.metrics.roc_auc_score`).
///
/// `scores` and `positive` have one entry a sample. `None` without a positive or without a negative.
pub fn auroc(scores: &[f64], positive: &[bool]) -> Option<f64> {
    let (area, tp, fp) = thresholds(scores, positive).iter().fold(
        (0.0, 0, 0),
        |(area, tp, fp), &(next_tp, next_fp)| {
            let step = (next_fp - fp) as f64 * (tp + next_tp) as f64 / 2.0;
            (area + step, next_tp, next_fp)
        },
    );
    (tp > 0 && fp > 0).then(|| area / (tp as f64 * fp as f64))
}

/// Average precision of one class, in [0, 1]: precision at each distinct score weighted by the recall
/// gained there (`sklearn.metrics.average_precision_score`). It is the area under
/// [`precision_recall_curve`] drawn in steps, which unlike straight lines between its points is not too
/// favourable.
///
/// `None` without a positive or without a negative: scikit-learn's 0 and 1 there say nothing.
pub fn average_precision(scores: &[f64], positive: &[bool]) -> Option<f64> {
    let (sum, tp, fp) = thresholds(scores, positive).iter().fold(
        (0.0, 0, 0),
        |(sum, tp, _), &(next_tp, next_fp)| {
            let precision = next_tp as f64 / (next_tp + next_fp) as f64;
            (sum + (next_tp - tp) as f64 * precision, next_tp, next_fp)
        },
    );
    (tp > 0 && fp > 0).then(|| sum / tp as f64)
}

/// Numbers of true and false positives at each distinct score, from the highest down.
fn thresholds(scores: &[f64], positive: &[bool]) -> Vec<(usize, usize)> {
    let mut samples: Vec<(f64, bool)> = scores
        .iter()
        .copied()
        .zip(positive.iter().copied())
        .collect();
    samples.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut at = (0, 0);
    samples
        .chunk_by(|a, b| a.0 == b.0)
        .map(|ties| {
            let positives = ties.iter().filter(|t| t.1).count();
            at = (at.0 + positives, at.1 + ties.len() - positives);
            at
        })
        .collect()
}

/// ROC curve of one class: (false, true) positive rate at each distinct score from the highest
/// down, from (0, 0) to (1, 1) (`sklearn.metrics.roc_curve` without dropping points).
///
/// `scores` and `positive` have one entry a sample. `None` without a positive or without a negative.
pub fn roc_curve(scores: &[f64], positive: &[bool]) -> Option<Vec<(f64, f64)>> {
    let points = thresholds(scores, positive);
    let &(tp, fp) = points.last()?;
    let rate = |&(t, f): &(usize, usize)| (f as f64 / fp as f64, t as f64 / tp as f64);
    let curve = std::iter::once((0.0, 0.0)).chain(points.iter().map(rate));
    (tp > 0 && fp > 0).then(|| curve.collect())
}

/// Precision-recall curve of one class: (recall, precision) at each distinct score from the highest down,
/// after the point (0, 1) (`sklearn.metrics.precision_recall_curve` in the other direction).
///
/// `scores` and `positive` have one entry a sample. `None` without a positive or without a negative.
pub fn precision_recall_curve(scores: &[f64], positive: &[bool]) -> Option<Vec<(f64, f64)>> {
    let points = thresholds(scores, positive);
    let &(all, negatives) = points.last()?;
    let point = |&(tp, fp): &(usize, usize)| (tp as f64 / all as f64, tp as f64 / (tp + fp) as f64);
    let curve = std::iter::once((0.0, 1.0)).chain(points.iter().map(point));
    (all > 0 && negatives > 0).then(|| curve.collect())
}
