use super::{Arm, Recipe};
use crate::error::{Error, Result};
use crate::schedule::ScheduleConfig;
use std::fmt::Display;
use std::ops::Deref;

/// A recipe whose every field has been checked: what [`pretrain`](crate::pretrain) takes.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidRecipe(Recipe);

impl Deref for ValidRecipe {
    type Target = Recipe;

    fn deref(&self) -> &Recipe {
        &self.0
    }
}

impl Recipe {
    /// Checks every field by itself and against the others.
    ///
    /// # Errors
    /// Naming the first field that no run can have, its value and what was expected.
    pub fn validate(self) -> Result<ValidRecipe> {
        self.check_numbers()?;
        self.method.config().check_views(&self.pipeline)?;
        self.pipeline.check(self.size)?;
        self.normalization.check()?;
        self.check_arms()?;
        self.method.config().check()?;
        cass_run::check_numbers(&self)?;
        Ok(ValidRecipe(self))
    }

    fn check_numbers(&self) -> Result<()> {
        at_least("size", self.size, 1)?;
        at_least("epochs", self.epochs, 1)?;
        at_least("batch", self.batch, 2)?;
        at_least("outputs", self.outputs, 1)?;
        at_least("accumulate", self.accumulate, 1)?;
        check(
            "accumulate",
            self.accumulate,
            self.accumulate == 1 || self.batch / self.accumulate >= 2,
            "so few parts that each of a batch has 2 images",
        )?;
        if let Some(norm) = self.clip_grad_norm {
            let fits = norm.is_finite() && norm > 0.0;
            check("clip_grad_norm", norm, fits, "a norm above 0")?;
        }
        self.data.check()?;
        if let Some(swa) = &self.swa {
            let fits = (0.0..1.0).contains(&swa.start);
            check("swa.start", swa.start, fits, "a share from 0 to below 1")?;
        }
        let index = self
            .device
            .strip_prefix("cuda:")
            .is_some_and(|n| n.parse::<usize>().is_ok());
        let known = ["auto", "cpu", "cuda"].contains(&self.device.as_str()) || index;
        check("device", &self.device, known, "auto, cpu, cuda or cuda:N")
    }

    fn check_arms(&self) -> Result<()> {
        let expected = self.method.arms();
        let arms: Vec<&str> = self.arms.keys().map(String::as_str).collect();
        let wanted = format!("exactly {}", expected.join(" and "));
        check("arms", arms.join(" and "), arms == expected, &wanted)?;
        let trains = self.arms.values().any(|arm| !arm.frozen);
        check("arms", "all frozen", trains, "one that is trained")?;
        let mut arms = self.arms.iter();
        arms.try_for_each(|(name, arm)| arm.check(&format!("arms.{name}.")))
    }
}

impl Arm {
    /// Checks how a network is optimised; `place` is where these fields stand, such as `arms.cnn.`.
    ///
    /// # Errors
    /// Naming the first field that no run can have, its value and what was expected.
    pub fn check(&self, place: &str) -> Result<()> {
        self.check_portion(place)?;
        for (field, value, wanted, fits) in self.optimizer.checks() {
            check(&format!("{place}optimizer.{field}"), value, fits, wanted)?;
        }
        if let ScheduleConfig::Cosine(cosine) = &self.schedule {
            let field = |field| format!("{place}schedule.{field}");
            let (lr, low) = (self.optimizer.lr(), cosine.eta_min);
            let fits = cosine.t_max >= 2;
            check(&field("t_max"), cosine.t_max, fits, "at least 2 steps")?;
            let fits = (0.0..=lr).contains(&low);
            let wanted = format!("from 0 to the optimizer's lr, {lr}");
            check(&field("eta_min"), low, fits, &wanted)?;
        }
        Ok(())
    }
}

/// Accepts a number from `least` on.
pub(crate) fn at_least(field: &str, value: usize, least: usize) -> Result<()> {
    check(field, value, value >= least, &format!("at least {least}"))
}

/// Names a field with a value that no run can have.
pub(crate) fn check(field: &str, value: impl Display, fits: bool, expected: &str) -> Result<()> {
    if fits {
        return Ok(());
    }
    Err(Error::Field {
        field: field.into(),
        value: value.to_string(),
        expected: expected.into(),
    })
}
