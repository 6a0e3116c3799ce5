//! When a training on labels ends, as a state machine that knows numbers only.

use super::recipe::Stopping;

/// What one epoch's validation gave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Validation {
    pub(crate) loss: f64,
    /// Higher is better.
    pub(crate) score: f64,
}

/// What to do after a validation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The network is the best so far.
    pub(crate) best: bool,
    /// Train no further.
    pub(crate) stop: bool,
}

pub(crate) struct Stopper {
    rule: Stopping,
    best: Option<f64>,
    since_best: usize,
    last_loss: Option<f64>,
    rises: usize,
    best_training: f64,
}

impl Stopper {
    pub(crate) fn new(rule: Stopping) -> Self {
        Self {
            rule,
            best: None,
            since_best: 0,
            last_loss: None,
            rises: 0,
            best_training: f64::NEG_INFINITY,
        }
    }

    /// Whether an epoch with this training score is to be validated at all.
    pub(crate) fn validates(&mut self, training_score: f64) -> bool {
        match self.rule {
            Stopping::Patience { .. } => true,
            Stopping::Notebook => {
                let rose = training_score > self.best_training;
                self.best_training = self.best_training.max(training_score);
                rose
            }
        }
    }

    pub(crate) fn after(&mut self, v: Validation) -> Verdict {
        match self.rule {
            Stopping::Patience { epochs } => {
                let best = self.improves(-v.loss);
                self.since_best = if best { 0 } else { self.since_best + 1 };
                Verdict {
                    best,
                    stop: self.since_best >= epochs,
                }
            }
            Stopping::Notebook => {
                self.rises += usize::from(self.last_loss.is_some_and(|last| v.loss > last));
                self.last_loss = Some(v.loss);
                Verdict {
                    best: self.improves(v.score),
                    stop: self.rises > 5,
                }
            }
        }
    }

    fn improves(&mut self, value: f64) -> bool {
        let better = self.best.is_none_or(|best| value > best);
        if better {
            self.best = Some(value);
        }
        better
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(rule: Stopping, epochs: &[(f64, f64, f64)]) -> Vec<Option<Verdict>> {
        let mut stopper = Stopper::new(rule);
        let mut verdicts = Vec::new();
        for &(training, loss, score) in epochs {
            let validates = stopper.validates(training);
            verdicts.push(validates.then(|| stopper.after(Validation { loss, score })));
        }
        verdicts
    }

    #[test]
    fn patience_counts_epochs_without_a_lower_loss() {
        let losses = [3.0, 2.0, 2.5, 2.0, 1.9, 2.0, 2.0];
        let epochs: Vec<_> = losses.iter().map(|&l| (0.0, l, 0.0)).collect();
        let verdicts = run(Stopping::Patience { epochs: 2 }, &epochs);
        let best: Vec<bool> = verdicts.iter().flatten().map(|v| v.best).collect();
        let stop: Vec<bool> = verdicts.iter().flatten().map(|v| v.stop).collect();
        assert_eq!(best, [true, true, false, false, true, false, false]);
        assert_eq!(stop, [false, false, false, true, false, false, true]);
    }

    #[test]
    fn the_notebook_validates_rising_epochs_and_counts_rises_for_ever() {
        // The second epoch's training score does not rise: it is not validated.
        let mut epochs = vec![(0.5, 1.0, 0.3), (0.4, 9.0, 0.9), (0.6, 2.0, 0.4)];
        for i in 0..10 {
            let loss = if i % 2 == 0 { 1.0 } else { 2.0 };
            epochs.push((0.7 + 0.01 * f64::from(i), loss, 0.2));
        }
        let verdicts = run(Stopping::Notebook, &epochs);
        assert_eq!(verdicts[1], None);
        assert_eq!(
            verdicts[2],
            Some(Verdict {
                best: true,
                stop: false
            })
        );
        let first_stop = verdicts.iter().position(|v| v.is_some_and(|v| v.stop));
        assert_eq!(first_stop, Some(12), "the sixth rise");
    }

    #[test]
    fn a_loss_that_is_no_number_is_never_the_best() {
        let verdicts = run(
            Stopping::Patience { epochs: 3 },
            &[(0.0, 1.0, 0.0), (0.0, f64::NAN, 0.0)],
        );
        assert_eq!(
            verdicts[1],
            Some(Verdict {
                best: false,
                stop: false
            })
        );
    }
}
