//! What was measured of one row, and what it comes to.

use super::row::Row;
use super::side::{Sample, Side};
use serde_json::{Value, json};

/// All measurements of a row on so many threads.
pub struct Outcome {
    pub row: &'static Row,
    pub threads: usize,
    pub ours: Vec<Sample>,
    pub eager: Vec<Sample>,
    pub compiled: Vec<Sample>,
}

impl Outcome {
    pub fn new(row: &'static Row, threads: usize) -> Outcome {
        Outcome {
            row,
            threads,
            ours: Vec::new(),
            eager: Vec::new(),
            compiled: Vec::new(),
        }
    }

    /// The sides, in the order in which they take turns.
    pub fn sides(&mut self) -> [(Side, &mut Vec<Sample>); 3] {
        [
            (Side::Ours, &mut self.ours),
            (Side::Eager, &mut self.eager),
            (Side::Compiled, &mut self.compiled),
        ]
    }

    /// Ours by PyTorch's: below 1 is faster.
    pub fn time_ratio(&self) -> Option<f64> {
        Some(ms(&self.ours)? / ms(&self.eager)?)
    }

    /// The least and the most of the turns, each by itself.
    pub fn time_ratios(&self) -> Option<(f64, f64)> {
        let pairs = self.ours.iter().zip(&self.eager);
        let ratios: Vec<f64> = pairs.map(|(ours, eager)| ours.ms / eager.ms).collect();
        let least = ratios.iter().copied().reduce(f64::min)?;
        Some((least, ratios.iter().copied().reduce(f64::max)?))
    }

    /// Ours by PyTorch's: below 1 is less memory.
    pub fn rss_ratio(&self) -> Option<f64> {
        Some(rss_mib(&self.ours)? / rss_mib(&self.eager)?)
    }

    pub fn json(&self) -> Value {
        let side = |samples: &[Sample]| {
            let each: Vec<_> = samples.iter().map(|sample| sample.ms).collect();
            json!({"median_ms": ms(samples), "ms": each, "peak_rss_mib": rss_mib(samples)})
        };
        json!({
            "row": self.row.name,
            "text": self.row.text(),
            "threads": self.threads,
            "ours": side(&self.ours),
            "torch": side(&self.eager),
            "torch_compile": (!self.compiled.is_empty()).then(|| side(&self.compiled)),
            "time_ratio": self.time_ratio(),
            "rss_ratio": self.rss_ratio(),
            "roofline_share": roofline_share(&self.ours),
        })
    }
}

/// Median time.
pub fn ms(samples: &[Sample]) -> Option<f64> {
    median(samples.iter().map(|sample| sample.ms))
}

/// Median of the processes' peaks.
pub fn rss_mib(samples: &[Sample]) -> Option<f64> {
    median(samples.iter().filter_map(|sample| sample.rss_mib))
}

/// Median share of what matrix products alone reach.
pub fn roofline_share(samples: &[Sample]) -> Option<f64> {
    median(samples.iter().filter_map(|sample| sample.roofline_share))
}

/// The mean of the middle two of an even number; none of nothing.
fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    Some((values[last / 2] + values[values.len() / 2]) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::super::row::ROWS;
    use super::*;

    fn samples(times: &[f64], rss_mib: f64) -> Vec<Sample> {
        let sample = |&ms| Sample {
            ms,
            rss_mib: Some(rss_mib),
            roofline_share: Some(0.5),
        };
        times.iter().map(sample).collect()
    }

    #[test]
    fn ratios_are_of_medians() {
        let mut outcome = Outcome::new(&ROWS[0], 2);
        assert_eq!((outcome.time_ratio(), outcome.time_ratios()), (None, None));
        outcome.ours = samples(&[10.0, 30.0, 20.0], 400.0);
        outcome.eager = samples(&[40.0, 40.0, 100.0], 800.0);
        assert_eq!(outcome.time_ratio(), Some(0.5));
        assert_eq!(outcome.time_ratios(), Some((0.2, 0.75)));
        assert_eq!(outcome.rss_ratio(), Some(0.5));
        let json = outcome.json();
        assert_eq!(
            (&json["row"], &json["torch"]["median_ms"]),
            (&"cass-96".into(), &40.0.into())
        );
        assert!(json["torch_compile"].is_null());
    }

    #[test]
    fn medians() {
        assert_eq!(median([].into_iter()), None);
        assert_eq!(median([3.0, 1.0].into_iter()), Some(2.0));
        assert_eq!(median([3.0, 1.0, 9.0].into_iter()), Some(3.0));
    }
}
