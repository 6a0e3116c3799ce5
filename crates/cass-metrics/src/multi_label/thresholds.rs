//! The thresholds under which each class is decided best.

use super::MultiLabelPredictions;

impl MultiLabelPredictions {
    /// The threshold of each class under which deciding by its probability has the highest F1 here:
    /// halfway between two neighbouring probabilities, of equally good ones the nearest to 0.5; 0.5
    /// for a class that nothing is of, and for all without probabilities.
    pub fn best_thresholds(&self) -> Vec<f64> {
        let k = self.classes.len();
        let of = |class: usize| {
            let scores = self.probabilities.as_deref();
            let scores = scores.map(|p| self.known_of(p, class)).unwrap_or_default();
            best_threshold(&scores, &self.known_of(&self.truth, class))
        };
        (0..k).map(of).collect()
    }

    /// The same probabilities, with every class predicted whose probability is above its threshold.
    /// Bare predictions stay as they are.
    pub fn decided_at(&self, thresholds: &[f64]) -> Self {
        let mut decided = self.clone();
        if let Some(p) = &self.probabilities {
            let pairs = p.iter().zip(thresholds.iter().cycle()).zip(&self.known);
            decided.predicted = pairs.map(|((p, t), known)| *known && p > t).collect();
        }
        decided
    }
}

/// See [`MultiLabelPredictions::best_thresholds`].
fn best_threshold(scores: &[f64], truth: &[bool]) -> f64 {
    const HALF: f64 = 0.5;
    let positives = truth.iter().filter(|&&t| t).count();
    let mut samples: Vec<(f64, bool)> = scores.iter().copied().zip(truth.iter().copied()).collect();
    samples.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut best, mut threshold) = (0.0, HALF);
    let (mut found, mut said) = (0, 0);
    for (i, &(score, is_true)) in samples.iter().enumerate() {
        if score <= 0.0 {
            break; // above no threshold
        }
        (found, said) = (found + usize::from(is_true), said + 1);
        let next = samples.get(i + 1).map_or(0.0, |next| next.0);
        if next == score && i + 1 < samples.len() {
            continue; // equal scores are decided alike
        }
        // Where 0.5 lies between the two, it is the nearest to itself.
        let between = if next <= HALF && HALF < score {
            HALF
        } else {
            f64::midpoint(score, next)
        };
        let f1 = 2.0 * found as f64 / (said + positives) as f64;
        let nearer = (between - HALF).abs() < (threshold - HALF).abs();
        if f1 > best || (f1 == best && f1 > 0.0 && nearer) {
            (best, threshold) = (f1, between);
        }
    }
    threshold
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_have_the_best_f1() {
        let truth = [true, false, true, false, false];
        // At 0.35 two are found of three said, at 0.7 one of one, at 0.2 two of four.
        assert_eq!(best_threshold(&[0.8, 0.6, 0.4, 0.3, 0.1], &truth), 0.35);
        assert_eq!(best_threshold(&[0.8, 0.1, 0.7, 0.3, 0.1], &truth), 0.5);
        assert_eq!(best_threshold(&[0.4, 0.1, 0.4, 0.3, 0.1], &truth), 0.35);
        assert_eq!(best_threshold(&[0.4, 0.1], &[false, false]), 0.5);
        assert_eq!(best_threshold(&[0.4, 0.2], &[true, true]), 0.1);
        assert_eq!(best_threshold(&[], &[]), 0.5);
        let mut p = MultiLabelPredictions::new(["a", "b"].map(String::from).into());
        for (file, truth) in truth.into_iter().enumerate() {
            let labels: &[usize] = if truth { &[0] } else { &[1] };
            p.push(
                file.to_string(),
                labels,
                &[],
                &[0.2 + 0.1 * file as f64, 0.4],
            );
        }
        let thresholds = p.best_thresholds();
        let f1 = |p: &MultiLabelPredictions| p.metrics().unwrap().averages.f1_macro;
        assert!(f1(&p.decided_at(&thresholds)) > f1(&p.decided_at(&[0.5, 0.5])));
    }
}
