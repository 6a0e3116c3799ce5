use candle_core::{DType, Tensor};

/// Decisions `sigmoid(logit) > 0.5` over all classes together: the published notebook's metric.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct MicroCounts {
    true_positive: u64,
    false_positive: u64,
    false_negative: u64,
}

impl MicroCounts {
    /// Counts logits `(B, C)`; `targets`, row-major (B, C), is 1 at each class of a sample.
    pub(crate) fn add(&mut self, logits: &Tensor, targets: &[f32]) -> candle_core::Result<()> {
        let classes = logits.dims2()?.1.max(1);
        let rows = logits.to_dtype(DType::F32)?.to_vec2::<f32>()?;
        for (row, targets) in rows.iter().zip(targets.chunks(classes)) {
            // What is not known is neither said nor true.
            let said = row.iter().zip(targets);
            let said = said.map(|(logit, t)| {
                if t.is_nan() {
                    f32::NEG_INFINITY
                } else {
                    *logit
                }
            });
            let said: Vec<f32> = said.collect();
            self.add_row(&said, |class| targets[class] == 1.0);
        }
        Ok(())
    }

    /// Counts the logits `(C)` of one sample, which `is_of` some classes.
    pub(crate) fn add_row(&mut self, logits: &[f32], is_of: impl Fn(usize) -> bool) {
        for (class, &logit) in logits.iter().enumerate() {
            match (logit > 0.0, is_of(class)) {
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
        counts.add(&logits, &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0])?;
        // one hit, one false alarm, one miss
        assert_eq!(counts.f1(), 0.5);
        counts.merge(counts);
        assert_eq!(counts.f1(), 0.5);
        Ok(())
    }
}
