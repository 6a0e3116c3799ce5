use super::Recipe;
use crate::error::Result;
use crate::settings::{at_least, check};
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
        let fits = self.keep.is_last() || self.swa.is_none();
        check("keep", "best", fits, "last where swa averages epochs")?;
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
