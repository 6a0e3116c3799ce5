/// Expected calibration error, in [0, 1]: over 15 equal bins of confidence ((b - 1)/15, b/15], the
/// share of samples times the distance between accuracy and mean confidence (Guo et al. 2017,
/// arXiv 1706.04599, eq. 3).
///
/// `confidence` is the probability of the class that was predicted, `right` whether it was true; one
/// entry a sample. 0 without samples.
pub fn expected_calibration_error(confidence: &[f64], right: &[bool]) -> f64 {
    const BINS: usize = 15;
    // right minus confidence, summed: |accuracy - mean confidence| times the bin's samples
    let mut gaps = [0.0; BINS];
    for (&c, &r) in confidence.iter().zip(right) {
        let bin = (c * BINS as f64).ceil() as usize;
        gaps[bin.clamp(1, BINS) - 1] += f64::from(u8::from(r)) - c;
    }
    gaps.iter().map(|g| g.abs()).sum::<f64>() / confidence.len().max(1) as f64
}
