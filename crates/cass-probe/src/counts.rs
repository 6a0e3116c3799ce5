use candle_core::{DType, Tensor};

/// Decisions `sigmoid(logit) > 0.5` over all classes together: the published notebook's metric.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct MicroCounts {
    true_positive: u64,
    false_positive: u64,
    false_negative: u64,
}

impl MicroCounts {
    /// Counts logits `(B, C)` of samples that each belong to one class.
    pub(crate) fn add(&mut self, logits: &Tensor, labels: &[usize]) -> candle_core::Result<()> {
        let rows = logits.to_dtype(DType::F32)?.to_vec2::<f32>()?;
        for (row, &label) in rows.iter().zip(labels) {
            self.add_row(row, label);
        }
        Ok(())
    }

    /// Counts the logits `(C)` of one sample.
    pub(crate) fn add_row(&mut self, logits: &[f32], label: usize) {
        for (class, &logit) in logits.iter().enumerate() {
            match (logit > 0.0, class == label) {
                (true, true) => self.true_positive += 1,
                (true, false) => self.false_positive += 1,
                (false, true) => self.false_negative += 1,
                (false, false) => {}
            }
        }
    }

    /// Takes the other's counts in: the notebook never resets them between epochs.
    pub(crate) fn merge(&mut self, other: Self) {
        self.true_positive += other.true_positive;
        self.false_positive += other.false_positive;
        self.false_negative += other.false_negative;
    }

    /// `2tp / (2tp + fp + fn)`, 0 where nothing was counted.
    pub(crate) fn f1(&self) -> f64 {
        let hits = 2 * self.true_positive;
        let all = hits + self.false_positive + self.false_negative;
        if all == 0 {
            0.0
        } else {
            hits as f64 / all as f64
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn every_class_of_every_sample_is_a_decision() -> candle_core::Result<()> {
        let logits = Tensor::new(&[[1f32, -1.0, 2.0], [-1.0, -1.0, -1.0]], &Device::Cpu)?;
        let mut counts = MicroCounts::default();
        assert_eq!(counts.f1(), 0.0);
        counts.add(&logits, &[0, 1])?;
        // one hit, one false alarm, one miss
        assert_eq!(counts.f1(), 0.5);
        counts.merge(counts);
        assert_eq!(counts.f1(), 0.5);
        Ok(())
    }
}
