//! Learning rates, one per step.

use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// How a learning rate changes from step to step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum ScheduleConfig {
    /// The optimiser's rate throughout.
    Constant,
    /// `torch.optim.lr_scheduler.CosineAnnealingLR`, stepped once per batch.
    Cosine(CosineConfig),
    /// Up from 0 and down again over the whole run.
    Anneal(AnnealConfig),
}

/// A rate that goes up along a line, from 0 in the first step, and then down along half a cosine to the end of the
/// run: what DINO, BYOL, SimSiam (without the line) and VICReg are published with.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AnnealConfig {
    /// Share of the run's steps on the way up, from 0 to below 1.
    pub warmup: f64,
    /// The rate that the end of the run would have.
    pub eta_min: f64,
}

impl AnnealConfig {
    /// The rate of a step of so many, both counted from 0, as `adjust_learning_rate` of `facebookresearch/vicreg`.
    fn rate(&self, base: f64, step: u64, steps: u64) -> f64 {
        let steps = steps.max(1) as f64;
        let (step, up) = ((step as f64).min(steps), self.warmup * steps);
        if step < up {
            return base * step / up;
        }
        let left = (1.0 + (PI * (step - up) / (steps - up)).cos()) / 2.0;
        base * left + self.eta_min * (1.0 - left)
    }
}

/// Arguments of `torch.optim.lr_scheduler.CosineAnnealingLR`, under torch's names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CosineConfig {
    /// Steps from the highest rate to the lowest; the rate goes up again in as many.
    pub t_max: u32,
    /// The lowest rate.
    pub eta_min: f64,
}

/// The paper's: 16 steps down to 1e-6 (appendix E.1.3).
impl Default for CosineConfig {
    fn default() -> Self {
        Self {
            t_max: 16,
            eta_min: 1e-6,
        }
    }
}

/// A learning rate that is stepped once per batch.
///
/// The cosine follows torch's *recursive* form, each rate from the one before, so that rates agree
/// with torch's to rounding. With `t_max` 16 it goes down for 16 steps and up for 16: period 32.
///
/// ```
/// use cass_train::schedule::{CosineConfig, Schedule, ScheduleConfig};
/// let mut schedule = Schedule::new(ScheduleConfig::Cosine(CosineConfig::default()), 1e-3);
/// let rates: Vec<f64> = (0..33).map(|_| { let lr = schedule.lr(); schedule.step(); lr }).collect();
/// assert_eq!(rates[0], 1e-3);
/// assert!((rates[16] - 1e-6).abs() < 1e-12 && (rates[32] - 1e-3).abs() < 1e-12);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    config: ScheduleConfig,
    base_lr: f64,
    lr: f64,
    steps: u64,
    /// Steps of the whole run, where they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run: Option<u64>,
}

impl Schedule {
    /// A schedule whose first rate is `base_lr`.
    pub fn new(config: ScheduleConfig, base_lr: f64) -> Self {
        Self {
            config,
            base_lr,
            lr: base_lr,
            steps: 0,
            run: None,
        }
    }

    /// The same for a run of so many steps: where they are not known, what would anneal over them stays at the
    /// first rate.
    #[must_use]
    pub fn over(mut self, steps: Option<u64>) -> Self {
        self.run = steps;
        self.restart();
        self
    }

    /// The rate for the coming step.
    pub fn lr(&self) -> f64 {
        self.lr
    }

    /// Back to the first step's rate.
    pub fn restart(&mut self) {
        (self.lr, self.steps) = (self.base_lr, 0);
        self.anneal();
    }

    fn anneal(&mut self) {
        if let (ScheduleConfig::Anneal(anneal), Some(run)) = (&self.config, self.run) {
            self.lr = anneal.rate(self.base_lr, self.steps, run);
        }
    }

    /// Moves on to the next step's rate.
    pub fn step(&mut self) {
        self.steps += 1;
        self.anneal();
        let ScheduleConfig::Cosine(CosineConfig { t_max, eta_min }) = self.config else {
            return;
        };
        let period = f64::from(t_max);
        let step = self.steps as f64;
        // After the lowest point the recursion would divide by zero.
        let leaves_minimum = (self.steps - 1) % (2 * u64::from(t_max)) == u64::from(t_max);
        self.lr = if leaves_minimum {
            self.lr + (self.base_lr - eta_min) * (1.0 - (PI / period).cos()) / 2.0
        } else {
            (1.0 + (PI * step / period).cos()) / (1.0 + (PI * (step - 1.0) / period).cos())
                * (self.lr - eta_min)
                + eta_min
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../fixtures/golden/schedule/golden.json"
    );

    #[test]
    fn rates_equal_torchs() {
        let golden: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(GOLDEN).unwrap()).unwrap();
        for (key, base_lr) in [("lr_0.001", 1e-3), ("lr_0.0003", 3e-4)] {
            let mut schedule =
                Schedule::new(ScheduleConfig::Cosine(CosineConfig::default()), base_lr);
            let rates = golden[key].as_array().unwrap();
            assert_eq!(rates.len(), 200);
            for (step, want) in rates.iter().enumerate() {
                let (got, want) = (schedule.lr(), want.as_f64().unwrap());
                assert!(
                    (got - want).abs() <= 1e-12 * want,
                    "step {step}: {got} not {want}"
                );
                schedule.step();
            }
        }
    }

    #[test]
    fn annealed_rates_are_vicregs() {
        let golden: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(GOLDEN).unwrap()).unwrap();
        for (key, warmup) in [("anneal_0.25", 0.25), ("anneal_0", 0.0)] {
            let anneal = AnnealConfig {
                warmup,
                eta_min: 1e-6,
            };
            let config = ScheduleConfig::Anneal(anneal);
            let rates = golden[key].as_array().unwrap();
            let mut schedule = Schedule::new(config.clone(), 1e-3).over(Some(rates.len() as u64));
            for (step, want) in rates.iter().enumerate() {
                let (got, want) = (schedule.lr(), want.as_f64().unwrap());
                assert!(
                    (got - want).abs() <= 1e-15,
                    "{key} {step}: {got} not {want}"
                );
                schedule.step();
            }
            assert!((schedule.lr() - 1e-6).abs() < 1e-15);
            // Of a run of unknown length.
            let mut unknown = Schedule::new(config, 1e-3);
            unknown.step();
            assert_eq!(unknown.lr(), 1e-3);
        }
    }

    #[test]
    fn constant_stays_and_a_saved_schedule_goes_on() {
        let mut schedule = Schedule::new(ScheduleConfig::Constant, 0.3);
        schedule.step();
        assert_eq!(schedule.lr(), 0.3);
        let mut schedule = Schedule::new(ScheduleConfig::Cosine(CosineConfig::default()), 1e-3);
        (0..37).for_each(|_| schedule.step());
        let text = serde_json::to_string(&schedule).unwrap();
        let mut loaded: Schedule = serde_json::from_str(&text).unwrap();
        (0..20).for_each(|_| {
            schedule.step();
            loaded.step();
        });
        assert_eq!(schedule, loaded);
    }
}
