/// Bins of confidence, ((b - 1)/15, b/15].
const BINS: usize = 15;

/// One bin of a reliability curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReliabilityBin {
    /// Samples in it, at least one.
    pub samples: usize,
    /// Their mean confidence, in [0, 1].
    pub confidence: f64,
    /// The share of them that is right, in [0, 1].
    pub accuracy: f64,
}

/// Reliability curve, how often predictions of some confidence are right: the bins of 15 equal ones that have samples,
/// by rising confidence (Guo et al. 2017, arXiv 1706.04599, section 2).
///
/// `confidence` is the probability of the class that was predicted, `right` whether it was true; one
/// entry a sample.
pub fn reliability_curve(confidence: &[f64], right: &[bool]) -> Vec<ReliabilityBin> {
    let mut bins = [(0, 0.0, 0); BINS];
    for (&c, &r) in confidence.iter().zip(right) {
        let bin = (c * BINS as f64).ceil() as usize;
        let (samples, sum, hits) = &mut bins[bin.clamp(1, BINS) - 1];
        *samples += 1;
        *sum += c;
        *hits += usize::from(r);
    }
    let filled = bins.into_iter().filter(|bin| bin.0 > 0);
    filled
        .map(|(samples, sum, hits)| ReliabilityBin {
            samples,
            confidence: sum / samples as f64,
            accuracy: hits as f64 / samples as f64,
        })
        .collect()
}

/// Expected calibration error, in [0, 1]: over the bins of [`reliability_curve`], the share of samples
/// times the distance between accuracy and mean confidence (Guo et al. 2017, eq. 3). 0 without
/// samples.
pub fn expected_calibration_error(confidence: &[f64], right: &[bool]) -> f64 {
    let bins = reliability_curve(confidence, right).into_iter();
    let gaps = bins.map(|b| b.samples as f64 * (b.accuracy - b.confidence).abs());
    gaps.sum::<f64>() / confidence.len().max(1) as f64
}
