//! What was measured of one pass of one operation.

use super::roofline::Rooflines;
use crate::bench::spread::Spread;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// One pass of one operation.
#[derive(Debug)]
pub struct Measured {
    pub op: &'static str,
    pub shape: String,
    /// `forward`, `backward` or `update`.
    pub pass: &'static str,
    /// Milliseconds.
    pub ours: Spread,
    pub work: Work,
    pub rival: Option<Rival>,
}

/// What a pass cannot do without.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Multiply-adds by the definition; 0 where memory is the limit.
    pub flops: usize,
    /// Every tensor once.
    pub bytes: usize,
}

/// Candle's way.
#[derive(Debug)]
pub struct Rival {
    pub what: &'static str,
    /// Milliseconds, if it computes the same.
    pub time: Option<Spread>,
    /// How it differs.
    pub wrong: Option<String>,
}

/// Work by time, and its share of what the machine reaches.
#[derive(Clone, Copy)]
pub enum Rate {
    Gflops(f64, f64),
    GbPerS(f64, f64),
}

impl Measured {
    pub fn rate(&self, rooflines: &Rooflines) -> Rate {
        let per_ns = |amount: usize| amount as f64 / self.ours.median / 1e6;
        if self.work.flops > 0 {
            let rate = per_ns(self.work.flops);
            Rate::Gflops(rate, rate / rooflines.gflops)
        } else {
            let rate = per_ns(self.work.bytes);
            Rate::GbPerS(rate, rate / rooflines.gb_per_s)
        }
    }

    /// How many times as long Candle takes.
    pub fn times(&self) -> Option<f64> {
        let rival = self.rival.as_ref()?.time?;
        Some(rival.median / self.ours.median)
    }

    pub fn json(&self, rooflines: &Rooflines) -> Value {
        let time = |spread: Spread| json!({"median_ms": spread.median, "min_ms": spread.min, "max_ms": spread.max});
        let mut row = time(self.ours);
        row["op"] = self.op.into();
        row["shape"] = self.shape.clone().into();
        row["pass"] = self.pass.into();
        match self.rate(rooflines) {
            Rate::Gflops(rate, share) => {
                row["gflops"] = rate.into();
                row["roofline_share"] = share.into();
            }
            Rate::GbPerS(rate, share) => {
                row["gb_per_s"] = rate.into();
                row["copy_share"] = share.into();
            }
        }
        if let Some(rival) = &self.rival {
            let mut candle = rival.time.map_or(json!({"median_ms": null}), time);
            candle["what"] = rival.what.into();
            candle["wrong"] = rival.wrong.clone().into();
            candle["times_ours"] = self.times().into();
            row["candle"] = candle;
        }
        row
    }
}

/// Milliseconds since then.
pub fn ms(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1e3
}

/// Long enough for idle threads of the one who was measured before to fall asleep.
pub fn pause() {
    std::thread::sleep(Duration::from_millis(3));
}
