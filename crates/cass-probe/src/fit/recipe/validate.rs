//! What no probe can be, and what this computer cannot do.

use super::{ProbeMode, ProbeRecipe};
use crate::Result;
use cass_run::check_field;
use cass_train::memory::network_memory;
use cass_train::methods::FocalForm;
use cass_train::schedule::ScheduleConfig;

impl ProbeRecipe {
    /// Checks every field.
    ///
    /// # Errors
    /// Naming the first field that no probe can have, its value and what was expected.
    pub fn validate(&self) -> Result<()> {
        cass_run::check_numbers(self)?;
        self.normalization.check()?;
        self.as_arm().check_portion("")?;
        let whole = self.train.is_all() && self.layer_decay.is_none() && !self.frozen_statistics;
        let finetunes = self.mode == ProbeMode::Finetune;
        let expected = "finetune where train, layer_decay or frozen_statistics is set";
        check_field("mode", self.mode.name(), whole || finetunes, expected)?;
        let val = self.data.val_fraction;
        check_field("val_fraction", val, val != 0.0, "a share above 0, below 1")?;
        self.data.check()?;
        self.as_arm().check("")?;
        // A probe ends when it has learned what it can.
        let fits = !matches!(self.schedule, ScheduleConfig::Anneal(_));
        check_field("schedule", "anneal", fits, "constant or cosine in a probe")?;
        check_field("epochs", self.epochs, self.epochs > 0, "at least 1")?;
        check_field("batch", self.batch, self.batch > 1, "at least 2")?;
        check_field("size", self.size, self.size > 0, "at least 1")?;
        check_field(
            "augment",
            self.augment,
            !self.augment || self.mode == ProbeMode::Linear,
            "false unless the mode is linear: finetune always augments, logistic and knn never",
        )?;
        if let Some(logistic) = &self.logistic {
            let rises = logistic.grid.is_sorted_by(|a, b| a < b);
            let good = |c: &f64| c.is_finite() && *c > 0.0;
            let grid = &logistic.grid;
            let fits = !grid.is_empty() && rises && grid.iter().all(good);
            let shown = format!("{grid:?}");
            check_field("logistic.grid", shown, fits, "rising numbers above 0")?;
            let (tolerance, iterations) = (logistic.tolerance, logistic.iterations);
            check_field("logistic.tolerance", tolerance, tolerance > 0.0, "above 0")?;
            check_field(
                "logistic.iterations",
                iterations,
                iterations > 0,
                "at least 1",
            )?;
        }
        let found = self.logistic.as_ref().map_or("nothing", |_| "a table");
        let fits = self.logistic.is_some() == (self.mode == ProbeMode::Logistic);
        let expected = "a table under mode logistic, and no other";
        check_field("logistic", found, fits, expected)?;
        let fits = !self.multi_label || self.loss != FocalForm::Softmax;
        let expected = "sigmoid where an image may be of several classes";
        check_field("loss", "softmax", fits, expected)?;
        Ok(())
    }

    /// Checks that this computer has the memory that the probe takes at the least, before anything of it
    /// is asked for. GPUs say themselves what they lack.
    ///
    /// # Errors
    /// Naming what is needed and what is there; if the network is unknown.
    pub fn expect_memory(&self) -> Result<()> {
        if self.device.starts_with("cuda") || cfg!(feature = "cuda") && self.device == "auto" {
            return Ok(());
        }
        let copies = match self.mode {
            ProbeMode::Finetune => 2 + self.optimizer.state_names().len(),
            _ => 1,
        };
        let image = [self.size, self.data.in_chans];
        let bytes = network_memory(&self.network, 1, image, copies, self.batch)?;
        Ok(cass_run::expect_memory(bytes)?)
    }
}
