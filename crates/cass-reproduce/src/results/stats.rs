//! Means over seeds, and whether a difference is more than their noise.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// Mean and sample standard deviation; no deviation of fewer than two values.
pub fn mean_std(values: &[f64]) -> (Option<f64>, Option<f64>) {
    if values.is_empty() {
        return (None, None);
    }
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let std = (values.len() > 1)
        .then(|| (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt());
    (Some(mean), std)
}

/// 95 % confidence interval of the mean of paired differences (Student's t); `None` below two pairs.
pub fn interval(differences: &[f64]) -> Option<(f64, f64)> {
    let (mean, std) = mean_std(differences);
    let (mean, std) = (mean?, std?);
    let n = differences.len();
    let half = quantile(n - 1) * std / (n as f64).sqrt();
    Some((mean - half, mean + half))
}

/// Whether the 95 % intervals of two means do not overlap; `None` where one has no spread to tell.
pub fn apart(ours: &[f64], theirs: (f64, f64, usize)) -> Option<bool> {
    let (low, high) = interval(ours)?;
    let (mean, std, n) = theirs;
    let half = quantile(n.checked_sub(1)?) * std / (n as f64).sqrt();
    Some(high < mean - half || low > mean + half)
}

/// 97.5 % quantile of Student's t; infinite without a degree of freedom.
fn quantile(degrees: usize) -> f64 {
    let t = StudentsT::new(0.0, 1.0, degrees as f64);
    t.map_or(f64::INFINITY, |t| t.inverse_cdf(0.975))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sample_deviation() {
        assert_eq!(mean_std(&[]), (None, None));
        assert_eq!(mean_std(&[3.0]), (Some(3.0), None));
        assert_eq!(mean_std(&[1.0, 3.0]), (Some(2.0), Some(2f64.sqrt())));
    }

    #[test]
    fn intervals_overlap_or_not() {
        // Ours 3 ± 1.963; theirs ± 1.242 standard deviations.
        let ours = [1.0, 2.0, 3.0, 4.0, 5.0];
        assert_eq!(apart(&ours, (6.0, 0.8, 5)), Some(true));
        assert_eq!(apart(&ours, (6.0, 0.9, 5)), Some(false));
        assert_eq!(apart(&ours, (0.0, 0.8, 5)), Some(true));
        assert_eq!(apart(&[1.0], (6.0, 0.8, 5)), None);
    }

    #[test]
    fn interval_is_students() {
        // scipy.stats.t.interval(0.95, 4, loc=3, scale=sem([1, 2, 3, 4, 5]))
        let (low, high) = interval(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        assert!(
            (low - 1.036757).abs() < 1e-6 && (high - 4.963243).abs() < 1e-6,
            "{low} {high}"
        );
        assert!(interval(&[1.0]).is_none());
        for (degrees, t) in [(1, 12.70620), (11, 2.20099), (30, 2.04227), (120, 1.97993)] {
            assert!((quantile(degrees) - t).abs() < 1e-5, "{degrees}");
        }
    }
}
